//! Somebody who types as fast as they can, and says what they see.

use std::{
    cell::{Cell, RefCell},
    io::Write as _,
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use sheaf_client::{
    Client, DocumentHandle, Parts,
    config::NetworkConfig,
    platform,
    session::{self, FileSessions},
    slots::FileLocks,
    store::Sqlite,
};
use sheaf_core::text::{Splice, Utf16Offset, apply_splices};

use super::{Chance, DID, NOWHERE};

/// Set to the document's address in the process that types.
pub(super) const TYPIST: &str = "SHEAF_TYPIST";

/// One keystroke: a character put in somewhere, or one taken out.
pub(super) struct Keystroke(Splice);

impl Keystroke {
    /// The next one in this text; the same seed and text give the same.
    pub(super) fn next(chance: &mut Chance, text: &str) -> Keystroke {
        const KEYS: [&str; 10] = ["a", "n", " ", "é", "e\u{301}", "😀", "👩‍👩‍👧", "ש", "م", "\n"];
        let places: Vec<char> = text.chars().collect();
        // People mostly write on where they are; now and then they go somewhere else, or take something back.
        let at =
            if chance.below(8) == 0 { chance.below(places.len() as u64 + 1) as usize } else { places.len() };
        let units = |part: &[char]| part.iter().map(|c| c.len_utf16() as u32).sum::<u32>();
        let from = Utf16Offset(units(&places[..at]));
        if at > 0 && chance.below(6) == 0 {
            let gone = units(&places[at - 1..at]);
            return Keystroke(Splice { at: Utf16Offset(from.0 - gone), delete: gone, insert: String::new() });
        }
        let insert = KEYS[chance.below(KEYS.len() as u64) as usize].to_owned();
        Keystroke(Splice { at: from, delete: 0, insert })
    }

    pub(super) fn press(&self, text: &mut String) {
        apply_splices(text, std::slice::from_ref(&self.0)).expect("a keystroke is made for the text");
    }
}

/// Types in a document until killed. It is opened exactly as the command line does.
pub(super) fn types(uri: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let document = open(uri).await;
        let seed = std::env::var("SHEAF_TYPIST_SEED").unwrap().parse().unwrap();
        let (mut chance, mut pace) = (Chance(seed), Chance(seed ^ 1));
        let typed = Rc::new(Cell::new(0usize));
        // What was durable when nothing was unsaved any more; told as soon as it is.
        let told = Rc::new(RefCell::new(0usize));
        let (counted, last) = (typed.clone(), told.clone());
        let watched = document.clone();
        platform::spawn(async move {
            loop {
                watched.until(|d| d.status().unsaved == 0 && counted.get() > *last.borrow()).await;
                let durable = counted.get();
                *last.borrow_mut() = durable;
                say("durable", durable);
            }
        });
        loop {
            let text = document.text();
            document.edit(vec![Keystroke::next(&mut chance, &text).0]);
            typed.set(typed.get() + 1);
            say("typed", typed.get());
            platform::sleep(Duration::from_millis(pace.below(12))).await;
        }
    });
}

fn say(what: &str, number: usize) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {number}").and_then(|()| out.flush()).expect("whoever kills listens");
}

async fn open(uri: &str) -> DocumentHandle {
    let folder = PathBuf::from(std::env::var_os("SHEAF_DATA_DIR").unwrap());
    let config =
        serde_json::json!({ "plc": NOWHERE, "handleResolver": NOWHERE, "doh": null, "jetstream": [] });
    let config = NetworkConfig::from_json(&config.to_string()).unwrap();
    let sessions = Rc::new(FileSessions::new(folder.join("session.json")));
    let account = session::restore(&config, sessions).await.unwrap();
    assert!(account.is_some(), "somebody is signed in");
    let own = folder.join(DID.replace(':', "+"));
    let client = Client::new(Parts {
        config,
        store: Rc::new(Sqlite::open(&own.join("store.sqlite")).unwrap()),
        locks: Rc::new(FileLocks::new(&own.join("locks")).unwrap()),
        account,
        name: None,
    });
    client.open(&uri.parse().unwrap()).await.unwrap()
}
