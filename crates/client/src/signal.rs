//! Waking whoever waits for something shared to change, within one thread.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

/// Counts changes and wakes those who wait for the next one.
#[derive(Default)]
pub(crate) struct Signal {
    version: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// How many changes there have been. Take it before looking at what is shared, so that none is missed.
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    /// Something changed.
    pub(crate) fn notify(&self) {
        self.version.set(self.version.get() + 1);
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until something has changed since `version`.
    pub(crate) async fn changed(&self, version: u64) {
        poll_fn(|context| {
            if self.version.get() != version {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_change_before_waiting_is_not_missed() {
        let signal = Signal::default();
        let version = signal.version();
        assert!(signal.changed(version).now_or_never().is_none());
        signal.notify();
        assert!(signal.changed(version).now_or_never().is_some());
        assert!(signal.changed(signal.version()).now_or_never().is_none());
    }
}
