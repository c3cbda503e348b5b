//! A schedule: who takes part, what they do, and what goes wrong when. Drawn from a seed, and small enough to be read.

use std::fmt;

use crate::choices::Choices;

/// One run of the world, up to the chances of the network, which the same seed gives.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Where it came from.
    pub seed: u64,
    /// Who takes part.
    pub cast: Cast,
    /// What happens, in order of time.
    pub acts: Vec<Act>,
}

/// Who takes part, on what.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Accounts; the first makes the document.
    pub accounts: usize,
    /// Devices; the first is the owner's.
    pub seats: Vec<Seat>,
    /// PDSes; the accounts are spread over them.
    pub hosts: usize,
    /// What an account may write in an hour; in a day, seven times that.
    pub points_an_hour: u32,
    /// How long a message takes on a usual day, in milliseconds.
    pub latency: (u64, u64),
    /// When the last act has happened and faults end, in milliseconds.
    pub ends_at: u64,
    /// Whether devices are told in the end that the network is back, or find out by themselves.
    pub nudged: bool,
    /// Whether a write may still reach its PDS after its sender has given up on it and sent another.
    pub late_writes: bool,
    /// Whether devices are linked on the live channel. Never by a seed below `FIRST_LIVE_SEED`: what those once found must be
    /// found again.
    pub live: bool,
}

/// The first seed whose schedule may have the live channel in it.
pub const FIRST_LIVE_SEED: u64 = 2_000_000;

/// One device.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Who is signed in; `None` reads along.
    pub account: Option<usize>,
    /// How far its clock is off, in microseconds.
    pub skew: i64,
    /// When the document is opened there, in milliseconds.
    pub opens_at: u64,
    /// Whether its stream brings blocks along, as a firehose does, or only rings.
    pub firehose: bool,
}

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub struct Act {
    /// When, in milliseconds since the beginning.
    pub at: u64,
    /// What.
    pub deed: Deed,
}

/// What people do, and what goes wrong. Times are in milliseconds.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the names say it
pub enum Deed {
    /// Someone types at `place` thousandths of the text they see.
    Type {
        device: usize,
        place: u16,
        delete: u8,
        insert: String,
    },
    /// Someone puts in a long text that hardly deflates, drawn from a seed of its own.
    Paste {
        device: usize,
        place: u16,
        units: u32,
        seed: u64,
    },
    Undo {
        device: usize,
    },
    Redo {
        device: usize,
    },
    Select {
        device: usize,
        place: u16,
    },
    Hide {
        device: usize,
        hidden: bool,
    },
    FlushNow {
        device: usize,
    },
    Rename {
        device: usize,
        title: String,
    },
    Admit {
        device: usize,
        account: usize,
    },
    Dismiss {
        device: usize,
        account: usize,
    },

    /// The process dies during what it does next, after so many of its effects.
    Crash {
        device: usize,
        after: u8,
        down: u64,
        renamed: bool,
    },
    /// The disk refuses; `leaks` of a thousand writes succeed all the same.
    DiskFull {
        device: usize,
        lasts: u64,
        leaks: u32,
    },
    /// No network, which the device may or may not be told.
    Offline {
        device: usize,
        lasts: u64,
        told: bool,
    },
    /// One PDS cannot be reached from one device.
    Partition {
        device: usize,
        host: usize,
        lasts: u64,
    },
    /// Requests get lost before and after they arrive, so many of a thousand, and are slow.
    BadLink {
        device: usize,
        lasts: u64,
        lost: u32,
        unanswered: u32,
        slow: u64,
    },
    /// The stream stays connected and says nothing.
    Deaf {
        device: usize,
        lasts: u64,
    },
    /// The stream is gone for a while.
    StreamDown {
        device: usize,
        lasts: u64,
    },
    Throttle {
        account: usize,
        lasts: u64,
        retry_after: Option<u64>,
    },
    HostFails {
        host: usize,
        lasts: u64,
        status: u16,
    },
    SessionEnds {
        device: usize,
        lasts: u64,
    },
    ClockJumps {
        device: usize,
        by: i64,
    },
    Lie {
        account: usize,
        lie: Lie,
        lasts: u64,
    },
    Forgery {
        device: usize,
        account: usize,
        bell: Bell,
    },
    RotateKey {
        account: usize,
    },
    Migrate {
        account: usize,
        host: usize,
    },
    /// An account writes what no honest client would into its own repo.
    Hostile {
        account: usize,
        record: Hostility,
    },
    /// A former editor goes on writing.
    LateWords {
        account: usize,
        how: Lateness,
    },
}

/// How a PDS misleads whoever reads an account's repo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It shows an older state.
    RollBack,
    /// It leaves blocks out.
    Withhold,
    /// A byte is not what it was.
    Flip,
    /// It answers with another account's repo.
    AnotherRepo,
    /// It shows a repo that somebody else has signed.
    WrongKey,
    /// It puts other bytes under a record's CID.
    Swap,
}

/// What an invented doorbell brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bell {
    /// Nothing but a revision from the future.
    Invented,
    /// A true commit of long ago.
    Replayed,
    /// Blocks of another account's repo.
    AnotherRepo,
    /// A repo that somebody else has signed.
    WrongKey,
    /// True blocks with a wrong byte.
    Corrupted,
    /// Other bytes under a record's CID.
    Swapped,
}

/// A record that no honest client writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hostility {
    /// Text in the document's owner's name.
    InTheOwnersName,
    /// Bytes that are no update.
    Noise,
    /// Bytes that are no record.
    NoRecord,
    /// A snapshot that carries a repo of the owner's which somebody else has signed.
    ForgedSnapshot,
}

/// How a former editor goes on writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lateness {
    /// As a replica that nobody has heard of.
    NewReplica,
    /// In a segment that is known, after what is in it.
    Appended,
    /// In a segment that is known, under the clocks of what is in it.
    Rewritten,
}

impl Schedule {
    /// The schedule of a seed.
    pub fn draw(seed: u64) -> Schedule {
        let mut choices = Choices::new(seed, 1);
        let mut schedule =
            if choices.chance(60) { tight(seed, &mut choices) } else { stormy(seed, &mut choices) };
        schedule.cast.late_writes = Choices::new(seed, 4).chance(250);
        schedule.cast.live = seed >= FIRST_LIVE_SEED && Choices::new(seed, 6).chance(700);
        schedule
    }
}

/// Hours of typing under a small quota, with nothing else the matter: the budget alone has to keep it.
fn tight(seed: u64, choices: &mut Choices) -> Schedule {
    let hours = choices.between(1, 2);
    let ends_at = hours * 3_600_000;
    let accounts = choices.between(1, 2) as usize;
    let seats = (0..accounts)
        .map(|account| Seat {
            account: Some(account),
            skew: skew(choices),
            opens_at: 3_000 * account as u64,
            firehose: account == 1,
        })
        .collect();
    let cast = Cast {
        accounts,
        seats,
        hosts: 1,
        points_an_hour: *choices.one(&[60, 100, 200]),
        latency: (5, 200),
        ends_at,
        nudged: false,
        late_writes: false,
        live: false,
    };
    let mut acts = invitations(&cast);
    for _ in 0..choices.between(40, 90) {
        let device = choices.below(accounts);
        // In bursts, as people type.
        let at = choices.between(10_000, ends_at);
        for n in 0..choices.between(1, 4) {
            acts.push(Act { at: at + n * 700, deed: typing(choices, device) });
        }
        acts.push(Act { at: at + 5_000, deed: Deed::Select { device, place: choices.below(1_000) as u16 } });
    }
    finish(seed, cast, acts)
}

/// A minute or two of people typing while everything goes wrong.
fn stormy(seed: u64, choices: &mut Choices) -> Schedule {
    let accounts = choices.between(2, 4) as usize + usize::from(choices.chance(200));
    let mut seats: Vec<Seat> = Vec::new();
    for account in 0..accounts {
        let devices = if choices.chance(300) { 2 } else { 1 };
        for _ in 0..devices {
            let opens_at = if seats.is_empty() { 0 } else { choices.between(0, 12_000) };
            seats.push(Seat {
                account: Some(account),
                skew: skew(choices),
                opens_at,
                firehose: choices.chance(400),
            });
        }
    }
    if choices.chance(150) {
        seats.push(Seat { account: None, skew: 0, opens_at: choices.between(0, 60_000), firehose: false });
    }
    let cast = Cast {
        accounts,
        hosts: choices.between(1, accounts as u64) as usize,
        points_an_hour: 5_000,
        latency: *choices.one(&[(1, 20), (10, 300), (50, 2_000)]),
        ends_at: choices.between(30, 100) * 1_000,
        nudged: choices.chance(500),
        late_writes: false,
        live: false,
        seats,
    };
    let mut acts = invitations(&cast);
    for _ in 0..choices.between(8, 45) {
        let device = choices.below(cast.seats.len());
        let at = choices.between(500, cast.ends_at);
        let deed = deed_of_a_person(choices, &cast, device);
        // Typing comes in bursts.
        if matches!(deed, Deed::Type { .. }) {
            for n in 1..choices.between(1, 3) {
                acts.push(Act { at: at + n * choices.between(1, 400), deed: typing(choices, device) });
            }
        }
        acts.push(Act { at, deed });
    }
    if choices.chance(120) {
        // Enough for segments to be sealed and folded.
        let device = choices.below(cast.seats.len());
        for _ in 0..choices.between(4, 12) {
            let at = choices.between(5_000, cast.ends_at);
            let (place, units) = (choices.below(1_001) as u16, choices.between(2_000, 8_000) as u32);
            acts.push(Act { at, deed: Deed::Paste { device, place, units, seed: choices.next() } });
        }
    }
    for _ in 0..choices.between(0, 16) {
        let at = choices.between(500, cast.ends_at);
        acts.push(Act { at, deed: fault(choices, &cast) });
    }
    finish(seed, cast, acts)
}

fn finish(seed: u64, cast: Cast, mut acts: Vec<Act>) -> Schedule {
    acts.sort_by_key(|act| act.at);
    Schedule { seed, cast, acts }
}

fn skew(choices: &mut Choices) -> i64 {
    const HOUR: i64 = 3_600_000_000;
    match choices.below(4) {
        0 => choices.between(0, 6 * HOUR as u64) as i64,
        1 => -(choices.between(0, 6 * HOUR as u64) as i64),
        _ => 0,
    }
}

/// The owner lets everybody in at first, early or late.
fn invitations(cast: &Cast) -> Vec<Act> {
    let admit = |account| Act { at: 400 + 900 * account as u64, deed: Deed::Admit { device: 0, account } };
    (1..cast.accounts).map(admit).collect()
}

fn typing(choices: &mut Choices, device: usize) -> Deed {
    let delete = if choices.chance(300) { choices.between(1, 6) as u8 } else { 0 };
    let insert = if delete == 0 || choices.chance(400) { choices.words() } else { String::new() };
    let place = *choices.one(&[0, 1_000, 500, 250, 999]);
    let place = if choices.chance(500) { place } else { choices.below(1_001) as u16 };
    Deed::Type { device, place, delete, insert }
}

fn deed_of_a_person(choices: &mut Choices, cast: &Cast, device: usize) -> Deed {
    match choices.below(40) {
        0..=2 => Deed::Undo { device },
        3..=4 => Deed::Redo { device },
        5..=6 => Deed::Select { device, place: choices.below(1_001) as u16 },
        7 => Deed::Hide { device, hidden: choices.chance(500) },
        8 => Deed::FlushNow { device },
        9 => {
            let owners: Vec<usize> =
                (0..cast.seats.len()).filter(|n| cast.seats[*n].account == Some(0)).collect();
            Deed::Rename { device: *choices.one(&owners), title: choices.words() }
        }
        10 if cast.accounts > 2 && choices.chance(500) => {
            let owners: Vec<usize> =
                (0..cast.seats.len()).filter(|n| cast.seats[*n].account == Some(0)).collect();
            let (device, account) = (*choices.one(&owners), 1 + choices.below(cast.accounts - 1));
            if choices.chance(700) {
                Deed::Dismiss { device, account }
            } else {
                Deed::Admit { device, account }
            }
        }
        _ => typing(choices, device),
    }
}

fn fault(choices: &mut Choices, cast: &Cast) -> Deed {
    let device = choices.below(cast.seats.len());
    let account = choices.below(cast.accounts);
    let host = choices.below(cast.hosts);
    let lasts = *choices.one(&[500, 3_000, 15_000, 60_000]);
    match choices.below(26) {
        0..=4 => {
            let down = *choices.one(&[1, 500, 5_000, 40_000]);
            Deed::Crash { device, after: choices.below(6) as u8, down, renamed: choices.chance(200) }
        }
        5..=6 => Deed::DiskFull { device, lasts, leaks: *choices.one(&[0, 300]) },
        7..=8 => Deed::Offline { device, lasts, told: choices.chance(500) },
        9 => Deed::Partition { device, host, lasts },
        10..=11 => {
            let (lost, unanswered) = *choices.one(&[(100, 100), (0, 500), (400, 0), (200, 300)]);
            Deed::BadLink { device, lasts, lost, unanswered, slow: *choices.one(&[0, 0, 4_000]) }
        }
        12 => Deed::Deaf { device, lasts },
        13 => Deed::StreamDown { device, lasts },
        14 => Deed::Throttle { account, lasts, retry_after: choices.chance(500).then_some(lasts) },
        15 => Deed::HostFails { host, lasts, status: *choices.one(&[500, 502, 503]) },
        16 => Deed::SessionEnds { device, lasts },
        17 => Deed::ClockJumps { device, by: skew(choices) / 2 },
        18..=20 => {
            let lie = *choices.one(&[
                Lie::RollBack,
                Lie::Withhold,
                Lie::Flip,
                Lie::AnotherRepo,
                Lie::WrongKey,
                Lie::Swap,
            ]);
            Deed::Lie { account, lie, lasts }
        }
        21..=22 => {
            let bell = *choices.one(&[
                Bell::Invented,
                Bell::Replayed,
                Bell::AnotherRepo,
                Bell::WrongKey,
                Bell::Corrupted,
                Bell::Swapped,
            ]);
            Deed::Forgery { device, account, bell }
        }
        23 => Deed::RotateKey { account },
        24 => {
            let record = *choices.one(&[
                Hostility::InTheOwnersName,
                Hostility::Noise,
                Hostility::NoRecord,
                Hostility::ForgedSnapshot,
            ]);
            Deed::Hostile { account, record }
        }
        _ if choices.chance(500) => Deed::Migrate { account, host },
        _ => Deed::LateWords { account, how: *choices.one(&[Lateness::NewReplica, Lateness::Appended]) },
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cast = &self.cast;
        writeln!(
            f,
            "seed {}: {} accounts on {} PDSes, {} points an hour, {}-{} ms a message, calm after {} s{}",
            self.seed,
            cast.accounts,
            cast.hosts,
            cast.points_an_hour,
            cast.latency.0,
            cast.latency.1,
            cast.ends_at / 1_000,
            if cast.nudged { ", then told that the network is back" } else { "" }.to_owned()
                + if cast.live { ", live" } else { "" },
        )?;
        for (n, seat) in cast.seats.iter().enumerate() {
            let who = seat.account.map_or("nobody".to_owned(), |account| format!("account {account}"));
            let stream = if seat.firehose { "firehose" } else { "jetstream" };
            let skew = seat.skew / 1_000_000;
            writeln!(
                f,
                "  device {n}: {who}, opens at {} ms, clock off by {skew} s, {stream}",
                seat.opens_at
            )?;
        }
        for act in &self.acts {
            writeln!(f, "  {:>9.3} s  {:?}", act.at as f64 / 1_000.0, act.deed)?;
        }
        Ok(())
    }
}
