//! tokio and the operating system.

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sheaf_core::time::Timestamp;

pub(super) fn now() -> Timestamp {
    // A clock set before 1970 reads as 1970: late, but never a panic.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

pub(super) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub(super) fn spawn(task: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(task);
}
