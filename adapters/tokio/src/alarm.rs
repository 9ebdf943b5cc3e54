//! Who is woken when the transport takes bytes again, a deadline passes, or somebody asks for the end.

use crate::round_trip::Asked;
use sockless::{Change, Changes, Code, Keepalive, Limits, Rates, SendError, close};
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Wake, Waker};

/// The waker that the writing side of a connection waits with: it wakes the task that reads and those that write, be
/// they one or many, so that whatever any of them began goes on.
#[derive(Default)]
pub(crate) struct Alarm {
    /// It rang since anybody looked.
    rang: AtomicBool,
    /// What is to be said at the end that somebody has asked for; the first to ask is heard.
    asked: OnceLock<Box<(Code, String)>>,
    /// And that nobody waits for the peer any longer.
    cut_off: AtomicBool,
    /// Settings that are to change, and of those the reading half's.
    changes: Mutex<Vec<SharedChanges>>,
    of_reader: Mutex<Vec<SharedChanges>>,
    /// There are some of the reading half's.
    for_reader: AtomicBool,
    /// Pings that somebody asks after, once there was one.
    pings: OnceLock<Box<Asked>>,
    reader: Mutex<Option<Waker>>,
    /// Who writes to a whole connection, one at a time.
    writer: Mutex<Option<Waker>>,
    /// Those who write to one in halves.
    writers: Mutex<Writers>,
}

/// Who waits: as many as are still there to be woken, for each gives its place back when it is dropped.
#[derive(Default)]
struct Writers {
    /// By place, who waits; nobody where it was woken, or has left.
    wakers: Vec<Option<Waker>>,
    /// Places that nobody has.
    free: Vec<u32>,
}

/// A place among those who write to a connection in halves. It is taken by who first waits.
#[derive(Default)]
pub(crate) struct Place(Option<(Arc<Alarm>, u32)>);

impl Place {
    /// Has the alarm wake the task once, and nobody else that waited here before.
    pub(crate) fn wait(&mut self, alarm: &Arc<Alarm>, waker: &Waker) {
        let waker = waker.clone();
        let mut writers = lock(&alarm.writers);
        let (_, place) = self.0.get_or_insert_with(|| {
            let place = writers.free.pop().unwrap_or_else(|| {
                writers.wakers.push(None);
                writers.wakers.len() as u32 - 1
            });
            (alarm.clone(), place)
        });
        let before = writers.wakers[*place as usize].replace(waker);
        // To drop a waker may drop a task, which gives its place back.
        drop(writers);
        drop(before);
    }

    #[inline(never)]
    fn leave(&mut self) {
        let Some((alarm, place)) = self.0.take() else { return };
        let mut writers = lock(&alarm.writers);
        let waker = writers.wakers[place as usize].take();
        writers.free.push(place);
        if writers.free.len() == writers.wakers.len() {
            *writers = Writers::default();
        }
        drop(writers);
        drop(waker);
    }
}

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        // Most never wait.
        if self.0.is_some() {
            self.leave();
        }
    }
}

/// A change that many connections share.
pub(crate) type SharedChanges = Arc<Mutex<Changes>>;

/// Settings that are to change.
impl Alarm {
    fn change(self: &Arc<Self>, changes: SharedChanges) {
        lock(&self.changes).push(changes);
        self.wake_by_ref();
    }

    /// Gives `apply` each of them, which says whether it is to be the reading half's too.
    pub(crate) fn apply_changes(&self, mut apply: impl FnMut(&mut Changes) -> bool) {
        let changes = mem::take(&mut *lock(&self.changes));
        for changes in changes {
            let for_reader = apply(&mut lock(&changes));
            if for_reader {
                lock(&self.of_reader).push(changes);
                self.for_reader.store(true, Ordering::Release);
                self.wake_reader();
            }
        }
    }

    /// Gives `apply` those of the reading half.
    #[inline]
    pub(crate) fn apply_to_reader(&self, mut apply: impl FnMut(&mut Changes)) {
        if self.for_reader.load(Ordering::Acquire) && self.for_reader.swap(false, Ordering::AcqRel) {
            let changes = mem::take(&mut *lock(&self.of_reader));
            changes.iter().for_each(|changes| apply(&mut lock(changes)));
        }
    }
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
        put(&self.reader, waker);
    }

    pub(crate) fn wait_to_write(&self, waker: &Waker) {
        put(&self.writer, waker);
    }

    /// Wakes the task that reads, and none of those that write.
    pub(crate) fn wake_reader(&self) {
        let reader = lock(&self.reader).clone();
        reader.into_iter().for_each(Waker::wake);
    }

    /// Asks for the end of the connection.
    fn ask(self: &Arc<Self>, code: Code, reason: &str) {
        if self.asked.set(Box::new((code, reason.into()))).is_ok() {
            self.wake_by_ref();
        }
    }

    /// What is to be said at the end that somebody has asked for.
    pub(crate) fn asked(&self) -> Option<(Code, &str)> {
        self.asked.get().map(|asked| (asked.0, &*asked.1))
    }

    /// The pings that somebody asks after.
    pub(crate) fn asked_after(&self) -> &Asked {
        self.pings.get_or_init(|| Box::new(Asked::new()))
    }

    /// A pong came: whoever asked after it is woken. Whether anybody has.
    pub(crate) fn handle_pong(self: &Arc<Self>, payload: &[u8]) -> bool {
        let asked = self.pings.get().is_some_and(|asked| asked.handle_pong(payload));
        if asked {
            self.wake_by_ref();
        }
        asked
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }
}

fn put(slot: &Mutex<Option<Waker>>, waker: &Waker) {
    let waker = waker.clone();
    let before = lock(slot).replace(waker);
    drop(before);
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
        let writer = lock(&self.writer).take();
        let writers: Vec<_> = lock(&self.writers).wakers.iter_mut().filter_map(Option::take).collect();
        reader.into_iter().chain(writer).chain(writers).for_each(Waker::wake);
    }
}

/// Has a connection closed, or its settings changed, from anywhere: from another task, or from a server that shuts down.
#[derive(Clone)]
pub struct Closer(pub(crate) Arc<Alarm>);

impl Closer {
    /// Asks the connection to close with this code, such as 4003, and a reason of at most 123 bytes, behind all that was sent
    /// on it before. It does so as soon as whoever drives it is polled. The first to ask is heard.
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said.
    pub fn close(&self, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        let code = code.into();
        close::payload(code, reason)?;
        self.0.ask(code, reason);
        Ok(())
    }

    /// The same with 1001 (going away).
    pub fn go_away(&self) {
        self.0.ask(Code::AWAY, "");
    }

    /// Changes what the peer may send, as soon as whoever drives the connection is polled.
    pub fn set_limits(&self, limits: Limits) {
        self.change(Arc::new(Changes::new(Change::Limits(limits)).into()));
    }

    /// Changes how much the peer may send in a time, likewise; see [`Config::rates`](sockless::Config::rates).
    pub fn set_rates(&self, rates: Rates) {
        self.change(Arc::new(Changes::new(Change::Rates(rates)).into()));
    }

    /// Changes when the peer is pinged, and how long it is waited for, likewise.
    pub fn set_keepalive(&self, keepalive: Keepalive) {
        self.change(Arc::new(Changes::new(Change::Keepalive(keepalive)).into()));
    }

    pub(crate) fn change(&self, changes: SharedChanges) {
        self.0.change(changes);
    }

    /// Has nobody wait for the peer any longer.
    pub(crate) fn cut_off(&self) {
        self.0.cut_off.store(true, Ordering::Release);
        self.0.wake_by_ref();
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").finish_non_exhaustive()
    }
}
