//! What a client and a proxy say to each other until a connection goes through.

use super::socks::Socks;
use crate::config::Limits;
use crate::driver::ProxyError;
use crate::handshake::{ConnectAnswer, Outcome};
use std::boxed::Box;
use std::fmt;
use std::io::ErrorKind;
use std::vec::Vec;

/// A connection through a [`Proxy`](super::Proxy) that is being asked for: bytes in, bytes out.
///
/// ```
/// use sockless::client::Proxy;
///
/// let mut tunnel = Proxy::new("http://proxy.example")?.tunnel("example.com", 443)?;
/// assert_eq!(tunnel.outbound(), b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
/// tunnel.advance(tunnel.outbound().len());
/// assert!(!tunnel.receive(&mut b"HTTP/1.1 200 ".to_vec())?);
/// assert!(tunnel.receive(&mut b"Fine\r\n\r\n".to_vec())?);
/// # Ok::<(), sockless::driver::ProxyError>(())
/// ```
pub struct Tunnel {
    outbound: Vec<u8>,
    written: usize,
    stage: Stage,
}

enum Stage {
    Connect(ConnectAnswer),
    Socks(Socks),
}

impl Tunnel {
    pub(super) fn connect(answer: ConnectAnswer, head: Vec<u8>) -> Self {
        Self { outbound: head, written: 0, stage: Stage::Connect(answer) }
    }

    pub(super) fn socks(mut socks: Socks) -> Self {
        Self { outbound: std::mem::take(&mut socks.outbound), written: 0, stage: Stage::Socks(socks) }
    }

    /// What is to be written now, before anything more is read.
    pub fn outbound(&self) -> &[u8] {
        &self.outbound[self.written..]
    }

    /// So many bytes of that were written.
    pub fn advance(&mut self, written: usize) {
        self.written = self.outbound.len().min(self.written.saturating_add(written));
    }

    /// Takes what the proxy says, all of it, however it is cut; whether the connection goes through it now. The client speaks
    /// first then, so nothing may have come behind it.
    ///
    /// # Errors
    /// [`Refused`](ProxyError::Refused) with the answer, the start of its body included;
    /// [`Answer`](ProxyError::Answer) for what is none, or is longer than one, or longer than
    /// [`Limits::HEAD`](crate::Limits::HEAD); [`Socks`](ProxyError::Socks).
    pub fn receive(&mut self, mut input: &mut [u8]) -> Result<bool, ProxyError> {
        match &mut self.stage {
            Stage::Connect(answer) => match answer.receive(&mut input, &Limits::default()) {
                Ok(Some(Outcome::Open(_))) if input.is_empty() => Ok(true),
                Ok(Some(Outcome::Rejected(response))) => Err(ProxyError::Refused(Box::new(response.into_owned()))),
                Ok(None) => Ok(false),
                Ok(Some(Outcome::Open(_))) | Err(_) => Err(ProxyError::Answer),
            },
            Stage::Socks(socks) => {
                let open = socks.receive(input)?;
                self.outbound.append(&mut socks.outbound);
                Ok(open)
            }
        }
    }

    /// Whether it is refused, and the answer's body is still coming: no longer to be waited for than
    /// [`BODY_TIME`](crate::handshake::BODY_TIME).
    pub fn is_refused(&self) -> bool {
        matches!(&self.stage, Stage::Connect(answer) if answer.is_refused())
    }

    /// The proxy has hung up, or is not waited for any longer: why there is no connection.
    pub fn receive_eof(self) -> ProxyError {
        match self.stage {
            Stage::Connect(mut answer) => match answer.receive_eof() {
                Ok(Some(Outcome::Rejected(response))) => ProxyError::Refused(Box::new(response)),
                _ => ProxyError::Io(ErrorKind::UnexpectedEof.into()),
            },
            Stage::Socks(_) => ProxyError::Io(ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl fmt::Debug for Tunnel {
    /// Leaves out what carries passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("is_refused", &self.is_refused()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Proxy;
    use super::*;
    use std::format;

    /// What becomes of this answer in pieces of this length.
    fn answered(answer: &[u8], size: usize) -> Result<bool, ProxyError> {
        let mut tunnel = Proxy::new("http://a").unwrap().tunnel("b", 1).unwrap();
        let mut told = false;
        for piece in answer.chunks(size) {
            told = tunnel.receive(&mut piece.to_vec())?;
        }
        if told { Ok(true) } else { Err(tunnel.receive_eof()) }
    }

    #[test]
    fn answers_to_connect_however_they_are_cut() {
        for size in [1, 2, 7, 100_000] {
            for answer in [
                "HTTP/1.1 200 OK\r\n\r\n",
                "HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n",
                // No body has these lengths (RFC 9110 §9.3.6).
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            ] {
                assert!(matches!(answered(answer.as_bytes(), size), Ok(true)), "{answer:?} by {size}");
            }
            for (answer, status, body, whole) in [
                ("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nhi", 407, "hi", true),
                ("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nhi", 403, "hi", false),
                ("HTTP/1.1 502 No\r\n\r\nhi", 502, "hi", false),
                ("HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 407, "hi", true),
                ("HTTP/1.1 302 No\r\nLocation: http://c/\r\n\r\n", 302, "", false),
            ] {
                match answered(answer.as_bytes(), size) {
                    Err(ProxyError::Refused(response)) => {
                        assert_eq!((response.status(), response.is_whole()), (status, whole), "{answer:?}");
                        assert_eq!(response.body(), body.as_bytes(), "{answer:?}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn lies_and_floods_are_told() {
        let flood = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(Limits::HEAD));
        let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(Limits::MOST_FIELDS + 1));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(Limits::HEAD);
        for answer in [&*flood, &fields, &interim, "SSH-2.0-x\r\n\r\n", "\0", "HTTP/1.1 200 OK\n"] {
            for size in [1, 100_000_000] {
                assert!(matches!(answered(answer.as_bytes(), size), Err(ProxyError::Answer)), "by {size}");
            }
        }
        assert!(matches!(answered(b"HTTP/1.1 200 OK\r\n\r\nx", 100), Err(ProxyError::Answer)));
        for answer in ["", "HTTP/1.1 200 OK\r\n"] {
            let told = answered(answer.as_bytes(), 100);
            assert!(matches!(told, Err(ProxyError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof));
        }
        let huge = format!("HTTP/1.1 407 No\r\n\r\n{}", "x".repeat(1 << 20));
        match answered(huge.as_bytes(), 1 << 12) {
            Err(ProxyError::Refused(response)) => {
                assert_eq!((response.body().len(), response.is_whole()), (crate::handshake::BODY_START, false));
            }
            other => panic!("{other:?}"),
        }
    }
}
