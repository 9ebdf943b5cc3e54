//! Messages to many receivers, by topic.

use futures_core::Stream;
use sockless::{Prepared, seen};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// Topics and those who have joined them; clones are of the same hub.
///
/// A message is framed once, as a [`Prepared`], and every member gets a reference to it. Publishing never waits: what a
/// member has not taken yet is kept for it within its [`Bounds`], and what happens beyond is its [`Slow`] policy. All
/// members of a topic get its messages in the same order.
///
/// ```
/// use sockless_tokio::{Bounds, Delivery, Error, Hub, Slow, WebSocket, sockless::Prepared};
/// use tokio::io::{AsyncRead, AsyncWrite};
///
/// /// What one client says, all others in the room hear.
/// async fn chat<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>, hub: Hub) -> Result<(), Error> {
///     let mut member = hub.member(Bounds::default(), Slow::Drop);
///     member.join("room");
///     loop {
///         // Whichever branch loses has lost nothing.
///         tokio::select! {
///             message = socket.recv() => match message? {
///                 Some(message) => _ = member.publish("room", &Prepared::text(message.as_text().unwrap_or("?"))),
///                 None => return Ok(()),
///             },
///             delivery = member.recv() => match delivery {
///                 Some(Delivery::Message { message, .. }) => socket.send_prepared(&message).await?,
///                 Some(Delivery::Missed(_)) => {}
///                 None => return socket.close(1013, "too slow").await,
///             },
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

/// The lock is held for as long as a call takes, never across an await; those of mailboxes are taken inside of it.
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By topic, its members. A topic without any is forgotten.
    topics: HashMap<Arc<str>, HashMap<u64, Arc<Mailbox>>>,
    /// By member, its topics.
    members: HashMap<u64, HashSet<Arc<str>>>,
    /// The number of the next member.
    next: u64,
    /// What goes to other nodes.
    outlet: Option<Arc<Mailbox>>,
    counts: HubCounts,
}

/// How much may wait for a member that does not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Messages, at least one.
    pub messages: usize,
    /// Bytes of payload; the most that can wait is this and one message.
    pub bytes: usize,
}

impl Bounds {
    /// 256 messages: a burst, or several seconds of a lively room.
    pub const MESSAGES: usize = 256;
    /// 1 MiB, as may wait in a connection by [`Outbound::hard`](sockless::Outbound::hard).
    pub const BYTES: usize = 1 << 20;
}

impl Default for Bounds {
    fn default() -> Self {
        Self { messages: Self::MESSAGES, bytes: Self::BYTES }
    }
}

/// What becomes of a member for which too much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slow {
    /// It loses the oldest of what waits, and is told how many that were: for data of which the newest counts.
    #[default]
    Tell,
    /// It is dropped from the hub, with all that waits: for data that is of no use in parts.
    Drop,
}

/// What a hub counts; a member that is in two topics counts once for each message that it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubCounts {
    /// Members there are.
    pub members: usize,
    /// Topics with members.
    pub topics: usize,
    /// Messages published here.
    pub published: u64,
    /// Messages that came from other nodes.
    pub received: u64,
    /// Messages put into a member's queue.
    pub delivered: u64,
    /// Of these, the ones lost by members that were too slow.
    pub missed: u64,
    /// Members dropped because they were too slow.
    pub dropped: u64,
    /// Messages published here that other nodes did not get, because they could not be sent to them.
    pub unsent: u64,
}

/// What a member receives.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A message.
    Message {
        /// The topic it was published to.
        topic: Arc<str>,
        /// The message.
        message: Prepared,
    },
    /// This many messages were lost here, between the message before and the next, because the member was too slow.
    Missed(u64),
}

impl Hub {
    /// A hub without members.
    pub fn new() -> Self {
        Self(Arc::new(Shared { state: Mutex::default() }))
    }

    /// The hub, and the queue of what it publishes for other nodes.
    #[cfg_attr(not(feature = "nats"), allow(dead_code))]
    pub(crate) fn with_outlet(bounds: Bounds) -> (Self, Arc<Mailbox>) {
        let outlet = Arc::new(Mailbox::new(bounds, Slow::Tell));
        let hub = Self::new();
        hub.state().outlet = Some(outlet.clone());
        (hub, outlet)
    }

    #[cfg_attr(not(feature = "nats"), allow(dead_code))]
    pub(crate) fn downgrade(&self) -> WeakHub {
        WeakHub(Arc::downgrade(&self.0))
    }

    /// A new member, which is in no topic. It leaves the hub when it is dropped.
    pub fn member(&self, bounds: Bounds, slow: Slow) -> Member {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.members.insert(id, HashSet::new());
        Member { hub: self.clone(), id, mailbox: Arc::new(Mailbox::new(bounds, slow)) }
    }

    /// Publishes a message to all members of a topic; says how many there are here, on this node.
    pub fn publish(&self, topic: &str, message: &Prepared) -> usize {
        self.fan_out(topic, message, Source::Here { except: None })
    }

    /// How many members a topic has here, on this node.
    pub fn count(&self, topic: &str) -> usize {
        self.state().topics.get(topic).map_or(0, HashMap::len)
    }

    /// The topics that have members here, on this node, in no order.
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.state().topics.keys().cloned().collect()
    }

    /// What has happened here, on this node.
    pub fn counts(&self) -> HubCounts {
        let state = self.state();
        HubCounts { members: state.members.len(), topics: state.topics.len(), ..state.counts }
    }

    fn fan_out(&self, topic: &str, message: &Prepared, source: Source) -> usize {
        let mut wakers = Vec::new();
        let reached = self.state().fan_out(topic, message, source, &mut wakers);
        // A waker is code of others.
        wakers.into_iter().for_each(Waker::wake);
        reached
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(outlet) = &state.outlet {
            outlet.end();
        }
    }
}

/// Who published a message.
enum Source {
    /// Somebody on this node; this member does not get it.
    Here { except: Option<u64> },
    /// Somebody on another node.
    There,
}

impl State {
    fn fan_out(&mut self, topic: &str, message: &Prepared, source: Source, wakers: &mut Vec<Waker>) -> usize {
        let except = match source {
            Source::Here { except } => {
                self.counts.published += 1;
                except
            }
            Source::There => {
                self.counts.received += 1;
                None
            }
        };
        let (topic, members) = match self.topics.get_key_value(topic) {
            Some((topic, members)) => (topic.clone(), Some(members)),
            None => (topic.into(), None),
        };
        let (mut reached, mut slow) = (0, Vec::new());
        for (id, mailbox) in members.into_iter().flatten().filter(|(id, _)| Some(**id) != except) {
            let (pushed, waker) = mailbox.push(topic.clone(), message);
            wakers.extend(waker);
            let (Pushed::Taken { missed } | Pushed::TooSlow { missed }) = pushed;
            self.counts.missed += missed;
            seen::dropped(missed);
            if let Pushed::Taken { .. } = pushed {
                reached += 1;
            } else {
                slow.push(*id);
            }
        }
        self.counts.delivered += reached as u64;
        if let (Some(outlet), Source::Here { .. }) = (&self.outlet, source) {
            let (pushed, waker) = outlet.push(topic, message);
            wakers.extend(waker);
            let (Pushed::Taken { missed } | Pushed::TooSlow { missed }) = pushed;
            self.counts.unsent += missed;
        }
        for id in slow {
            self.remove(id);
            self.counts.dropped += 1;
        }
        reached
    }

    fn remove(&mut self, id: u64) {
        for topic in self.members.remove(&id).unwrap_or_default() {
            self.leave(&topic, id);
        }
    }

    fn leave(&mut self, topic: &str, id: u64) {
        if let Some(members) = self.topics.get_mut(topic) {
            members.remove(&id);
            if members.is_empty() {
                self.topics.remove(topic);
            }
        }
    }
}

/// A hub that is kept alive by its users only.
#[cfg_attr(not(feature = "nats"), allow(dead_code))]
pub(crate) struct WeakHub(Weak<Shared>);

#[cfg_attr(not(feature = "nats"), allow(dead_code))]
impl WeakHub {
    /// Gives the members here what was published elsewhere.
    pub(crate) fn deliver(&self, topic: &str, message: &Prepared) {
        if let Some(shared) = self.0.upgrade() {
            Hub(shared).fan_out(topic, message, Source::There);
        }
    }

    /// Counts a message that other nodes did not get.
    pub(crate) fn unsent(&self, messages: u64) {
        if let Some(shared) = self.0.upgrade() {
            lock(&shared.state).counts.unsent += messages;
        }
    }
}

/// One receiver of a [`Hub`]. Dropping it leaves all its topics.
pub struct Member {
    hub: Hub,
    id: u64,
    mailbox: Arc<Mailbox>,
}

impl Member {
    /// Joins a topic; `false` if it has joined before, or has been dropped from the hub.
    pub fn join(&self, topic: &str) -> bool {
        let mut state = self.hub.state();
        let State { topics, members, .. } = &mut *state;
        let Some(joined) = members.get_mut(&self.id) else { return false };
        let topic = topics.get_key_value(topic).map_or_else(|| topic.into(), |(topic, _)| topic.clone());
        let new = joined.insert(topic.clone());
        if new {
            topics.entry(topic).or_default().insert(self.id, self.mailbox.clone());
        }
        new
    }

    /// Leaves a topic; what was published before still comes. `false` if it was not in it.
    pub fn leave(&self, topic: &str) -> bool {
        let mut state = self.hub.state();
        let left = state.members.get_mut(&self.id).is_some_and(|joined| joined.remove(topic));
        if left {
            state.leave(topic, self.id);
        }
        left
    }

    /// Publishes a message to all *other* members of a topic, whether or not this one is in it; says how many there are
    /// here, on this node.
    pub fn publish(&self, topic: &str, message: &Prepared) -> usize {
        self.hub.fan_out(topic, message, Source::Here { except: Some(self.id) })
    }

    /// The next message, or news of those that were lost; `None` if this member was too slow and has been dropped from
    /// the hub.
    ///
    /// # Cancel safety
    /// Dropped, the future has lost nothing.
    pub async fn recv(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Self::recv), polled.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.mailbox.poll_recv(cx)
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.hub.state().remove(self.id);
    }
}

/// The messages of [`recv`](Member::recv).
impl Stream for Member {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.poll_recv(cx)
    }
}

/// What waits for one receiver.
pub(crate) struct Mailbox {
    bounds: Bounds,
    slow: Slow,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Arc<str>, Prepared)>,
    /// Bytes of payload that wait.
    bytes: usize,
    /// Messages lost ahead of those that wait, and not yet told.
    missed: u64,
    /// Nothing comes any more.
    ended: bool,
    waker: Option<Waker>,
}

/// What became of a message, and how many it cost.
enum Pushed {
    Taken { missed: u64 },
    TooSlow { missed: u64 },
}

impl Mailbox {
    /// Room for so many messages is kept when none wait; a queue that grew beyond gives its memory back.
    const RETAIN: usize = 4;

    fn new(bounds: Bounds, slow: Slow) -> Self {
        let bounds = Bounds { messages: bounds.messages.max(1), ..bounds };
        Self { bounds, slow, queue: Mutex::default() }
    }

    /// Puts a message into the queue; whoever waits for it is the caller's to wake.
    fn push(&self, topic: Arc<str>, message: &Prepared) -> (Pushed, Option<Waker>) {
        let mut queue = lock(&self.queue);
        let mut missed = 0;
        while queue.waiting.len() >= self.bounds.messages || (queue.bytes > 0 && queue.bytes >= self.bounds.bytes) {
            if self.slow == Slow::Drop {
                let missed = queue.waiting.len() as u64;
                *queue = Queue { ended: true, waker: queue.waker.take(), ..Queue::default() };
                return (Pushed::TooSlow { missed }, queue.waker.take());
            }
            queue.pop();
            missed += 1;
        }
        queue.missed += missed;
        queue.bytes += message.payload().len();
        queue.waiting.push_back((topic, message.clone()));
        (Pushed::Taken { missed }, queue.waker.take())
    }

    /// Has the receiver told of the end behind what waits.
    fn end(&self) {
        let mut queue = lock(&self.queue);
        queue.ended = true;
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut queue = lock(&self.queue);
        if queue.missed > 0 {
            return Poll::Ready(Some(Delivery::Missed(mem::take(&mut queue.missed))));
        }
        if let Some((topic, message)) = queue.pop() {
            if queue.waiting.is_empty() && queue.waiting.capacity() > Self::RETAIN {
                queue.waiting = VecDeque::new();
            }
            return Poll::Ready(Some(Delivery::Message { topic, message }));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        let known = queue.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let old = if known { None } else { queue.waker.replace(cx.waker().clone()) };
        drop(queue);
        // It may be all that is left of a task, and that task may own a member.
        drop(old);
        Poll::Pending
    }
}

impl Queue {
    fn pop(&mut self) -> Option<(Arc<str>, Prepared)> {
        let (topic, message) = self.waiting.pop_front()?;
        self.bytes -= message.payload().len();
        Some((topic, message))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id).finish_non_exhaustive()
    }
}
