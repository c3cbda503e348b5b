//! Views and engines, in whatever order things happen: all show one text, and nothing that was typed is lost or doubled, not
//! even when the engine dies.

#![cfg(not(target_arch = "wasm32"))]

mod last_seen;
mod world;

use std::collections::VecDeque;

use sheaf_client::store::{Memory, Store as _};
use sheaf_core::text;
use sheaf_web::{
    shown::Told,
    timeline::{FateShown, RestoreError},
};

use world::{View, document, let_others_run, life, plain, run, settle, two_views};

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    fn place(&mut self, text: &str) -> u32 {
        let characters = text.chars().count();
        let at = self.below(characters + 1);
        text.chars().take(at).map(|character| character.len_utf16() as u32).sum()
    }

    /// Where a few whole characters begin, and how long they are.
    fn stretch(&mut self, text: &str) -> (u32, u32) {
        let skipped = self.below(text.chars().count() + 1);
        let length = self.below(20);
        let units =
            |characters: &mut dyn Iterator<Item = char>| characters.map(|c| c.len_utf16() as u32).sum();
        let mut characters = text.chars();
        (units(&mut characters.by_ref().take(skipped)), units(&mut characters.take(length)))
    }
}

fn seeds(cases: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("SHEAF_TEST_SEED").unwrap_or(1);
    first..first + number("SHEAF_TEST_CASES").unwrap_or(cases)
}

#[test]
fn all_views_show_one_text_whatever_order_things_happen_in() {
    run(async {
        for seed in seeds(60) {
            let mut chance = Chance(seed);
            let kept = Memory::new();
            let link = document(&kept).await;
            let life = life(&kept);
            let mut views = ["a 1", "a 2", "b 1"].map(View::new);
            for view in &mut views {
                view.attach(&life, &link, true).await;
            }
            for _ in 0..150 {
                let n = chance.below(views.len());
                let view = &mut views[n];
                match chance.below(8) {
                    0..3 => {
                        let at = chance.place(&view.shown);
                        let pieces = ["a", "👩‍👩‍👧", "e\u{301}", "\r\n", "שלום", "word "];
                        view.write(&life, text::Splice::insert(at, pieces[chance.below(pieces.len())]));
                    }
                    3 => {
                        let (at, length) = chance.stretch(&view.shown);
                        view.write(&life, text::Splice::delete(at, length));
                    }
                    4 => life.disk.held_up.set(!life.disk.held_up.get()),
                    5 => tokio::task::yield_now().await,
                    6 => let_others_run().await,
                    _ => drop(view.hear(&life)),
                }
            }
            settle(&life, &mut views).await;
            for view in &views {
                assert_eq!(view.shown, view.base, "seed {seed}");
                assert_eq!(view.shown, views[0].shown, "seed {seed}");
            }
        }
    });
}

#[test]
fn whenever_the_engine_dies_what_was_typed_is_there_once() {
    run(async {
        for seed in seeds(60) {
            let mut chance = Chance(seed);
            let kept = Memory::new();
            let link = document(&kept).await;
            let mut life = self::life(&kept);
            let mut views = ["a 1", "b 1"].map(View::new);
            for view in &mut views {
                view.attach(&life, &link, true).await;
            }
            let mut typed = Vec::new();
            for _ in 0..120 {
                let n = chance.below(views.len());
                let view = &mut views[n];
                match chance.below(8) {
                    0..3 => {
                        // One character that there is once.
                        let character = char::from_u32(0x20000 + typed.len() as u32).unwrap();
                        let at = chance.place(&view.shown);
                        view.write(&life, text::Splice::insert(at, character));
                        typed.push(character);
                    }
                    3 => life.disk.held_up.set(!life.disk.held_up.get()),
                    4 => tokio::task::yield_now().await,
                    5 => let_others_run().await,
                    6 if chance.below(4) == 0 => {
                        life.disk.dead.set(true);
                        life = self::life(&kept);
                        for view in &mut views {
                            view.attach(&life, &link, false).await;
                        }
                    }
                    _ => drop(view.hear(&life)),
                }
            }
            settle(&life, &mut views).await;
            for view in &views {
                assert_eq!(view.shown, views[0].shown, "seed {seed}");
                let mut there: Vec<char> = view.shown.chars().collect();
                there.sort_unstable();
                assert_eq!(there, typed, "seed {seed}: each once");
            }
        }
    });
}

#[test]
fn nothing_is_called_done_before_it_is_on_the_disk() {
    run(async {
        let kept = Memory::new();
        let (life, mut views) = two_views(&kept).await;
        life.disk.held_up.set(true);
        views[0].write(&life, text::Splice::insert(0, "typed"));
        let_others_run().await;
        while views[1].hear(&life) {}
        assert_eq!(views[1].shown, "typed", "others see it at once");
        while views[0].hear(&life) {}
        assert!(views[0].pending());
        life.disk.held_up.set(false);
        settle(&life, &mut views).await;
        assert!(!views[0].pending());
    });
}

#[test]
fn views_of_one_account_are_one_person_and_one_replica() {
    run(async {
        let kept = Memory::new();
        let link = document(&kept).await;
        let life = life(&kept);
        let (mut one, mut other) = (View::new("a 1"), View::new("b 1"));
        futures_util::join!(one.attach(&life, &link, true), other.attach(&life, &link, true));
        let mut views = [one, other];
        views[0].write(&life, text::Splice::insert(0, "one"));
        settle(&life, &mut views).await;
        views[1].write(&life, text::Splice::insert(0, "other "));
        settle(&life, &mut views).await;
        let logs: std::collections::BTreeSet<String> = kept
            .scan("doc/")
            .await
            .unwrap()
            .into_iter()
            .filter_map(|(key, _)| Some(key.split_once("/replica/")?.1.split('/').next()?.to_owned()))
            .collect();
        assert_eq!(logs.len(), 1, "one replica writes: {logs:?}");
        life.engine.detach("a 1").await;
        life.engine.detach("b 1").await;
        let mut late = View::new("c 1");
        late.attach(&life, &link, true).await;
        assert_eq!(late.shown, "other one");
    });
}

#[test]
fn a_view_that_makes_no_sense_is_told_to_begin_anew() {
    run(async {
        let kept = Memory::new();
        let link = document(&kept).await;
        let life = life(&kept);
        let mut view = View::new("a 1");
        view.attach(&life, &link, true).await;
        let next = |name: &str| life.mail.borrow_mut().get_mut(name).and_then(VecDeque::pop_front);
        life.engine.change("a 1", 1, 7, vec![], None);
        assert_eq!(next("a 1"), Some(Told::OutOfStep), "it cannot have seen seven");
        life.engine.change("a 1", 1, 0, plain(&[text::Splice::delete(3, 9)]), None);
        assert_eq!(next("a 1"), Some(Told::OutOfStep), "there is nothing to delete");
        life.engine.change("nobody", 1, 0, vec![], None);
        assert_eq!(next("nobody"), Some(Told::OutOfStep));
    });
}

#[test]
fn the_timeline_leads_back_by_an_edit_that_can_be_taken_back() {
    run(async {
        let kept = Memory::new();
        let (life, mut views) = two_views(&kept).await;
        assert_eq!(life.engine.timeline("a 1").unwrap().turns, vec![], "nothing was written yet");
        views[0].write(&life, text::Splice::insert(0, "first 🌾 e\u{301}"));
        settle(&life, &mut views).await;
        let timeline = life.engine.timeline("a 1").unwrap();
        assert_eq!(timeline.authors[0].did, "did:plc:ewvi7nxzyoun6zhxrhs64oiz");
        assert_eq!(timeline.turns.iter().map(|turn| turn.inserted).sum::<f64>(), 11.0);
        let moment = life.engine.moment("a 1", timeline.turns.len() - 1).unwrap();
        let added = moment.passages.iter().filter(|passage| passage.fate != FateShown::Removed);
        assert_eq!(added.map(|passage| passage.text.as_str()).collect::<String>(), "first 🌾 e\u{301}");
        assert!(life.engine.moment("b 1", 0).is_none(), "the other view looks at no timeline");
        assert!(life.engine.moment("a 1", 99).is_none());
        assert_eq!(life.engine.restore("a 1", timeline.turns.len() - 1), Ok(false), "it is that already");

        // The other goes on while one looks.
        views[1].write(&life, text::Splice::insert(6, "and second "));
        settle(&life, &mut views).await;
        assert_eq!(life.engine.restore("a 1", timeline.turns.len() - 1), Ok(true));
        settle(&life, &mut views).await;
        for view in &views {
            assert_eq!(view.shown, "first 🌾 e\u{301}");
        }
        life.engine.step("a 1", 2, true);
        let taken_back = |told: &Told| matches!(told, Told::Done(2));
        for _ in 0..1_000 {
            let_others_run().await;
            let told = life.mail.borrow_mut().get_mut("a 1").and_then(|mail| {
                let at = mail.iter().position(taken_back)?;
                mail.remove(at)
            });
            if told.is_some() {
                break;
            }
        }
        settle(&life, &mut views).await;
        for view in &views {
            assert_eq!(view.shown, "first and second 🌾 e\u{301}");
        }
        life.engine.close_timeline("a 1");
        assert!(life.engine.moment("a 1", 0).is_none());
        assert_eq!(life.engine.restore("a 1", 0), Err(RestoreError::NotLooking));
    });
}
