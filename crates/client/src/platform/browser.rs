//! The browser's loop. Works in a window and in a worker alike.

use std::{future::Future, time::Duration};

use js_sys::{Function, Promise, Reflect};
use sheaf_core::time::Timestamp;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

use super::clock::Clocks;

#[wasm_bindgen]
extern "C" {
    /// Milliseconds since the page was opened.
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

pub(super) fn clocks() -> Clocks {
    let millis = js_sys::Date::now().max(0.0);
    Clocks {
        wall: Timestamp::from_micros((millis * 1000.0) as u64),
        running: Duration::try_from_secs_f64(performance_now() / 1000.0).unwrap_or_default(),
    }
}

/// Clears its timer when dropped, so that a time-out that was not needed costs nothing later.
struct Timer(JsValue);

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(clear) = global_function("clearTimeout") {
            // Clearing a timer that has fired does nothing, and there is nothing to do about a failure here.
            let _ = clear.call1(&JsValue::UNDEFINED, &self.0);
        }
    }
}

fn global_function(name: &str) -> Option<Function> {
    Reflect::get(&js_sys::global(), &JsValue::from_str(name)).ok()?.dyn_into().ok()
}

pub(super) async fn sleep(duration: Duration) {
    // The timer's argument is a signed 32-bit number of milliseconds; longer waits come in pieces.
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
    while left > 0 {
        let piece = left.min(1 << 30);
        left -= piece;
        let mut timer = None;
        let promise = Promise::new(&mut |resolve, _reject| {
            timer = global_function("setTimeout")
                .and_then(|set| {
                    set.call2(&JsValue::UNDEFINED, &resolve, &JsValue::from_f64(piece as f64)).ok()
                })
                .map(Timer);
        });
        // The promise only ever resolves.
        let _ = JsFuture::from(promise).await;
        drop(timer);
    }
}

pub(super) fn spawn(task: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(task);
}
