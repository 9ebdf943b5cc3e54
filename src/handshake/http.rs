//! Conversions to and from the types of the `http` crate, for servers and clients built on hyper, axum and the like.

use super::answer::refusal_fields;
use super::extension::Extension;
use super::opening::Opening;
use super::{Accept, ClientRequest, Request, Response, accept_key, extended};
use crate::config::{Config, Limits, Negotiated};
use crate::extensions::Stages;
use crate::wire::error::{HandshakeError, SendError, said};
use alloc::string::{String, ToString};
use alloc::{format, vec::Vec};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};

/// Checks a request that another HTTP/1 server has read, and gives the answer that accepts it, to be added to and
/// turned into a response by [`accept_response`]. The frames follow on the upgraded transport.
///
/// # Errors
/// The reason to refuse it, as [`Request::check`] has it.
///
/// ```
/// use sockless::{Config, handshake};
///
/// let request = http::Request::get("/chat")
///     .header("Host", "example.com")
///     .header("Upgrade", "websocket")
///     .header("Connection", "Upgrade")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("Sec-WebSocket-Version", "13")
///     .body(())?;
/// let accept = handshake::http::accept(&request, &Config::default())?;
/// let response = handshake::http::accept_response(&accept.header("Set-Cookie", "seen=1"), None)?;
/// assert_eq!(response.status(), 101);
/// assert_eq!(response.headers()["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn accept<T>(request: &http::Request<T>, config: &Config) -> Result<Accept, HandshakeError> {
    let uri = request.uri();
    // Only a target in absolute form overrules `Host` (RFC 9112 §3.2.2): one that is a host alone is for CONNECT.
    let authority = uri.scheme().and(uri.authority()).map(|authority| authority.as_str());
    let mut opening = Opening::new(authority);
    for (name, value) in request.headers() {
        opening.field(name.as_str(), value.as_bytes());
    }
    let at_least_1_1 = request.version() >= Version::HTTP_11;
    let key = opening.check_http1(request.method().as_str(), at_least_1_1, config)?;
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    Ok(Accept::new(Ok(()), Some(*key), offered.filter_map(|value| value.to_str().ok())))
}

/// The same for an extended CONNECT of HTTP/2 or HTTP/3 (RFC 8441 §4), whose `:protocol` the HTTP library has beside the
/// request.
///
/// # Errors
/// The reason to refuse it, as [`extended::check_request`] has it.
pub fn accept_extended<T>(
    request: &http::Request<T>,
    protocol: Option<&str>,
    config: &Config,
) -> Result<Accept, HandshakeError> {
    let uri = request.uri();
    let pseudo = [
        (":method", Some(request.method().as_str())),
        (":protocol", protocol),
        (":scheme", uri.scheme_str()),
        (":authority", uri.authority().map(|authority| authority.as_str())),
        (":path", uri.path_and_query().map(|path| path.as_str())),
    ];
    let pseudo = pseudo.into_iter().filter_map(|(name, value)| Some((name, value?.as_bytes())));
    let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    extended::check_request(pseudo.chain(fields), config)
}

/// What a server with these settings agrees on with a request that has these fields, and the extensions for
/// [`accept_response`] to say so with.
pub fn choose_extensions(headers: &HeaderMap, config: &Config) -> (Negotiated, Option<String>) {
    super::choose(offers(headers), config)
}

/// The same with [`Config::extensions`](crate::Config::extensions), and the stages that
/// [`Connection::extend`](crate::Connection::extend) then takes.
///
/// ```
/// use sockless::{Config, Connection, Role, Seed, handshake};
///
/// let config = Config::default(); // with `extensions` of your own
/// let request = http::Request::new(());
/// let (negotiated, answer, stages) = handshake::http::choose_with_stages(request.headers(), &config);
/// let mut connection = Connection::open(Role::Server, negotiated, config, Seed::new([0; 16]));
/// connection.extend(stages);
/// assert_eq!(answer, None); // for `accept_response`
/// ```
pub fn choose_with_stages(headers: &HeaderMap, config: &Config) -> (Negotiated, Option<String>, Stages) {
    super::choose_all(|| offers(headers), config)
}

fn offers(headers: &HeaderMap) -> impl Iterator<Item = Result<Extension<'_>, HandshakeError>> {
    let values = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(super::extension::parse)
}

/// The response that opens a WebSocket, with an answer to the offered `extensions`: of status 101, or 200 for an
/// extended CONNECT.
///
/// # Errors
/// As [`write_accept`](super::write_accept).
pub fn accept_response(accept: &Accept, extensions: Option<&str>) -> Result<http::Response<()>, SendError> {
    accept.lines(extensions)?;
    let mut response = http::Response::new(());
    if let Ok(key) = accept.key() {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let key = HeaderValue::from_bytes(&accept_key(key)).map_err(|_| SendError::Head)?;
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    }
    for (name, value) in accept.fields(extensions).chain(accept.extra().iter()) {
        let name = HeaderName::try_from(name).map_err(|_| SendError::Head)?;
        response.headers_mut().append(name, HeaderValue::from_str(value).map_err(|_| SendError::Head)?);
    }
    Ok(response)
}

/// The response that refuses a request of this version because of `error`.
///
/// HTTP/2 and HTTP/3 know no upgrade: what is a 426 in HTTP/1 is a 501 there (RFC 9220 §3), but for a wrong
/// `Sec-WebSocket-Version`, a 400.
///
/// ```
/// use sockless::{HandshakeError, handshake};
///
/// let response = handshake::http::refusal(HandshakeError::Version, http::Version::HTTP_11);
/// assert_eq!((response.status().as_u16(), &response.headers()["Sec-WebSocket-Version"]), (426, &"13".parse()?));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn refusal(error: HandshakeError, version: Version) -> http::Response<String> {
    let extended = version >= Version::HTTP_2;
    let status = match error.status() {
        Some(426) if extended && error == HandshakeError::Version => 400,
        Some(426) if extended => 501,
        // Nothing that is found in a request is without one.
        status => status.unwrap_or(400),
    };
    let mut response = http::Response::new(format!("{error}\n"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if error == HandshakeError::Version {
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    if !extended {
        for (name, value) in refusal_fields(status) {
            // Whether the connection ends is the HTTP library's to say.
            let value = if *name == "Connection" { "Upgrade" } else { value };
            if let Ok(name) = HeaderName::try_from(*name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
    }
    response
}

/// The head of a response that another HTTP library has read, of any version: what an HTTP/1.1 server would have written.
///
/// # Errors
/// As [`Response::parse`], and [`HeadTooLong`](HandshakeError::HeadTooLong).
///
/// ```
/// use sockless::{Limits, handshake};
///
/// let refused = http::Response::builder().status(302).header("location", "wss://b.example/").body(())?;
/// let response = handshake::http::response(&refused, &Limits::default())?;
/// assert_eq!((response.status(), response.redirect()), (302, Some(&b"wss://b.example/"[..])));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn response<T>(response: &http::Response<T>, limits: &Limits) -> Result<Response<'static>, HandshakeError> {
    let mut head = format!("HTTP/1.1 {} \r\n", response.status().as_str()).into_bytes();
    for (name, value) in response.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    if head.len() > limits.head {
        return Err(HandshakeError::HeadTooLong { limit: said(limits.head) });
    }
    Response::parse(head, limits)
}

impl<T> TryFrom<&http::Request<T>> for ClientRequest {
    type Error = SendError;

    /// A request for the URI, with these fields. What the handshake writes itself (`Upgrade`, `Connection`,
    /// `Sec-WebSocket-Key` and `-Version`) is passed over, as it is in requests made for other libraries.
    fn try_from(request: &http::Request<T>) -> Result<Self, SendError> {
        let mut result = Self::new(&request.uri().to_string())?.with_method(request.method().as_str());
        for (name, value) in request.headers() {
            let value = core::str::from_utf8(value.as_bytes()).map_err(|_| SendError::Head)?;
            result = match *name {
                header::UPGRADE | header::CONNECTION | header::SEC_WEBSOCKET_KEY | header::SEC_WEBSOCKET_VERSION => {
                    result
                }
                header::HOST => result.with_host(value),
                header::SEC_WEBSOCKET_PROTOCOL => super::grammar::members(value).fold(result, Self::subprotocol),
                header::SEC_WEBSOCKET_EXTENSIONS => result.with_extensions(value),
                _ => result.header(name.as_str(), value),
            };
        }
        result.check().map(|()| result)
    }
}

impl TryFrom<&Request<'_>> for http::Request<()> {
    type Error = http::Error;

    /// The method, target and fields; fails for a target that the `http` crate does not take.
    fn try_from(request: &Request<'_>) -> Result<Self, http::Error> {
        let builder = http::Request::builder().method(request.method()).uri(request.target());
        let builder = request.headers().fold(builder, |builder, (name, value)| builder.header(name, value));
        builder.version(if request.is_http_1_1() { Version::HTTP_11 } else { Version::HTTP_10 }).body(())
    }
}

impl TryFrom<&Response<'_>> for http::Response<Vec<u8>> {
    type Error = http::Error;

    /// The status, the fields, and the start of the body.
    fn try_from(response: &Response<'_>) -> Result<Self, http::Error> {
        let builder = http::Response::builder().status(response.status());
        let builder = response.headers().fold(builder, |builder, (name, value)| builder.header(name, value));
        builder.body(response.body().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{ClientHandshake, Outcome, write_accept, write_request};

    fn client() -> ClientRequest {
        let request = ClientRequest::new("ws://example.com:81/chat?a").unwrap().subprotocol("chat");
        request.subprotocol("superchat").header("cookie", "a=b").with_extensions("a; b")
    }

    fn request_bytes(request: &ClientRequest) -> Vec<u8> {
        let mut out = Vec::new();
        write_request(request, b"the sample nonce", &mut out).unwrap();
        out
    }

    #[test]
    fn both_ways_of_accepting_say_the_same() {
        let bytes = request_bytes(&client());
        let request = Request::parse(&bytes, &Config::DEFAULT).unwrap();
        let converted = http::Request::try_from(&request).unwrap();
        assert_eq!((converted.uri().query(), converted.version()), (Some("a"), Version::HTTP_11));
        let answer = |accept: Accept| accept.subprotocol("superchat").header("Set-Cookie", "c=d");
        let ours = answer(request.accept());
        let theirs = answer(accept(&converted, &Config::DEFAULT).unwrap());
        assert_eq!(ours, theirs);

        let mut out = Vec::new();
        write_accept(&ours, Some("a"), &mut out).unwrap();
        let mut handshake = ClientHandshake::new(&client(), b"the sample nonce");
        let outcome = handshake.receive(&mut &mut out[..], &Limits::default()).unwrap();
        let Some(Outcome::Open(response)) = outcome else { panic!("{outcome:?}") };
        let read = http::Response::try_from(&response).unwrap();
        let made = accept_response(&theirs, Some("a")).unwrap();
        assert_eq!((read.status(), read.headers()), (made.status(), made.headers()));
    }

    #[test]
    fn refusals_are_the_same() {
        let get = || http::Request::get("/").header("Host", "a");
        let check = |request: http::request::Builder| accept(&request.body(()).unwrap(), &Config::DEFAULT).map(|_| ());
        assert_eq!(check(get()), Err(HandshakeError::NotUpgrade));
        let get = || get().header("Upgrade", "websocket").header("Connection", "upgrade");
        assert_eq!(check(get()), Err(HandshakeError::Version));
        assert_eq!(check(get().version(Version::HTTP_10)), Err(HandshakeError::HttpVersion));
        let get = || get().header("Sec-WebSocket-Version", "13");
        assert_eq!(check(get().header("Origin", "http://b")), Err(HandshakeError::Origin));
        assert_eq!(check(get()), Err(HandshakeError::Key));
        let get = || get().header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(check(get()), Ok(()));
        assert_eq!(check(get().header("Content-Length", "0")), Ok(()));
        assert_eq!(check(get().header("Content-Length", "1")), Err(HandshakeError::Body));
        assert_eq!(check(get().header("Transfer-Encoding", "chunked")), Err(HandshakeError::Body));
    }

    #[test]
    fn the_target_overrules_the_host_in_absolute_form_only() {
        let text = "GET TARGET HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://b\r\n\r\n";
        for (target, verdict) in [
            ("/", Err(HandshakeError::Origin)),
            ("http://b/", Ok(())),
            ("http://a/", Err(HandshakeError::Origin)),
            // What stands alone is a host for CONNECT.
            ("b", Err(HandshakeError::Origin)),
        ] {
            let bytes = text.replace("TARGET", target).into_bytes();
            let request = Request::parse(bytes, &Config::DEFAULT).unwrap();
            assert_eq!(request.check(), verdict, "{target}");
            let converted = http::Request::try_from(&request).unwrap();
            assert_eq!(accept(&converted, &Config::DEFAULT).map(|_| ()), verdict, "{target}");
        }
    }

    #[test]
    fn refusals_of_an_extended_connect() {
        let connect = || http::Request::connect("https://a/chat").header("Sec-WebSocket-Version", "13");
        let check = |request: http::request::Builder, protocol| {
            accept_extended(&request.body(()).unwrap(), protocol, &Config::DEFAULT).map(|_| ())
        };
        assert_eq!(check(connect(), Some("websocket")), Ok(()));
        assert_eq!(check(connect(), None), Err(HandshakeError::NotUpgrade));
        assert_eq!(check(connect().method("GET"), Some("websocket")), Err(HandshakeError::Method));
        assert_eq!(check(connect().uri("a:80"), Some("websocket")), Err(HandshakeError::Malformed));
        assert_eq!(check(connect().header("Origin", "http://b"), Some("websocket")), Err(HandshakeError::Origin));
        let told = |error, version| {
            let response = refusal(error, version);
            let has = |name| response.headers().contains_key(name);
            (
                response.status().as_u16(),
                has("upgrade") && has("connection"),
                has("sec-websocket-version"),
                has("allow"),
            )
        };
        use HandshakeError as E;
        assert_eq!(told(E::NotUpgrade, Version::HTTP_11), (426, true, true, false));
        assert_eq!(told(E::Version, Version::HTTP_2), (400, false, true, false));
        assert_eq!(told(E::NotUpgrade, Version::HTTP_2), (501, false, false, false));
        assert_eq!(told(E::Method, Version::HTTP_11), (405, false, false, true));
        assert_eq!(told(E::Origin, Version::HTTP_2), (403, false, false, false));
    }

    #[test]
    fn a_client_request_from_one_of_another_library() {
        let bytes = request_bytes(&client());
        let config = Config::default();
        let mut request = http::Request::try_from(&Request::parse(&bytes, &config).unwrap()).unwrap();
        *request.uri_mut() = "ws://example.com:81/chat?a".try_into().unwrap();
        let converted = ClientRequest::try_from(&request).unwrap();
        assert_eq!(request_bytes(&converted), bytes);
        request.headers_mut().insert("sec-websocket-accept", HeaderValue::from_static("a"));
        assert_eq!(ClientRequest::try_from(&request), Err(SendError::ReservedHeader));
    }

    #[test]
    fn a_response_of_another_library() {
        let made = |name: &str, value: &[u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            http::Response::builder().status(403).version(Version::HTTP_2).header("a", "b").header(name, value).body(())
        };
        let refused = response(&made("c", b"d\tx \xff").unwrap(), &Limits::default()).unwrap();
        assert_eq!((refused.status(), refused.body(), refused.is_whole()), (403, &b""[..], false));
        assert_eq!(refused.headers().collect::<Vec<_>>(), [("a", &b"b"[..]), ("c", b"d\tx \xff")]);
        let told = |len, whole| {
            let told = refused.clone().with_body(alloc::vec![b'x'; len], whole);
            (told.body().len(), told.is_whole())
        };
        use crate::handshake::BODY_START;
        assert_eq!((told(2, true), told(2, false)), ((2, true), (2, false)));
        assert_eq!((told(BODY_START, true), told(BODY_START + 1, true)), ((BODY_START, true), (BODY_START, false)));
        let of = |limits: &Limits| response(&made("c", b"d").unwrap(), limits).err();
        let head = "HTTP/1.1 403 \r\na: b\r\nc: d\r\n\r\n".len();
        assert_eq!(of(&Limits { head, fields: 2, ..Limits::default() }), None);
        let error = HandshakeError::HeadTooLong { limit: said(head - 1) };
        assert_eq!(of(&Limits { head: head - 1, ..Limits::default() }), Some(error));
        let error = HandshakeError::TooManyFields { limit: 1 };
        assert_eq!(of(&Limits { fields: 1, ..Limits::default() }), Some(error));
    }
}
