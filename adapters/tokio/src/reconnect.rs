//! A client that connects again.

use crate::client::Client;
use crate::error::{ConnectError, Error};
use crate::message::Message;
use crate::stream::NetStream;
use crate::trace;
use crate::websocket::WebSocket;
use sockless::{Close, Code};
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// How long to wait before a client connects again: doubled with each failure, and cut by chance to between half and all
/// of it, so that clients which lost their server together don't come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
    /// The end is told after so many failures in a row; `None`: never.
    pub attempts: Option<u32>,
}

impl Backoff {
    /// 500 ms: a server that restarts is back soon.
    pub const FIRST: Duration = Duration::from_millis(500);
    /// 30 s: a user who waits longer thinks that it is broken.
    pub const LONGEST: Duration = Duration::from_secs(30);

    /// The wait after so many failures in a row, at least one; `chance` is any number.
    fn wait(&self, failures: u32, chance: u32) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
        let whole = doubled.min(self.longest);
        whole / 2 + (whole / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Self::FIRST, longest: Self::LONGEST, attempts: None }
    }
}

/// What a [`Reconnecting`] client tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// It is connected, for the first time or again.
    Connected,
    /// A message came.
    Message(Message),
    /// The connection is lost; it connects again.
    Lost {
        /// What the server said, if it closed the connection.
        close: Option<Close<'static>>,
        /// What failed otherwise.
        error: Option<Error>,
        /// The messages that were not wholly written, the oldest first. Of others it is not known whether they arrived.
        unsent: Vec<Message>,
    },
    /// It could not be connected; it tries again after this time.
    Failed(ConnectError, Duration),
}

/// A client that connects again whenever its connection is lost.
///
/// Nothing is sent twice by itself: what was not sent is reported with [`Change::Lost`], and sending it again is for the
/// caller to decide.
///
/// ```no_run
/// use sockless_tokio::{Change, Client};
///
/// # async fn run() -> Result<(), sockless_tokio::ConnectError> {
/// let mut client = Client::new("wss://example.com/feed").reconnecting(Default::default());
/// loop {
///     match client.next().await? {
///         Change::Connected => _ = client.send("subscribe").await,
///         Change::Message(message) => println!("{message:?}"),
///         Change::Lost { unsent, .. } => eprintln!("lost; {} messages were not sent", unsent.len()),
///         Change::Failed(error, wait) => eprintln!("{error}; again in {wait:?}"),
///         _ => {}
///     }
/// }
/// # }
/// ```
pub struct Reconnecting {
    client: Client,
    backoff: Backoff,
    failures: u32,
    state: State,
    /// What was sent and may not be wholly written.
    sent: VecDeque<Message>,
}

enum State {
    /// An attempt goes on, with a copy of the settings.
    Connecting(Pin<Box<dyn Future<Output = Result<WebSocket<NetStream>, ConnectError>> + Send>>),
    Open(Box<WebSocket<NetStream>>),
    Waiting(Pin<Box<Sleep>>),
}

impl Reconnecting {
    pub(crate) fn new(client: Client, backoff: Backoff) -> Self {
        let state = connecting(&client);
        Self { client, backoff, failures: 0, state, sent: VecDeque::new() }
    }

    /// Connects, receives, or waits to connect again, whichever is due, until there is something to tell.
    ///
    /// # Errors
    /// The last failure to connect, after [`Backoff::attempts`] in a row; and at once a request that cannot be sent,
    /// which no attempt will better. The next call begins anew.
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
                State::Open(socket) => {
                    let received = socket.recv().await;
                    if socket.has_written_all() {
                        self.sent.clear();
                    }
                    return Ok(match received {
                        Ok(Some(message)) => Change::Message(message),
                        Ok(None) => self.lost(None),
                        Err(error) => self.lost(Some(error)),
                    });
                }
            }
        }
    }

    fn connected(&mut self, result: Result<WebSocket<NetStream>, ConnectError>) -> Result<Change, ConnectError> {
        let error = match result {
            Ok(socket) => {
                self.failures = 0;
                self.state = State::Open(Box::new(socket));
                return Ok(Change::Connected);
            }
            Err(error) => error,
        };
        self.failures = self.failures.saturating_add(1);
        let hopeless = matches!(error, ConnectError::Request(_) | ConnectError::NoTls | ConnectError::TlsSettings(_));
        if hopeless || self.backoff.attempts.is_some_and(|most| self.failures >= most) {
            self.failures = 0;
            self.state = connecting(&self.client);
            return Err(error);
        }
        let wait = self.pause();
        trace::event!(DEBUG, %error, ?wait, "not connected");
        Ok(Change::Failed(error, wait))
    }

    fn lost(&mut self, error: Option<Error>) -> Change {
        let close = match &self.state {
            State::Open(socket) => socket.peer_close().cloned(),
            _ => None,
        };
        let unsent = std::mem::take(&mut self.sent).into();
        // A server that closes at once is not called again at once.
        self.failures = self.failures.max(1);
        self.pause();
        Change::Lost { close, error, unsent }
    }

    /// Waits before the next attempt, for as long as is returned.
    fn pause(&mut self) -> Duration {
        // Without a random number all clients wait the same time, which is no reason not to connect.
        let wait = self.backoff.wait(self.failures, getrandom::u32().unwrap_or(u32::MAX));
        self.state = State::Waiting(Box::pin(sleep(wait)));
        wait
    }

    /// The connection, while there is one. What is sent on it directly is not reported as unsent.
    pub fn socket(&mut self) -> Option<&mut WebSocket<NetStream>> {
        if let State::Open(socket) = &mut self.state { Some(socket) } else { None }
    }

    /// Sends a message, and waits until it is written.
    ///
    /// # Errors
    /// The message itself, if there is no connection now; nothing else of it is reported then. Where a connection is lost
    /// before the message was written, [`next`](Self::next) reports it with all others.
    ///
    /// # Cancel safety
    /// The message is taken as soon as the future is first polled. Dropped later, the future has lost nothing.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Message> {
        let message = message.into();
        let State::Open(socket) = &mut self.state else { return Err(message) };
        let flush = socket.send(message.clone());
        if flush.is_refused() {
            return Err(message);
        }
        self.sent.push_back(message);
        // A failure is for `next` to tell.
        if flush.await.is_ok() {
            self.sent.clear();
        }
        Ok(())
    }

    /// Closes the connection for good, if there is one.
    ///
    /// # Errors
    /// As [`WebSocket::close`].
    ///
    /// # Cancel safety
    /// Dropped, the future drops the connection with it.
    pub async fn close(self, code: impl Into<Code>, reason: &str) -> Result<(), Error> {
        match self.state {
            State::Open(mut socket) => socket.close(code, reason).await,
            _ => Ok(()),
        }
    }
}

fn connecting(client: &Client) -> State {
    let client = client.clone();
    State::Connecting(Box::pin(async move { Ok(client.connect().await?.0) }))
}

impl std::fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Reconnecting");
        debug.field("failures", &self.failures).field("backoff", &self.backoff).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_vary_by_half() {
        let backoff = Backoff::default();
        for (failures, whole) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (40, 30_000), (u32::MAX, 30_000)] {
            let whole = Duration::from_millis(whole);
            assert_eq!(backoff.wait(failures, 0), whole / 2);
            assert_eq!(backoff.wait(failures, u32::MAX), whole);
            let middle = backoff.wait(failures, u32::MAX / 2);
            assert!(whole / 2 < middle && middle < whole);
        }
    }
}
