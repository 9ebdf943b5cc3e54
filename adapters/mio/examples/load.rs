//! A load generator: many connections of the event-loop client, each with some messages under way.
//!
//! ```text
//! cargo run --release -p sockless-mio --example load -- --connections 100 ws://127.0.0.1:9001/
//! ```

use hdrhistogram::Histogram;
use sockless_mio::{ClientRequest, Closed, Conn, Error, Handler, Message, Prepared, Server, Tls};
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const HELP: &str = "\
Sends messages to an echo server, and measures how many come back and when.

Usage: load [OPTIONS] URL

Options:
  --connections N    connections [default: 100]
  --pipeline N       messages under way in each [default: 1]
  --size BYTES       payload of a message [default: 16]
  --text             text instead of binary
  --duration SECONDS time to measure, after all are open [default: 10]
  --workers N        threads [default: 1]
  --trust FILE       for wss, the authorities to trust, in PEM [default: those of Mozilla]
  --help             print this
";

struct Load {
    message: Prepared,
    pipeline: usize,
    open: AtomicU64,
    failed: AtomicU64,
    wrong: AtomicU64,
    messages: AtomicU64,
    measuring: AtomicBool,
    stopping: AtomicBool,
    latencies: Mutex<Histogram<u64>>,
}

/// A connection: when each message under way was sent, and latencies that are not in the common table yet.
#[derive(Default)]
struct Lane {
    sent: VecDeque<Instant>,
    latencies: Vec<u64>,
}

impl Load {
    fn send(&self, conn: &mut Conn<'_, Lane>) {
        if conn.send_prepared(&self.message).is_ok() {
            conn.state_mut().sent.push_back(Instant::now());
        }
    }

    fn keep(&self, lane: &mut Lane) {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        for latency in lane.latencies.drain(..) {
            latencies.saturating_record(latency);
        }
    }
}

/// The handler is shared with the one who reads its figures.
struct Shared(Arc<Load>);

impl Handler for Shared {
    type State = Lane;

    fn on_open(&self, conn: &mut Conn<'_, Lane>) {
        self.0.open.fetch_add(1, Relaxed);
        for _ in 0..self.0.pipeline {
            self.0.send(conn);
        }
    }

    fn on_message(&self, conn: &mut Conn<'_, Lane>, message: Message<'_>) -> Result<(), Error> {
        let load = &self.0;
        if message.as_bytes() != load.message.payload() || message.kind() != load.message.kind() {
            load.wrong.fetch_add(1, Relaxed);
        }
        let lane = conn.state_mut();
        if let Some(sent) = lane.sent.pop_front()
            && load.measuring.load(Relaxed)
        {
            load.messages.fetch_add(1, Relaxed);
            lane.latencies.push(sent.elapsed().as_nanos() as u64);
            if lane.latencies.len() >= 256 {
                load.keep(lane);
            }
        }
        if !load.stopping.load(Relaxed) {
            load.send(conn);
        }
        Ok(())
    }

    fn on_close(&self, conn: &mut Conn<'_, Lane>, closed: Closed) {
        self.0.keep(conn.state_mut());
        if let Some(error) = closed.error
            && !self.0.stopping.load(Relaxed)
            && self.0.failed.fetch_add(1, Relaxed) == 0
        {
            eprintln!("load: {error}");
        }
    }
}

struct Options {
    url: String,
    connections: u64,
    pipeline: usize,
    size: usize,
    text: bool,
    duration: Duration,
    workers: usize,
    trust: Option<std::ffi::OsString>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("load: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(options: &Options) -> Result<bool, Error> {
    let payload: String = ('a'..='z').cycle().take(options.size).collect();
    let load = Arc::new(Load {
        message: if options.text { Prepared::text(&payload) } else { Prepared::binary(payload.as_bytes()) },
        pipeline: options.pipeline,
        open: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        wrong: AtomicU64::new(0),
        messages: AtomicU64::new(0),
        measuring: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        // In nanoseconds, up to a minute: what is longer counts as that.
        latencies: Mutex::new(Histogram::new_with_max(60_000_000_000, 3)?),
    });
    let mut config = sockless_mio::Config::default();
    config.limits.message = config.limits.message.max(options.size);
    let mut builder = Server::builder().workers(options.workers).config(config);
    if let Some(file) = &options.trust {
        builder = builder.client_tls(Tls::trusting(file)?);
    }
    let clients = builder.bind(Shared(load.clone()))?.start()?;
    let request = ClientRequest::new(&options.url)?;
    for number in 0..options.connections {
        clients.handle().connect(&request, |_| {})?;
        // No more at once than a backlog takes.
        while number + 1 - load.open.load(Relaxed) - load.failed.load(Relaxed) > 100 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let opened = wait_for_all(&load, options.connections);
    println!("{opened} of {} connections open", options.connections);
    load.measuring.store(true, Relaxed);
    let started = Instant::now();
    let (mut before, mut second) = (0, Duration::ZERO);
    while started.elapsed() < options.duration {
        thread::sleep((second + Duration::from_secs(1)).min(options.duration).saturating_sub(started.elapsed()));
        let messages = load.messages.load(Relaxed);
        let elapsed = started.elapsed();
        let rate = (messages - before) as f64 / (elapsed - second).as_secs_f64();
        println!("{:>5.1} s  {rate:>10.0} messages/s", elapsed.as_secs_f64());
        (before, second) = (messages, elapsed);
    }
    load.measuring.store(false, Relaxed);
    let elapsed = started.elapsed();
    load.stopping.store(true, Relaxed);
    clients.handle().shutdown(Duration::from_secs(5))?;
    clients.join();

    let (messages, wrong, failed) = (load.messages.load(Relaxed), load.wrong.load(Relaxed), load.failed.load(Relaxed));
    println!("{:.0} messages/s, {messages} in {:.1} s", messages as f64 / elapsed.as_secs_f64(), elapsed.as_secs_f64());
    let latencies = load.latencies.lock().unwrap_or_else(PoisonError::into_inner);
    for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
        let latency = Duration::from_nanos(latencies.value_at_quantile(quantile));
        println!("{:>5.1} %  within {latency:.1?}", quantile * 100.0);
    }
    println!("{failed} connections failed, {wrong} messages were wrong");
    Ok(failed == 0 && wrong == 0 && opened == options.connections && messages > 0)
}

/// How many are open when all are, or half a minute later.
fn wait_for_all(load: &Load, connections: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(30);
    while load.open.load(Relaxed) + load.failed.load(Relaxed) < connections && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    load.open.load(Relaxed)
}

/// What the arguments ask for; `None` if they ask for help.
fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut url = None;
    let mut options = Options {
        url: String::new(),
        connections: 100,
        pipeline: 1,
        size: 16,
        text: false,
        duration: Duration::from_secs(10),
        workers: 1,
        trust: None,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("connections") => options.connections = arguments.value()?.parse()?,
            Long("pipeline") => options.pipeline = arguments.value()?.parse()?,
            Long("size") => options.size = arguments.value()?.parse()?,
            Long("text") => options.text = true,
            Long("duration") => {
                let seconds = arguments.value()?.parse_with(|text| text.parse().map(Duration::try_from_secs_f64))?;
                options.duration = seconds.map_err(|error| lexopt::Error::Custom(error.into()))?;
            }
            Long("workers") => options.workers = arguments.value()?.parse()?,
            Long("trust") => options.trust = Some(arguments.value()?),
            Long("help") | Short('h') => return Ok(None),
            Value(value) if url.is_none() => url = Some(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    options.url = url.ok_or("a URL is missing")?;
    Ok(Some(options))
}
