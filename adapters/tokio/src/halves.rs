//! A connection in two halves, for two tasks.

mod driving;
mod shared;

use crate::alarm::{Closer, Place};
use crate::drive::Drive;
use crate::home::{Home, Homing};
use crate::message::{Event, Message, Piece};
use crate::reading::{Mode, Parts as InParts, Reading};
use crate::writing::{Side, Writing};
use futures_core::Stream;
use futures_sink::Sink;
use shared::Shared;
use sockless::driver::Error;
use sockless::driver::{self, InUse};
use sockless::{Close, Code, Counters, Keepalive, Kind, Limits, Prepared, Rates, SendError, Traffic};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::time::Instant;

/// The half that receives. It answers pings and closes, and keeps the deadlines, whether or not anybody uses the other.
///
/// It never waits for the [`Sender`]: what the sending side has to know is left for it to find, where it is at work.
pub struct Receiver<R, W> {
    inner: Homing<Inner<R, W>>,
}

/// What a receiver is made of.
pub(crate) struct Inner<R, W> {
    io: R,
    half: driver::Reading,
    reading: Reading,
    shared: Arc<Shared<W>>,
    /// The moment that the driver's times count from.
    started: Instant,
}

impl<R, W> From<Inner<R, W>> for Receiver<R, W> {
    fn from(inner: Inner<R, W>) -> Self {
        Self { inner: Homing::new(inner) }
    }
}

impl<R, W> Receiver<R, W> {
    /// Where it comes when it is dropped.
    pub(crate) fn new_home(&mut self) -> Home<Box<Inner<R, W>>> {
        let home = Home::new();
        self.inner.set_home(home.clone());
        home
    }
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
pub type Halves<S> = (Sender<WriteHalf<S>>, Receiver<ReadHalf<S>, WriteHalf<S>>);

impl<W> Clone for Sender<W> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), place: Place::default() }
    }
}

pub(crate) fn new<R, W>(
    io: R,
    half: driver::Reading,
    side: Side<driver::Writing, W>,
    reading: Reading,
) -> (Sender<W>, Receiver<R, W>) {
    let started = side.writing.out.started();
    let shared = Arc::new(Shared::new(side, &reading, half.heard()));
    (Sender { shared: shared.clone(), place: Place::default() }, Inner { io, half, reading, shared, started }.into())
}

/// What halves are made of: the stream's reading half, the driver's, what was received, and the writing side.
pub(crate) type Parts<R, W> = (R, driver::Reading, Reading, Side<driver::Writing, W>);

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Receiver<R, W> {
    /// What both halves are made of; or themselves, and why they are not one connection's.
    #[allow(clippy::result_large_err)] // The error is the halves, given back.
    pub(crate) fn into_parts(self, sender: Sender<W>) -> Result<Parts<R, W>, (Sender<W>, Self, InUse)> {
        if !Arc::ptr_eq(&self.inner.shared, &sender.shared) {
            return Err((sender, self, InUse::Different));
        }
        if Arc::strong_count(&sender.shared) > 2 {
            return Err((sender, self, InUse::Cloned));
        }
        drop(sender);
        let Inner { io, mut half, mut reading, shared, .. } = self.inner.leave();
        let Some(shared) = Arc::into_inner(shared) else { unreachable!("there is no other half") };
        if let Some(error) = shared.failure() {
            reading.fail(error);
            half.end();
        }
        Ok((io, half, reading, shared.into_side()))
    }

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
        poll_fn(|cx| self.poll_part(cx, InParts::Pieces)).await
    }

    /// As [`WebSocket::recv_frame`](crate::WebSocket::recv_frame).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub async fn recv_frame(&mut self) -> Result<Option<Piece>, Error> {
        poll_fn(|cx| self.poll_part(cx, InParts::Frames)).await
    }

    /// What the peer's close frame said, once it has come.
    pub fn peer_close(&self) -> Option<&Close<'static>> {
        self.inner.reading.close()
    }

    /// What has been received.
    pub fn traffic(&self) -> Traffic {
        self.inner.half.receiver().traffic()
    }

    /// Changes what the peer may send, from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.inner.half.receiver_mut().set_limits(limits);
    }

    /// As [`WebSocket::set_rates`](crate::WebSocket::set_rates).
    pub fn set_rates(&mut self, rates: Rates) {
        self.inner.half.set_rates(rates);
    }

    /// As [`WebSocket::set_keepalive`](crate::WebSocket::set_keepalive).
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.inner.half.receiver_mut().set_keepalive(keepalive);
        self.inner.shared.with(|writing| writing.driver.set_keepalive(keepalive));
        self.inner.shared.alarm().mark();
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
        self.shared.alarm().wake_by_ref();
        sent
    }

    /// As [`WebSocket::abort`](crate::WebSocket::abort); the [`Receiver`] then says `None`.
    pub fn abort(&self, code: impl Into<Code>) {
        self.shared.abort(code.into());
    }

    fn sent(&self, all: bool, command: impl FnOnce(&mut Writing<driver::Writing>) -> Result<(), Error>) -> Sent<'_, W> {
        let taken = self.shared.with(command).map_err(|error| match error {
            Error::Send(SendError::Closing) => self.shared.closed().unwrap_or(error),
            error => error,
        });
        self.shared.feed();
        Sent { shared: &self.shared, place: Place::default(), taken, all }
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>, all: bool) -> Poll<Result<(), Error>> {
        self.shared.poll_drained(cx, &mut self.place, all)
    }

    /// What has been sent, and with `received` from [`Receiver::traffic`], all that the connection has done.
    pub fn counters(&self, received: Traffic) -> Counters {
        self.shared.with(|writing| writing.driver.peek().counters(received))
    }

    /// A handle by which another task has the connection closed.
    pub fn closer(&self) -> Closer {
        Closer(self.shared.alarm().clone())
    }

    /// As [`WebSocket::round_trip`](crate::WebSocket::round_trip), any number of them at once. Somebody has to receive: the pong comes to the
    /// [`Receiver`].
    ///
    /// # Errors
    /// As [`ping`](Self::ping), and what has ended the connection.
    ///
    /// # Cancel safety
    /// As [`WebSocket::round_trip`](crate::WebSocket::round_trip).
    pub async fn round_trip(&self) -> Result<Duration, Error> {
        let (sent, payload) = self.shared.alarm().asked_after().ping();
        self.ping(&payload).await?;
        let mut place = Place::default();
        poll_fn(|cx| self.shared.poll_answered(cx, &mut place, sent)).await
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
        f.debug_struct("Receiver").field("traffic", &self.inner.half.receiver().traffic()).finish_non_exhaustive()
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
        if self.taken.is_err() {
            return Poll::Ready(mem::replace(&mut self.taken, Ok(())));
        }
        let Self { shared, place, all, .. } = &mut *self;
        shared.poll_drained(cx, place, *all)
    }
}

impl<W> fmt::Debug for Sent<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}
