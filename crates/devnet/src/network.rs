//! [`Network`]: the servers as one value.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};

use crate::account::Account;
use crate::fault_proxy::FaultProxy;
use crate::http;
use crate::process::Process;
use crate::relay::Relay;
use crate::setup::{self, Installed, Progress, setup};
use crate::state::{Directory, Saved, SavedAccount, free_port, secret};

/// Which Jetstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Jetstream {
    V1,
    V2,
}

impl Jetstream {
    /// Where its stream is.
    fn path(self) -> &'static str {
        match self {
            Jetstream::V1 => "/subscribe",
            Jetstream::V2 => "/xrpc/network.bsky.jetstream.subscribeEvents",
        }
    }
}

/// How a [`Network`] is to be; made by [`Network::builder`].
#[derive(Clone)]
#[must_use]
pub struct Builder {
    pdses: usize,
    jetstream: Option<Jetstream>,
    rate_limits: bool,
    fault_proxies: bool,
    relay: bool,
    data: Option<PathBuf>,
    progress: Progress,
}

impl Builder {
    /// How many PDSes there are; one if not said. Each takes some memory, all share one process.
    pub fn pdses(mut self, pdses: usize) -> Self {
        self.pdses = pdses;
        self
    }

    /// Whether each PDS gets a Jetstream of its own (one Jetstream follows one PDS); without, if not said.
    pub fn jetstream(mut self, jetstream: bool) -> Self {
        self.jetstream = jetstream.then_some(Jetstream::V1);
        self
    }

    /// Gives each PDS a Jetstream of the second version. It needs Go 1.26.5; whether it could be had is told by
    /// [`Network::jetstream_missing`].
    pub fn jetstream_v2(mut self) -> Self {
        self.jetstream = Some(Jetstream::V2);
        self
    }

    /// Whether the PDSes keep the reference rate limits (5,000 points of writes an hour, 30 sign-ins per 5 minutes...);
    /// without, if not said.
    pub fn rate_limits(mut self, rate_limits: bool) -> Self {
        self.rate_limits = rate_limits;
        self
    }

    /// Puts a [`FaultProxy`] in front of each PDS, under the PDS's own address: whoever finds it by a DID document or a
    /// sign-in page comes through the proxy. Jetstream does not. Without, if not said.
    pub fn fault_proxies(mut self, fault_proxies: bool) -> Self {
        self.fault_proxies = fault_proxies;
        self
    }

    /// Whether there is a relay for the live channel; without, if not said.
    pub fn relay(mut self, relay: bool) -> Self {
        self.relay = relay;
        self
    }

    /// Keeps everything in this directory, made if need be, for the next start. Temporary if `None` or not said.
    pub fn data(mut self, data: Option<PathBuf>) -> Self {
        self.data = data;
        self
    }

    /// Is told of each long step of installing; nobody is, if not said.
    pub fn progress(mut self, progress: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// Installs the servers if need be and starts them. About three seconds once they are installed.
    ///
    /// # Errors
    /// When Node or npm is missing, the directory is used by another network or a port kept in it is taken, or a
    /// server does not start. Each says what to do.
    pub async fn start(self) -> Result<Network> {
        let mut installed = setup(self.progress.clone()).await?;
        if self.jetstream == Some(Jetstream::V2) {
            installed.jetstream = setup::jetstream_v2(self.progress.clone()).await?;
        }
        // A free port may be taken by another program before our server has it: with new ports, try again.
        let mut tries = 3;
        loop {
            tries -= 1;
            match self.start_once(&installed).await {
                Err(error)
                    if tries > 0 && self.data.is_none() && format!("{error:#}").contains("EADDRINUSE") =>
                {
                    tracing::debug!(%error, "a port was taken meanwhile");
                }
                other => return other,
            }
        }
    }

    async fn start_once(&self, installed: &Installed) -> Result<Network> {
        ensure!(self.pdses > 0, "a network needs at least one PDS");
        let (directory, saved) = Directory::open(self.data.as_deref(), self.pdses)?;
        let binary = installed.jetstream.as_ref().ok().filter(|_| self.jetstream.is_some());
        let version = if self.jetstream == Some(Jetstream::V2) { 2 } else { 1 };
        let configuration = directory.configuration(
            &saved,
            self.rate_limits,
            self.fault_proxies,
            binary.map(|binary| (binary.as_path(), version)),
        );
        let cache = setup::compile_cache();
        let process =
            Process::start(&installed.node, &installed.script, &configuration, directory.log()?, &cache)
                .await?;
        let mut proxies = Vec::new();
        for pds in saved.pdses.iter().filter(|_| self.fault_proxies) {
            proxies.push(FaultProxy::start_on(pds.port, pds.hidden_port).await?);
        }
        let relay = if self.relay { Some(Relay::start().await?) } else { None };
        Ok(Network {
            relay,
            proxies,
            process,
            jetstream: self.jetstream.map(|version| installed.jetstream.clone().map(|_| version)),
            saved: Mutex::new(saved),
            directory,
        })
    }
}

/// A running network. Dropping it ends every server; [`Network::stop`] also lets them save their state first.
pub struct Network {
    relay: Option<Relay>,
    proxies: Vec<FaultProxy>,
    // Dropped in this order: the servers, then the directory they write to.
    process: Process,
    /// What was asked for, or why there is none.
    jetstream: Option<Result<Jetstream, String>>,
    saved: Mutex<Saved>,
    directory: Directory,
}

impl Network {
    /// One PDS without Jetstream or rate limits, in a temporary directory, unless told otherwise.
    pub fn builder() -> Builder {
        Builder {
            pdses: 1,
            jetstream: None,
            rate_limits: false,
            fault_proxies: false,
            relay: false,
            data: None,
            progress: Arc::new(|_| {}),
        }
    }

    /// Where the PLC server is: `http://localhost:PORT`, no slash at the end. `GET /DID` there is a DID document.
    pub fn plc_url(&self) -> String {
        format!("http://localhost:{}", self.saved().plc_port)
    }

    /// The server that answers `com.atproto.identity.resolveHandle` for every handle here: it stands in for DNS, which
    /// `.test` does not have.
    pub fn handle_resolver_url(&self) -> String {
        let saved = self.saved();
        format!(
            "http://localhost:{}",
            if saved.pdses.len() == 1 { saved.pdses[0].port } else { saved.handles_port }
        )
    }

    /// The relay's address, if there is one: `http://127.0.0.1:PORT`.
    pub fn relay_url(&self) -> Option<String> {
        self.relay.as_ref().map(|relay| relay.url().to_owned())
    }

    /// Takes the relay out, to be stopped.
    pub fn take_relay(&mut self) -> Option<Relay> {
        self.relay.take()
    }

    /// How many PDSes there are.
    pub fn pds_count(&self) -> usize {
        self.saved().pdses.len()
    }

    /// The PDS numbered `index`, from 0.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn pds(&self, index: usize) -> Pds<'_> {
        let saved = &self.saved().pdses[index];
        Pds { network: self, index, port: saved.port, admin_password: saved.admin_password.clone() }
    }

    /// Where the Jetstream of the PDS numbered `index` is, such as `ws://localhost:PORT/subscribe`; `None` when it was not
    /// asked for, or there is none.
    pub fn jetstream_url(&self, index: usize) -> Option<String> {
        let port = self.saved().pdses.get(index)?.jetstream_port;
        let version = self.jetstream.as_ref()?.as_ref().ok()?;
        Some(format!("ws://localhost:{port}{}", version.path()))
    }

    /// Why there is no Jetstream although it was asked for: a sentence for the user.
    pub fn jetstream_missing(&self) -> Option<&str> {
        self.jetstream.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// Stops a Jetstream, cutting its subscribers off. It misses nothing: it reads on from where it was.
    ///
    /// # Errors
    /// When there is none of that number or the network has ended.
    pub async fn stop_jetstream(&self, index: usize) -> Result<()> {
        self.process.command("stopJetstream", index).await
    }

    /// Starts a stopped Jetstream on its port and returns once it listens.
    ///
    /// # Errors
    /// As [`Network::stop_jetstream`].
    pub async fn start_jetstream(&self, index: usize) -> Result<()> {
        self.process.command("startJetstream", index).await
    }

    /// Makes an account on the first PDS; see [`Pds::create_account`].
    ///
    /// # Errors
    /// As [`Pds::create_account`].
    pub async fn create_account(&self, handle: &str) -> Result<Account> {
        self.pds(0).create_account(handle).await
    }

    /// The account with this handle if it was made here, in this run or, with [`Builder::data`], an earlier one.
    pub fn account(&self, handle: &str) -> Option<Account> {
        let saved = self.saved();
        let account = saved.accounts.iter().find(|account| account.handle == handle)?;
        Some(Account::new(account, saved.pdses[account.pds].port))
    }

    /// The account with this handle, made on the first PDS if there is none yet.
    ///
    /// # Errors
    /// As [`Pds::create_account`].
    pub async fn ensure_account(&self, handle: &str) -> Result<Account> {
        match self.account(handle) {
            Some(account) => Ok(account),
            None => self.create_account(handle).await,
        }
    }

    /// Whether this network began with an empty directory.
    pub fn is_fresh(&self) -> bool {
        self.directory.is_fresh()
    }

    /// Waits for as long as the servers run. They do not end by themselves unless something is wrong: what is returned says
    /// what they said last.
    pub async fn ended(&self) -> anyhow::Error {
        self.process.ended().await
    }

    /// Ends every server after it saved its state. Dropping the future ends them at once.
    ///
    /// # Errors
    /// When a server could not end in order; all are gone nevertheless.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }

    fn saved(&self) -> std::sync::MutexGuard<'_, Saved> {
        self.saved.lock().expect("no holder of this lock panics")
    }
}

/// One PDS of a [`Network`].
#[derive(Clone)]
pub struct Pds<'a> {
    network: &'a Network,
    index: usize,
    port: u16,
    admin_password: String,
}

impl<'a> Pds<'a> {
    /// Where it is, as DID documents say it: `http://localhost:PORT`, no slash at the end.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Its port on 127.0.0.1, the same for as long as the network's directory is kept.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The proxy in front of it.
    ///
    /// # Panics
    /// Without [`Builder::fault_proxies`].
    pub fn proxy(&self) -> &'a FaultProxy {
        self.network.proxies.get(self.index).expect("the network was built with fault_proxies(true)")
    }

    /// Makes an account with a random password. The handle ends in `.test` and has one part before that, of 3 to 18
    /// letters, digits and hyphens.
    ///
    /// # Errors
    /// When the PDS is stopped or refuses the handle, for instance because it is taken.
    pub async fn create_account(&self, handle: &str) -> Result<Account> {
        let password = secret(8)?;
        let email = format!("{}@example.com", handle.replace('.', "-"));
        let body = json!({ "handle": handle, "email": email, "password": password });
        let path = "/xrpc/com.atproto.server.createAccount";
        let answer = http::json(Method::POST, self.port, path, None, Some(&body)).await?;
        let did = answer["did"].as_str().context("the PDS made an account without a DID")?.to_owned();
        self.keep(handle, did, password)
    }

    /// Makes an account whose DID is a host name, `did:web:localhost%3A{port}`. The host, which serves its DID document, is there
    /// for as long as this network runs, and not when it is started again from its directory.
    ///
    /// # Errors
    /// When the PDS is stopped or refuses the handle.
    pub async fn create_web_account(&self, handle: &str) -> Result<Account> {
        let (port, password) = (free_port()?, secret(8)?);
        let did = format!("did:web:localhost%3A{port}");
        let details = json!({ "port": port, "did": did, "handle": handle, "password": password });
        self.network.process.command_with("createWebAccount", self.index, &details).await?;
        self.keep(handle, did, password)
    }

    fn keep(&self, handle: &str, did: String, password: String) -> Result<Account> {
        let account = SavedAccount { pds: self.index, handle: handle.to_owned(), did, password };
        let mut saved = self.network.saved();
        saved.accounts.push(account.clone());
        self.network.directory.save(&saved)?;
        Ok(Account::new(&account, self.port))
    }

    /// Moves an account here from the PDS it is on, with all that is in its repo; its signing key changes on the way.
    ///
    /// # Errors
    /// When one of the two is stopped, or refuses a step of the move.
    pub async fn move_here(&self, account: &Account) -> Result<Account> {
        let Account { handle, did, password, .. } = account;
        let details = json!({ "to": self.index, "did": did, "handle": handle, "password": password });
        self.network.process.command_with("moveAccount", account.pds, &details).await?;
        let mut saved = self.network.saved();
        let moved = saved.accounts.iter_mut().find(|known| known.did == *did);
        let moved = moved.context("the account is none of this network's")?;
        moved.pds = self.index;
        let moved = Account::new(moved, self.port);
        self.network.directory.save(&saved)?;
        Ok(moved)
    }

    /// Deletes an account and its repo, as an administrator.
    ///
    /// # Errors
    /// As [`Pds::admin`].
    pub async fn delete_account(&self, did: &str) -> Result<()> {
        self.admin("com.atproto.admin.deleteAccount", &json!({ "did": did })).await?;
        let mut saved = self.network.saved();
        saved.accounts.retain(|account| account.did != did);
        self.network.directory.save(&saved)
    }

    /// Calls an XRPC procedure with the administrator's password.
    ///
    /// # Errors
    /// When the PDS does not answer or answers anything but 200; the message holds what it said.
    pub async fn admin(&self, nsid: &str, body: &Value) -> Result<Value> {
        let authorization = format!("Basic {}", STANDARD.encode(format!("admin:{}", self.admin_password)));
        http::json(Method::POST, self.port, &format!("/xrpc/{nsid}"), Some(&authorization), Some(body)).await
    }

    /// Stops it, and its Jetstream with it: every connection is cut, further ones are refused, its data stays.
    ///
    /// # Errors
    /// When the network has ended.
    pub async fn stop(&self) -> Result<()> {
        self.network.process.command("stopPds", self.index).await
    }

    /// Starts it again on its port, and its Jetstream if that was running; returns once they listen.
    ///
    /// # Errors
    /// When another program took its port meanwhile, or the network has ended.
    pub async fn start(&self) -> Result<()> {
        self.network.process.command("startPds", self.index).await
    }
}
