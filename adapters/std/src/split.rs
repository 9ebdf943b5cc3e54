//! A connection in two halves, for a thread that receives and others that send.

mod shared;

use crate::closer::Closer;
use crate::lent::Lent;
use crate::mode::Mode;
use crate::stream::Stream;
use crate::transport::SLICE;
use crate::waits::{SHORTEST, Waits};
use crate::writer::Writer;
use shared::{Ending, Shared, Shares};
use sockless::driver::{Driver, Error, InUse, Inbox, Next, Pings, Reading, Writing};
use sockless::{
    Close, Code, Event, Fact, Keepalive, Kind, Limits, Message, Piece, Prepared, ProtocolError, Rates, SendError,
    Sender as Core, State, Traffic,
};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the receiving half waits, at most, until it looks what the other has done: closed, say.
const LOOK: Duration = Duration::from_millis(500);

/// The half of a connection that receives, and drives it: it answers pings and closes, writes what waits unless a [`Sender`]
/// does, and keeps the deadlines. So a thread has to receive for as long as others send.
///
/// It comes from [`WebSocket::split`](crate::WebSocket::split). Dropped, it ends the connection without a closing handshake.
pub struct Receiver<S> {
    shared: Ending<S>,
    reading: Reading,
    stream: S,
    waits: Waits,
    lent: Lent,
    started: Instant,
    timeout: Option<Duration>,
    closer: Option<Closer>,
    /// What had come before they were parted.
    inbox: Inbox,
    /// What is told at the end.
    failure: Option<Error>,
    over: bool,
}

/// The half of a connection that sends. Clones of it, for other threads, send on the same connection.
///
/// No lock is held while one of them waits for the stream: the others wait for their turn to write, and the [`Receiver`] for
/// nobody.
pub struct Sender<S>(Arc<Shared<S>>);

/// The two halves.
pub(crate) fn new<S: Stream>(
    (reading, mut writing): (Reading, Writing),
    (reader, writer): (S, S),
    started: Instant,
    timeout: Option<Duration>,
    closer: Option<Closer>,
    inbox: Inbox,
) -> (Sender<S>, Receiver<S>) {
    // What goes out has its room for as long as there is traffic.
    let mut outbound = writing.peek().outbound_limits();
    outbound.retain = outbound.retain.max(Writer::<S>::ROOM);
    writing.sender().set_outbound(outbound);
    let writer = Some(Box::new(Writer::new(writer)));
    let shares =
        Shares { writing, writer, shutdown: false, broken: None, pings: Pings::default(), close: None, over: false };
    let shared = Arc::new(Shared { state: Mutex::new(shares), changed: Condvar::new(), started });
    let receiver = Receiver {
        shared: Ending::new(shared.clone()),
        reading,
        stream: reader,
        waits: Waits::default(),
        lent: Lent::default(),
        started,
        timeout,
        closer,
        inbox,
        failure: None,
        over: false,
    };
    (Sender(shared), receiver)
}

impl<S: Stream> Receiver<S> {
    /// The next message; `None` when the connection has ended by a closing handshake.
    ///
    /// # Errors
    /// As [`WebSocket::recv`](crate::WebSocket::recv).
    pub fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        loop {
            match self.next(Mode::Message)?.map(Event::into_message) {
                Some(Some(message)) => return Ok(Some(message)),
                Some(None) => {}
                None => return Ok(None),
            }
        }
    }

    /// The same as messages, pings, pongs and the close frame, as soon as each comes.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_event(&mut self) -> Result<Option<Event<'static>>, Error> {
        self.next(Mode::Message)
    }

    /// The next part of a message, as [`WebSocket::recv_piece`](crate::WebSocket::recv_piece) gives it.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_piece(&mut self) -> Result<Option<Piece<'static>>, Error> {
        self.next_part(Mode::Piece)
    }

    /// The next frame of a message, as [`WebSocket::recv_frame`](crate::WebSocket::recv_frame) gives it.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_frame(&mut self) -> Result<Option<Piece<'static>>, Error> {
        self.next_part(Mode::Frame)
    }

    fn next_part(&mut self, mode: Mode) -> Result<Option<Piece<'static>>, Error> {
        loop {
            match self.next(mode)? {
                Some(Event::Piece(piece)) => return Ok(Some(piece)),
                Some(event) => {
                    if let Some(data) = event.into_message() {
                        return Ok(Some(Piece { data, first: true, frame_end: true, last: true }));
                    }
                }
                None => return Ok(None),
            }
        }
    }

    /// As [`WebSocket::set_recv_timeout`](crate::WebSocket::set_recv_timeout).
    pub fn set_recv_timeout(&mut self, timeout: impl Into<Option<Duration>>) {
        self.timeout = timeout.into();
    }

    /// What the peer's close frame said, once it has come.
    pub fn peer_close(&self) -> Option<Close<'static>> {
        self.shared.lock().close.as_deref().cloned()
    }

    /// What has been received so far.
    pub fn traffic(&self) -> Traffic {
        self.reading.receiver().traffic()
    }

    /// Changes what the peer may send, from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.reading.receiver_mut().set_limits(limits);
    }

    /// As [`WebSocket::set_rates`](crate::WebSocket::set_rates).
    pub fn set_rates(&mut self, rates: Rates) {
        self.reading.set_rates(rates);
    }

    /// As [`WebSocket::set_keepalive`](crate::WebSocket::set_keepalive).
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.reading.receiver_mut().set_keepalive(keepalive);
        self.shared.lock().writing.set_keepalive(keepalive);
    }

    /// Starts the closing handshake, unless it has begun.
    pub(crate) fn start_close(&mut self, code: Code) {
        _ = self.shared.lock().writing.sender().close(code, "");
    }

    fn next(&mut self, mode: Mode) -> Result<Option<Event<'static>>, Error> {
        if let Some(event) = self.inbox.pop() {
            return Ok(Some(event));
        }
        if self.over {
            return Ok(None);
        }
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.turns(mode, deadline)
    }

    fn turns(&mut self, mode: Mode, deadline: Option<Instant>) -> Result<Option<Event<'static>>, Error> {
        let (mut asked, mut idle) = (false, false);
        loop {
            if let Some(event) = self.event(mode) {
                return Ok(Some(event));
            }
            let next = self.settle(idle);
            if next.close {
                self.over = true;
                self.shared.end();
                return self.failure.take().map_or(Ok(None), Err);
            }
            if next.again {
                continue;
            }
            if asked && deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Error::TimedOut);
            }
            let now = self.started.elapsed();
            let callers = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let patience = [next.wait(now), callers, Some(LOOK)].into_iter().flatten().min();
            match next.read {
                true => idle = !self.read(if next.write { Some(SHORTEST) } else { patience }),
                // Only time brings something.
                false => thread::sleep(SLICE),
            }
            asked = true;
        }
    }

    /// What was read tells next.
    fn event(&mut self, mode: Mode) -> Option<Event<'static>> {
        if self.reading.is_rated() {
            self.reading.tell_time(self.started.elapsed());
        }
        loop {
            let Self { reading, shared, lent, .. } = self;
            let tell = |fact: Fact| shared.lock().writing.handle_fact(fact);
            let told = match mode {
                Mode::Message => reading.event(lent.storage(), tell),
                Mode::Piece => reading.piece(lent.storage(), tell),
                Mode::Frame => reading.frame(lent.storage(), tell),
            };
            let event = match told {
                Ok(event) => event?.into_owned(),
                Err(error) => {
                    self.fail(error);
                    return None;
                }
            };
            match &event {
                Event::Close(close) => shared.lock().close = Some(Box::new(close.clone())),
                Event::Pong(payload) if shared.lock().pings.handle_pong(payload, self.started.elapsed()) => {
                    // It is told to who asked for it.
                    shared.changed.notify_all();
                    continue;
                }
                _ => {}
            }
            return Some(event);
        }
    }

    /// Writes what waits, judges the time if nothing was to be read, and says what comes next.
    fn settle(&mut self, idle: bool) -> Next {
        let now = self.started.elapsed();
        let judged = {
            let mut shares = self.shared.lock();
            if self.closer.as_ref().is_some_and(Closer::is_asked) {
                _ = shares.writing.sender().close(Code::AWAY, "");
            }
            match idle || shares.writing.peek().state() != State::Open {
                true => shares.writing.judge(self.reading.heard(), now),
                false => Ok(false),
            }
        };
        match judged {
            Ok(true) => self.reading.rest_if_idle(),
            Ok(false) => {}
            Err(error) => self.fail(error),
        }
        self.shared.write();
        let mut shares = self.shared.lock();
        let held_back = shares.is_held_back();
        shares.writing.set_held_back(held_back);
        let next = shares.writing.next(now);
        shares.shutdown |= next.shutdown;
        let waits = held_back || shares.shutdown;
        drop(shares);
        if waits {
            self.shared.write();
        }
        let reading = self.reading.next(self.lent.storage(), next.read);
        Next { again: reading.again && !next.close, read: reading.read, write: next.write || held_back, ..next }
    }

    /// Reads once; whether there was something.
    fn read(&mut self, patience: Option<Duration>) -> bool {
        let storage = self.lent.storage();
        let told = self.waits.set_read(&self.stream, patience);
        match told.and_then(|()| self.stream.read(self.reading.space(storage))) {
            Ok(len) => self.reading.received(storage, len),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // Nothing more can be said, so nothing more is waited for.
                if self.shared.lock().broken.is_some() {
                    self.reading.received(storage, 0);
                }
                return false;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                self.shared.lock().broken.get_or_insert(error);
                self.reading.received(storage, 0);
            }
        }
        true
    }

    /// The connection failed; the cause is told before the effect.
    fn fail(&mut self, error: ProtocolError) {
        self.reading.end();
        let cause = if error == ProtocolError::UnexpectedEof { self.shared.lock().broken.take() } else { None };
        self.failure.get_or_insert_with(|| cause.map_or_else(|| error.into(), Error::Io));
    }
}

/// What halves are made of.
pub(crate) struct Parts<S> {
    pub(crate) driver: Driver,
    pub(crate) stream: S,
    pub(crate) started: Instant,
    pub(crate) timeout: Option<Duration>,
    pub(crate) closer: Option<Closer>,
    pub(crate) inbox: Inbox,
    pub(crate) close: Option<Box<Close<'static>>>,
    pub(crate) failure: Option<Error>,
    pub(crate) over: bool,
}

impl<S: Stream> Receiver<S> {
    /// What both halves are made of; or themselves, and why they are not one connection's, or are at work.
    #[allow(clippy::result_large_err)] // The error is the halves, given back.
    pub(crate) fn into_parts(mut self, sender: Sender<S>) -> Result<Parts<S>, (Sender<S>, Self, InUse)> {
        let why = if !Arc::ptr_eq(&self.shared, &sender.0) {
            Some(InUse::Different)
        } else if Arc::strong_count(&sender.0) > 2 {
            Some(InUse::Cloned)
        } else if !self.shared.write() {
            Some(InUse::Unwritten)
        } else {
            None
        };
        if let Some(why) = why {
            return Err((sender, self, why));
        }
        drop(sender);
        self.reading.leave(self.lent.storage());
        self.lent.give_back();
        let Self { shared, reading, stream, waits, started, timeout, closer, inbox, failure, over, .. } = self;
        waits.reset(&stream);
        let Some(shared) = shared.leave().and_then(Arc::into_inner) else { unreachable!("there is no other half") };
        let shares = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let stream = match shares.writer {
            Some(writer) => stream.unsplit(writer.into_stream()),
            None => stream,
        };
        let failure = failure.or(shares.broken.map(Error::Io));
        let driver = Driver::reunite(reading, shares.writing);
        Ok(Parts { driver, stream, started, timeout, closer, inbox, close: shares.close, failure, over })
    }
}

impl<S: Stream> Sender<S> {
    /// Sends a message, and waits until it is written.
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send); [`Error::Send`] with [`Closing`](SendError::Closing) too once the
    /// connection is over, which the [`Receiver`] is told in detail.
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.written_by(|sender| sender.send(message))
    }

    /// Sends a fragment of a message, as [`WebSocket::send_fragment`](crate::WebSocket::send_fragment).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_fragment(&self, kind: Kind, bytes: &[u8], last: bool) -> Result<(), Error> {
        self.written_by(|sender| sender.send_fragment(kind, bytes, last))
    }

    /// Sends a message that was framed before, by reference.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), Error> {
        self.written_by(|sender| sender.send_prepared(message))
    }

    /// Sends a ping of at most 125 bytes, ahead of messages that wait.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`LongControl`](SendError::LongControl).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.written_by(|sender| sender.ping(payload))
    }

    /// Sends a pong, as [`WebSocket::pong`](crate::WebSocket::pong).
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&self, payload: &[u8]) -> Result<(), Error> {
        self.written_by(|sender| sender.pong(payload))
    }

    /// Sends a ping, and waits for its pong, at most for this time: how long that took. Any number of threads may do so at once;
    /// another has to receive.
    ///
    /// # Errors
    /// As [`ping`](Self::ping), where the connection ends meanwhile too; [`Error::TimedOut`].
    pub fn round_trip(&self, timeout: impl Into<Option<Duration>>) -> Result<Duration, Error> {
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let (id, payload) = self.0.lock().pings.ping();
        let sent = self.0.started.elapsed();
        self.ping(&payload)?;
        let mut shares = self.0.lock();
        loop {
            if let Some(at) = shares.pings.answered(id) {
                return Ok(at.saturating_sub(sent));
            }
            if shares.over {
                return Err(shares.refusal(SendError::Closing));
            }
            let left = deadline.map_or(LOOK, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Error::TimedOut);
            }
            shares = self.0.changed.wait_timeout(shares, left.min(LOOK)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Starts the closing handshake, behind all that was sent, and waits until that is written; the [`Receiver`] is told the
    /// end.
    ///
    /// # Errors
    /// As [`WebSocket::start_close`](crate::WebSocket::start_close).
    pub fn close(&self, code: impl Into<Code>, reason: &str) -> Result<(), Error> {
        self.written_by(|sender| sender.close(code.into(), reason))
    }

    fn written_by(&self, send: impl FnOnce(&mut Core) -> Result<(), SendError>) -> Result<(), Error> {
        let mut shares = self.0.lock();
        // Room is made for what others have sent at once.
        while shares.writing.peek().is_high() && !shares.over && shares.broken.is_none() {
            drop(shares);
            if !self.0.write() {
                self.wait();
            }
            shares = self.0.lock();
        }
        if let Err(error) = send(shares.writing.sender()) {
            return Err(shares.refusal(error));
        }
        drop(shares);
        while !self.0.write() {
            self.wait();
            let mut shares = self.0.lock();
            if shares.over {
                return Err(shares.refusal(SendError::Closing));
            }
        }
        match &self.0.lock().broken {
            Some(error) => Err(io::Error::from(error.kind()).into()),
            None => Ok(()),
        }
    }

    /// Waits until nobody is writing, or for a moment.
    fn wait(&self) {
        let shares = self.0.lock();
        let busy = |shares: &mut Shares<S>| shares.writer.is_none() && !shares.over;
        drop(self.0.changed.wait_timeout_while(shares, SLICE, busy));
    }
}

impl<S> Clone for Sender<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for Sender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Receiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("reading", &self.reading).finish_non_exhaustive()
    }
}
