//! Keys and signatures against the published ones.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde::Deserialize;
use sheaf_repo::key::{KeyError, SigningKey, VerifyingKey};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    comment: String,
    message_base64: String,
    did_doc_suite: String,
    public_key_did: String,
    public_key_multibase: String,
    signature_base64: String,
    valid_signature: bool,
}

#[test]
fn published_signatures() {
    let fixtures: Vec<Signed> =
        serde_json::from_str(include_str!("../fixtures/interop/crypto/signature-fixtures.json"))
            .expect("fixtures");
    assert_eq!(fixtures.iter().filter(|f| f.valid_signature).count(), 2);
    for f in fixtures {
        let key = VerifyingKey::from_did_key(&f.public_key_did).expect(&f.comment);
        let same = VerifyingKey::from_verification_method(&f.did_doc_suite, &f.public_key_multibase);
        assert_eq!(same.as_ref(), Ok(&key), "{}", f.comment);
        assert_eq!(key.to_did_key(), f.public_key_did);
        let bytes = |text: &str| STANDARD_NO_PAD.decode(text).expect("base64");
        let verdict = key.verify(&bytes(&f.message_base64), &bytes(&f.signature_base64));
        let expected = if f.valid_signature { Ok(()) } else { Err(KeyError::BadSignature) };
        assert_eq!(verdict, expected, "{}", f.comment);
        assert_eq!(key.verify(b"another message", &bytes(&f.signature_base64)), Err(KeyError::BadSignature));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    private_key_bytes_hex: Option<String>,
    private_key_bytes_base58: Option<String>,
    public_did_key: String,
}

#[test]
fn published_secrets_have_the_published_public_keys() {
    let pairs = |text| serde_json::from_str::<Vec<Pair>>(text).expect("fixtures");
    for pair in pairs(include_str!("../fixtures/interop/crypto/w3c_didkey_K256.json")) {
        let hex = pair.private_key_bytes_hex.expect("hex");
        let bytes: Vec<u8> =
            (0..32).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).expect("hex")).collect();
        let key = SigningKey::k256(&bytes.try_into().expect("32 bytes")).expect("a key");
        assert_eq!(key.verifying_key().to_did_key(), pair.public_did_key);
    }
    for pair in pairs(include_str!("../fixtures/interop/crypto/w3c_didkey_P256.json")) {
        let bytes = bs58::decode(pair.private_key_bytes_base58.expect("base58")).into_vec().expect("base58");
        let key = SigningKey::p256(&bytes.try_into().expect("32 bytes")).expect("a key");
        assert_eq!(key.verifying_key().to_did_key(), pair.public_did_key);
    }
}

/// n − s, for the order n of either curve: the other signature that plain ECDSA takes for the same message.
fn other_s(signature: [u8; 64], order: &str) -> [u8; 64] {
    let mut other = signature;
    let mut borrow = 0i16;
    for at in (0..32).rev() {
        let n = i16::from_str_radix(&order[2 * at..2 * at + 2], 16).expect("hex");
        let digit = n - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(digit < 0);
        other[32 + at] = digit.rem_euclid(256) as u8;
    }
    other
}

#[test]
fn signatures_are_low_s_and_only_those_are_taken() {
    let orders = [
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    ];
    for (key, order) in crate::samples::signing_keys().iter().zip(orders) {
        for n in 0..32u8 {
            let signature = key.sign(&[n]);
            assert_eq!(signature, key.sign(&[n]), "signing is deterministic");
            assert!(signature[32] < 0x80, "s is in the lower half");
            let public = key.verifying_key();
            assert_eq!(public.verify(&[n], &signature), Ok(()));
            assert_eq!(public.verify(&[n], &other_s(signature, order)), Err(KeyError::BadSignature));
            assert_eq!(public.verify(&[n], &signature[..63]), Err(KeyError::BadSignature));
            assert_eq!(public.verify(&[n], &[0; 64]), Err(KeyError::BadSignature));
            assert_eq!(public.verify(&[n], &[0xff; 64]), Err(KeyError::BadSignature));
        }
    }
}

#[test]
fn keys_in_the_older_forms() {
    let multibase = |bytes: &[u8]| format!("z{}", bs58::encode(bytes).into_string());
    for (key, kind, other) in [
        (
            &crate::samples::signing_keys()[0],
            "EcdsaSecp256k1VerificationKey2019",
            "EcdsaSecp256r1VerificationKey2019",
        ),
        (
            &crate::samples::signing_keys()[1],
            "EcdsaSecp256r1VerificationKey2019",
            "EcdsaSecp256k1VerificationKey2019",
        ),
    ] {
        let public = key.verifying_key();
        let did_key = public.to_did_key();
        let multikey = did_key.strip_prefix("did:key:").expect("a did:key");
        assert_eq!(VerifyingKey::from_verification_method("Multikey", multikey), Ok(public.clone()));
        let tagged = bs58::decode(&multikey[1..]).into_vec().expect("base58");
        let point = &tagged[2..];
        assert_eq!(VerifyingKey::from_verification_method(kind, &multibase(point)), Ok(public.clone()));
        // Whole points, in the older kind only.
        let whole = match kind {
            "EcdsaSecp256k1VerificationKey2019" => k256::ecdsa::VerifyingKey::from_sec1_bytes(point)
                .expect("a point")
                .to_sec1_point(false)
                .as_bytes()
                .to_vec(),
            _ => p256::ecdsa::VerifyingKey::from_sec1_bytes(point)
                .expect("a point")
                .to_sec1_point(false)
                .as_bytes()
                .to_vec(),
        };
        assert_eq!(whole.len(), 65);
        assert_eq!(VerifyingKey::from_verification_method(kind, &multibase(&whole)), Ok(public));
        let tagged_whole = [&tagged[..2], &whole].concat();
        // And all that is none of those.
        for (kind, bytes) in [
            ("Multikey", tagged_whole),
            ("Multikey", point.to_vec()),
            ("Multikey", vec![]),
            (kind, tagged.clone()),
            (kind, vec![]),
            (kind, vec![0]),
            (kind, [&[5], &point[1..]].concat()),
            (kind, [&[4], &point[1..]].concat()),
            (kind, vec![0xff; 33]),
            (kind, vec![0; 65]),
            ("JsonWebKey2020", point.to_vec()),
        ] {
            let text = multibase(&bytes);
            assert_eq!(
                VerifyingKey::from_verification_method(kind, &text),
                Err(KeyError::Malformed),
                "{kind} {text}"
            );
        }
        // A point of one curve is, almost always, none of the other; never is it the same key.
        assert_ne!(
            VerifyingKey::from_verification_method(other, &multibase(point)),
            VerifyingKey::from_verification_method(kind, &multibase(point))
        );
        assert_eq!(
            VerifyingKey::from_multikey(&multikey[1..]),
            Err(KeyError::Malformed),
            "no multibase prefix"
        );
        assert_eq!(
            VerifyingKey::from_multikey(&format!("z{}", "1".repeat(1_000_000))),
            Err(KeyError::Malformed)
        );
        assert_eq!(VerifyingKey::from_did_key(multikey), Err(KeyError::Malformed));
    }
}

#[test]
fn secrets_are_checked_and_never_shown() {
    assert_eq!(SigningKey::k256(&[0; 32]).err(), Some(KeyError::BadSecret));
    assert_eq!(SigningKey::p256(&[0xff; 32]).err(), Some(KeyError::BadSecret));
    for key in crate::samples::signing_keys() {
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("SigningKey for {}", key.verifying_key().to_did_key()));
        assert!(!shown.contains("0707"));
    }
}
