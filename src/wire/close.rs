//! Status codes and the payload of a close frame (RFC 6455 §5.5.1, §7.4).

use crate::wire::error::{ProtocolError, SendError};
use crate::wire::frame::ControlPayload;
use alloc::borrow::Cow;
use core::fmt;

/// A status code of a close frame (RFC 6455 §7.4), with the names of the IANA registry.
///
/// ```
/// use sockless::close::Code;
///
/// assert_eq!(Code::from(1001), Code::AWAY);
/// assert_eq!(Code::AWAY.to_string(), "1001 (going away)");
/// assert!(Code::AWAY.is_sendable() && !Code::ABNORMAL.is_sendable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

impl Code {
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

/// What a close frame says: a code, [`Code::NO_STATUS`] where there is none, and a reason of at most 123 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why the connection ends.
    pub code: Code,
    /// The same for a human reader; mostly empty.
    pub reason: Cow<'a, str>,
}

impl Close<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Close<'static> {
        Close { code: self.code, reason: Cow::Owned(self.reason.into_owned()) }
    }
}

/// Reads the payload of a close frame (RFC 6455 §5.5.1).
///
/// # Errors
/// [`ShortClose`](ProtocolError::ShortClose), [`CloseCode`](ProtocolError::CloseCode) or
/// [`InvalidUtf8`](ProtocolError::InvalidUtf8).
///
/// ```
/// use sockless::close;
///
/// let close = close::parse(b"\x03\xe8bye")?;
/// assert_eq!((close.code, &*close.reason), (close::Code::NORMAL, "bye"));
/// # Ok::<(), sockless::ProtocolError>(())
/// ```
pub fn parse(payload: &[u8]) -> Result<Close<'_>, ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok(Close { code: Code::NO_STATUS, reason: Cow::Borrowed("") }),
        [_] => return Err(ProtocolError::ShortClose),
        [high, low, reason @ ..] => (Code(u16::from_be_bytes([*high, *low])), reason),
    };
    if !code.is_sendable() {
        return Err(ProtocolError::CloseCode(code.0));
    }
    let reason = core::str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(Close { code, reason: Cow::Borrowed(reason) })
}

/// The payload of a close frame, to be sent: a big-endian code and a reason, or nothing for [`Code::NO_STATUS`].
///
/// # Errors
/// [`CloseCode`](SendError::CloseCode) for a code that must not be on the wire, and
/// [`LongControl`](SendError::LongControl) for a reason of more than 123 bytes, or one without a code.
pub fn payload(code: Code, reason: &str) -> Result<ControlPayload, SendError> {
    if code == Code::NO_STATUS {
        return if reason.is_empty() { Ok(ControlPayload::default()) } else { Err(SendError::LongControl) };
    }
    if !code.is_sendable() {
        return Err(SendError::CloseCode(code.0));
    }
    ControlPayload::concat(&code.0.to_be_bytes(), reason.as_bytes()).ok_or(SendError::LongControl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// RFC 6455 §7.4.1 and §7.4.2, and the IANA registry's 1012 to 1014, written out once more as ranges.
    fn on_the_wire(code: u16) -> bool {
        let reserved = [1004, 1005, 1006, 1015].contains(&code);
        (1000..1016).contains(&code) && !reserved || (3000..5000).contains(&code)
    }

    #[test]
    fn every_code_is_judged_alike_when_read_and_when_sent() {
        for number in 0..=u16::MAX {
            let read = parse(&number.to_be_bytes()).map(|close| u16::from(close.code));
            let sent = payload(Code(number), "");
            if on_the_wire(number) {
                assert_eq!(read, Ok(number));
                assert_eq!(sent.unwrap()[..], number.to_be_bytes());
            } else {
                assert_eq!(read, Err(ProtocolError::CloseCode(number)));
                match number {
                    1005 => assert!(sent.unwrap().is_empty()),
                    _ => assert_eq!(sent.unwrap_err(), SendError::CloseCode(number)),
                }
            }
        }
    }

    #[test]
    fn payloads_of_a_close_frame() {
        assert_eq!(parse(b"").unwrap().code, Code::NO_STATUS);
        assert_eq!(parse(b"\x03"), Err(ProtocolError::ShortClose));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(ProtocolError::InvalidUtf8));
        assert_eq!(parse(b"\x03\xe8\xc3\xa4").unwrap().reason, "\u{e4}");
        assert_eq!(payload(Code::NORMAL, &"x".repeat(123)).unwrap().len(), 125);
        assert_eq!(payload(Code::NORMAL, &"x".repeat(124)).unwrap_err(), SendError::LongControl);
        assert_eq!(payload(Code::NO_STATUS, "why").unwrap_err(), SendError::LongControl);
    }

    #[test]
    fn names() {
        for (code, text) in [
            (2, "2"),
            (1000, "1000 (normal closure)"),
            (1001, "1001 (going away)"),
            (1002, "1002 (protocol error)"),
            (1003, "1003 (unsupported data)"),
            (1004, "1004"),
            (1005, "1005 (no status code)"),
            (1006, "1006 (abnormal closure)"),
            (1007, "1007 (invalid payload)"),
            (1008, "1008 (policy violation)"),
            (1009, "1009 (message too big)"),
            (1010, "1010 (mandatory extension)"),
            (1011, "1011 (internal error)"),
            (1012, "1012 (service restart)"),
            (1013, "1013 (try again later)"),
            (1014, "1014 (bad gateway)"),
            (1015, "1015 (TLS failure)"),
            (1016, "1016"),
            (3000, "3000 (library)"),
            (4321, "4321 (application)"),
            (5000, "5000"),
        ] {
            assert_eq!(Code::from(code).to_string(), text);
        }
    }
}
