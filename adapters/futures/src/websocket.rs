//! What an application holds: a connection, or its halves.

use crate::turns::Turns;
use crate::waiting::lock;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use sockless::driver::Error;
use sockless::{Close, Code, Event, Message, SendError, State};
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

/// An open WebSocket connection over a stream of bytes `S`, from [`connect_over`](crate::connect_over) or
/// [`accept`](crate::accept).
///
/// **Whoever waits drives the connection**: [`recv`](Self::recv) also writes, answers pings and closes, and keeps the deadlines
/// of [`Keepalive`](sockless::Keepalive), if there is a [timer](crate::Settings::timer). While sending waits for the peer, what comes
/// is kept, up to [`Outbound::soft`](sockless::Outbound::soft) bytes and one event; then it is time to receive.
///
/// **Every future of it may be dropped** at any time: nothing is lost or told twice.
#[derive(Debug)]
pub struct WebSocket<S> {
    sender: Sender<S>,
    receiver: Receiver<S>,
    subprotocol: Option<Box<str>>,
}

/// The half that sends. Each of its clones may wait in a task of its own; their messages go out whole.
///
/// What it takes is written by itself or by the [`Receiver`], whichever is polled first.
#[derive(Debug)]
pub struct Sender<S> {
    shared: Arc<Shared<S>>,
    place: usize,
}

/// The half that receives. It never waits for a sender that waits.
#[derive(Debug)]
pub struct Receiver<S>(Arc<Shared<S>>);

/// Locked only while something is done, never while it waits.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    turns: Mutex<Turns<S>>,
    places: AtomicUsize,
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Turns<S>> {
        lock(&self.turns)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) fn new(turns: Turns<S>, subprotocol: Option<&str>) -> Self {
        let shared = Arc::new(Shared { turns: Mutex::new(turns), places: AtomicUsize::new(1) });
        let sender = Sender { shared: shared.clone(), place: 1 };
        Self { sender, receiver: Receiver(shared), subprotocol: subprotocol.map(Box::from) }
    }

    /// The next message; `None` when the connection has ended by a closing handshake.
    ///
    /// # Errors
    /// [`Error::Protocol`] or [`Error::Io`], once, when the connection has failed; `None` follows.
    pub async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        self.receiver.recv().await
    }

    /// The same as messages, pings, pongs and the close frame, as soon as each comes.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_event(&mut self) -> Result<Option<Event<'static>>, Error> {
        self.receiver.recv_event().await
    }

    /// Closes the connection with a code, such as 1000, and a reason of at most 123 bytes. Waits for the peer's close, which it
    /// gives, and for the end; messages that come meanwhile are dropped.
    ///
    /// # Errors
    /// [`Error::Send`] for what cannot be said, and then nothing happens; else as [`recv`](Self::recv).
    pub async fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<Close<'static>, Error> {
        let started = self.sender.shared.lock().start_close(code.into(), reason);
        match started {
            Ok(()) | Err(Error::Closed(_) | Error::Send(SendError::Closing)) => {}
            Err(error) => return Err(error),
        }
        while self.recv_event().await?.is_some() {}
        self.receiver.peer_close().ok_or(SendError::Closing.into())
    }

    fn half(&mut self) -> &mut Sender<S> {
        &mut self.sender
    }

    /// Parts the connection into halves for two tasks.
    pub fn split(self) -> (Sender<S>, Receiver<S>) {
        (self.sender, self.receiver)
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The state, as RFC 6455 names it.
    pub fn state(&self) -> State {
        self.receiver.0.lock().state()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    /// As [`WebSocket::recv`].
    ///
    /// # Errors
    /// As [`WebSocket::recv`].
    pub async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        poll_fn(|cx| self.0.lock().poll_recv(cx)).await
    }

    /// As [`WebSocket::recv_event`].
    ///
    /// # Errors
    /// As [`WebSocket::recv`].
    pub async fn recv_event(&mut self) -> Result<Option<Event<'static>>, Error> {
        poll_fn(|cx| self.0.lock().poll_event(cx)).await
    }

    /// What the peer's close frame said, once it has come.
    pub fn peer_close(&self) -> Option<Close<'static>> {
        self.0.lock().close.clone()
    }
}

/// What both a connection and its half do to send.
macro_rules! sends {
    ($type:ident, $closed:ident) => {
        impl<S: AsyncRead + AsyncWrite + Unpin> $type<S> {
            /// Sends a message, which is taken by the call; the future waits until it and all before it is written.
            ///
            /// # Errors
            /// [`Error::Send`] for what cannot be sent, which harms nothing; [`Error::Closed`] if the peer has closed; [`Error::Io`] or
            /// [`Error::Protocol`] if the connection has failed.
            pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Flush<'_, S> {
                self.half().sent(true, |turns| turns.push(|connection| connection.send(message)))
            }

            /// The same, but it waits only while very much is not yet written: the next call that sends, flushes or receives writes it.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Flush<'_, S> {
                self.half().sent(false, |turns| turns.push(|connection| connection.send(message)))
            }

            /// Sends a ping of at most 125 bytes, ahead of messages that wait.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            pub fn ping(&mut self, payload: &[u8]) -> Flush<'_, S> {
                self.half().sent(true, |turns| turns.push(|connection| connection.ping(payload)))
            }

            /// Writes all that waits.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            pub fn flush(&mut self) -> Flush<'_, S> {
                self.half().sent(true, |_| Ok(()))
            }

            /// Starts the closing handshake, and waits until the close frame is written; what the peer still says may be received.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            pub fn start_close(&mut self, code: impl Into<Code>, reason: &str) -> Flush<'_, S> {
                self.half().sent(true, |turns| turns.start_close(code.into(), reason))
            }
        }

        impl<S: AsyncRead + AsyncWrite + Unpin, M: Into<Message<'static>>> Sink<M> for $type<S> {
            type Error = Error;

            fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                self.half().poll_drained(cx, false)
            }

            fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), Error> {
                self.feed(message).taken
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                self.half().poll_drained(cx, true)
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                let half = self.half();
                half.shared.lock().$closed(cx, half.place)
            }
        }
    };
}

// Whoever has the whole waits for the end; who has a half, until the close frame is written.
sends!(WebSocket, poll_closed);
sends!(Sender, poll_close_sent);

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    fn half(&mut self) -> &mut Self {
        self
    }

    fn sent(&mut self, all: bool, send: impl FnOnce(&mut Turns<S>) -> Result<(), Error>) -> Flush<'_, S> {
        let taken = send(&mut self.shared.lock());
        Flush { sender: self, taken, all }
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>, all: bool) -> Poll<Result<(), Error>> {
        self.shared.lock().poll_drained(cx, self.place, all)
    }
}

impl<S> Clone for Sender<S> {
    fn clone(&self) -> Self {
        Self { place: self.shared.places.fetch_add(1, Ordering::Relaxed) + 1, shared: self.shared.clone() }
    }
}

impl<S> Drop for Sender<S> {
    fn drop(&mut self) {
        let waiting = self.shared.lock().waiting.clone();
        waiting.leave(self.place);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Receiver<S> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().poll_recv(cx).map(Result::transpose)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.receiver).poll_next(cx)
    }
}

/// The wait for what was sent to be written; see the method that gave it.
#[must_use = "what was sent is written when this is awaited, or by a later call"]
#[derive(Debug)]
pub struct Flush<'a, S> {
    sender: &'a mut Sender<S>,
    taken: Result<(), Error>,
    all: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Flush<'_, S> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        mem::replace(&mut self.taken, Ok(()))?;
        let all = self.all;
        self.sender.poll_drained(cx, all)
    }
}
