//! DID documents, read for the three things atproto keeps in them: signing key, PDS, handle.

use serde::Deserialize;
use sheaf_repo::{did::Did, handle::Handle, key::VerifyingKey};

use crate::net::origin::{self, BadAddress, Reach};

/// What matters of a DID document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DidDocument {
    /// The key of `#atproto`, which signs the repo's commits.
    pub key: VerifyingKey,
    /// The origin of `#atproto_pds`.
    pub pds: String,
    /// The first valid handle claimed; the handle has not been asked yet.
    pub claimed_handle: Option<Handle>,
}

/// What is wrong with a DID document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not the JSON it should be.
    #[error("it is no DID document: {0}")]
    Json(String),
    /// It speaks about somebody else.
    #[error("it is the document of another account")]
    OtherDid,
    /// No `#atproto` key of a kind atproto knows.
    #[error("it names no signing key to check with ({0})")]
    NoKey(String),
    /// No `#atproto_pds` service.
    #[error("it names no server that holds the account")]
    NoPds,
    /// A server that may not be spoken to.
    #[error("its server: {0}")]
    BadPds(BadAddress),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    id: String,
    #[serde(default)]
    also_known_as: Vec<String>,
    #[serde(default)]
    verification_method: Vec<Method>,
    #[serde(default)]
    service: Vec<Service>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Method {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    controller: Option<String>,
    public_key_multibase: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    /// A string for a PDS; other services may say it in other ways.
    service_endpoint: serde_json::Value,
}

impl DidDocument {
    /// Reads the document of `did`.
    ///
    /// # Errors
    /// [`DocumentError`] when one of the three things is missing, malformed or not to be used.
    pub fn parse(json: &[u8], did: &Did, reach: Reach) -> Result<Self, DocumentError> {
        let raw: Raw = serde_json::from_slice(json).map_err(|e| DocumentError::Json(e.to_string()))?;
        if raw.id != did.as_str() {
            return Err(DocumentError::OtherDid);
        }
        let is = |id: &str, fragment: &str| id == fragment || id.strip_prefix(did.as_str()) == Some(fragment);
        // The first of each is the one that counts.
        let method = raw.verification_method.iter().find(|method| is(&method.id, "#atproto"));
        let method = method.ok_or_else(|| DocumentError::NoKey("no #atproto entry".into()))?;
        if method.controller.as_deref().is_some_and(|controller| controller != did.as_str()) {
            return Err(DocumentError::NoKey("it is controlled by another account".into()));
        }
        let multibase = method.public_key_multibase.as_deref().unwrap_or("");
        let key = VerifyingKey::from_verification_method(&method.kind, multibase);
        let key = key.map_err(|e| DocumentError::NoKey(e.to_string()))?;
        let service = raw.service.iter().find(|service| is(&service.id, "#atproto_pds"));
        let service = service
            .filter(|service| service.kind == "AtprotoPersonalDataServer")
            .ok_or(DocumentError::NoPds)?;
        let pds = service.service_endpoint.as_str().ok_or(DocumentError::NoPds)?;
        let pds = origin::origin(pds, reach).map_err(DocumentError::BadPds)?;
        let claimed_handle = raw
            .also_known_as
            .iter()
            .find_map(|aka| aka.strip_prefix("at://")?.to_ascii_lowercase().parse().ok());
        Ok(Self { key, pds, claimed_handle })
    }
}

/// The origin a did:web's document is at: a host name and nothing else, except this machine on a local network.
pub fn web_origin(host: &str, reach: Reach) -> Option<String> {
    // A port is written `%3A`, and atproto allows one for testing alone.
    let authority = host.replacen("%3A", ":", 1);
    let name = authority.split(':').next().unwrap_or("");
    if origin::is_loopback_host(name) {
        return origin::origin(&format!("http://{authority}"), reach).ok().filter(|_| reach == Reach::Local);
    }
    let last = name.rsplit('.').next().unwrap_or("");
    let is_name = name.contains('.') && last.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    (is_name && authority == name).then(|| origin::origin(&format!("https://{name}"), reach).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    const K256: &str = "zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";

    fn document() -> serde_json::Value {
        serde_json::json!({
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": DID,
            "alsoKnownAs": ["at://Alice.Example"],
            "verificationMethod": [
                { "id": format!("{DID}#other"), "type": "Multikey", "controller": DID, "publicKeyMultibase": "zNonsense" },
                { "id": format!("{DID}#atproto"), "type": "Multikey", "controller": DID, "publicKeyMultibase": K256 },
            ],
            "service": [
                { "id": "#other", "type": "Other", "serviceEndpoint": { "uri": "https://other.example" } },
                { "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.example" },
            ],
        })
    }

    fn parse(document: &serde_json::Value) -> Result<DidDocument, DocumentError> {
        DidDocument::parse(document.to_string().as_bytes(), &DID.parse().unwrap(), Reach::World)
    }

    #[test]
    fn an_honest_document_is_read() {
        let read = parse(&document()).unwrap();
        assert_eq!(read.pds, "https://pds.example");
        assert_eq!(read.claimed_handle.unwrap().as_str(), "alice.example");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let broken = |pointer: &str, value: serde_json::Value| {
            let mut document = document();
            *document.pointer_mut(pointer).unwrap() = value;
            parse(&document).unwrap_err()
        };
        assert_eq!(broken("/id", "did:web:evil.example".into()), DocumentError::OtherDid);
        assert!(matches!(
            broken("/verificationMethod/1/publicKeyMultibase", "zzz".into()),
            DocumentError::NoKey(_)
        ));
        assert!(matches!(broken("/verificationMethod/1/type", "Ed25519".into()), DocumentError::NoKey(_)));
        assert!(matches!(
            broken("/verificationMethod/1/controller", "did:web:e.example".into()),
            DocumentError::NoKey(_)
        ));
        assert!(matches!(broken("/verificationMethod", serde_json::json!([])), DocumentError::NoKey(_)));
        assert_eq!(broken("/service/1/type", "Other".into()), DocumentError::NoPds);
        assert_eq!(broken("/service", serde_json::json!([])), DocumentError::NoPds);
        for endpoint in
            ["http://pds.example", "https://127.0.0.1", "https://pds.example/path", "file:///etc/passwd"]
        {
            assert!(matches!(
                broken("/service/1/serviceEndpoint", endpoint.into()),
                DocumentError::BadPds(_)
            ));
        }
        assert!(matches!(broken("/alsoKnownAs", serde_json::json!(7)), DocumentError::Json(_)));
        assert!(matches!(
            DidDocument::parse(b"<html>", &DID.parse().unwrap(), Reach::World),
            Err(DocumentError::Json(_))
        ));
    }

    #[test]
    fn a_document_without_a_handle_is_still_an_account() {
        let mut document = document();
        document["alsoKnownAs"] = serde_json::json!(["https://alice.example", "at://not a handle"]);
        assert_eq!(parse(&document).unwrap().claimed_handle, None);
    }

    #[test]
    fn did_web_is_a_host_name() {
        assert_eq!(web_origin("alice.example", Reach::World).as_deref(), Some("https://alice.example"));
        assert_eq!(web_origin("localhost%3A2583", Reach::Local).as_deref(), Some("http://localhost:2583"));
        for refused in [
            "localhost",
            "localhost%3A2583",
            "127.0.0.1",
            "10.0.0.1",
            "alice.example%3A8080",
            "alice.example:path",
            "com",
            "",
        ] {
            assert_eq!(web_origin(refused, Reach::World), None, "{refused}");
        }
    }
}
