//! `log`, `show`: what was written, by whom and when.

use std::collections::BTreeMap;

use serde_json::json;
use sheaf_client::platform;
use sheaf_core::{history::Sitting, replica::Audit, time::Timestamp};

use crate::{
    arguments::{Log, Show},
    device::Device,
    failure::Failure,
    output,
    reading::Reading,
};

pub(crate) async fn log(device: &Device, log: Log) -> Result<(), Failure> {
    let (reading, outcome) = Reading::open(device, &log.document, log.patience.deadline()).await?;
    let (history, names) = (reading.history(), names(&reading.audit()));
    reading.close().await;
    let sittings = history.sittings(log.pause());
    if log.json.json {
        for Sitting { author, from, to, entries, inserted, deleted } in &sittings {
            let value = json!({
                "author": author.to_string(),
                "handle": names.get(author.as_str()),
                "from": from.to_rfc3339(),
                "to": to.to_rfc3339(),
                "entries": entries,
                "inserted": inserted,
                "deleted": deleted,
            });
            output::line(&value.to_string())?;
        }
    } else {
        output::text(&table(&sittings, &names))?;
    }
    if history.waiting() > 0 {
        device.say("Some of what was written builds on text that is not here, and is left out.");
    }
    outcome
}

pub(crate) async fn show(device: &Device, show: Show) -> Result<(), Failure> {
    let (reading, outcome) = Reading::open(device, &show.document, show.patience.deadline()).await?;
    let at = show.at.from(platform::now());
    let (history, names) = (reading.history(), names(&reading.audit()));
    let (uri, title) = (reading.uri(), reading.title());
    reading.close().await;
    let text = history.text_at(at);
    let first = history.written().first().map(|written| written.shown_at);
    if first.is_none_or(|first| at < first) {
        device.say("Nothing had been written by then.");
    }
    if show.json {
        let authored = history.authored_at(at).into_iter().map(|authored| {
            json!({
                "author": authored.author.to_string(),
                "handle": names.get(authored.author.as_str()),
                "at": authored.made_at.to_rfc3339(),
                "from": authored.from.0,
                "to": authored.to.0,
            })
        });
        let value = json!({
            "uri": uri.to_string(),
            "title": title,
            "at": at.to_rfc3339(),
            "text": text,
            "authored": authored.collect::<Vec<_>>(),
        });
        output::line(&value.to_string())?;
    } else {
        output::text(&text)?;
    }
    outcome
}

/// Handles by DID, where they are known.
fn names(audit: &Audit) -> BTreeMap<String, String> {
    let named =
        audit.editors.iter().filter_map(|editor| Some((editor.did.to_string(), editor.handle.clone()?)));
    named.collect()
}

/// One line for each sitting: when, who, how much went in and out.
fn table(sittings: &[Sitting], names: &BTreeMap<String, String>) -> String {
    let rows = sittings.iter().map(|sitting| {
        let did = sitting.author.as_str();
        let who = names.get(did).map_or(did, String::as_str).to_owned();
        [span(sitting), who, format!("+{}", sitting.inserted), format!("-{}", sitting.deleted)]
    });
    let rows: Vec<[String; 4]> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |[when, who, inserted, deleted]: &[String; 4]| {
        let [a, b, c, d] = widths;
        format!("{when:a$}  {who:b$}  {inserted:>c$}  {deleted:>d$}\n")
    };
    rows.iter().map(line).collect()
}

/// `2026-11-23 02:30–04:10Z`, or with the second day in full. Times are in UTC, which is the same for everyone.
fn span(sitting: &Sitting) -> String {
    let minute = |at: Timestamp| {
        let at = at.to_rfc3339();
        (at.get(..10).unwrap_or_default().to_owned(), at.get(11..16).unwrap_or_default().to_owned())
    };
    let ((day, from), (last_day, to)) = (minute(sitting.from), minute(sitting.to));
    match (day == last_day, from == to) {
        (true, true) => format!("{day} {from}Z"),
        (true, false) => format!("{day} {from}–{to}Z"),
        (false, _) => format!("{day} {from} – {last_day} {to}Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_a_table() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let sitting = |author: &str, from: &str, to: &str, inserted, deleted| Sitting {
            author: author.parse().unwrap(),
            from: at(from),
            to: at(to),
            entries: 1,
            inserted,
            deleted,
        };
        let (ada, ben) = ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:web:ben.example");
        let sittings = [
            sitting(ada, "2026-11-23T02:30:00Z", "2026-11-23T02:30:59Z", 1_200, 3),
            sitting(ben, "2026-11-23T09:00:00Z", "2026-11-23T10:05:00Z", 7, 0),
            sitting(ada, "2026-11-23T23:58:00Z", "2026-11-24T00:04:00Z", 0, 12),
        ];
        let names = BTreeMap::from([(ada.to_owned(), "ada.example".to_owned())]);
        let expected = "\
2026-11-23 02:30Z                     ada.example          +1200   -3
2026-11-23 09:00–10:05Z               did:web:ben.example     +7   -0
2026-11-23 23:58 – 2026-11-24 00:04Z  ada.example             +0  -12
";
        assert_eq!(table(&sittings, &names), expected);
        assert_eq!(table(&[], &names), "");
    }
}
