//! What an update needs to be there before it, and whether its own parts can come in some order at all.

use std::collections::BTreeMap;
use std::ops::Range;

use super::grammar::{Id, Parsed, Piece};
use super::{Refusal, Run};
use crate::client_id::ClientId;

/// Checks that the runs of an update can be put in one after another, each beside what is already there.
pub(super) fn check_order(parsed: &Parsed<'_>) -> Result<(), Refusal> {
    for section in &parsed.clients {
        for piece in section.runs.iter().flat_map(|run| &run.pieces) {
            let ahead = |id: &Id| id.client == section.client && id.clock >= piece.clock;
            if neighbours(piece).any(|id| ahead(&id)) {
                return Err(Refusal::PointsAhead);
            }
        }
    }
    // A single client that only points back is in order as it stands.
    if parsed.clients.len() < 2 || Interleaving::new(parsed).run_through(|_, _| ()) {
        Ok(())
    } else {
        Err(Refusal::Circular)
    }
}

/// The clocks an update adds for each client, and those that must be there before.
pub(super) fn provides_and_requires(
    parsed: &Parsed<'_>,
) -> (BTreeMap<ClientId, Range<u32>>, BTreeMap<ClientId, u32>) {
    let provides: BTreeMap<ClientId, Range<u32>> = parsed
        .clients
        .iter()
        .map(|section| (section.client, section.runs[0].start()..section.runs[section.runs.len() - 1].end()))
        .collect();
    let mut requires: BTreeMap<ClientId, u32> = BTreeMap::new();
    let mut require = |client: ClientId, clock: u32| {
        // What lies inside of an update's own range is there with it, or waits for a hole that is required below.
        let inside = provides.get(&client).is_some_and(|own| own.contains(&(clock - 1)));
        if !inside {
            let required = requires.entry(client).or_insert(clock);
            *required = clock.max(*required);
        }
    };
    for section in &parsed.clients {
        for run in &section.runs {
            for id in run.pieces.iter().flat_map(neighbours) {
                require(id.client, id.clock + 1);
            }
        }
    }
    for (client, range) in parsed.deletes.iter() {
        require(client, range.end);
    }
    for section in &parsed.clients {
        // The last run's start covers those before it: with one run it's where the section goes on, with several the
        // last hole must have been filled.
        let start = section.runs[section.runs.len() - 1].start();
        if start > 0 {
            let required = requires.entry(section.client).or_insert(start);
            *required = start.max(*required);
        }
    }
    (provides, requires)
}

pub(super) fn neighbours(piece: &Piece<'_>) -> impl Iterator<Item = Id> + use<> {
    [piece.origin, piece.right_origin].into_iter().flatten()
}

/// The pieces of an update that passed [`check_order`], each after all that it refers to.
pub(crate) fn in_order<'p, 'a>(parsed: &'p Parsed<'a>) -> Vec<(ClientId, &'p Piece<'a>)> {
    if let [only] = parsed.clients.as_slice() {
        return only.runs.iter().flat_map(|run| &run.pieces).map(|piece| (only.client, piece)).collect();
    }
    let mut order = Vec::new();
    Interleaving::new(parsed).run_through(|client, piece| order.push((client, piece)));
    order
}

/// Plays the runs of several clients in any order that works, without applying them.
struct Interleaving<'p, 'a> {
    tracks: BTreeMap<ClientId, Track<'p, 'a>>,
    /// Clients that wait for another to have passed a clock.
    waiting: BTreeMap<(ClientId, u32), Vec<ClientId>>,
}

struct Track<'p, 'a> {
    pieces: Vec<&'p Piece<'a>>,
    next: usize,
    start: u32,
}

impl<'p, 'a> Interleaving<'p, 'a> {
    fn new(parsed: &'p Parsed<'a>) -> Interleaving<'p, 'a> {
        let track = |runs: &'p [Run<'a>]| Track {
            pieces: runs.iter().flat_map(|run| &run.pieces).collect(),
            next: 0,
            start: runs[0].start(),
        };
        let tracks = parsed.clients.iter().map(|section| (section.client, track(&section.runs))).collect();
        Interleaving { tracks, waiting: BTreeMap::new() }
    }

    /// Each client runs until it needs something of another that isn't there yet, and is woken when it is. Gives whether
    /// all came through.
    fn run_through(mut self, mut played: impl FnMut(ClientId, &'p Piece<'a>)) -> bool {
        let mut ready: Vec<ClientId> = self.tracks.keys().copied().collect();
        while let Some(client) = ready.pop() {
            while let Some(piece) =
                self.tracks.get(&client).and_then(|track| track.pieces.get(track.next).copied())
            {
                if let Some(missing) = neighbours(piece).find(|id| !self.is_there(id)) {
                    self.waiting.entry((missing.client, missing.clock)).or_default().push(client);
                    break;
                }
                played(client, piece);
                if let Some(track) = self.tracks.get_mut(&client) {
                    track.next += 1;
                }
            }
            let reached = self.reached(client);
            let woken: Vec<(ClientId, u32)> =
                self.waiting.range((client, 0)..(client, reached)).map(|(key, _)| *key).collect();
            ready.extend(woken.iter().filter_map(|key| self.waiting.remove(key)).flatten());
        }
        self.tracks.values().all(|track| track.next == track.pieces.len())
    }

    /// Whether an id is outside of this update, or already played.
    fn is_there(&self, id: &Id) -> bool {
        match self.tracks.get(&id.client) {
            Some(track) => id.clock < track.start || id.clock < self.reached(id.client),
            None => true,
        }
    }

    fn reached(&self, client: ClientId) -> u32 {
        self.tracks.get(&client).map_or(0, |track| match track.next {
            0 => track.start,
            played => track.pieces[played - 1].end(),
        })
    }
}
