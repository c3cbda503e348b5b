//! A library that panics on some answers, heard as one that returns an error.

use std::{
    cell::Cell,
    future::poll_fn,
    panic::{self, AssertUnwindSafe},
    pin::pin,
};

use futures_util::FutureExt;

thread_local! {
    /// Whether a panic on this thread will be caught and told as an error.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Awaits a call of the library; what it gives up on by panicking is an error like any other.
pub(super) async fn calmly<T, E: std::fmt::Display>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    let mut call = pin!(AssertUnwindSafe(call).catch_unwind());
    let outcome = poll_fn(|context| {
        let before = EXPECTED.replace(true);
        let polled = call.as_mut().poll(context);
        EXPECTED.set(before);
        polled
    });
    match outcome.await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("its answer was not understood".into()),
    }
}

/// Has nothing printed about panics that are caught here and told as errors. For a program's `main`: the sentence that
/// follows is what the person is to read.
pub fn hush_expected_panics() {
    let other_panics = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !EXPECTED.get() {
            other_panics(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn a_panic_is_an_error_and_says_nothing() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static TOLD: AtomicUsize = AtomicUsize::new(0);
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Other tests of this process may panic, too.
            if info.payload().downcast_ref::<&str>().is_some_and(|what| what.contains("of this test")) {
                TOLD.fetch_add(1, Ordering::SeqCst);
            } else {
                others(info);
            }
        }));
        hush_expected_panics();
        let panicking = async { panic!("a panic of this test") };
        let outcome = calmly::<(), Infallible>(panicking).now_or_never().unwrap();
        assert_eq!(outcome, Err("its answer was not understood".to_owned()));
        assert_eq!(TOLD.load(Ordering::SeqCst), 0);
        assert!(panic::catch_unwind(|| panic!("another panic of this test")).is_err());
        assert_eq!(TOLD.load(Ordering::SeqCst), 1, "unexpected ones are told as ever");
        assert_eq!(calmly(async { Err::<(), _>("no") }).now_or_never().unwrap(), Err("no".to_owned()));
    }
}
