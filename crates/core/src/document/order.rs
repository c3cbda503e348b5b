//! The order of everything ever written in a document, and what each writer had seen; kept beside the CRDT library so
//! that no editor can make replicas differ.
//!
//! Text is placed between two neighbours, and where several people wrote in one place, a rule that all replicas share
//! decides (the YATA rule of Yjs). All end with the same order *if* everyone tells the truth: that the two neighbours
//! were next to each other in the text as the writer had it. Pairs of neighbours that never were can make replicas differ
//! for ever, depending on what arrived first.
//!
//! A replica can't know all that a writer had seen, but it knows what they must have seen at least: their own earlier
//! text, both neighbours, and all that the writers of those must have seen. In an honest update the neighbours are next to
//! each other when looking at that text only. Where they aren't, the right one is replaced by what follows the left one
//! there. That text is the same for every replica, so all correct an update in the same way, and what is then applied is
//! what an honest writer could have written.

use std::collections::{BTreeMap, BTreeSet};

use crate::client_id::ClientId;
use crate::door::{Id, Piece};

/// The order of all text, deleted or not.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By the id of each node's first unit.
    nodes: BTreeMap<Id, Node>,
    first: Option<Id>,
    seen: Seen,
}

/// Text that one client wrote from left to right, with nothing in between.
#[derive(Clone, Copy, Debug)]
struct Node {
    len: u32,
    origin: Option<Id>,
    right_origin: Option<Id>,
    /// The first units of the nodes beside it.
    before: Option<Id>,
    after: Option<Id>,
}

impl Order {
    /// Puts a piece in its place. All that it refers to is there, and so is all that its client wrote before. Gives the
    /// right neighbour that it is to be applied with: its own, if it is honest.
    pub(super) fn place(&mut self, client: ClientId, piece: &Piece<'_>) -> Option<Id> {
        let id = Id { client, clock: piece.clock };
        if let Some(origin) = piece.origin {
            self.split_after(origin);
        }
        let next = self.node_after(piece.origin);
        let right = if next == piece.right_origin {
            next
        } else {
            let past = self.seen.past_of(id, [piece.origin, piece.right_origin]);
            self.nodes_from(next).find(|start| past.contains(start))
        };
        self.seen.note(id, [piece.origin, right]);
        let left = self.left_neighbour(id, piece.origin, next, right);
        self.insert(id, piece.len, (piece.origin, right), left);
        right
    }

    /// The unit just before this one, deleted or not. The unit is there.
    pub(super) fn unit_before(&self, id: Id) -> Option<Id> {
        let start = self.start_of(id);
        if start.clock < id.clock {
            return Some(Id { clock: id.clock - 1, ..id });
        }
        self.node(start).before.map(|before| self.last_of(before))
    }

    fn node(&self, start: Id) -> &Node {
        self.nodes.get(&start).expect("nodes only refer to nodes that are there")
    }

    fn node_mut(&mut self, start: Id) -> &mut Node {
        self.nodes.get_mut(&start).expect("nodes only refer to nodes that are there")
    }

    /// The first unit of the node that a unit is in.
    fn start_of(&self, id: Id) -> Id {
        *self.nodes.range(..=id).next_back().expect("all that is referred to is there").0
    }

    fn last_of(&self, start: Id) -> Id {
        Id { clock: start.clock + self.node(start).len - 1, ..start }
    }

    /// What follows a unit that ends a node; the first of all for `None`.
    fn node_after(&self, unit: Option<Id>) -> Option<Id> {
        match unit {
            Some(unit) => self.node(self.start_of(unit)).after,
            None => self.first,
        }
    }

    fn nodes_from(&self, start: Option<Id>) -> impl Iterator<Item = Id> + '_ {
        std::iter::successors(start, |start| self.node(*start).after)
    }

    /// Makes a unit the last of its node.
    fn split_after(&mut self, unit: Id) {
        let start = self.start_of(unit);
        let node = *self.node(start);
        let len = unit.clock - start.clock + 1;
        if len == node.len {
            return;
        }
        let rest = Id { clock: unit.clock + 1, ..unit };
        *self.node_mut(start) = Node { len, after: Some(rest), ..node };
        let tail = Node { len: node.len - len, origin: Some(unit), before: Some(start), ..node };
        self.nodes.insert(rest, tail);
        if let Some(after) = node.after {
            self.node_mut(after).before = Some(rest);
        }
    }

    /// The YATA rule: after which unit does `id` come, of all that others wrote between its neighbours?
    fn left_neighbour(&self, id: Id, origin: Option<Id>, next: Option<Id>, right: Option<Id>) -> Option<Id> {
        let mut left = origin;
        // The nodes passed by, and those of them of which it isn't decided yet whether `id` comes after them.
        let (mut passed, mut undecided) = (BTreeSet::new(), BTreeSet::new());
        for start in self.nodes_from(next).take_while(|&start| Some(start) != right) {
            let other = self.node(start);
            passed.insert(start);
            undecided.insert(start);
            let comes_after = if other.origin == origin {
                if start.client > id.client && other.right_origin == right {
                    break;
                }
                start.client < id.client
            } else {
                match other.origin.map(|origin| self.start_of(origin)) {
                    Some(origin) if passed.contains(&origin) => !undecided.contains(&origin),
                    _ => break,
                }
            };
            if comes_after {
                left = Some(self.last_of(start));
                undecided.clear();
            }
        }
        left
    }

    fn insert(
        &mut self,
        id: Id,
        len: u32,
        (origin, right_origin): (Option<Id>, Option<Id>),
        left: Option<Id>,
    ) {
        let before = left.map(|left| self.start_of(left));
        let after = self.node_after(left);
        if let Some(start) = before {
            let node = self.node_mut(start);
            let goes_on = start.client == id.client && start.clock + node.len == id.clock;
            if goes_on && origin == left && node.right_origin == right_origin {
                node.len += len;
                return;
            }
            node.after = Some(id);
        } else {
            self.first = Some(id);
        }
        self.nodes.insert(id, Node { len, origin, right_origin, before, after });
        if let Some(after) = after {
            self.node_mut(after).before = Some(id);
        }
    }
}

/// What each client must have seen of each other when it wrote.
#[derive(Debug, Default)]
struct Seen {
    /// For a client and another: from which of its own clocks on it had seen the other up to which clock. Both ascend.
    steps: BTreeMap<(ClientId, ClientId), Vec<(u32, u32)>>,
}

/// Text that was there: for each client up to a clock.
#[derive(Debug, Default)]
struct Past(BTreeMap<ClientId, u32>);

impl Past {
    fn contains(&self, id: &Id) -> bool {
        self.0.get(&id.client).is_some_and(|&clock| id.clock < clock)
    }

    fn add(&mut self, client: ClientId, clock: u32) {
        let known = self.0.entry(client).or_insert(clock);
        *known = clock.max(*known);
    }
}

impl Seen {
    /// What the writer of `id` beside those neighbours must have seen.
    fn past_of(&self, id: Id, neighbours: [Option<Id>; 2]) -> Past {
        let mut past = Past::default();
        let previous = id.clock.checked_sub(1).map(|clock| Id { clock, ..id });
        for unit in neighbours.into_iter().flatten().chain(previous) {
            past.add(unit.client, unit.clock + 1);
            for (other, clock) in self.seen_by(unit) {
                past.add(other, clock);
            }
        }
        past
    }

    /// What the writer of a unit must have seen of others.
    fn seen_by(&self, unit: Id) -> impl Iterator<Item = (ClientId, u32)> + '_ {
        let (lowest, highest) = (ClientId::MIN, ClientId::MAX);
        self.steps.range((unit.client, lowest)..=(unit.client, highest)).filter_map(
            move |(&(_, other), steps)| {
                let count = steps.partition_point(|&(own, _)| own <= unit.clock);
                count.checked_sub(1).map(|last| (other, steps[last].1))
            },
        )
    }

    /// Remembers what the writer of `id` must have seen.
    fn note(&mut self, id: Id, neighbours: [Option<Id>; 2]) {
        for neighbour in neighbours.into_iter().flatten().filter(|neighbour| neighbour.client != id.client) {
            // Whoever has seen a unit before has seen all that its writer had.
            if self.has_seen(id, neighbour) {
                continue;
            }
            let more: Vec<(ClientId, u32)> = self.seen_by(neighbour).collect();
            for (other, clock) in more.into_iter().chain([(neighbour.client, neighbour.clock + 1)]) {
                if other == id.client {
                    continue;
                }
                let steps = self.steps.entry((id.client, other)).or_default();
                match steps.last_mut() {
                    Some((_, seen)) if *seen >= clock => {}
                    Some((own, seen)) if *own == id.clock => *seen = clock,
                    _ => steps.push((id.clock, clock)),
                }
            }
        }
    }

    fn has_seen(&self, id: Id, unit: Id) -> bool {
        let steps = self.steps.get(&(id.client, unit.client));
        steps.and_then(|steps| steps.last()).is_some_and(|&(_, clock)| unit.clock < clock)
    }
}
