//! What a client that connects again goes by: when it does, what it keeps, and what it tells.

mod backoff;
mod unwritten;

use super::{ConnectError, Error};
use crate::wire::close::Close;
use crate::wire::error::SendError;
use backoff::Failures;
use core::time::Duration;
use std::vec::Vec;
use unwritten::Unwritten;

pub use backoff::Backoff;

/// How much that is not wholly written a client keeps from one connection to the next, at most. Beyond, it takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Messages.
    pub messages: usize,
    /// Bytes of their payload.
    pub bytes: usize,
}

impl Keep {
    /// 1024.
    pub const MESSAGES: usize = 1024;
    /// 1 MiB, as much as may wait to go out on one connection by default.
    pub const BYTES: usize = 1 << 20;
}

impl Default for Keep {
    fn default() -> Self {
        Self { messages: Self::MESSAGES, bytes: Self::BYTES }
    }
}

/// What a client that connects again tells, whose messages are `M`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change<M> {
    /// It is connected for the first time.
    Connected,
    /// It is connected again.
    Resumed {
        /// Messages that were kept, and go out with the next call.
        kept: usize,
    },
    /// A message came.
    Message(M),
    /// The connection is lost.
    Lost {
        /// What the server said, if it closed the connection.
        close: Option<Close<'static>>,
        /// What failed otherwise.
        error: Option<Error>,
        /// It connects again after this time; `None` if it gives up, which the next call tells.
        wait: Option<Duration>,
        /// The messages whose last byte was not written, the oldest first, unless they are kept: they have not arrived, and are
        /// not sent again. Of others it is not known whether they have arrived.
        unsent: Vec<M>,
        /// How many of these are kept instead, and go out on the next connection.
        kept: usize,
    },
    /// It could not be connected; it tries again after this time.
    Failed(ConnectError, Duration),
}

/// A message that a client which connects again has not taken, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsent<M> {
    /// There is no connection now, or it is just ending, and nothing is kept.
    #[error("not connected")]
    NotConnected(M),
    /// As much as may be is not written already.
    #[error("too much waits to be written")]
    Full(M),
    /// What cannot be sent now: a message in parts is under way, say.
    #[error("{1}")]
    Refused(M, SendError),
}

impl<M> Unsent<M> {
    /// For a message that a connection has refused with this error.
    pub fn new(message: M, refusal: Error) -> Self {
        match refusal {
            Error::Send(SendError::Full) => Self::Full(message),
            Error::Send(error) if !error.is_closing() => Self::Refused(message, error),
            _ => Self::NotConnected(message),
        }
    }

    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::NotConnected(message) | Self::Full(message) | Self::Refused(message, _) => message,
        }
    }
}

/// How a client that connects again was stopped.
#[derive(Debug)]
#[must_use = "what was not sent is in it"]
pub struct Stopped<M> {
    /// The messages whose last byte was not written, the oldest first: they have not arrived, and will not.
    pub unsent: Vec<M>,
    /// How the connection has ended, if there was one: where that is an error, it is not known of the messages written last
    /// whether they have arrived.
    pub ended: Result<(), Error>,
}

/// A client that connects again, without its connections: told what happens and at what time, on a monotonic clock of the
/// caller's, it says what comes next.
///
/// A message is **certainly not sent** while its last byte has not been given to the transport, for nobody has then got it
/// whole. Only such a message is reported as unsent, or [kept](Self::set_keep) for the next connection; what was wholly
/// written is never sent again.
///
/// ```
/// use sockless::driver::{Backoff, Change, Error, Keep, Reconnect};
/// use std::time::Duration;
///
/// let s = Duration::from_secs;
/// let mut client = Reconnect::new(Backoff::default());
/// client.set_keep(Keep::default());
/// assert!(matches!(client.connected(s(1)), Change::Connected));
/// client.push("one", 3, 0).unwrap();
/// client.push("two", 3, 0).unwrap();
/// client.hand_over(|message| Some(message.len() + 6)); // to a connection, which adds six bytes to each
/// client.note(5); // so many of them it has not written
/// let Change::Lost { wait, kept, .. } = client.lost(None, None, s(60), u32::MAX) else { unreachable!() };
/// assert_eq!((wait, kept), (Some(Backoff::FIRST), 1));
/// // ... a wait, and another connection
/// assert!(matches!(client.connected(s(61)), Change::Resumed { kept: 1 }));
/// client.greet(["subscribe"]);
/// let mut sent = vec![];
/// client.hand_over(|message| { sent.push(*message); Some(message.len() + 6) });
/// assert_eq!(sent, ["subscribe", "two"]);
/// ```
#[derive(Debug)]
pub struct Reconnect<M> {
    failures: Failures,
    /// It has been connected before.
    again: bool,
    keep: Option<Keep>,
    unwritten: Unwritten<M>,
}

/// Its connections.
impl<M> Reconnect<M> {
    /// One that has never been connected, and keeps nothing from one connection to the next.
    pub fn new(backoff: Backoff) -> Self {
        Self { failures: Failures::new(backoff), again: false, keep: None, unwritten: Unwritten::new() }
    }

    /// It is connected.
    pub fn connected(&mut self, now: Duration) -> Change<M> {
        self.failures.connected(now);
        match std::mem::replace(&mut self.again, true) {
            false => Change::Connected,
            true => Change::Resumed { kept: self.unwritten.messages() },
        }
    }

    /// It could not be connected. `chance` is any number, by which clients that fail together don't come back together.
    ///
    /// # Errors
    /// The failure itself, where it is time to give up, or no attempt will better it; what follows begins anew.
    pub fn failed(&mut self, error: ConnectError, now: Duration, chance: u32) -> Result<Change<M>, ConnectError> {
        if matches!(error, ConnectError::Request(_) | ConnectError::NoTls | ConnectError::TlsSettings(_)) {
            self.failures.forget();
            return Err(error);
        }
        match self.failures.failed(now, None, chance) {
            Some(wait) => Ok(Change::Failed(error, wait)),
            None => Err(error),
        }
    }

    /// Its connection is lost, and this is how; behind [`note`](Self::note).
    pub fn lost(
        &mut self,
        close: Option<Close<'static>>,
        error: Option<Error>,
        now: Duration,
        chance: u32,
    ) -> Change<M> {
        let code = close.as_ref().map(|close| close.code);
        let wait = self.failures.failed(now, code, chance);
        self.unwritten.lost();
        let unsent = if self.keep.is_some() { Vec::new() } else { self.unwritten.take() };
        Change::Lost { close, error, wait, unsent, kept: self.unwritten.messages() }
    }

    /// It is stopped, behind [`note`](Self::note); what follows begins anew.
    pub fn stopped(&mut self, ended: Result<(), Error>) -> Stopped<M> {
        self.failures.forget();
        Stopped { unsent: self.unwritten.take(), ended }
    }
}

/// Its messages.
impl<M> Reconnect<M> {
    /// Keeps what was certainly not sent for the next connection, as much as this.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = Some(keep);
    }

    /// Whether what was not sent is kept for the next connection.
    pub fn keeps(&self) -> bool {
        self.keep.is_some()
    }

    /// Takes a message of `len` bytes, to be handed over. Where nothing is [kept](Self::set_keep), no more than `most` bytes may be
    /// under way, and this message.
    ///
    /// # Errors
    /// [`Unsent::Full`].
    pub fn push(&mut self, message: M, len: usize, most: usize) -> Result<(), Unsent<M>> {
        let full = match self.keep {
            Some(Keep { messages, bytes }) => {
                self.unwritten.messages() >= messages || self.unwritten.bytes().saturating_add(len) > bytes
            }
            None => self.unwritten.held() > most,
        };
        if full {
            return Err(Unsent::Full(message));
        }
        self.unwritten.push(message, len);
        Ok(())
    }

    /// The same while there may be a connection: of what was handed to that so many bytes are not written, and no more than `most`
    /// may be under way. Without one a message is taken only where it is kept.
    ///
    /// # Errors
    /// [`Unsent::NotConnected`], and [`Unsent::Full`].
    pub fn push_to(&mut self, message: M, len: usize, connection: Option<(usize, usize)>) -> Result<(), Unsent<M>> {
        let most = match connection {
            Some((unwritten, most)) => {
                self.note(unwritten);
                most
            }
            None if self.keeps() => 0,
            None => return Err(Unsent::NotConnected(message)),
        };
        self.push(message, len, most)
    }

    /// Takes back the message that was pushed last, if it has not been handed over.
    pub fn take_back(&mut self) -> Option<M> {
        self.unwritten.pop()
    }

    /// Puts messages ahead of all that wait, for the connection there is now: they are neither kept nor reported.
    pub fn greet(&mut self, messages: impl IntoIterator<Item = M>) {
        self.unwritten.greet(messages);
    }

    /// Gives `give` what waits until it takes no more; it says how many bytes each message is on the wire, and `None` where it does
    /// not take one. Whether it took any.
    pub fn hand_over(&mut self, give: impl FnMut(&M) -> Option<usize>) -> bool {
        self.unwritten.hand_over(false, give)
    }

    /// The same of what [greets](Self::greet) only.
    pub fn hand_over_greetings(&mut self, give: impl FnMut(&M) -> Option<usize>) -> bool {
        self.unwritten.hand_over(true, give)
    }

    /// Whether any waits to be handed over.
    pub fn waits(&self) -> bool {
        self.unwritten.waits()
    }

    /// Of what was handed over, so many bytes have not been written.
    pub fn note(&mut self, unwritten: usize) {
        self.unwritten.note(unwritten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::close::Code;
    use alloc::borrow::Cow;
    use alloc::vec;

    const S: Duration = Duration::from_secs(1);

    fn give(message: &&str) -> Option<usize> {
        Some(message.len() + 6)
    }

    #[test]
    fn what_is_not_kept_is_reported_once() {
        let mut client = Reconnect::new(Backoff::default());
        assert!(matches!(client.connected(S), Change::Connected));
        for message in ["one", "two"] {
            client.push(message, 3, 1000).unwrap();
        }
        client.hand_over(give);
        client.note(9);
        let close = Close { code: Code::TRY_LATER, reason: Cow::Borrowed("") };
        match client.lost(Some(close.clone()), None, 2 * S, u32::MAX) {
            Change::Lost { close: Some(told), error: None, wait, unsent, kept: 0 } => {
                assert_eq!((told, wait, unsent), (close, Some(Backoff::LONGEST), vec!["two"]));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(client.connected(3 * S), Change::Resumed { kept: 0 }));
        assert!(!client.waits());
        assert_eq!(client.stopped(Ok(())).unsent, Vec::<&str>::new());
    }

    #[test]
    fn what_is_kept_is_bounded_by_messages_and_by_bytes() {
        let mut client = Reconnect::new(Backoff::default());
        client.set_keep(Keep { messages: 2, bytes: 10 });
        assert_eq!(client.push("elevenbytes", 11, 0), Err(Unsent::Full("elevenbytes")));
        client.push("sixbyt", 6, 0).unwrap();
        assert_eq!(client.push("fiveb", 5, 0), Err(Unsent::Full("fiveb")));
        client.push("", 0, 0).unwrap();
        assert_eq!(client.push("", 0, 0), Err(Unsent::Full("")));
        // What is written makes room; what is under way doesn't.
        client.hand_over(give);
        assert_eq!(client.push("", 0, 0), Err(Unsent::Full("")));
        client.note(6);
        client.push("tenbytes10", 10, 0).unwrap();
        assert_eq!(client.stopped(Ok(())).unsent, ["", "tenbytes10"]);
    }

    #[test]
    fn a_message_is_taken_for_a_connection_or_where_it_is_kept() {
        let mut client = Reconnect::new(Backoff::default());
        assert!(!client.keeps());
        assert_eq!(client.push_to("early", 5, None), Err(Unsent::NotConnected("early")));
        client.connected(S);
        client.push_to("one", 3, Some((0, 0))).unwrap();
        assert!(client.waits());
        client.hand_over(give);
        assert!(!client.waits());
        // No more than so much under way, what the list takes included, and this one.
        let held = client.unwritten.held();
        assert_eq!(client.push_to("two", 3, Some((9, held - 1))), Err(Unsent::Full("two")));
        client.push_to("two", 3, Some((9, held))).unwrap();
        assert_eq!((client.take_back(), client.take_back()), (Some("two"), None));
        // Of what was handed over, all is written.
        client.push_to("three", 5, Some((0, 0))).unwrap();

        client.greet(["hello"]);
        assert!(client.hand_over_greetings(give));
        assert!(!client.hand_over_greetings(give));
        let defaults = Keep::default();
        assert_eq!((defaults.messages, defaults.bytes), (1024, 1_048_576));
        client.set_keep(defaults);
        assert!(client.keeps());
        client.push_to("kept", 4, None).unwrap();
        assert_eq!(client.stopped(Ok(())).unsent, ["three", "kept"]);
    }

    #[test]
    fn it_gives_up_and_begins_anew() {
        let mut client = Reconnect::<&str>::new(Backoff { attempts: Some(2), ..Backoff::default() });
        for _ in 0..2 {
            assert!(matches!(client.failed(ConnectError::Timeout, S, 0), Ok(Change::Failed(ConnectError::Timeout, _))));
            assert!(matches!(client.failed(ConnectError::Timeout, S, 0), Err(ConnectError::Timeout)));
        }
        for _ in 0..2 {
            client.failed(ConnectError::Timeout, S, 0).unwrap();
            assert!(matches!(client.failed(ConnectError::NoTls, S, 0), Err(ConnectError::NoTls)));
        }
        client.connected(S);
        assert!(matches!(client.lost(None, None, S, 0), Change::Lost { wait: Some(_), .. }));
        client.connected(S);
        assert!(matches!(client.lost(None, None, S, 0), Change::Lost { wait: None, .. }));
    }
}
