//! Keys and signatures: k256 and P-256, ECDSA over SHA-256, low-S only.
//!
//! Spec: <https://atproto.com/specs/cryptography>

use std::fmt;

use k256::ecdsa::signature::{Signer, Verifier};

/// Multicodec of a compressed secp256k1 public key, as a varint.
const K256: [u8; 2] = [0xe7, 0x01];
/// Multicodec of a compressed P-256 public key, as a varint.
const P256: [u8; 2] = [0x80, 0x24];

/// A public key that commits are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(Curve);

#[derive(Clone, PartialEq, Eq)]
enum Curve {
    K256(k256::ecdsa::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

/// Why something is no key, or a signature not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a multibase key of a known kind.
    #[error("not a public key of a known kind")]
    Malformed,
    /// Not the secret of a key: zero, or not below the curve's order.
    #[error("not a valid secret key")]
    BadSecret,
    /// Not 64 bytes, not low-S, or not made by this key.
    #[error("the signature is not valid")]
    BadSignature,
}

impl VerifyingKey {
    /// Reads `did:key:z…`.
    pub fn from_did_key(text: &str) -> Result<VerifyingKey, KeyError> {
        VerifyingKey::from_multikey(text.strip_prefix("did:key:").ok_or(KeyError::Malformed)?)
    }

    /// Reads the `publicKeyMultibase` of a verification method of type `Multikey`: the kind of key is in the value.
    pub fn from_multikey(multibase: &str) -> Result<VerifyingKey, KeyError> {
        let bytes = base58(multibase)?;
        let (kind, point) = bytes.split_first_chunk::<2>().ok_or(KeyError::Malformed)?;
        match *kind {
            // In a Multikey points are always compressed.
            K256 if point.len() == 33 => VerifyingKey::k256(point),
            P256 if point.len() == 33 => VerifyingKey::p256(point),
            _ => Err(KeyError::Malformed),
        }
    }

    /// Reads a verification method of a DID document by its type: `Multikey`, or one of the older types whose
    /// `publicKeyMultibase` holds just the point.
    pub fn from_verification_method(kind: &str, multibase: &str) -> Result<VerifyingKey, KeyError> {
        match kind {
            "Multikey" => VerifyingKey::from_multikey(multibase),
            "EcdsaSecp256k1VerificationKey2019" => VerifyingKey::k256(&base58(multibase)?),
            "EcdsaSecp256r1VerificationKey2019" => VerifyingKey::p256(&base58(multibase)?),
            _ => Err(KeyError::Malformed),
        }
    }

    /// The key as `did:key:z…`.
    pub fn to_did_key(&self) -> String {
        let mut bytes = Vec::with_capacity(35);
        match &self.0 {
            Curve::K256(key) => {
                bytes.extend(K256);
                bytes.extend_from_slice(key.to_sec1_point(true).as_bytes());
            }
            Curve::P256(key) => {
                bytes.extend(P256);
                bytes.extend_from_slice(key.to_sec1_point(true).as_bytes());
            }
        }
        format!("did:key:z{}", bs58::encode(bytes).into_string())
    }

    /// Checks a 64-byte signature over the SHA-256 of the message. High-S signatures are refused on both curves, so that
    /// nobody can turn one valid signature into another.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let bad = |_| KeyError::BadSignature;
        match &self.0 {
            Curve::K256(key) => {
                let signature = k256::ecdsa::Signature::from_slice(signature).map_err(bad)?;
                if signature.normalize_s() != signature {
                    return Err(KeyError::BadSignature);
                }
                key.verify(message, &signature).map_err(bad)
            }
            Curve::P256(key) => {
                let signature = p256::ecdsa::Signature::from_slice(signature).map_err(bad)?;
                if signature.normalize_s() != signature {
                    return Err(KeyError::BadSignature);
                }
                key.verify(message, &signature).map_err(bad)
            }
        }
    }

    fn k256(point: &[u8]) -> Result<VerifyingKey, KeyError> {
        check_form(point)?;
        let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::Malformed)?;
        Ok(VerifyingKey(Curve::K256(key)))
    }

    fn p256(point: &[u8]) -> Result<VerifyingKey, KeyError> {
        check_form(point)?;
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::Malformed)?;
        Ok(VerifyingKey(Curve::P256(key)))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_did_key())
    }
}

/// SEC 1 knows more forms of a point than compressed and whole; nobody writes keys in those.
fn check_form(point: &[u8]) -> Result<(), KeyError> {
    match point {
        [2 | 3, x @ ..] if x.len() == 32 => Ok(()),
        [4, xy @ ..] if xy.len() == 64 => Ok(()),
        _ => Err(KeyError::Malformed),
    }
}

fn base58(multibase: &str) -> Result<Vec<u8>, KeyError> {
    let text = multibase.strip_prefix('z').filter(|text| text.len() <= 128).ok_or(KeyError::Malformed)?;
    bs58::decode(text).into_vec().map_err(|_| KeyError::Malformed)
}

/// A private key, for tests, simulations and whoever writes repos.
///
/// `Debug` shows the public half only.
#[derive(Clone)]
pub struct SigningKey(Secret);

#[derive(Clone)]
enum Secret {
    K256(k256::ecdsa::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl SigningKey {
    /// A secp256k1 key from its 32 secret bytes.
    pub fn k256(secret: &[u8; 32]) -> Result<SigningKey, KeyError> {
        let key = k256::ecdsa::SigningKey::from_slice(secret).map_err(|_| KeyError::BadSecret)?;
        Ok(SigningKey(Secret::K256(key)))
    }

    /// A P-256 key from its 32 secret bytes.
    pub fn p256(secret: &[u8; 32]) -> Result<SigningKey, KeyError> {
        let key = p256::ecdsa::SigningKey::from_slice(secret).map_err(|_| KeyError::BadSecret)?;
        Ok(SigningKey(Secret::P256(key)))
    }

    /// Signs the SHA-256 of the message, deterministically (RFC 6979), low-S.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        match &self.0 {
            Secret::K256(key) => {
                let signature: k256::ecdsa::Signature = key.sign(message);
                signature.normalize_s().to_bytes().into()
            }
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.normalize_s().to_bytes().into()
            }
        }
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        match &self.0 {
            Secret::K256(key) => VerifyingKey(Curve::K256(*key.verifying_key())),
            Secret::P256(key) => VerifyingKey(Curve::P256(*key.verifying_key())),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey for {:?}", self.verifying_key())
    }
}
