//! A relay of the live channel on loopback: the real one, in this process.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use iroh_relay::server::{RelayConfig, Server, ServerConfig};

/// A running relay. It ends when dropped.
pub struct Relay {
    server: Server,
    url: String,
}

impl Relay {
    /// Starts a relay on a free port, over plain HTTP.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> Result<Relay> {
        Relay::start_on(0).await
    }

    /// The same on this port: where one was before.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_on(port: u16) -> Result<Relay> {
        let mut config = ServerConfig::default();
        config.relay = Some(RelayConfig::new((Ipv4Addr::LOCALHOST, port)));
        let server = Server::spawn(config).await.context("the relay does not start")?;
        let address = server.http_addr().context("the relay does not listen")?;
        Ok(Relay { server, url: format!("http://{address}") })
    }

    /// Its address: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.http_addr().map_or(0, |address| address.port())
    }

    /// Ends it, and every link through it.
    pub async fn stop(self) {
        // What it was at in ending is of no interest.
        let _ = self.server.shutdown().await;
    }
}
