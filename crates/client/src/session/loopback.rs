//! The port of this machine that a server's sign-in page sends the browser back to: one request, and that is all.
//!
//! Any page in any browser on this machine can send requests here, so only the answer counts that names the sign-in under
//! way; and browsers open connections they say nothing on, so nobody waits for anybody else's.

use std::{io, time::Duration};

use futures_util::{FutureExt, StreamExt, select_biased, stream::FuturesUnordered};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::platform;

/// The longest request line read, in bytes; codes are far shorter.
const MAX_REQUEST: usize = 8 * 1024;
/// How long one connection may take to say what it wants.
const SAYING: Duration = Duration::from_secs(10);

/// More connections than a browser opens. Further ones wait.
const AT_ONCE: usize = 32;

const DONE: &str =
    "<!doctype html><meta charset=utf-8><title>Sheaf</title><p>You are signed in. You can close this window.";
const FAILED: &str = "<!doctype html><meta charset=utf-8><title>Sheaf</title><p>Signing in did not work. You can close this window.";

/// A port that waits for the answer.
pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
}

/// What the server's page sent along.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The code, or why there is none, in the server's words.
    pub(super) code: Result<String, String>,
    state: Option<String>,
    pub(super) issuer: Option<String>,
}

impl Loopback {
    pub(super) async fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Where to send the browser.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Waits for the answer to the sign-in of this name. Whatever else is asked is turned away.
    pub(super) async fn answer(&self, state: &str) -> io::Result<Answer> {
        let mut connections = FuturesUnordered::new();
        loop {
            let room = connections.len() < AT_ONCE;
            let accept =
                async { if room { self.listener.accept().await } else { std::future::pending().await } };
            let stream = select_biased! {
                served = connections.select_next_some() => match served {
                    Ok(Ok(Some(answer))) => return Ok(answer),
                    // Said nothing, too slowly, or something else.
                    Ok(_) | Err(platform::Elapsed) => continue,
                },
                accepted = accept.fuse() => accepted?.0,
            };
            connections.push(platform::within(SAYING, one(stream, state)));
        }
    }
}

/// Serves one connection; `None` where it was not the answer.
async fn one(mut stream: TcpStream, state: &str) -> io::Result<Option<Answer>> {
    let mut request = Vec::new();
    while !request.contains(&b'\n') && request.len() < MAX_REQUEST {
        let mut piece = [0; 1024];
        match stream.read(&mut piece).await? {
            0 => return Ok(None),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let answer = read_request(&request).filter(|answer| answer.state.as_deref() == Some(state));
    let (status, page) = match &answer {
        None => ("404 Not Found", ""),
        Some(Answer { code: Ok(_), .. }) => ("200 OK", DONE),
        Some(Answer { code: Err(_), .. }) => ("200 OK", FAILED),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(answer)
}

fn read_request(request: &[u8]) -> Option<Answer> {
    let line = std::str::from_utf8(request.split(|byte| *byte == b'\r').next()?).ok()?;
    let query = line.strip_prefix("GET /?")?.split(' ').next()?;
    let pairs: Vec<(&str, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, decoded(value)))
        .collect();
    let value = |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
    let code = match (value("code"), value("error_description").or_else(|| value("error"))) {
        (Some(code), _) => Ok(code),
        (None, Some(error)) => Err(error.chars().filter(|c| !c.is_control()).take(200).collect()),
        (None, None) => return None,
    };
    Some(Answer { code, state: value("state"), issuer: value("iss") })
}

/// Undoes percent-encoding; what is not UTF-8 becomes replacement characters and will not fit anything.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits =
                    [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(b'?')).to_digit(16));
                match digits {
                    [Some(high), Some(low)] => bytes.push((high * 16 + low) as u8),
                    _ => bytes.push(b'?'),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read_and_nothing_else_is_taken_for_it() {
        let read = |line: &str| read_request(format!("{line}\r\nHost: x\r\n\r\n").as_bytes());
        let answer = read("GET /?iss=http%3A%2F%2Flocalhost%3A1&state=a+b&code=cod-1 HTTP/1.1").unwrap();
        let expected = Answer {
            code: Ok("cod-1".into()),
            state: Some("a b".into()),
            issuer: Some("http://localhost:1".into()),
        };
        assert_eq!(answer, expected);
        let denied = "GET /?state=s&error=access_denied&error_description=The%20user%20said%20no HTTP/1.1";
        let expected = Answer { code: Err("The user said no".into()), state: Some("s".into()), issuer: None };
        assert_eq!(read(denied), Some(expected));
        for other in [
            "GET /favicon.ico HTTP/1.1",
            "GET / HTTP/1.1",
            "POST /?code=x HTTP/1.1",
            "",
            "GET /?state=x HTTP/1.1",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(decoded("%zz%4"), "??");
    }

    #[test]
    fn a_browser_gets_a_page_and_the_program_its_answer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let loopback = Loopback::listen().await.unwrap();
            let ask = async |path: &str| {
                let mut stream = TcpStream::connect(("127.0.0.1", loopback.port)).await.unwrap();
                stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
                let mut page = String::new();
                stream.read_to_string(&mut page).await.unwrap();
                page
            };
            // A connection that says nothing, as browsers open them in advance.
            let _idle = TcpStream::connect(("127.0.0.1", loopback.port)).await.unwrap();
            let browser = async {
                assert!(ask("/favicon.ico").await.starts_with("HTTP/1.1 404"));
                // Another page of this machine guesses.
                assert!(ask("/?code=theirs").await.starts_with("HTTP/1.1 404"));
                assert!(ask("/?code=theirs&state=other").await.starts_with("HTTP/1.1 404"));
                assert!(ask("/?error=access_denied").await.starts_with("HTTP/1.1 404"));
                ask("/?code=c&state=mine").await
            };
            let all = async { tokio::join!(browser, loopback.answer("mine")) };
            let (page, answer) =
                platform::within(SAYING / 2, all).await.expect("nobody waits for the idle one");
            assert!(page.ends_with(DONE), "{page}");
            assert_eq!(answer.unwrap().code.as_deref(), Ok("c"));
        });
    }
}
