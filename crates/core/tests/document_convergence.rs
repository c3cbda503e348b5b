//! Whatever several replicas write, and in whatever order it arrives, they end with the same text; and a view that
//! follows the splices always shows it.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use document_support::{Chance, client, for_each_seed, random_boundary, random_splice};
use sheaf_core::client_id::ClientId;
use sheaf_core::document::{Bias, Document, LocalChange, Readiness, WaitingRoom};
use sheaf_core::door::{Allowed, VettedUpdate, merge, scan};
use sheaf_core::text::{Splice, Utf16Offset, apply_splices};
use sheaf_core::time::Timestamp;

/// A replica with the view that follows it.
struct Peer {
    document: Document,
    waiting: WaitingRoom,
    view: String,
    /// What is on its way here.
    inbox: Vec<(ClientId, Vec<u8>)>,
    /// Its own updates that were not sent yet.
    outbox: Vec<VettedUpdate>,
}

impl Peer {
    fn new(number: u64) -> Peer {
        Peer {
            document: Document::new(client(number)),
            waiting: WaitingRoom::new(),
            view: String::new(),
            inbox: Vec::new(),
            outbox: Vec::new(),
        }
    }

    fn show(&mut self, splices: &[Splice]) {
        apply_splices(&mut self.view, splices).expect("splices fit the view that followed all those before");
        assert_eq!(self.view, self.document.text(), "the splices do not tell what happened: {splices:?}");
        assert_eq!(self.document.len_utf16(), sheaf_core::text::utf16_len(&self.view));
    }

    fn changed(&mut self, change: LocalChange) {
        self.show(&change.splices);
        self.outbox.extend(change.updates);
    }

    fn receive(&mut self, author: ClientId, bytes: &[u8]) {
        let update = scan(bytes, Allowed::Author(author)).expect("what a replica sends passes the door");
        let splices = self.waiting.offer(&mut self.document, update).expect("there is room");
        self.show(&splices);
    }
}

#[test]
fn replicas_converge_in_any_order() {
    for_each_seed(300, |_, chance| {
        let mut peers: Vec<Peer> =
            (0..2 + chance.below(3) as u64).map(|number| Peer::new(11 - number)).collect();
        let mut now = Timestamp::from_millis(1_000);
        for _ in 0..chance.below(120) {
            let index = chance.below(peers.len());
            match chance.below(10) {
                0..4 => {
                    now = now.saturating_add(std::time::Duration::from_millis(chance.below(800) as u64));
                    let peer = &mut peers[index];
                    let splices = random_edit(chance, &peer.view);
                    let change = peer.document.edit(now, &splices).expect("the splices fit the text");
                    peer.changed(change);
                }
                4 => {
                    let peer = &mut peers[index];
                    let change = if chance.one_in(3) { peer.document.redo() } else { peer.document.undo() };
                    if let Some(change) = change {
                        peer.changed(change);
                    }
                }
                5..7 => send(chance, &mut peers, index),
                _ => deliver(chance, &mut peers[index]),
            }
        }
        for index in 0..peers.len() {
            send(chance, &mut peers, index);
        }
        for peer in &mut peers {
            while !peer.inbox.is_empty() {
                deliver(chance, peer);
            }
            assert!(peer.waiting.is_empty(), "something still waits: {:?}", peer.waiting.missing());
            assert_eq!(peer.waiting.bytes(), 0);
        }
        let first = &peers[0];
        for peer in &peers[1..] {
            assert_eq!(peer.view, first.view);
            assert_eq!(peer.document.state_vector(), first.document.state_vector());
            assert_eq!(peer.document.author_runs(), first.document.author_runs());
        }
        let again = Document::from_state(client(99), &first.document.encode_state())
            .expect("own state passes the door");
        assert_eq!(again.text(), first.view);
        assert_eq!(again.encode_state(), first.document.encode_state());
        assert_eq!(again.author_runs(), first.document.author_runs());
    });
}

fn random_edit(chance: &mut Chance, view: &str) -> Vec<Splice> {
    let mut text = view.to_owned();
    let mut splices = Vec::new();
    for _ in 0..=(if chance.one_in(4) { chance.below(4) } else { 0 }) {
        let splice = random_splice(chance, &text);
        apply_splices(&mut text, std::slice::from_ref(&splice)).expect("it was made for this text");
        splices.push(splice);
    }
    splices
}

/// Sends what a peer has done to all others: as it is, merged, or merged and split, and sometimes twice.
fn send(chance: &mut Chance, peers: &mut [Peer], from: usize) {
    let updates = std::mem::take(&mut peers[from].outbox);
    if updates.is_empty() {
        return;
    }
    let author = peers[from].document.client();
    let sent = match chance.below(3) {
        0 => updates,
        1 => vec![merge(&updates).expect("a replica's updates follow each other")],
        _ => merge(&updates).expect("a replica's updates follow each other").split(64),
    };
    for (index, peer) in peers.iter_mut().enumerate() {
        if index == from {
            continue;
        }
        for update in &sent {
            for _ in 0..=usize::from(chance.one_in(5)) {
                let at = chance.below(peer.inbox.len() + 1);
                peer.inbox.insert(at, (author, update.bytes().to_vec()));
            }
        }
    }
}

fn deliver(chance: &mut Chance, peer: &mut Peer) {
    for _ in 0..chance.below(4) + 1 {
        if peer.inbox.is_empty() {
            return;
        }
        let (author, bytes) = peer.inbox.remove(chance.below(peer.inbox.len()));
        peer.receive(author, &bytes);
    }
}

/// A second, much simpler document to compare with is a single replica's own text: undo and redo go back and forth along
/// the very texts it had.
#[test]
fn undo_and_redo_walk_along_ones_own_texts() {
    for_each_seed(300, |_, chance| {
        let mut peer = Peer::new(5);
        let mut texts = vec![String::new()];
        for _ in 0..1 + chance.below(25) {
            let splices = random_edit(chance, &peer.view);
            let change = peer.document.edit(Timestamp::EPOCH, &splices).expect("the splices fit the text");
            peer.document.break_undo_group();
            if !change.updates.is_empty() {
                peer.changed(change);
                texts.push(peer.view.clone());
            }
        }
        let mut at = texts.len() - 1;
        for _ in 0..60 {
            let back = chance.one_in(2);
            // A step that changed nothing in the end (typed and deleted at once) is passed over.
            let change = if back { peer.document.undo() } else { peer.document.redo() };
            let Some(change) = change else { continue };
            peer.changed(change);
            let mut target = at;
            loop {
                target = if back { target - 1 } else { target + 1 };
                if texts[target] == peer.view {
                    break;
                }
                assert!(target > 0 && target < texts.len() - 1, "{:?} is none of {texts:?}", peer.view);
            }
            at = target;
        }
    });
}

#[test]
fn undo_takes_back_only_ones_own() {
    for_each_seed(300, |_, chance| {
        let mut own = Peer::new(1);
        let mut other = Peer::new(2);
        // Each writes only with their own letters, so that it shows whose a letter is.
        for round in 0..30 {
            let (writer, reader, letter) =
                if chance.one_in(2) { (&mut own, &mut other, "o😀") } else { (&mut other, &mut own, "x") };
            let at = random_boundary(chance, &writer.view);
            let change =
                writer.document.edit(Timestamp::EPOCH, &[Splice::insert(at, letter)]).expect("it fits");
            if round % 3 == 0 {
                writer.document.break_undo_group();
            }
            writer.changed(change);
            let author = writer.document.client();
            for update in std::mem::take(&mut writer.outbox) {
                reader.receive(author, update.bytes());
            }
        }
        let others: usize = own.view.matches('x').count();
        while let Some(change) = own.document.undo() {
            own.changed(change);
            assert_eq!(own.view.matches('x').count(), others);
        }
        assert_eq!(own.view, "x".repeat(others));
        while let Some(change) = own.document.redo() {
            own.changed(change);
        }
        assert_eq!(own.view, other.view, "all of it is back where it was");
        for update in std::mem::take(&mut own.outbox) {
            other.receive(client(1), update.bytes());
        }
        assert_eq!(own.view, other.view);
    });
}

#[test]
fn places_stay_beside_their_neighbours() {
    for_each_seed(200, |_, chance| {
        let mut writer = Peer::new(1);
        let mut reader = Peer::new(2);
        let start = document_support::random_text(chance, 20);
        let change = writer.document.edit(Timestamp::EPOCH, &[Splice::insert(0, start)]).expect("it fits");
        writer.changed(change);
        for update in std::mem::take(&mut writer.outbox) {
            reader.receive(client(1), update.bytes());
        }
        let mut places: BTreeMap<(u32, Bias), _> = BTreeMap::new();
        for _ in 0..5 {
            let at = random_boundary(chance, &reader.view);
            for bias in [Bias::Before, Bias::After] {
                let place = writer.document.sticky(Utf16Offset(at), bias);
                assert_eq!(reader.document.resolve(&place), Some(Utf16Offset(at)));
                places.insert((at, bias), place);
            }
        }
        let splice = random_splice(chance, &writer.view);
        let change = writer.document.edit(Timestamp::EPOCH, std::slice::from_ref(&splice)).expect("it fits");
        writer.changed(change);
        for update in std::mem::take(&mut writer.outbox) {
            reader.receive(client(1), update.bytes());
        }
        let (from, to) = (splice.at.0, splice.at.0 + splice.delete);
        let added = sheaf_core::text::utf16_len(&splice.insert);
        for ((at, bias), place) in places {
            let now = reader.document.resolve(&place).expect("its neighbour is there").0;
            assert_eq!(writer.document.resolve(&place), Some(Utf16Offset(now)));
            let after = at - splice.delete.min(at.saturating_sub(from)) + added;
            let expected = match bias {
                Bias::Before if at <= from => Some(at),
                Bias::After if at < from => Some(at),
                Bias::Before if at > to => Some(after),
                Bias::After if at >= to => Some(after),
                _ => None, // Its neighbour was deleted: either end of what came in its place will do.
            };
            match expected {
                Some(expected) => assert_eq!(now, expected, "{at} {bias:?} after {splice:?}"),
                None => assert!(
                    (from..=from + added).contains(&now),
                    "{at} {bias:?} went to {now} after {splice:?}"
                ),
            }
        }
    });
}

#[test]
fn what_is_known_changes_nothing() {
    let mut document = Document::new(client(1));
    let change = document.edit(Timestamp::EPOCH, &[Splice::insert(0, "ab")]).expect("it fits");
    let deletion = document.edit(Timestamp::EPOCH, &[Splice::delete(0, 1)]).expect("it fits");
    for update in change.updates.iter().chain(&deletion.updates) {
        assert_eq!(document.readiness(update), Readiness::Known);
        assert_eq!(document.apply(update), []);
    }
    assert_eq!(document.text(), "b");
}
