//! A connection in two halves, for two tasks.

use crate::alarm::{Alarm, Closer, Place};
use crate::drive::Drive;
use crate::error::Error;
use crate::message::{Event, Message, Piece};
use crate::reading::{Mode, Reading};
use crate::writing::{Side, Turn, Writing};
use futures_core::Stream;
use futures_sink::Sink;
use sockless::{Close, Code, Counters, Fact, Kind, Limits, Prepared, ProtocolError, SendError, Traffic};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};

/// The half that receives. It answers pings and closes, and keeps the deadlines, whether or not anybody uses the other.
///
/// It never waits for the [`Sender`]: what the sending side has to know is left for it to find, where it is at work.
pub struct Receiver<R, W> {
    io: R,
    reading: Reading,
    shared: Arc<Shared<W>>,
    /// Answers are the sender's.
    side: (),
}

/// The half that sends.
///
/// Clones of it send on the same connection: each message goes out whole. What is sent is written by whoever is polled
/// first, a sender or the [`Receiver`]; dropping a sender loses nothing that it took.
pub struct Sender<W> {
    shared: Arc<Shared<W>>,
    /// Where it waits as a `Sink`.
    place: Place,
}

/// The halves of a connection whose stream [`tokio::io::split`] has parted.
pub type Halves<S> = (Receiver<ReadHalf<S>, WriteHalf<S>>, Sender<WriteHalf<S>>);

impl<W> Clone for Sender<W> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), place: Place::default() }
    }
}

/// What the halves share: the writing side, and small facts on their way to it.
struct Shared<W> {
    /// Locked for as long as it takes to hand bytes to the transport, never while waiting for it.
    side: Mutex<Side<W>>,
    /// What the receiver has found while a sender was at work.
    facts: Mutex<VecDeque<Fact>>,
    /// Bytes that the receiver has heard; deadlines depend on it.
    heard: AtomicU64,
    /// A sender has left something to be written since the receiver looked.
    fed: AtomicBool,
    /// What the receiver is to do, as the last turn left it.
    turn: AtomicU8,
    /// The time is to be judged by the receiver, which knows what there was to be read.
    due: AtomicBool,
    /// A deadline that ended the connection.
    failed: OnceLock<ProtocolError>,
    /// What the peer's close frame said.
    close: OnceLock<Close<'static>>,
    alarm: Arc<Alarm>,
}

/// How many facts may wait before the receiver waits for the sender: enough that it never happens but to a flood.
const MOST_FACTS: usize = 64;

pub(crate) fn new<R, W>(read: R, side: Side<W>, reading: Reading) -> (Receiver<R, W>, Sender<W>) {
    let alarm = side.writing.alarm().clone();
    // The first to look does a turn.
    alarm.mark();
    let turn = if reading.is_over() { Turn::Over } else { Turn::Read };
    let shared = Arc::new(Shared {
        side: Mutex::new(side),
        facts: Mutex::default(),
        heard: AtomicU64::new(reading.receiver().traffic().bytes),
        fed: AtomicBool::new(false),
        turn: AtomicU8::new(turn as u8),
        due: AtomicBool::new(false),
        failed: OnceLock::new(),
        close: reading.close().cloned().map_or_else(OnceLock::new, OnceLock::from),
        alarm,
    });
    (Receiver { io: read, reading, shared: shared.clone(), side: () }, Sender { shared, place: Place::default() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: AsyncWrite + Unpin> Shared<W> {
    /// Does a turn of the writing side if the alarm rang, unless somebody is at it, who then looks again; see
    /// [`Writing::turn`].
    fn turn(&self, judge: bool) {
        // The second is for who found the lock taken meanwhile.
        for judge in [judge, false] {
            if !self.alarm.has_rung() {
                return;
            }
            match self.side.try_lock() {
                Ok(side) => self.turn_locked(side, judge),
                Err(TryLockError::Poisoned(side)) => self.turn_locked(side.into_inner(), judge),
                Err(TryLockError::WouldBlock) => return,
            }
        }
        // What rings within a turn may ring within each: the next is for another poll.
        if self.alarm.has_rung() {
            self.alarm.wake_by_ref();
        }
    }

    /// Tells the sender what the receiver has found.
    fn tell(&self, writing: &mut Writing) {
        for fact in mem::take(&mut *lock(&self.facts)) {
            writing.sender_mut().handle_fact(fact);
        }
    }

    fn turn_locked(&self, mut side: MutexGuard<'_, Side<W>>, judge: bool) {
        self.tell(&mut side.writing);
        let Side { io, writing } = &mut *side;
        let turn = match writing.turn(io, self.heard.load(Ordering::Relaxed), judge) {
            Ok(turn) => turn,
            Err(error) => {
                _ = self.failed.set(error);
                Turn::Over
            }
        };
        self.due.store(writing.is_due(), Ordering::Release);
        self.leave(side, turn);
    }

    /// Leaves the writing side, and wakes the receiver if it has something else to do now.
    fn leave(&self, side: MutexGuard<'_, Side<W>>, turn: Turn) {
        // The end is final.
        let changed = !self.is_over() && self.turn.swap(turn as u8, Ordering::AcqRel) != turn as u8;
        drop(side);
        if changed {
            self.alarm.wake_by_ref();
        }
    }

    /// Does something to the writing side as a sender, which waits for others at it.
    fn with<T>(&self, command: impl FnOnce(&mut Writing) -> T) -> T {
        let mut side = lock(&self.side);
        // A close that the receiver has seen comes before what is sent now.
        if self.alarm.rings() {
            self.tell(&mut side.writing);
        }
        let result = command(&mut side.writing);
        drop(side);
        self.turn(false);
        if self.is_due() {
            self.alarm.wake_reader();
        }
        result
    }

    fn poll_drained(&self, cx: &mut Context<'_>, place: &mut Place, all: bool) -> Poll<Result<(), Error>> {
        let mut side = lock(&self.side);
        let Side { io, writing } = &mut *side;
        if !all && !writing.is_high() {
            return Poll::Ready(Ok(()));
        }
        let mut poll = writing.poll_flush(io);
        if poll.is_pending() {
            place.wait(&self.alarm, cx.waker());
            // It may have rung before it knew whom to wake.
            poll = writing.poll_flush(io);
        }
        // Whether much or little waits, and whether a close frame is out, is the receiver's to know.
        let turn = writing.poll_end(io);
        self.leave(side, turn);
        self.turn(false);
        match poll {
            _ if !self.is_due() => {}
            // The peer takes nothing, which it must not do for ever, whether or not anybody receives.
            Poll::Pending => {
                self.alarm.mark();
                self.turn(true);
            }
            Poll::Ready(_) => self.alarm.wake_reader(),
        }
        match poll {
            Poll::Pending if self.is_over() => Poll::Ready(Err(match self.failed.get() {
                Some(error) => (*error).into(),
                None => self.closed().unwrap_or(ProtocolError::CloseTimeout.into()),
            })),
            poll => poll,
        }
    }

    /// What the peer has said at its end, unless this end began to close.
    fn closed(&self) -> Option<Error> {
        let close = self.close.get()?;
        let closes = lock(&self.side).writing.closes();
        (!closes).then(|| Error::Closed(Box::new(close.clone())))
    }

    fn is_due(&self) -> bool {
        self.due.load(Ordering::Acquire)
    }

    fn is_over(&self) -> bool {
        self.turn.load(Ordering::Acquire) == Turn::Over as u8
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Receiver<R, W> {
    /// As [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Errors
    /// As [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Cancel safety
    /// Dropped, the future has lost nothing: the next call goes on where it was.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_made(cx, |message, ()| Some(message.into()))).await
    }

    /// As [`WebSocket::recv_event`](crate::WebSocket::recv_event).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub async fn recv_event(&mut self) -> Result<Option<Event>, Error> {
        poll_fn(|cx| self.poll_event(cx, Mode::Message)).await
    }

    /// As [`WebSocket::recv_piece`](crate::WebSocket::recv_piece).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub async fn recv_piece(&mut self) -> Result<Option<Piece>, Error> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// What the peer's close frame said, once it has come.
    pub fn peer_close(&self) -> Option<&Close<'static>> {
        self.reading.close()
    }

    /// What has been received.
    pub fn traffic(&self) -> Traffic {
        self.reading.receiver().traffic()
    }

    /// Changes what the peer may send, from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.reading.receiver_mut().set_limits(limits);
    }
}

/// A message is taken when the method is called, before the future is polled; dropping the future loses nothing.
impl<W: AsyncWrite + Unpin> Sender<W> {
    /// As [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Errors
    /// As [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Cancel safety
    /// The message is taken by the call. Dropping the future loses nothing.
    pub fn send(&self, message: impl Into<Message>) -> Sent<'_, W> {
        self.sent(true, |writing| writing.push(message.into()))
    }

    /// As [`WebSocket::feed`](crate::WebSocket::feed). It is written by the next call that sends or flushes, or by the
    /// receiver the next time that something comes: it is not woken for this.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn feed(&self, message: impl Into<Message>) -> Sent<'_, W> {
        self.sent(false, |writing| writing.push(message.into()))
    }

    /// As [`WebSocket::send_prepared`](crate::WebSocket::send_prepared).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, message: &Prepared) -> Sent<'_, W> {
        self.sent(true, |writing| writing.with(|sender| sender.send_prepared(message)))
    }

    /// Sends a fragment of a message; the message begins with the first and ends with the `last`, and no other may be
    /// sent between.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`InvalidUtf8`](sockless::SendError::InvalidUtf8).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn send_fragment(&self, kind: Kind, part: &[u8], last: bool) -> Sent<'_, W> {
        self.sent(last, |writing| writing.with(|sender| sender.send_fragment(kind, part, last)))
    }

    /// As [`WebSocket::ping`](crate::WebSocket::ping).
    ///
    /// # Errors
    /// As [`WebSocket::ping`](crate::WebSocket::ping).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Sent<'_, W> {
        self.sent(true, |writing| writing.with(|sender| sender.ping(payload)))
    }

    /// As [`WebSocket::pong`](crate::WebSocket::pong).
    ///
    /// # Errors
    /// As [`WebSocket::ping`](crate::WebSocket::ping).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn pong(&self, payload: &[u8]) -> Sent<'_, W> {
        self.sent(true, |writing| writing.with(|sender| sender.pong(payload)))
    }

    /// Writes all that waits.
    ///
    /// # Errors
    /// As [`WebSocket::flush`](crate::WebSocket::flush).
    ///
    /// # Cancel safety
    /// Dropped, the future has lost nothing.
    pub fn flush(&self) -> Sent<'_, W> {
        self.sent(true, |_| Ok(()))
    }

    /// Starts the closing handshake, and waits until the close frame is written. The [`Receiver`] does the rest, and then
    /// says `None`.
    ///
    /// # Errors
    /// [`Error::Send`] for a code or a reason that cannot be sent; [`Error::Io`].
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn close(&self, code: impl Into<Code>, reason: &str) -> Sent<'_, W> {
        let sent = self.sent(true, |writing| writing.close(code.into(), reason));
        // The closing handshake has a deadline, which the receiver keeps.
        self.shared.alarm.wake_by_ref();
        sent
    }

    /// As [`WebSocket::abort`](crate::WebSocket::abort); the [`Receiver`] then says `None`.
    pub fn abort(&self, code: impl Into<Code>) {
        let mut side = lock(&self.shared.side);
        let Side { io, writing } = &mut *side;
        writing.sender_mut().abort(code.into());
        _ = writing.poll_flush(io);
        self.shared.leave(side, Turn::Over);
    }

    fn sent(&self, all: bool, command: impl FnOnce(&mut Writing) -> Result<(), Error>) -> Sent<'_, W> {
        let taken = self.shared.with(command).map_err(|error| match error {
            Error::Send(SendError::Closing) => self.shared.closed().unwrap_or(error),
            error => error,
        });
        self.shared.fed.store(true, Ordering::Release);
        Sent { shared: &self.shared, place: Place::default(), taken, all }
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>, all: bool) -> Poll<Result<(), Error>> {
        self.shared.poll_drained(cx, &mut self.place, all)
    }

    /// What has been sent, and with `received` from [`Receiver::traffic`], all that the connection has done.
    pub fn counters(&self, received: Traffic) -> Counters {
        self.shared.with(|writing| writing.sender().counters(received))
    }

    /// A handle by which another task has the connection closed.
    pub fn closer(&self) -> Closer {
        Closer(self.shared.alarm.clone())
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Drive for Receiver<R, W> {
    type Side = ();

    fn reading(&mut self) -> &mut Reading {
        &mut self.reading
    }

    fn parts(&mut self) -> (&mut Reading, &mut ()) {
        (&mut self.reading, &mut self.side)
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn begin(&mut self) {}

    fn handle_close(&mut self, close: &Close<'static>) {
        self.reading.handle_close(close);
        _ = self.shared.close.set(close.clone());
    }

    fn excuse(&mut self) {
        self.reading.excuse();
    }

    fn alarm(&self) -> &Arc<Alarm> {
        &self.shared.alarm
    }

    fn must_look_again(&self) -> bool {
        // Who is at the writing side looks when leaving it.
        self.shared.alarm.has_rung() && !matches!(self.shared.side.try_lock(), Err(TryLockError::WouldBlock))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.reading.poll_read(cx, &mut self.io)
    }

    fn tell(&mut self, fact: Fact) {
        let mut facts = lock(&self.shared.facts);
        facts.push_back(fact);
        let flood = facts.len() > MOST_FACTS;
        drop(facts);
        self.shared.alarm.mark();
        if flood {
            self.shared.turn_locked(lock(&self.shared.side), false);
        }
    }

    fn turn(&mut self, judge: bool) -> Result<Turn, ProtocolError> {
        self.shared.heard.store(self.reading.heard(), Ordering::Relaxed);
        if self.shared.fed.load(Ordering::Acquire) && self.shared.fed.swap(false, Ordering::AcqRel) {
            self.shared.alarm.mark();
        }
        if judge && self.shared.is_due() {
            self.shared.alarm.mark();
        }
        self.shared.turn(judge);
        match self.shared.failed.get() {
            Some(error) if !self.reading.is_over() => Err(*error),
            _ => Ok(match self.shared.turn.load(Ordering::Acquire) {
                turn if turn == Turn::Read as u8 => Turn::Read,
                turn if turn == Turn::Over as u8 => Turn::Over,
                _ => Turn::Wait,
            }),
        }
    }

    fn is_due(&self) -> bool {
        self.shared.is_due()
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Stream for Receiver<R, W> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_made(cx, |message, ()| Some(message.into())).map(Result::transpose)
    }
}

impl<W: AsyncWrite + Unpin, M: Into<Message>> Sink<M> for Sender<W> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_drained(cx, false)
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), Error> {
        self.sent(false, |writing| writing.push(message.into())).taken
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_drained(cx, true)
    }

    /// Sends a close frame with 1000.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.shared.with(|writing| writing.close(Code::NORMAL, ""))?;
        self.poll_drained(cx, true)
    }
}

impl<R, W> fmt::Debug for Receiver<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("traffic", &self.reading.receiver().traffic()).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for Sender<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// The wait for what was sent to be written; see the method that gave it.
#[must_use = "what was sent is written when this is awaited, or by the receiver"]
pub struct Sent<'a, W> {
    shared: &'a Shared<W>,
    place: Place,
    taken: Result<(), Error>,
    all: bool,
}

impl<W: AsyncWrite + Unpin> Future for Sent<'_, W> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        mem::replace(&mut self.taken, Ok(()))?;
        let Self { shared, place, all, .. } = &mut *self;
        shared.poll_drained(cx, place, *all)
    }
}

impl<W> fmt::Debug for Sent<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}
