//! `cargo xtask dist`: the app as static files for any host, and the release binary.

use std::{fs, path::{Path, PathBuf}};

use anyhow::{Context as _, Result, ensure};

use crate::{
    tools::{self, cargo, command, run, step},
    web,
};

/// What to make, and where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the app will be served, such as https://write.example; needed for signing in there
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// The folder to make
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
}

/// Makes `OUT/app` (static files) and `OUT/sheaf`.
pub(crate) fn run_dist(options: &Options) -> Result<()> {
    if let Some(origin) = &options.origin {
        ensure!(origin.starts_with("https://"), "--origin takes an https:// address: signing in needs one");
    }
    let built = web::build(web::Mode::Dist)?;
    let app = options.out.join("app");
    if app.exists() {
        fs::remove_dir_all(&app).with_context(|| format!("{} cannot be replaced", app.display()))?;
    }
    copy(&built, &app)?;
    step("building the release binary", || run(cargo().args(["build", "--release", "--package", "sheaf"])))?;
    let binary = tools::target().join("release/sheaf");
    fs::copy(&binary, options.out.join("sheaf")).context("the release binary cannot be copied")?;
    match &options.origin {
        Some(origin) => {
            // The binary knows the collections, and so the scopes: they stand in one place.
            let made = command(&binary, ".").args(["client-metadata", origin]).output().context("`sheaf` cannot be run")?;
            ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr).trim());
            fs::write(app.join("client-metadata.json"), made.stdout).context("client-metadata.json cannot be written")?;
            eprintln!("· {} is ready for {origin}", app.display());
        }
        None => eprintln!("· {} is ready; without --origin URL nobody can sign in there yet", app.display()),
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("{} cannot be written", target.display()))?;
        }
    }
    Ok(())
}
