//! `cargo xtask demo`: everything there is, on this machine, to try.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Result;
use serde_json::json;
use sheaf_devnet::{Account, Network};

use crate::{serve, web};

/// Who there is to be.
const PEOPLE: [&str; 2] = ["alice.test", "bob.test"];

/// How the demo is to be.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The app's port on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 4173)]
    port: u16,
    /// Keep the network's state in this folder between runs
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Do not open the browser
    #[arg(long)]
    no_open: bool,
    /// Print one line of JSON when ready, and nothing else, on standard output
    #[arg(long)]
    json: bool,
}

/// Builds, starts, and stays until Ctrl-C.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // A taken port should not be found out after minutes of building.
        let listener = serve::listen(options.port).await?;
        let port = listener.local_addr()?.port();
        let folder = web::build(web::Mode::Demo)?;
        tokio::select! {
            result = start(options, listener, port, folder) => result,
            () = interrupted() => Ok(()),
        }
    })
}

async fn start(options: &Options, listener: tokio::net::TcpListener, port: u16, folder: PathBuf) -> Result<()> {
    eprintln!("· starting a PDS, a PLC server and Jetstream …");
    let network = Network::builder()
        .jetstream(true)
        .data(options.data.clone())
        .progress(|step| eprintln!("· {step} …"))
        .start()
        .await?;
    let mut accounts = Vec::new();
    for handle in PEOPLE {
        accounts.push(network.ensure_account(handle).await?);
    }
    let jetstream = network.jetstream_url(0);
    if jetstream.is_none() {
        eprintln!("  without Go there is no Jetstream here: the app listens to the PDS's own firehose");
    }
    let config = json!({
        "plc": network.plc_url(),
        "handleResolver": network.handle_resolver_url(),
        "jetstream": jetstream.iter().collect::<Vec<_>>(),
    });
    let app = format!("http://127.0.0.1:{port}/");
    let server = tokio::spawn(serve::serve(listener, folder, config.to_string()));
    if options.json {
        println!("{}", ready(&app, &accounts, &network));
    } else {
        greet(&app, &accounts, &network);
    }
    if !options.no_open && !options.json {
        open(&app);
    }
    interrupted().await;
    server.abort();
    eprintln!("\n· stopping …");
    network.stop().await
}

fn ready(app: &str, accounts: &[Account], network: &Network) -> serde_json::Value {
    let accounts: Vec<_> =
        accounts.iter().map(|a| json!({ "handle": a.handle, "password": a.password, "did": a.did })).collect();
    json!({
        "app": app,
        "accounts": accounts,
        "pds": network.pds(0).url(),
        "plc": network.plc_url(),
        "jetstream": network.jetstream_url(0),
    })
}

fn greet(app: &str, accounts: &[Account], network: &Network) {
    println!("\n  Sheaf is at {app}\n\n  Sign in there as one of these, and as the other in another browser or a private window:\n");
    for account in accounts {
        println!("    {:<12} password {}", account.handle, account.password);
    }
    println!("\n  From a terminal: sheaf --plc {} --handle-resolver {} …", network.plc_url(), network.handle_resolver_url());
    println!("\n  Everything runs on this machine. Ctrl-C stops it.\n");
}

fn open(app: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    // Where there is no desktop there is nothing to open; the address is printed.
    let _ = Command::new(opener).arg(app).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

/// Until Ctrl-C, or until we are asked to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
