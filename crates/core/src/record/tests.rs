#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sheaf_repo::{Ipld, cbor};

use super::*;
use crate::{
    client_id::ClientId,
    document_uri::DocumentUri,
    door::{Parsed, ranges::IdRanges},
    sticky::Sticky,
    time::Timestamp,
};

const URI: &str = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a";

fn uri() -> DocumentUri {
    URI.parse().unwrap()
}

/// What a PDS stores when it is given this.
fn stored(record: &Value) -> Vec<u8> {
    sheaf_repo::json::to_cbor(record).unwrap()
}

fn at() -> Timestamp {
    Timestamp::from_millis(1_795_401_000_250)
}

fn document() -> Value {
    json!({ "$type": DOCUMENT, "title": "Field notes", "createdAt": "2026-11-23T02:30:00.250Z", "format": "yjs-v1",
        "editors": ["did:plc:bob", "did:web:carol.example"],
        "former": [{ "did": "did:plc:dave",
            "replicas": [{ "replica": "k3x9", "clock": 4_294_967_295u32, "deletes": { "$bytes": "AAA" } }] }] })
}

fn segment() -> Value {
    json!({ "$type": SEGMENT, "document": URI, "replica": "k3x9", "seq": 12, "sealed": true, "entries": { "$bytes": "AQID" } })
}

fn awareness() -> Value {
    json!({ "$type": AWARENESS, "document": URI, "replica": "k3x9", "name": "Ada", "color": "#336699",
        "caret": { "anchor": { "$bytes": "AA" }, "head": { "$bytes": "AQ" } }, "expiresAt": "2026-11-23T02:30:00.250Z" })
}

/// `record` with one field changed, or removed for null.
fn with(mut record: Value, pointer: &str, value: Value) -> Vec<u8> {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = record.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(field).unwrap();
    } else {
        parent.insert(field.to_owned(), value);
    }
    stored(&record)
}

#[test]
fn each_record_is_read_and_written_back_the_same() {
    let read = DocumentRecord::parse(&stored(&document())).unwrap();
    assert_eq!(read.created_at, at());
    assert_eq!(read.format, Format::YjsV1);
    assert_eq!(read.editors.len(), 2);
    assert_eq!(read.former[0].replicas[0].clock, u32::MAX);
    assert_eq!(stored(&read.to_json()), stored(&document()));

    let read = SegmentRecord::parse(&stored(&segment())).unwrap();
    assert_eq!(read.document, uri());
    assert_eq!(read.key().to_string(), "3jzfcijpj2z2a:k3x9:00000012");
    assert_eq!(stored(&read.to_json()), stored(&segment()));

    let read = AwarenessRecord::parse(&stored(&awareness())).unwrap();
    assert_eq!(read.caret, Some(Caret { anchor: Sticky::Start, head: Sticky::End }));
    assert_eq!(read.expires_at, at());
    assert_eq!(stored(&read.to_json()), stored(&awareness()));
}

#[test]
fn what_may_be_left_out_may_be_left_out() {
    let read = DocumentRecord::parse(&with(document(), "/former", Value::Null)).unwrap();
    assert_eq!(read.former, []);
    assert_eq!(read.to_json().get("former"), None);
    let bare = json!({ "$type": AWARENESS, "document": URI, "replica": "k3x9", "expiresAt": "2026-11-23T02:30:00Z" });
    let read = AwarenessRecord::parse(&stored(&bare)).unwrap();
    assert_eq!((read.name.clone(), read.color, read.caret), (None, None, None));
    assert_eq!(AwarenessRecord::parse(&stored(&read.to_json())).unwrap(), read);
}

#[test]
fn fields_of_later_versions_are_ignored_and_kept_in_the_document() {
    let mut later = document();
    later["roles"] = json!({ "did:plc:bob": "commenter", "key": { "$bytes": "AQID" } });
    later["open"] = json!(true);
    let mut record = DocumentRecord::parse(&stored(&later)).unwrap();
    record.set_title("Renamed");
    later["title"] = json!("Renamed");
    assert_eq!(stored(&record.to_json()), stored(&later));
    assert!(SegmentRecord::parse(&with(segment(), "/signature", json!("x"))).is_ok());
    assert!(AwarenessRecord::parse(&with(awareness(), "/endpoint", json!({ "$bytes": "AA" }))).is_ok());
}

#[test]
fn an_unknown_format_is_read_as_unknown() {
    let read = DocumentRecord::parse(&with(document(), "/format", json!("loro-v3"))).unwrap();
    assert_eq!(read.format, Format::Other("loro-v3".into()));
    assert_eq!(read.to_json()["format"], "loro-v3");
}

#[test]
fn what_is_wrong_is_named() {
    let dids = |n: usize| (0..n).map(|n| json!(format!("did:plc:{n}"))).collect::<Vec<_>>();
    let cases: &[(&str, Value)] = &[
        ("$type", json!("dev.sheaf.segment")),
        ("title", Value::Null),
        ("title", json!(7)),
        ("createdAt", Value::Null),
        ("createdAt", json!("yesterday")),
        ("format", Value::Null),
        ("format", json!("")),
        ("format", json!("a".repeat(65))),
        ("format", json!("yjs v1")),
        ("editors", Value::Null),
        ("editors", json!("did:plc:bob")),
        ("editors", json!(["bob.example"])),
        ("editors", json!(["did:plc:bob", "did:plc:bob"])),
        ("editors", json!(dids(101))),
        ("former", json!([{ "did": "did:plc:bob" }])),
        ("former", json!([{ "did": "bob", "replicas": [] }])),
        (
            "former",
            json!([{ "did": "did:plc:bob", "replicas": [] }, { "did": "did:plc:bob", "replicas": [] }]),
        ),
        (
            "former",
            json!([{ "did": "did:plc:b", "replicas": [{ "replica": "R", "clock": 1, "deletes": { "$bytes": "" } }] }]),
        ),
        (
            "former",
            json!([{ "did": "did:plc:b", "replicas": [{ "replica": "r", "clock": -1, "deletes": { "$bytes": "" } }] }]),
        ),
        (
            "former",
            json!([{ "did": "did:plc:b", "replicas": [{ "replica": "r", "clock": 1, "deletes": "AA" }] }]),
        ),
    ];
    for (field, value) in cases {
        let refused = DocumentRecord::parse(&with(document(), &format!("/{field}"), value.clone()));
        assert!(refused.is_err(), "{field} = {value}");
    }
    assert!(DocumentRecord::parse(&with(document(), "/editors", json!(dids(100)))).is_ok());
    let refused = DocumentRecord::parse(&with(document(), "/editors", json!(["bob"]))).unwrap_err();
    assert_eq!(refused.to_string(), "the record's “editors” is not a list of DIDs");

    let cases: &[(&str, Value)] = &[
        ("$type", json!("dev.sheaf.document")),
        ("document", Value::Null),
        ("document", json!("at://alice.example/dev.sheaf.document/3jzfcijpj2z2a")),
        ("replica", json!("K3X9")),
        ("replica", json!("k".repeat(25))),
        ("seq", json!(100_000_000)),
        ("seq", json!(-1)),
        ("seq", json!("12")),
        ("sealed", json!(1)),
        ("sealed", Value::Null),
        ("entries", json!("AQID")),
        ("entries", sheaf_repo::json::bytes_json(&vec![0; 60 * 1024 + 1])),
    ];
    for (field, value) in cases {
        let refused = SegmentRecord::parse(&with(segment(), &format!("/{field}"), value.clone()));
        assert!(refused.is_err(), "{field} = {value}");
    }

    let cases: &[(&str, Value)] = &[
        ("$type", json!("dev.sheaf.awarenes")),
        ("document", json!("")),
        ("replica", json!("")),
        ("name", json!(["Ada"])),
        ("color", json!("red")),
        ("color", json!("url(x)")),
        ("caret", json!({ "anchor": { "$bytes": "AA" } })),
        ("caret", json!({ "anchor": { "$bytes": "AA" }, "head": { "$bytes": "" } })),
        ("caret", json!({ "anchor": { "$bytes": "AA" }, "head": { "$bytes": "AAAA" } })),
        ("expiresAt", Value::Null),
        ("expiresAt", json!(1_795_401_000)),
    ];
    for (field, value) in cases {
        let refused = AwarenessRecord::parse(&with(awareness(), &format!("/{field}"), value.clone()));
        assert!(refused.is_err(), "{field} = {value}");
    }
}

/// Found by mutating records: a field that JSON takes for something else made every later change of the record panic.
#[test]
fn what_json_cannot_say_is_not_kept() {
    let nested = (0..60).fold(Ipld::Null, |inner, _| Ipld::List(vec![inner]));
    let map = |key: &str, value: Ipld| Ipld::Map([(key.to_owned(), value)].into());
    let Ok(Ipld::Map(mut fields)) = cbor::decode(&stored(&document())) else { panic!("a record is a map") };
    for (name, value) in [
        ("bytes", map("$bytes", Ipld::Integer(5))),
        ("more bytes", map("$bytes", Ipld::String("AQID".into()))),
        ("link", map("$link", Ipld::String("bafy".into()))),
        ("blob", map("$type", Ipld::String("blob".into()))),
        ("kind", map("$type", Ipld::Null)),
        ("$link", Ipld::Null),
        ("deep", (0..8).fold(nested.clone(), |inner, _| map("x", inner))),
        ("kept", Ipld::List(vec![map("x", Ipld::Bool(true))])),
    ] {
        fields.insert(name.to_owned(), value);
        let bytes = cbor::encode(&Ipld::Map(fields.clone()));
        let Ok(record) = DocumentRecord::parse(&bytes) else {
            assert_eq!(name, "deep", "only too deep a record is no record");
            fields.remove(name);
            continue;
        };
        assert_eq!(record.check(), Ok(()), "{name}");
        assert_eq!(record.to_json().get(name).is_some(), name == "kept", "{name}");
    }
}

#[test]
fn what_is_no_map_or_too_long_is_refused() {
    for bytes in [&[][..], &[0x80], &[0xa0, 0x00], &[0xff; 40], b"{}"] {
        assert!(DocumentRecord::parse(bytes).is_err());
        assert!(SegmentRecord::parse(bytes).is_err());
        assert!(AwarenessRecord::parse(bytes).is_err());
    }
    let long = with(awareness(), "/padding", json!("x".repeat(MAX_AWARENESS_RECORD)));
    assert!(matches!(AwarenessRecord::parse(&long), Err(RecordError::TooLong { .. })));
    // So many deletions that one replica's just fit a record and two replicas' do not.
    let mut ranges = IdRanges::default();
    (0..24_000).for_each(|n| ranges.insert(ClientId::new(7).unwrap(), 2 * n..2 * n + 1));
    let deletes = crate::door::encode(&Parsed { clients: vec![], deletes: ranges });
    assert!((MAX_DELETES_BYTES * 3 / 4..MAX_DELETES_BYTES).contains(&deletes.len()));
    let mut record = DocumentRecord::new("x", at());
    record.former = (0..2)
        .map(|n| FormerEditor {
            did: format!("did:plc:{n}").parse().unwrap(),
            replicas: vec![FormerReplica {
                replica: "r".parse().unwrap(),
                clock: 1,
                deletes: deletes.clone(),
            }],
        })
        .collect();
    assert!(matches!(record.check(), Err(RecordError::TooLong { .. })));
    record.former.pop();
    assert_eq!(record.check(), Ok(()));
}

#[test]
fn cutting_a_record_short_anywhere_is_noticed() {
    for record in [document(), segment(), awareness()] {
        let whole = stored(&record);
        for len in 0..whole.len() {
            let cut = &whole[..len];
            assert!(DocumentRecord::parse(cut).is_err());
            assert!(SegmentRecord::parse(cut).is_err());
            assert!(AwarenessRecord::parse(cut).is_err());
        }
    }
}

#[test]
fn changed_bytes_never_panic_and_what_is_read_is_written_back_the_same() {
    for record in [document(), segment(), awareness()] {
        let whole = stored(&record);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                if let Ok(read) = DocumentRecord::parse(&changed) {
                    assert_eq!(
                        DocumentRecord::parse(&stored(&read.to_json())).unwrap().to_json(),
                        read.to_json()
                    );
                }
                if let Ok(read) = SegmentRecord::parse(&changed) {
                    assert_eq!(SegmentRecord::parse(&stored(&read.to_json())), Ok(read));
                }
                if let Ok(read) = AwarenessRecord::parse(&changed) {
                    assert_eq!(
                        AwarenessRecord::parse(&stored(&read.to_json())).unwrap().to_json(),
                        read.to_json()
                    );
                }
            }
        }
    }
}

#[test]
fn segment_keys_follow_the_grammar() {
    let keys = ["3jzfcijpj2z2a:k3x9:00000012", "3jzfcijpj2z2a:a:99999999", "2222222222222:0:00000000"];
    for key in keys {
        assert_eq!(key.parse::<SegmentKey>().unwrap().to_string(), key);
    }
    for wrong in [
        "",
        "::",
        "3jzfcijpj2z2a:k3x9",
        "3jzfcijpj2z2a:k3x9:12",
        "3jzfcijpj2z2a:k3x9:000000012",
        "3jzfcijpj2z2a:k3x9:+0000012",
        "3jzfcijpj2z2a:K3X9:00000012",
        "3jzfcijpj2z2a::00000012",
        "3jzfcijpj2z2a:k3x9:00000012:",
        "self:k3x9:00000012",
        "3jzfcijpj2z2a:k3x9:00000١2",
    ] {
        assert_eq!(wrong.parse::<SegmentKey>(), Err(RecordError::SegmentKey), "{wrong:?}");
    }
    // Keys sort as the log runs.
    let key =
        |seq| SegmentKey { document: uri().rkey().clone(), replica: "r".parse().unwrap(), seq }.to_string();
    let sorted: BTreeMap<String, u32> =
        [0, 9, 10, 99_999, 100_000, MAX_SEQ].map(|seq| (key(seq), seq)).into();
    assert!(sorted.values().is_sorted());
}

#[test]
fn words_of_strangers_are_fit_to_be_shown() {
    let cases = [
        ("Field notes", "Field notes"),
        ("  a \t b\n", "a   b"),
        ("one\r\ntwo", "one  two"),
        ("\u{202e}evil\u{202c}\u{2066}x\u{2069}", "evilx"),
        ("nul\0 bell\u{7} del\u{7f} c1\u{9b}", "nul bell del c1"),
        ("zero\u{200b}width\u{feff}", "zerowidth"),
        ("tag\u{e0041}\u{e0001}", "tag"),
        ("שלום 👩‍👩‍👧‍👦 e\u{301}", "שלום 👩‍👩‍👧‍👦 e\u{301}"),
        ("نص\u{200f}\u{200c}", "نص\u{200f}\u{200c}"),
        ("\u{2029}", ""),
    ];
    for (given, shown) in cases {
        assert_eq!(clean_title(given), shown, "{given:?}");
    }
    assert_eq!(clean_name("\u{200d}\u{fe0f}\u{3164} \u{ad}"), "", "nothing that can be seen");
    let zalgo = format!("a{}", "\u{300}".repeat(100));
    assert_eq!(clean_title(&zalgo).chars().count(), 9);
}

#[test]
fn a_chosen_name_cannot_be_taken_for_an_account() {
    let named = |name: &str| with(awareness(), "/name", json!(name));
    for name in [
        "alice.test",
        "Alice (alice.test)",
        "@alice",
        "alice\u{ff0e}test",
        "alice\u{2024}bsky.social,",
        "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
        "DID\u{ff1a}web\u{ff1a}x",
        "al\u{200b}ice.te\u{202e}st",
    ] {
        assert_eq!(AwarenessRecord::parse(&named(name)).unwrap().name, None, "{name:?}");
    }
    for name in ["Ada", "J. R. R. Tolkien", "Dr. Who", "Ada Lovelace, M.D.", "…", "3 p.m."] {
        assert_eq!(AwarenessRecord::parse(&named(name)).unwrap().name.as_deref(), Some(name));
    }
}

#[test]
fn long_words_are_cut_between_characters() {
    assert_eq!(clean_title(&"a".repeat(400)).len(), 300);
    let family = "👩‍👩‍👧‍👦";
    assert_eq!(clean_title(&family.repeat(400)), family.repeat(MAX_TITLE_BYTES / family.len()));
    let accents = "e\u{301}".repeat(400);
    assert_eq!(clean_title(&accents), "e\u{301}".repeat(300));
    assert_eq!(clean_name(&"字".repeat(100)), "字".repeat(64));
}

#[test]
fn cleaning_twice_changes_nothing() {
    let pieces = [
        "a",
        " ",
        "\n",
        "\u{301}",
        "\u{200d}",
        "👩",
        "🏽",
        "\u{fe0f}",
        "\u{202e}",
        "ש",
        "字",
        "\u{200b}",
        "\u{e0062}",
    ];
    let mut random = 1u64;
    for _ in 0..4_000 {
        let mut text = String::new();
        for _ in 0..random % 700 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(random >> 33) as usize % pieces.len()]);
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (title, name) = (clean_title(&text), clean_name(&text));
        assert_eq!(clean_title(&title), title, "{text:?}");
        assert_eq!(clean_name(&name), name, "{text:?}");
        assert!(title.len() <= MAX_TITLE_BYTES && name.len() <= MAX_NAME_BYTES);
    }
}
