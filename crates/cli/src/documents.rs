//! `new`, `list`, `cat`, `append`, `share`.

use std::io::{IsTerminal as _, Read as _};

use serde_json::json;
use sheaf_client::{DocumentHandle, LibraryError, platform};
use sheaf_core::{
    record::MAX_EDITORS,
    replica::{Presence, Role},
    text::{Splice, Utf16Offset, utf16_len},
};

use crate::{
    arguments::{Append, Cat, Json, List, New, Patience, Share},
    device::Device,
    failure::Failure,
    output,
    reading::Reading,
    waiting::{open, published, up_to_date},
};

/// The most text taken from a file or from standard input, in bytes.
const MAX_INPUT: u64 = 8 * 1024 * 1024;

pub(crate) async fn new(device: &Device, new: New) -> Result<(), Failure> {
    // Read first: nothing should be made when the file is not there.
    let text = match &new.from {
        Some(path) => {
            let file = std::fs::File::open(path);
            let file = file.map_err(|error| Failure::Other(format!("{}: {error}", path.display())))?;
            read(file, &path.display().to_string())?
        }
        None => String::new(),
    };
    make(device, &new.title, &text, &new.patience, &new.json).await
}

/// Makes a document of this text and prints its address.
pub(crate) async fn make(
    device: &Device,
    title: &str,
    text: &str,
    patience: &Patience,
    json: &Json,
) -> Result<(), Failure> {
    let client = device.signed_in().await?;
    let document = client.create(title).await?;
    add(&document, text);
    let (uri, title) = (document.uri().clone(), document.title());
    let outcome = published(device, document, patience.deadline()).await;
    // It exists on this device whatever became of the network, so its address is printed either way.
    if json.json {
        let value = json!({ "uri": uri.to_string(), "title": title, "published": outcome.is_ok() });
        output::line(&value.to_string())?;
    } else {
        output::line(&uri.to_string())?;
    }
    outcome
}

pub(crate) async fn list(device: &Device, list: List) -> Result<(), Failure> {
    let client = device.signed_in().await?;
    let refreshed = platform::within(list.patience.deadline().left(), client.refresh_documents()).await;
    let (entries, incomplete) = match refreshed {
        Ok(Ok(entries)) => (entries, None),
        Ok(Err(error @ LibraryError::Fetch(_))) => (client.documents().await?, Some(Failure::from(error))),
        Ok(Err(error)) => return Err(error.into()),
        Err(platform::Elapsed) => {
            let why = "the list may be incomplete: the network did not answer in time";
            (client.documents().await?, Some(Failure::Away(why.into())))
        }
    };
    for entry in &entries {
        if list.json.json {
            let value = json!({
                "uri": entry.uri.to_string(),
                "title": entry.title,
                "updatedAt": entry.updated_at.to_rfc3339(),
                "with": entry.with,
                "shared": entry.shared,
                "waiting": entry.waiting,
            });
            output::line(&value.to_string())?;
        } else {
            let day = entry.updated_at.to_rfc3339();
            output::line(&format!("{}  {}  {}", entry.uri, day.get(..10).unwrap_or(&day), entry.title))?;
        }
    }
    incomplete.map_or(Ok(()), Err)
}

pub(crate) async fn cat(device: &Device, cat: Cat) -> Result<(), Failure> {
    let deadline = cat.patience.deadline();
    let (reading, outcome) = Reading::open(device, &cat.document, deadline).await?;
    if cat.json.json {
        let editors = reading.audit().editors.into_iter().filter(|editor| !editor.is_former).map(|editor| {
            json!({
                "did": editor.did.to_string(),
                "handle": editor.handle,
                "owner": editor.is_owner,
                "rev": editor.head.as_ref().map(|head| head.rev.to_string()),
                "trouble": editor.trouble.as_ref().map(ToString::to_string),
            })
        });
        let value = json!({
            "uri": reading.uri().to_string(),
            "title": reading.title(),
            "text": reading.text(),
            "editors": editors.collect::<Vec<_>>(),
            "waiting": reading.waiting(),
            "complete": outcome.is_ok(),
        });
        output::line(&value.to_string())?;
    } else {
        output::text(&reading.text())?;
    }
    match reading {
        // What waited here goes out now. The reading went well whatever becomes of that.
        Reading::Document(document) if outcome.is_ok() && document.status().waiting > 0 => {
            if let Err(failure) = published(device, document, deadline).await {
                device.say(&failure.to_string());
            }
        }
        reading => reading.close().await,
    }
    outcome
}

pub(crate) async fn append(device: &Device, append: Append) -> Result<(), Failure> {
    let client = device.signed_in().await?;
    if std::io::stdin().is_terminal() {
        device.say("Write what is to be added; Ctrl-D on an empty line ends it.");
    }
    let text = read(std::io::stdin().lock(), "standard input")?;
    let deadline = append.patience.deadline();
    let document = open(&client, &append.document, deadline).await?;
    // The end of the text is where it ends for everyone, as far as the others' servers answer.
    let looked = up_to_date(device, &document, deadline).await;
    may_write(&document, looked)?;
    add(&document, &text);
    published(device, document, append.patience.deadline()).await
}

pub(crate) async fn share(device: &Device, share: Share) -> Result<(), Failure> {
    let client = device.signed_in().await?;
    if client.account().as_ref() != Some(share.document.document.owner()) {
        return Err(Failure::NotAllowed("only the owner of a document can share it".into()));
    }
    client.stay_unannounced();
    let account = client.find_account(&share.handle).await?;
    let name = account.handle.as_ref().map_or_else(|| account.did.to_string(), ToString::to_string);
    let document = open(&client, &share.document, share.patience.deadline()).await?;
    may_write(&document, Ok(()))?;
    let known = document.editors().contains(&account.did);
    if !known {
        document.add_editor(account.did.clone());
        if !document.editors().contains(&account.did) {
            return Err(Failure::Other(format!("a document has at most {MAX_EDITORS} editors")));
        }
    }
    published(device, document, share.patience.deadline()).await?;
    device.say(&if known { format!("{name} may write already.") } else { format!("{name} may write now.") });
    Ok(())
}

/// Whether the account may write here, given how looking for the newest state went.
pub(crate) fn may_write(document: &DocumentHandle, looked: Result<(), Failure>) -> Result<(), Failure> {
    if document.status().document == Presence::Deleted {
        return Err(deleted());
    }
    match (document.role(), looked) {
        (Role::Owner | Role::Editor, _) => Ok(()),
        (Role::Reader, Err(away)) => Err(away),
        (Role::Reader, Ok(())) => Err(Failure::NotAllowed(
            "you are not an editor of this document: ask its owner to share it with you".into(),
        )),
    }
}

pub(crate) fn deleted() -> Failure {
    Failure::NotFound("the owner has deleted this document; what this device has of it stays here".into())
}

fn add(document: &DocumentHandle, text: &str) {
    if !text.is_empty() {
        let at = Utf16Offset(utf16_len(&document.text()));
        document.edit(vec![Splice { at, delete: 0, insert: text.to_owned() }]);
    }
}

fn read(input: impl std::io::Read, name: &str) -> Result<String, Failure> {
    utf8(read_bytes(input, name)?, name)
}

pub(crate) fn read_bytes(input: impl std::io::Read, name: &str) -> Result<Vec<u8>, Failure> {
    read_at_most(input, name, MAX_INPUT)
}

/// Everything there is to read, if it is no more than so many bytes.
pub(crate) fn read_at_most(input: impl std::io::Read, name: &str, most: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = input.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Other(format!("{name} cannot be read: {error}")))?;
    if bytes.len() as u64 > most {
        return Err(Failure::Other(format!("{name} holds more than {} MB", most / 1024 / 1024)));
    }
    Ok(bytes)
}

pub(crate) fn utf8(bytes: Vec<u8>, name: &str) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::Other(format!("{name} is not UTF-8 text")))
}

/// So many changes, and whether that is one or several.
pub(crate) fn changes(n: usize) -> String {
    if n == 1 { "1 change is".into() } else { format!("{n} changes are") }
}
