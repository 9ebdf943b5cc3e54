//! A connection as its worker holds it: the protocol, the socket, the application's state, and what is known of them.

use crate::conn::Conn;
use crate::handle::{Act, Audience, Id, Sent, Shared};
use crate::handler::{self, Answer, Call, CloseError, Closed, Handler};
use crate::pool::{Session, Snapshot};
use crate::stats::Stats;
use crate::stream::{Received, Stream};
use crate::topics::{Subscriptions, Topics};
use sockless::bytes::{Buf, BytesMut};
use sockless::{Code, Connection, Event, Message, Role, SendError, State};
use std::borrow::Cow;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Where the application's state is.
pub(crate) enum Place<S> {
    Here(S),
    /// With the pool, and what the pool has still to do with it.
    Pool(Arc<Session<S>>),
}

/// All that a connection at rest takes.
pub(crate) struct Entry<S> {
    pub(crate) connection: Connection,
    pub(crate) stream: Stream,
    pub(crate) place: Place<S>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) id: Id,
    /// The tick of the wheel that it waits for; 0 is none.
    pub(crate) armed: u32,
    /// The tick at which it is waited for no more; 0 is none.
    pub(crate) patience: u32,
    /// Bytes of messages from the mailbox that others have not been told the fate of: that they are queued, or have gone out.
    pub(crate) taken: u32,
    pub(crate) flags: Flags,
    /// When something was read that the connection has not been told the time of.
    pub(crate) heard: Option<Duration>,
    /// Client: the socket is not connected yet; what else there is to try.
    pub(crate) dialing: Option<Box<Dialing>>,
    /// Why writing has failed.
    pub(crate) broken: Option<Box<io::Error>>,
    /// The rest of a read, which stopped being wanted within it.
    pub(crate) held: Option<Box<BytesMut>>,
}

/// Addresses that have not been tried yet, the next one last.
pub(crate) struct Dialing {
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Facts about an entry, one each.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flags {
    /// There may be bytes to read.
    pub(crate) readable: bool,
    /// The socket has told that its end is near, so bytes are read up to it.
    pub(crate) read_closed: bool,
    /// The socket takes no more, until it tells.
    pub(crate) blocked: bool,
    /// The handler has paused reading.
    pub(crate) paused: bool,
    /// The pool has enough to do with it.
    pub(crate) stalled: bool,
    /// The handler has been told that it is open; that it has ended.
    pub(crate) opened: bool,
    pub(crate) told: bool,
    /// The handler has been told that much waits.
    pub(crate) pressed: bool,
    /// Other threads have been told that something waits.
    pub(crate) published: bool,
    /// The outbox is the worker's.
    pub(crate) lent: bool,
    /// It is in the worker's list of those to look after at the end of the turn.
    pub(crate) dirty: bool,
    /// The connection was open when it was told the time, and nothing but messages has come since.
    pub(crate) timed: bool,
    /// The write side is shut down.
    pub(crate) shut: bool,
    /// The socket is of no more use.
    pub(crate) dead: bool,
    /// It counts in the table of addresses.
    pub(crate) admitted: bool,
}

/// What a worker has besides its connections, for those who hold one of them.
pub(crate) struct Local<S> {
    pub(crate) worker: u16,
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) topics: Topics,
    /// Messages for others, to be delivered when the handler has returned.
    pub(crate) deliveries: Vec<(Audience, sockless::Prepared)>,
    /// Those to look after at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    pub(crate) stats: Stats,
    pub(crate) now: Duration,
    /// What the events of one read have cost, about, in bytes; but for those that lie where they were read.
    pub(crate) work: usize,
    /// Nothing was read behind the message that a handler was called for last.
    pub(crate) last: bool,
    /// Lent to whichever connection is busy.
    pub(crate) outbox: Vec<u8>,
    /// An answer of the handler's that could not be written.
    pub(crate) mistake: Option<SendError>,
}

/// Bytes; while fewer wait, one read's messages are gone on with before they are written: a system call for each would
/// cost more than the copy.
const MOST_GATHERED: usize = 512 << 10;

/// Bytes; when a read's events have cost more, the rest has to wait until it was the others' turn.
const MOST_WORK: usize = 4 << 20;

/// Bytes; what a ping costs, which is answered by a write of its own, beside what a message does.
const PING_WORK: usize = 16 << 10;

/// Capacity in bytes that the lent outbox keeps: what was gathered, and the room to grow by doubling.
const MOST_LENT: usize = 4 * MOST_GATHERED;

/// Bytes; a longer queue takes the lent outbox along instead of being copied out of it.
const MOST_MOVED: usize = 64 << 10;

/// Bytes; a shorter message is copied for less than a vectored write costs.
const LEAST_THROUGH: usize = 32 << 10;

impl<S> Entry<S> {
    #[inline]
    pub(crate) fn state(&self) -> &S {
        match &self.place {
            Place::Here(state) => state,
            Place::Pool(_) => unreachable!("the handler runs in the pool"),
        }
    }

    #[inline]
    pub(crate) fn state_mut(&mut self) -> &mut S {
        match &mut self.place {
            Place::Here(state) => state,
            Place::Pool(_) => unreachable!("the handler runs in the pool"),
        }
    }

    /// What becomes of a message, for the caller and the statistics.
    #[inline]
    pub(crate) fn outcome(&self, local: &mut Local<S>, sent: Result<(), SendError>) -> Result<Sent, SendError> {
        sent?;
        local.stats.messages_sent += 1;
        Ok(if self.flags.blocked { Sent::Queued } else { Sent::Now })
    }

    /// Has it looked after at the end of the turn.
    pub(crate) fn touch(&mut self, local: &mut Local<S>) {
        if !self.flags.dirty {
            self.flags.dirty = true;
            local.dirty.push(self.id.key);
        }
    }

    /// Whether reading is wanted, and may bring something.
    pub(crate) fn may_read(&self) -> bool {
        (self.flags.readable || self.held.is_some()) && self.dialing.is_none() && self.wants_input()
    }

    fn wants_input(&self) -> bool {
        !self.is_unread() && self.connection.wants_read() && !self.is_high()
    }

    /// Whether a server waits with reading for what is to go out; a client never does, so that one of two ends reads.
    fn is_high(&self) -> bool {
        self.connection.is_high() && self.connection.role() == Role::Server
    }

    /// Whether the handler takes nothing for now, so that the peer is not read.
    ///
    /// A pause holds while the connection is not closing: then its end has to be heard. What the pool has to catch up with
    /// holds in any case, or more would pile up before it; it ends by itself. And a peer that has hung up cannot be waited
    /// for, see [`is_left`](Self::is_left).
    fn is_unread(&self) -> bool {
        self.flags.stalled || self.flags.paused && !self.is_closing()
    }

    /// Whether deadlines count. A peer that is not read cannot answer a ping, but nobody waits for ever for its end.
    pub(crate) fn is_timed(&self) -> bool {
        !(self.flags.paused || self.flags.stalled) || self.is_closing()
    }

    /// Whether the peer has hung up while the handler has paused. How it ended lies behind all that it sent, which a
    /// handler that resumes in time gets.
    pub(crate) fn is_left(&self) -> bool {
        self.flags.read_closed && self.flags.paused && !self.is_closing()
    }

    fn is_closing(&self) -> bool {
        matches!(self.connection.state(), State::Closing | State::Closed)
    }

    /// Whether nothing has happened since it was told the time but messages, and all that was said has gone out: no
    /// deadline has come nearer then.
    #[inline]
    pub(crate) fn is_at_ease(&self) -> bool {
        let Flags { timed, told, pressed, published, dead, .. } = self.flags;
        timed
            && !(told | pressed | published | dead)
            && self.is_timed()
            && self.broken.is_none()
            && self.taken == 0
            && self.queued() == 0
            && self.connection.state() == State::Open
    }

    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.connection.queued()
    }

    /// Does what other threads, or the handler, have asked for; not the calls of a handler.
    pub(crate) fn act(&mut self, local: &mut Local<S>, act: Act<S>) {
        match act {
            Act::Send(parcel) => {
                self.taken = self.taken.saturating_add(parcel.len());
                let sent = parcel.send(&mut self.connection);
                if self.outcome(local, sent).is_err() {
                    local.stats.dropped += 1;
                }
            }
            // It is closing already, then.
            Act::Close(code, reason) => _ = self.connection.close(code, &reason),
            Act::Abort(code) => self.connection.abort(code),
            Act::Pause => self.flags.paused = true,
            Act::Resume => self.flags.paused = false,
            Act::Unstall => self.flags.stalled = false,
            Act::Subscribe(topic) => {
                if self.flags.opened && !self.flags.told || self.connection.state() == State::Connecting {
                    local.topics.subscribe(self.id.key, &mut self.subscriptions, &topic);
                }
            }
            Act::Unsubscribe(topic) => {
                local.topics.unsubscribe(self.id.key, &mut self.subscriptions, &topic);
            }
            Act::Limits(limits) => self.connection.set_limits(limits),
            Act::Answer(answer) => self.answer(local, answer),
            Act::Run(_) => unreachable!("a call of the handler's"),
        }
        self.touch(local);
    }

    fn answer(&mut self, local: &mut Local<S>, answer: Answer) {
        let written = match answer {
            Answer::Accept(accept) => self.connection.accept(accept),
            Answer::Reject { status, headers, body } => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
                self.connection.reject(status, &headers, &body)
            }
        };
        if let Err(error) = written {
            local.mistake = Some(error);
            // There may be no request any more: it has been given up.
            _ = self.connection.reject(500, &[], b"");
        }
    }
}

/// Receiving, and what the handler is told of it.
impl<S: Send + 'static> Entry<S> {
    /// Reads once, and tells the handler what came.
    pub(crate) fn read<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, buffer: &mut [u8]) {
        self.lend(local);
        local.work = 0;
        if let Some(mut held) = self.held.take() {
            let left = self.receive(handler, local, &mut held);
            if left > 0 {
                held.advance(held.len() - left);
                self.held = Some(held);
            }
            return;
        }
        // While a large message is under way, the socket fills it where it lies.
        let (received, is_tail) = match self.connection.tail() {
            Some(tail) => (self.stream.read(tail), true),
            None => (self.stream.read(buffer), false),
        };
        match received {
            Ok(Received { len: 0, .. }) => {
                self.flags.readable = false;
                let result = self.connection.receive_eof();
                self.told(handler, local, result);
            }
            Ok(Received { len, more }) => {
                local.stats.bytes_received += len as u64;
                self.heard = Some(local.now);
                self.flags.readable = more || self.flags.read_closed;
                if is_tail {
                    local.last = true;
                    let result = self.connection.receive_tail(len);
                    self.told(handler, local, result);
                } else {
                    let left = self.receive(handler, local, &mut buffer[..len]);
                    if left > 0 {
                        self.held = Some(Box::new(buffer[len - left..len].into()));
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.flags.readable = false,
            Err(error) => self.fail(handler, local, error),
        }
    }

    /// Takes bytes that were read, or none, to go on with those that the connection holds. How many of them are left, for
    /// reading has stopped being wanted.
    pub(crate) fn receive<H: Handler<State = S>>(
        &mut self,
        handler: &H,
        local: &mut Local<S>,
        input: &mut [u8],
    ) -> usize {
        // Once for all that was read, not for each message: it costs more than it seems.
        let left = catch_unwind(AssertUnwindSafe(|| self.receive_all(handler, local, input)));
        left.unwrap_or_else(|_| {
            self.act(local, Act::Abort(Code::INTERNAL_ERROR));
            0
        })
    }

    fn receive_all<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, mut input: &mut [u8]) -> usize {
        let most = MOST_GATHERED.min(local.shared.hard / 2);
        loop {
            match self.connection.receive(&mut input) {
                Ok(Some(event)) => {
                    local.last = input.is_empty();
                    self.event(handler, local, event);
                }
                Ok(None) => return 0,
                Err(error) => {
                    self.end(handler, local, error.into());
                    return 0;
                }
            }
            if !input.is_empty()
                && (local.work > MOST_WORK || self.has_enough(most))
                && self.flags.opened
                && !self.flags.told
            {
                self.flush(local);
                if local.work > MOST_WORK || !self.wants_input() {
                    return input.len();
                }
            }
        }
    }

    /// Whether more than so much waits to go out, or the handler has paused.
    #[inline]
    fn has_enough(&self, most: usize) -> bool {
        self.is_unread() || self.queued() > most && self.is_high()
    }

    /// Takes what a call of the connection's has found.
    fn told<H: Handler<State = S>>(
        &mut self,
        handler: &H,
        local: &mut Local<S>,
        result: Result<Option<Event<'_>>, sockless::ProtocolError>,
    ) {
        match result {
            Ok(Some(event)) => self.any_event(handler, local, event),
            Ok(None) => {}
            Err(error) => self.end(handler, local, error.into()),
        }
    }

    /// What most events are goes straight to the handler: a message that lies where it was read.
    #[inline(always)]
    fn event<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, event: Event<'_>) {
        // Taken apart and put together: moved, it would be read back from memory before it is written there.
        let message = match event {
            Event::Text(Cow::Borrowed(text)) => Message::from(text),
            Event::Binary(Cow::Borrowed(bytes)) => Message::from(bytes),
            Event::Unchecked(Cow::Borrowed(text)) => Message::Unchecked(text.into()),
            _ => return self.any_event(handler, local, event),
        };
        // There is nothing to drop, which is not seen here.
        std::mem::forget(event);
        local.stats.messages_received += 1;
        match &self.place {
            Place::Here(_) => handler::deliver(handler, &mut Conn::on_loop(self, local), message),
            Place::Pool(_) => self.call(handler, local, Call::Message(message)),
        }
    }

    #[cold]
    fn any_event<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, event: Event<'_>) {
        let message = match event {
            Event::Text(text) => Message::Text(text),
            Event::Binary(bytes) => Message::Binary(bytes),
            Event::Unchecked(text) => Message::Unchecked(text),
            event => return self.rare_event(handler, local, event),
        };
        local.stats.messages_received += 1;
        local.work += message.as_bytes().len();
        self.call(handler, local, Call::Message(message));
    }

    fn rare_event<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, event: Event<'_>) {
        self.flags.timed = false;
        match event {
            Event::Request(request) => {
                self.call(handler, local, Call::Request(request));
                self.answered(handler, local);
            }
            Event::Open(response) => {
                self.call(handler, local, Call::Response(response));
                self.answered(handler, local);
            }
            Event::Rejected(response) => {
                let error = CloseError::Rejected(response.status());
                self.call(handler, local, Call::Response(response));
                self.end(handler, local, Closed::abnormal(Some(error)));
            }
            Event::Ping(payload) => {
                local.work += PING_WORK;
                self.call(handler, local, Call::Ping(payload));
                // The pong goes out at once: the next ping's would take its place.
                self.flush(local);
            }
            Event::Pong(payload) => self.call(handler, local, Call::Pong(payload)),
            Event::Close(close) => self.end(handler, local, close.into()),
            _ => {}
        }
    }

    /// A request has perhaps been answered; if so, the connection may be open.
    pub(crate) fn answered<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>) {
        if let Some(mistake) = local.mistake.take() {
            self.call(handler, local, Call::Error(mistake.into()));
        }
        if !self.flags.opened && self.connection.state() == State::Open {
            self.flags.opened = true;
            local.stats.open += 1;
            local.stats.opened += 1;
            self.call(handler, local, Call::Open);
        }
    }

    /// The peer has hung up, and nobody has read up to that.
    pub(crate) fn give_up<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>) {
        self.held = None;
        self.flags.readable = false;
        let result = self.connection.receive_eof();
        self.told(handler, local, result);
    }

    /// The socket has failed.
    pub(crate) fn fail<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, error: io::Error) {
        self.flags.dead = true;
        self.flags.readable = false;
        // What the handler is told is the reason of it.
        _ = self.connection.receive_eof();
        self.end(handler, local, Closed::abnormal(Some(error.into())));
    }

    /// The connection has ended: tells the handler, once.
    pub(crate) fn end<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, closed: Closed) {
        if std::mem::replace(&mut self.flags.told, true) {
            return;
        }
        local.topics.remove(self.id.key, &mut self.subscriptions);
        local.stats.open -= u64::from(self.flags.opened);
        if self.flags.opened || self.connection.role() == Role::Client {
            self.call(handler, local, Call::Close(closed));
        }
        // A handler may have subscribed once more.
        local.topics.remove(self.id.key, &mut self.subscriptions);
    }

    /// Calls the handler, here or in the pool.
    pub(crate) fn call<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>, what: Call<'_, S>) {
        match &self.place {
            Place::Here(_) => handler::call(handler, &mut Conn::on_loop(self, local), what),
            Place::Pool(session) => {
                let snapshot = Snapshot::new(self);
                self.flags.stalled |= session.clone().push(what.into_owned(), snapshot);
            }
        }
    }

    /// Tells the handler when the peer has begun to take less than it is sent, and when all has gone.
    pub(crate) fn press<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>) {
        let queued = self.queued();
        if queued > 0 || self.flags.published || self.taken > 0 {
            self.flags.published = queued > 0;
            let taken = std::mem::take(&mut self.taken);
            local.shared.mailboxes[usize::from(self.id.worker)].set_queued(self.id.key, queued, taken);
        }
        if self.flags.told || !self.flags.opened {
            return;
        }
        // More than the soft limit waits, or the peer would be read.
        let pressed = queued > 0 && (self.flags.pressed || self.connection.is_high());
        if pressed != self.flags.pressed {
            self.flags.pressed = pressed;
            self.call(handler, local, if pressed { Call::Backpressure } else { Call::Drain });
            self.touch(local);
        }
    }

    /// Tells the connection the time, that of the last read before it, and the handler what came of it.
    pub(crate) fn tell_time<H: Handler<State = S>>(&mut self, handler: &H, local: &mut Local<S>) {
        if let Some(heard) = self.heard.take().filter(|heard| *heard < local.now) {
            let result = self.connection.handle_timeout(heard);
            self.told(handler, local, result);
        }
        self.flags.timed = self.connection.state() == State::Open;
        let result = self.connection.handle_timeout(local.now);
        if !matches!(result, Ok(None)) {
            self.told(handler, local, result);
        }
    }
}

/// What goes out.
impl<S> Entry<S> {
    /// Lends the worker's outbox to a connection that holds none.
    fn lend(&mut self, local: &mut Local<S>) {
        if !self.flags.lent && self.queued() == 0 {
            self.connection.swap_outbox(&mut local.outbox);
            self.flags.lent = true;
        }
    }

    /// Writes what is outbound, as far as the socket takes it.
    #[inline]
    pub(crate) fn flush(&mut self, local: &mut Local<S>) {
        if self.may_write() {
            let written = write(&mut self.stream, self.connection.outbound(), &mut local.stats);
            self.wrote(written);
        }
    }

    /// Sends a message; a long one goes out at once, from where it lies, unless others will follow it.
    #[inline]
    pub(crate) fn send(&mut self, local: &mut Local<S>, message: &Message<'_>) -> Result<Sent, SendError> {
        let sent = match message.as_bytes().len() {
            LEAST_THROUGH.. if local.last && self.stream.tls().is_none() && self.may_write() => {
                self.send_through(local, message)
            }
            _ => self.connection.send(message),
        };
        self.outcome(local, sent)
    }

    #[inline(never)]
    fn send_through(&mut self, local: &mut Local<S>, message: &Message<'_>) -> Result<(), SendError> {
        let through = self.connection.send_through(message)?;
        let written = write(&mut self.stream, through, &mut local.stats);
        self.wrote(written);
        Ok(())
    }

    fn may_write(&self) -> bool {
        let Flags { blocked, dead, .. } = self.flags;
        !(blocked | dead) && self.dialing.is_none() && self.broken.is_none()
    }

    /// Notes whether all has left.
    #[inline]
    fn wrote(&mut self, written: io::Result<bool>) {
        match written {
            Ok(all) => self.flags.blocked = !all,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.flags.blocked = true,
            Err(error) => {
                // What the peer said before it went may still be read.
                self.flags.readable = true;
                self.broken = Some(Box::new(error));
            }
        }
    }

    /// Takes the worker's outbox back, or what is left of an own one that has served.
    #[inline]
    pub(crate) fn take_back(&mut self, local: &mut Local<S>) {
        match (std::mem::take(&mut self.flags.lent), self.queued()) {
            (true, 0) => {
                self.connection.swap_outbox(&mut local.outbox);
                if local.outbox.capacity() > MOST_LENT {
                    local.outbox = Vec::new();
                }
            }
            (lent, queued) => self.keep_outbox(local, lent, queued),
        }
    }

    fn keep_outbox(&mut self, local: &mut Local<S>, lent: bool, queued: usize) {
        match (lent, queued) {
            (false, 0) => self.connection.swap_outbox(&mut Vec::new()),
            (true, ..=MOST_MOVED) => {
                let mut own = Vec::with_capacity(queued);
                self.connection.swap_outbox(&mut own);
                local.outbox = own;
            }
            // A large one it keeps, or has kept.
            (_, _) => {}
        }
    }
}

/// Writes; whether all has left.
#[inline]
fn write(stream: &mut Stream, mut outbound: impl Buf, stats: &mut Stats) -> io::Result<bool> {
    loop {
        let remaining = outbound.remaining();
        if remaining == 0 {
            return stream.flush();
        }
        let chunk = outbound.chunk();
        let (written, offered) = match chunk.len() == remaining {
            true => (stream.write(chunk)?, remaining),
            false => write_vectored(stream, &outbound)?,
        };
        outbound.advance(written);
        stats.bytes_sent += written as u64;
        if written < offered && stream.tls().is_none() {
            return Ok(false);
        }
    }
}

/// Writes of several slices; how many bytes, and of how many.
#[inline(never)]
fn write_vectored(stream: &mut Stream, outbound: &impl Buf) -> io::Result<(usize, usize)> {
    let mut slices = [IoSlice::new(&[]); 64];
    let count = outbound.chunks_vectored(&mut slices);
    let offered = slices[..count].iter().map(|slice| slice.len()).sum();
    Ok((stream.write_vectored(&slices[..count])?, offered))
}
