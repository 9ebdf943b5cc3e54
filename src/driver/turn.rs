//! What who takes an event may do: send, and say what that means for the turn.

use super::{Progress, work};
use crate::changes::Changes;
use crate::config::{Keepalive, SharedConfig};
use crate::connection::Connection;
use crate::handshake::Request;
use crate::rates::Rates;
use crate::wire::error::SendError;
use core::ops::{Deref, DerefMut};

/// More work than any turn has.
const ALL: usize = usize::MAX / 2;

/// A [`Connection`], lent to whoever takes its events, and what else they may say of its turn.
pub struct Turn<'a> {
    connection: &'a mut Connection,
    progress: &'a mut Progress,
    work: &'a mut usize,
    is_last: bool,
}

impl<'a> Turn<'a> {
    /// Bytes; a shorter message is copied for less than a vectored write costs, so [`send_through`](Self::send_through) only sends
    /// it.
    #[cfg(feature = "std")]
    pub const LEAST_THROUGH: usize = 32 << 10;

    #[inline]
    pub(super) fn new(
        connection: &'a mut Connection,
        progress: &'a mut Progress,
        work: &'a mut usize,
        is_last: bool,
    ) -> Self {
        Self { connection, progress, work, is_last }
    }

    /// Whether the event is the last of what was read, as far as is known, or was put together: its answer waits for no other.
    #[inline]
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// The same, for a shorter time.
    #[inline]
    pub fn reborrow(&mut self) -> Turn<'_> {
        Turn { connection: self.connection, progress: self.progress, work: self.work, is_last: self.is_last }
    }

    /// Charges the turn for what an event has led to, in bytes, about a nanosecond each. When a turn has cost some
    /// milliseconds, the rest of its events waits until it was the others' turn.
    #[inline]
    pub fn charge(&mut self, bytes: usize) {
        *self.work = self.work.saturating_add(bytes).min(ALL);
    }

    /// Charges for a message of so many bytes that was sent, if it had to be compressed.
    #[inline]
    pub fn charge_sent(&mut self, bytes: usize) {
        if self.connection.negotiated().is_compressed() {
            self.charge(bytes.saturating_mul(work::CODEC));
        }
    }

    /// Ends the turn: the rest of its events waits until it was the others' turn.
    #[inline]
    pub fn end(&mut self) {
        *self.work = ALL;
    }

    /// As [`Driver::pause`](super::Driver::pause); no other event comes before.
    pub fn pause(&mut self) {
        self.progress.set(Progress::PAUSED, true);
        self.end();
    }

    /// As [`Driver::resume`](super::Driver::resume).
    pub fn resume(&mut self) {
        self.progress.resume();
    }

    /// As [`Driver::hold`](super::Driver::hold); no other event comes before.
    pub fn hold(&mut self) {
        self.progress.set(Progress::HELD, true);
        self.end();
    }

    /// As [`Driver::release`](super::Driver::release).
    pub fn release(&mut self) {
        self.progress.set(Progress::HELD, false);
    }

    /// As [`Driver::set_rates`](super::Driver::set_rates).
    pub fn set_rates(&mut self, rates: Rates) {
        self.progress.set_rates(rates);
        self.end();
    }

    /// As [`Driver::reconfigure`](super::Driver::reconfigure).
    ///
    /// # Errors
    /// As [`Connection::reconfigure`].
    pub fn reconfigure<'r>(
        &mut self,
        request: Request<'r>,
        config: impl Into<SharedConfig>,
    ) -> Result<Request<'r>, SendError> {
        let request = self.connection.reconfigure(request, config)?;
        self.progress.set_rates(self.connection.config().rates);
        Ok(request)
    }

    /// As [`Driver::change`](super::Driver::change).
    pub fn change(&mut self, changes: &mut Changes) {
        self.connection.change(changes);
        self.progress.changed(changes);
        self.end();
    }

    /// As [`Driver::set_keepalive`](super::Driver::set_keepalive).
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.connection.set_keepalive(keepalive);
        self.progress.set(Progress::ARMED, false);
    }

    /// Sends a message; a long one is written at once, from where it lies, if nothing that was read waits for its turn: others
    /// would follow it then, and be written together. An error of the transport is found by the next write.
    ///
    /// # Errors
    /// As [`Connection::send`].
    #[cfg(feature = "std")]
    #[inline]
    pub fn send_through(
        &mut self,
        message: &crate::Message<'_>,
        transport: impl std::io::Write,
    ) -> Result<(), crate::SendError> {
        match message.as_bytes().len() {
            Self::LEAST_THROUGH.. if self.is_last && !self.progress.has(Progress::BROKEN) => {
                let through = self.connection.send_through(message)?;
                // What fails here fails once more when the rest is written.
                _ = super::writing::write_all(through, transport);
                Ok(())
            }
            _ => self.connection.send(message),
        }
    }
}

impl Deref for Turn<'_> {
    type Target = Connection;

    #[inline]
    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Turn<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}
