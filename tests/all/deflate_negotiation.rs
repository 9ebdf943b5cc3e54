//! What two ends agree on (RFC 7692 §5, §7.1): offers and answers, good and bad, and whole connections of all settings.

use crate::common::compressed::*;
use crate::common::*;
use sockless::DeflateParameter::*;
use sockless::handshake::{accept_key, deflate, extension};
use sockless::{
    ClientRequest, Config, Connection, Deflate, DeflateParams, Event, HandshakeError, Negotiated, Pool, ProtocolError,
    Role, SendError,
};

const EITHER: [bool; 2] = [false, true];

/// Windows of this end and of the peer, and whether each has takeover.
type Settings = (u8, u8, bool, bool);

fn settings((window_bits, peer_window_bits, takeover, peer_takeover): Settings) -> Deflate {
    Deflate { window_bits, peer_window_bits, takeover, peer_takeover, ..always() }
}

fn agreement((window_bits, peer_window_bits, takeover, peer_takeover): Settings) -> DeflateParams {
    DeflateParams { window_bits, peer_window_bits, takeover, peer_takeover }
}

/// Everything allowed.
const MOST: Settings = (15, 15, true, true);

/// What a server makes of offers: what it agrees on, and how it says so.
fn choose(offers: &str, server: Settings) -> Option<(DeflateParams, String)> {
    deflate::choose(extension::parse(offers), &settings(server))
}

/// What a client makes of answers.
fn agreed(answers: &str, client: Settings) -> Result<Option<DeflateParams>, HandshakeError> {
    deflate::agreed(extension::parse(answers), &settings(client))
}

/// Values that a window cannot have.
const BAD_BITS: [&str; 16] = [
    "=0", "=1", "=7", "=16", "=17", "=80", "=255", "=256", "=264", "=08", "=008", "=+8", "=-9", "=1.0", "=ten", "=\"\"",
];

// ---- a server

#[test]
fn a_server_answers_each_offer() {
    let long = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for (offer, server, params, answer) in [
        ("", MOST, MOST, ""),
        ("; server_no_context_takeover", MOST, (15, 15, false, true), "; server_no_context_takeover"),
        ("; client_no_context_takeover", MOST, (15, 15, true, false), "; client_no_context_takeover"),
        ("; server_max_window_bits=9", MOST, (9, 15, true, true), "; server_max_window_bits=9"),
        ("; server_max_window_bits=15", MOST, MOST, "; server_max_window_bits=15"),
        ("; server_max_window_bits=14", (12, 15, true, true), (12, 15, true, true), "; server_max_window_bits=12"),
        ("", (12, 12, true, true), (12, 15, true, true), "; server_max_window_bits=12"),
        ("; client_max_window_bits", MOST, MOST, ""),
        ("; client_max_window_bits=15", MOST, MOST, ""),
        ("; client_max_window_bits", (15, 10, true, true), (15, 10, true, true), "; client_max_window_bits=10"),
        ("; client_max_window_bits=12", (15, 10, true, true), (15, 10, true, true), "; client_max_window_bits=10"),
        ("; client_max_window_bits=9", (15, 10, true, true), (15, 9, true, true), "; client_max_window_bits=9"),
        // The window that the other end may use is inflated, however small.
        ("; client_max_window_bits=8", MOST, (15, 8, true, true), "; client_max_window_bits=8"),
        ("; client_max_window_bits=\"8\"", MOST, (15, 8, true, true), "; client_max_window_bits=8"),
        (
            "; client_max_window_bits=11; server_max_window_bits=\"10\"; client_no_context_takeover; \
             server_no_context_takeover",
            MOST,
            (10, 11, false, false),
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
             client_max_window_bits=11",
        ),
    ] {
        let expected = Some((agreement(params), format!("permessage-deflate{answer}")));
        assert_eq!(choose(&format!("permessage-deflate{offer}"), server), expected, "{offer}");
    }
    let expected = format!("{long}; server_max_window_bits=12");
    let (_, answer) =
        deflate::choose(extension::parse("permessage-deflate; client_max_window_bits"), &Deflate::default()).unwrap();
    assert_eq!(answer, expected, "the default settings");
}

#[test]
fn a_server_takes_every_window_that_it_can_honour() {
    for own in 0..=20 {
        for asked in 8..=15 {
            let window_bits = own.clamp(9, 15).min(asked);
            let expected = (asked >= 9).then_some((window_bits, 15));
            let chosen = choose(&format!("permessage-deflate; server_max_window_bits={asked}"), (own, 15, true, true));
            assert_eq!(chosen.map(|(params, _)| (params.window_bits, params.peer_window_bits)), expected);

            let expected = (15, own.clamp(9, 15).min(asked));
            let chosen = choose(&format!("permessage-deflate; client_max_window_bits={asked}"), (15, own, true, true));
            assert_eq!(chosen.map(|(params, _)| (params.window_bits, params.peer_window_bits)), Some(expected));
        }
    }
}

#[test]
fn a_server_declines_bad_offers() {
    let bad = [
        "; server_max_window_bits=8", // zlib cannot deflate with it
        "; server_max_window_bits=\"8\"",
        "; server_max_window_bits",
        "; server_no_context_takeover=1",
        "; client_no_context_takeover=\"true\"",
        "; server_no_context_takeover; server_no_context_takeover",
        "; client_no_context_takeover; client_no_context_takeover",
        "; server_max_window_bits=10; server_max_window_bits=10",
        "; client_max_window_bits; client_max_window_bits",
        "; client_max_window_bits=10; client_max_window_bits",
        "; mode=fast",
        "; x",
        "; SERVER_NO_CONTEXT_TAKEOVER",
        "; server_no_context_takeover; y=\"z\"",
    ];
    let bits =
        BAD_BITS.iter().flat_map(|bits| ["server", "client"].map(|end| format!("; {end}_max_window_bits{bits}")));
    for bad in bad.into_iter().map(str::to_owned).chain(bits) {
        let offer = format!("permessage-deflate{bad}");
        assert_eq!(choose(&offer, MOST), None, "{offer}");
        // One that is good, before or behind it, is taken.
        let good = Some((agreement((15, 15, false, true)), "permessage-deflate; server_no_context_takeover".into()));
        assert_eq!(choose(&format!("{offer}, permessage-deflate; server_no_context_takeover"), MOST), good);
        assert_eq!(choose(&format!("permessage-deflate; server_no_context_takeover, {offer}"), MOST), good);
    }
    for other in
        ["", "x-webkit-deflate-frame", "permessage-bzip2", "permessage-deflate2", "Permessage-Deflate", "a, b; c"]
    {
        assert_eq!(choose(other, MOST), None, "{other}");
    }
}

#[test]
fn a_server_takes_the_first_offer_that_it_can() {
    let chosen = |offers: &str| choose(offers, MOST).map(|(params, _)| params.window_bits);
    let bits = |bits| format!("permessage-deflate; server_max_window_bits={bits}");
    assert_eq!(chosen(&[bits(10), bits(12)].join(", ")), Some(10));
    assert_eq!(chosen(&[bits(12), bits(10)].join(", ")), Some(12));
    assert_eq!(chosen(&[bits(8), bits(16), bits(11), bits(10)].join(", ")), Some(11));
    assert_eq!(chosen(&[bits(8), "x; y=z".into(), "permessage-deflate".into()].join(", ")), Some(15));
    assert_eq!(chosen(&["mux", "permessage-deflate; ???", &bits(13)].join(", ")), Some(13));
    assert_eq!(chosen(&[bits(8), bits(7)].join(", ")), None);
}

// ---- a client

#[test]
fn a_client_offers_what_its_settings_say() {
    for (client, offer) in [
        (MOST, "permessage-deflate; client_max_window_bits"),
        ((15, 15, false, true), "permessage-deflate; client_no_context_takeover; client_max_window_bits"),
        ((15, 15, true, false), "permessage-deflate; server_no_context_takeover; client_max_window_bits"),
        ((10, 15, true, true), "permessage-deflate; client_max_window_bits=10"),
        ((15, 9, true, true), "permessage-deflate; server_max_window_bits=9; client_max_window_bits"),
        ((1, 99, true, true), "permessage-deflate; client_max_window_bits=9"),
    ] {
        assert_eq!(deflate::offer(&settings(client)), offer);
    }
    assert_eq!(
        deflate::offer(&Deflate::default()),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12"
    );
}

#[test]
fn a_client_takes_what_its_offer_allows() {
    for (answer, client, params) in [
        ("", MOST, MOST),
        ("; server_no_context_takeover", MOST, (15, 15, true, false)),
        ("; client_no_context_takeover", MOST, (15, 15, false, true)),
        ("; server_max_window_bits=8", MOST, (15, 8, true, true)),
        ("; server_max_window_bits=15", MOST, MOST),
        ("; client_max_window_bits=9", MOST, (9, 15, true, true)),
        // zlib cannot deflate with it, so that this end's messages go plain.
        ("; client_max_window_bits=8", MOST, (8, 15, true, true)),
        ("; client_max_window_bits=15", MOST, MOST),
        ("; server_max_window_bits=\"9\"; client_max_window_bits=\"10\"", MOST, (10, 9, true, true)),
        // The client's own are hints: a server need not repeat them.
        ("", (10, 15, false, true), (10, 15, false, true)),
        ("; client_max_window_bits=10", (10, 15, true, true), (10, 15, true, true)),
        ("; client_max_window_bits=9", (10, 15, true, true), (9, 15, true, true)),
        ("; server_max_window_bits=11; server_no_context_takeover", (15, 12, true, false), (15, 11, true, false)),
    ] {
        let answer = format!("permessage-deflate{answer}");
        assert_eq!(agreed(&answer, client), Ok(Some(agreement(params))), "{answer}");
        assert_eq!(agreed(&format!("other, {answer}"), client), Ok(Some(agreement(params))), "{answer}");
    }
    assert_eq!(agreed("", MOST), Ok(None), "the server declined");
    assert_eq!(agreed("other; a=b", MOST), Ok(None));
}

#[test]
fn a_client_refuses_what_its_offer_does_not_allow() {
    let most = |bits| (bits, bits, true, true);
    for (client, answer, parameter) in [
        (MOST, "; client_max_window_bits", Some(ClientMaxWindowBits)), // an answer says how many
        (MOST, "; server_max_window_bits", Some(ServerMaxWindowBits)),
        (MOST, "; server_no_context_takeover=1", Some(ServerNoContextTakeover)),
        (MOST, "; client_no_context_takeover=1", Some(ClientNoContextTakeover)),
        (MOST, "; server_no_context_takeover; server_no_context_takeover", Some(ServerNoContextTakeover)),
        (MOST, "; client_no_context_takeover; client_no_context_takeover", Some(ClientNoContextTakeover)),
        (MOST, "; server_max_window_bits=9; server_max_window_bits=9", Some(ServerMaxWindowBits)),
        (MOST, "; client_max_window_bits=9; client_max_window_bits=10", Some(ClientMaxWindowBits)),
        (MOST, "; x", None),
        (MOST, ", permessage-deflate", None), // two answers
        (MOST, "; server_max_window_bits=9, permessage-deflate; server_max_window_bits=9", None),
        (MOST, ", other;", None),
        // Larger than was offered, or left out.
        (most(12), "; server_max_window_bits=12; client_max_window_bits=13", Some(ClientMaxWindowBits)),
        (most(12), "; server_max_window_bits=13", Some(ServerMaxWindowBits)),
        (most(12), "; server_max_window_bits=15", Some(ServerMaxWindowBits)),
        (most(12), "", Some(ServerMaxWindowBits)),
        (most(12), "; client_max_window_bits=12", Some(ServerMaxWindowBits)),
        ((15, 15, true, false), "", Some(ServerNoContextTakeover)),
        ((15, 15, true, false), "; client_no_context_takeover", Some(ServerNoContextTakeover)),
    ] {
        let answer = format!("permessage-deflate{answer}");
        let error = parameter.map_or(HandshakeError::Extensions, HandshakeError::Parameter);
        assert_eq!(agreed(&answer, client), Err(error), "{answer}");
    }
    for bits in BAD_BITS {
        for name in [ServerMaxWindowBits, ClientMaxWindowBits] {
            // What is no value by the grammar is not told from other nonsense.
            let error = if bits == "=\"\"" { HandshakeError::Extensions } else { HandshakeError::Parameter(name) };
            assert_eq!(agreed(&format!("permessage-deflate; {name}{bits}"), MOST), Err(error), "{name}{bits}");
        }
    }
    let error = agreed("permessage-deflate", most(12)).unwrap_err();
    assert_eq!(error.to_string(), "permessage-deflate not answered as it was offered: server_max_window_bits");
    for own in 9..=15 {
        for bits in 8..=15 {
            let window = agreed(&format!("permessage-deflate; client_max_window_bits={bits}"), (own, 15, true, true));
            let expected =
                if bits <= own { Ok(Some(bits)) } else { Err(HandshakeError::Parameter(ClientMaxWindowBits)) };
            assert_eq!(window.map(|params| params.map(|params| params.window_bits)), expected);

            let window = agreed(&format!("permessage-deflate; server_max_window_bits={bits}"), (15, own, true, true));
            let expected =
                if bits <= own { Ok(Some(bits)) } else { Err(HandshakeError::Parameter(ServerMaxWindowBits)) };
            assert_eq!(window.map(|params| params.map(|params| params.peer_window_bits)), expected);
        }
    }
}

// ---- both

/// The other end's view.
fn mirrored(params: DeflateParams) -> DeflateParams {
    DeflateParams {
        window_bits: params.peer_window_bits,
        peer_window_bits: params.window_bits,
        takeover: params.peer_takeover,
        peer_takeover: params.takeover,
    }
}

/// All combinations of these windows and of takeover.
fn all_settings(windows: &[u8]) -> Vec<Settings> {
    let mut all = vec![];
    for own in windows {
        for peer in windows {
            all.extend([(false, false), (false, true), (true, false), (true, true)].map(|(a, b)| (*own, *peer, a, b)));
        }
    }
    all
}

#[test]
fn whatever_the_settings_both_ends_agree() {
    let all = all_settings(&[9, 10, 11, 13, 15]);
    for client in &all {
        let offer = deflate::offer(&settings(*client));
        for server in &all {
            let (params, answer) = choose(&offer, *server).expect("a server takes each of our offers");
            assert_eq!(agreed(&answer, *client), Ok(Some(mirrored(params))), "{offer} - {answer}");
            let expected = (server.0.min(client.1), server.1.min(client.0), server.2 && client.3, server.3 && client.2);
            assert_eq!(params, agreement(expected), "{offer} - {answer}");
        }
    }
}

fn config(deflate: Deflate) -> Config {
    let mut config = Config::default();
    config.deflate = Some(deflate);
    config
}

/// Opens a connection from a client to a server; what each says of it.
fn opened(client: Config, server: Config) -> (Connection, Connection) {
    let request = ClientRequest::new("ws://host/").unwrap();
    let mut client = Connection::client(&request, client, SEED).unwrap();
    let mut server = Connection::server(server);
    let mut head = outbound(&mut client);
    match server.receive(&mut &mut head[..]) {
        Ok(Some(Event::Request(request))) => server.accept(request.accept()).unwrap(),
        result => panic!("{result:?}"),
    }
    let mut head = outbound(&mut server);
    match client.receive(&mut &mut head[..]) {
        Ok(Some(Event::Open(_))) => {}
        result => panic!("{result:?}"),
    }
    (client, server)
}

#[test]
fn connections_of_all_settings_exchange_messages() {
    let pool = Pool::new(16);
    // A part is repeated farther back than the smallest windows reach.
    let plain = [lines(900), "-".repeat(400), lines(900)].concat();
    let all = all_settings(&[9, 15]);
    for of_client in &all {
        for of_server in &all {
            let [client, server] =
                [of_client, of_server].map(|of| config(Deflate { pool: pool.clone(), ..settings(*of) }));
            let (mut client, mut server) = opened(client, server);
            let agreed = client.negotiated().deflate().expect("they agree");
            assert_eq!(server.negotiated().deflate(), Some(mirrored(agreed)), "{of_client:?}, {of_server:?}");
            for to_server in EITHER {
                let [from, to] = if to_server { [&mut client, &mut server] } else { [&mut server, &mut client] };
                let params = from.negotiated().deflate().unwrap();
                for round in 0..2 {
                    from.send_text(&plain).unwrap();
                    let bytes = outbound(from);
                    let frames = unframe(&bytes);
                    assert_eq!(frames[0].0, 0xC1, "it is compressed");
                    let inflated = inflate(b"", &frames[0].1);
                    assert!(params.takeover || inflated.is_some(), "without takeover it refers to nothing before");
                    assert!(inflated.is_none_or(|it| it.farthest <= 1 << params.window_bits), "round {round}");
                    assert_eq!(feed(to, &bytes, usize::MAX), (vec![text(&plain)], None));
                }
            }
        }
    }
}

#[test]
fn without_the_setting_nothing_is_offered_or_accepted() {
    for (of_client, of_server) in [(true, false), (false, true), (false, false)] {
        let [client, server] = [of_client, of_server].map(|has| match has {
            true => config(always()),
            false => Config::default(),
        });
        let (mut client, mut server) = opened(client, server);
        assert_eq!((client.negotiated(), server.negotiated()), (Negotiated::default(), Negotiated::default()));
        client.send_text(&lines(1000)).unwrap();
        let bytes = outbound(&mut client);
        assert_eq!(unframe(&bytes), [(0x81, lines(1000).into_bytes())]);
        assert_eq!(feed(&mut server, &bytes, 100), (vec![text(&lines(1000))], None));
        let failed = (vec![], Some(ProtocolError::ReservedBits(0b100)));
        assert_eq!(feed(&mut client, &server_frame(0xC1, b"\x00"), 100), failed);
    }
}

/// The head that a connection has outbound, and its extensions as they stand there.
fn head(connection: &mut Connection) -> (String, Vec<String>) {
    let head = String::from_utf8(outbound(connection)).unwrap();
    let name = "Sec-WebSocket-Extensions: ";
    let extensions = head.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect();
    (head, extensions)
}

#[test]
fn a_server_reads_all_fields_of_the_offer() {
    for (fields, answer, params) in [
        (vec![], None, None),
        (vec!["permessage-deflate"], Some("permessage-deflate"), Some(MOST)),
        (vec!["foo", "bar; a=b, permessage-deflate"], Some("permessage-deflate"), Some(MOST)),
        (
            vec!["permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=10"],
            Some("permessage-deflate; server_max_window_bits=10"),
            Some((10, 15, true, true)),
        ),
        (vec!["permessage-deflate; server_max_window_bits=8"], None, None),
        (vec!["permessage-deflate; server_max_window_bits=016, x"], None, None),
    ] {
        let mut server = Connection::server(config(settings(MOST)));
        let fields: String = fields.iter().map(|field| format!("Sec-WebSocket-Extensions: {field}\r\n")).collect();
        let mut request = format!(
            "GET / HTTP/1.1\r\nHost: host\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        )
        .into_bytes();
        match server.receive(&mut &mut request[..]) {
            Ok(Some(Event::Request(request))) => server.accept(request.accept()).unwrap(),
            result => panic!("{result:?}"),
        }
        assert_eq!(head(&mut server).1, answer.into_iter().collect::<Vec<_>>(), "{fields}");
        assert_eq!(server.negotiated().deflate(), params.map(agreement), "{fields}");
    }
}

/// What a client makes of a response with these extensions.
fn response(config: Config, extensions: &[&str]) -> Result<Option<DeflateParams>, ProtocolError> {
    answered(&ClientRequest::new("ws://host/").unwrap(), config, extensions).map(|it| it.negotiated().deflate())
}

/// The client that made this request, once it has had the response.
fn answered(request: &ClientRequest, config: Config, extensions: &[&str]) -> Result<Connection, ProtocolError> {
    let mut client = Connection::client(request, config, SEED).unwrap();
    let (head, _) = head(&mut client);
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = String::from_utf8(accept_key(key.as_bytes().try_into().unwrap()).to_vec()).unwrap();
    let fields: String = extensions.iter().map(|field| format!("Sec-WebSocket-Extensions: {field}\r\n")).collect();
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
    )
    .into_bytes();
    let opened = client.receive(&mut &mut response[..]).map(|event| assert!(matches!(event, Some(Event::Open(_)))));
    assert_eq!(opened.is_ok(), client.state() == sockless::State::Open);
    opened.map(|()| client)
}

#[test]
fn a_client_holds_the_response_against_its_offer() {
    let refused = Err(ProtocolError::Handshake(HandshakeError::Extensions));
    let at = |name| Err(ProtocolError::Handshake(HandshakeError::Parameter(name)));
    for (extensions, expected) in [
        (&[][..], Ok(None)),
        (&["permessage-deflate"], Ok(Some(agreement(MOST)))),
        (&["permessage-deflate; client_max_window_bits=10"], Ok(Some(agreement((10, 15, true, true))))),
        (&["permessage-deflate; client_max_window_bits=8"], Ok(Some(agreement((8, 15, true, true))))),
        (&["permessage-deflate; client_max_window_bits"], at(ClientMaxWindowBits)),
        (&["permessage-deflate", "permessage-deflate"], refused),
        (&["permessage-deflate; unknown"], refused),
        (&["permessage-deflate, other"], refused),
        (&["other"], refused),
        (&["permessage-deflate;"], refused),
    ] {
        assert_eq!(response(config(settings(MOST)), extensions), expected, "{extensions:?}");
    }
    let without_takeover = response(config(settings((15, 15, true, false))), &["permessage-deflate"]);
    assert_eq!(without_takeover, at(ServerNoContextTakeover));
    assert_eq!(response(config(settings((15, 12, true, true))), &["permessage-deflate"]), at(ServerMaxWindowBits));
    assert_eq!(response(Config::default(), &["permessage-deflate"]), refused, "nothing was offered");
}

#[test]
fn the_default_settings_connect_to_servers_that_answer_no_window() {
    // gorilla and what follows it; libwebsockets, which says again what has no value.
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let expected = DeflateParams { window_bits: 12, ..params(false) };
    assert_eq!(response(config(Deflate::default()), &[answer]), Ok(Some(expected)));
    // Who wants the peer's window bounded is told what is missing.
    let bounded = Deflate { peer_window_bits: 12, ..Deflate::default() };
    let missing = Err(HandshakeError::Parameter(ServerMaxWindowBits).into());
    assert_eq!(response(config(bounded), &[answer]), missing);
}

#[test]
fn a_client_that_is_told_a_window_of_8_sends_plain_and_receives_compressed() {
    let request = ClientRequest::new("ws://host/").unwrap();
    let answer = ["permessage-deflate; client_max_window_bits=8"];
    let mut client = answered(&request, config(settings(MOST)), &answer).unwrap();
    let prepared = sockless::Prepared::text(&lines(1000));
    client.send_text(&lines(1000)).unwrap();
    client.send_prepared(&prepared).unwrap();
    client.send_fragment(sockless::Kind::Text, lines(1000).as_bytes(), true).unwrap();
    assert_eq!(sent(&mut client), vec![(0x81, lines(1000).into_bytes()); 3]);
    let bytes = frame_to(Role::Client, 0xC1, &deflated(b"compressed"));
    assert_eq!(feed(&mut client, &bytes, 1), (vec![text("compressed")], None));
}

#[test]
fn an_offer_of_the_callers_own_is_what_is_offered_and_what_the_answer_is_held_against() {
    let by_hand = |offer| ClientRequest::new("ws://host/").unwrap().with_extensions(offer);
    let sent_by = |offer, config| head(&mut Connection::client(&by_hand(offer), config, SEED).unwrap()).1;
    let offer =
        "permessage-deflate; server_max_window_bits=10, x-y; level=3, permessage-deflate; client_max_window_bits=11";
    for settings in [Config::default(), config(always())] {
        assert_eq!(sent_by(offer, settings.clone()), [offer]);
        let agreed =
            |answer| answered(&by_hand(offer), settings.clone(), &[answer]).map(|it| it.negotiated().deflate());
        let some = |window_bits, peer_window_bits| {
            Ok(Some(DeflateParams { window_bits, peer_window_bits, takeover: false, peer_takeover: true }))
        };
        let at = |name| Err(ProtocolError::Handshake(HandshakeError::Parameter(name)));
        let refused = Err(ProtocolError::Handshake(HandshakeError::Extensions));
        for (answer, expected) in [
            ("x-y; any=thing", Ok(None)),
            ("permessage-deflate; server_max_window_bits=10", some(12, 10)),
            ("x-y, permessage-deflate; server_max_window_bits=9", some(12, 9)),
            // These answer the other offer.
            ("permessage-deflate", some(11, 15)),
            ("permessage-deflate; client_max_window_bits=10", some(10, 15)),
            ("permessage-deflate; client_max_window_bits=10; server_max_window_bits=11", some(10, 11)),
            // And these none.
            ("permessage-deflate; client_max_window_bits=12", at(ServerMaxWindowBits)),
            ("permessage-deflate; client_max_window_bits=12; server_max_window_bits=9", at(ClientMaxWindowBits)),
            ("permessage-deflate; server_max_window_bits=99", at(ServerMaxWindowBits)),
            ("permessage-deflate; window=10", refused),
            ("permessage-deflate; server_max_window_bits=10, permessage-deflate", refused),
            ("x-y, x-y", refused),
            ("x-z", refused),
            ("", refused),
        ] {
            assert_eq!(agreed(answer), expected, "{answer}");
        }
        // What was agreed on is what is spoken.
        let answer = ["permessage-deflate; server_max_window_bits=10"];
        let mut client = answered(&by_hand(offer), settings, &answer).unwrap();
        client.send_text(&lines(1000)).unwrap();
        assert_eq!(sent(&mut client)[0].0, 0xC1);
        let bytes = frame_to(Role::Client, 0xC1, &deflated(b"compressed"));
        assert_eq!(feed(&mut client, &bytes, 1), (vec![text("compressed")], None));
    }
    // One that offers no compression agrees on none, whatever the settings.
    assert_eq!(sent_by("x-y", config(always())), ["x-y"]);
    let refused = answered(&by_hand("x-y"), config(always()), &["permessage-deflate"]).map(|_| ());
    assert_eq!(refused, Err(HandshakeError::Extensions.into()));
    // Its hints bind this end, as much as an answer.
    let hinting = by_hand("permessage-deflate; client_no_context_takeover");
    let client = answered(&hinting, config(settings(MOST)), &["permessage-deflate"]).unwrap();
    assert_eq!(client.negotiated().deflate(), Some(agreement((15, 15, false, true))));
}

#[test]
fn a_handshake_done_elsewhere_brings_its_parameters() {
    let params = DeflateParams { window_bits: 10, ..params(true) };
    for role in BOTH {
        // Without settings, the defaults are.
        let mut connection = Connection::open(role, params.try_into().unwrap(), Config::default(), SEED);
        assert_eq!(connection.negotiated(), Negotiated::try_from(params).unwrap());
        connection.send_text(&lines(255)).unwrap();
        connection.send_text(&lines(256)).unwrap();
        let marks: Vec<u8> = sent(&mut connection).iter().map(|(first, _)| *first).collect();
        assert_eq!(marks, [0x81, 0xC1]);
    }
}

#[test]
fn parameters_that_no_handshake_agrees_on_open_nothing() {
    for own in 0..=u8::MAX {
        for peer in [0, 7, 8, 12, 15, 16, 17, 200, u8::MAX] {
            let params = DeflateParams { window_bits: own, peer_window_bits: peer, ..params(false) };
            let bad = [own, peer].into_iter().find(|bits| !(8..=15).contains(bits));
            match (Negotiated::try_from(params), bad) {
                (Err(error), Some(bad)) => assert_eq!(error, SendError::WindowBits(bad)),
                (Ok(negotiated), None) => {
                    let mut connection = Connection::open(Role::Server, negotiated, config(always()), SEED);
                    connection.send_text(&lines(300)).unwrap();
                    // The codec has no window of 8.
                    assert_eq!(sent(&mut connection)[0].0, if own == 8 { 0x81 } else { 0xC1 });
                }
                (result, _) => panic!("{own}, {peer}: {result:?}"),
            }
        }
    }
}

#[test]
fn settings_out_of_range_count_as_the_nearest_in_it() {
    for number in [0, 1, 7, 8, 16, 100, 200, u8::MAX] {
        let deflate =
            Deflate { level: number, mem_level: number, window_bits: number, peer_window_bits: number, ..always() };
        let nearest = number.clamp(9, 15);
        let (mut client, mut server) = opened(config(deflate.clone()), config(deflate));
        for end in [&client, &server] {
            assert_eq!(end.negotiated().deflate(), Some(agreement((nearest, nearest, false, false))), "{number}");
        }
        client.send_text(&lines(3000)).unwrap();
        let bytes = outbound(&mut client);
        assert_eq!(bytes[0], 0xC1);
        assert_eq!(feed(&mut server, &bytes, 100), (vec![text(&lines(3000))], None), "{number}");
    }
}
