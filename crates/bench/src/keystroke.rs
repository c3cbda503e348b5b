//! From a keystroke at one client to the text of another, through real servers.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};
use sheaf_core::replica::{DoorbellKind, Role};
use sheaf_devnet::Network;

use crate::people;

const KEYSTROKES: usize = 240;
/// Quick typing.
const BETWEEN: Duration = Duration::from_millis(120);
/// And a pause after every sentence.
const SENTENCE: usize = 24;
const PAUSE: Duration = Duration::from_millis(1_500);

pub(crate) async fn measure() -> Result<Value> {
    let network = Network::builder().jetstream(true).start().await?;
    let mut figures = Vec::new();
    for (path, kind) in [("jetstream", DoorbellKind::Jetstream), ("firehose", DoorbellKind::Firehose)] {
        if kind == DoorbellKind::Jetstream && network.jetstream_url(0).is_none() {
            eprintln!("  Go is not installed, so there is no Jetstream to measure");
            continue;
        }
        let mut times = through(&network, path, kind).await?;
        times.sort();
        let at = |part: f64| {
            (times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e4).round() / 10.0
        };
        figures.push(json!({ "path": path, "p50_ms": at(0.5), "p95_ms": at(0.95), "samples": times.len() }));
    }
    network.stop().await?;
    Ok(Value::Array(figures))
}

async fn through(network: &Network, path: &str, kind: DoorbellKind) -> Result<Vec<Duration>> {
    let config = people::config(network, kind == DoorbellKind::Jetstream)?;
    let alice_account = network.create_account(&format!("alice-{path}.test")).await?;
    let bob_account = network.create_account(&format!("bob-{path}.test")).await?;
    let alice = people::signed_in(&config, &alice_account.handle, &alice_account.password).await?;
    let bob = people::signed_in(&config, &bob_account.handle, &bob_account.password).await?;
    let hers = alice.create("Latency").await?;
    hers.add_editor(bob_account.did.parse()?);
    people::published(&hers).await?;
    let his = bob.open(hers.uri()).await?;
    people::until(&his, "Bob may write", |d| d.role() == Role::Editor).await?;
    people::until(&his, "the doorbell", |d| d.status().doorbell == Some(kind)).await?;
    people::until(&hers, "the doorbell", |d| d.status().doorbell == Some(kind)).await?;

    // Keystroke n makes the text n + 1 long, so the length that Bob sees says which keystrokes have arrived.
    let seen: Rc<RefCell<Vec<Instant>>> = Rc::default();
    let _watching = his.on_change({
        let (seen, his) = (seen.clone(), his.clone());
        move |_| {
            let length = his.text().len();
            let mut seen = seen.borrow_mut();
            let now = Instant::now();
            while seen.len() < length {
                seen.push(now);
            }
        }
    });
    let mut typed = Vec::with_capacity(KEYSTROKES);
    for n in 0..KEYSTROKES {
        typed.push(Instant::now());
        people::insert(&hers, n as u32, "x");
        tokio::time::sleep(if n % SENTENCE == SENTENCE - 1 { PAUSE } else { BETWEEN }).await;
    }
    people::until(&his, "the last keystroke", |d| d.text().len() == KEYSTROKES).await?;
    hers.close().await;
    his.close().await;
    Ok(typed
        .iter()
        .zip(seen.borrow().iter())
        .map(|(typed, seen)| seen.saturating_duration_since(*typed))
        .collect())
}
