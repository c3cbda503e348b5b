//! What can be said on the command line.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use sheaf_core::document_link::DocumentLink;

/// Documents that several people write at once, kept in their own atproto accounts.
///
/// Documents are public: anyone who has the address can read them.
#[derive(Parser)]
#[command(name = "sheaf", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  something went wrong that none of the others names
  2  the command line is wrong
  3  nobody is signed in, or the session is over: `sheaf login`
  4  there is no such account or document
  5  your account may not do this
  6  the network is away; what was written is saved on this device and goes out with the
     next command on that document

Examples:
  sheaf login alice.example
  sheaf new 'Field notes' --from notes.md
  date | sheaf append at://did:plc:.../dev.sheaf.document/...
  sheaf cat at://did:plc:.../dev.sheaf.document/... > notes.md

$RUST_LOG (such as sheaf_client=debug) writes a log to standard error.";

/// Which network, and where this device keeps things.
#[derive(Args)]
pub(crate) struct DeviceArguments {
    /// The directory of accounts, where it is not the public one
    #[arg(long, global = true, value_name = "URL", env = "SHEAF_PLC")]
    pub(crate) plc: Option<String>,
    /// A server that resolves handles, where DNS does not
    #[arg(long, global = true, value_name = "URL", env = "SHEAF_HANDLE_RESOLVER")]
    pub(crate) handle_resolver: Option<String>,
    /// A Jetstream to listen to; may be given several times
    #[arg(long, global = true, value_name = "URL", env = "SHEAF_JETSTREAM", value_delimiter = ',')]
    pub(crate) jetstream: Vec<String>,
    /// Where this device keeps documents and the session
    #[arg(long, global = true, value_name = "DIR", env = "SHEAF_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Say nothing but what goes wrong
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sign in, in the browser on your account's own server or with an app password
    Login(Login),
    /// Sign out; what was written stays, here and where it is published
    Logout(Patience),
    /// Print who is signed in
    Whoami(Json),
    /// Make a document and print its address
    New(New),
    /// List your documents and those you take part in
    List(List),
    /// Print a document's text, verified; needs no account
    Cat(Cat),
    /// Add standard input to the end of a document
    Append(Append),
    /// Let somebody write in a document of yours
    Share(Share),
    /// Make a document of a file that another program wrote, and print its address
    Import(Import),
    /// Write a document into a file, or to standard output, as other programs read it
    Export(Export),
}

#[derive(Args)]
pub(crate) struct Json {
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

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
    /// The document: a link of the app, or an at:// address
    pub(crate) document: DocumentLink,
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
}

#[derive(Args)]
pub(crate) struct Import {
    /// The file
    pub(crate) file: PathBuf,
    /// What the document is called; without it, what the file is
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// What the file holds; without it, a name that ends in .yjs is a Yjs document. A text in it may have any name, but
    /// there must be no other, and no formatting
    #[arg(long = "as", value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Args)]
pub(crate) struct Export {
    /// The document: a link of the app, or an at:// address
    pub(crate) document: DocumentLink,
    /// The file, written whole or not at all; without it, standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What to write; without it, a file whose name ends in .yjs is a Yjs document, and everything else text
    #[arg(long = "as", value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Args)]
pub(crate) struct Patience {
    /// How long to wait for the network, in seconds; for reading and again for publishing
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    wait: u32,
}

impl Patience {
    /// When patience is at an end if it begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline(Instant::now() + Duration::from_secs(self.wait.into()))
    }
}

/// Until when to wait for the network.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// How long that is from now.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
