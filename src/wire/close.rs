//! The payload of a close frame (RFC 6455 §5.5.1).

use crate::wire::error::{ProtocolError, SendError};
use crate::wire::frame::ControlPayload;
use alloc::borrow::Cow;

pub use crate::wire::code::Code;

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
        [high, low, reason @ ..] => (Code::new(u16::from_be_bytes([*high, *low])), reason),
    };
    if !code.is_sendable() {
        return Err(ProtocolError::CloseCode(code.into()));
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
        return Err(SendError::CloseCode(code.into()));
    }
    ControlPayload::concat(&u16::from(code).to_be_bytes(), reason.as_bytes()).ok_or(SendError::LongControl)
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
            let sent = payload(Code::new(number), "");
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
