//! In which order entries show: by time, each after what it builds on, whatever their authors' clocks say.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use crate::{
    client_id::ClientId,
    door::{VettedUpdate, ranges::IdRanges},
    time::Timestamp,
};

/// What one replica wrote, in its order, with its author's times.
pub(super) type Line = Vec<(Timestamp, VettedUpdate)>;

/// An update in its place.
#[derive(Debug)]
pub(super) struct Placed {
    /// Which of the lines it is of.
    pub(super) line: usize,
    pub(super) made_at: Timestamp,
    pub(super) shown_at: Timestamp,
    pub(super) update: VettedUpdate,
}

struct Entry {
    line: usize,
    made_at: Timestamp,
    /// No earlier than what the same replica wrote before: a clock that was set back does not reorder it.
    at: Timestamp,
    update: VettedUpdate,
}

/// How far a client's text is there, and since when: ascending in both.
type Reaches = BTreeMap<ClientId, Vec<(u32, Timestamp)>>;

/// The updates in the order in which they show, and how many cannot because something is missing. Those that say only what
/// others before them said are left out.
pub(super) fn order(lines: Vec<Line>) -> (Vec<Placed>, usize) {
    let all = lines.into_iter().enumerate();
    let mut entries: Vec<Option<Entry>> = all.flat_map(|(line, log)| entries(line, log)).map(Some).collect();
    let mut reaches = Reaches::new();
    let mut deleted = IdRanges::default();
    // What can show, by when: nothing that becomes ready later shows earlier, for it builds on what has just been placed.
    let mut ready: BinaryHeap<Reverse<(Timestamp, usize)>> = BinaryHeap::new();
    // By the clock that each waits for first.
    let mut waiting: BTreeSet<(ClientId, u32, usize)> = BTreeSet::new();
    let mut due: Vec<usize> = (0..entries.len()).collect();
    let mut placed = Vec::new();
    loop {
        for n in due.drain(..) {
            let entry =
                entries[n].as_ref().expect("only what was placed is taken out, and that is never due again");
            match missing(&reaches, &entry.update) {
                Some((client, clock)) => drop(waiting.insert((client, clock, n))),
                None => ready.push(Reverse((shown_at(&reaches, entry), n))),
            }
        }
        let Some(Reverse((shown_at, n))) = ready.pop() else { break };
        let Entry { line, made_at, update, .. } = entries[n].take().expect("each is ready once");
        let mut is_news = false;
        for (client, range) in update.parsed().deletes.iter() {
            is_news |= !deleted.contains(client, &range);
            deleted.insert(client, range);
        }
        for (client, range) in update.provides() {
            let reached = reaches.entry(*client).or_default();
            if reached.last().is_none_or(|(end, _)| *end < range.end) {
                is_news = true;
                reached.push((range.end, shown_at));
                let woken = waiting.range((*client, 0, 0)..=(*client, range.end, usize::MAX));
                let woken: Vec<_> = woken.copied().collect();
                for entry in woken {
                    waiting.remove(&entry);
                    due.push(entry.2);
                }
            }
        }
        if is_news {
            placed.push(Placed { line, made_at, shown_at, update });
        }
    }
    (placed, waiting.len())
}

fn entries(line: usize, log: Line) -> Vec<Entry> {
    let mut at = Timestamp::EPOCH;
    let mut entries = Vec::with_capacity(log.len());
    for (made_at, update) in log {
        at = at.max(made_at);
        // Of several parts the first need not wait for what the last builds on.
        let parts = if update.has_holes() { update.split(usize::MAX) } else { vec![update] };
        entries.extend(parts.into_iter().map(|update| Entry { line, made_at, at, update }));
    }
    entries
}

/// Something that an update builds on and that is not there yet.
fn missing(reaches: &Reaches, update: &VettedUpdate) -> Option<(ClientId, u32)> {
    let there = |client| reaches.get(&client).and_then(|reached| reached.last()).map_or(0, |(end, _)| *end);
    update
        .requires()
        .iter()
        .map(|(client, clock)| (*client, *clock))
        .find(|(client, clock)| there(*client) < *clock)
}

/// When an entry shows whose causes are all there: then or when they do.
fn shown_at(reaches: &Reaches, entry: &Entry) -> Timestamp {
    let since = |(client, clock): (&ClientId, &u32)| {
        let reached = reaches.get(client)?;
        reached.get(reached.partition_point(|(end, _)| end < clock)).map(|(_, since)| *since)
    };
    let causes = entry.update.requires().iter().filter_map(since).max();
    causes.map_or(entry.at, |cause| cause.max(entry.at))
}
