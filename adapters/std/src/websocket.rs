//! A connection over a blocking stream.

use crate::closer::Closer;
use crate::drive::Drive;
use crate::mode::Mode;
use crate::replies::Replies;
use crate::split::{Receiver, Sender};
use crate::stream::Stream;
use sockless::driver::{Driver, Error};
use sockless::{
    Close, Code, Connection, Counters, Event, Keepalive, Kind, Limits, Message, Negotiated, Piece, Prepared, Rates,
    Role, Seed, SendError, SharedConfig, State,
};
use std::fmt;
use std::time::{Duration, Instant};

/// An open WebSocket connection over a [`Stream`] such as a `TcpStream`.
///
/// It comes from [`connect`](crate::connect), from [`accept`](crate::accept), or from [`open`](Self::open) after a
/// handshake done elsewhere.
///
/// **Whoever waits drives the connection**: [`recv`](Self::recv) also writes what waits to go out, answers pings and closes,
/// and keeps the deadlines of [`Keepalive`](sockless::Keepalive). While [`send`](Self::send) waits for a peer that takes
/// nothing, what comes is read and kept, so that no two ends wait for each other.
///
/// Dropped while it is open, it just hangs up, which its peer sees as an early end; [`close`](Self::close) says goodbye.
///
/// ```
/// use sockless_std::{accept, connect};
/// use std::net::TcpListener;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let url = format!("ws://{}/", listener.local_addr()?);
/// let server = std::thread::spawn(move || {
///     let mut socket = accept(listener.accept()?.0)?;
///     while let Some(message) = socket.recv()? {
///         socket.send(message)?;
///     }
///     Ok::<_, sockless_std::Error>(())
/// });
/// let mut socket = connect(&url)?;
/// socket.send("Hello")?;
/// assert_eq!(socket.recv()?, Some("Hello".into()));
/// assert_eq!(socket.close(1000, "bye")?.code, sockless_std::Code::NORMAL);
/// # server.join().unwrap()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct WebSocket<S> {
    pub(crate) drive: Drive<S>,
    /// Behind a pointer of one word, as few have one.
    subprotocol: Option<Box<Box<str>>>,
    recv_timeout: Option<Duration>,
    send_timeout: Option<Duration>,
}

/// Making a connection.
impl<S: Stream> WebSocket<S> {
    /// An open connection, after a handshake done elsewhere: `negotiated` is what it agreed on, `rest` the bytes that
    /// were read behind it. `seed` matters for a client only; use [`Seed::random`].
    pub fn open(
        stream: S,
        role: Role,
        negotiated: Negotiated,
        config: impl Into<SharedConfig>,
        seed: Seed,
        rest: &[u8],
    ) -> Self {
        let driver = Driver::with_rest(Connection::open(role, negotiated, config, seed), rest);
        Self::from_drive(Drive::new(driver, stream), None)
    }

    pub(crate) fn from_drive(mut drive: Drive<S>, subprotocol: Option<&str>) -> Self {
        drive.opened();
        let subprotocol = subprotocol.map(|name| Box::new(name.into()));
        Self { drive, subprotocol, recv_timeout: None, send_timeout: None }
    }
}

/// Receiving.
impl<S: Stream> WebSocket<S> {
    /// The next message; `None` when the connection has ended by a closing handshake.
    ///
    /// # Errors
    /// [`Error::Protocol`] or [`Error::Io`], once, when the connection has failed; the close frame that is due has been
    /// sent by then. `None` follows. [`Error::TimedOut`] where nothing came in the
    /// [time for it](Self::set_recv_timeout), or at once from a stream that does not block: call again.
    pub fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        self.recv_until(self.recv_deadline())
    }

    /// The next message if it has come: from a stream that does not block, or else within a few milliseconds.
    ///
    /// What is due is done all the same: pings are answered, and deadlines kept. A loop of many such sockets calls it when
    /// one can be read, when it can be written to and [wants that](Self::wants_write), and at its
    /// [deadline](Self::deadline).
    ///
    /// # Errors
    /// [`Error::TimedOut`] where none has come; else as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        self.recv_until(Some(Instant::now()))
    }

    pub(crate) fn recv_until(&mut self, deadline: Option<Instant>) -> Result<Option<Message<'static>>, Error> {
        loop {
            match self.drive.recv(Mode::Message, deadline)?.map(Event::into_message) {
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
        self.drive.recv(Mode::Message, self.recv_deadline())
    }

    /// The next part of a message, as it arrives: for messages of any size in constant memory, or to see fragments.
    ///
    /// A message stays with the method that its first byte came to; of one whose first parts were taken here,
    /// [`recv`](Self::recv) leaves the rest out.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_piece(&mut self) -> Result<Option<Piece<'static>>, Error> {
        self.recv_part(Mode::Piece)
    }

    /// The next frame of a message, whole, as the peer sent it: fragments are not joined. It is as long as
    /// [`Limits::frame`](sockless::Limits::frame) allows.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_frame(&mut self) -> Result<Option<Piece<'static>>, Error> {
        self.recv_part(Mode::Frame)
    }

    fn recv_part(&mut self, mode: Mode) -> Result<Option<Piece<'static>>, Error> {
        let deadline = self.recv_deadline();
        loop {
            match self.drive.recv(mode, deadline)? {
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

    /// Gives `take` every message as it lies in the read buffer, until `take` fails or the connection has ended by a closing
    /// handshake: nothing is allocated and nothing copied for a message, unless it had to be put together. It may be
    /// answered at once; the answers to all that one read brought go out together. This is the way that costs least. While
    /// more than [`Outbound::soft`](sockless::Outbound::soft) bytes of answers wait to be written, a server takes no more
    /// messages; a client does, and is told [`Full`](sockless::SendError::Full) in the end.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and those of `take`, behind which the connection goes on: the next call gives the next
    /// message.
    ///
    /// ```
    /// use sockless_std::{Error, Stream, WebSocket};
    ///
    /// fn echo<S: Stream>(mut socket: WebSocket<S>) -> Result<(), Error> {
    ///     socket.recv_each(|message, replies| replies.feed(message))
    /// }
    /// ```
    pub fn recv_each<E: From<Error>>(
        &mut self,
        mut take: impl FnMut(Message<'_>, &mut Replies<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let deadline = self.recv_deadline();
        self.drive.recv_each(deadline, |message, connection| take(message, &mut Replies(connection)))
    }

    /// How long [`recv`](Self::recv) and its kind wait, at most; `None`, as it is at first: for as long as the connection
    /// lives.
    pub fn set_recv_timeout(&mut self, timeout: impl Into<Option<Duration>>) {
        self.recv_timeout = timeout.into();
    }

    fn recv_deadline(&self) -> Option<Instant> {
        self.recv_timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }
}

/// Sending.
impl<S: Stream> WebSocket<S> {
    /// Sends a message, and waits until it is written.
    ///
    /// # Errors
    /// [`Error::Send`] for what cannot be sent, and then nothing happens; [`Error::Closed`] if the peer has closed;
    /// [`Error::Io`] or [`Error::Protocol`] if the connection has failed. [`Error::TimedOut`] where it took longer than
    /// [it may](Self::set_send_timeout), or where more waits to be received than is kept and the peer takes nothing for
    /// [`Keepalive::pong`](sockless::Keepalive::pong); the message is sent all the same, and goes out with the next calls.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.push(|connection| connection.send(message))?;
        self.written()
    }

    /// Sends a message, and waits only while very much is not yet written; the next call that sends, flushes or receives
    /// writes it. So many small messages go out together.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.push(|connection| connection.send(message))?;
        if self.drive.driver.peek().is_high() { self.written() } else { Ok(()) }
    }

    /// Sends a fragment of a message (RFC 6455 §5.4), which begins with the first and ends with the `last`; all are of one
    /// `kind`. Text may be cut anywhere.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_fragment(&mut self, kind: Kind, bytes: &[u8], last: bool) -> Result<(), Error> {
        self.push(|connection| connection.send_fragment(kind, bytes, last))?;
        self.written()
    }

    /// Sends a message that was framed before, by reference.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.push(|connection| connection.send_prepared(message))?;
        self.written()
    }

    /// Sends a message, compressed or not as the caller has it, where compression is negotiated.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_with<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
        compress: sockless::Compress,
    ) -> Result<(), Error> {
        self.push(|connection| connection.send_with(message, compress))?;
        self.written()
    }

    /// Sends a ping of at most 125 bytes, ahead of messages that wait.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`LongControl`](SendError::LongControl).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.push(|connection| connection.ping(payload))?;
        self.written()
    }

    /// Sends a pong that answers nothing, or one of the caller's own where
    /// [`answer_pings`](sockless::Config::answer_pings) is off.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.push(|connection| connection.pong(payload))?;
        self.written()
    }

    /// Sends a ping, and waits for its pong: how long that took. The pong is told here alone; what else comes
    /// meanwhile is kept for who receives next.
    ///
    /// A peer that never answers is given up by [`Keepalive`](sockless::Keepalive), if it is silent altogether, or else by the
    /// [time to receive](Self::set_recv_timeout). A pong that nobody asked for tells nothing.
    ///
    /// # Errors
    /// As [`ping`](Self::ping), and as [`recv`](Self::recv); [`Error::Unreceived`] where more than
    /// [`Outbound::hard`](sockless::Outbound::hard) bytes wait to be received, behind which the pong may lie.
    pub fn round_trip(&mut self) -> Result<Duration, Error> {
        let (deadline, sent) = (self.recv_deadline(), self.drive.elapsed());
        let (id, payload) = self.drive.pings.get_or_insert_default().ping();
        self.ping(&payload)?;
        match self.drive.answered(id, deadline)? {
            Some(at) => Ok(at.saturating_sub(sent)),
            None => {
                Err(self.peer_close().cloned().map_or(SendError::Closing.into(), |close| Error::Closed(close.into())))
            }
        }
    }

    /// Writes all that waits.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`Error::TimedOut`] too if a stream that does not block takes less for now.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.drive.flush(self.send_deadline())
    }

    /// How long sending waits for the peer to take it, at most; `None`, as it is at first: for as long as the connection
    /// lives.
    pub fn set_send_timeout(&mut self, timeout: impl Into<Option<Duration>>) {
        self.send_timeout = timeout.into();
    }

    fn send_deadline(&self) -> Option<Instant> {
        self.send_timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }

    fn push(&mut self, send: impl FnOnce(&mut Connection) -> Result<(), SendError>) -> Result<(), Error> {
        self.drive.send(send).map_err(|error| match (error, &self.drive.close) {
            (SendError::Closing, Some(close)) => Error::Closed(close.clone()),
            (error, _) => error.into(),
        })
    }

    /// Has what was sent written, as far as the stream lets a caller wait for it.
    fn written(&mut self) -> Result<(), Error> {
        match self.flush() {
            Err(Error::TimedOut) if self.drive.is_at_once() => Ok(()),
            flushed => flushed,
        }
    }
}

/// The end.
impl<S: Stream> WebSocket<S> {
    /// Closes the connection: what waits goes out, then a close frame with this code, such as 1000, and a reason of at
    /// most 123 bytes. Waits for the peer's close frame, which it gives, and for the end of the stream, at most for
    /// [`Keepalive::close`](sockless::Keepalive::close). Messages that come meanwhile are dropped; who wants them calls
    /// [`start_close`](Self::start_close) and goes on receiving.
    ///
    /// # Errors
    /// [`Error::Send`] for a code or a reason that cannot be sent, and then nothing happens, and for a connection that has
    /// failed before; else as [`recv`](Self::recv).
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<Close<'static>, Error> {
        match self.start_close(code, reason) {
            // It is on its way already.
            Ok(()) | Err(Error::Closed(_) | Error::Send(SendError::Closing)) => {}
            Err(error) => return Err(error),
        }
        self.drive.finish(None)?;
        self.peer_close().cloned().ok_or(Error::Send(SendError::Closing))
    }

    /// Starts the closing handshake: nothing more may be sent, and what the peer still says may be received.
    ///
    /// # Errors
    /// [`Error::Send`] for a code or a reason that cannot be sent; [`Error::Closed`] if the peer has closed.
    pub fn start_close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), Error> {
        self.push(|connection| connection.close(code.into(), reason))
    }

    /// Ends the connection without waiting for anything: what has not begun to go out is dropped, and a close frame with
    /// this code is tried to be sent.
    pub fn abort(&mut self, code: impl Into<Code>) {
        self.drive.abort(code.into());
    }

    /// Has `work` done with the connection, and closes it behind that: with 1000, or with 1011 (internal error) if it has
    /// failed.
    ///
    /// # Errors
    /// That of `work`, or else as [`close`](Self::close), but that a peer may have closed it before.
    pub fn run<T, E: From<Error>>(mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        match work(&mut self) {
            Ok(done) => match self.close(Code::NORMAL, "") {
                Ok(_) | Err(Error::Send(SendError::Closing)) => Ok(done),
                Err(error) => Err(error.into()),
            },
            Err(error) => {
                // The first failure is the one to tell.
                _ = self.close(Code::INTERNAL_ERROR, "");
                Err(error)
            }
        }
    }

    /// A handle by which another thread has the connection closed.
    pub fn closer(&mut self) -> Closer {
        self.drive.closer.get_or_insert_default().clone()
    }
}

/// Two threads.
impl<S: Stream> WebSocket<S> {
    /// Parts the connection into halves for two threads; see [`Sender`] and [`Receiver`].
    ///
    /// # Errors
    /// For a stream that [cannot be parted](Stream::split), and a connection that is not open; both are lost then.
    ///
    /// ```no_run
    /// let (sender, mut receiver) = sockless_std::connect("ws://127.0.0.1:9001/")?.split()?;
    /// let receiving = std::thread::spawn(move || {
    ///     while let Some(message) = receiver.recv()? {
    ///         println!("{message:?}");
    ///     }
    ///     Ok::<_, sockless_std::Error>(())
    /// });
    /// for line in std::io::stdin().lines() {
    ///     sender.send(line?)?;
    /// }
    /// sender.close(1000, "")?;
    /// receiving.join().unwrap()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn split(self) -> Result<(Sender<S>, Receiver<S>), Error> {
        self.drive.split(self.recv_timeout)
    }
}

/// The state.
impl<S: Stream> WebSocket<S> {
    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref().map(|name| &**name)
    }

    /// What else the opening handshake agreed on: with the feature `deflate`, the parameters of compression.
    pub fn negotiated(&self) -> Negotiated {
        self.drive.driver.peek().negotiated()
    }

    /// The state, as RFC 6455 names it.
    pub fn state(&self) -> State {
        if self.drive.is_over() { State::Closed } else { self.drive.driver.peek().state() }
    }

    /// What the peer's close frame said, once it has come.
    pub fn peer_close(&self) -> Option<&Close<'static>> {
        self.drive.close.as_deref()
    }

    /// What the connection has done so far.
    pub fn counters(&self) -> Counters {
        self.drive.driver.peek().counters()
    }

    /// Changes what the peer may send, from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.drive.driver.connection().set_limits(limits);
    }

    /// Changes how much the peer may send in a time; see [`Config::rates`](sockless::Config::rates).
    pub fn set_rates(&mut self, rates: Rates) {
        self.drive.driver.set_rates(rates);
    }

    /// Changes when the peer is pinged, and how long it is waited for; it counts from what has happened already.
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.drive.driver.set_keepalive(keepalive);
    }

    /// When a loop around a stream that does not block calls [`try_recv`](Self::try_recv) at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.drive.deadline()
    }

    /// Whether such a loop calls it too when the stream can be written to.
    pub fn wants_write(&self) -> bool {
        self.drive.wants_write()
    }
}

/// The stream.
impl<S: Stream> WebSocket<S> {
    /// The stream. Its time limits are the connection's to set.
    pub fn get_ref(&self) -> &S {
        &self.drive.transport.stream
    }

    /// The stream, to set its options; reading from it or writing to it breaks the connection.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.drive.transport.stream
    }
}

impl<S: Stream> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("WebSocket");
        debug.field("state", &self.state()).field("counters", &self.counters()).finish_non_exhaustive()
    }
}
