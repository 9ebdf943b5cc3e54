//! The reading side: what was received and is not told, whose turn it is, and the end.

use crate::kept::Kept;
use crate::message::{Event, Told};
use sockless::driver::Error;
use sockless::driver::Storage;
use sockless::seen::{Ended, Life, Since};
use sockless::{Close, Code, Connection, Message, ProtocolError};
use std::io::{self, ErrorKind};
use std::mem;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::ReadBuf;
use tokio::task::coop;

/// Bytes; so much work takes one unit of the task's budget, of which tokio gives it 128 before others have their turn. A read
/// would be one, but it may bring a megabyte, and that a thousand times as much when it is inflated.
const WORK: usize = 64 << 10;

/// How messages come.
pub(crate) enum Mode<'a> {
    /// Whole.
    Message,
    /// In pieces as they arrive.
    Piece,
    /// In whole frames.
    Frame,
    /// Not at all: they go to another connection.
    Relay(&'a mut Connection),
    /// Nothing is read, for another connection takes nothing.
    Nothing,
}

impl Mode<'_> {
    /// The same for what is kept, for who receives so next.
    pub(crate) fn parts(&self) -> Parts {
        match self {
            Self::Message | Self::Relay(_) | Self::Nothing => Parts::None,
            Self::Piece => Parts::Pieces,
            Self::Frame => Parts::Frames,
        }
    }
}

/// In which parts messages come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Parts {
    #[default]
    None,
    Pieces,
    Frames,
}

impl Parts {
    pub(crate) fn mode(self) -> Mode<'static> {
        match self {
            Self::None => Mode::Message,
            Self::Pieces => Mode::Piece,
            Self::Frames => Mode::Frame,
        }
    }
}

#[derive(Default)]
pub(crate) struct Reading {
    /// What was read and what came of it, as the driver has it, that the task's budget has not been charged for.
    work: usize,
    /// So much of the work of this turn is counted.
    counted: usize,
    /// Something was read since the time became due.
    pub(crate) heard: bool,
    /// The connection and its transport have ended.
    over: bool,
    /// It ended otherwise than by a closing handshake.
    failed: Option<Box<Failure>>,
    /// Why there is no more to be read.
    error: Option<io::Error>,
    /// The peer's close frame.
    close: Option<Box<Close<'static>>>,
    /// Who waited last.
    waker: Option<Waker>,
    /// What came while something waited to be written.
    pub(crate) kept: Option<Box<Kept>>,
    /// It is kept in such parts, for so it was received last.
    pub(crate) parts: Parts,
    /// Whoever writes is to be woken by what can be read, too.
    pub(crate) attended: bool,
    /// How much had been sent when somebody last read, in blocks; it wraps.
    pub(crate) looked: u8,
    /// When the application was told the message that it is at.
    pub(crate) since: Since,
}

/// Why a connection failed.
struct Failure {
    error: Error,
    /// Whoever receives knows it.
    told: bool,
}

impl Reading {
    pub(crate) fn close(&self) -> Option<&Close<'static>> {
        self.close.as_deref()
    }

    /// Counts the work of this turn.
    #[inline]
    pub(crate) fn count(&mut self, storage: &Storage) {
        let work = storage.work();
        self.work = self.work.saturating_add(work.saturating_sub(self.counted));
        self.counted = work;
    }

    /// The turn has ended, or has not.
    #[inline]
    pub(crate) fn note_turn(&mut self, storage: &Storage) {
        self.counted = storage.work();
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

    /// How much was read; nothing at the end, by an error perhaps.
    #[inline]
    pub(crate) fn note_read(&mut self, result: io::Result<()>, read: &ReadBuf<'_>) -> usize {
        match result {
            Ok(()) => read.filled().len(),
            Err(error) => {
                // TLS without a goodbye ends so, which is an early end like any other.
                self.error = Some(error).filter(|error| error.kind() != ErrorKind::UnexpectedEof);
                0
            }
        }
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
            Mode::Piece | Mode::Frame => kept.next_piece(),
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
            Some(kept)
                if matches!(*event, Event::Piece(_))
                    && !matches!(mode, Mode::Piece | Mode::Frame)
                    && kept.has_front() =>
            {
                kept.push(Told::Event(event));
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

    /// The connection has failed; the first reason counts.
    pub(crate) fn fail(&mut self, error: ProtocolError) {
        let error = match self.error.take() {
            Some(why) if error == ProtocolError::UnexpectedEof => Error::Io(why),
            _ => error.into(),
        };
        if self.failed.is_none() {
            self.failed = Some(Box::new(Failure { error, told: false }));
        }
    }

    pub(crate) fn handle_close(&mut self, close: &Close<'static>) {
        self.close = Some(Box::new(close.clone()));
    }

    /// The connection and its transport have ended; whether that is new.
    pub(crate) fn set_over(&mut self) -> bool {
        !mem::replace(&mut self.over, true)
    }

    /// Tells how it has ended.
    pub(crate) fn tell_end(&self, mut life: Life) {
        let said = self.close.as_ref().map(|close| close.code);
        let (code, ended) = match self.failed.as_ref().map(|failure| &failure.error) {
            Some(Error::Protocol(error)) => (said.or(error.close_code()), Ended::Protocol(error)),
            Some(_) => (said, Ended::Transport),
            None => (said, if said.is_some() { Ended::Closing } else { Ended::Dropped }),
        };
        life.end(code.unwrap_or(Code::ABNORMAL), ended);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Why it ended, if it has failed, for who is told besides.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failed.as_ref().map(|failure| failure.error.copied())
    }

    /// How the connection ended; an error is told once.
    pub(crate) fn outcome(&mut self) -> Result<(), Error> {
        match &mut self.failed {
            Some(failure) if !failure.told => {
                failure.told = true;
                let known = failure.error.copied();
                Err(mem::replace(&mut failure.error, known))
            }
            _ => Ok(()),
        }
    }
}
