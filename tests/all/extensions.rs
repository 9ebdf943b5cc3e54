//! Extensions of a program's own (RFC 6455 §9): agreed on by two connections, and what they may make.

use crate::common::heap::used;
use crate::common::random::Random;
use crate::common::*;
use bytes::Buf;
use sockless::extensions::{Decode, Encode, Extension, Extensions, Output, Params, Part, Refused, Stage, Stages};
use sockless::{
    ClientRequest, Code, Config, Connection, Event, HandshakeError, Kind, Message, Prepared, ProtocolError, Role,
    SendError,
};

/// Each message ends with a checksum of it.
#[derive(Debug)]
struct Checked;

const SUM: usize = 4;

fn add(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| sum.rotate_left(5).wrapping_mul(31) ^ u32::from(*byte))
}

#[derive(Default)]
struct Sum {
    sum: u32,
    /// What may be the checksum.
    held: Vec<u8>,
}

impl Extension for Checked {
    fn name(&self) -> &str {
        "x-checked"
    }

    fn accept(&self, offer: &Params) -> Option<(Params, Stage)> {
        offer.is_empty().then(|| (Params::new(), stage()))
    }

    fn agree(&self, answer: &Params) -> Option<Stage> {
        answer.is_empty().then(stage)
    }
}

fn stage() -> Stage {
    Stage::new(Sum::default(), Sum::default())
}

impl Encode for Sum {
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
        assert!(part.frame_start && part.frame_end);
        self.sum = add(if part.first { 0 } else { self.sum }, part.bytes);
        out.push(part.bytes)?;
        if part.last {
            out.push(&self.sum.to_be_bytes())?;
        }
        Ok(0)
    }
}

impl Decode for Sum {
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
        if part.first {
            *self = Self::default();
        }
        self.held.extend(part.bytes);
        let data: Vec<_> = self.held.drain(..self.held.len().saturating_sub(SUM)).collect();
        self.sum = add(self.sum, &data);
        out.push(&data)?;
        match part.last && self.held != self.sum.to_be_bytes() {
            true => Err(Refused::new(Code::INVALID_PAYLOAD)),
            false => Ok(()),
        }
    }
}

/// Each frame begins with a letter, and is marked with a bit.
#[derive(Clone, Copy, Debug)]
struct Tagged(&'static str, u8, u8);

impl Extension for Tagged {
    fn name(&self) -> &str {
        self.0
    }

    fn bits(&self) -> u8 {
        self.2
    }

    fn marks_fragments(&self) -> bool {
        true
    }

    fn offers(&self) -> Vec<Params> {
        vec![Params::new().with("tag", "none"), Params::new().with("tag", &*char::from(self.1).to_string())]
    }

    fn accept(&self, offer: &Params) -> Option<(Params, Stage)> {
        let good = offer.get("tag")?? == char::from(self.1).to_string();
        good.then(|| (offer.clone(), Stage::new(*self, Untag(*self, false))))
    }

    fn agree(&self, answer: &Params) -> Option<Stage> {
        self.accept(answer).map(|(_, stage)| stage)
    }
}

impl Encode for Tagged {
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
        out.push(&[self.1])?;
        out.push(part.bytes)?;
        Ok(self.2)
    }
}

/// With whether the letter has still to come: what begins a frame may come without any of its bytes.
struct Untag(Tagged, bool);

impl Decode for Untag {
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
        let Self(Tagged(_, own, bit), due) = self;
        if part.bits != *bit {
            return Err(Refused::new(3000));
        }
        *due |= part.frame_start;
        match part.bytes {
            [tag, rest @ ..] if *due && tag == own => {
                *due = false;
                out.push(rest)
            }
            [_, ..] if *due => Err(Refused::new(3001)),
            bytes => out.push(bytes),
        }
    }
}

/// Makes what it likes of anything.
struct Liar(Lie);

type Lie = fn(Part<'_>, &mut Output<'_>) -> Result<u8, Refused>;

impl Encode for Liar {
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
        self.0(part, out)
    }
}

impl Decode for Liar {
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
        self.0(part, out).map(drop)
    }
}

fn extended(config: Config, role: Role, stages: impl IntoIterator<Item = (Box<dyn Extension>, Stage)>) -> Connection {
    let mut all = Stages::new();
    for (extension, stage) in stages {
        assert!(all.push(&*extension, stage).is_ok());
    }
    let mut end = open_with(role, config);
    end.extend(all);
    end
}

fn checked(role: Role) -> Connection {
    extended(Config::default(), role, [(Box::new(Checked) as _, stage())])
}

fn with(extensions: Extensions) -> Config {
    Config { extensions, ..Config::default() }
}

fn several(extensions: impl IntoIterator<Item = Box<dyn Extension>>) -> Extensions {
    extensions.into_iter().collect()
}

/// Both ends behind their opening handshake, and the lines that offered and answered extensions.
fn handshake(server: Config, client: Config) -> Result<(Connection, Connection, [String; 2]), HandshakeError> {
    let line = |head: &[u8]| {
        let head = String::from_utf8(head.to_vec()).unwrap();
        let line = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
        line.unwrap_or_default().to_owned()
    };
    let request = ClientRequest::new("ws://example.com/").unwrap();
    let mut client = Connection::client(&request, client, SEED).unwrap();
    let mut server = Connection::server(server);
    let head = outbound(&mut client);
    let mut input = head.clone();
    let Ok(Some(Event::Request(request))) = server.receive(&mut &mut input[..]) else { panic!("no request") };
    let accept = request.accept();
    server.accept(accept).unwrap();
    let answer = outbound(&mut server);
    let (events, error) = feed(&mut client, &answer, usize::MAX);
    match error {
        Some(ProtocolError::Handshake(error)) => Err(error),
        _ => {
            assert!(matches!(events[..], [Event::Open(_)]), "{events:?} {error:?}");
            Ok((server, client, [line(&head), line(&answer)]))
        }
    }
}

/// What `to` gets of all that `from` has to send, however it comes.
fn pass(from: &mut Connection, to: &mut Connection, cut: usize) -> Vec<Event<'static>> {
    let bytes = outbound(from);
    let (events, error) = feed(to, &bytes, cut);
    assert_eq!(error, None);
    events
}

#[test]
fn two_ends_agree_and_each_message_goes_through() {
    let (mut server, mut client, lines) =
        handshake(with(Extensions::new([Checked])), with(Extensions::new([Checked]))).unwrap();
    assert_eq!(lines, ["x-checked", "x-checked"]);
    for cut in [1, 2, 3, 7, usize::MAX] {
        for _ in 0..2 {
            std::mem::swap(&mut server, &mut client);
            let (from, to) = (&mut server, &mut client);
            from.send_text("").unwrap();
            from.send_text("a text with €").unwrap();
            from.send_binary(&[7; 1000]).unwrap();
            from.send(Message::binary(vec![8; 70_000])).unwrap();
            let expected = [text(""), text("a text with €"), binary(&[7; 1000]), binary(&[8; 70_000])];
            assert_eq!(pass(from, to, cut), expected, "{cut}");
        }
    }
    client.send_text("abc").unwrap();
    assert_eq!(sent(&mut client), [(0x81, [&b"abc"[..], &add(0, b"abc").to_be_bytes()].concat())]);
}

#[test]
fn who_does_not_know_it_goes_on_without() {
    let own = || with(Extensions::new([Checked]));
    for (server, client, offered) in [(own(), Config::default(), ""), (Config::default(), own(), "x-checked")] {
        let (mut server, mut client, lines) = handshake(server, client).unwrap();
        assert_eq!(lines, [offered, ""]);
        client.send_text("plain").unwrap();
        assert_eq!(pass(&mut client, &mut server, 1), [text("plain")]);
        server.send_text("plain").unwrap();
        assert_eq!(outbound(&mut server), b"\x81\x05plain");
    }
}

#[test]
fn several_stages_are_passed_in_the_order_of_the_answer() {
    let (a, b) = (Tagged("x-a", b'a', 0b010), Tagged("x-b", b'b', 0b001));
    let both = || with(several([Box::new(a) as _, Box::new(b) as _]));
    let (mut server, mut client, lines) = handshake(both(), both()).unwrap();
    assert_eq!(lines, ["x-a; tag=none, x-a; tag=a, x-b; tag=none, x-b; tag=b", "x-a; tag=a, x-b; tag=b"]);
    client.send_text("text").unwrap();
    assert_eq!(sent(&mut client), [(0xB1, b"batext".to_vec())]);
    for cut in [1, 2, usize::MAX] {
        client.send_fragment(Kind::Text, "€ and ".as_bytes(), false).unwrap();
        client.ping(b"between").unwrap();
        client.send_fragment(Kind::Text, b"", false).unwrap();
        client.send_fragment(Kind::Text, "€".as_bytes(), true).unwrap();
        let events = pass(&mut client, &mut server, cut);
        assert_eq!(events, [ping(b"between"), text("€ and €")], "a control frame overtakes what waits, untouched");
        _ = outbound(&mut server);
    }
    // The server's order is what counts, and a client whose own is another refuses it.
    let other = with(several([Box::new(b) as _, Box::new(a) as _]));
    assert_eq!(handshake(other, both()).err(), Some(HandshakeError::Extensions));
}

#[test]
fn two_that_claim_one_bit_are_not_both_agreed_on() {
    let both = || with(several([Box::new(Tagged("x-a", b'a', 0b010)) as _, Box::new(Tagged("x-b", b'b', 0b010)) as _]));
    let (_, _, lines) = handshake(both(), both()).unwrap();
    assert_eq!(lines[1], "x-a; tag=a");
}

#[test]
fn a_name_that_is_no_token_is_not_offered() {
    let bad = with(Extensions::new([Tagged("x a", b'a', 0)]));
    let request = ClientRequest::new("ws://example.com/").unwrap();
    assert_eq!(Connection::client(&request, bad.clone(), SEED).err(), Some(SendError::Head));
    // Nor is the configuration's where the request has offers of its own.
    let request = request.with_extensions("x-other");
    assert!(Connection::client(&request, bad, SEED).is_ok());
}

#[test]
fn data_that_a_stage_refuses_ends_the_connection_with_its_code() {
    for role in BOTH {
        for cut in [1, usize::MAX] {
            let mut end = checked(role);
            let good = [&b"good"[..], &add(0, b"good").to_be_bytes()].concat();
            let input = frames_to(role, &[(0x81, &good), (0x81, b"bad____"), (0x81, &good)]);
            let (events, error) = feed(&mut end, &input, cut);
            assert_eq!((events, error), (vec![text("good")], Some(ProtocolError::Extension(Code::INVALID_PAYLOAD))));
            assert_eq!(sent(&mut end), [close_frame(1007)]);
            assert_eq!(end.send_text("more"), Err(SendError::Closing));
        }
    }
    // A code that must not be on the wire is not.
    let liar = Liar(|_, _| Err(Refused::new(Code::NO_STATUS)));
    let mut end =
        extended(Config::default(), Role::Server, [(Box::new(Checked) as _, Stage::new(Sum::default(), liar))]);
    let (_, error) = feed(&mut end, &client_frame(0x81, b""), 1);
    assert_eq!(error, Some(ProtocolError::Extension(Code::NO_STATUS)));
    assert_eq!(sent(&mut end), [close_frame(1002)]);
}

#[test]
fn reserved_bits_are_taken_where_they_are_claimed() {
    /// Marks only the first frame of a message.
    #[derive(Debug)]
    struct First;
    impl Extension for First {
        fn name(&self) -> &str {
            "x-first"
        }
        fn bits(&self) -> u8 {
            0b010
        }
        fn accept(&self, _: &Params) -> Option<(Params, Stage)> {
            None
        }
        fn agree(&self, _: &Params) -> Option<Stage> {
            None
        }
    }
    let copy: Lie = |part, out| {
        out.push(&[b'0' + part.bits])?;
        out.push(part.bytes)?;
        Ok(0)
    };
    let first = || (Box::new(First) as Box<dyn Extension>, Stage::new(Liar(copy), Liar(copy)));
    let every = || (Box::new(Tagged("", 0, 0b001)) as Box<dyn Extension>, Stage::new(Liar(copy), Liar(copy)));
    for (frames, told) in [
        (&[(0xA2, &b"x"[..])][..], Ok(&b"20x"[..])),
        (&[(0xB2, b"x")], Ok(b"21x")),
        (&[(0x32, b"x"), (0x90, b"y")], Ok(b"21x01y")),
        (&[(0x02, b"x"), (0x80, b"y")], Ok(b"00x00y")),
        (&[(0x22, b"x"), (0xA0, b"y")], Err(0b010)),
        (&[(0xC2, b"x")], Err(0b100)),
        (&[(0xF2, b"x")], Err(0b111)),
        (&[(0xA9, b"x")], Err(0b010)),
        (&[(0x99, b"x")], Err(0b001)),
        (&[(0x98, b"")], Err(0b001)),
    ] {
        for cut in [1, usize::MAX] {
            let mut end = extended(Config::default(), Role::Server, [first(), every()]);
            let (events, error) = feed(&mut end, &frames_to(Role::Server, frames), cut);
            match told {
                Ok(bytes) => assert_eq!((&events[..], error), (&[binary(bytes)][..], None), "{frames:?}"),
                Err(bits) => assert_eq!((&events[..], error), (&[][..], Some(ProtocolError::ReservedBits(bits)))),
            }
        }
    }
}

#[test]
fn what_a_stage_makes_of_a_message_is_bounded_while_it_comes() {
    const LIMIT: usize = 10_000;
    let mut config = Config::default();
    config.limits.message = LIMIT;
    // It does not pass on that it was refused.
    let bomb: Lie = |_, out| {
        for _ in 0..1_000_000 {
            _ = out.push(&[7; 1000]);
        }
        Ok(0)
    };
    for frames in [&[(0x82, &b"x"[..])][..], &[(0x02, b"x"), (0x00, b"y")]] {
        let stage = Stage::new(Liar(bomb), Liar(bomb));
        let mut end = extended(config.clone(), Role::Server, [(Box::new(Checked) as _, stage)]);
        let input = frames_to(Role::Server, frames);
        let ((), heap) = used(|| {
            let (events, error) = feed(&mut end, &input, usize::MAX);
            assert_eq!(events, []);
            assert!(
                matches!(error, Some(ProtocolError::MessageTooLong { limit, .. }) if limit == LIMIT as u32),
                "{error:?}"
            );
        });
        assert!(heap.peak < 10 * LIMIT as isize, "{} bytes", heap.peak);
        assert_eq!(sent(&mut end), [close_frame(1009)]);
    }
    // Nor does a stage behind another make more than a message may have on the wire: twice as much, and 64 KiB.
    let (lies, honest) = (Stage::new(Liar(bomb), Liar(bomb)), stage());
    let mut end =
        extended(config.clone(), Role::Server, [(Box::new(Checked) as _, honest), (Box::new(Checked) as _, lies)]);
    let input = client_frame(0x82, b"x");
    let ((), heap) = used(|| {
        let (events, error) = feed(&mut end, &input, usize::MAX);
        assert_eq!(
            (events, error),
            (vec![], Some(ProtocolError::MessageTooLong { len: LIMIT as u32 + 1, limit: LIMIT as u32 }))
        );
    });
    assert!(heap.peak < 5 * (2 * LIMIT + (64 << 10)) as isize, "{} bytes", heap.peak);
    // What fits exactly is taken, whatever was on the wire beside it; in one frame or several.
    for (len, good) in [(LIMIT, true), (LIMIT + 1, false)] {
        let mut peer = checked(Role::Client);
        let mut end = extended(config.clone(), Role::Server, [(Box::new(Checked) as _, stage())]);
        peer.send_binary(&vec![7; len]).unwrap();
        peer.send_fragment(Kind::Binary, &vec![7; len - 1], false).unwrap();
        peer.send_fragment(Kind::Binary, &[7], true).unwrap();
        let (events, error) = feed(&mut end, &outbound(&mut peer), 100);
        let whole = binary(&[7; LIMIT]);
        assert_eq!(events, if good { vec![whole.clone(), whole] } else { vec![] });
        assert_eq!(error.is_none(), good, "{error:?}");
    }
}

#[test]
fn a_stage_that_cannot_send_ends_the_connection_behind_what_was_sent() {
    let liars: [(Lie, u16); 4] = [
        (|_, _| Err(Refused::new(3007)), 3007),
        (|_, _| Err(Refused::new(Code::ABNORMAL)), 1011),
        (|_, _| Ok(0b100), 1011),
        (
            |_, out| {
                while out.push(&[0; 10_000]).is_ok() {}
                Ok(0)
            },
            1011,
        ),
    ];
    for (liar, code) in liars {
        type Send = fn(&mut Connection) -> Result<(), SendError>;
        let refusing: [Send; 8] = [
            |end| end.send_text("x"),
            |end| end.send_binary(b"x"),
            |end| end.send(vec![7; 10_000]),
            |end| end.send_shared(Kind::Binary, vec![7; 10_000].into()),
            |end| end.send_prepared(&Prepared::text("x")),
            |end| end.send_fragment(Kind::Binary, b"x", false),
            |end| end.send_through(&Message::from("x")).map(drop),
            |end| {
                let mut writer = end.writer(Kind::Text);
                std::fmt::Write::write_str(&mut writer, "x").unwrap();
                writer.finish()
            },
        ];
        for role in BOTH {
            for (index, send) in refusing.iter().enumerate() {
                let stage = Stage::new(Liar(liar), Sum::default());
                let mut end = extended(Config::default(), role, [(Box::new(Checked) as _, stage)]);
                end.ping(b"before").unwrap();
                assert_eq!(send(&mut end), Err(SendError::Extension), "{index}");
                assert_eq!(send(&mut end), Err(SendError::Closing), "{index}");
                assert_eq!(sent(&mut end), [(0x89, b"before".to_vec()), close_frame(code)], "{index}");
            }
        }
    }
}

#[test]
fn every_way_to_send_goes_through() {
    for fragment in [0, 3] {
        for role in BOTH {
            let mut config = Config::default();
            config.outbound.fragment = fragment;
            let mut from = extended(config, role, [(Box::new(Checked) as _, stage())]);
            let mut to = checked(peer_of(role));
            let long = vec![7; 5000];
            from.send_through(&Message::from("through")).unwrap();
            from.send_through(&Message::from(&long)).unwrap();
            from.send_shared(Kind::Binary, long.clone().into()).unwrap();
            from.send_prepared(&Prepared::text("prepared")).unwrap();
            from.send_prepared(&Prepared::binary(&long)).unwrap();
            let mut writer = from.writer(Kind::Binary);
            std::io::Write::write_all(&mut writer, &long).unwrap();
            writer.finish().unwrap();
            let all = binary(&long);
            let expected = [text("through"), all.clone(), all.clone(), text("prepared"), all.clone(), all];
            assert_eq!(pass(&mut from, &mut to, 17), expected);
        }
    }
}

#[test]
fn pieces_and_frames_are_what_the_stages_make() {
    let whole = "a text with € and more, in pieces";
    for cut in [1, 2, 3, 5, usize::MAX] {
        let (mut from, mut by_piece, mut by_frame) =
            (checked(Role::Client), checked(Role::Server), checked(Role::Server));
        let (front, back) = whole.as_bytes().split_at(13); // Within the sign.
        from.send_fragment(Kind::Text, front, false).unwrap();
        from.send_fragment(Kind::Text, back, true).unwrap();
        from.send_binary(b"").unwrap();
        let bytes = outbound(&mut from);
        let (mut pieces, mut frames) = (vec![], vec![]);
        for part in bytes.chunks(cut) {
            let (mut one, mut other) = (part.to_vec(), part.to_vec());
            let (mut one, mut other) = (&mut one[..], &mut other[..]);
            while let Some(Event::Piece(piece)) = by_piece.receive_piece(&mut one).unwrap() {
                pieces.push(piece.into_owned());
            }
            while let Some(Event::Piece(piece)) = by_frame.receive_frame(&mut other).unwrap() {
                frames.push(piece.into_owned());
            }
        }
        let empty = pieces.pop().unwrap();
        assert!(empty.first && empty.last && empty.data == Message::from(b""));
        let ends = |of: fn(&sockless::Piece<'_>) -> bool| pieces.iter().filter(|piece| of(piece)).count();
        assert_eq!((ends(|it| it.first), ends(|it| it.frame_end), ends(|it| it.last)), (1, 2, 1), "{cut}");
        assert!(pieces[0].first && pieces[pieces.len() - 1].last);
        let joined: String = pieces.iter().map(|piece| piece.data.as_text().unwrap()).collect();
        assert_eq!(joined, whole, "{cut}");
        // The first frame holds back what might be the checksum.
        let frames: Vec<_> = frames.iter().map(|it| (it.data.as_text(), it.first, it.frame_end, it.last)).collect();
        let held = &whole[..9];
        let rest = &whole[9..];
        assert_eq!(
            frames,
            [(Some(held), true, true, false), (Some(rest), false, true, true), (None, true, true, true)]
        );
    }
}

#[test]
fn nothing_is_relayed_past_a_stage() {
    let (mut extended, mut plain) = (checked(Role::Server), open(Role::Client));
    let mut input = client_frame(0x81, b"text");
    let mut rest = &mut input[..];
    assert_eq!(extended.relay(&mut rest, &mut plain), Err(SendError::Extension.into()));
    assert_eq!(rest.len(), 10, "nothing is taken");
    let (mut extended, mut plain) = (checked(Role::Client), open(Role::Server));
    assert_eq!(plain.relay(&mut rest, &mut extended), Err(SendError::Extension.into()));
    assert_eq!(rest.len(), 10, "nothing is taken");
}

#[test]
fn each_half_keeps_its_way() {
    let (mut sender, mut receiver) = checked(Role::Client).split().unwrap_or_else(|_| panic!("not open"));
    let mut peer = checked(Role::Server);
    sender.send_text("out").unwrap();
    let mut outgoing = sender.outbound();
    let mut bytes = vec![0; outgoing.remaining()];
    outgoing.copy_to_slice(&mut bytes);
    assert_eq!(feed(&mut peer, &bytes, 1), (vec![text("out")], None));
    peer.send_text("in").unwrap();
    let mut bytes = outbound(&mut peer);
    assert_eq!(receiver.receive(&mut &mut bytes[..]), Ok(Some(text("in"))));
}

#[test]
fn random_messages_cut_anywhere_come_whole() {
    let mut random = Random(7);
    for _ in 0..200 {
        let tagged = Tagged("x-a", b'a', 0b010);
        let stages = |role| {
            let all: [(Box<dyn Extension>, Stage); 2] =
                [(Box::new(Checked), stage()), (Box::new(tagged), Stage::new(tagged, Untag(tagged, false)))];
            extended(Config::default(), role, all)
        };
        let (mut from, mut to, mut expected) = (stages(Role::Client), stages(Role::Server), vec![]);
        for _ in 0..10 {
            let len = random.below(300);
            let message = random.bytes(len);
            let (mut rest, fragments) = (&message[..], random.below(4));
            for _ in 0..fragments {
                let (front, back) = rest.split_at(random.below(rest.len() + 1));
                from.send_fragment(Kind::Binary, front, false).unwrap();
                rest = back;
            }
            from.send_fragment(Kind::Binary, rest, true).unwrap();
            expected.push(binary(&message));
        }
        let bytes = outbound(&mut from);
        let (mut parts, mut rest) = (vec![], &bytes[..]);
        while !rest.is_empty() {
            let (front, back) = rest.split_at(1 + random.below(rest.len().min(100)));
            parts.push(front);
            rest = back;
        }
        assert_eq!(feed_parts(&mut to, parts), (expected, None));
    }
}

#[cfg(feature = "deflate")]
mod compressed {
    use super::*;
    use sockless::{Compress, Deflate};

    fn both(extension: impl Extension + 'static) -> Config {
        Config { deflate: Some(Deflate::default()), ..with(Extensions::new([extension])) }
    }

    #[test]
    fn compression_is_the_first_stage() {
        let (mut server, mut client, lines) = handshake(both(Checked), both(Checked)).unwrap();
        assert!(lines[0].starts_with("permessage-deflate") && lines[0].ends_with(", x-checked"), "{lines:?}");
        assert!(lines[1].starts_with("permessage-deflate") && lines[1].ends_with(", x-checked"), "{lines:?}");
        let long = "a text that gets shorter €, ".repeat(300);
        for cut in [1, 5, usize::MAX] {
            for _ in 0..2 {
                std::mem::swap(&mut server, &mut client);
                let (from, to) = (&mut server, &mut client);
                from.send_text(&long).unwrap();
                from.send_with("short", Compress::Never).unwrap();
                from.send_fragment(Kind::Text, long.as_bytes(), false).unwrap();
                from.send_fragment(Kind::Text, b"end", true).unwrap();
                from.send_prepared(&Prepared::text(&long)).unwrap();
                let expected = [text(&long), text("short"), text(&(long.clone() + "end")), text(&long)];
                assert_eq!(pass(from, to, cut), expected, "{cut}");
            }
        }
        client.send_text(&long).unwrap();
        let frames = sent(&mut client);
        assert!(matches!(&frames[..], [(0xC1, payload)] if payload.len() < 200), "compressed, and then summed");
    }

    #[test]
    fn what_is_inflated_behind_a_stage_is_bounded() {
        let mut server = both(Checked);
        server.limits.message = 10_000;
        let (mut server, mut client, _) = handshake(server, both(Checked)).unwrap();
        client.send_binary(&vec![0; 100_000]).unwrap();
        let (events, error) = feed(&mut server, &outbound(&mut client), usize::MAX);
        assert!(events.is_empty() && matches!(error, Some(ProtocolError::MessageTooLong { .. })), "{error:?}");
    }

    #[test]
    fn the_bit_of_compression_is_taken() {
        let tagged = || both(Tagged("x-a", b'a', 0b100));
        let (_, _, lines) = handshake(tagged(), tagged()).unwrap();
        assert!(!lines[1].contains("x-a"), "{lines:?}");
        // Without compression it is free.
        let plain = || with(Extensions::new([Tagged("x-a", b'a', 0b100)]));
        let (mut server, mut client, lines) = handshake(plain(), plain()).unwrap();
        assert_eq!(lines[1], "x-a; tag=a");
        client.send_text("text").unwrap();
        assert_eq!(pass(&mut client, &mut server, 1), [text("text")]);
    }

    #[test]
    fn pieces_are_inflated_behind_the_stages() {
        let (_, mut client, _) = handshake(both(Checked), both(Checked)).unwrap();
        let (mut server, ..) = handshake(both(Checked), both(Checked)).unwrap();
        let long = "a text that gets shorter, ".repeat(3000);
        client.send_text(&long).unwrap();
        let mut all = String::new();
        for part in outbound(&mut client).chunks(10) {
            let mut part = part.to_vec();
            let mut input = &mut part[..];
            while let Some(Event::Piece(piece)) = server.receive_piece(&mut input).unwrap() {
                all += piece.data.as_text().unwrap();
            }
        }
        assert_eq!(all, long);
    }
}
