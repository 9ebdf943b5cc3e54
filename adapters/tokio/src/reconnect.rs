//! A client that connects again.

use crate::backoff::{Backoff, Failures};
use crate::client::Client;
use crate::message::Message;
use crate::stream::NetStream;
use crate::trace;
use crate::websocket::WebSocket;
use sockless::driver::{ConnectError, Error};
use sockless::{Close, Code, SendError};
use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

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
        /// The messages whose last byte was not written, the oldest first. Of others it is not known whether they arrived.
        unsent: Vec<Message>,
    },
    /// It could not be connected; it tries again after this time.
    Failed(ConnectError, Duration),
}

/// A message that a [`Reconnecting`] client has not taken, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsent {
    /// There is no connection now, or it is just ending.
    #[error("not connected")]
    NotConnected(Message),
    /// More than [`Outbound::hard`](sockless::Outbound::hard) bytes wait to be written already.
    #[error("too much waits to be written")]
    Full(Message),
    /// What cannot be sent now: a message in parts is under way, say.
    #[error("{1}")]
    Refused(Message, SendError),
}

impl Unsent {
    /// The message.
    pub fn into_message(self) -> Message {
        match self {
            Self::NotConnected(message) | Self::Full(message) | Self::Refused(message, _) => message,
        }
    }
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
    failures: Failures,
    state: State,
    sent: Sent,
}

/// What was sent and is not wholly written.
#[derive(Default)]
struct Sent {
    /// Each with its bytes on the wire.
    messages: VecDeque<(usize, Message)>,
    /// All those bytes.
    on_wire: usize,
    /// What is held, entries included.
    held: usize,
}

impl Sent {
    fn push(&mut self, message: Message, on_wire: usize) {
        self.held += Self::cost(&message);
        self.on_wire += on_wire;
        self.messages.push_back((on_wire, message));
    }

    /// Forgets what has been written, now that so many bytes have not been.
    fn note(&mut self, unwritten: usize) {
        while let Some((on_wire, message)) = self.messages.front()
            && self.on_wire - on_wire >= unwritten
        {
            self.held -= Self::cost(message);
            self.on_wire -= on_wire;
            self.messages.pop_front();
        }
    }

    fn take(&mut self) -> Vec<Message> {
        mem::take(self).messages.into_iter().map(|(_, message)| message).collect()
    }

    fn cost(message: &Message) -> usize {
        // Its place in the list, which doubles.
        message.as_bytes().len() + 2 * size_of::<(usize, Message)>()
    }
}

enum State {
    /// An attempt goes on, with a copy of the settings.
    Connecting(Pin<Box<dyn Future<Output = Result<WebSocket<NetStream>, ConnectError>> + Send>>),
    Open(Box<WebSocket<NetStream>>),
    Waiting(Pin<Box<Sleep>>),
    /// Connections were lost too often; it is to be told.
    GivenUp,
}

impl Client {
    /// A client that connects again whenever its connection is lost; it begins when it is first asked for something.
    pub fn reconnecting(&self, backoff: Backoff) -> Reconnecting {
        Reconnecting::new(self.clone(), backoff)
    }
}

impl Reconnecting {
    pub(crate) fn new(client: Client, backoff: Backoff) -> Self {
        let state = connecting(&client);
        Self { client, failures: Failures::new(backoff), state, sent: Sent::default() }
    }

    /// Connects, receives, or waits to connect again, whichever is due, until there is something to tell.
    ///
    /// # Errors
    /// The last failure to connect, after [`Backoff::attempts`] in a row, or [`ConnectError::ShortLived`] if that was a
    /// connection which was lost soon; and at once a request that cannot be sent, which no attempt will better. The next call
    /// begins anew.
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
                    let received = socket.recv().await;
                    self.sent.note(socket.unwritten());
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
                self.failures.connected(Instant::now());
                self.state = State::Open(Box::new(socket));
                return Ok(Change::Connected);
            }
            Err(error) => error,
        };
        let hopeless = matches!(error, ConnectError::Request(_) | ConnectError::NoTls | ConnectError::TlsSettings(_));
        if hopeless {
            self.failures.forget();
        }
        let wait = if hopeless { None } else { self.failures.failed(Instant::now(), None, chance()) };
        let Some(wait) = wait else {
            self.state = connecting(&self.client);
            return Err(error);
        };
        self.state = waiting(wait);
        trace::event!(DEBUG, %error, ?wait, "not connected");
        Ok(Change::Failed(error, wait))
    }

    fn lost(&mut self, error: Option<Error>) -> Change {
        let close = match &self.state {
            State::Open(socket) => socket.peer_close().cloned(),
            _ => None,
        };
        let code = close.as_ref().map(|close| close.code);
        self.state = match self.failures.failed(Instant::now(), code, chance()) {
            Some(wait) => waiting(wait),
            None => State::GivenUp,
        };
        Change::Lost { close, error, unsent: self.sent.take() }
    }

    /// The connection, while there is one. What is sent on it directly is not reported as unsent; what was sent before is
    /// taken for unwritten as long as that waits too.
    pub fn socket(&mut self) -> Option<&mut WebSocket<NetStream>> {
        if let State::Open(socket) = &mut self.state { Some(socket) } else { None }
    }

    /// Sends a message, and waits until it is written.
    ///
    /// # Errors
    /// The message itself with the reason why it was not taken: nothing else of it is reported then. Where a connection is
    /// lost before the message was written, [`next`](Self::next) reports it with all others.
    ///
    /// # Cancel safety
    /// The message is taken as soon as the future is first polled. Dropped later, the future has lost nothing.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Unsent> {
        let message = message.into();
        let State::Open(socket) = &mut self.state else { return Err(Unsent::NotConnected(message)) };
        let before = socket.unwritten();
        self.sent.note(before);
        if self.sent.held > socket.most_queued() {
            return Err(Unsent::Full(message));
        }
        match socket.send(message.clone()).refusal() {
            None => {}
            Some(Error::Send(SendError::Full)) => return Err(Unsent::Full(message)),
            Some(Error::Send(error)) if error != SendError::Closing => return Err(Unsent::Refused(message, error)),
            Some(_) => return Err(Unsent::NotConnected(message)),
        }
        self.sent.push(message, socket.unwritten() - before);
        // A failure is for `next` to tell.
        _ = socket.flush().await;
        self.sent.note(socket.unwritten());
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

fn waiting(time: Duration) -> State {
    State::Waiting(Box::pin(sleep(time)))
}

/// A random number; without one all clients wait the same time, which is no reason not to connect.
fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

fn connecting(client: &Client) -> State {
    let client = client.clone();
    State::Connecting(Box::pin(async move { Ok(client.connect().await?.0) }))
}

impl std::fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Reconnecting");
        debug.field("failures", &self.failures).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_leaves_the_list_when_its_last_byte_is_written() {
        let mut sent = Sent::default();
        let all = ["one", "two", "three"].map(Message::from);
        for (message, on_wire) in all.iter().zip([9, 9, 11]) {
            sent.push(message.clone(), on_wire);
        }
        for (unwritten, left) in [(1000, 3), (29, 3), (21, 3), (20, 2), (12, 2), (11, 1), (1, 1)] {
            sent.note(unwritten);
            let listed: Vec<_> = sent.messages.iter().map(|(_, message)| message).collect();
            assert_eq!(listed, all[3 - left..].iter().collect::<Vec<_>>(), "{unwritten}");
        }
        sent.note(0);
        assert_eq!((sent.take(), sent.held, sent.on_wire), (vec![], 0, 0));
    }
}
