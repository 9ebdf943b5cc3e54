//! The pool of threads that an application is called in, if it asks for one: one call of a connection at a time, in order.

use crate::command::Id;
use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Calls that wait for one connection before it is not read any more.
const MOST_CALLS: usize = 64;

/// Places that the list of a connection's calls keeps.
const KEPT_CALLS: usize = 4;

/// Bytes of such calls, and the part of what may wait for the peer, in which their answers are to find room.
const MOST_BYTES: usize = 256 << 10;
const PART: usize = 8;

/// The queue of connections that have something to do, and the bound on all that waits. `S` is the application's state of each,
/// `J` is a call.
pub(crate) struct Pool<S, J> {
    ready: Mutex<Ready<S, J>>,
    wake: Condvar,
    /// Calls that wait, in all connections.
    waiting: AtomicUsize,
    backlog: usize,
    /// Bytes of one connection's calls beyond which it is not read any more.
    most_bytes: usize,
}

struct Ready<S, J> {
    queues: VecDeque<Arc<Queue<S, J>>>,
    closed: bool,
}

/// A connection as the pool holds it.
pub(crate) struct Queue<S, J> {
    id: Id,
    pool: Arc<Pool<S, J>>,
    work: Mutex<Work<S, J>>,
}

struct Work<S, J> {
    /// With what each costs, in bytes.
    jobs: VecDeque<(J, usize)>,
    bytes: usize,
    /// Away while a thread uses it.
    state: Option<S>,
    /// In the queue of the pool, or with a thread.
    busy: bool,
    /// The loop waits to be told that there is room.
    stalled: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No handler is called while one of these is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S, J> Pool<S, J> {
    /// With so many calls that may wait in all, where so many bytes may wait for a peer.
    pub(crate) fn new(backlog: usize, hard: usize) -> Arc<Self> {
        let ready = Mutex::new(Ready { queues: VecDeque::new(), closed: false });
        let most_bytes = MOST_BYTES.min(hard / PART);
        Arc::new(Self { ready, wake: Condvar::new(), waiting: AtomicUsize::new(0), backlog, most_bytes })
    }

    fn enqueue(&self, queue: Arc<Queue<S, J>>) {
        lock(&self.ready).queues.push_back(queue);
        self.wake.notify_one();
    }

    /// Lets the threads end when all is done.
    pub(crate) fn close(&self) {
        lock(&self.ready).closed = true;
        self.wake.notify_all();
    }

    /// For a thread of the pool: waits for a connection that has something to do; `None` at the end.
    pub(crate) fn next(&self) -> Option<Arc<Queue<S, J>>> {
        let mut ready = lock(&self.ready);
        loop {
            if let Some(queue) = ready.queues.pop_front() {
                return Some(queue);
            }
            if ready.closed {
                return None;
            }
            ready = self.wake.wait(ready).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<S, J> Queue<S, J> {
    pub(crate) fn new(id: Id, state: S, pool: Arc<Pool<S, J>>) -> Arc<Self> {
        let work = Work { jobs: VecDeque::new(), bytes: 0, state: Some(state), busy: false, stalled: false };
        Arc::new(Self { id, pool, work: Mutex::new(work) })
    }

    /// Whose calls these are.
    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Leaves a call to the pool that brings so many bytes; whether the connection should not be read until the pool has caught up.
    pub(crate) fn push(self: Arc<Self>, job: J, len: usize) -> bool {
        let waiting = self.pool.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        let mut work = lock(&self.work);
        let cost = len + 2 * size_of::<(J, usize)>();
        work.bytes += cost;
        work.jobs.push_back((job, cost));
        work.stalled |=
            waiting >= self.pool.backlog || work.jobs.len() >= MOST_CALLS || work.bytes >= self.pool.most_bytes;
        let stalled = work.stalled;
        let idle = !mem::replace(&mut work.busy, true);
        drop(work);
        if idle {
            self.pool.clone().enqueue(self);
        }
        stalled
    }

    /// Does the first of what waits; then it is the others' turn. Whether the loop waits to be told that the pool has caught up.
    pub(crate) fn step(self: Arc<Self>, call: impl FnOnce(&mut S, J)) -> bool {
        let mut work = lock(&self.work);
        if let (Some((job, cost)), Some(mut state)) = (work.jobs.pop_front(), work.state.take()) {
            work.bytes -= cost;
            drop(work);
            call(&mut state, job);
            self.pool.waiting.fetch_sub(1, Ordering::Relaxed);
            work = lock(&self.work);
            work.state = Some(state);
        }
        work.busy = !work.jobs.is_empty();
        if work.busy {
            drop(work);
            self.pool.clone().enqueue(self);
            return false;
        }
        // What many have needed is given back.
        work.jobs.shrink_to(KEPT_CALLS);
        mem::take(&mut work.stalled)
    }
}
