//! Reading: where bytes go, which events they make, and when it is others' turn.

use super::incoming::Incoming;
use super::messages::Messages;
use super::noting::Blames;
use super::{Progress, Storage, Turn, work};
use crate::connection::Connection;
use crate::event::Event;
use crate::rates::Excess;
use crate::wire::error::ProtocolError;
use alloc::borrow::Cow;
use core::mem;
use core::time::Duration;

/// Bytes; while fewer wait, one turn's messages are all taken before they are written: writing each would cost more than
/// the copy.
const MOST_GATHERED: usize = 512 << 10;

impl Progress {
    /// Where the next read goes.
    #[inline]
    pub(super) fn space<'a>(&mut self, connection: &'a mut impl Incoming, storage: &'a mut Storage) -> &'a mut [u8] {
        self.enter(connection, storage);
        storage.is_tail = storage.len() == 0 && connection.tail().is_some();
        let space = match storage.is_tail {
            // Behind what lies there and was not taken, if it is read on all the same.
            true => &mut connection.tail().unwrap_or_default()[storage.tail..],
            false => storage.space(),
        };
        match self.limiter() {
            None => space,
            Some(limiter) => {
                let most = limiter.space().min(space.len());
                &mut space[..most]
            }
        }
    }

    /// The turn begins, unless it has begun.
    #[inline]
    pub(super) fn enter(&mut self, connection: &impl Incoming, storage: &mut Storage) {
        if !self.has(Self::HERE) {
            self.set(Self::HERE, true);
            // What lies there is of a connection that is gone, or it would have left.
            storage.abandon();
            storage.gather = MOST_GATHERED.min(connection.most_queued() / 2);
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
        storage.tail = self.take_tail();
    }

    /// Whether events may come without another read.
    #[inline]
    pub(super) fn has_input(&self, storage: &Storage) -> bool {
        let here = self.has(Self::HERE) && (storage.len() > 0 && !storage.cut || storage.tail > 0);
        here || self.has_any(Self::EOF | Self::OWED) || self.has_kept()
    }

    /// Whether anything is left of what was read.
    #[inline]
    pub(super) fn has_left(&self, storage: &Storage) -> bool {
        self.has_any(Self::EOF | Self::OWED)
            || self.has(Self::HERE) && (storage.len() > 0 || storage.tail > 0)
            || self.has_kept()
    }

    /// Whether the transport should be read.
    #[inline]
    pub(super) fn reads(&self, connection: &impl Incoming, storage: &Storage) -> bool {
        !self.has_any(Self::STOPPED) && !self.has_input(storage) && connection.wants_read()
    }

    /// Whether this turn goes on behind a write.
    #[inline]
    pub(super) fn has_more(&self, connection: &impl Incoming, storage: &Storage) -> bool {
        storage.work <= work::MOST && !self.has_any(Self::STOPPED) && self.has_input(storage) && connection.wants_read()
    }

    #[inline]
    pub(super) fn received(
        &mut self,
        connection: &mut impl Incoming,
        storage: &mut Storage,
        len: usize,
        now: Option<Duration>,
    ) {
        self.note_received(connection, storage, len, now);
        storage.ask(connection.queued());
        if len == 0 {
            return self.set(Self::EOF, true);
        }
        if let Some(now) = now {
            self.hear(now);
        }
        if storage.is_tail {
            (storage.tail, storage.full, storage.is_special) = (storage.tail + len, false, false);
        } else {
            self.set(Self::WAITED, storage.len() > 0);
            storage.filled(len);
        }
    }

    /// The next event, before which the loop may have answered the last one.
    #[inline]
    pub(super) fn event<'a>(
        &mut self,
        connection: &mut impl Incoming,
        storage: &'a mut Storage,
        now: Duration,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.event_by(connection, storage, now, true, Incoming::receive)
    }

    /// The same, of a connection that takes its input by `receive`; `whole` says that it does so by messages.
    #[inline(always)]
    pub(super) fn event_by<'a, C: Incoming, E: Blames>(
        &mut self,
        connection: &mut C,
        storage: &'a mut Storage,
        now: Duration,
        whole: bool,
        receive: impl FnOnce(&mut C, &mut &'a mut [u8]) -> Result<Option<Event<'a>>, E>,
    ) -> Result<Option<Event<'a>>, E> {
        self.note_time(now);
        let result = if self.goes_on(connection, storage) {
            self.decode(connection, storage, now, receive)
        } else if self.is_dry(storage) {
            return Ok(None);
        } else {
            self.any_event(connection, storage, now, whole, receive)
        };
        self.noted(connection, result)
    }

    /// Whether all input is taken, and no deadline has come nearer.
    #[inline]
    pub(super) fn is_dry(&self, storage: &Storage) -> bool {
        let input = if self.has(Self::HERE) { storage.at < storage.end || storage.tail > 0 } else { self.has_kept() };
        self.flags() & (Self::TIMED | Self::EOF | Self::OWED | Self::STOPPED) == Self::TIMED && !input && !storage.idle
    }

    /// Whether there is input to decode, and nothing else to mind.
    #[inline]
    fn goes_on(&self, connection: &impl Incoming, storage: &Storage) -> bool {
        self.flags() & (Self::HERE | Self::STOPPED | Self::OWED | Self::RATED) == Self::HERE
            && !storage.is_special
            && storage.at < storage.end
            && storage.work <= work::MOST
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
        mut take: impl FnMut(&mut Turn<'_>, Event<'_>),
    ) -> Result<(), ProtocolError> {
        self.note_time(now);
        loop {
            if self.goes_on(connection, storage) {
                self.each_message(connection, storage, &mut take)?;
                if self.is_dry(storage) {
                    return Ok(());
                }
            }
            if !self.take_one(connection, storage, now, &mut take)? {
                return Ok(());
            }
        }
    }

    /// Takes an event of any kind, if there is one. Apart, so that the compiler writes what `take` does where messages are taken, and
    /// calls it here.
    #[cold]
    #[inline(never)]
    fn take_one(
        &mut self,
        connection: &mut Connection,
        storage: &mut Storage,
        now: Duration,
        take: &mut dyn FnMut(&mut Turn<'_>, Event<'_>),
    ) -> Result<bool, ProtocolError> {
        Ok(self.event_with(connection, storage, now, take)?.is_some())
    }

    /// Takes messages that lie where they were read, up to the first event that is something else.
    #[inline]
    fn each_message(
        &mut self,
        connection: &mut Connection,
        storage: &mut Storage,
        take: &mut impl FnMut(&mut Turn<'_>, Event<'_>),
    ) -> Result<(), ProtocolError> {
        let input = if storage.is_kept { &mut storage.kept[..] } else { &mut storage.buffer[..] };
        let mut input = &mut input[storage.at..storage.end];
        let (mut work, mut result) = (storage.work, Ok(()));
        while work <= work::MOST
            && connection.queued() <= storage.stop_at
            && let Some(message) = connection.whole_message(&mut input)
        {
            match message {
                Ok(message) => take(&mut Turn::new(connection, self, &mut work, input.is_empty()), message.into()),
                Err(error) => {
                    self.set(Self::TIMED, false);
                    result = self.noted(connection, Err(error));
                }
            }
            work += work::EVENT;
        }
        let at = storage.end - input.len();
        storage.work = work + at - storage.at;
        storage.at = at;
        result
    }

    /// What `take` makes of the next event, which it gets with its turn.
    #[inline]
    pub(super) fn event_with<T>(
        &mut self,
        connection: &mut Connection,
        storage: &mut Storage,
        now: Duration,
        take: impl FnOnce(&mut Turn<'_>, Event<'_>) -> T,
    ) -> Result<Option<T>, ProtocolError> {
        self.enter(connection, storage);
        let end = storage.input().as_ptr_range().end;
        let Some(event) = self.event(connection, storage, now)? else { return Ok(None) };
        let is_last = match &event {
            Event::Text(Cow::Borrowed(text)) => text.as_bytes().as_ptr_range().end == end,
            Event::Binary(Cow::Borrowed(bytes)) | Event::Unchecked(Cow::Borrowed(bytes)) => {
                bytes.as_ptr_range().end == end
            }
            // One that was put together is worth a write of its own, whatever lies behind it.
            Event::Text(_) | Event::Binary(_) | Event::Unchecked(_) => true,
            _ => false,
        };
        let mut work = 0;
        let made = take(&mut Turn::new(connection, self, &mut work, is_last), event);
        storage.work = storage.work.saturating_add(work);
        Ok(Some(made))
    }

    /// The same, but messages come in parts, by this method of the connection's.
    pub(super) fn part_with<T>(
        &mut self,
        connection: &mut Connection,
        storage: &mut Storage,
        now: Duration,
        receive: for<'a> fn(&mut Connection, &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError>,
        take: impl FnOnce(&mut Turn<'_>, Event<'_>) -> T,
    ) -> Result<Option<T>, ProtocolError> {
        let event = self.event_by(connection, storage, now, false, receive)?;
        let Some(event) = event else { return Ok(None) };
        let mut work = 0;
        let made = take(&mut Turn::new(connection, self, &mut work, true), event);
        storage.work = storage.work.saturating_add(work);
        Ok(Some(made))
    }

    /// The messages that lie where they were read, up to the first event that is something else.
    #[inline]
    pub(super) fn messages<'a>(&'a mut self, connection: &'a mut Connection, storage: &'a mut Storage) -> Messages<'a> {
        let most = if self.goes_on(connection, storage) { work::MOST } else { 0 };
        let input = if storage.is_kept { &mut storage.kept[..] } else { &mut storage.buffer[..] };
        let input = &mut input[storage.at..storage.end];
        let rest = input.len();
        Messages {
            connection,
            progress: self,
            input,
            rest,
            at: &mut storage.at,
            work: &mut storage.work,
            most,
            stop_at: storage.stop_at,
        }
    }

    #[inline(never)]
    fn any_event<'a, C: Incoming, E: From<ProtocolError>>(
        &mut self,
        connection: &mut C,
        storage: &'a mut Storage,
        now: Duration,
        whole: bool,
        receive: impl FnOnce(&mut C, &mut &'a mut [u8]) -> Result<Option<Event<'a>>, E>,
    ) -> Result<Option<Event<'a>>, E> {
        self.enter(connection, storage);
        self.tell_limiter(now);
        storage.must_write |= connection.queued() > storage.stop_at;
        if self.has_any(Self::STOPPED) || storage.must_write || storage.work > work::MOST {
            return Ok(self.stopped(connection, storage, now)?);
        }
        if storage.tail > 0 {
            let len = mem::take(&mut storage.tail);
            storage.work += work::EVENT + len;
            let result = connection.receive_tail(len);
            let result = self.limit(connection, (0, len), result);
            if !matches!(result, Ok(None)) || self.has(Self::LIMITED) {
                self.set(Self::TIMED, self.has(Self::TIMED) && result.is_ok());
                return Ok(result?);
            }
        }
        if storage.len() == 0 && !self.has(Self::OWED) || whole && self.is_cut(connection, storage) {
            return Ok(self.dry(connection, storage.asked, &mut storage.idle, now)?);
        }
        storage.is_special = storage.full;
        self.decode(connection, storage, now, receive)
    }

    /// Has the connection take from the input.
    #[inline(always)]
    fn decode<'a, C: Incoming, E: From<ProtocolError>>(
        &mut self,
        connection: &mut C,
        storage: &'a mut Storage,
        now: Duration,
        receive: impl FnOnce(&mut C, &mut &'a mut [u8]) -> Result<Option<Event<'a>>, E>,
    ) -> Result<Option<Event<'a>>, E> {
        // Field by field, for the event borrows only the input.
        let input = if storage.is_kept { &mut storage.kept[..] } else { &mut storage.buffer[..] };
        let end = storage.at + work::portion(connection, storage.end - storage.at);
        let mut input = &mut input[storage.at..end];
        let frames = connection.frames();
        let is_opening = self.has(Self::RATED) && connection.is_opening();
        let mut result = receive(connection, &mut input);
        let at = end - input.len();
        let taken = at - mem::replace(&mut storage.at, at);
        if self.has(Self::RATED) && !is_opening {
            result = self.limit(connection, (connection.frames() - frames, taken), result);
        }
        storage.work += taken + work::EVENT;
        match &result {
            Ok(Some(
                Event::Text(Cow::Borrowed(_)) | Event::Binary(Cow::Borrowed(_)) | Event::Unchecked(Cow::Borrowed(_)),
            )) => {}
            Ok(Some(event)) => {
                let (work, must_write) = self.told(connection, event, taken);
                storage.work += work + work::fragments(connection, frames);
                storage.must_write |= must_write;
                storage.is_special |= must_write;
            }
            Ok(None) => {
                self.set(Self::OWED, connection.awaits_answer());
                self.set(Self::TIMED, self.has(Self::TIMED) && !connection.is_untimed());
                storage.work += work::inflating(connection, taken) + work::fragments(connection, frames);
                if at < storage.end {
                    // The rest of what is compressed comes when it was the others' turn.
                    storage.is_special = true;
                    storage.must_write = true;
                    return Ok(None);
                }
                return Ok(self.dry(connection, storage.asked, &mut storage.idle, now)?);
            }
            Err(_) => self.set(Self::TIMED, false),
        }
        result
    }

    /// Counts so many frames and bytes against what the peer may send: what then becomes of what they made.
    #[cold]
    fn limit<'a, E: From<ProtocolError>>(
        &mut self,
        connection: &mut impl Incoming,
        (frames, bytes): (u64, usize),
        result: Result<Option<Event<'a>>, E>,
    ) -> Result<Option<Event<'a>>, E> {
        let Some(limiter) = self.limiter() else { return result };
        let fits = limiter.charge(frames, bytes);
        match limiter.excess {
            Excess::Close if fits || result.is_err() => {}
            Excess::Close => {
                connection.fail(ProtocolError::RateExceeded);
                return Err(ProtocolError::RateExceeded.into());
            }
            Excess::Wait => {
                let waits = !limiter.is_ready();
                self.set(Self::LIMITED, waits);
            }
        }
        result
    }

    /// What follows from an event that is no message lying where it was read: the work that it was, and whether its answer
    /// is to be written before there is more.
    #[cold]
    fn told(&mut self, connection: &impl Incoming, event: &Event<'_>, taken: usize) -> (usize, bool) {
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
                return if matches!(event, Event::Ping(_)) { (work::PING, true) } else { (work::RARE, false) };
            }
        };
        (payload + work::inflating(connection, taken), false)
    }

    /// Whether what is left is the front of a frame, whose rest the transport has at hand: it is worth one more read, behind
    /// which the frame is borrowed instead of put together.
    #[inline]
    fn is_cut(&self, connection: &impl Incoming, storage: &mut Storage) -> bool {
        if !storage.full || self.has_any(Self::WAITED | Self::EOF | Self::OWED) {
            return false;
        }
        let missing = connection.missing(storage.input());
        storage.cut = missing > 0 && storage.can_wait_for(storage.len() + missing);
        storage.cut
    }
}

impl Progress {
    /// The transport has nothing to read now.
    #[inline]
    pub(super) fn received_nothing(&mut self, connection: &impl Incoming, storage: &mut Storage) {
        self.enter(connection, storage);
        storage.ask(connection.queued());
        (storage.idle, storage.full, storage.is_special) = (true, false, false);
        if self.has(Self::BROKEN) {
            self.set(Self::EOF, true);
        }
    }
}
