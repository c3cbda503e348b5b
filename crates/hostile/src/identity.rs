//! DID documents: what they name is a key to check with and a host that may be spoken to.

use sheaf_client::net::{
    identity::DidDocument,
    origin::{Reach, origin},
};
use sheaf_repo::{handle::Handle, key::VerifyingKey};

use crate::history::{DID, history};

pub(crate) fn read(input: &[u8]) -> bool {
    let world = DidDocument::parse(input, &history().did, Reach::World);
    let local = DidDocument::parse(input, &history().did, Reach::Local);
    if let Ok(document) = &world {
        assert!(document.pds.starts_with("https://"), "{}", document.pds);
        assert_eq!(local.as_ref(), Ok(document), "what the world may do, a local network may");
    }
    let Ok(document) = local else { return false };
    assert_eq!(origin(&document.pds, Reach::Local).as_ref(), Ok(&document.pds));
    let host = document.pds.split_once("://").expect("an origin").1;
    assert!(!host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '\\', '%']), "{host}");
    assert!(VerifyingKey::from_did_key(&document.key.to_did_key()).as_ref() == Ok(&document.key));
    if let Some(handle) = &document.claimed_handle {
        assert_eq!(handle.as_str().parse::<Handle>().as_ref(), Ok(handle));
    }
    true
}

/// Documents as the public directory, a local one and a did:web's host write them, with keys of both kinds.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let document = |kind: &str, key: &str, id: &str, pds: &str, handles: &[&str]| {
        serde_json::json!({
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
            "id": DID,
            "alsoKnownAs": handles,
            "verificationMethod": [
                { "id": format!("{DID}#other"), "type": "Other", "controller": "did:web:other.example" },
                { "id": format!("{id}#atproto"), "type": kind, "controller": DID, "publicKeyMultibase": key },
            ],
            "service": [
                { "id": "#other", "type": "Other", "serviceEndpoint": { "uri": "https://other.example" } },
                { "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds },
            ],
        })
        .to_string()
        .into_bytes()
    };
    // The keys are those of the interop test files.
    let k256 = "zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";
    let p256 = "zDnaeTiq1PdzvZXUaMdezchcMJQpBdH2VN4pgrrEhMCCbmwSb";
    let k256_point = "z25z9DTpsiYYJKGsWmSPJK2NFN8PcJtZig12K59UgW7q5t";
    let p256_point = "zxdM8dSstjrpZaRUwBmDvjGXweKuEMVN95A9oJBFjkWMh";
    vec![
        document("Multikey", k256, DID, "https://pds.example", &["at://alice.example"]),
        document(
            "Multikey",
            p256,
            DID,
            "https://pds.example:8443/",
            &["https://other.example", "at://Alice.Example"],
        ),
        document(
            "EcdsaSecp256k1VerificationKey2019",
            k256_point,
            "",
            "http://localhost:2583",
            &["at://alice.test"],
        ),
        document("EcdsaSecp256r1VerificationKey2019", p256_point, DID, "http://[::1]:2583", &[]),
        document("Multikey", k256, DID, "https://127.0.0.1", &["at://.", "at://"]),
    ]
}
