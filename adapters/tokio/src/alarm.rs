//! Who is woken when the transport takes bytes again, a deadline passes, or somebody asks for the end.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::{fmt, mem};

/// The waker that the writing side of a connection waits with: it wakes the task that reads and those that write, be
/// they one or many, so that whatever any of them began goes on.
#[derive(Default)]
pub(crate) struct Alarm {
    /// It rang since anybody looked.
    rang: AtomicBool,
    go_away: AtomicBool,
    reader: Mutex<Option<Waker>>,
    writers: Mutex<Vec<Waker>>,
}

impl Alarm {
    /// Whether it rang since the last call.
    pub(crate) fn take(&self) -> bool {
        // Looked at first, since mostly it did not.
        self.rang.load(Ordering::Acquire) && self.rang.swap(false, Ordering::AcqRel)
    }

    /// Whether it rang since [`take`](Self::take). Who is to be woken is known, or nobody else could have found out.
    pub(crate) fn rings(&self) -> bool {
        self.rang.load(Ordering::Acquire)
    }

    /// The same. Whoever leaves a lock that another may have found taken asks after it.
    pub(crate) fn has_rung(&self) -> bool {
        fence(Ordering::SeqCst);
        self.rang.load(Ordering::Acquire)
    }

    /// Has whoever looks next do a turn, without waking anybody.
    pub(crate) fn mark(&self) {
        self.rang.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn wait_to_read(&self, waker: &Waker) {
        match &mut *lock(&self.reader) {
            Some(known) => known.clone_from(waker),
            slot => *slot = Some(waker.clone()),
        }
    }

    pub(crate) fn wait_to_write(&self, waker: &Waker) {
        let mut writers = lock(&self.writers);
        if !writers.iter().any(|known| known.will_wake(waker)) {
            writers.push(waker.clone());
        }
    }

    /// Wakes the task that reads, and none of those that write.
    pub(crate) fn wake_reader(&self) {
        let reader = lock(&self.reader).clone();
        reader.into_iter().for_each(Waker::wake);
    }

    /// Asks for the end of the connection.
    pub(crate) fn go_away(self: &Arc<Self>) {
        self.go_away.store(true, Ordering::Release);
        self.wake_by_ref();
    }

    pub(crate) fn must_go_away(&self) -> bool {
        self.go_away.load(Ordering::Acquire)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mark();
        let reader = lock(&self.reader).clone();
        let writers = mem::take(&mut *lock(&self.writers));
        reader.into_iter().chain(writers).for_each(Waker::wake);
    }
}

/// Has a connection closed from anywhere: from another task, or from a server that shuts down.
#[derive(Clone)]
pub struct Closer(pub(crate) Arc<Alarm>);

impl Closer {
    /// Asks the connection to close with 1001 (going away). It does so as soon as whoever drives it is polled.
    pub fn go_away(&self) {
        self.0.go_away();
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").finish_non_exhaustive()
    }
}
