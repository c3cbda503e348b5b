//! A Jetstream that lies: it makes events up, moves them between people and documents, and tells old ones again. It costs a
//! few fetches and changes nothing.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use sheaf_client::{config::NetworkConfig, platform};
use sheaf_core::{
    record::{DOCUMENT, SEGMENT},
    replica::{DoorbellKind, Role},
};
use sheaf_devnet::{
    Network,
    forge::{Forge, commit},
};
use support::{
    append, client, config, eventually, eventually_reads, on_every_store, prepend, published, signed_in,
};

/// A commit that nobody made, with whatever revision.
fn forged(did: &str, rev: &str, path: &str, record: &Value) -> Value {
    let (collection, rkey) = path.split_once('/').expect("a path is collection/rkey");
    let mut event = commit(did, "create", collection, rkey, record.clone());
    event["commit"]["rev"] = rev.into();
    event
}

#[test]
fn a_forging_jetstream_changes_nothing() {
    on_every_store(async || {
        let network = Network::builder().start().await?;
        let honest = config(&network);
        let alice_account = network.create_account("alice.test").await?;
        let bob_account = network.create_account("bob.test").await?;
        let mallory_account = network.create_account("mallory.test").await?;
        let alice = client(&honest, Some(signed_in(&honest, &alice_account).await));
        let bob = client(&honest, Some(signed_in(&honest, &bob_account).await));
        let mallory = client(&honest, Some(signed_in(&honest, &mallory_account).await));

        let hers = alice.create("The document").await?;
        hers.add_editor(bob_account.did.parse()?);
        append(&hers, "Alice's words. ");
        published(&hers).await;
        let his = bob.open(hers.uri()).await?;
        eventually(&his, "Bob may write", |d| d.role() == Role::Editor).await;
        prepend(&his, "Bob's words. ");
        published(&his).await;
        eventually_reads(&hers, "Bob's words. Alice's words. ").await;
        // Another document, whose records the forger moves about.
        let other = mallory.create("Another document").await?;
        append(&other, "Mallory's words. ");
        published(&other).await;
        let segments = mallory_account.sign_in().await?;
        let segments = segments
            .query(
                "com.atproto.repo.listRecords",
                &format!("repo={}&collection={SEGMENT}", mallory_account.did),
            )
            .await?;
        let stolen = &segments["records"][0]["value"];
        assert!(stolen["entries"].is_object() || stolen["entries"].is_string(), "a real segment: {segments}");

        // A reader whose only doorbell is the forger.
        let forger = Forge::start().await?;
        let deceived = NetworkConfig { jetstream: vec![forger.url()], ..honest.clone() };
        let reading = client(&deceived, None).open(hers.uri()).await?;
        eventually(&reading, "listens to the forger", |d| {
            d.status().doorbell == Some(DoorbellKind::Jetstream)
        })
        .await;
        eventually_reads(&reading, "Bob's words. Alice's words. ").await;

        let rkey = hers.uri().rkey();
        let now = sheaf_repo::tid::Tid::from_micros(platform::now().as_micros(), 7);
        let in_a_year = platform::now().saturating_add(Duration::from_secs(365 * 24 * 3600));
        let in_a_year = sheaf_repo::tid::Tid::from_micros(in_a_year.as_micros(), 7);
        for did in [&alice_account.did, &bob_account.did] {
            for rev in [now.as_str(), in_a_year.as_str(), "2222222222222", "nonsense"] {
                // An update that does not exist, under a new and under an existing key.
                forger.send(&forged(did, rev, &format!("{SEGMENT}/{rkey}:forged:00000000"), stolen));
                // Mallory's update, moved into Alice's and Bob's repos.
                let theirs = format!("{SEGMENT}/{}:forged:00000000", other.uri().rkey());
                forger.send(&forged(did, rev, &theirs, stolen));
                // A new title, and an editor more.
                let taken_over =
                    json!({ "$type": DOCUMENT, "title": "Taken over", "editors": [mallory_account.did] });
                forger.send(&forged(did, rev, &format!("{DOCUMENT}/{rkey}"), &taken_over));
            }
        }
        // Mallory really writes into her own repo for a document she is no editor of, and the forger says so.
        let mut posing = stolen.clone();
        posing["document"] = hers.uri().to_string().into();
        let session = mallory_account.sign_in().await?;
        session.put_record(SEGMENT, &format!("{rkey}:forged:00000000"), &posing).await?;
        forger.send(&forged(
            &mallory_account.did,
            now.as_str(),
            &format!("{SEGMENT}/{rkey}:forged:00000000"),
            &posing,
        ));

        // What is true still arrives: the forger cannot even ring for something false without showing what is real.
        append(&his, "Truth.");
        published(&his).await;
        forger.send(&forged(&bob_account.did, "nonsense", &format!("{SEGMENT}/{rkey}:old:00000000"), stolen));
        eventually_reads(&reading, &his.text()).await;
        assert_eq!(reading.text(), "Bob's words. Alice's words. Truth.");
        assert_eq!(reading.title(), "The document");
        assert_eq!(reading.editors().len(), 2);
        let status = reading.status();
        assert!(
            status.editors.iter().all(|editor| editor.trouble.is_none() && editor.quarantined.is_empty()),
            "{status:#?}"
        );
        eventually_reads(&hers, "Bob's words. Alice's words. Truth.").await;
        for document in [hers, his, other, reading] {
            document.close().await;
        }
        network.stop().await
    });
}
