//! How a connection has ended.

use sockless::{Close, Code, ProtocolError};
use std::io;

/// How a connection has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed {
    /// The code of the peer's close frame, or of the one that a fault of its was answered with; 1005 and 1006 where there
    /// is none (RFC 6455 §7.1.5).
    pub code: Code,
    /// The peer's reason.
    pub reason: String,
    /// What went wrong, unless the peer closed by the rules.
    pub error: Option<CloseError>,
}

/// What ended a connection against the rules.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The peer broke the protocol, kept silent for too long, or was gone.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The socket, or TLS.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Client: the server refused, with this status.
    #[error("the server refused with status {0}")]
    Rejected(u16),
}

impl From<Close<'_>> for Closed {
    fn from(close: Close<'_>) -> Self {
        Self { code: close.code, reason: close.reason.into_owned(), error: None }
    }
}

impl From<ProtocolError> for Closed {
    fn from(error: ProtocolError) -> Self {
        let code = error.close_code().unwrap_or(Code::ABNORMAL);
        Self { code, reason: String::new(), error: Some(error.into()) }
    }
}

impl Closed {
    /// Without a close frame of the peer's.
    pub(crate) fn abnormal(error: Option<CloseError>) -> Self {
        Self { code: Code::ABNORMAL, reason: String::new(), error }
    }
}
