//! My documents: what this device has opened, what the account has made, and what others share with it.
//!
//! The list is for finding one's way; it proves nothing. A document's text and title, once it is open, come from its
//! editors' signed repos.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use sheaf_core::{
    document_uri::DocumentUri,
    record::{self, AWARENESS, DOCUMENT, MAX_EDITORS},
    replica::{FetchFailure, Presence, Replica, StoreOp},
    time::Timestamp,
};
use sheaf_repo::did::Did;

use crate::{
    driver::{Open, World},
    net::pds,
    platform, slots,
    store::{Store, StoreError},
};

/// One document of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryEntry {
    /// Which.
    pub uri: DocumentUri,
    /// Its title when last seen.
    pub title: String,
    /// When it last changed, as far as this device knows.
    pub updated_at: Timestamp,
    /// When it was last opened on this device, if ever.
    pub opened_at: Option<Timestamp>,
    /// The other people who may write: handles where they are known, else DIDs.
    pub with: Vec<String>,
    /// Whether it is someone else's.
    pub shared: bool,
    /// Changes made on this device that are not published yet.
    pub waiting: usize,
}

/// Why the list could not be brought up to date. What the device knows is still there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// The device's store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The account's server cannot be read.
    #[error("the list may be incomplete: {0}")]
    Fetch(#[from] FetchFailure),
}

/// How long looking up other people's handles and titles may hold up the list.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many servers are asked at once.
const AT_ONCE: usize = 6;
/// How many people are named for one document.
const MAX_NAMED: usize = 8;

/// What is kept of an entry, as JSON under `library/{account}/{uri}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    title: String,
    updated_at: Timestamp,
    #[serde(default)]
    opened_at: Option<Timestamp>,
    #[serde(default)]
    with: Vec<String>,
    #[serde(default)]
    waiting: usize,
}

pub(crate) fn prefix(account: Option<&Did>) -> String {
    match account {
        Some(account) => format!("library/{account}/"),
        None => "library/-/".to_owned(),
    }
}

/// What the device knows, newest first.
pub(crate) async fn list(store: &dyn Store, account: Option<&Did>) -> Result<Vec<LibraryEntry>, StoreError> {
    let entries = load(store, account).await?;
    Ok(sorted(entries, account))
}

async fn load(store: &dyn Store, account: Option<&Did>) -> Result<BTreeMap<DocumentUri, Kept>, StoreError> {
    let prefix = prefix(account);
    let stored = store.scan(&prefix).await?;
    let read = stored.iter().filter_map(|(key, value)| {
        let uri = key.strip_prefix(&prefix)?.parse().ok()?;
        Some((uri, serde_json::from_slice(value).ok()?))
    });
    Ok(read.collect())
}

fn sorted(entries: BTreeMap<DocumentUri, Kept>, account: Option<&Did>) -> Vec<LibraryEntry> {
    let entry = |(uri, kept): (DocumentUri, Kept)| LibraryEntry {
        shared: Some(uri.owner()) != account,
        uri,
        title: kept.title,
        updated_at: kept.updated_at,
        opened_at: kept.opened_at,
        with: kept.with,
        waiting: kept.waiting,
    };
    let mut list: Vec<LibraryEntry> = entries.into_iter().map(entry).collect();
    list.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.uri.cmp(&b.uri)));
    list
}

fn put(account: Option<&Did>, uri: &DocumentUri, kept: &Kept) -> StoreOp {
    let value = serde_json::to_vec(kept).expect("strings and numbers are always JSON");
    StoreOp::Put { key: format!("{}{uri}", prefix(account)), value }
}

// --- what an open document tells ---

/// Keeps an open document's entry up to date: when it is opened, and whenever something in the list would read
/// differently.
pub(crate) struct Notes {
    account: Option<Did>,
    opened_at: Timestamp,
    /// As the list had it before.
    last: RefCell<Option<Kept>>,
    written: Cell<bool>,
    touched: Cell<bool>,
}

impl Notes {
    /// Notes for a document that is being opened.
    pub(crate) async fn begin(
        store: &dyn Store,
        account: Option<Did>,
        uri: &DocumentUri,
    ) -> Result<Self, StoreError> {
        let key = format!("{}{uri}", prefix(account.as_ref()));
        let last = store.get(&key).await?.and_then(|kept| serde_json::from_slice(&kept).ok());
        let (last, opened_at) = (RefCell::new(last), platform::now());
        Ok(Self { account, opened_at, last, written: Cell::new(false), touched: Cell::new(false) })
    }

    /// The text has changed.
    pub(crate) fn touch(&self) {
        self.touched.set(true);
    }

    /// Writes the entry down if it reads differently, by more than the minute.
    pub(crate) fn take(&self, open: &Open) {
        const MINUTE: Duration = Duration::from_secs(60);
        let now = platform::now();
        let replica = open.replica.borrow();
        if *replica.presence() != Presence::Here {
            return;
        }
        let mut last = self.last.borrow_mut();
        let changed = self.touched.replace(false) || replica.unsaved() > 0;
        let updated_at = last.as_ref().filter(|_| !changed).map_or(now, |last| last.updated_at);
        let kept = Kept {
            title: replica.title(),
            updated_at,
            opened_at: Some(self.opened_at),
            with: with(&replica, self.account.as_ref(), last.as_ref()),
            waiting: replica.unpublished(),
        };
        drop(replica);
        let tells_more = !self.written.get()
            || last.as_ref().is_none_or(|last| {
                last.title != kept.title
                    || last.with != kept.with
                    || (last.waiting == 0) != (kept.waiting == 0)
                    || kept.updated_at.saturating_since(last.updated_at) >= MINUTE
            });
        if tells_more {
            self.written.set(true);
            open.keep(vec![put(self.account.as_ref(), &open.uri, &kept)]);
            *last = Some(kept);
        }
    }
}

/// The other people, by handle. While nobody can be asked for handles, those known from before are as good.
fn with(replica: &Replica, account: Option<&Did>, last: Option<&Kept>) -> Vec<String> {
    let others = replica.editors_by_handle().filter(|(did, _)| Some(*did) != account);
    let others: Vec<_> = others.take(MAX_NAMED).collect();
    match last {
        Some(last)
            if last.with.len() == others.len() && others.iter().any(|(_, handle)| handle.is_none()) =>
        {
            last.with.clone()
        }
        _ => others.into_iter().map(|(did, handle)| handle.unwrap_or_else(|| did.to_string())).collect(),
    }
}

// --- what the network tells ---

/// A document record as a PDS lists it: what the list needs of it.
struct Listed {
    title: String,
    created_at: Timestamp,
    editors: Vec<Did>,
}

impl Listed {
    fn parse(value: &serde_json::Value) -> Option<Self> {
        let title = record::clean_title(value.get("title")?.as_str()?);
        let created_at = Timestamp::parse_rfc3339(value.get("createdAt")?.as_str()?).ok()?;
        let editors = value.get("editors").and_then(|editors| editors.as_array());
        let editors =
            editors.into_iter().flatten().take(MAX_EDITORS).filter_map(|did| did.as_str()?.parse().ok());
        Some(Self { title, created_at, editors: editors.collect() })
    }
}

/// Asks the account's own repo for the documents it has made and those it takes part in, and adds them to what the device
/// knows.
pub(crate) async fn refresh(
    world: &World,
    account: &Did,
    origin: &str,
) -> Result<Vec<LibraryEntry>, LibraryError> {
    let own = pds::list_records(&world.http, origin, account, DOCUMENT).await?;
    let taking_part = pds::list_records(&world.http, origin, account, AWARENESS).await?;
    let mut known = load(&*world.store, Some(account)).await?;
    let mut found: Vec<(DocumentUri, Listed)> = Vec::new();
    for listed in own {
        if let (Ok(uri), Some(document)) = (listed.uri.parse::<DocumentUri>(), Listed::parse(&listed.value))
            && uri.owner() == account
        {
            found.push((uri, document));
        }
    }
    let shared = taking_part.iter().filter_map(|listed| listed.value.get("document")?.as_str()?.parse().ok());
    let shared = shared.filter(|uri: &DocumentUri| uri.owner() != account);
    let titles = stream::iter(shared)
        .map(|uri| async move { peek(world, account, uri).await })
        .buffer_unordered(AT_ONCE);
    found.extend(gather(titles).await);
    let people: std::collections::BTreeSet<Did> =
        found.iter().flat_map(|(uri, document)| others(uri, document, account)).collect();
    let names = stream::iter(people).map(|did| async move {
        let handle = world.directory.resolve(&did, false).await.ok()?.handle?;
        Some((did, handle.to_string()))
    });
    let names: BTreeMap<Did, String> = gather(names.buffer_unordered(AT_ONCE)).await.into_iter().collect();
    let mut ops = Vec::new();
    for (uri, document) in found {
        let before = known.get(&uri);
        let with = others(&uri, &document, account);
        let with = with.map(|did| names.get(&did).cloned().unwrap_or_else(|| did.to_string())).collect();
        // A title given on this device and not published yet is newer than what the repo says.
        let title = match before {
            Some(before) if before.title != document.title && has_intents(world, &uri).await? => {
                before.title.clone()
            }
            _ => document.title,
        };
        let kept = Kept {
            title,
            updated_at: before.map_or(document.created_at, |kept| kept.updated_at),
            opened_at: before.and_then(|kept| kept.opened_at),
            with,
            waiting: before.map_or(0, |kept| kept.waiting),
        };
        if before != Some(&kept) {
            ops.push(put(Some(account), &uri, &kept));
            known.insert(uri, kept);
        }
    }
    world.store.write(ops).await?;
    Ok(sorted(known, Some(account)))
}

/// Whether the owner has changed title or editors on this device and not published that.
async fn has_intents(world: &World, uri: &DocumentUri) -> Result<bool, StoreError> {
    Ok(slots::left_behind(&*world.store, uri).await?.has_intents())
}

fn others(uri: &DocumentUri, document: &Listed, account: &Did) -> impl Iterator<Item = Did> + use<> {
    let everybody = std::iter::once(uri.owner().clone()).chain(document.editors.iter().cloned());
    let account = account.clone();
    everybody.filter(move |did| *did != account).take(MAX_NAMED).collect::<Vec<_>>().into_iter()
}

/// Somebody else's document, if it is there and still lets this account write.
async fn peek(world: &World, account: &Did, uri: DocumentUri) -> Option<(DocumentUri, Listed)> {
    let owner = world.directory.resolve(uri.owner(), false).await.ok()?;
    let record = pds::peek(&world.http, &owner.pds, &uri).await.ok()??;
    let document = Listed::parse(&record)?;
    document.editors.contains(account).then_some((uri, document))
}

/// What a stream yields within [`PATIENCE`]; a slow server only costs its own entries.
async fn gather<T>(results: impl stream::Stream<Item = Option<T>>) -> Vec<T> {
    let gathered = RefCell::new(Vec::new());
    let all = results.for_each(|result| {
        gathered.borrow_mut().extend(result);
        std::future::ready(())
    });
    if platform::within(PATIENCE, all).await.is_err() {
        tracing::debug!("some servers were too slow for the list");
    }
    gathered.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_document_is_read_or_skipped() {
        let listed = Listed::parse(&serde_json::json!({
            "title": "Notes", "createdAt": "2026-01-02T03:04:05Z",
            "editors": ["did:plc:ewvi7nxzyoun6zhxrhs64oiz", "nobody", 7],
        }))
        .unwrap();
        assert_eq!(listed.title, "Notes");
        assert_eq!(listed.editors.len(), 1);
        for broken in [
            serde_json::json!({}),
            serde_json::json!({ "title": 1, "createdAt": "x" }),
            serde_json::json!("x"),
        ] {
            assert!(Listed::parse(&broken).is_none());
        }
    }
}
