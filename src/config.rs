//! Every setting, its default, and the reason for it.

use crate::arc::Arc;
#[cfg(feature = "deflate")]
use crate::deflate::{Deflate, DeflateParams};
use crate::extensions::Extensions;
use crate::rates::Rates;
use crate::wire::code::Code;
#[cfg(feature = "deflate")]
use crate::wire::error::SendError;
use crate::wire::frame::RSV1;
use alloc::{borrow::Cow, vec::Vec};
use core::ops::Deref;
use core::time::Duration;

/// The settings of a connection, as plain fields.
///
/// A server makes one and gives each connection a clone of an [`Arc`] of it, so that it is held once. The defaults are
/// not held at all.
///
/// ```
/// use sockless::{Config, Connection};
/// use std::sync::Arc;
///
/// let mut config = Config::default();
/// config.limits.message = 64 * 1024;
/// let config = Arc::new(config);
/// let connection = Connection::server(config.clone());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bounds on what a peer may send.
    pub limits: Limits,
    /// Bounds on what waits to go out, and the shape it goes out in.
    pub outbound: Outbound,
    /// When to ping, and how long to wait for a peer.
    pub keepalive: Keepalive,
    /// How much a peer may send in a time.
    pub rates: Rates,
    /// Check that text is UTF-8 (RFC 6455 §8.1). Where it is off, text comes as
    /// [`Event::Unchecked`](crate::Event::Unchecked). On by default: the RFC asks for it.
    pub check_utf8: bool,
    /// Answer pings with pongs (§5.5.3). Where it is off, that is the caller's to do. On by default: it is easily
    /// forgotten, and the peer then hangs up.
    pub answer_pings: bool,
    /// Answer the peer's close frame with one of the same code (§5.5.1). Where it is off, [`Event::Close`](crate::Event::Close) is
    /// for the caller to answer, by [`close`](crate::Connection::close) with a code and a reason of its choice, in as much time as
    /// [`Keepalive::close`] gives; behind that the transport is closed without. On by default: a peer that gets no answer waits.
    pub answer_close: bool,
    /// Refuse a client's frames that are not masked (§5.1). On by default; off, both kinds are taken.
    pub require_masks: bool,
    /// The origins a server takes requests from (§10.2).
    pub origins: Origins,
    /// Whether clients reach the server over TLS, for [`Origins::SameHost`]: with `Some(true)` a page has to have come by
    /// `https`, with `Some(false)` by `http`. `None`, the default, where it is not known: either will do. An adapter that
    /// speaks TLS itself says so where this is `None`; behind a proxy that does, `Some(true)` is for you to say.
    pub secure: Option<bool>,
    /// Offer, or accept, compression (RFC 7692). Off by default: it costs memory and time, and a message that mixes a
    /// secret with what an attacker chose gives the secret away by its length.
    #[cfg(feature = "deflate")]
    pub deflate: Option<Deflate>,
    /// Extensions of the program's own, offered, or accepted, in this order behind compression.
    pub extensions: Extensions,
    /// Keep a tape of each connection that a [`Driver`](crate::Driver) drives, and hand it over if that fails. Off by default: what
    /// passes is copied for it. It is kept from the beginning or not at all; who is told may be another for a request, by
    /// [`Driver::reconfigure`](crate::Driver::reconfigure), and so may know which client it was.
    #[cfg(all(feature = "std", feature = "testing"))]
    pub tapes: Option<Tapes>,
}

/// Bounds on what a peer may send; they may be changed while a connection runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a message, after inflating; more is refused with 1009. Compressed, it may have twice as many on the wire
    /// and 64 KiB more. None has more than [`isize::MAX`], as no buffer has.
    pub message: usize,
    /// Bytes in the payload of one frame; more is refused with 1009.
    pub frame: usize,
    /// Frames in one message; more is refused with 1008.
    pub fragments: u32,
    /// Bytes in an HTTP head; more is refused with 431.
    pub head: usize,
    /// Header fields in an HTTP head, at most [`Limits::MOST_FIELDS`]; more is refused with 431.
    pub fields: usize,
}

impl Limits {
    /// 1 MiB: a chat, a game or a feed stays far below, and a thousand hostile peers cannot take more than 1 GiB.
    pub const MESSAGE: usize = 1 << 20;
    /// As for a whole message, so that nobody has to set both.
    pub const FRAME: usize = usize::MAX;
    /// 4,096 fragments: a message of 1 MiB in fragments of 256 bytes. Empty fragments cost no memory but time, which the
    /// bound on bytes does not see.
    pub const FRAGMENTS: u32 = 4_096;
    /// 16 KiB, twice what common HTTP servers take: room for large cookies.
    pub const HEAD: usize = 16 << 10;
    /// 100 fields; browsers send about 15.
    pub const FIELDS: usize = 100;
    /// No head has more fields than this, whatever [`Limits::fields`] says: it bounds a table on the stack.
    pub const MOST_FIELDS: usize = 256;
    /// What a compressed message may have on the wire beside twice its limit: room for the empty blocks that flushes and
    /// fragments end with, and that inflate to nothing.
    const BLOCKS: usize = 64 << 10;

    /// The most bytes that a message may have on the wire: what it inflates to is bounded where it inflates, and this
    /// bounds what that costs.
    #[inline(always)]
    pub(crate) const fn on_wire(&self, compressed: bool) -> usize {
        match compressed {
            true => self.message.saturating_mul(2).saturating_add(Self::BLOCKS),
            false => self.message,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: Self::MESSAGE,
            frame: Self::FRAME,
            fragments: Self::FRAGMENTS,
            head: Self::HEAD,
            fields: Self::FIELDS,
        }
    }
}

/// Bounds on what waits to go out, and the shape it goes out in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Bytes; while more wait, or more than `hard`, [`is_high`](crate::Connection::is_high) says so: whoever sends should wait, and a server whose
    /// handler answers from within reading does not read on.
    pub soft: usize,
    /// Bytes; while more wait, `send_*` says [`Full`](crate::SendError::Full). The most that can wait is this and one
    /// message.
    pub hard: usize,
    /// Bytes of capacity that the outbox keeps when everything has gone out.
    pub retain: usize,
    /// Bytes of payload; a longer message goes out in fragments of this size. 0: in one frame.
    pub fragment: usize,
}

impl Outbound {
    /// 64 KiB: a common read buffer's worth of echoes.
    pub const SOFT: usize = 64 << 10;
    /// 1 MiB, the size of the largest message that the peer may send by default.
    pub const HARD: usize = 1 << 20;
    /// Nothing: an idle connection holds no heap. A loop that lends an outbox, or that values an allocation more than
    /// memory, raises it.
    pub const RETAIN: usize = 0;
    /// One frame a message: it costs least.
    pub const FRAGMENT: usize = 0;
}

impl Default for Outbound {
    fn default() -> Self {
        Self { soft: Self::SOFT, hard: Self::HARD, retain: Self::RETAIN, fragment: Self::FRAGMENT }
    }
}

/// When to ping, and how long to wait for a peer. Nothing of it happens unless the driver calls
/// [`handle_timeout`](crate::Connection::handle_timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Time for the opening handshake, from the first call of `handle_timeout`.
    pub handshake: Option<Duration>,
    /// Silence of the peer after which it is sent a ping.
    pub ping: Option<Duration>,
    /// Time for the peer to send anything after that ping.
    pub pong: Option<Duration>,
    /// The code of the close frame that a peer is sent which has not answered a ping.
    pub pong_code: Code,
    /// Time for a message to come whole that has begun to come, from when the time is first told behind that, in seconds
    /// rounded up; more is refused with 1008. It bounds how long a peer may keep memory busy with a message that it does not finish.
    pub message: Option<Duration>,
    /// Time without a frame of the peer's other than pongs after which the connection ends.
    pub idle: Option<Duration>,
    /// Time for the closing handshake, and for the transport to end after it.
    pub close: Option<Duration>,
}

impl Keepalive {
    /// 10 s: several round trips on a poor mobile link, and short enough that half-open handshakes don't pile up.
    pub const HANDSHAKE: Option<Duration> = Some(Duration::from_secs(10));
    /// 20 s: below the 30 s after which the most impatient proxies and NATs forget a connection.
    pub const PING: Option<Duration> = Some(Duration::from_secs(20));
    /// 20 s: a peer that takes longer is gone, or of no use.
    pub const PONG: Option<Duration> = Some(Duration::from_secs(20));
    /// 1011, as most do: nothing that the peer has said is wrong.
    pub const PONG_CODE: Code = Code::INTERNAL_ERROR;
    /// Never: how long a message takes depends on its size and on the peer's network, which only you know.
    pub const MESSAGE: Option<Duration> = None;
    /// Never: a quiet peer that answers pings does no harm.
    pub const IDLE: Option<Duration> = None;
    /// 10 s, as for the opening.
    pub const CLOSE: Option<Duration> = Some(Duration::from_secs(10));
}

impl Default for Keepalive {
    fn default() -> Self {
        Config::DEFAULT.keepalive
    }
}

/// The origins a server takes requests from (RFC 6455 §10.2). A request without an `Origin`, as from a program, is
/// always taken: the header protects a browser's user, and only browsers can be trusted to send it.
///
/// A server that may be reached by names that are not its own lists its origins. [`SameHost`](Self::SameHost) compares the
/// page with the `Host` of the request, whatever that is: where an attacker lets a name of his point to this server's
/// address (DNS rebinding), his page and the `Host` agree. The page gets no cookies of yours by that, but it speaks to a
/// server of your network, or of the user's own machine, as if it were one of its pages; only [`List`](Self::List) keeps
/// it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Only an origin with the host and port of the request itself, and the scheme that [`Config::secure`] says. The
    /// default: without a check, any page that a user visits can speak to the server with that user's cookies.
    #[default]
    SameHost,
    /// Any origin.
    Any,
    /// These origins, each as a browser writes it, such as `https://example.com`; compared without case.
    List(Vec<Cow<'static, str>>),
}

impl Config {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self {
        limits: Limits {
            message: Limits::MESSAGE,
            frame: Limits::FRAME,
            fragments: Limits::FRAGMENTS,
            head: Limits::HEAD,
            fields: Limits::FIELDS,
        },
        outbound: Outbound {
            soft: Outbound::SOFT,
            hard: Outbound::HARD,
            retain: Outbound::RETAIN,
            fragment: Outbound::FRAGMENT,
        },
        keepalive: Keepalive {
            handshake: Keepalive::HANDSHAKE,
            ping: Keepalive::PING,
            pong: Keepalive::PONG,
            pong_code: Keepalive::PONG_CODE,
            message: Keepalive::MESSAGE,
            idle: Keepalive::IDLE,
            close: Keepalive::CLOSE,
        },
        rates: Rates::NONE,
        check_utf8: true,
        answer_pings: true,
        answer_close: true,
        require_masks: true,
        origins: Origins::SameHost,
        secure: None,
        #[cfg(feature = "deflate")]
        deflate: None,
        extensions: Extensions::NONE,
        #[cfg(all(feature = "std", feature = "testing"))]
        tapes: None,
    };
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the opening handshake agreed on, for both halves to keep.
///
/// After a handshake done elsewhere, it is made of its parameters, which must be in their range:
///
#[cfg_attr(feature = "deflate", doc = "```")]
#[cfg_attr(not(feature = "deflate"), doc = "```ignore")]
/// use sockless::{Config, Connection, DeflateParams, Negotiated, Role, Seed, SendError};
///
/// let params = DeflateParams { window_bits: 12, peer_window_bits: 15, takeover: false, peer_takeover: true };
/// let negotiated = Negotiated::try_from(params)?;
/// let server = Connection::open(Role::Server, negotiated, Config::default(), Seed::new([0; 16]));
/// assert_eq!(server.negotiated().deflate(), Some(params));
///
/// let no_window = DeflateParams { window_bits: 16, ..params };
/// assert_eq!(Negotiated::try_from(no_window), Err(SendError::WindowBits(16)));
/// # Ok::<(), SendError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// In range: whoever hands them in from outside goes through `try_from`.
    #[cfg(feature = "deflate")]
    pub(crate) deflate: Option<DeflateParams>,
}

impl Negotiated {
    /// The parameters of permessage-deflate (RFC 7692 §7.1), if messages may be compressed.
    #[cfg(feature = "deflate")]
    pub const fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }

    /// Whether messages may be compressed.
    #[inline]
    pub const fn is_compressed(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.deflate.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// The reserved bits that it gives a meaning to (RFC 7692 §6), as in [`Header::rsv`](crate::frame::Header::rsv).
    pub const fn bits(&self) -> u8 {
        if self.is_compressed() { RSV1 } else { 0 }
    }

    /// Whether a connection that agreed on this can pass on what the peer of one that agreed on `from` sends.
    pub(crate) fn carries(&self, from: &Self) -> bool {
        #[cfg(feature = "deflate")]
        return match (self.deflate, from.deflate) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(to), Some(from)) => to.window_bits >= from.peer_window_bits && (to.takeover || !from.peer_takeover),
        };
        #[cfg(not(feature = "deflate"))]
        {
            let _ = from;
            true
        }
    }
}

#[cfg(feature = "deflate")]
impl TryFrom<DeflateParams> for Negotiated {
    type Error = SendError;

    /// Fails with [`WindowBits`](SendError::WindowBits) for a window that no handshake can agree on (RFC 7692 §7.1.2).
    fn try_from(params: DeflateParams) -> Result<Self, SendError> {
        match [params.window_bits, params.peer_window_bits].into_iter().find(|bits| !(8..=15).contains(bits)) {
            None => Ok(Self { deflate: Some(params) }),
            Some(bits) => Err(SendError::WindowBits(bits)),
        }
    }
}

/// A [`Config`] that many connections share in one pointer; the defaults take no heap at all.
#[derive(Clone, Debug, Default)]
pub struct SharedConfig(Option<Arc<Config>>);

static DEFAULT: Config = Config::DEFAULT;

impl Deref for SharedConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        self.0.as_deref().unwrap_or(&DEFAULT)
    }
}

impl SharedConfig {
    /// This one's own copy of the settings, to change; the others that share them are left as they are.
    pub fn to_mut(&mut self) -> &mut Config {
        Arc::make_mut(self.0.get_or_insert_with(Arc::default))
    }

    /// Whether both are the same in memory.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl From<Arc<Config>> for SharedConfig {
    fn from(config: Arc<Config>) -> Self {
        Self(Some(config))
    }
}

impl From<Config> for SharedConfig {
    fn from(config: Config) -> Self {
        Self((config != DEFAULT).then(|| Arc::new(config)))
    }
}

#[cfg(all(feature = "std", feature = "testing"))]
pub(crate) use tapes::Failed;
#[cfg(all(feature = "std", feature = "testing"))]
pub use tapes::Tapes;

#[cfg(all(feature = "std", feature = "testing"))]
mod tapes {
    use super::{Config, Negotiated};
    use crate::message::Role;
    use crate::noted::Kept;
    use crate::wire::error::ProtocolError;
    use alloc::sync::Arc;
    use core::fmt;

    /// Who is given the tapes of connections that fail, and how much is kept for one.
    #[derive(Clone)]
    pub struct Tapes {
        pub(crate) most: usize,
        pub(crate) tell: Arc<dyn Fn(Failed<'_>) + Send + Sync>,
    }

    /// A connection that has failed, and what was kept of it.
    pub(crate) struct Failed<'a> {
        pub(crate) role: Role,
        pub(crate) config: &'a Config,
        pub(crate) negotiated: Negotiated,
        pub(crate) kept: Kept,
        pub(crate) error: ProtocolError,
    }

    /// Those are the same that were cloned from one.
    impl PartialEq for Tapes {
        fn eq(&self, other: &Self) -> bool {
            Arc::ptr_eq(&self.tell, &other.tell)
        }
    }

    impl Eq for Tapes {}

    impl fmt::Debug for Tapes {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Tapes").field("most", &self.most).finish_non_exhaustive()
        }
    }
}
