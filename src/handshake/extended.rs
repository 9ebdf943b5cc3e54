//! WebSockets over HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220): the header lists of an extended CONNECT.
//!
//! An HTTP library owns the connection and its framing; these functions build and check the lists it sends and
//! receives. The stream of a request that was answered by [`response_headers`] carries frames, as a TCP connection
//! does after a handshake of HTTP/1.
//!
//! ```
//! use sockless::handshake::{ClientRequest, extended};
//! use sockless::{Config, Connection, Role, Seed};
//!
//! let config = Config::default();
//! let request = ClientRequest::new("wss://example.com/chat")?.subprotocol("chat");
//! let sent = extended::request_headers(&request, &config)?;
//! let accept = extended::check_request(sent.iter().map(|(n, v)| (&**n, v.as_bytes())), &config)?;
//! let answer = extended::response_headers(&accept.subprotocol("chat"), None)?;
//! let agreed = extended::check_response(answer.iter().map(|(n, v)| (&**n, v.as_bytes())), &request, &config)?;
//! let client = Connection::open(Role::Client, agreed, config, Seed::new([7; 16]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `http`, [`http_request`] and [`check_http_response`] do the same by the `http` crate's types: for h2 and
//! hyper, and for HTTP/3 where the library takes `websocket` as a `:protocol`. The release 0.0.8 of h3 does not: it knows two
//! others, and no header lists.

use super::extension::parse_bytes;
use super::grammar::{is_taken, same, text};
use super::opening::Opening;
use super::{Accept, ClientRequest, agreed, offer};
use crate::config::{Config, Negotiated};
use crate::wire::error::{HandshakeError, SendError};
use alloc::{borrow::Cow, string::String, vec, vec::Vec};

/// A header list in order, pseudo-header fields first, names in lower case as HTTP/2 and HTTP/3 have them.
pub type HeaderList = Vec<(Cow<'static, str>, String)>;

/// The header list of a client's request (RFC 8441 §4, §5). A method that was replaced is left out: it is CONNECT. Compression
/// is offered as `config` says, unless the request offers extensions itself.
///
/// # Errors
/// The first mistake made in the request, as for [`write_request`](super::write_request).
pub fn request_headers(request: &ClientRequest, config: &Config) -> Result<HeaderList, SendError> {
    request.check()?;
    let request = offer(request, config);
    let scheme = if request.is_secure() { "https" } else { "http" };
    let mut list: HeaderList = vec![
        (Cow::Borrowed(":method"), "CONNECT".into()),
        (Cow::Borrowed(":protocol"), "websocket".into()),
        (Cow::Borrowed(":scheme"), scheme.into()),
        (Cow::Borrowed(":authority"), request.authority.clone()),
        (Cow::Borrowed(":path"), request.target().into()),
        (Cow::Borrowed("sec-websocket-version"), "13".into()),
    ];
    list.extend(request.asked.fields().chain(request.extra.iter()).map(lower));
    Ok(list)
}

/// Checks the header list of a request, and gives the answer that accepts it, to be added to and written by
/// [`response_headers`].
///
/// # Errors
/// The reason to refuse it: [`NotUpgrade`](HandshakeError::NotUpgrade) where `:protocol` is missing or not `websocket`
/// (RFC 9220 §3 asks for a 501 then), [`Method`](HandshakeError::Method),
/// [`Malformed`](HandshakeError::Malformed) for a pseudo-header field that is missing, repeated or unknown, a `:path` with a
/// fragment, or a field that HTTP/2 forbids (RFC 9113 §8.2.2), and
/// [`Body`](HandshakeError::Body), [`Host`](HandshakeError::Host), [`Version`](HandshakeError::Version), [`Subprotocol`](HandshakeError::Subprotocol),
/// [`Extensions`](HandshakeError::Extensions) and [`Origin`](HandshakeError::Origin) as in HTTP/1.
pub fn check_request<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    config: &Config,
) -> Result<Accept, HandshakeError> {
    let mut pseudo = [(":method", None), (":protocol", None), (":scheme", None), (":authority", None), (":path", None)];
    let mut opening = Opening::default();
    let mut offered = Vec::new();
    for (name, value) in headers {
        if name.starts_with(':') {
            let text = core::str::from_utf8(value).map_err(|_| HandshakeError::Malformed)?;
            let slot = pseudo.iter_mut().find(|(known, _)| *known == name).ok_or(HandshakeError::Malformed)?;
            if slot.1.replace(text).is_some() {
                return Err(HandshakeError::Malformed);
            }
        } else if ["connection", "upgrade", "transfer-encoding"].contains(&name) {
            return Err(HandshakeError::Malformed);
        } else {
            opening.field(name, value);
            if name.eq_ignore_ascii_case("sec-websocket-protocol") {
                offered.push(text(value));
            }
        }
    }
    let [method, protocol, scheme, authority, path] = pseudo.map(|(_, value)| value);
    match (method, protocol) {
        (None, _) => return Err(HandshakeError::Malformed),
        (Some(_), None) => return Err(HandshakeError::NotUpgrade),
        (Some("CONNECT"), Some("websocket")) => {}
        (Some("CONNECT"), Some(_)) => return Err(HandshakeError::NotUpgrade),
        (Some(_), Some(_)) => return Err(HandshakeError::Method),
    }
    if scheme.is_none() || !path.is_some_and(is_taken) {
        return Err(HandshakeError::Malformed);
    }
    opening.check_body()?;
    opening.authority = authority;
    // The client says how it came itself. Where that is not over TLS, a proxy may have ended it.
    let over_tls = scheme.is_some_and(|scheme| same(scheme, "https")).then_some(true);
    opening.check(config, config.secure.or(over_tls))?;
    Ok(Accept::new(Ok(()), None, offered.into_iter()))
}

/// The header list of the response that opens a WebSocket, with an answer to the offered `extensions` (RFC 8441 §5).
///
/// # Errors
/// [`Subprotocol`](SendError::Subprotocol), [`Head`](SendError::Head) and
/// [`ReservedHeader`](SendError::ReservedHeader) for what the caller added, and
/// [`Unacceptable`](SendError::Unacceptable) for the answer to an HTTP/1 request that breaks the rules.
pub fn response_headers(accept: &Accept, extensions: Option<&str>) -> Result<HeaderList, SendError> {
    accept.lines(extensions)?;
    let mut list: HeaderList = vec![(Cow::Borrowed(":status"), "200".into())];
    list.extend(accept.fields(extensions).chain(accept.extra().iter()).map(lower));
    Ok(list)
}

/// Checks the header list of the response to a `request` that was made with this `config`; gives what was agreed on, for
/// [`Connection::open`](crate::Connection::open).
///
/// # Errors
/// [`Upgrade`](HandshakeError::Upgrade) for a `:status` outside 200 to 299, [`Malformed`](HandshakeError::Malformed)
/// where there is not exactly one, [`Subprotocol`](HandshakeError::Subprotocol),
/// [`Extensions`](HandshakeError::Extensions) and `Parameter` as in HTTP/1.
pub fn check_response<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    request: &ClientRequest,
    config: &Config,
) -> Result<Negotiated, HandshakeError> {
    let (pseudo, fields): (Vec<_>, Vec<_>) = headers.into_iter().partition(|(name, _)| name.starts_with(':'));
    match pseudo[..] {
        [(":status", [b'2', b'0'..=b'9', b'0'..=b'9'])] => {}
        [(":status", _)] => return Err(HandshakeError::Upgrade),
        _ => return Err(HandshakeError::Malformed),
    }
    let asked = &offer(request, config).asked;
    asked.check(fields.iter().copied())?;
    let answers = fields.iter().filter(|(name, _)| same(name, "Sec-WebSocket-Extensions"));
    agreed(answers.flat_map(|(_, value)| parse_bytes(value)), &asked.extensions, config)
}

/// The same as [`request_headers`] as a request of the `http` crate's. The `:protocol` is the caller's to add, for each HTTP
/// library has a type of its own for it among the request's extensions, such as `hyper::ext::Protocol`.
///
/// # Errors
/// As [`request_headers`], and [`Head`](SendError::Head) for a target that is no path.
///
/// ```
/// # #[derive(Clone)] struct Protocol(&'static str);
/// # impl Protocol { fn from_static(name: &'static str) -> Self { Self(name) } }
/// use sockless::handshake::{ClientRequest, extended};
/// use sockless::Config;
///
/// let request = ClientRequest::new("wss://example.com/chat")?;
/// let mut sent = extended::http_request(&request, &Config::default())?;
/// sent.extensions_mut().insert(Protocol::from_static("websocket"));
/// assert_eq!((sent.method(), sent.uri()), (&http::Method::CONNECT, &"https://example.com/chat".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "http")]
pub fn http_request(request: &ClientRequest, config: &Config) -> Result<http::Request<()>, SendError> {
    let (mut uri, mut builder) = (http::Uri::builder(), http::Request::builder());
    for (name, value) in request_headers(request, config)? {
        match &*name {
            ":scheme" => uri = uri.scheme(&*value),
            ":authority" => uri = uri.authority(value),
            ":path" => uri = uri.path_and_query(value),
            ":method" => builder = builder.method(&*value),
            name if name.starts_with(':') => {}
            name => builder = builder.header(name, value),
        }
    }
    let uri = uri.build().map_err(|_| SendError::Head)?;
    builder.uri(uri).version(http::Version::HTTP_2).body(()).map_err(|_| SendError::Head)
}

/// The same as [`check_response`] for a response of the `http` crate's.
///
/// # Errors
/// As [`check_response`].
#[cfg(feature = "http")]
pub fn check_http_response<T>(
    response: &http::Response<T>,
    request: &ClientRequest,
    config: &Config,
) -> Result<Negotiated, HandshakeError> {
    let status = response.status();
    let status = (":status", status.as_str().as_bytes());
    let fields = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    check_response([status].into_iter().chain(fields), request, config)
}

fn lower((name, value): (&str, &str)) -> (Cow<'static, str>, String) {
    (Cow::Owned(name.to_ascii_lowercase()), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origins;
    #[cfg(feature = "http")]
    use alloc::string::ToString;

    fn request() -> ClientRequest {
        let request = ClientRequest::new("wss://server.example.com/chat?a").unwrap();
        let request = request.subprotocol("chat").subprotocol("superchat").with_extensions("permessage-deflate");
        request.header("Origin", "http://www.example.com")
    }

    fn pairs<'l>(list: &'l [(Cow<'static, str>, String)]) -> impl Iterator<Item = (&'l str, &'l [u8])> {
        list.iter().map(|(name, value)| (&**name, value.as_bytes()))
    }

    fn any() -> Config {
        Config { origins: Origins::Any, ..Config::default() }
    }

    #[test]
    fn sample_of_rfc_8441() {
        let list = request_headers(&request(), &Config::DEFAULT).unwrap();
        let shown: Vec<_> = list.iter().map(|(name, value)| (&**name, &**value)).collect();
        let wanted = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", "server.example.com"),
            (":path", "/chat?a"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("origin", "http://www.example.com"),
        ];
        assert_eq!(shown, wanted);
        assert_eq!(check_request(pairs(&list), &Config::DEFAULT), Err(HandshakeError::Origin));
        let accept = check_request(pairs(&list), &any()).unwrap().subprotocol("chat").header("Server", "x");
        let answer = response_headers(&accept, Some("permessage-deflate")).unwrap();
        let shown: Vec<_> = answer.iter().map(|(name, value)| (&**name, &**value)).collect();
        let wanted = [
            (":status", "200"),
            ("sec-websocket-protocol", "chat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("server", "x"),
        ];
        assert_eq!(shown, wanted);
        // The request offers it by hand; without the feature nobody here could speak it.
        let agreed = if cfg!(feature = "deflate") { Ok(()) } else { Err(HandshakeError::Extensions) };
        assert_eq!(check_response(pairs(&answer), &request(), &Config::DEFAULT).map(|_| ()), agreed);
    }

    #[test]
    fn refused_requests() {
        use HandshakeError as E;
        let list = request_headers(&request(), &Config::DEFAULT).unwrap();
        for (name, value, error) in [
            (":method", Some("GET"), E::Method),
            (":method", None, E::Malformed),
            (":protocol", None, E::NotUpgrade),
            (":protocol", Some("connect-udp"), E::NotUpgrade),
            (":scheme", None, E::Malformed),
            (":path", Some(""), E::Malformed),
            (":path", Some("/chat#a"), E::Malformed),
            (":authority", None, E::Host),
            (":authority", Some("a@b"), E::Host),
            ("sec-websocket-version", Some("8"), E::Version),
            ("sec-websocket-protocol", Some("a b"), E::Subprotocol),
            ("sec-websocket-extensions", Some("a b"), E::Extensions),
        ] {
            let changed: Vec<_> = pairs(&list)
                .filter_map(|pair| if pair.0 == name { Some((name, value?.as_bytes())) } else { Some(pair) })
                .collect();
            assert_eq!(check_request(changed, &any()), Err(error), "{name}: {value:?}");
        }
        for extra in [":path", ":status", "connection", "upgrade"] {
            let longer = pairs(&list).chain([(extra, &b"/"[..])]);
            assert_eq!(check_request(longer, &any()), Err(E::Malformed), "{extra}");
        }
        for (length, error) in [("0", None), ("5", Some(E::Body)), ("0, 0", Some(E::Body))] {
            let longer = pairs(&list).chain([("content-length", length.as_bytes())]);
            assert_eq!(check_request(longer, &any()).err(), error, "{length}");
        }
    }

    #[test]
    fn a_page_has_to_come_as_its_request_does() {
        for (scheme, secure, origin, taken) in [
            ("https", None, "https://a", true),
            ("https", None, "http://a", false),
            ("HTTPS", None, "http://a", false),
            ("http", None, "https://a", true),
            ("http", None, "http://a", true),
            ("http", Some(true), "http://a", false),
            ("https", Some(false), "http://a", true),
        ] {
            let config = Config { secure, ..Config::default() };
            let list = [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", scheme),
                (":authority", "a"),
                (":path", "/"),
                ("sec-websocket-version", "13"),
                ("origin", origin),
            ];
            let checked = check_request(list.map(|(name, value)| (name, value.as_bytes())), &config);
            assert_eq!(checked.is_ok(), taken, "{scheme}, {secure:?}, {origin}");
        }
    }

    #[test]
    fn the_scheme_is_that_of_the_url() {
        for (url, scheme) in [("ws://a/", "http"), ("wss://a/", "https")] {
            let list = request_headers(&ClientRequest::new(url).unwrap(), &Config::DEFAULT).unwrap();
            assert_eq!(list[2], (":scheme".into(), scheme.into()));
        }
    }

    #[test]
    fn mistakes_of_the_caller() {
        assert_eq!(request_headers(&request().header("a", "\r\n"), &Config::DEFAULT), Err(SendError::Head));
        let accept = check_request(pairs(&request_headers(&request(), &Config::DEFAULT).unwrap()), &any()).unwrap();
        assert_eq!(response_headers(&accept.clone().subprotocol("mqtt"), None), Err(SendError::Subprotocol));
        assert_eq!(response_headers(&accept, Some("\n")), Err(SendError::Head));
    }

    #[test]
    fn refused_responses() {
        use HandshakeError as E;
        let check = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
            check_response(headers, &request(), &Config::DEFAULT).map(|_| ())
        };
        assert_eq!(check(&[(":status", "204")]), Ok(()));
        assert_eq!(check(&[(":status", "403")]), Err(E::Upgrade));
        assert_eq!(check(&[(":status", "20")]), Err(E::Upgrade));
        assert_eq!(check(&[]), Err(E::Malformed));
        assert_eq!(check(&[(":status", "200"), (":status", "200")]), Err(E::Malformed));
        assert_eq!(check(&[(":status", "200"), ("sec-websocket-protocol", "mqtt")]), Err(E::Subprotocol));
        assert_eq!(check(&[(":status", "200"), ("sec-websocket-extensions", "mux")]), Err(E::Extensions));
    }

    #[cfg(feature = "deflate")]
    #[test]
    fn compression_is_offered_and_agreed_on() {
        use crate::{Deflate, DeflateParams};
        let config = Config { deflate: Some(Deflate { window_bits: 11, ..Deflate::default() }), ..Config::default() };
        let plain = ClientRequest::new("wss://a/").unwrap();
        let offered = |request, config: &Config| {
            let list = request_headers(request, config).unwrap();
            list.into_iter().find(|(name, _)| name == "sec-websocket-extensions").map(|(_, value)| value)
        };
        let own = super::super::deflate::offer(config.deflate.as_ref().unwrap());
        assert_eq!((offered(&plain, &config), offered(&plain, &Config::DEFAULT)), (Some(own), None));
        assert_eq!(offered(&request(), &config).as_deref(), Some("permessage-deflate"));
        let check = |request, config, answer: &'static str| {
            check_response([(":status", &b"200"[..]), ("sec-websocket-extensions", answer.as_bytes())], request, config)
        };
        let answer = "permessage-deflate; client_max_window_bits=10; server_no_context_takeover";
        let takeover = config.deflate.as_ref().unwrap().takeover;
        let params = DeflateParams { window_bits: 10, peer_window_bits: 15, takeover, peer_takeover: false };
        assert_eq!(check(&plain, &config, answer), Ok(params.try_into().unwrap()));
        assert_eq!(check(&plain, &Config::DEFAULT, answer), Err(HandshakeError::Extensions));
        let error = HandshakeError::Parameter(crate::DeflateParameter::ServerNoContextTakeover);
        assert_eq!(check(&plain, &config, "permessage-deflate"), Err(error));
        // Whoever offers it in words of his own can do it, by the defaults.
        let agreed = check(&request(), &Config::DEFAULT, "permessage-deflate").unwrap();
        assert!(agreed.is_compressed());
        let declined = check_response([(":status", &b"200"[..])], &plain, &config);
        assert_eq!(declined, Ok(Negotiated::default()));
    }

    #[cfg(feature = "http")]
    #[test]
    fn types_of_the_http_crate_say_the_same() {
        let sent = http_request(&request(), &Config::DEFAULT).unwrap();
        assert_eq!(
            (sent.method(), sent.uri().to_string()),
            (&http::Method::CONNECT, "https://server.example.com/chat?a".into())
        );
        let fields: Vec<_> = sent.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let list = request_headers(&request(), &Config::DEFAULT).unwrap();
        assert_eq!(fields, pairs(&list).filter(|(name, _)| !name.starts_with(':')).collect::<Vec<_>>());
        let accept = crate::handshake::http::accept_extended(&sent, Some("websocket"), &any()).unwrap();
        let mut answer = crate::handshake::http::accept_response(&accept.subprotocol("chat"), None).unwrap();
        assert_eq!(check_http_response(&answer, &request(), &Config::DEFAULT), Ok(Negotiated::default()));
        *answer.status_mut() = http::StatusCode::FORBIDDEN;
        assert_eq!(check_http_response(&answer, &request(), &Config::DEFAULT), Err(HandshakeError::Upgrade));
        for (request, error) in [
            (request().with_target("http://b/"), SendError::Head),
            (request().header("a", "\n"), SendError::Head),
            (request().header("host", "b"), SendError::ReservedHeader),
        ] {
            assert_eq!(http_request(&request, &Config::DEFAULT).err(), Some(error));
        }
    }
}
