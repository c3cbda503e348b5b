//! What the streams have in common.
//!
//! A [`Bell`] is how one kind of stream is asked for what is wanted, and what its messages mean: functions of their inputs,
//! the same natively and in the browser, so that a new kind of stream is one small file. What takes time (connecting,
//! waiting, connecting again) is the same for all of them and is done once, in [`super::line`].
//!
//! Polling is no bell. Core looks of its own accord, often while it is told that nothing is connected and now and then all
//! the same, because only core knows what a look costs and finds, and because a simulated network must be able to do without
//! any stream. See `docs/adr/0013-doorbells.md`.

use sheaf_core::replica::Doorbell;

use crate::net::{
    firehose::FrameError,
    jetstream::{NotAnEvent, Wanted},
    socket::Message,
};

/// One kind of stream at one address.
pub(crate) trait Bell {
    /// Its address without what is wanted: the name it is known by in logs and in the store.
    fn address(&self) -> &str;

    /// Where to connect to hear of what is wanted, from this position on if it can resume there.
    fn subscription(&self, wanted: &Wanted, from: Option<u64>) -> String;

    /// Whether one connection serves any list of repos: the stream carries everything, and is filtered here.
    fn carries_everything(&self) -> bool {
        false
    }

    /// What a message says.
    ///
    /// # Errors
    /// [`Unread`], by whether the stream goes on.
    fn read(&self, message: &Message, wanted: &Wanted) -> Result<Reading, Unread>;
}

/// What a message says.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Its place in the stream, where one can resume there.
    pub(crate) position: Option<u64>,
    /// Where to look, if it concerns what is wanted.
    pub(crate) doorbell: Option<Doorbell>,
}

/// Why a message says nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It makes no sense; the next one may.
    Skip(String),
    /// It is the last one.
    Ended(String),
}

impl From<NotAnEvent> for Unread {
    fn from(why: NotAnEvent) -> Self {
        match why {
            NotAnEvent::Unreadable(why) => Unread::Skip(why),
            NotAnEvent::Ended(why) => Unread::Ended(why),
        }
    }
}

impl From<FrameError> for Unread {
    fn from(why: FrameError) -> Self {
        match why {
            FrameError::Unreadable(why) => Unread::Skip(why),
            FrameError::Ended(why) => Unread::Ended(why),
        }
    }
}
