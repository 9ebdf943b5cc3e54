//! The reading side: bytes of the transport to events, and the end.

use crate::buffer::Input;
use crate::error::Error;
use crate::kept::Kept;
use crate::message::{Event, Told};
use crate::trace;
use sockless::{Close, Message, ProtocolError, Receiver, RelayError};
use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::coop;

/// Bytes; so much work takes one unit of the task's budget, of which tokio gives it 128 before others have their turn. A read
/// would be one, but it may bring a megabyte, and that a thousand times as much when it is inflated.
const WORK: u32 = 64 << 10;

/// Bytes; what a frame costs besides its payload, be it empty.
const FRAME_WORK: u32 = 128;

/// Bytes; what an event costs that is not a message that came whole.
const EVENT_WORK: usize = 512;

/// How many times a byte that may have to be inflated costs one that has not, be there nothing in it.
const DEFLATED_WORK: u32 = 16;

/// How messages come.
pub(crate) enum Mode<'a> {
    /// Whole.
    Message,
    /// In pieces as they arrive.
    Piece,
    /// Not at all: they go to another connection.
    Relay(&'a mut sockless::Sender),
    /// Nothing is read, for another connection takes nothing.
    Nothing,
}

pub(crate) struct Reading {
    receiver: Receiver,
    /// What was read and is not decoded.
    rest: Input,
    /// Bytes that were read straight to where they belong, and are not decoded.
    tail: u32,
    /// The receiver may tell more without being given more.
    owed: bool,
    /// What was read and what came of it, about, in bytes that the task's budget has not been charged for.
    work: u32,
    /// Input may have to be inflated.
    deflated: bool,
    /// What there was to be read has been since the time became due.
    heard: bool,
    /// The connection and its transport have ended.
    over: bool,
    /// It ended otherwise than by a closing handshake.
    failed: Option<Box<Failure>>,
    /// The peer's close frame.
    close: Option<Box<Close<'static>>>,
    /// Who waited last.
    waker: Option<Waker>,
    /// What came while something waited to be written.
    pub(crate) kept: Option<Box<Kept>>,
    /// It is kept in pieces, for so it was received last.
    pub(crate) pieces: bool,
    /// Whoever writes is to be woken by what can be read, too.
    pub(crate) attended: bool,
    /// How much had been sent when somebody last read, in blocks; it wraps.
    pub(crate) looked: u8,
    /// How much was ever to be sent when a handler last had not answered; it wraps.
    pub(crate) unanswered: u32,
    /// How often silence was excused; it counts as something heard.
    excused: u32,
}

/// Why a connection failed.
struct Failure {
    error: Error,
    /// Whoever receives knows it.
    told: bool,
}

impl Reading {
    /// `rest` came behind the opening handshake.
    pub(crate) fn new(receiver: Receiver, rest: Input) -> Self {
        #[cfg(feature = "deflate")]
        let deflated = receiver.negotiated().deflate().is_some();
        #[cfg(not(feature = "deflate"))]
        let deflated = false;
        Self {
            deflated,
            receiver,
            rest,
            tail: 0,
            owed: false,
            work: 0,
            heard: false,
            over: false,
            failed: None,
            close: None,
            waker: None,
            kept: None,
            pieces: false,
            attended: false,
            looked: 0,
            unanswered: 0,
            excused: 0,
        }
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    pub(crate) fn receiver_mut(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    /// Bytes that have been heard, for the deadlines.
    #[inline]
    pub(crate) fn heard(&self) -> u64 {
        self.receiver.traffic().bytes + u64::from(self.excused)
    }

    /// As if something had been heard.
    pub(crate) fn excuse(&mut self) {
        self.excused = self.excused.saturating_add(1);
    }

    pub(crate) fn close(&self) -> Option<&Close<'static>> {
        self.close.as_deref()
    }

    /// Whether whole messages are taken, and there is input that may be one.
    #[inline]
    pub(crate) fn has_input(&self, mode: &Mode<'_>) -> bool {
        !self.rest.is_empty() && matches!(mode, Mode::Message)
    }

    /// The next event of the input that there is.
    #[inline]
    pub(crate) fn receive(&mut self) -> Result<Option<sockless::Event<'_>>, ProtocolError> {
        use sockless::Event::{Binary, Text};
        let before = self.receiver.traffic().frames;
        let result = self.rest.take(|input| self.receiver.receive(input));
        match &result {
            // One frame, and where it lies its bytes were counted when they were read.
            Ok(Some(Binary(Cow::Borrowed(_)) | Text(Cow::Borrowed(_)))) => self.work += FRAME_WORK,
            Ok(event) => {
                let frames = self.receiver.traffic().frames - before;
                self.work = self.work.saturating_add(work(event.as_ref(), frames));
            }
            Err(_) => {}
        }
        result
    }

    /// Waits for the task's next turn where much was done in this one.
    #[inline]
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.work >= WORK {
            ready!(coop::poll_proceed(cx)).made_progress();
            self.work -= WORK;
        }
        Poll::Ready(())
    }

    /// Whether all that was read is decoded and told.
    #[inline]
    pub(crate) fn is_dry(&self) -> bool {
        self.rest.is_empty() && self.tail == 0 && !self.owed
    }

    /// The next event in any case; `None` when more has to be read.
    #[inline(never)]
    pub(crate) fn receive_any(&mut self, mode: &mut Mode<'_>) -> Result<Option<sockless::Event<'_>>, RelayError> {
        self.owed = false;
        let before = self.receiver.traffic().frames;
        let tail = mem::take(&mut self.tail);
        let event = if tail > 0 {
            self.receiver.receive_tail(tail as usize)?
        } else {
            self.rest.take(|input| match mode {
                Mode::Message => Ok(self.receiver.receive(input)?),
                Mode::Piece => Ok(self.receiver.receive_piece(input)?),
                Mode::Relay(to) => self.receiver.relay(input, to),
                Mode::Nothing => Ok(None),
            })?
        };
        let frames = self.receiver.traffic().frames - before;
        self.work = self.work.saturating_add(work(event.as_ref(), frames));
        Ok(event)
    }

    /// The receiver may tell more without being given more: pieces may be owed when all has been taken.
    pub(crate) fn set_owed(&mut self) {
        self.owed = true;
    }

    /// What was kept for who receives in this way.
    #[inline]
    pub(crate) fn next_kept(&mut self, mode: &Mode<'_>) -> Option<Told<Message<'static>>> {
        if self.kept.is_some() { self.next_of_kept(mode) } else { None }
    }

    #[inline(never)]
    fn next_of_kept(&mut self, mode: &Mode<'_>) -> Option<Told<Message<'static>>> {
        let kept = self.kept.as_mut()?;
        let next = match mode {
            Mode::Nothing => return None,
            Mode::Piece => kept.next_piece(),
            Mode::Message | Mode::Relay(_) => kept.next_message(),
        };
        if kept.is_empty() {
            self.kept = None;
        }
        next
    }

    /// A piece of a message whose front was kept, and is wanted whole, goes where that is; other events are given back.
    pub(crate) fn join_later(&mut self, event: Box<Event>, mode: &Mode<'_>) -> Option<Box<Event>> {
        match &mut self.kept {
            Some(kept) if matches!(*event, Event::Piece(_)) && !matches!(mode, Mode::Piece) && kept.has_front() => {
                kept.push(Told::Event(event));
                self.owed = true;
                None
            }
            _ => Some(event),
        }
    }

    /// Notes who waits; whether another did before.
    #[inline]
    pub(crate) fn waits_anew(&mut self, waker: &Waker) -> bool {
        let anew = !self.waker.as_ref().is_some_and(|known| known.will_wake(waker));
        if anew {
            self.waker = Some(waker.clone());
        }
        anew
    }

    /// Holds no more than it has to while the connection's task does other things.
    #[inline]
    pub(crate) fn put_away(&mut self) {
        self.rest.shrink();
    }

    /// Reads once, when all that was read is decoded; `false` at the end of the stream. A large message goes straight to where
    /// it belongs.
    #[inline(always)]
    pub(crate) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
    ) -> Poll<io::Result<bool>> {
        if let Some(tail) = self.receiver.tail() {
            let most = tail.len().min(u32::MAX as usize);
            let mut read = ReadBuf::new(&mut tail[..most]);
            ready!(Pin::new(io).poll_read(cx, &mut read))?;
            self.tail = to_u32(read.filled().len());
            return Poll::Ready(Ok(self.tail > 0));
        }
        let poll = self.rest.poll_read(cx, io);
        let read = to_u32(self.rest.len());
        self.work = self.work.saturating_add(read.saturating_mul(if self.deflated { DEFLATED_WORK } else { 1 }));
        poll
    }

    /// Notes that what there was to be read has been since the time became due.
    pub(crate) fn set_heard(&mut self) {
        self.heard = true;
    }

    /// Whether that is so, and not judged yet.
    #[inline]
    pub(crate) fn take_heard(&mut self) -> bool {
        mem::take(&mut self.heard)
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
        self.forget();
        if self.failed.is_none() {
            trace::event!(DEBUG, %error, "failed");
            self.failed = Some(Box::new(Failure { error, told: false }));
        }
    }

    pub(crate) fn handle_close(&mut self, close: &Close<'static>) {
        // The reason is the peer's own text, of which a log has no need.
        trace::event!(DEBUG, code = %close.code, reason_len = close.reason.len(), "peer closes");
        self.close = Some(Box::new(close.clone()));
    }

    /// The connection and its transport have ended.
    pub(crate) fn set_over(&mut self) {
        if !mem::replace(&mut self.over, true) {
            trace::event!(DEBUG, received = self.receiver.traffic().bytes, "over");
        }
        self.forget();
    }

    fn forget(&mut self) {
        (self.rest, self.owed) = (Input::default(), false);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Why it ended, if it has failed, for who is told besides.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failed.as_ref().map(|failure| copy(&failure.error))
    }

    /// How the connection ended; an error is told once.
    pub(crate) fn outcome(&mut self) -> Result<(), Error> {
        match &mut self.failed {
            Some(failure) if !failure.told => {
                failure.told = true;
                let known = copy(&failure.error);
                Err(mem::replace(&mut failure.error, known))
            }
            _ => Ok(()),
        }
    }
}

fn copy(error: &Error) -> Error {
    match error {
        Error::Io(error) => Error::Io(error.kind().into()),
        Error::Protocol(error) => Error::Protocol(*error),
        Error::Closed(close) => Error::Closed(close.clone()),
        Error::Send(error) => Error::Send(*error),
        Error::Refused(status) => Error::Refused(*status),
    }
}

/// What so many frames cost that made an event, or none, about, in bytes; less the payload where that lies where it was read, for
/// that was counted.
#[inline(never)]
fn work(event: Option<&sockless::Event<'_>>, frames: u64) -> u32 {
    use sockless::Event::{Binary, Piece, Text, Unchecked};
    let own = match event {
        None | Some(Text(Cow::Borrowed(_)) | Binary(Cow::Borrowed(_)) | Unchecked(Cow::Borrowed(_))) => 0,
        Some(Text(Cow::Owned(text))) => EVENT_WORK + text.len(),
        Some(Binary(Cow::Owned(bytes)) | Unchecked(Cow::Owned(bytes))) => EVENT_WORK + bytes.len(),
        Some(Piece(piece)) => EVENT_WORK + piece.data.as_bytes().len(),
        Some(_) => EVENT_WORK,
    };
    to_u32(own).saturating_add(to_u32(frames as usize).saturating_mul(FRAME_WORK))
}

fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
