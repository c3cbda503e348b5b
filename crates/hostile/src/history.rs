//! One account's repo at several revisions: the truth that everything a stranger says about it is held against.

use std::sync::OnceLock;

use sheaf_core::{
    client_id::{ClientId, ReplicaId},
    document::Document,
    document_uri::DocumentUri,
    live::EndpointId,
    record::{
        AwarenessRecord, Caret, Carried, Content, DocumentRecord, LiveEndpoint, SegmentKey, SegmentRecord,
        SnapshotRecord,
    },
    replica::{Doorbell, FetchFailure, FetchWhat, Identity},
    repo_view::{Advance, Ask, Outcome, RepoView},
    segment::{
        Entry,
        carried::{CarriedUpdates, encode_carried},
        encode_entries,
    },
    sticky::{Bias, Sticky},
    text::{Splice, utf16_len},
    time::Timestamp,
};
use sheaf_repo::{blocks::Blocks, car, cid::Cid, did::Did, json, key::SigningKey, repo::Repo, tid::Tid};

/// The account.
pub(crate) const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const DOCUMENT: &str = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a";
const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);

/// A repo as it was after each of its commits, oldest first, and a document in it.
pub(crate) struct History {
    pub(crate) did: Did,
    pub(crate) document: DocumentUri,
    pub(crate) repos: Vec<Repo>,
    identity: Identity,
    /// What a view keeps that has followed the repo up to its second commit.
    kept: Vec<u8>,
}

/// The account's key. No fixture is signed with it, so nothing but this history proves anything.
pub(crate) fn signing_key() -> SigningKey {
    SigningKey::k256(&[9; 32]).expect("a secret key")
}

/// The one that everything is held against.
pub(crate) fn history() -> &'static History {
    static HISTORY: OnceLock<History> = OnceLock::new();
    HISTORY.get_or_init(History::write)
}

impl History {
    fn write() -> History {
        let did: Did = DID.parse().expect("a DID");
        let document: DocumentUri = DOCUMENT.parse().expect("a document's address");
        let key = signing_key();
        let mut repo = Repo::new(did.clone(), key.clone(), Tid::from_micros(NOW.as_micros() - 9_000, 0));
        for n in 0..30 {
            let note = serde_json::json!({ "$type": "app.example.note", "n": n, "text": "e\u{301} שלום 👩‍👩‍👧" });
            let collection = ["app.example.note", "dev.sheaf.segment", "zz.example.like"][n % 3];
            put(&mut repo, &format!("{collection}/3jzfcijpj2z{n:02}"), &note);
        }
        put(&mut repo, &document.document_path(), &root_record().to_json());
        let mut repos = vec![repo.clone()];
        for segment in segments(&document, &did) {
            put(&mut repo, &document.segment_path(&segment.key()), &segment.to_json());
            repos.push(repo.clone());
        }
        put(&mut repo, &document.awareness_path(), &presence(&document).to_json());
        repos.push(repo);
        let identity = Identity {
            did: did.clone(),
            handle: None,
            pds: "https://pds.test".into(),
            key: key.verifying_key(),
        };
        let mut history = History { did, document, repos, identity, kept: vec![] };
        let mut view = history.blank_view();
        let outcome = view.ring(NOW, None, &mut 0);
        history.answer(&mut view, outcome, &history.repos[1]);
        history.kept = view.save(|_, _| true).expect("it has a head");
        history
    }

    fn blank_view(&self) -> RepoView {
        let document = &self.document;
        let ranges = vec![
            document.awareness_range(),
            document.snapshot_range(),
            document.document_range(),
            document.segment_range(),
        ];
        RepoView::new(self.did.clone(), ranges, 1)
    }

    /// A view that has followed the repo up to its second commit, just after a restart.
    pub(crate) fn view(&self) -> RepoView {
        let mut view = self.blank_view();
        view.restore(&self.kept);
        view
    }

    /// The newest commit's repo.
    pub(crate) fn newest(&self) -> &Repo {
        self.repos.last().expect("there are some")
    }

    /// The blocks that a commit added, as a firehose sends them.
    pub(crate) fn commit_car(&self, n: usize) -> Vec<u8> {
        let (before, after) = (&self.repos[n - 1], &self.repos[n]);
        let mut new = Blocks::default();
        for (cid, _) in after.all_blocks().iter() {
            if before.all_blocks().get(cid).is_none() {
                new.copy_from(after.all_blocks(), cid);
            }
        }
        car::write(Some(after.head()), new.iter())
    }

    /// Rings a view's bell and answers all it then asks as an honest PDS would. Whatever it was told, it may only ever
    /// arrive at a state that the repo has had, and the next look finds the newest.
    pub(crate) fn ring(&self, bell: &Doorbell) {
        let mut view = self.view();
        let known = view.head().expect("it was restored").rev.clone();
        for bell in [Some(bell), None] {
            let outcome = view.ring(NOW, bell, &mut 0);
            self.answer(&mut view, outcome, self.newest());
            assert!(view.head().is_some_and(|head| head.rev >= known), "a view never goes back");
            // What a stranger says is no trouble of the repo's.
            assert_eq!(view.trouble(), None);
        }
        assert_eq!(view.head().map(|head| &head.commit), Some(self.newest().head()));
    }

    /// Hands a view what somebody carries of this repo: it believes only a state that the repo has had.
    pub(crate) fn carry(&self, commit: Cid, blocks: &Blocks) {
        let mut view = self.view();
        let Outcome { asks, .. } = view.ring(NOW, None, &mut 0);
        assert!(matches!(asks.as_slice(), [Ask::Resolve { .. }]), "{asks:?}");
        let _ = view.resolved(NOW, Ok(self.identity.clone()), &mut 0);
        if let Some(advance) = view.carry(NOW, commit, blocks.clone()) {
            self.check(&view, &advance);
        }
    }

    /// Answers what a view asks until it asks no more.
    fn answer(&self, view: &mut RepoView, outcome: Outcome, pds: &Repo) {
        // Beyond all numbers that the view has given out.
        let mut ids = 1_000;
        let mut outcomes = vec![outcome];
        for _ in 0..1_000 {
            let Some(outcome) = outcomes.pop() else { return };
            if let Some(advance) = &outcome.advance {
                self.check(view, advance);
            }
            for ask in outcome.asks {
                outcomes.push(match ask {
                    Ask::Resolve { .. } => view.resolved(NOW, Ok(self.identity.clone()), &mut ids),
                    Ask::Fetch { id, what, .. } => {
                        view.fetched(NOW, id, &honest(pds, &what), &mut ids).expect("it asked for this")
                    }
                });
            }
        }
        panic!("a view asks for ever");
    }

    /// Whether what a view says is true of the repo at the revision it says.
    fn check(&self, view: &RepoView, advance: &Advance) {
        let head = view.head().expect("it has advanced");
        let repo =
            self.repos.iter().find(|repo| repo.head() == &head.commit).expect("a commit that was made");
        assert_eq!((repo.rev(), repo.data()), (&head.rev, &head.data));
        for (path, cid, bytes) in &advance.changed {
            assert_eq!(repo.get(path), Some((cid, bytes.as_slice())), "{path}");
        }
        for path in &advance.gone {
            assert_eq!(repo.get(path), None, "{path}");
        }
        let range = self.document.segment_range();
        for path in repo.paths().filter(|path| range.contains(path)) {
            assert_eq!(view.entry(path), repo.get(path).map(|(cid, _)| cid), "{path} was withheld");
        }
    }
}

fn honest(repo: &Repo, what: &FetchWhat) -> Result<Vec<u8>, FetchFailure> {
    match what {
        FetchWhat::Proof { collection, rkey } => Ok(repo.record_car(&format!("{collection}/{rkey}"))),
        FetchWhat::Blocks { cids } => repo.blocks_car(cids).ok_or(FetchFailure::BlocksNotFound),
        FetchWhat::Blob { .. } => unreachable!("a view of a repo asks for no blobs"),
    }
}

fn put(repo: &mut Repo, path: &str, record: &serde_json::Value) {
    let rev = repo.next_rev(NOW.as_micros() - 8_000);
    repo.put(path, json::to_cbor(record).expect("a record"), rev);
}

/// The root record of the document.
pub(crate) fn root_record() -> DocumentRecord {
    let mut record = DocumentRecord::new("Field notes שלום 👩‍👩‍👧", NOW);
    record.editors = vec!["did:web:bob.example".parse().expect("a DID"), DID.parse().expect("a DID")];
    record
}

/// Someone's presence in it.
pub(crate) fn presence(document: &DocumentUri) -> AwarenessRecord {
    let place = |clock| Sticky::Beside { client: ClientId::MAX, clock, bias: Bias::After };
    AwarenessRecord {
        document: document.clone(),
        replica: replica(),
        name: Some("Ada e\u{301}".into()),
        color: Some("#336699".parse().expect("a colour")),
        caret: Some(Caret { anchor: place(3), head: place(9) }),
        live: Some(LiveEndpoint {
            endpoint: EndpointId([7; 32]),
            relay: Some("https://relay.example/".into()),
            key: SigningKey::k256(&[7; 32]).expect("a valid scalar").verifying_key(),
            expires_at: NOW,
        }),
        expires_at: NOW,
    }
}

fn replica() -> ReplicaId {
    "laptop".parse().expect("a replica's name")
}

/// Several segments, of one replica and one after another, as their author writes them.
pub(crate) fn segments(document: &DocumentUri, author: &Did) -> Vec<SegmentRecord> {
    let mut text = Document::new(ClientId::derive(author.as_str(), &document.to_string(), &replica()));
    let words = ["Hello ", "👋🏽 e\u{301}\r\n", "שלום ", "مرحبا", "# Field notes\n\n"];
    let segment = |seq: u32, text: &mut Document| {
        let mut entries = Vec::new();
        for (n, word) in words.iter().cycle().skip(seq as usize).take(8).enumerate() {
            let end = utf16_len(&text.text());
            let splice = if n == 5 {
                Splice::delete(0, 2)
            } else {
                Splice::insert(if n % 3 == 0 { 0 } else { end }, *word)
            };
            let change = text.edit(NOW, &[splice]).expect("it fits");
            entries.extend(
                change.updates.iter().map(|update| Entry { at: NOW, update: update.bytes().to_vec() }),
            );
        }
        SegmentRecord {
            document: document.clone(),
            replica: replica(),
            seq,
            sealed: seq < 2,
            through: None,
            entries: encode_entries(&entries),
            carried: Some(encode_carried(&[CarriedUpdates { proof: vec![1, 2], updates: vec![] }])),
        }
    };
    (0..3).map(|seq| segment(seq, &mut text)).collect()
}

/// What somebody carries of this account's repo.
pub(crate) fn snapshot() -> SnapshotRecord {
    let history = history();
    let newest = history.newest();
    let segments =
        newest.paths().filter(|path| history.document.segment_range().contains(path)).map(|path| {
            let (_, rkey) = path.split_once('/').expect("a path");
            (rkey.parse().expect("a segment's key"), *newest.get(path).expect("a path of it").0)
        });
    SnapshotRecord {
        document: history.document.clone(),
        created_at: NOW,
        repos: vec![Carried {
            did: history.did.clone(),
            rev: newest.rev().clone(),
            segments: segments.collect(),
        }],
        content: Content::Inline(history.commit_car(1)),
    }
}

/// A path in the document's range at which there is no record.
pub(crate) fn absent_path(document: &DocumentUri) -> String {
    document.segment_path(&SegmentKey { document: document.rkey().clone(), replica: replica(), seq: 77 })
}
