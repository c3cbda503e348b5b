//! `sheaf`: documents that several people write at once over atproto, from a terminal.
//!
//! Standard output carries data and nothing else; what there is to say goes to standard error; the exit code says what kind
//! of thing went wrong ([`failure::Failure`]). Everything written is on this device before it is sent: where the network is
//! away, it waits here and goes out with the next command on that document.
//!
//! `main` reads the command line ([`arguments`]), finds out where this device keeps things ([`device`]), and runs one
//! function of the module that is named after what the command is about. Nothing is ever coloured, so there is nothing for
//! `NO_COLOR` to turn off.

mod account;
mod arguments;
mod audit;
mod device;
mod documents;
mod editor;
mod failure;
mod files;
mod outbox;
mod output;
mod page;
mod progress;
mod reading;
mod sync;
mod telling;
mod waiting;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
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
        Command::Sync(sync) => sync::sync(&device, sync).await,
        Command::Edit(edit) => editor::edit(&device, edit).await,
        Command::Log(log) => telling::log(&device, log).await,
        Command::Show(show) => telling::show(&device, show).await,
        Command::Verify(verify) => audit::verify(&device, verify).await,
        Command::Status(json) => outbox::status(&device, &json).await,
        Command::Publish(publish) => outbox::publish(&device, publish).await,
        Command::Rm(rm) => outbox::rm(&device, rm).await,
        Command::Completions(completions) => {
            let mut script = Vec::new();
            clap_complete::generate(completions.shell, &mut Arguments::command(), "sheaf", &mut script);
            output::text(&String::from_utf8_lossy(&script))
        }
        Command::Man => output::text(&manual()?),
        Command::Import(import) => files::import(&device, import).await,
        Command::Export(export) => files::export(&device, export).await,
    }
}

/// The manual page: of the program, then of each command, all from what `--help` says.
fn manual() -> Result<String, Failure> {
    let failed = |error| Failure::Other(format!("the manual cannot be written: {error}"));
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(failed)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let man = clap_mangen::Man::new(
            subcommand.clone().display_name(format!("sheaf {}", subcommand.get_name())),
        );
        page.extend_from_slice(
            format!(".SH \"SHEAF {}\"\n", subcommand.get_name().to_uppercase()).as_bytes(),
        );
        man.render_synopsis_section(&mut page).map_err(failed)?;
        man.render_description_section(&mut page).map_err(failed)?;
        man.render_options_section(&mut page).map_err(failed)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}
