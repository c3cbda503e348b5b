//! What a long history costs in records and in write points, on virtual time and without a network.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use sheaf_core::{
    budget::{PUT_POINTS, Priority, WriteBudget},
    client_id::{ClientId, ReplicaId},
    document::Document,
    segment::{Entry, Sealed, SegmentLog, decode_entries, fold, worth_folding},
    time::Timestamp,
};

use crate::{trace, typing::Rhythm};

/// The way of the article: a record every five seconds.
const FLAT: Duration = Duration::from_secs(5);

/// Types the whole trace, flushing as the budget lets it and folding as a replica does.
pub(crate) fn measure() -> Result<Value> {
    let (splices, _) = trace::splices(usize::MAX)?;
    let mut now = Timestamp::from_millis(1_780_000_000_000);
    let mut document = Document::new(ClientId::new(1).expect("a valid client id"));
    let mut publisher = Publisher::new(now);
    let (mut flat, mut next_flat) = (0, now);
    for (splice, since) in splices.iter().zip(Rhythm::new()) {
        let typed = now.saturating_add(since);
        publisher.flush_until(typed)?;
        now = typed;
        for update in document.edit(now, std::slice::from_ref(splice))?.updates {
            let _ = publisher.log.append(now, update.bytes());
        }
        if now >= next_flat {
            flat += 1;
            next_flat = now.saturating_add(FLAT);
        }
    }
    publisher.flush_until(Timestamp::MAX)?;
    let active = usize::from(publisher.log.published().next().is_some());
    Ok(json!([{
        "trace": "automerge-paper",
        "keystrokes": splices.len(),
        "records": publisher.sealed + active,
        "folded": publisher.folded.len() + active,
        "points_per_busiest_hour": busiest(&publisher.writes, Duration::from_secs(3_600)),
        "flat_records": flat,
    }]))
}

/// What an outbox does with one log, and nothing else.
struct Publisher {
    log: SegmentLog,
    budget: WriteBudget,
    next_flush: Timestamp,
    /// When, and for how many points.
    writes: Vec<(Timestamp, u32)>,
    sealed: usize,
    folded: Vec<(Sealed, Vec<Entry>)>,
}

impl Publisher {
    fn new(now: Timestamp) -> Publisher {
        let replica: ReplicaId = "bench".parse().expect("a valid name");
        Publisher {
            log: SegmentLog::new(replica.clone()),
            budget: WriteBudget::new(replica),
            next_flush: now,
            writes: Vec::new(),
            sealed: 0,
            folded: Vec::new(),
        }
    }

    /// Sends what waits as soon as the window lets it, up to this time.
    fn flush_until(&mut self, end: Timestamp) -> Result<()> {
        loop {
            let oldest = self.log.pending_since();
            let Some(at) = oldest.map(|oldest| oldest.max(self.next_flush)).filter(|at| *at < end) else {
                return Ok(());
            };
            let Some(plan) = self.log.plan(self.log.pending()) else { return Ok(()) };
            self.spend(at, PUT_POINTS);
            let _ = self.log.was_published(&plan);
            let allowed = self.budget.allowed_at(PUT_POINTS, Priority::Segment);
            self.next_flush = at.saturating_add(self.budget.interval(PUT_POINTS)).max(allowed.unwrap_or(at));
            if plan.sealed {
                self.sealed += 1;
                let segment = Sealed { seq: plan.seq, last: plan.seq, len: plan.entries.len() };
                self.folded.push((segment, decode_entries(&plan.entries)?));
                if let Some(points) = fold_last(&mut self.folded) {
                    self.spend(at, points);
                }
            }
        }
    }

    fn spend(&mut self, at: Timestamp, points: u32) {
        self.budget.spend(at, points);
        self.writes.push((at, points));
    }
}

/// Folds if it is worth it. The points it costs.
fn fold_last(segments: &mut Vec<(Sealed, Vec<Entry>)>) -> Option<u32> {
    let sizes: Vec<Sealed> = segments.iter().map(|(segment, _)| *segment).collect();
    let at = worth_folding(&sizes)?;
    let len = fold(segments[at..].iter().map(|(_, entries)| entries.as_slice()))?.len();
    let gone = segments.split_off(at);
    let points = PUT_POINTS + gone.len() as u32 - 1;
    let segment = Sealed { seq: gone[0].0.seq, last: gone[gone.len() - 1].0.last, len };
    segments.push((segment, gone.into_iter().flat_map(|(_, entries)| entries).collect()));
    Some(points)
}

/// The most points in any window of this length.
fn busiest(writes: &[(Timestamp, u32)], window: Duration) -> u32 {
    let (mut most, mut held, mut first) = (0, 0, 0);
    for (at, points) in writes {
        held += points;
        while at.saturating_since(writes[first].0) >= window {
            held -= writes[first].1;
            first += 1;
        }
        most = most.max(held);
    }
    most
}
