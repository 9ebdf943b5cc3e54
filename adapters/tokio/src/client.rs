//! The client: from a URL to an open connection.

#[cfg(feature = "http2")]
mod over_http2;

use crate::dial::Dialer;
#[cfg(feature = "http2")]
use crate::http2::Http2;
use crate::opening::Opening;
use crate::stream::NetStream;
use crate::tls::{self, ClientTls};
use crate::trace;
use crate::websocket::WebSocket;
use sockless::client::ClientSettings;
use sockless::driver::ConnectError;
use sockless::seen::Span;
use sockless::{ClientRequest, Connection, Event, Response, Seed};
#[cfg(feature = "tls")]
use sockless_tls::Tls;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::time::Instant;

/// Connects to a `ws://` or `wss://` URL with the default settings; [`Client`] has the others.
///
/// # Errors
/// As [`Client::connect`].
///
/// # Cancel safety
/// Dropped, the future gives up what it had begun, and no connection is left.
///
/// ```no_run
/// # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = sockless_tokio::connect("ws://127.0.0.1:9001/").await?;
/// socket.send("Hello").await?;
/// println!("{:?}", socket.recv().await?);
/// socket.close(1000, "").await?;
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<WebSocket<NetStream>, ConnectError> {
    Ok(Client::new(url).connect().await?.0)
}

/// A client's settings. It connects as often as it is told to.
///
/// ```no_run
/// # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
/// use sockless_tokio::Client;
///
/// let client = Client::new("wss://example.com/chat").header("Origin", "https://example.com").subprotocol("chat");
/// let (mut socket, response) = client.connect().await?;
/// assert_eq!(response.status(), 101);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) settings: ClientSettings,
    pub(crate) dialer: Dialer,
    pub(crate) tls: Option<ClientTls>,
    pub(crate) proxy_tls: Option<ClientTls>,
    #[cfg(feature = "http2")]
    http2: Option<Http2>,
}

impl Client {
    sockless::client_settings!(part);

    /// A client for a `ws://` or `wss://` URL. A user and a password in it become basic authorisation, unless
    /// [`header`](Self::header) or [`basic_auth`](Self::basic_auth) has another.
    pub fn new(url: &str) -> Self {
        Self {
            settings: ClientSettings::new(url),
            dialer: Dialer::default(),
            tls: None,
            proxy_tls: None,
            #[cfg(feature = "http2")]
            http2: None,
        }
    }

    /// Replaces the TLS settings, which are the platform's roots, or Mozilla's, by the features `platform-roots` and
    /// `webpki-roots`; without both, those of the system's library, by the feature `native-tls`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.tls = Some(ClientTls::Rustls(tls.into()));
        self.part();
        self
    }

    /// Replaces the TLS settings towards an `https` proxy, which are those of [`tls`](Self::tls).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn proxy_tls(mut self, tls: impl Into<Tls>) -> Self {
        self.proxy_tls = Some(ClientTls::Rustls(tls.into()));
        self.part();
        self
    }

    /// Has TLS done by the system's library, by these settings. They say by ALPN whether HTTP/2 is offered, for
    /// `http2`: as they are, a server speaks HTTP/1.1.
    ///
    /// ```
    /// use sockless_tokio::{Client, native_tls::TlsConnector};
    ///
    /// let client = Client::new("wss://example.com/").native_tls(TlsConnector::new()?);
    /// # Ok::<(), sockless_tokio::native_tls::Error>(())
    /// ```
    #[cfg(feature = "native-tls")]
    #[must_use]
    pub fn native_tls(mut self, tls: native_tls::TlsConnector) -> Self {
        self.tls = Some(ClientTls::Native(tls));
        self.part();
        self
    }

    /// The same towards an `https` proxy, in place of the settings of the client.
    #[cfg(feature = "native-tls")]
    #[must_use]
    pub fn proxy_native_tls(mut self, tls: native_tls::TlsConnector) -> Self {
        self.proxy_tls = Some(ClientTls::Native(tls));
        self.part();
        self
    }

    /// Finds the addresses of hosts, those of proxies too, in place of the system: by another service of names, or for a host
    /// whose address is known. They are tried in their order, but the two families by turns, each beside the one before it if
    /// that does not answer for 250 ms (RFC 8305). The host has no brackets, and may be an address.
    ///
    /// ```
    /// use sockless_tokio::Client;
    ///
    /// let client = Client::new("wss://example.com/").resolver(|_host, port| async move { Ok([([192, 0, 2, 7], port).into()]) });
    /// ```
    #[must_use]
    pub fn resolver<F, A>(mut self, resolve: impl Fn(String, u16) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<A>> + Send + 'static,
        A: IntoIterator<Item = SocketAddr>,
    {
        self.dialer.resolve = Some(Arc::new(move |host, port| {
            let found = resolve(host, port);
            Box::pin(async move { Ok(found.await?.into_iter().collect()) })
        }));
        self.part();
        self
    }

    /// Prepares each socket before it connects to the address beside it: for options, or what it is bound to. What fails, or is
    /// of another family than the address, has the next address tried.
    ///
    /// ```
    /// use sockless_tokio::Client;
    ///
    /// let client = Client::new("wss://example.com/").socket(|socket, _| socket.set_recv_buffer_size(1 << 20));
    /// ```
    #[must_use]
    pub fn socket(
        mut self,
        prepare: impl Fn(&TcpSocket, SocketAddr) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.dialer.prepare.push(Arc::new(prepare));
        self.part();
        self
    }

    /// Connects from this address of the machine's own; hosts without an address of its family are not connected to.
    #[must_use]
    pub fn local_address(self, address: IpAddr) -> Self {
        self.socket(move |socket, _| socket.bind((address, 0).into()))
    }

    /// Connects by this network interface, `eth1` say, and no other.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    #[must_use]
    pub fn interface(self, name: &str) -> Self {
        let name = name.as_bytes().to_owned();
        self.socket(move |socket, _| socket.bind_device(Some(&name)))
    }

    /// There is no connection to share.
    #[cfg(not(feature = "http2"))]
    fn part(&mut self) {}

    /// Connects; gives the server's response too.
    ///
    /// # Errors
    /// The first thing that fails, as [`ConnectError`] has it.
    ///
    /// # Cancel safety
    /// Dropped, the future gives up what it had begun, and no connection is left.
    pub async fn connect(&self) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        // A task that awaits this has room for it as long as it lives, so there should be little.
        let deadline = self.deadline();
        Box::pin(self.follow(deadline)).await
    }

    /// Opens a connection over one that is there already: a `TcpStream`, a `UnixStream`, or any other as an
    /// [`OtherStream`](crate::OtherStream), dialled as the caller likes. A URL of `wss` adds TLS to it; no redirect is followed.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for those of dialling.
    ///
    /// # Cancel safety
    /// Dropped, the future drops the stream with it.
    pub async fn connect_by(
        &self,
        stream: impl Into<NetStream>,
    ) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let (request, deadline, stream) = (self.settings.request()?, self.deadline(), stream.into());
        Box::pin(async {
            let stream = in_time(deadline, self.secured(&request, stream, false)).await?;
            self.open(&request, stream, deadline).await
        })
        .await
    }

    /// Opens a connection over a stream that is there already; nothing is dialled, no TLS is added, and no redirect is
    /// followed.
    ///
    /// # Errors
    /// [`ConnectError::Request`], [`ConnectError::Rejected`], [`ConnectError::Handshake`] or [`ConnectError::Timeout`].
    ///
    /// # Cancel safety
    /// Dropped, the future drops the stream with it.
    pub async fn connect_over<S>(&self, stream: S) -> Result<(WebSocket<S>, Response<'static>), ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let request = self.settings.request()?;
        Box::pin(self.open(&request, stream, self.deadline())).await
    }

    /// A stream to the server, by the proxy and the TLS of the settings, and the request to be made over it: for a handshake and a
    /// loop of the caller's own. No redirect is followed.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for those of the handshake.
    ///
    /// # Cancel safety
    /// Dropped, the future gives up what it had begun.
    pub async fn dial(&self) -> Result<(NetStream, ClientRequest), ConnectError> {
        let request = self.settings.request()?;
        let stream = Box::pin(in_time(self.deadline(), self.dial_for(&request, false))).await?;
        Ok((stream, request))
    }

    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.settings.timeout?)
    }

    /// Connects, and follows redirects.
    async fn follow(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let first = self.settings.request()?;
        let (host, port) = (first.host().to_owned(), first.port());
        trace::within(self.follow_from(first, deadline), Span::connect(&host, port)).await
    }

    async fn follow_from(
        &self,
        mut request: ClientRequest,
        deadline: Option<Instant>,
    ) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let mut redirects = self.settings.redirects();
        loop {
            request = match self.attempt(&request, deadline).await {
                Err(refused) => redirects.follow(&request, refused)?,
                opened => return opened,
            };
            // Without path and query, which may carry what a log must not.
            trace::event!(DEBUG, host = request.host(), port = request.port(), "redirected");
        }
    }

    /// Connects to one server.
    async fn attempt(
        &self,
        request: &ClientRequest,
        deadline: Option<Instant>,
    ) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        #[cfg(feature = "http2")]
        if let Some(http2) = &self.http2 {
            return match self.reach(http2, request, deadline).await? {
                over_http2::Reached::Open(opened) => Ok(*opened),
                over_http2::Reached::Http1(stream) => self.open(request, stream, deadline).await,
            };
        }
        let stream = in_time(deadline, self.dial_for(request, false)).await?;
        self.open(request, stream, deadline).await
    }

    /// A stream to a server, where TLS may choose HTTP/2 if that is offered.
    async fn dial_for(&self, request: &ClientRequest, http2: bool) -> Result<NetStream, ConnectError> {
        let stream = match self.settings.proxy_of(request) {
            Some(proxy) => self.dial_through(proxy, request).await?,
            None => NetStream::Tcp(self.dialer.dial(request.host(), request.port()).await?),
        };
        self.secured(request, stream, http2).await
    }

    /// The stream as it is, or with TLS.
    async fn secured(
        &self,
        request: &ClientRequest,
        stream: NetStream,
        http2: bool,
    ) -> Result<NetStream, ConnectError> {
        if let Some(stream) = stream.tcp() {
            stream.set_nodelay(self.settings.nodelay).map_err(ConnectError::Tcp)?;
        }
        match request.is_secure() {
            true => tls::handshake(self.tls.clone(), self.settings.server_name(request), stream, http2).await,
            false => Ok(stream),
        }
    }

    async fn open<S>(
        &self,
        request: &ClientRequest,
        stream: S,
        deadline: Option<Instant>,
    ) -> Result<(WebSocket<S>, Response<'static>), ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = Connection::client(request, self.settings.config.clone(), Seed::random())?;
        let mut opening = Opening::new(connection, stream);
        loop {
            let event = match in_time(deadline, async { Ok(opening.event().await?) }).await {
                // A refusal that is known is told, be its body whole or not.
                Err(ConnectError::Timeout) => opening.give_up().ok_or(ConnectError::Timeout)?,
                event => event?,
            };
            match event {
                Event::Open(response) => return Ok((opening.open(response.subprotocol()), response)),
                Event::Rejected(response) => return Err(ConnectError::Rejected(Box::new(response))),
                _ => {}
            }
        }
    }
}

async fn in_time<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(ConnectError::Timeout)),
        None => work.await,
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
