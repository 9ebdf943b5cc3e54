//! A connection as its handler sees it.

mod timers;
mod topics;
mod writer;

use crate::command::{Act, ENTRY, Id, Parcel, Sent, Tasks, Ticket, is_valid};
use crate::routed::Parts;
use crate::session::{Job, Lent};
use crate::transport::TlsInfo;
use sockless::bytes::Bytes;
use sockless::{Answer, Change, Code, Counters, Keepalive, Kind, Limits, Message, Prepared, Rates, SendError, State};
use std::net::SocketAddr;
use std::sync::Arc;

pub use writer::Writer;

/// A connection, lent to its handler for the time of a call.
///
/// It never blocks. What is sent goes out soon after the call has returned, in the same turn of the loop, a long message
/// perhaps before; a send says whether it waits behind what the peer has not taken yet ([`Sent`]), or is refused
/// ([`SendError::Full`]).
///
/// With a pool of threads, a `Conn` is in another thread than its connection: what it is told is done soon after and in
/// order, and [`state`](Self::ready_state) and [`counters`](Self::counters) are as of the event that it is called for.
pub struct Conn<'a, S = ()> {
    pub(crate) lent: Lent<'a, S, Task<S>>,
}

impl<'a, S> Conn<'a, S> {
    #[inline]
    pub(crate) fn new(lent: Lent<'a, S, Task<S>>) -> Self {
        Self { lent }
    }
}

/// Sending. All but the fragments of a message go out whole.
impl<S> Conn<'_, S> {
    /// Sends a message; a long one that is owned is not copied.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<Sent, SendError> {
        let message = message.into();
        match &mut self.lent {
            Lent::Here(here) if message.is_borrowed() => here.send(&message),
            Lent::Here(here) => here.send_own(message),
            Lent::Remote(_) => self.parcel(Parcel::Shared(message.kind(), message.into_bytes())),
        }
    }

    #[inline]
    fn lend(&mut self, message: &Message<'_>) -> Result<Sent, SendError> {
        match &mut self.lent {
            Lent::Here(here) => here.send(message),
            Lent::Remote(remote) => {
                let bytes = Bytes::copy_from_slice(message.as_bytes());
                remote.act(Act::Send(Parcel::Shared(message.kind(), bytes), remote.cause))
            }
        }
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`Full`](SendError::Full) if the peer is too slow: more than [`Outbound::hard`](sockless::Outbound::hard) bytes
    /// wait for it. [`Closing`](SendError::Closing) or [`NotOpen`](SendError::NotOpen) for good,
    /// [`FragmentUnderWay`](SendError::FragmentUnderWay) for now.
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<Sent, SendError> {
        self.lend(&text.into())
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<Sent, SendError> {
        self.lend(&bytes.into())
    }

    /// Sends a fragment of a message (RFC 6455 §5.4), which begins with the first and ends with the `last`; all are of one
    /// `kind`. Text may be cut anywhere.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and [`InvalidUtf8`](SendError::InvalidUtf8), which a pool finds too late to
    /// tell.
    pub fn send_fragment(&mut self, kind: Kind, bytes: &[u8], last: bool) -> Result<Sent, SendError> {
        self.parcel(Parcel::Fragment(kind, Bytes::copy_from_slice(bytes), last))
    }

    /// Sends a message without copying it.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and [`InvalidUtf8`](SendError::InvalidUtf8).
    pub fn send_shared(&mut self, kind: Kind, bytes: Bytes) -> Result<Sent, SendError> {
        if matches!(self.lent, Lent::Remote(_)) && !is_valid(kind, &bytes) {
            return Err(SendError::InvalidUtf8);
        }
        self.parcel(Parcel::Shared(kind, bytes))
    }

    /// Sends a message that was framed before.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<Sent, SendError> {
        self.parcel(Parcel::Prepared(message.clone()))
    }

    /// Sends a ping of at most 125 bytes, ahead of the messages that wait.
    ///
    /// # Errors
    /// [`LongControl`](SendError::LongControl), and as [`send_text`](Self::send_text).
    pub fn ping(&mut self, payload: &[u8]) -> Result<Sent, SendError> {
        self.control(Parcel::Ping, payload)
    }

    /// Sends a pong that answers nothing, or one of the application's own.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<Sent, SendError> {
        self.control(Parcel::Pong, payload)
    }

    fn control(&mut self, parcel: fn(Bytes) -> Parcel, payload: &[u8]) -> Result<Sent, SendError> {
        if sockless::frame::ControlPayload::new(payload).is_none() {
            return Err(SendError::LongControl);
        }
        self.parcel(parcel(Bytes::copy_from_slice(payload)))
    }

    fn parcel(&mut self, parcel: Parcel) -> Result<Sent, SendError> {
        match &mut self.lent {
            Lent::Here(here) => here.send_parcel(parcel),
            Lent::Remote(remote) => remote.act(Act::Send(parcel, remote.cause)),
        }
    }

    /// Starts the closing handshake: nothing new may be sent; what waits goes out first. The peer's messages still come,
    /// until its close frame does.
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said,
    /// [`NotOpen`](SendError::NotOpen) or [`Closing`](SendError::Closing).
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        match &mut self.lent {
            Lent::Here(here) => here.turn.close(code, reason),
            Lent::Remote(remote) => {
                let code = code.into();
                sockless::close::payload(code, reason)?;
                remote.act(Act::Close(code, reason.into())).map(|_| ())
            }
        }
    }

    /// Ends the connection without waiting for anything: what has not begun to go out is dropped.
    pub fn abort(&mut self, code: impl Into<Code>) {
        self.act(Act::Abort(code.into()));
    }
}

/// Reading.
impl<S> Conn<'_, S> {
    /// Stops reading from the peer, until [`resume`](Self::resume). What was read already waits too. No keepalive and no
    /// other deadline counts meanwhile.
    ///
    /// Closing or aborting ends the pause: the peer's end has to be heard. When the peer hangs up, what it has sent waits
    /// for as long as a closing handshake may take ([`Keepalive::close`](sockless::Keepalive::close); 10 s if that is
    /// never); then it is dropped, and the connection has ended.
    pub fn pause(&mut self) {
        self.act(Act::Pause);
    }

    /// Goes on reading.
    pub fn resume(&mut self) {
        self.act(Act::Resume);
    }

    /// Changes what the peer may send, from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.act(Act::Change(Box::new(Change::Limits(limits))));
    }

    /// Changes how much the peer may send in a time; see [`Config::rates`](sockless::Config::rates).
    pub fn set_rates(&mut self, rates: Rates) {
        self.act(Act::Change(Box::new(Change::Rates(rates))));
    }

    /// Changes when the peer is pinged, and how long it is waited for; it counts from what has happened already.
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.act(Act::Change(Box::new(Change::Keepalive(keepalive))));
    }

    /// Has the messages that begin from now on come in pieces, as they arrive, to [`on_piece`](crate::Handler::on_piece) in the
    /// place of [`on_message`](crate::Handler::on_message), or whole again: for messages of any size in constant memory. Of use
    /// mostly in [`on_request`](crate::Handler::on_request).
    pub fn take_pieces(&mut self, pieces: bool) {
        self.act(Act::Parts(if pieces { Parts::Pieces } else { Parts::Whole }));
    }

    /// The same, but each piece is a whole frame as the peer sent it, and messages in fragments are not joined. A frame is as long as
    /// [`Limits::frame`](sockless::Limits::frame) allows.
    pub fn take_frames(&mut self, frames: bool) {
        self.act(Act::Parts(if frames { Parts::Frames } else { Parts::Whole }));
    }

    fn act(&mut self, act: Act<Task<S>>) {
        match &mut self.lent {
            Lent::Here(here) => here.act(act),
            // Refused only if the connection is gone.
            Lent::Remote(remote) => _ = remote.act(act),
        }
    }

    pub(crate) fn count_panic(&self) {
        match &self.lent {
            Lent::Here(here) => here.local.shared.count_panic(),
            Lent::Remote(remote) => remote.shared.count_panic(),
        }
    }

    pub(crate) fn answer(&mut self, answer: Answer) {
        self.act(Act::Answer(Box::new(answer)));
    }
}

/// What it is.
impl<S> Conn<'_, S> {
    /// The application's own.
    pub fn state(&self) -> &S {
        match &self.lent {
            Lent::Here(here) => here.seat.state(),
            Lent::Remote(remote) => remote.state,
        }
    }

    /// The application's own.
    pub fn state_mut(&mut self) -> &mut S {
        match &mut self.lent {
            Lent::Here(here) => here.seat.state_mut(),
            Lent::Remote(remote) => remote.state,
        }
    }

    /// Of the handler that it is for, if there are several.
    pub(crate) fn route(&self) -> u16 {
        match &self.lent {
            Lent::Here(here) => here.seat.route,
            Lent::Remote(remote) => remote.snapshot.route,
        }
    }

    /// Which connection it is.
    pub fn id(&self) -> Id {
        match &self.lent {
            Lent::Here(here) => here.seat.id,
            Lent::Remote(remote) => remote.id,
        }
    }

    /// The peer's address; `None` for a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        match &self.lent {
            Lent::Here(here) => here.seat.peer,
            Lent::Remote(remote) => remote.snapshot.peer,
        }
    }

    /// What TLS says of it, if it goes over TLS.
    pub fn tls(&self) -> Option<TlsInfo> {
        match &self.lent {
            Lent::Here(here) => here.transport.tls(),
            Lent::Remote(remote) => remote.snapshot.tls.clone(),
        }
    }

    /// The state, as RFC 6455 names it.
    pub fn ready_state(&self) -> State {
        match &self.lent {
            Lent::Here(here) => here.turn.state(),
            Lent::Remote(remote) => remote.snapshot.ready_state,
        }
    }

    /// What the connection has done so far.
    pub fn counters(&self) -> Counters {
        match &self.lent {
            Lent::Here(here) => here.turn.counters(),
            Lent::Remote(remote) => remote.snapshot.counters,
        }
    }

    /// Bytes that wait for the peer.
    pub fn queued(&self) -> usize {
        match &self.lent {
            Lent::Here(here) => here.turn.queued(),
            Lent::Remote(remote) => {
                remote.shared.mailboxes[usize::from(remote.id.worker)].queued(remote.id).unwrap_or(0)
            }
        }
    }
}

/// What a call takes that waits, be it in the pool in the end, in bytes.
const WAITING: usize = ENTRY + 2 * size_of::<Job<()>>();

type OnceTask<S> = dyn FnOnce(&mut Conn<'_, S>) + Send;
type EachTask<S> = dyn Fn(&mut Conn<'_, S>) + Send + Sync;

/// A call of the application's own for a connection.
pub(crate) enum Task<S> {
    Once(Box<OnceTask<S>>, Ticket),
    Each(Arc<Each<S>>),
}

impl<S> Task<S> {
    /// One that is called once.
    ///
    /// # Errors
    /// [`Full`](SendError::Full) if too many wait.
    pub(crate) fn once<F: FnOnce(&mut Conn<'_, S>) + Send + 'static>(
        task: F,
        tasks: &Arc<Tasks>,
    ) -> Result<Self, SendError> {
        Ok(Self::Once(Box::new(task), tasks.admit(WAITING + size_of::<F>())?))
    }

    /// One that is called about so many times, and what follows the last.
    ///
    /// # Errors
    /// [`Full`](SendError::Full) if too many wait.
    pub(crate) fn each<E, F>(task: E, finish: F, calls: usize, tasks: &Arc<Tasks>) -> Result<Self, SendError>
    where
        E: Fn(&mut Conn<'_, S>) + Send + Sync + 'static,
        F: FnOnce() + Send + Sync + 'static,
    {
        let ticket = tasks.admit(calls.saturating_mul(WAITING) + size_of::<E>() + size_of::<F>())?;
        Ok(Self::Each(Arc::new(Each { task: Box::new(task), finish: Some(Box::new(finish)), _ticket: ticket })))
    }

    /// The same for another connection; `None` of one that is called once.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Once(..) => None,
            Self::Each(each) => Some(Self::Each(each.clone())),
        }
    }

    pub(crate) fn run(self, conn: &mut Conn<'_, S>) {
        match self {
            Self::Once(task, _ticket) => task(conn),
            Self::Each(each) => (each.task)(conn),
        }
    }
}

/// A call for all connections, and what follows the last of them.
pub(crate) struct Each<S> {
    task: Box<EachTask<S>>,
    finish: Option<Box<dyn FnOnce() + Send + Sync>>,
    _ticket: Ticket,
}

/// The last who holds it has done its part.
impl<S> Drop for Each<S> {
    fn drop(&mut self) {
        if let Some(finish) = self.finish.take() {
            finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{MOST, Mailbox, Shared, Teller};
    use std::hint::black_box;
    use std::sync::OnceLock;

    #[test]
    fn tasks_are_bounded_until_they_are_called() {
        const ID: Id = Id { worker: 0, key: 0, generation: 0 };
        let mailbox = Mailbox::new(None);
        mailbox.open(0);
        let shared = Shared::<Task<()>>::new([mailbox].into(), 1 << 20, OnceLock::new(), false);
        let large = [0_u8; 1000];
        let run = || {
            let task = Task::once(move |_: &mut Conn<'_>| _ = black_box(large), &shared.tasks)?;
            shared.act(ID, Act::Run(task), Teller::Other)
        };
        let most = (0..).find(|_| run().is_err()).unwrap();
        assert!(most < MOST / 1000, "{most}");
        let mut commands = Vec::new();
        shared.mailboxes[0].take(&mut commands);
        assert_eq!(commands.len(), most);
        assert_eq!(run(), Err(SendError::Full), "they are in the pool, perhaps");
        drop(commands);
        assert_eq!(run(), Ok(Sent::Now));
    }
}
