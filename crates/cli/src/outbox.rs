//! `status`, `publish`, `rm`: what is on this device alone.

use serde_json::json;
use sheaf_client::{Client, ForgetError, LibraryEntry};
use sheaf_core::document_link::DocumentLink;

use crate::{
    arguments::{Json, Publish, Rm},
    device::Device,
    documents::changes,
    failure::Failure,
    output,
    waiting::{open, published},
};

/// The documents of which something waits, with how much.
async fn waiting(client: &Client) -> Result<Vec<(LibraryEntry, usize)>, Failure> {
    let mut waiting = Vec::new();
    for entry in client.documents().await? {
        // The list's own count is for show; what is in the store is what there is.
        let unpublished = client.unpublished(&entry.uri).await?;
        if unpublished > 0 {
            waiting.push((entry, unpublished));
        }
    }
    Ok(waiting)
}

pub(crate) async fn status(device: &Device, json: &Json) -> Result<(), Failure> {
    let client = device.signed_in().await?;
    let waiting = waiting(&client).await?;
    for (entry, unpublished) in &waiting {
        if json.json {
            let value = json!({
                "uri": entry.uri.to_string(), "title": entry.title, "waiting": unpublished,
            });
            output::line(&value.to_string())?;
        } else {
            output::line(&format!("{}  {unpublished} waiting  {}", entry.uri, entry.title))?;
        }
    }
    if waiting.is_empty() {
        device.say("Everything on this device is published.");
    }
    Ok(())
}

pub(crate) async fn publish(device: &Device, publish: Publish) -> Result<(), Failure> {
    let client = device.signed_in().await?;
    client.stay_unannounced();
    let documents = match publish.documents.as_slice() {
        [] => waiting(&client).await?.into_iter().map(|(entry, _)| DocumentLink::new(entry.uri)).collect(),
        named => named.to_vec(),
    };
    let mut failed: Option<Failure> = None;
    let mut done = 0;
    for link in &documents {
        let outcome = async {
            let document = open(&client, link, publish.patience.deadline()).await?;
            published(device, document, publish.patience.deadline()).await
        };
        match outcome.await {
            Ok(()) => done += 1,
            Err(failure) => {
                if documents.len() > 1 {
                    device.say(&format!("{}: {failure}", link.document));
                }
                failed.get_or_insert(failure);
            }
        }
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    device.say(&match done {
        0 => "Everything on this device is published already.".to_owned(),
        1 => "1 document is published.".to_owned(),
        n => format!("{n} documents are published."),
    });
    Ok(())
}

pub(crate) async fn rm(device: &Device, rm: Rm) -> Result<(), Failure> {
    let client = device.client().await?;
    let forgotten =
        if rm.even_unpublished { client.discard(rm.uri()).await } else { client.forget(rm.uri()).await };
    match forgotten {
        Ok(()) => {
            device.say("This device has forgotten the document. It stays where it is published.");
            Ok(())
        }
        Err(ForgetError::Unpublished(n)) => Err(Failure::NotAllowed(format!(
            "{} not published and would be lost: `sheaf publish` first, or say --even-unpublished",
            changes(n)
        ))),
        Err(ForgetError::Open) => {
            Err(Failure::Other("the document is open in another program; close it first".into()))
        }
        Err(ForgetError::Store(error)) => Err(error.into()),
    }
}
