//! Where a redirect leads a client's request, and what of it goes there.

use super::client::{Asked, ClientRequest};
use super::grammar::ExtraFields;
use super::url::{Place, Written, encode};
use alloc::{format, string::String};
use fluent_uri::{Uri, UriRef};

/// Following redirects (RFC 9110 §15.4), which [`Response::redirect`](super::Response::redirect) finds.
impl ClientRequest {
    /// The request that a redirect asks for by its `Location`, relative or not; `http` stands for `ws`, and what must be
    /// percent-encoded there and is not, is.
    ///
    /// To the [same origin](Self::is_same_origin) goes all of this request, its method and its `Host` included. To any other
    /// goes what the handshake needs and nothing of the caller's: neither fields, such as `Authorization` and `Cookie`, nor
    /// subprotocols, which some servers take for credentials. A user and a password in the location are not taken.
    ///
    /// `None` for what is no URL of a WebSocket, and for one that leads from TLS out of it.
    ///
    /// ```
    /// use sockless::ClientRequest;
    ///
    /// let request = ClientRequest::new("wss://user:secret@example.com/chat?room=7")?.subprotocol("chat");
    /// let moved = request.redirected(b"/rooms/7 (new)").unwrap();
    /// assert_eq!((moved.host(), moved.target()), ("example.com", "/rooms/7%20(new)"));
    /// assert!(request.redirected(b"https://elsewhere.example/").is_some()); // without subprotocol and password
    /// assert!(request.redirected(b"http://example.com/chat").is_none());
    /// # Ok::<(), sockless::SendError>(())
    /// ```
    #[must_use]
    pub fn redirected(&self, location: &[u8]) -> Option<Self> {
        let moved = self.redirected_with_all(location)?;
        if self.is_same_origin(&moved) {
            return Some(Self { authority: self.authority.clone(), ..moved });
        }
        let asked = Asked { subprotocols: String::new(), ..moved.asked };
        Some(Self { method: "GET".into(), asked, extra: ExtraFields::default(), ..moved })
    }

    /// The same, but everything goes to any server, except the `Host`: for servers that are known to lead only where all of
    /// it may be seen.
    #[must_use]
    pub fn redirected_with_all(&self, location: &[u8]) -> Option<Self> {
        let location = location.split(|byte| *byte == b'#').next()?;
        let Written { url: location, zone } = Written::new(location).ok()?;
        // Whatever is asked for instead of the URL's own target.
        let target = if self.target.starts_with('/') { encode(self.target.as_bytes()) } else { "/".into() };
        let (scheme, host, port) = (if self.secure { "wss" } else { "ws" }, self.server_name(), self.port);
        let base = match host.contains(':') {
            true => format!("{scheme}://[{host}]:{port}{target}"),
            false => format!("{scheme}://{host}:{port}{target}"),
        };
        let url = UriRef::parse(&*location).ok()?.resolve_against(&Uri::parse(&*base).ok()?).ok()?;
        let is = |known: &str| url.scheme().as_str().eq_ignore_ascii_case(known);
        let secure = is("wss") || is("https");
        if !secure && (self.secure || !is("ws") && !is("http")) {
            return None;
        }
        let Place { mut host, port, authority, target } = Place::new(&url.borrow(), zone.as_deref(), secure).ok()?;
        if host.eq_ignore_ascii_case(self.server_name()) {
            // In a zone, if it was.
            host.clone_from(&self.host);
        }
        Some(Self { secure, host, port, authority, target, ..self.clone() })
    }

    /// Whether both go to the same scheme, host and port, so that what is meant for the server of the one may be shown to
    /// that of the other.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.secure, self.port) == (other.secure, other.port) && self.host.eq_ignore_ascii_case(&other.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::write_request;
    use alloc::vec::Vec;

    fn new(url: &str) -> ClientRequest {
        ClientRequest::new(url).unwrap()
    }

    /// Where a request leads, as a URL.
    fn url(request: &ClientRequest) -> String {
        let scheme = if request.is_secure() { "wss" } else { "ws" };
        format!("{scheme}://{}{}", request.authority, request.target())
    }

    fn written(request: &ClientRequest) -> String {
        let mut out = Vec::new();
        write_request(request, b"the sample nonce", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn targets() {
        for (from, location, wanted) in [
            ("ws://a/b", "/c", Some("ws://a/c")),
            ("ws://a/b/c", "d?e", Some("ws://a/b/d?e")),
            ("ws://a/b/c", "?e", Some("ws://a/b/c?e")),
            ("ws://a/b/c", "../../../d", Some("ws://a/d")),
            ("ws://a/b?c", "", Some("ws://a/b?c")),
            ("ws://a:81/b", "/c", Some("ws://a:81/c")),
            ("ws://a/b", "//c:1/d", Some("ws://c:1/d")),
            ("ws://a/b", "http://c/d", Some("ws://c/d")),
            ("ws://a/b", "http://c:80", Some("ws://c/")),
            ("ws://a/b", "https://c/d#e", Some("wss://c/d")),
            ("wss://a/b", "https://c/d", Some("wss://c/d")),
            ("wss://a/b", "WSS://c/d", Some("wss://c/d")),
            ("ws://[::1]:9001/b", "c", Some("ws://[::1]:9001/c")),
            ("ws://a/b", "ws://[::1]/c", Some("ws://[::1]/c")),
            ("ws://a/b", "ws://user:password@c/d", Some("ws://c/d")),
            ("wss://a/b", "http://a/b", None),
            ("wss://a/b", "ws://a/b", None),
            ("ws://a/b", "ftp://a/b", None),
            ("ws://a/b", "mailto:a@b", None),
            ("ws://a/b", "ws:c", None),
            ("ws://a/b", "ws:///c", None),
            ("ws://a/b", "ws://c d/", None),
            ("ws://a/b", "ws://c:99999/", None),
            ("ws://a/b", "ws://\u{ad}/", None),
        ] {
            let moved = new(from).redirected(location.as_bytes());
            assert_eq!(moved.as_ref().map(url).as_deref(), wanted, "{from} to {location}");
        }
    }

    #[test]
    fn what_must_be_encoded_is_encoded() {
        for (location, wanted) in [
            (&b"/x[]"[..], "ws://a/x%5B%5D"),
            (b"/c?x[]={1}|2", "ws://a/c?x%5B%5D=%7B1%7D%7C2"),
            (b"/c d?e f", "ws://a/c%20d?e%20f"),
            ("/\u{e4}?\u{20ac}".as_bytes(), "ws://a/%C3%A4?%E2%82%AC"),
            (b"/\xe4", "ws://a/%E4"),
            (b"/c%20d%2Fe", "ws://a/c%20d%2Fe"),
            (b"/100%", "ws://a/100%25"),
            (b"/100%5x", "ws://a/100%255x"),
            (b"\\\\c\\d", "ws://a/%5C%5Cc%5Cd"),
            (b"/c\"<>^`", "ws://a/c%22%3C%3E%5E%60"),
            (b"http://c/d e#f g", "ws://c/d%20e"),
            (b"/c\td", "ws://a/c%09d"),
        ] {
            assert_eq!(new("ws://a/b").redirected(location).as_ref().map(url).as_deref(), Some(wanted));
        }
        // Relative to what was asked for, whatever that is.
        let odd = |target| new("ws://a/b").with_target(target).redirected(b"c").as_ref().map(url);
        assert_eq!(odd("/x{}/y"), Some("ws://a/x%7B%7D/c".into()));
        assert_eq!(odd("*"), Some("ws://a/c".into()));
    }

    #[test]
    fn the_same_server_gets_all_and_another_what_the_handshake_needs() {
        let request = new("ws://user:secret@a/b").header("Cookie", "c=d").header("X-Api-Key", "e").subprotocol("token");
        let request = request.with_extensions("x").with_host("virtual").with_method("PUT");
        let same = "PUT /c HTTP/1.1\r\nHost: virtual\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Protocol: token\r\nSec-WebSocket-Extensions: x\r\n\
            Authorization: Basic dXNlcjpzZWNyZXQ=\r\nCookie: c=d\r\nX-Api-Key: e\r\n\r\n";
        for location in ["/c", "http://A:80/c", "//a/c", "ws://other:name@a/c"] {
            assert_eq!(written(&request.redirected(location.as_bytes()).unwrap()), same, "{location}");
        }
        for location in ["ws://b/c", "ws://a:81/c", "wss://a/c", "wss://a:80/c", "ws://other:name@b/c"] {
            let moved = request.redirected(location.as_bytes()).unwrap();
            assert!(!request.is_same_origin(&moved));
            let host = &moved.authority;
            let other = format!(
                "GET /c HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Extensions: x\r\n\r\n"
            );
            assert_eq!(written(&moved), other, "{location}");
            // Back again, it is a stranger's request.
            assert!(!written(&moved.redirected(b"ws://a/b").unwrap_or_else(|| moved.clone())).contains("secret"));
            let all = request.redirected_with_all(location.as_bytes()).unwrap();
            assert_eq!(written(&all), same.replacen("Host: virtual", &format!("Host: {host}"), 1), "{location}");
        }
    }
}
