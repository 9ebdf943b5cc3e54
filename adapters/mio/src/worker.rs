//! A worker: one thread's event loop over its listeners and connections.

mod accepting;
mod commands;
mod dialing;
mod handshakes;

use crate::admission::Admission;
use crate::command::{Command, Id};
use crate::entry::{Deliveries, Entry, Local};
use crate::handler::{Call, Closed, Handler};
use crate::listener::Listener;
use crate::mailbox::Shared;
use crate::pool::Pool;
use crate::report::Report;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::topics::Topics;
use crate::wheel::{self, Wheel};
use handshakes::{Handshakes, spare};
use mio::event::Event;
use mio::{Events, Poll, Token};
use rustls::ServerConfig;
use slab::Slab;
use sockless::{Config, SharedConfig, Transport};
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// How long is waited for what ends a connection and has no deadline of the protocol's, if closing handshakes have none.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Worker<H: Handler> {
    poll: Poll,
    handler: Arc<H>,
    listeners: Vec<Listener>,
    entries: Slab<Entry<H::State>>,
    local: Local<H::State>,
    wheel: Wheel,
    /// What every connection is read with.
    buffer: Box<[u8]>,
    /// Those that have more to read at once, each once: they are read in the next turn, and read once in it.
    again: Vec<Id>,
    /// Those that were read, and whose answers are not written yet.
    answers: Vec<u32>,
    /// Kept to be given up when there are no descriptors left, to turn away whom there is none for.
    spare: Option<socket2::Socket>,
    /// When accepting goes on that was paused.
    accept_at: Option<Duration>,
    handshakes: Handshakes,
    /// When patience ends, in a shutdown.
    stop_at: Option<Duration>,
    admission: Arc<Admission>,
    pool: Option<Arc<Pool<H::State>>>,
    config: SharedConfig,
    /// With the configuration of the connections over it.
    tls: Option<(Arc<ServerConfig>, SharedConfig)>,
    nodelay: bool,
    max_handshakes: usize,
    started: Instant,
    closed: usize,
    _presence: Presence<H::State>,
}

/// Tells the mailbox of the worker's end, be it a panic.
struct Presence<S> {
    worker: u16,
    shared: Arc<Shared<S>>,
}

impl<S> Drop for Presence<S> {
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
        shared: Arc<Shared<H::State>>,
        admission: Arc<Admission>,
        pool: Option<Arc<Pool<H::State>>>,
        started: Instant,
    ) -> io::Result<Self> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Token(LISTENERS + index))?;
        }
        let config = own_config(&settings.config);
        let presence = Presence { worker: number as u16, shared: shared.clone() };
        let local = Local {
            worker: number as u16,
            shared,
            topics: Topics::default(),
            deliveries: Deliveries::default(),
            dirty: Vec::new(),
            stats: Stats::default(),
            now: Duration::ZERO,
            handshakes: 0,
            websockets: 0,
            max_websockets: settings.max_connections,
            queued: 0,
            work: 0,
            last: true,
            outbox: Vec::new(),
            spares: Vec::new(),
            mistake: None,
        };
        Ok(Self {
            poll,
            handler,
            listeners,
            entries: Slab::new(),
            local,
            wheel: Wheel::new(),
            buffer: vec![0; settings.read_buffer].into(),
            again: Vec::new(),
            answers: Vec::with_capacity(BATCH),
            spare: spare(),
            accept_at: None,
            handshakes: Handshakes::default(),
            stop_at: None,
            admission,
            pool,
            tls: settings.tls.clone().map(|tls| (tls, over_tls(&config))),
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
        [self.wheel.timeout(now), until(accepts_at), until(self.stop_at)].into_iter().flatten().min()
    }

    fn turn(&mut self, events: &Events, commands: &mut Vec<Command<H::State>>, due: &mut Vec<u32>) {
        let mut again = mem::take(&mut self.again);
        for event in events {
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
                Token(key) => self.ready(key, event),
            }
        }
        for id in again.drain(..) {
            let entry = self.entries.get_mut(id.key as usize).filter(|entry| entry.id == id);
            if entry.is_some_and(|entry| mem::take(&mut entry.flags.again)) {
                self.serve(id.key as usize);
            }
        }
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
        self.look_after();
        self.local.shared.mailboxes[usize::from(self.local.worker)].stats.store(self.local.stats);
    }

    // ---- connections

    /// Something happened to a connection's socket. The key may have got another connection meanwhile, to which it means
    /// nothing.
    fn ready(&mut self, key: usize, event: &Event) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let flags = &mut entry.flags;
        flags.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        flags.read_closed |= event.is_read_closed() || event.is_error();
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            flags.blocked = false;
        }
        // Or its turn comes with those that have more to read.
        if !self.entries[key].flags.again {
            self.serve(key);
        }
    }

    /// Reads once if there is something, and sees, perhaps together with others, what is to be done next.
    fn serve(&mut self, key: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.may_read() {
            entry.read(&*self.handler, &mut self.local, &mut self.buffer);
            self.deliver_all();
            let entry = &mut self.entries[key];
            if let 1..=MOST_BATCHED = entry.queued() {
                entry.take_back(&mut self.local);
                self.answers.push(key as u32);
                if self.answers.len() == BATCH {
                    self.settle_answers();
                }
                return;
            }
        }
        self.settle(key);
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
        entry.flags.timed = false;
        self.dial(key);
        let entry = &mut self.entries[key];
        if entry.patience > 0 && entry.patience <= self.wheel.now() {
            entry.patience = 0;
            match entry.is_left() {
                true => entry.give_up(&*self.handler, &mut self.local),
                false => entry.flags.dead = true,
            }
        }
        self.settle(key);
    }

    /// Looks after those that others have written to.
    fn look_after(&mut self) {
        while let Some(key) = self.local.dirty.pop() {
            if let Some(entry) = self.entries.get_mut(key as usize) {
                entry.flags.dirty = false;
                self.settle(key as usize);
            }
        }
    }

    /// Writes what waits, minds the clock, and does with the socket what the connection wants.
    fn settle(&mut self, key: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.flush(&mut self.local);
        if entry.is_at_ease() {
            entry.take_back(&mut self.local);
            self.read_again(key);
        } else {
            self.settle_all(key);
        }
        self.deliver_all();
    }

    /// The same for a connection to which more has happened than messages.
    fn settle_all(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        let (handler, local) = (&*self.handler, &mut self.local);
        if entry.is_timed() {
            // What it is time for goes out too.
            entry.tell_time(handler, local);
            entry.flush(local);
        } else {
            // What was heard counts from when it is read again.
            entry.heard = None;
        }
        if entry.broken.is_some() && !entry.may_read() && !entry.flags.stalled {
            let error = entry.broken.take().map_or_else(|| ErrorKind::BrokenPipe.into(), |error| *error);
            entry.fail(handler, local, error);
        }
        entry.press(handler, local);
        entry.take_back(local);
        self.settle_transport(key);
    }

    fn settle_transport(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        let wants = entry.connection.wants();
        let mut waits = entry.is_left();
        match wants.transport {
            _ if entry.flags.dead => return self.close(key),
            Transport::Open => {}
            // TLS has still to write the last that the connection has said.
            Transport::Close if entry.flags.blocked && !wants.write && entry.queued() == 0 => waits = true,
            Transport::Close => return self.close(key),
            Transport::Shutdown => {
                if !entry.flags.blocked && !mem::replace(&mut entry.flags.shut, true) {
                    entry.stream.shutdown();
                }
            }
        }
        if !waits {
            entry.patience = 0;
        } else if entry.patience == 0 {
            let patience = self.config.keepalive.close.unwrap_or(PATIENCE);
            entry.patience = wheel::tick(self.local.now.saturating_add(patience));
        }
        let deadline = wants.deadline.filter(|_| entry.is_timed());
        let dialing = entry.dialing.as_ref().and_then(|dialing| dialing.deadline);
        let deadline = deadline.into_iter().chain(dialing).map(wheel::tick);
        let patience = Some(entry.patience).filter(|tick| *tick > 0);
        if let Some(tick) = deadline.chain(patience).min() {
            let tick = self.wheel.within_reach(tick);
            if entry.armed == 0 || tick < entry.armed {
                entry.armed = tick;
                self.wheel.arm(key as u32, tick);
                if self.wheel.len() > 2 * self.entries.len() + MOST_OVER {
                    let armed = |key| self.entries.get(key as usize).map(|entry| entry.armed).filter(|tick| *tick > 0);
                    self.wheel.sweep(armed);
                }
            }
        }
        self.read_again(key);
    }

    /// Has it read once more in the next turn, if it may be.
    #[inline]
    fn read_again(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        if entry.may_read() && !mem::replace(&mut entry.flags.again, true) {
            self.again.push(entry.id);
        }
    }

    /// Lets a connection go.
    fn close(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        // What the application ended without waiting for the peer.
        entry.end(&*self.handler, &mut self.local, Closed::abnormal(None));
        entry.stream.say_goodbye();
        let mut entry = self.entries.remove(key);
        if entry.flags.lent {
            // Back to where it belongs, empty.
            entry.connection.swap_outbox(&mut self.local.outbox);
        }
        // What is closed is deregistered all the same.
        _ = entry.stream.deregister(self.poll.registry());
        self.local.shared.mailboxes[usize::from(self.local.worker)].retire(key as u32, entry.taken);
        if entry.flags.admitted {
            self.admission.leave(entry.peer);
            *(if entry.flags.opened { &mut self.local.websockets } else { &mut self.local.handshakes }) -= 1;
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

    // ---- the end

    fn shut_down(&mut self, patience: Duration) {
        self.stop_at = Some(self.local.now.saturating_add(patience));
        self.listeners.clear();
        let keys: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        for key in keys {
            let entry = &mut self.entries[key];
            if entry.flags.opened {
                if !entry.flags.told {
                    entry.call(&*self.handler, &mut self.local, Call::Shutdown);
                }
            } else {
                entry.flags.dead = true;
            }
            entry.touch(&mut self.local);
        }
    }

    fn is_done(&self) -> bool {
        self.stop_at.is_some_and(|at| self.entries.is_empty() || at <= self.started.elapsed())
    }

    /// What became of the connections; those that are left are let go.
    fn report(mut self) -> Report {
        let closed = self.closed;
        let mut undelivered = Vec::new();
        let keys: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        for key in keys {
            let entry = &mut self.entries[key];
            undelivered.push((entry.id, entry.queued()));
            self.close(key);
        }
        self.local.shared.mailboxes[usize::from(self.local.worker)].stats.store(self.local.stats);
        Report { closed, undelivered }
    }
}

/// The configuration of a worker's connections: its outbox is lent, and it has its own pool of codecs.
fn own_config(config: &Config) -> SharedConfig {
    let mut config = config.clone();
    config.outbound.retain = usize::MAX;
    #[cfg(feature = "deflate")]
    if let Some(deflate) = &mut config.deflate {
        deflate.pool = sockless::Pool::default();
    }
    config.into()
}

/// The same for connections over TLS, which the core is told, unless the settings say otherwise.
fn over_tls(config: &SharedConfig) -> SharedConfig {
    let mut config = config.clone();
    if config.secure.is_none() {
        config.to_mut().secure = Some(true);
    }
    config
}
