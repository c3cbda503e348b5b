//! Somebody for a browser to write together with: writes the paper of the trace, then types in it, live, for as long as is wanted.
//!
//! It is told what to do by lines on standard input and answers by lines on standard output. First comes [`Scene`] as JSON; the
//! answer is the document's fragment, once all of it is published. Then `type`, and whatever line ends the typing; the answer is
//! how many keys were hit.

use std::{io::BufRead as _, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use sheaf_client::{Client, config::NetworkConfig, net::live::native::go_live, platform};
use sheaf_core::replica::Role;
use tokio::sync::mpsc;

use crate::{people, trace};

/// Twenty keys a second.
const BETWEEN_KEYS: Duration = Duration::from_millis(50);
/// How many keystrokes of the paper are one edit's turn of the engine.
const TURN: usize = 5_000;

/// A network and two people of it.
#[derive(Deserialize)]
struct Scene {
    config: serde_json::Value,
    owner: Person,
    editor: Person,
}

/// Somebody who can be signed in.
#[derive(Deserialize)]
pub(crate) struct Person {
    pub(crate) handle: String,
    pub(crate) password: String,
    pub(crate) did: String,
}

pub(crate) async fn run() -> Result<()> {
    let mut lines = lines();
    let scene: Scene = serde_json::from_str(&lines.recv().await.context("nothing says which network")?)?;
    let config = NetworkConfig::from_json(&scene.config.to_string())?;
    let owner = signed_in(&config, &scene.owner).await?;
    let editor = signed_in(&config, &scene.editor).await?;

    let paper = owner.create("A paper").await?;
    paper.add_editor(scene.editor.did.parse()?);
    let (splices, text) = trace::splices(usize::MAX)?;
    for turn in splices.chunks(TURN) {
        for splice in turn {
            paper.edit(vec![splice.clone()]);
        }
        people::published(&paper).await?;
    }
    ensure!(paper.text() == text, "the trace did not give its text");
    println!("{}", paper.link().fragment());
    let uri = paper.uri().clone();
    paper.close().await;

    go_live(&editor, false).await?;
    let document = editor.open(&uri).await?;
    people::until(&document, "the whole paper", |d| d.role() == Role::Editor && d.text() == text).await?;
    while lines.recv().await.is_some() {
        let mut keys = 0u32;
        while lines.is_empty() {
            people::insert(&document, 0, "k");
            keys += 1;
            platform::sleep(BETWEEN_KEYS).await;
        }
        lines.recv().await;
        people::published(&document).await?;
        println!("{keys}");
    }
    document.close().await;
    Ok(())
}

async fn signed_in(config: &NetworkConfig, person: &Person) -> Result<Client> {
    people::signed_in(config, &person.handle, &person.password).await
}

/// Standard input, read by a thread of its own: it blocks.
pub(crate) fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
