//! The reading side: bytes of the transport to events, and the end.

use crate::buffer::Input;
use crate::error::Error;
use crate::message::Event;
use crate::trace;
use sockless::{Close, Fact, Message, Receiver, RelayError};
use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// How messages come.
pub(crate) enum Mode<'a> {
    /// Whole.
    Message,
    /// In pieces as they arrive.
    Piece,
    /// Not at all: they go to another connection.
    Relay(&'a mut sockless::Sender),
    /// Nothing is read.
    Nothing,
}

impl Mode<'_> {
    pub(crate) fn reborrow(&mut self) -> Mode<'_> {
        match self {
            Self::Message => Mode::Message,
            Self::Piece => Mode::Piece,
            Self::Relay(to) => Mode::Relay(to),
            Self::Nothing => Mode::Nothing,
        }
    }
}

/// A message, which was given to whom it is for; or another event, and what the writing side has to know of it. Small,
/// since every message hands one on.
pub(crate) enum Told {
    Message,
    Event(Box<(Event, Option<Fact>)>),
}

/// What a read brought.
pub(crate) enum Read {
    Some(Result<Told, RelayError>),
    Nothing,
    Eof,
}

pub(crate) struct Reading {
    receiver: Receiver,
    rest: Input,
    /// The receiver may tell more without being given more.
    more: bool,
    /// The connection and its transport have ended.
    over: bool,
    /// It ended otherwise than by a closing handshake, and why, until that is told.
    failed: bool,
    error: Option<Error>,
    /// The peer's close frame.
    close: Option<Box<Close<'static>>>,
}

impl Reading {
    /// `rest` came behind the opening handshake.
    pub(crate) fn new(receiver: Receiver, rest: Input) -> Self {
        Self { receiver, more: !rest.is_empty(), rest, over: false, failed: false, error: None, close: None }
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    pub(crate) fn receiver_mut(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    pub(crate) fn close(&self) -> Option<&Close<'static>> {
        self.close.as_deref()
    }

    /// The next event of what was read before; `take` gets a message as it lies there, and how many bytes were read behind it.
    pub(crate) fn next(
        &mut self,
        mode: Mode<'_>,
        take: impl FnOnce(Message<'_>, usize),
    ) -> Option<Result<Told, RelayError>> {
        if !self.more || matches!(mode, Mode::Nothing) {
            return None;
        }
        let result = self.rest.take(|input| receive(&mut self.receiver, input, mode, take));
        self.more = goes_on(&result, &self.rest);
        if !self.more {
            self.rest = Input::default();
        }
        result
    }

    /// Reads once. A large message goes straight to where it belongs.
    pub(crate) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
        mode: Mode<'_>,
        take: impl FnOnce(Message<'_>, usize),
    ) -> Poll<io::Result<Read>> {
        if let Some(tail) = self.receiver.tail() {
            let mut read = ReadBuf::new(tail);
            ready!(Pin::new(io).poll_read(cx, &mut read))?;
            let len = read.filled().len();
            return Poll::Ready(Ok(match len {
                0 => Read::Eof,
                len => match self.receiver.receive_tail(len) {
                    Ok(event) => event
                        .and_then(|event| told(event, |message| take(message, 0)))
                        .map_or(Read::Nothing, |told| Read::Some(Ok(told))),
                    Err(error) => Read::Some(Err(error.into())),
                },
            }));
        }
        let mut input = ready!(Input::poll_read(cx, io))?;
        if input.is_empty() {
            return Poll::Ready(Ok(Read::Eof));
        }
        let result = input.take(|input| receive(&mut self.receiver, input, mode, take));
        self.more = goes_on(&result, &input);
        if self.more {
            self.rest = input.kept();
        }
        Poll::Ready(Ok(result.map_or(Read::Nothing, Read::Some)))
    }

    /// The transport has no more to read, by an end of its own or by an error.
    pub(crate) fn end(&mut self, error: Option<io::Error>) {
        if let Err(early) = self.receiver.receive_eof() {
            // TLS without a goodbye ends so, which is an early end like any other.
            let error = error.filter(|error| error.kind() != ErrorKind::UnexpectedEof);
            self.fail(error.map_or(early.into(), Error::Io));
        }
    }

    /// The connection has failed; the first reason counts.
    pub(crate) fn fail(&mut self, error: Error) {
        self.receiver.end();
        self.more = false;
        if !mem::replace(&mut self.failed, true) {
            trace::event!(DEBUG, %error, "failed");
            self.error = Some(error);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn handle_close(&mut self, close: &Close<'static>) {
        trace::event!(DEBUG, code = %close.code, reason = %close.reason, "peer closes");
        self.close = Some(Box::new(close.clone()));
    }

    /// The connection and its transport have ended.
    pub(crate) fn set_over(&mut self) {
        if !mem::replace(&mut self.over, true) {
            trace::event!(DEBUG, received = self.receiver.traffic().bytes, "over");
        }
        self.more = false;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// How the connection ended; an error is told once.
    pub(crate) fn outcome(&mut self) -> Result<(), Error> {
        self.error.take().map_or(Ok(()), Err)
    }
}

fn receive(
    receiver: &mut Receiver,
    input: &mut &mut [u8],
    mode: Mode<'_>,
    take: impl FnOnce(Message<'_>, usize),
) -> Option<Result<Told, RelayError>> {
    let result = match mode {
        Mode::Message => receiver.receive(input).map_err(RelayError::Peer),
        Mode::Piece => receiver.receive_piece(input).map_err(RelayError::Peer),
        Mode::Relay(to) => receiver.relay(input, to),
        Mode::Nothing => return None,
    };
    match result {
        Ok(event) => told(event?, |message| take(message, input.len())).map(Ok),
        Err(error) => Some(Err(error)),
    }
}

/// Whether there may be more to tell of what was read, of which so much is left.
fn goes_on(result: &Option<Result<Told, RelayError>>, left: &Input) -> bool {
    match result {
        Some(Ok(Told::Message)) => !left.is_empty(),
        // Pieces may be owed when all has been taken.
        Some(Ok(Told::Event(..)) | Err(RelayError::Send(_))) => true,
        _ => false,
    }
}

#[inline]
fn told(event: sockless::Event<'_>, take: impl FnOnce(Message<'_>)) -> Option<Told> {
    match event {
        // The common one, of which nothing but a pointer and a length is moved.
        sockless::Event::Binary(Cow::Borrowed(bytes)) => take(Message::Binary(Cow::Borrowed(bytes))),
        sockless::Event::Text(Cow::Borrowed(text)) => take(Message::Text(Cow::Borrowed(text))),
        sockless::Event::Binary(bytes) => take(Message::Binary(bytes)),
        sockless::Event::Text(text) => take(Message::Text(text)),
        sockless::Event::Unchecked(bytes) => take(Message::Unchecked(bytes)),
        event => {
            let fact = event.fact();
            return Some(Told::Event(Box::new((Event::from_core(event)?, fact))));
        }
    }
    Some(Told::Message)
}
