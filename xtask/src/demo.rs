//! `cargo xtask demo`: the app, and a whole atproto network for it, on this machine.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use sheaf_devnet::{Account, Network};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::serve::{Site, serve};
use crate::step::{Program, Step, Steps};
use crate::{tools, web};

#[derive(Args)]
pub(crate) struct Options {
    /// The port to serve the app on; 0 takes any free one.
    #[arg(long, default_value_t = 4700)]
    port: u16,
    /// Keeps the network's accounts and documents in this directory for the next run.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Leaves the browser alone.
    #[arg(long)]
    no_open: bool,
    /// Prints one line of JSON when all is ready, and opens no browser.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(demo(options));
    // A build that is still going on, after an error or Ctrl-C, must not hold us up.
    runtime.shutdown_background();
    done
}

async fn demo(options: Options) -> Result<()> {
    let mut signals = Signals::listen()?;
    let ready = async {
        let running = Running::start(&options).await?;
        running.announce(&options);
        anyhow::Ok(running)
    };
    let running = tokio::select! {
        running = ready => running?,
        () = signals.next() => return Ok(()),
    };
    tokio::select! {
        () = signals.next() => {}
        error = running.network.ended() => return Err(error.context("the demo's network has gone")),
    }
    eprintln!("\nStopping; once more to stop at once.");
    tokio::select! {
        stopped = running.network.stop() => stopped,
        // Dropped in the middle, it takes everything down.
        () = signals.next() => Ok(()),
    }
}

/// What asks a program to stop.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The demo, up and running.
struct Running {
    network: Network,
    accounts: Vec<Account>,
    app: String,
}

impl Running {
    async fn start(options: &Options) -> Result<Self> {
        // What can fail at once fails first.
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await {
            Ok(listener) => listener,
            Err(error) => {
                let port = options.port;
                return Err(anyhow::anyhow!(
                    "port {port} cannot be used ({error}): stop what uses it, or choose another with --port (0 takes any)"
                ));
            }
        };
        let app = format!("http://127.0.0.1:{}/", listener.local_addr()?.port());
        tools::wasm_target()?;
        tools::node()?;
        tools::clang()?;

        let building = tokio::task::spawn_blocking(|| web::build(web::Flavour::Local));
        let network = network(options.data.clone());
        let (folder, network) =
            tokio::try_join!(async { building.await.context("the build was broken off")? }, network)?;

        let mut accounts = Vec::new();
        for handle in ["alice.test", "bob.test"] {
            accounts.push(network.ensure_account(handle).await?);
        }
        tokio::spawn(serve(listener, Site { folder, config: config(&network) }));
        Ok(Self { network, accounts, app })
    }

    fn announce(&self, options: &Options) {
        let Self { network, accounts, app } = self;
        if options.json {
            let accounts: Vec<_> = accounts
                .iter()
                .map(|account| json!({ "handle": account.handle, "password": account.password, "did": account.did }))
                .collect();
            let line = json!({
                "app": app,
                "accounts": accounts,
                "pds": network.pds(0).url(),
                "plc": network.plc_url(),
                "jetstream": network.jetstream_url(0),
                "relay": network.relay_url(),
            });
            println!("{line}");
            return;
        }
        println!("\n  Sheaf is at  {app}\n");
        for account in accounts {
            println!("  sign in as   {}   with the password   {}", account.handle, account.password);
        }
        println!("\n  Give the app a handle; the account's own server then asks for the password.");
        println!("  For Bob, open a private window or another browser.");
        let jetstream = network.jetstream_url(0).unwrap_or_else(|| "none".into());
        let relay = network.relay_url().unwrap_or_else(|| "none".into());
        let (pds, plc) = (network.pds(0).url(), network.plc_url());
        println!("\n  PDS {pds}   PLC {plc}   Jetstream {jetstream}   relay {relay}");
        match &options.data {
            Some(data) => {
                println!("  Kept in {} for the next run. Ctrl-C stops everything.\n", data.display())
            }
            None => println!("  Nothing is kept. Ctrl-C stops everything.\n"),
        }
        if !options.no_open {
            let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
            let app = app.clone();
            std::thread::spawn(move || {
                // Where there is no desktop, the address is printed above.
                let _ = Program::new(opener).args([app]).read();
            });
        }
    }
}

async fn network(data: Option<PathBuf>) -> Result<Network> {
    let steps = Steps::default();
    let installed = sheaf_devnet::setup(steps.progress()).await?;
    drop(steps);
    if let Some(reason) = installed.jetstream_missing() {
        eprintln!("· {reason}");
    }
    let _step = Step::begin("starting a PDS, a PLC directory, Jetstream and a relay");
    Network::builder().jetstream(true).relay(true).data(data).start().await
}

/// What the app must know of this network; see `NetworkConfig` in `sheaf-client`.
fn config(network: &Network) -> String {
    json!({
        "plc": network.plc_url(),
        "handleResolver": network.handle_resolver_url(),
        "doh": null,
        "jetstream": network.jetstream_url(0).into_iter().collect::<Vec<_>>(),
        "relays": network.relay_url().into_iter().collect::<Vec<_>>(),
    })
    .to_string()
}
