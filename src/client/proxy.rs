//! A proxy: where it is, and what it is to be told.

use super::socks::{Socks, Version};
use super::tunnel::Tunnel;
use crate::driver::{ProxyError, SocksError};
use crate::handshake::{ConnectAnswer, write_connect};
use crate::wire::error::SendError;
use base64::{Engine, engine::general_purpose::STANDARD};
use fluent_uri::Uri;
use std::fmt;
use std::format;
use std::net::{IpAddr, SocketAddr};
use std::string::{String, ToString};
use std::vec::Vec;

/// A proxy that a client connects through: HTTP CONNECT (RFC 9110 §9.3.6), over TLS too, SOCKS4, SOCKS4a or SOCKS5 (RFC 1928).
///
/// ```
/// use sockless::client::Proxy;
///
/// let proxy = Proxy::new("https://user:secret@proxy.example:3129")?.header("X-Department", "sales");
/// assert_eq!((proxy.host(), proxy.port(), proxy.is_secure()), ("proxy.example", 3129, true));
/// # Ok::<(), sockless::driver::ProxyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    /// User and password.
    credentials: Option<(String, String)>,
    headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks4,
    Socks4a,
    Socks5,
    Socks5h,
}

impl Proxy {
    /// The proxy at a URL such as `http://user:password@proxy.example:3128`. By its scheme it is asked by CONNECT, `http`, or
    /// `https` with TLS to the proxy; or by SOCKS: `socks4` and `socks5` for an address that the client finds, `socks4a` and
    /// `socks5h` for a name that the proxy looks up. CONNECT leaves names to the proxy.
    ///
    /// Without a port it is 80, 443 or 1080. Letters of user and password that have a meaning in URLs are percent-encoded.
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
            "https" => (Kind::Https, 443),
            "socks4" => (Kind::Socks4, 1080),
            "socks4a" => (Kind::Socks4a, 1080),
            "socks5" => (Kind::Socks5, 1080),
            "socks5h" => (Kind::Socks5h, 1080),
            _ => return None,
        };
        let authority = url.authority()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_to_u16().ok()?.unwrap_or(default);
        let credentials = match authority.userinfo() {
            None => None,
            Some(userinfo) => Some(match userinfo.split_once(':') {
                Some((user, password)) => (decoded(user)?, decoded(password)?),
                None => (decoded(userinfo)?, String::new()),
            }),
        };
        (!host.is_empty()).then(|| Self { kind, host: host.into(), port, credentials, headers: Vec::new() })
    }

    /// Adds a field to CONNECT: `Proxy-Authorization` of another kind than the URL's, say, which takes the place of that. SOCKS
    /// has none.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Where it is: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is spoken to over TLS, as an `https` one is.
    pub fn is_secure(&self) -> bool {
        self.kind == Kind::Https
    }

    /// Whether it looks names up; else the client does, for [`tunnel_to_any`](Self::tunnel_to_any).
    pub fn looks_names_up(&self) -> bool {
        !matches!(self.kind, Kind::Socks4 | Kind::Socks5)
    }

    /// What to say to it for a connection to `host`, a name or an address without brackets, and `port`.
    ///
    /// # Errors
    /// [`Request`](ProxyError::Request) for a field or a host that cannot be written; [`Socks`](ProxyError::Socks) for what
    /// SOCKS has no place for.
    pub fn tunnel(&self, host: &str, port: u16) -> Result<Tunnel, ProxyError> {
        let version = match self.kind {
            Kind::Http | Kind::Https => return self.connect(host, port),
            Kind::Socks4 | Kind::Socks4a => Version::Four,
            Kind::Socks5 | Kind::Socks5h => Version::Five,
        };
        Ok(Tunnel::socks(Socks::new(version, host, port, self.credentials.clone())?))
    }

    /// The same for the first of a host's addresses that it can be asked for.
    ///
    /// # Errors
    /// As [`tunnel`](Self::tunnel): [`SocksError::Address`] where there is none.
    pub fn tunnel_to_any(&self, addresses: impl IntoIterator<Item = SocketAddr>) -> Result<Tunnel, ProxyError> {
        let only_v4 = matches!(self.kind, Kind::Socks4 | Kind::Socks4a);
        let chosen = addresses.into_iter().find(|address| address.is_ipv4() || !only_v4);
        let address = chosen.ok_or(SocksError::Address)?;
        self.tunnel(&address.ip().to_string(), address.port())
    }

    fn connect(&self, host: &str, port: u16) -> Result<Tunnel, ProxyError> {
        let is_v6 = matches!(host.parse(), Ok(IpAddr::V6(_)));
        let authority = if is_v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut fields = Vec::new();
        let is_authorised = |(name, _): &(String, String)| name.eq_ignore_ascii_case("Proxy-Authorization");
        if let Some((user, password)) = self.credentials.as_ref().filter(|_| !self.headers.iter().any(is_authorised)) {
            if user.contains(':') {
                // It would be read as another user (RFC 7617 §2).
                return Err(SendError::Head.into());
            }
            let basic = STANDARD.encode(format!("{user}:{password}"));
            fields.push(("Proxy-Authorization".into(), format!("Basic {basic}")));
        }
        fields.extend(self.headers.iter().cloned());
        let mut head = Vec::new();
        write_connect(&authority, &fields, &mut head)?;
        Ok(Tunnel::connect(ConnectAnswer::default(), head))
    }
}

/// Percent-encoding undone.
fn decoded(text: &fluent_uri::pct_enc::EStr<fluent_uri::pct_enc::encoder::Userinfo>) -> Option<String> {
    Some(text.decode().to_string().ok()?.into_owned())
}

impl fmt::Debug for Proxy {
    /// Leaves out what carries passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Proxy");
        debug.field("kind", &self.kind).field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, host, port, is_secure, looks_names_up) in [
            ("http://a", "a", 80, false, true),
            ("HTTP://a:3128/", "a", 3128, false, true),
            ("https://user:secret@a", "a", 443, true, true),
            ("socks4://a", "a", 1080, false, false),
            ("socks4a://a:1", "a", 1, false, true),
            ("socks5://[::1]", "::1", 1080, false, false),
            ("socks5h://127.0.0.1:9050", "127.0.0.1", 9050, false, true),
        ] {
            let proxy = Proxy::new(url).unwrap();
            assert_eq!((proxy.host(), proxy.port()), (host, port), "{url}");
            assert_eq!((proxy.is_secure(), proxy.looks_names_up()), (is_secure, looks_names_up), "{url}");
            assert!(!format!("{proxy:?}").contains("secret"));
        }
        for url in ["", "127.0.0.1:1", "http://", "http:///a", "ftp://a", "http://a:99999", "socks://a"] {
            assert!(matches!(Proxy::new(url), Err(ProxyError::Url)), "{url}");
        }
    }

    fn head(proxy: &Proxy, host: &str) -> Result<String, ProxyError> {
        Ok(String::from_utf8(proxy.tunnel(host, 443)?.outbound().to_vec()).unwrap())
    }

    #[test]
    fn what_connect_says() {
        let proxy = Proxy::new("http://us%C3%A9r:%20se%3Acret@a").unwrap().header("X-One", "1");
        let wanted = "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\
            Proxy-Authorization: Basic dXPDqXI6IHNlOmNyZXQ=\r\nX-One: 1\r\n\r\n";
        assert_eq!(head(&proxy, "b.example").unwrap(), wanted);
        let proxy = proxy.header("proxy-authorization", "Bearer token");
        let wanted =
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nX-One: 1\r\nproxy-authorization: Bearer token\r\n\r\n";
        assert_eq!(head(&proxy, "::1").unwrap(), wanted);
        for (proxy, host) in [
            (Proxy::new("http://a").unwrap(), "b\r\nX: y"),
            (Proxy::new("http://a").unwrap(), "b c"),
            (Proxy::new("http://a").unwrap().header("X", "a\r\nb: c"), "b"),
            (Proxy::new("http://us%3Aer:secret@a").unwrap(), "b"),
        ] {
            assert!(matches!(head(&proxy, host), Err(ProxyError::Request(SendError::Head))));
        }
        let proxy = Proxy::new("http://a").unwrap().header("Host", "c");
        assert!(matches!(head(&proxy, "b"), Err(ProxyError::Request(SendError::ReservedHeader))));
    }

    #[test]
    fn of_a_hosts_addresses_the_first_that_it_can_be_asked_for() {
        let addresses: [SocketAddr; 3] =
            ["[::1]:7", "10.0.0.1:7", "10.0.0.2:7"].map(|address| address.parse().unwrap());
        let asked = |url| Proxy::new(url).unwrap().tunnel_to_any(addresses).unwrap().outbound().to_vec();
        assert_eq!(asked("socks4://a"), [4, 1, 0, 7, 10, 0, 0, 1, 0]);
        assert_eq!(asked("http://a"), b"CONNECT [::1]:7 HTTP/1.1\r\nHost: [::1]:7\r\n\r\n");
        let none = Proxy::new("socks4://a").unwrap().tunnel_to_any([addresses[0]]);
        assert!(matches!(none.map(drop), Err(ProxyError::Socks(SocksError::Address))));
    }
}
