//! A text is shown as it was last seen until the engine has it.

use std::time::Duration;

use sheaf_client::store::{Memory, Store as _};
use sheaf_core::{
    document_link::DocumentLink,
    replica::StoreOp,
    text::{self, utf16_len},
};
use sheaf_web::{
    last_seen::{self, LastSeen},
    shown::{Attached, News, Role, Told},
};

use crate::world::{Life, View, document, let_others_run, life, life_of, run, settle};

/// A document whose text as last seen is older than what the device has: `seen` was, `since` came after it.
async fn seen_and_since(kept: &Memory, seen: &str, since: &str) -> DocumentLink {
    // What came after it has no time to be kept as it is seen.
    tokio::time::pause();
    let link = document(kept).await;
    let life = life(kept);
    let mut views = [View::new("a 1")];
    views[0].attach(&life, &link, true).await;
    views[0].write(&life, text::Splice::insert(0, seen));
    settle(&life, &mut views).await;
    life.engine.detach("a 1").await;
    views[0].attach(&life, &link, false).await;
    views[0].write(&life, text::Splice::insert(utf16_len(seen), since));
    settle(&life, &mut views).await;
    // Killed, and so it keeps nothing more.
    life.disk.dead.set(true);
    link
}

/// What a view that begins is told before the engine has read anything, and then its being taken on.
async fn begin_slowly(
    life: &Life,
    view: &mut View,
    link: &DocumentLink,
    meanwhile: impl FnOnce(&mut View, Option<News>),
) -> Attached {
    life.disk.reads_slowly.set(true);
    let attaching = life.engine.attach(view.name.clone(), link, false, None);
    let looking = async {
        let_others_run().await;
        let news = view.look(life);
        meanwhile(view, news);
        life.disk.reads_slowly.set(false);
    };
    futures_util::join!(attaching, looking).0.unwrap()
}

#[test]
fn a_text_is_shown_as_last_seen_before_it_is_read_and_goes_on_from_there() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen 😀. ", "Since. ").await;
        let life = life(&kept);
        let mut view = View::new("b 1");
        let attached = begin_slowly(&life, &mut view, &link, |view, news| {
            assert_eq!(view.shown, "Seen 😀. ");
            let news = news.expect("what was last seen");
            let status = news.status.expect("it is told all there is to know");
            assert_eq!((news.title.as_str(), status.role), ("Notes", Role::Owner));
            assert_eq!((news.link, status.sentence.as_str()), (link.fragment(), "Opening"));
            view.write_ahead(text::Splice::insert(0, "Typed. "));
        })
        .await;
        assert_eq!(attached.text, None, "the view has one");
        view.attached(&life, attached);
        let mut views = [view];
        settle(&life, &mut views).await;
        assert_eq!(views[0].shown, "Typed. Seen 😀. Since. ");
        assert_eq!(views[0].base, views[0].shown);

        let mut other = View::new("c 1");
        other.attach(&life, &link, true).await;
        assert_eq!(other.shown, "Typed. Seen 😀. Since. ");
        // What was typed meanwhile is what is taken back.
        life.engine.step("b 1", 2, true);
        let [view] = views;
        let mut views = [other, view];
        let_others_run().await;
        life.mail.borrow_mut().get_mut("b 1").unwrap().retain(|told| !matches!(told, Told::Done(2)));
        settle(&life, &mut views).await;
        for view in &views {
            assert_eq!(view.shown, "Seen 😀. Since. ");
        }
    });
}

#[test]
fn what_is_typed_by_whom_may_not_write_any_more_is_taken_back_and_told() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen. ", "Since. ").await;
        // As far as the engine knows this is no editor, and it has nothing of the document; what was seen last says otherwise.
        let life = life_of("did:plc:7iza6de2dwap2sbkpav7c6c6", &kept);
        let mut view = View::new("b 1");
        let attached = begin_slowly(&life, &mut view, &link, |view, news| {
            assert_eq!(news.and_then(|news| news.status).map(|status| status.role), Some(Role::Owner));
            view.write_ahead(text::Splice::insert(6, "Typed 😀. "));
        })
        .await;
        assert_eq!(attached.news.status.as_ref().map(|status| status.role), Some(Role::Reader));
        view.attached(&life, attached);
        let mut views = [view];
        settle(&life, &mut views).await;
        assert_eq!(views[0].shown, "");
        assert_eq!(views[0].not_taken, "Typed 😀. ");
    });
}

#[test]
fn an_engine_that_dies_while_it_reads_takes_nothing_along() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen. ", "Since. ").await;
        let mut life = life(&kept);
        life.disk.reads_slowly.set(true);
        let mut view = View::new("b 1");
        {
            let attaching = life.engine.attach(view.name.clone(), &link, false, None);
            let looking = async {
                let_others_run().await;
                view.look(&life).expect("what was last seen");
                view.write_ahead(text::Splice::insert(6, "Typed. "));
            };
            futures_util::pin_mut!(attaching);
            let select = futures_util::future::select(attaching, Box::pin(looking));
            assert!(matches!(select.await, futures_util::future::Either::Right(_)), "it was slower");
        }
        life.disk.dead.set(true);
        life = self::life(&kept);
        view.attach(&life, &link, false).await;
        let mut views = [view];
        settle(&life, &mut views).await;
        let text = &views[0].shown;
        assert!(["Seen. Typed. Since. ", "Seen. Since. Typed. "].contains(&text.as_str()), "{text}");
    });
}

#[test]
fn without_a_text_as_last_seen_a_view_waits_for_the_text() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen. ", "Since. ").await;
        let note = format!("note/{}/{}", link.document, last_seen::NOTE);
        for note in [
            StoreOp::Put { key: note.clone(), value: b"damaged".to_vec() },
            StoreOp::Delete { key: note.clone() },
        ] {
            kept.write(vec![note]).await.unwrap();
            let life = life(&kept);
            let mut view = View::new("b 1");
            let attached = begin_slowly(&life, &mut view, &link, |_, news| assert_eq!(news, None)).await;
            view.attached(&life, attached);
            assert_eq!(view.shown, "Seen. Since. ");
            life.disk.dead.set(true);
        }
    });
}

#[test]
fn what_another_tab_has_open_is_told_as_it_is() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen. ", "Since. ").await;
        let life = life(&kept);
        View::new("b 1").attach(&life, &link, true).await;
        let mut view = View::new("c 1");
        let attached = life.engine.attach("c 1".into(), &link, false, None).await.unwrap();
        assert_eq!(view.look(&life), None);
        assert_eq!(attached.text.as_deref(), Some("Seen. Since. "));
    });
}

#[test]
fn a_text_at_rest_is_kept_as_it_is_seen_and_goes_with_the_document() {
    run(async {
        tokio::time::pause();
        let kept = Memory::new();
        let link = document(&kept).await;
        let life = life(&kept);
        let mut views = [View::new("a 1")];
        views[0].attach(&life, &link, true).await;
        views[0].write(&life, text::Splice::insert(0, "At rest."));
        settle(&life, &mut views).await;
        let client = life.engine.client();
        let seen = async || {
            let note = client.note(&link.document, last_seen::NOTE).await.unwrap()?;
            LastSeen::of_note(&note).map(|seen| seen.text)
        };
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let_others_run().await;
        }
        assert_eq!(seen().await.as_deref(), Some("At rest."));
        life.engine.detach("a 1").await;
        client.discard(&link.document).await.unwrap();
        assert_eq!(seen().await, None);
    });
}
