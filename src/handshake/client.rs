//! A client's request (RFC 6455 §4.1).

use super::answer::write_field;
use super::grammar::{ExtraFields, is_host, is_target, is_token, join, members, same};
use super::opening::all;
use super::url::{Place, Written};
use super::{SubprotocolPolicy, encode, extension};
use crate::config::Config;
use crate::wire::error::{HandshakeError, SendError, UrlError};
use alloc::{borrow::Cow, format, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use core::fmt;
use fluent_uri::{Uri, component::Authority};

/// A client's request for a WebSocket, made from a URL.
///
/// Methods that begin with `with_` replace something, the others add. Mistakes made with them are told when the request
/// is written.
///
/// ```
/// use sockless::handshake::{ClientRequest, write_request};
///
/// let request = ClientRequest::new("wss://user:secret@example.com/chat?room=7")?.subprotocol("chat");
/// assert_eq!((request.host(), request.port(), request.is_secure()), ("example.com", 443, true));
///
/// let mut out = Vec::new();
/// write_request(&request, &[7; 16], &mut out)?;
/// assert!(out.starts_with(b"GET /chat?room=7 HTTP/1.1\r\nHost: example.com\r\n"));
/// # Ok::<(), sockless::SendError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ClientRequest {
    pub(super) secure: bool,
    /// Where to connect to.
    pub(super) host: String,
    pub(super) port: u16,
    /// The `Host`.
    pub(super) authority: String,
    pub(super) method: Cow<'static, str>,
    pub(super) target: String,
    pub(super) asked: Asked,
    pub(super) extra: ExtraFields,
}

/// What a client asked for, which the response is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) subprotocols: String,
    pub(super) extensions: String,
    pub(super) policy: SubprotocolPolicy,
}

impl ClientRequest {
    /// A request for a `ws://` or `wss://` URL (RFC 6455 §3). A user and a password in it become basic authorisation
    /// (RFC 7617).
    ///
    /// It is taken as people write it: letters behind the host that must be percent-encoded are, with the feature `idn` a
    /// name may have any letters (RFC 5890, by UTS 46), and a link-local address its zone, `[fe80::1%25eth0]` (RFC 6874).
    ///
    /// # Errors
    /// [`Url`](SendError::Url) for anything else, with the part that is wrong: a fragment, no host, or control characters,
    /// say.
    pub fn new(url: &str) -> Result<Self, SendError> {
        Self::from_url(url).map_err(SendError::Url)
    }

    fn from_url(url: &str) -> Result<Self, UrlError> {
        if url.contains(|letter: char| letter.is_ascii_control()) {
            return Err(UrlError::Syntax);
        }
        let (url, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
        let Written { url, zone } = Written::new(url.as_bytes())?;
        let url = Uri::parse(&*url).map_err(|_| UrlError::Syntax)?;
        let secure = match url.scheme().as_str() {
            scheme if scheme.eq_ignore_ascii_case("ws") => false,
            scheme if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(UrlError::Scheme),
        };
        if fragment.is_some() {
            return Err(UrlError::Fragment);
        }
        let Place { host, port, authority, target } = Place::new(&url, zone.as_deref(), secure)?;
        let mut extra = ExtraFields::default();
        if let Some(authority) = url.authority()
            && let Some(basic) = basic_authorisation(&authority).ok_or(UrlError::User)?
        {
            extra.push("Authorization", &basic);
        }
        let (method, asked) = (Cow::Borrowed("GET"), Asked::default());
        Ok(Self { secure, host, port, authority, method, target, asked, extra })
    }

    /// Adds a field. There is one `Authorization` (RFC 9110 §11.6.2): it takes the place of the URL's, or of one before.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if same(name, "Authorization") {
            self.extra.remove(name);
        }
        self.extra.push(name, value);
        self
    }

    /// Offers a subprotocol; the one offered first is liked best.
    #[must_use]
    pub fn subprotocol(mut self, name: &str) -> Self {
        if is_token(name) && !members(&self.asked.subprotocols).any(|offered| offered == name) {
            join(&mut self.asked.subprotocols, name);
        } else {
            // They must be tokens, and no two the same (RFC 6455 §4.1).
            self.extra.fail(SendError::Subprotocol);
        }
        self
    }

    /// What becomes of the handshake if the server chooses none of the subprotocols.
    #[must_use]
    pub fn with_subprotocol_policy(mut self, policy: SubprotocolPolicy) -> Self {
        self.asked.policy = policy;
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn subprotocol_policy(&self) -> SubprotocolPolicy {
        self.asked.policy
    }

    /// The request with what `config` has it offer, unless it offers extensions itself: compression, and
    /// [`Config::extensions`](crate::Config::extensions). A [`Connection`](crate::Connection) does so by itself.
    ///
    /// # Errors
    /// [`Head`](SendError::Head) for an extension whose name or parameter is no token.
    ///
    /// ```
    /// use sockless::handshake::extended;
    /// use sockless::{ClientRequest, Config};
    ///
    /// let config = Config::default(); // with `extensions` of your own
    /// let request = ClientRequest::new("wss://example.com/chat")?;
    /// let request = request.offering(&config)?;
    /// let list = extended::request_headers(&request, &config)?; // and `check_response` by the same request
    /// assert!(list.iter().all(|(name, _)| name != "sec-websocket-extensions"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn offering(&self, config: &Config) -> Result<Cow<'_, Self>, SendError> {
        super::offer_all(self, config)
    }

    /// Replaces the extensions that are offered, as [`extension::push`] lists them, and those of
    /// [`Config::deflate`](crate::Config::deflate) with them.
    ///
    /// What a server answers to a `permessage-deflate` among them is held against it (RFC 7692 §7.1), and messages are then
    /// compressed by `Config::deflate`, or by its defaults. Of another extension, only its name is held against the offer:
    /// the rest of its answer, in [`Response::extensions`](super::Response::extensions), is for the caller to judge, and
    /// frames whose reserved bits it uses are refused.
    #[must_use]
    pub fn with_extensions(mut self, offer: &str) -> Self {
        if extension::parse(offer).any(|extension| extension.is_err()) {
            self.extra.fail(SendError::Head);
        } else {
            self.asked.extensions = offer.into();
        }
        self
    }

    /// Replaces the method, for servers that are not what RFC 6455 §4.1 says.
    #[must_use]
    pub fn with_method(mut self, method: &str) -> Self {
        if is_token(method) {
            self.method = Cow::Owned(method.into());
        } else {
            self.extra.fail(SendError::Head);
        }
        self
    }

    /// Replaces the target, which the URL's path and query make.
    #[must_use]
    pub fn with_target(mut self, target: &str) -> Self {
        if is_target(target) {
            self.target = target.into();
        } else {
            self.extra.fail(SendError::Head);
        }
        self
    }

    /// Replaces the `Host`; where to connect to stays as it is.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        if is_host(host.as_bytes()) {
            self.authority = host.into();
        } else {
            self.extra.fail(SendError::Head);
        }
        self
    }

    /// Whether the URL asks for TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The URL's host, an IPv6 address without its brackets and with its zone, as in `fe80::1%eth0`: where to connect to.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The same without a zone, which is none but this machine's: whom TLS is to show.
    pub fn server_name(&self) -> &str {
        self.host.split('%').next().unwrap_or_default()
    }

    /// The URL's port, or its scheme's default.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The target: path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether the caller's parts are fit to be written.
    ///
    /// # Errors
    /// As [`write_request`].
    pub fn check(&self) -> Result<(), SendError> {
        self.extra.lines().map(|_| ())
    }
}

impl fmt::Debug for ClientRequest {
    /// Leaves the fields out: they carry cookies and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ClientRequest");
        debug.field("host", &self.host).field("port", &self.port).field("target", &self.target);
        debug.finish_non_exhaustive()
    }
}

/// The credentials in a URL as RFC 7617 §2 has them; the outer `None` is a user with a colon, which it cannot carry.
fn basic_authorisation(authority: &Authority<'_>) -> Option<Option<String>> {
    let Some(userinfo) = authority.userinfo() else { return Some(None) };
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user.decode().to_bytes(), password.decode().to_bytes()),
        None => (userinfo.decode().to_bytes(), Cow::Borrowed(&[][..])),
    };
    let credentials = STANDARD.encode([&user, &b":"[..], &password].concat());
    (!user.contains(&b':')).then(|| Some(format!("Basic {credentials}")))
}

/// Writes a client's request to the end of `out`. The `key` must be random, and new for each request (RFC 6455 §4.1).
///
/// # Errors
/// The first mistake made in the request, `out` being then as it was: [`Head`](SendError::Head) for a byte that could
/// break the head, [`ReservedHeader`](SendError::ReservedHeader), or [`Subprotocol`](SendError::Subprotocol) for one
/// that is no token or offered twice.
pub fn write_request(request: &ClientRequest, key: &[u8; 16], out: &mut Vec<u8>) -> Result<(), SendError> {
    let lines = request.extra.lines()?;
    let key: [u8; 24] = encode(key);
    out.reserve(256 + request.target.len() + request.authority.len() + lines.len());
    for part in [&*request.method, " ", &request.target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    write_field("Host", &request.authority, out);
    out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
    out.extend_from_slice(&key);
    out.extend_from_slice(b"\r\nSec-WebSocket-Version: 13\r\n");
    for (name, value) in request.asked.fields() {
        write_field(name, value, out);
    }
    out.extend_from_slice(lines.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

impl Asked {
    /// The fields that ask.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        [("Sec-WebSocket-Protocol", &*self.subprotocols), ("Sec-WebSocket-Extensions", &*self.extensions)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
    }

    /// Refuses a response that takes what was not offered (RFC 6455 §4.1, 5 and 6), or that takes no subprotocol
    /// against the policy.
    pub(super) fn check<'h>(&self, fields: impl Iterator<Item = (&'h str, &'h [u8])>) -> Result<(), HandshakeError> {
        let (mut chosen, mut answered) = (false, Vec::new());
        for (name, value) in fields {
            if same(name, "Sec-WebSocket-Protocol") {
                let offered = members(&self.subprotocols).any(|offered| offered.as_bytes() == value);
                if chosen || !offered {
                    return Err(HandshakeError::Subprotocol);
                }
                chosen = true;
            } else if same(name, "Sec-WebSocket-Extensions") {
                let offered = |name| extension::parse(&self.extensions).flatten().any(|offered| offered.name() == name);
                let mut is_good = |name| {
                    let again = answered.contains(&name);
                    answered.push(name);
                    offered(name) && !again
                };
                if !all(extension::parse_bytes(value), |extension| extension.is_ok_and(|it| is_good(it.name()))) {
                    return Err(HandshakeError::Extensions);
                }
            }
        }
        let missing = self.policy == SubprotocolPolicy::Browser && !chosen && !self.subprotocols.is_empty();
        if missing { Err(HandshakeError::Subprotocol) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Origins};
    use crate::handshake::Request;

    fn written(request: &ClientRequest) -> Result<String, SendError> {
        let mut out = b"before".to_vec();
        let result = write_request(request, b"the sample nonce", &mut out);
        assert!(result.is_ok() || out == b"before");
        assert_eq!(result, request.check());
        result.map(|()| String::from_utf8(out.split_off(6)).unwrap())
    }

    fn new(url: &str) -> ClientRequest {
        ClientRequest::new(url).unwrap()
    }

    #[test]
    fn sample_of_the_rfc() {
        let request = new("ws://server.example.com/chat").header("Origin", "http://example.com");
        let request = request.subprotocol("chat").subprotocol("superchat").with_extensions("a; b=1, c");
        let text = written(&request).unwrap();
        assert_eq!(
            text,
            "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: a; b=1, c\r\n\
             Origin: http://example.com\r\n\r\n"
        );
        let config = Config { origins: Origins::Any, ..Config::default() };
        assert_eq!(Request::parse(text.as_bytes(), &config).unwrap().check(), Ok(()));
    }

    #[test]
    fn urls() {
        for (url, secure, host, port, authority, target) in [
            ("ws://a", false, "a", 80, "a", "/"),
            ("WS://a:80/b", false, "a", 80, "a", "/b"),
            ("wss://a:443?b", true, "a", 443, "a", "/?b"),
            ("wss://a:80/?b=c%20d?e", true, "a", 80, "a:80", "/?b=c%20d?e"),
            ("ws://a:/%2F/../b", false, "a", 80, "a", "/%2F/../b"),
            ("ws://[::1]:9001/", false, "::1", 9001, "[::1]:9001", "/"),
            ("ws://127.0.0.1:443", false, "127.0.0.1", 443, "127.0.0.1:443", "/"),
        ] {
            let request = new(url);
            assert_eq!((request.is_secure(), request.host(), request.port()), (secure, host, port), "{url}");
            assert_eq!((&*request.authority, request.target()), (authority, target), "{url}");
            let start = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n");
            assert!(written(&request).unwrap().starts_with(&start), "{url}");
        }
        for (error, urls) in [
            (UrlError::Scheme, &["http://a", "a:b"][..]),
            (UrlError::Host, &["ws:a", "ws:/a", "ws://", "ws:///a"]),
            (UrlError::Fragment, &["ws://a#", "ws://a/b#c"]),
            (UrlError::Port, &["ws://a:65536"]),
            (UrlError::User, &["ws://b%3Ac:d@a"]),
            (
                UrlError::Syntax,
                &[
                    "",
                    "a",
                    "/a",
                    "//a/b",
                    "ws://a:b",
                    "ws://a b",
                    "ws://a/\r\n",
                    "ws://a/b\n",
                    "ws://a/\tb",
                    "ws://a\0",
                    "ws://a@b@c%",
                    "ws://[::1",
                    "ws://[fe80::1%25]",
                    "ws://[fe80::1%25a/b]",
                    "ws://[fe80::1%25a%zz]",
                ],
            ),
        ] {
            for url in urls {
                assert_eq!(ClientRequest::new(url), Err(SendError::Url(error)), "{url:?}");
            }
        }
    }

    #[test]
    fn urls_as_people_write_them() {
        for (url, host, authority, target) in [
            ("ws://a/b c?d e=\u{e4}|{}", "a", "a", "/b%20c?d%20e=%C3%A4%7C%7B%7D"),
            ("ws://a?b c", "a", "a", "/?b%20c"),
            ("ws://a/100%/%2f", "a", "a", "/100%25/%2f"),
            ("ws://[fe80::1%25eth0]:9001/b", "fe80::1%eth0", "[fe80::1]:9001", "/b"),
            ("ws://[fe80::1%eth0]/b", "fe80::1%eth0", "[fe80::1]", "/b"),
            ("ws://[fe80::1%25en%20%C3%A4]", "fe80::1%en \u{e4}", "[fe80::1]", "/"),
            ("ws://[fe80::1%251]", "fe80::1%1", "[fe80::1]", "/"),
        ] {
            let request = new(url);
            assert_eq!((request.host(), &*request.authority, request.target()), (host, authority, target), "{url}");
            assert_eq!(request.server_name(), host.split('%').next().unwrap());
        }
        let zone = new("ws://[fe80::1%25eth0]/b");
        for (location, host) in
            [("/c", "fe80::1%eth0"), ("ws://[FE80::1]/c", "fe80::1%eth0"), ("ws://[fe80::2]", "fe80::2")]
        {
            assert_eq!(zone.redirected(location.as_bytes()).unwrap().host(), host, "{location}");
        }
        // RFC 7617 §2.1: what it is encoded from.
        let user = written(&new("ws://\u{e4} b:c%20%2Fd@e@a/")).unwrap();
        assert!(user.ends_with("\r\nAuthorization: Basic w6QgYjpjIC9kQGU=\r\n\r\n"), "{user}");
    }

    #[cfg(feature = "idn")]
    #[test]
    fn names_in_any_letters() {
        for (url, host) in [
            ("ws://b\u{fc}cher.example/", "xn--bcher-kva.example"),
            ("ws://B\u{dc}CHER.example:80/", "xn--bcher-kva.example"),
            ("ws://fa\u{df}.example", "xn--fa-hia.example"),
            ("ws://\u{4f8b}\u{3048}\u{3002}\u{30c6}\u{30b9}\u{30c8}", "xn--r8jz45g.xn--zckzah"),
            ("ws://user@xn--bcher-kva.example/", "xn--bcher-kva.example"),
            ("ws://\u{ff11}\u{ff12}7.0.0.1/", "127.0.0.1"),
        ] {
            let request = new(url);
            assert_eq!((request.host(), &*request.authority), (host, host), "{url}");
            assert_eq!(new("ws://a/").redirected(url.as_bytes()).unwrap().host(), host);
        }
        for url in ["ws://\u{ad}/", "ws://\u{e4} b/", "ws://\u{2100}.example/", "ws://\u{200d}a/"] {
            assert_eq!(ClientRequest::new(url), Err(SendError::Url(UrlError::Name)), "{url}");
        }
    }

    #[cfg(not(feature = "idn"))]
    #[test]
    fn names_in_any_letters_need_a_feature() {
        assert_eq!(ClientRequest::new("ws://\u{e4}/"), Err(SendError::Url(UrlError::Name)));
    }

    #[test]
    fn user_info_becomes_basic_authorisation() {
        // RFC 7617 §2 and §2.1.
        for (user, basic) in [
            ("Aladdin:open%20sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test:123%C2%A3", "dGVzdDoxMjPCow=="),
            ("a", "YTo="),
            ("a:b:c", "YTpiOmM="),
            ("", "Og=="),
        ] {
            let request = new(&format!("ws://{user}@a/"));
            assert!(written(&request).unwrap().ends_with(&format!("\r\nAuthorization: Basic {basic}\r\n\r\n")));
            // The caller's is the one, and the latest of those.
            let own = request
                .clone()
                .header("X-Authorization", "a")
                .header("authorization", "b")
                .header("Authorization", "c d");
            assert!(written(&own).unwrap().ends_with("13\r\nX-Authorization: a\r\nAuthorization: c d\r\n\r\n"));
            assert!(written(&request).unwrap().contains("\r\nHost: a\r\n"));
            assert!(!format!("{request:?}").contains("Basic"));
        }
    }

    #[test]
    fn replaced_parts() {
        let request = new("ws://a/b").with_method("PATCH").with_target("*").with_host("c:7");
        assert!(written(&request).unwrap().starts_with("PATCH * HTTP/1.1\r\nHost: c:7\r\n"));
        assert_eq!((request.host(), request.port()), ("a", 80));
    }

    #[test]
    fn no_injection() {
        let request = || new("ws://a/b");
        for bad in ["", "a b", "a\r\nb: c", "a\n", "a\0", "a\u{e4}", "a\x7f"] {
            assert_eq!(written(&request().with_method(bad)), Err(SendError::Head));
            assert_eq!(written(&request().with_target(bad)), Err(SendError::Head));
            assert_eq!(written(&request().with_host(bad)), Err(SendError::Head));
            assert_eq!(written(&request().header(bad, "c")), Err(SendError::Head));
            assert_eq!(written(&request().subprotocol(bad)), Err(SendError::Subprotocol));
            assert!(bad.is_empty() || written(&request().with_extensions(bad)) == Err(SendError::Head));
        }
        assert_eq!(written(&request().with_target("/a#b")), Err(SendError::Head));
        assert!(written(&request().with_target("/a%23b")).is_ok());
        assert_eq!(written(&request().header("c", "a\r\nb: c")), Err(SendError::Head));
        assert_eq!(written(&request().header("host", "b")), Err(SendError::ReservedHeader));
        assert_eq!(written(&request().header("Sec-WebSocket-Key", "b")), Err(SendError::ReservedHeader));
        assert_eq!(written(&request().subprotocol("b").subprotocol("b")), Err(SendError::Subprotocol));
        assert_eq!(written(&request().with_extensions("b;")), Err(SendError::Head));
    }
}
