//! The client: from a URL to an open connection.

use crate::dial::{Dialer, left};
use crate::drive::Drive;
use crate::mode::Mode;
use crate::net_stream::NetStream;
use crate::stream::Stream;
use crate::tls::{self, ClientTls};
use crate::tunnel;
use crate::websocket::WebSocket;
use socket2::Socket;
use sockless::client::{ClientSettings, Proxy};
use sockless::driver::{ConnectError, Driver, Error, ProxyError};
use sockless::{ClientRequest, Connection, Event, ProtocolError, Response, Seed};
#[cfg(feature = "tls")]
use sockless_tls::Tls;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// Connects to a `ws://` or `wss://` URL with the default settings; [`Client`] has the others.
///
/// # Errors
/// As [`Client::connect`].
///
/// ```no_run
/// let mut socket = sockless_std::connect("ws://127.0.0.1:9001/")?;
/// socket.send("Hello")?;
/// println!("{:?}", socket.recv()?);
/// socket.close(1000, "")?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn connect(url: &str) -> Result<WebSocket<NetStream>, ConnectError> {
    Ok(Client::new(url).connect()?.0)
}

/// A client's settings. It connects as often as it is told to.
///
/// ```no_run
/// use sockless_std::Client;
///
/// let client = Client::new("wss://example.com/chat").header("Origin", "https://example.com").subprotocol("chat");
/// let (mut socket, response) = client.connect()?;
/// assert_eq!(response.status(), 101);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    settings: ClientSettings,
    dialer: Dialer,
    tls: Option<ClientTls>,
    proxy_tls: Option<ClientTls>,
}

impl Client {
    sockless::client_settings!();

    /// A client for a `ws://` or `wss://` URL. A user and a password in it become basic authorisation, unless
    /// [`header`](Self::header) or [`basic_auth`](Self::basic_auth) has another.
    pub fn new(url: &str) -> Self {
        Self { settings: ClientSettings::new(url), dialer: Dialer::default(), tls: None, proxy_tls: None }
    }

    /// Replaces the TLS settings, which are the platform's roots, or Mozilla's, by the features `platform-roots` and
    /// `webpki-roots`; without both, those of the system's library, by the feature `native-tls`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.tls = Some(ClientTls::Rustls(tls.into()));
        self
    }

    /// Replaces the TLS settings towards an `https` proxy, which are those of [`tls`](Self::tls).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn proxy_tls(mut self, tls: impl Into<Tls>) -> Self {
        self.proxy_tls = Some(ClientTls::Rustls(tls.into()));
        self
    }

    /// Has TLS done by the system's library, by these settings.
    ///
    /// ```
    /// use sockless_std::{Client, native_tls::TlsConnector};
    ///
    /// let client = Client::new("wss://example.com/").native_tls(TlsConnector::new()?);
    /// # Ok::<(), sockless_std::native_tls::Error>(())
    /// ```
    #[cfg(feature = "native-tls")]
    #[must_use]
    pub fn native_tls(mut self, tls: sockless_tls::native_tls::TlsConnector) -> Self {
        self.tls = Some(ClientTls::Native(tls));
        self
    }

    /// The same towards an `https` proxy, in place of the settings of the client.
    #[cfg(feature = "native-tls")]
    #[must_use]
    pub fn proxy_native_tls(mut self, tls: sockless_tls::native_tls::TlsConnector) -> Self {
        self.proxy_tls = Some(ClientTls::Native(tls));
        self
    }

    /// Finds the addresses of hosts, those of proxies too, in place of the system: by another service of names, or for a host
    /// whose address is known. They are tried in their order, but the two families by turns, each beside the one before it if
    /// that does not answer for 250 ms (RFC 8305). The host has no brackets, and may be an address. It is called on a thread of
    /// its own, which is not waited for longer than there is time to connect.
    ///
    /// ```
    /// use sockless_std::Client;
    ///
    /// let client = Client::new("wss://example.com/").resolver(|_host, port| Ok(vec![([192, 0, 2, 7], port).into()]));
    /// ```
    #[must_use]
    pub fn resolver(
        mut self,
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.dialer.resolve = Some(Arc::new(resolve));
        self
    }

    /// Prepares each socket before it connects to the address beside it: for options, or what it is bound to. What fails, or is
    /// of another family than the address, has the next address tried.
    ///
    /// ```
    /// use sockless_std::Client;
    ///
    /// let client = Client::new("wss://example.com/").socket(|socket, _| socket.set_recv_buffer_size(1 << 20));
    /// ```
    #[must_use]
    pub fn socket(mut self, prepare: impl Fn(&Socket, SocketAddr) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.dialer.prepare.push(Arc::new(prepare));
        self
    }

    /// Connects from this address of the machine's own; hosts without an address of its family are not connected to.
    #[must_use]
    pub fn local_address(self, address: IpAddr) -> Self {
        self.socket(move |socket, _| socket.bind(&SocketAddr::from((address, 0)).into()))
    }

    /// Connects by this network interface, `eth1` say, and no other.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    #[must_use]
    pub fn interface(self, name: &str) -> Self {
        let name = name.as_bytes().to_owned();
        self.socket(move |socket, _| socket.bind_device(Some(&name)))
    }

    /// Connects; gives the server's response too.
    ///
    /// # Errors
    /// The first thing that fails, as [`ConnectError`] has it.
    pub fn connect(&self) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        self.follow(self.deadline())
    }

    /// Opens a connection over a TCP connection that is there already, dialled as the caller likes. A URL of `wss` adds TLS to
    /// it; no redirect is followed. Over any other stream, a `TlsStream` or a `NativeTlsStream` adds it, for
    /// [`connect_over`](Self::connect_over).
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for those of dialling.
    pub fn connect_by(&self, stream: TcpStream) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let (request, deadline) = (self.settings.request()?, self.deadline());
        let stream = self.secured(&request, NetStream::Tcp(stream), deadline)?;
        self.open(&request, stream, deadline)
    }

    /// Opens a connection over a stream that is there already; nothing is dialled, no TLS is added, and no redirect is
    /// followed.
    ///
    /// # Errors
    /// [`ConnectError::Request`], [`ConnectError::Rejected`], [`ConnectError::Handshake`] or [`ConnectError::Timeout`].
    pub fn connect_over<S>(&self, stream: S) -> Result<(WebSocket<S>, Response<'static>), ConnectError>
    where
        S: Stream,
    {
        let request = self.settings.request()?;
        self.open(&request, stream, self.deadline())
    }

    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.settings.timeout?)
    }

    /// Connects, and follows redirects.
    fn follow(&self, deadline: Option<Instant>) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let mut request = self.settings.request()?;
        let mut redirects = self.settings.redirects();
        loop {
            let stream = self.dial(&request, deadline)?;
            request = match self.open(&request, stream, deadline) {
                Err(refused) => redirects.follow(&request, refused)?,
                opened => return opened,
            };
        }
    }

    fn dial(&self, request: &ClientRequest, deadline: Option<Instant>) -> Result<NetStream, ConnectError> {
        let stream = match self.settings.proxy_of(request) {
            Some(proxy) => self.dial_through(proxy, request, deadline)?,
            None => NetStream::Tcp(self.dialer.dial(request.host(), request.port(), deadline)?),
        };
        self.secured(request, stream, deadline)
    }

    /// A connection through `proxy` to the server that a request is for.
    fn dial_through(
        &self,
        proxy: &Proxy,
        request: &ClientRequest,
        deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        let tunnel = match proxy.looks_names_up() {
            true => proxy.tunnel(request.server_name(), request.port())?,
            false => proxy.tunnel_to_any(self.dialer.resolve(request.host(), request.port(), deadline)?)?,
        };
        let stream = self.dialer.dial(proxy.host(), proxy.port(), deadline).map_err(|error| match error {
            ConnectError::Resolve(error) | ConnectError::Tcp(error) => ProxyError::Io(error).into(),
            error => error,
        })?;
        stream.set_nodelay(self.settings.nodelay).map_err(ProxyError::Io)?;
        let mut stream = NetStream::Tcp(stream);
        if proxy.is_secure() {
            let tls = self.proxy_tls.clone().or_else(|| self.tls.clone());
            let secure = tls::handshake(tls, proxy.host(), stream, deadline);
            stream = secure.map_err(|error| match told(error, deadline) {
                ConnectError::Tls(error) => ProxyError::Tls(error).into(),
                error => error,
            })?;
        }
        tunnel::ask(tunnel, stream, deadline)
    }

    /// The stream as it is, or with TLS.
    fn secured(
        &self,
        request: &ClientRequest,
        stream: NetStream,
        deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        stream.tcp().set_nodelay(self.settings.nodelay).map_err(ConnectError::Tcp)?;
        if !request.is_secure() {
            return Ok(stream);
        }
        let name = self.settings.server_name(request);
        tls::handshake(self.tls.clone(), name, stream, deadline).map_err(|error| told(error, deadline))
    }

    fn open<S>(
        &self,
        request: &ClientRequest,
        stream: S,
        deadline: Option<Instant>,
    ) -> Result<(WebSocket<S>, Response<'static>), ConnectError>
    where
        S: Stream,
    {
        left(deadline)?;
        let connection = Connection::client(request, self.settings.config.clone(), Seed::random())?;
        let mut drive = Drive::new(Driver::new(connection), stream);
        let event = match drive.recv(Mode::Message, deadline) {
            // A refusal that is known is told, be its body whole or not.
            Err(Error::TimedOut) => drive.driver.connection().receive_eof().ok().flatten(),
            told => told?,
        };
        match event {
            Some(Event::Open(response)) => {
                let socket = WebSocket::from_drive(drive, response.subprotocol());
                Ok((socket, response))
            }
            Some(Event::Rejected(response)) => Err(ConnectError::Rejected(Box::new(response))),
            _ if left(deadline).is_err() => Err(ConnectError::Timeout),
            _ => Err(ConnectError::Handshake(ProtocolError::UnexpectedEof.into())),
        }
    }
}

/// What TLS failed by: by the end of the time, if that is what it is.
fn told(error: ConnectError, deadline: Option<Instant>) -> ConnectError {
    match error {
        ConnectError::Tls(error) if left(deadline).is_ok() => ConnectError::Tls(error),
        ConnectError::Tls(_) => ConnectError::Timeout,
        error => error,
    }
}

impl fmt::Debug for Client {
    /// Leaves out what carries passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Client");
        debug
            .field("proxy", &self.settings.proxies)
            .field("redirects", &self.settings.redirects)
            .finish_non_exhaustive()
    }
}
