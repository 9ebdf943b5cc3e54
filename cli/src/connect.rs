//! `sockless connect`: standard input to a server, and what that says to standard output.

use crate::client::{Reach, Taking, seconds};
use crate::input;
use crate::output::{Coding, Printer, Told, said};
use crate::status::{Failure, Status};
use crate::terminal::{self, Terminal};
use clap::Args;
use sockless_tokio::sockless::driver::{Change, Reconnect};
use sockless_tokio::sockless::handshake::{deflate as extension, write_request};
use sockless_tokio::{
    Backoff, Client, ClientRequest, Close, Code, Config, Error, Event, Message, NetStream, Sender, WebSocket,
};
use std::future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::WriteHalf;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep};

/// Connects: lines of standard input go out as messages, and messages that come are printed, a line each
///
/// The end of standard input closes the connection with 1000. Messages are printed on standard output, all else on standard
/// error; binary ones as hex behind "hex:".
#[derive(Args)]
pub(crate) struct Arguments {
    /// A ws:// or wss:// URL; a user and a password in it become basic authorisation
    url: String,
    /// Takes standard input as bytes, sent in binary messages as they are read, and writes the bytes of messages alone
    #[arg(long, group = "coding")]
    binary: bool,
    /// Takes lines as hex of binary messages, and prints all messages so
    #[arg(long, group = "coding")]
    hex: bool,
    /// Takes lines as base64 of binary messages, and prints all messages so
    #[arg(long, group = "coding")]
    base64: bool,
    /// Prints a JSON object for all that happens, a line each, with its "time" in milliseconds since 1970
    #[arg(long, conflicts_with = "binary")]
    json: bool,
    /// Sets out messages that are JSON over several lines
    #[arg(long, conflicts_with_all = ["binary", "hex", "base64", "json"])]
    pretty: bool,
    /// Keeps the history of what is typed at a terminal in this file, and not in memory alone
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Shows the heads of request and response, what was agreed on, and what else happens
    #[arg(short, long)]
    verbose: bool,
    /// Sends a ping so often, and shows how long its answer took
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    ping: Option<Duration>,
    /// Ends after the first message
    #[arg(long)]
    once: bool,
    /// Stays so long after the end of standard input; with --once, waits no longer than that for the message, once it is connected
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
    /// Connects again when the connection could not be made, or is lost
    #[arg(long)]
    reconnect: bool,
    #[command(flatten)]
    taking: Taking,
    #[command(flatten)]
    reach: Reach,
}

impl Arguments {
    fn coding(&self) -> Coding {
        match () {
            () if self.binary => Coding::Bytes,
            () if self.hex => Coding::Hex,
            () if self.base64 => Coding::Base64,
            () => Coding::Text,
        }
    }
}

impl Arguments {
    /// Where messages come from: a terminal, where lines can be edited at it, above which is then printed; or standard input as
    /// it is.
    fn input(&self, printer: &mut Printer) -> Result<(Receiver<Message>, Option<Rc<Terminal>>), Failure> {
        let plain = || Ok((input::messages(self.coding()), None));
        if self.json || self.binary || !terminal::is_there() {
            return plain();
        }
        match Terminal::open(self.coding(), self.history.as_deref()) {
            Ok((input, terminal)) => {
                let terminal = Rc::new(terminal);
                let above = terminal.clone();
                printer.above = Some(Box::new(move |lines| above.print(lines)));
                Ok((input, Some(terminal)))
            }
            Err(error) if self.history.is_some() => Err(Failure::usage(format!("the history cannot be kept: {error}"))),
            // A terminal of few abilities.
            Err(_) => plain(),
        }
    }
}

/// How a connection ended.
struct Ended {
    close: Option<Close<'static>>,
    error: Option<Error>,
    /// Whether it was this end that had enough.
    ours: bool,
    /// Whether it has done what was asked, however it ended.
    done: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// Why it did not end well.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut printer = Printer::new(arguments.coding(), arguments.json, arguments.verbose);
    printer.pretty = arguments.pretty;
    let (input, terminal) = arguments.input(&mut printer)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Status::NotConnected, error))?;
    let ended = runtime.block_on(async {
        let ended = stay(arguments, &printer, input, terminal.as_deref()).await;
        _ = ended.as_ref().inspect_err(|failure| _ = printer.tell(&Told::Lost(&failure.message, None)));
        printer.outlet.end().await;
        ended
    });
    // A name that is still looked up is nobody's concern.
    runtime.shutdown_background();
    ended
}

/// Connects, and again if that is asked for.
async fn stay(
    arguments: &Arguments,
    printer: &Printer,
    mut input: Receiver<Message>,
    terminal: Option<&Terminal>,
) -> Result<(), Failure> {
    let client = arguments.reach.client(&arguments.url, arguments.taking.config())?;
    let (client, request) = watched(client);
    let mut link =
        Reconnect::<()>::new(Backoff { attempts: (!arguments.reconnect).then_some(1), ..Backoff::default() });
    let started = Instant::now();
    loop {
        let state = |word| terminal.inspect(|terminal| terminal.status.state(word));
        state("dial");
        let connected = tokio::select! {
            connected = client.connect() => connected,
            () = interrupted(terminal) => return Ok(()),
        };
        if let Some(request) = request.lock().unwrap_or_else(PoisonError::into_inner).take() {
            _ = printer.tell(&Told::Request(&head(request, &arguments.taking.config())));
        }
        let (reason, wait) = match connected {
            Err(error) => {
                let failure = link.failed(error, started.elapsed(), chance())?;
                let Change::Failed(error, wait) = failure else { continue };
                (error.to_string(), Some(wait))
            }
            Ok((socket, response)) => {
                link.connected(started.elapsed());
                // Before it is told, for that draws it.
                state("open");
                let told = printer.tell(&Told::Open(&arguments.url, &response, socket.negotiated()));
                if told.is_err() {
                    return Ok(());
                }
                let ended = talk(socket, arguments, printer, &mut input, terminal).await;
                state("lost");
                if ended.ours || !arguments.reconnect {
                    return judged(&ended, arguments.once);
                }
                let reason = ended.reason();
                let lost = link.lost(ended.close, ended.error, started.elapsed(), chance());
                let Change::Lost { wait, .. } = lost else { continue };
                (reason, wait)
            }
        };
        if printer.tell(&Told::Lost(&reason, wait)).is_err() {
            return Ok(());
        }
        tokio::select! {
            () = sleep(wait.unwrap_or_default()) => {}
            () = interrupted(terminal) => return Ok(()),
            () = printer.outlet.unread() => return Ok(()),
        }
    }
}

/// Sends what is read and prints what comes, to the end of the connection.
async fn talk(
    socket: WebSocket<NetStream>,
    arguments: &Arguments,
    printer: &Printer,
    input: &mut Receiver<Message>,
    terminal: Option<&Terminal>,
) -> Ended {
    let (sender, mut receiver) = socket.split();
    let mut typing = pin!(typed(&sender, input, arguments.wait, terminal));
    let mut pinging = pin!(ping(&sender, arguments.ping, printer));
    // What this end has had enough by; from there on nothing more is sent or printed.
    let (mut typed, mut enough, mut done) = (false, false, false);
    let error = loop {
        // What is not printed needs no room.
        let event = async {
            if !enough {
                printer.outlet.room().await;
            }
            receiver.recv_event().await
        };
        let told = tokio::select! {
            event = event => match event {
                Ok(None) => break None,
                Err(error) => break Some(error),
                Ok(Some(_)) if enough => continue,
                Ok(Some(event)) => {
                    if let (Event::Message(message), Some(terminal)) = (&event, terminal) {
                        terminal.status.received(message.len());
                    }
                    let told = print(&event, printer);
                    done |= arguments.once && matches!(event, Event::Message(_));
                    told
                }
            },
            () = &mut typing, if !typed && !enough => {
                typed = true;
                Ok(())
            }
            error = &mut pinging, if !enough => Err(error),
            () = printer.outlet.unread(), if !enough => Err(io::ErrorKind::BrokenPipe.into()),
            () = interrupted(terminal) => {
                // Who asks twice does not wait for the peer's answer.
                if enough {
                    break None;
                }
                (enough, done) = (true, true);
                drop(sender.close(Code::NORMAL, ""));
                Ok(())
            }
        };
        if !enough && (done || told.is_err()) {
            // Nobody reads on: that is how others end a pipe, and no fault.
            (enough, done) = (true, true);
            drop(sender.close(if told.is_err() { Code::AWAY } else { Code::NORMAL }, ""));
        }
    };
    Ended { close: receiver.peer_close().cloned(), error, ours: typed || enough, done }
}

fn print(event: &Event, printer: &Printer) -> io::Result<()> {
    match event {
        Event::Message(message) => printer.tell(&Told::Message(message)),
        Event::Ping(payload) => printer.tell(&Told::Ping(payload)),
        Event::Pong(payload) => printer.tell(&Told::Pong(payload)),
        Event::Close(close) => printer.tell(&Told::Closed(close)),
        _ => Ok(()),
    }
}

/// Sends what is read, and closes behind it. That the connection ends is for the receiver to tell.
async fn typed(
    sender: &Sender<WriteHalf<NetStream>>,
    input: &mut Receiver<Message>,
    wait: Option<Duration>,
    terminal: Option<&Terminal>,
) {
    while let Some(message) = input.recv().await {
        if let Some(terminal) = terminal {
            terminal.status.sent(message.len());
        }
        if sender.send(message).await.is_err() {
            return future::pending().await;
        }
    }
    sleep(wait.unwrap_or_default()).await;
    _ = sender.close(Code::NORMAL, "").await;
}

/// Waits for Ctrl-C.
async fn interrupted(terminal: Option<&Terminal>) {
    let typed = async {
        match terminal {
            Some(terminal) => terminal.interrupted.notified().await,
            None => future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = typed => {}
    }
}

/// Sends pings until nobody reads how long they took.
async fn ping(sender: &Sender<WriteHalf<NetStream>>, every: Option<Duration>, printer: &Printer) -> io::Error {
    let Some(every) = every else { return future::pending().await };
    loop {
        sleep(every).await;
        let Ok(time) = sender.round_trip().await else { return future::pending().await };
        if let Err(error) = printer.tell(&Told::RoundTrip(time)) {
            return error;
        }
    }
}

impl Ended {
    fn reason(&self) -> String {
        match (&self.error, &self.close) {
            (Some(error), _) => error.to_string(),
            (None, Some(close)) => said(close),
            (None, None) => "closed".into(),
        }
    }
}

/// Whether a connection ended as it should.
fn judged(ended: &Ended, once: bool) -> Result<(), Failure> {
    let normal = [Code::NORMAL, Code::AWAY, Code::NO_STATUS];
    match ended {
        Ended { done: true, .. } => Ok(()),
        Ended { error: None, close, .. } if close.as_ref().is_none_or(|close| normal.contains(&close.code)) => {
            match once {
                true => Err(Failure::new(Status::NoMessage, "no message came")),
                false => Ok(()),
            }
        }
        ended => Err(Failure::new(Status::Abnormal, ended.reason())),
    }
}

/// Where the latest request of a client is put.
type Seen = Arc<Mutex<Option<ClientRequest>>>;

/// A client whose requests can be seen.
fn watched(client: Client) -> (Client, Seen) {
    let seen = Seen::default();
    let put = seen.clone();
    let client = client.adjust(move |request| {
        *put.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.clone());
        request
    });
    (client, seen)
}

/// The head of a request, but for its key, which is drawn when it is sent.
fn head(mut request: ClientRequest, config: &Config) -> String {
    if let Some(deflate) = &config.deflate {
        request = request.with_extensions(&extension::offer(deflate));
    }
    let mut head = Vec::new();
    _ = write_request(&request, &[0; 16], &mut head);
    String::from_utf8_lossy(&head).replace("AAAAAAAAAAAAAAAAAAAAAA==", "(random)")
}

/// A number by which clients that fail together don't come back together.
fn chance() -> u32 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), ()) as u32
}
