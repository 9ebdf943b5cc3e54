//! What a request asks for in more detail: its cookies, its query, and the parts of its path that a route names.

use super::{Accept, Request};
use alloc::borrow::Cow;
use percent_encoding::percent_decode_str;

impl Request<'_> {
    /// The value of the first cookie of this name (RFC 6265 §4.2.1), without the quotes that may be around it.
    ///
    /// ```
    /// # use sockless::{Config, handshake::Request};
    /// # let head = b"GET / HTTP/1.1\r\nCookie: theme=dark; user=\"ann\"\r\n\r\n";
    /// # let request = Request::parse(head.as_slice(), &Config::default())?;
    /// // Cookie: theme=dark; user="ann"
    /// assert_eq!(request.cookie("user"), Some("ann"));
    /// assert_eq!(request.cookie("User"), None);
    /// # Ok::<(), sockless::HandshakeError>(())
    /// ```
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The cookies in order, names and values. What is no pair is left out.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let fields = self.headers().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let pairs = fields.filter_map(|(_, value)| core::str::from_utf8(value).ok()).flat_map(|value| value.split(';'));
        pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim_ascii(), unquoted(value.trim_ascii())))
        })
    }

    /// The value of the first parameter of this name in the query, decoded as a form's is: `+` is a space, and what is not
    /// UTF-8 becomes U+FFFD.
    ///
    /// ```
    /// # use sockless::{Config, handshake::Request};
    /// # let head = b"GET /chat?room=caf%C3%A9+7&quiet HTTP/1.1\r\n\r\n";
    /// # let request = Request::parse(head.as_slice(), &Config::default())?;
    /// // GET /chat?room=caf%C3%A9+7&quiet
    /// assert_eq!(request.query_param("room").as_deref(), Some("café 7"));
    /// assert_eq!(request.query_param("quiet").as_deref(), Some(""));
    /// assert_eq!(request.query_param("user"), None);
    /// # Ok::<(), sockless::HandshakeError>(())
    /// ```
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_params().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The parameters of the query in order, names and values, decoded.
    pub fn query_params(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> + Clone {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
    }

    /// The part of the path that a route names so, as `room` in `/chat/{room}`; its percent-encoding decoded, and what is
    /// not UTF-8 as U+FFFD. `None` where no route of that name took the request.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.params.as_ref()?.0.iter().find(|(key, _)| key == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy())
    }

    /// The answer that takes the request, with the first subprotocol of `supported`, the server's own order of preference,
    /// that the client offers; if there is none, without (RFC 6455 §4.2.2).
    ///
    /// ```
    /// # use sockless::{Config, handshake::Request};
    /// # let head = b"GET / HTTP/1.1\r\nSec-WebSocket-Protocol: v1, v2\r\n\r\n";
    /// # let request = Request::parse(head.as_slice(), &Config::default())?;
    /// // Sec-WebSocket-Protocol: v1, v2
    /// assert_eq!(request.accept_one_of(&["v3", "v2", "v1"]).chosen_subprotocol(), Some("v2"));
    /// assert_eq!(request.accept_one_of(&["mqtt"]).chosen_subprotocol(), None);
    /// # Ok::<(), sockless::HandshakeError>(())
    /// ```
    pub fn accept_one_of(&self, supported: &[&str]) -> Accept {
        match supported.iter().find(|name| self.subprotocols().any(|offered| offered == **name)) {
            Some(name) => self.accept().subprotocol(name),
            None => self.accept(),
        }
    }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use alloc::{format, vec::Vec};

    fn with(target: &str, fields: &str) -> Request<'static> {
        let head = format!("GET {target} HTTP/1.1\r\n{fields}\r\n").into_bytes();
        Request::parse(head, &Config::DEFAULT).unwrap()
    }

    #[test]
    fn cookies_of_all_fields_and_none_that_is_broken() {
        let request = with(
            "/",
            "Cookie: a=1; b=\"2\";c=; =d; e; f==\"\r\nX: y=z\r\ncookie: a=3;\tg=\"\r\nCookie: \u{1F36A}=h\r\n",
        );
        let cookies: Vec<_> = request.cookies().collect();
        let expected =
            [("a", "1"), ("b", "2"), ("c", ""), ("", "d"), ("f", "=\""), ("a", "3"), ("g", "\""), ("\u{1F36A}", "h")];
        assert_eq!(cookies, expected);
        assert_eq!((request.cookie("a"), request.cookie("e"), request.cookie("y")), (Some("1"), None, None));
    }

    #[test]
    fn queries() {
        let request = with("/?a=1&b=%26%3D&a=2&&c&d=%FF%zz+%2B&=e", "");
        let query: Vec<_> = request.query_params().collect();
        let expected = [("a", "1"), ("b", "&="), ("a", "2"), ("c", ""), ("d", "\u{FFFD}%zz +"), ("", "e")];
        assert_eq!(query, expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(with("/", "").query_param(""), None);
    }
}
