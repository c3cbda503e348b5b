//! Repos and accounts that change under a document, on the real servers: what readers see, and what they are told.

mod support;

use serde_json::json;
use sheaf_client::{DocumentHandle, config::NetworkConfig, platform};
use sheaf_core::{
    document_link::DocumentLink,
    record,
    replica::{FetchFailure, Role},
    repo_view::Trouble,
};
use sheaf_devnet::{Account, Network};
use sheaf_repo::tid::Tid;
use support::{
    GENEROUS, append, client, config, eventually, eventually_reads, prepend, published, run, signed_in,
};

/// What keeps this account from being read.
fn trouble(document: &DocumentHandle, of: &Account) -> Option<Trouble> {
    document.status().editors.into_iter().find(|editor| editor.did.as_str() == of.did)?.trouble
}

/// How far this account's repo is verified.
fn rev(document: &DocumentHandle, of: &Account) -> Option<Tid> {
    document.status().editors.into_iter().find(|editor| editor.did.as_str() == of.did)?.rev
}

fn name(document: &DocumentHandle, of: &Account) -> Option<String> {
    document.status().editors.into_iter().find(|editor| editor.did.as_str() == of.did)?.handle
}

/// Has the document looked at again: whoever writes makes everybody look.
async fn rings(by: &DocumentHandle, text: &str) {
    append(by, text);
    published(by).await;
}

/// Alice's document, which Bob has written in too and closed: “one two ”.
async fn two_have_written(
    network: &Network,
    config: &NetworkConfig,
) -> anyhow::Result<(DocumentHandle, Account)> {
    let alice_account = network.pds(0).create_account("alice.test").await?;
    let bob_account = network.pds(0).create_account("bob.test").await?;
    let hers = client(config, Some(signed_in(config, &alice_account).await)).create("Notes").await?;
    hers.add_editor(bob_account.did.parse()?);
    rings(&hers, "one ").await;
    let his = client(config, Some(signed_in(config, &bob_account).await)).open(hers.uri()).await?;
    eventually(&his, "Bob may write", |d| d.role() == Role::Editor).await;
    eventually_reads(&his, "one ").await;
    rings(&his, "two ").await;
    eventually_reads(&hers, "one two ").await;
    his.close().await;
    Ok((hers, bob_account))
}

#[test]
fn an_account_that_moves_with_a_new_key_is_followed() {
    run(async {
        let network = Network::builder().pdses(2).start().await?;
        let config = config(&network);
        let (hers, bob_account) = two_have_written(&network, &config).await?;

        let bob_account = network.pds(1).move_here(&bob_account).await?;
        let bob = client(&config, Some(signed_in(&config, &bob_account).await));
        let his = bob.open(hers.uri()).await?;
        eventually_reads(&his, "one two ").await;
        rings(&his, "three ").await;
        // Alice had it open all the time; a newcomer knows of no other place.
        eventually_reads(&hers, "one two three ").await;
        let reading = client(&config, None).open(hers.uri()).await?;
        eventually_reads(&reading, "one two three ").await;
        for document in [&hers, &reading] {
            eventually(document, "all is well", |d| trouble(d, &bob_account).is_none()).await;
        }
        rings(&hers, "four").await;
        eventually_reads(&his, "one two three four").await;
        for document in [hers, his, reading] {
            document.close().await;
        }
        network.stop().await
    });
}

#[test]
fn an_account_whose_name_is_a_host_takes_part_like_any_other() {
    run(async {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let alice_account = network.pds(0).create_web_account("alice.test").await?;
        let bob_account = network.pds(0).create_account("bob.test").await?;
        let hers = client(&config, Some(signed_in(&config, &alice_account).await)).create("Notes").await?;
        assert!(hers.uri().to_string().starts_with("at://did:web:localhost%3A"), "{}", hers.uri());
        hers.add_editor(bob_account.did.parse()?);
        rings(&hers, "one ").await;
        let his = client(&config, Some(signed_in(&config, &bob_account).await)).open(hers.uri()).await?;
        eventually_reads(&his, "one ").await;
        rings(&his, "two ").await;
        eventually_reads(&hers, "one two ").await;
        // The address goes through a link and back with the port in it.
        let link: DocumentLink = format!("http://127.0.0.1/{}", hers.link().fragment()).parse()?;
        let reading = client(&config, None).open_link(&link).await?;
        eventually_reads(&reading, "one two ").await;
        eventually(&reading, "her handle", |d| name(d, &alice_account).as_deref() == Some("alice.test"))
            .await;
        for document in [hers, his, reading] {
            document.close().await;
        }
        network.stop().await
    });
}

#[test]
fn with_the_owners_server_gone_a_link_that_names_an_editor_leads_to_the_document() {
    run(async {
        let network = Network::builder().pdses(2).start().await?;
        let config = config(&network);
        let alice_account = network.pds(0).create_account("alice.test").await?;
        let bob_account = network.pds(1).create_account("bob.test").await?;
        let hers = client(&config, Some(signed_in(&config, &alice_account).await)).create("Notes").await?;
        hers.add_editor(bob_account.did.parse()?);
        rings(&hers, "one ").await;
        let his = client(&config, Some(signed_in(&config, &bob_account).await)).open(hers.uri()).await?;
        eventually_reads(&his, "one ").await;
        rings(&his, "two ").await;
        let link = his.link();
        // He carries what she has written once it has been at rest.
        let session = bob_account.sign_in().await?;
        let query = format!("repo={}&collection={}", bob_account.did, record::SNAPSHOT);
        loop {
            let known = rev(&hers, &bob_account);
            let listed = session.query("com.atproto.repo.listRecords", &query).await?;
            if listed["records"].as_array().is_some_and(|records| !records.is_empty()) {
                break;
            }
            let commits = hers.until(|d| rev(d, &bob_account) != known);
            platform::within(3 * GENEROUS, commits).await.expect("he carries it after a minute or so");
        }
        hers.close().await;
        his.close().await;
        network.pds(0).stop().await?;

        let reading = client(&config, None).open_link(&link).await?;
        eventually_reads(&reading, "one two ").await;
        assert_eq!(reading.title(), "Notes");
        eventually(&reading, "whose server is missing is told", |d| {
            matches!(trouble(d, &alice_account), Some(Trouble::Fetch(_)))
        })
        .await;
        reading.close().await;
        network.stop().await
    });
}

#[test]
fn an_account_that_is_away_is_told_of_and_its_text_stays() {
    run(async {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let (hers, bob_account) = two_have_written(&network, &config).await?;
        let session = bob_account.sign_in().await?;

        // Deactivated by himself, and back.
        session.deactivate().await?;
        let away = Trouble::Fetch(FetchFailure::RepoDeactivated);
        let reading = client(&config, None).open(hers.uri()).await?;
        eventually(&reading, "Bob is away", |d| trouble(d, &bob_account).as_ref() == Some(&away)).await;
        assert!(away.to_string().contains("deactivated"), "{away}");
        eventually_reads(&reading, "one ").await;
        assert_eq!(hers.text(), "one two ", "what was read stays");
        session.activate().await?;
        reading.close().await;
        let reading = client(&config, None).open(hers.uri()).await?;
        eventually_reads(&reading, "one two ").await;
        reading.close().await;

        // Taken down by his server.
        let subject = json!({ "$type": "com.atproto.admin.defs#repoRef", "did": bob_account.did });
        let taken = json!({ "subject": subject, "takedown": { "applied": true, "ref": "test" } });
        network.pds(0).admin("com.atproto.admin.updateSubjectStatus", &taken).await?;
        let away = Trouble::Fetch(FetchFailure::RepoTakendown);
        let reading = client(&config, None).open(hers.uri()).await?;
        eventually(&reading, "Bob is taken down", |d| trouble(d, &bob_account).as_ref() == Some(&away)).await;
        eventually_reads(&reading, "one ").await;
        // The others go on.
        prepend(&hers, "three ");
        published(&hers).await;
        eventually_reads(&reading, "three one ").await;
        assert_eq!(hers.text(), "three one two ", "what was read stays");
        hers.close().await;
        reading.close().await;
        network.stop().await
    });
}

#[test]
fn a_new_handle_is_shown_and_a_deleted_segment_is_told_of() {
    run(async {
        let network = Network::builder().start().await?;
        let config = config(&network);
        let (hers, bob_account) = two_have_written(&network, &config).await?;
        let session = bob_account.sign_in().await?;

        session.procedure("com.atproto.identity.updateHandle", &json!({ "handle": "robert.test" })).await?;
        let reading = client(&config, None).open(hers.uri()).await?;
        eventually(&reading, "his new name", |d| name(d, &bob_account).as_deref() == Some("robert.test"))
            .await;
        reading.close().await;

        // He takes back his one segment: whoever has its text keeps it, and is told.
        let query = format!("repo={}&collection={}", bob_account.did, record::SEGMENT);
        let listed = session.query("com.atproto.repo.listRecords", &query).await?;
        let uri = listed["records"][0]["uri"].as_str().unwrap().to_owned();
        let rkey = uri.rsplit('/').next().unwrap();
        session.delete_record(record::SEGMENT, rkey).await?;
        eventually(&hers, "it is told", |d| {
            let status = d.status();
            let editor = status.editors.iter().find(|editor| editor.did.as_str() == bob_account.did);
            editor.is_some_and(|editor| {
                editor.quarantined.iter().any(|told| told.contains("taken out of their repo"))
            })
        })
        .await;
        assert_eq!(hers.text(), "one two ", "what was read stays");
        hers.close().await;
        network.stop().await
    });
}
