//! A connection that keeps a tape of what it is told.

use super::call::{Call, Start, Way};
use super::format::{Step, Tape};
use super::said::{PANIC, received, sent};
use crate::config::{Config, Keepalive, Limits, Negotiated, Outbound, SharedConfig};
use crate::connection::Connection;
use crate::event::Event;
use crate::handshake::{Accept, Answer, ClientRequest, write_request};
use crate::message::{Kind, Message, Role};
use crate::send::prepared::Prepared;
use crate::send::writer::Writer;
use crate::wire::code::Code;
use crate::wire::error::{ProtocolError, SendError};
use crate::wire::mask::Seed;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::fmt;
use core::mem;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

/// A [`Connection`] that keeps a [`Tape`] of what it is told and what it gives.
///
/// It has the calls of a connection, and they do the same. A call of the connection's that it has not is made all the same, and
/// leaves a [`Call::Unseen`]. One made [`from`](Self::from) a connection keeps no tape.
///
/// ```
/// use sockless::testing::tape::{Recorder, Tape};
/// use sockless::{ClientRequest, Config, Event, Seed, testing::Pair};
///
/// let request = ClientRequest::new("ws://pair.test/")?;
/// let client = Recorder::client(&request, Config::default(), Seed::new([7; 16]))?;
/// let mut pair = Pair::new(Config::default(), client); // both ends keep a tape
/// pair.run();
/// pair.client.connection.send_text("hello")?;
/// pair.run();
///
/// let mut tape = pair.server.connection.take_tape();
/// assert_eq!(tape.replay(), Ok(()));
/// assert_eq!(Tape::from_bytes(&tape.to_bytes()).as_ref(), Ok(&tape));
///
/// let step = tape.steps.iter().position(|step| step.gave == "text \"hello\"").unwrap();
/// tape.steps[step].gave = "text \"hallo\"".into();
/// let difference = tape.replay().unwrap_err();
/// assert_eq!((difference.step, &*difference.came), (step, "text \"hello\""));
/// # Ok::<(), sockless::SendError>(())
/// ```
pub struct Recorder {
    connection: Connection,
    tape: Option<Tape>,
    /// The number that its steps have.
    number: u32,
    at: Duration,
    /// How many bytes of the latest input were left, which come again.
    left: usize,
}

impl fmt::Debug for Recorder {
    /// Leaves the tape out, which is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}

impl From<Connection> for Recorder {
    fn from(connection: Connection) -> Self {
        Self { connection, tape: None, number: 0, at: Duration::ZERO, left: 0 }
    }
}

impl Deref for Recorder {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Recorder {
    fn deref_mut(&mut self) -> &mut Connection {
        self.note(|| Call::Unseen, String::new);
        &mut self.connection
    }
}

/// Making one, and its tape.
impl Recorder {
    /// As [`Connection::server`].
    pub fn server(config: impl Into<SharedConfig>) -> Self {
        let config = config.into();
        let start = Start::Server((*config).clone());
        Self::begin(Connection::server(config), start)
    }

    /// As [`Connection::client`].
    ///
    /// # Errors
    /// As that.
    pub fn client(request: &ClientRequest, config: impl Into<SharedConfig>, seed: Seed) -> Result<Self, SendError> {
        let config = config.into();
        let mut head = Vec::new();
        write_request(request, &[0; 16], &mut head)?;
        let policy = request.subprotocol_policy();
        let start = Start::Client { request: head, policy, config: (*config).clone(), seed };
        Ok(Self::begin(Connection::client(request, config, seed)?, start))
    }

    /// As [`Connection::open`].
    pub fn open(role: Role, negotiated: Negotiated, config: impl Into<SharedConfig>, seed: Seed) -> Self {
        let config = config.into();
        let start = Start::Open { role, negotiated, config: (*config).clone(), seed };
        Self::begin(Connection::open(role, negotiated, config, seed), start)
    }

    fn begin(connection: Connection, start: Start) -> Self {
        let mut recorder = Self { tape: Some(Tape::default()), ..Self::from(connection) };
        recorder.note(|| Call::Start(Box::new(start)), String::new);
        recorder
    }

    /// The same with this number in all steps, for a tape of several connections.
    #[must_use]
    pub fn numbered(mut self, number: u32) -> Self {
        self.number = number;
        self.tape.iter_mut().flat_map(|tape| &mut tape.steps).for_each(|step| step.connection = number);
        self
    }

    /// Tells the time of the steps that follow, and nothing to the connection.
    pub fn set_time(&mut self, now: Duration) {
        self.at = now;
    }

    /// The tape since the last [`take_tape`](Self::take_tape), if it keeps one.
    pub fn tape(&self) -> Option<&Tape> {
        self.tape.as_ref()
    }

    /// The steps since the last call, and at first since it was made: parts of one tape, in order.
    pub fn take_tape(&mut self) -> Tape {
        self.tape.as_mut().map(mem::take).unwrap_or_default()
    }

    /// The connection, which keeps no tape from here on.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    fn is_recording(&self) -> bool {
        self.tape.is_some()
    }

    #[inline]
    fn note(&mut self, call: impl FnOnce() -> Call, gave: impl FnOnce() -> String) {
        if let Some(tape) = &mut self.tape {
            tape.steps.push(Step { connection: self.number, at: self.at, call: call(), gave: gave() });
        }
    }

    /// Notes a call that is about to be made: one that does not return is the last on the tape.
    #[inline]
    fn begins(&mut self, call: impl FnOnce() -> Call) {
        self.note(call, || PANIC.into());
    }

    /// What the call gave that was noted last.
    #[inline]
    fn gave(&mut self, gave: impl FnOnce() -> String) {
        if let Some(step) = self.tape.as_mut().and_then(|tape| tape.steps.last_mut()) {
            step.gave = gave();
        }
    }

    fn taken(&mut self, result: Result<(), SendError>) -> Result<(), SendError> {
        self.gave(|| sent(result));
        result
    }
}

/// Receiving, and time.
impl Recorder {
    /// As [`Connection::receive`]. What it leaves of the input comes first in the next.
    ///
    /// # Errors
    /// As that.
    pub fn receive<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if !self.is_recording() {
            return self.connection.receive(input);
        }
        // Copied before it is unmasked where it lies.
        let new = input.get(self.left..).unwrap_or_default().to_vec();
        self.begins(|| Call::Receive(new));
        let result = self.connection.receive(input);
        self.left = input.len();
        self.gave(|| received(&result));
        result
    }

    /// As [`Connection::receive_eof`].
    ///
    /// # Errors
    /// As that.
    pub fn receive_eof(&mut self) -> Result<Option<Event<'static>>, ProtocolError> {
        self.begins(|| Call::Eof);
        let result = self.connection.receive_eof();
        self.gave(|| received(&result));
        result
    }

    /// As [`Connection::handle_timeout`]; the steps that follow are of this time.
    ///
    /// # Errors
    /// As that.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<Option<Event<'static>>, ProtocolError> {
        self.at = now;
        self.begins(|| Call::Time);
        let result = self.connection.handle_timeout(now);
        self.gave(|| received(&result));
        result
    }

    /// As [`Connection::recycle`], which changes nothing that a tape holds.
    pub fn recycle(&mut self, spent: Vec<u8>) {
        self.connection.recycle(spent);
    }
}

/// The opening handshake.
impl Recorder {
    /// As [`Connection::accept`].
    ///
    /// # Errors
    /// As that.
    pub fn accept(&mut self, accept: Accept) -> Result<(), SendError> {
        self.begins(|| Call::Accept(accept.chosen_subprotocol().map(ToOwned::to_owned), owned(accept.headers())));
        let result = self.connection.accept(accept);
        if result.is_err() {
            // It is as if it had not been made.
            self.tape.iter_mut().for_each(|tape| drop(tape.steps.pop()));
            return result;
        }
        self.taken(result)
    }

    /// As [`Connection::reject`].
    ///
    /// # Errors
    /// As that.
    pub fn reject(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<(), SendError> {
        self.begins(|| Call::Reject(status, owned(headers.iter().copied()), body.to_vec()));
        let result = self.connection.reject(status, headers, body);
        self.taken(result)
    }

    /// As [`Connection::answer`].
    ///
    /// # Errors
    /// As that.
    pub fn answer(&mut self, answer: impl Into<Answer>) -> Result<(), SendError> {
        match answer.into() {
            Answer::Accept(accept) => self.accept(accept),
            Answer::Reject(reject) => {
                let headers: Vec<_> = reject.headers().collect();
                self.reject(reject.status(), &headers, reject.as_body())
            }
        }
    }
}

fn owned<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Vec<(String, String)> {
    headers.map(|(name, value)| (name.into(), value.into())).collect()
}

/// Sending, which fails as it does on the connection.
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
impl Recorder {
    /// As [`Connection::send`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        self.send_by(message.into(), Way::Copied, |connection, message| connection.send(message))
    }

    /// As [`Connection::send_with`].
    #[cfg(feature = "deflate")]
    pub fn send_with<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
        compress: crate::Compress,
    ) -> Result<(), SendError> {
        let way = match compress {
            crate::Compress::Auto => Way::Copied,
            crate::Compress::Always => Way::Compressed,
            crate::Compress::Never => Way::Plain,
        };
        self.send_by(message.into(), way, |connection, message| connection.send_with(message, compress))
    }

    fn send_by<'m>(
        &mut self,
        message: Message<'m>,
        way: Way,
        send: impl FnOnce(&mut Connection, Message<'m>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let kind = if let Message::Binary(_) = message { Kind::Binary } else { Kind::Text };
        self.begins(|| Call::Send(kind, message.as_bytes().into(), way));
        let result = send(&mut self.connection, message);
        self.taken(result)
    }

    /// As [`Connection::send_text`].
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.begins(|| Call::Send(Kind::Text, text.into(), Way::Copied));
        let result = self.connection.send_text(text);
        self.taken(result)
    }

    /// As [`Connection::send_binary`].
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.begins(|| Call::Send(Kind::Binary, bytes.into(), Way::Copied));
        let result = self.connection.send_binary(bytes);
        self.taken(result)
    }

    /// As [`Connection::send_fragment`].
    pub fn send_fragment(&mut self, kind: Kind, bytes: &[u8], last: bool) -> Result<(), SendError> {
        self.begins(|| Call::Fragment(kind, bytes.into(), last));
        let result = self.connection.send_fragment(kind, bytes, last);
        self.taken(result)
    }

    /// As [`Connection::send_shared`].
    pub fn send_shared(&mut self, kind: Kind, bytes: Bytes) -> Result<(), SendError> {
        // Copied, for one that is referred to twice would be so to be masked.
        self.begins(|| Call::Send(kind, bytes.to_vec(), Way::Shared));
        let result = self.connection.send_shared(kind, bytes);
        self.taken(result)
    }

    /// As [`Connection::writer`], with a function that writes the message.
    pub fn send_written(&mut self, kind: Kind, write: impl FnOnce(&mut Writer<'_>)) -> Result<(), SendError> {
        let mut writer = self.connection.writer(kind);
        write(&mut writer);
        let bytes = writer.written().to_vec();
        let result = writer.finish();
        self.begins(|| Call::Send(kind, bytes, Way::Shared));
        self.taken(result)
    }

    /// As [`Connection::send_prepared`].
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), SendError> {
        self.begins(|| Call::Send(message.kind(), message.payload().into(), Way::Prepared));
        let result = self.connection.send_prepared(message);
        self.taken(result)
    }

    /// As [`Connection::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.begins(|| Call::Ping(payload.into()));
        let result = self.connection.ping(payload);
        self.taken(result)
    }

    /// As [`Connection::pong`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.begins(|| Call::Pong(payload.into()));
        let result = self.connection.pong(payload);
        self.taken(result)
    }

    /// As [`Connection::close`].
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        let code = code.into();
        self.begins(|| Call::Close(code, reason.into()));
        let result = self.connection.close(code, reason);
        self.taken(result)
    }

    /// As [`Connection::abort`].
    pub fn abort(&mut self, code: impl Into<Code>) {
        let code = code.into();
        self.begins(|| Call::Abort(code));
        self.connection.abort(code);
        self.gave(String::new);
    }
}

/// What goes out, and settings.
impl Recorder {
    /// Takes bytes of [`Connection::outbound`] that lie together, no more than so many, to be written.
    pub fn take_outbound(&mut self, most: usize) -> Vec<u8> {
        let mut outbound = self.connection.outbound();
        let chunk = outbound.chunk();
        let part = chunk[..chunk.len().min(most)].to_vec();
        outbound.advance(part.len());
        self.note(|| Call::Take(part.clone()), String::new);
        part
    }

    /// As [`Connection::swap_outbox`].
    #[doc(hidden)]
    pub fn swap_outbox(&mut self, outbox: &mut Vec<u8>) {
        self.connection.swap_outbox(outbox);
        self.note(|| Call::Swap, String::new);
    }

    /// As [`Connection::set_limits`].
    pub fn set_limits(&mut self, limits: Limits) {
        self.connection.set_limits(limits);
        self.note_change();
    }

    /// As [`Connection::set_keepalive`].
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.connection.set_keepalive(keepalive);
        self.note_change();
    }

    /// As [`Connection::set_outbound`].
    pub fn set_outbound(&mut self, outbound: Outbound) {
        self.connection.set_outbound(outbound);
        self.note_change();
    }

    fn note_change(&mut self) {
        if self.is_recording() {
            let outbound = self.connection.sender().outbound_limits();
            let config = Config { outbound, ..self.connection.config().clone() };
            self.note(|| Call::Change(Box::new(config)), String::new);
        }
    }
}
