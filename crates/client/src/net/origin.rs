//! The few URLs this crate meets, read strictly: an origin to add a path to, or a WebSocket address.
//!
//! Everything outside must be `https` or `wss`. Plain `http` and `ws` are for this machine alone, and only where the
//! configuration says that the whole network is local.

use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

/// Why an address is not one to connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{shown}” is not an address to use: {reason}")]
pub struct BadAddress {
    shown: String,
    reason: &'static str,
}

/// The longest address accepted, in bytes.
const MAX_ADDRESS: usize = 512;

/// Which plain-text addresses are fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The open network: encrypted, and never this machine.
    World,
    /// A local network for tests and demos: this machine too, without encryption.
    Local,
}

/// An address taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    rest: &'a str,
}

/// Reads `https://host[:port]` (a trailing slash is dropped) as an origin, for a PDS, a PLC directory and the like.
///
/// # Errors
/// [`BadAddress`] for anything else: other schemes, paths, queries, user names, odd characters, and plain `http` or
/// this machine outside a local network.
pub fn origin(address: &str, reach: Reach) -> Result<String, BadAddress> {
    let parts = split(address, ["https", "http"], reach)?;
    if !matches!(parts.rest, "" | "/") {
        return Err(bad(address, "it has a path where only a host is expected"));
    }
    Ok(format!("{}://{}", parts.scheme, parts.authority))
}

/// Reads an `https` address that may have a path, such as a DNS-over-HTTPS endpoint.
///
/// # Errors
/// [`BadAddress`] as for [`origin`], paths and queries allowed.
pub fn endpoint(address: &str, reach: Reach) -> Result<String, BadAddress> {
    split(address, ["https", "http"], reach).map(|_| address.to_owned())
}

/// Reads a Jetstream's `wss` address; `/subscribe` is added where there is no path.
///
/// # Errors
/// [`BadAddress`] as for [`origin`], paths allowed, queries not.
pub fn socket(address: &str, reach: Reach) -> Result<String, BadAddress> {
    let parts = split(address, ["wss", "ws"], reach)?;
    if parts.rest.contains('?') {
        return Err(bad(address, "it has a query, and the filters go there"));
    }
    let path = if matches!(parts.rest, "" | "/") { "/subscribe" } else { parts.rest };
    Ok(format!("{}://{}{path}", parts.scheme, parts.authority))
}

/// The WebSocket origin of an HTTP origin.
pub(crate) fn socket_origin(origin: &str) -> String {
    match origin.strip_prefix("https://") {
        Some(rest) => format!("wss://{rest}"),
        None => origin.replacen("http://", "ws://", 1),
    }
}

fn bad(address: &str, reason: &'static str) -> BadAddress {
    let shown = address.chars().filter(|c| !c.is_control()).take(80).collect();
    BadAddress { shown, reason }
}

fn split<'a>(address: &'a str, schemes: [&str; 2], reach: Reach) -> Result<Parts<'a>, BadAddress> {
    if address.len() > MAX_ADDRESS {
        return Err(bad(address, "it is too long"));
    }
    if !address.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad(address, "it has characters that do not belong there"));
    }
    let Some((scheme, rest)) = address.split_once("://") else {
        return Err(bad(address, "it does not begin with https://"));
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if rest.contains('#') {
        return Err(bad(address, "it has a fragment"));
    }
    let host = host_of(authority).ok_or_else(|| bad(address, "its host is not valid"))?;
    let loopback = is_loopback_host(host);
    let encrypted = scheme == schemes[0];
    match reach {
        _ if !encrypted && scheme != schemes[1] => Err(bad(address, "it does not begin with https://")),
        _ if !encrypted && !loopback => Err(bad(address, "it is not encrypted")),
        Reach::World if loopback => Err(bad(address, "it points at this machine")),
        _ => Ok(Parts { scheme, authority, rest }),
    }
}

/// The host of `host[:port]`, where both are well formed: a name, an IPv4 address or a bracketed IPv6 address.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            (
                &authority[..end + 2],
                authority[end + 2..].strip_prefix(':').or(authority[end + 2..].is_empty().then_some("")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
            None => (authority, Some("")),
        },
    };
    let port = port?;
    let port_ok = port.is_empty() || port.parse::<u16>().is_ok_and(|p| p > 0);
    let name_ok = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'[' | b']' | b':'));
    (port_ok && name_ok).then_some(host)
}

/// Whether a host is this machine, in any of the ways in which a browser or a system would read it so.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_own = |ip: Ipv4Addr| ip.is_loopback() || ip.is_unspecified();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    if let Ok(ip) = bare.parse::<Ipv6Addr>() {
        // `::1` is also IPv4-compatible, as 0.0.0.1.
        return ip.is_loopback() || ip.is_unspecified() || ip.to_ipv4().is_some_and(is_own);
    }
    host == "localhost" || host.ends_with(".localhost") || ipv4(&host).is_some_and(is_own)
}

/// An IPv4 address as the URL standard reads it: one to four parts, the last of which takes up the rest, each decimal,
/// octal (`0…`) or hexadecimal (`0x…`). `127.1` and `2130706433` are 127.0.0.1.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = host.split('.').map(ipv4_part).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) || *last >= 256_u64.pow(4 - first.len() as u32)
    {
        return None;
    }
    let mut address = *last;
    for (n, part) in first.iter().enumerate() {
        address += part << (8 * (3 - n));
    }
    u32::try_from(address).ok().map(Ipv4Addr::from)
}

fn ipv4_part(part: &str) -> Option<u64> {
    let (digits, radix) = match part.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if part.len() > 1 && part.starts_with('0') => (&part[1..], 8),
        None => (part, 10),
    };
    match digits {
        "" if radix == 16 => Some(0),
        _ if digits.bytes().all(|b| b.is_ascii_alphanumeric()) => u64::from_str_radix(digits, radix).ok(),
        _ => None,
    }
}

/// The host of a URL with its port; empty for what is no URL.
pub(crate) fn authority_of(url: &str) -> &str {
    url.split_once("://").map_or("", |(_, rest)| &rest[..rest.find(['/', '?']).unwrap_or(rest.len())])
}

/// Whether an address points at this machine.
pub(crate) fn is_loopback_url(url: &str) -> bool {
    host_of(authority_of(url)).is_some_and(is_loopback_host)
}

/// A query string of these pairs, percent-encoded, beginning with `?`.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                    query.push(byte.into())
                }
                _ => write!(query, "%{byte:02X}").expect("writing to a String cannot fail"),
            }
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_https_unless_the_network_is_local() {
        assert_eq!(origin("https://pds.example/", Reach::World).unwrap(), "https://pds.example");
        assert_eq!(origin("https://pds.example:8443", Reach::World).unwrap(), "https://pds.example:8443");
        assert_eq!(origin("http://localhost:2583", Reach::Local).unwrap(), "http://localhost:2583");
        assert_eq!(origin("http://[::1]:2583", Reach::Local).unwrap(), "http://[::1]:2583");
        for refused in [
            "http://pds.example",
            "http://localhost:2583",
            "https://127.0.0.1",
            "https://localhost",
            "https://LOCALHOST.",
            "https://app.localhost",
            "https://127.1",
            "https://127.0.1",
            "https://2130706433",
            "https://0x7f.1",
            "https://0177.0.0.01",
            "https://127.0.0.1.",
            "https://0",
            "https://[::1]",
            "https://[::]",
            "https://[0:0:0:0:0:0:0:1]",
            "https://[::ffff:127.0.0.1]",
            "https://[::ffff:7f00:1]",
            "ftp://pds.example",
            "pds.example",
            "https://",
            "https://pds.example/path",
            "https://pds.example?q",
            "https://user:secret@pds.example",
            "https://pds.example:",
            "https://pds.example:0",
            "https://pds.example:99999",
            "https://pds.example\n",
            "https://pds.exämple",
            "javascript:alert(1)",
        ] {
            assert!(origin(refused, Reach::World).is_err(), "{refused:?} must be refused");
        }
        for fine in ["https://127.example", "https://1.2.3.4", "https://[2001:db8::1]", "https://0x.example"]
        {
            assert_eq!(origin(fine, Reach::World).as_deref(), Ok(fine));
        }
        assert!(
            origin("http://pds.example", Reach::Local).is_err(),
            "local does not mean unencrypted elsewhere"
        );
    }

    #[test]
    fn sockets_keep_their_path() {
        assert_eq!(
            socket("wss://jet.example/subscribe", Reach::World).unwrap(),
            "wss://jet.example/subscribe"
        );
        assert_eq!(socket("wss://jet.example", Reach::World).unwrap(), "wss://jet.example/subscribe");
        assert!(socket("wss://jet.example/subscribe?wantedDids=x", Reach::World).is_err());
        assert!(socket("https://jet.example/subscribe", Reach::World).is_err());
        assert!(socket("ws://jet.example/subscribe", Reach::Local).is_err());
        assert_eq!(socket_origin("http://localhost:1"), "ws://localhost:1");
        assert_eq!(socket_origin("https://a.example"), "wss://a.example");
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            query([("did", "did:plc:abc"), ("rkey", "a b&c=é")]),
            "?did=did:plc:abc&rkey=a%20b%26c%3D%C3%A9"
        );
    }
}
