//! Who is here, and where in the text: presence, with an expiry of our own.
//!
//! Everyone announces themselves by a record in their own repo that is overwritten in place. [`PresenceTable`] is what the
//! others' records say; [`OwnAwareness`] decides when this replica writes its own. Nothing here is kept over a restart and
//! nothing of it is ever waited for: presence is an ornament.
//!
//! # Clocks
//!
//! A record says when it expires by its author's clock, which may be wrong. It is believed for at most [`LONGEST_LIFE`]
//! from when it is read. Two different records of one replica within that time, the later with the later expiry, prove by
//! themselves that somebody is there, whatever their clock says; and an expiry that moves back is a farewell.
//!
//! ```
//! use std::time::Duration;
//! use sheaf_core::{awareness::{OwnAwareness, PresenceTable}, budget::WriteBudget, record::AwarenessRecord, time::Timestamp};
//!
//! let now = Timestamp::from_millis(1_795_401_000_000);
//! let mut own = OwnAwareness::new(now);
//! let budget = WriteBudget::new("k3x9".parse()?);
//! let record = AwarenessRecord {
//!     document: "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse()?,
//!     replica: "k3x9".parse()?,
//!     name: Some("Ada".into()),
//!     color: None,
//!     caret: None,
//!     live: None,
//!     expires_at: own.due(now, &budget).expect("the first announcement is due at once"),
//! };
//! own.written(now);
//! assert_eq!(own.due(now, &budget), None);
//!
//! let mut people = PresenceTable::default();
//! people.observe(&"did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse()?, &record, now);
//! assert_eq!(people.iter().count(), 1);
//! assert!(people.expire(now.saturating_add(Duration::from_secs(121))));
//! assert_eq!(people.iter().count(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod own;
mod table;

use std::time::Duration;

pub use self::{
    own::OwnAwareness,
    table::{PresenceTable, Present},
};

/// How long an announcement holds.
pub const LIFE: Duration = Duration::from_secs(120);
/// When it is announced again, if nothing else made us do so before.
pub const REFRESH: Duration = Duration::from_secs(75);
/// The same while everyone who is here is heard on the live channel.
pub const SELDOM: Duration = Duration::from_secs(270);
/// The longest that a record is believed, whatever it says.
pub const LONGEST_LIFE: Duration = Duration::from_secs(300);
/// The most people that are kept track of: the owner and as many editors as a document may have.
pub const MAX_PEOPLE: usize = 101;

#[cfg(test)]
mod tests;
