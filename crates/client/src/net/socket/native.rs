//! WebSockets natively: tokio-tungstenite over rustls.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, protocol::WebSocketConfig},
};

use super::{MAX_MESSAGE, Message, SocketError};
use crate::{net::http, platform};

/// After this long without a message the other end is asked whether it is there.
const QUIET: Duration = Duration::from_secs(25);

pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(super) async fn connect(url: &str) -> Result<Self, SocketError> {
        http::use_ring();
        let limits =
            WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let connected = tokio_tungstenite::connect_async_with_config(url, Some(limits), true).await;
        let (stream, _response) = connected.map_err(|e| SocketError::Unreachable(e.to_string()))?;
        Ok(Self(stream))
    }

    pub(super) async fn next(&mut self) -> Result<Message, SocketError> {
        let mut asked = false;
        loop {
            let Ok(message) = platform::within(QUIET, self.0.next()).await else {
                if asked {
                    return Err(SocketError::TimedOut);
                }
                asked = true;
                self.0.send(tungstenite::Message::Ping(Default::default())).await.map_err(closed)?;
                continue;
            };
            asked = false;
            match message {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    return Ok(Message::Text(text.as_str().to_owned()));
                }
                Some(Ok(tungstenite::Message::Binary(bytes))) => return Ok(Message::Binary(bytes.into())),
                Some(Ok(tungstenite::Message::Close(frame))) => {
                    return Err(SocketError::Closed(
                        frame.map_or_else(String::new, |f| f.reason.as_str().to_owned()),
                    ));
                }
                // Pings are answered by the library.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(closed(error)),
                None => return Err(SocketError::Closed("without a word".into())),
            }
        }
    }
}

fn closed(error: tungstenite::Error) -> SocketError {
    SocketError::Closed(error.to_string())
}
