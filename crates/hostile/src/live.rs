//! The live channel: frames, the proofs of sessions in them, and what segments carry of it.

use sheaf_core::{
    live::{EndpointId, Frame, Session, SessionKey},
    record::Caret,
    segment::carried::{CarriedUpdates, decode_carried, encode_carried},
    sticky::Sticky,
    time::Timestamp,
};

use crate::history::{history, signing_key};

const AT: Timestamp = Timestamp::from_millis(1_780_000_000_250);

/// A frame is read back as it was sent; whatever proves a session is what the account's repo says; and what is carried is
/// read as it was written.
pub(crate) fn read(input: &[u8]) -> bool {
    let frame = Frame::parse(input);
    if let Ok(frame) = &frame {
        assert_eq!(frame.encode(), input, "a frame has one form");
        match frame {
            Frame::Hello { proof: Some(proof), .. } | Frame::Session(proof) => drop(read_proof(proof)),
            Frame::Update { signed, .. } => assert!(!key().author().wrote(signed) || *signed == update()),
            Frame::Caret { signed, .. } => {
                assert!(!key().author().is_at(signed) || *signed == key().sign_caret(7, caret()));
            }
            _ => {}
        }
    }
    let is_proof = read_proof(input);
    let carried = decode_carried(input);
    if let Ok(carried) = &carried {
        assert_eq!(decode_carried(&encode_carried(carried)).as_ref(), Ok(carried));
    }
    frame.is_ok() || is_proof || carried.is_ok()
}

fn read_proof(proof: &[u8]) -> bool {
    let history = history();
    let verified = Session::verify(&history.document, &history.did, &signing_key().verifying_key(), proof);
    let Ok(session) = verified else { return false };
    assert_eq!(Session::claimed_by(proof).as_ref(), Some(&history.did));
    assert_eq!(session.author.did, history.did);
    assert_eq!(session.endpoint, EndpointId([7; 32]), "the one that the account's repo names");
    true
}

/// Somebody's session key; what it signed is all that it ever signs.
fn key() -> SessionKey {
    let history = history();
    let replica = "laptop".parse().expect("a replica's name");
    SessionKey::new(&[7; 32], history.document.clone(), history.did.clone(), replica).expect("a key")
}

fn update() -> sheaf_core::live::SignedUpdate {
    key().sign(AT, vec![1, 1, 7, 0, 4, 1, 4, b't', b'e', b'x', b't', 2, b'h', b'i', 0])
}

fn caret() -> Option<Caret> {
    Some(Caret { anchor: Sticky::Start, head: Sticky::End })
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let history = history();
    let proof = history.newest().record_car(&history.document.awareness_path());
    let author = key().author().clone();
    let (did, replica) = (author.did, author.replica);
    let frames = [
        Frame::Session(proof.clone()),
        Frame::Hello {
            document: history.document.clone(),
            did: Some(did.clone()),
            proof: Some(proof.clone()),
        },
        Frame::Have([(sheaf_core::client_id::ClientId::MAX, 7)].into()),
        Frame::Update { did: did.clone(), replica: replica.clone(), signed: update() },
        Frame::Caret { did, replica, signed: key().sign_caret(7, caret()) },
        Frame::Links(vec![EndpointId([7; 32])]),
    ];
    let carried = encode_carried(&[CarriedUpdates { proof: proof.clone(), updates: vec![update()] }]);
    frames.iter().map(Frame::encode).chain([proof, carried]).collect()
}
