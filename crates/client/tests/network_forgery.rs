//! A Jetstream that lies: it makes events up, moves them between people and documents, and tells old ones again. It costs a
//! few fetches and changes nothing.

mod support;

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::json;
use sheaf_client::{config::NetworkConfig, platform};
use sheaf_core::{
    record::{DOCUMENT, SEGMENT},
    replica::{DoorbellKind, Role},
};
use sheaf_devnet::Network;
use support::{append, client, config, eventually, eventually_reads, prepend, published, run, signed_in};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_tungstenite::tungstenite::Message;

/// A stream server that tells everybody who connects exactly what it is told to.
struct Forger {
    address: String,
    say: mpsc::UnboundedSender<String>,
}

impl Forger {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("ws://{}/subscribe", listener.local_addr()?);
        let (say, mut said) = mpsc::unbounded_channel::<String>();
        platform::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while let Some(event) = said.recv().await {
                socket.send(Message::text(event)).await.unwrap();
            }
        });
        Ok(Self { address, say })
    }

    fn commit(&self, did: &str, rev: &str, path: &str, record: &serde_json::Value) {
        let (collection, rkey) = path.split_once('/').unwrap();
        let event = json!({
            "did": did, "time_us": platform::now().as_micros(), "kind": "commit",
            "commit": { "rev": rev, "operation": "create", "collection": collection, "rkey": rkey, "record": record, "cid": "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a" },
        });
        self.say.send(event.to_string()).unwrap();
    }
}

#[test]
fn a_forging_jetstream_changes_nothing() {
    run(async {
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
        let forger = Forger::start().await?;
        let deceived = NetworkConfig { jetstream: vec![forger.address.clone()], ..honest.clone() };
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
                forger.commit(did, rev, &format!("{SEGMENT}/{rkey}:forged:00000000"), stolen);
                // Mallory's update, moved into Alice's and Bob's repos.
                let theirs = format!("{SEGMENT}/{}:forged:00000000", other.uri().rkey());
                forger.commit(did, rev, &theirs, stolen);
                // A new title, and an editor more.
                let taken_over =
                    json!({ "$type": DOCUMENT, "title": "Taken over", "editors": [mallory_account.did] });
                forger.commit(did, rev, &format!("{DOCUMENT}/{rkey}"), &taken_over);
            }
        }
        // Mallory really writes into her own repo for a document she is no editor of, and the forger says so.
        let mut posing = stolen.clone();
        posing["document"] = hers.uri().to_string().into();
        let session = mallory_account.sign_in().await?;
        session.put_record(SEGMENT, &format!("{rkey}:forged:00000000"), &posing).await?;
        forger.commit(
            &mallory_account.did,
            now.as_str(),
            &format!("{SEGMENT}/{rkey}:forged:00000000"),
            &posing,
        );

        // What is true still arrives: the forger cannot even ring for something false without showing what is real.
        append(&his, "Truth.");
        published(&his).await;
        forger.commit(&bob_account.did, "nonsense", &format!("{SEGMENT}/{rkey}:old:00000000"), stolen);
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
