//! The client: from a URL to an open connection.

use crate::dial::{dial, left};
use crate::drive::Drive;
use crate::mode::Mode;
use crate::net_stream::NetStream;
use crate::stream::Stream;
#[cfg(feature = "tls")]
use crate::tls_stream::TlsStream;
use crate::websocket::WebSocket;
use base64::{Engine, engine::general_purpose::STANDARD};
use sockless::driver::{ConnectError, Error, Redirects};
use sockless::handshake::SubprotocolPolicy;
use sockless::{ClientRequest, Connection, Event, ProtocolError, Response, Seed, SharedConfig};
#[cfg(feature = "tls")]
use sockless_tls::Tls;
use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    url: String,
    config: SharedConfig,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    policy: SubprotocolPolicy,
    adjust: Option<Arc<Adjust>>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    redirects: u32,
    trust_redirects: bool,
    timeout: Option<Duration>,
    nodelay: bool,
}

type Adjust = dyn Fn(ClientRequest) -> ClientRequest + Send + Sync;

impl Client {
    /// 30 s for all that [`connect`](Self::connect) does: a name to look up, several addresses to try, and TLS.
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
            #[cfg(feature = "tls")]
            tls: None,
            redirects: 0,
            trust_redirects: false,
            timeout: Self::TIMEOUT,
            nodelay: true,
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

    /// Replaces the TLS settings, which are the platform's roots, or Mozilla's, by the features `platform-roots` and
    /// `webpki-roots`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.tls = Some(tls.into());
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
    pub fn connect(&self) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        self.follow(self.deadline())
    }

    /// Opens a connection over a TCP connection that is there already, dialled as the caller likes: from an address of its own,
    /// through a proxy, to a name that it has looked up. A URL of `wss` adds TLS to the URL's host; no redirect is followed.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for those of dialling.
    pub fn connect_by(&self, stream: TcpStream) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let (request, deadline) = (self.request()?, self.deadline());
        let stream = self.secured(&request, stream, deadline)?;
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
        let request = self.request()?;
        self.open(&request, stream, self.deadline())
    }

    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.timeout?)
    }

    /// Connects, and follows redirects.
    fn follow(&self, deadline: Option<Instant>) -> Result<(WebSocket<NetStream>, Response<'static>), ConnectError> {
        let mut request = self.request()?;
        let mut redirects = Redirects::new(self.redirects, self.trust_redirects);
        loop {
            let stream = self.dial(&request, deadline)?;
            request = match self.open(&request, stream, deadline) {
                Err(refused) => redirects.follow(&request, refused)?,
                opened => return opened,
            };
        }
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

    fn dial(&self, request: &ClientRequest, deadline: Option<Instant>) -> Result<NetStream, ConnectError> {
        self.secured(request, dial(request.host(), request.port(), deadline)?, deadline)
    }

    /// The stream as it is, or with TLS.
    fn secured(
        &self,
        request: &ClientRequest,
        stream: TcpStream,
        deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        stream.set_nodelay(self.nodelay).map_err(ConnectError::Tcp)?;
        match request.is_secure() {
            true => self.secure(request.host(), stream, deadline),
            false => Ok(NetStream::Tcp(stream)),
        }
    }

    #[cfg(feature = "tls")]
    fn secure(&self, host: &str, stream: TcpStream, deadline: Option<Instant>) -> Result<NetStream, ConnectError> {
        let tls = self.tls.clone().or_else(Tls::usual).ok_or(ConnectError::NoTls)?;
        let mut stream = TlsStream::connect(&tls, host, stream)?;
        stream.handshake(deadline).map_err(|error| match left(deadline) {
            Err(late) => late,
            Ok(_) => ConnectError::Tls(error),
        })?;
        Ok(NetStream::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, _: &str, _: TcpStream, _: Option<Instant>) -> Result<NetStream, ConnectError> {
        Err(ConnectError::NoTls)
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
        let connection = Connection::client(request, self.config.clone(), Seed::random())?;
        let mut drive = Drive::new(connection, stream, &self.config);
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

impl fmt::Debug for Client {
    /// Leaves out what carries passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Client");
        debug.field("redirects", &self.redirects).finish_non_exhaustive()
    }
}
