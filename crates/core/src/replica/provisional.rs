//! What others have only said live: signed by them, shown, kept on the device, and not in their repos yet.
//!
//! The text is woven of what is proved and of this. Which of it counts depends on nothing but the set of what is known, never
//! on the order it came in: where an author signed two things under the same clocks, the one whose bytes come first counts, and
//! as soon as their repo says anything about those clocks, nothing else does.

use litemap::LiteMap;
use sheaf_repo::{did::Did, key::VerifyingKey};

use crate::{
    cbor,
    client_id::{ClientId, ReplicaId},
    door::{self, Allowed, VettedUpdate},
    extent::Extent,
    live::SignedUpdate,
    segment::MAX_MILLIS,
    time::Timestamp,
};

/// The most bytes of one replica that are kept unproved. Whoever writes more while their server is away publishes it one day.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most updates.
const MAX_UPDATES: usize = 8_192;

/// One signed update.
#[derive(Debug, Clone)]
pub(super) struct Unproved {
    /// Under which number it is stored.
    pub(super) number: u64,
    /// Which session key signed it.
    pub(super) key: VerifyingKey,
    pub(super) signed: SignedUpdate,
    pub(super) vetted: VettedUpdate,
    extent: Extent,
}

impl Unproved {
    fn of(number: u64, key: VerifyingKey, signed: SignedUpdate, vetted: VettedUpdate) -> Unproved {
        let extent = Extent::of([&vetted]);
        Unproved { number, key, signed, vetted, extent }
    }

    /// Whether it says something else than other updates of its author do under the same clocks.
    fn differs_from(&self, others: &[VettedUpdate]) -> bool {
        !door::agree(others, std::slice::from_ref(&self.vetted))
    }
}

/// What one replica has said, in the order of its clocks.
#[derive(Debug)]
struct Said {
    client: ClientId,
    updates: Vec<Unproved>,
    bytes: usize,
    /// No update ever reached further.
    clock: u32,
}

/// What came of an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is kept under this number; those under these numbers are in it, or are contradicted by it.
    New { number: u64, replaced: Vec<u64>, contradicts: bool },
    /// All of it is known.
    Known,
    /// Its author has said something else before that counts; or there is no room for it.
    Refused,
}

/// All that is unproved, by author.
#[derive(Debug, Default)]
pub(super) struct Provisional {
    said: LiteMap<(Did, ReplicaId), Said>,
    numbers: u64,
}

impl Provisional {
    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Whether this very update is here, or one that holds all of it.
    pub(super) fn knows(&self, did: &Did, replica: &ReplicaId, update: &VettedUpdate) -> bool {
        let Some(said) = self.said.get(&(did.clone(), replica.clone())) else { return false };
        if said.is_continued_by(update) {
            return false;
        }
        let (this, extent) = (std::slice::from_ref(update), Extent::of([update]));
        said.updates
            .iter()
            .any(|known| known.vetted == *update || known.extent.covers(&extent) && !known.differs_from(this))
    }

    /// Takes an update in whose signature has been verified, and that its author's repo does not hold as yet.
    pub(super) fn take(
        &mut self,
        did: &Did,
        replica: &ReplicaId,
        client: ClientId,
        key: VerifyingKey,
        signed: SignedUpdate,
        vetted: VettedUpdate,
    ) -> Taken {
        if self.knows(did, replica, &vetted) {
            return Taken::Known;
        }
        let said = self.said.entry((did.clone(), replica.clone())).or_insert_with(|| Said::by(client));
        let (mut replaced, mut contradicts) = (Vec::new(), false);
        if !said.is_continued_by(&vetted) {
            let this = std::slice::from_ref(&vetted);
            if said.updates.iter().any(|known| known.vetted < vetted && known.differs_from(this)) {
                return Taken::Refused;
            }
            (replaced, contradicts) = said.give_way(this, &Extent::of(this));
        }
        if said.updates.len() >= MAX_UPDATES || said.bytes + vetted.bytes().len() > MAX_BYTES {
            tracing::warn!(%did, "more is said live than is kept: their repo will tell");
            return Taken::Refused;
        }
        self.numbers += 1;
        said.add(Unproved::of(self.numbers, key, signed, vetted));
        Taken::New { number: self.numbers, replaced, contradicts }
    }

    /// An update as it was stored.
    pub(super) fn restore(
        &mut self,
        did: &Did,
        replica: &ReplicaId,
        client: ClientId,
        number: u64,
        value: &[u8],
    ) -> Result<(), String> {
        let (key, signed) = read(value)?;
        let vetted = door::scan(&signed.update, Allowed::Author(client)).map_err(|e| e.to_string())?;
        self.numbers = self.numbers.max(number);
        let key_of = (did.clone(), replica.clone());
        let said = self.said.entry(key_of).or_insert_with(|| Said::by(client));
        said.add(Unproved::of(number, key, signed, vetted));
        Ok(())
    }

    /// A replica's repo is proved to reach this far, and to hold these updates: what is in there goes, and so does whatever says
    /// something else. Under which numbers that was, and whether anything said something else.
    pub(super) fn proved(
        &mut self,
        did: &Did,
        replica: &ReplicaId,
        reach: &Extent,
        updates: &[VettedUpdate],
    ) -> (Vec<u64>, bool) {
        let key = (did.clone(), replica.clone());
        let Some(said) = self.said.get_mut(&key) else { return Default::default() };
        let gone = said.give_way(updates, reach);
        if said.updates.is_empty() {
            self.said.remove(&key);
        }
        gone
    }

    /// Whether anything of this replica is unproved.
    pub(super) fn is_of(&self, did: &Did, replica: &ReplicaId) -> bool {
        self.said.contains_key(&(did.clone(), replica.clone()))
    }

    /// Everything, by author, in the order of each author's clocks.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Did, &ReplicaId, ClientId, &Unproved)> {
        self.said.iter().flat_map(|((did, replica), said)| {
            said.updates.iter().map(move |unproved| (did, replica, said.client, unproved))
        })
    }

    /// How many updates are unproved.
    pub(super) fn len(&self) -> usize {
        self.said.values().map(|said| said.updates.len()).sum()
    }
}

impl Said {
    fn by(client: ClientId) -> Said {
        Said { client, updates: Vec::new(), bytes: 0, clock: 0 }
    }

    /// Whether an update goes on where all that is here ends, and does nothing else, as typing does. Then none of it is known,
    /// none of it contradicts anything, and it holds none of the others: what is here need not be looked through for every key.
    fn is_continued_by(&self, update: &VettedUpdate) -> bool {
        let provided = update.provides();
        !provided.is_empty()
            && provided.values().all(|range| range.start >= self.clock)
            && !update.deletes_something()
    }

    /// Lets go of what is within this reach, and of what says something else than these updates. Under which numbers that was, and
    /// whether any said something else.
    fn give_way(&mut self, updates: &[VettedUpdate], reach: &Extent) -> (Vec<u64>, bool) {
        let (mut gone, mut contradicted) = (Vec::new(), false);
        let bytes = &mut self.bytes;
        self.updates.retain(|known| {
            let differs = known.differs_from(updates);
            contradicted |= differs;
            let goes = differs || reach.covers(&known.extent);
            if goes {
                gone.push(known.number);
                *bytes -= known.vetted.bytes().len();
            }
            !goes
        });
        (gone, contradicted)
    }

    fn add(&mut self, unproved: Unproved) {
        self.bytes += unproved.vetted.bytes().len();
        self.clock = self.clock.max(unproved.extent.clock());
        let place = |unproved: &Unproved| {
            let start = unproved.vetted.provides().values().next().map_or(u32::MAX, |range| range.start);
            (start, unproved.number)
        };
        let at = self.updates.partition_point(|other| place(other) < place(&unproved));
        self.updates.insert(at, unproved);
    }
}

/// An update as it is stored: the session key, and what it signed.
pub(super) fn write(key: &VerifyingKey, signed: &SignedUpdate) -> Vec<u8> {
    let mut out = Vec::new();
    cbor::array(&mut out, 4);
    cbor::bytes(&mut out, key.to_did_key().as_bytes());
    cbor::uint(&mut out, signed.at.as_millis());
    cbor::bytes(&mut out, &signed.update);
    cbor::bytes(&mut out, &signed.signature);
    out
}

fn read(value: &[u8]) -> Result<(VerifyingKey, SignedUpdate), String> {
    let mut reader = cbor::Reader::new(value);
    if reader.array()? != 4 {
        return Err("not a signed update".into());
    }
    let key = std::str::from_utf8(reader.bytes()?).map_err(|e| e.to_string())?;
    let key = VerifyingKey::from_did_key(key).map_err(|e| e.to_string())?;
    let millis = reader.uint()?;
    if millis > MAX_MILLIS {
        return Err("a time beyond the year 9999".into());
    }
    let at = Timestamp::from_millis(millis);
    let update = reader.bytes()?.to_vec();
    let signature = reader.bytes()?.try_into().map_err(|_| "a signature has 64 bytes")?;
    reader.end()?;
    Ok((key, SignedUpdate { at, update, signature }))
}
