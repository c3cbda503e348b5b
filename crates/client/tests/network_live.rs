//! The live channel on the real PDS and a real relay.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use sheaf_client::{
    Change, Client, DocumentHandle, config::NetworkConfig, net::live::native::go_live, platform,
    store::SharedStore,
};
use sheaf_core::document_uri::DocumentUri;
use sheaf_devnet::{Account, Network, SlowWay, fault_proxy::Fault};
use support::{
    GENEROUS, append, client, client_on, config, eventually, eventually_reads, prepend, published, run,
    signed_in, store,
};

/// Whoever is in a document with a live channel.
async fn live(
    config: &NetworkConfig,
    account: &Account,
    store: SharedStore,
    relay_only: bool,
) -> anyhow::Result<Client> {
    let client = client_on(config, Some(signed_in(config, account).await), store);
    go_live(&client, relay_only).await?;
    Ok(client)
}

/// Alice's document with Bob in it.
async fn shared(config: &NetworkConfig, alice: &Account, bob: &Account) -> anyhow::Result<DocumentUri> {
    let maker = client(config, Some(signed_in(config, alice).await));
    let made = maker.create("Notes").await?;
    made.add_editor(bob.did.parse()?);
    append(&made, "begun ");
    published(&made).await;
    let uri = made.uri().clone();
    made.close().await;
    Ok(uri)
}

/// Alice's document on her device and on Bob's, both with a live channel.
async fn both(
    config: &NetworkConfig,
    network: &Network,
    relay_only: bool,
) -> anyhow::Result<[(Client, DocumentHandle); 2]> {
    let (alice, bob) =
        (network.create_account("alice.test").await?, network.create_account("bob.test").await?);
    let uri = shared(config, &alice, &bob).await?;
    let alices = live(config, &alice, store(), relay_only).await?;
    let bobs = live(config, &bob, store(), relay_only).await?;
    let (a, b) = (alices.open(&uri).await?, bobs.open(&uri).await?);
    Ok([(alices, a), (bobs, b)])
}

/// Nothing reaches any account's server.
fn down(network: &Network) {
    network.pds(0).proxy().fail_always("", Fault::Reset);
    network.pds(0).proxy().cut_streams();
}

async fn linked(document: &DocumentHandle) {
    eventually(document, "a link", |d| d.status().live.linked > 0).await;
}

#[test]
fn what_is_typed_is_there_before_any_repo_shows_it_over_a_relay_and_directly() {
    run(async {
        for relay_only in [true, false] {
            let network = Network::builder().fault_proxies(true).relay(true).start().await?;
            let config = config(&network);
            let [(_alices, a), (_bobs, b)] = both(&config, &network, relay_only).await?;
            for document in [&a, &b] {
                eventually_reads(document, "begun ").await;
                linked(document).await;
            }
            // Nobody's server is there any more.
            down(&network);
            let began = Instant::now();
            append(&a, "לייב 👩‍👩‍👧 ");
            eventually_reads(&b, "begun לייב 👩‍👩‍👧 ").await;
            prepend(&b, "e\u{301} ");
            eventually_reads(&a, "e\u{301} begun לייב 👩‍👩‍👧 ").await;
            println!("there and back: {:?}", began.elapsed());
            assert!(a.status().live.provisional > 0, "it is in no repo yet");
            network.pds(0).proxy().heal();
            for document in [&a, &b] {
                published(document).await;
                eventually(document, "all is proved", |d| d.status().live.provisional == 0).await;
            }
            a.close().await;
            b.close().await;
        }
        Ok(())
    });
}

#[test]
fn whoever_comes_back_while_servers_are_down_is_known_and_loses_nothing() {
    run(async {
        let network = Network::builder().fault_proxies(true).relay(true).start().await?;
        let config = config(&network);
        let (alice, bob) =
            (network.create_account("alice.test").await?, network.create_account("bob.test").await?);
        let uri = shared(&config, &alice, &bob).await?;
        let (kept, bobs) = (store(), live(&config, &bob, store(), true).await?);
        let alices = live(&config, &alice, kept.clone(), true).await?;
        let account = signed_in(&config, &alice).await;
        let (a, b) = (alices.open(&uri).await?, bobs.open(&uri).await?);
        linked(&a).await;
        linked(&b).await;
        down(&network);
        append(&a, "before ");
        eventually_reads(&b, "begun before ").await;
        a.close().await;
        drop(alices);
        append(&b, "meanwhile ");
        // Her server cannot be told that she is back: Bob knows her by what her repo said before.
        let again = client_on(&config, Some(account), kept);
        go_live(&again, true).await?;
        let a = again.open(&uri).await?;
        eventually_reads(&a, "begun before meanwhile ").await;
        append(&a, "after ");
        eventually_reads(&b, "begun before meanwhile after ").await;
        network.pds(0).proxy().heal();
        published(&a).await;
        published(&b).await;
        // Whoever only reads finds all of it in the repos.
        let reader = client(&config, None).open(&uri).await?;
        eventually_reads(&reader, "begun before meanwhile after ").await;
        Ok(())
    });
}

#[test]
fn without_a_relay_all_goes_on_through_the_repos_and_with_one_again_live() {
    run(async {
        let mut network = Network::builder().relay(true).start().await?;
        let config = config(&network);
        let [(_alices, a), (_bobs, b)] = both(&config, &network, true).await?;
        linked(&a).await;
        linked(&b).await;
        let relay = network.take_relay().expect("there is one");
        let port = relay.port();
        relay.stop().await;
        append(&a, "slowly ");
        eventually_reads(&b, "begun slowly ").await;
        eventually(&a, "the link is found to be gone", |d| d.status().live.linked == 0).await;
        append(&b, "still ");
        eventually_reads(&a, "begun slowly still ").await;
        let _relay = sheaf_devnet::Relay::start_on(port).await?;
        linked(&a).await;
        // What comes live is seen before it is published.
        let seen = Rc::new(RefCell::new(false));
        let saw = seen.clone();
        let _watch = b.on_change(move |change| {
            if let Change::Show(_) = change {
                *saw.borrow_mut() = true;
            }
        });
        append(&a, "quick");
        platform::within(GENEROUS, b.until(|d| d.text().ends_with("quick"))).await.expect("it comes");
        assert!(*seen.borrow());
        Ok(())
    });
}

#[test]
fn over_a_relay_that_is_slow_or_stuck_nothing_waits_and_the_repos_carry_what_live_does_not() {
    run(async {
        let mut network = Network::builder().fault_proxies(true).relay(true).start().await?;
        let relay = network.take_relay().expect("there is one");
        // A second from one to the other, and as long back.
        let slow = Duration::from_millis(500);
        let way = SlowWay::start(relay.port(), slow).await?;
        let config = NetworkConfig { relays: vec![way.url()], ..config(&network) }.validated()?;
        let [(_alices, a), (_bobs, b)] = both(&config, &network, true).await?;
        // Nobody waits for a link to read or to write.
        eventually_reads(&b, "begun ").await;
        append(&b, "first ");
        assert_eq!(b.text(), "begun first ");
        eventually_reads(&a, "begun first ").await;
        for document in [&a, &b] {
            linked(document).await;
        }
        // Slowly said is said all the same: no server has a word of it.
        down(&network);
        append(&a, "slow ");
        append(&b, "too ");
        for document in [&a, &b] {
            eventually(document, "what both wrote", |d| d.text().len() == "begun first slow too ".len())
                .await;
        }
        assert_eq!(a.text(), b.text());
        network.pds(0).proxy().heal();
        published(&a).await;
        published(&b).await;
        // Now the relay takes everything and brings nothing, and both are linked as far as they know.
        way.stall();
        append(&a, "stuck ");
        prepend(&b, "both ");
        let both = format!("both {}stuck ", a.text().strip_suffix("stuck ").unwrap_or_default());
        eventually_reads(&a, &both).await;
        eventually_reads(&b, &both).await;
        for document in [&a, &b] {
            published(document).await;
            eventually(document, "all is proved", |d| d.status().live.provisional == 0).await;
        }
        // Once it flows again, it is live again.
        way.flow(Duration::ZERO);
        for document in [&a, &b] {
            linked(document).await;
        }
        down(&network);
        append(&b, "at last");
        eventually_reads(&a, &format!("{both}at last")).await;
        Ok(())
    });
}
