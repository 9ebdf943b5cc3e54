//! The status codes of close frames (RFC 6455 §7.4).

use core::fmt;

/// A status code of a close frame (RFC 6455 §7.4), with the names of the IANA registry.
///
/// ```
/// use sockless::close::Code;
///
/// assert_eq!(Code::new(1001), Code::AWAY);
/// assert_eq!(Code::AWAY.to_string(), "1001 (going away)");
/// assert!(Code::AWAY.is_sendable() && !Code::ABNORMAL.is_sendable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

impl Code {
    /// The code of this number, whatever it means.
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// A server goes down, or a browser leaves the page.
    pub const AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of data that cannot be accepted.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Stands for a close frame without a code; never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// Stands for an end without a close frame; never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// Data inconsistent with its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// A message that breaks a policy.
    pub const POLICY: Self = Self(1008);
    /// A message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// A client expected an extension that the server did not negotiate.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// An unexpected condition kept the server from going on.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The service restarts.
    pub const RESTART: Self = Self(1012);
    /// The service is overloaded: try again later.
    pub const TRY_LATER: Self = Self(1013);
    /// A gateway got an invalid response from its upstream.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// Stands for a failed TLS handshake; never on the wire.
    pub const TLS: Self = Self(1015);

    /// Whether the code may be on the wire: one of the registry's that is not kept for local use, or one of 3000 to
    /// 4999, which are for libraries and applications (RFC 6455 §7.4.2).
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// What the code means, in two or three words; empty where nobody has registered it.
    pub const fn name(self) -> &'static str {
        match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no status code",
            1006 => "abnormal closure",
            1007 => "invalid payload",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "mandatory extension",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            1015 => "TLS failure",
            3000..=3999 => "library",
            4000..=4999 => "application",
            _ => "",
        }
    }
}

impl From<u16> for Code {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<Code> for u16 {
    fn from(code: Code) -> Self {
        code.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "" => write!(f, "{}", self.0),
            name => write!(f, "{} ({name})", self.0),
        }
    }
}
