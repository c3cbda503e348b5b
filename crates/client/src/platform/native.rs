//! tokio and the operating system.

use std::{
    future::Future,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sheaf_core::time::Timestamp;

use super::clock::Clocks;

pub(super) fn clocks() -> Clocks {
    static START: OnceLock<Instant> = OnceLock::new();
    // A clock set before 1970 reads as 1970: late, but never a panic.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clocks {
        wall: Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX)),
        running: START.get_or_init(Instant::now).elapsed(),
    }
}

pub(super) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub(super) fn spawn(task: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(task);
}
