//! What a worker is told by other threads: what to send, and what else to do, with which connection.

use crate::conn::Conn;
use crate::dial::Target;
use crate::handler::Answer;
use sockless::bytes::Bytes;
use sockless::{Code, Connection, Kind, Limits, Prepared, SendError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Which connection: no two of a server have the same, not even one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub(crate) worker: u16,
    pub(crate) key: u32,
    /// How many connections had this key before, without end: it wraps after 4 billion.
    pub(crate) generation: u32,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.worker, self.key, self.generation)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// What became of a message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The peer has taken all before it, as far as is known: it is written in this turn of the loop, if the socket then
    /// takes it. What the socket does not take waits, which [`on_backpressure`](crate::Handler::on_backpressure) tells if
    /// it is much.
    Now,
    /// The peer has not taken all before it, or all of it.
    Queued,
}

/// A message on its way to one connection.
pub(crate) enum Parcel {
    Prepared(Prepared),
    Shared(Kind, Bytes),
    Fragment(Kind, Bytes, bool),
    Ping(Bytes),
    Pong(Bytes),
}

impl Parcel {
    /// About what it adds to a queue, in bytes.
    pub(crate) fn len(&self) -> u32 {
        let len = match self {
            Self::Prepared(message) => message.payload().len(),
            Self::Shared(_, bytes) | Self::Fragment(_, bytes, _) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
        };
        u32::try_from(len).unwrap_or(u32::MAX).saturating_add(16)
    }

    /// Bytes that are deflated for it, if messages are.
    pub(crate) fn deflated(&self) -> usize {
        match self {
            Self::Shared(_, bytes) | Self::Fragment(_, bytes, _) => bytes.len(),
            Self::Prepared(_) | Self::Ping(_) | Self::Pong(_) => 0,
        }
    }

    pub(crate) fn send(self, connection: &mut Connection) -> Result<(), SendError> {
        match self {
            Self::Prepared(message) => connection.send_prepared(&message),
            Self::Shared(kind, bytes) => connection.send_shared(kind, bytes),
            Self::Fragment(kind, bytes, last) => connection.send_fragment(kind, &bytes, last),
            Self::Ping(payload) => connection.ping(&payload),
            Self::Pong(payload) => connection.pong(&payload),
        }
    }
}

/// What a message is sent for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It answers what the peer sent.
    Heard,
    /// The application sends it of its own accord.
    Own,
}

/// What to do with one connection.
pub(crate) enum Act<S> {
    Send(Parcel, Cause),
    Close(Code, String),
    Abort(Code),
    Pause,
    Resume,
    Subscribe(Arc<str>),
    Unsubscribe(Arc<str>),
    Limits(Limits),
    Answer(Answer),
    /// The pool has done what it was given.
    Unstall,
    Run(Task<S>),
}

/// Whom a message is for.
#[derive(Clone)]
pub(crate) struct Audience {
    /// `None`: all that are open.
    pub(crate) topic: Option<Arc<str>>,
    pub(crate) except: Option<Id>,
}

/// What a worker is told by other threads.
pub(crate) enum Command<S> {
    To(Id, Act<S>),
    Publish(Audience, Prepared),
    Each(Arc<Each<S>>),
    Connect(Box<Target>, Task<S>),
    Shutdown(Duration),
}

type OnceTask<S> = dyn FnOnce(&mut Conn<'_, S>) + Send;
type EachTask<S> = dyn Fn(&mut Conn<'_, S>) + Send + Sync;

/// A call for one connection.
pub(crate) enum Task<S> {
    Once(Box<OnceTask<S>>),
    Each(Arc<Each<S>>),
}

impl<S> Task<S> {
    pub(crate) fn run(self, conn: &mut Conn<'_, S>) {
        match self {
            Self::Once(task) => task(conn),
            Self::Each(each) => (each.task)(conn),
        }
    }
}

/// A call for all connections, and what follows the last of them.
pub(crate) struct Each<S> {
    task: Box<EachTask<S>>,
    finish: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl<S> Each<S> {
    pub(crate) fn new(
        task: impl Fn(&mut Conn<'_, S>) + Send + Sync + 'static,
        finish: impl FnOnce() + Send + Sync + 'static,
    ) -> Self {
        Self { task: Box::new(task), finish: Some(Box::new(finish)) }
    }
}

/// The last who holds it has done its part.
impl<S> Drop for Each<S> {
    fn drop(&mut self) {
        if let Some(finish) = self.finish.take() {
            finish();
        }
    }
}
