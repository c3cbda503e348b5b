//! How fast an account may write: the governor of its PDS's write quota.
//!
//! A PDS gives every account 5,000 points an hour and 35,000 a day; a create costs 3, an update 2, a delete 1, and
//! `putRecord` always 2. Whoever goes over is answered 429 until the window ends, which to a person looks like an hour of
//! "not published". [`WriteBudget`] keeps an account away from that edge:
//!
//! * **It counts.** The server's windows are fixed ones whose beginning only the server knows, so we allow no more than the
//!   quota in *any* window of that length, whatever its phase. Spending is kept by the minute, always rounded towards
//!   "still counts". `RateLimit-*` headers tell what other devices of the account have spent.
//! * **It paces.** [`WriteBudget::interval`] is the flush window. It asks which constant pace could be kept up for ever from
//!   here, knowing when each point spent comes back. While that pace is near what the quota gives anyway, the window is
//!   250 ms; as it falls the window stretches smoothly and it never falls further than it takes to go on for ever. It means
//!   to use seven tenths of the hour's quota, so that ten busy hours make the day's and other devices have room; the rest is
//!   used only where those are used up.
//! * **It has an order.** Presence yields first, when half of a quota is used; text stops short of the last points, which
//!   are for the document record: removing an editor must always be possible.
//!
//! Spending is kept for each replica of the account on this device ([`WriteBudget::encode`], [`WriteBudget::load`]), so it
//! survives a restart and no two writers share a key.
//!
//! ```
//! use std::time::Duration;
//! use sheaf_core::{budget::{Priority, WriteBudget}, time::Timestamp};
//!
//! let mut now = Timestamp::from_millis(1_795_401_000_000);
//! let mut budget = WriteBudget::new("k3x9".parse().unwrap());
//! assert_eq!(budget.interval(2), Duration::from_millis(250));
//! for _ in 0..1_500 {
//!     budget.spend(now, 2);
//!     now = now.saturating_add(budget.interval(2));
//! }
//! assert!(budget.interval(2) > Duration::from_millis(900));
//! assert!(budget.may_spend(now, 2, Priority::Segment).is_ok());
//! assert!(budget.may_spend(now, 2, Priority::Awareness).is_err());
//! ```

mod kept;
mod ledger;

use std::time::Duration;

pub use self::kept::BudgetWarning;
use self::ledger::{Ledger, MINUTE};
use crate::{client_id::ReplicaId, time::Timestamp};

/// What an update, and so every `putRecord`, costs.
pub const PUT_POINTS: u32 = 2;
/// The flush window while there is plenty.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
/// The longest flush window for the sake of leaving a part of the quota to others.
const MEANT_INTERVAL: Duration = Duration::from_secs(5);
/// The longest flush window. It takes other devices of the same account, or a smaller quota, to come near it.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// A wait that a server may ask for; after a longer one we ask again all the same.
const LONGEST_THROTTLE: Duration = Duration::from_secs(3_600);
/// The wait after a 429 that does not say for how long.
const UNSAID_THROTTLE: Duration = Duration::from_secs(60);
/// With this few points left in a window that is neither the hour nor the day, we wait for its end.
const FEW: u32 = 10;

/// What a write is for; the weightier may use more of the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Presence and carets: only while at least half of each quota is left.
    Awareness,
    /// Text: all but the last fiftieth of each quota.
    Segment,
    /// The document record, with its title and editors: everything there is.
    Membership,
}

/// What `RateLimit-*` headers tell about the account's quota, whichever of its windows is tightest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Points in the window.
    pub limit: u32,
    /// Points left in it.
    pub remaining: u32,
    /// When the window starts anew.
    pub reset: Timestamp,
    /// How long the window is.
    pub window: Duration,
}

/// One of the two quotas.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Quota {
    length: Duration,
    /// Points in the window: what a PDS usually gives, or less if this one says so.
    limit: u32,
    /// The usual limit.
    usual: u32,
    /// What we mean to use of it while nobody is in need of the rest, in thousandths.
    meant: u32,
    /// The pace, in thousandths of what the quota gives for ever, from which the flush window begins to stretch …
    knee: u32,
    /// … and at which it has stretched to just that pace.
    floor: u32,
    /// Points that somebody else has spent, by the server's count, and when the server forgets them.
    foreign: Option<(u32, Timestamp)>,
}

impl Quota {
    fn hour() -> Quota {
        Quota {
            length: Duration::from_secs(3_600),
            limit: 5_000,
            usual: 5_000,
            meant: 700,
            knee: 850,
            floor: 400,
            foreign: None,
        }
    }

    fn day() -> Quota {
        Quota {
            length: Duration::from_secs(86_400),
            limit: 35_000,
            usual: 35_000,
            meant: 980,
            knee: 750,
            floor: 580,
            foreign: None,
        }
    }

    /// How much of the quota steady writing uses.
    fn meant(&self) -> u32 {
        u32::try_from(u64::from(self.limit) * u64::from(self.meant) / 1_000).expect("less than the limit")
    }

    /// How much of the quota writes of this priority may use.
    fn allowance(&self, priority: Priority) -> u32 {
        match priority {
            Priority::Awareness => self.limit / 2,
            Priority::Segment => self.limit - self.limit / 50,
            Priority::Membership => self.limit,
        }
    }
}

/// What an account has spent of its write quota, and from that, when and how often it may write.
#[derive(Debug, Clone)]
pub struct WriteBudget {
    replica: ReplicaId,
    /// What this replica has spent.
    own: Ledger,
    /// What the other replicas of this device had spent when this one was opened.
    others: Ledger,
    hour: Quota,
    day: Quota,
    blocked_until: Option<Timestamp>,
    /// The latest time we were told.
    latest: Timestamp,
    warnings: Vec<BudgetWarning>,
}

impl WriteBudget {
    /// Nothing spent yet.
    pub fn new(replica: ReplicaId) -> Self {
        WriteBudget {
            replica,
            own: Ledger::default(),
            others: Ledger::default(),
            hour: Quota::hour(),
            day: Quota::day(),
            blocked_until: None,
            latest: Timestamp::EPOCH,
            warnings: Vec::new(),
        }
    }

    /// Counts a write that is being sent. The server counts what it is asked, so this is not taken back when a write fails.
    pub fn spend(&mut self, now: Timestamp, points: u32) {
        self.settle(now);
        self.own.add(now, points);
    }

    /// Tells the time, so that a device clock that was set back does not stretch what was spent "in the future". Cheap;
    /// meant to be called with every event.
    pub fn settle(&mut self, now: Timestamp) {
        if now == self.latest {
            return;
        }
        let back = now < self.latest;
        self.set_clock(now, back, self.latest.saturating_since(now));
    }

    /// It is now this time. A clock that went `back` by so much leaves as much to be waited for as there was.
    fn set_clock(&mut self, now: Timestamp, back: bool, by: Duration) {
        self.latest = now;
        if let Some(until) = &mut self.blocked_until {
            *until = until.saturating_sub(by).min(now.saturating_add(LONGEST_THROTTLE));
        }
        let until_at_most = |quota: &mut Quota| {
            if let Some((_, until)) = &mut quota.foreign {
                *until = until.saturating_sub(by).min(now.saturating_add(quota.length));
            }
        };
        until_at_most(&mut self.hour);
        until_at_most(&mut self.day);
        self.own.settle(now, back);
        self.others.settle(now, back);
    }

    /// Whether this many points may be spent now.
    ///
    /// # Errors
    /// With the time at which they may, if nothing else is spent until then.
    pub fn may_spend(&self, now: Timestamp, points: u32, priority: Priority) -> Result<(), Timestamp> {
        match self.allowed_at(points, priority) {
            Some(at) if at > now => Err(at),
            _ => Ok(()),
        }
    }

    /// From when on this many points may be spent if nothing else is spent until then; `None` when at any time.
    pub fn allowed_at(&self, points: u32, priority: Priority) -> Option<Timestamp> {
        let of_quota = |quota: &Quota| {
            let allowance = quota.allowance(priority).saturating_sub(points);
            let returns = self.returns(quota);
            let mut used: u32 = returns.iter().map(|(_, points)| points).sum();
            let mut at = None;
            for (back_at, points) in returns {
                if used <= allowance {
                    break;
                }
                used -= points;
                at = Some(back_at);
            }
            at
        };
        [of_quota(&self.hour), of_quota(&self.day), self.blocked_until].into_iter().flatten().max()
    }

    /// The flush window after the last write: how long to wait from that write until the next of this many points.
    ///
    /// After a pause longer than that the next write leaves at once. The more has been spent, the longer the window; it
    /// does not look at [`WriteBudget::allowed_at`], which holds beside it.
    pub fn interval(&self, points: u32) -> Duration {
        let of = |allowances: [u32; 2]| {
            let [hour, day] = allowances;
            self.window(&self.hour, hour, points).max(self.window(&self.day, day, points))
        };
        // What others left over of what we mean to use may be nothing; there is still the rest of the quota.
        let meant = of([self.hour.meant(), self.day.meant()]);
        let whole = of([&self.hour, &self.day].map(|quota| quota.allowance(Priority::Segment)));
        meant.min(whole.max(MEANT_INTERVAL))
    }

    /// The flush window by which this much of the quota lasts for ever.
    fn window(&self, quota: &Quota, allowance: u32, points: u32) -> Duration {
        let given = f64::from(allowance) / quota.length.as_secs_f64();
        let lasting = self.lasting_pace(quota, allowance, points);
        let shortest = SHORTEST_INTERVAL.as_secs_f64();
        let knee = given * f64::from(quota.knee) / 1_000.0;
        let floor = given * f64::from(quota.floor) / 1_000.0;
        let points = f64::from(points);
        let seconds = if lasting <= floor {
            (points / lasting.max(f64::MIN_POSITIVE)).max(shortest)
        } else {
            // Half-way from knee to floor is half-way by ratio, which a person perceives as even.
            let way = ((knee - lasting) / (knee - floor)).clamp(0.0, 1.0);
            let longest = (points / floor).max(shortest);
            shortest * (longest / shortest).powf(way)
        };
        Duration::from_secs_f64(seconds.min(LONGEST_INTERVAL.as_secs_f64()))
    }

    /// Takes what the server's headers say. They know of the account's other devices, so this can only lower what is left.
    pub fn limits(&mut self, now: Timestamp, limits: &RateLimits) {
        self.settle(now);
        let minutes = limits.window.as_secs() / 60;
        let quota = match minutes {
            45..=75 => &mut self.hour,
            1_200..=1_700 => &mut self.day,
            _ => {
                if limits.remaining <= FEW && limits.reset > now {
                    self.block(limits.reset.min(now.saturating_add(LONGEST_THROTTLE)));
                }
                return;
            }
        };
        quota.limit = limits.limit.clamp(1, quota.usual);
        // A server whose clock differs from ours may name a reset in our past, or one too far away.
        let latest = now.saturating_add(quota.length);
        let reset = if limits.reset > now { limits.reset.min(latest) } else { latest };
        let since = reset.saturating_sub(quota.length);
        let ours = self.own.spent_since(since) + self.others.spent_since(since);
        let used = limits.limit.saturating_sub(limits.remaining);
        let foreign = used.saturating_sub(ours).min(limits.limit);
        quota.foreign = (foreign > 0).then(|| (foreign, reset.saturating_add(MINUTE)));
    }

    /// A real 429: nothing is sent before `retry_after` (a minute if the server did not say) is over.
    pub fn throttled(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        self.settle(now);
        self.block(now.saturating_add(retry_after.unwrap_or(UNSAID_THROTTLE).min(LONGEST_THROTTLE)));
    }

    /// Points left for text in this hour, by what this device knows.
    pub fn points_left(&self, now: Timestamp) -> u32 {
        self.left(&self.hour, now)
    }

    /// The same in this day.
    pub fn points_left_today(&self, now: Timestamp) -> u32 {
        self.left(&self.day, now)
    }

    fn left(&self, quota: &Quota, now: Timestamp) -> u32 {
        let used = self.returns(quota).iter().filter(|(at, _)| *at > now).map(|(_, points)| points).sum();
        quota.limit.saturating_sub(used)
    }

    /// What [`WriteBudget::load`] could not read, if anything.
    pub fn warnings(&self) -> &[BudgetWarning] {
        &self.warnings
    }

    fn block(&mut self, until: Timestamp) {
        self.blocked_until = Some(self.blocked_until.map_or(until, |known| known.max(until)));
    }

    /// When which points spent come back to this quota, in order of time.
    fn returns(&self, quota: &Quota) -> Vec<(Timestamp, u32)> {
        let mut returns: Vec<(Timestamp, u32)> =
            self.own.returns(quota.length).chain(self.others.returns(quota.length)).collect();
        returns.extend(quota.foreign.map(|(points, until)| (until, points)));
        returns.sort_unstable();
        returns
    }

    /// The greatest constant pace, in points a second, that never runs into the end of this quota from here on, but for one
    /// write of this many points.
    fn lasting_pace(&self, quota: &Quota, allowance: u32, points: u32) -> f64 {
        let one_write = f64::from(points);
        let allowance = f64::from(allowance);
        let mut pace = allowance / quota.length.as_secs_f64();
        let returns: Vec<_> = self.returns(quota).into_iter().filter(|(at, _)| *at > self.latest).collect();
        let mut held: u32 = returns.iter().map(|(_, points)| points).sum();
        for (at, points) in returns {
            // Until just before these points come back we have what nobody holds.
            let left = (allowance - f64::from(held)).max(one_write);
            pace = pace.min(left / at.saturating_since(self.latest).as_secs_f64());
            held -= points;
        }
        pace
    }
}
