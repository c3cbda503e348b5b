//! Writes the seeds of a target into a folder, one file each, for a fuzzer to begin with: `sheaf-hostile TARGET FOLDER`.
#![allow(clippy::print_stderr, reason = "this is a command line: printing is how it speaks")]

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let written = match arguments.as_slice() {
        [name, folder] => write(name, &PathBuf::from(folder)),
        _ => Err("it takes the name of a target and a folder".to_owned()),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn write(name: &str, folder: &PathBuf) -> Result<(), String> {
    let target = sheaf_hostile::target(name).ok_or_else(|| {
        let names: Vec<&str> = sheaf_hostile::TARGETS.iter().map(|target| target.name).collect();
        format!("there is no target “{name}”; there are {}", names.join(", "))
    })?;
    std::fs::create_dir_all(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    for (n, seed) in (target.seeds)().iter().enumerate() {
        let file = folder.join(format!("seed-{n:03}"));
        std::fs::write(&file, seed).map_err(|why| format!("{}: {why}", file.display()))?;
    }
    Ok(())
}
