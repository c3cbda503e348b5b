//! Servers that are away, that lose answers, that ask for patience; sessions that end; links that lead nowhere. A clear
//! sentence each, and nothing lost.

mod support;

use std::{cell::Cell, rc::Rc};

use serde_json::json;
use sheaf_client::{
    AccountError,
    net::http::{HttpError, Request, Response},
    platform::LocalFuture,
    session::{
        self, Authed, AuthedError, MemorySessions, Password, Saved, SessionStore, SignInError, Tokens,
    },
    slots::FileLocks,
    store::Sqlite,
};
use sheaf_core::{
    record,
    replica::{Presence, Role, Stalled},
};
use sheaf_devnet::Network;
use sheaf_repo::did::Did;
use support::{
    append, client, config, eventually, eventually_reads, on_every_store, prepend, published, run, signed_in,
};

/// A session between which and its server things happen.
struct Meddled {
    inner: Rc<dyn Authed>,
    /// How many answers get lost from here on, after the server has done what was asked.
    lose: Cell<usize>,
    /// Whether the session is over.
    over: Cell<bool>,
}

impl Meddled {
    fn with(inner: Rc<dyn Authed>) -> Rc<Self> {
        Rc::new(Self { inner, lose: Cell::new(0), over: Cell::new(false) })
    }
}

impl Authed for Meddled {
    fn did(&self) -> &Did {
        self.inner.did()
    }

    fn handle(&self) -> Option<String> {
        self.inner.handle()
    }

    fn pds(&self) -> String {
        self.inner.pds()
    }

    fn send(&self, request: Request) -> LocalFuture<'_, Result<Response, AuthedError>> {
        Box::pin(async move {
            if self.over.get() {
                return Err(AuthedError::SignInAgain);
            }
            let answer = self.inner.send(request).await;
            if self.lose.get() > 0 {
                self.lose.set(self.lose.get() - 1);
                return Err(HttpError::Interrupted("the answer was lost".into()).into());
            }
            answer
        })
    }
}

#[test]
fn what_was_typed_survives_a_crash_while_the_server_is_away() {
    run(async {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let folder = tempfile::tempdir()?;
        let open_client = async |account: Rc<dyn Authed>| {
            let locks = Rc::new(FileLocks::new(&folder.path().join("locks"))?);
            let store = Rc::new(Sqlite::open(&folder.path().join("store.sqlite"))?);
            let parts = sheaf_client::Parts {
                config: config.clone(),
                store,
                locks,
                account: Some(account),
                name: None,
            };
            anyhow::Ok(sheaf_client::Client::new(parts))
        };
        let session = signed_in(&config, &account).await;

        // All tasks of this set die with it, in the middle of whatever they do.
        let first_run = tokio::task::LocalSet::new();
        let uri = first_run
            .run_until(async {
                let client = open_client(session.clone()).await?;
                let document = client.create("Diary").await?;
                append(&document, "Published. ");
                published(&document).await;
                network.pds(0).stop().await?;
                append(&document, "Only here. ");
                eventually(&document, "durable", |d| d.status().unsaved == 0 && d.status().waiting > 0).await;
                let uri = document.uri().clone();
                std::mem::forget(document); // no chance to close in order
                anyhow::Ok(uri)
            })
            .await?;
        drop(first_run);

        let client = open_client(session).await?;
        let document = client.open(&uri).await?;
        assert_eq!(document.text(), "Published. Only here. ", "at once, without any server");
        append(&document, "And later.");
        assert!(document.status().waiting + document.status().unsaved > 0);
        network.pds(0).start().await?;
        client.online(false);
        client.online(true);
        published(&document).await;

        let reader = support::client(&config, None).open(&uri).await?;
        eventually_reads(&reader, "Published. Only here. And later.").await;
        document.close().await;
        assert_eq!(client.documents().await?[0].waiting, 0);
        network.stop().await
    });
}

#[test]
fn a_lost_answer_is_neither_a_lost_nor_a_doubled_change() {
    on_every_store(async || {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let meddled = Meddled::with(signed_in(&config, &account).await);
        let alice = client(&config, Some(meddled.clone()));

        meddled.lose.set(1);
        let document = alice.create("Creation's answer is lost").await?;
        append(&document, "one ");
        published(&document).await;
        for word in ["two ", "three ", "four "] {
            meddled.lose.set(1);
            append(&document, word);
            eventually(&document, "an answer is lost", |_| meddled.lose.get() == 0).await;
        }
        published(&document).await;
        assert_eq!(document.title(), "Creation's answer is lost");
        let reader = client(&config, None).open(document.uri()).await?;
        eventually_reads(&reader, "one two three four ").await;
        document.close().await;
        network.stop().await
    });
}

#[test]
fn an_ended_session_says_so_and_goes_on_after_signing_in() {
    on_every_store(async || {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let meddled = Meddled::with(signed_in(&config, &account).await);
        let alice = client(&config, Some(meddled.clone()));
        let document = alice.create("Notes").await?;
        published(&document).await;

        meddled.over.set(true);
        append(&document, "written after the session ended");
        eventually(&document, "sign in again", |d| d.status().stalled == Some(Stalled::SignInAgain)).await;
        assert_eq!(document.status().sentence(), "Sign in again to publish: 1 change waiting");
        append(&document, ", and more");

        alice.set_account(signed_in(&config, &account).await);
        published(&document).await;
        let reader = client(&config, None).open(document.uri()).await?;
        eventually_reads(&reader, "written after the session ended, and more").await;
        document.close().await;
        network.stop().await
    });
}

#[test]
fn sessions_renew_themselves_and_end_when_they_cannot() {
    run(async {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let sessions = Rc::new(MemorySessions::new());
        Password::sign_in(&config, "@alice.test", &account.password, sessions.clone()).await?;
        let whole = sessions.load()?.expect("signing in keeps the session");
        let Tokens::Password { access, refresh } = whole.tokens.clone() else {
            panic!("a password was used")
        };

        // An access token that the server takes no more, and a refresh token that it does.
        let stale = Tokens::Password { access: format!("{access}x"), refresh };
        sessions.save(&Saved { tokens: stale, ..whole.clone() })?;
        let renewing = session::restore(&config, sessions.clone()).await?.expect("somebody is signed in");
        let alice = client(&config, Some(renewing));
        let document = alice.create("Renewed").await?;
        published(&document).await;
        let renewed = sessions.load()?.expect("the renewed session is kept");
        assert_ne!(renewed, whole);
        document.close().await;

        // Neither token is any good.
        let hopeless = Tokens::Password { access: format!("{access}x"), refresh: format!("{access}y") };
        sessions.save(&Saved { tokens: hopeless, ..whole.clone() })?;
        let over = session::restore(&config, sessions.clone()).await?.expect("somebody is signed in");
        let document = client(&config, Some(over)).create("Not published").await?;
        eventually(&document, "sign in again", |d| d.status().stalled == Some(Stalled::SignInAgain)).await;
        document.close().await;

        session::sign_out(&config, sessions.clone()).await?;
        assert!(session::restore(&config, sessions.clone()).await?.is_none());
        let wrong = Password::sign_in(&config, "alice.test", "wrong", sessions.clone()).await;
        assert!(matches!(wrong, Err(SignInError::WrongPassword)), "{wrong:?}");
        let nobody = Password::sign_in(&config, "nobody.test", "wrong", sessions).await;
        assert!(matches!(nobody, Err(SignInError::Account(AccountError::UnknownHandle(_)))), "{nobody:?}");
        network.stop().await
    });
}

#[test]
fn a_used_up_quota_loses_nothing() {
    on_every_store(async || {
        let network = Network::builder().rate_limits(true).start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let store = support::store();
        let session = signed_in(&config, &account).await;
        let alice = support::client_on(&config, Some(session.clone()), store.clone());
        let document = alice.create("Notes").await?;
        append(&document, "before ");
        published(&document).await;

        // Something else of Alice's uses up the account's quota, 200 records of three points at a time.
        let noise = account.sign_in().await?;
        let mut size = 200;
        while size > 0 {
            let write = json!({ "$type": "com.atproto.repo.applyWrites#create", "collection": "dev.sheaf.noise", "value": {} });
            let writes = vec![write; size];
            let body = json!({ "repo": account.did, "validate": false, "writes": writes });
            if noise.procedure("com.atproto.repo.applyWrites", &body).await.is_err() {
                size /= 2;
            }
        }
        append(&document, "after");
        eventually(&document, "the quota is used up", |d| {
            matches!(d.status().stalled, Some(Stalled::QuotaUsed { .. }))
        })
        .await;
        let status = document.status();
        assert_eq!((status.unsaved, status.waiting), (0, 1), "{status:?}");
        assert!(status.sentence().starts_with("Saved on this device"), "{}", status.sentence());
        let uri = document.uri().clone();
        document.close().await;

        let document = support::client_on(&config, Some(session), store).open(&uri).await?;
        assert_eq!(document.text(), "before after");
        assert_eq!(document.status().waiting, 1, "still waiting, still here");
        document.close().await;
        network.stop().await
    });
}

#[test]
fn links_and_names_that_lead_nowhere_say_so() {
    run(async {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let alice = client(&config, Some(signed_in(&config, &account).await));

        let sentence = async |typed: &str| alice.find_account(typed).await.unwrap_err().to_string();
        assert_eq!(sentence("nobody.test").await, "there is no account with the handle nobody.test");
        assert_eq!(
            sentence("not a handle").await,
            "“not a handle” is not a handle; one looks like name.bsky.social"
        );
        assert!(sentence("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").await.ends_with("no such account"));
        assert_eq!(alice.find_account(" @Alice.TEST\u{200e}").await?.did.as_str(), account.did);

        let nothing = format!("at://{}/{}/3jzfcijpj2z2a", account.did, record::DOCUMENT).parse()?;
        let document = alice.open(&nothing).await?;
        eventually(&document, "not found", |d| d.status().document == Presence::NotFound).await;
        document.close().await;
        let nobodys =
            format!("at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/{}/3jzfcijpj2z2a", record::DOCUMENT).parse()?;
        let document = alice.open(&nobodys).await?;
        eventually(&document, "no such account", |d| d.status().sentence().contains("no such account")).await;
        document.close().await;

        // A document deleted while somebody reads it stays readable here.
        let mine = alice.create("Soon gone").await?;
        append(&mine, "still readable");
        published(&mine).await;
        let reading = client(&config, None).open(mine.uri()).await?;
        eventually_reads(&reading, "still readable").await;
        let uri = mine.uri().clone();
        mine.close().await;
        account.sign_in().await?.delete_record(record::DOCUMENT, uri.rkey().as_str()).await?;
        eventually(&reading, "deleted", |d| d.status().document == Presence::Deleted).await;
        assert_eq!(reading.text(), "still readable");
        reading.close().await;
        network.stop().await
    });
}

#[test]
fn one_editors_server_away_leaves_the_others_writing() {
    on_every_store(async || {
        let network = Network::builder().pdses(2).start().await?;
        let config = config(&network);
        let (alice_account, bob_account) =
            (network.create_account("alice.test").await?, network.pds(1).create_account("bob.test").await?);
        let alice = client(&config, Some(signed_in(&config, &alice_account).await));
        let bob = client(&config, Some(signed_in(&config, &bob_account).await));
        let hers = alice.create("Notes").await?;
        hers.add_editor(bob_account.did.parse()?);
        append(&hers, "Alice. ");
        published(&hers).await;
        let his = bob.open(hers.uri()).await?;
        eventually(&his, "Bob may write", |d| d.role() == Role::Editor).await;
        eventually_reads(&his, "Alice. ").await;
        network.pds(1).stop().await?;

        prepend(&his, "Bob! ");
        append(&hers, "Alice again. ");
        published(&hers).await;
        eventually_reads(&his, "Bob! Alice. Alice again. ").await;
        eventually(&his, "his server is away", |d| {
            matches!(d.status().stalled, Some(Stalled::Unreachable { .. }))
        })
        .await;
        assert_eq!(his.status().waiting, 1);
        eventually(&hers, "Bob's server is away", |d| {
            d.status().editors.iter().any(|editor| editor.trouble.is_some())
        })
        .await;

        network.pds(1).start().await?;
        eventually_reads(&hers, "Bob! Alice. Alice again. ").await;
        published(&his).await;
        hers.close().await;
        his.close().await;
        network.stop().await
    });
}

#[test]
fn without_the_directory_what_it_said_last_is_good_enough() {
    on_every_store(async || {
        let network = Network::builder().start().await?;
        let whole = config(&network);
        let account = network.create_account("alice.test").await?;
        let store = support::store();
        let session = signed_in(&whole, &account).await;
        let alice = support::client_on(&whole, Some(session.clone()), store.clone());
        let document = alice.create("Notes").await?;
        append(&document, "one ");
        published(&document).await;
        let uri = document.uri().clone();
        document.close().await;

        // The same device, on a day when neither the directory nor the resolver of handles answers.
        let away = sheaf_client::config::NetworkConfig {
            plc: "http://localhost:1".into(),
            handle_resolver: Some("http://localhost:1".into()),
            ..whole.clone()
        };
        let document = support::client_on(&away, Some(session), store).open(&uri).await?;
        append(&document, "two ");
        published(&document).await;
        eventually(&document, "her handle is known from before", |d| {
            d.status().editors.iter().any(|editor| editor.handle.as_deref() == Some("alice.test"))
        })
        .await;
        let reader = client(&whole, None).open(&uri).await?;
        eventually_reads(&reader, "one two ").await;

        // A device that never heard of her has nothing to go on, and says so.
        let stranger = client(&away, None).open(&uri).await?;
        eventually(&stranger, "the directory is away", |d| d.status().sentence().contains("directory")).await;
        document.close().await;
        network.stop().await
    });
}
