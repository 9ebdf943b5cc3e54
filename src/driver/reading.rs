//! Reading: where bytes go, which events they make, and when it is others' turn.

use super::{Progress, Storage};
use crate::connection::Connection;
use crate::event::Event;
use crate::message::Role;
use crate::state::State;
use crate::wire::error::ProtocolError;
use alloc::borrow::Cow;
use core::mem;
use core::time::Duration;

/// Bytes; when a turn's events have cost more, the rest waits until it was the others' turn.
const MOST_WORK: usize = 4 << 20;

/// Bytes; what an event costs besides its payload.
const EVENT: usize = 128;

/// Bytes; what a ping costs, whose answer is written before the next is read.
const PING: usize = 16 << 10;

/// What an input byte that has to be inflated costs, as often as one that has not: empty blocks take the longest.
const INFLATING: usize = 32;

/// Bytes; while fewer wait, one turn's messages are all taken before they are written: writing each would cost more than
/// the copy.
const MOST_GATHERED: usize = 512 << 10;

/// How messages come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Message,
    Piece,
}

impl Progress {
    /// Where the next read goes.
    #[inline]
    pub(super) fn space<'a>(&mut self, connection: &'a mut Connection, storage: &'a mut Storage) -> &'a mut [u8] {
        self.enter(connection, storage);
        storage.is_tail = storage.len() == 0 && connection.tail().is_some();
        match storage.is_tail {
            true => connection.tail().unwrap_or_default(),
            false => storage.space(),
        }
    }

    /// The turn begins, unless it has begun.
    #[inline]
    pub(super) fn enter(&mut self, connection: &Connection, storage: &mut Storage) {
        if !self.has(Self::HERE) {
            self.set(Self::HERE, true);
            // What lies there is of a connection that is gone, or it would have left.
            storage.abandon();
            storage.gather = MOST_GATHERED.min(connection.sender().outbound_limits().hard / 2);
            storage.begin(connection.queued());
            if self.rare().is_some() {
                self.restore(storage);
            }
        }
    }

    /// Takes what was kept back to where input lies.
    #[inline(never)]
    fn restore(&mut self, storage: &mut Storage) {
        if let Some((kept, at)) = self.take_kept() {
            storage.restore(kept, at);
        }
    }

    /// Whether events may come without another read.
    #[inline]
    pub(super) fn has_input(&self, storage: &Storage) -> bool {
        let here = self.has(Self::HERE) && (storage.len() > 0 && !storage.cut || storage.tail > 0);
        here || self.has_any(Self::EOF | Self::OWED) || self.has_kept()
    }

    /// Whether the transport should be read.
    #[inline]
    pub(super) fn reads(&self, connection: &Connection, storage: &Storage) -> bool {
        !self.has_any(Self::PAUSED | Self::WAITS) && !self.has_input(storage) && connection.wants_read()
    }

    #[inline]
    pub(super) fn received(&mut self, connection: &Connection, storage: &mut Storage, len: usize, now: Duration) {
        storage.asked = true;
        storage.begin(connection.queued());
        if len == 0 {
            return self.set(Self::EOF, true);
        }
        self.hear(now);
        if storage.is_tail {
            (storage.tail, storage.full, storage.is_special) = (len, false, true);
        } else {
            self.set(Self::WAITED, storage.len() > 0);
            storage.filled(len);
        }
    }

    /// The next event, before which the loop may have answered the last one.
    #[inline]
    pub(super) fn event<'a>(
        &mut self,
        connection: &mut Connection,
        storage: &'a mut Storage,
        mode: Mode,
        now: Duration,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.goes_on(connection, storage) {
            return self.decode(connection, storage, mode, now);
        }
        self.any_event(connection, storage, mode, now)
    }

    /// Whether there is input to decode, and nothing else to mind.
    #[inline]
    fn goes_on(&self, connection: &Connection, storage: &Storage) -> bool {
        self.flags() & (Self::HERE | Self::PAUSED | Self::WAITS | Self::OWED) == Self::HERE
            && !storage.is_special
            && storage.at < storage.end
            && storage.work <= MOST_WORK
            && connection.queued() <= storage.stop_at
    }

    /// Takes all events of this turn; as [`event`](Self::event) told one after the other, and quicker where they are short
    /// messages.
    #[inline]
    pub(super) fn each(
        &mut self,
        connection: &mut Connection,
        storage: &mut Storage,
        now: Duration,
        mut take: impl FnMut(&mut Connection, Event<'_>),
    ) -> Result<(), ProtocolError> {
        loop {
            if self.goes_on(connection, storage) {
                self.each_message(connection, storage, &mut take)?;
            }
            match self.event(connection, storage, Mode::Message, now)? {
                Some(event) => take(connection, event),
                None => return Ok(()),
            }
        }
    }

    /// Takes messages that lie where they were read, up to the first event that is something else.
    #[inline]
    fn each_message(
        &mut self,
        connection: &mut Connection,
        storage: &mut Storage,
        take: &mut impl FnMut(&mut Connection, Event<'_>),
    ) -> Result<(), ProtocolError> {
        let input = if storage.is_kept { &mut storage.kept[..] } else { &mut storage.buffer[..] };
        let mut input = &mut input[storage.at..storage.end];
        let mut work = storage.work;
        let result = loop {
            if work > MOST_WORK || input.is_empty() || connection.queued() > storage.stop_at {
                break Ok(());
            }
            let before = input.len();
            match connection.receive(&mut input) {
                // Taken apart and put together: moved, it would be read back from memory before it is written there.
                Ok(Some(Event::Text(Cow::Borrowed(text)))) => take(connection, Event::Text(Cow::Borrowed(text))),
                Ok(Some(Event::Binary(Cow::Borrowed(bytes)))) => take(connection, Event::Binary(Cow::Borrowed(bytes))),
                Ok(Some(event)) => {
                    let (more, must_write) = self.told(connection, &event, before - input.len());
                    take(connection, event);
                    work += more;
                    if must_write || self.has(Self::OWED) {
                        (storage.must_write, storage.is_special) = (must_write, must_write);
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => {
                    self.set(Self::TIMED, false);
                    break Err(error);
                }
            }
            work += EVENT;
        };
        let at = storage.end - input.len();
        storage.work = work + at - storage.at;
        storage.at = at;
        result
    }

    #[inline(never)]
    fn any_event<'a>(
        &mut self,
        connection: &mut Connection,
        storage: &'a mut Storage,
        mode: Mode,
        now: Duration,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.enter(connection, storage);
        storage.must_write |= connection.queued() > storage.stop_at;
        if self.has_any(Self::PAUSED | Self::WAITS) || storage.must_write || storage.work > MOST_WORK {
            return self.stopped(connection, storage, now);
        }
        if storage.tail > 0 {
            let len = mem::take(&mut storage.tail);
            storage.work += EVENT + len;
            let result = connection.receive_tail(len);
            if !matches!(result, Ok(None)) {
                self.set(Self::TIMED, self.has(Self::TIMED) && result.is_ok());
                return result;
            }
        }
        if storage.len() == 0 && !self.has(Self::OWED) || self.is_cut(connection, storage, mode) {
            return self.dry(connection, storage.asked, &mut storage.idle, now);
        }
        storage.is_special = storage.full;
        self.decode(connection, storage, mode, now)
    }

    /// Has the connection take from the input.
    #[inline(always)]
    fn decode<'a>(
        &mut self,
        connection: &mut Connection,
        storage: &'a mut Storage,
        mode: Mode,
        now: Duration,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        // Field by field, for the event borrows only the input.
        let input = if storage.is_kept { &mut storage.kept[..] } else { &mut storage.buffer[..] };
        let mut input = &mut input[storage.at..storage.end];
        let result = match mode {
            Mode::Message => connection.receive(&mut input),
            Mode::Piece => connection.receive_piece(&mut input),
        };
        let at = storage.end - input.len();
        let taken = at - mem::replace(&mut storage.at, at);
        storage.work += taken + EVENT;
        match &result {
            Ok(Some(Event::Text(Cow::Borrowed(_)) | Event::Binary(Cow::Borrowed(_)))) => {}
            Ok(Some(event)) => {
                let (work, must_write) = self.told(connection, event, taken);
                storage.work += work;
                storage.must_write |= must_write;
                storage.is_special |= must_write;
            }
            Ok(None) => {
                self.set(Self::OWED, Self::awaits_answer(connection));
                if connection.negotiated().is_compressed() {
                    storage.work += taken * INFLATING;
                }
                return self.dry(connection, storage.asked, &mut storage.idle, now);
            }
            Err(_) => self.set(Self::TIMED, false),
        }
        result
    }

    /// What follows from an event that is no message lying where it was read: the work that it was, and whether its answer
    /// is to be written before there is more.
    #[cold]
    fn told(&mut self, connection: &Connection, event: &Event<'_>, taken: usize) -> (usize, bool) {
        let payload = match event {
            Event::Text(text) => text.len(),
            Event::Binary(bytes) | Event::Unchecked(bytes) => bytes.len(),
            Event::Piece(piece) => {
                self.set(Self::OWED, true);
                piece.data.as_bytes().len()
            }
            event => {
                self.set(Self::TIMED, false);
                self.set(Self::OWED, self.has(Self::OWED) || matches!(event, Event::Request(_)));
                // The next ping's answer would take the place of this one's.
                return if matches!(event, Event::Ping(_)) { (PING, true) } else { (0, false) };
            }
        };
        let inflating = if connection.negotiated().is_compressed() { taken * INFLATING } else { 0 };
        (payload + inflating, false)
    }

    /// Whether a request waits to be answered, behind which the connection may hold input.
    fn awaits_answer(connection: &Connection) -> bool {
        connection.state() == State::Connecting && connection.role() == Role::Server && !connection.wants_read()
    }

    /// Whether what is left is the front of a frame, whose rest the transport has at hand: it is worth one more read, behind
    /// which the frame is borrowed instead of put together.
    #[inline]
    fn is_cut(&self, connection: &Connection, storage: &mut Storage, mode: Mode) -> bool {
        if !storage.full || mode == Mode::Piece || self.has_any(Self::WAITED | Self::EOF | Self::OWED) {
            return false;
        }
        let missing = connection.missing(storage.input());
        storage.cut = missing > 0 && storage.can_wait_for(storage.len() + missing);
        storage.cut
    }

    /// No event of the input comes in this turn, or at all for now.
    #[cold]
    fn stopped(
        &mut self,
        connection: &mut Connection,
        storage: &mut Storage,
        now: Duration,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        match self.has(Self::WAITS) && !self.has(Self::PAUSED) && !storage.must_write {
            // A peer that takes nothing is given up.
            true => self.judge(connection, now),
            false => Ok(None),
        }
    }

    /// All input is taken: judges the end of the transport, and the time.
    #[inline]
    fn dry(
        &mut self,
        connection: &mut Connection,
        asked: bool,
        idle: &mut bool,
        now: Duration,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        // Messages bring no deadline nearer.
        let idle = mem::take(idle);
        if !idle && self.has(Self::TIMED) && !self.has(Self::EOF) {
            return Ok(None);
        }
        if self.has(Self::EOF) {
            self.set(Self::EOF, false);
            self.set(Self::TIMED, false);
            return connection.receive_eof();
        }
        // What is to be read first is read first.
        match asked || idle || !connection.wants_read() {
            true => self.judge(connection, now),
            false => Ok(None),
        }
    }

    #[inline(never)]
    fn judge(&mut self, connection: &mut Connection, now: Duration) -> Result<Option<Event<'static>>, ProtocolError> {
        let result = match self.take_heard(now) {
            Some(heard) => connection.handle_timeout(heard),
            None => Ok(None),
        };
        let result = match result {
            Ok(None) => connection.handle_timeout(now),
            told => told,
        };
        self.set(Self::TIMED, connection.state() == State::Open);
        // A dead peer is not waited for.
        self.set(Self::DEAD, self.has(Self::DEAD) || result == Err(ProtocolError::PongTimeout));
        result
    }
}

impl Progress {
    /// The transport has nothing to read now.
    #[inline]
    pub(super) fn received_nothing(&mut self, connection: &Connection, storage: &mut Storage) {
        self.enter(connection, storage);
        storage.begin(connection.queued());
        (storage.asked, storage.idle, storage.full, storage.is_special) = (true, true, false, false);
        if self.has(Self::BROKEN) {
            self.set(Self::EOF, true);
        }
    }
}
