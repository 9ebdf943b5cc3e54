//! A server's response as a client sees it, and the state of a client that waits for it (RFC 6455 §4.1).

use super::body::{BODY_START, Body};
use super::client::{Asked, ClientRequest};
use super::grammar::same;
use super::head::{self, Head, HeadReader};
use super::opening::{Single, has_token};
use super::{accept_key, encode, extension};
use crate::config::Limits;
use crate::wire::error::HandshakeError;
use alloc::{borrow::Cow, vec::Vec};
use core::{fmt, mem};
use extension::Extension;

/// The head of an HTTP response, and for one that refuses, the start of its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Response<'a> {
    head: Head<'a>,
    status: u16,
    body: Vec<u8>,
    whole: bool,
}

impl<'a> Response<'a> {
    /// Reads the head of a response, up to and with its empty line. Whether it answers a request is for
    /// [`ClientHandshake`] to say.
    ///
    /// # Errors
    /// [`Malformed`](HandshakeError::Malformed) for what is not exactly one head of HTTP/1.0 or 1.1,
    /// [`HttpVersion`](HandshakeError::HttpVersion) for a 101 of HTTP/1.0, and
    /// [`TooManyFields`](HandshakeError::TooManyFields).
    pub fn parse(head: impl Into<Cow<'a, [u8]>>, limits: &Limits) -> Result<Self, HandshakeError> {
        let head = head.into();
        head::check_end(&head)?;
        Self::from_head(head, limits)
    }

    fn from_head(bytes: Cow<'a, [u8]>, limits: &Limits) -> Result<Self, HandshakeError> {
        let mut slots = head::slots();
        let limit = limits.fields.min(Limits::MOST_FIELDS);
        let slots = &mut slots[..limit];
        let mut parsed = httparse::Response::new(&mut []);
        let result = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, &bytes, slots);
        if head::end(result, limit)? != Some(bytes.len()) {
            return Err(HandshakeError::Malformed);
        }
        match parsed.code {
            // To switch is something that HTTP/1.0 cannot do (RFC 9110 §15.2).
            Some(101) if parsed.version != Some(1) => Err(HandshakeError::HttpVersion),
            Some(status @ 100..) => Ok(Self { head: Head { bytes }, status, body: Vec::new(), whole: status == 101 }),
            _ => Err(HandshakeError::Malformed),
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; often empty.
    pub fn reason(&self) -> &str {
        self.head.first_line()[2]
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

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.head.text("sec-websocket-protocol")
    }

    /// The extensions that the server takes, in order (RFC 6455 §9.1).
    pub fn extensions(&self) -> impl Iterator<Item = Result<Extension<'_>, HandshakeError>> + Clone {
        self.head.values("sec-websocket-extensions").flat_map(extension::parse_bytes)
    }

    /// The body's first [`BODY_START`](super::BODY_START) bytes, out of their chunks; of a response that refuses only.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether [`body`](Self::body) is all of it: its announced end has come. It is not where time or the transport ended
    /// first, where it is longer, where nothing announced its end, and of a redirect, whose body is not waited for.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The same with the start of its body, of which no more than [`BODY_START`](super::BODY_START) bytes are kept, and whether
    /// that is all of it: for a head that came by other means, as over HTTP/2.
    #[must_use]
    pub fn with_body(mut self, mut body: Vec<u8>, whole: bool) -> Self {
        self.whole = whole && body.len() <= BODY_START;
        body.truncate(BODY_START);
        self.body = body;
        self
    }

    /// The `Location` of a redirect that may be followed with the same request (RFC 9110 §15.4); see
    /// [`ClientRequest::redirected`](super::ClientRequest::redirected).
    pub fn redirect(&self) -> Option<&[u8]> {
        self.header("location").filter(|_| matches!(self.status, 301 | 302 | 303 | 307 | 308))
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Response<'static> {
        Response { head: self.head.into_owned(), status: self.status, body: self.body, whole: self.whole }
    }

    /// The server's side of the bargain (RFC 6455 §4.1, the numbered list): the connection switched, and by someone who
    /// read the key.
    fn check_switched(&self, accept: &[u8; 28]) -> Result<(), HandshakeError> {
        let (mut upgrade, mut connection, mut accepted) = (Single::None, false, Single::None);
        for (name, value) in self.head.fields() {
            let is = |known| same(name, known);
            match name.len() {
                7 if is("Upgrade") => upgrade.put(value),
                10 if is("Connection") => connection |= has_token(value, "Upgrade"),
                20 if is("Sec-WebSocket-Accept") => accepted.put(value),
                _ => {}
            }
        }
        if !connection || !upgrade.one().is_some_and(|value| same(value, "websocket")) {
            return Err(HandshakeError::Upgrade);
        }
        if accepted.one() == Some(accept) { Ok(()) } else { Err(HandshakeError::Accept) }
    }
}

impl fmt::Debug for Response<'_> {
    /// Leaves the fields and the body out: they carry cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Response");
        debug.field("status", &self.status).field("reason", &self.reason()).finish_non_exhaustive()
    }
}

/// How a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It switched: what follows is frames.
    Open(Response<'a>),
    /// It did something else, such as a redirect or a request for a password.
    Rejected(Response<'a>),
}

/// A client's part of the handshake, once its request is written.
///
/// ```
/// use sockless::{Limits, handshake::{ClientHandshake, ClientRequest, Outcome}};
///
/// let request = ClientRequest::new("ws://example.com/")?;
/// let mut handshake = ClientHandshake::new(&request, b"the sample nonce");
/// let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi".to_vec();
/// let mut input = &mut bytes[..];
/// assert!(matches!(handshake.receive(&mut input, &Limits::default())?, Some(Outcome::Open(_))));
/// assert_eq!(input, b"\x81\x02hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHandshake {
    accept: [u8; 28],
    asked: Asked,
    answer: Answer,
}

impl ClientHandshake {
    /// Waits for the answer to `request`, which was written with this `key`.
    pub fn new(request: &ClientRequest, key: &[u8; 16]) -> Self {
        Self { accept: accept_key(&encode(key)), asked: request.asked.clone(), answer: Answer::default() }
    }

    /// The extensions that were offered.
    pub(crate) fn offer(&self) -> &str {
        &self.asked.extensions
    }

    /// Takes the response from the front of `input`; `None` asks for more bytes. Interim responses (RFC 9110 §15.2) are
    /// passed over, their bytes counting towards `limits.head`. What follows the head of a 101 is left in `input`, and so it
    /// is with a redirect. Of any other response the body is read, until it ends or its start is full; wait no longer for it
    /// than [`BODY_TIME`](super::BODY_TIME).
    ///
    /// # Errors
    /// [`Malformed`](HandshakeError::Malformed), [`HeadTooLong`](HandshakeError::HeadTooLong),
    /// [`TooManyFields`](HandshakeError::TooManyFields), and for a 101 that breaks the rules
    /// [`HttpVersion`](HandshakeError::HttpVersion), [`Upgrade`](HandshakeError::Upgrade),
    /// [`Accept`](HandshakeError::Accept), [`Subprotocol`](HandshakeError::Subprotocol) or
    /// [`Extensions`](HandshakeError::Extensions). The handshake is over then, and takes nothing more.
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
    ) -> Result<Option<Outcome<'a>>, HandshakeError> {
        let outcome = self.answer.receive(input, limits, |status| status == 101)?;
        if let Some(Outcome::Open(response)) = &outcome {
            response.check_switched(&self.accept)?;
            self.asked.check(response.headers())?;
        }
        Ok(outcome)
    }

    /// Whether the response refuses, and its body is still coming.
    pub fn is_refused(&self) -> bool {
        self.answer.is_refused()
    }

    /// The transport ended, or is not waited for any longer. A body that was under way is then as long as it is; `None`
    /// where the answer was given before.
    ///
    /// # Errors
    /// [`UnexpectedEof`](HandshakeError::UnexpectedEof) where no response was whole.
    pub fn receive_eof(&mut self) -> Result<Option<Outcome<'static>>, HandshakeError> {
        self.answer.receive_eof()
    }
}

/// Reads an answer: its head, and of one that refuses, the start of its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    reader: HeadReader,
    /// Bytes in the heads of interim responses.
    interim: usize,
    stage: Stage,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    Body(Response<'static>, Body),
    Done,
}

impl Answer {
    /// Takes the response from the front of `input`; one whose status `opens` has no body.
    pub(super) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
        opens: fn(u16) -> bool,
    ) -> Result<Option<Outcome<'a>>, HandshakeError> {
        let outcome = self.advance(input, limits, opens);
        if !matches!(outcome, Ok(None)) {
            self.stage = Stage::Done;
        }
        outcome
    }

    fn advance<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
        opens: fn(u16) -> bool,
    ) -> Result<Option<Outcome<'a>>, HandshakeError> {
        while self.stage == Stage::Head {
            let Some(head) = self.reader.read(input, self.interim, limits)? else { return Ok(None) };
            let length = head.len();
            let response = Response::from_head(head, limits)?;
            match response.status {
                status if opens(status) => return Ok(Some(Outcome::Open(response))),
                100..=199 => self.interim += length,
                status => {
                    let body = Body::new(status, &response.head);
                    if response.redirect().is_some() {
                        // Where it leads is in the head; some servers keep the body waiting until the connection ends.
                        return Ok(Some(Outcome::Rejected(Response { whole: body.is_whole(), ..response })));
                    }
                    self.stage = Stage::Body(response.into_owned(), body);
                }
            }
        }
        let whole = if let Stage::Body(_, body) = &mut self.stage { body.receive(input) } else { false };
        if whole { Ok(self.take_rejected()) } else { Ok(None) }
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.stage, Stage::Body(..))
    }

    pub(super) fn receive_eof(&mut self) -> Result<Option<Outcome<'static>>, HandshakeError> {
        if self.stage == Stage::Head {
            self.stage = Stage::Done;
            return Err(HandshakeError::UnexpectedEof);
        }
        Ok(self.take_rejected())
    }

    fn take_rejected(&mut self) -> Option<Outcome<'static>> {
        match mem::replace(&mut self.stage, Stage::Done) {
            Stage::Body(response, body) => {
                let whole = body.is_whole();
                Some(Outcome::Rejected(Response { body: body.bytes, whole, ..response }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::SubprotocolPolicy;
    use alloc::{format, string::String, vec};

    const SAMPLE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

    fn request() -> ClientRequest {
        let request = ClientRequest::new("ws://server.example.com/chat").unwrap();
        request.subprotocol("chat").subprotocol("superchat").with_extensions("a; b, c")
    }

    type Received = Result<(Option<Outcome<'static>>, usize), HandshakeError>;

    /// The outcome when `bytes` come in parts of `sizes`, and how many were left; at the end, if `eof`, the transport
    /// ends.
    fn receive(bytes: &[u8], sizes: impl IntoIterator<Item = usize>, limits: &Limits, eof: bool) -> Received {
        let mut handshake = ClientHandshake::new(&request(), b"the sample nonce");
        let mut bytes = bytes.to_vec();
        let mut rest = &mut bytes[..];
        for size in sizes {
            let mut input;
            (input, rest) = rest.split_at_mut(size.min(rest.len()));
            let outcome = handshake.receive(&mut input, limits)?.map(|outcome| match outcome {
                Outcome::Open(response) => Outcome::Open(response.into_owned()),
                Outcome::Rejected(response) => Outcome::Rejected(response.into_owned()),
            });
            if outcome.is_some() {
                let left = input.len() + rest.len();
                assert_eq!(handshake.receive(&mut input, limits), Ok(None));
                assert_eq!(handshake.receive_eof(), Ok(None));
                return Ok((outcome, left));
            }
            assert!(input.is_empty());
        }
        if eof { Ok((handshake.receive_eof()?, 0)) } else { Ok((None, 0)) }
    }

    fn same_for_every_cut(bytes: &[u8], limits: &Limits, eof: bool) -> Received {
        let whole = receive(bytes, [bytes.len()], limits, eof);
        assert_eq!(receive(bytes, vec![1; bytes.len()], limits, eof), whole);
        for cut in 0..=bytes.len() {
            assert_eq!(receive(bytes, [cut, 0, bytes.len()], limits, eof), whole, "cut at {cut}");
        }
        whole
    }

    fn opened(text: &str) -> Result<(Response<'static>, usize), HandshakeError> {
        match same_for_every_cut(text.as_bytes(), &Limits::default(), true)? {
            (Some(Outcome::Open(response)), left) => Ok((response, left)),
            other => panic!("{other:?}"),
        }
    }

    /// The status, the body, whether it is whole, and what is left behind it.
    fn rejected(text: &str, eof: bool) -> Option<(u16, String, bool, usize)> {
        match same_for_every_cut(text.as_bytes(), &Limits::default(), eof).unwrap() {
            (Some(Outcome::Rejected(response)), left) => {
                let whole = response.is_whole();
                Some((response.status(), String::from_utf8(response.body).unwrap(), whole, left))
            }
            (None, _) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sample_of_the_rfc() {
        let (response, left) = opened(&format!("{SAMPLE}\u{1}\u{2}")).unwrap();
        assert_eq!((response.status(), response.reason(), left), (101, "Switching Protocols", 2));
        assert_eq!((response.subprotocol(), response.extensions().count()), (Some("chat"), 0));
        assert_eq!(response.header("upgrade"), Some(&b"websocket"[..]));
        assert_eq!(response.headers().count(), 4);
        assert_eq!(format!("{response:?}"), r#"Response { status: 101, reason: "Switching Protocols", .. }"#);
    }

    #[test]
    fn what_a_client_takes() {
        for (from, to) in [
            ("websocket", "WebSocket"),
            ("Connection: Upgrade", "CONNECTION: keep-alive, UPGRADE"),
            ("Sec-WebSocket-Protocol: chat\r\n", ""),
            ("Protocol: chat", "Protocol: superchat"),
            ("Upgrade: w", "Sec-WebSocket-Extensions: c\r\nSec-WebSocket-Extensions: a; b=2\r\nUpgrade: w"),
            (" Switching Protocols", ""),
            ("HTTP/1.1 101", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 101"),
        ] {
            assert!(opened(&SAMPLE.replacen(from, to, 1)).is_ok(), "{to}");
        }
    }

    #[test]
    fn what_a_client_refuses() {
        use HandshakeError as E;
        for (from, to, error) in [
            ("Upgrade: websocket\r\n", "", E::Upgrade),
            ("Upgrade: websocket", "Upgrade: websockets", E::Upgrade),
            ("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c", E::Upgrade),
            ("Connection: Upgrade", "Connection: close", E::Upgrade),
            ("xOo=", "xOo", E::Accept),
            ("s3pP", "S3pP", E::Accept),
            ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "", E::Accept),
            ("Upgrade: w", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: w", E::Accept),
            ("Protocol: chat", "Protocol: Chat", E::Subprotocol),
            ("Protocol: chat", "Protocol:", E::Subprotocol),
            ("Protocol: chat", "Protocol: chat, superchat", E::Subprotocol),
            ("Protocol: chat", "Protocol: chat\r\nSec-WebSocket-Protocol: chat", E::Subprotocol),
            ("Upgrade: w", "Sec-WebSocket-Extensions: d\r\nUpgrade: w", E::Extensions),
            ("Upgrade: w", "Sec-WebSocket-Extensions: a;\r\nUpgrade: w", E::Extensions),
            ("Upgrade: w", "Sec-WebSocket-Extensions:\r\nUpgrade: w", E::Extensions),
            ("Upgrade: w", "Sec-WebSocket-Extensions: ,\r\nUpgrade: w", E::Extensions),
            ("Upgrade: w", "Sec-WebSocket-Extensions: a, a\r\nUpgrade: w", E::Extensions),
            ("Upgrade: w", "Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: a\r\nUpgrade: w", E::Extensions),
            ("HTTP/1.1", "HTTP/1.0", E::HttpVersion),
            ("HTTP/1.1", "HTTP/2", E::Malformed),
            ("101", "099", E::Malformed),
            ("101", "1010", E::Malformed),
            ("\r\nUpgrade", "\nUpgrade", E::Malformed),
            ("websocket\r\n", "websocket\r\n folded\r\n", E::Malformed),
            ("Upgrade:", "Upgrade :", E::Malformed),
            ("\r\n\r\n", "\r\n", E::UnexpectedEof),
        ] {
            assert_eq!(opened(&SAMPLE.replacen(from, to, 1)).map(|_| ()), Err(error), "{to}");
        }
        let fields = SAMPLE.replacen("Upgrade", &format!("{}Upgrade", "a: b\r\n".repeat(100)), 1);
        assert_eq!(opened(&fields).map(|_| ()), Err(E::TooManyFields { limit: 100 }));
    }

    #[test]
    fn browsers_want_a_subprotocol() {
        let request = request().with_subprotocol_policy(SubprotocolPolicy::Browser);
        let mut handshake = ClientHandshake::new(&request, b"the sample nonce");
        let mut bytes = SAMPLE.replace("Sec-WebSocket-Protocol: chat\r\n", "").into_bytes();
        let result = handshake.receive(&mut &mut bytes[..], &Limits::default());
        assert_eq!(result, Err(HandshakeError::Subprotocol));
        assert_eq!(handshake.receive_eof(), Ok(None));
    }

    #[test]
    fn interim_responses_count_towards_the_limit() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let text = format!("{}{SAMPLE}", interim.repeat(3));
        let limits = Limits { head: text.len(), ..Limits::default() };
        assert!(matches!(same_for_every_cut(text.as_bytes(), &limits, true), Ok((Some(Outcome::Open(_)), 0))));
        let limits = Limits { head: text.len() - 1, ..Limits::default() };
        assert_eq!(
            same_for_every_cut(text.as_bytes(), &limits, true),
            Err(HandshakeError::HeadTooLong { limit: limits.head as u32 })
        );
    }

    #[test]
    fn other_responses_come_with_their_body() {
        let whole = |status, body: &str, left| Some((status, String::from(body), true, left));
        let part = |status, body: &str| Some((status, String::from(body), false, 0));
        assert_eq!(rejected("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", false), whole(401, "", 0));
        assert_eq!(rejected("HTTP/1.1 204 No\r\n\r\nabc", false), whole(204, "", 3));
        assert_eq!(rejected("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nabc", false), whole(404, "ab", 1));
        assert_eq!(rejected("HTTP/1.0 200 OK\r\n\r\nabc", false), None);
        assert_eq!(rejected("HTTP/1.0 200 OK\r\n\r\nabc", true), part(200, "abc"));
        assert_eq!(rejected("HTTP/1.1 500 \r\nContent-Length: 9\r\n\r\nabc", true), part(500, "abc"));
        assert_eq!(rejected("HTTP/1.1 500 \r\nContent-Length: x\r\n\r\nabc", true), part(500, "abc"));
        let chunked = "HTTP/1.1 403 No\r\nTransfer-Encoding: Chunked\r\nContent-Length: 1\r\n\r\n\
            3\r\nabc\r\n0C;ext=\"1\"\r\n\r\nd\r\n0\r\n\r\nef\r\n000\r\nafter";
        assert_eq!(rejected(chunked, false), whole(403, "abc\r\nd\r\n0\r\n\r\nef", 5));
        let cut = chunked.split_once("ef").unwrap().0;
        assert_eq!(rejected(cut, true), part(403, "abc\r\nd\r\n0\r\n\r\n"));
        assert_eq!(rejected("HTTP/1.1 403 No\r\nTransfer-Encoding: x\r\n\r\n0\r\n", true), part(403, "0\r\n"));
    }

    #[test]
    fn a_redirect_comes_at_its_head() {
        for (status, redirects) in [(301, true), (302, true), (303, true), (307, true), (308, true), (300, false)] {
            let moved = format!("HTTP/1.1 {status} No\r\nLocation: ws://b/\r\nContent-Length: 5\r\n\r\n");
            let wanted = redirects.then(|| (status, String::new(), false, 0));
            assert_eq!(rejected(&moved, false), wanted, "{status}");
            let more = format!("{moved}There, and more");
            let wanted = if redirects { ("", false, 15) } else { ("There", true, 10) };
            assert_eq!(rejected(&more, false), Some((status, wanted.0.into(), wanted.1, wanted.2)), "{status}");
        }
        let empty = "HTTP/1.1 302 No\r\nLocation: b\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(rejected(empty, false), Some((302, String::new(), true, 0)));
        // One that leads nowhere is a refusal as any other.
        assert_eq!(rejected("HTTP/1.1 302 No\r\nContent-Length: 5\r\n\r\n", false), None);
        let response = |head: &'static str| Response::parse(head.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(response("HTTP/1.1 302 No\r\nLocation:  b \r\n\r\n").redirect(), Some(&b"b"[..]));
        assert_eq!(response("HTTP/1.1 304 No\r\nLocation: b\r\n\r\n").redirect(), None);
        assert_eq!(response("HTTP/1.1 302 No\r\n\r\n").redirect(), None);
    }

    #[test]
    fn no_more_than_the_start_of_a_body() {
        let body = "x".repeat(BODY_START + 1);
        for (field, prefix) in [
            ("A: b", ""),
            ("Content-Length: 5000", ""),
            ("Content-Length: 99999999999999999999", ""),
            ("Transfer-Encoding: chunked", "ffffffffffffffffffff\r\n"),
        ] {
            let text = format!("HTTP/1.1 404 Not Found\r\n{field}\r\n\r\n{prefix}{body}");
            for sizes in [vec![text.len()], vec![1; text.len()], vec![100; 100]] {
                let outcome = receive(text.as_bytes(), sizes, &Limits::default(), false);
                let Ok((Some(Outcome::Rejected(response)), 1)) = outcome else { panic!("{outcome:?}") };
                assert_eq!(response.body(), body.as_bytes().split_last().unwrap().1);
                assert!(!response.is_whole());
            }
        }
    }
}
