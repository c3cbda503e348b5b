//! Which network to speak to: the public one by default, or a local one for tests and demos.

use serde::{Deserialize, Serialize};

use crate::net::origin::{self, BadAddress, Reach};

/// The hosts this client depends on. Each can be replaced; none of them is trusted with a document's text.
///
/// ```
/// use sheaf_client::config::NetworkConfig;
///
/// let local = NetworkConfig::from_json(r#"{ "plc": "http://localhost:2582", "jetstream": [] }"#)?;
/// assert!(local.is_local());
/// assert!(NetworkConfig::from_json(r#"{ "plc": "http://plc.example" }"#).is_err(), "not encrypted");
/// # Ok::<(), sheaf_client::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// The PLC directory's origin.
    pub plc: String,
    /// An origin that answers `com.atproto.identity.resolveHandle`; asked first. A local network needs one, for its
    /// handles are in no DNS.
    pub handle_resolver: Option<String>,
    /// A DNS-over-HTTPS endpoint that answers JSON.
    pub doh: Option<String>,
    /// Jetstream addresses; the next is tried when one fails. Without any, the editors' own servers ring. The path tells the
    /// version: `wss://host/xrpc/network.bsky.jetstream.subscribeEvents` is the second, `wss://host/subscribe` or any
    /// other the first (a host of the second version serves both).
    pub jetstream: Vec<String>,
    /// Relays for the live channel, of which each device chooses the nearest. Without any there is no live channel.
    pub relays: Vec<String>,
    /// The OAuth client id: the address of the app's client metadata. Local networks do without.
    pub client_id: Option<String>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            plc: "https://plc.directory".into(),
            handle_resolver: None,
            doh: Some("https://dns.google/resolve".into()),
            jetstream: vec![
                "wss://jetstream1.us-east.bsky.network/subscribe".into(),
                "wss://jetstream2.us-west.bsky.network/subscribe".into(),
            ],
            relays: ["use1-1", "usw1-1", "euc1-1", "aps1-1"]
                .map(|name| format!("https://{name}.relay.n0.iroh.link"))
                .into(),
            client_id: None,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not the JSON it should be.
    #[error("the network configuration cannot be read: {0}")]
    Json(String),
    /// One of its addresses cannot be used.
    #[error("{field} in the network configuration: {error}")]
    Address {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        error: BadAddress,
    },
    /// More of something than makes sense.
    #[error("the network configuration names more than {MAX_ADDRESSES} {0}")]
    TooMany(&'static str),
}

/// The most addresses of one kind accepted.
const MAX_ADDRESSES: usize = 16;

impl NetworkConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field that cannot be used.
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        let unreadable = |e: serde_json::Error| ConfigError::Json(e.to_string());
        // An object and nothing else: a list of values would be taken for the fields in order.
        let mut object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(json).map_err(unreadable)?;
        // Nobody outside has anything to do with a network of this machine.
        if object.get("plc").and_then(|plc| plc.as_str()).is_some_and(origin::is_loopback_url) {
            object.entry("relays").or_insert_with(|| Vec::<String>::new().into());
        }
        serde_json::from_value::<Self>(object.into()).map_err(unreadable)?.validated()
    }

    /// Checks a configuration put together by hand.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field that cannot be used.
    pub fn validated(mut self) -> Result<Self, ConfigError> {
        let at = |field| move |error| ConfigError::Address { field, error };
        self.plc = origin::origin(&self.plc, Reach::Local).map_err(at("plc"))?;
        let reach = self.reach();
        if let Some(resolver) = &mut self.handle_resolver {
            *resolver = origin::origin(resolver, reach).map_err(at("handleResolver"))?;
        }
        if let Some(doh) = &self.doh {
            origin::endpoint(doh, reach).map_err(at("doh"))?;
        }
        for (kind, addresses) in [("Jetstreams", &self.jetstream), ("relays", &self.relays)] {
            if addresses.len() > MAX_ADDRESSES {
                return Err(ConfigError::TooMany(kind));
            }
        }
        for address in &mut self.relays {
            *address = origin::origin(address, reach).map_err(at("relays"))?;
        }
        for address in &mut self.jetstream {
            *address = origin::socket(address, reach).map_err(at("jetstream"))?;
        }
        if let Some(id) = &self.client_id {
            origin::endpoint(id, Reach::Local).map_err(at("clientId"))?;
        }
        Ok(self)
    }

    /// Whether this is a network on this machine, where plain `http` is how servers speak.
    pub fn is_local(&self) -> bool {
        origin::is_loopback_url(&self.plc)
    }

    /// Which addresses this network may name.
    pub fn reach(&self) -> Reach {
        if self.is_local() { Reach::Local } else { Reach::World }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_public() {
        let config = NetworkConfig::default().validated().unwrap();
        assert!(!config.is_local());
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(NetworkConfig::from_json(&json).unwrap(), config);
    }

    #[test]
    fn a_public_network_names_no_loopback() {
        for json in [
            r#"{ "jetstream": ["ws://127.0.0.1:6008/subscribe"] }"#,
            r#"{ "handleResolver": "http://localhost:2583" }"#,
            r#"{ "relays": ["http://127.0.0.1:3340"] }"#,
            r#"{ "doh": "http://dns.example/q" }"#,
            r#"{ "plc": "plc.directory" }"#,
            r#"{ "pcl": "https://plc.directory" }"#,
            "[]",
            "<html>",
        ] {
            assert!(NetworkConfig::from_json(json).is_err(), "{json} must be refused");
        }
    }

    #[test]
    fn both_versions_of_jetstream_can_be_named() {
        let json = r#"{ "jetstream": ["wss://old.example", "wss://new.example/xrpc/network.bsky.jetstream.subscribeEvents"] }"#;
        let config = NetworkConfig::from_json(json).unwrap();
        assert_eq!(config.jetstream[0], "wss://old.example/subscribe");
        assert_eq!(config.jetstream[1], "wss://new.example/xrpc/network.bsky.jetstream.subscribeEvents");
    }

    #[test]
    fn a_local_network_is_plain() {
        let config = NetworkConfig::from_json(
            r#"{ "plc": "http://localhost:2582", "handleResolver": "http://localhost:2583/", "doh": null,
                 "jetstream": ["ws://127.0.0.1:6008/subscribe"], "relays": [], "clientId": null }"#,
        )
        .unwrap();
        assert_eq!(config.handle_resolver.as_deref(), Some("http://localhost:2583"));
        assert!(config.is_local());
    }
}
