//! Why an adapter's connection, or its opening handshake, failed.

use crate::handshake::Response;
use crate::wire::close::Close;
use crate::wire::error::{HandshakeError, ProtocolError, SendError};
use std::boxed::Box;
use std::io::{self, ErrorKind};
use std::iter;
use std::string::String;
use thiserror::Error;

/// Why a connection failed, told apart by who is to blame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The transport's fault.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer's fault, or that of the network between; a close frame has told the peer.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Nothing more can be sent, for the peer has closed the connection, and said this. What it has not taken by then, it will
    /// not. Receiving tells the end in the ordinary way.
    #[error("closed by the peer with {}", .0.code)]
    Closed(Box<Close<'static>>),
    /// The caller's mistake, which harms nothing.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Server: the request was refused with this status, or answered as plain HTTP.
    #[error("request answered with status {0}")]
    Refused(u16),
    /// Blocking: the time that the caller gives has passed, or the stream does not block and has nothing. The connection goes on.
    #[error("nothing in the time given")]
    TimedOut,
    /// A text message came where bytes were read as a stream, in which it has no place.
    #[error("text in a stream of bytes")]
    Text,
    /// More has come than is kept for who receives: receive it first.
    #[error("too much waits to be received")]
    Unreceived,
}

impl Error {
    /// Whether the connection is closing, so that nothing more can be sent: it is nobody's mistake, for the peer may close at any
    /// time.
    pub const fn is_closing(&self) -> bool {
        match self {
            Self::Closed(_) => true,
            Self::Send(error) => error.is_closing(),
            _ => false,
        }
    }

    /// Whether an error, or what it comes from, says no more than that the connection [is closing](Self::is_closing): who returns it
    /// from a handler has not failed.
    pub fn only_closing(error: &(dyn std::error::Error + 'static)) -> bool {
        iter::successors(Some(error), |error| error.source()).any(|error| {
            error.downcast_ref::<Self>().is_some_and(Self::is_closing)
                || error.downcast_ref::<SendError>().is_some_and(SendError::is_closing)
        })
    }

    /// The same once more; of the transport's error, its kind.
    pub fn copied(&self) -> Self {
        match self {
            Self::Io(error) => Self::Io(error.kind().into()),
            Self::Protocol(error) => Self::Protocol(*error),
            Self::Closed(close) => Self::Closed(close.clone()),
            Self::Send(error) => Self::Send(*error),
            Self::Refused(status) => Self::Refused(*status),
            Self::TimedOut => Self::TimedOut,
            Self::Text => Self::Text,
            Self::Unreceived => Self::Unreceived,
        }
    }
}

/// For streams of bytes: the transport's error as it is, others within one of the kind that a socket would have.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Io(error) => return error,
            // It is tried again, which is no failure.
            Error::TimedOut | Error::Send(SendError::Full) => return ErrorKind::WouldBlock.into(),
            Error::Closed(_) | Error::Send(SendError::Closing) => ErrorKind::BrokenPipe,
            Error::Protocol(ProtocolError::UnexpectedEof) => ErrorKind::UnexpectedEof,
            Error::Protocol(
                ProtocolError::PongTimeout
                | ProtocolError::IdleTimeout
                | ProtocolError::MessageTimeout
                | ProtocolError::CloseTimeout,
            ) => ErrorKind::TimedOut,
            Error::Protocol(_) | Error::Text => ErrorKind::InvalidData,
            _ => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        Self::Protocol(error.into())
    }
}

/// Why a client did not get a connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL, a header or another part of the request is not fit to be sent.
    #[error(transparent)]
    Request(#[from] SendError),
    /// A `wss` URL, or a proxy of `https`, without a feature of TLS, or without any roots.
    #[error("TLS is needed, with roots: a feature of them, or `Client::tls`")]
    NoTls,
    /// A TLS setting, such as a certificate, that cannot be used; or a host that no certificate can name.
    #[error("TLS settings: {0}")]
    TlsSettings(Box<dyn std::error::Error + Send + Sync>),
    /// The host's name has no address.
    #[error("host not found: {0}")]
    Resolve(io::Error),
    /// None of the host's addresses takes a connection; this is the last one's reason.
    #[error("not connected: {0}")]
    Tcp(io::Error),
    /// The proxy, its address or its answer.
    #[error("proxy: {0}")]
    Proxy(#[from] ProxyError),
    /// The TLS handshake failed: the certificate, most likely.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// The server does not speak HTTP/2, or its settings lack SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3).
    #[error("the server takes no WebSockets over HTTP/2")]
    NoHttp2,
    /// The server answered with another status than 101, or by HTTP/2 another than a 2xx; a redirect too, where they are not followed. Its body may be
    /// incomplete ([`Response::is_whole`]).
    #[error("server answered with status {}", .0.status())]
    Rejected(Box<Response<'static>>),
    /// A redirect that cannot be followed, or one too many; this is its `Location`. Shown, it lacks user and query.
    #[error("redirect to {:?} not followed", without_secrets(.0))]
    Redirect(String),
    /// The opening handshake failed.
    #[error(transparent)]
    Handshake(Error),
    /// Connections are made and lost again before they have lived for a while.
    #[error("the connection is lost again and again")]
    ShortLived,
    /// The client's time for all of it has passed.
    #[error("not connected in time")]
    Timeout,
}

/// A location without what may carry passwords.
fn without_secrets(location: &str) -> &str {
    let location = location.split(['?', '#']).next().unwrap_or_default();
    location.rsplit('@').next().unwrap_or_default()
}

impl From<Error> for ConnectError {
    fn from(error: Error) -> Self {
        match error {
            Error::Send(error) => Self::Request(error),
            Error::TimedOut => Self::Timeout,
            error => Self::Handshake(error),
        }
    }
}

/// What is wrong with a proxy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Not a URL of `http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h` with a host.
    #[error("not a URL of a proxy that can be used")]
    Url,
    /// The same of this variable of the environment.
    #[error("{0} is not a URL of a proxy that can be used")]
    Variable(&'static str),
    /// A field for CONNECT that is not fit to be sent, or a host.
    #[error(transparent)]
    Request(#[from] SendError),
    /// It cannot be reached, or hung up.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The TLS handshake with it failed.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// It answered CONNECT so: with 407 where it asks for credentials. The start of the body is there, which may be incomplete
    /// ([`Response::is_whole`]).
    #[error("answered with status {}", .0.status())]
    Refused(Box<Response<'static>>),
    /// Its answer is not HTTP, or more than the answer.
    #[error("bad answer to CONNECT")]
    Answer,
    /// SOCKS failed.
    #[error(transparent)]
    Socks(#[from] SocksError),
}

/// Why there is no connection through a SOCKS proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SocksError {
    /// It refuses, by this code: in version 5 that of RFC 1928 §6, 5 where the host refuses, say; in version 4 it is 91 to 93.
    #[error("SOCKS: refused with code {0}")]
    Refused(u8),
    /// It asks for another way to log in, or for credentials where there are none, or does not take those.
    #[error("SOCKS: not logged in")]
    Login,
    /// Its answer is not SOCKS, or more than the answer.
    #[error("SOCKS: bad answer")]
    Malformed,
    /// A host that it cannot be asked for: a name of more than 255 bytes, or in version 4, an IPv6 address.
    #[error("SOCKS: an address that it cannot be asked for")]
    Address,
    /// A user or a password of more than 255 bytes, or in version 4, a user with a NUL.
    #[error("SOCKS: a user or a password that cannot be sent")]
    Credentials,
}

#[cfg(test)]
mod tests {
    use super::{ConnectError, Error};
    use crate::wire::close::{Close, Code};
    use crate::wire::error::{ProtocolError, SendError};
    use std::borrow::Cow;
    use std::boxed::Box;
    use std::io;
    use std::string::ToString;

    #[derive(Debug, thiserror::Error)]
    #[error("a handler's own")]
    struct Wrapped(#[source] Error);

    #[test]
    fn only_what_the_end_brings_is_closing() {
        let closed = Close { code: Code::AWAY, reason: Cow::Borrowed("") };
        for (error, closing) in [
            (Error::Closed(Box::new(closed)), true),
            (SendError::Closing.into(), true),
            (SendError::NotOpen.into(), false),
            (ProtocolError::UnexpectedEof.into(), false),
            (io::Error::from(io::ErrorKind::BrokenPipe).into(), false),
            (Error::TimedOut, false),
        ] {
            assert_eq!(error.is_closing(), closing, "{error:?}");
            assert_eq!(error.copied().is_closing(), closing, "{error:?}");
            assert_eq!(Error::only_closing(&error), closing, "{error:?}");
            // Of a type of the handler's own.
            assert_eq!(Error::only_closing(&Wrapped(error)), closing);
        }
    }

    #[test]
    fn a_location_is_shown_without_user_and_query() {
        for (location, shown) in [
            ("wss://user:password@host/path?token=1", "host/path"),
            ("wss://user@host/path", "host/path"),
            ("wss://host/path#token", "wss://host/path"),
        ] {
            let error = ConnectError::Redirect(location.into());
            assert_eq!(error.to_string(), std::format!("redirect to {shown:?} not followed"));
        }
    }
}
