//! `sockless load`: many connections to servers that echo, and how long their answers take.

mod report;
mod tally;

use crate::client::{Reach, deflate, seconds};
use crate::output::print;
use crate::status::{Failure, Status};
use clap::Args;
use sockless_tokio::sockless::Deflate;
use sockless_tokio::{Client, Config, Error, Message, NetStream, WebSocket};
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout_at};

/// Puts load on servers that echo, and says how long their answers take
///
/// Several URLs have the same load at the same time, and stand side by side. With --message-rate messages are sent by a
/// schedule, and a latency counts from when its message should have been sent: one that waits because the server stands still
/// shows as late. Without it, a connection sends its next message when an answer comes, so that a server which stands still is
/// asked less.
#[derive(Args)]
pub(crate) struct Arguments {
    /// ws:// or wss:// URLs of servers that send each message back
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Connections to each server
    #[arg(short, long, value_name = "N", default_value = "10")]
    connections: NonZeroUsize,
    /// Connections that are begun in a second; otherwise all at once
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Messages of one connection that may be without their answers at once
    #[arg(long, value_name = "N", default_value = "1")]
    in_flight: NonZeroUsize,
    /// Messages sent to each server in a second, by all connections together; otherwise as many as are answered
    #[arg(long, value_name = "N", value_parser = rate)]
    message_rate: Option<f64>,
    /// Bytes of a message
    #[arg(short, long, value_name = "BYTES", default_value_t = 32)]
    size: usize,
    /// Sends bytes drawn by chance, and not text, which compresses well
    #[arg(long)]
    binary: bool,
    /// Offers compression, and compresses all that is sent
    #[arg(long)]
    compress: bool,
    /// How long messages are sent; connecting is part of it
    #[arg(short, long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// Prints a JSON object for each URL, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// How long answers are waited for behind the last message.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every connection does.
struct Plan {
    message: Message,
    in_flight: usize,
    /// The time between two messages of one connection, where they have a schedule.
    period: Option<Duration>,
    /// When the last message is to be sent.
    end: Instant,
}

/// Runs the subcommand.
///
/// # Errors
/// A server that was not reached at all, or did not answer all that it was sent.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = Runtime::new().map_err(|error| Failure::new(Status::NotConnected, error))?;
    let loaded = runtime.block_on(load(arguments));
    runtime.shutdown_background();
    loaded
}

async fn load(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.config();
    let start = Instant::now();
    let plan = Arc::new(Plan {
        message: arguments.message(),
        in_flight: arguments.in_flight.get(),
        period: arguments.message_rate.map(|rate| step(rate, arguments.connections.get())),
        end: start + arguments.duration,
    });
    let (mut tallies, mut tasks) = (Vec::new(), JoinSet::new());
    for url in &arguments.urls {
        let client = arguments.reach.client(url, config.clone())?;
        let tally = Arc::new(Tally::new(url));
        for nth in 0..arguments.connections.get() {
            let begin = start + arguments.rate.map_or(Duration::ZERO, |rate| step(rate, nth));
            // Spread over one period, or all would send at the same moment.
            let offset = plan.period.map(|period| period.mul_f64(nth as f64 / arguments.connections.get() as f64));
            tasks.spawn(connection(client.clone(), plan.clone(), tally.clone(), begin, offset.unwrap_or_default()));
        }
        tallies.push(tally);
    }
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = progress(&tallies, start) => {}
        // What there is by then is told.
        _ = tokio::signal::ctrl_c() => {}
    }
    let seconds = start.elapsed().min(arguments.duration).as_secs_f64();
    let report = if arguments.json { report::json(&tallies, seconds) } else { report::table(&tallies, seconds) };
    // Whether or not anybody reads it.
    _ = print(report.as_bytes());
    judged(&tallies)
}

impl Arguments {
    fn config(&self) -> Config {
        let mut config = Config::default();
        config.limits.message = config.limits.message.max(self.size);
        config.deflate = self.compress.then(|| Deflate { threshold: 0, ..deflate() });
        config
    }

    fn message(&self) -> Message {
        if self.binary {
            // A congruential generator (Knuth's MMIX) is chance enough for what is not to compress.
            let next = |seed: &u64| Some(seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407));
            let bytes = std::iter::successors(Some(1), next).map(|seed| (seed >> 56) as u8);
            return bytes.take(self.size).collect::<Vec<_>>().into();
        }
        const TEXT: &str = "{\"id\":17,\"kind\":\"quote\",\"symbol\":\"ABC\",\"bid\":101.25,\"ask\":101.5} ";
        TEXT.chars().cycle().take(self.size).collect::<String>().into()
    }
}

/// One connection, from its beginning to its end.
async fn connection(client: Client, plan: Arc<Plan>, tally: Arc<Tally>, begin: Instant, offset: Duration) {
    sleep_until(begin).await;
    if begin >= plan.end {
        return;
    }
    let connected = client.connect().await;
    match connected {
        Err(error) => tally.failed(tally::of_connecting(&error)),
        Ok((mut socket, _)) => {
            tally.connected(begin.elapsed());
            let asked = ask(&mut socket, &plan, &tally, Instant::now() + offset).await;
            if let Err(reason) = asked {
                tally.failed(reason);
            } else {
                // How a server takes leave is not what was measured.
                _ = socket.close(1000, "").await;
            }
        }
    }
}

/// Sends messages and takes their answers. `next` is when the first is to be sent.
async fn ask(socket: &mut WebSocket<NetStream>, plan: &Plan, tally: &Tally, mut next: Instant) -> Result<(), String> {
    // When each message that has no answer yet was to be sent.
    let mut asked = VecDeque::with_capacity(plan.in_flight.min(1024));
    loop {
        let now = Instant::now();
        while asked.len() < plan.in_flight {
            let due = if plan.period.is_some() { next } else { now };
            if due > now || due >= plan.end {
                break;
            }
            next = due + plan.period.unwrap_or_default();
            asked.push_back(due);
            tally.sent();
            socket.feed(plan.message.clone()).await.map_err(|error| lost(&error))?;
        }
        let is_over = if plan.period.is_some() { next >= plan.end } else { now >= plan.end };
        if is_over && asked.is_empty() {
            return Ok(());
        }
        // With room for more, the next message may be due before an answer comes.
        let has_room = asked.len() < plan.in_flight && !is_over;
        let wake = if has_room { next } else { plan.end + PATIENCE };
        match timeout_at(wake, socket.recv_with(|message, _| message.as_bytes().len())).await {
            Ok(Ok(Some(len))) => {
                let due = asked.pop_front().ok_or("answer to nothing")?;
                if len != plan.message.len() {
                    return Err("answer of another length".into());
                }
                tally.answered(due.elapsed());
            }
            Ok(Ok(None)) => {
                return Err(socket.peer_close().map_or("closed".into(), |close| format!("closed with {}", close.code)));
            }
            Ok(Err(error)) => return Err(lost(&error)),
            Err(_) if has_room => {}
            Err(_) => {
                let waiting =
                    plan.period.filter(|_| next < plan.end).map_or(0, |period| steps(plan.end - next, period));
                tally.failed_often("not answered", asked.len() as u64);
                tally.failed_often("not sent, as those before were not answered", waiting);
                return Ok(());
            }
        }
    }
}

/// By what a connection was lost, in words that many share.
fn lost(error: &Error) -> String {
    match error {
        Error::Io(error) => error.kind().to_string(),
        error => error.to_string(),
    }
}

/// Says how it goes, once a second, where somebody watches.
async fn progress(tallies: &[Arc<Tally>], start: Instant) {
    let mut second = interval(Duration::from_secs(1));
    if !io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    loop {
        second.tick().await;
        let counts: Vec<_> = tallies.iter().map(|tally| tally.progress()).collect();
        _ = write!(io::stderr(), "\r\x1b[K{:.0} s: {}", start.elapsed().as_secs_f64(), counts.join("; "));
    }
}

/// Whether all went well.
fn judged(tallies: &[Arc<Tally>]) -> Result<(), Failure> {
    if io::stderr().is_terminal() {
        _ = write!(io::stderr(), "\r\x1b[K");
    }
    for tally in tallies {
        if tally.is_unreached() {
            return Err(Failure::new(Status::NotConnected, format!("{}: not reached", tally.url)));
        }
    }
    match tallies.iter().map(|tally| tally.failures()).sum() {
        0 => Ok(()),
        failures => Err(Failure::new(Status::Abnormal, format!("{failures} failures"))),
    }
}

/// The time of so many steps at a rate a second.
fn step(rate: f64, steps: usize) -> Duration {
    Duration::try_from_secs_f64(steps as f64 / rate).unwrap_or(Duration::MAX / 4)
}

/// How many steps of a period begin in a time.
fn steps(time: Duration, period: Duration) -> u64 {
    time.as_nanos().div_ceil(period.as_nanos().max(1)) as u64
}

fn rate(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("it is a number above 0"),
    }
}
