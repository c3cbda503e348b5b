//! `verify`: everything that proves a document, looked at closely.

use serde_json::{Value, json};
use sheaf_client::{Client, platform};
use sheaf_core::{
    archive::Archive,
    replica::{Audit, EditorAudit, Replica, ResolveFailure},
};

use crate::{
    arguments::{Deadline, Place, Verify},
    device::Device,
    failure::Failure,
    output,
    reading::{Reading, unpack},
};

pub(crate) async fn verify(device: &Device, verify: Verify) -> Result<(), Failure> {
    let deadline = verify.patience.deadline();
    let (audit, mut faults, outcome) = match &verify.document {
        Place::Link(link) => {
            let client = if verify.anew { device.stranger() } else { device.client().await? };
            let (reading, outcome) = Reading::open_as(device, &client, link, deadline).await?;
            let audit = reading.audit();
            // What is here proves itself once more, every block and every signature.
            let anew = reading.to_archive().map(|made| Replica::from_archive(&made.archive, platform::now()));
            let faults = match anew {
                Ok(anew) => unproved(&audit, &anew.audit()),
                Err(_) => vec![
                    "the owner's signed record is not on this device, and without it nothing is proved"
                        .into(),
                ],
            };
            reading.close().await;
            (audit, faults, outcome)
        }
        Place::Archive(_) if verify.anew => {
            return Err(Failure::Usage("an archive is all there is of it: --anew is for documents".into()));
        }
        Place::Archive(path) => {
            let (archive, replica) = unpack(path)?;
            let audit = replica.audit();
            let mut faults = Vec::new();
            for person in &archive.people {
                let is_proved = audit.editors.iter().any(|e| e.did == person.did && e.head.is_some());
                if !is_proved {
                    faults.push(format!("what {} wrote is not proved by what the archive holds", person.did));
                }
            }
            faults.extend(keys(device, &archive, deadline).await?);
            (audit, faults, Ok(()))
        }
    };
    faults.extend(audit.editors.iter().flat_map(self::faults));
    if audit.waiting > 0 {
        faults.push(format!("{} build on text that is not here", updates(audit.waiting)));
    }
    if verify.json {
        output::line(&as_json(&audit, &faults).to_string())?;
    } else {
        output::text(&as_text(&audit, &faults))?;
    }
    outcome?;
    match faults.len() {
        0 => Ok(()),
        1 => Err(Failure::Other(format!("one thing is off: {}", faults[0]))),
        n => Err(Failure::Other(format!("{n} things are off, among them: {}", faults[0]))),
    }
}

/// Whom what is on this device does not prove anew at the same head.
fn unproved(audit: &Audit, anew: &Audit) -> Vec<String> {
    let wrote = audit.editors.iter().filter(|editor| editor.segments.iter().any(|segment| segment.in_repo));
    let unproved = wrote.filter(|editor| {
        let again = anew.editors.iter().find(|again| again.did == editor.did);
        again.is_none_or(|again| again.head != editor.head)
    });
    unproved.map(|editor| format!("what this device has of {} does not prove itself", name(editor))).collect()
}

/// Whose key the directory says is another than the archive does.
async fn keys(device: &Device, archive: &Archive, deadline: Deadline) -> Result<Vec<String>, Failure> {
    let client: Client = device.client().await?;
    let (mut faults, mut confirmed, mut unasked) = (Vec::new(), 0, None);
    for person in &archive.people {
        let answer = match platform::within(deadline.left(), client.identity(&person.did)).await {
            Ok(answer) => answer,
            Err(platform::Elapsed) => Err(ResolveFailure::Unreachable("no answer in time".into())),
        };
        match answer {
            Ok(now) if now.key == person.key => confirmed += 1,
            Ok(_) => faults.push(format!(
                "the directory names another key for {} than the archive; it may have been changed since",
                person.did
            )),
            Err(ResolveFailure::Unreachable(why)) => unasked = Some(why),
            Err(why) => {
                faults.push(format!("the directory does not confirm the key of {}: {why}", person.did))
            }
        }
    }
    device.say(&match unasked {
        None => format!("The directory confirms {confirmed} of {} keys.", archive.people.len()),
        Some(why) => format!("Keys are as the archive says: the directory cannot be asked now ({why})."),
    });
    Ok(faults)
}

fn name(editor: &EditorAudit) -> String {
    editor.handle.clone().unwrap_or_else(|| editor.did.to_string())
}

fn updates(n: usize) -> String {
    if n == 1 { "1 edit".into() } else { format!("{n} edits") }
}

fn segments(n: usize) -> String {
    if n == 1 { "1 segment".into() } else { format!("{n} segments") }
}

/// What is off about one editor's repo.
fn faults(editor: &EditorAudit) -> Vec<String> {
    let who = name(editor);
    let mut faults: Vec<String> = Vec::new();
    faults.extend(editor.trouble.as_ref().map(|trouble| format!("{who}: {trouble}")));
    faults.extend(editor.refused.iter().map(|(path, why)| format!("{who}: {path} is refused: {why}")));
    let withdrawn = editor.segments.iter().filter(|segment| !segment.in_repo).count();
    if withdrawn > 0 {
        faults.push(format!("{who}: {} not in the repo any more", is_or_are(withdrawn)));
    }
    if editor.missing > 0 {
        faults.push(format!("{who}: {} missing from the repo and not here", is_or_are(editor.missing)));
    }
    if editor.has_contradicted {
        faults.push(format!("{who}: two different texts were published in one place"));
    }
    faults
}

fn is_or_are(n: usize) -> String {
    format!("{} {}", segments(n), if n == 1 { "is" } else { "are" })
}

fn role(editor: &EditorAudit) -> &'static str {
    match (editor.is_owner, editor.is_former) {
        (true, _) => "owner",
        (_, true) => "former editor",
        _ => "editor",
    }
}

fn as_text(audit: &Audit, faults: &[String]) -> String {
    let mut text = format!("{}\n", audit.document);
    for editor in &audit.editors {
        let handle = editor.handle.as_ref().map(|handle| format!("{handle}, ")).unwrap_or_default();
        text += &format!("\n{}: {handle}{}\n", role(editor), editor.did);
        text += &format!("  server     {}\n", editor.pds.as_deref().unwrap_or("unknown"));
        text += &format!("  key        {}\n", editor.key.as_deref().unwrap_or("unknown"));
        match &editor.head {
            Some(head) => text += &format!("  head       {} at {}, signature valid\n", head.commit, head.rev),
            None => text += "  head       none verified\n",
        }
        let covered = editor.segments.iter().filter(|segment| !segment.carried_by.is_empty()).count();
        text +=
            &format!("  written    {}, of which others carry {covered}\n", segments(editor.segments.len()));
        for segment in &editor.segments {
            let carried: Vec<String> = segment.carried_by.iter().map(ToString::to_string).collect();
            text += &format!(
                "    {}  {}  {} bytes, {}{}{}{}\n",
                segment.rkey,
                segment.cid,
                segment.bytes,
                if segment.entries == 1 { "1 entry".into() } else { format!("{} entries", segment.entries) },
                if segment.is_sealed { ", sealed" } else { "" },
                if segment.in_repo { "" } else { ", not in the repo any more" },
                if carried.is_empty() {
                    String::new()
                } else {
                    format!(", carried by {}", carried.join(", "))
                },
            );
        }
    }
    text += &match faults {
        [] => "\nEverything is in order.\n".to_owned(),
        faults => faults.iter().fold("\nOff:\n".to_owned(), |text, fault| text + "  " + fault + "\n"),
    };
    text
}

fn as_json(audit: &Audit, faults: &[String]) -> Value {
    let editors = audit.editors.iter().map(|editor| {
        let segments = editor.segments.iter().map(|segment| {
            json!({
                "rkey": segment.rkey,
                "cid": segment.cid.to_string(),
                "bytes": segment.bytes,
                "entries": segment.entries,
                "sealed": segment.is_sealed,
                "lastMadeAt": segment.made_at.to_rfc3339(),
                "inRepo": segment.in_repo,
                "carriedBy": segment.carried_by.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        });
        json!({
            "did": editor.did.to_string(),
            "handle": editor.handle,
            "role": role(editor),
            "pds": editor.pds,
            "key": editor.key,
            "head": editor.head.as_ref().map(|head| head.commit.to_string()),
            "rev": editor.head.as_ref().map(|head| head.rev.to_string()),
            "verifiedAt": editor.verified_at.map(sheaf_core::time::Timestamp::to_rfc3339),
            "segments": segments.collect::<Vec<_>>(),
        })
    });
    json!({
        "uri": audit.document.to_string(),
        "editors": editors.collect::<Vec<_>>(),
        "off": faults,
    })
}
