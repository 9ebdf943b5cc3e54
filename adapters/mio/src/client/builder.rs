//! A client's settings, and why it could not do what it was asked.

use super::{Client, INBOX};
use crate::dial::{TIMEOUT, after, resolve, session};
use crate::stream::{Socket, Stream};
use mio::net::TcpStream;
use rustls::ClientConfig;
use sockless::{ClientRequest, Config, ProtocolError, Response, SendError};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// Why a client could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The socket, TLS, or a name that was not found.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server broke the protocol, or kept silent for too long.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// What cannot be sent, now or at all.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server did not open a WebSocket; the response says what else, a redirect for instance.
    #[error("the server answered {}", .0.status())]
    Rejected(Box<Response<'static>>),
    /// Nothing came within the time to wait.
    #[error("nothing came in time")]
    TimedOut,
    /// So much has come that was not received ([`ClientBuilder::inbox`]) that no more is read, and what was waited for
    /// does not happen: the peer takes nothing, or its pong is behind. What was to be sent is taken all the same, and
    /// goes out while the client receives.
    #[error("too much has come that was not received")]
    Unreceived,
    /// The connection has ended; [`Client::closed`] says how.
    #[error("the connection is closed")]
    Closed,
}

/// The settings of a [`Client`], from [`Client::builder`].
#[must_use]
pub struct ClientBuilder {
    request: Result<ClientRequest, SendError>,
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    inbox: usize,
}

impl ClientBuilder {
    pub(super) fn new(url: &str) -> Self {
        let request = ClientRequest::new(url);
        Self { request, config: Config::default(), tls: None, timeout: TIMEOUT, inbox: INBOX }
    }

    /// Adds a field to the request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.map(|request| request.header(name, value));
        self
    }

    /// Offers a subprotocol; the one offered first is liked best.
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.request = self.request.map(|request| request.subprotocol(name));
        self
    }

    /// Limits, timers, compression.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Another TLS than [`tls::client`](crate::tls::client).
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Bytes of messages that are kept while the client sends, or waits for a pong or the end; 16 MiB by default. What a
    /// message takes besides its payload counts too. Beyond, and one message more, it does not read then.
    pub fn inbox(mut self, bytes: usize) -> Self {
        self.inbox = bytes;
        self
    }

    /// Time to connect in, all of it, a name to look up included; 10 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects, and waits until the WebSocket is open. Each address of the name is tried.
    ///
    /// # Errors
    /// [`ClientError`], all but [`Closed`](ClientError::Closed).
    pub fn connect(self) -> Result<Client, ClientError> {
        let request = self.request?;
        let deadline = after(self.timeout);
        let mut addresses = match resolve(&request, deadline) {
            Err(error) if error.kind() == ErrorKind::TimedOut => return Err(ClientError::TimedOut),
            addresses => addresses?,
        };
        let mut result = Err(ClientError::TimedOut);
        while let (Err(ClientError::Io(_) | ClientError::TimedOut), Some(address)) = (&result, addresses.pop()) {
            let tls = match (request.is_secure(), &self.tls) {
                (false, _) => None,
                (true, Some(config)) => Some(session(config.clone(), &request)?),
                (true, None) => Some(session(crate::tls::client()?, &request)?),
            };
            let socket = match TcpStream::connect(address) {
                Ok(socket) => Socket::Tcp(socket),
                Err(error) => {
                    result = Err(error.into());
                    continue;
                }
            };
            let stream = Stream::new(socket, tls.map(Into::into));
            result = Client::open(&request, self.config.clone(), stream, self.inbox, deadline);
        }
        result
    }
}
