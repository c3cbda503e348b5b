//! `sheaf`: documents that several people write at once over atproto, from a terminal.
//!
//! Standard output carries data and nothing else; what there is to say goes to standard error; the exit code says what kind
//! of thing went wrong ([`failure::Failure`]). Everything written is on this device before it is sent: where the network is
//! away, it waits here and goes out with the next command on that document.
//!
//! `main` reads the command line ([`arguments`]), finds out where this device keeps things ([`device`]), and runs one
//! function of [`account`], [`documents`] or [`files`]. Nothing is ever coloured, so there is nothing for `NO_COLOR` to turn off.

mod account;
mod arguments;
mod device;
mod documents;
mod failure;
mod files;
mod output;
mod waiting;

use std::process::ExitCode;

use clap::Parser as _;
use sheaf_client::session;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use crate::{
    arguments::{Arguments, Command},
    device::Device,
    failure::Failure,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What a library gives up on is told by one sentence, like everything else that goes wrong.
    session::hush_expected_panics();
    // The log speaks only when RUST_LOG asks it to: what a person needs to know is in the one sentence of a failure.
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => tokio::task::LocalSet::new().block_on(&runtime, run(arguments)),
        Err(error) => Err(Failure::Other(format!("the program cannot start: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(&format!("sheaf: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = Device::open(&arguments.device)?;
    match arguments.command {
        Command::Login(login) => account::login(&device, login).await,
        Command::Logout(patience) => account::logout(&device, &patience).await,
        Command::Whoami(json) => account::whoami(&device, json.json).await,
        Command::New(new) => documents::new(&device, new).await,
        Command::List(list) => documents::list(&device, list).await,
        Command::Cat(cat) => documents::cat(&device, cat).await,
        Command::Append(append) => documents::append(&device, append).await,
        Command::Share(share) => documents::share(&device, share).await,
        Command::Import(import) => files::import(&device, import).await,
        Command::Export(export) => files::export(&device, export).await,
    }
}
