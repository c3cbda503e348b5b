//! The published lists of what is and is not valid syntax.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::{fmt::Display, str::FromStr};

use sheaf_repo::{at_uri::AtUri, cid, did::Did, handle::Handle, nsid::Nsid, record_key::RecordKey, tid::Tid};

/// The cases of a list: its lines but for empty ones and comments. White space counts.
fn cases(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn check<T: FromStr + Display>(valid: &str, invalid: &str, written: impl Fn(&str) -> String) {
    assert!(cases(valid).count() > 0 && cases(invalid).count() > 0);
    for case in cases(valid) {
        let Ok(value) = case.parse::<T>() else { panic!("{case:?} is valid") };
        assert_eq!(value.to_string(), written(case));
    }
    for case in cases(invalid) {
        assert!(case.parse::<T>().is_err(), "{case:?} is not valid");
    }
}

macro_rules! lists {
    ($name:literal) => {
        (
            include_str!(concat!("../fixtures/interop/syntax/", $name, "_syntax_valid.txt")),
            include_str!(concat!("../fixtures/interop/syntax/", $name, "_syntax_invalid.txt")),
        )
    };
}

#[test]
fn dids() {
    let (valid, invalid) = lists!("did");
    check::<Did>(valid, invalid, str::to_owned);
    let longest = format!("did:web:{}", "a".repeat(2040));
    assert!(longest.parse::<Did>().is_ok());
    assert!(format!("{longest}a").parse::<Did>().is_err());
}

#[test]
fn handles_are_lower_case() {
    let (valid, invalid) = lists!("handle");
    check::<Handle>(valid, invalid, str::to_ascii_lowercase);
}

#[test]
fn nsids() {
    let (valid, invalid) = lists!("nsid");
    check::<Nsid>(valid, invalid, str::to_owned);
}

#[test]
fn record_keys() {
    let (valid, invalid) = lists!("recordkey");
    check::<RecordKey>(valid, invalid, str::to_owned);
}

#[test]
fn tids() {
    let (valid, invalid) = lists!("tid");
    check::<Tid>(valid, invalid, str::to_owned);
}

#[test]
fn tids_hold_their_moment_and_sort_by_it() {
    let moments = [0, 1, 1_000, 1_780_000_000_000_000, (1 << 53) - 1];
    for pair in moments.windows(2) {
        let (before, after) = (Tid::from_micros(pair[0], 1023), Tid::from_micros(pair[1], 0));
        assert!(before < after && before.as_str() < after.as_str());
    }
    for micros in moments {
        let tid = Tid::from_micros(micros, 5);
        assert_eq!(tid.micros(), micros);
        assert_eq!(tid.as_str().parse(), Ok(tid));
    }
    // As the specification's own example has it.
    assert_eq!("3jzfcijpj2z2a".parse::<Tid>().map(|tid| tid.micros()), Ok(1_688_137_381_887_007));
}

#[test]
fn addresses_of_records() {
    let (valid, invalid) = lists!("aturi");
    for case in cases(valid) {
        // The list has addresses of accounts and collections too, and ones that begin with a handle: those name no record
        // for good, and only such are addresses here.
        let names_a_record = case.starts_with("at://did:") && case.split('/').count() == 5;
        match case.parse::<AtUri>() {
            Ok(uri) => {
                assert!(names_a_record, "{case:?}");
                assert_eq!(uri.to_string(), case);
            }
            Err(why) => assert!(!names_a_record, "{case:?}: {why}"),
        }
    }
    for case in cases(invalid) {
        assert!(case.parse::<AtUri>().is_err(), "{case:?} is not valid");
    }
}

#[test]
fn cids_of_other_kinds_are_refused() {
    let (valid, invalid) = lists!("cid");
    // All that are valid elsewhere are of kinds that atproto does not use.
    for case in cases(valid).chain(cases(invalid)) {
        assert!(cid::parse(case).is_err(), "{case:?}");
    }
    for good in [
        "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm",
        "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity",
    ] {
        assert_eq!(cid::parse(good).map(|cid| cid.to_string()), Ok(good.to_owned()));
        assert!(cid::parse(&good.to_uppercase()).is_err());
        assert!(cid::parse(&format!("{good}a")).is_err());
        assert!(cid::parse(&good[..58]).is_err());
    }
}

#[test]
fn names_go_through_serde_as_checked_text() {
    let did: Did = serde_json::from_str("\"did:web:example.com\"").expect("a valid DID");
    assert_eq!(serde_json::to_string(&did).expect("serialises"), "\"did:web:example.com\"");
    assert!(serde_json::from_str::<Did>("\"example.com\"").is_err());
    assert!(serde_json::from_str::<Tid>("\"example.com\"").is_err());
    assert!(serde_json::from_str::<Handle>("\"did:web:example.com\"").is_err());
    assert!(serde_json::from_str::<Nsid>("\"did\"").is_err());
    assert!(serde_json::from_str::<RecordKey>("\"a/b\"").is_err());
}
