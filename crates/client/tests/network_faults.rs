//! Servers that answer 500, hang up, send web pages or half an answer: reading and writing go on once they recover, and
//! until then the status says what is the case.

mod support;

use std::time::Duration;

use sheaf_client::Client;
use sheaf_core::replica::{Role, Stalled};
use sheaf_devnet::{
    Network,
    fault_proxy::{Fault, FaultProxy},
};
use support::{append, client, config, eventually, eventually_reads, on_every_store, published, signed_in};

/// Every way an answer goes wrong without taking its time.
fn faults() -> Vec<Fault> {
    vec![
        Fault::server_error(),
        Fault::html(),
        Fault::Reset,
        Fault::Truncate,
        Fault::LoseReply,
        Fault::Delay(Duration::from_millis(300)),
    ]
}

#[test]
fn reading_goes_on_once_the_server_recovers() {
    on_every_store(async || {
        let network = Network::builder().fault_proxies(true).start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let alice = client(&config, Some(signed_in(&config, &account).await));
        let hers = alice.create("Notes").await?;
        append(&hers, "0 ");
        published(&hers).await;
        let pds = network.pds(0);
        let proxy = pds.proxy();
        // To a writer whose quota is said to be used up, core gives a minute on top; readers have no quota.
        let patience = Fault::rate_limited(Duration::from_secs(1));
        for (n, fault) in faults().into_iter().chain([patience]).enumerate() {
            // Whoever opens the document meets the fault twice, and again when the next change comes.
            proxy.fail_next(2, "com.atproto.sync.get", fault.clone());
            let reading = client(&config, None).open(hers.uri()).await?;
            eventually_reads(&reading, &hers.text()).await;
            proxy.fail_next(1, "com.atproto.sync.get", fault.clone());
            append(&hers, &format!("{} ", n + 1));
            published(&hers).await;
            eventually_reads(&reading, &hers.text()).await;
            eventually(&reading, "all is well again", |d| d.status().sentence() == "Reading live").await;
            reading.close().await;
        }
        hers.close().await;
        network.stop().await
    });
}

async fn one_by_one(proxy: &FaultProxy, alice: &Client) -> anyhow::Result<()> {
    let hers = alice.create("Notes").await?;
    published(&hers).await;
    for (n, fault) in faults().into_iter().enumerate() {
        // What is only late is not tried again.
        let times = if matches!(fault, Fault::Delay(_)) { 1 } else { 2 };
        proxy.fail_next(times, "com.atproto.repo.putRecord", fault);
        append(&hers, &format!("{n} "));
        eventually(&hers, "the faults happened", |_| proxy.faults_left() == 0).await;
        published(&hers).await;
    }
    let reading = alice.open(hers.uri()).await?;
    eventually_reads(&reading, "0 1 2 3 4 5 ").await;
    hers.close().await;
    reading.close().await;
    Ok(())
}

#[test]
fn writing_loses_and_doubles_nothing() {
    on_every_store(async || {
        let network = Network::builder().fault_proxies(true).start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let alice = client(&config, Some(signed_in(&config, &account).await));
        one_by_one(network.pds(0).proxy(), &alice).await?;
        network.stop().await
    });
}

#[test]
fn while_a_server_hangs_others_go_on_and_the_status_says_so() {
    on_every_store(async || {
        let network = Network::builder().pdses(2).fault_proxies(true).start().await?;
        let config = config(&network);
        let alice_account = network.create_account("alice.test").await?;
        let bob_account = network.pds(1).create_account("bob.test").await?;
        let alice = client(&config, Some(signed_in(&config, &alice_account).await));
        let bob = client(&config, Some(signed_in(&config, &bob_account).await));
        let hers = alice.create("Notes").await?;
        hers.add_editor(bob_account.did.parse()?);
        append(&hers, "Alice. ");
        published(&hers).await;
        let his = bob.open(hers.uri()).await?;
        eventually(&his, "Bob may write", |d| d.role() == Role::Editor).await;

        let pds = network.pds(1);
        let bobs = pds.proxy();
        bobs.fail_always("com.atproto.", Fault::Hang);
        append(&his, "Bob. ");
        append(&hers, "More. ");
        published(&hers).await;
        eventually(&his, "Alice's words come through", |d| d.text().contains("More. ")).await;
        let away = |d: &sheaf_client::DocumentHandle| {
            matches!(d.status().stalled, Some(Stalled::Unreachable { .. }))
        };
        eventually(&his, "his server does not answer", away).await;
        assert_eq!(his.status().sentence().split(':').next(), Some("Your server cannot be reached"));

        bobs.heal();
        published(&his).await;
        eventually_reads(&hers, &his.text()).await;
        hers.close().await;
        his.close().await;
        network.stop().await
    });
}
