//! Names as text: DIDs, handles, at-URIs and their parts, CIDs, keys, times, addresses; and words that are shown.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use sheaf_client::net::{
    identity::web_origin,
    origin::{Reach, endpoint, origin, socket},
};
use sheaf_core::{
    client_id::ReplicaId,
    document_uri::DocumentUri,
    record::{Color, SegmentKey, clean_name, clean_title},
    time::Timestamp,
};
use sheaf_repo::{
    at_uri::AtUri, cid, did::Did, handle::Handle, key::VerifyingKey, nsid::Nsid, record_key::RecordKey,
    tid::Tid,
};

pub(crate) fn read(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let exact = [
        reads_as_written::<Did>(text),
        reads_as_written::<Nsid>(text),
        reads_as_written::<RecordKey>(text),
        reads_as_written::<Tid>(text),
        reads_as_written::<AtUri>(text),
        reads_as_written::<DocumentUri>(text),
        reads_as_written::<SegmentKey>(text),
        reads_as_written::<ReplicaId>(text),
    ];
    // These have one way to be written, and are read from others too.
    let loose = [survives::<Handle>(text).is_some(), survives::<Color>(text).is_some()];
    let others = [read_cid(text), read_key(text), read_time(text), read_address(text)];
    parts_agree(text);
    shown_once_is_shown_twice(text);
    exact.iter().chain(&loose).chain(&others).any(|read| *read)
}

/// What is read, printed, is read as the same.
fn survives<T: FromStr + Display + Debug + PartialEq>(text: &str) -> Option<String> {
    let value: T = text.parse().ok()?;
    let printed = value.to_string();
    assert!(printed.parse().is_ok_and(|again: T| again == value), "{value:?} is printed as {printed:?}");
    Some(printed)
}

fn reads_as_written<T: FromStr + Display + Debug + PartialEq>(text: &str) -> bool {
    let printed = survives::<T>(text);
    assert!(printed.as_deref().is_none_or(|printed| printed == text), "{text:?} is printed as {printed:?}");
    printed.is_some()
}

fn read_cid(text: &str) -> bool {
    let Ok(cid) = cid::parse(text) else { return false };
    assert!(cid::is_allowed(&cid) && cid.to_string() == text);
    true
}

fn read_key(text: &str) -> bool {
    let keys = [
        VerifyingKey::from_did_key(text),
        VerifyingKey::from_multikey(text),
        VerifyingKey::from_verification_method("EcdsaSecp256k1VerificationKey2019", text),
        VerifyingKey::from_verification_method("EcdsaSecp256r1VerificationKey2019", text),
    ];
    let mut read = false;
    for key in keys.into_iter().flatten() {
        assert!(VerifyingKey::from_did_key(&key.to_did_key()).as_ref() == Ok(&key));
        read = true;
    }
    read
}

fn read_time(text: &str) -> bool {
    let Ok(time) = Timestamp::parse_rfc3339(text) else { return false };
    // It is written to the millisecond.
    let written = Timestamp::from_millis(time.as_millis());
    assert_eq!(Timestamp::parse_rfc3339(&time.to_rfc3339()), Ok(written), "{}", time.to_rfc3339());
    true
}

fn read_address(text: &str) -> bool {
    let mut read = false;
    for reach in [Reach::World, Reach::Local] {
        if let Ok(address) = origin(text, reach) {
            assert_eq!(origin(&address, reach).as_ref(), Ok(&address));
            read = true;
        }
        if let Ok(address) = socket(text, reach) {
            assert_eq!(socket(&address, reach).as_ref(), Ok(&address));
            read = true;
        }
        if let Ok(address) = endpoint(text, reach) {
            assert_eq!(address, text);
            read = true;
        }
        if let Some(address) = text.strip_prefix("did:web:").and_then(|host| web_origin(host, reach)) {
            assert_eq!(origin(&address, reach).as_ref(), Ok(&address));
            assert!(reach == Reach::Local || address.starts_with("https://"), "{address}");
            read = true;
        }
    }
    let both = |read: fn(&str, Reach) -> bool| !read(text, Reach::World) || read(text, Reach::Local);
    assert!(both(|text, reach| origin(text, reach).is_ok()), "what the world may do, a local network may");
    read
}

/// A document's address is a record's address, and that of a record is made of its parts.
fn parts_agree(text: &str) {
    let record: Result<AtUri, _> = text.parse();
    if let Ok(document) = text.parse::<DocumentUri>() {
        let record = record.as_ref().expect("a document is a record");
        assert_eq!((document.owner(), document.rkey()), (&record.did, &record.rkey));
        assert!(document.document_range().contains(&document.document_path()));
    }
    if let Ok(record) = &record {
        assert!(sheaf_repo::mst::is_path(&format!("{}/{}", record.collection, record.rkey)));
    }
    if let Ok(tid) = text.parse::<Tid>() {
        assert!(Tid::from_micros(tid.micros(), 0) <= tid && tid <= Tid::from_micros(tid.micros(), 1023));
    }
}

fn shown_once_is_shown_twice(text: &str) {
    for clean in [clean_title, clean_name] {
        let once = clean(text);
        assert_eq!(clean(&once), once, "{text:?}");
        assert!(!once.chars().any(char::is_control));
    }
}

/// The lists of the interop test files, good and bad, and some of each kind that is ours.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let lists = [
        include_str!("../../repo/tests/fixtures/interop/syntax/aturi_syntax_valid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/aturi_syntax_invalid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/did_syntax_valid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/did_syntax_invalid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/handle_syntax_valid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/handle_syntax_invalid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/nsid_syntax_valid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/recordkey_syntax_valid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/tid_syntax_valid.txt"),
        include_str!("../../repo/tests/fixtures/interop/syntax/cid_syntax_valid.txt"),
    ];
    let ours = [
        "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a",
        "3jzfcijpj2z2a:k3x9:00000012",
        "#33669a",
        "2026-02-28T23:59:59.999999Z",
        "2024-02-29T00:00:00+13:45",
        "9999-12-31T23:59:59.999Z",
        "did:key:zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc",
        "zDnaeTiq1PdzvZXUaMdezchcMJQpBdH2VN4pgrrEhMCCbmwSb",
        "did:web:localhost%3A2583",
        "did:web:alice.example",
        "https://pds.example:8443/",
        "http://[::1]:2583",
        "wss://jet.example/subscribe",
        "Field\u{202e}\nnotes e\u{301}\u{301}\u{301} 👩‍👩‍👧‍👦 🇨🇭 ",
    ];
    let lines =
        lists.iter().flat_map(|list| list.lines()).filter(|line| !line.is_empty() && !line.starts_with('#'));
    ours.into_iter().chain(lines).map(|line| line.as_bytes().to_vec()).collect()
}
