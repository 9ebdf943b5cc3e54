//! A client that connects again.

use crate::client::Client;
use crate::net_stream::NetStream;
use crate::websocket::WebSocket;
use sockless::driver::{self, Backoff, ConnectError, Error, Keep, Reconnect};
use sockless::{Code, Message, Response};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

/// What a [`Reconnecting`] client tells.
pub type Change = driver::Change<Message<'static>>;

/// A message that a [`Reconnecting`] client has not taken, and why.
pub type Unsent = driver::Unsent<Message<'static>>;

/// How a [`Reconnecting`] client was stopped.
pub type Stopped = driver::Stopped<Message<'static>>;

/// A client that connects again whenever its connection is lost.
///
/// A message whose last byte was not written has certainly not arrived. Such messages are reported with [`Change::Lost`], or by
/// [`keep`](Self::keep) kept and sent on the next connection, which is no second time to anybody who reads whole messages. What
/// was wholly written may have arrived or not, and is never sent again: only answers of the server's tell.
///
/// ```no_run
/// use sockless_std::{Change, Client};
///
/// let client = Client::new("wss://example.com/feed").reconnecting(Default::default());
/// let mut client = client.keep(Default::default()).greeting(|_| vec!["subscribe".into()]);
/// loop {
///     match client.next()? {
///         Change::Message(message) => println!("{message:?}"),
///         Change::Lost { wait: Some(wait), kept, .. } => eprintln!("lost; again in {wait:?}, with {kept} messages"),
///         Change::Failed(error, wait) => eprintln!("{error}; again in {wait:?}"),
///         _ => {}
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<_, sockless_std::ConnectError>(())
/// ```
pub struct Reconnecting {
    client: Client,
    link: Reconnect<Message<'static>>,
    greeting: Option<Box<Greeting>>,
    state: State,
    /// Why the connection has failed, if sending has found out.
    failure: Option<Error>,
    /// The moment that times count from.
    started: Instant,
}

type Greeting = dyn FnMut(&Response<'static>) -> Vec<Message<'static>> + Send;

enum State {
    /// The next call connects.
    Idle,
    Open(Box<WebSocket<NetStream>>),
    Waiting(Instant),
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
            state: State::Idle,
            failure: None,
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
    pub fn greeting(
        mut self,
        greeting: impl FnMut(&Response<'static>) -> Vec<Message<'static>> + Send + 'static,
    ) -> Self {
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
    #[allow(clippy::should_implement_trait)] // Named as in the other adapters; it has errors and no end.
    pub fn next(&mut self) -> Result<Change, ConnectError> {
        loop {
            if let Some(change) = self.next_until(None)? {
                return Ok(change);
            }
        }
    }

    /// The same, but waits at most for so long, for a thread that sends as well: `None` where there is nothing to tell by then.
    /// An attempt to connect is not cut short; it has the client's [time limit](Client::timeout).
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Change>, ConnectError> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Change>, ConnectError> {
        loop {
            match &mut self.state {
                State::Waiting(until) => {
                    let wake = deadline.map_or(*until, |deadline| deadline.min(*until));
                    thread::sleep(wake.saturating_duration_since(Instant::now()));
                    if wake < *until {
                        return Ok(None);
                    }
                    self.state = State::Idle;
                }
                State::Idle => return self.connect().map(Some),
                State::GivenUp => {
                    self.state = State::Idle;
                    return Err(ConnectError::ShortLived);
                }
                State::Open(socket) => {
                    send_on(socket, &mut self.link, deadline, &mut self.failure);
                    let received = socket.recv_until(deadline);
                    self.link.note(socket.drive.unwritten());
                    return Ok(match received {
                        Ok(Some(message)) => Some(Change::Message(message)),
                        Err(Error::TimedOut) => None,
                        Ok(None) => Some(self.lost(None)),
                        Err(error) => Some(self.lost(Some(error))),
                    });
                }
            }
        }
    }

    fn connect(&mut self) -> Result<Change, ConnectError> {
        let result = self.client.connect();
        let now = self.started.elapsed();
        match result {
            Ok((mut socket, response)) => {
                self.link.greet(self.greeting.as_mut().map_or_else(Vec::new, |greeting| greeting(&response)));
                self.link.hand_over_greetings(|message| give(&mut socket, message));
                self.state = State::Open(Box::new(socket));
                Ok(self.link.connected(now))
            }
            Err(error) => {
                let failed = self.link.failed(error, now, chance());
                if let Ok(Change::Failed(_, wait)) = &failed {
                    self.state = waiting(*wait);
                }
                failed
            }
        }
    }

    fn lost(&mut self, error: Option<Error>) -> Change {
        let close = self.socket().and_then(|socket| socket.peer_close().cloned());
        let error = error.or(self.failure.take());
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
    pub fn send(&mut self, message: impl Into<Message<'static>>) -> Result<(), Unsent> {
        let message = message.into();
        let len = message.len();
        let connection = self.socket().map(|socket| (socket.drive.unwritten(), socket.drive.most_queued()));
        self.link.push_to(message, len, connection)?;
        let State::Open(socket) = &mut self.state else { return Ok(()) };
        if !self.link.keeps() {
            let mut refusal = None;
            self.link.hand_over(|message| try_give(socket, message).map_err(|error| refusal = Some(error)).ok());
            if let (Some(error), Some(message)) = (refusal, self.link.take_back()) {
                return Err(Unsent::new(message, error));
            }
        }
        write_on(socket, &mut self.link, &mut self.failure);
        Ok(())
    }

    /// Stops: sends what waits, and closes the connection, if there is one. Says what was not sent.
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Stopped {
        let mut ended = Ok(());
        if let State::Open(socket) = &mut self.state {
            write_on(socket, &mut self.link, &mut self.failure);
            ended = socket.close(code, reason).map(|_| ());
            self.link.note(socket.drive.unwritten());
        }
        let ended = self.failure.take().map_or(ended, Err);
        self.state = State::Idle;
        self.link.stopped(ended)
    }
}

/// Hands over what was kept as soon as there is room for it, until the deadline.
fn send_on(
    socket: &mut WebSocket<NetStream>,
    link: &mut Reconnect<Message<'static>>,
    deadline: Option<Instant>,
    failure: &mut Option<Error>,
) {
    loop {
        link.note(socket.drive.unwritten());
        let handed = link.hand_over(|message| give(socket, message));
        // What comes meanwhile is kept; where it is too much, it is to be received first.
        if !link.waits() || !handed || !note(socket.drive.flush(deadline), failure) {
            return;
        }
    }
}

/// Waits until all is written that can be.
fn write_on(socket: &mut WebSocket<NetStream>, link: &mut Reconnect<Message<'static>>, failure: &mut Option<Error>) {
    send_on(socket, link, None, failure);
    note(socket.flush(), failure);
    link.note(socket.drive.unwritten());
}

/// Whether all was written; a failure is for receiving to tell, which is told it once only.
fn note(flushed: Result<(), Error>, failure: &mut Option<Error>) -> bool {
    match flushed {
        Ok(()) => return true,
        Err(Error::TimedOut) => {}
        Err(error) if error.is_closing() => {}
        Err(error) => *failure = failure.take().or(Some(error)),
    }
    false
}

/// Sends a message unless much waits already; its bytes on the wire.
fn give(socket: &mut WebSocket<NetStream>, message: &Message<'static>) -> Option<usize> {
    if socket.drive.driver.peek().is_high() { None } else { try_give(socket, message).ok() }
}

/// Sends a message; its bytes on the wire.
fn try_give(socket: &mut WebSocket<NetStream>, message: &Message<'static>) -> Result<usize, Error> {
    let before = socket.drive.unwritten();
    socket.drive.send(|connection| connection.send(message))?;
    Ok(socket.drive.unwritten() - before)
}

fn waiting(time: Duration) -> State {
    Instant::now().checked_add(time).map_or(State::GivenUp, State::Waiting)
}

/// A random number.
fn chance() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("link", &self.link).finish_non_exhaustive()
    }
}
