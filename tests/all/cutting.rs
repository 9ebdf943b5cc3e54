//! However the same bytes are cut, a connection says, answers and becomes the same; and what one end sends, the other
//! receives.

use crate::common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sockless::handshake::accept_key;
use sockless::{ClientRequest, Code, Config, Connection, Event, Kind, Message, Piece, Prepared};
use sockless::{ProtocolError, Role, State, Transport};
use std::fmt::Write;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) }
}

// ---- what goes in

/// Frames, each by its first byte and its payload.
type Frames = Vec<(u8, Vec<u8>)>;

fn a_role() -> impl Strategy<Value = Role> {
    select(&BOTH[..])
}

/// The lengths of parts, over and over; one byte at a time among them.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![1 => Just(vec![1]), 4 => vec(1..60_usize, 1..8)]
}

fn a_text() -> impl Strategy<Value = Vec<u8>> {
    let characters = ['a', '\0', '\u{7f}', '\u{e9}', '\u{7ff}', '\u{20ac}', '\u{ffff}', '\u{1d11e}', '\u{10ffff}'];
    vec(select(characters.to_vec()), 0..60).prop_map(|text| String::from_iter(text).into_bytes())
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => vec(any::<u8>(), 0..130), 1 => vec(any::<u8>(), 0..1000)]
}

fn a_message() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    prop_oneof![a_text().prop_map(|text| (Kind::Text, text)), some_bytes().prop_map(|bytes| (Kind::Binary, bytes))]
}

/// A ping or a pong.
fn a_control() -> impl Strategy<Value = (u8, Vec<u8>)> {
    (select(vec![0x89, 0x8A]), vec(any::<u8>(), 0..=125))
}

/// A message in fragments, and the control frames between them.
fn fragments() -> impl Strategy<Value = Frames> {
    (a_message(), vec((any::<Index>(), vec(a_control(), 0..3)), 0..4)).prop_map(|((kind, payload), mut seams)| {
        let mut frames = vec![];
        let mut opcode = kind.opcode() as u8;
        let mut from = 0;
        seams.sort_by_key(|(at, _)| at.index(payload.len() + 1));
        for (at, controls) in seams {
            let at = at.index(payload.len() + 1);
            frames.push((opcode, payload[from..at].to_vec()));
            frames.extend(controls);
            (opcode, from) = (0x00, at);
        }
        frames.push((0x80 | opcode, payload[from..].to_vec()));
        frames
    })
}

/// The closing handshake, or nothing, and what comes behind it.
fn an_end() -> impl Strategy<Value = Frames> {
    let close = (select(vec![1000_u16, 1001, 1011, 3000, 4999]), "[a-z\u{e9}\u{20ac}]{0,40}");
    let close = close.prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat());
    let close = prop_oneof![3 => close, 1 => Just(vec![])];
    let behind = vec((any::<u8>(), vec(any::<u8>(), 0..10)), 0..3);
    prop_oneof![Just(vec![]), (close, behind).prop_map(|(close, behind)| [vec![(0x88, close)], behind].concat()),]
}

/// A stream as RFC 6455 has it.
fn valid_frames() -> impl Strategy<Value = Frames> {
    let parts = prop_oneof![4 => fragments(), 1 => a_control().prop_map(|control| vec![control])];
    (vec(parts, 0..6), an_end()).prop_map(|(parts, end)| [parts.concat(), end].concat())
}

fn encode(role: Role, frames: &Frames) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame_to(role, *first, payload)).collect()
}

/// A stream of any kind to an end with this role: valid, spoilt, or nothing but noise.
fn any_bytes(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let valid = valid_frames().prop_map(move |frames| encode(role, &frames));
    let odd = vec((any::<u8>(), vec(any::<u8>(), 0..20)), 1..3).prop_map(move |frames| encode(role, &frames));
    let spoilt = (valid_frames(), vec((any::<Index>(), any::<u8>()), 1..4))
        .prop_map(move |(frames, flips)| spoil(encode(role, &frames), &flips));
    let with_odd = (valid_frames(), odd).prop_map(move |(frames, odd)| {
        let open: Frames = frames.into_iter().take_while(|(first, _)| *first != 0x88).collect();
        [encode(role, &open), odd].concat()
    });
    let cut_off = (valid_frames(), any::<Index>()).prop_map(move |(frames, len)| {
        let mut bytes = encode(role, &frames);
        bytes.truncate(len.index(bytes.len() + 1));
        bytes
    });
    prop_oneof![1 => valid, 4 => spoilt, 2 => with_odd, 1 => cut_off, 1 => vec(any::<u8>(), 0..200)]
}

fn spoil(mut bytes: Vec<u8>, flips: &[(Index, u8)]) -> Vec<u8> {
    for (at, flip) in flips.iter().filter(|_| !bytes.is_empty()).copied().collect::<Vec<_>>() {
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
    }
    bytes
}

// ---- what comes out

/// What a connection said, sent and became. Messages in pieces are put together.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    events: Vec<Event<'static>>,
    error: Option<ProtocolError>,
    sent: Vec<u8>,
    /// What the end of the transport was to it.
    at_eof: Option<Result<Option<Event<'static>>, ProtocolError>>,
    state: Option<State>,
    /// Frames that came.
    frames: u64,
    /// Where the frames of each message ended that came in pieces.
    ends: Vec<Vec<usize>>,
    /// What came in pieces of a message that did not end.
    unfinished: Vec<u8>,
    under_way: Option<Kind>,
}

impl Outcome {
    fn take(&mut self, event: Event<'_>) {
        assert_eq!(self.error, None, "nothing comes behind an error: {event:?}");
        assert!(!matches!(self.events.last(), Some(Event::Close(_))), "nothing comes behind a close: {event:?}");
        match event {
            Event::Piece(piece) => self.take_piece(piece),
            event => self.events.push(event.into_owned()),
        }
    }

    fn take_piece(&mut self, piece: Piece<'_>) {
        assert_eq!(piece.first, self.under_way.is_none(), "the first is the first");
        assert!(!piece.data.as_bytes().is_empty() || piece.frame_end, "an empty piece says that a frame ends");
        assert!(piece.frame_end || !piece.last, "a message ends with a frame");
        if piece.first {
            self.under_way = Some(piece.data.kind());
            self.ends.push(vec![]);
        }
        assert_eq!(Some(piece.data.kind()), self.under_way);
        self.unfinished.extend(piece.data.as_bytes());
        if piece.frame_end {
            self.ends.last_mut().unwrap().push(self.unfinished.len());
        }
        if piece.last {
            let payload = std::mem::take(&mut self.unfinished);
            self.events.push(match self.under_way.take() {
                Some(Kind::Text) => text(std::str::from_utf8(&payload).unwrap()),
                _ => binary(&payload),
            });
        }
    }

    /// The same without what only pieces say.
    fn whole(self) -> Self {
        Self { ends: vec![], unfinished: vec![], under_way: None, ..self }
    }
}

/// How a stream is received.
#[derive(Clone, Copy)]
struct Run<'a> {
    /// The lengths of the parts it comes in, over and over.
    cuts: &'a [usize],
    /// For each part by turns, whether it goes to `receive_piece`.
    pieces: &'a [bool],
    /// Whether what is outbound goes out behind each event, or at the end.
    flush: bool,
    /// Whether a request is answered when all input has come, or at once.
    late: bool,
    /// The bytes of a frame that is kept until it is whole, at most.
    keep: usize,
}

const WHOLE: Run<'_> = Run { cuts: &[usize::MAX], pieces: &[false], flush: true, late: false, keep: 0 };

impl Run<'_> {
    fn parts<'b>(&self, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut parts = vec![];
        for cut in self.cuts.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(*cut));
            parts.push(part);
            bytes = rest;
        }
        parts
    }

    fn run(&self, mut connection: Connection, bytes: &[u8]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut answer = None;
        let mut kept = vec![];
        for (part, pieces) in self.parts(bytes).into_iter().zip(self.pieces.iter().cycle()) {
            let part = [kept, part.to_vec()].concat();
            kept = self.receive(&mut connection, part, *pieces, &mut answer, &mut outcome);
        }
        if let Some(accept) = answer.take() {
            connection.accept(accept).unwrap();
        }
        // More does not come, so that nothing is kept any longer.
        Self { keep: 0, ..*self }.receive(&mut connection, kept, self.pieces[0], &mut answer, &mut outcome);
        outcome.at_eof = Some(connection.receive_eof());
        outcome.sent.extend(outbound(&mut connection));
        outcome.state = Some(connection.state());
        outcome.frames = connection.counters().received.frames;
        assert_eq!(connection.wants().transport, Transport::Close, "nothing keeps it open");
        if outcome.error.is_none() && !matches!(outcome.events.last(), Some(Event::Close(_))) {
            assert!(connection.counters().received.bytes <= bytes.len() as u64);
        }
        outcome
    }

    /// Receives a part; what is kept of it.
    fn receive(
        &self,
        connection: &mut Connection,
        mut part: Vec<u8>,
        pieces: bool,
        answer: &mut Option<sockless::Accept>,
        outcome: &mut Outcome,
    ) -> Vec<u8> {
        let mut input = &mut part[..];
        loop {
            let missing = connection.missing(input);
            if missing > 0 && input.len() + missing <= self.keep {
                return input.to_vec();
            }
            let result = if pieces { connection.receive_piece(&mut input) } else { connection.receive(&mut input) };
            match result {
                Ok(None) => break,
                Ok(Some(Event::Request(request))) => {
                    if self.late {
                        *answer = Some(request.accept());
                    } else {
                        connection.accept(request.accept()).unwrap();
                    }
                    outcome.take(Event::Request(request));
                }
                Ok(Some(event)) => outcome.take(event),
                Err(error) => assert_eq!(outcome.error.replace(error), None, "an error is told once"),
            }
            if self.flush {
                outcome.sent.extend(outbound(connection));
            }
        }
        assert!(input.is_empty(), "all input is taken");
        vec![]
    }
}

/// What a valid stream says, put together by hand.
fn expected(frames: &Frames) -> Vec<Event<'static>> {
    let mut events = vec![];
    let mut message = vec![];
    let mut kind = 0;
    for (first, payload) in frames {
        match first & 0x0F {
            0x8 => {
                let (code, reason) = payload.split_at(payload.len().min(2));
                let code = code.try_into().map_or(1005, u16::from_be_bytes);
                events.push(closed(code, std::str::from_utf8(reason).unwrap()));
                break;
            }
            0x9 => events.push(ping(payload)),
            0xA => events.push(pong(payload)),
            opcode => {
                message.extend(payload);
                kind |= opcode;
                if first & 0x80 != 0 {
                    let payload = std::mem::take(&mut message);
                    events.push(match std::mem::take(&mut kind) {
                        0x1 => text(std::str::from_utf8(&payload).unwrap()),
                        _ => binary(&payload),
                    });
                }
            }
        }
    }
    events
}

/// The answers to those events.
fn answers(events: &[Event<'_>]) -> Frames {
    let mut frames = vec![];
    for event in events {
        match event {
            Event::Ping(payload) => frames.push((0x8A, payload.to_vec())),
            Event::Close(close) if close.code == Code::NO_STATUS => frames.push((0x88, vec![])),
            Event::Close(close) => frames.push(close_frame(close.code.into())),
            _ => {}
        }
    }
    frames
}

// ---- open connections

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_valid_stream_says_what_its_frames_say(role in a_role(), frames in valid_frames(), cuts in cuts()) {
        let bytes = encode(role, &frames);
        let expected = expected(&frames);
        for pieces in [false, true] {
            let outcome = Run { cuts: &cuts, pieces: &[pieces], ..WHOLE }.run(open(role), &bytes);
            prop_assert_eq!(&outcome.events, &expected);
            prop_assert_eq!(outcome.error, None);
            prop_assert_eq!(unframe(&outcome.sent), answers(&expected));
            let clean = matches!(expected.last(), Some(Event::Close(_)));
            let at_eof = if clean { Ok(None) } else { Err(ProtocolError::UnexpectedEof) };
            prop_assert_eq!(outcome.at_eof, Some(at_eof));
        }
    }

    #[test]
    fn any_cutting_makes_the_same_of_any_bytes(
        (role, bytes) in a_role().prop_flat_map(|role| (Just(role), any_bytes(role))),
        cuts in cuts(),
        flush in any::<bool>(),
    ) {
        let whole = Run { flush, ..WHOLE }.run(open(role), &bytes);
        for cuts in [&cuts[..], &[1]] {
            for keep in [0, 20, usize::MAX] {
                prop_assert_eq!(&Run { cuts, flush, keep, ..WHOLE }.run(open(role), &bytes), &whole);
            }
        }
    }

    #[test]
    fn any_cutting_makes_the_same_pieces_when_they_are_put_together(
        (role, bytes) in a_role().prop_flat_map(|role| (Just(role), any_bytes(role))),
        cuts in cuts(),
    ) {
        let messages = WHOLE.run(open(role), &bytes);
        let whole = Run { pieces: &[true], ..WHOLE }.run(open(role), &bytes);
        for cuts in [&cuts[..], &[1]] {
            let cut = Run { cuts, pieces: &[true], ..WHOLE }.run(open(role), &bytes);
            if cut.error.is_none() {
                prop_assert_eq!(&cut, &whole);
            } else {
                // Of a text that is bad in its middle, more comes before the error the finer it is cut.
                let len = cut.unfinished.len().min(whole.unfinished.len());
                prop_assert_eq!(&cut.unfinished[..len], &whole.unfinished[..len]);
                let finished = cut.ends.len() - usize::from(cut.under_way.is_some());
                prop_assert_eq!(&cut.ends[..finished], &whole.ends[..finished]);
            }
            prop_assert_eq!(&cut.whole(), &messages);
        }
    }

    #[test]
    fn whole_messages_and_pieces_mix(
        (role, bytes) in a_role().prop_flat_map(|role| (Just(role), any_bytes(role))),
        cuts in cuts(),
        pieces in vec(any::<bool>(), 1..10),
    ) {
        let mixed = Run { cuts: &cuts, pieces: &pieces, ..WHOLE }.run(open(role), &bytes);
        prop_assert_eq!(mixed.whole(), WHOLE.run(open(role), &bytes));
    }

    #[test]
    fn unchecked_text_is_cut_alike(
        (role, bytes) in a_role().prop_flat_map(|role| (Just(role), any_bytes(role))),
        cuts in cuts(),
    ) {
        let mut config = Config::default();
        (config.check_utf8, config.require_masks, config.answer_pings) = (false, false, false);
        let open = || open_with(role, config.clone());
        prop_assert_eq!(Run { cuts: &cuts, ..WHOLE }.run(open(), &bytes), WHOLE.run(open(), &bytes));
    }

    #[test]
    fn tight_limits_are_cut_alike(
        (role, bytes) in a_role().prop_flat_map(|role| (Just(role), any_bytes(role))),
        cuts in cuts(),
    ) {
        let mut config = Config::default();
        (config.limits.message, config.limits.frame, config.limits.fragments) = (60, 40, 2);
        let open = || open_with(role, config.clone());
        for (pieces, keep) in [(false, 0), (false, usize::MAX), (true, 0)] {
            let cut = Run { cuts: &cuts, pieces: &[pieces], keep, ..WHOLE }.run(open(), &bytes);
            prop_assert_eq!(cut.whole(), WHOLE.run(open(), &bytes));
        }
    }
}

// ---- from the HTTP head on

const REQUEST: &str = "GET /chat?a=b HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// The head of a request, or of something like it.
fn a_request() -> impl Strategy<Value = Vec<u8>> {
    let valid = select(vec![
        "",
        "Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nCookie: a=b\r\n",
    ]);
    let valid = valid.prop_map(|extra| format!("{REQUEST}{extra}\r\n").into_bytes());
    let refused = select(vec![
        format!("{REQUEST}Origin: http://elsewhere.example\r\n\r\n"),
        REQUEST.replace("13", "8") + "\r\n",
        REQUEST.replace("GET", "POST") + "\r\n",
        REQUEST.replace("dGhl", "") + "\r\n",
        REQUEST.replace("Host: example.com", "Host example.com") + "\r\n",
        REQUEST.replace("Host", "\0") + "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "\r\n\r\n".into(),
        format!("{REQUEST}X: {}\r\n\r\n", "x".repeat(17 << 10)),
    ]);
    let refused = refused.prop_map(String::into_bytes);
    let spoilt = (valid.clone(), vec((any::<Index>(), any::<u8>()), 1..3));
    let spoilt = spoilt.prop_map(|(bytes, flips)| spoil(bytes, &flips));
    prop_oneof![3 => valid, 2 => refused, 1 => spoilt]
}

/// The head of the answer to the request of a client with [`SEED`], or something like it.
fn a_response() -> impl Strategy<Value = Vec<u8>> {
    let (_, request) = a_client();
    let key = request.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    let accept = String::from_utf8(accept_key(key.as_bytes().try_into().unwrap()).to_vec()).unwrap();
    let valid = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    let heads = select(vec![
        format!("{valid}\r\n"),
        format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{valid}Set-Cookie: a=b\r\n\r\n"),
        valid.replace(&accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") + "\r\n",
        valid.replace("Upgrade: websocket", "Upgrade: h2c") + "\r\n",
        format!("{valid}Sec-WebSocket-Protocol: unasked\r\n\r\n"),
        "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".into(),
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nsecret".into(),
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n6;x=y\r\n found\r\n0\r\n\r\n".into(),
        format!("HTTP/1.1 500 Oh\r\n\r\n{}", "no ".repeat(3000)),
        "HTTP/1.0 200 OK\r\n\r\nhello".into(),
        "nonsense\r\n\r\n".into(),
    ]);
    let heads = heads.prop_map(String::into_bytes);
    let spoilt = (heads.clone(), vec((any::<Index>(), any::<u8>()), 1..3));
    prop_oneof![3 => heads, 1 => spoilt.prop_map(|(bytes, flips)| spoil(bytes, &flips))]
}

/// A client, and the request that it has sent.
fn a_client() -> (Connection, String) {
    let request = ClientRequest::new("ws://example.com/chat").unwrap();
    let mut client = Connection::client(&request, Config::default(), SEED).unwrap();
    let head = outbound(&mut client);
    (client, String::from_utf8(head).unwrap())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_servers_stream_is_cut_alike_from_its_head_on(
        head in a_request(),
        frames in any_bytes(Role::Server),
        cuts in cuts(),
        flush in any::<bool>(),
    ) {
        let bytes = [head, frames].concat();
        let server = || Connection::server(Config::default());
        let whole = Run { flush, ..WHOLE }.run(server(), &bytes);
        for cuts in [&cuts[..], &[1]] {
            prop_assert_eq!(&Run { cuts, flush, ..WHOLE }.run(server(), &bytes), &whole);
            prop_assert_eq!(&Run { cuts, flush, keep: 100, ..WHOLE }.run(server(), &bytes), &whole);
            prop_assert_eq!(&Run { cuts, flush, pieces: &[true], ..WHOLE }.run(server(), &bytes).whole(), &whole);
        }
        // An answer that is given later changes nothing, but what goes out meanwhile.
        let late = Run { cuts: &cuts, flush, late: true, ..WHOLE };
        prop_assert_eq!(&late.run(server(), &bytes), &whole);
        prop_assert_eq!(&Run { pieces: &[true], ..late }.run(server(), &bytes).whole(), &whole);
    }

    #[test]
    fn a_clients_stream_is_cut_alike_from_its_head_on(
        head in a_response(),
        frames in any_bytes(Role::Client),
        cuts in cuts(),
        flush in any::<bool>(),
    ) {
        let bytes = [head, frames].concat();
        let whole = Run { flush, ..WHOLE }.run(a_client().0, &bytes);
        for cuts in [&cuts[..], &[1]] {
            prop_assert_eq!(&Run { cuts, flush, ..WHOLE }.run(a_client().0, &bytes), &whole);
            prop_assert_eq!(&Run { cuts, flush, pieces: &[true], ..WHOLE }.run(a_client().0, &bytes).whole(), &whole);
        }
    }
}

#[test]
fn heads_and_the_frames_behind_them_are_read_as_they_are() {
    let events = [text("Hello"), ping(b"p"), closed(1000, "")];
    let frames: &[(u8, &[u8])] = &[(0x01, b"Hel"), (0x80, b"lo"), (0x89, b"p"), (0x88, b"\x03\xe8")];
    for cuts in [&[1][..], &[usize::MAX], &[100, 7]] {
        for late in [false, true] {
            let bytes = [format!("{REQUEST}\r\n").as_bytes(), &frames_to(Role::Server, frames)].concat();
            let outcome = Run { cuts, late, ..WHOLE }.run(Connection::server(Config::default()), &bytes);
            assert!(matches!(&outcome.events[0], Event::Request(request) if request.path() == "/chat"));
            assert_eq!((&outcome.events[1..], outcome.error), (&events[..], None));
            let head = outcome.sent.len() - b"\x8a\x01p\x88\x02\x03\xe8".len();
            assert!(outcome.sent.starts_with(b"HTTP/1.1 101 ") && outcome.sent[..head].ends_with(b"\r\n\r\n"));
            assert_eq!(&outcome.sent[head..], b"\x8a\x01p\x88\x02\x03\xe8");
        }
        let (client, request) = a_client();
        let mut server = Connection::server(Config::default());
        feed_request(&mut server, request.as_bytes());
        let bytes = [outbound(&mut server), frames_to(Role::Client, frames)].concat();
        let outcome = Run { cuts, ..WHOLE }.run(client, &bytes);
        assert!(matches!(&outcome.events[0], Event::Open(response) if response.status() == 101));
        assert_eq!((&outcome.events[1..], outcome.error), (&events[..], None));
        assert_eq!(unframe(&outcome.sent), [(0x8A, b"p".to_vec()), close_frame(1000)]);
    }
}

/// Lets a server take a request.
fn feed_request(server: &mut Connection, head: &[u8]) {
    let mut head = head.to_vec();
    match server.receive(&mut &mut head[..]) {
        Ok(Some(Event::Request(request))) => server.accept(request.accept()).unwrap(),
        result => panic!("{result:?}"),
    }
}

// ---- from one end to the other

#[derive(Clone, Debug)]
enum Op {
    Send(Kind, Vec<u8>),
    Shared(Kind, Vec<u8>),
    Prepared(Kind, Vec<u8>),
    Written(Kind, Vec<u8>),
    /// A message in fragments of these lengths, over and over, with a ping behind each.
    Fragments(Kind, Vec<u8>, Vec<usize>),
    Control(u8, Vec<u8>),
}

fn an_op() -> impl Strategy<Value = Op> {
    fn long() -> impl Strategy<Value = (Kind, Vec<u8>)> {
        (a_message(), 1..12_usize).prop_map(|((kind, payload), times)| (kind, payload.repeat(times)))
    }
    prop_oneof![
        a_message().prop_map(|(kind, payload)| Op::Send(kind, payload)),
        long().prop_map(|(kind, payload)| Op::Shared(kind, payload)),
        long().prop_map(|(kind, payload)| Op::Prepared(kind, payload)),
        long().prop_map(|(kind, payload)| Op::Written(kind, payload)),
        (a_message(), vec(0..50_usize, 1..5)).prop_map(|((kind, payload), lens)| Op::Fragments(kind, payload, lens)),
        a_control().prop_map(|(first, payload)| Op::Control(first, payload)),
    ]
}

impl Op {
    /// Does it; what the peer will be told of it.
    fn apply(&self, connection: &mut Connection) -> Vec<Event<'static>> {
        fn as_text(payload: &[u8]) -> &str {
            std::str::from_utf8(payload).unwrap()
        }
        let (kind, payload) = match self {
            Self::Control(first, payload) => {
                return if *first == 0x89 {
                    connection.ping(payload).unwrap();
                    vec![ping(payload)]
                } else {
                    connection.pong(payload).unwrap();
                    vec![pong(payload)]
                };
            }
            Self::Send(kind, payload)
            | Self::Shared(kind, payload)
            | Self::Prepared(kind, payload)
            | Self::Written(kind, payload)
            | Self::Fragments(kind, payload, _) => (*kind, payload),
        };
        let mut events = vec![];
        match self {
            Self::Send(Kind::Text, _) => connection.send_text(as_text(payload)).unwrap(),
            Self::Send(Kind::Binary, _) => connection.send(Message::from(&payload[..])).unwrap(),
            Self::Shared(..) => connection.send_shared(kind, payload.clone().into()).unwrap(),
            Self::Prepared(Kind::Text, _) => connection.send_prepared(&Prepared::text(as_text(payload))).unwrap(),
            Self::Prepared(Kind::Binary, _) => connection.send_prepared(&Prepared::binary(payload)).unwrap(),
            Self::Written(..) => {
                let mut writer = connection.writer(kind);
                match kind {
                    Kind::Text => writer.write_str(as_text(payload)).unwrap(),
                    Kind::Binary => std::io::Write::write_all(&mut writer, payload).unwrap(),
                }
                writer.finish().unwrap();
            }
            Self::Fragments(_, _, lens) => {
                let mut rest = &payload[..];
                for len in lens.iter().copied().chain(std::iter::repeat(50)) {
                    let last = len >= rest.len();
                    let (fragment, behind) = rest.split_at(len.min(rest.len()));
                    connection.send_fragment(kind, fragment, last).unwrap();
                    if last {
                        break;
                    }
                    connection.ping(fragment).unwrap();
                    events.push(ping(fragment));
                    rest = behind;
                }
            }
            Self::Control(..) => {}
        }
        events.push(if kind == Kind::Text { text(as_text(payload)) } else { binary(payload) });
        events
    }
}

/// Moves at most `len` bytes from one end to the other, in parts of `cut`.
fn transfer(from: &mut Connection, to: &mut Connection, len: usize, cut: usize) -> Vec<Event<'static>> {
    use bytes::Buf;
    let mut outgoing = from.outbound();
    let len = len.min(outgoing.remaining());
    let bytes = outgoing.copy_to_bytes(len);
    let (events, error) = feed(to, &bytes, cut);
    assert_eq!(error, None);
    events
}

fn is_message(event: &Event<'_>) -> bool {
    matches!(event, Event::Text(_) | Event::Binary(_))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_one_end_sends_the_other_receives(
        role in a_role(),
        ops in vec((an_op(), 0..400_usize), 0..12),
        fragment in select(vec![0, 1, 7, 100]),
        cut in select(vec![1, 3, 50, usize::MAX]),
    ) {
        let mut config = Config::default();
        (config.outbound.fragment, config.limits.fragments) = (fragment, u32::MAX);
        let (mut from, mut to) = (open_with(role, config.clone()), open_with(peer_of(role), config));
        let (mut expected, mut events) = (vec![], vec![]);
        for (op, len) in &ops {
            expected.extend(op.apply(&mut from));
            events.extend(transfer(&mut from, &mut to, *len, cut));
        }
        from.close(Code::from(4000), "done").unwrap();
        events.extend(transfer(&mut from, &mut to, usize::MAX, cut));

        // Control frames overtake messages that wait, but neither each other; and the close frame overtakes nothing.
        prop_assert_eq!(events.pop(), Some(closed(4000, "done")));
        let parted: (Vec<_>, Vec<_>) = events.into_iter().partition(is_message);
        prop_assert_eq!(parted, expected.into_iter().partition(is_message));

        // And the closing handshake ends at both ends.
        let answers = transfer(&mut to, &mut from, usize::MAX, cut);
        prop_assert_eq!(answers.last(), Some(&closed(4000, "")));
        for end in [&mut from, &mut to] {
            prop_assert_eq!(end.receive_eof(), Ok(None));
            prop_assert_eq!(end.wants().transport, Transport::Close);
        }
    }

    #[test]
    fn what_is_written_at_once_comes_in_the_order_it_was_sent(
        role in a_role(),
        ops in vec(an_op(), 0..12),
        cut in select(vec![1, 50, usize::MAX]),
    ) {
        let (mut from, mut to) = (open(role), open(peer_of(role)));
        for op in &ops {
            let expected = op.apply(&mut from);
            let events = transfer(&mut from, &mut to, usize::MAX, cut);
            // Pings between fragments go out before any of them.
            prop_assert_eq!(events, expected);
        }
    }
}
