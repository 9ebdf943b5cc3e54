//! `sockless replay`: a tape again, by the core alone, or with one of its ends being real.

mod play;

use crate::client::{Reach, seconds};
use crate::output::millis;
use crate::reel;
use crate::status::{Failure, Status};
use crate::stdout::print;
use clap::Args;
use play::Play;
use serde_json::{Value, json};
use sockless::Role;
use sockless::testing::tape::{Call, Tape};
use sockless_tokio::Config;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;

/// Replays a tape: in the core alone, where each call has to give what it gave; or with a server or a client of today
///
/// Against a server or a client, what that says is held against the tape: heads by their first line, messages and closes, in order.
/// What this end said is sent byte for byte, each part behind what had come before it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The tape
    file: PathBuf,
    /// Plays the client to the server of this ws:// or wss:// URL; what the request asks for is on the tape
    #[arg(long, value_name = "URL", conflicts_with = "listen")]
    to: Option<String>,
    /// Plays the server to the first client that comes here: HOST:PORT; of port 0, at a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Sends without the pauses on the tape
    #[arg(long)]
    fast: bool,
    /// Waits no longer for what the other end is to say
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// Takes no longer messages, and no tape on which longer ones are taken
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_message: usize,
    /// Prints how it ended as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Arguments {
    /// Prints a line.
    fn say(&self, object: Value, line: impl Display) {
        // If not, nobody is left to be told.
        _ = match self.json {
            true => print(format!("{object}\n").as_bytes()),
            false => print(format!("{line}\n").as_bytes()),
        };
    }
}

/// Runs the subcommand.
///
/// # Errors
/// What was different, or why there was nothing to compare.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let tape = reel::read(&arguments.file)?;
    match (&arguments.to, &arguments.listen) {
        (None, None) => alone(&tape, arguments),
        (to, listen) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure::new(Status::NotConnected, error))?;
            let played = runtime.block_on(async {
                tokio::select! {
                    played = with(&tape, arguments, to.as_deref(), listen.as_deref()) => played,
                    _ = tokio::signal::ctrl_c() => Err(Failure::new(Status::Abnormal, "interrupted")),
                }
            });
            runtime.shutdown_background();
            played
        }
    }
}

/// Replays in the core.
fn alone(tape: &Tape, arguments: &Arguments) -> Result<(), Failure> {
    for step in &tape.steps {
        let config = match &step.call {
            Call::Start(start) => start.config(),
            Call::Change(config) => config,
            _ => continue,
        };
        if config.limits.message > arguments.max_message {
            let most = config.limits.message;
            return Err(Failure::usage(format!("messages of {most} bytes are taken on the tape; see --max-message")));
        }
    }
    let Err(difference) = tape.replay() else {
        let steps = tape.steps.len();
        arguments.say(json!({ "event": "same", "steps": steps }), format_args!("the same in all {steps} steps"));
        return Ok(());
    };
    if arguments.json {
        let object = json!({
            "event": "different",
            "step": difference.step,
            "call": difference.call,
            "connection": difference.connection,
            "ms": millis(difference.at),
            "on_tape": difference.expected,
            "now": difference.came,
            "unseen": difference.unseen,
        });
        arguments.say(object, "");
    }
    Err(Failure::new(Status::Abnormal, difference))
}

/// Replays with a server, or else with a client.
async fn with(tape: &Tape, arguments: &Arguments, to: Option<&str>, listen: Option<&str>) -> Result<(), Failure> {
    let ours = if to.is_some() { Role::Client } else { Role::Server };
    let mut play = Play::new(tape, ours, arguments.max_message)?;
    (play.fast, play.patience) = (arguments.fast, arguments.timeout);
    let stream = match (to, listen) {
        (Some(to), _) => arguments.reach.client(to, Config::default())?.dial().await?.0,
        (None, listen) => accept(listen.unwrap_or_default(), arguments).await?.into(),
    };
    let difference = match play.run(stream).await? {
        Ok(told) => {
            let object = json!({ "event": "same", "things": told });
            arguments.say(object, format_args!("the same in all {told} things that the other end said"));
            return Ok(());
        }
        Err(difference) => difference,
    };
    if arguments.json {
        let play::Difference { what: _, thing, expected, came } = &difference;
        arguments.say(json!({ "event": "different", "thing": thing, "on_tape": expected, "now": came }), "");
    }
    Err(Failure::new(Status::Abnormal, difference.what))
}

/// The first client that comes.
async fn accept(address: &str, arguments: &Arguments) -> Result<tokio::net::TcpStream, Failure> {
    let not_listening = |error| Failure::new(Status::NotConnected, format!("{address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(not_listening)?;
    let bound = listener.local_addr().map_err(not_listening)?;
    let url = format!("ws://{bound}/");
    arguments.say(json!({ "event": "listening", "url": url }), format_args!("listening on {url}"));
    let (stream, _) = listener.accept().await.map_err(not_listening)?;
    stream.set_nodelay(true).map_err(not_listening)?;
    Ok(stream)
}
