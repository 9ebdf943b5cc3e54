//! What other threads do with a server: send, broadcast, count, shut down.

use crate::command::{Act, Audience, Cause, Command, Id, Parcel, Sent, is_valid};
use crate::conn::{Conn, Task};
use crate::listeners::Accepted;
use crate::mailbox::{Shared, Teller};
use crate::session::Lent;
use crate::stats::Stats;
use sockless::bytes::Bytes;
use sockless::{Change, Code, Drain, Keepalive, Kind, Limits, Prepared, Rates, SendError};
use std::fmt;
use std::io;
use std::sync::Arc;

/// Speaks to a server, or to an event loop of clients, from any thread; clones speak to the same.
///
/// Nothing here waits for a worker or for a peer. What is done for one connection is done in the order of the calls.
pub struct Handle<S = ()> {
    pub(crate) shared: Arc<Shared<Task<S>>>,
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<S> Conn<'_, S> {
    /// Speaks to the server from anywhere.
    pub fn handle(&self) -> Handle<S> {
        let shared = match &self.lent {
            Lent::Here(here) => &here.local.shared,
            Lent::Remote(remote) => remote.shared,
        };
        Handle { shared: shared.clone() }
    }
}

/// To one connection. What a send returns is known at once: [`Sent`], or a refusal.
impl<S> Handle<S> {
    /// Sends a text message.
    ///
    /// # Errors
    /// [`Full`](SendError::Full) if the peer is too slow: more than [`Outbound::hard`](sockless::Outbound::hard) bytes
    /// wait for it. [`Closing`](SendError::Closing) if the connection is gone, or the server shuts down.
    pub fn send_text(&self, to: Id, text: &str) -> Result<Sent, SendError> {
        self.send(to, Parcel::Shared(Kind::Text, Bytes::copy_from_slice(text.as_bytes())))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_binary(&self, to: Id, bytes: &[u8]) -> Result<Sent, SendError> {
        self.send(to, Parcel::Shared(Kind::Binary, Bytes::copy_from_slice(bytes)))
    }

    /// Sends a message without copying it.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and [`InvalidUtf8`](SendError::InvalidUtf8).
    pub fn send_shared(&self, to: Id, kind: Kind, bytes: Bytes) -> Result<Sent, SendError> {
        if !is_valid(kind, &bytes) {
            return Err(SendError::InvalidUtf8);
        }
        self.send(to, Parcel::Shared(kind, bytes))
    }

    /// Sends a message that was framed before.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_prepared(&self, to: Id, message: &Prepared) -> Result<Sent, SendError> {
        self.send(to, Parcel::Prepared(message.clone()))
    }

    fn send(&self, to: Id, parcel: Parcel) -> Result<Sent, SendError> {
        self.shared.act(to, Act::Send(parcel, Cause::Own), Teller::Other)
    }

    /// Starts the closing handshake.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if the connection is gone, [`CloseCode`](SendError::CloseCode) or
    /// [`LongControl`](SendError::LongControl) for what cannot be said.
    pub fn close(&self, id: Id, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        let code = code.into();
        sockless::close::payload(code, reason)?;
        self.shared.act(id, Act::Close(code, reason.into()), Teller::Other).map(|_| ())
    }

    /// Ends a connection without waiting for anything.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if it is gone.
    pub fn abort(&self, id: Id, code: impl Into<Code>) -> Result<(), SendError> {
        self.shared.act(id, Act::Abort(code.into()), Teller::Other).map(|_| ())
    }

    /// Calls `task` for a connection, where its handler is called.
    ///
    /// Behind [`on_close`](crate::Handler::on_close) it is called as long as the connection's socket is not closed, and can send
    /// nothing more; a task whose turn comes later is dropped uncalled.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if it is gone, [`Full`](SendError::Full) if too many tasks wait.
    pub fn run(&self, id: Id, task: impl FnOnce(&mut Conn<'_, S>) + Send + 'static) -> Result<(), SendError> {
        self.shared.act(id, Act::Run(Task::once(task, &self.shared.tasks)?), Teller::Other).map(|_| ())
    }

    /// Changes settings of a connection.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if it is gone, [`Full`](SendError::Full) if too much waits for its worker.
    pub fn change(&self, id: Id, change: Change) -> Result<(), SendError> {
        self.shared.act(id, Act::Change(Box::new(change)), Teller::Other).map(|_| ())
    }

    /// Bytes that wait for a peer; `None` if it is gone.
    pub fn queued(&self, id: Id) -> Option<usize> {
        self.shared.mailboxes.get(usize::from(id.worker))?.queued(id)
    }
}

/// To many: one frame is shared by all. Peers that are too slow are passed over, and counted in [`Stats::dropped`].
impl<S> Handle<S> {
    /// Sends to all that are open.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if the server shuts down; [`Full`](SendError::Full) if a worker is far behind,
    /// whose connections are left out.
    pub fn broadcast(&self, message: &Prepared) -> Result<(), SendError> {
        self.spread(None, None, message)
    }

    /// Sends to all that are open but one.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_except(&self, except: Id, message: &Prepared) -> Result<(), SendError> {
        self.spread(None, Some(except), message)
    }

    /// Sends to all that have subscribed to a topic.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn publish(&self, topic: &str, message: &Prepared) -> Result<(), SendError> {
        self.spread(Some(topic), None, message)
    }

    /// Sends to all that have subscribed to a topic but one.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn publish_except(&self, topic: &str, except: Id, message: &Prepared) -> Result<(), SendError> {
        self.spread(Some(topic), Some(except), message)
    }

    fn spread(&self, topic: Option<&str>, except: Option<Id>, message: &Prepared) -> Result<(), SendError> {
        self.shared.publish(&Audience { topic: topic.map(Into::into), except }, message, None, Teller::Other)
    }

    /// Calls `task` for each open connection, where its handler is called, and `finish` after the last.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if the server shuts down; some may have been called for. [`Full`](SendError::Full) if
    /// too many tasks wait.
    pub fn each(
        &self,
        task: impl Fn(&mut Conn<'_, S>) + Send + Sync + 'static,
        finish: impl FnOnce() + Send + Sync + 'static,
    ) -> Result<(), SendError> {
        let calls = if self.shared.pooled { self.count() } else { 0 };
        let each = Task::each(task, finish, calls + self.shared.mailboxes.len(), &self.shared.tasks)?;
        let told = (0..self.shared.mailboxes.len())
            .try_for_each(|worker| each.share().map_or(Ok(()), |each| self.shared.tell(worker, Command::Each(each))));
        // Where all have done their part already, what follows them is done here.
        _ = self.shared.caught(|| drop(each));
        told
    }
}

/// The server itself.
impl<S> Handle<S> {
    /// Changes what peers may send, of all connections that are open and of those to come, whatever their routes.
    ///
    /// # Errors
    /// [`Closing`](SendError::Closing) if the server shuts down, [`Full`](SendError::Full) if a worker is far behind.
    pub fn set_limits(&self, limits: Limits) -> Result<(), SendError> {
        self.change_all(Change::Limits(limits))
    }

    /// Changes how much peers may send in a time, likewise.
    ///
    /// # Errors
    /// As [`set_limits`](Self::set_limits).
    pub fn set_rates(&self, rates: Rates) -> Result<(), SendError> {
        self.change_all(Change::Rates(rates))
    }

    /// Changes when peers are pinged, and how long they are waited for, likewise.
    ///
    /// # Errors
    /// As [`set_limits`](Self::set_limits).
    pub fn set_keepalive(&self, keepalive: Keepalive) -> Result<(), SendError> {
        self.change_all(Change::Keepalive(keepalive))
    }

    fn change_all(&self, change: Change) -> Result<(), SendError> {
        (0..self.shared.mailboxes.len())
            .try_for_each(|worker| self.shared.tell(worker, Command::Change(Box::new(change))))
    }

    /// WebSockets that are open.
    pub fn count(&self) -> usize {
        self.stats().open as usize
    }

    /// What all workers have done so far, as of their latest turns.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Serves a connection that was accepted elsewhere, and of which nothing was read, as if it had been accepted here.
    ///
    /// # Errors
    /// A socket that cannot be used, or a server that shuts down. While [too many handshakes](crate::Builder::max_handshakes)
    /// are under way, it is turned away without a word, and counted as refused.
    pub fn adopt(&self, accepted: impl Into<Accepted>) -> io::Result<()> {
        self.adopt_as(accepted.into(), false)
    }

    /// The same with TLS. Without [its settings](crate::Builder::tls) it is turned away, and counted as refused.
    ///
    /// # Errors
    /// As [`adopt`](Self::adopt).
    #[cfg(any(feature = "tls", feature = "native-tls"))]
    pub fn adopt_tls(&self, accepted: impl Into<Accepted>) -> io::Result<()> {
        self.adopt_as(accepted.into(), true)
    }

    fn adopt_as(&self, accepted: Accepted, tls: bool) -> io::Result<()> {
        accepted.set_nonblocking()?;
        let told = self.shared.tell(self.shared.least_busy(), Command::Adopt(accepted, tls));
        told.map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error))
    }

    /// Shuts the server down: it accepts nothing more, and takes leave of its connections over the [`span`](Drain::span). For each
    /// it calls [`on_shutdown`](crate::Handler::on_shutdown), and closes it behind all that waits to go out. What is not
    /// closed when the [`grace`](Drain::grace) is over is cut off, and told in the [`Report`](crate::Report).
    ///
    /// Once all are told, at once without a span, sends are refused. A second call changes nothing. A [`Duration`](std::time::Duration) is a grace with the
    /// default code.
    ///
    /// ```
    /// use sockless_mio::{Conn, Drain, Message, Server};
    /// use std::time::Duration;
    ///
    /// let server = Server::builder().listen("127.0.0.1:0").bind(|_: &mut Conn<'_>, _: Message<'_>| Ok(()))?.start()?;
    /// // When it is time to restart, no herd comes back at once.
    /// let span = Duration::from_secs(60);
    /// server.handle().shutdown(Drain { span, code: 1012.into(), reason: "back soon".into(), ..Drain::default() })?;
    /// let report = server.join();
    /// assert_eq!((report.closed, report.cut_off.len()), (0, 0));
    /// # Ok::<(), sockless_mio::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said: nothing ends then.
    pub fn shutdown(&self, drain: impl Into<Drain>) -> Result<(), SendError> {
        let drain = drain.into();
        drain.check()?;
        self.shared.shut_down(drain);
        Ok(())
    }
}
