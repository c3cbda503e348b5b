//! The face for JavaScript: the transport as a class, and what happens on it as calls of one function.
//!
//! The engine is another module with a memory of its own. What goes between the two passes through the page's worker, which
//! hands it on and looks at none of it.

use futures_util::StreamExt;
use wasm_bindgen::prelude::*;

use crate::{Config, Happening, Transport};

/// An endpoint in the browser.
#[wasm_bindgen]
pub struct LiveTransport(Transport);

#[wasm_bindgen]
impl LiveTransport {
    /// Starts an endpoint with this secret of 32 bytes. `happened(kind, link, text, bytes, dialled)` is told of everything:
    ///
    /// * `ready`: `bytes` is its own id, `text` the relay it is at home with;
    /// * `linked`: `link` about the topic `text` with the endpoint `bytes`;
    /// * `not-reached`: the endpoint `bytes` about the topic `text`;
    /// * `frame`: `bytes` came on `link`;
    /// * `unlinked`: `link` has ended.
    ///
    /// # Errors
    /// When the secret is none.
    #[wasm_bindgen(constructor)]
    pub fn new(
        secret: &[u8],
        relays: Vec<String>,
        #[wasm_bindgen(
            unchecked_param_type = "(kind: string, link: number, text: string, bytes: Uint8Array, dialled: boolean) => void"
        )]
        happened: js_sys::Function,
    ) -> Result<LiveTransport, JsError> {
        let secret = secret.try_into().map_err(|_| JsError::new("a secret has 32 bytes"))?;
        let (transport, mut happenings) = Transport::start(Config { secret, relays, relay_only: true });
        wasm_bindgen_futures::spawn_local(async move {
            while let Some(happening) = happenings.next().await {
                tell(&happened, happening);
            }
        });
        Ok(LiveTransport(transport))
    }

    /// Takes links of this topic from now on.
    pub fn listen(&self, topic: &str) {
        self.0.listen(topic);
    }

    /// Takes them no more.
    pub fn unlisten(&self, topic: &str) {
        self.0.unlisten(topic);
    }

    /// Tries to reach an endpoint.
    pub fn dial(&self, topic: &str, peer: &[u8], relay: Option<String>) {
        if let Ok(peer) = peer.try_into() {
            self.0.dial(topic, peer, relay);
        }
    }

    /// Sends a frame on a link.
    pub fn send(&self, link: f64, frame: Vec<u8>) {
        self.0.send(link as u64, frame);
    }

    /// Ends a link once what was sent on it has left.
    #[wasm_bindgen(js_name = hangUp)]
    pub fn hang_up(&self, link: f64) {
        self.0.hang_up(link as u64);
    }
}

fn tell(happened: &js_sys::Function, happening: Happening) {
    // Links are counted from 1, and no page lives to see 2^53 of them.
    let (kind, link, text, bytes, dialled) = match &happening {
        Happening::Ready { endpoint, relay } => ("ready", 0, relay.as_str(), endpoint.as_slice(), false),
        Happening::Linked { link, topic, peer, dialled } => {
            ("linked", *link, topic.as_str(), peer.as_slice(), *dialled)
        }
        Happening::NotReached { topic, peer } => ("not-reached", 0, topic.as_str(), peer.as_slice(), true),
        Happening::Frame { link, bytes } => ("frame", *link, "", bytes.as_slice(), false),
        Happening::Unlinked { link } => ("unlinked", *link, "", [].as_slice(), false),
    };
    let arguments = js_sys::Array::of5(
        &kind.into(),
        &(link as f64).into(),
        &text.into(),
        &js_sys::Uint8Array::from(bytes).into(),
        &dialled.into(),
    );
    // The worker's own failure is the worker's: it is on its console already.
    let _ = happened.apply(&JsValue::NULL, &arguments);
}
