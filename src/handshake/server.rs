//! A request as a server sees it (RFC 6455 §4.2.1).

use super::grammar::is_taken;
use super::head::{self, Head};
use super::opening::Opening;
use super::{Accept, SubprotocolPolicy, extension};
use crate::config::{Config, Limits};
use crate::wire::error::{HandshakeError, said};
use alloc::borrow::Cow;
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use extension::Extension;

/// The head of an HTTP request, which may ask for a WebSocket or for anything else.
///
/// ```
/// use sockless::{Config, handshake::{self, Request}};
///
/// let head = b"GET /chat?room=7 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// let request = Request::parse(head.as_slice(), &Config::default())?;
/// assert_eq!(request.check(), Ok(()));
/// assert_eq!((request.path(), request.query()), ("/chat", Some("room=7")));
///
/// let mut out = Vec::new();
/// handshake::write_accept(&request.accept().header("Set-Cookie", "seen=1"), None, &mut out)?;
/// assert!(out.starts_with(b"HTTP/1.1 101 "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Request<'a> {
    head: Head<'a>,
    upgrade: bool,
    body: bool,
    /// Whether it offers subprotocols, so that nobody looks for them in vain.
    subprotocols: bool,
    /// Where in the head the key is, if the request may be accepted.
    verdict: Result<usize, HandshakeError>,
    /// One word, for what an event has room for is moved with every message.
    pub(super) params: Option<Box<Params>>,
}

/// What a route names of a path: names and values.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Params(pub(super) Vec<(String, String)>);

/// What one pass over a head finds.
struct Found {
    /// Where the head ends, past its empty line.
    end: usize,
    /// Whether the first line is where the head begins, and every line ends with a CR and an LF: httparse takes an LF
    /// alone, and empty lines before the first.
    are_lines_good: bool,
    upgrade: bool,
    body: bool,
    subprotocols: bool,
    verdict: Result<usize, HandshakeError>,
}

impl Found {
    /// `None` where the head does not end.
    #[inline]
    fn read(bytes: &[u8], config: &Config) -> Result<Option<Self>, HandshakeError> {
        let mut slots = head::slots();
        let limit = config.limits.fields.min(Limits::MOST_FIELDS);
        let slots = &mut slots[..limit];
        let mut parsed = httparse::Request::new(&mut []);
        let Some(end) = head::end(parsed.parse_with_uninit_headers(bytes, slots), limit)? else { return Ok(None) };
        let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
        if !is_taken(target) {
            return Err(HandshakeError::Malformed);
        }
        let mut opening = Opening::new(split_authority(target).0);
        // What httparse gives is a part of what it was given.
        let start = |part: &[u8]| part.as_ptr().addr() - bytes.as_ptr().addr();
        let mut are_lines_good = start(method.as_bytes()) == 0 && bytes[..end].ends_with(b"\r\n\r\n");
        for field in parsed.headers.iter() {
            are_lines_good &= bytes[..start(field.name.as_bytes())].ends_with(b"\r\n");
            opening.field(field.name, field.value);
        }
        let key = opening.check_http1(method, parsed.version == Some(1), config);
        let verdict = key.map(|key| start(key));
        let Opening { upgrade, body, subprotocols, .. } = opening;
        Ok(Some(Self { end, are_lines_good, upgrade, body, subprotocols, verdict }))
    }
}

impl<'a> Request<'a> {
    /// Reads the head of a request, up to and with its empty line. Whether it opens a WebSocket is for
    /// [`check`](Self::check) to say, by the rules of `config`.
    ///
    /// # Errors
    /// [`Malformed`](HandshakeError::Malformed) for what is not exactly one head of HTTP/1.0 or 1.1, and
    /// [`TooManyFields`](HandshakeError::TooManyFields).
    pub fn parse(head: impl Into<Cow<'a, [u8]>>, config: &Config) -> Result<Self, HandshakeError> {
        let head = head.into();
        head::check_end(&head)?;
        Self::from_head(head, config)
    }

    /// The same for what a [`HeadReader`](super::HeadReader) gave, which has looked for stray line ends already.
    pub(crate) fn from_head(bytes: Cow<'a, [u8]>, config: &Config) -> Result<Self, HandshakeError> {
        match Found::read(&bytes, config)? {
            Some(found) if found.end == bytes.len() => Ok(Self::found(bytes, found)),
            _ => Err(HandshakeError::Malformed),
        }
    }

    /// Takes a request from the front of `input` where all of it is there and its lines end as they should, which most
    /// do. `None` takes nothing, and leaves it to a [`HeadReader`](super::HeadReader) to say more.
    pub(crate) fn take(input: &mut &'a mut [u8], config: &Config) -> Option<Self> {
        let bytes = &input[..config.limits.head.min(input.len())];
        let found = Found::read(bytes, config).ok()?.filter(|found| found.are_lines_good)?;
        Some(Self::found(head::take_front(input, found.end).into(), found))
    }

    fn found(bytes: Cow<'a, [u8]>, found: Found) -> Self {
        let Found { upgrade, body, subprotocols, verdict, .. } = found;
        Self { head: Head { bytes }, upgrade, body, subprotocols, verdict, params: None }
    }

    /// The same, judged by other settings.
    pub(crate) fn judged(mut self, config: &Config) -> Self {
        self.verdict = match Found::read(&self.head.bytes, config) {
            _ if self.head.bytes.len() > config.limits.head => {
                Err(HandshakeError::HeadTooLong { limit: said(config.limits.head) })
            }
            Ok(Some(found)) => found.verdict,
            Ok(None) => Err(HandshakeError::Malformed),
            Err(error) => Err(error),
        };
        self
    }

    /// Whether this is a handshake that a server may accept (RFC 6455 §4.2.1).
    ///
    /// # Errors
    /// The reason to refuse it, whose [`status`](HandshakeError::status) is the answer due:
    /// [`Body`](HandshakeError::Body) for a request with a body, whatever it asks for,
    /// [`NotUpgrade`](HandshakeError::NotUpgrade) for plain HTTP otherwise, [`Method`](HandshakeError::Method),
    /// [`HttpVersion`](HandshakeError::HttpVersion), [`Host`](HandshakeError::Host),
    /// [`Version`](HandshakeError::Version), [`Subprotocol`](HandshakeError::Subprotocol),
    /// [`Extensions`](HandshakeError::Extensions), [`Origin`](HandshakeError::Origin) or [`Key`](HandshakeError::Key).
    pub fn check(&self) -> Result<(), HandshakeError> {
        self.verdict.map(|_| ())
    }

    /// Whether the request asks for a WebSocket at all, be it well or badly; if not, it is plain HTTP.
    pub fn is_upgrade(&self) -> bool {
        self.upgrade
    }

    /// Whether a body follows, as far as `Transfer-Encoding` and `Content-Length` say (RFC 9112 §6.3), or is not ruled out
    /// by them. A [`Connection`](crate::Connection) gives none of it to its caller.
    pub fn has_body(&self) -> bool {
        self.body
    }

    /// The method, such as `GET`.
    pub fn method(&self) -> &str {
        self.head.first_line()[0]
    }

    /// Whether the request is of HTTP/1.1; if not, it is of HTTP/1.0.
    pub fn is_http_1_1(&self) -> bool {
        self.head.first_line()[2] == "HTTP/1.1"
    }

    /// The target as the request has it, its percent-encoding untouched.
    pub fn target(&self) -> &str {
        self.head.first_line()[1]
    }

    /// The target's path, its percent-encoding untouched.
    pub fn path(&self) -> &str {
        split_query(self.target()).0
    }

    /// The target's query, without the question mark.
    pub fn query(&self) -> Option<&str> {
        split_query(self.target()).1
    }

    /// The fields in order, names as they were written, values trimmed.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.head.fields()
    }

    /// The value of the first field of this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.field(name)
    }

    /// The whole head as it came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.head.bytes
    }

    /// The host, and the port if there is one: the `Host`, unless the target itself names one (RFC 9112 §3.2.2).
    pub fn host(&self) -> Option<&str> {
        split_authority(self.target()).0.or_else(|| self.head.text("host"))
    }

    /// The origin of the page that made the request, if a browser did (RFC 6454 §7).
    pub fn origin(&self) -> Option<&str> {
        self.head.text("origin")
    }

    /// The `Sec-WebSocket-Key`.
    pub fn key(&self) -> Option<&str> {
        self.head.text("sec-websocket-key")
    }

    /// The subprotocols that the client offers, the one it likes best first (RFC 6455 §11.3.4).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
        let head = self.subprotocols.then_some(&self.head);
        head.into_iter().flat_map(|head| head.tokens("sec-websocket-protocol"))
    }

    /// The extensions that the client offers, in order (RFC 6455 §9.1).
    pub fn extensions(&self) -> impl Iterator<Item = Result<Extension<'_>, HandshakeError>> + Clone {
        self.head.values("sec-websocket-extensions").flat_map(extension::parse_bytes)
    }

    /// The first of `supported`, the server's own order of preference, that the client offers; for
    /// [`Accept::subprotocol`].
    ///
    /// # Errors
    /// [`Subprotocol`](HandshakeError::Subprotocol) by the policy of browsers, where the client offers some and none is
    /// supported: it would drop the connection.
    ///
    /// ```
    /// # use sockless::{Config, handshake::*};
    /// # let head = b"GET / HTTP/1.1\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n";
    /// # let request = Request::parse(head.as_slice(), &Config::default())?;
    /// // Sec-WebSocket-Protocol: chat, superchat
    /// assert_eq!(request.select_subprotocol(&["superchat", "chat"], SubprotocolPolicy::Rfc), Ok(Some("superchat")));
    /// assert_eq!(request.select_subprotocol(&["mqtt"], SubprotocolPolicy::Rfc), Ok(None));
    /// assert!(request.select_subprotocol(&["mqtt"], SubprotocolPolicy::Browser).is_err());
    /// # Ok::<(), sockless::HandshakeError>(())
    /// ```
    pub fn select_subprotocol<'s>(
        &self,
        supported: &[&'s str],
        policy: SubprotocolPolicy,
    ) -> Result<Option<&'s str>, HandshakeError> {
        let selected = supported.iter().find(|name| self.subprotocols().any(|offered| offered == **name)).copied();
        let required = policy == SubprotocolPolicy::Browser && self.subprotocols().next().is_some();
        if selected.is_none() && required { Err(HandshakeError::Subprotocol) } else { Ok(selected) }
    }

    /// The answer that takes the request as it is, to be added to. For a request that [`check`](Self::check) refuses,
    /// it is an answer that cannot be written.
    pub fn accept(&self) -> Accept {
        let key = self.verdict.ok().and_then(|at| self.head.bytes[at..].first_chunk());
        Accept::new(self.check(), key.copied(), self.subprotocols())
    }

    /// The same with the first subprotocol that the client offers, if it offers any.
    pub fn accept_first_subprotocol(&self) -> Accept {
        match self.subprotocols().next() {
            Some(first) => self.accept().subprotocol(first),
            None => self.accept(),
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Request<'static> {
        let Self { head, upgrade, body, subprotocols, verdict, params } = self;
        Request { head: head.into_owned(), upgrade, body, subprotocols, verdict, params }
    }
}

impl fmt::Debug for Request<'_> {
    /// Leaves the fields out: they carry cookies and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Request");
        debug.field("method", &self.method()).field("target", &self.target()).field("check", &self.check());
        debug.finish_non_exhaustive()
    }
}

/// A target's authority, which it has in absolute form only (RFC 9112 §3.2.2), and the rest of it.
#[inline]
fn split_authority(target: &str) -> (Option<&str>, &str) {
    let absolute = if target.starts_with('/') { None } else { target.split_once("://") };
    let Some((_, rest)) = absolute else { return (None, target) };
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    (Some(authority), rest)
}

/// A target's path, which may be left out behind an authority, and its query.
fn split_query(target: &str) -> (&str, Option<&str>) {
    let (_, rest) = split_authority(target);
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    (if path.is_empty() { "/" } else { path }, query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origins;
    use alloc::format;

    const SAMPLE: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn any() -> Config {
        Config { origins: Origins::Any, ..Config::default() }
    }

    fn parse(head: &str) -> Result<Request<'_>, HandshakeError> {
        Request::parse(head.as_bytes(), &any())
    }

    /// The verdict on the sample with some of it replaced.
    fn with(from: &str, to: &str) -> Result<(), HandshakeError> {
        assert!(SAMPLE.contains(from));
        parse(&SAMPLE.replacen(from, to, 1))?.check()
    }

    #[test]
    fn sample_of_the_rfc() {
        let request = parse(SAMPLE).unwrap().into_owned();
        assert_eq!(request.check(), Ok(()));
        assert!(request.is_upgrade());
        assert_eq!((request.method(), request.target(), request.path()), ("GET", "/chat", "/chat"));
        assert_eq!((request.query(), request.host()), (None, Some("server.example.com")));
        assert_eq!(request.origin(), Some("http://example.com"));
        assert_eq!(request.key(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["chat", "superchat"]);
        assert_eq!(request.extensions().count(), 0);
        assert_eq!(request.headers().count(), 7);
        assert_eq!(request.as_bytes(), SAMPLE.as_bytes());
        let debug = format!("{request:?}");
        assert_eq!(debug, r#"Request { method: "GET", target: "/chat", check: Ok(()), .. }"#);
    }

    #[test]
    fn targets() {
        for (target, authority, path, query) in [
            ("/", None, "/", None),
            ("/a%20b?c=d?e", None, "/a%20b", Some("c=d?e")),
            ("/?", None, "/", Some("")),
            ("/a?u=http://b/c", None, "/a", Some("u=http://b/c")),
            ("http://a:1/b?c", Some("a:1"), "/b", Some("c")),
            ("http://a?c", Some("a"), "/", Some("c")),
            ("http://a", Some("a"), "/", None),
            ("*", None, "*", None),
        ] {
            assert_eq!((split_authority(target).0, split_query(target)), (authority, (path, query)));
        }
        let absolute = SAMPLE.replace("/chat", "http://example.com/chat");
        assert_eq!(parse(&absolute).unwrap().host(), Some("example.com"));
        // The origin is held against the target's host, not against `Host`.
        let request = Request::parse(absolute.as_bytes(), &Config::DEFAULT).unwrap();
        assert_eq!(request.check(), Ok(()));
        let twice = absolute.replace("Host: ", "Host: b\r\nHost: ");
        assert_eq!(parse(&twice).unwrap().check(), Err(HandshakeError::Host));
        assert_eq!(with("/chat", "http:///chat"), Err(HandshakeError::Host));
        assert_eq!(with("/chat", "http://a@b/chat"), Err(HandshakeError::Host));
    }

    #[test]
    fn what_a_server_takes() {
        for (from, to) in [
            ("Upgrade: websocket", "uPGRADE:\th2c , WebSocket "),
            ("Connection: Upgrade", "connection: keep-alive, upgrade"),
            ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
            ("Sec-WebSocket-Protocol: chat, superchat\r\n", ""),
            ("chat, superchat", "chat\r\nSec-WebSocket-Protocol: superchat"),
            ("chat, superchat", "chat,, superchat,"),
            ("Host: server.example.com", "Host: [::1]:80"),
            ("Origin: http://example.com\r\n", ""),
            ("Origin: ", "Sec-WebSocket-Extensions: a; b=\"c\", d\r\nOrigin: "),
            ("Origin: ", "Cookie: \u{e4}\r\nOrigin: "),
            ("Origin: ", "Content-Length: 0\r\nOrigin: "),
        ] {
            assert_eq!(with(from, to), Ok(()), "{to}");
        }
    }

    #[test]
    fn what_a_server_refuses() {
        use HandshakeError as E;
        for (from, to, error) in [
            ("Upgrade: websocket\r\n", "", E::NotUpgrade),
            ("Upgrade: websocket", "Upgrade: websockets", E::NotUpgrade),
            ("Connection: Upgrade", "Connection: keep-alive", E::NotUpgrade),
            ("GET", "POST", E::Method),
            ("GET", "get", E::Method),
            ("HTTP/1.1", "HTTP/1.0", E::HttpVersion),
            ("Host: server.example.com\r\n", "", E::Host),
            ("Host: server.example.com", "Host: a\r\nHost: a", E::Host),
            ("Host: server.example.com", "Host:", E::Host),
            ("Host: server.example.com", "Host: a, b", E::Host),
            ("Host: server.example.com", "Host: a/b", E::Host),
            ("Version: 13", "Version: 8", E::Version),
            ("Version: 13", "Version: 013", E::Version),
            ("Version: 13", "Version: 13, 8", E::Version),
            ("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", E::Version),
            ("Sec-WebSocket-Version: 13\r\n", "", E::Version),
            ("chat, superchat", "chat superchat", E::Subprotocol),
            ("chat, superchat", ",", E::Subprotocol),
            ("chat, superchat", "", E::Subprotocol),
            ("Origin: ", "Sec-WebSocket-Extensions: a;\r\nOrigin: ", E::Extensions),
            ("Origin: ", "Sec-WebSocket-Extensions:\r\nOrigin: ", E::Extensions),
            ("Origin: ", "Sec-WebSocket-Extensions: ,\r\nOrigin: ", E::Extensions),
            ("Origin: ", "Content-Length: 1\r\nOrigin: ", E::Body),
            ("Origin: ", "content-length: 0, 0\r\nOrigin: ", E::Body),
            ("Origin: ", "Content-Length: 0\r\nContent-Length: 0\r\nOrigin: ", E::Body),
            ("Origin: ", "Content-Length:\r\nOrigin: ", E::Body),
            ("Origin: ", "Content-Length: -1\r\nOrigin: ", E::Body),
            ("Origin: ", "Content-Length: 0x0\r\nOrigin: ", E::Body),
            ("Origin: ", "Transfer-Encoding: chunked\r\nOrigin: ", E::Body),
            ("Origin: ", "transfer-encoding:\r\nOrigin: ", E::Body),
            ("Origin: ", "Transfer-Encoding: identity\r\nContent-Length: 0\r\nOrigin: ", E::Body),
            ("Origin: ", "Origin: http://other\r\nOrigin: ", E::Origin),
            ("dGhlIHNhbXBsZSBub25jZQ==", "", E::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", E::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", E::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWU=", E::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWVl", E::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl_HNhbXBsZSBub25jZQ==", E::Key),
            ("Origin: ", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: ", E::Key),
        ] {
            assert_eq!(with(from, to), Err(error), "{to}");
        }
        let latin1 = SAMPLE.replace("example.com\r\nSec", "\u{1}\r\nSec").into_bytes();
        let latin1: Vec<u8> = latin1.into_iter().map(|byte| if byte == 1 { 0xe4 } else { byte }).collect();
        assert_eq!(Request::parse(latin1, &any()).unwrap().check(), Err(E::Origin));
    }

    #[test]
    fn malformed_heads() {
        for (from, to) in [
            ("\r\n", "\n"),
            ("Host:", "Host :"),
            ("Host:", " Host:"),
            ("Upgrade: websocket", "Upgrade: websocket\r\n and more"),
            ("Upgrade: websocket", "Upgrade: web\0socket"),
            ("Upgrade: websocket", "Upgrade: web\rsocket"),
            ("Upgrade: websocket", "Upgrade: web\x01socket"),
            ("Upgrade: websocket", "Upgrade"),
            ("Upgrade: websocket", ": websocket"),
            ("GET /chat HTTP/1.1", "\r\nGET /chat HTTP/1.1"),
            ("GET /chat HTTP/1.1", "GET  /chat HTTP/1.1"),
            ("GET /chat HTTP/1.1", "GET /chat  HTTP/1.1"),
            ("GET /chat HTTP/1.1", "GET /chat HTTP/1.1 "),
            ("GET /chat HTTP/1.1", "GET /chat HTTP/2.0"),
            ("GET /chat HTTP/1.1", "GET /chat"),
            ("GET /chat HTTP/1.1", "GET /chat#a HTTP/1.1"),
            ("GET /chat HTTP/1.1", "GET http://a#b.com/chat HTTP/1.1"),
            ("\r\n\r\n", "\r\n"),
            ("\r\n\r\n", "\r\n\r\nx"),
        ] {
            assert_eq!(with(from, to), Err(HandshakeError::Malformed), "{to:?}");
        }
        assert_eq!(parse(""), Err(HandshakeError::Malformed));
    }

    #[test]
    fn as_many_fields_as_the_limit() {
        let head = |count| {
            let mut head = String::from("GET / HTTP/1.1\r\n");
            (0..count).for_each(|index| head += &format!("X-{index}: y\r\n"));
            head + "\r\n"
        };
        assert_eq!(parse(&head(100)).unwrap().headers().count(), 100);
        assert_eq!(parse(&head(101)), Err(HandshakeError::TooManyFields { limit: 100 }));
        let config = Config { limits: Limits { fields: usize::MAX, ..Limits::default() }, ..any() };
        assert!(Request::parse(head(Limits::MOST_FIELDS).as_bytes(), &config).is_ok());
        let more = head(Limits::MOST_FIELDS + 1);
        assert_eq!(
            Request::parse(more.as_bytes(), &config),
            Err(HandshakeError::TooManyFields { limit: Limits::MOST_FIELDS as u32 })
        );
    }

    #[test]
    fn plain_http() {
        let request = parse("GET /page HTTP/1.0\r\n\r\n").unwrap();
        assert!(!request.is_upgrade() && !request.has_body());
        assert_eq!(request.check(), Err(HandshakeError::NotUpgrade));
        let request = parse("POST /form HTTP/1.0\r\nContent-Length: 3\r\n\r\n").unwrap();
        assert!(!request.is_upgrade() && request.has_body());
        assert_eq!(request.check(), Err(HandshakeError::Body));
        assert_eq!((request.method(), request.header("content-LENGTH")), ("POST", Some(&b"3"[..])));
        let half = SAMPLE.replace("Connection: Upgrade", "Connection: close");
        assert!(parse(&half).unwrap().is_upgrade());
    }

    #[test]
    fn subprotocols_in_the_servers_order() {
        use SubprotocolPolicy::{Browser, Rfc};
        let request = parse(SAMPLE).unwrap();
        assert_eq!(request.select_subprotocol(&["superchat", "chat"], Browser), Ok(Some("superchat")));
        assert_eq!(request.select_subprotocol(&["Chat"], Rfc), Ok(None));
        assert_eq!(request.select_subprotocol(&["Chat"], Browser), Err(HandshakeError::Subprotocol));
        let none = SAMPLE.replace("Sec-WebSocket-Protocol: chat, superchat\r\n", "");
        assert_eq!(parse(&none).unwrap().select_subprotocol(&["chat"], Browser), Ok(None));
    }
}
