//! Serving one stream: connecting, reading, and going over to another list of repos without a gap.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{FutureExt, future::pending, select_biased};
use sheaf_repo::did::Did;

use super::{Shared, Source, bell::Unread, position::StreamPosition, until};
use crate::{
    net::{
        jetstream::Wanted,
        socket::{Message, Socket, SocketError},
    },
    platform::{self, LocalFuture},
};

/// A server may say that it listens a moment before it does. Repos that have not rung by then are rung once more.
const SETTLED: Duration = Duration::from_secs(2);

/// A connection to the same stream that is to replace the present one, for another list of repos.
type Replacement = LocalFuture<'static, Result<(Socket, Wanted), SocketError>>;

/// Why listening ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("it is not needed")]
    NotNeeded,
    #[error("{0}")]
    Failed(#[from] SocketError),
    #[error("it is too loud")]
    TooLoud,
}

impl Shared {
    /// Listens to one stream, once it is due and until it ends; gives it back for the policy to decide what comes next.
    pub(super) async fn serve_line(&self, source: Source) -> Source {
        self.wait_before_try(&source).await;
        let ended = self.listen_to(&source).await;
        tracing::info!(?source, why = ended.to_string(), "a stream ended");
        match ended {
            Ended::Failed(_) | Ended::TooLoud => self.went_down(&source),
            Ended::NotNeeded => self.lines.borrow_mut().let_go(&source),
        }
        source
    }

    /// Waits until the next try is due, or the device comes back online, and something is wanted.
    async fn wait_before_try(&self, source: &Source) {
        loop {
            let (retry, wanted) = (self.retry.version(), self.wanted_changed.version());
            let due = self.lines.borrow().not_before(source, platform::now());
            let useful = self.wanted(source).is_some();
            if due.is_none() && useful {
                return;
            }
            let due = if useful { due } else { None };
            select_biased! {
                () = self.retry.changed(retry).fuse() => {}
                () = self.wanted_changed.changed(wanted).fuse() => {}
                () = until(due).fuse() => {}
            }
        }
    }

    /// Listens until the connection ends, or nothing is wanted any more.
    async fn listen_to(&self, source: &Source) -> Ended {
        let bell = self.bell(source);
        let mut version = self.wanted_changed.version();
        let Some(mut wanted) = self.wanted(source) else { return Ended::NotNeeded };
        let mut position = StreamPosition::load(&self.store, bell.address()).await;
        let mut resumed = position.get();
        let mut socket = match Socket::connect(&bell.subscription(&wanted, resumed)).await {
            Ok(socket) => socket,
            Err(error) => {
                // Perhaps it does not take the position, and a browser cannot see why a connection fails.
                position.forget().await;
                return error.into();
            }
        };
        self.lines.borrow_mut().up(source, platform::now());
        self.changed.notify();
        self.decide().await;
        self.ring_all(wanted.dids.clone()).await;
        let mut unrung = wanted.dids.clone();
        let mut settled = settling();
        let mut replacement: Option<Replacement> = None;
        loop {
            // Dropping any of these loses nothing: a socket keeps what has arrived.
            let message = select_biased! {
                () = self.wanted_changed.changed(version).fuse() => {
                    version = self.wanted_changed.version();
                    let Some(now_wanted) = self.wanted(source) else { return Ended::NotNeeded };
                    if now_wanted == wanted {
                        replacement = None;
                    } else if bell.carries_everything() {
                        self.add(&mut wanted, now_wanted, &mut unrung).await;
                        settled = settling();
                    } else {
                        let address = bell.subscription(&now_wanted, position.get());
                        replacement = Some(Box::pin(async move {
                            Ok((Socket::connect(&address).await?, now_wanted))
                        }));
                    }
                    continue;
                }
                replaced = ready(&mut replacement).fuse() => {
                    // The old connection was listened to until now, so that there is no gap.
                    replacement = None;
                    match replaced {
                        Ok((new, now_wanted)) => {
                            socket = new;
                            resumed = position.get();
                            self.add(&mut wanted, now_wanted, &mut unrung).await;
                            unrung = wanted.dids.clone();
                            settled = settling();
                            continue;
                        }
                        Err(error) => {
                            position.forget().await;
                            return error.into();
                        }
                    }
                }
                message = socket.next().fuse() => message,
                () = (&mut settled).fuse() => {
                    settled = Box::pin(pending());
                    self.ring_all(std::mem::take(&mut unrung)).await;
                    continue;
                }
            };
            let message = match message {
                Ok(message) => message,
                Err(error) => return error.into(),
            };
            match bell.read(&message, &wanted) {
                Ok(reading) => {
                    let now = platform::now();
                    self.lines.borrow_mut().heard(source, reading.doorbell.as_ref(), now);
                    match reading.doorbell {
                        Some(doorbell) => {
                            unrung.remove(&doorbell.did);
                            self.ring(doorbell).await;
                            self.changed.notify();
                        }
                        None if self.lines.borrow_mut().heard_of_strangers(source, length(&message), now) => {
                            return Ended::TooLoud;
                        }
                        None => {}
                    }
                    if let Some(at) = reading.position {
                        if resumed.take().is_some_and(|from| at < from) {
                            // The position was another instance's, so that anything may have been missed.
                            self.ring_all(wanted.dids.clone()).await;
                        }
                        position.advance(at).await;
                    }
                }
                Err(Unread::Skip(why)) => tracing::debug!(why, ?source, "skipped"),
                Err(Unread::Ended(why)) => return SocketError::Closed(why).into(),
            }
        }
    }

    /// Goes over to another list of repos; whoever is new is rung.
    async fn add(&self, wanted: &mut Wanted, now_wanted: Wanted, unrung: &mut BTreeSet<Did>) {
        let new: BTreeSet<Did> = now_wanted.dids.difference(&wanted.dids).cloned().collect();
        *wanted = now_wanted;
        unrung.retain(|did| wanted.dids.contains(did));
        unrung.extend(new.iter().cloned());
        self.ring_all(new).await;
    }
}

fn settling() -> LocalFuture<'static, ()> {
    Box::pin(platform::sleep(SETTLED))
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
    }
}

/// Waits for the replacement, if there is to be one.
async fn ready(replacement: &mut Option<Replacement>) -> Result<(Socket, Wanted), SocketError> {
    match replacement {
        Some(connecting) => connecting.await,
        None => pending().await,
    }
}
