//! CONNECT, by which a proxy is asked for a connection (RFC 9110 §9.3.6).

use super::answer::write_field;
use super::grammar::{ExtraFields, is_host};
use super::response::{Answer, Outcome};
use crate::config::Limits;
use crate::wire::error::{HandshakeError, SendError};
use alloc::{string::String, vec::Vec};

/// Writes the request for a connection to this host and port, with these fields.
///
/// # Errors
/// [`Head`](SendError::Head) and [`ReservedHeader`](SendError::ReservedHeader).
pub(crate) fn write_connect(authority: &str, fields: &[(String, String)], out: &mut Vec<u8>) -> Result<(), SendError> {
    let mut extra = ExtraFields::default();
    if !is_host(authority.as_bytes()) {
        extra.fail(SendError::Head);
    }
    for (name, value) in fields {
        extra.push(name, value);
    }
    let lines = extra.lines()?;
    for part in ["CONNECT ", authority, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    write_field("Host", authority, out);
    out.extend_from_slice(lines.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Waits for the answer: any 2xx opens, and has no body.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectAnswer(Answer);

impl ConnectAnswer {
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
    ) -> Result<Option<Outcome<'a>>, HandshakeError> {
        self.0.receive(input, limits, |status| matches!(status, 200..=299))
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.0.is_refused()
    }

    pub(crate) fn receive_eof(&mut self) -> Result<Option<Outcome<'static>>, HandshakeError> {
        self.0.receive_eof()
    }
}
