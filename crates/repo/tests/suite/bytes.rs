//! Blocks, CARs and commits from strangers.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use sheaf_repo::{
    Ipld,
    blocks::{Blocks, WrongBlock},
    car::{self, CarError, CarLimits},
    cbor,
    cid::{self, Cid},
    commit::{Commit, CommitError},
    did::Did,
    tid::Tid,
};

use crate::samples;

const LIMITS: CarLimits = CarLimits { max_bytes: 100_000, max_blocks: 20, max_block_bytes: 5_000 };

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = vec![];
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn section(body: &[u8]) -> Vec<u8> {
    [varint(body.len() as u64), body.to_vec()].concat()
}

fn header(fields: &[(&str, Ipld)]) -> Vec<u8> {
    section(&cbor::encode(&Ipld::Map(
        fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
    )))
}

fn plain_header() -> Vec<u8> {
    header(&[("roots", Ipld::List(vec![])), ("version", Ipld::Integer(1))])
}

fn refused(bytes: &[u8]) -> CarError {
    car::parse(bytes, &LIMITS).expect_err("no CAR to be trusted")
}

#[test]
fn blocks_hold_only_what_hashes() {
    let (bytes, cid) = samples::record(1);
    let (other, other_cid) = samples::record(2);
    let mut blocks = Blocks::default();
    assert_eq!(blocks.insert(cid, other.clone()), Err(WrongBlock { cid }));
    assert!(blocks.is_empty());
    blocks.insert(cid, bytes.clone()).expect("it hashes");
    blocks.insert(cid, bytes.clone()).expect("it hashes");
    assert_eq!((blocks.len(), blocks.total_bytes()), (1, bytes.len()));
    let mut more = Blocks::default();
    assert_eq!(more.add(other.clone()), other_cid);
    more.copy_from(&blocks, &cid);
    more.copy_from(&blocks, &cid);
    more.copy_from(&blocks, &samples::record(3).1);
    assert_eq!((more.len(), more.total_bytes()), (2, bytes.len() + other.len()));
    blocks.extend(more);
    assert_eq!((blocks.len(), blocks.total_bytes()), (2, bytes.len() + other.len()));
    blocks.remove(&cid);
    blocks.remove(&cid);
    assert_eq!((blocks.get(&cid), blocks.total_bytes()), (None, other.len()));
    // A blob's CID hashes the same way; other kinds are not for here.
    let raw = Cid::new_v1(cid::RAW, *cid.hash());
    assert_eq!(blocks.insert(raw, bytes.clone()), Ok(()));
    let dag_pb = Cid::new_v1(0x70, *cid.hash());
    assert_eq!(blocks.insert(dag_pb, bytes), Err(WrongBlock { cid: dag_pb }));
}

#[test]
fn cars_survive_both_ways() {
    let mut blocks = Blocks::default();
    let root = blocks.add(samples::record(1).0);
    blocks.add(samples::record(2).0);
    for root in [None, Some(&root)] {
        let car = car::parse(&car::write(root, blocks.iter()), &LIMITS).expect("a CAR");
        assert_eq!(car.roots.first(), root);
        assert_eq!(car.blocks, blocks);
    }
    let car = car::parse(&plain_header(), &LIMITS).expect("a CAR without blocks");
    assert!(car.roots.is_empty() && car.blocks.is_empty());
}

#[test]
fn cars_that_are_none() {
    let (bytes, cid) = samples::record(1);
    let block = section(&[cid.to_bytes(), bytes.clone()].concat());
    let with = |section: &[u8]| [plain_header(), section.to_vec()].concat();
    assert!(car::parse(&with(&block), &LIMITS).is_ok());

    assert_eq!(refused(&[]), CarError::Truncated);
    assert_eq!(refused(b"<!doctype html><title>Bad gateway</title>"), CarError::Truncated);
    assert_eq!(refused(br#"{"error":"RepoNotFound"}"#), CarError::Truncated);
    for cut in 0..plain_header().len() {
        assert!(car::parse(&plain_header()[..cut], &LIMITS).is_err());
    }
    for cut in 1..block.len() {
        assert!(car::parse(&with(&block[..cut]), &LIMITS).is_err(), "{cut}");
    }
    let roots = |count: usize| Ipld::List(vec![Ipld::Link(cid); count]);
    assert!(
        car::parse(&header(&[("roots", roots(car::MAX_ROOTS)), ("version", Ipld::Integer(1))]), &LIMITS)
            .is_ok()
    );
    for bad in [
        header(&[("roots", roots(1)), ("version", Ipld::Integer(2))]),
        header(&[("roots", roots(1))]),
        header(&[("version", Ipld::Integer(1))]),
        header(&[("roots", Ipld::Null), ("version", Ipld::Integer(1))]),
        header(&[("roots", Ipld::List(vec![Ipld::Null])), ("version", Ipld::Integer(1))]),
        header(&[("roots", roots(1)), ("version", Ipld::Integer(1)), ("x", Ipld::Null)]),
        header(&[("roots", roots(car::MAX_ROOTS + 1)), ("version", Ipld::Integer(1))]),
        section(&[]),
        section(&[0x01]),
        section(&[0xff; 40]),
    ] {
        assert_eq!(refused(&bad), CarError::BadHeader);
    }
    // Lengths that are not written the one way.
    for bad in [&[0x80, 0x00][..], &[0xa5, 0x80, 0x00], &[0xff; 9], &[0xff; 30]] {
        assert_eq!(refused(&with(bad)), CarError::BadVarint);
        assert_eq!(refused(bad), CarError::BadVarint);
    }
    assert_eq!(refused(&with(&[0xff])), CarError::Truncated);
    // CIDs of other kinds, or not there.
    let v0 = [&[0x12, 0x20][..], cid.hash().digest(), &bytes].concat();
    let dag_pb = [&[0x01, 0x70][..], &cid.to_bytes()[2..], &bytes].concat();
    // Each of a CID's four numbers, version, codec, hash and length, written longer than it need be.
    let long_forms = (0..4).map(|n| {
        let cid = cid.to_bytes();
        [&cid[..n], &[cid[n] | 0x80, 0x00], &cid[n + 1..], &bytes].concat()
    });
    let identity = [&[0x01, 0x71, 0x00, bytes.len() as u8][..], &bytes].concat();
    let others = [vec![], vec![0x01], v0, dag_pb, identity, cid.to_bytes()[..35].to_vec()];
    for bad in others.into_iter().chain(long_forms) {
        assert_eq!(refused(&with(&section(&bad))), CarError::BadCid);
    }
    assert_eq!(refused(&with(&section(&cid.to_bytes()))), CarError::WrongBlock(WrongBlock { cid }));
}

#[test]
fn cars_are_bounded() {
    let block = |len: usize| {
        let bytes = vec![0; len];
        section(&[cid::of_record(&bytes).to_bytes(), bytes].concat())
    };
    let with = |blocks: Vec<Vec<u8>>| [plain_header(), blocks.concat()].concat();
    assert!(car::parse(&with(vec![block(5_000)]), &LIMITS).is_ok());
    assert_eq!(refused(&with(vec![block(5_001)])), CarError::TooLarge);
    assert!(car::parse(&with(vec![block(1); 20]), &LIMITS).is_ok());
    assert_eq!(refused(&with(vec![block(1); 21])), CarError::TooLarge);
    let mut large = with((0..19).map(|n| block(4_980 + n)).collect());
    large.extend(block(100_000 - large.len() - 38));
    assert_eq!(large.len(), 100_000);
    assert!(car::parse(&large, &LIMITS).is_ok());
    large.push(0);
    assert_eq!(refused(&large), CarError::TooLarge);
    // A length that nothing follows costs nothing.
    let huge = [&plain_header()[..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
    assert_eq!(refused(&huge), CarError::TooLarge);
}

/// The fields of a commit, to be changed.
fn fields(commit: &Commit) -> Vec<(String, Ipld)> {
    let Ok(Ipld::Map(map)) = cbor::decode(&commit.encode()) else { panic!("a commit is a map") };
    map.into_iter().collect()
}

#[test]
fn commits_survive_both_ways() {
    for key in samples::signing_keys() {
        let commit = Commit::sign(samples::did(), samples::record(1).1, Tid::from_micros(5, 1), &key);
        let read = Commit::parse(&commit.encode()).expect("a commit");
        assert_eq!(read, commit);
        assert_eq!(
            (read.did(), read.data(), read.rev()),
            (&samples::did(), &samples::record(1).1, &Tid::from_micros(5, 1))
        );
        assert_eq!(read.verify(&key.verifying_key()), Ok(()));
        for other in samples::signing_keys() {
            let same = other.verifying_key() == key.verifying_key();
            assert_eq!(read.verify(&other.verifying_key()).is_ok(), same);
        }
    }
}

#[test]
fn commits_with_a_changed_field_are_refused_or_do_not_verify() {
    let [key, _] = samples::signing_keys();
    let commit = Commit::sign(samples::did(), samples::record(1).1, Tid::from_micros(5, 1), &key);
    let with = |name: &str, value: Option<Ipld>| {
        let mut map: std::collections::BTreeMap<String, Ipld> = fields(&commit).into_iter().collect();
        match value {
            Some(value) => map.insert(name.to_owned(), value),
            None => map.remove(name),
        };
        cbor::encode(&Ipld::Map(map))
    };
    let raw = Cid::new_v1(cid::RAW, *samples::record(1).1.hash());
    for (name, value) in [
        ("version", None),
        ("version", Some(Ipld::Integer(2))),
        ("version", Some(Ipld::String("3".into()))),
        ("did", None),
        ("did", Some(Ipld::String("alice.test".into()))),
        ("data", None),
        ("data", Some(Ipld::Null)),
        ("data", Some(Ipld::Link(raw))),
        ("rev", None),
        ("rev", Some(Ipld::String("2222".into()))),
        ("sig", None),
        ("sig", Some(Ipld::Bytes(vec![0; 63]))),
        ("sig", Some(Ipld::String("a".repeat(64)))),
        ("prev", Some(Ipld::Integer(0))),
    ] {
        assert_eq!(
            Commit::parse(&with(name, value.clone())),
            Err(CommitError::Field(name)),
            "{name}: {value:?}"
        );
    }
    assert_eq!(Commit::parse(&with("x", Some(Ipld::Null))), Err(CommitError::UnknownField));
    assert_eq!(Commit::parse(&samples::record(1).0), Err(CommitError::Field("version")));
    assert!(matches!(Commit::parse(b"\x9f\xff"), Err(CommitError::Cbor(_))));

    // What parses but was not signed so.
    let other: Did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("a DID");
    for (name, value) in [
        ("did", Some(Ipld::String(other.to_string()))),
        ("data", Some(Ipld::Link(samples::record(2).1))),
        ("rev", Some(Ipld::String(Tid::from_micros(6, 1).to_string()))),
        ("prev", None),
        ("prev", Some(Ipld::Link(samples::record(2).1))),
        ("sig", Some(Ipld::Bytes(vec![1; 64]))),
    ] {
        let forged = Commit::parse(&with(name, value)).expect("it has the shape of a commit");
        assert_eq!(forged.verify(&key.verifying_key()), Err(CommitError::BadSignature), "{name}");
    }
}

/// Some repos' commits have no `prev` at all, and older ones name the commit before: the signature covers either.
#[test]
fn commits_with_any_kind_of_prev_verify_as_they_were_signed() {
    let [key, _] = samples::signing_keys();
    let commit = Commit::sign(samples::did(), samples::record(1).1, Tid::from_micros(5, 1), &key);
    for prev in [None, Some(Ipld::Null), Some(Ipld::Link(samples::record(2).1))] {
        let mut map: std::collections::BTreeMap<String, Ipld> = fields(&commit).into_iter().collect();
        map.remove("sig");
        map.remove("prev");
        if let Some(prev) = prev {
            map.insert("prev".to_owned(), prev);
        }
        let signature = key.sign(&cbor::encode(&Ipld::Map(map.clone())));
        map.insert("sig".to_owned(), Ipld::Bytes(signature.to_vec()));
        let bytes = cbor::encode(&Ipld::Map(map));
        let read = Commit::parse(&bytes).expect("a commit");
        assert_eq!(read.verify(&key.verifying_key()), Ok(()));
        assert_eq!(read.encode(), bytes);
    }
}
