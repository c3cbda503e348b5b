//! Locks in the browser: Web Locks, which the browser lets go of when a tab is closed.

use std::{cell::RefCell, rc::Rc};

use futures_channel::oneshot;
use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};

use super::{Held, Locks};
use crate::platform::LocalFuture;

/// Locks shared by all tabs of the origin. Where the browser has none (an insecure context, an old browser) every lock
/// counts as held, so that every tab takes a fresh replica id, which is always safe.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebLocks;

impl WebLocks {
    /// The origin's locks.
    pub fn new() -> Self {
        Self
    }
}

struct HeldByPromise {
    /// Resolving the promise given to the browser lets go of the lock.
    resolve: Function,
}

impl Held for HeldByPromise {}

impl Drop for HeldByPromise {
    fn drop(&mut self) {
        let _ = self.resolve.call0(&JsValue::UNDEFINED);
    }
}

impl Locks for WebLocks {
    fn try_lock<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Option<Box<dyn Held>>> {
        Box::pin(async move {
            let taken = request(name).ok()?;
            taken.await.ok().flatten().map(|held| Box::new(held) as Box<dyn Held>)
        })
    }
}

/// `navigator.locks.request(name, { ifAvailable: true }, lock => lock && new Promise(…))`
fn request(name: &str) -> Result<oneshot::Receiver<Option<HeldByPromise>>, JsValue> {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into())?;
    let locks = Reflect::get(&navigator, &"locks".into())?;
    let request: Function = Reflect::get(&locks, &"request".into())?.dyn_into()?;
    let options = Object::new();
    Reflect::set(&options, &"ifAvailable".into(), &JsValue::TRUE)?;
    let (sender, receiver) = oneshot::channel();
    let sender = Rc::new(RefCell::new(Some(sender)));
    // Should nobody wait any more, what was sent is dropped, which lets go of the lock.
    let answer = move |held| sender.borrow_mut().take().map(|sender| sender.send(held));
    let granted = Closure::once_into_js({
        let answer = answer.clone();
        move |lock: JsValue| -> JsValue {
            if lock.is_null() || lock.is_undefined() {
                answer(None);
                return JsValue::UNDEFINED;
            }
            let mut held = None;
            let promise = Promise::new(&mut |resolve, _reject| held = Some(HeldByPromise { resolve }));
            answer(held);
            promise.into()
        }
    });
    let outcome: Promise = request.call3(&locks, &JsValue::from_str(name), &options, &granted)?.dyn_into()?;
    // Where the browser refuses the request as a whole, the callback is never called.
    wasm_bindgen_futures::spawn_local(async move {
        let _ = wasm_bindgen_futures::JsFuture::from(outcome).await;
        answer(None);
    });
    Ok(receiver)
}
