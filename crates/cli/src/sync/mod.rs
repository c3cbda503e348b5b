//! `sync`: a document and a file in step, or all documents and a folder.
//!
//! Files are looked at several times a second rather than watched: that works the same on every system, on network drives and
//! in containers, costs one `stat` a look, and needs no library.

mod file;
mod folder;
pub(crate) mod merge;
mod mirror;
pub(crate) mod names;
mod shape;
mod sidecar;

use std::{path::Path, time::Duration};

use sheaf_client::DocumentHandle;
use sheaf_core::{
    document_link::{DocumentLink, NotALink},
    replica::{Presence, Stalled, Status},
};

use self::mirror::Mirror;
use crate::{
    arguments::{Patience, Sync},
    device::Device,
    documents::deleted,
    failure::Failure,
    waiting::{open, published, up_to_date},
};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn sync(device: &Device, sync: Sync) -> Result<(), Failure> {
    match &sync.file {
        Some(file) => {
            let link: DocumentLink =
                sync.what.parse().map_err(|error: NotALink| Failure::Usage(error.to_string()))?;
            one(device, &link, file, &sync).await
        }
        None if sync.what.parse::<DocumentLink>().is_ok() => {
            Err(Failure::Usage("say which file to keep in step: `sheaf sync DOCUMENT FILE`".into()))
        }
        None => folder::folder(device, Path::new(&sync.what), &sync).await,
    }
}

async fn one(device: &Device, link: &DocumentLink, file: &Path, sync: &Sync) -> Result<(), Failure> {
    let client = if sync.once { device.client().await? } else { device.live_client().await? };
    let deadline = sync.patience.deadline();
    if sync.once {
        client.stay_unannounced();
    }
    let document = open(&client, link, deadline).await?;
    let looked = up_to_date(device, &document, deadline).await;
    if document.status().document == Presence::Deleted {
        return Err(deleted());
    }
    let mut mirror = Mirror::begin(device, &client, document, file).await?;
    if sync.once {
        settle(&mut mirror).await?;
        let document = mirror.end().await?;
        publish(device, document, &sync.patience).await?;
        return looked;
    }
    if let Err(failure) = looked {
        device.say(&format!("{failure}. Others' changes will follow."));
    }
    settle(&mut mirror).await?;
    device.say(&format!(
        "“{}” and {} are in step; Ctrl-C ends it.",
        mirror.document().title(),
        mirror.path().display()
    ));
    let mut stop = Stop::new()?;
    let mut told = Told::default();
    while !stop.within(LOOK_EVERY).await {
        mirror.look(false).await?;
        told.tell(device, &mirror.document().status());
    }
    let document = mirror.end().await?;
    publish(device, document, &sync.patience).await
}

/// Brings both sides in step now.
async fn settle(mirror: &mut Mirror) -> Result<(), Failure> {
    for _ in 0..50 {
        mirror.look(true).await?;
        if mirror.is_in_step() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::Other(format!(
        "{} never comes to rest: another program keeps writing it",
        mirror.path().display()
    )))
}

/// Publishes what waits, if that is for this account to do, and closes the document.
async fn publish(device: &Device, document: DocumentHandle, patience: &Patience) -> Result<(), Failure> {
    if document.status().waiting == 0 && document.status().unsaved == 0 {
        document.close().await;
        return Ok(());
    }
    published(device, document, patience.deadline()).await
}

/// Tells what keeps changes from going out, once.
#[derive(Default)]
struct Told(Option<String>);

impl Told {
    fn tell(&mut self, device: &Device, status: &Status) {
        let stalled = match &status.stalled {
            // It is told again every minute or so with another time in it.
            Some(Stalled::Unreachable { .. }) => {
                Some("Your server cannot be reached; changes wait on this device.".into())
            }
            Some(_) => Some(format!("{}.", status.sentence())),
            None => None,
        };
        if stalled != self.0 {
            match &stalled {
                Some(sentence) => device.say(sentence),
                None => device.say("Published again."),
            }
            self.0 = stalled;
        }
    }
}

/// The wish to stop: Ctrl-C, or a polite signal.
struct Stop {
    #[cfg(unix)]
    terminated: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupted: tokio::signal::unix::Signal,
}

impl Stop {
    #[cfg(unix)]
    fn new() -> Result<Stop, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| Failure::Other(format!("signals cannot be listened to: {error}"));
        Ok(Stop {
            terminated: signal(SignalKind::terminate()).map_err(failed)?,
            interrupted: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    #[cfg(not(unix))]
    fn new() -> Result<Stop, Failure> {
        Ok(Stop {})
    }

    /// Waits so long; `true` as soon as it is time to stop.
    async fn within(&mut self, wait: Duration) -> bool {
        #[cfg(unix)]
        return tokio::select! {
            _ = self.terminated.recv() => true,
            _ = self.interrupted.recv() => true,
            () = tokio::time::sleep(wait) => false,
        };
        #[cfg(not(unix))]
        return tokio::select! {
            _ = tokio::signal::ctrl_c() => true,
            () = tokio::time::sleep(wait) => false,
        };
    }
}
