//! WebSockets in the browser.

use std::time::Duration;

use futures_channel::mpsc;
use futures_util::StreamExt;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use super::{MAX_MESSAGE, Message, SocketError};
use crate::{net::http, platform};

/// A page cannot ask the other end whether it is there; after this long without a message it connects anew.
const QUIET: Duration = Duration::from_secs(5 * 60);

enum Happened {
    Opened,
    Said(Message),
    Closed(String),
}

pub(super) struct Socket {
    socket: WebSocket,
    happened: mpsc::UnboundedReceiver<Happened>,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}

impl Socket {
    pub(super) async fn connect(url: &str) -> Result<Self, SocketError> {
        let socket = WebSocket::new(url).map_err(|e| SocketError::Unreachable(http::words(&e)))?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let (sender, happened) = mpsc::unbounded();
        let tell = move |what| {
            // Nobody may be listening any more.
            let _ = sender.unbounded_send(what);
        };
        let on_open = Closure::<dyn FnMut()>::new({
            let tell = tell.clone();
            move || tell(Happened::Opened)
        });
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new({
            let tell = tell.clone();
            move |event: MessageEvent| tell(read(&event))
        });
        let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            tell(Happened::Closed(event.reason()))
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        let mut this =
            Self { socket, happened, _on_open: on_open, _on_message: on_message, _on_close: on_close };
        match this.happened.next().await {
            Some(Happened::Opened) => Ok(this),
            _ => Err(SocketError::Unreachable("no connection".into())),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Message, SocketError> {
        loop {
            match platform::within(QUIET, self.happened.next()).await {
                Ok(Some(Happened::Said(message))) => return Ok(message),
                Ok(Some(Happened::Opened)) => {}
                Ok(Some(Happened::Closed(reason))) => return Err(SocketError::Closed(reason)),
                Ok(None) => return Err(SocketError::Closed("without a word".into())),
                Err(_) => return Err(SocketError::TimedOut),
            }
        }
    }
}

fn read(event: &MessageEvent) -> Happened {
    let data = event.data();
    if let Some(buffer) = data.dyn_ref::<ArrayBuffer>() {
        if buffer.byte_length() as usize > MAX_MESSAGE {
            return Happened::Closed("a message was too large".into());
        }
        return Happened::Said(Message::Binary(Uint8Array::new(buffer).to_vec()));
    }
    match data.as_string() {
        Some(text) if text.len() <= MAX_MESSAGE => Happened::Said(Message::Text(text)),
        _ => Happened::Closed("a message was too large".into()),
    }
}
