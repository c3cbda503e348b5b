//! JSON and DAG-CBOR of records: the published ones, random ones, and what is neither.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use sheaf_repo::{
    Ipld,
    cbor::{self, CborError},
    cid,
    json::{self, JsonError},
};

use crate::samples;

#[derive(Deserialize)]
struct Record {
    json: Value,
    cbor_base64: String,
    cid: String,
}

#[derive(Deserialize)]
struct Case {
    note: String,
    json: Value,
}

#[test]
fn published_records_have_the_published_bytes_and_cids() {
    let records: Vec<Record> =
        serde_json::from_str(include_str!("../fixtures/interop/data-model/data-model-fixtures.json"))
            .expect("fixtures");
    assert!(!records.is_empty());
    for record in records {
        let bytes = json::to_cbor(&record.json).expect("a record");
        assert_eq!(bytes, STANDARD_NO_PAD.decode(&record.cbor_base64).expect("base64"));
        assert_eq!(cid::of_record(&bytes).to_string(), record.cid);
        assert_eq!(json::from_ipld(&cbor::decode(&bytes).expect("DAG-CBOR")), record.json);
    }
}

#[test]
fn published_verdicts_on_json() {
    let cases = |text| serde_json::from_str::<Vec<Case>>(text).expect("fixtures");
    for case in cases(include_str!("../fixtures/interop/data-model/data-model-valid.json")) {
        let bytes = json::to_cbor(&case.json).unwrap_or_else(|why| panic!("{}: {why}", case.note));
        cbor::decode(&bytes).unwrap_or_else(|why| panic!("{}: {why}", case.note));
    }
    for case in cases(include_str!("../fixtures/interop/data-model/data-model-invalid.json")) {
        assert!(json::to_cbor(&case.json).is_err(), "{}", case.note);
    }
}

#[test]
fn json_that_is_no_record() {
    let blob = |reference: &str, size: Value| json!({ "b": { "$type": "blob", "ref": { "$link": reference }, "mimeType": "image/png", "size": size } });
    let raw = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";
    assert!(json::to_cbor(&blob(raw, json!(1))).is_ok());
    for (bad, why) in [
        (json!([]), JsonError::NotAnObject),
        (json!({ "$bytes": "AQID" }), JsonError::NotAnObject),
        (json!({ "$link": raw }), JsonError::NotAnObject),
        (json!({ "n": 0.5 }), JsonError::Number),
        (json!({ "n": u64::MAX }), JsonError::Number),
        (json!({ "n": 1e300 }), JsonError::Number),
        (json!({ "n": { "$bytes": "A" } }), JsonError::Special("$bytes")),
        (json!({ "n": { "$bytes": "AQID\n" } }), JsonError::Special("$bytes")),
        (
            json!({ "n": { "$link": "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR" } }),
            JsonError::Special("$link"),
        ),
        (json!({ "n": { "$link": raw.to_uppercase() } }), JsonError::Special("$link")),
        (blob(raw, json!(-1)), JsonError::Special("blob")),
        (blob(raw, json!("1")), JsonError::Special("blob")),
        (json!({ "s": "a".repeat(json::MAX_RECORD_BYTES) }), JsonError::TooLarge),
        (json!({ "s": vec![Value::Null; cbor::MAX_ITEMS] }), JsonError::TooLarge),
    ] {
        let shown = bad.to_string();
        assert_eq!(json::to_cbor(&bad), Err(why), "{}", &shown[..shown.len().min(80)]);
    }
    for whole in [json!({ "n": 123.0 }), json!({ "n": 123 })] {
        let bytes = json::to_cbor(&whole).expect("an integer however it is written");
        assert_eq!(json::from_ipld(&cbor::decode(&bytes).expect("DAG-CBOR")), json!({ "n": 123 }));
    }
    for n in [i64::MIN, -1, 0, i64::MAX] {
        let bytes = json::to_cbor(&json!({ "n": n })).expect("64 bits");
        assert_eq!(json::from_ipld(&cbor::decode(&bytes).expect("DAG-CBOR")), json!({ "n": n }));
    }
}

#[test]
fn what_is_written_however_deep_can_be_read() {
    let link = json!({ "$link": "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity" });
    for innermost in [json!(1), json!([]), json!({}), link] {
        let mut value = innermost;
        let mut refused = 0;
        for depth in 1..100 {
            value = if depth % 2 == 0 { json!([value]) } else { json!({ "a": value }) };
            match json::to_cbor(&json!({ "a": value })) {
                Ok(bytes) => {
                    assert_eq!(refused, 0);
                    cbor::decode(&bytes).unwrap_or_else(|why| panic!("at depth {depth}: {why}"));
                }
                Err(why) => {
                    assert_eq!(why, JsonError::TooDeep);
                    refused += 1;
                }
            }
        }
        assert!((30..60).contains(&refused), "{refused}");
    }
}

/// A link as it stands in DAG-CBOR, with the CID's bytes as given.
fn link(cid: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xd8, 0x2a, 0x58, cid.len() as u8 + 1, 0];
    bytes.extend(cid);
    bytes
}

#[test]
fn cbor_that_is_not_the_one_way_to_write_it() {
    let (_, good) = samples::record(1);
    let good = good.to_bytes();
    assert!(matches!(cbor::decode(&link(&good)), Ok(Ipld::Link(_))));
    let mut sha512 = vec![1, 0x71, 0x13, 64];
    sha512.extend([0; 64]);
    let mut v0 = vec![0x12, 0x20];
    v0.extend([0; 32]);
    let dag_pb = [&[1, 0x70], &good[2..]].concat();
    let no_zero = [&[0xd8, 0x2a, 0x58, 36], &good[..]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("a number not in its shortest form", vec![0x18, 0x01]),
        ("a length not in its shortest form", vec![0x78, 0x01, b'a']),
        ("more bytes behind it", vec![0x01, 0x01]),
        ("half a number", vec![0x19, 0x01]),
        ("half a text", vec![0x62, b'a']),
        ("half a list", vec![0x82, 0x01]),
        ("an indefinite list", vec![0x9f, 0x01, 0xff]),
        ("an indefinite text", vec![0x7f, 0x61, b'a', 0xff]),
        ("an indefinite map", vec![0xbf, 0xff]),
        ("a lone break", vec![0xff]),
        ("keys in the wrong order", vec![0xa2, 0x61, b'b', 0x01, 0x61, b'a', 0x02]),
        ("a long key before a short one", vec![0xa2, 0x62, b'a', b'a', 0x01, 0x61, b'b', 0x02]),
        ("a key twice", vec![0xa2, 0x61, b'a', 0x01, 0x61, b'a', 0x02]),
        ("a key that is no text", vec![0xa1, 0x01, 0x01]),
        ("a key of bytes", vec![0xa1, 0x41, b'a', 0x01]),
        ("text that is not UTF-8", vec![0x61, 0xff]),
        ("a small float", vec![0xf9, 0x3c, 0x00]),
        ("a float", [&[0xfb][..], &1.5f64.to_be_bytes()].concat()),
        ("a whole float", [&[0xfb][..], &1.0f64.to_be_bytes()].concat()),
        ("not a number", [&[0xfb][..], &f64::NAN.to_be_bytes()].concat()),
        ("an infinity", [&[0xfb][..], &f64::INFINITY.to_be_bytes()].concat()),
        ("undefined", vec![0xf7]),
        ("another simple value", vec![0xf0]),
        ("false the long way", vec![0xf8, 0x14]),
        ("another tag", vec![0xc1, 0x01]),
        ("a big number", vec![0xc2, 0x41, 0x01]),
        ("a tag on a tag", vec![0xd8, 0x2a, 0xd8, 0x2a, 0x41, 0x00]),
        ("an integer over 63 bits", [&[0x1b][..], &[0xff; 8]].concat()),
        ("an integer under 63 bits", [&[0x3b][..], &[0xff; 8]].concat()),
        ("a link to nothing", vec![0xd8, 0x2a, 0x41, 0x00]),
        ("a link without its zero", no_zero),
        ("a link that is text", vec![0xd8, 0x2a, 0x61, b'a']),
        ("a link of version 0", link(&v0)),
        ("a link by another hash", link(&sha512)),
        ("a link of another codec", link(&dag_pb)),
        ("a link cut short", link(&good[..35])),
        ("a link too long", link(&[&good[..], &[0]].concat())),
        ("a list without end", vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a map without end", vec![0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a text without end", vec![0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("bytes without end", vec![0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a million lists in each other", vec![0x81; 1_000_000]),
        ("a million tags on each other", vec![0xc6; 1_000_000]),
        ("a million maps in each other", [0xa1, 0x61, b'a'].repeat(300_000)),
    ];
    for (what, bytes) in cases {
        assert!(cbor::decode(&bytes).is_err(), "{what}");
        // Nor anywhere inside.
        let inside = [&[0x82, 0x01], &bytes[..]].concat();
        assert!(cbor::decode(&inside).is_err(), "{what}, in a list");
    }
}

#[test]
fn sizes_are_bounded_before_anything_is_decoded() {
    let list = |count: usize| cbor::encode(&Ipld::List(vec![Ipld::Null; count]));
    assert!(cbor::decode(&list(cbor::MAX_ITEMS - 1)).is_ok());
    assert_eq!(cbor::decode(&list(cbor::MAX_ITEMS)), Err(CborError::TooLarge));
    let bytes = |count: u32| [&[0x5a][..], &count.to_be_bytes(), &vec![0; count as usize]].concat();
    assert!(cbor::decode(&bytes(cbor::MAX_BYTES as u32 - 5)).is_ok());
    assert_eq!(cbor::decode(&bytes(cbor::MAX_BYTES as u32 - 4)), Err(CborError::TooLarge));
    let nested = |depth: usize| [vec![0x81; depth], vec![0x01]].concat();
    assert!(cbor::decode(&nested(cbor::MAX_DEPTH)).is_ok());
    assert_eq!(cbor::decode(&nested(cbor::MAX_DEPTH + 1)), Err(CborError::TooDeep));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        samples::text().prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| json::bytes_json(&bytes)),
        (0u64..9).prop_map(|n| json!({ "$link": samples::record(n).1.to_string() })),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(
                samples::text().prop_map(|key| key.replace('$', "_")),
                inner,
                0..6
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn records_survive_both_ways(inner in value()) {
        let record = json!({ "$type": "app.example.note", "value": inner });
        let bytes = json::to_cbor(&record).expect("a record");
        let decoded = cbor::decode(&bytes).expect("DAG-CBOR");
        prop_assert_eq!(cbor::encode(&decoded), bytes);
        prop_assert_eq!(json::from_ipld(&decoded), record);
    }

    #[test]
    fn a_changed_byte_reads_as_itself_or_not_at_all(inner in value(), at in any::<prop::sample::Index>(), by in 1u8..) {
        let mut bytes = json::to_cbor(&json!({ "value": inner })).expect("a record");
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        if let Ok(value) = cbor::decode(&bytes) {
            prop_assert_eq!(cbor::encode(&value), bytes);
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = cbor::decode(&bytes) {
            prop_assert_eq!(cbor::encode(&value), bytes);
        }
    }
}
