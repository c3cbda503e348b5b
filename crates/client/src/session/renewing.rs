//! Renewing a session: to the end, and one at a time.
//!
//! A refresh token counts once. The server that has been shown it gives new tokens, and whoever shows the old one again
//! loses the session. So a renewal that has begun is never given up, whoever has stopped waiting for it, and of several
//! programs with the same session one renews it and the others take over what it got.

use std::{cell::Cell, rc::Rc, time::Duration};

use futures_channel::oneshot;

use super::{AuthedError, SessionStore};
use crate::{net::http::HttpError, platform, signal::Signal, slots::Held};

/// How long to wait for another program that renews the session.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often to look whether it is done.
const LOOK: Duration = Duration::from_millis(50);

/// The renewals under way in this program.
#[derive(Default)]
pub(super) struct Renewals {
    under_way: Cell<usize>,
    ended: Signal,
}

impl Renewals {
    /// Carries a renewal out in a task of its own and waits for it; should the caller wait no more, it goes on.
    pub(super) async fn to_the_end(
        self: &Rc<Self>,
        renewal: impl Future<Output = Result<(), AuthedError>> + 'static,
    ) -> Result<(), AuthedError> {
        let (sender, outcome) = oneshot::channel();
        self.under_way.set(self.under_way.get() + 1);
        let this = self.clone();
        platform::spawn(async move {
            let renewed = renewal.await;
            this.under_way.set(this.under_way.get() - 1);
            this.ended.notify();
            let _ = sender.send(renewed);
        });
        outcome.await.unwrap_or_else(|_| Err(HttpError::Interrupted("the program ends".into()).into()))
    }

    /// Waits until none is under way.
    pub(super) async fn ended(&self) {
        loop {
            let version = self.ended.version();
            if self.under_way.get() == 0 {
                return;
            }
            self.ended.changed(version).await;
        }
    }
}

/// Waits for the right to renew what is kept in `store`, which is let go when what is returned is dropped.
pub(super) async fn alone(store: &dyn SessionStore) -> Result<Option<Box<dyn Held>>, AuthedError> {
    let mine = async {
        loop {
            match store.try_lock() {
                Ok(Some(held)) => return Some(held),
                Ok(None) => platform::sleep(LOOK).await,
                Err(error) => {
                    // Better together than not at all.
                    tracing::warn!(%error, "the session cannot be locked");
                    return None;
                }
            }
        }
    };
    let waited = platform::within(PATIENCE, mine).await;
    waited.map_err(|_| HttpError::Unreachable("another program is renewing the session".into()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_goes_on_when_nobody_waits_for_it_any_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let renewals = Rc::new(Renewals::default());
            let (server, answer) = oneshot::channel::<()>();
            let kept = Rc::new(Cell::new(false));
            let renewal = {
                let kept = kept.clone();
                async move {
                    let _ = answer.await;
                    kept.set(true);
                    Ok(())
                }
            };
            let waiting = renewals.to_the_end(renewal);
            assert!(platform::within(Duration::from_millis(1), waiting).await.is_err());
            assert!(!kept.get());
            server.send(()).unwrap();
            renewals.ended().await;
            assert!(kept.get());
        });
    }
}
