//! The connections of a server, from the first byte to the last: to count them, to close one, and to take leave of all.

use crate::alarm::{Closer, SharedChanges};
use crate::websocket::WebSocket;
use sockless::{Change, Changes, Code, Drain, Keepalive, Limits, Rates, SendError, close};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The open connections of a server; clones are of the same.
///
/// A [`Server`](crate::Server) has one of its own. For the upgrades of hyper and axum, of HTTP/2 too, make one, and
/// [`track`](Self::track) each.
///
/// ```
/// use sockless_tokio::{Drain, Open};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sockless_tokio::SendError> {
/// let open = Open::new();
/// // ... which each connection was tracked by; when it is time to restart:
/// let report = open.shutdown(Drain { code: 1012.into(), reason: "back in a minute".into(), ..Drain::default() }).await?;
/// assert_eq!((report.closed, report.cut_off.len()), (0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Open(Arc<Shared>);

#[derive(Default)]
struct Shared {
    registry: Mutex<Registry>,
    /// The end has begun.
    going: Notify,
    /// Nobody is left.
    empty: Notify,
}

#[derive(Default)]
struct Registry {
    next: u64,
    entries: HashMap<u64, Entry>,
    /// How many of them are open.
    open: usize,
    /// How they all end, once that has begun, and when it did.
    going: Option<(Arc<Drain>, Instant)>,
    /// Who had not gone when the grace was over, for all who are told how the end went.
    cut_off: HashSet<Peer>,
    /// Settings that have changed, the latest of each kind.
    changes: Vec<SharedChanges>,
}

struct Entry {
    address: Option<SocketAddr>,
    /// Once it is open.
    closer: Option<Closer>,
    /// A server's.
    task: Option<AbortHandle>,
}

/// What a handler is told of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Peer {
    /// The client's address; a Unix socket has none.
    pub address: Option<SocketAddr>,
    /// The connection's number, which no other of this server has.
    pub id: u64,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address} (connection {})", self.id),
            None => write!(f, "connection {}", self.id),
        }
    }
}

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Connections that ended in time.
    pub closed: usize,
    /// Those that had not when the grace was over.
    pub cut_off: Vec<Peer>,
}

impl Open {
    /// For connections that no [`Server`](crate::Server) has accepted.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.lock().open
    }

    /// Asks the connection of this number, of [`Peer::id`], to close with a code and a reason, behind all that was sent on it
    /// before; whether there is one.
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said.
    pub fn close(&self, id: u64, code: impl Into<Code>, reason: &str) -> Result<bool, SendError> {
        let code = code.into();
        close::payload(code, reason)?;
        let closer = self.lock().entries.get(&id).and_then(|entry| entry.closer.clone());
        closer.map_or(Ok(false), |closer| closer.close(code, reason).map(|()| true))
    }

    /// Counts a connection among the open ones, and has it closed when they are, until what this gives is dropped.
    pub fn track<S>(&self, socket: &WebSocket<S>) -> Tracked {
        let mut tracked = self.enter(None);
        tracked.opened(socket.closer());
        tracked
    }

    /// Changes what peers may send, of all connections that are open and of those to come, as soon as whoever drives each is
    /// polled.
    pub fn set_limits(&self, limits: Limits) {
        self.change(Change::Limits(limits));
    }

    /// Changes how much peers may send in a time, likewise; see [`Config::rates`](sockless::Config::rates).
    pub fn set_rates(&self, rates: Rates) {
        self.change(Change::Rates(rates));
    }

    /// Changes when peers are pinged, and how long they are waited for, likewise.
    pub fn set_keepalive(&self, keepalive: Keepalive) {
        self.change(Change::Keepalive(keepalive));
    }

    fn change(&self, change: Change) {
        let changes: SharedChanges = Arc::new(Changes::new(change).into());
        let kind = |changes: &SharedChanges| mem::discriminant(&lock(changes).change());
        {
            let mut registry = self.lock();
            registry.changes.retain(|older| kind(older) != mem::discriminant(&change));
            registry.changes.push(changes.clone());
        }
        self.opened().iter().for_each(|(_, closer)| closer.change(changes.clone()));
    }

    /// Takes leave of all connections: their peers are told over the [`span`](Drain::span), each behind all that was sent to it
    /// before, and have the [`grace`](Drain::grace) to close. Handlers see it as `None` from
    /// [`recv`](WebSocket::recv). What opens meanwhile is closed at once. Waits until all are gone, or those that are not have
    /// been cut off.
    ///
    /// A [`Server`](crate::Server) whose connections these are accepts nothing more, and ends too. If the end has begun, it goes
    /// on as it did.
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said: nothing ends
    /// then.
    ///
    /// # Cancel safety
    /// The end begins when this is first polled. Dropped, the future tells no more of the peers; another call goes on.
    pub async fn shutdown(&self, drain: Drain) -> Result<Report, SendError> {
        drain.check()?;
        let (drain, began, all) = self.begin(drain);
        let mut telling = pin!(async {
            let mut all: Vec<_> = all.iter().map(|(peer, closer)| (drain.delay(peer.id), closer)).collect();
            all.sort_by_key(|(delay, _)| *delay);
            for (delay, closer) in all {
                if let Some(due) = began.checked_add(delay).filter(|due| *due > Instant::now()) {
                    sleep_until(due).await;
                }
                _ = closer.close(drain.code, &drain.reason);
            }
            std::future::pending::<()>().await;
        });
        let mut empty = pin!(self.emptied());
        let ended = poll_fn(|cx| {
            let _: Poll<()> = telling.as_mut().poll(cx);
            empty.as_mut().poll(cx)
        });
        match began.checked_add(drain.end()) {
            Some(end) => _ = timeout_at(end, ended).await,
            None => ended.await,
        }
        let cut_off = self.cut_off();
        let closed = all.iter().filter(|(peer, _)| !cut_off.contains(peer)).count();
        Ok(Report { closed, cut_off: cut_off.into_iter().collect() })
    }

    /// The end begins, unless it has; how, when, and what is open.
    fn begin(&self, drain: Drain) -> (Arc<Drain>, Instant, Vec<(Peer, Closer)>) {
        let (drain, began) = {
            let mut registry = self.lock();
            registry.going.get_or_insert_with(|| (Arc::new(drain), Instant::now())).clone()
        };
        self.0.going.notify_waiters();
        (drain, began, self.opened())
    }

    /// When the end has begun.
    pub(crate) async fn going(&self) {
        let mut going = pin!(self.0.going.notified());
        going.as_mut().enable();
        if self.lock().going.is_none() {
            going.await;
        }
    }

    async fn emptied(&self) {
        loop {
            let mut empty = pin!(self.0.empty.notified());
            empty.as_mut().enable();
            if self.lock().entries.is_empty() {
                return;
            }
            empty.await;
        }
    }

    /// Cuts off who is left; all who were.
    fn cut_off(&self) -> HashSet<Peer> {
        let left = self.opened();
        let all = {
            let mut registry = self.lock();
            registry.cut_off.extend(left.iter().map(|(peer, _)| peer));
            registry.cut_off.clone()
        };
        left.iter().for_each(|(_, closer)| closer.cut_off());
        all
    }

    fn opened(&self) -> Vec<(Peer, Closer)> {
        let registry = self.lock();
        let opened = |(&id, entry): (&u64, &Entry)| Some((Peer { address: entry.address, id }, entry.closer.clone()?));
        registry.entries.iter().filter_map(opened).collect()
    }

    /// A connection that is not open yet.
    pub(crate) fn enter(&self, address: Option<SocketAddr>) -> Tracked {
        let mut registry = self.lock();
        let peer = Peer { address, id: registry.next };
        registry.next += 1;
        registry.entries.insert(peer.id, Entry { address, closer: None, task: None });
        drop(registry);
        Tracked { open: self.clone(), peer }
    }

    /// The task of a connection, if it has not ended.
    pub(crate) fn set_task(&self, id: u64, task: AbortHandle) {
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.task = Some(task);
        }
    }

    /// Ends the tasks that are left.
    pub(crate) fn abort(&self) {
        self.lock().entries.values().filter_map(|entry| entry.task.as_ref()).for_each(AbortHandle::abort);
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        lock(&self.0.registry)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("count", &self.count()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place among the [`Open`] connections, which ends when this is dropped: keep it for as long as the connection lasts.
#[must_use = "dropped, the connection is no longer among the open ones"]
#[derive(Debug)]
pub struct Tracked {
    open: Open,
    peer: Peer,
}

impl Tracked {
    /// The connection, by the number that [`Open::close`] knows it by.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whose connection it is, where that is another's than the peer's.
    pub(crate) fn set_address(&mut self, address: Option<SocketAddr>) {
        self.peer.address = address;
        if let Some(entry) = self.open.lock().entries.get_mut(&self.peer.id) {
            entry.address = address;
        }
    }

    /// From here on it can be closed.
    pub(crate) fn opened(&mut self, closer: Closer) {
        let (going, changes) = {
            let registry = &mut *self.open.lock();
            if let Some(entry) = registry.entries.get_mut(&self.peer.id) {
                registry.open += usize::from(entry.closer.is_none());
                entry.closer = Some(closer.clone());
            }
            (registry.going.clone(), registry.changes.clone())
        };
        changes.into_iter().for_each(|changes| closer.change(changes));
        // It may have opened just when all the others were asked to close.
        if let Some((drain, _)) = going {
            _ = closer.close(drain.code, &drain.reason);
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let mut registry = self.open.lock();
        let left = registry.entries.remove(&self.peer.id);
        registry.open -= usize::from(left.is_some_and(|entry| entry.closer.is_some()));
        if registry.entries.is_empty() {
            self.open.0.empty.notify_waiters();
        }
    }
}
