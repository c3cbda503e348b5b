//! Signing in on the server's own page, as a command line does it: the real PDS, its real page's requests, a port of this
//! machine.

mod support;

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sheaf_client::{
    DocumentHandle,
    config::NetworkConfig,
    platform,
    session::{self, FileSessions, MemorySessions, OAuth, Saved, SessionStore, SignInError, Tokens},
};
use sheaf_core::replica::Stalled;
use sheaf_devnet::{Account, Network, fault_proxy::Fault};
use support::{append, client, config, eventually, eventually_reads, published, run};

/// A person's browser on the server's sign-in page: its cookies, and what the page's script asks for.
struct Page {
    http: reqwest::Client,
    address: String,
    origin: String,
    cookies: BTreeMap<String, String>,
}

impl Page {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let http =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let path = address.find("/oauth/authorize").context("it is the server's sign-in page")?;
        let origin = address[..path].to_owned();
        let mut page = Self { http, address: address.to_owned(), origin, cookies: BTreeMap::new() };
        let headers =
            [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let mut request = page.http.get(address);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        page.keep_cookies(&response);
        ensure!(response.status().is_success(), "the page says {}", response.text().await?);
        Ok(page)
    }

    fn keep_cookies(&mut self, response: &reqwest::Response) {
        for cookie in response.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    async fn ask(&mut self, what: &str, body: Value) -> anyhow::Result<Value> {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self
            .http
            .post(format!("{}/@atproto/oauth-provider/~api/{what}", self.origin))
            .header("cookie", cookies.join("; "))
            .header("x-csrf-token", self.cookies.get("csrf-token").context("the page sets a token")?)
            .header("origin", &self.origin)
            .header("referer", &self.address)
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "same-origin")
            .header("content-type", "application/json")
            .body(body.to_string());
        let response = request.send().await?;
        self.keep_cookies(&response);
        ensure!(response.status().is_success(), "{what}: {}", response.text().await?);
        Ok(serde_json::from_str(&response.text().await?)?)
    }

    /// Goes where the server sends the browser: the port of this machine.
    async fn go_back(&self, answer: &Value) -> anyhow::Result<String> {
        let url = answer["url"].as_str().context("the server sends the browser on")?;
        let (_, query) = url.split_once('?').context("with parameters")?;
        let (back, passed): (Vec<_>, Vec<_>) =
            query.split('&').partition(|pair| pair.starts_with("redirect_uri="));
        let back = back[0]["redirect_uri=".len()..].replace("%3A", ":").replace("%2F", "/");
        let passed: Vec<_> = passed.into_iter().filter(|pair| !pair.starts_with("redirect_mode=")).collect();
        Ok(self.http.get(format!("{back}?{}", passed.join("&"))).send().await?.text().await?)
    }
}

/// Somebody signs in on their server's page.
async fn sign_in(
    config: &NetworkConfig,
    account: &Account,
    sessions: Rc<dyn SessionStore>,
) -> anyhow::Result<Rc<OAuth>> {
    let person = account.clone();
    let show = |page: &str| {
        let page = page.to_owned();
        platform::spawn(async move {
            let mut page = Page::open(&page).await.unwrap();
            let name_and_password = json!({ "locale": "en", "username": person.handle, "password": person.password, "remember": true });
            page.ask("sign-in", name_and_password).await.unwrap();
            let answer = page.ask("consent", json!({ "did": person.did })).await.unwrap();
            assert!(page.go_back(&answer).await.unwrap().contains("You are signed in"));
        });
    };
    Ok(OAuth::sign_in(config, &account.handle, sessions, show).await?)
}

/// What is kept becomes what it is when the access token's time is over.
fn is_over(sessions: &dyn SessionStore) -> Saved {
    let mut saved = sessions.load().unwrap().expect("somebody is signed in");
    let Tokens::OAuth { session, .. } = &mut saved.tokens else { panic!("by OAuth") };
    let access = session.pointer_mut("/token_set/access_token").unwrap();
    *access = format!("{}x", access.as_str().unwrap()).into();
    sessions.save(&saved).unwrap();
    saved
}

#[test]
fn a_session_is_renewed_whatever_happens_meanwhile() {
    run(async {
        let network = Network::builder().fault_proxies(true).start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let folder = tempfile::tempdir()?;
        let sessions: Rc<dyn SessionStore> = Rc::new(FileSessions::new(folder.path().join("session.json")));
        sign_in(&config, &account, sessions.clone()).await?;
        let restored =
            async || session::restore(&config, sessions.clone()).await.unwrap().expect("signed in");
        let pds = network.pds(0);
        let proxy = pds.proxy();

        // While the server gives no tokens it is away; that is no reason to sign in again.
        let over = is_over(&*sessions);
        proxy.fail_always("/oauth/token", Fault::server_error());
        let alice = client(&config, Some(restored().await));
        let document = alice.create("Renewed").await?;
        append(&document, "one ");
        let away = |d: &DocumentHandle| matches!(d.status().stalled, Some(Stalled::Unreachable { .. }));
        eventually(&document, "the server is away", away).await;
        assert_eq!(sessions.load()?, Some(over), "nothing is lost");
        proxy.heal();
        published(&document).await;
        document.close().await;

        // A document is closed, and with it everything that waits for the server, in the middle of a renewal that takes
        // its time. The server gives new tokens, and the next run has them.
        let over = is_over(&*sessions);
        proxy.fail_next(2, "/oauth/token", Fault::Delay(Duration::from_secs(6)));
        let alice = client(&config, Some(restored().await));
        let document = alice.create("Closed meanwhile").await?;
        let uri = document.uri().clone();
        document.close().await;
        assert_ne!(sessions.load()?, Some(over), "it was renewed to the end");
        proxy.heal();
        let document = alice.open(&uri).await?;
        published(&document).await;
        document.close().await;

        // Two programs find that it is over at the same time.
        is_over(&*sessions);
        let (first, second) = (restored().await, restored().await);
        let documents = [
            client(&config, Some(first)).create("By the first").await?,
            client(&config, Some(second)).create("By the second").await?,
        ];
        for document in documents {
            published(&document).await;
            document.close().await;
        }
        network.stop().await
    });
}

#[test]
fn signing_in_on_the_servers_page_writing_and_signing_out() {
    run(async {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let sessions = Rc::new(MemorySessions::new());

        let session = sign_in(&config, &account, sessions.clone()).await?;
        let alice = client(&config, Some(session));
        let document = alice.create("By OAuth").await?;
        append(&document, "one ");
        published(&document).await;
        let uri = document.uri().clone();
        document.close().await;

        // Another run of the program, with what was kept.
        let kept = sessions.load()?.expect("the session is kept");
        assert!(matches!(kept.tokens, Tokens::OAuth { .. }));
        let restored = session::restore(&config, sessions.clone()).await?.expect("somebody is signed in");
        assert_eq!(restored.did().as_str(), account.did);
        let alice = client(&config, Some(restored));
        let document = alice.open(&uri).await?;
        eventually_reads(&document, "one ").await;
        append(&document, "two ");
        published(&document).await;

        // Once the server has been told, what was kept is worth nothing.
        session::sign_out(&config, sessions.clone()).await?;
        assert!(sessions.load()?.is_none());
        sessions.save(&kept)?;
        append(&document, "three ");
        eventually(&document, "sign in again", |d| d.status().stalled == Some(Stalled::SignInAgain)).await;
        document.close().await;
        network.stop().await
    });
}

#[test]
fn saying_no_on_the_page_is_an_answer() {
    run(async {
        let network = Network::builder().start().await?;
        let config = config(&network);
        network.create_account("alice.test").await?;
        let sessions = Rc::new(MemorySessions::new());
        let refused = OAuth::sign_in(&config, "alice.test", sessions.clone(), |page| {
            let page = page.to_owned();
            platform::spawn(async move {
                let mut page = Page::open(&page).await.unwrap();
                let answer = page.ask("reject", json!({})).await.unwrap();
                page.go_back(&answer).await.unwrap();
            });
        })
        .await;
        assert!(matches!(refused, Err(SignInError::Refused { .. })), "{refused:?}");
        assert!(sessions.load()?.is_none());
        network.stop().await
    });
}
