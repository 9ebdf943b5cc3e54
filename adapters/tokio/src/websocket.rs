//! A connection over any stream of bytes.

mod driving;
mod futures;
mod left;
mod parting;
mod settings;
mod waiting;

use crate::alarm::Closer;
use crate::drive::Drive;
use crate::gather::Gathered;
use crate::halves::{self, Halves, Receiver, Sender};
use crate::home::Homing;
use crate::message::{Event, Message, Piece};
use crate::reading::{Mode, Parts, Reading};
use crate::replies::Replies;
use crate::writing::{Side, Writing};
use sockless::driver::{Driver, Error, lent};
use sockless::{Close, Code, Connection, Counters, Negotiated, Prepared, Role, Seed, SharedConfig, State};
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

pub use futures::{Closing, Flush};
pub(crate) use left::{Dropped, Left};

/// An open WebSocket connection over a stream of bytes `S`, such as a `TcpStream`.
///
/// It comes from [`accept`](crate::accept), from [`connect`](crate::connect), or from [`open`](Self::open) after a
/// handshake done elsewhere.
///
/// **Every future of it may be dropped** at any time and nothing is lost or told twice: what has come and what is to go
/// is kept in the connection, never in the future. Those that send take their message when they are *called*; the
/// future is only the wait for it to be written.
///
/// **Whoever receives drives the connection**: [`recv`](Self::recv) also writes what waits to go out, answers pings and
/// closes, and keeps the deadlines of [`Keepalive`](sockless::Keepalive). So a task that only sends has to receive too,
/// or to leave that to another by [`split`](Self::split).
///
/// Dropped while it is open, it just hangs up, which its peer sees as an early end; [`close`](Self::close) says goodbye.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sockless_tokio::Error> {
/// # let (client, server) = tokio::io::duplex(1024);
/// # let open = |stream, role| {
/// #     let (negotiated, config, seed) = (Default::default(), sockless::Config::default(), sockless::Seed::random());
/// #     sockless_tokio::WebSocket::open(stream, role, negotiated, config, seed, b"")
/// # };
/// # let (mut socket, mut peer) = (open(client, sockless::Role::Client), open(server, sockless::Role::Server));
/// # tokio::spawn(async move { while let Ok(Some(message)) = peer.recv().await { _ = peer.send(message).await; } });
/// socket.send("Hello").await?;
/// assert_eq!(socket.recv().await?, Some("Hello".into()));
/// socket.close(1000, "").await?;
/// # Ok(())
/// # }
/// ```
pub struct WebSocket<S> {
    reading: Reading,
    side: Homing<Side<Driver, S>, Dropped<S>>,
    /// Behind a pointer of one word, as few have one.
    subprotocol: Option<Box<Box<str>>>,
    /// Of the message that a [`Writer`](crate::Writer) sends.
    gathered: Option<Box<Gathered>>,
}

/// Making a connection.
impl<S> WebSocket<S> {
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
        Self::from_driver(stream, driver, Instant::now(), None)
    }

    pub(crate) fn from_driver(stream: S, driver: Driver, started: Instant, subprotocol: Option<&str>) -> Self {
        let role = driver.peek().role();
        let mut writing = Writing::new(driver, started);
        writing.out.life.open(role);
        Self {
            reading: Reading::default(),
            side: Homing::new(Side { io: stream, writing }),
            subprotocol: subprotocol.map(|name| Box::new(name.into())),
            gathered: None,
        }
    }

    /// The stream.
    pub fn stream(&self) -> &S {
        &self.side.io
    }

    /// The stream, to set its options; reading from it or writing to it breaks the connection.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.side.io
    }
}

/// Receiving.
impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The next message; `None` when the connection has ended by a closing handshake, and the stream with it.
    ///
    /// # Errors
    /// [`Error::Protocol`] or [`Error::Io`], once, when the connection has failed; the close frame that is due has been
    /// sent by then. `None` follows.
    ///
    /// # Cancel safety
    /// Dropped, the future has lost nothing: the next call goes on where it was.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The same as messages, pings, pongs and the close frame, as soon as each comes.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub async fn recv_event(&mut self) -> Result<Option<Event>, Error> {
        poll_fn(|cx| self.poll_event(cx, Mode::Message)).await
    }

    /// The next part of a message, as it arrives: for messages of any size in constant memory, or to see fragments.
    ///
    /// A message stays with the method that its first byte came to; of one whose first parts were taken here,
    /// [`recv`](Self::recv) leaves the rest out.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub async fn recv_piece(&mut self) -> Result<Option<Piece>, Error> {
        poll_fn(|cx| self.poll_part(cx, Parts::Pieces)).await
    }

    /// The next frame of a message, whole, as the peer sent it: fragments are not joined. It is as long as
    /// [`Limits::frame`](sockless::Limits::frame) allows.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub async fn recv_frame(&mut self) -> Result<Option<Piece>, Error> {
        poll_fn(|cx| self.poll_part(cx, Parts::Frames)).await
    }

    /// Gives `take` every message as it lies in the read buffer, until `take` fails or the connection has ended by a closing
    /// handshake: nothing is allocated and nothing copied for a message, unless it had to be put together. It may be
    /// answered at once; the answers go out as by [`feed`](Self::feed), those to all that one read brought together. This is
    /// the way that costs least. While more than [`Outbound::soft`](sockless::Outbound::soft) bytes of answers wait to be
    /// written, a server takes no more messages; a client does, and is told [`Full`](sockless::SendError::Full) in the end.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and those of `take`, behind which the connection goes on: the next call gives the next message.
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv): a message that `take` was given is not given again, nor is an answer lost.
    ///
    /// ```
    /// use sockless_tokio::{Error, WebSocket};
    /// use tokio::io::{AsyncRead, AsyncWrite};
    ///
    /// async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> Result<(), Error> {
    ///     socket.recv_each(|message, replies| replies.feed(message)).await
    /// }
    /// ```
    pub async fn recv_each<E: From<Error>>(
        &mut self,
        mut take: impl FnMut(sockless::Message<'_>, &mut Replies<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let made = poll_fn(|cx| self.poll_made(cx, |message, replies| take(message, replies).err()));
        made.await?.map_or(Ok(()), Err)
    }

    /// What `take` makes of the next message, which it gets as by [`recv_each`](Self::recv_each).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv): where `take` is called, the future is ready.
    ///
    /// ```
    /// use sockless_tokio::{Error, WebSocket};
    /// use tokio::io::{AsyncRead, AsyncWrite};
    ///
    /// async fn longest<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocket<S>) -> Result<usize, Error> {
    ///     let mut longest = 0;
    ///     while let Some(len) = socket.recv_with(|message, _| message.as_bytes().len()).await? {
    ///         longest = longest.max(len);
    ///     }
    ///     Ok(longest)
    /// }
    /// ```
    pub async fn recv_with<T>(
        &mut self,
        mut take: impl FnMut(sockless::Message<'_>, &mut Replies<'_>) -> T,
    ) -> Result<Option<T>, Error> {
        poll_fn(|cx| self.poll_made(cx, |message, replies| Some(take(message, replies)))).await
    }

    /// [`recv`](Self::recv), polled.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.poll_made(cx, |message, _| Some(message.into()))
    }
}

/// Sending. A message is taken when the method is called, and the future waits for it to be written. Meanwhile it reads: pings
/// are answered, and what else comes is kept for who receives next, up to [`Outbound::soft`](sockless::Outbound::soft) bytes and
/// one message; of pings and pongs, the newest.
impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Sends a message, and waits until it and all before it is written.
    ///
    /// # Errors
    /// [`Error::Send`]: [`Closing`](sockless::SendError::Closing), [`FragmentUnderWay`](sockless::SendError::FragmentUnderWay) while a
    /// [`writer`](Self::writer) has not finished, or [`Full`](sockless::SendError::Full), only if such futures were dropped until
    /// [`Outbound::hard`](sockless::Outbound::hard) bytes waited; the message was not taken then. [`Error::Closed`] if the peer has
    /// closed: the message was not taken, or the peer has not taken it. [`Error::Io`] if the stream takes no more, and
    /// [`Error::Protocol`] if that is for a peer that is gone.
    ///
    /// # Cancel safety
    /// The message is taken by the call, before the future is polled. Dropping the future loses nothing: any later call
    /// that sends or receives writes on.
    pub fn send(&mut self, message: impl Into<Message>) -> Flush<'_, S> {
        let taken = self.side.writing.push(message.into());
        self.sent(taken, true)
    }

    /// Sends a message, and waits only while very much is not yet written; the next call that sends, flushes or receives
    /// writes it. So many small messages go out together.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn feed(&mut self, message: impl Into<Message>) -> Flush<'_, S> {
        let taken = self.side.writing.push(message.into());
        self.sent(taken, false)
    }

    /// Sends a message that was framed before, by reference; as [`feed`](Self::feed).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, message: &Prepared) -> Flush<'_, S> {
        let taken = self.side.writing.with(|sender| sender.send_prepared(message));
        self.sent(taken, true)
    }

    /// Sends a message, compressed or not as the caller has it, where compression is negotiated.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_with(&mut self, message: &sockless::Message<'_>, compress: sockless::Compress) -> Flush<'_, S> {
        let taken = self.side.writing.with(|sender| sender.send_with(message, compress));
        self.sent(taken, true)
    }

    fn sent(&mut self, taken: Result<(), Error>, all: bool) -> Flush<'_, S> {
        let taken = taken.map_err(|error| self.refusal(error));
        Flush::new(self, taken, all)
    }

    /// Sends a ping of at most 125 bytes, ahead of messages that wait.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`LongControl`](sockless::SendError::LongControl).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Flush<'_, S> {
        let taken = self.side.writing.with(|sender| sender.ping(payload));
        self.sent(taken, true)
    }

    /// Sends a pong that answers nothing, or one of the caller's own where
    /// [`answer_pings`](sockless::Config::answer_pings) is off.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn pong(&mut self, payload: &[u8]) -> Flush<'_, S> {
        let taken = self.side.writing.with(|sender| sender.pong(payload));
        self.sent(taken, true)
    }

    /// Writes all that waits, parts of a message that a [`writer`](Self::writer) has gathered too.
    ///
    /// # Errors
    /// [`Error::Io`] if the stream takes no more; [`Error::Protocol`] if it took nothing for so long that the connection
    /// has failed, and [`Error::Closed`] if the peer has closed before.
    ///
    /// # Cancel safety
    /// Dropped, the future has lost nothing.
    pub fn flush(&mut self) -> Flush<'_, S> {
        self.sent(Ok(()), true)
    }

    /// Closes the connection: what waits goes out, then a close frame with this code, such as 1000, and a reason of at
    /// most 123 bytes. Waits until the peer has answered and the stream is shut down, or
    /// [`Keepalive::close`](sockless::Keepalive::close) has passed. Messages that come meanwhile are dropped; who wants
    /// them calls [`start_close`](Self::start_close) and goes on receiving.
    ///
    /// # Errors
    /// [`Error::Send`] for a code or a reason that cannot be sent, and then nothing happens; else as
    /// [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// The handshake begins by the call. Dropped, the future has done part of it, and the next call of `close` or of
    /// [`recv`](Self::recv) goes on.
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Closing<'_, S> {
        let started = self.side.writing.close(code.into(), reason);
        Closing { socket: self, started }
    }

    /// Starts the closing handshake: nothing more may be sent, and what the peer still says may be received.
    ///
    /// # Errors
    /// [`Error::Send`] for a code or a reason that cannot be sent.
    pub fn start_close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), Error> {
        self.side.writing.close(code.into(), reason)
    }

    /// Ends the connection without waiting for anything: what has not begun to go out is dropped, and a close frame with
    /// this code is tried to be sent.
    pub fn abort(&mut self, code: impl Into<Code>) {
        self.side.writing.abort(code.into());
        lent(|storage| {
            _ = self.side.poll_flush(storage);
            self.leave(storage);
        });
        (self.reading.kept, self.gathered) = (None, None);
        self.end();
    }

    /// Has `work` done with the connection, and closes it behind that: with 1000, or with 1011 (internal error) if it has
    /// failed.
    ///
    /// # Errors
    /// That of `work`, or else as [`close`](Self::close).
    ///
    /// # Cancel safety
    /// Dropped, the future drops the connection with it.
    ///
    /// ```no_run
    /// # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
    /// let socket = sockless_tokio::connect("ws://127.0.0.1:9001/").await?;
    /// let answer = socket.run(async |socket| {
    ///     socket.send("What?").await?;
    ///     socket.recv().await
    /// });
    /// println!("{:?}", answer.await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run<T, E: From<Error>>(mut self, work: impl AsyncFnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        match work(&mut self).await {
            Ok(done) => {
                self.close(Code::NORMAL, "").await?;
                Ok(done)
            }
            Err(error) => {
                // The first failure is the one to tell.
                _ = self.close(Code::INTERNAL_ERROR, "").await;
                Err(error)
            }
        }
    }
}

/// The state.
impl<S> WebSocket<S> {
    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref().map(|name| &**name)
    }

    /// What else the opening handshake agreed on: with the feature `deflate`, the parameters of compression.
    pub fn negotiated(&self) -> Negotiated {
        self.side.writing.driver.peek().negotiated()
    }

    /// The state, as RFC 6455 names it.
    pub fn state(&self) -> State {
        if self.reading.is_over() { State::Closed } else { self.side.writing.driver.peek().state() }
    }

    /// What the peer's close frame said, once it has come.
    pub fn peer_close(&self) -> Option<&Close<'static>> {
        self.reading.close()
    }

    /// What the connection has done so far.
    pub fn counters(&self) -> Counters {
        self.side.writing.driver.peek().counters()
    }

    /// A handle by which another task has the connection closed.
    pub fn closer(&self) -> Closer {
        Closer(self.side.writing.alarm().clone())
    }
}

/// Two tasks.
impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Parts the connection into halves for two tasks; see [`Receiver`] and [`Sender`].
    ///
    /// The stream is parted by [`tokio::io::split`], whose halves exclude each other while they are polled. A stream with
    /// a better way is parted by [`split_with`](Self::split_with), as `socket.split_with(TcpStream::into_split)`.
    pub fn split(self) -> Halves<S> {
        let home = self.side.home();
        let (sender, mut receiver) = self.split_with(tokio::io::split);
        if let Some(home) = home {
            home.put(Dropped::Parted(receiver.new_home()));
        }
        (sender, receiver)
    }

    /// The same with a stream that `split` parts.
    pub fn split_with<R, W>(mut self, split: impl FnOnce(S) -> (R, W)) -> (Sender<W>, Receiver<R, W>)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        // A message that is not finished goes on by the sender's fragments.
        _ = self.release();
        let Side { io, writing } = self.side.leave();
        let (read, write) = split(io);
        let Writing { driver, out } = writing;
        let Ok((half, driver)) = driver.split() else { unreachable!("it was open") };
        halves::new(read, half, Side { io: write, writing: Writing { driver, out } }, self.reading)
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("WebSocket");
        debug.field("state", &self.state()).field("counters", &self.counters()).finish_non_exhaustive()
    }
}
