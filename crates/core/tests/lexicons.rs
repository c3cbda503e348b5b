//! The lexicons say what the code does: the same names, fields and limits; and what we write is valid by them.

use serde_json::{Value, json};
use sheaf_core::{
    live::EndpointId,
    record::{
        self, AwarenessRecord, Caret, Carried, Color, Content, DocumentRecord, FormerEditor, FormerReplica,
        LiveEndpoint, SegmentRecord, SnapshotRecord,
    },
    segment::{Entry, MAX_CARRIED_BYTES, MAX_ENTRIES_BYTES, carried::encode_carried, encode_entries},
    sticky::Sticky,
    time::Timestamp,
};
use sheaf_repo::key::SigningKey;

fn lexicon(collection: &str) -> Value {
    let path = format!("{}/../../lexicons/{}.json", env!("CARGO_MANIFEST_DIR"), collection.replace('.', "/"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Where in a record's definition a field is.
fn field<'a>(lexicon: &'a Value, def: &str, name: &str) -> &'a Value {
    let def = &lexicon["defs"][def];
    let object = if def["type"] == "record" { &def["record"] } else { def };
    let field = &object["properties"][name];
    assert!(field.is_object(), "no field {name} in {object}");
    field
}

/// Checks a value against a definition: the part of Lexicon that ours use, and nothing else is let pass.
fn check(lexicon: &Value, def: &Value, value: &Value, at: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{at}: {why}: {value}"));
    let within = |len: usize| {
        let min = def["minLength"].as_u64().unwrap_or(0);
        let max = def["maxLength"].as_u64().unwrap_or(u64::MAX);
        (min..=max).contains(&(len as u64))
    };
    match def["type"].as_str().expect("every definition has a type") {
        "record" => check(lexicon, &def["record"], value, at),
        "ref" => {
            let name = def["ref"]
                .as_str()
                .and_then(|name| name.strip_prefix('#'))
                .expect("a reference to this file");
            assert!(lexicon["defs"][name].is_object(), "{name} is not defined");
            check(lexicon, &lexicon["defs"][name], value, at)
        }
        "object" => {
            let Some(map) = value.as_object() else { return wrong("not an object") };
            for required in def["required"].as_array().into_iter().flatten() {
                let name = required.as_str().expect("a name");
                assert!(def["properties"][name].is_object(), "{name} is required and not defined");
                if !map.contains_key(name) {
                    return wrong(&format!("no {name}"));
                }
            }
            for (name, value) in map.iter().filter(|(name, _)| *name != "$type") {
                match &def["properties"][name] {
                    Value::Null => return wrong(&format!("{name} is not in the lexicon")),
                    def => check(lexicon, def, value, &format!("{at}/{name}"))?,
                }
            }
            Ok(())
        }
        "array" => {
            let Some(items) = value.as_array().filter(|items| within(items.len())) else {
                return wrong("not such a list");
            };
            items.iter().try_for_each(|item| check(lexicon, &def["items"], item, at))
        }
        "string" => {
            let Some(text) = value.as_str().filter(|text| within(text.len())) else {
                return wrong("not such a text");
            };
            let valid = match def["format"].as_str() {
                None => true,
                Some("did") => text.parse::<sheaf_repo::did::Did>().is_ok(),
                Some("tid") => text.parse::<sheaf_repo::tid::Tid>().is_ok(),
                Some("datetime") => Timestamp::parse_rfc3339(text).is_ok(),
                Some("at-uri") => text.parse::<sheaf_repo::at_uri::AtUri>().is_ok(),
                Some(other) => panic!("a format this test does not know: {other}"),
            };
            if valid { Ok(()) } else { wrong("not in its format") }
        }
        "integer" => {
            let range =
                def["minimum"].as_i64().unwrap_or(i64::MIN)..=def["maximum"].as_i64().unwrap_or(i64::MAX);
            if value.as_i64().is_some_and(|n| range.contains(&n)) {
                Ok(())
            } else {
                wrong("not such a number")
            }
        }
        "boolean" => {
            if value.is_boolean() {
                Ok(())
            } else {
                wrong("neither true nor false")
            }
        }
        "bytes" => {
            let bytes = value["$bytes"].as_str().filter(|text| within(text.len() * 3 / 4));
            if bytes.is_some() { Ok(()) } else { wrong("not such bytes") }
        }
        "cid-link" => {
            let cid = value["$link"].as_str().is_some_and(|cid| sheaf_repo::cid::parse(cid).is_ok());
            if cid { Ok(()) } else { wrong("not a CID") }
        }
        other => panic!("a type this test does not know: {other}"),
    }
}

fn valid(record: &Value) -> Result<(), String> {
    let lexicon = lexicon(record["$type"].as_str().ok_or("no $type")?);
    check(&lexicon, &lexicon["defs"]["main"], record, "")
}

fn records() -> Vec<Value> {
    let at = Timestamp::from_millis(1_795_401_000_250);
    let document: sheaf_core::document_uri::DocumentUri =
        "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse().expect("an address");
    let replica: sheaf_core::client_id::ReplicaId = "k3x9".parse().expect("a replica id");
    let new = DocumentRecord::new("", at);
    let mut full = DocumentRecord::new(&"字".repeat(5_000), at);
    full.editors = (0..record::MAX_EDITORS).map(|n| format!("did:plc:{n}").parse().expect("a DID")).collect();
    full.former = vec![FormerEditor {
        did: "did:web:dave.example".parse().expect("a DID"),
        replicas: vec![FormerReplica { replica: replica.clone(), clock: u32::MAX, deletes: vec![0, 0] }],
    }];
    let segment = SegmentRecord {
        document: document.clone(),
        replica: replica.clone(),
        seq: record::MAX_SEQ,
        sealed: true,
        through: None,
        entries: encode_entries(&[Entry { at, update: vec![0, 0] }]),
        carried: Some(encode_carried(&[])),
    };
    let awareness = AwarenessRecord {
        document,
        replica,
        name: Some("👩‍👩‍👧‍👦".repeat(100)),
        color: Some(Color::for_did(&"did:plc:a".parse().expect("a DID"))),
        caret: Some(Caret { anchor: Sticky::Start, head: Sticky::End }),
        live: Some(LiveEndpoint {
            endpoint: EndpointId([7; 32]),
            relay: Some("https://relay.example/".into()),
            key: SigningKey::k256(&[7; 32]).expect("a valid scalar").verifying_key(),
            expires_at: at,
        }),
        expires_at: at,
    };
    let bare = AwarenessRecord { name: None, color: None, caret: None, live: None, ..awareness.clone() };
    let folded = SegmentRecord { seq: 4, through: Some(7), ..segment.clone() };
    let carried = Carried {
        did: "did:web:dave.example".parse().expect("a DID"),
        rev: sheaf_repo::tid::Tid::from_micros(1_795_401_000_000_000, 1),
        segments: vec![(segment.key(), sheaf_repo::cid::of_record(&[]))],
    };
    let snapshot = SnapshotRecord {
        document: segment.document.clone(),
        created_at: at,
        repos: vec![carried],
        content: Content::Inline(vec![1, 2, 3]),
    };
    vec![
        new.to_json(),
        full.to_json(),
        segment.to_json(),
        folded.to_json(),
        awareness.to_json(),
        bare.to_json(),
        snapshot.to_json(),
    ]
}

#[test]
fn each_collection_has_its_lexicon() {
    for (collection, key) in record::COLLECTIONS.into_iter().zip(["tid", "any", "tid", "tid"]) {
        let lexicon = lexicon(collection);
        assert_eq!(lexicon["lexicon"], 1);
        assert_eq!(lexicon["id"], collection);
        assert_eq!(lexicon["defs"]["main"]["type"], "record");
        assert_eq!(lexicon["defs"]["main"]["key"], key);
        assert_eq!(lexicon["defs"]["main"]["record"]["type"], "object");
        assert!(lexicon["defs"]["main"]["description"].as_str().is_some_and(|text| text.len() > 100));
        for (name, field) in lexicon["defs"]["main"]["record"]["properties"].as_object().expect("fields") {
            assert!(field["description"].is_string(), "{collection}: {name} is not described");
        }
    }
}

#[test]
fn limits_are_the_same_here_and_there() {
    let document = lexicon(record::DOCUMENT);
    let segment = lexicon(record::SEGMENT);
    let awareness = lexicon(record::AWARENESS);
    let snapshot = lexicon(record::SNAPSHOT);
    let cases = [
        (field(&document, "main", "title"), "maxLength", record::MAX_TITLE_BYTES),
        (field(&document, "main", "title"), "maxGraphemes", record::MAX_TITLE_GRAPHEMES),
        (field(&document, "main", "format"), "maxLength", record::MAX_FORMAT_BYTES),
        (field(&document, "main", "editors"), "maxLength", record::MAX_EDITORS),
        (field(&document, "main", "former"), "maxLength", record::MAX_FORMER),
        (field(&document, "formerEditor", "replicas"), "maxLength", record::MAX_FORMER_REPLICAS),
        (field(&document, "formerReplica", "clock"), "maximum", u32::MAX as usize),
        (field(&document, "formerReplica", "deletes"), "maxLength", record::MAX_DELETES_BYTES),
        (
            field(&document, "formerReplica", "replica"),
            "maxLength",
            sheaf_core::client_id::ReplicaId::MAX_LEN,
        ),
        (field(&segment, "main", "replica"), "maxLength", sheaf_core::client_id::ReplicaId::MAX_LEN),
        (field(&segment, "main", "seq"), "maximum", record::MAX_SEQ as usize),
        (field(&segment, "main", "entries"), "maxLength", MAX_ENTRIES_BYTES),
        (field(&segment, "main", "carried"), "maxLength", MAX_CARRIED_BYTES),
        (field(&awareness, "live", "endpoint"), "maxLength", 32),
        (field(&awareness, "live", "relay"), "maxLength", record::MAX_RELAY_BYTES),
        (field(&segment, "main", "through"), "maximum", record::MAX_SEQ as usize),
        (field(&snapshot, "main", "repos"), "maxLength", record::MAX_SNAPSHOT_REPOS),
        (field(&snapshot, "main", "car"), "maxLength", record::MAX_SNAPSHOT_INLINE),
        (field(&snapshot, "main", "blob"), "maxSize", record::MAX_SNAPSHOT_BLOB),
        (field(&snapshot, "repo", "segments"), "maxLength", record::MAX_SNAPSHOT_SEGMENTS),
        (field(&awareness, "main", "replica"), "maxLength", sheaf_core::client_id::ReplicaId::MAX_LEN),
        (field(&awareness, "main", "name"), "maxLength", record::MAX_NAME_BYTES),
        (field(&awareness, "main", "name"), "maxGraphemes", record::MAX_NAME_GRAPHEMES),
        (field(&awareness, "caret", "anchor"), "maxLength", record::MAX_STICKY_BYTES),
        (field(&awareness, "caret", "head"), "maxLength", record::MAX_STICKY_BYTES),
    ];
    for (field, limit, ours) in cases {
        assert_eq!(field[limit], json!(ours), "{limit} of {field}");
    }
    assert_eq!(field(&document, "main", "format")["knownValues"], json!(["yjs-v1"]));
}

#[test]
fn what_we_write_is_valid() {
    for record in records() {
        assert_eq!(valid(&record), Ok(()));
    }
}

#[test]
fn what_the_lexicon_requires_the_code_requires() {
    let parse = |record: &Value| {
        let stored = sheaf_repo::json::to_cbor(record).expect("a record");
        match record["$type"].as_str() {
            Some(record::DOCUMENT) => DocumentRecord::parse(&stored).err(),
            Some(record::SEGMENT) => SegmentRecord::parse(&stored).err(),
            Some(record::SNAPSHOT) => SnapshotRecord::parse(&stored).err(),
            _ => AwarenessRecord::parse(&stored).err(),
        }
    };
    for record in records() {
        let collection = record["$type"].as_str().expect("a type");
        let lexicon = lexicon(collection);
        let required = lexicon["defs"]["main"]["record"]["required"].as_array().expect("a list");
        // A snapshot has either a `car` or a `blob`, which a lexicon cannot say.
        for name in record
            .as_object()
            .expect("a map")
            .keys()
            .filter(|name| !["$type", "car"].contains(&name.as_str()))
        {
            let mut without = record.clone();
            without.as_object_mut().expect("a map").remove(name);
            let is_required = required.contains(&json!(name));
            assert_eq!(parse(&without).is_some(), is_required, "{collection} without {name}");
            assert_eq!(valid(&without).is_err(), is_required, "{collection} without {name}");
        }
    }
}

#[test]
fn the_check_itself_tells_right_from_wrong() {
    let segment = &records()[2];
    for (name, value) in [
        ("seq", json!(100_000_000)),
        ("seq", json!("1")),
        ("sealed", json!(0)),
        ("replica", json!("")),
        ("document", json!("https://example.com")),
        ("entries", json!("AA")),
        ("other", json!(1)),
    ] {
        let mut wrong = segment.clone();
        wrong[name] = value;
        assert!(valid(&wrong).is_err(), "{wrong}");
    }
}
