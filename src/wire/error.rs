//! The three kinds of error, told apart by who is to blame.

use crate::wire::code::Code;
use core::fmt;
use thiserror::Error;

/// A number for an error to say: what is larger is said to be the largest. An error of 64-bit numbers would cost each message
/// three hundredths of its instructions, for it is a part of every result on the way.
pub(crate) fn said(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

/// What the peer, or the network between, did wrong; it ends the connection.
///
/// Lengths and limits in it are bytes, and from 4 GiB on [`u32::MAX`].
///
/// The close frame that [`close_code`](Self::close_code) names is already outbound when a caller sees the error
/// (RFC 6455 §7.1.7): flush it, then close the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An opcode that RFC 6455 §5.2 reserves.
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A reserved bit that no negotiated extension gives a meaning (§5.2), as the three bits RSV1 to RSV3.
    #[error("reserved bits {0:#05b} without an extension that defines them")]
    ReservedBits(u8),
    /// A control frame without FIN (§5.5).
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A control frame with more than 125 bytes of payload (§5.5).
    #[error("control frame longer than 125 bytes")]
    LongControl,
    /// A payload length that did not use the shortest form (§5.2).
    #[error("payload length not in its shortest form")]
    NonMinimalLength,
    /// A 64-bit payload length with its top bit set (§5.2).
    #[error("payload length with its top bit set")]
    LengthTopBit,
    /// A client's frame without a mask (§5.1).
    #[error("unmasked frame from a client")]
    Unmasked,
    /// A server's frame with a mask (§5.1).
    #[error("masked frame from a server")]
    Masked,
    /// A continuation frame with no message to continue (§5.4).
    #[error("continuation frame outside a fragmented message")]
    UnexpectedContinuation,
    /// A new message before the last fragment of the one under way (§5.4).
    #[error("new message inside a fragmented message")]
    InterleavedMessage,
    /// Text, or a close reason, that is not UTF-8 (§8.1).
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// Data that an extension of the program's own refused, with the close code that it gave (RFC 6455 §9).
    #[error("refused by an extension, with {0}")]
    Extension(Code),
    /// Compressed data that does not inflate (RFC 7692 §7.2.2).
    #[error("corrupt compressed data")]
    CorruptDeflate,
    /// A frame longer than [`Limits::frame`](crate::Limits::frame).
    #[error("frame of {len} bytes, longer than the limit of {limit}")]
    FrameTooLong {
        /// Bytes of payload that its header announces.
        len: u32,
        /// The limit, in bytes.
        limit: u32,
    },
    /// A message longer than [`Limits::message`](crate::Limits::message).
    #[error("message of {len} bytes or more, longer than the limit of {limit}")]
    MessageTooLong {
        /// Bytes that its frames have announced by then; of a compressed one, those that it has been inflated to.
        len: u32,
        /// The limit, in bytes.
        limit: u32,
    },
    /// A message in more frames than [`Limits::fragments`](crate::Limits::fragments).
    #[error("message in more than {limit} fragments")]
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
    /// A close frame with a payload of one byte (§5.5.1).
    #[error("close frame with half a status code")]
    ShortClose,
    /// A close code that must not be on the wire (§7.4).
    #[error("close code {0} is not allowed on the wire")]
    CloseCode(u16),
    /// The transport ended before the closing handshake did (§7.1.5, the code 1006 that is never sent).
    #[error("transport ended without a closing handshake")]
    UnexpectedEof,
    /// Nothing came in answer to a keepalive ping in time.
    #[error("no answer to a ping in time")]
    PongTimeout,
    /// The peer has said nothing but pongs for as long as [`Keepalive::idle`](crate::Keepalive::idle) allows.
    #[error("idle for too long")]
    IdleTimeout,
    /// A message that had begun did not come whole in the time of [`Keepalive::message`](crate::Keepalive::message).
    #[error("message not finished in time")]
    MessageTimeout,
    /// The peer sends more than [`Config::rates`](crate::Config::rates) allow, which are to be kept by
    /// [`Excess::Close`](crate::Excess::Close).
    #[error("more sent than the rate allows")]
    RateExceeded,
    /// The peer did not finish the closing handshake in time.
    #[error("closing handshake not finished in time")]
    CloseTimeout,
    /// The opening handshake failed.
    #[error("opening handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
}

impl ProtocolError {
    /// The status code of the close frame this error sends, if it sends one (RFC 6455 §7.4.1); for a pong that is missing, the one
    /// that [`Keepalive::pong_code`](crate::Keepalive::pong_code) has by default.
    ///
    /// `None` for an opening handshake, which is answered by an HTTP status, and where nobody is left to read one.
    pub const fn close_code(&self) -> Option<Code> {
        match self {
            Self::InvalidUtf8 | Self::CorruptDeflate => Some(Code::INVALID_PAYLOAD),
            Self::FrameTooLong { .. } | Self::MessageTooLong { .. } => Some(Code::TOO_BIG),
            Self::TooManyFragments { .. } | Self::MessageTimeout | Self::RateExceeded => Some(Code::POLICY),
            Self::PongTimeout => Some(Code::INTERNAL_ERROR),
            Self::IdleTimeout => Some(Code::AWAY),
            Self::Extension(code) if code.is_sendable() => Some(*code),
            Self::UnexpectedEof | Self::CloseTimeout | Self::Handshake(_) => None,
            _ => Some(Code::PROTOCOL_ERROR),
        }
    }

    /// Where the rule stands that the peer broke; `None` for what broke a limit or a deadline of this end's own.
    ///
    /// ```
    /// assert_eq!(sockless::ProtocolError::LongControl.section(), Some("RFC 6455 §5.5"));
    /// ```
    pub const fn section(&self) -> Option<&'static str> {
        Some(match self {
            Self::ReservedOpcode(_) | Self::ReservedBits(_) | Self::NonMinimalLength | Self::LengthTopBit => {
                "RFC 6455 §5.2"
            }
            Self::FragmentedControl | Self::LongControl => "RFC 6455 §5.5",
            Self::Unmasked | Self::Masked => "RFC 6455 §5.1",
            Self::UnexpectedContinuation | Self::InterleavedMessage => "RFC 6455 §5.4",
            Self::InvalidUtf8 => "RFC 6455 §8.1",
            Self::CorruptDeflate => "RFC 7692 §7.2.2",
            Self::Extension(_) => "RFC 6455 §9",
            Self::ShortClose => "RFC 6455 §5.5.1",
            Self::CloseCode(_) => "RFC 6455 §7.4",
            Self::UnexpectedEof => "RFC 6455 §7.1.5",
            Self::Handshake(error) => return error.section(),
            Self::FrameTooLong { .. }
            | Self::MessageTooLong { .. }
            | Self::TooManyFragments { .. }
            | Self::PongTimeout
            | Self::IdleTimeout
            | Self::MessageTimeout
            | Self::RateExceeded
            | Self::CloseTimeout => return None,
        })
    }
}

/// What the caller did wrong; the connection is as it was before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// More than [`Outbound::hard`](crate::Outbound::hard) bytes wait to go out; try again when some have gone.
    #[error("too much waits to go out")]
    Full,
    /// The opening handshake is not done.
    #[error("connection is not open")]
    NotOpen,
    /// The request was answered already, or nothing has been asked.
    #[error("no request waits for an answer")]
    NoRequest,
    /// A close frame was sent or received, or the connection failed: nothing more may be sent (RFC 6455 §5.5.1).
    #[error("connection is closing")]
    Closing,
    /// A message in fragments is under way, and nothing but its next fragment may be sent (§5.4).
    #[error("a fragmented message is under way")]
    FragmentUnderWay,
    /// A window of so many bits, which no handshake agrees on: they are 8 to 15 (RFC 7692 §7.1.2).
    #[error("window of {0} bits")]
    WindowBits(u8),
    /// Messages to be relayed that may be compressed as was not agreed on with their receiver (RFC 7692 §6, §7.1), or that
    /// go through extensions of a program's own; or a message that such an extension refused, which ends the connection.
    #[error("extensions do not allow it")]
    Extension,
    /// Text that is not UTF-8 (§5.6).
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// A ping or pong with more than 125 bytes, or a close reason with more than 123 (§5.5).
    #[error("control frame payload too long")]
    LongControl,
    /// A close code that must not be sent (§7.4).
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// A URL that is not an absolute `ws://` or `wss://` URL without a fragment (§3), by this part of it.
    #[error("not a WebSocket URL: {0}")]
    Url(UrlError),
    /// A method, header or other part of a head with a byte that HTTP does not allow there, CR, LF and NUL above all.
    #[error("byte not allowed in an HTTP head")]
    Head,
    /// A header that the handshake itself writes, such as `Sec-WebSocket-Accept`.
    #[error("header that the handshake itself writes")]
    ReservedHeader,
    /// A status that cannot refuse a request: 1xx and anything outside 200 to 599.
    #[error("status {0} cannot refuse a request")]
    Status(u16),
    /// A subprotocol that the client did not offer (§4.2.2).
    #[error("subprotocol that was not offered")]
    Subprotocol,
    /// The request cannot be accepted, for this reason; it can only be refused (§4.2.1).
    #[error("request cannot be accepted: {0}")]
    Unacceptable(HandshakeError),
}

impl SendError {
    /// Whether the connection is closing, so that nothing more can be sent: it is nobody's mistake, for the peer may close at any
    /// time.
    pub const fn is_closing(&self) -> bool {
        matches!(self, Self::Closing)
    }
}

/// Which part of a URL is wrong (RFC 6455 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is no URL (RFC 3986), or has control characters.
    #[error("it does not parse, or has control characters")]
    Syntax,
    /// The scheme is neither `ws` nor `wss`.
    #[error("its scheme is neither ws nor wss")]
    Scheme,
    /// The user or the password cannot be sent: a user with a colon, say (RFC 7617 §2).
    #[error("its user or password cannot be sent")]
    User,
    /// There is no host.
    #[error("it has no host")]
    Host,
    /// The host has letters outside ASCII that no name can have (UTS 46), or the feature `idn` is not there.
    #[error("its host is no name, or in letters that need the feature idn")]
    Name,
    /// The port is no number up to 65535.
    #[error("its port is no number up to 65535")]
    Port,
    /// There is a fragment, which a WebSocket's URL has not.
    #[error("it has a fragment")]
    Fragment,
}

/// Why a relay stopped: the connection it reads from, or the one it writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RelayError {
    /// The connection that is read has failed.
    #[error(transparent)]
    Peer(#[from] ProtocolError),
    /// The connection that is written takes nothing, for now or for good; no input was lost.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Why an opening handshake failed (RFC 6455 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The head is not HTTP/1.1 as RFC 9112 has it: a bare LF, a folded line, a NUL, a bad token.
    #[error("malformed HTTP head")]
    Malformed,
    /// The head is longer than [`Limits::head`](crate::Limits::head).
    #[error("HTTP head longer than the limit of {limit} bytes")]
    HeadTooLong {
        /// The limit, in bytes.
        limit: u32,
    },
    /// The head has more fields than [`Limits::fields`](crate::Limits::fields).
    #[error("HTTP head with more than {limit} fields")]
    TooManyFields {
        /// The limit.
        limit: u32,
    },
    /// The request has a body, or a `Content-Length` or `Transfer-Encoding` that may announce one (RFC 9112 §6).
    #[error("request with a body")]
    Body,
    /// The request is HTTP, but asks for no WebSocket (§4.2.1).
    #[error("request for something else than a WebSocket")]
    NotUpgrade,
    /// The request's method is not GET (§4.2.1).
    #[error("method is not GET")]
    Method,
    /// The HTTP version is older than 1.1 (§4.2.1).
    #[error("HTTP version older than 1.1")]
    HttpVersion,
    /// There is not exactly one `Host` (§4.2.1; RFC 9112 §3.2).
    #[error("not exactly one Host")]
    Host,
    /// `Sec-WebSocket-Key` is not one base64 form of 16 bytes (§4.2.1).
    #[error("bad Sec-WebSocket-Key")]
    Key,
    /// `Sec-WebSocket-Version` is not 13 (§4.4).
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
    /// `Sec-WebSocket-Protocol` breaks its grammar (§11.3.4), or names what was not offered.
    #[error("bad Sec-WebSocket-Protocol")]
    Subprotocol,
    /// `Sec-WebSocket-Extensions` breaks its grammar (§9.1), or names what was not offered.
    #[error("bad Sec-WebSocket-Extensions")]
    Extensions,
    /// A parameter of permessage-deflate that the server's answer has as the offer does not allow, or does not have although
    /// it was asked for (RFC 7692 §7.1).
    #[error("permessage-deflate not answered as it was offered: {0}")]
    Parameter(DeflateParameter),
    /// The origin is not one that [`Origins`](crate::Origins) allows (§10.2).
    #[error("origin not allowed")]
    Origin,
    /// What trusted proxies say of the client (`Forwarded`, `X-Forwarded-For`, `X-Forwarded-Proto`) cannot be read, or contradicts
    /// itself.
    #[error("forwarding headers that contradict each other, or cannot be read")]
    Forwarded,
    /// The response's `Upgrade` or `Connection` does not say that it switched to WebSocket (§4.1).
    #[error("response does not upgrade to WebSocket")]
    Upgrade,
    /// `Sec-WebSocket-Accept` does not answer the key that was sent (§4.1).
    #[error("bad Sec-WebSocket-Accept")]
    Accept,
    /// The handshake did not finish in time.
    #[error("not finished in time")]
    Timeout,
    /// The transport ended before the handshake did.
    #[error("transport ended")]
    UnexpectedEof,
}

/// A parameter of permessage-deflate (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeflateParameter {
    /// `server_no_context_takeover`
    ServerNoContextTakeover,
    /// `client_no_context_takeover`
    ClientNoContextTakeover,
    /// `server_max_window_bits`
    ServerMaxWindowBits,
    /// `client_max_window_bits`
    ClientMaxWindowBits,
}

impl DeflateParameter {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ServerNoContextTakeover,
        Self::ClientNoContextTakeover,
        Self::ServerMaxWindowBits,
        Self::ClientMaxWindowBits,
    ];

    /// The name, as it stands in `Sec-WebSocket-Extensions`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerNoContextTakeover => "server_no_context_takeover",
            Self::ClientNoContextTakeover => "client_no_context_takeover",
            Self::ServerMaxWindowBits => "server_max_window_bits",
            Self::ClientMaxWindowBits => "client_max_window_bits",
        }
    }
}

impl fmt::Display for DeflateParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl HandshakeError {
    /// The HTTP status a server answers this with; `None` for what only a client finds, and where nobody is left to
    /// read it.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Malformed
            | Self::Body
            | Self::Host
            | Self::Key
            | Self::Subprotocol
            | Self::Extensions
            | Self::Forwarded => Some(400),
            Self::Origin => Some(403),
            Self::Method => Some(405),
            Self::Timeout => Some(408),
            Self::NotUpgrade | Self::Version => Some(426),
            Self::HeadTooLong { .. } | Self::TooManyFields { .. } => Some(431),
            Self::HttpVersion => Some(505),
            Self::Upgrade | Self::Accept | Self::Parameter(_) | Self::UnexpectedEof => None,
        }
    }

    /// Where the rule stands that was broken; `None` for a limit, a deadline or an end.
    pub const fn section(&self) -> Option<&'static str> {
        Some(match self {
            Self::Malformed => "RFC 9112 §2.2",
            Self::Body => "RFC 9112 §6",
            Self::NotUpgrade | Self::Method | Self::HttpVersion | Self::Host | Self::Key => "RFC 6455 §4.2.1",
            Self::Version => "RFC 6455 §4.4",
            Self::Subprotocol => "RFC 6455 §11.3.4",
            Self::Extensions => "RFC 6455 §9.1",
            Self::Parameter(_) => "RFC 7692 §7.1",
            Self::Origin => "RFC 6455 §10.2",
            Self::Upgrade | Self::Accept => "RFC 6455 §4.1",
            Self::HeadTooLong { .. }
            | Self::TooManyFields { .. }
            | Self::Forwarded
            | Self::Timeout
            | Self::UnexpectedEof => return None,
        })
    }
}
