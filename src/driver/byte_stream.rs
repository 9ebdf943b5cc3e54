//! What a stream of bytes over binary messages goes by, whoever reads and writes it.

use super::Error;
use crate::message::Kind;
use crate::wire::close::{Close, Code};
use std::boxed::Box;
use std::io::{self, ErrorKind};

/// Bytes of one message, at most: what is written at once goes in several messages where it is more. So no limit of the peer's
/// stands in the way, and what it sends in between is not kept waiting.
pub const MOST: usize = 64 << 10;

/// The code to close with where [`check`] has an error: 1003 (unsupported data).
pub const REFUSAL: Code = Code::UNSUPPORTED;

/// Whether a message of this kind is part of the stream.
///
/// # Errors
/// [`Error::Text`] for text.
pub fn check(kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::Binary => Ok(()),
        Kind::Text => Err(Error::Text),
    }
}

/// Whether a connection that has ended with this close frame of the peer's is the stream's end, as it is where the peer said
/// 1000 (normal) or nothing: with any other code it may have had more to say.
///
/// # Errors
/// [`Error::Closed`] for another code; [`Error::Io`] with `UnexpectedEof` where the peer has said nothing.
pub fn end(close: Option<&Close<'_>>) -> Result<(), Error> {
    match close {
        Some(close) if matches!(close.code, Code::NORMAL | Code::NO_STATUS) => Ok(()),
        Some(close) => Err(Error::Closed(Box::new(close.clone().into_owned()))),
        None => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_messages_are_the_stream_and_a_normal_close_its_end() {
        assert_eq!(MOST, 65_536);
        assert!(check(Kind::Binary).is_ok());
        assert!(matches!(check(Kind::Text), Err(Error::Text)));
        for (code, is_end) in
            [(Code::NORMAL, true), (Code::NO_STATUS, true), (Code::AWAY, false), (Code::RESTART, false)]
        {
            let close = Close { code, reason: "".into() };
            match end(Some(&close)) {
                Ok(()) => assert!(is_end),
                Err(Error::Closed(told)) => assert_eq!((is_end, *told), (false, close)),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(matches!(end(None), Err(Error::Io(error)) if error.kind() == ErrorKind::UnexpectedEof));
    }
}
