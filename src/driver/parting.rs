//! A driver taken apart, and put together again from its halves.

use super::{Driver, Reading, Storage, Writing};
use crate::connection::Connection;
use crate::state::State;
use alloc::vec::Vec;
use core::time::Duration;
use thiserror::Error;

/// Why a connection cannot be taken apart, or halves not be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InUse {
    /// What was sent is not all written: flush it.
    #[error("bytes wait to be written")]
    Unwritten,
    /// What has come is not all received: receive it.
    #[error("messages wait to be received")]
    Unreceived,
    /// A part of a message has come, or of a frame, and the rest has not: receive it.
    #[error("within a message")]
    WithinMessage,
    /// They are halves of different connections.
    #[error("halves of different connections")]
    Different,
    /// The sender has clones.
    #[error("the sender has clones")]
    Cloned,
}

/// What could not be taken apart, or joined; it is as it was.
#[derive(Debug, Error)]
#[error("{why}")]
pub struct GivenBack<T> {
    /// What was to be.
    pub inner: T,
    /// Why it could not.
    pub why: InUse,
}

impl Driver {
    /// The driver of a connection whose transport was read before: `rest` is what came and was told to nobody, as of
    /// [`into_rest`](Self::into_rest), or behind a handshake that was done elsewhere. It is here already, so it is taken whatever the
    /// peer may send in a time.
    pub fn with_rest(connection: Connection, mut rest: &[u8]) -> Self {
        let mut driver = Self::new(connection);
        let mut storage = Storage::new(rest.len());
        while !rest.is_empty() {
            let space = driver.space(&mut storage);
            let (part, left) = rest.split_at(space.len().min(rest.len()));
            space[..part.len()].copy_from_slice(part);
            driver.received(&mut storage, part.len(), Duration::ZERO);
            rest = left;
        }
        driver.leave(&mut storage);
        driver
    }

    /// Whether nothing is lost where the connection is taken apart: all is written and told, and what else was read begins with
    /// a frame.
    ///
    /// # Errors
    /// Why not, but for [`Different`](InUse::Different) and [`Cloned`](InUse::Cloned).
    pub fn check_idle(&self) -> Result<(), InUse> {
        let connection = self.peek();
        if connection.queued() > 0 {
            Err(InUse::Unwritten)
        } else if connection.state() != State::Closed && !connection.is_between_messages() {
            Err(InUse::WithinMessage)
        } else {
            Ok(())
        }
    }

    /// What was read of the transport, and is of no event that was told, of an [idle](Self::check_idle) driver: whoever goes on
    /// with the transport reads this before.
    pub fn into_rest(mut self, storage: &mut Storage) -> Vec<u8> {
        self.leave(storage);
        let (mut rest, at) = self.progress.take_kept().unwrap_or_default();
        rest.drain(..at);
        rest
    }

    /// The driver of a connection in [halves](Self::split), put together again. The writing half has been told all facts of the
    /// reading half's.
    pub fn reunite(reading: Reading, writing: Writing) -> Self {
        let (receiver, of_reading) = reading.into_parts();
        let (sender, of_writing) = writing.into_parts();
        Self { connection: (sender, receiver).into(), progress: of_reading.join(of_writing) }
    }
}
