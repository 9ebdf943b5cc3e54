//! A client by the adapter of choice, for conformance suites and other implementations.
//!
//! ```text
//! cargo run --release -p sockless-test-programs --bin client -- tokio ws://127.0.0.1:9001/
//! ```
//!
//! Lines of standard input go out as messages, and messages that come are printed: text as it is, a line for each, binary
//! messages as hex after `hex:`. At the end of the input the connection is closed with 1000.

mod by_futures;
mod by_mio;
mod by_std;
mod by_tokio;

use clap::Parser;
use sockless::{Close, Code, Config, Message, Response};
use sockless_test_programs::{Adapter, Settings};
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

const STATUSES: &str = "\
Exit status:
  0  closed normally (1000, 1001 or no code), or all cases have run
  1  closed with another code, or failed
  2  wrong usage
  3  not connected: no TCP or TLS connection, or the server refused the handshake";

/// Sends lines of standard input to a WebSocket server, and prints the messages that it sends
#[derive(Parser)]
#[command(after_help = STATUSES)]
struct Arguments {
    by: Adapter,
    url: String,
    #[command(flatten)]
    settings: Settings,
    /// Offer a subprotocol; may be repeated, the one liked best first
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Connect through a proxy: http, https, socks4, socks4a, socks5 or socks5h
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Connect through those that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name
    #[arg(long)]
    proxy_from_env: bool,
    /// Trust the certificates of this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Connect by HTTP/2, and not by HTTP/1.1
    #[arg(long)]
    http2: bool,
    /// Send lines as binary messages
    #[arg(long)]
    binary: bool,
    /// Send a ping first, and say on standard error when its answer comes
    #[arg(long)]
    ping: bool,
    /// Read no input, but send each message back until the server closes
    #[arg(long)]
    echo: bool,
    /// Be tested by Autobahn's fuzzing server: run each of the cases that URL/getCaseCount counts
    #[arg(long)]
    autobahn: bool,
}

/// Why the program ends, with its exit status.
struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    fn new(status: u8, message: impl Display) -> Self {
        Self { status, message: message.to_string() }
    }

    fn connecting(error: impl Display) -> Self {
        Self::new(3, error)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(1, error)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.by {
        Adapter::Mio | Adapter::Futures if arguments.asks_for_more() => {
            Err(Failure::new(2, "by this adapter it has --binary, --root and the settings, and no more"))
        }
        Adapter::Std => by_std::run(&arguments),
        Adapter::Tokio => by_tokio::run(&arguments),
        Adapter::Mio => by_mio::run(&arguments),
        Adapter::Futures => by_futures::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, message }) => {
            eprintln!("client: {message}");
            ExitCode::from(status)
        }
    }
}

impl Arguments {
    /// Whether more is asked for than to send lines and to print messages.
    fn asks_for_more(&self) -> bool {
        let Self { proxy_from_env, http2, ping, echo, autobahn, .. } = *self;
        proxy_from_env || http2 || ping || echo || autobahn || self.proxy.is_some() || !self.subprotocol.is_empty()
    }

    fn config(&self) -> Config {
        self.settings.client()
    }

    /// The message that a line makes.
    fn message(&self, line: String) -> Message<'static> {
        if self.binary { line.into_bytes().into() } else { line.into() }
    }

    /// The URL of Autobahn's number of cases.
    fn count_url(&self) -> String {
        format!("{}/getCaseCount", self.url.trim_end_matches('/'))
    }

    /// The URLs of its cases; half of them break the protocol, so how they end is its to judge.
    fn cases(&self, count: Option<&str>) -> Result<impl Iterator<Item = String>, Failure> {
        let count = count.and_then(|count| count.parse::<u32>().ok());
        let count = count.ok_or_else(|| Failure::new(1, "the server has not said how many cases there are"))?;
        let by = format!("{:?}", self.by).to_lowercase();
        let base = self.url.trim_end_matches('/').to_owned();
        Ok((1..=count).map(move |case| format!("{base}/runCase?case={case}&agent=sockless-{by}")))
    }
}

fn tell_subprotocol(response: &Response<'_>) {
    if let Some(name) = response.subprotocol() {
        eprintln!("client: the server chose subprotocol {name}");
    }
}

/// Prints a message, its text if it is one.
fn print(text: Option<&str>, bytes: &[u8]) {
    match text {
        Some(text) => println!("{text}"),
        None => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("hex:{hex}");
        }
    }
}

/// What the server closed with, as an exit.
fn judge(close: Option<&Close<'_>>) -> Result<(), Failure> {
    match close {
        Some(Close { code: Code::NORMAL | Code::AWAY | Code::NO_STATUS, .. }) | None => Ok(()),
        Some(Close { code, reason }) => Err(Failure::new(1, format!("closed with {code} {reason}"))),
    }
}
