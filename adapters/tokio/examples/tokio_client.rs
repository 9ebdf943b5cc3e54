//! A WebSocket client for the terminal: lines of standard input go out as messages, messages that come are printed.
//!
//! ```text
//! cargo run --release -p sockless-tokio --features webpki-roots --example tokio_client -- ws://127.0.0.1:9001/
//! ```
//!
//! `talk` shows two tasks in one: it waits for what the user types and for what the server says, whichever comes first,
//! and drops the other future, which loses nothing.

use indicatif::{ProgressBar, ProgressStyle};
use sockless_tokio::sockless::{Close, Code, Config, Kind, SendError};
use sockless_tokio::{Client, ConnectError, Error, Event, Message, NetStream, Proxy, Tls, WebSocket};
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

const HELP: &str = "\
Sends lines of standard input to a WebSocket server, and prints the messages that it sends.

Usage: tokio_client [OPTIONS] URL

The URL is a ws:// or wss:// one; a user and a password in it become basic authorisation. Text is printed as it is, a
line for each message; binary messages as hex after \"hex:\". At the end of standard input the connection is closed with
1000.

Options:
  --header 'NAME: VALUE'  add a header to the request; may be repeated
  --subprotocol NAME      offer a subprotocol; may be repeated, the one liked best first
  --proxy URL             connect through a proxy: http, https, socks4, socks4a, socks5 or socks5h
  --proxy-from-env        connect through those that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name
  --root FILE             trust the certificates of this PEM file, and no others
  --http2                 connect by HTTP/2, and not by HTTP/1.1
  --redirects N           follow so many redirects [default: 0]
  --binary                send lines as binary messages
  --ping                  send a ping first, and say on standard error when its answer comes
  --send FILE             read no input, but send this file as one binary message, with a progress bar, and close
  --save FILE             read no input, but write the first message to this file as it comes, with a progress bar, and
                          close
  --echo N                read no input, but send each message back, and close after N; 0: until the server closes
  --max-message BYTES     refuse longer messages with 1009 [default: 1048576]
  --max-fragments N       refuse messages in more fragments with 1008 [default: 4096]
  --deflate               offer to compress messages
  --deflate-takeover      the same, each message compressed by help of those before it
  --autobahn              be tested by Autobahn's fuzzing server: run each of the cases that URL/getCaseCount counts
  --agent NAME            the name to be tested by [default: sockless-tokio]
  --help                  print this

Exit status:
  0  closed normally (1000, 1001 or no code), or all cases have run
  1  closed with another code, or failed
  2  wrong usage
  3  not connected: no TCP or TLS connection, or the server refused the handshake
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Options::parse() {
        Ok(None) => {
            print!("{HELP}");
            Ok(())
        }
        Ok(Some(options)) => run(options).await,
        Err(error) => Err(Failure::new(2, format!("{error}; see --help"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tokio_client: {}", failure.message);
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(1, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(1, error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Request(_) => Self::new(2, error),
            ConnectError::Rejected(response) => {
                let body = String::from_utf8_lossy(response.body());
                let text = format!("the server refused: {} {}\n{body}", response.status(), response.reason());
                Self::new(3, text.trim_end())
            }
            error => Self::new(3, error),
        }
    }
}

/// What the program does.
enum Task {
    Talk { binary: bool, ping: bool },
    Send(PathBuf),
    Save(PathBuf),
    Echo(u64),
    Autobahn { agent: String },
}

struct Options {
    url: String,
    client: Client,
    task: Task,
}

impl Options {
    /// What the arguments say; `None` if they ask for help.
    fn parse() -> Result<Option<Self>, Box<dyn std::error::Error>> {
        use lexopt::prelude::*;
        let mut url = None;
        let mut config = Config::default();
        let mut client = Client::new("");
        let (mut binary, mut ping, mut autobahn, mut agent) = (false, false, false, "sockless-tokio".to_owned());
        let mut task = None;
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("header") => {
                    let header = arguments.value()?.string()?;
                    let (name, value) = header.split_once(':').ok_or("a header has the form 'NAME: VALUE'")?;
                    client = client.header(name.trim(), value.trim());
                }
                Long("subprotocol") => client = client.subprotocol(&arguments.value()?.string()?),
                Long("proxy") => client = client.proxy(Proxy::new(&arguments.value()?.string()?)?),
                Long("proxy-from-env") => client = client.proxy(Proxy::from_env()?),
                Long("root") => client = client.tls(Tls::trusting(arguments.value()?)?),
                Long("http2") => client = http2(client)?,
                Long("redirects") => client = client.redirects(arguments.value()?.parse()?),
                Long("binary") => binary = true,
                Long("ping") => ping = true,
                Long("send") => task = Some(Task::Send(arguments.value()?.into())),
                Long("save") => task = Some(Task::Save(arguments.value()?.into())),
                Long("echo") => task = Some(Task::Echo(arguments.value()?.parse()?)),
                Long("max-message") => config.limits.message = arguments.value()?.parse()?,
                Long("max-fragments") => config.limits.fragments = arguments.value()?.parse()?,
                Long("deflate") => deflate(&mut config, false)?,
                Long("deflate-takeover") => deflate(&mut config, true)?,
                Long("autobahn") => autobahn = true,
                Long("agent") => agent = arguments.value()?.string()?,
                Long("help") | Short('h') => return Ok(None),
                Value(value) if url.is_none() => url = Some(value.string()?),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let url = url.ok_or("a URL is missing")?;
        let task = if autobahn { Task::Autobahn { agent } } else { task.unwrap_or(Task::Talk { binary, ping }) };
        let client = client.config(Arc::new(config)).url(&url);
        Ok(Some(Self { url, client, task }))
    }
}

/// Turns compression on, with or without context takeover.
#[cfg(feature = "deflate")]
fn deflate(config: &mut Config, takeover: bool) -> Result<(), Box<dyn std::error::Error>> {
    use sockless_tokio::sockless::Deflate;
    // Any window will do for what this end sends, so that a server may name one.
    let deflate = Deflate { takeover, peer_takeover: takeover, window_bits: 15, ..Deflate::default() };
    config.deflate = Some(deflate);
    Ok(())
}

#[cfg(not(feature = "deflate"))]
fn deflate(_: &mut Config, _: bool) -> Result<(), Box<dyn std::error::Error>> {
    Err("built without compression; it needs `--features deflate`".into())
}

#[cfg(feature = "http2")]
fn http2(client: Client) -> Result<Client, Box<dyn std::error::Error>> {
    Ok(client.http2_only())
}

#[cfg(not(feature = "http2"))]
fn http2(_: Client) -> Result<Client, Box<dyn std::error::Error>> {
    Err("built without HTTP/2; it needs `--features http2`".into())
}

async fn run(Options { url, client, task }: Options) -> Result<(), Failure> {
    if let Task::Autobahn { agent } = task {
        return autobahn(&client, url.trim_end_matches('/'), &agent).await;
    }
    let (mut socket, response) = client.connect().await?;
    if let Some(name) = response.subprotocol() {
        eprintln!("tokio_client: the server chose subprotocol {name}");
    }
    match task {
        Task::Talk { binary, ping } => talk(&mut socket, binary, ping).await?,
        Task::Send(file) => send(&mut socket, file).await?,
        Task::Save(file) => save(&mut socket, file).await?,
        Task::Echo(count) => echo(&mut socket, count).await?,
        Task::Autobahn { .. } => {}
    }
    match socket.peer_close() {
        Some(Close { code: Code::NORMAL | Code::AWAY | Code::NO_STATUS, .. }) | None => Ok(()),
        Some(Close { code, reason }) if reason.is_empty() => Err(Failure::new(1, format!("closed with {code}"))),
        Some(Close { code, reason }) => Err(Failure::new(1, format!("closed with {code}: {reason}"))),
    }
}

/// Sends lines and prints messages.
async fn talk(socket: &mut WebSocket<NetStream>, binary: bool, ping: bool) -> Result<(), Failure> {
    const PING: &[u8] = b"client";
    let started = Instant::now();
    if ping {
        socket.ping(PING).await?;
    }
    let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
    let mut typing = true;
    loop {
        let event = tokio::select! {
            event = socket.recv_event() => event?,
            line = lines.next_segment(), if typing => {
                match line? {
                    Some(line) => say(socket, line, binary).await?,
                    None => {
                        typing = false;
                        // What the server still says is printed, up to its own close.
                        socket.start_close(Code::NORMAL, "")?;
                    }
                }
                continue;
            }
        };
        let printed = match event {
            None => return Ok(()),
            Some(Event::Message(Message::Text(text))) => writeln!(std::io::stdout(), "{text}"),
            Some(Event::Message(message)) => writeln!(std::io::stdout(), "hex:{}", hex(message.as_bytes())),
            Some(Event::Pong(payload)) if payload == PING => {
                writeln!(std::io::stderr(), "tokio_client: pong after {:.1?}", started.elapsed())
            }
            Some(_) => Ok(()),
        };
        if printed.is_err() {
            // With nobody to print for, there is no reason to stay.
            return Ok(socket.close(Code::AWAY, "").await?);
        }
    }
}

async fn say(socket: &mut WebSocket<NetStream>, mut line: Vec<u8>, binary: bool) -> Result<(), Failure> {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    let sent = match String::from_utf8(line) {
        Ok(text) if !binary => socket.send(text).await,
        Ok(text) => socket.send(text.into_bytes()).await,
        Err(error) if binary => socket.send(error.into_bytes()).await,
        Err(_) => {
            eprintln!("tokio_client: not sent, as it is not UTF-8; see --binary");
            Ok(())
        }
    };
    match sent {
        // What comes to mind while the connection closes is said too late.
        Err(Error::Send(SendError::Closing)) => Ok(()),
        sent => Ok(sent?),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends a file as one message, in fragments, so that it is never held as a whole.
async fn send(socket: &mut WebSocket<NetStream>, file: PathBuf) -> Result<(), Failure> {
    let mut file = tokio::fs::File::open(file).await?;
    let bar = progress(file.metadata().await?.len());
    let mut buffer = vec![0; 64 << 10];
    let mut message = socket.writer(Kind::Binary);
    loop {
        let n = file.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        message.write(&buffer[..n]).await?;
        bar.inc(n as u64);
    }
    message.finish().await?;
    bar.finish();
    Ok(socket.close(Code::NORMAL, "").await?)
}

/// Writes a message to a file as it comes.
async fn save(socket: &mut WebSocket<NetStream>, file: PathBuf) -> Result<(), Failure> {
    let mut file = tokio::fs::File::create(file).await?;
    // How long it will get is not known: it may come in fragments.
    let bar = progress(0);
    while let Some(piece) = socket.recv_piece().await? {
        file.write_all(piece.data.as_bytes()).await?;
        bar.inc(piece.data.as_bytes().len() as u64);
        if piece.last {
            break;
        }
    }
    file.flush().await?;
    bar.finish();
    Ok(socket.close(Code::NORMAL, "").await?)
}

/// A progress bar on standard error, or where the length is not known, a counter; nothing where that is no terminal.
fn progress(len: u64) -> ProgressBar {
    let style = match len {
        0 => "{bytes} {bytes_per_sec} {elapsed}",
        _ => "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    };
    let bar = if len == 0 { ProgressBar::no_length() } else { ProgressBar::new(len) };
    ProgressStyle::with_template(style).map_or(bar.clone(), |style| bar.with_style(style))
}

/// Sends messages back, and closes after `count` of them, unless that is 0.
async fn echo(socket: &mut WebSocket<NetStream>, count: u64) -> Result<(), Error> {
    let mut echoed = 0;
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
        echoed += 1;
        if echoed == count {
            return socket.close(Code::NORMAL, "").await;
        }
    }
    Ok(())
}

/// Runs every case of Autobahn's fuzzing server. Half of them break the protocol, so how they end is its to judge.
async fn autobahn(client: &Client, base: &str, agent: &str) -> Result<(), Failure> {
    let (mut socket, _) = client.clone().url(&format!("{base}/getCaseCount")).connect().await?;
    let mut count = None;
    while let Some(message) = socket.recv().await? {
        count = message.as_text().and_then(|text| text.parse::<u32>().ok());
    }
    let count = count.ok_or_else(|| Failure::new(1, "the server has not said how many cases there are"))?;
    for case in 1..=count {
        let (mut socket, _) =
            client.clone().url(&format!("{base}/runCase?case={case}&agent={agent}")).connect().await?;
        if let Err(error) = echo(&mut socket, 0).await {
            eprintln!("case {case}: {error}");
        }
    }
    Ok(())
}
