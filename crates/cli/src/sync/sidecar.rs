//! The file in a folder that says which file is which document.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What it is called.
const SIDECAR: &str = ".sheaf";
/// The longest one that is read, in bytes.
const MAX_SIDECAR: u64 = 4 * 1024 * 1024;

/// What the sidecar says.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) documents: BTreeMap<String, File>,
}

/// A document's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) name: String,
    /// The title that it was named after.
    pub(super) title: String,
}

impl Named {
    pub(super) fn read(folder: &Path) -> Result<Named, Failure> {
        let path = folder.join(SIDECAR);
        let name = path.display().to_string();
        let bytes = match fs::File::open(&path) {
            Ok(file) => crate::documents::read_at_most(file, &name, MAX_SIDECAR)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Named::default()),
            Err(error) => return Err(Failure::Other(format!("{name}: {error}"))),
        };
        let unreadable =
            || Failure::Other(format!("{name} cannot be read: delete it to have all files named anew"));
        let named: Named = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        // A name leads to a file in this folder and nowhere else.
        let is_plain =
            |file: &File| Path::new(&file.name).file_name().is_some_and(|name| name == file.name.as_str());
        if named.documents.values().all(is_plain) { Ok(named) } else { Err(unreadable()) }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(SIDECAR);
        let text = serde_json::to_string_pretty(self).expect("maps of strings are always JSON") + "\n";
        crate::files::write_whole(&path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_names_files_of_its_own_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Named::read(folder.path()).unwrap(), Named::default());
        let write = |name: &str| {
            let text = serde_json::json!({ "documents": { "at://x": { "name": name, "title": "x" } } });
            fs::write(folder.path().join(SIDECAR), text.to_string()).unwrap();
        };
        write("Notes 🌾.md");
        assert_eq!(Named::read(folder.path()).unwrap().documents.len(), 1);
        for name in ["../x.md", "/etc/passwd", "a/b.md", "..", ""] {
            write(name);
            assert!(Named::read(folder.path()).is_err(), "{name}");
        }
        fs::write(folder.path().join(SIDECAR), "{").unwrap();
        assert!(Named::read(folder.path()).is_err());
    }
}
