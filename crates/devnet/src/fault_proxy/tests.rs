//! Against a small server that counts what reaches it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What a client saw: the status, the headers it might care about, and the body; or nothing at all.
type Seen = Option<(u16, String, Result<String, ()>)>;

struct World {
    proxy: FaultProxy,
    reached: Arc<AtomicU64>,
}

/// An upstream that answers each request with the path and body it got.
async fn world() -> World {
    let reached = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::clone(&reached);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            let echo = service_fn(move |request: Request<Incoming>| {
                let count = Arc::clone(&count);
                async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    let path = request.uri().to_string();
                    let body = request.into_body().collect().await?.to_bytes();
                    let answer = format!("{path} {}", String::from_utf8_lossy(&body));
                    anyhow::Ok(
                        Response::builder()
                            .header("x-upstream", "yes")
                            .body(Full::new(Bytes::from(answer)))?,
                    )
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), echo),
            );
        }
    });
    World { proxy: FaultProxy::start(port).await.unwrap(), reached }
}

impl World {
    async fn post(&self, path: &str, body: &str) -> Seen {
        self.send("POST", path, body).await
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Seen {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.proxy.port)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let (head, body) = sender.send_request(request).await.ok()?.into_parts();
        let body = body.collect().await.map(|body| String::from_utf8(body.to_bytes().into()).unwrap());
        Some((head.status.as_u16(), format!("{:?}", head.headers), body.map_err(drop)))
    }

    fn reached(&self) -> u64 {
        self.reached.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_meets_no_fault_passes_and_is_counted() {
    let world = world().await;
    let (status, headers, body) = world.post("/xrpc/a.b.put?x=1", "héllo").await.unwrap();
    assert_eq!((status, body.unwrap().as_str()), (200, "/xrpc/a.b.put?x=1 héllo"));
    assert!(headers.contains("x-upstream"), "{headers}");
    let received = "/xrpc/a.b.put?x=1 héllo".len() as u64;
    assert_eq!(world.proxy.traffic("a.b.put"), Traffic { requests: 1, sent: 6, received });
    assert_eq!(world.proxy.traffic(""), world.proxy.traffic("/xrpc/a.b.put"));
    assert_eq!(world.proxy.traffic("a.b.get"), Traffic::default());
    world.proxy.reset_traffic();
    assert!(world.proxy.traffic_by_path().is_empty());
}

#[tokio::test]
async fn a_fault_meets_as_many_requests_as_was_said_and_only_those() {
    let world = world().await;
    world.proxy.fail_next(2, "put", Fault::server_error());
    world.proxy.fail_next(1, "put", Fault::rate_limited(Duration::from_secs(7)));
    assert_eq!(world.post("/get", "").await.unwrap().0, 200);
    assert_eq!(world.send("OPTIONS", "/put", "").await.unwrap().0, 200, "a preflight is not the request");
    assert_eq!(world.post("/put", "").await.unwrap().0, 500);
    assert_eq!(world.proxy.faults_left(), 2);
    assert_eq!(world.post("/put", "").await.unwrap().0, 500);
    let (status, headers, _) = world.post("/put", "").await.unwrap();
    assert_eq!(status, 429);
    for header in
        [r#""retry-after": "7""#, r#""ratelimit-remaining": "0""#, r#""access-control-allow-origin": "*""#]
    {
        assert!(headers.contains(header), "{header} in {headers}");
    }
    assert_eq!(world.post("/put", "").await.unwrap().0, 200);
    assert_eq!(world.reached(), 3, "injected answers keep the server out of it");
}

#[tokio::test]
async fn a_lost_reply_is_lost_after_the_server_did_its_work() {
    let world = world().await;
    world.proxy.fail_next(1, "", Fault::LoseReply);
    world.proxy.fail_next(1, "", Fault::Reset);
    assert_eq!(world.post("/put", "x").await, None);
    assert_eq!(world.reached(), 1);
    assert_eq!(world.post("/put", "x").await, None);
    assert_eq!(world.reached(), 1);
    assert_eq!(world.proxy.traffic("put").requests, 2);
}

#[tokio::test]
async fn a_truncated_answer_promises_more_than_it_holds() {
    let world = world().await;
    world.proxy.fail_next(1, "", Fault::Truncate);
    let (status, headers, body) = world.post("/long", &"x".repeat(1000)).await.unwrap();
    assert_eq!((status, body), (200, Err(())));
    assert!(headers.contains(r#""content-length": "1006""#), "{headers}");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_answer_comes_and_a_hanging_one_never_does() {
    let world = world().await;
    world.proxy.fail_always("slow", Fault::Delay(Duration::from_secs(60)));
    world.proxy.fail_next(1, "stuck", Fault::Hang);
    let began = tokio::time::Instant::now();
    assert_eq!(world.post("/slow", "").await.unwrap().0, 200);
    assert!(began.elapsed() >= Duration::from_secs(60));
    let stuck = tokio::time::timeout(Duration::from_secs(3600), world.post("/stuck", "")).await;
    assert!(stuck.is_err(), "{stuck:?}");
    world.proxy.heal();
    let began = tokio::time::Instant::now();
    assert_eq!(world.post("/slow", "").await.unwrap().0, 200);
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn an_html_page_stands_in_for_json() {
    let world = world().await;
    world.proxy.fail_next(1, "", Fault::html());
    let (status, headers, body) = world.post("/x", "").await.unwrap();
    assert_eq!(status, 200);
    assert!(headers.contains("text/html") && body.unwrap().starts_with("<!doctype html>"), "{headers}");
}

#[tokio::test]
async fn an_upgraded_connection_is_a_pipe_until_it_is_cut() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap().port()).await.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });

    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).await.unwrap();
    let ask = b"GET /stream HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.write_all(ask).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    client.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    client.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    proxy.cut_streams();
    assert_eq!(client.read(&mut echo).await.unwrap_or(0), 0, "it ended");
}
