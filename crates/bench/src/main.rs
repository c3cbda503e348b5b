//! Measures what Sheaf stands by. One JSON object on standard output, progress on standard error.
//!
//! Every network figure is taken on the reference PDS on loopback, with the very client that the app and the command line
//! use. `cargo xtask bench` builds the app first and calls this.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line speaks

mod companion;
mod crowd;
mod first_load;
mod keystroke;
mod people;
mod reading;
mod segments;
mod trace;
mod traffic;
mod typing;
mod write_budget;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

/// `cargo xtask bench` knows them too, so that a wrong one is told before anything is built. Those of the feel of it are
/// measured in a browser, by `web/e2e/feel.mjs`, and this only keeps it company.
const KEYS: [&str; 7] = [
    "first_load",
    "write_budget",
    "segments",
    "keystroke_to_remote",
    "cold_open",
    "one_keystroke_later",
    "after_a_week",
];

fn main() -> Result<()> {
    let company = std::env::args().nth(1);
    if let Some(company @ ("--companion" | "--crowd")) = company.as_deref() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return tokio::task::LocalSet::new().block_on(&runtime, async {
            if company == "--crowd" { crowd::run().await } else { companion::run().await }
        });
    }
    let (app, only) = arguments()?;
    let traffic = traffic::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut figures = Map::new();
        for key in KEYS.iter().filter(|key| only.as_deref().is_none_or(|only| only == **key)) {
            eprintln!("· measuring {key} …");
            let figure: Value = match *key {
                "first_load" => {
                    first_load::measure(app.as_deref().context("--app names the folder of the built app")?)?
                }
                "write_budget" => write_budget::measure(),
                "segments" => segments::measure()?,
                "keystroke_to_remote" => keystroke::measure().await?,
                // Those three are of one scene and are measured together.
                of_reading if figures.contains_key(of_reading) => continue,
                of_reading => {
                    let measured = reading::measure(&traffic).await?;
                    figures
                        .extend(measured.into_iter().filter(|(key, _)| only.is_none() || key == of_reading));
                    continue;
                }
            };
            figures.insert((*key).to_owned(), figure);
        }
        anyhow::Ok(figures)
    })?;
    println!("{}", Value::Object(figures));
    Ok(())
}

fn arguments() -> Result<(Option<PathBuf>, Option<String>)> {
    let mut arguments = std::env::args().skip(1);
    let (mut app, mut only) = (None, None);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} takes a value"))?;
        match argument.as_str() {
            "--app" => app = Some(PathBuf::from(value)),
            "--only" => only = Some(value),
            other => bail!("there is no option {other}"),
        }
    }
    if let Some(key) = &only {
        ensure!(KEYS.contains(&key.as_str()), "there is no figure {key}; there are {}", KEYS.join(", "));
    }
    Ok((app, only))
}
