//! What core asks of PDSes, as requests; what they answer, as core's events.

use serde::Deserialize;
use sheaf_core::{
    document_uri::DocumentUri,
    replica::{Fetch, FetchFailure, FetchWhat, RateLimits, Swap, WriteAction, WriteFailure, WriteReceipt},
    time::Timestamp,
};
use sheaf_repo::{cid, did::Did, tid::Tid};

use super::{
    http::{Http, HttpError, MAX_CAR, Request, Response},
    xrpc::{self, Refusal},
};
use crate::{
    platform,
    session::{Authed, AuthedError},
};

/// The largest page of a record listing read, in bytes: a hundred records, generously.
const MAX_PAGE: usize = 2 * 1024 * 1024;
/// The most pages of one collection listed.
const MAX_PAGES: usize = 20;

/// Reads blocks of somebody's repo, as a CAR whose bytes nobody has checked yet.
///
/// # Errors
/// [`FetchFailure`], by what core can do about it.
pub async fn fetch(http: &Http, fetch: &Fetch) -> Result<Vec<u8>, FetchFailure> {
    let did = fetch.did.as_str();
    let url = match &fetch.what {
        FetchWhat::Proof { collection, rkey } => {
            let parameters = [("did", did), ("collection", collection.as_str()), ("rkey", rkey.as_str())];
            xrpc::url(&fetch.pds, "com.atproto.sync.getRecord", parameters)
        }
        FetchWhat::Blocks { cids } => {
            let cids: Vec<String> = cids.iter().map(cid::text).collect();
            let parameters =
                std::iter::once(("did", did)).chain(cids.iter().map(|cid| ("cids", cid.as_str())));
            xrpc::url(&fetch.pds, "com.atproto.sync.getBlocks", parameters)
        }
        FetchWhat::Blob { cid } => {
            let cid = cid::text(cid);
            xrpc::url(&fetch.pds, "com.atproto.sync.getBlob", [("did", did), ("cid", cid.as_str())])
        }
    };
    let response = http.get(Request::get(url).limit(MAX_CAR)).await.map_err(unfetched)?;
    read_car(response, platform::now())
}

fn read_car(response: Response, now: Timestamp) -> Result<Vec<u8>, FetchFailure> {
    if !response.is_success() {
        return Err(refused_read(&response, now));
    }
    match xrpc::not_what_was_asked(&response) {
        Some(what) => Err(FetchFailure::Malformed(what)),
        None => Ok(response.body),
    }
}

fn unfetched(error: HttpError) -> FetchFailure {
    match error {
        HttpError::Unreachable(reason) | HttpError::Interrupted(reason) => FetchFailure::Unreachable(reason),
        HttpError::TimedOut => FetchFailure::TimedOut,
        HttpError::TooLarge { .. } => FetchFailure::TooLarge,
    }
}

fn refused_read(response: &Response, now: Timestamp) -> FetchFailure {
    let refusal = Refusal::of(response);
    match (refusal.status, refusal.error.as_str()) {
        (_, "RepoNotFound") => FetchFailure::RepoNotFound,
        (_, "RepoDeactivated") => FetchFailure::RepoDeactivated,
        (_, "RepoTakendown" | "RepoSuspended") => FetchFailure::RepoTakendown,
        (_, "BlockNotFound") => FetchFailure::BlocksNotFound,
        // The reference PDS has no name for this one.
        (400 | 404, "InvalidRequest") if refusal.message.starts_with("Could not find cids") => {
            FetchFailure::BlocksNotFound
        }
        (400 | 404, "InvalidRequest") if refusal.message.starts_with("Could not find repo") => {
            FetchFailure::RepoNotFound
        }
        (408, _) => FetchFailure::TimedOut,
        (429, _) => FetchFailure::RateLimited { retry_after: xrpc::retry_after(response, now) },
        (status @ 500.., _) => FetchFailure::Server { status },
        _ => FetchFailure::Malformed(refusal.message),
    }
}

/// Writes a record to the account's own repo, once.
///
/// The first part says whether it happened; where that is not known, writing the same again is always right, for a
/// record is overwritten with what it already says.
pub async fn write(
    account: &dyn Authed,
    action: &WriteAction,
) -> (Result<WriteReceipt, WriteFailure>, Option<RateLimits>) {
    let repo = account.did().as_str();
    let (method, body) = match action {
        WriteAction::Put { collection, rkey, record, swap } => {
            let mut body = serde_json::json!({
                "repo": repo, "collection": collection, "rkey": rkey, "validate": false, "record": record,
            });
            match swap {
                None => {}
                Some(Swap::Absent) => body["swapRecord"] = serde_json::Value::Null,
                Some(Swap::Cid(cid)) => body["swapRecord"] = cid::text(cid).into(),
            }
            ("com.atproto.repo.putRecord", body)
        }
        WriteAction::PutWithBlob { collection, rkey, record, field, media_type, bytes } => {
            let reference = match upload_blob(account, media_type, bytes).await {
                Ok(reference) => reference,
                Err((failure, limits)) => return (Err(failure), limits),
            };
            let mut record = record.clone();
            record[*field] = reference;
            let body = serde_json::json!({
                "repo": repo, "collection": collection, "rkey": rkey, "validate": false, "record": record,
            });
            ("com.atproto.repo.putRecord", body)
        }
        WriteAction::Fold { collection, rkey, record, delete, head } => {
            let update = serde_json::json!({
                "$type": "com.atproto.repo.applyWrites#update",
                "collection": collection, "rkey": rkey, "value": record,
            });
            let delete = delete.iter().map(|rkey| {
                serde_json::json!({
                    "$type": "com.atproto.repo.applyWrites#delete", "collection": collection, "rkey": rkey,
                })
            });
            let writes: Vec<serde_json::Value> = std::iter::once(update).chain(delete).collect();
            let body = serde_json::json!({
                "repo": repo, "validate": false, "writes": writes, "swapCommit": cid::text(head),
            });
            ("com.atproto.repo.applyWrites", body)
        }
    };
    let request = Request::post_json(xrpc::url(&account.pds(), method, []), &body);
    match account.send(request).await {
        Ok(response) => {
            let now = platform::now();
            (read_receipt(&response, now), xrpc::rate_limits(&response, now))
        }
        Err(error) => (Err(unwritten(error)), None),
    }
}

/// Uploads a blob and gives the reference to it that a record holds.
async fn upload_blob(
    account: &dyn Authed,
    media_type: &str,
    bytes: &[u8],
) -> Result<serde_json::Value, (WriteFailure, Option<RateLimits>)> {
    #[derive(Deserialize)]
    struct Body {
        blob: serde_json::Value,
    }
    let url = xrpc::url(&account.pds(), "com.atproto.repo.uploadBlob", []);
    let response = account
        .send(Request::post_bytes(url, media_type, bytes.to_vec()))
        .await
        .map_err(|e| (unwritten(e), None))?;
    let now = platform::now();
    if !response.is_success() {
        return Err((refused_write(&response, now), None));
    }
    let body: Body = xrpc::parse(&response).map_err(|e| (WriteFailure::Malformed(e), None))?;
    Ok(body.blob)
}

fn read_receipt(response: &Response, now: Timestamp) -> Result<WriteReceipt, WriteFailure> {
    #[derive(Deserialize)]
    struct Body {
        cid: Option<String>,
        commit: Option<Commit>,
    }
    #[derive(Deserialize)]
    struct Commit {
        rev: String,
    }
    if !response.is_success() {
        return Err(refused_write(response, now));
    }
    let body: Body = xrpc::parse(response).map_err(WriteFailure::Malformed)?;
    let cid = body.cid.map(|cid| cid::parse(&cid)).transpose();
    let cid = cid.map_err(|_| WriteFailure::Malformed("it named no valid CID".into()))?;
    // The revision is a convenience: what core trusts it reads from the repo itself.
    let rev = body.commit.and_then(|commit| commit.rev.parse::<Tid>().ok());
    Ok(WriteReceipt { cid, rev })
}

fn unwritten(error: AuthedError) -> WriteFailure {
    match error {
        AuthedError::SignInAgain => WriteFailure::SignInAgain,
        AuthedError::Http(HttpError::TimedOut) => WriteFailure::TimedOut,
        AuthedError::Http(HttpError::TooLarge { .. }) => {
            WriteFailure::Malformed("its answer was too large".into())
        }
        AuthedError::Http(error) => WriteFailure::Unreachable(xrpc::reason(&error)),
    }
}

fn refused_write(response: &Response, now: Timestamp) -> WriteFailure {
    let Refusal { status, error, message } = Refusal::of(response);
    match (status, error.as_str()) {
        (_, "InvalidSwap") => WriteFailure::SwapMismatch,
        (_, "ExpiredToken" | "InvalidToken") => WriteFailure::SignInAgain,
        (_, "AccountTakedown" | "AccountDeactivated" | "AccountSuspended") => {
            WriteFailure::Refused { status, error, message }
        }
        (401, _) => WriteFailure::SignInAgain,
        (408, _) => WriteFailure::TimedOut,
        (429, _) => WriteFailure::RateLimited { retry_after: xrpc::retry_after(response, now) },
        (500.., _) => WriteFailure::Server { status },
        (400..500, _) => WriteFailure::Refused { status, error, message },
        _ => WriteFailure::Malformed(format!("status {status}")),
    }
}

/// A record as a PDS lists it. Unverified: good for a list of documents, not for their text.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedRecord {
    /// Its at-URI.
    pub uri: String,
    /// What it says.
    pub value: serde_json::Value,
}

/// Lists an account's records of one collection, newest first, at most 2,000 of them.
///
/// # Errors
/// [`FetchFailure`] when a page cannot be had.
pub async fn list_records(
    http: &Http,
    pds: &str,
    did: &Did,
    collection: &str,
) -> Result<Vec<ListedRecord>, FetchFailure> {
    #[derive(Deserialize)]
    struct Page {
        records: Vec<ListedRecord>,
        cursor: Option<String>,
    }
    let mut records = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let parameters = [("repo", did.as_str()), ("collection", collection), ("limit", "100")];
        let parameters = parameters.into_iter().chain(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let url = xrpc::url(pds, "com.atproto.repo.listRecords", parameters);
        let response = http.get(Request::get(url).limit(MAX_PAGE)).await.map_err(unfetched)?;
        if !response.is_success() {
            return Err(refused_read(&response, platform::now()));
        }
        let page: Page = xrpc::parse(&response).map_err(FetchFailure::Malformed)?;
        let more = !page.records.is_empty();
        records.extend(page.records);
        cursor = page.cursor.filter(|_| more);
        if cursor.is_none() {
            break;
        }
    }
    Ok(records)
}

/// Reads one record without its proof, such as the title of a document for a list. `None`: there is none.
///
/// # Errors
/// [`FetchFailure`] when the server does not say.
pub async fn peek(
    http: &Http,
    pds: &str,
    document: &DocumentUri,
) -> Result<Option<serde_json::Value>, FetchFailure> {
    let (did, collection, rkey) =
        (document.owner().to_string(), sheaf_core::record::DOCUMENT, document.rkey().to_string());
    let parameters = [("repo", did.as_str()), ("collection", collection), ("rkey", rkey.as_str())];
    let url = xrpc::url(pds, "com.atproto.repo.getRecord", parameters);
    let response = http.get(Request::get(url)).await.map_err(unfetched)?;
    if !response.is_success() {
        return match Refusal::of(&response) {
            refusal if refusal.error == "RecordNotFound" => Ok(None),
            _ => Err(refused_read(&response, platform::now())),
        };
    }
    let record: ListedRecord = xrpc::parse(&response).map_err(FetchFailure::Malformed)?;
    Ok(Some(record.value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        Response::new(status, [("content-type", "application/json")], body.into())
    }

    fn error(status: u16, name: &str) -> Response {
        answer(status, &format!(r#"{{"error":"{name}","message":"words"}}"#))
    }

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn reads_fail_by_what_can_be_done() {
        let failure = |response| read_car(response, NOW).unwrap_err();
        assert_eq!(failure(error(400, "RepoNotFound")), FetchFailure::RepoNotFound);
        assert_eq!(failure(error(400, "RepoDeactivated")), FetchFailure::RepoDeactivated);
        assert_eq!(failure(error(400, "RepoTakendown")), FetchFailure::RepoTakendown);
        assert_eq!(failure(error(400, "BlockNotFound")), FetchFailure::BlocksNotFound);
        let unnamed = answer(400, r#"{"error":"InvalidRequest","message":"Could not find cids: bafy"}"#);
        assert_eq!(failure(unnamed), FetchFailure::BlocksNotFound);
        assert_eq!(failure(answer(503, "<html>")), FetchFailure::Server { status: 503 });
        assert_eq!(failure(error(429, "RateLimitExceeded")), FetchFailure::RateLimited { retry_after: None });
        assert!(matches!(failure(answer(200, "<!doctype html>")), FetchFailure::Malformed(_)));
        assert!(matches!(failure(answer(200, "")), FetchFailure::Malformed(_)));
        assert!(matches!(failure(answer(302, "")), FetchFailure::Malformed(_)));
    }

    #[test]
    fn writes_fail_by_what_can_be_done() {
        let failure = |response| read_receipt(&response, NOW).unwrap_err();
        assert_eq!(failure(error(400, "InvalidSwap")), WriteFailure::SwapMismatch);
        assert_eq!(failure(error(400, "ExpiredToken")), WriteFailure::SignInAgain);
        assert_eq!(failure(error(401, "AuthMissing")), WriteFailure::SignInAgain);
        assert!(matches!(failure(error(401, "AccountTakedown")), WriteFailure::Refused { status: 401, .. }));
        assert!(matches!(
            failure(error(403, "ScopeMissingError")),
            WriteFailure::Refused { status: 403, .. }
        ));
        assert!(matches!(failure(error(413, "PayloadTooLarge")), WriteFailure::Refused { status: 413, .. }));
        assert_eq!(failure(answer(502, "<html>")), WriteFailure::Server { status: 502 });
        assert!(matches!(failure(answer(200, "<html>")), WriteFailure::Malformed(_)));
        assert!(matches!(failure(answer(200, r#"{"cid":"nonsense"}"#)), WriteFailure::Malformed(_)));
        let patience = Response::new(429, [("Retry-After", "9")], vec![]);
        let nine = Some(Duration::from_secs(9));
        assert_eq!(failure(patience), WriteFailure::RateLimited { retry_after: nine });
    }

    #[test]
    fn a_receipt_names_cid_and_revision() {
        let cid = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a";
        let body =
            format!(r#"{{"uri":"at://x","cid":"{cid}","commit":{{"cid":"{cid}","rev":"3jzfcijpj2z2a"}}}}"#);
        let receipt = read_receipt(&answer(200, &body), NOW).unwrap();
        assert_eq!(receipt.cid.map(|cid| cid.to_string()).as_deref(), Some(cid));
        assert_eq!(receipt.rev.map(|rev| rev.to_string()).as_deref(), Some("3jzfcijpj2z2a"));
    }
}
