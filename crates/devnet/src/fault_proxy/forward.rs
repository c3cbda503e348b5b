//! One request through the proxy.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, TRANSFER_ENCODING, UPGRADE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::fault::Fault;
use super::{Plan, Traffic};

/// More than any repo of a test.
const LARGEST_BODY: usize = 256 << 20;

/// The answer, or an error, on which the connection is cut.
pub(super) async fn answer(plan: &Plan, request: Request<Incoming>) -> Result<Response<Answer>> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::OPTIONS {
        return pass(plan, request).await.map(|(response, _)| response);
    }
    plan.count(&path, Traffic { requests: 1, ..Traffic::default() });
    let fault = plan.fault_for(&path);
    if let Some(fault) = &fault {
        tracing::debug!(%path, ?fault, "as planned");
    }
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Reset) => bail!("reset, as planned"),
        Some(Fault::Answer { status, headers, body }) => {
            // Taken in whole first: a client in the middle of sending would see a reset instead.
            let sent = read(request.into_body()).await?.len() as u64;
            plan.count(&path, Traffic { sent, received: body.len() as u64, requests: 0 });
            let mut response = Response::builder()
                .status(status)
                // Or a page from another origin would not get to see it.
                .header("access-control-allow-origin", "*")
                .header("access-control-expose-headers", "*");
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Answer::whole(body))?)
        }
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            counted(plan, &path, request).await
        }
        Some(Fault::LoseReply) => {
            counted(plan, &path, request).await?;
            bail!("the reply is lost, as planned")
        }
        Some(Fault::Truncate) => {
            counted(plan, &path, request).await.map(|response| response.map(Answer::cut))
        }
        None => counted(plan, &path, request).await,
    }
}

async fn counted(plan: &Plan, path: &str, request: Request<Incoming>) -> Result<Response<Answer>> {
    let (response, traffic) = pass(plan, request).await?;
    plan.count(path, traffic);
    Ok(response)
}

/// Has the server answer.
async fn pass(plan: &Plan, mut request: Request<Incoming>) -> Result<(Response<Answer>, Traffic)> {
    let stream =
        TcpStream::connect((Ipv4Addr::LOCALHOST, plan.upstream)).await.context("the server is away")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());

    let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let body = read(body).await?;
    if upgrade.is_none() {
        one_hop(&mut head.headers);
    }
    let sent = body.len() as u64;
    let mut response = sender.send_request(Request::from_parts(head, Full::new(body))).await?;

    if let (Some(upgrade), StatusCode::SWITCHING_PROTOCOLS) = (upgrade, response.status()) {
        let upstream = hyper::upgrade::on(&mut response);
        let mut cut = plan.cut.subscribe();
        tokio::spawn(async move {
            let (Ok(client), Ok(server)) = tokio::join!(upgrade, upstream) else { return };
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = cut.changed() => {}
            }
        });
        let (head, _) = response.into_parts();
        return Ok((Response::from_parts(head, Answer::whole(Bytes::new())), Traffic::default()));
    }

    let (mut head, body) = response.into_parts();
    let body = read(body).await?;
    one_hop(&mut head.headers);
    let traffic = Traffic { requests: 0, sent, received: body.len() as u64 };
    Ok((Response::from_parts(head, Answer::whole(body)), traffic))
}

/// Takes out what concerns one connection alone; hyper frames the bodies anew.
fn one_hop(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    headers.remove("keep-alive");
}

async fn read(body: Incoming) -> Result<Bytes> {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(anyhow!("a body broke off: {error}")),
    }
}

/// An answer's body, whole or cut off half way.
pub(super) struct Answer {
    left: Option<Bytes>,
    promised: u64,
    cut: bool,
    /// Whether what came before the cut had its turn to be written.
    flushed: bool,
}

impl Answer {
    fn whole(body: Bytes) -> Self {
        Self { promised: body.len() as u64, left: Some(body), cut: false, flushed: false }
    }

    fn cut(mut self) -> Self {
        self.left = self.left.map(|body| body.slice(..body.len() / 2));
        self.cut = true;
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.left.take().filter(|body| !body.is_empty()) {
            Some(body) => Poll::Ready(Some(Ok(Frame::data(body)))),
            None if self.cut && !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None if self.cut => Poll::Ready(Some(Err(std::io::Error::other("truncated, as planned")))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.cut && self.left.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
