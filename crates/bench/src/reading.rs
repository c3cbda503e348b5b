//! What it costs to read a document: opened by somebody new, one keystroke later, and after a week away. Beside each, in the
//! same repos, the way of the article that the project grew out of: list every update record of every editor.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use sheaf_client::store::Memory;
use sheaf_core::{
    client_id::{ClientId, ReplicaId},
    document::Document,
    document_uri::DocumentUri,
    door,
    record::{SEGMENT, SegmentRecord},
    replica::Role,
    segment::SegmentLog,
    text::Splice,
    time::Timestamp,
};
use sheaf_devnet::{Account, Network, Session};

use crate::{people, trace, traffic::Traffic};

/// As many as one `applyWrites` takes.
const BATCH: usize = 200;
/// How many write the paper.
const EDITORS: [usize; 2] = [1, 5];
/// How many records of other apps stand beside it in each of their repos.
const OTHERS: [usize; 3] = [0, 10_000, 100_000];
/// Five editors take turns of so many keystrokes.
const TURN: usize = 5_000;
/// The article's way makes a record every five seconds: of so many keystrokes, at four a second.
const KEYSTROKES_A_RECORD: usize = 20;
const ARTICLE: &str = "com.example.article.update";
const FLUSHES_IN_A_WEEK: usize = 1_000;
/// A segment is sealed at about 4 KB, so on average it is half as long when a keystroke comes to it.
const HALF_A_SEGMENT: usize = 2_000;

/// What is measured in one scene.
pub(crate) const KEYS: [&str; 3] = ["cold_open", "one_keystroke_later", "after_a_week"];

/// What one way of reading took.
#[derive(Clone, Copy)]
struct Cost {
    requests: u64,
    bytes: u64,
    ms: f64,
}

impl Cost {
    fn json(self) -> Value {
        json!({ "requests": self.requests, "bytes": self.bytes, "ms": self.ms })
    }
}

pub(crate) async fn measure(traffic: &Traffic) -> Result<Map<String, Value>> {
    let network = Network::builder().jetstream(true).start().await?;
    let mut rows: [Vec<Value>; 3] = Default::default();
    for editors in EDITORS {
        let scene = Scene::write(&network, editors).await?;
        let mut there = 0;
        for wanted in OTHERS {
            scene.add_others(there, wanted).await?;
            there = wanted;
            rows[0].push(scene.cold_open(traffic, wanted).await?);
        }
        rows[1].push(scene.one_keystroke_later(traffic, there).await?);
        rows[2].push(scene.after_a_week(traffic, there).await?);
    }
    network.stop().await?;
    Ok(KEYS.iter().map(|key| (*key).to_owned()).zip(rows.map(Value::Array)).collect())
}

/// A document that holds the whole trace, by so many editors, and the article's records of the same beside it.
struct Scene<'n> {
    network: &'n Network,
    accounts: Vec<Account>,
    uri: DocumentUri,
    text: String,
}

impl<'n> Scene<'n> {
    async fn write(network: &'n Network, editors: usize) -> Result<Scene<'n>> {
        eprintln!("  the whole trace by {editors} …");
        let config = people::config(network, true)?;
        let (mut accounts, mut clients) = (Vec::new(), Vec::new());
        for n in 0..editors {
            let account = network.create_account(&format!("reader-{editors}-{n}.test")).await?;
            clients.push(people::signed_in(&config, &account.handle, &account.password).await?);
            accounts.push(account);
        }
        let first = clients[0].create("A paper").await?;
        for account in &accounts[1..] {
            first.add_editor(account.did.parse()?);
        }
        people::published(&first).await?;
        let uri = first.uri().clone();
        let mut open = vec![first];
        for client in &clients[1..] {
            let document = client.open(&uri).await?;
            people::until(&document, "they may write", |d| d.role() == Role::Editor).await?;
            open.push(document);
        }
        let (splices, text) = trace::splices(usize::MAX)?;
        let mut so_far = String::new();
        for (n, turn) in splices.chunks(TURN).enumerate() {
            let writer = &open[n % editors];
            people::until(writer, "the others' turns", |d| d.text() == so_far).await?;
            for splice in turn {
                writer.edit(vec![splice.clone()]);
            }
            people::published(writer).await?;
            so_far = writer.text();
        }
        ensure!(so_far == text, "the trace did not give its text");
        for document in open {
            document.close().await;
        }
        let scene = Scene { network, accounts, uri, text };
        scene.write_as_the_article_does(&splices).await?;
        Ok(scene)
    }

    /// The same edits as one record for every five seconds of typing, by the same editors in turn.
    async fn write_as_the_article_does(&self, splices: &[Splice]) -> Result<()> {
        let mut documents: Vec<Document> = (0..self.accounts.len() as u64)
            .map(|n| Document::new(ClientId::new(n + 1).expect("a valid client id")))
            .collect();
        let mut records: Vec<Vec<Value>> = vec![Vec::new(); documents.len()];
        for (n, turn) in splices.chunks(TURN).enumerate() {
            let writer = n % documents.len();
            for few in turn.chunks(KEYSTROKES_A_RECORD) {
                let updates = documents[writer].edit(Timestamp::EPOCH, few)?.updates;
                let update = door::merge(&updates).context("one writer's updates follow each other")?;
                for (other, document) in documents.iter_mut().enumerate() {
                    if other != writer {
                        document.apply(&update);
                    }
                }
                records[writer].push(json!({ "update": { "$bytes": base64(update.bytes()) } }));
            }
        }
        for (account, records) in self.accounts.iter().zip(records) {
            create_all(account, records.into_iter().map(|record| (ARTICLE, record))).await?;
        }
        Ok(())
    }

    /// Fills the repos with records of other apps until each holds `wanted` of them.
    async fn add_others(&self, have: usize, wanted: usize) -> Result<()> {
        for account in &self.accounts {
            let record = |n: usize| {
                let collection = if n.is_multiple_of(2) { "com.example.post" } else { "social.example.like" };
                (collection, json!({ "text": format!("another app's record number {n}") }))
            };
            create_all(account, (have..wanted).map(record)).await?;
        }
        Ok(())
    }

    async fn cold_open(&self, traffic: &Traffic, others: usize) -> Result<Value> {
        let stranger = people::client(&people::config(self.network, false)?, None);
        traffic.take();
        let start = Instant::now();
        let reading = stranger.open(&self.uri).await?;
        people::until(&reading, "some text", |d| !d.text().is_empty()).await?;
        let first_text_ms = millis(start);
        people::until(&reading, "the whole text", |d| d.text() == self.text).await?;
        let cost = taken(traffic, start);
        reading.close().await;
        self.row(others, cost, Some(first_text_ms)).await
    }

    /// Somebody reads along, and one keystroke comes, into a segment half full. Whoever wrote it is no client of ours: what is
    /// counted is the reader's alone.
    async fn one_keystroke_later(&self, traffic: &Traffic, others: usize) -> Result<Value> {
        let reader = people::client(&people::config(self.network, true)?, None);
        let reading = reader.open(&self.uri).await?;
        people::until(&reading, "the whole text", |d| d.text() == self.text).await?;
        people::until(&reading, "the doorbell", |d| d.status().doorbell.is_some()).await?;
        let mut pen = self.pen("keystroke").await?;
        pen.write(&noise(HALF_A_SEGMENT)).await?;
        let before = self.text.len() + HALF_A_SEGMENT;
        people::until(&reading, "what was there before", |d| d.text().len() == before).await?;
        traffic.take();
        let start = Instant::now();
        pen.write("!").await?;
        people::until(&reading, "the keystroke", |d| d.text().len() == before + 1).await?;
        let cost = taken(traffic, start);
        pen.erase().await?;
        people::until(&reading, "the text as it was", |d| d.text() == self.text).await?;
        reading.close().await;
        self.row(others, cost, None).await
    }

    /// Somebody has the document, is away, and comes back after a thousand flushes of one editor.
    async fn after_a_week(&self, traffic: &Traffic, others: usize) -> Result<Value> {
        let config = people::config(self.network, false)?;
        let store = Rc::new(Memory::new());
        let reading = people::client_with(&config, None, store.clone()).open(&self.uri).await?;
        people::until(&reading, "the whole text", |d| d.text() == self.text).await?;
        reading.close().await;

        let written = self.write_for_a_week().await?;
        let back = people::client_with(&config, None, store);
        traffic.take();
        let start = Instant::now();
        let reading = back.open(&self.uri).await?;
        let whole = self.text.len() + written;
        people::until(&reading, "the week's text", |d| d.text().len() == whole).await?;
        let cost = taken(traffic, start);
        reading.close().await;
        self.row(others, cost, None).await
    }

    /// A thousand flushes by another replica of the first editor, without waiting for the pace a person would have.
    async fn write_for_a_week(&self) -> Result<usize> {
        let mut pen = self.pen("week").await?;
        for n in 0..FLUSHES_IN_A_WEEK {
            pen.write(&format!("sentence {n}. ")).await?;
        }
        Ok(pen.document.len_utf16() as usize)
    }

    /// Writes as a new replica of the first editor.
    async fn pen(&self, replica: &str) -> Result<Pen> {
        let account = &self.accounts[0];
        let replica: ReplicaId = replica.parse().expect("a valid replica id");
        Ok(Pen {
            session: account.sign_in().await?,
            uri: self.uri.clone(),
            document: Document::new(ClientId::derive(&account.did, &self.uri.to_string(), &replica)),
            log: SegmentLog::new(replica),
            now: Timestamp::from_millis(1_780_000_000_000),
        })
    }

    async fn row(&self, others: usize, cost: Cost, first_text_ms: Option<f64>) -> Result<Value> {
        let mut row = cost.json();
        row["editors"] = json!(self.accounts.len());
        row["other_records"] = json!(others);
        if let Some(ms) = first_text_ms {
            row["first_text_ms"] = json!(ms);
        }
        row["article"] = self.article().await?.json();
        eprintln!("  {row}");
        Ok(row)
    }

    /// Lists every update of every editor.
    async fn article(&self) -> Result<Cost> {
        let (mut requests, mut bytes) = (0, 0);
        let start = Instant::now();
        for account in &self.accounts {
            let session = account.sign_in().await?;
            let mut cursor = String::new();
            loop {
                let parameters =
                    format!("repo={}&collection={ARTICLE}&limit=100&cursor={cursor}", account.did);
                let page = session.query("com.atproto.repo.listRecords", &parameters).await?;
                requests += 1;
                bytes += page.to_string().len() as u64;
                match page["cursor"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
            }
        }
        Ok(Cost { requests, bytes, ms: millis(start) })
    }
}

/// Puts segments into a repo without being a client: nothing of it is counted.
struct Pen {
    session: Session,
    uri: DocumentUri,
    document: Document,
    log: SegmentLog,
    now: Timestamp,
}

impl Pen {
    /// One flush with this at the end, ten minutes after the one before.
    async fn write(&mut self, text: &str) -> Result<()> {
        let end = self.document.len_utf16();
        self.flush(&[Splice::insert(end, text)]).await
    }

    /// One flush that takes back everything.
    async fn erase(&mut self) -> Result<()> {
        self.flush(&[Splice::delete(0, self.document.len_utf16())]).await
    }

    async fn flush(&mut self, splices: &[Splice]) -> Result<()> {
        self.now = self.now.saturating_add(Duration::from_secs(600));
        for update in self.document.edit(self.now, splices)?.updates {
            let _ = self.log.append(self.now, update.bytes());
        }
        while let Some(plan) = self.log.plan(self.log.pending()) {
            let record = SegmentRecord {
                document: self.uri.clone(),
                replica: self.log.replica().clone(),
                seq: plan.seq,
                sealed: plan.sealed,
                through: None,
                entries: plan.entries.clone(),
                carried: None,
            };
            self.session.put_record(SEGMENT, &record.key().to_string(), &record.to_json()).await?;
            let _ = self.log.was_published(&plan);
        }
        Ok(())
    }
}

/// Letters that hardly deflate.
fn noise(length: usize) -> String {
    let mut state = 7u32;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (state >> 16) as u8 % 90)
    };
    (0..length).map(letter).collect()
}

/// Creates records under keys of their own, as fast as the PDS takes them.
async fn create_all(account: &Account, records: impl Iterator<Item = (&'static str, Value)>) -> Result<()> {
    let session = account.sign_in().await?;
    let mut writes: Vec<Value> = records
        .map(|(collection, value)| {
            json!({ "$type": "com.atproto.repo.applyWrites#create", "collection": collection, "value": value })
        })
        .collect();
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(BATCH));
        let body = json!({ "repo": account.did, "validate": false, "writes": writes });
        session.procedure("com.atproto.repo.applyWrites", &body).await?;
        writes = rest;
    }
    Ok(())
}

fn taken(traffic: &Traffic, start: Instant) -> Cost {
    let ms = millis(start);
    let (requests, bytes) = traffic.take();
    Cost { requests, bytes, ms }
}

fn millis(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1e4).round() / 10.0
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: u32, place: u32| char::from(DIGITS[(group >> (6 * place)) as usize & 63]);
    let groups = bytes.chunks(3).flat_map(|chunk| {
        let group =
            chunk.iter().chain(&[0, 0]).take(3).fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        (0..=chunk.len() as u32).map(move |n| digit(group, 3 - n))
    });
    groups.collect()
}
