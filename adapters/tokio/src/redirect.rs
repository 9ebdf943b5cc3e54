//! Where a redirect leads.

use fluent_uri::{Uri, UriRef};
use sockless::{ClientRequest, Response};

/// The URL that a response to `url` redirects to, as one of a WebSocket; `None` if it does not redirect, or leads from
/// TLS out of it.
pub(crate) fn target(url: &str, response: &Response<'_>) -> Option<String> {
    let location = std::str::from_utf8(response.header("location")?).ok()?;
    let reference = UriRef::parse(location).ok()?;
    let base = Uri::parse(url).ok()?;
    let target = reference.resolve_against(&base).ok()?;
    let (_, rest) = target.as_str().split_once(':')?;
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let is = |known: &str| target.scheme().as_str().eq_ignore_ascii_case(known);
    let scheme = match () {
        () if is("wss") || is("https") => "wss",
        () if (is("ws") || is("http")) && base.scheme().as_str().eq_ignore_ascii_case("ws") => "ws",
        () => return None,
    };
    Some(format!("{scheme}:{rest}"))
}

/// Whether credentials meant for the one may be shown to the other.
pub(crate) fn is_same_origin(one: &ClientRequest, other: &ClientRequest) -> bool {
    (one.is_secure(), one.port()) == (other.is_secure(), other.port()) && one.host().eq_ignore_ascii_case(other.host())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockless::Limits;

    fn to(url: &str, location: &str) -> Option<String> {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
        target(url, &Response::parse(head.as_bytes(), &Limits::default()).expect("a response"))
    }

    #[test]
    fn targets() {
        for (url, location, wanted) in [
            ("ws://a/b", "/c", Some("ws://a/c")),
            ("ws://a/b/c", "d?e", Some("ws://a/b/d?e")),
            ("ws://a/b", "//c:1/d", Some("ws://c:1/d")),
            ("ws://a/b", "http://c/d", Some("ws://c/d")),
            ("ws://a/b", "https://c/d#e", Some("wss://c/d")),
            ("wss://a/b", "https://c/d", Some("wss://c/d")),
            ("wss://a/b", "WSS://c/d", Some("wss://c/d")),
            ("wss://a/b", "http://a/b", None),
            ("wss://a/b", "ws://a/b", None),
            ("ws://a/b", "ftp://a/b", None),
            ("ws://a/b", "a b", None),
        ] {
            assert_eq!(to(url, location).as_deref(), wanted, "{url} to {location}");
        }
        let silent = Response::parse(&b"HTTP/1.1 302 Found\r\n\r\n"[..], &Limits::default()).expect("a response");
        assert_eq!(target("ws://a/b", &silent), None);
    }
}
