//! The live channel's transport, as the page's worker hands it in: the engine's own idea of it, in JavaScript's clothes.

use std::rc::Rc;

use sheaf_client::net::live::{Happening, LiveTransport};
use sheaf_core::live::{EndpointId, LinkId};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TRANSPORT: &str = r"
/** What carries the live channel's frames; the module `sheaf_live` has one. */
export interface Transport {
  listen(topic: string): void;
  unlisten(topic: string): void;
  dial(topic: string, peer: Uint8Array, relay?: string): void;
  send(link: number, frame: Uint8Array): void;
  hangUp(link: number): void;
}
";

#[wasm_bindgen]
extern "C" {
    /// The transport as it is handed in.
    #[wasm_bindgen(typescript_type = "Transport")]
    pub type Transport;

    #[wasm_bindgen(method)]
    fn listen(this: &Transport, topic: &str);

    #[wasm_bindgen(method)]
    fn unlisten(this: &Transport, topic: &str);

    #[wasm_bindgen(method)]
    fn dial(this: &Transport, topic: &str, peer: &[u8], relay: Option<String>);

    #[wasm_bindgen(method)]
    fn send(this: &Transport, link: f64, frame: &[u8]);

    #[wasm_bindgen(method, js_name = hangUp)]
    fn hang_up(this: &Transport, link: f64);
}

/// What a transport of the live channel is to be made with.
#[wasm_bindgen(getter_with_clone)]
pub struct LiveSettings {
    /// The endpoint's secret.
    pub secret: Vec<u8>,
    /// The relays it may choose from.
    pub relays: Vec<String>,
}

struct Handed(Transport);

/// The transport as the client wants it.
pub(crate) fn handed(transport: Transport) -> Rc<dyn LiveTransport> {
    Rc::new(Handed(transport))
}

impl LiveTransport for Handed {
    fn listen(&self, topic: &str) {
        self.0.listen(topic);
    }

    fn unlisten(&self, topic: &str) {
        self.0.unlisten(topic);
    }

    fn dial(&self, topic: &str, peer: EndpointId, relay: Option<&str>) {
        self.0.dial(topic, &peer.0, relay.map(str::to_owned));
    }

    // Links are counted from 1, and no page lives to see 2^53 of them.
    fn send(&self, link: LinkId, frame: Vec<u8>) {
        self.0.send(link.0 as f64, &frame);
    }

    fn hang_up(&self, link: LinkId) {
        self.0.hang_up(link.0 as f64);
    }
}

/// What a transport tells, as its module says it. `None` for what it would not say.
pub(crate) fn happening(
    kind: &str,
    link: f64,
    text: String,
    bytes: Vec<u8>,
    dialled: bool,
) -> Option<Happening> {
    let link = LinkId(link as u64);
    let endpoint = |bytes: Vec<u8>| bytes.try_into().ok().map(EndpointId);
    Some(match kind {
        "ready" => Happening::Ready { endpoint: endpoint(bytes)?, relay: text },
        "linked" => Happening::Linked { link, topic: text, peer: endpoint(bytes)?, dialled },
        "not-reached" => Happening::NotReached { topic: text, peer: endpoint(bytes)? },
        "frame" => Happening::Frame { link, bytes },
        "unlinked" => Happening::Unlinked { link },
        _ => return None,
    })
}
