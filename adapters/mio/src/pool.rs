//! The pool of threads that handlers run in, if they are asked to: one call of a connection at a time, in order.

use crate::command::{Act, Id};
use crate::conn::{Conn, Remote, TlsInfo, describe};
use crate::entry::Entry;
use crate::handler::{Call, Handler, call};
use crate::mailbox::{Shared, Teller};
use sockless::{Counters, State};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Calls that wait for one connection before it is not read any more.
const MOST_CALLS: usize = 64;

/// Places that the list of a connection's calls keeps.
const KEPT_CALLS: usize = 4;

/// Bytes of such calls, and the part of what may wait for the peer, in which their answers are to find room.
const MOST_BYTES: usize = 256 << 10;
const PART: usize = 8;

/// The queue of connections that have something to do, and the bound on all that waits.
pub(crate) struct Pool<S> {
    ready: Mutex<Ready<S>>,
    wake: Condvar,
    /// Calls that wait, in all connections.
    waiting: AtomicUsize,
    backlog: usize,
    pub(crate) shared: Arc<Shared<S>>,
}

struct Ready<S> {
    sessions: VecDeque<Arc<Session<S>>>,
    closed: bool,
}

/// A connection as the pool holds it.
pub(crate) struct Session<S> {
    id: Id,
    pool: Arc<Pool<S>>,
    work: Mutex<Work<S>>,
}

/// A call that waits, and what was known of the connection when it came to it.
pub(crate) type Job<S> = (Call<'static, S>, Snapshot);

struct Work<S> {
    jobs: VecDeque<Job<S>>,
    /// What they cost, in bytes.
    bytes: usize,
    /// Away while a thread uses it.
    state: Option<S>,
    /// In the queue of the pool, or with a thread.
    busy: bool,
    /// The loop waits to be told that there is room.
    stalled: bool,
}

/// What was known of a connection when an event came.
pub(crate) struct Snapshot {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) ready_state: State,
    pub(crate) counters: Counters,
}

impl Snapshot {
    pub(crate) fn new<S>(entry: &Entry<S>) -> Self {
        Self {
            peer: entry.peer,
            tls: entry.stream.tls().map(describe),
            ready_state: entry.connection.state(),
            counters: entry.connection.counters(),
        }
    }
}

/// What a call takes in a queue, in bytes.
fn cost<S>(call: &Call<'_, S>, snapshot: &Snapshot) -> usize {
    let certificates = snapshot.tls.iter().flat_map(|tls| &tls.certificates);
    2 * size_of::<Job<S>>() + call.len() + certificates.map(Vec::len).sum::<usize>()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No handler is called while one of these is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Send + 'static> Pool<S> {
    pub(crate) fn new(backlog: usize, shared: Arc<Shared<S>>) -> Arc<Self> {
        let ready = Mutex::new(Ready { sessions: VecDeque::new(), closed: false });
        Arc::new(Self { ready, wake: Condvar::new(), waiting: AtomicUsize::new(0), backlog, shared })
    }

    fn enqueue(&self, session: Arc<Session<S>>) {
        lock(&self.ready).sessions.push_back(session);
        self.wake.notify_one();
    }

    /// Lets the threads end when all is done.
    pub(crate) fn close(&self) {
        lock(&self.ready).closed = true;
        self.wake.notify_all();
    }

    /// A thread of the pool.
    pub(crate) fn run<H: Handler<State = S>>(&self, handler: &H) {
        loop {
            let mut ready = lock(&self.ready);
            let session = loop {
                if let Some(session) = ready.sessions.pop_front() {
                    break session;
                }
                if ready.closed {
                    return;
                }
                ready = self.wake.wait(ready).unwrap_or_else(PoisonError::into_inner);
            };
            drop(ready);
            // What its last call leaves behind is the application's too.
            self.shared.caught(|| session.step(handler));
        }
    }
}

impl<S: Send + 'static> Session<S> {
    pub(crate) fn new(id: Id, state: S, pool: Arc<Pool<S>>) -> Arc<Self> {
        let work = Work { jobs: VecDeque::new(), bytes: 0, state: Some(state), busy: false, stalled: false };
        Arc::new(Self { id, pool, work: Mutex::new(work) })
    }

    /// Leaves a call to the pool; whether the connection should not be read until the pool has caught up.
    pub(crate) fn push(self: Arc<Self>, call: Call<'static, S>, snapshot: Snapshot) -> bool {
        let waiting = self.pool.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        let most = MOST_BYTES.min(self.pool.shared.hard / PART);
        let mut work = lock(&self.work);
        work.bytes += cost(&call, &snapshot);
        work.jobs.push_back((call, snapshot));
        work.stalled |= waiting >= self.pool.backlog || work.jobs.len() >= MOST_CALLS || work.bytes >= most;
        let stalled = work.stalled;
        let idle = !std::mem::replace(&mut work.busy, true);
        drop(work);
        if idle {
            self.pool.clone().enqueue(self);
        }
        stalled
    }

    /// Does the first of what waits; then it is the others' turn.
    fn step<H: Handler<State = S>>(self: Arc<Self>, handler: &H) {
        let mut work = lock(&self.work);
        if let (Some((what, snapshot)), Some(mut state)) = (work.jobs.pop_front(), work.state.take()) {
            work.bytes -= cost(&what, &snapshot);
            drop(work);
            let (shared, cause) = (&self.pool.shared, what.cause());
            let remote = Remote { id: self.id, state: &mut state, snapshot: &snapshot, shared, cause };
            call(handler, &mut Conn::in_pool(remote), what);
            self.pool.waiting.fetch_sub(1, Ordering::Relaxed);
            work = lock(&self.work);
            work.state = Some(state);
        }
        work.busy = !work.jobs.is_empty();
        let more = work.busy;
        if !more {
            // What many have needed is given back.
            work.jobs.shrink_to(KEPT_CALLS);
        }
        let unstall = !more && std::mem::take(&mut work.stalled);
        drop(work);
        if unstall {
            // Refused only if the connection is gone.
            _ = self.pool.shared.act(self.id, Act::Unstall, Teller::Pool);
        }
        if more {
            self.pool.clone().enqueue(self);
        }
    }
}
