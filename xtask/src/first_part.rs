//! `cargo xtask first-part`: records which functions of the engine run until a document is shown and what is typed in it is kept.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::step::{Program, Step};
use crate::{root, tools, web};

const HEAD: &str = "\
# The functions that did not run until a document was shown, and so are in the engine's second part (xtask/src/parts.rs), as
# `cargo xtask first-part` recorded them. Not edited by hand.
";

/// Some functions run only where one thing happens to come before another.
const RUNS: u32 = 3;

pub(crate) fn record() -> Result<()> {
    let chromium = tools::chromium()?;
    web::build(web::Flavour::Local)?;
    let (engine, names) = web::noting_engine()?;
    let mut ran: BTreeSet<&String> = BTreeSet::new();
    for nth in 1..=RUNS {
        let _step = Step::begin(format!("writing a first document in a browser, {nth} of {RUNS}"));
        let called = Program::new("node")
            .args([root().join("web/e2e/first_part.mjs"), engine.clone()])
            .env("CHROMIUM", &chromium)
            .read()?;
        ran.extend(called.lines().filter_map(|global| names.get(global)));
    }
    ensure!(ran.len() > 100, "hardly any function of the engine ran");
    let all: BTreeSet<&String> = names.values().filter(|name| !name.is_empty()).collect();
    let mut profile = HEAD.to_owned();
    for function in all.difference(&ran) {
        writeln!(profile, "{function}").expect("a string takes everything");
    }
    let path = web::second_part();
    fs::write(&path, profile).with_context(|| format!("{} cannot be written", path.display()))?;
    eprintln!("{} of {} functions are in the first part.", ran.len(), all.len());
    Ok(())
}
