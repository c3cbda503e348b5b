//! Undo and redo of this replica's own edits, whatever others did meanwhile.
//!
//! A step remembers which code units it added and which it deleted. To reverse it, what it added is deleted where it still
//! shows, and what it deleted is written again, as new text, just before where the deleted text still lies. Steps refer to
//! text by id, so those that knew the old text are told the ids of the new.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use super::Direction;
use super::engine::{Engine, Stretch};
use super::splices::units;
use crate::client_id::ClientId;
use crate::door::ranges::IdRanges;
use crate::door::{ClientRuns, Content, Id, Parsed, Piece, Run};
use crate::time::Timestamp;

/// Edits closer to each other than this are undone together.
const GROUP: Duration = Duration::from_millis(500);
/// How many steps can be undone.
const MAX_STEPS: usize = 1_000;

/// What one group of edits did.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    added: IdRanges,
    deleted: IdRanges,
}

impl Step {
    pub(super) fn of(parsed: &Parsed<'_>) -> Step {
        let mut added = IdRanges::default();
        for section in &parsed.clients {
            for run in &section.runs {
                added.insert(section.client, run.start()..run.end());
            }
        }
        Step { added, deleted: parsed.deletes.clone() }
    }

    fn extend(&mut self, later: &Step) {
        self.added.extend(&later.added);
        self.deleted.extend(&later.deleted);
    }
}

#[derive(Debug, Default)]
pub(super) struct Undo {
    back: VecDeque<Step>,
    forth: Vec<Step>,
    /// When the last edit was, while the next one may still join its step.
    open_since: Option<Timestamp>,
}

impl Undo {
    pub(super) fn can_undo(&self) -> bool {
        !self.back.is_empty()
    }

    pub(super) fn can_redo(&self) -> bool {
        !self.forth.is_empty()
    }

    pub(super) fn break_group(&mut self) {
        self.open_since = None;
    }

    pub(super) fn record_edit(&mut self, now: Timestamp, step: Step) {
        self.forth.clear();
        let joins = self.open_since.is_some_and(|last| now.saturating_since(last) < GROUP);
        match self.back.back_mut() {
            Some(last) if joins => last.extend(&step),
            _ => {
                self.back.push_back(step);
                if self.back.len() > MAX_STEPS {
                    self.back.pop_front();
                }
            }
        }
        self.open_since = Some(now);
    }

    pub(super) fn pop(&mut self, direction: Direction) -> Option<Step> {
        self.open_since = None;
        match direction {
            Direction::Back => self.back.pop_back(),
            Direction::Forth => self.forth.pop(),
        }
    }

    /// Keeps what a step back did for a step forth, and the other way round.
    pub(super) fn record_step(&mut self, direction: Direction, step: Step) {
        match direction {
            Direction::Back => self.forth.push(step),
            Direction::Forth => self.back.push_back(step),
        }
    }

    /// Text that was written again has new ids: a step that added the old text takes back the new.
    pub(super) fn replace(&mut self, reborn: &[Reborn]) {
        for step in self.back.iter_mut().chain(&mut self.forth) {
            for Reborn { old, len, new } in reborn {
                let known: Vec<_> = step.added.within(old.client, old.clock..old.clock + len).collect();
                for range in known {
                    let start = new.clock + (range.start - old.clock);
                    step.added.insert(new.client, start..start + (range.end - range.start));
                }
            }
        }
    }
}

/// A length of text that was deleted and has been written again.
#[derive(Debug)]
pub(super) struct Reborn {
    old: Id,
    len: u32,
    new: Id,
}

/// What reverses a step.
pub(super) struct Reversal {
    pub(super) parsed: Parsed<'static>,
    pub(super) reborn: Vec<Reborn>,
}

pub(super) fn reverse(step: &Step, engine: &Engine) -> Reversal {
    let mut writer = Writer {
        client: engine.client(),
        clock: engine.next_clock(),
        pieces: Vec::new(),
        reborn: Vec::new(),
    };
    let mut deletes = IdRanges::default();
    // What a step both added and deleted was not there before it.
    let mut lost = step.deleted.clone();
    for (client, range) in step.added.iter() {
        lost.remove(client, range);
    }
    for stretch in engine.stretches() {
        let Id { client, clock } = stretch.id;
        let whole = clock..clock + stretch.len;
        if stretch.deleted {
            for range in lost.within(client, whole.clone()) {
                let left = engine.unit_before(Id { client, clock: range.start });
                writer.write_again(&stretch, range.start, range.end - range.start, left);
            }
        } else {
            for range in step.added.within(client, whole.clone()) {
                deletes.insert(client, range);
            }
        }
    }
    let Writer { client, pieces, reborn, .. } = writer;
    let clients =
        if pieces.is_empty() { Vec::new() } else { vec![ClientRuns { client, runs: vec![Run { pieces }] }] };
    Reversal { parsed: Parsed { clients, deletes }, reborn }
}

/// Writes deleted text again.
struct Writer {
    client: ClientId,
    clock: u32,
    pieces: Vec<Piece<'static>>,
    reborn: Vec<Reborn>,
}

impl Writer {
    /// Writes `len` units of a stretch from `clock` on just before where they lie deleted, after `left`.
    fn write_again(&mut self, stretch: &Stretch, clock: u32, len: u32, left: Option<Id>) {
        let text = units(&stretch.text, clock - stretch.id.clock, len);
        let old = Id { client: stretch.id.client, clock };
        let new = Id { client: self.client, clock: self.clock };
        self.pieces.push(Piece {
            clock: new.clock,
            len,
            origin: left,
            right_origin: Some(old),
            content: Content::Text(Cow::Owned(text)),
        });
        self.reborn.push(Reborn { old, len, new });
        self.clock += len;
    }
}
