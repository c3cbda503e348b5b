//! The few JSON requests that setting up a network takes. Not a client to build on: it trusts its servers, which are
//! on this machine and started here.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(30);
const LARGEST_ANSWER: usize = 16 << 20;

/// Sends one request to a port of this machine and reads the JSON it answers, `null` when it answers nothing.
pub(crate) async fn json(
    method: Method,
    port: u16,
    path: &str,
    authorization: Option<&str>,
    body: Option<&Value>,
) -> Result<Value> {
    let what = || format!("{method} {path} on port {port}");
    let exchange = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.context("nothing listens")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request =
            Request::builder().method(&method).uri(path).header(HOST, format!("localhost:{port}"));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let (head, answer) = sender.send_request(request.body(Full::new(bytes))?).await?.into_parts();
        let read = Limited::new(answer, LARGEST_ANSWER).collect().await;
        connection.abort();
        let bytes = read.map_err(|error| anyhow::anyhow!("reading the answer: {error}"))?.to_bytes();
        if head.status != StatusCode::OK {
            bail!("{}: {}", head.status, String::from_utf8_lossy(&bytes));
        }
        if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes).context("not JSON") }
    };
    match tokio::time::timeout(LIMIT, exchange).await {
        Ok(answer) => answer.with_context(what),
        Err(_) => bail!("{} did not answer within {} s", what(), LIMIT.as_secs()),
    }
}
