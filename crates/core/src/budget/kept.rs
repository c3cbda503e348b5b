//! The budget in the store: one part for each replica, so that no two writers share a key.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ledger, Quota, WriteBudget};
use crate::{client_id::ReplicaId, time::Timestamp};

/// More minutes than a settled ledger can have.
const MOST_MINUTES: usize = 2_000;
/// More points than anyone can have spent in a minute.
const MOST_POINTS: u32 = 100_000;

/// A stored part of the budget that made no sense. What it held is assumed to be three fifths of each quota, until the
/// server's headers say what is true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record of what was written is unreadable ({why}); assuming that most of the quota is used")]
pub struct BudgetWarning {
    /// What was wrong with it.
    pub why: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    replica: ReplicaId,
    /// What the clock said when this was stored. Older programs did not keep it.
    #[serde(default)]
    at: Timestamp,
    /// Minutes since 1970 and the points spent in each.
    spent: Vec<(u64, u32)>,
    hour: KeptQuota,
    day: KeptQuota,
    blocked_until: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct KeptQuota {
    limit: u32,
    foreign: Option<(u32, Timestamp)>,
}

impl WriteBudget {
    /// This replica's part, to be stored before or with each write, under a key of its own.
    pub fn encode(&self) -> Vec<u8> {
        let quota = |quota: &Quota| KeptQuota { limit: quota.limit, foreign: quota.foreign };
        let kept = Kept {
            replica: self.replica.clone(),
            at: self.latest,
            spent: self.own.minutes().collect(),
            hour: quota(&self.hour),
            day: quota(&self.day),
            blocked_until: self.blocked_until,
        };
        serde_json::to_vec(&kept).expect("numbers and a plain name always serialise")
    }

    /// The budget as of now from all the parts that this account's replicas have stored on this device: the part of
    /// `replica` goes on, the others count.
    ///
    /// An unreadable part is reported by [`WriteBudget::warnings`] and assumed to have spent most of the quota.
    pub fn load<'a>(
        now: Timestamp,
        replica: &ReplicaId,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> WriteBudget {
        let mut budget = WriteBudget::new(replica.clone());
        let mut others = Vec::new();
        for part in parts {
            match parse(part) {
                Ok(kept) => {
                    // A clock that was set back since leaves as much to be waited for as there was.
                    let back = kept.at.saturating_since(now);
                    take_quota(&mut budget.hour, &kept.hour, back);
                    take_quota(&mut budget.day, &kept.day, back);
                    let blocked_until = kept.blocked_until.map(|until| until.saturating_sub(back));
                    budget.blocked_until = budget.blocked_until.max(blocked_until);
                    if kept.replica == *replica {
                        budget.own = Ledger::from_minutes(kept.spent);
                    } else {
                        others.extend(kept.spent);
                    }
                }
                Err(why) => {
                    tracing::warn!(why, "a part of the write budget is unreadable");
                    budget.warnings.push(BudgetWarning { why });
                }
            }
        }
        budget.others = Ledger::from_minutes(others);
        // Whatever the clock said when these were stored, nothing was spent later than now.
        budget.set_clock(now, true, Duration::ZERO);
        if !budget.warnings.is_empty() {
            for quota in [&mut budget.hour, &mut budget.day] {
                let assumed = quota.limit / 5 * 3;
                let known = quota.foreign.map_or(0, |(points, _)| points);
                quota.foreign = Some((assumed.max(known), now.saturating_add(quota.length)));
            }
        }
        budget
    }
}

fn parse(part: &[u8]) -> Result<Kept, String> {
    let kept: Kept = serde_json::from_slice(part).map_err(|e| e.to_string())?;
    if kept.spent.len() > MOST_MINUTES || kept.spent.iter().any(|(_, points)| *points > MOST_POINTS) {
        return Err("more was spent than can be".into());
    }
    if kept.hour.limit == 0 || kept.day.limit == 0 {
        return Err("a quota of nothing".into());
    }
    Ok(kept)
}

/// The strictest of what the parts know.
fn take_quota(quota: &mut Quota, kept: &KeptQuota, back: Duration) {
    quota.limit = quota.limit.min(kept.limit);
    if let Some((points, until)) = kept.foreign {
        let until = until.saturating_sub(back);
        let (known, known_until) = quota.foreign.unwrap_or((0, until));
        quota.foreign = Some((known.max(points.min(quota.usual)), known_until.max(until)));
    }
}
