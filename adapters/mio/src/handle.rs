//! What other threads do with a server: send, broadcast, count, shut down.

use crate::conn::Conn;
use crate::dial::Target;
use crate::handler::{Answer, is_valid};
use crate::stats::{Published, Stats};
use mio::Waker;
use rustls::ClientConfig;
use sockless::bytes::Bytes;
use sockless::{Code, Connection, Kind, Limits, Prepared, SendError};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
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

/// The last who holds it has done its part.
impl<S> Drop for Each<S> {
    fn drop(&mut self) {
        if let Some(finish) = self.finish.take() {
            finish();
        }
    }
}

/// What the workers of a server and the threads that speak to them have in common.
pub(crate) struct Shared<S> {
    pub(crate) mailboxes: Box<[Mailbox<S>]>,
    /// The most bytes that may wait for one peer before more is refused.
    pub(crate) hard: usize,
    /// For connections to servers; made when it is first needed, if it is not given.
    pub(crate) client_tls: OnceLock<Arc<ClientConfig>>,
}

/// What waits for one worker.
pub(crate) struct Mailbox<S> {
    pub(crate) waker: Waker,
    pub(crate) stats: Published,
    post: Mutex<Post<S>>,
}

struct Post<S> {
    commands: Vec<Command<S>>,
    /// Bytes of messages in `commands` that are for more than one connection.
    shared_bytes: usize,
    slots: Vec<Slot>,
    /// The server shuts down: only its own pool still writes.
    stopping: bool,
}

/// What is known outside of a worker about one of its connections.
#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u32,
    /// Bytes that wait for the peer, as far as the worker has told.
    queued: u32,
    /// Bytes in the mailbox, and those taken out of it that the worker has not told of since.
    posted: u32,
}

/// Bytes of broadcasts that wait for a worker; it has more to do than it can.
const MOST_SHARED: usize = 64 << 20;

impl<S> Mailbox<S> {
    pub(crate) fn new(waker: Waker) -> Self {
        let post = Post { commands: Vec::new(), shared_bytes: 0, slots: Vec::new(), stopping: false };
        Self { waker, stats: Published::default(), post: Mutex::new(post) }
    }

    fn lock(&self) -> MutexGuard<'_, Post<S>> {
        // Nothing in here panics while it is locked.
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker's: what waits, in exchange for an empty list.
    pub(crate) fn take(&self, commands: &mut Vec<Command<S>>) {
        let mut post = self.lock();
        mem::swap(&mut post.commands, commands);
        post.shared_bytes = 0;
    }

    /// The worker's: a connection has this key from now on; its generation.
    pub(crate) fn open(&self, key: u32) -> u32 {
        let mut post = self.lock();
        let len = post.slots.len().max(key as usize + 1);
        post.slots.resize(len, Slot::default());
        post.slots[key as usize].generation
    }

    /// The worker's: the connection with this key is gone, and `taken` bytes out of the mailbox with it.
    pub(crate) fn retire(&self, key: u32, taken: u32) {
        let slot = &mut self.lock().slots[key as usize];
        let (generation, posted) = (slot.generation.wrapping_add(1), slot.posted.saturating_sub(taken));
        *slot = Slot { generation, queued: 0, posted };
    }

    /// The worker's: so much waits for a peer, now that `taken` bytes out of the mailbox were sent to it.
    pub(crate) fn set_queued(&self, key: u32, queued: usize, taken: u32) {
        let slot = &mut self.lock().slots[key as usize];
        slot.queued = u32::try_from(queued).unwrap_or(u32::MAX);
        slot.posted = slot.posted.saturating_sub(taken);
    }

    /// The worker's: so many bytes out of the mailbox were for a connection that is gone.
    pub(crate) fn forget(&self, key: u32, taken: u32) {
        let slot = &mut self.lock().slots[key as usize];
        slot.posted = slot.posted.saturating_sub(taken);
    }

    /// Bytes that wait for a peer; `None` if it is gone.
    pub(crate) fn queued(&self, id: Id) -> Option<usize> {
        let post = self.lock();
        let slot = post.slots.get(id.key as usize).filter(|slot| slot.generation == id.generation)?;
        Some(slot.queued as usize + slot.posted as usize)
    }

    /// Puts a command into the mailbox, unless it is refused.
    fn put(
        &self,
        command: Command<S>,
        check: impl FnOnce(&mut Post<S>) -> Result<Sent, SendError>,
    ) -> Result<Sent, SendError> {
        let mut post = self.lock();
        let sent = check(&mut post)?;
        post.commands.push(command);
        let first = post.commands.len() == 1;
        drop(post);
        if first {
            // It fails where the worker is gone, and with it those that it served.
            _ = self.waker.wake();
        }
        Ok(sent)
    }
}

impl<S> Shared<S> {
    /// Tells one connection what to do; `own` says whether the server itself does, by its pool.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if there is no such connection, [`Full`](SendError::Full) if too much waits.
    pub(crate) fn act(&self, id: Id, act: Act<S>, own: bool) -> Result<Sent, SendError> {
        let Some(mailbox) = self.mailboxes.get(usize::from(id.worker)) else { return Err(SendError::Closing) };
        let len = if let Act::Send(parcel, _) = &act { Some(parcel.len()) } else { None };
        mailbox.put(Command::To(id, act), |post| {
            let stopping = post.stopping && !own;
            let slot = post.slots.get_mut(id.key as usize).filter(|slot| slot.generation == id.generation);
            let Some(slot) = slot.filter(|_| !stopping) else { return Err(SendError::Closing) };
            let waits = u64::from(slot.queued) + u64::from(slot.posted);
            let Some(len) = len else { return Ok(Sent::Now) };
            if waits > self.hard as u64 {
                return Err(SendError::Full);
            }
            slot.posted = slot.posted.saturating_add(len);
            Ok(if slot.queued == 0 { Sent::Now } else { Sent::Queued })
        })
    }

    /// Tells all workers, but perhaps one, of a message for many.
    pub(crate) fn publish(
        &self,
        audience: &Audience,
        message: &Prepared,
        own_worker: Option<u16>,
        own: bool,
    ) -> Result<(), SendError> {
        let mut result = Ok(());
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            if own_worker == Some(worker as u16) {
                continue;
            }
            let taken = mailbox.put(Command::Publish(audience.clone(), message.clone()), |post| {
                if post.stopping && !own {
                    return Err(SendError::Closing);
                }
                if post.shared_bytes > MOST_SHARED {
                    return Err(SendError::Full);
                }
                post.shared_bytes += message.payload().len();
                Ok(Sent::Now)
            });
            result = result.and(taken.map(|_| ()));
        }
        result
    }

    /// Tells one worker something that is never refused while it runs.
    pub(crate) fn tell(&self, worker: usize, command: Command<S>) -> Result<(), SendError> {
        let check = |post: &mut Post<S>| if post.stopping { Err(SendError::Closing) } else { Ok(Sent::Now) };
        self.mailboxes[worker].put(command, check).map(|_| ())
    }

    fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for mailbox in &self.mailboxes {
            mailbox.stats.add_to(&mut sum);
        }
        sum
    }
}

/// Speaks to a server, or to an event loop of clients, from any thread; clones speak to the same.
///
/// Nothing here waits for a worker or for a peer. What is done for one connection is done in the order of the calls.
pub struct Handle<S = ()> {
    pub(crate) shared: Arc<Shared<S>>,
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// To one connection. What a send returns is known at once: [`Sent`], or a refusal.
impl<S> Handle<S> {
    /// Sends a text message.
    ///
    /// # Errors
    /// [`Full`](SendError::Full) if the peer is too slow: more than [`Outbound::hard`](sockless::Outbound::hard) bytes
    /// wait for it. [`Closing`](SendError::Closing) if the connection is gone, or the server shuts down.
    pub fn send_text(&self, to: Id, text: &str) -> Result<Sent, SendError> {
        self.shared.act(
            to,
            Act::Send(Parcel::Shared(Kind::Text, Bytes::copy_from_slice(text.as_bytes())), Cause::Own),
            false,
        )
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_binary(&self, to: Id, bytes: &[u8]) -> Result<Sent, SendError> {
        self.shared.act(to, Act::Send(Parcel::Shared(Kind::Binary, Bytes::copy_from_slice(bytes)), Cause::Own), false)
    }

    /// Sends a message without copying it.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and [`InvalidUtf8`](SendError::InvalidUtf8).
    pub fn send_shared(&self, to: Id, kind: Kind, bytes: Bytes) -> Result<Sent, SendError> {
        if !is_valid(kind, &bytes) {
            return Err(SendError::InvalidUtf8);
        }
        self.shared.act(to, Act::Send(Parcel::Shared(kind, bytes), Cause::Own), false)
    }

    /// Sends a message that was framed before.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_prepared(&self, to: Id, message: &Prepared) -> Result<Sent, SendError> {
        self.shared.act(to, Act::Send(Parcel::Prepared(message.clone()), Cause::Own), false)
    }

    /// Starts the closing handshake.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if the connection is gone, [`CloseCode`](SendError::CloseCode) or
    /// [`LongControl`](SendError::LongControl) for what cannot be said.
    pub fn close(&self, id: Id, code: Code, reason: &str) -> Result<(), SendError> {
        sockless::close::payload(code, reason)?;
        self.shared.act(id, Act::Close(code, reason.into()), false).map(|_| ())
    }

    /// Ends a connection without waiting for anything.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if it is gone.
    pub fn abort(&self, id: Id, code: Code) -> Result<(), SendError> {
        self.shared.act(id, Act::Abort(code), false).map(|_| ())
    }

    /// Calls `task` for a connection, where its handler is called.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if it is gone.
    pub fn run(&self, id: Id, task: impl FnOnce(&mut Conn<'_, S>) + Send + 'static) -> Result<(), SendError> {
        self.shared.act(id, Act::Run(Task::Once(Box::new(task))), false).map(|_| ())
    }

    /// Bytes that wait for a peer; `None` if it is gone.
    pub fn queued(&self, id: Id) -> Option<usize> {
        self.shared.mailboxes.get(usize::from(id.worker))?.queued(id)
    }
}

/// To many: one frame is shared by all. Peers that are too slow are passed over, and counted in [`Stats::dropped`].
impl<S> Handle<S> {
    /// Sends to all that are open.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if the server shuts down; [`Full`](SendError::Full) if a worker is far behind,
    /// whose connections are left out.
    pub fn broadcast(&self, message: &Prepared) -> Result<(), SendError> {
        self.shared.publish(&Audience { topic: None, except: None }, message, None, false)
    }

    /// Sends to all that are open but one.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_except(&self, except: Id, message: &Prepared) -> Result<(), SendError> {
        self.shared.publish(&Audience { topic: None, except: Some(except) }, message, None, false)
    }

    /// Sends to all that have subscribed to a topic.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn publish(&self, topic: &str, message: &Prepared) -> Result<(), SendError> {
        self.shared.publish(&Audience { topic: Some(topic.into()), except: None }, message, None, false)
    }

    /// Sends to all that have subscribed to a topic but one.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn publish_except(&self, topic: &str, except: Id, message: &Prepared) -> Result<(), SendError> {
        self.shared.publish(&Audience { topic: Some(topic.into()), except: Some(except) }, message, None, false)
    }

    /// Calls `task` for each open connection, where its handler is called, and `finish` after the last.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if the server shuts down; some may have been called for.
    pub fn each(
        &self,
        task: impl Fn(&mut Conn<'_, S>) + Send + Sync + 'static,
        finish: impl FnOnce() + Send + Sync + 'static,
    ) -> Result<(), SendError> {
        let each = Arc::new(Each { task: Box::new(task), finish: Some(Box::new(finish)) });
        (0..self.shared.mailboxes.len()).try_for_each(|worker| self.shared.tell(worker, Command::Each(each.clone())))
    }
}

/// The server itself.
impl<S> Handle<S> {
    /// WebSockets that are open.
    pub fn count(&self) -> usize {
        self.stats().open as usize
    }

    /// What all workers have done so far, as of their latest turns.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Shuts the server down: it accepts nothing more, calls [`on_shutdown`](crate::Handler::on_shutdown) for every
    /// connection, and closes it with 1001 behind all that waits to go out. What has not gone out, or is not closed,
    /// after `patience` is dropped and told in the [`Report`](crate::Report). From here on sends are refused.
    pub fn shutdown(&self, patience: Duration) {
        for mailbox in &self.shared.mailboxes {
            // A second call finds it stopping, and changes nothing.
            _ = mailbox.put(Command::Shutdown(patience), |post| match mem::replace(&mut post.stopping, true) {
                true => Err(SendError::Closing),
                false => Ok(Sent::Now),
            });
        }
    }
}
