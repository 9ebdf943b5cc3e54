//! The settings of a server.

use crate::handler::Handler;
use crate::listeners::Listeners;
use crate::server::Server;
use crate::settings::Settings;
use sockless::SharedConfig;
use sockless::addresses::Trusted;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`Server`], from [`Server::builder`].
#[derive(Clone, Default)]
#[must_use]
pub struct Builder {
    pub(crate) settings: Settings,
}

/// The settings to begin with; [`Builder::bind`] ends them.
impl Server<fn(&mut crate::Conn<'_>, sockless::Message<'_>) -> Result<(), crate::Error>> {
    /// The settings of a server, for any handler.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Listens on an address, such as `127.0.0.1:9001`, `[::]:80` or `unix:/run/chat.sock`; port 0 is any free port. At a name,
    /// such as `localhost:9001`, it listens on all of its addresses that are this machine's. May be called several times. Without it the server is an event loop for clients only.
    pub fn listen(mut self, address: impl fmt::Display) -> Self {
        self.settings.listen.push((address.to_string(), false));
        self
    }

    /// The same with TLS, for which [`tls`](Self::tls) says the certificate.
    #[cfg(any(feature = "tls", feature = "native-tls"))]
    pub fn listen_tls(mut self, address: impl fmt::Display) -> Self {
        self.settings.listen.push((address.to_string(), true));
        self
    }

    /// Accepts from what listens already: from who started the process, perhaps. All workers share the queue of each.
    pub fn listen_on(mut self, listeners: impl Into<Listeners>) -> Self {
        self.settings.adopted.push((Arc::new(listeners.into()), false));
        self
    }

    /// The same with TLS.
    #[cfg(any(feature = "tls", feature = "native-tls"))]
    pub fn listen_on_tls(mut self, listeners: impl Into<Listeners>) -> Self {
        self.settings.adopted.push((Arc::new(listeners.into()), true));
        self
    }

    /// The certificate and the key, or any other setting of TLS: see [`Tls::server`](crate::Tls::server),
    /// or [`Identity`](crate::Identity), which may be read again while the server runs.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: impl Into<Arc<sockless_tls::rustls::ServerConfig>>) -> Self {
        self.settings.tls = Some(crate::tls::ServerTls::Rustls(config.into()));
        self
    }

    /// The TLS of connections that [`Handle::connect`](crate::Handle::connect) makes; by default it trusts whom Mozilla
    /// trusts.
    #[cfg(feature = "tls")]
    pub fn client_tls(mut self, tls: impl Into<sockless_tls::Tls>) -> Self {
        self.settings.client_tls = Some(crate::tls::ClientTls::Rustls(tls.into().into()));
        self
    }

    /// The certificate and the key, for the system's library.
    #[cfg(feature = "native-tls")]
    pub fn native_tls(mut self, tls: sockless_tls::native_tls::TlsAcceptor) -> Self {
        self.settings.tls = Some(crate::tls::ServerTls::Native(tls));
        self
    }

    /// The TLS of connections that [`Handle::connect`](crate::Handle::connect) makes, by the system's library.
    #[cfg(feature = "native-tls")]
    pub fn native_client_tls(mut self, tls: sockless_tls::native_tls::TlsConnector) -> Self {
        self.settings.client_tls = Some(crate::tls::ClientTls::Native(tls));
        self
    }

    /// Threads with an event loop each; by default one for each core.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers.max(1);
        self
    }

    /// The settings of every connection: limits, timers, what may wait to go out, origins, compression.
    ///
    /// [`Outbound::retain`](sockless::Outbound::retain) is the adapter's own matter: it lends one outbox to all.
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.settings.config = config.into();
        self
    }

    /// WebSockets of clients that a worker has open at once at most; more are closed as they come, or answered 503. No limit
    /// by default but that of descriptors.
    pub fn max_connections(mut self, per_worker: usize) -> Self {
        self.settings.max_connections = per_worker;
        self
    }

    /// Opening handshakes, of TLS too, that a worker has under way at once at most; 1024 by default.
    ///
    /// More wait in the [`backlog`](Self::backlog) until one is done, or the oldest has had a second: then that is hung up
    /// on, unless the handler has its request and has still to answer.
    pub fn max_handshakes(mut self, per_worker: usize) -> Self {
        self.settings.max_handshakes = per_worker.max(1);
        self
    }

    /// Connections at once from one address, or from one IPv6 network of 64 bits, which is what one customer has.
    pub fn max_connections_per_address(mut self, most: u32) -> Self {
        self.settings.per_address = Some(most);
        self
    }

    /// New connections from one address, or from one IPv6 network of 64 bits, in a time; more are closed as they come.
    pub fn connection_rate(mut self, most: u32, per: Duration) -> Self {
        self.settings.rate = Some((most, per));
        self
    }

    /// The proxies in front, whose word is taken for who their clients are: `Forwarded`, or `X-Forwarded-For` and
    /// `X-Forwarded-Proto`. So limits per address count the clients, who are answered 429 where there are too many,
    /// [`Conn::peer`](crate::Conn::peer) is theirs from [`on_request`](crate::Handler::on_request) on, and origins are judged by how
    /// they came. By default nobody is trusted.
    ///
    /// ```
    /// use sockless_mio::{Server, Trusted};
    ///
    /// let builder = Server::builder().trusted(Trusted::new(["10.0.0.0/8", "unix:"])?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trusted(mut self, proxies: Trusted) -> Self {
        self.settings.trusted = proxies;
        self
    }

    /// Whether connections of [trusted](Self::trusted) proxies begin with a header of the PROXY protocol, of version 1 or 2, before
    /// TLS if that is spoken. Those of all others never do.
    pub fn proxy_protocol(mut self, spoken: bool) -> Self {
        self.settings.proxy_protocol = spoken;
        self
    }

    /// Connections that the system keeps until they are accepted. 1024 by default.
    pub fn backlog(mut self, connections: u16) -> Self {
        self.settings.backlog = connections.into();
        self
    }

    /// Calls the handler in a pool of `threads`, for handlers that block. When `backlog` calls wait, those whose
    /// connections they are of are not read any more.
    pub fn pool(mut self, threads: usize, backlog: usize) -> Self {
        self.settings.pool = Some((threads.max(1), backlog.max(1)));
        self
    }

    /// Whether what is small goes out at once (`TCP_NODELAY`); on by default.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.settings.nodelay = nodelay;
        self
    }

    /// Bytes of the buffer that a worker reads all its connections with. 1,088 KiB by default: what holds the longest message
    /// that is taken by default, and some more.
    ///
    /// Of what was read from a peer that does not take its answers, at most so much is kept.
    pub fn read_buffer(mut self, bytes: usize) -> Self {
        self.settings.read_buffer = bytes.max(4096);
        self
    }

    /// Listens: from here on connections wait to be served, by [`Server::run`] or [`Server::start`].
    ///
    /// # Errors
    /// An address that is no address, is in use or may not be used; [`listen_tls`](Self::listen_tls) without
    /// [`tls`](Self::tls).
    pub fn bind<H: Handler>(self, handler: H) -> io::Result<Server<H>> {
        Server::bind(self.settings, handler)
    }
}
