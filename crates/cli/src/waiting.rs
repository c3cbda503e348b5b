//! Waiting for the network, never longer than was asked for: until a document is here, up to date, or published.

use sheaf_client::{Client, DocumentHandle, platform};
use sheaf_core::{
    document_link::DocumentLink,
    replica::{EditorStatus, Presence, Stalled, Status},
    repo_view::Trouble,
};

use crate::{arguments::Deadline, device::Device, documents::changes, failure::Failure, progress::Progress};

/// Opens a document and waits until it is known to be there or not.
pub(crate) async fn open(
    client: &Client,
    link: &DocumentLink,
    deadline: Deadline,
) -> Result<DocumentHandle, Failure> {
    let (document, uri) = (client.open_link(link).await?, &link.document);
    let known = |d: &DocumentHandle| {
        let status = d.status();
        status.document != Presence::Looking || trouble(&status).is_some() && !status.asking_others
    };
    let _ = platform::within(deadline.left(), document.until(known)).await;
    let status = document.status();
    match status.document {
        Presence::Here | Presence::Deleted => Ok(document),
        Presence::NotFound => Err(Failure::NotFound(format!("there is no document with the address {uri}"))),
        Presence::UnknownFormat(_) => Err(Failure::Other(status.sentence())),
        Presence::Looking => Err(match trouble(&status) {
            Some(trouble) if trouble.is_passing() => {
                Failure::Away(format!("{uri} is not on this device and cannot be had now: {trouble}"))
            }
            Some(trouble @ (Trouble::Resolve(_) | Trouble::Fetch(_))) => {
                Failure::NotFound(format!("there is no document to be had at {uri}: {trouble}"))
            }
            Some(trouble) => Failure::Other(format!("{uri} cannot be shown: {trouble}")),
            None => {
                Failure::Away(format!("{uri} is not on this device, and the network did not answer in time"))
            }
        }),
    }
}

/// What keeps the owner's repo from being read.
fn trouble(status: &Status) -> Option<&Trouble> {
    status.editors.iter().find(|editor| editor.is_owner).and_then(|owner| owner.trouble.as_ref())
}

/// Waits until every editor's repo has been read in this run, or cannot be.
pub(crate) async fn up_to_date(
    device: &Device,
    document: &DocumentHandle,
    deadline: Deadline,
) -> Result<(), Failure> {
    let progress = Progress::begin(device);
    let looked = |d: &DocumentHandle| {
        let editors = d.status().editors;
        let is_read = |editor: &&EditorStatus| editor.verified_at.is_some() || editor.trouble.is_some();
        let read = editors.iter().filter(is_read).count();
        progress.show(|| format!("Reading what everybody wrote: {read} of {} accounts", editors.len()));
        read == editors.len()
    };
    let _ = platform::within(deadline.left(), document.until(looked)).await;
    progress.end();
    let Some(editor) = document.status().editors.into_iter().find(|editor| editor.verified_at.is_none())
    else {
        return Ok(());
    };
    let who = editor.handle.unwrap_or_else(|| editor.did.to_string());
    Err(match editor.trouble {
        None => Failure::Away(format!("this is what this device has; the server of {who} did not answer")),
        Some(trouble) if trouble.is_passing() => {
            Failure::Away(format!("this is what this device has; {who} cannot be read now: {trouble}"))
        }
        Some(trouble) => Failure::Other(format!("what {who} wrote may be missing: {trouble}")),
    })
}

/// Waits until everything is in the account's repo, then closes the document. What is not there by then stays on this device.
pub(crate) async fn published(
    device: &Device,
    document: DocumentHandle,
    deadline: Deadline,
) -> Result<(), Failure> {
    document.flush();
    let progress = Progress::begin(device);
    let settled = |d: &DocumentHandle| {
        let status = d.status();
        progress.show(|| format!("Publishing: {} left", status.waiting + status.unsaved));
        is_settled(&status)
    };
    let away = |d: &DocumentHandle| matches!(d.status().stalled, Some(Stalled::Unreachable { .. }));
    let _ = platform::within(deadline.left(), document.until(|d| settled(d) || away(d))).await;
    if away(&document) {
        progress.end();
        device.say("Saved on this device; your server cannot be reached, trying again...");
        let _ = platform::within(deadline.left(), document.until(settled)).await;
    }
    progress.end();
    let status = document.close().await;
    if let Some(reason) = status.store_trouble {
        return Err(Failure::Other(format!("it could not be saved on this device: {reason}")));
    }
    if is_published(&status) {
        return Ok(());
    }
    let waiting = format!("saved on this device; {} waiting to be published", changes(status.waiting));
    Err(match status.stalled {
        Some(Stalled::SignInAgain) => Failure::SignIn(format!("{waiting}: sign in again with `sheaf login`")),
        Some(Stalled::NoLongerEditor) => {
            Failure::NotAllowed(format!("{waiting}: you are no longer an editor of this document"))
        }
        Some(Stalled::Refused(reason)) => {
            Failure::NotAllowed(format!("{waiting}: your server refuses it ({reason})"))
        }
        Some(Stalled::TextMissing) => {
            Failure::Away(format!("{waiting}: some text that it builds on cannot be read at the moment"))
        }
        Some(Stalled::Unreachable { reason, .. }) => Failure::Away(format!("{waiting}: {reason}")),
        Some(Stalled::QuotaUsed { .. }) => {
            Failure::Away(format!("{waiting}: your account has written as much as its server takes for now"))
        }
        None => Failure::Away(format!("{waiting}: the time to wait is over")),
    })
}

fn is_published(status: &Status) -> bool {
    status.waiting == 0 && status.unsaved == 0
}

/// Whether waiting longer changes nothing.
fn is_settled(status: &Status) -> bool {
    let stuck = match &status.stalled {
        None | Some(Stalled::Unreachable { .. } | Stalled::TextMissing) => false,
        Some(
            Stalled::SignInAgain | Stalled::Refused(_) | Stalled::NoLongerEditor | Stalled::QuotaUsed { .. },
        ) => true,
    };
    is_published(status) || stuck
}
