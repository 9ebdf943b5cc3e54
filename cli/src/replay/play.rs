//! One end of a tape, played to an end that is real.

use crate::output::described;
use crate::status::{Failure, Status};
use crate::watch::{Watch, index};
use sockless::Role;
use sockless::handshake::accept_key;
use sockless::testing::tape::{Call, Step, Tape};
use sockless_tokio::NetStream;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep, timeout_at};

/// What is to be said and heard, in order.
pub(super) struct Play {
    ours: Role,
    lines: Vec<Line>,
    /// What the real end says, and this one to it.
    watch: Watch,
    /// What the tape's ends agreed on.
    taped: Watch,
    pub(super) fast: bool,
    pub(super) patience: Duration,
}

/// What one end says.
struct Line {
    at: Duration,
    from: Role,
    bytes: Vec<u8>,
    is_head: bool,
    /// What it comes to, where that is something to be heard.
    said: Option<String>,
}

impl Line {
    /// What a step says, if it does.
    fn new(step: Step) -> Option<Self> {
        let Step { connection, at, call, gave } = step;
        let (bytes, is_head) = match call {
            Call::Passed(_, bytes) => (bytes, true),
            Call::Receive(bytes) => (bytes, false),
            _ => (Vec::new(), false),
        };
        let from = if connection == index(Role::Client) as u32 { Role::Client } else { Role::Server };
        let said = match is_head {
            true => Some(first_line(&bytes)),
            false => {
                Some(gave).filter(|gave| ["text", "binary", "close", "error"].iter().any(|kind| gave.starts_with(kind)))
            }
        };
        (!bytes.is_empty() || said.is_some()).then_some(Self { at, from, bytes, is_head, said })
    }
}

/// What a head says in short: method and target, or version and status.
fn first_line(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let words: Vec<_> = line.split(|byte| *byte == b' ').take(2).collect();
    words.join(&b' ').escape_ascii().to_string()
}

impl Play {
    /// The part of one end of a tape.
    ///
    /// # Errors
    /// Nothing was said on it.
    pub(super) fn new(tape: &Tape, ours: Role, max_message: usize) -> Result<Self, Failure> {
        let mut taped = Watch::new(max_message);
        let steps = tape.wire().flat_map(|(at, from, bytes)| taped.passed(from, bytes, at));
        let lines: Vec<_> = steps.filter_map(Line::new).collect();
        if lines.is_empty() {
            return Err(Failure::usage("nothing is said on the tape"));
        }
        let watch = Watch::new(max_message);
        Ok(Self { ours, lines, watch, taped, fast: false, patience: Duration::MAX })
    }

    /// Plays it; how many things the other end has said, or the first that it said otherwise.
    ///
    /// # Errors
    /// It takes nothing more.
    pub(super) async fn run(mut self, stream: NetStream) -> Result<Result<usize, Difference>, Failure> {
        let (reader, writer) = split(stream);
        let mut other =
            Other { reader, writer, from: self.ours.peer(), said: VecDeque::new(), started: Instant::now() };
        let mut before = self.lines.first().map_or(Duration::ZERO, |line| line.at);
        let mut heard = 0;
        for line in std::mem::take(&mut self.lines) {
            if line.from == self.ours {
                if !self.fast {
                    sleep(line.at.saturating_sub(before)).await;
                }
                let bytes = if line.is_head { self.head(line.bytes) } else { line.bytes };
                other.tell(&bytes, &mut self.watch).await?;
            } else if let Some(expected) = line.said {
                let came = other.hear(&mut self.watch, self.patience).await;
                if came.as_ref() != Some(&expected) {
                    return Ok(Err(Difference::new(other.from, heard, expected, came)));
                }
                heard += 1;
                if line.is_head && self.ours == Role::Client && self.watch.negotiated() != self.taped.negotiated() {
                    return Ok(Err(Difference {
                        what: "the server agrees on another compression than on the tape".into(),
                        thing: heard - 1,
                        expected: compression(&self.taped),
                        came: Some(compression(&self.watch)),
                    }));
                }
            }
            before = line.at;
        }
        // What was sent last is still to be read.
        _ = other.writer.shutdown().await;
        Ok(match other.said.pop_front() {
            None => Ok(heard),
            Some(more) => Err(Difference {
                what: format!("not on the tape: {more}"),
                thing: heard,
                expected: "nothing more".into(),
                came: Some(more),
            }),
        })
    }

    /// A head as it is to be sent: a response answers the key of the request that came.
    fn head(&self, head: Vec<u8>) -> Vec<u8> {
        const NAME: &[u8] = b"sec-websocket-accept:";
        let key = self.watch.request().and_then(|request| request.key()?.as_bytes().try_into().ok());
        let Some(key) = key.filter(|_| self.ours == Role::Server) else { return head };
        let lines = head.split_inclusive(|byte| *byte == b'\n').map(|line| match line.get(..NAME.len()) {
            Some(name) if name.eq_ignore_ascii_case(NAME) => [name, b" ", &accept_key(key), b"\r\n"].concat(),
            _ => line.to_vec(),
        });
        lines.collect::<Vec<_>>().concat()
    }
}

/// What the other end said otherwise than on the tape.
pub(super) struct Difference {
    /// All of it, for people.
    pub(super) what: String,
    /// Which of the things that it said, from 0.
    pub(super) thing: usize,
    pub(super) expected: String,
    /// `None`: nothing, in the time that it had.
    pub(super) came: Option<String>,
}

impl Difference {
    fn new(from: Role, thing: usize, expected: String, came: Option<String>) -> Self {
        let who = if from == Role::Server { "server" } else { "client" };
        let now = came.as_deref().unwrap_or("nothing more");
        let what = format!("of what the {who} says, {thing} is different: {expected} on the tape, {now} now");
        Self { what, thing, expected, came }
    }
}

fn compression(watch: &Watch) -> String {
    match watch.negotiated().and_then(|negotiated| negotiated.deflate()) {
        Some(params) => described(&params, ["client", "server"]),
        None => "none".into(),
    }
}

/// The end that is real.
struct Other {
    reader: ReadHalf<NetStream>,
    writer: WriteHalf<NetStream>,
    from: Role,
    /// What it has said, and was not heard yet.
    said: VecDeque<String>,
    started: Instant,
}

impl Other {
    /// Sends it bytes, and reads meanwhile what it says.
    async fn tell(&mut self, mut bytes: &[u8], watch: &mut Watch) -> Result<(), Failure> {
        let lost = |error| Failure::new(Status::Abnormal, format!("it takes no more: {error}"));
        watch.passed(self.from.peer(), bytes, self.started.elapsed());
        let mut buffer = vec![0; 16 << 10];
        while !bytes.is_empty() {
            tokio::select! {
                written = self.writer.write(bytes) => match written.map_err(lost)? {
                    0 => return Err(lost(std::io::ErrorKind::WriteZero.into())),
                    len => bytes = &bytes[len..],
                },
                read = self.reader.read(&mut buffer) => match read {
                    Ok(len) if len > 0 => note(&mut self.said, self.from, &buffer[..len], watch, self.started),
                    _ => return Err(lost(std::io::ErrorKind::ConnectionReset.into())),
                },
            }
        }
        self.writer.flush().await.map_err(lost)
    }

    /// The next thing that it says, in so much time; nothing if it has ended.
    async fn hear(&mut self, watch: &mut Watch, patience: Duration) -> Option<String> {
        let deadline = Instant::now().checked_add(patience);
        let mut buffer = vec![0; 16 << 10];
        while self.said.is_empty() {
            let read = self.reader.read(&mut buffer);
            let read = match deadline {
                Some(deadline) => timeout_at(deadline, read).await.ok()?,
                None => read.await,
            };
            let len = read.ok().filter(|len| *len > 0)?;
            note(&mut self.said, self.from, &buffer[..len], watch, self.started);
        }
        self.said.pop_front()
    }
}

/// Notes what bytes of an end come to.
fn note(said: &mut VecDeque<String>, from: Role, bytes: &[u8], watch: &mut Watch, started: Instant) {
    let steps = watch.passed(from, bytes, started.elapsed()).into_iter().filter_map(Line::new);
    said.extend(steps.filter(|line| line.from == from).filter_map(|line| line.said));
}
