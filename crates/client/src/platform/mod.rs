//! The clock, waiting, chance and tasks: what core does not have and every platform has differently.

use std::{
    future::Future,
    pin::{Pin, pin},
    time::Duration,
};

use futures_util::future::{Either, select};
use sheaf_core::time::Timestamp;

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

mod clock;

#[cfg(target_arch = "wasm32")]
use browser as imp;
#[cfg(not(target_arch = "wasm32"))]
use native as imp;

/// A boxed future that stays on its thread, which is all this crate ever needs.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The device's time. It never goes back while the program runs, whatever becomes of the wall clock: everything that waits
/// for a time would wait too long.
pub fn now() -> Timestamp {
    clock::now(imp::clocks())
}

/// Waits for at least `duration`.
pub async fn sleep(duration: Duration) {
    imp::sleep(duration).await;
}

/// Runs a task on this thread until it ends. Natively there must be a `tokio::task::LocalSet` around.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    imp::spawn(task);
}

/// Random bytes from the operating system or the browser.
///
/// # Panics
/// When the platform has no randomness at all: nothing that follows would be safe.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("every supported platform provides randomness");
    bytes
}

/// A random number, for jitter and seeds.
pub fn random_u64() -> u64 {
    u64::from_le_bytes(random_bytes())
}

/// `base` or up to a quarter more, so that many clients that failed together do not come back together.
pub(crate) fn jittered(base: Duration) -> Duration {
    base + base.mul_f64((random_u64() % 1024) as f64 / 4096.0)
}

/// The time given to [`within`] is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it took too long")]
pub struct Elapsed;

/// Awaits `future` for at most `limit`; dropping it is how it is cancelled.
///
/// # Errors
/// [`Elapsed`] when it was not ready in time.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    match select(pin!(future), pin!(sleep(limit))).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(((), _)) => Err(Elapsed),
    }
}
