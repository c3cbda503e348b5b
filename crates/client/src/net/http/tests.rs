//! HTTP against small servers on loopback that do not behave.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// Serves each connection in turn by the next of these answers, sent as they are; then the connection ends.
async fn served(answers: Vec<Vec<u8>>, ask: impl AsyncFnOnce(Http, String)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            // Whoever has heard enough goes before all is said.
            let _ = stream.write_all(&answer).await;
        }
        // Further connections are accepted by the system and never answered.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serve => unreachable!("it waits for ever"),
        () = ask(Http::new(), url) => {}
    }
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn whole(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

#[test]
fn an_answer_that_says_it_is_too_large_is_not_read() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n".to_vec();
    run(served(vec![head], async |http, url| {
        let answer = http.send(Request::get(url).limit(1000)).await;
        assert_eq!(answer.unwrap_err(), HttpError::TooLarge { limit: 1000 });
    }));
}

#[test]
fn an_answer_that_does_not_end_is_cut_off_at_its_limit() {
    let mut flood = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..1000 {
        flood.extend_from_slice(b"400\r\n");
        flood.extend_from_slice(&[b'x'; 0x400]);
        flood.extend_from_slice(b"\r\n");
    }
    run(served(vec![flood], async |http, url| {
        let answer = http.send(Request::get(url).limit(100_000)).await;
        assert_eq!(answer.unwrap_err(), HttpError::TooLarge { limit: 100_000 });
    }));
}

#[test]
fn a_server_that_says_nothing_costs_the_time_limit() {
    run(served(vec![], async |http, url| {
        let answer = http.send(Request::get(url).timeout(Duration::from_millis(100))).await;
        assert_eq!(answer.unwrap_err(), HttpError::TimedOut);
    }));
}

#[test]
fn a_read_cut_off_is_repeated_once_and_a_write_never() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    run(served(vec![half.clone(), whole("whole")], async |http, url| {
        assert_eq!(http.get(Request::get(url)).await.unwrap().body, b"whole");
    }));
    run(served(vec![half.clone(), half.clone(), whole("too late")], async |http, url| {
        let answer = http.get(Request::get(url)).await;
        assert!(matches!(answer, Err(HttpError::Interrupted(_))), "{answer:?}");
    }));
    run(served(vec![half, whole("twice")], async |http, url| {
        let answer = http.send(Request::post_json(url, &serde_json::json!({}))).await;
        assert!(matches!(answer, Err(HttpError::Interrupted(_))), "{answer:?}");
    }));
}

#[test]
fn redirects_do_not_lead_off_this_machine() {
    let away =
        b"HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/\r\ncontent-length: 0\r\n\r\n".to_vec();
    run(served(vec![away], async |http, url| {
        assert_eq!(http.send(Request::get(url)).await.unwrap().status, 302);
    }));
}

#[test]
fn nobody_there_is_unreachable() {
    run(async {
        // Bound, so that nobody else gets the port, and not listened to.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/", socket.local_addr().unwrap());
        let answer = Http::new().get(Request::get(url)).await;
        assert!(matches!(answer, Err(HttpError::Unreachable(_))), "{answer:?}");
    });
}
