//! What a worker is told by other threads: what to send, and what else to do, with which connection.

use crate::dial::Target;
use crate::listeners::Accepted;
use crate::routed::Parts;
use crate::topics::Scope;
use sockless::bytes::Bytes;
use sockless::{Answer, Change, Code, Connection, Drain, Kind, Prepared, SendError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// What it takes in a queue, in bytes.
    pub(crate) fn cost(&self) -> u32 {
        let len = match self {
            Self::Prepared(message) => message.payload().len(),
            Self::Shared(_, bytes) | Self::Fragment(_, bytes, _) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
        };
        u32::try_from(len.saturating_add(ENTRY)).unwrap_or(u32::MAX)
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

/// What to do with one connection; `T` is a task of the application's.
pub(crate) enum Act<T> {
    Send(Parcel, Cause),
    Close(Code, String),
    Abort(Code),
    Pause,
    Resume,
    Subscribe(Scope, Arc<str>),
    Unsubscribe(Scope, Arc<str>),
    /// To set it to so long from now, or to clear it.
    Timer(u32, Option<Duration>),
    /// How messages come.
    Parts(Parts),
    Change(Box<Change>),
    Answer(Box<Answer>),
    /// The pool has done what it was given.
    Unstall,
    Run(T),
}

/// Whom a message is for.
#[derive(Clone)]
pub(crate) struct Audience {
    /// `None`: all that are open.
    pub(crate) topic: Option<Arc<str>>,
    pub(crate) except: Option<Id>,
}

impl Audience {
    /// What a message for it takes in a queue, in bytes.
    pub(crate) fn cost(&self, message: &Prepared) -> usize {
        ENTRY + message.payload().len() + self.topic.as_ref().map_or(0, |topic| topic.len())
    }
}

/// What a worker is told by other threads.
pub(crate) enum Command<T> {
    To(Id, Act<T>),
    Publish(Audience, Prepared),
    /// A task for all that are open.
    Each(T),
    Connect(Box<Target>, T),
    /// A connection that was accepted elsewhere, and whether it is to have TLS.
    Adopt(Accepted, bool),
    /// Of all that are there, and are to come.
    Change(Box<Change>),
    Shutdown(Arc<Drain>),
}

/// What a command takes in a queue besides its payload, in bytes: its place in a list, which doubles as it grows. A task takes
/// four words.
pub(crate) const ENTRY: usize = 2 * size_of::<Command<[usize; 4]>>();

impl<T> Command<T> {
    /// What it takes in a mailbox, in bytes. Messages to one connection and tasks count elsewhere, and of the rest that is 0
    /// there is no more than one for each connection.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Publish(audience, message) => audience.cost(message),
            Self::Change(_) => ENTRY,
            Self::To(_, Act::Subscribe(_, topic) | Act::Unsubscribe(_, topic)) => ENTRY + topic.len(),
            Self::To(_, Act::Pause | Act::Resume | Act::Change(_) | Act::Timer(..) | Act::Parts(_)) => ENTRY,
            Self::To(_, Act::Send(..) | Act::Run(_)) | Self::Each(_) | Self::Connect(..) | Self::Adopt(..) => 0,
            Self::To(_, Act::Close(..) | Act::Abort(_) | Act::Answer(_) | Act::Unstall) | Self::Shutdown(_) => 0,
        }
    }
}

/// What the tasks of a server take in queues, in bytes, wherever they wait: they may go from a mailbox to the pool, where
/// they wait for their call.
#[derive(Default)]
pub(crate) struct Tasks(AtomicUsize);

/// A task's part of that, until it is dropped.
pub(crate) struct Ticket {
    tasks: Arc<Tasks>,
    bytes: usize,
}

impl Tasks {
    /// Bytes of tasks beyond which no more are taken.
    const MOST: usize = 64 << 20;

    /// Counts one that takes so many bytes with all its calls.
    ///
    /// # Errors
    /// [`Full`](SendError::Full) if too many wait.
    pub(crate) fn admit(self: &Arc<Self>, bytes: usize) -> Result<Ticket, SendError> {
        let fits = |waits: usize| (waits <= Self::MOST).then(|| waits.saturating_add(bytes));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| SendError::Full)?;
        Ok(Ticket { tasks: self.clone(), bytes })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tasks.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Whether text or bytes are what a message of this kind may have.
pub(crate) fn is_valid(kind: Kind, bytes: &[u8]) -> bool {
    kind == Kind::Binary || std::str::from_utf8(bytes).is_ok()
}
