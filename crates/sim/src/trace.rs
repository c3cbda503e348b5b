//! What happened, line by line, when somebody wants to know.

use sheaf_core::{
    live::{Frame, LiveEffect, LiveEvent},
    replica::{Effect, Event, FetchWhat, StoreOp, WriteAction},
};

/// A record of a run. Writing nothing down costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(recording: bool) -> Trace {
        Trace { lines: recording.then(Vec::new) }
    }

    /// Notes a line for this moment, in microseconds since the beginning.
    pub(crate) fn note(&mut self, at: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>11.6} s  {}", at as f64 / 1e6, line()));
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

/// An event in a few words.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Edit(splices) => {
            let parts = splices.iter().map(|s| format!("at {} -{} {:?}", s.at, s.delete, s.insert));
            format!("types {}", parts.collect::<Vec<_>>().join(", "))
        }
        Event::Stored(batch) => format!("stored {}", batch.0),
        Event::StoreFailed { batch, .. } => format!("not stored {}", batch.0),
        Event::Resolved { did, result: Ok(who) } => {
            format!("resolved {} at {}", short(did.as_str()), who.pds)
        }
        Event::Resolved { did, result: Err(why) } => format!("not resolved {}: {why}", short(did.as_str())),
        Event::Fetched { fetch, result: Ok(car) } => format!("fetched {}: {} bytes", fetch.0, car.len()),
        Event::Fetched { fetch, result: Err(why) } => format!("not fetched {}: {why}", fetch.0),
        Event::Written { write, result: Ok(receipt), .. } => {
            format!("written {} as {}", write.0, receipt.rev.as_ref().map_or("?", |rev| rev.as_str()))
        }
        Event::Written { write, result: Err(why), .. } => format!("not written {}: {why}", write.0),
        Event::Live(event) => live_event(event),
        Event::Doorbell(bell) => {
            let rev = bell.rev.as_ref().map_or("?", |rev| rev.as_str());
            let path = bell.path.as_deref().unwrap_or("?");
            let with = bell.car.as_ref().map_or(String::new(), |car| format!(" with {} bytes", car.len()));
            format!("bell of {} at {rev}: {path}{with}", short(bell.did.as_str()))
        }
        other => format!("{other:?}"),
    }
}

/// An effect in a few words.
pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Persist(batch) => {
            let ops = batch.ops.iter().map(|op| match op {
                StoreOp::Put { key, value } => format!("{}={}b", short(key), value.len()),
                StoreOp::Delete { key } => format!("-{}", short(key)),
            });
            format!("persist {}: {}", batch.id.0, ops.collect::<Vec<_>>().join(" "))
        }
        Effect::Resolve { did, fresh } => format!("resolve {} fresh={fresh}", short(did.as_str())),
        Effect::Fetch(fetch) => match &fetch.what {
            FetchWhat::Proof { collection, rkey } => {
                format!("fetch {} of {}: {collection}/{rkey}", fetch.id.0, short(fetch.did.as_str()))
            }
            FetchWhat::Blob { .. } => {
                format!("fetch {} of {}: a blob", fetch.id.0, short(fetch.did.as_str()))
            }
            FetchWhat::Blocks { cids } => {
                format!("fetch {} of {}: {} blocks", fetch.id.0, short(fetch.did.as_str()), cids.len())
            }
        },
        Effect::Write(write) => match &write.action {
            WriteAction::Put { collection, rkey, swap, .. } => {
                format!("write {}: {collection}/{rkey} swap={}", write.id.0, swap.is_some())
            }
            WriteAction::PutWithBlob { collection, rkey, bytes, .. } => {
                format!("write {}: {collection}/{rkey} with a blob of {} bytes", write.id.0, bytes.len())
            }
            WriteAction::Fold { rkey, delete, .. } => {
                format!("write {}: fold into {rkey}, delete {}", write.id.0, delete.join(" "))
            }
        },
        Effect::Listen { repos, .. } => format!("listen to {} repos", repos.len()),
        Effect::Show(splices) => {
            let parts = splices.iter().map(|s| format!("at {} -{} {:?}", s.at, s.delete, s.insert));
            format!("show {}", parts.collect::<Vec<_>>().join(", "))
        }
        Effect::NotTaken(written) => format!("not taken: {written:?}"),
        Effect::Live(effect) => live_effect(effect),
        Effect::Refresh => "refresh".to_owned(),
    }
}

/// The end of a long name, which is where they differ.
fn short(name: &str) -> &str {
    let from = name.len().saturating_sub(34);
    let from = (from..name.len()).find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    &name[from..]
}

fn live_event(event: &LiveEvent) -> String {
    match event {
        LiveEvent::Frame { link, bytes } => format!("live {}: {}", link.0, frame(bytes)),
        LiveEvent::Linked { link, peer, dialled } => {
            format!("live {} linked with {} dialled={dialled}", link.0, peer.0[0])
        }
        LiveEvent::Unlinked { link } => format!("live {} unlinked", link.0),
        LiveEvent::NotReached { peer } => format!("live: {} not reached", peer.0[0]),
        LiveEvent::Ready { .. } => "live: ready".to_owned(),
        LiveEvent::Down => "live: down".to_owned(),
    }
}

fn live_effect(effect: &LiveEffect) -> String {
    match effect {
        LiveEffect::Dial { peer, .. } => format!("dial {}", peer.0[0]),
        LiveEffect::Send { link, frame: bytes } => format!("live {}: {}", link.0, frame(bytes)),
        LiveEffect::HangUp { link } => format!("hang up {}", link.0),
    }
}

fn frame(bytes: &[u8]) -> String {
    match Frame::parse(bytes) {
        Ok(Frame::Hello { did, proof, .. }) => {
            let who = did.map_or("nobody".to_owned(), |did| short(did.as_str()).to_owned());
            format!("hello by {who}, proof {}", proof.map_or(0, |proof| proof.len()))
        }
        Ok(Frame::Have(have)) => format!("have {have:?}"),
        Ok(Frame::Session(proof)) => format!("session {} bytes", proof.len()),
        Ok(Frame::Update { did, replica, signed }) => {
            format!("update by {} {replica}: {} bytes", short(did.as_str()), signed.update.len())
        }
        Ok(Frame::Caret { did, replica, .. }) => format!("caret of {} {replica}", short(did.as_str())),
        Ok(Frame::Links(links)) => format!("{} links", links.len()),
        Err(why) => why.to_string(),
    }
}
