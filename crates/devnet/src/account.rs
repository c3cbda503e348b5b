//! Accounts of the network, and a signed-in session for tests that write records by hand.

use std::fmt;

use anyhow::{Context as _, Result};
use hyper::Method;
use serde_json::{Value, json};

use crate::http;
use crate::state::SavedAccount;

/// An account on one of the network's PDSes. Its password is of no use outside the network.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its handle, such as `alice.test`.
    pub handle: String,
    /// Its DID.
    pub did: String,
    /// What it signs in with: random, and the account's own.
    pub password: String,
    /// The number of its PDS in the network.
    pub pds: usize,
    port: u16,
}

impl Account {
    pub(crate) fn new(saved: &SavedAccount, port: u16) -> Self {
        let SavedAccount { pds, handle, did, password } = saved.clone();
        Self { handle, did, password, pds, port }
    }

    /// Signs in by password, as `com.atproto.server.createSession` does.
    ///
    /// # Errors
    /// When the PDS is stopped or refuses, for instance because the account was deleted.
    pub async fn sign_in(&self) -> Result<Session> {
        // The reference server looks for DIDs in lower case alone, which a did:web with a port is not.
        let identifier = if self.did.starts_with("did:web:") { &self.handle } else { &self.did };
        let body = json!({ "identifier": identifier, "password": self.password });
        let path = "/xrpc/com.atproto.server.createSession";
        let answer = http::json(Method::POST, self.port, path, None, Some(&body)).await?;
        let token = answer["accessJwt"].as_str().context("the PDS signed in without an access token")?;
        Ok(Session { did: self.did.clone(), port: self.port, authorization: format!("Bearer {token}") })
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("handle", &self.handle)
            .field("did", &self.did)
            .finish_non_exhaustive()
    }
}

/// A signed-in account. Its access token lasts two hours and is not renewed.
pub struct Session {
    did: String,
    port: u16,
    authorization: String,
}

impl Session {
    /// Calls an XRPC procedure with a JSON body, or with none if it is `null`.
    ///
    /// # Errors
    /// When the PDS does not answer or answers anything but 200; the message holds what it said.
    pub async fn procedure(&self, nsid: &str, body: &Value) -> Result<Value> {
        let path = format!("/xrpc/{nsid}");
        http::json(
            Method::POST,
            self.port,
            &path,
            Some(&self.authorization),
            (!body.is_null()).then_some(body),
        )
        .await
    }

    /// Calls an XRPC query; `parameters` is the part of the URL after `?`, already percent-encoded.
    ///
    /// # Errors
    /// As [`Session::procedure`].
    pub async fn query(&self, nsid: &str, parameters: &str) -> Result<Value> {
        let path = format!("/xrpc/{nsid}?{parameters}");
        http::json(Method::GET, self.port, &path, Some(&self.authorization), None).await
    }

    /// Writes a record with `com.atproto.repo.putRecord`, without checking it against a lexicon, and returns the
    /// answer (`uri`, `cid`, `commit`).
    ///
    /// # Errors
    /// As [`Session::procedure`].
    pub async fn put_record(&self, collection: &str, rkey: &str, record: &Value) -> Result<Value> {
        let body = json!({
            "repo": self.did, "collection": collection, "rkey": rkey, "record": record, "validate": false,
        });
        self.procedure("com.atproto.repo.putRecord", &body).await
    }

    /// Deletes a record with `com.atproto.repo.deleteRecord`; deleting what is not there succeeds.
    ///
    /// # Errors
    /// As [`Session::procedure`].
    pub async fn delete_record(&self, collection: &str, rkey: &str) -> Result<()> {
        let body = json!({ "repo": self.did, "collection": collection, "rkey": rkey });
        self.procedure("com.atproto.repo.deleteRecord", &body).await.map(drop)
    }

    /// Deactivates the account: its repo is no longer served until [`Session::activate`].
    ///
    /// # Errors
    /// As [`Session::procedure`].
    pub async fn deactivate(&self) -> Result<()> {
        self.procedure("com.atproto.server.deactivateAccount", &json!({})).await.map(drop)
    }

    /// Undoes [`Session::deactivate`].
    ///
    /// # Errors
    /// As [`Session::procedure`].
    pub async fn activate(&self) -> Result<()> {
        self.procedure("com.atproto.server.activateAccount", &Value::Null).await.map(drop)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("did", &self.did).finish_non_exhaustive()
    }
}
