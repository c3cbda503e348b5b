//! What is behind the status line: each editor's repo as this device knows it, and what this device is at.

use serde::Serialize;
use sheaf_core::{
    replica::{self, DoorbellKind},
    time::Timestamp,
};

use crate::{clock::millis, sentence, shown::Editor};

/// Everything behind a document's status line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Whose words the text is made of.
    pub editors: Vec<EditorDetails>,
    /// What this device is at.
    pub device: DeviceDetails,
}

/// One editor's repo, as far as this device has verified it. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct EditorDetails {
    /// Who, and what is wrong with reading from them.
    pub editor: Editor,
    /// The host of the server that holds their repo, once it is known.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub server: Option<String>,
    /// The newest revision that was verified.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub revision: Option<String>,
    /// When they made it, by their server's clock.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub revised_at: Option<f64>,
    /// When this device last found it to be the newest.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub looked_at: Option<f64>,
    /// What of theirs was refused or is missing, as sentences.
    pub refused: Vec<String>,
}

/// What this device is at.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct DeviceDetails {
    /// Changes not yet safe here.
    pub unsaved: usize,
    /// Changes safe here and not yet published.
    pub waiting: usize,
    /// Since when the oldest of them waits.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub waiting_since: Option<f64>,
    /// How it hears of what others write, as a sentence.
    pub hears: String,
    /// How many records the account may still write this hour, by this device's count …
    pub writes_this_hour: u32,
    /// … and today.
    pub writes_today: u32,
}

/// What overwriting a record costs of an account's quota.
const POINTS_A_WRITE: u32 = sheaf_core::budget::PUT_POINTS;

impl From<&replica::Status> for Details {
    fn from(status: &replica::Status) -> Self {
        Self {
            editors: status.editors.iter().map(EditorDetails::from).collect(),
            device: DeviceDetails {
                unsaved: status.unsaved,
                waiting: status.waiting,
                waiting_since: status.waiting_since.filter(|_| status.waiting > 0).map(millis),
                hears: hears(status),
                writes_this_hour: status.points_left / POINTS_A_WRITE,
                writes_today: status.points_left_today / POINTS_A_WRITE,
            },
        }
    }
}

impl From<&replica::EditorStatus> for EditorDetails {
    fn from(editor: &replica::EditorStatus) -> Self {
        Self {
            editor: editor.into(),
            server: editor
                .pds
                .as_deref()
                .map(|pds| pds.split_once("://").map_or(pds, |(_, host)| host).to_owned()),
            revision: editor.rev.as_ref().map(ToString::to_string),
            revised_at: editor.rev.as_ref().map(|rev| millis(Timestamp::from_micros(rev.micros()))),
            looked_at: editor.verified_at.map(millis),
            refused: editor.quarantined.iter().map(|why| sentence::of(why)).collect(),
        }
    }
}

fn hears(status: &replica::Status) -> String {
    if !status.online {
        return "Offline: what others write arrives when the network is back.".to_owned();
    }
    let live = match status.live.linked {
        0 => String::new(),
        1 => "Linked with 1 other device: what is written there is here at once. ".to_owned(),
        n => format!("Linked with {n} other devices: what is written there is here at once. "),
    };
    let hosts = status.doorbell_hosts.join(", ");
    live + &match status.doorbell {
        Some(DoorbellKind::Jetstream) => {
            format!("Jetstream says when somebody has written, within a second or so ({hosts}).")
        }
        Some(DoorbellKind::Firehose) => {
            format!("The editors' own servers say when somebody has written ({hosts}).")
        }
        None if hosts.is_empty() => {
            "No stream can be reached: every editor's server is asked every few seconds.".to_owned()
        }
        None => format!(
            "No stream tells of every editor ({hosts} of some): their servers are asked every few seconds."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_by_their_hosts_and_what_they_do_not_tell_of_is_said() {
        let link = "at://did:web:alice.example/dev.sheaf.document/3jzfcijpj2z2a".parse().expect("an address");
        let config = replica::ReplicaConfig {
            document: link,
            account: None,
            replica: "here".parse().expect("a name"),
            adopt: vec![],
            via: vec![],
            session: None,
            name: None,
            seed: 0,
        };
        let now = Timestamp::from_micros(1);
        let (replica, _) = replica::Replica::open(config, vec![], now);
        let says = |doorbell, hosts: &[&str], online| {
            let doorbell_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            hears(&replica::Status { doorbell, doorbell_hosts, online, ..replica.status(now) })
        };
        let (stream, firehose) = (Some(DoorbellKind::Jetstream), Some(DoorbellKind::Firehose));
        let (one, two) = ("one.example", "two.example:2583");
        assert!(says(stream, &[one], true).ends_with("within a second or so (one.example)."));
        assert!(says(firehose, &[one, two], true).ends_with("has written (one.example, two.example:2583)."));
        assert!(says(None, &[], true).starts_with("No stream can be reached"));
        assert!(says(None, &[two], true).contains("tells of every editor (two.example:2583 of some)"));
        assert!(says(None, &[two], false).starts_with("Offline"));
    }
}
