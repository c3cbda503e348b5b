//! Archives: whatever a file says of itself, it proves nothing that was never signed.

use sheaf_core::{archive::Archive, replica::Replica, time::Timestamp};
use sheaf_repo::{car, cid, json};

use crate::{
    car::LIMITS,
    history::{History, history, signing_key},
    relinked::{relinked, told},
};

/// When the archives of this module are read.
const NOW: Timestamp = Timestamp::from_millis(1_780_000_100_000);

pub(crate) fn read(input: &[u8]) -> bool {
    match relinked(input) {
        Some(archive) => read_archive(&archive),
        None => read_archive(input),
    }
}

fn read_archive(input: &[u8]) -> bool {
    let Ok(archive) = Archive::read(input) else { return false };
    let written = archive.write().expect("what was read is no larger than what may be written");
    let again = Archive::read(&written).expect("our own archive is read");
    assert_eq!(
        (&again.document, again.made_at, &again.people),
        (&archive.document, archive.made_at, &archive.people)
    );
    let replica = Replica::from_archive(&archive, NOW);
    // Only this history's key could have signed anything, so what is proved is one of its states.
    let heads: Vec<_> = history().repos.iter().map(|repo| *repo.head()).collect();
    let is_known = archive.people.iter().all(|person| person.key == signing_key().verifying_key());
    for editor in replica.audit().editors.iter().filter(|_| is_known) {
        assert!(editor.head.as_ref().is_none_or(|head| heads.contains(&head.commit)), "{:?}", editor.head);
        assert!(editor.head.is_some() || editor.segments.is_empty());
    }
    let told = replica.history();
    assert_eq!(told.text_at(Timestamp::MAX), replica.text());
    true
}

/// Archives of each state of the repo, as they are and told.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let history = history();
    let mut seeds: Vec<Vec<u8>> = history.repos.iter().rev().map(|repo| archive(history, repo)).collect();
    seeds.extend(
        seeds.iter().map(|seed| told(&car::parse(seed, &LIMITS).expect("our own CAR"))).collect::<Vec<_>>(),
    );
    seeds
}

fn archive(history: &History, repo: &sheaf_repo::repo::Repo) -> Vec<u8> {
    let contents = serde_json::json!({
        "$type": "dev.sheaf.archive",
        "version": 1,
        "document": history.document.to_string(),
        "createdAt": "2026-05-28T20:26:40.000Z",
        "people": [{
            "did": history.did.to_string(),
            "handle": "ada.example",
            "pds": "https://pds.test",
            "key": signing_key().verifying_key().to_did_key(),
        }],
    });
    let contents = json::to_cbor(&contents).expect("plain JSON");
    let root = cid::of_record(&contents);
    let whole = car::parse(&repo.export_car(), &LIMITS).expect("our own CAR");
    let first = std::iter::once((&root, contents.as_slice()));
    car::write(&[root, *repo.head()], first.chain(whole.blocks.iter()))
}
