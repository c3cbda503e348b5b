//! Frames as bytes, and signatures that fit one place only.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::{client_id::ClientId, document_uri::DocumentUri, record::Caret, sticky::Sticky, time::Timestamp};

fn document() -> DocumentUri {
    "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap()
}

fn key(secret: u8, did: &str, replica: &str) -> SessionKey {
    SessionKey::new(&[secret; 32], document(), did.parse().unwrap(), replica.parse().unwrap()).unwrap()
}

fn frames() -> Vec<Frame> {
    let ada = key(7, "did:web:ada.example", "laptop");
    let (did, replica) = (ada.author().did.clone(), ada.author().replica.clone());
    let at = Timestamp::from_millis(1_795_401_000_250);
    let caret = Caret { anchor: Sticky::Start, head: Sticky::End };
    let carets = [ada.sign_caret(9, Some(caret)), ada.sign_caret(u64::MAX, None)];
    let mut frames = vec![
        Frame::Hello { document: document(), did: Some(did.clone()), proof: Some(vec![1, 2, 3]) },
        Frame::Hello { document: document(), did: None, proof: None },
        Frame::Have([(ClientId::MIN, 0), (ClientId::MAX, u32::MAX)].into()),
        Frame::Have(Default::default()),
        Frame::Session(vec![7; 300]),
        Frame::Update { did: did.clone(), replica: replica.clone(), signed: ada.sign(at, vec![0, 0]) },
        Frame::Links(vec![EndpointId([1; 32]), EndpointId([2; 32])]),
        Frame::Links(vec![]),
    ];
    frames.extend(carets.map(|signed| Frame::Caret { did: did.clone(), replica: replica.clone(), signed }));
    frames
}

#[test]
fn frames_are_read_as_they_were_sent_and_in_no_other_form() {
    for frame in frames() {
        let bytes = frame.encode();
        assert_eq!(Frame::parse(&bytes), Ok(frame.clone()));
        for cut in 0..bytes.len() {
            assert!(Frame::parse(&bytes[..cut]).is_err(), "{frame:?} cut at {cut}");
        }
        assert!(Frame::parse(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
}

#[test]
fn what_is_too_long_or_too_many_is_refused() {
    let many = (1..=frame::MAX_CLIENTS as u64 + 1).map(|n| (ClientId::new(n).unwrap(), 1)).collect();
    let ada = key(7, "did:web:ada.example", "laptop");
    let long = ada.sign(Timestamp::EPOCH, vec![0; crate::segment::MAX_UPDATE + 1]);
    for frame in [
        Frame::Have(many),
        Frame::Session(vec![0; MAX_SESSION_PROOF + 1]),
        Frame::Links(vec![EndpointId([1; 32]); frame::MAX_TOLD + 1]),
        Frame::Update { did: ada.author().did.clone(), replica: ada.author().replica.clone(), signed: long },
    ] {
        assert!(Frame::parse(&frame.encode()).is_err());
    }
    assert!(Frame::parse(&vec![0; MAX_FRAME + 1]).is_err());
}

#[test]
fn a_signature_fits_one_author_place_and_content() {
    let ada = key(7, "did:web:ada.example", "laptop");
    let at = Timestamp::from_millis(1_795_401_000_250);
    let update = ada.sign(at, vec![1, 2, 3]);
    assert!(ada.author().wrote(&update));
    let mut others = vec![
        key(8, "did:web:ada.example", "laptop").author().clone(),
        key(7, "did:web:bob.example", "laptop").author().clone(),
        key(7, "did:web:ada.example", "phone").author().clone(),
    ];
    let elsewhere = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2b";
    others.push(Author { document: elsewhere.parse().unwrap(), ..ada.author().clone() });
    assert!(others.iter().all(|other| !other.wrote(&update)));
    let changed = [
        SignedUpdate { at: Timestamp::from_millis(at.as_millis() + 1), ..update.clone() },
        SignedUpdate { update: vec![1, 2, 4], ..update.clone() },
        SignedUpdate { signature: [0; 64], ..update.clone() },
    ];
    assert!(changed.iter().all(|changed| !ada.author().wrote(changed)));

    let caret = ada.sign_caret(3, Some(Caret { anchor: Sticky::Start, head: Sticky::End }));
    assert!(ada.author().is_at(&caret));
    assert!(!ada.author().is_at(&SignedCaret { number: 4, ..caret.clone() }));
    assert!(!ada.author().is_at(&SignedCaret { caret: None, ..caret }));
}

#[test]
fn endpoints_are_read_as_they_are_written() {
    let id = EndpointId(std::array::from_fn(|n| n as u8 * 7));
    assert_eq!(id.to_string().parse(), Ok(id));
    for bad in ["", "00", &"0".repeat(63), &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)] {
        assert_eq!(bad.parse::<EndpointId>(), Err(EndpointIdError), "{bad}");
    }
}
