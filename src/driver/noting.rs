//! What passes a driver is kept if the settings say so, and handed over when the connection fails.

use super::incoming::Incoming;
use super::{Progress, Storage};
use crate::config::{Config, Negotiated};
use crate::connection::Connection;
use crate::message::Role;
use crate::noted::Notes;
use crate::wire::error::{ProtocolError, RelayError};
use core::time::Duration;

/// An error that may be the peer's.
pub(super) trait Blames: From<ProtocolError> {
    fn peer(&self) -> Option<ProtocolError>;
}

impl Blames for ProtocolError {
    fn peer(&self) -> Option<ProtocolError> {
        Some(*self)
    }
}

impl Blames for RelayError {
    fn peer(&self) -> Option<ProtocolError> {
        match self {
            Self::Peer(error) => Some(*error),
            Self::Send(_) => None,
        }
    }
}

/// Tells whoever keeps tapes if the result is the end of the connection; the result.
#[inline(always)]
pub(super) fn told<T, E: Blames>(
    notes: &Notes,
    role: Role,
    settings: (&Config, Negotiated),
    result: Result<T, E>,
) -> Result<T, E> {
    if let Some(error) = result.as_ref().err().filter(|_| notes.is_on()).and_then(Blames::peer) {
        tell(notes, role, settings, error);
    }
    result
}

#[cfg(all(feature = "std", feature = "testing"))]
#[cold]
fn tell(notes: &Notes, role: Role, (config, negotiated): (&Config, Negotiated), error: ProtocolError) {
    let Some(tapes) = &config.tapes else { return };
    if let Some(kept) = notes.take() {
        (tapes.tell)(crate::config::Failed { role, config, negotiated, kept, error });
    }
}

#[cfg(not(all(feature = "std", feature = "testing")))]
fn tell(_: &Notes, _: Role, _: (&Config, Negotiated), _: ProtocolError) {}

#[cfg(all(feature = "std", feature = "testing"))]
fn begun(connection: &Connection) -> Notes {
    let Some(tapes) = &connection.config().tapes else { return Notes::default() };
    Notes::new(connection.role(), tapes.most, connection.state() != crate::State::Connecting)
}

#[cfg(not(all(feature = "std", feature = "testing")))]
fn begun(_: &Connection) -> Notes {
    Notes::default()
}

impl Progress {
    /// Begins to keep what passes, if the settings say so.
    pub(super) fn begin_notes(&mut self, connection: &mut Connection) {
        let notes = begun(connection);
        if notes.is_on() {
            connection.sender_mut().set_notes(notes.clone());
            self.rare_mut().notes = notes;
            self.set(Self::NOTED, true);
        }
    }

    #[inline(always)]
    fn notes(&self) -> Option<&Notes> {
        match Notes::CAN && self.has(Self::NOTED) {
            true => self.rare().map(|rare| &rare.notes),
            false => None,
        }
    }

    #[inline(always)]
    pub(super) fn note_time(&self, now: Duration) {
        if let Some(notes) = self.notes() {
            notes.tell_time(now);
        }
    }

    /// So many bytes were read into the space that was given.
    #[inline(always)]
    pub(super) fn note_received(
        &self,
        connection: &mut impl Incoming,
        storage: &Storage,
        len: usize,
        now: Option<Duration>,
    ) {
        if let Some(notes) = self.notes() {
            let between = storage.len() == 0 && !storage.is_tail && connection.is_between();
            let space = match storage.is_tail {
                true => connection.tail().unwrap_or_default(),
                false => &storage.buffer[storage.end..],
            };
            notes.received(&space[..len.min(space.len())], now, between);
        }
    }

    /// As [`told`], of a connection that may keep nothing.
    #[inline(always)]
    pub(super) fn noted<T, E: Blames>(&self, connection: &impl Incoming, result: Result<T, E>) -> Result<T, E> {
        match self.notes() {
            Some(notes) => told(notes, connection.role(), connection.settings(), result),
            None => result,
        }
    }
}
