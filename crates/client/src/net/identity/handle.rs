//! Handle → DID: by a resolver of one's own choice, by DNS (over HTTPS), by a file on the handle's host.

use futures_util::{
    future::{Either, select},
    pin_mut,
};
use serde::Deserialize;
use sheaf_repo::{did::Did, handle::Handle};

use crate::{
    config::NetworkConfig,
    net::{
        http::{Http, HttpError, Request, Response},
        origin, xrpc,
    },
};

/// Why a handle leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandleFailure {
    /// Nobody has it, as far as anyone says.
    #[error("nobody has this handle")]
    NotFound,
    /// Nobody could be asked.
    #[error("nobody could be asked ({0})")]
    Unreachable(String),
}

/// The largest answer read, in bytes: a DID is at most 2 KB and DNS adds little.
const MAX_ANSWER: usize = 16 * 1024;
/// Endings that never lead anywhere on the open network (atproto's handle specification).
const RESERVED: [&str; 9] =
    [".alt", ".arpa", ".example", ".internal", ".invalid", ".local", ".localhost", ".onion", ".test"];

pub(super) async fn resolve(
    config: &NetworkConfig,
    http: &Http,
    handle: &Handle,
) -> Result<Did, HandleFailure> {
    let name = handle.as_str();
    if !config.is_local() && RESERVED.iter().any(|ending| name.ends_with(ending)) {
        return Err(HandleFailure::NotFound);
    }
    let mut failure = HandleFailure::NotFound;
    if let Some(resolver) = &config.handle_resolver {
        match by_resolver(http, resolver, name).await {
            Ok(did) => return Ok(did),
            Err(refused) => failure = refused,
        }
    }
    if config.is_local() && config.doh.is_none() {
        // Handles of a local network are in no DNS, and their hosts do not exist.
        return Err(failure);
    }
    let dns = by_dns(http, config.doh.as_deref(), name);
    let file = by_file(http, name);
    pin_mut!(dns, file);
    // Both at once; DNS has the say where both answer, as the specification has it.
    let results = match select(dns, file).await {
        Either::Left((Ok(did), _)) => return Ok(did),
        Either::Left((Err(dns), file)) => [Err(dns), file.await],
        Either::Right((file, dns)) => [dns.await, file],
    };
    for result in results {
        match result {
            Ok(did) => return Ok(did),
            Err(HandleFailure::NotFound) => {}
            Err(unreachable) => failure = unreachable,
        }
    }
    Err(failure)
}

async fn by_resolver(http: &Http, resolver: &str, name: &str) -> Result<Did, HandleFailure> {
    let url = xrpc::url(resolver, "com.atproto.identity.resolveHandle", [("handle", name)]);
    let response = http.get(Request::get(url).limit(MAX_ANSWER)).await.map_err(unreachable)?;
    read_resolver(&response)
}

fn read_resolver(response: &Response) -> Result<Did, HandleFailure> {
    #[derive(Deserialize)]
    struct Body {
        did: String,
    }
    match response.status {
        200 => {}
        400 | 404 => return Err(HandleFailure::NotFound),
        status => return Err(HandleFailure::Unreachable(format!("status {status}"))),
    }
    let body: Body = xrpc::parse(response).map_err(HandleFailure::Unreachable)?;
    body.did.parse().map_err(|_| HandleFailure::Unreachable("it named no valid DID".into()))
}

async fn by_dns(http: &Http, doh: Option<&str>, name: &str) -> Result<Did, HandleFailure> {
    let Some(doh) = doh else { return Err(HandleFailure::NotFound) };
    let name = format!("_atproto.{name}");
    let url = format!("{doh}{}", origin::query([("name", name.as_str()), ("type", "TXT")]));
    let request = Request::get(url).limit(MAX_ANSWER).header("accept", "application/dns-json");
    let response = http.get(request).await.map_err(unreachable)?;
    read_dns(&response)
}

/// Reads `application/dns-json`: exactly one `did=` among the TXT records, or it does not count.
fn read_dns(response: &Response) -> Result<Did, HandleFailure> {
    const TXT: u16 = 16;
    const NO_ERROR: u16 = 0;
    const NO_SUCH_NAME: u16 = 3;
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "Status")]
        status: u16,
        #[serde(rename = "Answer", default)]
        answer: Vec<Answer>,
    }
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "type")]
        kind: u16,
        data: String,
    }
    if !response.is_success() {
        return Err(HandleFailure::Unreachable(format!("status {}", response.status)));
    }
    let body: Body = xrpc::parse(response).map_err(HandleFailure::Unreachable)?;
    match body.status {
        NO_ERROR => {}
        NO_SUCH_NAME => return Err(HandleFailure::NotFound),
        status => return Err(HandleFailure::Unreachable(format!("DNS answered {status}"))),
    }
    let texts = body.answer.iter().filter(|answer| answer.kind == TXT).map(|answer| unquoted(&answer.data));
    let mut dids: Vec<String> =
        texts.filter_map(|text| Some(text.strip_prefix("did=")?.to_owned())).collect();
    dids.dedup();
    match dids.as_slice() {
        [did] => did.parse().map_err(|_| HandleFailure::NotFound),
        _ => Err(HandleFailure::NotFound),
    }
}

/// TXT data come quoted, long ones in several pieces.
fn unquoted(data: &str) -> String {
    if !data.starts_with('"') {
        return data.to_owned();
    }
    data.trim().trim_matches('"').split("\" \"").collect()
}

async fn by_file(http: &Http, name: &str) -> Result<Did, HandleFailure> {
    let url = format!("https://{name}/.well-known/atproto-did");
    let response = http.get(Request::get(url).limit(MAX_ANSWER)).await.map_err(unreachable)?;
    read_file(&response)
}

fn read_file(response: &Response) -> Result<Did, HandleFailure> {
    match response.status {
        200 => {}
        400..500 => return Err(HandleFailure::NotFound),
        status => return Err(HandleFailure::Unreachable(format!("status {status}"))),
    }
    let text = std::str::from_utf8(&response.body).map_err(|_| HandleFailure::NotFound)?;
    text.trim().parse().map_err(|_| HandleFailure::NotFound)
}

fn unreachable(error: HttpError) -> HandleFailure {
    HandleFailure::Unreachable(xrpc::reason(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

    fn answer(status: u16, body: &str) -> Response {
        Response::new(status, [], body.into())
    }

    #[test]
    fn dns_needs_exactly_one_did() {
        let read = |body: &str| read_dns(&answer(200, body)).map(|did| did.to_string());
        let one = format!(
            r#"{{"Status":0,"Answer":[{{"type":16,"data":"\"did={DID}\""}},{{"type":16,"data":"\"v=spf1\""}}]}}"#
        );
        assert_eq!(read(&one).as_deref(), Ok(DID));
        let bare =
            format!(r#"{{"Status":0,"Answer":[{{"name":"x","TTL":1,"type":16,"data":"did={DID}"}}]}}"#);
        assert_eq!(read(&bare).as_deref(), Ok(DID));
        let two = format!(
            r#"{{"Status":0,"Answer":[{{"type":16,"data":"did={DID}"}},{{"type":16,"data":"did=did:web:a.example"}}]}}"#
        );
        for missing in [
            two.as_str(),
            r#"{"Status":0}"#,
            r#"{"Status":3}"#,
            r#"{"Status":0,"Answer":[{"type":5,"data":"did=did:web:a.example"}]}"#,
        ] {
            assert_eq!(read(missing), Err(HandleFailure::NotFound), "{missing}");
        }
        for down in [r#"{"Status":2}"#, "<html>", ""] {
            assert!(matches!(read(down), Err(HandleFailure::Unreachable(_))), "{down}");
        }
    }

    #[test]
    fn long_txt_records_are_joined() {
        assert_eq!(unquoted(r#""did=did:plc:abc" "def""#), "did=did:plc:abcdef");
    }

    #[test]
    fn a_file_holds_one_did_and_nothing_else() {
        assert_eq!(
            read_file(&answer(200, &format!("{DID}\n"))).map(|did| did.to_string()).as_deref(),
            Ok(DID)
        );
        for body in ["<!doctype html>", "", "did:", "hello"] {
            assert_eq!(read_file(&answer(200, body)), Err(HandleFailure::NotFound), "{body}");
        }
        assert_eq!(read_file(&answer(404, DID)), Err(HandleFailure::NotFound));
        assert!(matches!(read_file(&answer(503, DID)), Err(HandleFailure::Unreachable(_))));
    }

    #[test]
    fn a_resolver_says_no_or_cannot_say() {
        assert_eq!(
            read_resolver(&answer(400, r#"{"error":"InvalidRequest","message":"Unable to resolve handle"}"#)),
            Err(HandleFailure::NotFound)
        );
        assert!(matches!(read_resolver(&answer(500, "")), Err(HandleFailure::Unreachable(_))));
        assert!(matches!(
            read_resolver(&answer(200, r#"{"did":"nobody"}"#)),
            Err(HandleFailure::Unreachable(_))
        ));
        assert_eq!(
            read_resolver(&answer(200, &format!(r#"{{"did":"{DID}"}}"#))).map(|d| d.to_string()).as_deref(),
            Ok(DID)
        );
    }
}
