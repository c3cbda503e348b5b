//! Keys, records and values for the tests.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sheaf_repo::{
    blocks::Blocks,
    cid::{self, Cid},
    did::Did,
    key::SigningKey,
    mst::{self, layer_of},
    repo::Repo,
    tid::Tid,
};

/// A record that says `n`, and its CID.
pub(crate) fn record(n: u64) -> (Vec<u8>, Cid) {
    let bytes = sheaf_repo::json::to_cbor(&serde_json::json!({ "$type": "app.example.note", "n": n }))
        .expect("a valid record");
    let cid = cid::of_record(&bytes);
    (bytes, cid)
}

/// Paths of which many share prefixes and some are prefixes of each other.
pub(crate) fn path() -> impl Strategy<Value = String> {
    ("(app\\.example\\.note|app\\.example\\.notes|dev\\.x\\.y)", "[a-c:~.-]{1,2}[0-9]{0,2}")
        .prop_map(|(collection, rkey)| format!("{collection}/{rkey}"))
}

/// What a repo may hold.
pub(crate) fn records(most: usize) -> impl Strategy<Value = BTreeMap<String, Cid>> {
    proptest::collection::btree_map(path(), (0u64..50).prop_map(|n| record(n).1), 0..most)
}

/// Text as people write it, and worse.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "$type",
        "é",
        "e\u{301}",
        "👩‍👩‍👧",
        "😀",
        "שלום",
        "مرحبا",
        "\r\n",
        "\n",
        "汉字",
        "\u{1F1E9}",
        "\0",
        "\"",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..6)
        .prop_map(|words| words.concat())
}

/// The tree of these records and its blocks.
pub(crate) fn tree(records: &BTreeMap<String, Cid>) -> (Cid, Blocks) {
    let mut blocks = Blocks::default();
    let root = mst::build(records, &mut blocks);
    (root, blocks)
}

/// The first `count` keys `app.example.note/…` at this layer, in order. Deterministic.
pub(crate) fn keys_at(layer: u32, count: usize) -> Vec<String> {
    let all = (0..).map(|n| format!("app.example.note/{n:06}"));
    all.filter(|key| layer_of(key) == layer).take(count).collect()
}

/// Some account.
pub(crate) fn did() -> Did {
    "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().expect("a valid DID")
}

/// One key of each kind.
pub(crate) fn signing_keys() -> [SigningKey; 2] {
    [SigningKey::k256(&[7; 32]).expect("a valid secret"), SigningKey::p256(&[7; 32]).expect("a valid secret")]
}

/// A repo with `count` records at `app.example.note/{n:06}`, each of which says its `n`.
pub(crate) fn repo(key: &SigningKey, count: u64) -> Repo {
    let mut repo = Repo::new(did(), key.clone(), Tid::from_micros(1, 0));
    let writes = (0..count)
        .map(|n| sheaf_repo::repo::RecordWrite::Put(format!("app.example.note/{n:06}"), record(n).0));
    repo.apply(writes.collect::<Vec<_>>(), Tid::from_micros(2, 0));
    repo
}
