//! What a segment brings along of others: updates that its own entries build on, which their authors had only sent live when
//! it was written.
//!
//! A record's `carried` is the DAG-CBOR array `[[proof, [[at, update, signature], …]], …]`, deflated without a header like
//! `entries`: for each replica that is carried the proof of its session ([`Session`](crate::live::Session)) and what it signed.

use miniz_oxide::deflate::compress_to_vec;

use super::{LEVEL, MAX_CARRIED_BYTES, MAX_MILLIS, MAX_UPDATE, SegmentError, inflate};
use crate::{
    cbor,
    live::{MAX_SESSION_PROOF, SignedUpdate},
    time::Timestamp,
};

/// The most replicas that one segment carries of.
pub const MAX_AUTHORS: usize = 32;
/// The most updates that it carries.
pub const MAX_UPDATES: usize = 2_048;
/// The most bytes they may inflate to.
const MAX_INFLATED: usize = 512 * 1024;

/// What is carried of one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedUpdates {
    /// The proof of the session whose key signed. Nothing of it is verified here.
    pub proof: Vec<u8>,
    /// What it signed, in its author's order.
    pub updates: Vec<SignedUpdate>,
}

/// Writes what is carried as it stands in a record.
pub fn encode_carried(carried: &[CarriedUpdates]) -> Vec<u8> {
    let mut out = Vec::new();
    cbor::array(&mut out, carried.len());
    for CarriedUpdates { proof, updates } in carried {
        cbor::array(&mut out, 2);
        cbor::bytes(&mut out, proof);
        cbor::array(&mut out, updates.len());
        for signed in updates {
            cbor::array(&mut out, 3);
            cbor::uint(&mut out, signed.at.as_millis());
            cbor::bytes(&mut out, &signed.update);
            cbor::bytes(&mut out, &signed.signature);
        }
    }
    compress_to_vec(&out, LEVEL)
}

/// Reads a record's `carried`.
///
/// # Errors
/// [`SegmentError`] for whatever [`encode_carried`] would not have written, or is over a limit.
pub fn decode_carried(bytes: &[u8]) -> Result<Vec<CarriedUpdates>, SegmentError> {
    if bytes.len() > MAX_CARRIED_BYTES {
        return Err(SegmentError::TooLong(bytes.len()));
    }
    let inflated = inflate::inflate(bytes, MAX_INFLATED)?;
    let mut reader = cbor::Reader::new(&inflated);
    let carried = read(&mut reader).map_err(SegmentError::NotCarried)?;
    reader.end().map_err(SegmentError::NotCarried)?;
    Ok(carried)
}

fn read(reader: &mut cbor::Reader<'_>) -> Result<Vec<CarriedUpdates>, &'static str> {
    let authors = reader.array()?;
    if authors > MAX_AUTHORS as u64 {
        return Err("too many replicas");
    }
    let mut left = MAX_UPDATES as u64;
    let mut author = |_| {
        if reader.array()? != 2 {
            return Err("a replica is a proof and updates");
        }
        let proof = reader.bytes()?;
        if proof.len() > MAX_SESSION_PROOF {
            return Err("a proof that is too long");
        }
        let count = reader.array()?;
        left = left.checked_sub(count).ok_or("too many updates")?;
        let updates = (0..count).map(|_| update(reader)).collect::<Result<_, _>>()?;
        Ok(CarriedUpdates { proof: proof.to_vec(), updates })
    };
    (0..authors).map(&mut author).collect()
}

fn update(reader: &mut cbor::Reader<'_>) -> Result<SignedUpdate, &'static str> {
    if reader.array()? != 3 {
        return Err("an update is a time, the update and a signature");
    }
    let millis = reader.uint()?;
    if millis > MAX_MILLIS {
        return Err("a time beyond the year 9999");
    }
    let update = reader.bytes()?;
    if update.len() > MAX_UPDATE {
        return Err("an update that is too long");
    }
    let signature = reader.bytes()?.try_into().map_err(|_| "a signature has 64 bytes")?;
    Ok(SignedUpdate { at: Timestamp::from_millis(millis), update: update.to_vec(), signature })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<CarriedUpdates> {
        let signed = |n: u8| SignedUpdate {
            at: Timestamp::from_millis(1_795_401_000_000 + u64::from(n)),
            update: vec![n; usize::from(n)],
            signature: [n; 64],
        };
        vec![
            CarriedUpdates { proof: vec![1; 300], updates: (0..40).map(signed).collect() },
            CarriedUpdates { proof: vec![], updates: vec![] },
        ]
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn what_is_carried_is_read_as_it_was_written() {
        assert_eq!(decode_carried(&encode_carried(&some())), Ok(some()));
        assert_eq!(decode_carried(&encode_carried(&[])), Ok(vec![]));
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn whatever_is_over_a_limit_is_refused() {
        let refused = |carried: &[CarriedUpdates]| decode_carried(&encode_carried(carried)).unwrap_err();
        let none = CarriedUpdates { proof: vec![], updates: vec![] };
        assert_eq!(
            refused(&vec![none.clone(); MAX_AUTHORS + 1]),
            SegmentError::NotCarried("too many replicas")
        );
        let long = CarriedUpdates { proof: vec![0; MAX_SESSION_PROOF + 1], ..none.clone() };
        assert_eq!(refused(&[long]), SegmentError::NotCarried("a proof that is too long"));
        let update = SignedUpdate { at: Timestamp::EPOCH, update: vec![], signature: [0; 64] };
        let many = CarriedUpdates { updates: vec![update.clone(); MAX_UPDATES / 2 + 1], ..none.clone() };
        assert_eq!(refused(&[many.clone(), many]), SegmentError::NotCarried("too many updates"));
        let long = SignedUpdate { update: vec![0; MAX_UPDATE + 1], ..update };
        let long = CarriedUpdates { updates: vec![long], ..none };
        assert_eq!(refused(&[long]), SegmentError::NotCarried("an update that is too long"));
        let bomb = compress_to_vec(&vec![0; MAX_INFLATED + 1], LEVEL);
        assert_eq!(decode_carried(&bomb), Err(SegmentError::Bomb(MAX_INFLATED)));
        for cut in 0..40 {
            let whole = encode_carried(&some());
            assert!(decode_carried(&whole[..whole.len() * cut / 40]).is_err(), "{cut}");
        }
    }
}
