//! Two people write one document on real servers, and others read along.

mod support;

use std::{cell::RefCell, rc::Rc};

use sheaf_client::Change;
use sheaf_core::{
    replica::{DoorbellKind, Presence, Role},
    text::apply_splices,
};
use sheaf_devnet::Network;
use support::{
    append, client, config, eventually, eventually_reads, on_every_store, prepend, published, signed_in,
};

async fn two_people_write(network: &Network, kind: DoorbellKind) -> anyhow::Result<()> {
    let config = config(network);
    let alice_account = network.create_account("alice.test").await?;
    let bob_account = network.pds(network.pds_count() - 1).create_account("bob.test").await?;
    let alice = client(&config, Some(signed_in(&config, &alice_account).await));
    let bob = client(&config, Some(signed_in(&config, &bob_account).await));

    let hers = alice.create("Our notes").await?;
    append(&hers, "Hello, wörld 🌍\r\n");
    published(&hers).await;

    let found = alice.find_account("@bob.test").await?;
    assert_eq!(found.did.as_str(), bob_account.did);
    hers.add_editor(found.did.clone());

    let his = bob.open(hers.uri()).await?;
    eventually(&his, "Bob may write", |d| d.role() == Role::Editor).await;
    eventually_reads(&his, "Hello, wörld 🌍\r\n").await;
    assert_eq!(his.title(), "Our notes");

    // A view kept by splices alone must always equal the document.
    let view = Rc::new(RefCell::new(his.text()));
    let _subscription = his.on_change({
        let view = view.clone();
        move |change| {
            if let Change::Show(splices) = change {
                apply_splices(&mut view.borrow_mut(), &splices).unwrap();
            }
        }
    });

    // Both at once.
    eventually(&hers, "the doorbell rings", |d| d.status().doorbell == Some(kind)).await;
    eventually(&his, "the doorbell rings", |d| d.status().doorbell == Some(kind)).await;
    for word in ["one ", "two ", "three "] {
        append(&hers, word);
        prepend(&hers, "📌");
    }
    let before = his.text();
    prepend(&his, "Bob: ");
    apply_splices(
        &mut view.borrow_mut(),
        &[sheaf_core::text::Splice {
            at: sheaf_core::text::Utf16Offset(0),
            delete: 0,
            insert: "Bob: ".into(),
        }],
    )?;
    assert_eq!(his.text(), format!("Bob: {before}"));
    let both = |text: &str| {
        text.contains("Bob: ") && text.contains("one two three ") && text.matches('📌').count() == 3
    };
    eventually(&hers, "hers has both", |d| both(&d.text())).await;
    eventually(&his, "his has both", |d| both(&d.text())).await;
    eventually_reads(&his, &hers.text()).await;
    assert_eq!(*view.borrow(), his.text());

    // Somebody who is not signed in reads along, and cannot write.
    let anonymous = client(&config, None);
    let reading = anonymous.open(hers.uri()).await?;
    eventually_reads(&reading, &hers.text()).await;
    assert_eq!(reading.role(), Role::Reader);
    prepend(&reading, "graffiti");
    append(&hers, "and on");
    eventually_reads(&reading, &hers.text()).await;
    assert!(!reading.text().contains("graffiti"));

    // A fresh device of Bob's finds the document in his own list, once he has been seen in it.
    published(&his).await;
    eventually(&hers, "Bob is seen", |d| d.people().iter().any(|person| !person.is_self)).await;
    let elsewhere = client(&config, Some(signed_in(&config, &bob_account).await));
    assert!(elsewhere.documents().await?.is_empty(), "it knows nothing by itself");
    let found = elsewhere.refresh_documents().await?;
    assert!(found.iter().any(|entry| entry.uri == *hers.uri() && entry.shared), "{found:?}");
    for document in [hers, his, reading] {
        document.close().await;
    }
    Ok(())
}

#[test]
fn two_people_write_through_the_firehose() {
    on_every_store(async || {
        let network = Network::builder().pdses(2).start().await?;
        two_people_write(&network, DoorbellKind::Firehose).await?;
        network.stop().await
    });
}

#[test]
fn two_people_write_through_jetstream() {
    on_every_store(async || {
        let network = Network::builder().jetstream(true).start().await?;
        if network.jetstream_url(0).is_none() {
            assert!(std::env::var_os("CI").is_none(), "without Go there is no Jetstream to test with");
            return Ok(());
        }
        two_people_write(&network, DoorbellKind::Jetstream).await?;
        network.stop().await
    });
}

#[test]
fn lists_titles_and_those_who_share() {
    on_every_store(async || {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let alice_account = network.create_account("alice.test").await?;
        let bob_account = network.create_account("bob.test").await?;
        let alice = client(&config, Some(signed_in(&config, &alice_account).await));
        let bob = client(&config, Some(signed_in(&config, &bob_account).await));
        let hers = alice.create("Shared with Bob").await?;
        hers.add_editor(bob_account.did.parse()?);
        append(&hers, "text");
        published(&hers).await;
        let his = bob.open(hers.uri()).await?;
        eventually(&his, "Bob may write", |d| d.role() == Role::Editor).await;
        prepend(&his, "more ");
        published(&his).await;
        eventually(&hers, "Bob is seen", |d| d.people().iter().any(|p| p.did.as_str() == bob_account.did))
            .await;

        let own = alice.refresh_documents().await?;
        assert_eq!(own.len(), 1);
        assert_eq!((own[0].title.as_str(), own[0].shared), ("Shared with Bob", false));
        assert_eq!(own[0].with, ["bob.test"]);

        let elsewhere = client(&config, Some(signed_in(&config, &bob_account).await));
        assert!(elsewhere.documents().await?.is_empty(), "a fresh device knows nothing yet");
        let shared = elsewhere.refresh_documents().await?;
        assert_eq!(shared.len(), 1);
        assert_eq!((shared[0].title.as_str(), shared[0].shared), ("Shared with Bob", true));
        assert_eq!(shared[0].with, ["alice.test"]);
        assert_eq!(elsewhere.documents().await?, shared, "and keeps the list for when it is offline");

        let uri = hers.uri().clone();
        hers.close().await;
        his.close().await;
        alice.forget(&uri).await?;
        assert!(alice.documents().await?.is_empty());
        let again = alice.open(&uri).await?;
        assert_eq!(again.text(), "", "nothing of it is on this device");
        eventually_reads(&again, "more text").await;
        assert_eq!(again.status().document, Presence::Here);
        again.close().await;
        network.stop().await
    });
}
