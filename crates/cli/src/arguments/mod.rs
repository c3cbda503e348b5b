//! What can be said on the command line.

mod commands;
mod place;
mod when;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand};

pub(crate) use self::{
    commands::{
        Append, Cat, Completions, Edit, Export, Format, Import, List, Log, Login, New, Publish, Rm, Share,
        Show, Sync, Verify,
    },
    place::Place,
    when::When,
};

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
  sheaf sync at://did:plc:.../dev.sheaf.document/... notes.md
  date | sheaf append at://did:plc:.../dev.sheaf.document/...
  sheaf cat at://did:plc:.../dev.sheaf.document/... > notes.md
  sheaf show at://did:plc:.../dev.sheaf.document/... --at 2h
  sheaf export at://did:plc:.../dev.sheaf.document/... -o notes.sheaf

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
    /// A relay for the live channel; may be given several times
    #[arg(long, global = true, value_name = "URL", env = "SHEAF_RELAY", value_delimiter = ',')]
    pub(crate) relay: Vec<String>,
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
    /// Keep a file and a document in step while this runs, or a folder and all your documents
    Sync(Sync),
    /// Write in a document with your own editor, which $VISUAL or $EDITOR names
    Edit(Edit),
    /// Tell who wrote in a document, when, and how much
    Log(Log),
    /// Print a document's text as it was at some time
    Show(Show),
    /// Check everything that proves a document; leaves with 1 if anything is off
    Verify(Verify),
    /// Make a document of a file that another program wrote, or of an archive, and print its address
    Import(Import),
    /// Write a document into a file, or to standard output, as other programs read it
    Export(Export),
    /// Tell what waits on this device to be published
    Status(Json),
    /// Publish what waits on this device
    Publish(Publish),
    /// Forget a document on this device; it stays where it is published
    Rm(Rm),
    /// Print a script that completes commands in your shell
    Completions(Completions),
    /// Print the manual page
    Man,
}

#[derive(Args)]
pub(crate) struct Json {
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
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
