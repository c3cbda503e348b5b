//! The world: virtual time, and everything that is on its way.

use std::collections::{BTreeMap, BTreeSet};

use sheaf_core::{
    document_uri::DocumentUri,
    live::LiveEvent,
    record::DocumentRecord,
    replica::{Batch, Effect, Event, Replica, Role},
};

use sheaf_repo::did::Did;

use crate::{
    choices::Choices,
    device::Device,
    forger::FORGED,
    invariants::{Invariant, Violation},
    ledger::Ledger,
    live::{self, LiveNet},
    network::Request,
    pds::{Account, Hosts},
    schedule::{Act, Cast, Schedule},
    tally::{Occurrence, Tally},
    trace::{self, Trace},
};

/// When it all begins, in microseconds since 1970.
pub(crate) const START: u64 = 1_780_000_000_000_000;
/// More events than this in one second of one device are a replica that spins: one that is woken every millisecond is.
const BUSIEST_SECOND: u32 = 500;

pub(crate) struct World {
    /// The true time, in microseconds since 1970.
    pub(crate) now: u64,
    pub(crate) cast: Cast,
    pub(crate) acts: Vec<Act>,
    pub(crate) document: DocumentUri,
    pub(crate) hosts: Hosts,
    pub(crate) devices: Vec<Device>,
    pub(crate) ledger: Ledger,
    /// Chances that are no device's own.
    pub(crate) chances: Choices,
    pub(crate) trace: Trace,
    pub(crate) events: u64,
    pub(crate) tally: Tally,
    /// Who has gone on writing after being removed.
    pub(crate) late: BTreeSet<Did>,
    /// The first promise that was broken.
    pub(crate) violation: Option<Violation>,
    /// What is to come, by time and by order of asking.
    coming: BTreeMap<(u64, u64), Happening>,
    asked: u64,
    pub(crate) live: LiveNet,
}

/// Something that is to happen.
pub(crate) enum Happening {
    Act(usize),
    /// Some links of the live channel are cut.
    Flap,
    /// A process begins on a device.
    Open(usize),
    /// A batch reaches the disk.
    Disk {
        device: usize,
        life: u32,
        batch: Batch,
    },
    /// An event reaches a process, unless it has died.
    Event {
        device: usize,
        life: u32,
        event: Event,
    },
    /// An event reaches whichever process there is.
    News {
        device: usize,
        news: News,
    },
    /// A request reaches its server.
    Arrives {
        device: usize,
        life: u32,
        request: Request,
        given_up_at: u64,
    },
    /// So does one that nobody waits for any more.
    ArrivesTooLate {
        device: usize,
        request: Request,
    },
}

/// What a device gets to know of its surroundings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum News {
    Network,
    Stream,
    Session,
}

impl World {
    pub(crate) fn new(schedule: &Schedule, recording: bool) -> World {
        let cast = schedule.cast.clone();
        let account = |n| Account::new(n, n % cast.hosts, cast.points_an_hour, START);
        let accounts: Vec<Account> = (0..cast.accounts).map(account).collect();
        let document: DocumentUri = format!("at://{}/dev.sheaf.document/3jzfcijpj2z2a", accounts[0].did)
            .parse()
            .expect("an owner and a key make an at-URI");
        let device = |(n, seat): (usize, &crate::schedule::Seat)| {
            let did = seat.account.map(|account| accounts[account].did.clone());
            Device::new(n, seat, did, &document, schedule.seed)
        };
        let devices = cast.seats.iter().enumerate().map(device).collect();
        let mut world = World {
            now: START,
            devices,
            document,
            hosts: Hosts { accounts, failing: vec![(0, 0); cast.hosts] },
            acts: schedule.acts.clone(),
            ledger: Ledger::default(),
            chances: Choices::new(schedule.seed, 2),
            trace: Trace::new(recording),
            events: 0,
            tally: Tally::default(),
            late: BTreeSet::new(),
            violation: None,
            coming: BTreeMap::new(),
            asked: 0,
            live: LiveNet::new(schedule.seed),
            cast,
        };
        for n in 0..world.devices.len() {
            let at = START + world.cast.seats[n].opens_at * 1_000;
            world.expect(at, Happening::Open(n));
        }
        if world.cast.live {
            for (n, device) in world.devices.iter_mut().enumerate() {
                device.config.session = Some(live::secret(n));
            }
            world.expect(START, Happening::Flap);
        }
        for (n, act) in schedule.acts.iter().enumerate() {
            world.expect(START + act.at * 1_000, Happening::Act(n));
        }
        world
    }

    /// Lets this happen at a time.
    pub(crate) fn expect(&mut self, at: u64, what: Happening) {
        self.asked += 1;
        self.coming.insert((at.max(self.now), self.asked), what);
    }

    /// Lets time pass until then.
    pub(crate) fn run_until(&mut self, end: u64) {
        while self.violation.is_none() {
            let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
            let alarm = self.devices.iter().enumerate().filter_map(|(n, d)| Some((d.wake_at?, n))).min();
            match (coming, alarm) {
                (Some(at), _) if at <= end && alarm.is_none_or(|(alarm, _)| at <= alarm) => {
                    self.now = at;
                    if let Some((_, what)) = self.coming.pop_first() {
                        self.happen(what);
                    }
                }
                (_, Some((at, n))) if at <= end => {
                    self.now = self.now.max(at);
                    self.hand(n, Event::Tick);
                }
                _ => break,
            }
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Act(n) => self.act(n),
            Happening::Flap => self.flap(),
            Happening::Open(n) => self.open(n),
            Happening::Disk { device, life, batch } => self.reach_disk(device, life, batch),
            Happening::Event { device, life, event } => {
                if self.devices[device].life == life {
                    self.hand(device, event);
                }
            }
            Happening::News { device, news } => self.tell(device, news),
            Happening::ArrivesTooLate { device, request } => {
                self.tally.count(Occurrence::WriteArrivedTooLate);
                drop(self.answer(device, request));
            }
            Happening::Arrives { device, life, request, given_up_at } => {
                self.arrive(device, life, request, given_up_at);
            }
        }
    }

    /// A process begins with what the disk holds.
    fn open(&mut self, n: usize) {
        let clock = self.devices[n].clock(self.now);
        let device = &mut self.devices[n];
        if device.replica.is_some() {
            return;
        }
        let (config, stored) = (device.config.clone(), device.disk.read());
        // Who died before the new document was on the disk makes it again; once anything is, it is opened.
        let (replica, effects) = if n == 0 && stored.is_empty() && self.charter().is_none() {
            Replica::create(config, "Notes", stored, clock)
        } else {
            Replica::open(config, stored, clock)
        };
        let text = replica.text();
        self.note(|| format!("d{n} opens: {text:?}"));
        let device = &mut self.devices[n];
        device.view = text;
        device.replica = Some(replica);
        device.stream.listening.clear();
        self.check_screen(n);
        self.check_memory(n);
        self.carry_out(n, effects);
        let at = self.now + 1_000 * self.devices[n].chances.between(1, 500);
        self.expect(at, Happening::News { device: n, news: News::Stream });
        self.live_opens(n);
        self.after(n);
    }

    /// The process dies; its requests are on their way all the same.
    pub(crate) fn die(&mut self, n: usize, down: u64, renamed: bool) {
        self.note(|| format!("d{n} dies"));
        self.tally.count(Occurrence::ProcessDied);
        self.live_cut(n);
        let device = &mut self.devices[n];
        device.replica = None;
        device.life += 1;
        device.wake_at = None;
        device.dying = None;
        device.heads.clear();
        device.unsaved.clear();
        device.saved_upto = None;
        device.disk.busy_until = 0;
        if let Some(did) = device.config.account.clone() {
            for name in device.names() {
                self.ledger.crashed(&did, name);
            }
        }
        if renamed {
            device.rename(n);
        }
        self.expect(self.now + down * 1_000, Happening::Open(n));
    }

    /// Hands an event to the process, if there is one, and carries out what comes of it.
    pub(crate) fn hand(&mut self, n: usize, event: Event) {
        let now = self.devices[n].clock(self.now);
        if self.devices[n].replica.is_none() {
            return;
        }
        self.note(|| format!("d{n} <- {}", trace::event(&event)));
        if matches!(event, Event::Live(LiveEvent::Frame { .. })) {
            self.devices[n].heard_at = self.now;
        }
        if self.devices[n].dying.is_some() {
            let now = self.now;
            self.devices[n].note_unproved(now);
        }
        let (typing, undoing) = (matches!(event, Event::Edit(_)), matches!(event, Event::Undo | Event::Redo));
        let reading = matches!(event, Event::Fetched { .. } | Event::Doorbell(_));
        let effects = match &mut self.devices[n].replica {
            Some(replica) => replica.handle(now, event),
            None => return,
        };
        if typing || (undoing && effects.iter().any(|effect| matches!(effect, Effect::Show(_)))) {
            self.devices[n].unsaved.push_back(undoing);
        }
        self.carry_out(n, effects);
        if reading {
            self.check_heads(n);
        }
        self.after(n);
    }

    /// What was shown before a process died shows when the next one begins, whoever has said it and wherever they are now.
    fn check_memory(&mut self, n: usize) {
        let device = &mut self.devices[n];
        let (clock, before) = (device.clock(self.now), std::mem::take(&mut device.unproved));
        let Some(replica) = &device.replica else { return };
        let now = replica.status(clock).live.provisional;
        if now < before {
            let detail = format!("device {n} begins with {now} of {before} updates that it had heard");
            self.fail(Invariant::NothingForgotten, detail);
        }
    }

    /// A repo that was verified at a revision is not followed back to an older one.
    fn check_heads(&mut self, n: usize) {
        let clock = self.devices[n].clock(self.now);
        let Some(replica) = &self.devices[n].replica else { return };
        for editor in replica.status(clock).editors {
            let Some(rev) = editor.rev else { continue };
            let known = self.devices[n].heads.insert(editor.did.clone(), rev.clone());
            if let Some(known) = known.filter(|known| *known > rev) {
                let detail = format!("device {n} went from {known} back to {rev} of {}", editor.did);
                self.fail(Invariant::HeadsOnlyGrow, detail);
            }
        }
    }

    /// What must hold after every event.
    fn after(&mut self, n: usize) {
        self.events += 1;
        let (now, device) = (self.now, &mut self.devices[n]);
        device.set_alarm(now);
        let second = now / 1_000_000;
        device.busy = if device.busy.0 == second { (second, device.busy.1 + 1) } else { (second, 1) };
        let Some(replica) = &device.replica else { return };
        if device.busy.1 > BUSIEST_SECOND {
            let detail = format!("device {n} handles {} events in a second", device.busy.1);
            return self.fail(Invariant::Progress, detail);
        }
        let text = replica.text();
        if text != device.view {
            let detail = format!("device {n} shows {:?} and has {text:?}", device.view);
            self.fail(Invariant::ViewFollows, detail);
        }
    }

    /// Text that nobody truly wrote must not be seen.
    pub(crate) fn check_screen(&mut self, n: usize) {
        if self.devices[n].view.contains(FORGED) {
            let detail = format!("device {n} shows {:?}", self.devices[n].view);
            self.fail(Invariant::NothingUnverified, detail);
        }
    }

    /// The document record as the owner's repo has it.
    pub(crate) fn charter(&self) -> Option<DocumentRecord> {
        let (_, bytes) = self.hosts.accounts[0].repo.get(&self.document.document_path())?;
        DocumentRecord::parse(bytes).ok()
    }

    /// Whether this person may type here and now, as far as their device knows.
    pub(crate) fn may_type(&self, n: usize) -> bool {
        use sheaf_core::replica::Presence;
        let Some(replica) = &self.devices[n].replica else { return false };
        let found = replica.status(self.devices[n].clock(self.now)).document;
        replica.role() != Role::Reader && matches!(found, Presence::Here | Presence::Deleted)
    }

    pub(crate) fn fail(&mut self, invariant: Invariant, detail: String) {
        let violation = Violation::new(invariant, detail);
        self.note(|| format!("BROKEN {violation}"));
        self.violation.get_or_insert(violation);
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.trace.note(self.now - START, line);
    }
}
