//! Many people for two browsers to write together with: each with a client of their own, all in this process.
//!
//! As the companion is ([`crate::companion`]), it is told what to do by lines on standard input. First comes [`Scene`] as JSON; the answer
//! is the document's fragment once everybody has it open. Then `type`, and whatever line ends the typing; the answer is how many
//! keys were hit.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use sheaf_client::{config::NetworkConfig, net::live::native::go_live, platform};
use sheaf_core::replica::Role;

use crate::{
    companion::{Person, lines},
    people,
};

/// Each of them hits somewhat more than three keys a second.
const BETWEEN_KEYS: Duration = Duration::from_millis(300);

#[derive(Deserialize)]
struct Scene {
    config: serde_json::Value,
    /// Who makes the document: in a browser, afterwards.
    owner: Person,
    /// Who may write in it, and is in a browser too.
    guest: Person,
    /// Who else writes in it, from here.
    crowd: Vec<Person>,
}

pub(crate) async fn run() -> Result<()> {
    let mut lines = lines();
    let scene: Scene = serde_json::from_str(&lines.recv().await.context("nothing says which network")?)?;
    let config = NetworkConfig::from_json(&scene.config.to_string())?;
    let owner = people::signed_in(&config, &scene.owner.handle, &scene.owner.password).await?;
    let made = owner.create("A crowd").await?;
    for person in scene.crowd.iter().chain([&scene.guest]) {
        made.add_editor(person.did.parse()?);
    }
    people::published(&made).await?;
    let (uri, link) = (made.uri().clone(), made.link().fragment());
    made.close().await;

    let mut documents = Vec::new();
    for person in &scene.crowd {
        let client = people::signed_in(&config, &person.handle, &person.password).await?;
        go_live(&client, false).await?;
        let document = client.open(&uri).await?;
        people::until(&document, "leave to write", |d| d.role() == Role::Editor).await?;
        documents.push((client, document));
    }
    println!("{link}");
    while lines.recv().await.is_some() {
        let mut keys = 0u32;
        while lines.is_empty() {
            for (_, document) in &documents {
                people::insert(document, 0, "k");
                keys += 1;
                platform::sleep(BETWEEN_KEYS / documents.len() as u32).await;
            }
            if documents.is_empty() {
                platform::sleep(BETWEEN_KEYS).await;
            }
        }
        lines.recv().await;
        println!("{keys}");
    }
    for (_, document) in documents {
        document.close().await;
    }
    Ok(())
}
