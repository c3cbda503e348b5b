#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use sheaf_repo::did::Did;

use super::*;
use crate::{
    budget::{Priority, WriteBudget},
    record::{AwarenessRecord, Caret},
    sticky::Sticky,
    time::Timestamp,
};

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_401_000_000)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn did(name: &str) -> Did {
    format!("did:plc:{name}").parse().unwrap()
}

fn record(replica: &str, expires_at: Timestamp) -> AwarenessRecord {
    AwarenessRecord {
        document: "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap(),
        replica: replica.parse().unwrap(),
        name: Some("Bob".into()),
        color: None,
        caret: Some(Caret { anchor: Sticky::Start, head: Sticky::End }),
        live: None,
        expires_at,
    }
}

fn here(table: &PresenceTable) -> Vec<&Did> {
    table.iter().map(|(did, _)| did).collect()
}

fn budget() -> WriteBudget {
    WriteBudget::new("r1".parse().unwrap())
}

// --- others ---

#[test]
fn somebody_is_here_until_their_record_expires() {
    let mut table = PresenceTable::default();
    let bob = did("bob");
    assert!(table.observe(&bob, &record("r", now().saturating_add(LIFE)), now()));
    assert_eq!(table.deadline(), Some(now().saturating_add(LIFE)));
    assert!(!table.expire(now().saturating_add(secs(119))));
    assert_eq!(here(&table), [&bob]);
    assert!(table.expire(now().saturating_add(LIFE)));
    assert!(here(&table).is_empty());
    assert_eq!(table.deadline(), None);
}

#[test]
fn whoever_left_long_ago_is_not_here_on_opening() {
    let mut table = PresenceTable::default();
    for ago in [1, 299, 301, 86_400] {
        table.observe(&did("bob"), &record("r", now().saturating_sub(secs(ago))), now());
        assert!(here(&table).is_empty(), "{ago} seconds ago");
    }
}

#[test]
fn a_record_is_not_believed_for_long_whatever_it_says() {
    let mut table = PresenceTable::default();
    table.observe(&did("bob"), &record("r", Timestamp::MAX), now());
    assert_eq!(table.deadline(), Some(now().saturating_add(LONGEST_LIFE)));
}

#[test]
fn a_clock_that_is_wrong_either_way_hides_nobody() {
    for (ahead, behind) in [(0, 3_600), (3_600, 0), (0, 86_400)] {
        let theirs = |t: Timestamp| t.saturating_add(secs(ahead)).saturating_sub(secs(behind));
        let mut table = PresenceTable::default();
        let mut t = now();
        for _ in 0..3 {
            table.observe(&did("bob"), &record("r", theirs(t).saturating_add(LIFE)), t);
            t = t.saturating_add(REFRESH);
            table.expire(t);
        }
        assert_eq!(here(&table).len(), 1, "{ahead} s ahead, {behind} s behind");
        // … and a goodbye is understood at once.
        assert!(table.observe(&did("bob"), &record("r", theirs(t)), t));
        assert!(here(&table).is_empty());
    }
}

#[test]
fn what_was_written_while_we_slept_does_not_bring_anyone_back() {
    let mut table = PresenceTable::default();
    table.observe(&did("bob"), &record("r", now().saturating_add(LIFE)), now());
    let awake = now().saturating_add(secs(8 * 3_600));
    table.expire(awake);
    // Bob was here for two more hours after our lid closed.
    table.observe(&did("bob"), &record("r", now().saturating_add(secs(2 * 3_600))), awake);
    assert!(here(&table).is_empty());
}

#[test]
fn another_replica_of_theirs_may_leave_without_them() {
    let mut table = PresenceTable::default();
    let (bob, t) = (did("bob"), now());
    table.observe(&bob, &record("phone", t.saturating_add(LIFE)), t);
    table.observe(&bob, &record("laptop", t.saturating_add(secs(121))), t);
    assert!(!table.observe(&bob, &record("phone", t), t));
    assert_eq!(here(&table), [&bob]);
    assert!(table.iter().all(|(_, present)| present.replica.as_str() == "laptop"));
}

#[test]
fn only_what_can_be_seen_counts_as_a_change() {
    let mut table = PresenceTable::default();
    let bob = did("bob");
    let first = record("r", now().saturating_add(LIFE));
    assert!(table.observe(&bob, &first, now()));
    assert!(!table.observe(&bob, &first, now()), "the same once more");
    let mut later = record("r", now().saturating_add(secs(200)));
    assert!(!table.observe(&bob, &later, now()), "a refresh");
    later.expires_at = now().saturating_add(secs(201));
    later.caret = None;
    assert!(table.observe(&bob, &later, now()), "a move");
}

#[test]
fn an_edit_says_where_its_author_is() {
    let mut table = PresenceTable::default();
    let bob = did("bob");
    table.moved_by_edit(&bob, &"r".parse().unwrap(), Sticky::End, now());
    let (_, present) = table.iter().next().unwrap();
    assert_eq!(present.caret, Some((Sticky::End, Sticky::End)));
    assert_eq!(table.deadline(), Some(now().saturating_add(LIFE)));
    table.observe(&bob, &record("r", now().saturating_add(LIFE)), now());
    let later = now().saturating_add(secs(100));
    table.moved_by_edit(&bob, &"r".parse().unwrap(), Sticky::Start, later);
    let (_, present) = table.iter().next().unwrap();
    assert_eq!((present.name.as_deref(), present.caret), (Some("Bob"), Some((Sticky::Start, Sticky::Start))));
    assert_eq!(table.deadline(), Some(later.saturating_add(LIFE)));
}

#[test]
fn an_old_edit_brings_nobody_back() {
    let mut table = PresenceTable::default();
    let (bob, replica) = (did("bob"), "r".parse().unwrap());
    for (made, is_here) in [
        (now().saturating_sub(secs(7 * 86_400)), false),
        (now().saturating_sub(secs(181)), false),
        (now().saturating_add(secs(181)), false),
        (now().saturating_sub(secs(60)), true),
        // Once here, an edit tells where, whatever their clock says.
        (now().saturating_sub(secs(3_600)), true),
    ] {
        table.edited(&bob, &replica, made, Sticky::End, now());
        assert_eq!(here(&table).len(), usize::from(is_here), "{made}");
    }
}

#[test]
fn the_table_is_bounded_and_keeps_to_the_editors() {
    let mut table = PresenceTable::default();
    let everyone: Vec<Did> = (0..500).map(|n| did(&n.to_string())).collect();
    for did in &everyone {
        table.observe(did, &record("r", now().saturating_add(LIFE)), now());
        table.moved_by_edit(did, &"r".parse().unwrap(), Sticky::End, now());
    }
    assert_eq!(here(&table).len(), MAX_PEOPLE);
    table.retain(&everyone[..2]);
    assert_eq!(here(&table).len(), 2);
}

#[test]
fn a_clock_set_back_keeps_nobody_here() {
    let mut table = PresenceTable::default();
    table.observe(&did("bob"), &record("r", now().saturating_add(LIFE)), now());
    let earlier = now().saturating_sub(secs(86_400));
    table.expire(earlier);
    assert!(table.expire(earlier.saturating_add(LONGEST_LIFE)));
}

// --- oneself ---

#[test]
fn coming_is_announced_at_once_and_then_refreshed_in_time() {
    let (mut own, budget) = (OwnAwareness::new(now()), budget());
    assert_eq!(own.due(now(), &budget), Some(now().saturating_add(LIFE)));
    own.written(now());
    assert_eq!(own.due(now(), &budget), None);
    assert_eq!(own.deadline(&budget), Some(now().saturating_add(REFRESH)));
    assert!(REFRESH < LIFE, "or presence would flicker");
}

#[test]
fn a_move_after_quiet_leaves_at_once_and_more_moves_wait() {
    let (mut own, budget) = (OwnAwareness::new(now()), budget());
    own.written(now());
    let t = now().saturating_add(secs(10));
    own.moved(t);
    assert_eq!(own.due(t, &budget), Some(t.saturating_add(LIFE)));
    own.written(t);
    own.moved(t.saturating_add(Duration::from_millis(10)));
    assert_eq!(own.due(t.saturating_add(Duration::from_millis(20)), &budget), None);
    assert_eq!(own.deadline(&budget), Some(t.saturating_add(Duration::from_millis(1_500))));
}

#[test]
fn typing_is_not_announced_but_moving_away_is() {
    let (mut own, budget) = (OwnAwareness::new(now()), budget());
    own.written(now());
    let mut t = now();
    for _ in 0..100 {
        t = t.saturating_add(Duration::from_millis(200));
        own.edited(t);
        own.moved(t.saturating_add(Duration::from_millis(5)));
        assert_eq!(own.due(t, &budget), None);
    }
    own.moved(t.saturating_add(Duration::from_millis(40)));
    assert!(own.due(t.saturating_add(secs(2)), &budget).is_some(), "an arrow key after the last letter");
}

#[test]
fn a_hidden_page_says_nothing_until_it_is_seen_again() {
    let (mut own, budget) = (OwnAwareness::new(now()), budget());
    own.written(now());
    own.moved(now());
    own.set_hidden(now(), true);
    assert_eq!(own.deadline(&budget), None);
    assert_eq!(own.due(now().saturating_add(secs(1_000)), &budget), None);
    let back = now().saturating_add(secs(2_000));
    own.set_hidden(back, false);
    assert_eq!(own.due(back, &budget), Some(back.saturating_add(LIFE)));
}

#[test]
fn leaving_is_said_once_and_only_by_who_was_announced() {
    let (mut own, budget) = (OwnAwareness::new(now()), budget());
    own.written(now());
    own.set_hidden(now(), true);
    let t = now().saturating_add(Duration::from_millis(300));
    own.leave(t);
    assert_eq!(own.due(t, &budget), Some(t), "a farewell waits for no interval");
    own.written(t);
    assert_eq!(own.deadline(&budget), None);
    own.leave(t);
    assert_eq!(own.deadline(&budget), None);
    let mut silent = OwnAwareness::new(now());
    silent.leave(now());
    assert_eq!(silent.deadline(&budget), None);
}

#[test]
fn who_has_fallen_asleep_is_announced_no_more() {
    let (mut own, budget) = (OwnAwareness::new(now()), budget());
    let mut writes = 0;
    let mut t = now();
    while let Some(at) = own.deadline(&budget) {
        t = t.max(at);
        assert!(own.due(t, &budget).is_some());
        own.written(t);
        writes += 1;
    }
    assert!((20..30).contains(&writes), "{writes} announcements in half an hour");
    own.moved(t.saturating_add(secs(9_000)));
    assert!(own.deadline(&budget).is_some());
}

#[test]
fn presence_yields_to_text_when_half_the_quota_is_used() {
    let (mut own, mut budget) = (OwnAwareness::new(now()), budget());
    own.written(now());
    for _ in 0..1_251 {
        budget.spend(now(), 2);
    }
    let t = now().saturating_add(secs(60));
    own.moved(t);
    assert_eq!(own.due(t, &budget), None);
    assert!(budget.may_spend(t, 2, Priority::Segment).is_ok());
    assert!(own.deadline(&budget).unwrap() >= now().saturating_add(secs(3_600)));
}
