//! What the halves of a connection share.

use crate::stream::Stream;
use crate::writer::Writer;
use sockless::driver::{Error, Pings, Writing};
use sockless::{Close, SendError};
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(super) struct Shared<S> {
    pub(super) state: Mutex<Shares<S>>,
    /// Somebody has stopped writing, a ping is answered, or the connection is over.
    pub(super) changed: Condvar,
    /// The moment that times count from.
    pub(super) started: Instant,
}

/// What the halves share, for a moment at a time.
pub(super) struct Shares<S> {
    pub(super) writing: Writing,
    /// The stream's writing side, unless somebody is writing.
    pub(super) writer: Option<Box<Writer<S>>>,
    /// Nothing more is written behind what waits.
    pub(super) shutdown: bool,
    /// Why nothing can be written any more.
    pub(super) broken: Option<io::Error>,
    /// Pings that somebody asks after.
    pub(super) pings: Pings,
    pub(super) close: Option<Box<Close<'static>>>,
    pub(super) over: bool,
}

impl<S: Stream> Shared<S> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shares<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits, for a while; whether all has gone. Somebody else may be writing, who then writes that too.
    pub(super) fn write(&self) -> bool {
        let mut shares = self.lock();
        let Some(mut writer) = shares.writer.take() else { return false };
        loop {
            writer.fill(shares.writing.outbound());
            if writer.is_empty() {
                break;
            }
            drop(shares);
            let wrote = writer.write();
            shares = self.lock();
            match wrote {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    writer.clear();
                    shares.writing.write_failed();
                    shares.broken.get_or_insert(error);
                }
            }
        }
        let done = writer.is_empty();
        if done && shares.shutdown {
            shares.shutdown = false;
            // If it fails, the peer is gone already, which reading tells.
            _ = writer.shutdown();
        }
        shares.writer = Some(writer);
        self.changed.notify_all();
        done
    }
}

impl<S> Shared<S> {
    /// Nothing more is sent or told.
    pub(super) fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.changed.notify_all();
    }
}

/// The receiver's share: the connection ends when it is dropped.
pub(super) struct Ending<S>(Option<Arc<Shared<S>>>);

impl<S> Ending<S> {
    pub(super) fn new(shared: Arc<Shared<S>>) -> Self {
        Self(Some(shared))
    }

    /// Takes it, and nothing ends.
    pub(super) fn leave(mut self) -> Option<Arc<Shared<S>>> {
        self.0.take()
    }
}

impl<S> Deref for Ending<S> {
    type Target = Arc<Shared<S>>;

    fn deref(&self) -> &Arc<Shared<S>> {
        self.0.as_ref().unwrap_or_else(|| unreachable!("it is taken only with who holds it"))
    }
}

impl<S> Drop for Ending<S> {
    fn drop(&mut self) {
        self.0.iter().for_each(|shared| shared.end());
    }
}

impl<S> Shares<S> {
    /// Whether there are bytes that have left the connection, and have not left this process.
    pub(super) fn is_held_back(&self) -> bool {
        self.writer.as_ref().is_none_or(|writer| !writer.is_empty())
    }

    pub(super) fn refusal(&mut self, error: SendError) -> Error {
        match (error, &self.close) {
            (SendError::Closing, Some(close)) => Error::Closed(close.clone()),
            (error, _) => error.into(),
        }
    }
}
