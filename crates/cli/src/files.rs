//! `import`, `export`: documents as files of other programs.

use std::{fs, path::Path};

use sheaf_core::{document::Document, replica::Presence};

use crate::{
    arguments::{Export, Format, Import},
    device::Device,
    documents::{deleted, make, read_bytes, utf8},
    failure::Failure,
    output,
    waiting::{open, up_to_date},
};

/// How the name of a file with a Yjs document ends.
const YJS: &str = "yjs";

pub(crate) async fn import(device: &Device, import: Import) -> Result<(), Failure> {
    let name = import.file.display().to_string();
    let file = fs::File::open(&import.file).map_err(|error| Failure::Other(format!("{name}: {error}")))?;
    let bytes = read_bytes(file, &name)?;
    let text = match import.format.unwrap_or_else(|| by_name(&import.file)) {
        Format::Md => utf8(bytes, &name)?,
        Format::Yjs => Document::from_yjs(&bytes)
            .map_err(|refusal| {
                Failure::Other(format!("{name} is no Yjs document (v1) of one plain text: {refusal}"))
            })?
            .text(),
    };
    let title = import.title.unwrap_or_else(|| {
        import.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    });
    make(device, &title, &text, &import.patience, &import.json).await
}

pub(crate) async fn export(device: &Device, export: Export) -> Result<(), Failure> {
    let client = device.client().await?;
    client.stay_unannounced();
    let deadline = export.patience.deadline();
    let document = open(&client, &export.document, deadline).await?;
    let mut outcome = up_to_date(&document, deadline).await;
    if document.status().document == Presence::Deleted {
        outcome = Err(deleted());
    }
    let format = export.format.or_else(|| export.output.as_deref().map(by_name)).unwrap_or(Format::Md);
    let (text, update) = (document.text(), document.to_yjs());
    document.close().await;
    match (&export.output, format) {
        (Some(path), Format::Md) => write_whole(path, text.as_bytes())?,
        (Some(path), Format::Yjs) => write_whole(path, &update)?,
        (None, Format::Md) => output::text(&text)?,
        (None, Format::Yjs) => output::bytes(&update)?,
    }
    outcome
}

fn by_name(path: &Path) -> Format {
    let is_yjs = path.extension().is_some_and(|end| end.eq_ignore_ascii_case(YJS));
    if is_yjs { Format::Yjs } else { Format::Md }
}

/// Whoever reads the file meanwhile, or after a power cut, finds it as it was before or as it is now.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
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
        for (name, format) in
            [("a.yjs", Format::Yjs), ("a.YJS", Format::Yjs), ("yjs", Format::Md), ("a.md", Format::Md)]
        {
            assert_eq!(by_name(Path::new(name)), format, "{name}");
        }
    }
}
