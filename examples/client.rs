//! A WebSocket client for the terminal: lines of standard input go out as messages, messages that come are printed.
//!
//! ```text
//! cargo run --release --example client -- ws://127.0.0.1:9001/
//! ```
//!
//! It shows the two halves of a connection in two threads. `handshake` drives the whole connection until it is open, and
//! `split` parts it. From then on a thread owns the [`Receiver`] and the socket's reading side, and the main thread owns
//! the [`Sender`], the writing side and the clock. What the reader finds comes through a channel; the [`Fact`] in it is
//! all that the sending half needs to answer pings and closes. The channel is short, so a reader whose news nobody takes
//! stops reading.

use bytes::Buf;
use sockless::{
    ClientRequest, Close, Code, Config, Connection, Event, Fact, ProtocolError, Receiver, Response, Seed, SendError,
    Sender, Transport,
};
use std::fmt::Display;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

const HELP: &str = "\
Sends lines of standard input to a WebSocket server, and prints the messages that it sends.

Usage: client [OPTIONS] URL

The URL is a ws:// one; a user and a password in it become basic authorisation. Text is printed as it is, a line for
each message; binary messages as hex after \"hex:\". At the end of standard input the connection is closed with 1000.

Options:
  --header 'NAME: VALUE'  add a header to the request; may be repeated
  --subprotocol NAME      offer a subprotocol; may be repeated, the one liked best first
  --binary                send lines as binary messages
  --ping                  send a ping first, and say on standard error when its answer comes
  --echo N                read no input, but send each message back, and close after N; 0: until the server closes
  --max-message BYTES     refuse longer messages with 1009 [default: 1048576]
  --max-fragments N       refuse messages in more fragments with 1008 [default: 4096]
  --deflate               offer to compress messages
  --deflate-takeover      the same, each message compressed by help of those before it
  --autobahn              be tested by Autobahn's fuzzing server: run each of the cases that URL/getCaseCount counts
  --agent NAME            the name to be tested by [default: sockless]
  --help                  print this

Exit status:
  0  closed normally (1000, 1001 or no code), or all cases have run
  1  closed with another code, or failed
  2  wrong usage
  3  not connected: no TCP connection, or the server refused the handshake
";

/// How long a TCP connection may take; the core's deadlines begin behind it.
const CONNECT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let result = match Options::parse() {
        Ok(Some(options)) if options.autobahn => autobahn(&options),
        Ok(Some(options)) => talk(&options),
        Ok(None) => write!(io::stdout(), "{HELP}").map_err(|error| Failure::new(1, error)),
        Err(error) => Err(Failure::new(2, format!("{error}; see --help"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("client: {}", failure.message);
            ExitCode::from(failure.status)
        }
    }
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
}

struct Options {
    url: String,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    binary: bool,
    ping: bool,
    echo: Option<u64>,
    autobahn: bool,
    agent: String,
    config: Arc<Config>,
}

/// Turns compression on, with or without context takeover.
#[cfg(feature = "deflate")]
fn deflate(config: &mut Config, takeover: bool) -> Result<(), lexopt::Error> {
    let deflate = sockless::Deflate { takeover, peer_takeover: takeover, ..sockless::Deflate::default() };
    // Any window will do for what this end sends, so that a server may name one.
    config.deflate = Some(sockless::Deflate { window_bits: 15, ..deflate });
    Ok(())
}

#[cfg(not(feature = "deflate"))]
fn deflate(_: &mut Config, _: bool) -> Result<(), lexopt::Error> {
    Err("built without compression; it needs `--features deflate`".into())
}

impl Options {
    /// What the arguments say; `None` if they ask for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;
        let mut url = None;
        let mut config = Config::default();
        let mut options = Self {
            url: String::new(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            binary: false,
            ping: false,
            echo: None,
            autobahn: false,
            agent: "sockless".into(),
            config: Arc::default(),
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("header") => options.headers.push(arguments.value()?.parse_with(header)?),
                Long("subprotocol") => options.subprotocols.push(arguments.value()?.string()?),
                Long("binary") => options.binary = true,
                Long("ping") => options.ping = true,
                Long("echo") => options.echo = Some(arguments.value()?.parse()?),
                Long("max-message") => config.limits.message = arguments.value()?.parse()?,
                Long("max-fragments") => config.limits.fragments = arguments.value()?.parse()?,
                Long("deflate") => deflate(&mut config, false)?,
                Long("deflate-takeover") => deflate(&mut config, true)?,
                Long("autobahn") => options.autobahn = true,
                Long("agent") => options.agent = arguments.value()?.string()?,
                Long("help") | Short('h') => return Ok(None),
                Value(value) if url.is_none() => url = Some(value.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        options.url = url.ok_or("a URL is missing")?;
        options.config = Arc::new(config);
        Ok(Some(options))
    }

    /// The request for a URL, with what the options add.
    fn request(&self, url: &str) -> Result<ClientRequest, Failure> {
        let usage = |error: SendError| Failure::new(2, format!("{url}: {error}"));
        let mut request = ClientRequest::new(url).map_err(usage)?;
        if request.is_secure() {
            return Err(Failure::new(2, format!("{url}: wss:// needs TLS, which this example has not; use ws://")));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for name in &self.subprotocols {
            request = request.subprotocol(name);
        }
        request.check().map_err(usage)?;
        Ok(request)
    }
}

fn header(argument: &str) -> Result<(String, String), &'static str> {
    let (name, value) = argument.split_once(':').ok_or("a header has the form 'NAME: VALUE'")?;
    Ok((name.trim().into(), value.trim().into()))
}

// ---- what the program does

/// Connects, and talks until the connection ends: with the user, or as an echo.
fn talk(options: &Options) -> Result<(), Failure> {
    let session = Session::connect(&options.url, options)?;
    let end = match options.echo {
        Some(count) => session.run(echo(count)),
        None => {
            read_lines(session.news.clone());
            session.run(print(options))
        }
    };
    match end.map_err(|error| Failure::new(1, error))? {
        Close { code: Code::NORMAL | Code::AWAY | Code::NO_STATUS, .. } => Ok(()),
        Close { code, reason } if reason.is_empty() => Err(Failure::new(1, format!("closed with {code}"))),
        Close { code, reason } => Err(Failure::new(1, format!("closed with {code}: {reason}"))),
    }
}

/// Runs every case of Autobahn's fuzzing server. Half of them break the protocol, so how they end is its to judge.
fn autobahn(options: &Options) -> Result<(), Failure> {
    let base = options.url.trim_end_matches('/');
    let mut count = None;
    let counting = Session::connect(&format!("{base}/getCaseCount"), options)?.run(|_: &mut Sender, news| {
        if let News::Event(Event::Text(text)) = news {
            count = text.parse::<u32>().ok();
        }
        Ok(())
    });
    counting.map_err(|error| Failure::new(1, error))?;
    let count = count.ok_or_else(|| Failure::new(1, "the server has not said how many cases there are"))?;
    for case in 1..=count {
        let url = format!("{base}/runCase?case={case}&agent={}", options.agent);
        if let Err(error) = Session::connect(&url, options)?.run(echo(0)) {
            eprintln!("case {case}: {error}");
        }
    }
    Ok(())
}

/// Sends messages back, and closes after `count` of them, unless that is 0.
fn echo(count: u64) -> impl FnMut(&mut Sender, News) -> Result<(), SendError> {
    let mut echoed = 0;
    move |sender, news| {
        match news {
            News::Event(Event::Text(text)) => sender.send_text(&text)?,
            News::Event(Event::Binary(bytes)) => sender.send_binary(&bytes)?,
            _ => return Ok(()),
        }
        echoed += 1;
        if echoed == count { sender.close(Code::NORMAL, "") } else { Ok(()) }
    }
}

/// Sends lines and prints messages.
fn print(options: &Options) -> impl FnMut(&mut Sender, News) -> Result<(), SendError> {
    const PING: &[u8] = b"client";
    let Options { binary, ping, .. } = *options;
    let started = Instant::now();
    move |sender, news| {
        let printed = match news {
            News::Open if ping => return sender.ping(PING),
            News::Line(line) if binary => return sender.send_binary(&line),
            News::Line(line) => match str::from_utf8(&line) {
                Ok(text) => return sender.send_text(text),
                Err(_) => writeln!(io::stderr(), "client: not sent, as it is not UTF-8; see --binary"),
            },
            News::EndOfInput => return sender.close(Code::NORMAL, ""),
            News::Event(Event::Text(text)) => writeln!(io::stdout(), "{text}"),
            News::Event(Event::Binary(bytes)) => writeln!(io::stdout(), "hex:{}", hex(&bytes)),
            News::Event(Event::Pong(payload)) if *payload == *PING => {
                writeln!(io::stderr(), "client: pong after {:.1?}", started.elapsed())
            }
            _ => Ok(()),
        };
        // With nobody to print for, there is no reason to stay.
        printed.or_else(|_| sender.close(Code::AWAY, ""))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads lines in a thread of its own, which ends with the program.
fn read_lines(news: SyncSender<News>) {
    thread::spawn(move || {
        let mut lines = io::stdin().lock().split(b'\n');
        while let Some(Ok(mut line)) = lines.next() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if news.send(News::Line(line)).is_err() {
                return;
            }
        }
        _ = news.send(News::EndOfInput);
    });
}

// ---- opening

/// Connects to the first of the host's addresses that answers.
fn connect(request: &ClientRequest) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (request.host(), request.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Drives the connection until it is open; gives the bytes that came behind the response, which are frames already.
fn handshake(connection: &mut Connection, mut stream: &TcpStream, started: Instant) -> Result<Vec<u8>, Failure> {
    let refused = |error: ProtocolError| Failure::new(3, error);
    let broken = |error: io::Error| Failure::new(3, error);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let mut input: &mut [u8] = &mut [];
        let mut event = connection.handle_timeout(started.elapsed()).map_err(refused)?;
        if event.is_none() {
            while connection.wants().write {
                let n = stream.write(connection.outbound().chunk()).map_err(broken)?;
                connection.outbound().advance(n);
            }
            stream.set_read_timeout(patience(connection.poll_timeout(), started)).map_err(broken)?;
            event = match stream.read(&mut buffer) {
                Ok(0) => connection.receive_eof().map_err(refused)?,
                Ok(n) => {
                    input = &mut buffer[..n];
                    connection.receive(&mut input).map_err(refused)?
                }
                Err(error) if is_timeout(&error) => None,
                // A refusal may have come by then.
                Err(error) => Some(connection.receive_eof().ok().flatten().ok_or_else(|| broken(error))?),
            };
        }
        match event {
            Some(Event::Open(response)) => {
                response.subprotocol().inspect(|name| eprintln!("client: the server chose subprotocol {name}"));
                return Ok(input.to_vec());
            }
            Some(Event::Rejected(response)) => return Err(rejected(&response)),
            _ => {}
        }
    }
}

fn rejected(response: &Response<'_>) -> Failure {
    let (status, reason) = (response.status(), response.reason());
    let body = String::from_utf8_lossy(response.body());
    Failure::new(3, format!("the server refused: {status} {reason}\n{body}").trim_end())
}

/// How long to wait: until the next deadline.
fn patience(deadline: Option<Duration>, started: Instant) -> Option<Duration> {
    // To a socket, no time at all means forever.
    Some(deadline?.saturating_sub(started.elapsed()).max(Duration::from_millis(1)))
}

/// Whether it is time to look at the clock, and then to try again.
fn is_timeout(error: &io::Error) -> bool {
    // Systems differ in what they call a timeout of a socket.
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

// ---- the open connection

/// What the main thread is told.
enum News {
    /// The connection is open.
    Open,
    /// By the reader: what the server said, how it broke the protocol, and that nothing more will come.
    Event(Event<'static>),
    Failed(ProtocolError),
    Eof,
    /// By the user.
    Line(Vec<u8>),
    EndOfInput,
}

/// An open connection as the main thread has it.
struct Session {
    sender: Sender,
    stream: TcpStream,
    started: Instant,
    /// Where others tell news, and where they come.
    news: SyncSender<News>,
    inbox: mpsc::Receiver<News>,
    /// How many bytes the reader has heard; deadlines depend on it.
    heard: Arc<AtomicU64>,
    reader: thread::JoinHandle<()>,
    /// How the connection ended, once it is known.
    end: Option<Result<Close<'static>, ProtocolError>>,
}

impl Session {
    fn connect(url: &str, options: &Options) -> Result<Self, Failure> {
        let request = options.request(url)?;
        let failed = |error: io::Error| Failure::new(3, format!("{url}: {error}"));
        let stream = connect(&request).map_err(failed)?;
        // Each write is all that there is to say, so nothing is won by holding it back.
        stream.set_nodelay(true).map_err(failed)?;
        let started = Instant::now();
        let mut connection = Connection::client(&request, options.config.clone(), Seed::random())
            .map_err(|error| Failure::new(2, error))?;
        let rest = handshake(&mut connection, &stream, started)?;
        let (sender, receiver) = connection.split().map_err(|_| Failure::new(1, "connection not open"))?;

        let (news, inbox) = mpsc::sync_channel(16);
        let heard = Arc::new(AtomicU64::new(0));
        let reader = Reader { receiver, news: news.clone(), heard: heard.clone() };
        stream.set_read_timeout(None).map_err(failed)?;
        let reading_side = stream.try_clone().map_err(failed)?;
        let reader = thread::spawn(move || reader.run(reading_side, rest));
        Ok(Self { sender, stream, started, news, inbox, heard, reader, end: None })
    }

    /// Runs the connection to its end, and says how it ended. `on_news` is told everything that happens.
    fn run(
        mut self,
        mut on_news: impl FnMut(&mut Sender, News) -> Result<(), SendError>,
    ) -> Result<Close<'static>, ProtocolError> {
        let mut next = Some(News::Open);
        loop {
            if let Some(news) = next.take() {
                self.handle_facts(&news);
                match on_news(&mut self.sender, news) {
                    // What comes to mind while the connection closes is said too late.
                    Ok(()) | Err(SendError::Closing) => {}
                    Err(error) => eprintln!("client: not sent: {error}"),
                }
            }
            self.handle_timeout();
            self.flush();
            match self.sender.wants().transport {
                Transport::Open => {}
                // If it fails, the server is gone already, which the reader will tell.
                Transport::Shutdown => _ = self.stream.shutdown(Shutdown::Write),
                Transport::Close => break,
            }
            next = self.wait();
        }
        // This wakes the reader, wherever it waits.
        _ = self.stream.shutdown(Shutdown::Both);
        drop(self.inbox);
        _ = self.reader.join();
        self.end.unwrap_or(Err(ProtocolError::UnexpectedEof))
    }

    /// Tells the sending half what the receiving half has found.
    fn handle_facts(&mut self, news: &News) {
        let fact = match news {
            News::Event(event) => event.fact(),
            News::Failed(error) => Some(Fact::from(*error)),
            News::Eof => Some(Fact::Eof),
            _ => None,
        };
        fact.into_iter().for_each(|fact| self.sender.handle_fact(fact));
        match news {
            News::Event(Event::Close(close)) => self.end = Some(Ok(close.clone())),
            News::Failed(error) => self.end = self.end.take().or(Some(Err(*error))),
            _ => {}
        }
    }

    fn handle_timeout(&mut self) {
        let heard = self.heard.load(Ordering::Relaxed);
        if let Err(error) = self.sender.handle_timeout(self.started.elapsed(), heard) {
            self.end = self.end.take().or(Some(Err(error)));
        }
    }

    /// Writes all that is outbound. A server that does not read is waited for until a deadline ends the connection.
    fn flush(&mut self) {
        while self.sender.wants().write {
            let patience = patience(self.sender.poll_timeout(), self.started);
            let written = self.stream.set_write_timeout(patience).and_then(|()| {
                let mut stream = &self.stream;
                stream.write(self.sender.outbound().chunk())
            });
            match written {
                Ok(n) => self.sender.outbound().advance(n),
                Err(error) if is_timeout(&error) => self.handle_timeout(),
                // Nobody reads what we say. What was said to us may still come, and then the end of it.
                Err(_) => {
                    let rest = self.sender.outbound().remaining();
                    self.sender.outbound().advance(rest);
                }
            }
        }
    }

    /// Waits for news until the next deadline.
    fn wait(&self) -> Option<News> {
        match patience(self.sender.poll_timeout(), self.started) {
            Some(patience) => match self.inbox.recv_timeout(patience) {
                Ok(news) => Some(news),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(News::Eof),
            },
            None => Some(self.inbox.recv().unwrap_or(News::Eof)),
        }
    }
}

/// The other thread's part: bytes to news.
struct Reader {
    receiver: Receiver,
    news: SyncSender<News>,
    heard: Arc<AtomicU64>,
}

impl Reader {
    /// Reads to the end of the transport; `rest` was read before.
    fn run(mut self, mut stream: TcpStream, mut rest: Vec<u8>) {
        let mut buffer = vec![0; 64 << 10];
        let mut going = self.tell(&mut rest);
        while going {
            going = match stream.read(&mut buffer) {
                // An abrupt end is one too; whether it came too early, the core knows.
                Ok(0) => return self.tell_end(),
                Ok(n) => self.tell(&mut buffer[..n]),
                Err(error) if is_timeout(&error) => true,
                Err(_) => return self.tell_end(),
            }
        }
    }

    /// Tells what is in the input; false if nobody listens.
    fn tell(&mut self, mut input: &mut [u8]) -> bool {
        loop {
            let result = self.receiver.receive(&mut input);
            self.heard.store(self.receiver.traffic().bytes, Ordering::Relaxed);
            let news = match result {
                Ok(Some(event)) => News::Event(event.into_owned()),
                Ok(None) => return true,
                Err(error) => News::Failed(error),
            };
            if self.news.send(news).is_err() {
                return false;
            }
        }
    }

    fn tell_end(&mut self) {
        if let Err(error) = self.receiver.receive_eof() {
            _ = self.news.send(News::Failed(error));
        }
        _ = self.news.send(News::Eof);
    }
}
