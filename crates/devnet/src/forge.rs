//! A stream server shaped like Jetstream (version 1) that says whatever a test has it say: forged, moved, replayed or
//! broken events; or what the real Jetstream says, changed on the way.
//!
//! ```
//! use serde_json::json;
//! use sheaf_devnet::forge::{Forge, commit};
//!
//! # async fn example(real: String) -> anyhow::Result<()> {
//! let forge = Forge::start().await?;
//! // ... point the client at forge.url() ...
//! forge.client(0).await;
//! forge.send(&commit("did:plc:someone", "create", "dev.example.note", "one", json!({ "text": "never written" })));
//!
//! // Every event of the real one, twice:
//! let replaying = Forge::relay(&real, |event| vec![event.clone(), event]).await?;
//! # Ok(()) }
//! ```

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{accept_hdr_async, connect_async};

/// What a relayed event becomes: nothing, one event or several.
type Change = Arc<dyn Fn(Value) -> Vec<Value> + Send + Sync>;

/// How long [`Forge::wait_for`] waits: far longer than any client takes to connect.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that connected, as it showed itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// What stood after `?` in the address it asked for, as it was sent.
    pub query: String,
    /// What it said since, such as `options_update` messages; `null` for what was not JSON.
    pub said: Vec<Value>,
    /// Whether it is connected now.
    pub connected: bool,
}

/// A running stream server; dropping it cuts its clients off.
pub struct Forge {
    port: u16,
    state: Arc<State>,
    serving: AbortHandle,
}

struct State {
    clients: Mutex<Vec<(Client, mpsc::UnboundedSender<Message>)>>,
    /// Changes whenever anything about `clients` does.
    changed: watch::Sender<()>,
    relay: Option<(String, Change)>,
}

impl Forge {
    /// Starts one that says nothing of its own accord.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// Starts one that passes on what `upstream` (a Jetstream's `ws://…/subscribe`) says, each event as `change` makes
    /// it. Each client gets an upstream connection of its own, with the client's query and messages.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn relay(
        upstream: &str,
        change: impl Fn(Value) -> Vec<Value> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::start_with(Some((upstream.to_owned(), Arc::new(change)))).await
    }

    async fn start_with(relay: Option<(String, Change)>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the forge has no port")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State { clients: Mutex::default(), changed: watch::Sender::new(()), relay });
        let serving = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        Ok(Self { port, state, serving })
    }

    /// Where clients connect: `ws://localhost:PORT/subscribe`.
    pub fn url(&self) -> String {
        format!("ws://localhost:{}/subscribe", self.port)
    }

    /// Says this to every connected client, and returns to how many.
    pub fn send(&self, event: &Value) -> usize {
        self.send_text(&event.to_string())
    }

    /// Says this to every connected client, JSON or not, and returns to how many.
    pub fn send_text(&self, text: &str) -> usize {
        let clients = self.state.clients();
        clients
            .iter()
            .filter(|(client, out)| client.connected && out.send(Message::text(text)).is_ok())
            .count()
    }

    /// Cuts every client off. They may connect again, and count as new ones.
    pub fn disconnect(&self) {
        for (_, out) in self.state.clients().iter() {
            let _ = out.send(Message::Close(None));
        }
    }

    /// Every client there ever was, in the order they came.
    pub fn clients(&self) -> Vec<Client> {
        self.state.clients().iter().map(|(client, _)| client.clone()).collect()
    }

    /// Waits until the client numbered `index`, from 0, is there.
    ///
    /// # Panics
    /// When it does not come within 30 s.
    pub async fn client(&self, index: usize) -> Client {
        let clients = self.wait_for(|clients| clients.len() > index).await;
        clients[index].clone()
    }

    /// Waits until its clients are as `condition` says, and returns them.
    ///
    /// # Panics
    /// When they are not within 30 s.
    pub async fn wait_for(&self, condition: impl Fn(&[Client]) -> bool) -> Vec<Client> {
        let mut changed = self.state.changed.subscribe();
        let waiting = async {
            loop {
                let clients = self.clients();
                if condition(&clients) {
                    return clients;
                }
                changed.changed().await.expect("the forge holds the sender");
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(clients) => clients,
            Err(_) => panic!("the forge's clients did not become as expected: {:?}", self.clients()),
        }
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A commit event as Jetstream sends it, of now, with a made-up `rev` and `cid`. `operation` is `create`, `update` or
/// `delete`; the last has no record.
pub fn commit(did: &str, operation: &str, collection: &str, rkey: &str, record: Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut commit =
        json!({ "rev": "3zzzzzzzzzzzz", "operation": operation, "collection": collection, "rkey": rkey });
    if operation != "delete" {
        commit["record"] = record;
        commit["cid"] = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".into();
    }
    json!({ "did": did, "time_us": now.as_micros() as u64, "kind": "commit", "commit": commit })
}

impl State {
    fn clients(&self) -> MutexGuard<'_, Vec<(Client, mpsc::UnboundedSender<Message>)>> {
        self.clients.lock().expect("no holder of this lock panics")
    }

    fn arrived(&self, query: String, out: mpsc::UnboundedSender<Message>) -> usize {
        let mut clients = self.clients();
        clients.push((Client { query, said: Vec::new(), connected: true }, out));
        self.changed.send_replace(());
        clients.len() - 1
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Client)) {
        change(&mut self.clients()[index].0);
        self.changed.send_replace(());
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        connections.spawn(async move {
            if let Err(error) = talk(stream, &state).await {
                tracing::debug!(%error, "a client of the forge left");
            }
        });
    }
}

async fn talk(stream: TcpStream, state: &State) -> Result<()> {
    let mut query = String::new();
    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    let look = |request: &Request, response: Response| {
        query = request.uri().query().unwrap_or_default().to_owned();
        Ok(response)
    };
    let mut client = accept_hdr_async(stream, look).await?;
    let mut upstream = match &state.relay {
        Some((url, _)) => Some(connect_async(format!("{url}?{query}")).await?.0),
        None => None,
    };
    let (out, mut outgoing) = mpsc::unbounded_channel();
    let index = state.arrived(query, out);

    let done = async {
        loop {
            let relayed = async {
                match &mut upstream {
                    Some(upstream) => upstream.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(message) = outgoing.recv() => client.send(message).await?,
                message = relayed => {
                    let Some(message) = message.transpose()? else { return client.close(None).await };
                    for message in state.changed_on_the_way(message) {
                        client.send(message).await?;
                    }
                }
                message = client.next() => match message.transpose()? {
                    None | Some(Message::Close(_)) => return Ok(()),
                    Some(Message::Text(text)) => {
                        let said = serde_json::from_str(&text).unwrap_or_default();
                        state.change(index, |client| client.said.push(said));
                        if let Some(upstream) = &mut upstream {
                            upstream.send(Message::Text(text)).await?;
                        }
                    }
                    Some(_) => {}
                }
            }
        }
    }
    .await;
    state.change(index, |client| client.connected = false);
    Ok(done?)
}

impl State {
    fn changed_on_the_way(&self, message: Message) -> Vec<Message> {
        match (&self.relay, message) {
            (Some((_, change)), Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(event) => change(event).iter().map(|event| Message::text(event.to_string())).collect(),
                Err(_) => vec![Message::Text(text)],
            },
            // Each end answers pings for itself.
            (_, Message::Ping(_) | Message::Pong(_)) => Vec::new(),
            (_, other) => vec![other],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn texts(url: &str) -> impl futures_util::Stream<Item = Value> + Unpin + use<> {
        let (stream, _) = connect_async(url).await.unwrap();
        stream.filter_map(|message| {
            std::future::ready(match message {
                Ok(Message::Text(text)) => Some(serde_json::from_str(&text).unwrap()),
                _ => None,
            })
        })
    }

    #[tokio::test]
    async fn it_says_what_it_is_told_and_remembers_who_asked_for_what() {
        let forge = Forge::start().await.unwrap();
        assert_eq!(forge.send(&json!(0)), 0);
        let (mut stream, _) = connect_async(format!("{}?wantedDids=did:plc:a", forge.url())).await.unwrap();
        let client = forge.client(0).await;
        assert_eq!((client.query.as_str(), client.connected), ("wantedDids=did:plc:a", true));

        let event = commit("did:plc:a", "create", "dev.example.note", "one", json!({ "text": "👻" }));
        assert_eq!(forge.send(&event), 1);
        let Some(Ok(Message::Text(text))) = stream.next().await else { panic!("no event") };
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), event);

        let update = json!({ "type": "options_update", "payload": { "wantedDids": ["did:plc:b"] } });
        stream.send(Message::text(update.to_string())).await.unwrap();
        let clients = forge.wait_for(|clients| !clients[0].said.is_empty()).await;
        assert_eq!(clients[0].said, [update]);

        forge.disconnect();
        while !matches!(stream.next().await, None | Some(Err(_))) {}
        forge.wait_for(|clients| !clients[0].connected).await;
        assert_eq!(forge.send(&json!(0)), 0);
    }

    #[tokio::test]
    async fn it_relays_with_changes() {
        let real = Forge::start().await.unwrap();
        let relay = Forge::relay(&real.url(), |event| match event.as_u64() {
            Some(number) if number % 2 == 0 => vec![json!(number * 10), json!(number * 10)],
            _ => Vec::new(),
        })
        .await
        .unwrap();
        let mut events = texts(&format!("{}?cursor=5", relay.url())).await;
        assert_eq!(real.client(0).await.query, "cursor=5");
        relay.client(0).await;
        for number in [1, 2, 3, 4] {
            real.send(&json!(number));
        }
        for expected in [20, 20, 40, 40] {
            assert_eq!(events.next().await, Some(json!(expected)));
        }
        real.disconnect();
        assert_eq!(events.next().await, None, "the relay ends with what it relays");
    }
}
