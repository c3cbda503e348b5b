//! What every [`Store`] must do, as one suite: run it against a new kind of store before trusting it.

use sheaf_core::replica::StoreOp;

use super::{Store, StoreError};

/// Runs the suite on an empty store and leaves it empty.
///
/// ```
/// use sheaf_client::store::{Memory, conformance};
/// # use futures_util::FutureExt;
/// # async {
/// conformance::check(&Memory::new()).await.unwrap();
/// # }.now_or_never().expect("a store in memory answers at once");
/// ```
///
/// # Errors
/// The store's own error, should a verb fail.
///
/// # Panics
/// When the store does not behave as one.
pub async fn check(store: &dyn Store) -> Result<(), StoreError> {
    assert!(store.scan("").await?.is_empty(), "the suite starts with an empty store");
    values_are_found_by_key_and_prefix(store).await?;
    a_batch_applies_in_order(store).await?;
    keys_are_exact(store).await?;
    values_are_any_bytes(store).await?;
    erasing_takes_a_prefix_alone(store).await?;
    store.erase("").await?;
    assert!(store.scan("").await?.is_empty(), "erasing everything leaves nothing");
    Ok(())
}

fn put(key: &str, value: &[u8]) -> StoreOp {
    StoreOp::Put { key: key.into(), value: value.into() }
}

fn delete(key: &str) -> StoreOp {
    StoreOp::Delete { key: key.into() }
}

async fn keys(store: &dyn Store, prefix: &str) -> Result<Vec<String>, StoreError> {
    Ok(store.scan(prefix).await?.into_iter().map(|(key, _)| key).collect())
}

async fn values_are_found_by_key_and_prefix(store: &dyn Store) -> Result<(), StoreError> {
    store.write(vec![put("p/2", b"two"), put("p/1", b"one"), put("q/1", b"other")]).await?;
    assert_eq!(store.get("p/1").await?.as_deref(), Some(&b"one"[..]));
    assert_eq!(store.get("p/3").await?, None);
    assert_eq!(store.get("p/").await?, None, "a prefix is no key");
    let found = store.scan("p/").await?;
    assert_eq!(
        found,
        [("p/1".into(), b"one".to_vec()), ("p/2".into(), b"two".to_vec())],
        "in the order of keys"
    );
    assert!(keys(store, "nothing").await?.is_empty());
    Ok(())
}

async fn a_batch_applies_in_order(store: &dyn Store) -> Result<(), StoreError> {
    let batch = vec![
        put("o/a", b"1"),
        put("o/a", b"2"),
        put("o/b", b"1"),
        delete("o/b"),
        delete("o/c"),
        put("o/c", b"1"),
    ];
    store.write(batch).await?;
    assert_eq!(store.get("o/a").await?.as_deref(), Some(&b"2"[..]), "the later put wins");
    assert_eq!(store.get("o/b").await?, None, "a delete after a put wins");
    assert_eq!(store.get("o/c").await?.as_deref(), Some(&b"1"[..]), "a put after a delete wins");
    store.write(vec![delete("o/never there")]).await?;
    store.write(vec![]).await
}

async fn keys_are_exact(store: &dyn Store) -> Result<(), StoreError> {
    let odd = ["k/a_", "k/a%", "k/A", "k/a", "k/é", "k/\u{1F3C4}", "k/\u{FFFD}", "k/a/b", "ka"];
    store.write(odd.iter().map(|key| put(key, key.as_bytes())).collect()).await?;
    for key in odd {
        assert_eq!(store.get(key).await?.as_deref(), Some(key.as_bytes()), "{key:?}");
    }
    let mut expected: Vec<_> =
        odd.iter().filter(|key| key.starts_with("k/a")).map(|key| (*key).to_owned()).collect();
    expected.sort();
    assert_eq!(keys(store, "k/a").await?, expected, "no pattern characters, no folding of case");
    let mut expected: Vec<_> =
        odd.iter().filter(|key| key.starts_with("k/")).map(|key| (*key).to_owned()).collect();
    expected.sort();
    assert_eq!(keys(store, "k/").await?, expected, "ordered by code point");
    Ok(())
}

async fn values_are_any_bytes(store: &dyn Store) -> Result<(), StoreError> {
    let all: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    store.write(vec![put("v/all", &all), put("v/none", b""), put("v/large", &large)]).await?;
    assert_eq!(store.get("v/all").await?, Some(all));
    assert_eq!(store.get("v/none").await?, Some(vec![]), "empty is not absent");
    assert!(store.get("v/large").await? == Some(large), "a megabyte comes back as it was");
    Ok(())
}

async fn erasing_takes_a_prefix_alone(store: &dyn Store) -> Result<(), StoreError> {
    store.write(vec![put("e/1", b""), put("e/2", b""), put("e", b""), put("f", b"")]).await?;
    store.erase("e/").await?;
    assert_eq!(keys(store, "e").await?, ["e"]);
    assert_eq!(keys(store, "f").await?, ["f"]);
    Ok(())
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::store::{Memory, Sqlite};

    #[test]
    fn memory_conforms() {
        check(&Memory::new()).now_or_never().expect("memory answers at once").unwrap();
    }

    #[test]
    fn sqlite_conforms() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("sheaf.sqlite")).unwrap();
        check(&store).now_or_never().expect("SQLite answers at once").unwrap();
    }
}
