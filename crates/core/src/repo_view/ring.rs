//! What rang, how it adds up, and how far it is believed.

use std::time::Duration;

use sheaf_repo::tid::Tid;

use crate::time::Timestamp;

/// Frames kept while busy: as many commits as their author can make meanwhile.
const MAX_FRAMES: usize = 16;
/// What they may weigh together, in bytes; beyond that they are bells like any other.
const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// So many are answered at once: whoever connects anew rings two or three times to be sure, and may do so repeatedly.
const FREE_ALARMS: u32 = 8;
/// Bells that ring for nothing within this time are counted together.
const FALSE_ALARM_MEMORY: Duration = Duration::from_secs(60);
/// After this long one goes back, once, for a revision that a bell named and the server did not show.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What is to be looked after: one bell, a poll, or several that came while the view was busy.
#[derive(Debug, Default)]
pub(super) struct Ring {
    path: Option<String>,
    /// Blocks that came along, oldest commit first.
    frames: Vec<Vec<u8>>,
    /// Something rang that the frames do not answer.
    look: bool,
    /// A stranger's bell is in it.
    bell: bool,
}

impl Ring {
    /// A bell's ring.
    pub(super) fn bell(path: Option<String>, car: Option<Vec<u8>>) -> Self {
        Ring { path, look: car.is_none(), frames: car.into_iter().collect(), bell: true }
    }

    /// A look of our own accord.
    pub(super) fn look() -> Self {
        Ring { look: true, ..Ring::default() }
    }

    /// Another look on account of what a bell said earlier.
    pub(super) fn again() -> Self {
        Ring { look: true, bell: true, ..Ring::default() }
    }

    /// Adds a later ring to what is waiting.
    pub(super) fn merge(waiting: &mut Option<Ring>, later: Ring) {
        let Some(ring) = waiting else {
            *waiting = Some(later);
            return;
        };
        ring.path = later.path.or(ring.path.take());
        ring.look |= later.look;
        ring.bell |= later.bell;
        ring.frames.extend(later.frames);
        let bytes: usize = ring.frames.iter().map(Vec::len).sum();
        if ring.frames.len() > MAX_FRAMES || bytes > MAX_FRAME_BYTES {
            ring.frames.clear();
            ring.look = true;
        }
    }

    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    pub(super) fn is_bell(&self) -> bool {
        self.bell
    }

    pub(super) fn wants_a_look(&self) -> bool {
        self.look
    }

    pub(super) fn take_frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames)
    }
}

/// Counts bells that rang for nothing. They are answered more and more slowly, up to every five seconds: a stream that
/// makes events up costs its listeners little. Looks of our own accord that find nothing are no alarms.
#[derive(Debug, Default)]
pub(super) struct FalseAlarms {
    count: u32,
    last: Option<Timestamp>,
}

impl FalseAlarms {
    /// One more. How long to be deaf to further ones.
    pub(super) fn another(&mut self, now: Timestamp) -> Option<Duration> {
        if self.last.is_some_and(|last| now.saturating_since(last) > FALSE_ALARM_MEMORY) {
            self.count = 0;
        }
        self.last = Some(now);
        self.count = (self.count + 1).min(16);
        let further = self.count.checked_sub(FREE_ALARMS).filter(|further| *further > 0)?;
        Some(Duration::from_millis((50u64 << further).min(5_000)))
    }
}

/// A revision that a bell named. Streams and servers are different programs, often on different machines: now and then a
/// server is asked before it knows what its own stream has already told.
#[derive(Debug)]
pub(super) struct Awaited {
    rev: Tid,
    looked_again: bool,
}

impl Awaited {
    /// A bell named this revision.
    pub(super) fn named(awaited: &mut Option<Awaited>, rev: &Tid) {
        if awaited.as_ref().is_none_or(|awaited| awaited.rev < *rev) {
            *awaited = Some(Awaited { rev: rev.clone(), looked_again: false });
        }
    }

    /// The repo was found to be at `head`. How long to wait before going back for what was named, if that is still missing.
    pub(super) fn wait(awaited: &mut Option<Awaited>, head: Option<&Tid>) -> Option<Duration> {
        let missing = awaited.as_mut()?;
        if missing.looked_again || head.is_some_and(|head| *head >= missing.rev) {
            *awaited = None;
            return None;
        }
        missing.looked_again = true;
        Some(LOOK_AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tid(n: u64) -> Tid {
        Tid::from_micros(1_780_000_000_000_000 + n, 0)
    }

    #[test]
    fn frames_add_up_and_a_plain_bell_beside_them_is_still_looked_after() {
        let mut waiting = None;
        Ring::merge(&mut waiting, Ring::bell(None, Some(vec![1])));
        Ring::merge(&mut waiting, Ring::bell(Some("a/b".into()), Some(vec![2])));
        let ring = waiting.as_mut().unwrap();
        assert!(!ring.wants_a_look());
        assert_eq!(ring.path(), Some("a/b"));
        assert_eq!(ring.take_frames(), [vec![1], vec![2]]);
        Ring::merge(&mut waiting, Ring::bell(None, None));
        assert!(waiting.unwrap().wants_a_look());
    }

    #[test]
    fn frames_beyond_measure_are_a_bell_like_any_other() {
        let mut waiting = None;
        for _ in 0..MAX_FRAMES + 5 {
            Ring::merge(&mut waiting, Ring::bell(None, Some(vec![0; 100])));
        }
        let mut ring = waiting.unwrap();
        assert!(ring.wants_a_look() && ring.take_frames().len() <= MAX_FRAMES);
    }

    #[test]
    fn false_alarms_are_forgotten_after_a_while() {
        let mut alarms = FalseAlarms::default();
        let mut now = Timestamp::from_millis(1_780_000_000_000);
        let waits: Vec<_> = (0..20).map(|_| alarms.another(now)).collect();
        assert!(waits[..FREE_ALARMS as usize].iter().all(Option::is_none));
        assert_eq!(waits[19], Some(Duration::from_secs(5)));
        now = now.saturating_add(FALSE_ALARM_MEMORY + Duration::from_secs(1));
        assert_eq!(alarms.another(now), None);
    }

    #[test]
    fn a_named_revision_is_gone_back_for_once() {
        let mut awaited = None;
        Awaited::named(&mut awaited, &tid(5));
        Awaited::named(&mut awaited, &tid(3));
        assert_eq!(Awaited::wait(&mut awaited, Some(&tid(4))), Some(LOOK_AGAIN));
        assert_eq!(Awaited::wait(&mut awaited, Some(&tid(4))), None);
        Awaited::named(&mut awaited, &tid(5));
        assert_eq!(Awaited::wait(&mut awaited, Some(&tid(5))), None);
        assert!(awaited.is_none());
    }
}
