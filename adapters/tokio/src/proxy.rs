//! Connections through a proxy: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928).

use crate::dial::dial;
use base64::{Engine, engine::general_purpose::STANDARD};
use fluent_uri::Uri;
use sockless::driver::{ConnectError, ProxyError};
use sockless::{Limits, Response};
use std::fmt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A proxy that a client connects through.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    /// User and password.
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    #[cfg(feature = "socks")]
    Socks5,
}

impl Proxy {
    /// The proxy at a URL such as `http://user:password@proxy.example:3128`, spoken to by CONNECT, or with the feature
    /// `socks`, `socks5://proxy.example:1080`. It resolves the names of hosts, not the client.
    ///
    /// # Errors
    /// [`ProxyError::Url`].
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        Self::from_url(url).ok_or(ProxyError::Url)
    }

    fn from_url(url: &str) -> Option<Self> {
        let url = Uri::parse(url).ok()?;
        let (kind, default) = match url.scheme().as_str().to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, 80),
            #[cfg(feature = "socks")]
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return None,
        };
        let authority = url.authority()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_to_u16().ok()?.unwrap_or(default);
        let credentials = match authority.userinfo() {
            None => None,
            Some(userinfo) => {
                let (user, password) = userinfo.as_str().split_once(':').unwrap_or((userinfo.as_str(), ""));
                Some((decode(user)?, decode(password)?))
            }
        };
        (!host.is_empty()).then(|| Self { kind, host: host.into(), port, credentials })
    }

    /// A connection through the proxy to `host` and `port`.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let stream = dial(&self.host, self.port).await.map_err(|error| match error {
            ConnectError::Resolve(error) | ConnectError::Tcp(error) => ProxyError::Io(error).into(),
            error => error,
        })?;
        match self.kind {
            Kind::Http => Ok(self.connect(stream, host, port).await?),
            #[cfg(feature = "socks")]
            Kind::Socks5 => Ok(self.socks(stream, host, port).await?),
        }
    }

    async fn connect(&self, mut stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some((user, password)) = &self.credentials {
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            head.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() > Limits::HEAD {
                return Err(ProxyError::Answer);
            }
            // Byte by byte: what follows belongs to the server, whose turn comes after the client's.
            answer.push(stream.read_u8().await?);
        }
        let answer = Response::parse(answer, &Limits::default()).map_err(|_| ProxyError::Answer)?;
        match answer.status() {
            200..=299 => Ok(stream),
            status => Err(ProxyError::Refused(status)),
        }
    }

    #[cfg(feature = "socks")]
    async fn socks(&self, stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        use tokio_socks::tcp::Socks5Stream;
        let target = (host, port);
        let stream = match &self.credentials {
            None => Socks5Stream::connect_with_socket(stream, target).await,
            Some((user, password)) => {
                Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
            }
        };
        Ok(stream.map_err(|error| ProxyError::Socks(error.into()))?.into_inner())
    }
}

/// Percent-encoding undone.
fn decode(text: &str) -> Option<String> {
    let encoded = fluent_uri::pct_enc::EStr::<fluent_uri::pct_enc::encoder::Userinfo>::new(text)?;
    Some(encoded.decode().to_string().ok()?.into_owned())
}

impl fmt::Debug for Proxy {
    /// Leaves the credentials out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Proxy");
        debug.field("kind", &self.kind).field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}
