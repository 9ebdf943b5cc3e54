//! `sockless load`: many connections to servers that echo, and how long their answers take.

mod asking;
mod report;
mod tally;
mod timed;

use crate::client::{Reach, deflate, seconds};
use crate::status::{Failure, Status};
use crate::stdout::print;
use asking::{Asking, Plan, Stop, lost};
use clap::Args;
use sockless::{Deflate, Message, Role, Seed, SharedConfig};
use sockless_tokio::{Client, Config, NetStream, OtherStream, WebSocket};
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use timed::{ReadAt, Timed};
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
    let config = SharedConfig::from(arguments.config());
    let start = Instant::now();
    let plan = Arc::new(Plan {
        config: config.clone(),
        message: arguments.message(),
        in_flight: arguments.in_flight.get(),
        period: arguments.message_rate.map(|rate| step(rate, arguments.connections.get())),
        start,
        end: arguments.duration,
    });
    let (mut tallies, mut tasks) = (Vec::new(), JoinSet::new());
    for url in &arguments.urls {
        let client = arguments.reach.client(url, config.clone())?;
        let tally = Arc::new(Tally::new(url));
        for nth in 0..arguments.connections.get() {
            let begin = arguments.rate.map_or(Duration::ZERO, |rate| step(rate, nth));
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
        _ = tokio::signal::ctrl_c() => tasks.shutdown().await,
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
        // Of an answer the length is looked at, and no more.
        config.check_utf8 = false;
        // What waits to be sent is bounded by what is in flight. Who waited to send would not read, as the server may not either.
        (config.outbound.soft, config.outbound.hard) = (usize::MAX, usize::MAX);
        config.deflate = self.compress.then(|| Deflate { threshold: 0, ..deflate() });
        config
    }

    fn message(&self) -> Message<'static> {
        if self.binary {
            // A congruential generator (Knuth's MMIX) is chance enough for what is not to compress.
            let next = |seed: &u64| Some(seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407));
            let bytes = std::iter::successors(Some(1), next).map(|seed| (seed >> 56) as u8);
            return Message::binary(bytes.take(self.size).collect::<Vec<_>>());
        }
        const TEXT: &str = "{\"id\":17,\"kind\":\"quote\",\"symbol\":\"ABC\",\"bid\":101.25,\"ask\":101.5} ";
        Message::text(TEXT.chars().cycle().take(self.size).collect::<String>())
    }
}

/// One connection, from its beginning to its end.
async fn connection(client: Client, plan: Arc<Plan>, tally: Arc<Tally>, begin: Duration, offset: Duration) {
    if begin >= plan.end {
        return;
    }
    sleep_until(plan.start + begin).await;
    let connected = client.connect().await;
    match connected {
        Err(error) => tally.failed(tally::of_connecting(&error)),
        Ok((socket, _)) => {
            let now = plan.start.elapsed();
            tally.connected(now - begin);
            let asked = match timed(socket, &plan) {
                Ok((mut socket, read_at)) => ask(&mut socket, Asking::new(&plan, &tally, read_at, now + offset)).await,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = asked {
                tally.failed(reason);
            }
        }
    }
}

/// The connection, which has just been opened, over a stream that is timed.
fn timed(socket: WebSocket<NetStream>, plan: &Plan) -> Result<(WebSocket<NetStream>, ReadAt), String> {
    let negotiated = socket.negotiated();
    let (stream, rest) = socket.into_inner().map_err(|_| asking::UNASKED)?;
    let (stream, read_at) = Timed::new(stream, plan.start);
    // As a stream of the same kind: for another, all that is generic would be built again.
    let stream = NetStream::from(OtherStream::new(stream));
    let socket = WebSocket::open(stream, Role::Client, negotiated, plan.config.clone(), Seed::random(), &rest);
    Ok((socket, read_at))
}

/// Sends messages and takes their answers, and closes then.
async fn ask(socket: &mut WebSocket<NetStream>, mut asking: Asking<'_>) -> Result<(), String> {
    let plan = asking.plan;
    loop {
        let now = plan.start.elapsed();
        while asking.begins(now) {
            socket.feed(Message::from(&plan.message)).await.map_err(|error| lost(&error))?;
        }
        let Some(wake) = asking.wake(now) else { break };
        let answers = socket.recv_each(|answer, requests| asking.answered(&answer, requests, wake));
        match timeout_at(plan.start + wake, answers).await {
            Ok(Err(Stop::Wake)) => {}
            Ok(Err(Stop::Failed(reason))) => return Err(reason),
            Ok(Ok(())) => {
                return Err(socket.peer_close().map_or("closed".into(), |close| format!("closed with {}", close.code)));
            }
            Err(_) if wake < plan.end => {}
            Err(_) => {
                asking.give_up();
                break;
            }
        }
    }
    // How a server takes leave is not what was measured.
    _ = socket.close(1000, "").await;
    Ok(())
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

fn rate(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("it is a number above 0"),
    }
}
