//! What waits for each worker, and what other threads know of its connections.

use crate::command::{Act, Audience, Command, Id, Sent, Tasks};
use crate::outlet::Outlet;
use crate::stats::{Published, Stats};
use crate::tls::ClientTls;
use mio::Waker;
use sockless::{Drain, Prepared, SendError, seen};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// What the workers of a server and the threads that speak to them have in common; `T` is a task of the application's.
pub(crate) struct Shared<T> {
    pub(crate) mailboxes: Box<[Mailbox<T>]>,
    /// The most bytes that may wait for one peer before more is refused.
    pub(crate) hard: usize,
    /// For connections to servers; made when it is first needed, if it is not given.
    pub(crate) client_tls: OnceLock<ClientTls>,
    pub(crate) tasks: Arc<Tasks>,
    panics: AtomicU64,
    /// To other nodes, if there are some.
    pub(crate) outlet: OnceLock<Box<dyn Outlet>>,
    /// Calls wait in a pool.
    pub(crate) pooled: bool,
}

/// What waits for one worker.
pub(crate) struct Mailbox<T> {
    /// Of the worker; none, if nobody waits.
    waker: Option<Waker>,
    pub(crate) stats: Published,
    post: Mutex<Post<T>>,
    /// There is room again for the pool.
    room: Condvar,
}

struct Post<T> {
    commands: Vec<Command<T>>,
    /// What they take, in bytes; see [`Command::cost`].
    bytes: usize,
    slots: Vec<Slot>,
    /// The server has begun to shut down: nothing new comes in.
    going: bool,
    /// All are told of that: only the server's own pool still writes.
    stopping: bool,
    /// Nobody takes anything any more.
    over: bool,
    /// A thread of the pool waits for room.
    awaited: bool,
}

/// What is known outside of a worker about one of its connections.
#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u32,
    /// Bytes that wait for the peer, as far as the worker has told.
    queued: u32,
    /// Bytes in the mailbox, and those taken out of it that the worker has not told of since.
    posted: u32,
    /// What is in the mailbox already, to end it.
    ending: Ending,
}

/// Who tells a worker something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Teller {
    /// Any thread, which is refused while the server shuts down.
    Other,
    /// A worker, which never waits.
    Loop,
    /// The pool, which waits for room.
    Pool,
}

/// How a connection is ended by others: no way is posted twice.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    #[default]
    None,
    Close,
    Abort,
}

/// Bytes of commands that wait for a worker; beyond them it has more to do than it can.
pub(crate) const MOST: usize = 64 << 20;

/// Places that the list of a worker's commands keeps.
const MOST_KEPT: usize = 1024;

impl<T> Mailbox<T> {
    pub(crate) fn new(waker: Option<Waker>) -> Self {
        let (commands, slots) = (Vec::new(), Vec::new());
        let post = Post { commands, bytes: 0, slots, going: false, stopping: false, over: false, awaited: false };
        Self { waker, stats: Published::default(), post: Mutex::new(post), room: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Post<T>> {
        // Nothing in here panics while it is locked.
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker's: what waits, in exchange for an empty list.
    pub(crate) fn take(&self, commands: &mut Vec<Command<T>>) {
        // What many have needed is given back.
        commands.shrink_to(MOST_KEPT);
        let mut post = self.lock();
        mem::swap(&mut post.commands, commands);
        post.bytes = 0;
        if mem::take(&mut post.awaited) {
            self.room.notify_all();
        }
    }

    /// The worker's: all its peers are told that it goes.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
    }

    /// The worker's: it has gone, and takes nothing any more; what is left.
    pub(crate) fn close(&self) -> Vec<Command<T>> {
        let mut post = self.lock();
        post.over = true;
        let left = mem::take(&mut post.commands);
        self.room.notify_all();
        drop(post);
        // What follows the last of them may speak to this mailbox, and is the application's.
        left
    }

    /// The worker's: a connection is not closing, although it was told to; it may be told again.
    pub(crate) fn goes_on(&self, key: u32) {
        self.lock().slots[key as usize].ending = Ending::None;
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
        *slot = Slot { generation, queued: 0, posted, ending: Ending::None };
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

    /// Puts a command into the mailbox, unless it is refused, or not needed.
    fn put(
        &self,
        command: Command<T>,
        by: Teller,
        check: impl FnOnce(&mut Post<T>) -> Result<Option<Sent>, SendError>,
    ) -> Result<Sent, SendError> {
        let cost = command.cost();
        let mut post = self.lock();
        while by == Teller::Pool && cost > 0 && post.bytes > MOST && !post.over {
            post.awaited = true;
            post = self.room.wait(post).unwrap_or_else(PoisonError::into_inner);
        }
        if post.over || post.stopping && by == Teller::Other {
            return Err(SendError::Closing);
        }
        if cost > 0 && post.bytes > MOST {
            return Err(SendError::Full);
        }
        let Some(sent) = check(&mut post)? else { return Ok(Sent::Now) };
        post.bytes += cost;
        post.commands.push(command);
        let first = post.commands.len() == 1;
        drop(post);
        if first {
            // It fails where the worker is gone, and with it those that it served.
            _ = self.waker.as_ref().map(Waker::wake);
        }
        Ok(sent)
    }
}

impl<T> Shared<T> {
    pub(crate) fn new(
        mailboxes: Box<[Mailbox<T>]>,
        hard: usize,
        client_tls: OnceLock<ClientTls>,
        pooled: bool,
    ) -> Self {
        Self {
            mailboxes,
            hard,
            client_tls,
            tasks: Arc::default(),
            panics: AtomicU64::new(0),
            outlet: OnceLock::new(),
            pooled,
        }
    }

    /// Tells one connection what to do.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if there is no such connection, [`Full`](SendError::Full) if too much waits.
    pub(crate) fn act(&self, id: Id, act: Act<T>, by: Teller) -> Result<Sent, SendError> {
        let Some(mailbox) = self.mailboxes.get(usize::from(id.worker)) else { return Err(SendError::Closing) };
        let cost = if let Act::Send(parcel, _) = &act { Some(parcel.cost()) } else { None };
        let ending = match &act {
            Act::Close(..) => Ending::Close,
            Act::Abort(_) => Ending::Abort,
            _ => Ending::None,
        };
        mailbox.put(Command::To(id, act), by, |post| {
            let slot = post.slots.get_mut(id.key as usize).filter(|slot| slot.generation == id.generation);
            let Some(slot) = slot else { return Err(SendError::Closing) };
            if ending > Ending::None {
                let new = ending > slot.ending;
                slot.ending = slot.ending.max(ending);
                return Ok(new.then_some(Sent::Now));
            }
            let Some(cost) = cost else { return Ok(Some(Sent::Now)) };
            if u64::from(slot.queued) + u64::from(slot.posted) > self.hard as u64 {
                return Err(SendError::Full);
            }
            slot.posted = slot.posted.saturating_add(cost);
            Ok(Some(if slot.queued == 0 { Sent::Now } else { Sent::Queued }))
        })
    }

    /// Tells all workers, but perhaps one, of a message for many, and other nodes if it is for a topic.
    pub(crate) fn publish(
        &self,
        audience: &Audience,
        message: &Prepared,
        own_worker: Option<u16>,
        by: Teller,
    ) -> Result<(), SendError> {
        let result = self.publish_here(audience, message, own_worker, by);
        if let (Some(outlet), Some(topic)) = (self.outlet.get(), &audience.topic)
            && result != Err(SendError::Closing)
        {
            outlet.push(topic, message);
        }
        result
    }

    /// Tells all workers, but perhaps one, of a message for many.
    pub(crate) fn publish_here(
        &self,
        audience: &Audience,
        message: &Prepared,
        own_worker: Option<u16>,
        by: Teller,
    ) -> Result<(), SendError> {
        let mut result = Ok(());
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            if own_worker == Some(worker as u16) {
                continue;
            }
            let publish = Command::Publish(audience.clone(), message.clone());
            let taken = mailbox.put(publish, by, |_| Ok(Some(Sent::Now)));
            result = result.and(taken.map(|_| ()));
        }
        result
    }

    /// The worker that has the fewest connections.
    pub(crate) fn least_busy(&self) -> usize {
        let connections = self.mailboxes.iter().map(|mailbox| {
            let mut stats = Stats::default();
            mailbox.stats.add_to(&mut stats);
            stats.connections
        });
        connections.enumerate().min_by_key(|(_, connections)| *connections).map_or(0, |(worker, _)| worker)
    }

    /// Tells one worker something that is never refused while it runs.
    pub(crate) fn tell(&self, worker: usize, command: Command<T>) -> Result<(), SendError> {
        let is_new = matches!(command, Command::Connect(..) | Command::Adopt(..));
        let check =
            |post: &mut Post<T>| if is_new && post.going { Err(SendError::Closing) } else { Ok(Some(Sent::Now)) };
        self.mailboxes[worker].put(command, Teller::Other, check).map(|_| ())
    }

    /// Tells all workers to shut down; a second time changes nothing.
    pub(crate) fn shut_down(&self, drain: Drain) {
        let at_once = drain.span.is_zero();
        let drain = Arc::new(drain);
        for mailbox in &self.mailboxes {
            _ = mailbox.put(Command::Shutdown(drain.clone()), Teller::Loop, |post| {
                let first = !mem::replace(&mut post.going, true);
                post.stopping |= first && at_once;
                Ok(first.then_some(Sent::Now))
            });
        }
    }

    /// Does what is the application's; `None` if it panics, which is counted.
    pub(crate) fn caught<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        let done = catch_unwind(AssertUnwindSafe(call)).ok();
        if done.is_none() {
            // The panic's hook has told of it.
            self.count_panic();
        }
        done
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        seen::handler_failed(None);
    }

    pub(crate) fn stats(&self) -> Stats {
        let unsent = self.outlet.get().map_or(0, |outlet| outlet.unsent());
        let mut sum = Stats { panics: self.panics.load(Ordering::Relaxed), unsent, ..Stats::default() };
        for mailbox in &self.mailboxes {
            mailbox.stats.add_to(&mut sum);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Cause, ENTRY, Parcel};
    use sockless::Code;
    use sockless_test_support::{eventually, within};
    use std::thread;

    fn shared() -> Shared<()> {
        let mailbox = Mailbox::new(None);
        mailbox.open(0);
        Shared::new([mailbox].into(), 1 << 20, OnceLock::new(), false)
    }

    const ID: Id = Id { worker: 0, key: 0, generation: 0 };

    fn count(shared: &Shared<()>) -> usize {
        shared.mailboxes[0].lock().commands.len()
    }

    #[test]
    fn messages_of_nothing_are_bounded() {
        let shared = shared();
        let empty = Prepared::binary(b"");
        let audience = Audience { topic: Some("topic".into()), except: None };
        while shared.publish(&audience, &empty, None, Teller::Other).is_ok() {}
        let published = count(&shared);
        assert_eq!(published, MOST / (ENTRY + 5) + 1);
        // And so are those to one, which do not count with them.
        let send = || Act::Send(Parcel::Prepared(empty.clone()), Cause::Own);
        while shared.act(ID, send(), Teller::Other).is_ok() {}
        assert_eq!(count(&shared) - published, (1 << 20) / ENTRY + 1);
        let mut commands = Vec::new();
        shared.mailboxes[0].take(&mut commands);
        assert_eq!(shared.publish(&audience, &empty, None, Teller::Other), Ok(()));
        // The worker's next list has little room again.
        commands.clear();
        shared.mailboxes[0].take(&mut commands);
        assert!(shared.mailboxes[0].lock().commands.capacity() <= MOST_KEPT);
    }

    #[test]
    fn a_connection_is_told_to_end_once() {
        let shared = shared();
        for _ in 0..10 {
            shared.act(ID, Act::Close(Code::NORMAL, String::new()), Teller::Other).unwrap();
        }
        assert_eq!(count(&shared), 1);
        for _ in 0..10 {
            shared.act(ID, Act::Abort(Code::NORMAL), Teller::Other).unwrap();
            shared.act(ID, Act::Close(Code::NORMAL, String::new()), Teller::Other).unwrap();
        }
        assert_eq!(count(&shared), 2);
        shared.mailboxes[0].goes_on(0);
        shared.act(ID, Act::Close(Code::NORMAL, String::new()), Teller::Other).unwrap();
        assert_eq!(count(&shared), 3);
    }

    /// The pool has nobody to tell that there is no room; it waits.
    #[test]
    fn the_pool_waits_for_room() {
        const COUNT: usize = 1_000_000;
        let shared = shared();
        thread::scope(|scope| {
            scope.spawn(|| (0..COUNT).for_each(|_| _ = shared.act(ID, Act::Pause, Teller::Pool).unwrap()));
            let (mut taken, mut commands) = (0, Vec::new());
            eventually("all are taken", || {
                shared.mailboxes[0].take(&mut commands);
                assert!(commands.len() <= MOST / ENTRY + 1);
                taken += commands.drain(..).len();
                taken == COUNT
            });
        });
        // Nor for ever, when the worker is gone.
        thread::scope(|scope| {
            let pool = scope.spawn(|| while shared.act(ID, Act::Pause, Teller::Pool).is_ok() {});
            eventually("there is no more room", || count(&shared) > MOST / ENTRY);
            shared.mailboxes[0].close();
            within("the pool's end", || pool.join()).unwrap();
        });
    }
}
