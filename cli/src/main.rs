//! The command `sockless`: from its arguments to a subcommand, and from how that ended to an exit status.

#![forbid(unsafe_code)]

mod client;
mod command;
mod connect;
mod dialogue;
mod input;
mod inspect;
mod load;
mod output;
mod pages;
mod proxy;
mod record;
mod reel;
mod replay;
mod report;
mod serve;
mod status;
mod stdout;
#[cfg_attr(not(unix), path = "terminal/nowhere.rs")]
mod terminal;
mod tls;
mod watch;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use output::note;
use status::{Failure, Status};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use stdout::print;

const STATUSES: &str = "\
Exit status:
  0  all went well: the connection was closed normally
  1  not connected, or not listening; of the servers under load, one was not reached; a file cannot be read,
     or a file or standard output not be written
  2  wrong usage
  3  closed abnormally: with another code than 1000 or 1001, by an error, or cut off; under load, something
     failed; replayed, something was different; `inspect` found a fault
  4  `connect --once` got no message";

/// Connects to WebSocket servers, serves, puts load on them, and shows what passes
#[derive(Parser)]
#[command(name = "sockless", version, after_help = STATUSES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Connect(Box<connect::Arguments>),
    Serve(serve::Arguments),
    Load(Box<load::Arguments>),
    Record(Box<record::Arguments>),
    Replay(Box<replay::Arguments>),
    Inspect(inspect::Arguments),
    Proxy(Box<proxy::Arguments>),
    /// Prints the completions of a shell
    Completions {
        /// Whose
        shell: Shell,
    },
    /// Prints the manual page, or writes that of each subcommand
    Man {
        /// Where they are written, a file for each
        directory: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Connect(arguments) => connect::run(&arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Proxy(arguments) => proxy::run(*arguments),
        Command::Completions { shell } => completions(shell),
        Command::Man { directory } => manual(directory.as_deref()),
    };
    // What went wrong besides comes first.
    let unwritten = result.is_ok().then(stdout::failure).flatten();
    match unwritten.map_or(result, Err) {
        Ok(()) => Status::Good,
        Err(Failure { status, message }) => {
            note!("sockless: {message}");
            status
        }
    }
    .into()
}

fn manual(directory: Option<&Path>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(Status::NotConnected, format!("no manual: {error}"));
    if let Some(directory) = directory {
        return clap_mangen::generate_to(Arguments::command(), directory).map_err(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page).map_err(failed)?;
    // Nobody is left to be told.
    _ = print(&page);
    Ok(())
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sockless", &mut script);
    // Nobody is left to be told.
    _ = print(&script);
    Ok(())
}
