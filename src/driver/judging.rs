//! When no event of the input comes: the end of the transport, of a pause and of a deadline.

use super::incoming::Incoming;
use super::{Progress, Storage};
use crate::event::Event;
use crate::wire::error::ProtocolError;
use core::mem;
use core::time::Duration;

impl Progress {
    /// No event of the input comes in this turn, or at all for now.
    #[cold]
    pub(super) fn stopped(
        &mut self,
        connection: &mut impl Incoming,
        storage: &mut Storage,
        now: Duration,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        if self.has(Self::PAUSED) {
            return self.end_of_pause(connection, storage, now);
        }
        // A peer that takes nothing is given up. One that is not read cannot answer a ping, but nobody waits for ever for its end.
        let counts =
            if self.has_any(Self::HELD | Self::LIMITED) { connection.is_closing() } else { self.has(Self::WAITS) };
        match counts && !storage.must_write {
            true => self.judge(connection, now),
            false => Ok(None),
        }
    }

    /// A peer that has hung up is waited for as long as a closing handshake may take; then what it has left is dropped.
    fn end_of_pause(
        &mut self,
        connection: &mut impl Incoming,
        storage: &mut Storage,
        now: Duration,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        let until = self.rare().and_then(|rare| rare.linger).filter(|_| self.has(Self::HUNG_UP));
        if until.is_none_or(|until| until > now) {
            return Ok(None);
        }
        self.take_kept();
        storage.abandon();
        self.resume();
        self.set(Self::TIMED, false);
        connection.receive_eof()
    }

    /// All input is taken: judges the end of the transport, and the time.
    #[inline]
    pub(super) fn dry(
        &mut self,
        connection: &mut impl Incoming,
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
        match asked || !connection.wants_read() {
            true => self.judge(connection, now),
            false => Ok(None),
        }
    }

    #[inline(never)]
    pub(super) fn judge(
        &mut self,
        connection: &mut impl Incoming,
        now: Duration,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        if self.has(Self::LIMITED) && !connection.is_closing() {
            return Ok(None);
        }
        // A closing handshake begins after all that was heard before.
        let result = match self.take_heard(now).filter(|_| connection.is_open()) {
            Some(heard) => connection.handle_timeout(heard),
            None => Ok(None),
        };
        let result = match result {
            Ok(None) => connection.handle_timeout(now),
            told => told,
        };
        self.judged(connection.is_open(), result.as_ref().err().copied());
        self.noted(connection, result)
    }

    /// The connection was told the time, and is open then, or was ended by it.
    pub(super) fn judged(&mut self, open: bool, ended: Option<ProtocolError>) {
        self.set(Self::TIMED, open);
        self.set(Self::ARMED, false);
        // A peer that is silent is not waited for.
        let dead = matches!(ended, Some(ProtocolError::PongTimeout | ProtocolError::IdleTimeout));
        self.set(Self::DEAD, self.has(Self::DEAD) || dead);
    }
}
