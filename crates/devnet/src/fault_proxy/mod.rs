//! A reverse proxy in front of a PDS on which a test has the network misbehave, exactly when and how it says.
//!
//! Rules are tried in the order they were given; the first that matches a request's path applies and is used up after
//! its count. Everything else passes through unchanged, WebSockets too, and is counted. Preflight requests of browsers
//! (`OPTIONS`) always pass: they are not what a test means by a request.
//!
//! ```
//! use std::time::Duration;
//! use sheaf_devnet::fault_proxy::{Fault, FaultProxy};
//!
//! # async fn example(network: sheaf_devnet::Network) -> anyhow::Result<()> {
//! let proxy = FaultProxy::start(network.pds(0).port()).await?;
//! proxy.fail_next(2, "com.atproto.repo.putRecord", Fault::LoseReply);
//! proxy.fail_next(1, "com.atproto.sync.", Fault::rate_limited(Duration::from_secs(3)));
//! // ... now point the client at proxy.url() ...
//! assert_eq!(proxy.traffic("com.atproto.repo.putRecord").requests, 3);
//! # Ok(()) }
//! ```
//!
//! A client finds a PDS through DID documents, so a proxy is seldom started by hand:
//! [`Builder::fault_proxies`](crate::Builder::fault_proxies) puts one in front of each PDS, under the PDS's own address.

mod fault;
mod forward;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context as _, Result};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

pub use fault::Fault;

/// How much went through, or was asked for, on some path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests that arrived, those that were made to fail among them; without preflights.
    pub requests: u64,
    /// Bytes of request bodies. What goes through a WebSocket is not counted, only the request for it.
    pub sent: u64,
    /// Bytes of answers' bodies as they went over the wire.
    pub received: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// A running proxy; dropping it cuts every connection through it.
pub struct FaultProxy {
    port: u16,
    plan: Arc<Plan>,
    serving: AbortHandle,
}

/// What the proxy is to do, and what it has seen.
pub(crate) struct Plan {
    upstream: u16,
    rules: Mutex<VecDeque<Rule>>,
    traffic: Mutex<BTreeMap<String, Traffic>>,
    /// Changes when every WebSocket is to end.
    cut: watch::Sender<()>,
}

struct Rule {
    path: String,
    fault: Fault,
    /// How often it still applies; for ever if `None`.
    left: Option<u32>,
}

impl FaultProxy {
    /// Starts a proxy on a free port of 127.0.0.1 in front of the server on the port `upstream`. It needs not run yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: u16) -> Result<Self> {
        Self::start_on(0, upstream).await
    }

    pub(crate) async fn start_on(port: u16, upstream: u16) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("the proxy has no port")?;
        let port = listener.local_addr()?.port();
        let plan = Arc::new(Plan {
            upstream,
            rules: Mutex::default(),
            traffic: Mutex::default(),
            cut: watch::Sender::new(()),
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&plan))).abort_handle();
        Ok(Self { port, plan, serving })
    }

    /// Where clients find the server behind it: `http://localhost:PORT`, no slash at the end.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The next `count` requests whose path contains `path` meet this fault. `""` means any request.
    pub fn fail_next(&self, count: u32, path: &str, fault: Fault) {
        if count > 0 {
            self.plan.rules().push_back(Rule { path: path.to_owned(), fault, left: Some(count) });
        }
    }

    /// Every request whose path contains `path` meets this fault, until [`FaultProxy::heal`].
    pub fn fail_always(&self, path: &str, fault: Fault) {
        self.plan.rules().push_back(Rule { path: path.to_owned(), fault, left: None });
    }

    /// Forgets every rule: all passes again. Requests that already hang go on hanging.
    pub fn heal(&self) {
        self.plan.rules().clear();
    }

    /// Ends every WebSocket that goes through, as a network that goes away for a moment does.
    pub fn cut_streams(&self) {
        self.plan.cut.send_replace(());
    }

    /// How many faults of [`FaultProxy::fail_next`] have not happened yet.
    pub fn faults_left(&self) -> u32 {
        self.plan.rules().iter().filter_map(|rule| rule.left).sum()
    }

    /// What was seen on paths that contain `path`; `""` means all of it.
    pub fn traffic(&self, path: &str) -> Traffic {
        let mut sum = Traffic::default();
        for (seen, traffic) in self.plan.traffic().iter() {
            if seen.contains(path) {
                sum += *traffic;
            }
        }
        sum
    }

    /// What was seen on each path, without queries.
    pub fn traffic_by_path(&self) -> BTreeMap<String, Traffic> {
        self.plan.traffic().clone()
    }

    /// Begins counting from nothing.
    pub fn reset_traffic(&self) {
        self.plan.traffic().clear();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.serving.abort();
        self.cut_streams();
    }
}

impl Plan {
    /// The fault this request is to meet, used up.
    fn fault_for(&self, path: &str) -> Option<Fault> {
        let mut rules = self.rules();
        let index = rules.iter().position(|rule| path.contains(&rule.path))?;
        let fault = rules[index].fault.clone();
        if let Some(left) = &mut rules[index].left {
            *left -= 1;
            if *left == 0 {
                rules.remove(index);
            }
        }
        Some(fault)
    }

    fn count(&self, path: &str, traffic: Traffic) {
        *self.traffic().entry(path.to_owned()).or_default() += traffic;
    }

    fn rules(&self) -> MutexGuard<'_, VecDeque<Rule>> {
        self.rules.lock().expect("no holder of this lock panics")
    }

    fn traffic(&self) -> MutexGuard<'_, BTreeMap<String, Traffic>> {
        self.traffic.lock().expect("no holder of this lock panics")
    }
}

/// Connections live in a set of this task, so that they end with it.
async fn serve(listener: TcpListener, plan: Arc<Plan>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let plan = Arc::clone(&plan);
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let plan = Arc::clone(&plan);
                async move { forward::answer(&plan, request).await }
            });
            // An error here is a fault at work, or a client that went away.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .with_upgrades()
                .await;
        });
    }
}

#[cfg(test)]
mod tests;
