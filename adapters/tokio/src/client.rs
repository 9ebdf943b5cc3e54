//! The client: from a URL to an open connection.

#[cfg(feature = "http2")]
mod over_http2;

use crate::dial::dial;
#[cfg(feature = "http2")]
use crate::http2::Http2;
use crate::opening::Opening;
use crate::proxy::Proxy;
use crate::stream::NetStream;
#[cfg(feature = "tls")]
use crate::tls;
use crate::trace;
use crate::websocket::WebSocket;
use base64::{Engine, engine::general_purpose::STANDARD};
use sockless::driver::{ConnectError, Redirects};
use sockless::handshake::SubprotocolPolicy;
use sockless::seen::Span;
use sockless::{ClientRequest, Connection, Event, Response, Seed, SharedConfig};
#[cfg(feature = "tls")]
use sockless_tls::Tls;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
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
    url: String,
    config: SharedConfig,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    policy: SubprotocolPolicy,
    adjust: Option<Arc<Adjust>>,
    proxy: Option<Proxy>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    redirects: u32,
    trust_redirects: bool,
    timeout: Option<Duration>,
    nodelay: bool,
    #[cfg(feature = "http2")]
    http2: Option<Http2>,
}

type Adjust = dyn Fn(ClientRequest) -> ClientRequest + Send + Sync;

impl Client {
    /// 30 s for all that [`connect`](Self::connect) does: a name to look up, several addresses to try, a proxy and TLS.
    pub const TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));

    /// A client for a `ws://` or `wss://` URL. A user and a password in it become basic authorisation, unless
    /// [`header`](Self::header) or [`basic_auth`](Self::basic_auth) has another.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            config: SharedConfig::default(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            policy: SubprotocolPolicy::default(),
            adjust: None,
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
            redirects: 0,
            trust_redirects: false,
            timeout: Self::TIMEOUT,
            nodelay: true,
            #[cfg(feature = "http2")]
            http2: None,
        }
    }

    /// Replaces the URL, for clients that differ in nothing else.
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        self.url = url.into();
        self
    }

    /// Replaces the core's settings: limits, deadlines, compression.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = config.into();
        self
    }

    /// Adds a field to the request. There is one `Authorization`: the latest.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds basic authorisation (RFC 7617).
    #[must_use]
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {credentials}"))
    }

    /// Offers a subprotocol; the one offered first is liked best.
    #[must_use]
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// What becomes of the handshake if the server chooses none of them.
    #[must_use]
    pub fn subprotocol_policy(mut self, policy: SubprotocolPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Changes the request last, before it is sent: method, target, `Host`. A redirect goes on with what it has made.
    #[must_use]
    pub fn adjust(mut self, adjust: impl Fn(ClientRequest) -> ClientRequest + Send + Sync + 'static) -> Self {
        self.adjust = Some(Arc::new(adjust));
        self
    }

    /// Connects through a proxy.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        #[cfg(feature = "http2")]
        self.part();
        self
    }

    /// Replaces the TLS settings, which are the platform's roots, or Mozilla's, by the features `platform-roots` and
    /// `webpki-roots`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.tls = Some(tls.into());
        #[cfg(feature = "http2")]
        self.part();
        self
    }

    /// Follows so many redirects; by default none. None leads from `wss` to `ws`, and what is the caller's goes to the first
    /// server only: headers, credentials, subprotocols, as [`ClientRequest::redirected`] has it.
    #[must_use]
    pub fn redirects(mut self, most: u32) -> Self {
        self.redirects = most;
        self
    }

    /// Whether redirects take all of the request to any server that they lead to, credentials included, which is off: for
    /// servers that are known to lead only where all of it may be seen.
    #[must_use]
    pub fn trust_redirects(mut self, trust: bool) -> Self {
        self.trust_redirects = trust;
        self
    }

    /// Replaces the time for all that [`connect`](Self::connect) does. The opening handshake has a bound of its own in
    /// [`Keepalive::handshake`](sockless::Keepalive::handshake).
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Whether TCP sends small segments at once, which is on: a message is all that there is to say.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

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
        let request = self.request()?;
        Box::pin(self.open(&request, stream, self.deadline())).await
    }

    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.timeout?)
    }

    /// Connects, and follows redirects.
    async fn follow(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let first = self.request()?;
        let (host, port) = (first.host().to_owned(), first.port());
        trace::within(self.follow_from(first, deadline), Span::connect(&host, port)).await
    }

    async fn follow_from(
        &self,
        mut request: ClientRequest,
        deadline: Option<Instant>,
    ) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let mut redirects = Redirects::new(self.redirects, self.trust_redirects);
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
        let stream = in_time(deadline, self.dial(request, false)).await?;
        self.open(request, stream, deadline).await
    }

    /// The request, with all that the settings add.
    fn request(&self) -> Result<ClientRequest, ConnectError> {
        let mut request = ClientRequest::new(&self.url)?.with_subprotocol_policy(self.policy);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for name in &self.subprotocols {
            request = request.subprotocol(name);
        }
        if let Some(adjust) = &self.adjust {
            request = adjust(request);
        }
        request.check()?;
        Ok(request)
    }

    /// A stream to a server, where TLS may choose HTTP/2 if that is offered.
    async fn dial(&self, request: &ClientRequest, http2: bool) -> Result<NetStream, ConnectError> {
        let (host, port) = (request.host(), request.port());
        let stream = match &self.proxy {
            Some(proxy) => proxy.dial(host, port).await?,
            None => dial(host, port).await?,
        };
        stream.set_nodelay(self.nodelay).map_err(ConnectError::Tcp)?;
        if request.is_secure() { self.secure(host, stream, http2).await } else { Ok(NetStream::Tcp(stream)) }
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, host: &str, stream: TcpStream, http2: bool) -> Result<NetStream, ConnectError> {
        tls::handshake(self.tls.as_ref(), host, stream, http2).await
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, _: &str, _: TcpStream, _: bool) -> Result<NetStream, ConnectError> {
        Err(ConnectError::NoTls)
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
        let connection = Connection::client(request, self.config.clone(), Seed::random())?;
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
        debug.field("proxy", &self.proxy).field("redirects", &self.redirects).finish_non_exhaustive()
    }
}
