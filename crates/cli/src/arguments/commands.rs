//! What each command takes.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use sheaf_core::{document_link::DocumentLink, document_uri::DocumentUri};

use super::{Json, Patience, Place, When};

#[derive(Args)]
pub(crate) struct Login {
    /// Your handle, such as alice.example; asked for if it is left out
    pub(crate) handle: Option<String>,
    /// Ask for an app password instead of opening the browser; $SHEAF_APP_PASSWORD answers without being asked
    #[arg(long)]
    pub(crate) app_password: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Args)]
pub(crate) struct New {
    /// What it is called
    pub(crate) title: String,
    /// Begin with this file's text
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Args)]
pub(crate) struct Cat {
    /// The document: a link of the app, an at:// address, or an archive (a file whose name ends in .sheaf)
    pub(crate) document: Place,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Args)]
pub(crate) struct Append {
    /// The document: a link of the app, or an at:// address
    pub(crate) document: DocumentLink,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Args)]
pub(crate) struct Share {
    /// The document: a link of the app, or an at:// address
    pub(crate) document: DocumentLink,
    /// Who may write from now on
    pub(crate) handle: String,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// What a document is as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The text as it is, UTF-8
    Md,
    /// A Yjs document: its state as one update (v1), with the text under the name `text`
    Yjs,
    /// A page for a browser, of the text as Markdown; only written, never read
    Html,
    /// An archive: everything that everybody has signed. It opens and verifies without any network
    Archive,
}

#[derive(Args)]
#[command(after_help = "Examples:
  sheaf import notes.md --title 'Field notes'
  sheaf import theirs.yjs
  sheaf import notes.sheaf      # a document of your own with the text of an archive")]
pub(crate) struct Import {
    /// The file
    pub(crate) file: PathBuf,
    /// What the document is called; without it, what the file or the archived document is
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// What the file holds; without it, a name that ends in .yjs is a Yjs document, and in .sheaf an archive. A text in a
    /// Yjs document may have any name, but there must be no other, and no formatting
    #[arg(long = "as", value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Args)]
#[command(after_help = "Examples:
  sheaf export at://... -o notes.sheaf      # with all signatures, to keep
  sheaf export at://... --as html > notes.html")]
pub(crate) struct Export {
    /// The document: a link of the app, an at:// address, or an archive (a file whose name ends in .sheaf)
    pub(crate) document: Place,
    /// The file, written whole or not at all; without it, standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What to write; without it the file's name tells: .yjs, .html, .sheaf for an archive, and everything else is text
    #[arg(long = "as", value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Args)]
#[command(
    after_help = "What was written within a few minutes counts as one; a longer pause than --pause begins a new line.

Examples:
  sheaf log at://...
  sheaf log --json at://... | jq -r .handle | sort | uniq -c"
)]
pub(crate) struct Log {
    /// The document: a link of the app, an at:// address, or an archive (a file whose name ends in .sheaf)
    pub(crate) document: Place,
    /// After how many minutes without a word somebody has got up
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    pause: u32,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) json: Json,
}

impl Log {
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_secs(u64::from(self.pause) * 60)
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  sheaf show at://... --at 2h               # two hours ago; also m, d and w
  sheaf show at://... --at 2026-11-23       # at the end of that day, UTC
  sheaf show at://... --at 2026-11-23T02:30:00+01:00")]
pub(crate) struct Show {
    /// The document: a link of the app, an at:// address, or an archive (a file whose name ends in .sheaf)
    pub(crate) document: Place,
    /// When: a date, a date and time, or how long ago
    #[arg(long, value_name = "TIME")]
    pub(crate) at: When,
    #[command(flatten)]
    pub(crate) patience: Patience,
    /// Print one JSON object, with who had written what of it and when
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(
    after_help = "Changes on either side are merged, also those made while nothing ran. A file that is gone or empty
is never taken for the wish to delete the text: syncing it stops and says so. In a folder, a file that is given another
name stays its document's; the document keeps its title.

Examples:
  sheaf sync at://... notes.md         # until Ctrl-C
  sheaf sync --once at://... notes.md  # once, such as from cron
  sheaf sync ~/Notes                   # all your documents, as Title.md
  sheaf sync --publish-new ~/Notes     # and what you put there becomes documents"
)]
pub(crate) struct Sync {
    /// The document, as a link of the app or an at:// address; or, without a file, a folder for all your documents
    #[arg(value_name = "DOCUMENT|FOLDER")]
    pub(crate) what: String,
    /// The file; it is made if it is not there
    pub(crate) file: Option<PathBuf>,
    /// Bring both in step once, and leave
    #[arg(long)]
    pub(crate) once: bool,
    /// Make documents of the folder's other .md files, with their names for titles; documents are public
    #[arg(long, conflicts_with = "file")]
    pub(crate) publish_new: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Args)]
pub(crate) struct Edit {
    /// The document: a link of the app, or an at:// address
    pub(crate) document: DocumentLink,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Args)]
#[command(
    after_help = "What this device has of a document proves itself anew, every block and every signature, once the newest is here.
With --anew it is as to a stranger: everything is fetched again. For an archive the keys are what the archive says, and
are compared with the directory if it answers.

Examples:
  sheaf verify at://...
  sheaf verify --anew at://...          # what the servers hold now, whatever this device knows
  sheaf verify notes.sheaf"
)]
pub(crate) struct Verify {
    /// The document: a link of the app, an at:// address, or an archive (a file whose name ends in .sheaf)
    pub(crate) document: Place,
    /// Fetch everything anew, as a stranger would, and leave aside what this device has
    #[arg(long)]
    pub(crate) anew: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Publish {
    /// Which documents; without any, all of which something waits
    pub(crate) documents: Vec<DocumentLink>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Args)]
pub(crate) struct Rm {
    /// The document: a link of the app, or an at:// address
    pub(crate) document: DocumentLink,
    /// Even if changes of yours are lost with it that are published nowhere
    #[arg(long)]
    pub(crate) even_unpublished: bool,
}

impl Rm {
    pub(crate) fn uri(&self) -> &DocumentUri {
        &self.document.document
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  sheaf completions bash > ~/.local/share/bash-completion/completions/sheaf
  sheaf completions zsh > \"${fpath[1]}/_sheaf\"
  sheaf completions fish > ~/.config/fish/completions/sheaf.fish")]
pub(crate) struct Completions {
    /// Which shell
    pub(crate) shell: Shell,
}
