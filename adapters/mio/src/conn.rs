//! A connection as its handler sees it.

use crate::command::{Act, Audience, Cause, Id, Parcel, Sent};
use crate::entry::{Entry, Local};
use crate::handle::Handle;
use crate::handler::{Answer, is_valid};
use crate::mailbox::{Shared, Teller};
use crate::pool::Snapshot;
use sockless::bytes::Bytes;
use sockless::{Code, Counters, Kind, Limits, Message, Prepared, SendError, State};
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection, lent to its handler for the time of a call.
///
/// It never blocks. What is sent goes out soon after the call has returned, in the same turn of the loop, a long message
/// perhaps before; a send says whether it waits behind what the peer has not taken yet ([`Sent`]), or is refused
/// ([`SendError::Full`]).
///
/// With a pool of threads, a `Conn` is in another thread than its connection: what it is told is done soon after and in
/// order, and [`state`](Self::ready_state) and [`counters`](Self::counters) are as of the event that it is called for.
pub struct Conn<'a, S = ()> {
    link: Link<'a, S>,
}

enum Link<'a, S> {
    Loop(&'a mut Entry<S>, &'a mut Local<S>),
    Pool(Remote<'a, S>),
}

/// A connection of another thread.
pub(crate) struct Remote<'a, S> {
    pub(crate) id: Id,
    pub(crate) state: &'a mut S,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) shared: &'a Arc<Shared<S>>,
    /// What its handler was called for.
    pub(crate) cause: Cause,
}

impl<S> Remote<'_, S> {
    fn act(&self, act: Act<S>) -> Result<Sent, SendError> {
        match (&act, self.snapshot.ready_state) {
            (Act::Send(..) | Act::Close(..), State::Connecting) => Err(SendError::NotOpen),
            (Act::Send(..) | Act::Close(..), State::Closing | State::Closed) => Err(SendError::Closing),
            _ => self.shared.act(self.id, act, Teller::Pool),
        }
    }
}

/// What is known of a TLS session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version, such as `TLSv1_3`.
    pub version: Option<String>,
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// The protocol chosen by ALPN, such as `http/1.1`.
    pub protocol: Option<Vec<u8>>,
    /// The peer's certificates in DER, its own first, if it showed any.
    pub certificates: Vec<Vec<u8>>,
}

impl<'a, S> Conn<'a, S> {
    pub(crate) fn on_loop(entry: &'a mut Entry<S>, local: &'a mut Local<S>) -> Self {
        Self { link: Link::Loop(entry, local) }
    }

    pub(crate) fn in_pool(remote: Remote<'a, S>) -> Self {
        Self { link: Link::Pool(remote) }
    }
}

/// Sending. All but the fragments of a message go out whole.
impl<S> Conn<'_, S> {
    /// Sends a message; one that is owned is not copied.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<Sent, SendError> {
        let message = message.into();
        match message.is_borrowed() {
            true => self.lend(&message),
            false => self.parcel(Parcel::Shared(message.kind(), message.into_bytes())),
        }
    }

    #[inline]
    fn lend(&mut self, message: &Message<'_>) -> Result<Sent, SendError> {
        match &mut self.link {
            Link::Loop(entry, local) => entry.send(local, message),
            Link::Pool(remote) => {
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
        if matches!(self.link, Link::Pool(_)) && !is_valid(kind, &bytes) {
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
        match &mut self.link {
            Link::Loop(entry, local) => {
                entry.charge(local, parcel.deflated());
                let sent = parcel.send(&mut entry.connection);
                entry.outcome(local, sent)
            }
            Link::Pool(remote) => remote.act(Act::Send(parcel, remote.cause)),
        }
    }

    /// Starts the closing handshake: nothing new may be sent; what waits goes out first. The peer's messages still come,
    /// until its close frame does.
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said,
    /// [`NotOpen`](SendError::NotOpen) or [`Closing`](SendError::Closing).
    pub fn close(&mut self, code: Code, reason: &str) -> Result<(), SendError> {
        match &mut self.link {
            Link::Loop(entry, _) => entry.connection.close(code, reason),
            Link::Pool(remote) => {
                sockless::close::payload(code, reason)?;
                remote.act(Act::Close(code, reason.into())).map(|_| ())
            }
        }
    }

    /// Ends the connection without waiting for anything: what has not begun to go out is dropped.
    pub fn abort(&mut self, code: Code) {
        self.act(Act::Abort(code));
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
        self.act(Act::Limits(limits));
    }

    fn act(&mut self, act: Act<S>) {
        match &mut self.link {
            Link::Loop(entry, local) => entry.act(local, act),
            // Refused only if the connection is gone.
            Link::Pool(remote) => _ = remote.act(act),
        }
    }

    pub(crate) fn count_panic(&self) {
        match &self.link {
            Link::Loop(_, local) => local.shared.count_panic(),
            Link::Pool(remote) => remote.shared.count_panic(),
        }
    }

    pub(crate) fn answer(&mut self, answer: Answer) {
        self.act(Act::Answer(Box::new(answer)));
    }
}

/// Topics.
impl<S> Conn<'_, S> {
    /// Subscribes to a topic: a plain name, without wildcards.
    pub fn subscribe(&mut self, topic: &str) {
        self.act(Act::Subscribe(topic.into()));
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, topic: &str) {
        self.act(Act::Unsubscribe(topic.into()));
    }

    /// The topics that it has subscribed to. Unknown, and told as none, in a pool.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let names = match &self.link {
            Link::Loop(entry, local) => Some(local.topics.names(&entry.subscriptions)),
            Link::Pool(_) => None,
        };
        names.into_iter().flatten()
    }

    /// Sends to all others that have subscribed to a topic; one frame is shared by all. On this worker that follows the
    /// call of the handler, on others soon after. Peers that are too slow are passed over, and counted.
    pub fn publish(&mut self, topic: &str, message: &Prepared) {
        self.spread(Some(topic.into()), message);
    }

    /// Sends to all others.
    pub fn broadcast(&mut self, message: &Prepared) {
        self.spread(None, message);
    }

    fn spread(&mut self, topic: Option<Arc<str>>, message: &Prepared) {
        let audience = Audience { topic, except: Some(self.id()) };
        match &mut self.link {
            // What a worker that is far behind is not told, it counts neither.
            Link::Loop(_, local) => {
                _ = local.shared.publish(&audience, message, Some(local.worker), Teller::Loop);
                local.charge_for(&audience);
                if !local.deliveries.push(audience, message) {
                    local.stats.dropped += 1;
                }
            }
            Link::Pool(remote) => _ = remote.shared.publish(&audience, message, None, Teller::Pool),
        }
    }
}

/// What it is.
impl<S> Conn<'_, S> {
    /// The application's own.
    pub fn state(&self) -> &S {
        match &self.link {
            Link::Loop(entry, _) => entry.state(),
            Link::Pool(remote) => remote.state,
        }
    }

    /// The application's own.
    pub fn state_mut(&mut self) -> &mut S {
        match &mut self.link {
            Link::Loop(entry, _) => entry.state_mut(),
            Link::Pool(remote) => remote.state,
        }
    }

    /// Which connection it is.
    pub fn id(&self) -> Id {
        match &self.link {
            Link::Loop(entry, _) => entry.id,
            Link::Pool(remote) => remote.id,
        }
    }

    /// The peer's address; `None` for a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        match &self.link {
            Link::Loop(entry, _) => entry.peer,
            Link::Pool(remote) => remote.snapshot.peer,
        }
    }

    /// What TLS says of it, if it goes over TLS.
    pub fn tls(&self) -> Option<TlsInfo> {
        match &self.link {
            Link::Loop(entry, _) => entry.stream.tls().map(describe),
            Link::Pool(remote) => remote.snapshot.tls.clone(),
        }
    }

    /// The state, as RFC 6455 names it.
    pub fn ready_state(&self) -> State {
        match &self.link {
            Link::Loop(entry, _) => entry.connection.state(),
            Link::Pool(remote) => remote.snapshot.ready_state,
        }
    }

    /// What the connection has done so far.
    pub fn counters(&self) -> Counters {
        match &self.link {
            Link::Loop(entry, _) => entry.connection.counters(),
            Link::Pool(remote) => remote.snapshot.counters,
        }
    }

    /// Bytes that wait for the peer.
    pub fn queued(&self) -> usize {
        match &self.link {
            Link::Loop(entry, _) => entry.queued(),
            Link::Pool(remote) => remote.shared.mailboxes[usize::from(remote.id.worker)].queued(remote.id).unwrap_or(0),
        }
    }

    /// Speaks to the server from anywhere.
    pub fn handle(&self) -> Handle<S> {
        let shared = match &self.link {
            Link::Loop(_, local) => &local.shared,
            Link::Pool(remote) => remote.shared,
        };
        Handle { shared: shared.clone() }
    }
}

pub(crate) fn describe(tls: &rustls::Connection) -> TlsInfo {
    let certificates = tls.peer_certificates().unwrap_or_default();
    TlsInfo {
        version: tls.protocol_version().and_then(|version| version.as_str()).map(str::to_owned),
        server_name: match tls {
            rustls::Connection::Server(tls) => tls.server_name().map(str::to_owned),
            rustls::Connection::Client(_) => None,
        },
        protocol: tls.alpn_protocol().map(<[u8]>::to_vec),
        certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
    }
}
