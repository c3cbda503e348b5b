//! Every kind of doorbell against the real servers: the second version of Jetstream, a Jetstream that dies in the middle of
//! the work, one that has never heard of an editor's host, and frames that bring all there is to know.

mod support;

use sheaf_client::config::NetworkConfig;
use sheaf_core::replica::{DoorbellKind, Role};
use sheaf_devnet::Network;
use support::{append, client, config, eventually, eventually_reads, prepend, published, run, signed_in};

#[test]
fn two_people_write_through_jetstreams_second_version() {
    run(async {
        let network = Network::builder().jetstream_v2().start().await?;
        if network.jetstream_missing().is_some() {
            return Ok(()); // Go is older than it needs; what it says is tested against a stream of our own, too.
        }
        let config = config(&network);
        assert!(config.jetstream[0].ends_with("network.bsky.jetstream.subscribeEvents"), "{config:?}");
        let alice_account = network.create_account("alice.test").await?;
        let bob_account = network.create_account("bob.test").await?;
        let alice = client(&config, Some(signed_in(&config, &alice_account).await));
        let bob = client(&config, Some(signed_in(&config, &bob_account).await));
        let hers = alice.create("By the new stream").await?;
        published(&hers).await;
        let jetstream = Some(DoorbellKind::Jetstream);
        eventually(&hers, "the doorbell rings", |d| d.status().doorbell == jetstream).await;
        // Another editor is another list of repos, and so another connection.
        hers.add_editor(bob_account.did.parse()?);
        append(&hers, "Alice's words. ");
        published(&hers).await;
        let his = bob.open(hers.uri()).await?;
        eventually(&his, "Bob may write", |d| d.role() == Role::Editor).await;
        eventually(&his, "the doorbell rings", |d| d.status().doorbell == jetstream).await;
        for n in 0..10 {
            prepend(&his, &format!("{n} "));
            published(&his).await;
            eventually_reads(&hers, &his.text()).await;
            append(&hers, "…");
            published(&hers).await;
            eventually_reads(&his, &hers.text()).await;
        }
        assert_eq!(hers.status().doorbell, jetstream);
        // It goes away, which is said, and comes back.
        network.stop_jetstream(0).await?;
        eventually(&hers, "another way is found", |d| d.status().doorbell == Some(DoorbellKind::Firehose))
            .await;
        append(&hers, "Meanwhile.");
        published(&hers).await;
        eventually_reads(&his, &hers.text()).await;
        network.start_jetstream(0).await?;
        eventually(&his, "it is back", |d| d.status().doorbell == jetstream).await;
        append(&hers, "And after.");
        published(&hers).await;
        eventually_reads(&his, &hers.text()).await;
        hers.close().await;
        his.close().await;
        network.stop().await
    });
}

#[test]
fn a_dead_jetstream_is_replaced_and_taken_up_again() {
    run(async {
        let network = Network::builder().jetstream(true).start().await?;
        if network.jetstream_missing().is_some() {
            return Ok(());
        }
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let alice = client(&config, Some(signed_in(&config, &account).await));
        let hers = alice.create("Notes").await?;
        append(&hers, "0 ");
        published(&hers).await;
        let reading = client(&config, None).open(hers.uri()).await?;
        for n in 1..4 {
            eventually(&reading, "Jetstream", |d| d.status().doorbell == Some(DoorbellKind::Jetstream)).await;
            append(&hers, &format!("{n} "));
            published(&hers).await;
            network.stop_jetstream(0).await?;
            eventually_reads(&reading, &hers.text()).await;
            eventually(&reading, "the host", |d| d.status().doorbell == Some(DoorbellKind::Firehose)).await;
            append(&hers, "- ");
            published(&hers).await;
            network.start_jetstream(0).await?;
            eventually_reads(&reading, &hers.text()).await;
        }
        hers.close().await;
        reading.close().await;
        network.stop().await
    });
}

#[test]
fn a_host_that_the_jetstream_does_not_follow_is_listened_to_itself() {
    run(async {
        let network = Network::builder().pdses(2).jetstream(true).start().await?;
        if network.jetstream_missing().is_some() {
            return Ok(());
        }
        // The first one's Jetstream knows nothing of the second, where Bob is.
        let both = config(&network);
        let config = NetworkConfig { jetstream: both.jetstream[..1].to_vec(), ..both };
        let alice_account = network.pds(0).create_account("alice.test").await?;
        let bob_account = network.pds(1).create_account("bob.test").await?;
        let alice = client(&config, Some(signed_in(&config, &alice_account).await));
        let bob = client(&config, Some(signed_in(&config, &bob_account).await));
        let hers = alice.create("Two hosts").await?;
        hers.add_editor(bob_account.did.parse()?);
        append(&hers, "Alice. ");
        published(&hers).await;
        let his = bob.open(hers.uri()).await?;
        eventually(&his, "Bob may write", |d| d.role() == Role::Editor).await;
        eventually(&his, "the doorbell", |d| d.status().doorbell == Some(DoorbellKind::Jetstream)).await;
        // His own writes are not told of, so his own stream is known to be deaf: he polls, and then listens to the host.
        let mut words = 0;
        while his.status().doorbell.is_some() {
            words += 1;
            append(&his, &format!("{words} "));
            published(&his).await;
            let limit = std::time::Duration::from_secs(2);
            let _ = sheaf_client::platform::within(limit, his.until(|d| d.status().doorbell.is_none())).await;
            assert!(words < 60, "the deafness is never noticed");
        }
        eventually(&his, "the host beside it", |d| d.status().doorbell == Some(DoorbellKind::Jetstream))
            .await;
        append(&his, "Heard.");
        published(&his).await;
        hers.close().await;
        his.close().await;
        network.stop().await
    });
}

#[test]
fn frames_of_a_hosts_own_stream_need_no_fetch() {
    run(async {
        let network = Network::builder().fault_proxies(true).start().await?;
        let config = config(&network);
        let account = network.create_account("alice.test").await?;
        let alice = client(&config, Some(signed_in(&config, &account).await));
        let hers = alice.create("Notes").await?;
        append(&hers, "0 ");
        published(&hers).await;
        let reading = client(&config, None).open(hers.uri()).await?;
        eventually_reads(&reading, &hers.text()).await;
        eventually(&reading, "the host", |d| d.status().doorbell == Some(DoorbellKind::Firehose)).await;
        eventually(&hers, "the host", |d| d.status().doorbell == Some(DoorbellKind::Firehose)).await;
        let pds = network.pds(0);
        let before = pds.proxy().traffic("com.atproto.sync.get").requests;
        const EDITS: u64 = 24;
        for n in 0..EDITS {
            append(&hers, &format!("{n} "));
            published(&hers).await;
            eventually_reads(&reading, &hers.text()).await;
        }
        // Each of the two looks once or twice of its own accord in the beginning.
        let fetches = pds.proxy().traffic("com.atproto.sync.get").requests - before;
        assert!(fetches < EDITS / 3, "{fetches} fetches for {EDITS} edits");
        hers.close().await;
        reading.close().await;
        network.stop().await
    });
}
