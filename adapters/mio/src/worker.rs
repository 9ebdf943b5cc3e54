//! A worker: one thread's event loop over its listeners and connections.

mod accepting;
mod commands;
mod dialing;
mod ending;
mod handshakes;
mod leaving;
mod periodic;

use crate::command::{Command, Id};
use crate::conn::Task;
use crate::handle::Handle;
use crate::handler::Handler;
use crate::listener::Listener;
use crate::mailbox::Shared;
use crate::pool::Pool;
use crate::report::Report;
use crate::routed::over_tls;
use crate::session::{Active, Job, Local, Phase, Session};
use crate::settings::Settings;
use crate::stream::Stream;
use crate::tls::ServerTls;
use crate::transport::Transport;
use crate::wheel::{self, Wheel};
use handshakes::{Handshakes, spare};
use leaving::Leaving;
use mio::event::Event;
use mio::{Events, Poll, Token};
use slab::Slab;
use sockless::addresses::Clients;
use sockless::driver::{Next, Storage};
use sockless::{Role, SharedConfig};
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use periodic::Periodic;

/// Says that the mailbox has something.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// Tokens from here on are those of listeners.
const LISTENERS: usize = usize::MAX / 2;

/// From here on of the sockets that try to connect, by the keys of connections; below are keys of connections.
const ATTEMPTS: usize = LISTENERS / 2;

/// Events told at once.
const EVENTS: usize = 1024;

/// Connections that are read before the first of their answers is written. Reading one after the other, then writing one
/// after the other, finds more of the system's code in the processor's caches; a slow handler keeps few others waiting.
const BATCH: usize = 8;

/// Bytes; a longer answer is written at once, out of the lent outbox.
const MOST_BATCHED: usize = 4 << 10;

/// Timers of connections that are gone, before they are looked for.
const MOST_OVER: usize = 1024;

/// A session and its socket.
struct Entry<S> {
    session: Session<S, Task<S>>,
    stream: Stream,
    /// The tick of the wheel that it waits for; 0 is none.
    armed: u32,
    /// It is in the list of those to be read in the next turn.
    again: bool,
}

pub(crate) struct Worker<H: Handler> {
    poll: Poll,
    handler: Arc<H>,
    listeners: Vec<Listener>,
    entries: Slab<Entry<H::State>>,
    local: Local<Task<H::State>>,
    wheel: Wheel,
    /// What every connection is read with, and written from.
    storage: Storage,
    /// Those that have more to read at once, each once: they are read in the next turn, and read once in it.
    again: Vec<Id>,
    /// Those that were read, and whose answers are not written yet.
    answers: Vec<u32>,
    /// Kept to be given up when there are no descriptors left, to turn away whom there is none for.
    spare: Option<socket2::Socket>,
    /// When accepting goes on that was paused.
    accept_at: Option<Duration>,
    handshakes: Handshakes,
    /// When all that are left are cut off, in a shutdown.
    stop_at: Option<Duration>,
    leaving: Option<Leaving>,
    /// Of the first worker.
    periodic: Vec<Periodic<Handle<H::State>>>,
    pool: Option<Arc<Calling<H>>>,
    config: SharedConfig,
    /// With the configuration of the connections over it.
    tls: Option<(ServerTls, SharedConfig)>,
    nodelay: bool,
    max_handshakes: usize,
    started: Instant,
    closed: usize,
    _presence: Presence<Task<H::State>>,
}

/// A session of a handler's, whose turn it is.
type Served<'a, H> = Active<'a, <H as Handler>::State, Task<<H as Handler>::State>, H, Stream>;

/// The pool of a server.
pub(crate) type Calling<H> = Pool<<H as Handler>::State, Job<Task<<H as Handler>::State>>>;

/// Tells the mailbox of the worker's end, be it a panic.
struct Presence<T> {
    worker: u16,
    shared: Arc<Shared<T>>,
}

impl<T> Drop for Presence<T> {
    fn drop(&mut self) {
        let left = self.shared.mailboxes[usize::from(self.worker)].close();
        self.shared.caught(|| drop(left));
    }
}

impl<H: Handler> Worker<H> {
    #[allow(clippy::too_many_arguments)] // They are its fields.
    pub(crate) fn new(
        number: usize,
        poll: Poll,
        mut listeners: Vec<Listener>,
        handler: Arc<H>,
        settings: &Settings,
        shared: Arc<Shared<Task<H::State>>>,
        clients: Arc<Clients>,
        pool: Option<Arc<Calling<H>>>,
        started: Instant,
    ) -> io::Result<Self> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Token(LISTENERS + index))?;
        }
        let config = own_config(&settings.config);
        let presence = Presence { worker: number as u16, shared: shared.clone() };
        let configs = [config.clone(), over_tls(config.clone())];
        let local = Local::new(number as u16, shared, settings.max_connections, clients, configs);
        Ok(Self {
            poll,
            handler,
            listeners,
            entries: Slab::new(),
            local,
            wheel: Wheel::new(),
            storage: Storage::new(settings.read_buffer),
            again: Vec::new(),
            answers: Vec::with_capacity(BATCH),
            spare: spare(),
            accept_at: None,
            handshakes: Handshakes::default(),
            stop_at: None,
            leaving: None,
            periodic: Vec::new(),
            pool,
            tls: settings.tls.clone().map(|tls| (tls, over_tls(config.clone()))),
            config,
            nodelay: settings.nodelay,
            max_handshakes: settings.max_handshakes,
            started,
            closed: 0,
            _presence: presence,
        })
    }

    /// Serves until it is told to shut down.
    pub(crate) fn run(mut self) -> Report {
        let mut events = Events::with_capacity(EVENTS);
        let (mut commands, mut due) = (Vec::new(), Vec::new());
        while !self.is_done() {
            let timeout = self.timeout();
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != ErrorKind::Interrupted
            {
                // No file descriptor of ours can be so wrong that waiting for it fails.
                panic!("waiting for events: {error}");
            }
            self.local.now = self.started.elapsed();
            self.turn(&events, &mut commands, &mut due);
        }
        self.report()
    }

    /// How long nothing needs to be done, if nothing happens.
    fn timeout(&mut self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let is_asked = self.listeners.iter().any(|listener| listener.ready);
        let accepts_at = if is_asked { self.accepts_at() } else { None };
        let now = self.started.elapsed();
        let until = |time: Option<Duration>| time.map(|time| time.saturating_sub(now));
        let leaves_at = self.leaving.as_ref().and_then(Leaving::next);
        let periodic = self.periodic.iter().map(Periodic::next).min();
        let known =
            [self.wheel.timeout(now), until(accepts_at), until(self.stop_at), until(leaves_at), until(periodic)];
        known.into_iter().flatten().min()
    }

    fn turn(&mut self, events: &Events, commands: &mut Vec<Command<Task<H::State>>>, due: &mut Vec<u32>) {
        let mut again = mem::take(&mut self.again);
        let mut events = events.iter().peekable();
        while let Some(event) = events.next() {
            match event.token() {
                WAKE => self.local.shared.mailboxes[usize::from(self.local.worker)].take(commands),
                Token(index) if index >= LISTENERS => {
                    if let Some(listener) = self.listeners.get_mut(index - LISTENERS) {
                        listener.ready = true;
                    }
                }
                Token(index) if index >= ATTEMPTS => {
                    self.dial(index - ATTEMPTS);
                    self.settle(index - ATTEMPTS);
                }
                Token(key) => self.ready(key, event, events.peek().is_some()),
            }
        }
        let mut ids = again.drain(..).peekable();
        while let Some(id) = ids.next() {
            let entry = self.entries.get_mut(id.key as usize).filter(|entry| entry.session.seat.id == id);
            if entry.is_some_and(|entry| mem::take(&mut entry.again)) {
                self.serve(id.key as usize, ids.peek().is_some());
            }
        }
        drop(ids);
        self.settle_answers();
        if self.again.is_empty() {
            self.again = again; // for its capacity
        }
        if self.accept_at.is_some_and(|at| at <= self.local.now) {
            self.accept_at = None;
        }
        for index in 0..self.listeners.len() {
            if self.listeners[index].ready {
                self.accept(index);
            }
        }
        // Of the requests that came with new connections.
        self.settle_answers();
        if !commands.is_empty() {
            self.obey(commands);
        }
        self.wheel.advance(self.local.now, due);
        for key in due.drain(..) {
            self.due(key as usize);
        }
        self.take_leave();
        self.do_periodic();
        self.look_after();
        self.local.shared.mailboxes[usize::from(self.local.worker)].stats.store(self.local.stats);
    }

    /// Has a task done again and again.
    pub(crate) fn every(&mut self, periodic: Periodic<Handle<H::State>>) {
        self.periodic.push(periodic);
    }

    fn do_periodic(&mut self) {
        let (shared, now) = (&self.local.shared, self.local.now);
        for task in self.periodic.iter_mut().filter_map(|periodic| periodic.due(now)) {
            let handle = Handle { shared: shared.clone() };
            shared.caught(|| task(&handle));
        }
    }

    // ---- connections

    /// A session whose turn it is.
    #[inline]
    fn at(&mut self, key: usize) -> Option<Served<'_, H>> {
        let Entry { session, stream, .. } = self.entries.get_mut(key)?;
        let (calls, local, storage) = (&*self.handler, &mut self.local, &mut self.storage);
        Some(Active { session, calls, local, storage, transport: stream })
    }

    /// Something happened to a connection's socket. The key may have got another connection meanwhile, to which it means
    /// nothing.
    fn ready(&mut self, key: usize, event: &Event, others_follow: bool) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.stream.ready(event) {
            entry.session.driver.hung_up();
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            entry.session.seat.blocked = false;
        }
        // Or its turn comes with those that have more to read.
        if !entry.again {
            self.serve(key, others_follow);
        }
    }

    /// Reads once if there is something, and sees, perhaps together with the others that follow, what is to be done next.
    fn serve(&mut self, key: usize, others_follow: bool) {
        let batched = self.answers.len();
        let Some(mut active) = self.at(key) else { return };
        active.read(false);
        let waits = others_follow && (1..=MOST_BATCHED).contains(&active.session.connection().queued());
        if waits && batched + 1 < BATCH {
            active.leave();
            self.answers.push(key as u32);
            self.deliver_all();
        } else {
            self.settle(key);
            self.settle_answers();
        }
    }

    /// Writes the answers that wait for more of them.
    fn settle_answers(&mut self) {
        for index in 0..self.answers.len() {
            self.settle(self.answers[index] as usize);
        }
        self.answers.clear();
    }

    /// A timer has come, perhaps for a connection that is gone.
    fn due(&mut self, key: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.armed == 0 || entry.armed > self.wheel.now() {
            return;
        }
        entry.armed = 0;
        self.dial(key);
        if let Some(mut active) = self.at(key) {
            active.read(true);
            active.ring();
        }
        self.settle(key);
    }

    /// Looks after those that others have written to.
    fn look_after(&mut self) {
        while let Some(key) = self.local.dirty.pop() {
            if let Some(entry) = self.entries.get_mut(key as usize) {
                entry.session.seat.dirty = false;
                self.settle(key as usize);
            }
        }
    }

    /// Writes what waits, and does with the socket what the connection wants.
    fn settle(&mut self, key: usize) {
        let Some(mut active) = self.at(key) else { return };
        active.flush();
        if active.is_at_ease() {
            active.leave();
            if active.transport.is_readable() {
                self.read_again(key);
            }
        } else {
            self.settle_all(key);
        }
        self.deliver_all();
    }

    /// The same for a connection to which more has happened than messages.
    fn settle_all(&mut self, key: usize) {
        let Some(mut active) = self.at(key) else { return };
        let Next { again, read, shutdown, close, deadline, .. } = active.next();
        let stream = active.transport;
        if shutdown {
            stream.shutdown();
        }
        if close {
            return self.close(key);
        }
        let again = again || read && stream.is_readable();
        if let Some(deadline) = deadline.into_iter().chain(stream.dial_at()).min() {
            self.arm(key, wheel::tick(deadline));
        }
        if again {
            self.read_again(key);
        }
    }

    /// Comes back to it at that tick, if not before.
    fn arm(&mut self, key: usize, tick: u32) {
        let (tick, entry) = (self.wheel.within_reach(tick), &mut self.entries[key]);
        if entry.armed > 0 && entry.armed <= tick {
            return;
        }
        entry.armed = tick;
        self.wheel.arm(key as u32, tick);
        if self.wheel.len() > 2 * self.entries.len() + MOST_OVER {
            let armed = |key| self.entries.get(key as usize).map(|entry| entry.armed).filter(|tick| *tick > 0);
            self.wheel.sweep(armed);
        }
    }

    /// Has it read once more in the next turn.
    #[inline]
    fn read_again(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        if !mem::replace(&mut entry.again, true) {
            self.again.push(entry.session.seat.id);
        }
    }

    /// Lets a connection go.
    fn close(&mut self, key: usize) {
        let Some(mut active) = self.at(key) else { return };
        // What the application ended without waiting for the peer.
        active.close();
        active.transport.say_goodbye();
        let mut entry = self.entries.remove(key);
        // What is closed is deregistered all the same.
        _ = entry.stream.deregister(self.poll.registry());
        let seat = &entry.session.seat;
        self.local.shared.mailboxes[usize::from(self.local.worker)].retire(key as u32, seat.taken);
        if entry.session.connection().role() == Role::Server {
            if seat.counted {
                self.local.clients.leave(seat.peer);
            }
            *(if seat.phase == Phase::Closed { &mut self.local.websockets } else { &mut self.local.handshakes }) -= 1;
        }
        self.local.shared.caught(|| drop(entry));
        self.local.stats.connections -= 1;
        if self.stop_at.is_some() {
            self.closed += 1;
        }
        if self.entries.is_empty() {
            // After a burst, its room is given back.
            self.entries = Slab::new();
        }
    }
}

/// The configuration of a worker's connections: it has its own pool of codecs.
fn own_config(config: &SharedConfig) -> SharedConfig {
    #[allow(unused_mut)]
    let mut config = config.clone();
    #[cfg(feature = "deflate")]
    if config.deflate.is_some()
        && let Some(deflate) = &mut config.to_mut().deflate
    {
        deflate.pool = sockless::Pool::default();
    }
    config
}
