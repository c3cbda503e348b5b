//! A document opened by somebody who has never seen it: requests, bytes and time, beside ever more other records.

use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use sheaf_core::replica::Role;
use sheaf_devnet::Network;

use crate::{people, trace, traffic::Traffic};

/// As many as one `applyWrites` takes.
const BATCH: usize = 200;

pub(crate) async fn measure(traffic: &Traffic) -> Result<Value> {
    let network = Network::builder().start().await?;
    let config = people::config(&network, false)?;
    let alice_account = network.create_account("alice-cold.test").await?;
    let bob_account = network.create_account("bob-cold.test").await?;
    let alice = people::signed_in(&config, &alice_account).await?;
    let bob = people::signed_in(&config, &bob_account).await?;

    let (splices, text) = trace::splices(4_000)?;
    let alone = alice.create("By one").await?;
    for splice in &splices {
        alone.edit(vec![splice.clone()]);
    }
    people::published(&alone).await?;

    let shared = alice.create("By two").await?;
    shared.add_editor(bob_account.did.parse()?);
    people::published(&shared).await?;
    let his = bob.open(shared.uri()).await?;
    people::until(&his, "Bob may write", |d| d.role() == Role::Editor).await?;
    for (n, splice) in splices.iter().enumerate() {
        // In turns of a hundred: each waits for the other's words.
        let (writer, other) = if n / 100 % 2 == 0 { (&shared, &his) } else { (&his, &shared) };
        if n % 100 == 0 {
            let so_far = other.text();
            people::until(writer, "the other's turn", |d| d.text() == so_far).await?;
        }
        writer.edit(vec![splice.clone()]);
    }
    people::published(&shared).await?;
    people::published(&his).await?;

    let mut figures = Vec::new();
    let mut others = 0;
    for wanted in [1, 10_000] {
        for account in [&alice_account, &bob_account] {
            add_others(account, others, wanted).await?;
        }
        others = wanted;
        for (editors, uri) in [(1, alone.uri()), (2, shared.uri())] {
            let stranger = people::client(&config, None);
            traffic.take();
            let start = Instant::now();
            let reading = stranger.open(uri).await?;
            people::until(&reading, "the whole text", |d| d.text() == text).await?;
            let ms = (start.elapsed().as_secs_f64() * 1e4).round() / 10.0;
            let (requests, bytes) = traffic.take();
            figures.push(json!({
                "other_records": others, "editors": editors, "requests": requests, "bytes": bytes, "ms": ms,
            }));
            reading.close().await;
        }
    }
    network.stop().await?;
    Ok(Value::Array(figures))
}

/// Fills a repo with records of other apps until there are `wanted` of them.
async fn add_others(account: &sheaf_devnet::Account, have: usize, wanted: usize) -> Result<()> {
    let session = account.sign_in().await?;
    let all: Vec<usize> = (have..wanted).collect();
    for batch in all.chunks(BATCH) {
        let writes: Vec<Value> = batch
            .iter()
            .map(|n| {
                json!({
                    "$type": "com.atproto.repo.applyWrites#create",
                    "collection": if n % 2 == 0 { "com.example.post" } else { "social.example.like" },
                    "rkey": format!("other{n:08}"),
                    "value": { "text": format!("another app's record number {n}") },
                })
            })
            .collect();
        let body = json!({ "repo": account.did, "validate": false, "writes": writes });
        session.procedure("com.atproto.repo.applyWrites", &body).await?;
    }
    Ok(())
}
