//! `import`, `export`: documents as files of other programs.

use std::{fs, path::Path};

use sheaf_client::platform;
use sheaf_core::{document::Document, replica::Replica};

use crate::{
    arguments::{Export, Format, Import},
    device::Device,
    documents::{make, read_bytes, utf8},
    failure::Failure,
    output,
    page::page,
    reading::{Reading, unpack},
};

/// How the names of files end that hold something else than text.
const ENDINGS: [(&str, Format); 4] =
    [("yjs", Format::Yjs), ("sheaf", Format::Archive), ("html", Format::Html), ("htm", Format::Html)];

pub(crate) async fn import(device: &Device, import: Import) -> Result<(), Failure> {
    let name = import.file.display().to_string();
    let format = import.format.unwrap_or_else(|| by_name(&import.file));
    let stem = import.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (text, title) = match format {
        Format::Archive => {
            let (archive, replica) = unpack(&import.file)?;
            let at = archive.made_at.to_rfc3339();
            device.say(&format!("Its text is that of {}, as archived on {}.", archive.document, &at[..10]));
            (replica.text(), replica.title())
        }
        Format::Md => (utf8(read_file(&import.file, &name)?, &name)?, stem),
        Format::Yjs => {
            let document = Document::from_yjs(&read_file(&import.file, &name)?).map_err(|refusal| {
                Failure::Other(format!("{name} is no Yjs document (v1) of one plain text: {refusal}"))
            })?;
            (document.text(), stem)
        }
        Format::Html => {
            return Err(Failure::Usage(
                "a page is only written, never read: import the text it was made of".into(),
            ));
        }
    };
    make(device, &import.title.unwrap_or(title), &text, &import.patience, &import.json).await
}

fn read_file(path: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let file = fs::File::open(path).map_err(|error| Failure::Other(format!("{name}: {error}")))?;
    read_bytes(file, name)
}

pub(crate) async fn export(device: &Device, export: Export) -> Result<(), Failure> {
    let (reading, mut outcome) = Reading::open(device, &export.document, export.patience.deadline()).await?;
    let format = export.format.or_else(|| export.output.as_deref().map(by_name)).unwrap_or(Format::Md);
    let bytes = match format {
        Format::Md => reading.text().into_bytes(),
        Format::Yjs => reading.to_yjs(),
        Format::Html => page(&reading.title(), &reading.uri().to_string(), &reading.text()).into_bytes(),
        Format::Archive => {
            let made = reading.to_archive()?;
            if !made.lacking.is_empty() && outcome.is_ok() {
                let who = made.lacking.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                outcome = Err(Failure::Other(format!(
                    "what {who} wrote is not all here, and so not in the archive"
                )));
            }
            // What is not published is signed by nobody; nor can be proved what was published a moment ago and not read back.
            if Replica::from_archive(&made.archive, platform::now()).text() != reading.text() {
                device.say(
                    "Not all of the text that this device shows is in the archive: some of it is not published yet, or was \
                     not read back since. `sheaf publish` and `sheaf cat` see to that while there is a network.",
                );
            }
            let written = made.archive.write();
            written.map_err(|why| Failure::Other(format!("the document cannot be archived: {why}")))?
        }
    };
    reading.close().await;
    match (&export.output, format) {
        (Some(path), _) => write_whole(path, &bytes)?,
        (None, Format::Md | Format::Html) => output::text(&String::from_utf8_lossy(&bytes))?,
        (None, Format::Yjs | Format::Archive) => output::bytes(&bytes)?,
    }
    outcome
}

fn by_name(path: &Path) -> Format {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    ENDINGS.iter().find(|(of, _)| *of == ending).map_or(Format::Md, |(_, format)| *format)
}

/// Whoever reads the file meanwhile, or after a power cut, finds it as it was before or as it is now.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::Other(format!("{} cannot be written: {error}", path.display()));
    let Some(name) = path.file_name() else {
        return Err(Failure::Other(format!("{} is not the name of a file", path.display())));
    };
    let part = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let written = fs::write(&part, bytes)
        .and_then(|()| fs::File::open(&part)?.sync_all())
        .and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        // It may not be there; then there is nothing to take away.
        let _ = fs::remove_file(&part);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_or_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes 🌾.md");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        // A folder in its place is not written over, and nothing is left beside it.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        let Err(Failure::Other(said)) = write_whole(&taken, b"x") else { panic!("a folder is no file") };
        assert!(said.contains("cannot be written"), "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_name_says_what_a_file_holds() {
        for (name, format) in [
            ("a.yjs", Format::Yjs),
            ("a.YJS", Format::Yjs),
            ("yjs", Format::Md),
            ("a.md", Format::Md),
            ("a.sheaf", Format::Archive),
            ("a.HTML", Format::Html),
        ] {
            assert_eq!(by_name(Path::new(name)), format, "{name}");
        }
    }
}
