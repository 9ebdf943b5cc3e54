//! `sockless record`: a tape of a connection of its own, or of one that it relays.

mod relay;

use crate::client::{Reach, Taking, seconds};
use crate::input;
use crate::output::{Coding, Printer, Told};
use crate::reel::Reel;
use crate::status::{Failure, Status};
use clap::Args;
use sockless::testing::tape::Recorder;
use sockless::{ClientRequest, Event, ProtocolError, Seed, State, Transport};
use sockless_tokio::{Code, Config, Message, NetStream};
use std::future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

/// Records a connection on a tape: one of its own, as `connect` makes it, or one that it relays
///
/// With a URL, lines of standard input go out as text messages, and messages that come are printed, a line each. With --listen,
/// the bytes of a client pass to the server and back as they are.
#[derive(Args)]
pub(crate) struct Arguments {
    /// A ws:// or wss:// URL to connect to
    #[arg(required_unless_present = "listen", conflicts_with = "listen")]
    url: Option<String>,
    /// Waits here for a client to be relayed: HOST:PORT; of port 0, at a free one
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    listen: Option<String>,
    /// The server that it is relayed to, a ws:// or wss:// URL; what the request asks for is the client's
    #[arg(long, value_name = "URL", requires = "listen")]
    to: Option<String>,
    /// The file of the tape; with %n in its name, which becomes 1, 2 and so on, --listen takes clients until Ctrl-C, with a file for each
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Stays so long after the end of standard input
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
    #[command(flatten)]
    taking: Taking,
    #[command(flatten)]
    reach: Reach,
}

/// Runs the subcommand.
///
/// # Errors
/// Why it did not end well.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Status::NotConnected, error))?;
    let ended = runtime.block_on(async {
        match (&arguments.url, &arguments.listen, &arguments.to) {
            (None, Some(listen), Some(to)) => relay::relay(arguments, listen, to).await,
            (url, ..) => talk(arguments, url.as_deref().unwrap_or_default()).await,
        }
    });
    // A name that is still looked up is nobody's concern.
    runtime.shutdown_background();
    ended
}

/// Connects, and records what follows.
async fn talk(arguments: &Arguments, url: &str) -> Result<(), Failure> {
    let config = arguments.taking.config();
    let client = arguments.reach.client(url, config.clone())?;
    let (stream, request) = tokio::select! {
        dialled = client.dial() => dialled?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    let reel = Reel::create(&arguments.output)?;
    let mut input = input::messages(Coding::Text);
    let mut talk = Talk::new(stream, &request, config, reel)?;
    let ended = talk.run(&mut input, arguments.wait.unwrap_or_default()).await;
    talk.printer.outlet.end().await;
    ended
}

/// A client's connection, and all about it.
struct Talk {
    reader: ReadHalf<NetStream>,
    writer: WriteHalf<NetStream>,
    recorder: Recorder,
    reel: Reel,
    printer: Printer,
    started: Instant,
    /// What was taken from the recorder, and not yet by the stream.
    pending: Vec<u8>,
    flushing: bool,
    shut: bool,
    /// This end has had enough, and nothing more is printed.
    enough: bool,
    /// How it ended, once it has.
    ended: Option<Result<(), Failure>>,
}

/// What has happened in a turn.
enum Turn {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Typed(Option<Message>),
    Interrupted,
    Unread,
    /// There is room to print.
    Room,
    /// It is time for something.
    Due,
}

impl Talk {
    fn new(stream: NetStream, request: &ClientRequest, config: Config, reel: Reel) -> Result<Self, Failure> {
        let recorder = Recorder::client(request, config, Seed::random()).map_err(Failure::usage)?;
        let (reader, writer) = split(stream);
        Ok(Self {
            reader,
            writer,
            recorder,
            reel,
            printer: Printer::new(Coding::Text, false, false),
            started: Instant::now(),
            pending: Vec::new(),
            flushing: false,
            shut: false,
            enough: false,
            ended: None,
        })
    }

    async fn run(&mut self, input: &mut Receiver<Message>, wait: Duration) -> Result<(), Failure> {
        let mut buffer = vec![0; 64 << 10];
        // When what was typed has ended, and the wait behind it has.
        let (mut typing, mut leave) = (true, None);
        loop {
            self.take();
            self.reel.append(&self.recorder.take_tape())?;
            let wants = self.recorder.wants();
            if self.pending.is_empty() && !self.flushing {
                match wants.transport {
                    Transport::Open => {}
                    Transport::Shutdown if self.shut => {}
                    Transport::Shutdown => {
                        self.shut = true;
                        _ = self.writer.shutdown().await;
                    }
                    Transport::Close => {
                        _ = self.writer.shutdown().await;
                        return self.ended.take().unwrap_or(Ok(()));
                    }
                }
            }
            let due = [wants.deadline.and_then(|deadline| self.started.checked_add(deadline)), leave]
                .into_iter()
                .flatten()
                .min();
            let types = typing && self.recorder.state() == State::Open && self.pending.is_empty();
            let writes = self.flushing || !self.pending.is_empty();
            // Nothing is read then, so that a peer's silence means nothing either.
            let is_full = !self.enough && self.printer.outlet.is_full();
            let turn = tokio::select! {
                // What came while nothing was read is read before time is judged.
                biased;
                _ = tokio::signal::ctrl_c() => Turn::Interrupted,
                () = self.printer.outlet.unread(), if !self.enough => Turn::Unread,
                () = self.printer.outlet.room(), if is_full => Turn::Room,
                written = write(&mut self.writer, &self.pending), if writes => Turn::Written(written),
                message = input.recv(), if types => Turn::Typed(message),
                read = self.reader.read(&mut buffer), if wants.read && !is_full => Turn::Read(read),
                () = until(due), if !is_full => Turn::Due,
            };
            self.recorder.set_time(self.started.elapsed());
            match turn {
                Turn::Read(Ok(len)) if len > 0 => self.received(&mut buffer[..len]),
                Turn::Written(Ok(len)) => {
                    self.pending.drain(..len);
                    self.flushing = len > 0;
                }
                Turn::Read(_) => {
                    let ended = self.recorder.receive_eof();
                    self.happened(ended);
                }
                Turn::Written(Err(_)) => {
                    let ended = self.recorder.receive_eof();
                    self.happened(ended);
                    self.reel.append(&self.recorder.take_tape())?;
                    return self.ended.take().unwrap_or(Ok(()));
                }
                // A connection that closes meanwhile says so itself.
                Turn::Typed(Some(message)) => _ = self.send(&message),
                Turn::Typed(None) => (typing, leave) = (false, Some(Instant::now() + wait)),
                Turn::Interrupted if self.enough || self.recorder.state() == State::Connecting => {
                    self.close(Code::NORMAL);
                    self.reel.append(&self.recorder.take_tape())?;
                    return Ok(());
                }
                Turn::Interrupted => {
                    self.enough = true;
                    self.close(Code::NORMAL);
                }
                Turn::Unread => {
                    self.enough = true;
                    if self.recorder.state() == State::Open {
                        self.close(Code::AWAY);
                    }
                }
                Turn::Room | Turn::Due => {}
            }
            if leave.is_some_and(|leave| leave <= Instant::now()) {
                leave = None;
                self.close(Code::NORMAL);
            }
            if !is_full {
                let judged = self.recorder.handle_timeout(self.started.elapsed());
                self.happened(judged);
            }
        }
    }

    /// Takes what is outbound, if what was taken before is written.
    fn take(&mut self) {
        while self.pending.is_empty() && self.recorder.wants().write {
            self.pending = self.recorder.take_outbound(usize::MAX);
        }
    }

    fn send(&mut self, message: &Message) -> Result<(), sockless::SendError> {
        match message.as_text() {
            Some(text) => self.recorder.send_text(text),
            None => self.recorder.send_binary(message.as_bytes()),
        }
    }

    fn close(&mut self, code: Code) {
        if self.recorder.close(code, "").is_err() {
            self.recorder.abort(code);
        }
    }

    fn received(&mut self, mut input: &mut [u8]) {
        loop {
            let told = self.recorder.receive(&mut input).map(|event| event.map(Event::into_owned));
            if !self.happened(told) {
                return;
            }
        }
    }

    /// Prints what has happened; whether more may have.
    fn happened(&mut self, told: Result<Option<Event<'static>>, ProtocolError>) -> bool {
        let normal = [Code::NORMAL, Code::AWAY, Code::NO_STATUS];
        let failed = |status, message: String| Some(Err(Failure::new(status, message)));
        match told {
            Ok(None) => return false,
            Ok(Some(Event::Text(text))) => self.print(&text.into_owned().into()),
            Ok(Some(Event::Binary(bytes))) => self.print(&bytes.into_owned().into()),
            Ok(Some(Event::Close(close))) if !normal.contains(&close.code) => {
                self.ended = failed(Status::Abnormal, crate::output::said(&close));
            }
            Ok(Some(Event::Rejected(response))) => {
                let text = format!("the server refused: {} {}", response.status(), response.reason());
                self.ended = failed(Status::NotConnected, text);
            }
            Ok(Some(_)) => {}
            Err(error @ ProtocolError::Handshake(_)) => self.ended = failed(Status::NotConnected, error.to_string()),
            Err(error) => self.ended = failed(Status::Abnormal, error.to_string()),
        }
        true
    }

    fn print(&mut self, message: &Message) {
        if !self.enough {
            // If nobody reads on, that is noticed where something is waited for.
            _ = self.printer.tell(&Told::Message(message));
        }
    }
}

/// Writes some bytes, or flushes if there are none.
async fn write(writer: &mut WriteHalf<NetStream>, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        len => Ok(len),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => future::pending().await,
    }
}
