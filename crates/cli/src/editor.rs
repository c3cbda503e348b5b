//! `edit`: a document in the editor that somebody is used to.

use std::{
    fs,
    path::Path,
    process::{Command, ExitStatus},
};

use crate::{
    arguments::Edit,
    device::Device,
    documents::{may_write, read_bytes, utf8},
    failure::Failure,
    sync::{merge, names},
    waiting::{open, published, up_to_date},
};

pub(crate) async fn edit(device: &Device, edit: Edit) -> Result<(), Failure> {
    let client = device.signed_in().await?;
    let deadline = edit.patience.deadline();
    let document = open(&client, &edit.document, deadline).await?;
    let looked = up_to_date(device, &document, deadline).await;
    may_write(&document, looked)?;
    let base = document.text();
    let folder = device.scratch()?;
    let file = folder.join(format!("{}.md", names::safe(&document.title())));
    let wrote = fs::write(&file, &base);
    wrote.map_err(|error| Failure::Other(format!("{} cannot be written: {error}", file.display())))?;
    // The document stays open meanwhile, so what others write is merged with what is written here.
    let left = run_editor(&file).await?;
    let kept = |why: String| Failure::Other(format!("{why}; what you wrote is in {}", file.display()));
    if !left.success() {
        return Err(kept("the editor did not end well".into()));
    }
    let name = file.display().to_string();
    let edited = fs::File::open(&file).map_err(|error| kept(error.to_string()))?;
    let edited = read_bytes(edited, &name).and_then(|bytes| utf8(bytes, &name));
    let edited = edited.map_err(|failure| kept(failure.to_string()))?;
    if edited == base {
        device.say("Nothing was changed.");
        let _ = fs::remove_dir_all(&folder); // Only a copy of what is known.
        document.close().await;
        return Ok(());
    }
    if edited.is_empty() {
        return Err(kept(
            "the file is empty, which is not taken for the wish to delete all of the text".into(),
        ));
    }
    let text = document.text();
    let splices = merge::splices(&base, &edited, &text);
    let mut expected = text;
    let fits = sheaf_core::text::apply_splices(&mut expected, &splices).is_ok();
    document.edit(splices);
    if !fits || document.text() != expected {
        return Err(kept("the document did not take your changes".into()));
    }
    document.until(|d| d.status().unsaved == 0 || d.status().store_trouble.is_some()).await;
    if document.status().unsaved == 0 {
        let _ = fs::remove_dir_all(&folder); // It is safe in the document.
    }
    published(device, document, edit.patience.deadline()).await
}

/// Runs $VISUAL or $EDITOR as a shell would, since both may hold arguments.
async fn run_editor(file: &Path) -> Result<ExitStatus, Failure> {
    let named = ["VISUAL", "EDITOR"].into_iter().filter_map(std::env::var_os).find(|name| !name.is_empty());
    let mut command = match named {
        Some(editor) if cfg!(unix) => {
            let mut command = Command::new("sh");
            let mut script = editor;
            script.push(" \"$1\"");
            command.arg("-c").arg(script).arg("sh");
            command
        }
        Some(editor) => Command::new(editor),
        None if cfg!(windows) => Command::new("notepad"),
        None => Command::new("vi"),
    };
    command.arg(file);
    let failed = |error| Failure::Other(format!("the editor cannot be started: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let ended = tokio::task::spawn_blocking(move || child.wait()).await;
    let ended = ended.map_err(|error| Failure::Other(format!("the editor cannot be waited for: {error}")))?;
    ended.map_err(failed)
}
