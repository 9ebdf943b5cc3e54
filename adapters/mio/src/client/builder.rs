//! A client's settings, and why it could not do what it was asked.

use super::{Client, INBOX, TOKEN};
use crate::dial::{TIMEOUT, after, dial, resolve};
use crate::stream::{Socket, Stream};
use crate::tls::ClientTls;
use mio::Poll;
use sockless::{ClientRequest, Config, ProtocolError, Response, SendError, SharedConfig};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

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
    /// The server did not open a WebSocket; the response says what else, a redirect for instance, which
    /// [`ClientRequest::redirected`] follows. Its body may be incomplete ([`Response::is_whole`]).
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

impl ClientError {
    pub(super) fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }
}

/// The settings of a [`Client`], from [`Client::builder`].
#[must_use]
pub struct ClientBuilder {
    request: Result<ClientRequest, SendError>,
    config: SharedConfig,
    tls: Option<ClientTls>,
    timeout: Duration,
    inbox: usize,
}

impl ClientBuilder {
    pub(super) fn new(url: &str) -> Self {
        let request = ClientRequest::new(url);
        Self { request, config: Config::default().into(), tls: None, timeout: TIMEOUT, inbox: INBOX }
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
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = config.into();
        self
    }

    /// The TLS of a `wss` URL; by default it trusts whom Mozilla trusts.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: impl Into<sockless_tls::Tls>) -> Self {
        self.tls = Some(ClientTls::Rustls(tls.into().into()));
        self
    }

    /// The TLS of a `wss` URL, by the system's library.
    #[cfg(feature = "native-tls")]
    pub fn native_tls(mut self, tls: sockless_tls::native_tls::TlsConnector) -> Self {
        self.tls = Some(ClientTls::Native(tls));
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

    /// Connects, and waits until the WebSocket is open. Each address of the name is tried, beside the one before it if that
    /// does not answer for 250 ms (RFC 8305), and the first that answers is taken.
    ///
    /// # Errors
    /// [`ClientError`], all but [`Closed`](ClientError::Closed).
    pub fn connect(self) -> Result<Client, ClientError> {
        let request = self.request.clone()?;
        let deadline = after(self.timeout);
        let addresses = resolve(&request, deadline).map_err(told)?;
        self.connect_to(&request, addresses, deadline)
    }

    fn connect_to(
        &self,
        request: &ClientRequest,
        addresses: Vec<SocketAddr>,
        deadline: Option<Instant>,
    ) -> Result<Client, ClientError> {
        let tls = match (request.is_secure(), &self.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some(tls.session(request)?),
            (true, None) => Some(ClientTls::usual()?.session(request)?),
        };
        let mut poll = Poll::new()?;
        let socket = dial(addresses, deadline, &mut poll, TOKEN).map_err(told)?;
        let stream = Stream::new(Socket::Tcp(socket), tls);
        stream.set_nodelay();
        Client::open(request, self.config.clone(), stream, poll, self.inbox, deadline)
    }
}

/// A failure to connect, of which the end of the time for it is told apart.
fn told(error: io::Error) -> ClientError {
    if error.kind() == ErrorKind::TimedOut { ClientError::TimedOut } else { error.into() }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::dial::tests::Swallowing;
    use std::net::TcpListener;

    #[test]
    fn an_address_that_swallows_what_it_is_sent_is_not_waited_for() {
        let swallowing = Swallowing::new();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = vec![swallowing.address, swallowing.address, server.local_addr().unwrap()];
        let builder = Client::builder("ws://name.test/");
        let request = builder.request.clone().unwrap();
        std::thread::spawn(move || drop(server.accept()));
        let hung_up = builder.connect_to(&request, addresses, after(Duration::from_secs(30))).map(drop);
        assert!(matches!(hung_up, Err(ClientError::Protocol(_) | ClientError::Io(_))), "{hung_up:?}");
    }

    #[test]
    fn the_time_ends_while_nobody_answers() {
        let swallowing = Swallowing::new();
        let builder = Client::builder("ws://name.test/");
        let request = builder.request.clone().unwrap();
        let late = builder.connect_to(&request, vec![swallowing.address], after(Duration::from_millis(20)));
        assert!(matches!(late, Err(ClientError::TimedOut)), "{late:?}");
    }
}
