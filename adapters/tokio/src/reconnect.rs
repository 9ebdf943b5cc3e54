//! A client that connects again.

use crate::client::Client;
use crate::message::Message;
use crate::stream::NetStream;
use crate::trace;
use crate::websocket::WebSocket;
use sockless::driver::{self, Backoff, ConnectError, Error, Keep, Reconnect};
use sockless::{Code, Response};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// What a [`Reconnecting`] client tells.
pub type Change = driver::Change<Message>;

/// A message that a [`Reconnecting`] client has not taken, and why.
pub type Unsent = driver::Unsent<Message>;

/// How a [`Reconnecting`] client was stopped.
pub type Stopped = driver::Stopped<Message>;

/// A client that connects again whenever its connection is lost.
///
/// A message whose last byte was not written has certainly not arrived. Such messages are reported with [`Change::Lost`], or by
/// [`keep`](Self::keep) kept and sent on the next connection, which is no second time to anybody who reads whole messages. What
/// was wholly written may have arrived or not, and is never sent again: only answers of the server's tell.
///
/// ```no_run
/// use sockless_tokio::{Change, Client};
///
/// # async fn run() -> Result<(), sockless_tokio::ConnectError> {
/// let client = Client::new("wss://example.com/feed").reconnecting(Default::default());
/// let mut client = client.keep(Default::default()).greeting(|_| vec!["subscribe".into()]);
/// loop {
///     match client.next().await? {
///         Change::Message(message) => println!("{message:?}"),
///         Change::Lost { wait: Some(wait), kept, .. } => eprintln!("lost; again in {wait:?}, with {kept} messages"),
///         Change::Failed(error, wait) => eprintln!("{error}; again in {wait:?}"),
///         _ => {}
///     }
/// }
/// # }
/// ```
pub struct Reconnecting {
    client: Client,
    link: Reconnect<Message>,
    greeting: Option<Box<Greeting>>,
    state: State,
    /// The moment that times count from.
    started: Instant,
}

type Greeting = dyn FnMut(&Response<'static>) -> Vec<Message> + Send;

type Connected = Result<(WebSocket<NetStream>, Response<'static>), ConnectError>;

enum State {
    /// An attempt goes on, with a copy of the settings.
    Connecting(Pin<Box<dyn Future<Output = Connected> + Send>>),
    Open(Box<WebSocket<NetStream>>),
    Waiting(Pin<Box<Sleep>>),
    /// Connections were lost too often; it is to be told.
    GivenUp,
}

impl Client {
    /// A client that connects again whenever its connection is lost. [`Reconnecting::next`] is what connects, first and again:
    /// without it, nothing that is sent goes out.
    pub fn reconnecting(&self, backoff: Backoff) -> Reconnecting {
        Reconnecting {
            client: self.clone(),
            link: Reconnect::new(backoff),
            greeting: None,
            state: connecting(self),
            started: Instant::now(),
        }
    }
}

/// Settings.
impl Reconnecting {
    /// Keeps what was certainly not sent, and sends it on the next connection: so that [`send`](Self::send) takes messages
    /// while there is none, no more than these at once.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.link.set_keep(keep);
        self
    }

    /// What is sent first on each new connection, ahead of what was kept: subscriptions, say. It is made anew each time, so it is
    /// neither kept nor reported. It is given the server's response.
    ///
    /// Where that takes a dialogue, do it by [`socket`](Self::socket) behind [`Change::Connected`] or [`Change::Resumed`]: what was kept
    /// waits for the next call.
    #[must_use]
    pub fn greeting(mut self, greeting: impl FnMut(&Response<'static>) -> Vec<Message> + Send + 'static) -> Self {
        self.greeting = Some(Box::new(greeting));
        self
    }
}

impl Reconnecting {
    /// Connects, receives, or waits to connect again, whichever is due, until there is something to tell. It sends what was kept,
    /// too.
    ///
    /// # Errors
    /// The last failure to connect, after [`Backoff::attempts`] in a row, or [`ConnectError::ShortLived`] if that was a
    /// connection which was lost soon; and at once a request that cannot be sent, which no attempt will better. The next call
    /// begins anew, with what is kept.
    ///
    /// # Cancel safety
    /// Dropped, the future has lost nothing: the attempt to connect, the wait and the connection are kept.
    pub async fn next(&mut self) -> Result<Change, ConnectError> {
        loop {
            match &mut self.state {
                State::Waiting(sleep) => {
                    sleep.await;
                    self.state = connecting(&self.client);
                }
                State::Connecting(attempt) => {
                    let result = attempt.await;
                    return self.connected(result);
                }
                State::GivenUp => {
                    self.state = connecting(&self.client);
                    return Err(ConnectError::ShortLived);
                }
                State::Open(socket) => {
                    let received = poll_fn(|cx| poll_open(socket, &mut self.link, cx)).await;
                    self.link.note(socket.unwritten());
                    return Ok(match received {
                        Ok(Some(message)) => Change::Message(message),
                        Ok(None) => self.lost(None),
                        Err(error) => self.lost(Some(error)),
                    });
                }
            }
        }
    }

    fn connected(&mut self, result: Connected) -> Result<Change, ConnectError> {
        let now = self.started.elapsed();
        let error = match result {
            Ok((mut socket, response)) => {
                self.link.greet(self.greeting.as_mut().map_or_else(Vec::new, |greeting| greeting(&response)));
                self.link.hand_over_greetings(|message| give(&mut socket, message));
                self.state = State::Open(Box::new(socket));
                return Ok(self.link.connected(now));
            }
            Err(error) => error,
        };
        let failed = self.link.failed(error, now, chance());
        self.state = match &failed {
            // Told where there is tracing.
            Ok(Change::Failed(_error, wait)) => {
                trace::event!(DEBUG, error = %_error, ?wait, "not connected");
                waiting(*wait)
            }
            _ => connecting(&self.client),
        };
        failed
    }

    fn lost(&mut self, error: Option<Error>) -> Change {
        let close = self.socket().and_then(|socket| socket.peer_close().cloned());
        let change = self.link.lost(close, error, self.started.elapsed(), chance());
        self.state = match change {
            Change::Lost { wait: Some(wait), .. } => waiting(wait),
            _ => State::GivenUp,
        };
        change
    }

    /// The connection, while there is one. What is sent on it directly is neither kept nor reported as unsent; what was sent
    /// before is taken for unwritten as long as that waits too. [`WebSocket::round_trip`] tells whether the server is there.
    pub fn socket(&mut self) -> Option<&mut WebSocket<NetStream>> {
        if let State::Open(socket) = &mut self.state { Some(socket) } else { None }
    }

    /// Sends a message, and waits until it is written, if there is a connection. Where what is not sent is [kept](Self::keep), it
    /// is taken without one too, and goes out on the next, which [`next`](Self::next) makes.
    ///
    /// # Errors
    /// The message itself with the reason why it was not taken: nothing else of it is reported then. Where a connection is
    /// lost before the message was written, [`next`](Self::next) reports it with all others, or it is kept.
    ///
    /// # Cancel safety
    /// The message is taken as soon as the future is first polled. Dropped later, the future has lost nothing.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Unsent> {
        let message = message.into();
        let len = message.len();
        let connection = self.socket().map(|socket| (socket.unwritten(), socket.most_queued()));
        self.link.push_to(message, len, connection)?;
        let State::Open(socket) = &mut self.state else { return Ok(()) };
        if !self.link.keeps() {
            let mut refusal = None;
            self.link.hand_over(|message| try_give(socket, message).map_err(|error| refusal = Some(error)).ok());
            if let (Some(error), Some(message)) = (refusal, self.link.take_back()) {
                return Err(Unsent::new(message, error));
            }
        }
        // A failure is for `next` to tell.
        _ = poll_fn(|cx| poll_written(socket, &mut self.link, cx)).await;
        Ok(())
    }

    /// Stops: sends what waits, and closes the connection, if there is one. Says what was not sent.
    ///
    /// # Cancel safety
    /// Dropped, the future has done part of it, and the next call goes on; what was not sent is told by that.
    pub async fn close(&mut self, code: impl Into<Code>, reason: &str) -> Stopped {
        let code = code.into();
        let mut ended = Ok(());
        if let State::Open(socket) = &mut self.state {
            _ = poll_fn(|cx| poll_written(socket, &mut self.link, cx)).await;
            ended = socket.close(code, reason).await;
            self.link.note(socket.unwritten());
        }
        self.state = connecting(&self.client);
        self.link.stopped(ended)
    }
}

/// Receives, and hands over what was kept as soon as there is room for it.
fn poll_open(
    socket: &mut WebSocket<NetStream>,
    link: &mut Reconnect<Message>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Message>, Error>> {
    loop {
        link.note(socket.unwritten());
        let handed = link.hand_over(|message| give(socket, message));
        if let Poll::Ready(received) = socket.poll_recv(cx) {
            return Poll::Ready(received);
        }
        // Room is waited for beside what comes. A failure is told by receiving.
        if !link.waits()
            || !handed && !socket.is_high()
            || !matches!(socket.poll_drained(cx, false), Poll::Ready(Ok(())))
        {
            return Poll::Pending;
        }
    }
}

/// Waits until all is written that can be.
fn poll_written(
    socket: &mut WebSocket<NetStream>,
    link: &mut Reconnect<Message>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    loop {
        let handed = link.hand_over(|message| give(socket, message));
        let drained = ready!(socket.poll_drained(cx, true));
        link.note(socket.unwritten());
        if drained.is_err() || !link.waits() || !handed {
            return Poll::Ready(drained);
        }
    }
}

/// Sends a message unless much waits already; its bytes on the wire.
fn give(socket: &mut WebSocket<NetStream>, message: &Message) -> Option<usize> {
    if socket.is_high() { None } else { try_give(socket, message).ok() }
}

/// Sends a message; its bytes on the wire.
fn try_give(socket: &mut WebSocket<NetStream>, message: &Message) -> Result<usize, Error> {
    let before = socket.unwritten();
    match socket.feed(message.clone()).refusal() {
        None => Ok(socket.unwritten() - before),
        Some(error) => Err(error),
    }
}

fn waiting(time: Duration) -> State {
    State::Waiting(Box::pin(sleep(time)))
}

/// A random number; without one all clients wait the same time, which is no reason not to connect.
fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

fn connecting(client: &Client) -> State {
    let client = client.clone();
    State::Connecting(Box::pin(async move { client.connect().await }))
}

impl std::fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Reconnecting");
        debug.field("link", &self.link).finish_non_exhaustive()
    }
}
