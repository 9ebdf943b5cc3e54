//! What waits for each worker, and what other threads know of its connections.

use crate::command::{Act, Audience, Command, Id, Sent};
use crate::stats::{Published, Stats};
use mio::Waker;
use rustls::ClientConfig;
use sockless::{Prepared, SendError};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

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

    /// Tells all workers to shut down; a second time changes nothing.
    pub(crate) fn shut_down(&self, patience: Duration) {
        for mailbox in &self.mailboxes {
            _ = mailbox.put(Command::Shutdown(patience), |post| match mem::replace(&mut post.stopping, true) {
                true => Err(SendError::Closing),
                false => Ok(Sent::Now),
            });
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for mailbox in &self.mailboxes {
            mailbox.stats.add_to(&mut sum);
        }
        sum
    }
}
