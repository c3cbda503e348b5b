//! The end of a schedule: faults stop, everything comes to rest, and the text is what it must be.

use sheaf_core::replica::{Event, Stalled};

use crate::{
    device::Device,
    forger::LATE,
    invariants::Invariant,
    schedule::Seat,
    world::{Happening, START, World},
};

const SECOND: u64 = 1_000_000;
/// The longest wait for a last retry: ten minutes and a quarter, twice, and some.
const PATIENCE: u64 = 30 * 60 * SECOND;
/// A small quota takes as long as it takes.
const PATIENCE_WITH_A_SMALL_QUOTA: u64 = 3 * 3_600 * SECOND;
/// How long a settled world is watched.
const WATCH: u64 = 100 * SECOND;

impl World {
    /// Plays the schedule to its end and looks at what came of it.
    pub(crate) fn play(&mut self) {
        self.run_until(START + (self.cast.ends_at + 5_000) * 1_000);
        self.calm_down();
        let small = self.cast.points_an_hour < 5_000;
        let end = self.now + if small { PATIENCE_WITH_A_SMALL_QUOTA } else { PATIENCE };
        while self.violation.is_none() {
            self.run_until(self.now + 10 * SECOND);
            self.sign_in_again();
            match self.unsettled() {
                None => break,
                Some((invariant, why)) if self.now >= end => self.fail(invariant, why),
                Some(_) => {}
            }
        }
        self.check_quiet();
        self.check_newcomers();
        self.check_quota();
    }

    /// The person does what the status line asks for.
    fn sign_in_again(&mut self) {
        for n in 0..self.devices.len() {
            let clock = self.devices[n].clock(self.now);
            let stalled = self.devices[n].replica.as_ref().and_then(|replica| replica.status(clock).stalled);
            if stalled == Some(Stalled::SignInAgain) {
                self.hand(n, Event::Session(true));
            }
        }
    }

    /// What is not as it must be in the end.
    fn unsettled(&self) -> Option<(Invariant, String)> {
        for (n, device) in self.devices.iter().enumerate() {
            let Some(replica) = &device.replica else {
                return Some((Invariant::Progress, format!("device {n} is not there")));
            };
            let status = replica.status(device.clock(self.now));
            // What former editors have only said live stays theirs to publish, which nobody takes from them any more.
            let any_former = self.charter().is_some_and(|record| !record.former.is_empty());
            if status.live.provisional > 0 && !any_former {
                let why = format!("device {n} has {} updates unproved", status.live.provisional);
                return Some((Invariant::Convergence, why));
            }
            if self.is_editor(n) && (status.waiting > 0 || status.unsaved > 0) {
                let why = format!("device {n} does not publish: {} ({status:?})", status.sentence());
                return Some((Invariant::Convergence, why));
            }
        }
        let Some(record) = self.charter() else {
            return Some((Invariant::NothingLost, "there is no document".into()));
        };
        // Who comes back after writing as former editors do is back with all of it; the ledger knows only of honest devices.
        if self.late.iter().any(|did| record.editors.contains(did)) {
            return None;
        }
        let expected = self.ledger.expected(&self.document, &record, &self.hosts.accounts);
        if expected.unfounded > 0 {
            let why = format!(
                "of {} replicas changes that count build on something that was not kept",
                expected.unfounded
            );
            return Some((Invariant::NothingLost, why));
        }
        for (n, device) in self.devices.iter().enumerate() {
            let former =
                record.former.iter().any(|former| Some(&former.did) == device.config.account.as_ref());
            let Some(replica) = &device.replica else { continue };
            if replica.title() != record.title {
                let why = format!("device {n} calls it {:?}, not {:?}", replica.title(), record.title);
                return Some((Invariant::Convergence, why));
            }
            // What former editors have written themselves is still on their own screens.
            if former {
                continue;
            }
            if device.view.contains(LATE) {
                return Some((Invariant::RemovalHolds, format!("device {n} shows {:?}", device.view)));
            }
            if device.view != expected.text {
                let why = format!(
                    "device {n} ({:?}) shows {:?}, and what was kept is {:?}; {}",
                    self.role(n),
                    device.view,
                    expected.text,
                    self.troubles(n),
                );
                return Some((Invariant::Convergence, why));
            }
        }
        None
    }

    fn troubles(&self, n: usize) -> String {
        let Some(replica) = &self.devices[n].replica else { return String::new() };
        let status = replica.status(self.devices[n].clock(self.now));
        let told = status.editors.iter().map(|editor| {
            format!("{} at {:?} {:?} {:?}", editor.did, editor.rev, editor.trouble, editor.quarantined)
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// A world that has come to rest does little more than look now and then.
    fn check_quiet(&mut self) {
        if self.violation.is_some() {
            return;
        }
        let before: Vec<_> = self.devices.iter().map(|device| (device.fetches, device.writes)).collect();
        self.run_until(self.now + WATCH);
        for (n, (fetches, writes)) in before.into_iter().enumerate() {
            let device = &self.devices[n];
            let (fetches, writes) = (device.fetches - fetches, device.writes - writes);
            if fetches > 40 * self.cast.accounts as u32 || writes > 6 {
                let seconds = WATCH / SECOND;
                let detail = format!(
                    "device {n} reads {fetches} times and writes {writes} times in {seconds} quiet s"
                );
                self.fail(Invariant::Progress, detail);
            }
        }
        if let Some((invariant, why)) = self.unsettled().filter(|_| self.violation.is_none()) {
            self.fail(invariant, format!("it was settled, and then: {why}"));
        }
    }

    /// Two who open the document now, from nothing, read what was kept.
    fn check_newcomers(&mut self) {
        if self.violation.is_some() {
            return;
        }
        let Some(record) = self.charter() else { return };
        if self.late.iter().any(|did| record.editors.contains(did)) {
            return;
        }
        let expected = self.ledger.expected(&self.document, &record, &self.hosts.accounts);
        let first = self.devices.len();
        for n in first..first + 2 {
            let seat = Seat { account: None, skew: 0, opens_at: 0, firehose: false };
            let device = Device::new(n, &seat, None, &self.document, n as u64);
            self.devices.push(device);
            self.expect(self.now, Happening::Open(n));
        }
        let end = self.now + 120 * SECOND;
        while self.violation.is_none() {
            self.run_until(self.now + 2 * SECOND);
            let Some(n) = (first..first + 2).find(|n| self.devices[*n].view != expected.text) else { return };
            if self.now >= end {
                let view = &self.devices[n].view;
                let invariant =
                    if view.contains(LATE) { Invariant::RemovalHolds } else { Invariant::NothingLost };
                let why = format!(
                    "a newcomer reads {view:?}, and what was kept is {:?}; {}",
                    expected.text,
                    self.troubles(n)
                );
                self.fail(invariant, why);
            }
        }
    }

    fn check_quota(&mut self) {
        let over = self.hosts.accounts.iter().find(|account| account.overspent > 0);
        if let Some((did, times)) = over.map(|account| (account.did.clone(), account.overspent)) {
            self.fail(Invariant::BudgetKept, format!("the PDS of {did} had to refuse {times} writes"));
        }
    }
}
