//! The network is real, keeps what it is told to keep, and leaves nothing behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sheaf_devnet::Network;
use sheaf_devnet::fault_proxy::Fault;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const COLLECTION: &str = "dev.example.note";
/// More than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The next commit event that Jetstream delivers.
async fn next_commit(
    stream: &mut (impl futures_util::Stream<Item = Result<Message, impl std::fmt::Debug>> + Unpin),
) -> Value {
    loop {
        let message = tokio::time::timeout(LIMIT, stream.next())
            .await
            .expect("Jetstream delivers in time")
            .expect("Jetstream stays connected")
            .expect("Jetstream sends whole messages");
        if let Message::Text(text) = message {
            let event: Value = serde_json::from_str(&text).expect("Jetstream sends JSON");
            if event["kind"] == "commit" {
                return event;
            }
        }
    }
}

fn has_go() -> bool {
    Command::new("go").arg("version").output().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_written_proved_and_announced() {
    let network = Network::builder().jetstream(true).start().await.unwrap();
    let alice = network.create_account("alice.test").await.unwrap();
    assert!(alice.did.starts_with("did:plc:"), "{}", alice.did);
    let session = alice.sign_in().await.unwrap();

    // The handle resolves to the DID, and the DID's document points back at handle and PDS.
    let resolved = session.query("com.atproto.identity.resolveHandle", "handle=alice.test").await.unwrap();
    assert_eq!(resolved["did"], alice.did.as_str());
    let document = get(&format!("{}/{}", network.plc_url(), alice.did)).await;
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["alsoKnownAs"][0], "at://alice.test");
    assert_eq!(document["service"][0]["serviceEndpoint"], network.pds(0).url());

    let stream = network.jetstream_url(0);
    assert_eq!(stream.is_some(), has_go());
    let mut stream = match stream {
        Some(url) => Some(connect_async(format!("{url}?wantedCollections={COLLECTION}")).await.unwrap().0),
        None => None,
    };

    let record = json!({ "$type": COLLECTION, "text": "e\u{301} 👩‍👩‍👧 שלום\r\n" });
    let put = session.put_record(COLLECTION, "a:b:1", &record).await.unwrap();
    let proof = get(&format!(
        "{}/xrpc/com.atproto.sync.getRecord?did={}&collection={COLLECTION}&rkey=a:b:1",
        network.pds(0).url(),
        alice.did
    ))
    .await;
    // A CAR: a varint-framed header, then blocks, of which one is the record itself.
    let needle = "👩‍👩‍👧".as_bytes();
    assert!(proof.windows(needle.len()).any(|window| window == needle), "the proof carries the record");

    if let Some(stream) = &mut stream {
        let event = next_commit(stream).await;
        assert_eq!(event["did"], alice.did.as_str());
        assert_eq!(event["commit"]["rkey"], "a:b:1");
        assert_eq!(event["commit"]["cid"], put["cid"]);
        assert_eq!(event["commit"]["record"], record);
    }

    // While the PDS is away nothing answers; afterwards the record is still there, and Jetstream goes on.
    network.pds(0).stop().await.unwrap();
    session.query("com.atproto.identity.resolveHandle", "handle=alice.test").await.unwrap_err();
    network.pds(0).start().await.unwrap();
    let record = json!({ "$type": COLLECTION, "text": "back" });
    session.put_record(COLLECTION, "a:b:2", &record).await.unwrap();
    if let Some(url) = network.jetstream_url(0) {
        // It came back with its PDS; asking from the beginning also delivers what it announced before we came.
        let from_the_start = format!("{url}?wantedCollections={COLLECTION}&cursor=1");
        let (mut stream, _) = connect_async(from_the_start).await.unwrap();
        assert_eq!(next_commit(&mut stream).await["commit"]["rkey"], "a:b:1", "it kept its past");
        assert_eq!(next_commit(&mut stream).await["commit"]["rkey"], "a:b:2");
    }

    session.deactivate().await.unwrap();
    session.activate().await.unwrap();
    network.pds(0).delete_account(&alice.did).await.unwrap();
    alice.sign_in().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_pdses_share_one_directory_of_names() {
    let network = Network::builder().pdses(2).start().await.unwrap();
    assert_eq!(network.jetstream_url(0), None);
    let alice = network.pds(0).create_account("alice.test").await.unwrap();
    let bob = network.pds(1).create_account("bob.test").await.unwrap();
    assert_ne!(network.pds(0).url(), network.pds(1).url());
    for account in [&alice, &bob] {
        let url = network.handle_resolver_url();
        let answer =
            get(&format!("{url}/xrpc/com.atproto.identity.resolveHandle?handle={}", account.handle)).await;
        assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["did"], account.did.as_str());
    }
    assert_eq!(network.account("bob.test"), Some(bob));
    assert_eq!(network.account("carol.test"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_network_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let start = || Network::builder().jetstream(true).data(Some(directory.path().to_owned())).start();

    let network = start().await.unwrap();
    assert!(network.is_fresh());
    let urls = (network.pds(0).url(), network.plc_url(), network.jetstream_url(0));
    let alice = network.ensure_account("alice.test").await.unwrap();
    let record = json!({ "$type": COLLECTION, "text": "kept" });
    alice.sign_in().await.unwrap().put_record(COLLECTION, "one", &record).await.unwrap();

    let busy = start().await.err().expect("one network at a time");
    assert!(format!("{busy:#}").contains("already running"), "{busy:#}");
    network.stop().await.unwrap();

    let network = start().await.unwrap();
    assert!(!network.is_fresh());
    assert_eq!(urls, (network.pds(0).url(), network.plc_url(), network.jetstream_url(0)));
    assert_eq!(network.ensure_account("alice.test").await.unwrap(), alice);
    let session = alice.sign_in().await.unwrap();
    let query = format!("repo={}&collection={COLLECTION}&rkey=one", alice.did);
    assert_eq!(session.query("com.atproto.repo.getRecord", &query).await.unwrap()["value"], record);
    // Writing needs the PDS's keys and the directory's entry to have survived, too.
    session.put_record(COLLECTION, "two", &record).await.unwrap();
    network.create_account("bob.test").await.unwrap();
    drop(network);

    // Killed, not stopped: still whole.
    let network = start().await.unwrap();
    assert!(network.account("bob.test").is_some());
    let port = network.pds(0).port();
    drop(network);

    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let taken = start().await.err().expect("its port is taken");
    assert!(format!("{taken:#}").contains(&format!("port {port}")), "{taken:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_stands_at_the_address_everyone_knows() {
    let network = Network::builder().jetstream(true).fault_proxies(true).start().await.unwrap();
    let alice = network.create_account("alice.test").await.unwrap();
    let session = alice.sign_in().await.unwrap();
    let proxy = network.pds(0).proxy();
    assert_eq!(proxy.url(), network.pds(0).url());
    assert_eq!(proxy.traffic("com.atproto.server.createSession").requests, 1);

    proxy.fail_next(1, "com.atproto.repo.putRecord", Fault::LoseReply);
    let record = json!({ "$type": COLLECTION, "text": "written, but nobody heard" });
    session.put_record(COLLECTION, "one", &record).await.unwrap_err();
    let query = format!("repo={}&collection={COLLECTION}&rkey=one", alice.did);
    assert_eq!(session.query("com.atproto.repo.getRecord", &query).await.unwrap()["value"], record);

    // The firehose comes through as well, until it is cut.
    let firehose =
        network.pds(0).url().replace("http", "ws") + "/xrpc/com.atproto.sync.subscribeRepos?cursor=0";
    let (mut frames, _) = connect_async(firehose).await.unwrap();
    assert!(matches!(frames.next().await, Some(Ok(Message::Binary(_)))));
    proxy.cut_streams();
    while let Some(Ok(_)) = frames.next().await {}

    // While the PDS is away its proxy is as dumb as it.
    network.pds(0).stop().await.unwrap();
    session.query("com.atproto.repo.getRecord", &query).await.unwrap_err();
    network.pds(0).start().await.unwrap();
    session.query("com.atproto.repo.getRecord", &query).await.unwrap();
}

/// A connection to a server, which ends when the server does.
struct Witness(TcpStream);

impl Witness {
    async fn of(port: u16) -> Self {
        Self(TcpStream::connect(("127.0.0.1", port)).await.unwrap())
    }

    /// Waits for the end.
    async fn sees_the_end_of(mut self, what: &str) {
        // An orderly end or a reset: either way there is nobody any more.
        let end = tokio::time::timeout(LIMIT, self.0.read_to_end(&mut Vec::new())).await;
        assert!(end.is_ok(), "not within {LIMIT:?}: the end of {what}");
    }
}

async fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

fn jetstream_port(url: &str) -> u16 {
    port_of(url.trim_end_matches("/subscribe"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_it_is_dropped() {
    let network = Network::builder().jetstream(true).start().await.unwrap();
    let ports = [network.pds(0).port(), port_of(&network.plc_url())];
    let jetstream = match network.jetstream_url(0) {
        Some(url) => Some(Witness::of(jetstream_port(&url)).await),
        None => None,
    };
    drop(network);
    for port in ports {
        assert!(!is_open(port).await);
    }
    if let Some(jetstream) = jetstream {
        jetstream.sees_the_end_of("Jetstream").await;
    }
}

/// This test runs its own binary again as the process that is killed: nobody gets to clean up in it.
#[allow(clippy::print_stdout, reason = "the victim tells its killer where it is")]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_its_owner_is_killed() {
    const SAYS: &str = "the victim runs: ";
    if std::env::var_os("SHEAF_DEVNET_TEST_VICTIM").is_some() {
        let network = Network::builder().jetstream(true).start().await.unwrap();
        let jetstream = network.jetstream_url(0).unwrap_or_default();
        println!("\n{SAYS}{}", json!({ "pds": network.pds(0).port(), "jetstream": jetstream }));
        std::future::pending::<()>().await;
    }

    let temporary = tempfile::tempdir().unwrap();
    let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_is_left_when_its_owner_is_killed", "--nocapture"])
        .env("SHEAF_DEVNET_TEST_VICTIM", "yes")
        .env("TMPDIR", temporary.path())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let running = loop {
        let line = lines.next_line().await.unwrap().expect("the victim says that it runs before it ends");
        if let Some(running) = line.strip_prefix(SAYS) {
            break serde_json::from_str::<Value>(running).unwrap();
        }
    };
    let pds = Witness::of(running["pds"].as_u64().unwrap() as u16).await;
    let jetstream = match running["jetstream"].as_str().filter(|url| !url.is_empty()) {
        Some(url) => Some(Witness::of(jetstream_port(url)).await),
        None => None,
    };
    victim.kill().await.unwrap();

    if let Some(jetstream) = jetstream {
        jetstream.sees_the_end_of("Jetstream").await;
    }
    // The last thing that process does is to remove the directory.
    pds.sees_the_end_of("the PDS").await;
    assert!(is_empty(temporary.path()));
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

fn port_of(url: &str) -> u16 {
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// A plain GET, as any stranger would send it.
async fn get(url: &str) -> Vec<u8> {
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.0\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{url}: {}", String::from_utf8_lossy(&answer));
    answer[body..].to_vec()
}
