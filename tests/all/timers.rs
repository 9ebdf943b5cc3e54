//! Deadlines on the caller's clock: the opening handshake, keepalive, idle peers and the closing handshake.

use crate::common::*;
use sockless::close::Code;
use sockless::testing::Pair;
use sockless::{
    ClientRequest, Config, Connection, Event, HandshakeError, Keepalive, Kind, ProtocolError, Role, SendError, State,
    Transport,
};
use std::time::Duration;

const TIMEOUT: ProtocolError = ProtocolError::Handshake(HandshakeError::Timeout);

const OFF: Keepalive =
    Keepalive { handshake: None, ping: None, pong: None, idle: None, close: None, ..Config::DEFAULT.keepalive };

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Tells the time where nothing is due, and then asks for the next deadline.
fn quiet(end: &mut Connection, now: Duration) -> Option<Duration> {
    assert_eq!(end.handle_timeout(now), Ok(None), "at {now:?}");
    assert_eq!(outbound(end), b"", "at {now:?}");
    next(end)
}

fn next(end: &Connection) -> Option<Duration> {
    assert_eq!(end.wants().deadline, end.poll_timeout());
    end.poll_timeout()
}

/// A deadline that was never told the time: at once.
const NOW: Option<Duration> = Some(Duration::ZERO);

fn keepalive(keepalive: Keepalive) -> Config {
    Config { keepalive, ..Config::default() }
}

fn new_client(config: Config) -> Connection {
    Connection::client(&ClientRequest::new("ws://example.com/").unwrap(), config, SEED).unwrap()
}

/// Gives an end a frame of its peer's.
fn frame_in(end: &mut Connection, first: u8, payload: &[u8]) {
    let frame = frame_to(end.role(), first, payload);
    assert_eq!(feed(end, &frame, usize::MAX).1, None);
}

/// The frames that wait, which are out then.
fn sent(end: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    unframe(&outbound(end))
}

fn close_frame(code: u16) -> (u8, Vec<u8>) {
    (0x88, code.to_be_bytes().to_vec())
}

// ---- a driver and its clock

#[test]
fn a_driver_that_never_tells_the_time_has_no_timers() {
    for role in BOTH {
        let mut end = open(role);
        for _ in 0..1000 {
            frame_in(&mut end, 0x81, b"x");
            assert_eq!(next(&end), NOW);
        }
        assert_eq!((outbound(&mut end), end.state()), (vec![], State::Open));
        end.close(Code::NORMAL, "").unwrap();
        assert_eq!((next(&end), end.wants().transport), (NOW, Transport::Open));
    }
}

#[test]
fn the_clock_may_start_anywhere() {
    for start in [s(0), s(5), s(1_000_000_000_000)] {
        let mut end = open(Role::Server);
        assert_eq!(quiet(&mut end, start), Some(start + s(20)));
    }
}

#[test]
fn calls_that_nobody_asked_for_are_harmless() {
    let mut end = open(Role::Server);
    for now in [0, 0, 1, 19, 7, 0, 19] {
        assert_eq!(quiet(&mut end, s(now)), Some(s(20)));
    }
    assert_eq!(end.handle_timeout(s(20)), Ok(None));
    assert_eq!(sent(&mut end).len(), 1, "one ping");
    for now in [20, 20, 39, 20, 0] {
        assert_eq!(quiet(&mut end, s(now)), Some(s(40)));
    }
}

#[test]
fn a_late_driver_is_told_late_but_once() {
    let mut end = open(Role::Server);
    quiet(&mut end, s(0));
    assert_eq!(end.handle_timeout(s(1000)), Ok(None));
    assert_eq!(sent(&mut end).len(), 1, "one ping");
    assert_eq!(quiet(&mut end, s(1019)), Some(s(1020)));
    assert_eq!(end.handle_timeout(s(5000)), Err(ProtocolError::PongTimeout));
    assert_eq!(end.handle_timeout(s(5000)), Ok(None));
}

#[test]
fn a_new_state_wants_to_be_told_the_time() {
    let mut client = new_client(Config::default());
    assert_eq!(next(&client), NOW);
    assert_eq!(client.handle_timeout(s(1)), Ok(None));
    assert_eq!(next(&client), Some(s(11)));
    let response = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: QS+SDUd7VrR60WwyzsufspTZGZA=\r\n\r\n";
    assert_eq!(feed(&mut client, response, usize::MAX).0.len(), 1);
    outbound(&mut client);
    assert_eq!(next(&client), NOW, "open");
    assert_eq!(quiet(&mut client, s(2)), Some(s(22)));
    client.close(Code::NORMAL, "").unwrap();
    assert_eq!(next(&client), NOW, "closing");
    outbound(&mut client);
    assert_eq!(quiet(&mut client, s(3)), Some(s(13)));
    frame_in(&mut client, 0x88, b"");
    assert_eq!(next(&client), Some(s(13)), "closing still");
    assert_eq!(client.receive_eof(), Ok(None));
    assert_eq!(next(&client), None, "closed");
}

// ---- the opening handshake

#[test]
fn a_server_answers_408_to_a_request_that_does_not_come() {
    let mut server = Connection::server(Config::default());
    assert_eq!(next(&server), NOW);
    assert_eq!(quiet(&mut server, s(100)), Some(s(110)));
    // Bytes that trickle in buy no time.
    for now in 101..110 {
        assert_eq!(feed(&mut server, b"G", usize::MAX), (vec![], None));
        assert_eq!(quiet(&mut server, s(now)), Some(s(110)));
    }
    assert_eq!(server.handle_timeout(s(110)), Err(TIMEOUT));
    let response = "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n\
        Connection: close\r\n\r\nnot finished in time\n";
    assert_eq!(server.wants().transport, Transport::Open);
    assert_eq!(String::from_utf8(outbound(&mut server)).unwrap(), response);
    assert_eq!(server.wants().transport, Transport::Shutdown);
    assert_eq!(feed(&mut server, b"ET / HTTP/1.1\r\n\r\n", usize::MAX), (vec![], None));
    assert_eq!(server.receive_eof(), Ok(None));
}

#[test]
fn a_server_that_does_not_answer_its_request_times_out_too() {
    let mut server = Connection::server(Config::default());
    quiet(&mut server, s(0));
    let mut request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let accept = match server.receive(&mut &mut request[..]) {
        Ok(Some(Event::Request(request))) => request.accept(),
        other => panic!("{other:?}"),
    };
    assert_eq!(server.handle_timeout(s(10)), Err(TIMEOUT));
    assert!(outbound(&mut server).starts_with(b"HTTP/1.1 408 "));
    assert_eq!(server.accept(accept), Err(SendError::NoRequest));
    assert_eq!(server.reject(404, &[], b""), Err(SendError::NoRequest));
}

#[test]
fn a_client_gives_up_on_a_server_that_does_not_answer() {
    let mut client = new_client(Config::default());
    let request = outbound(&mut client);
    assert!(request.starts_with(b"GET / "));
    assert_eq!(quiet(&mut client, s(0)), Some(s(10)));
    assert_eq!(feed(&mut client, b"HTTP/1.1 100 Continue\r\n\r\nHTTP", usize::MAX), (vec![], None));
    assert_eq!(client.handle_timeout(s(10)), Err(TIMEOUT));
    assert_eq!((outbound(&mut client), client.wants().transport), (vec![], Transport::Shutdown));
    assert_eq!(client.receive_eof(), Ok(None));
}

#[test]
fn a_refusal_whose_body_does_not_end_is_told_as_far_as_it_came() {
    let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf";
    let never = keepalive(Keepalive { handshake: None, ..Keepalive::default() });
    // A second behind the head, whatever comes of the body meanwhile, or when the handshake's time is up.
    for (config, head, told) in
        [(Config::default(), s(0), s(1)), (never, s(40), s(41)), (Config::default(), s(9), s(10))]
    {
        let mut client = new_client(config);
        outbound(&mut client);
        quiet(&mut client, s(0));
        assert_eq!(feed(&mut client, &refusal[..refusal.len() - 1], usize::MAX), (vec![], None));
        assert_eq!((next(&client), client.wants().deadline), (Some(s(0)), Some(s(0))));
        assert_eq!(quiet(&mut client, head), Some(told));
        assert_eq!(quiet(&mut client, told - ms(1)), Some(told));
        assert_eq!(feed(&mut client, b"f", usize::MAX), (vec![], None));
        assert_eq!((next(&client), client.wants().deadline), (Some(told), Some(told)));
        let Ok(Some(Event::Rejected(response))) = client.handle_timeout(told) else { panic!("no refusal") };
        assert_eq!((response.status(), response.body(), response.is_whole()), (403, &b"half"[..], false));
        assert_eq!((next(&client), client.wants().transport), (None, Transport::Close));
        assert_eq!(client.receive_eof(), Ok(None));
    }
}

#[test]
fn each_deadline_has_a_length_of_its_own() {
    let config = keepalive(Keepalive { handshake: Some(s(3)), close: Some(s(4)), ..Keepalive::default() });
    let mut client = new_client(config);
    outbound(&mut client);
    assert_eq!(quiet(&mut client, s(1)), Some(s(4)));
    assert_eq!(client.handle_timeout(s(4)), Err(TIMEOUT));
    assert_eq!(quiet(&mut client, s(5)), Some(s(9)));
    assert_eq!(quiet(&mut client, s(9)), None);
}

// ---- keepalive

#[test]
fn silence_is_pinged_and_an_answer_buys_time() {
    for role in BOTH {
        let mut end = open(role);
        quiet(&mut end, s(0));
        let mut payloads = vec![];
        for round in 0..300 {
            let ping = s(20 + round * 21);
            assert_eq!(next(&end), Some(ping));
            assert_eq!(end.handle_timeout(ping), Ok(None));
            let [(0x89, payload)] = &sent(&mut end)[..] else { panic!("no ping") };
            assert_eq!(next(&end), Some(ping + s(20)));
            frame_in(&mut end, 0x8A, payload);
            assert_eq!(next(&end), NOW, "its round trip is to be measured");
            assert_eq!(quiet(&mut end, ping + s(1)), Some(ping + s(21)));
            payloads.push(payload.clone());
        }
        assert!(payloads.windows(2).all(|two| two[0] != two[1]), "one ping is not taken for the next");
    }
}

#[test]
fn anything_heard_puts_the_ping_off() {
    let mut end = open(Role::Server);
    quiet(&mut end, s(0));
    for (now, first) in [(10, 0x81), (20, 0x8A), (30, 0x01), (40, 0x80), (50, 0x82)] {
        frame_in(&mut end, first, b"");
        assert_eq!(quiet(&mut end, s(now)), Some(s(now + 20)));
    }
    // So does half a frame.
    feed(&mut end, b"\x81\x85", usize::MAX);
    assert_eq!(quiet(&mut end, s(60)), Some(s(80)));
}

#[test]
fn anything_heard_answers_a_ping() {
    let mut end = open(Role::Server);
    quiet(&mut end, s(0));
    end.handle_timeout(s(20)).unwrap();
    outbound(&mut end);
    frame_in(&mut end, 0x81, b"busy");
    // The pong may still come, and tell the round trip.
    assert_eq!(quiet(&mut end, s(39)), Some(s(59)));
    assert_eq!(end.counters().round_trip, None);
    // Then it is asked again.
    assert_eq!(end.handle_timeout(s(59)), Ok(None));
    assert_eq!((sent(&mut end).len(), next(&end)), (1, Some(s(79))));
}

#[test]
fn a_peer_that_answers_no_ping_is_left_with_1011() {
    for role in BOTH {
        let mut end = open(role);
        quiet(&mut end, s(0));
        end.handle_timeout(s(20)).unwrap();
        outbound(&mut end);
        assert_eq!(quiet(&mut end, ms(39_999)), Some(s(40)));
        assert_eq!(end.handle_timeout(s(40)), Err(ProtocolError::PongTimeout));
        assert_eq!((end.state(), end.wants().transport), (State::Closing, Transport::Open));
        assert_eq!(sent(&mut end), [close_frame(1011)]);
        assert_eq!((next(&end), end.wants().transport), (NOW, Transport::Shutdown));
        // It has some time to hang up, and then it is hung up on.
        assert_eq!(quiet(&mut end, s(41)), Some(s(51)));
        assert_eq!(quiet(&mut end, s(51)), None);
        assert_eq!((end.state(), end.wants().transport), (State::Closed, Transport::Close));
        assert_eq!(end.receive_eof(), Ok(None));
    }
}

#[test]
fn pings_are_counted_from_the_last_word_and_pongs_from_the_ping() {
    let config = keepalive(Keepalive { ping: Some(ms(1500)), pong: Some(ms(700)), ..Keepalive::default() });
    let mut end = open_with(Role::Client, config);
    assert_eq!(quiet(&mut end, s(1)), Some(ms(2500)));
    end.handle_timeout(ms(2600)).unwrap();
    assert_eq!((sent(&mut end).len(), next(&end)), (1, Some(ms(3300))));
    assert_eq!(end.handle_timeout(ms(3300)), Err(ProtocolError::PongTimeout));
}

#[test]
fn pings_without_a_deadline_for_pongs_ask_once() {
    let mut end = open_with(Role::Server, keepalive(Keepalive { pong: None, ..Keepalive::default() }));
    quiet(&mut end, s(0));
    end.handle_timeout(s(20)).unwrap();
    assert_eq!((sent(&mut end).len(), next(&end)), (1, None));
    assert_eq!(quiet(&mut end, s(10_000)), None);
}

// ---- idle peers

#[test]
fn a_peer_without_a_word_is_idle_and_left_with_1001() {
    for role in BOTH {
        let mut end = open_with(role, keepalive(Keepalive { ping: None, idle: Some(s(60)), ..Keepalive::default() }));
        assert_eq!(quiet(&mut end, s(500)), Some(s(560)));
        frame_in(&mut end, 0x82, b"");
        assert_eq!(quiet(&mut end, s(530)), Some(s(590)));
        // A ping of the peer's is a word, a pong is none.
        frame_in(&mut end, 0x89, b"");
        assert_eq!(end.handle_timeout(s(550)), Ok(None));
        assert_eq!(sent(&mut end), [(0x8A, vec![])]);
        frame_in(&mut end, 0x8A, &[0; 100]);
        assert_eq!(quiet(&mut end, s(570)), Some(s(610)));
        frame_in(&mut end, 0x81, b"word");
        assert_eq!(quiet(&mut end, s(580)), Some(s(640)));
        assert_eq!(end.handle_timeout(s(640)), Err(ProtocolError::IdleTimeout));
        assert_eq!(sent(&mut end), [close_frame(1001)]);
        assert_eq!(end.wants().transport, Transport::Shutdown);
        assert_eq!(end.receive_eof(), Ok(None));
    }
}

#[test]
fn nobody_is_idle_too_early() {
    let mut end = open_with(Role::Server, keepalive(Keepalive { idle: Some(s(60)), ..OFF }));
    let deadline = quiet(&mut end, ms(500)).unwrap();
    assert!(deadline >= ms(60_500) && deadline < ms(61_500), "{deadline:?}");
}

#[test]
fn a_peer_that_only_answers_pings_is_idle() {
    let mut pair = Pair::open(keepalive(Keepalive { idle: Some(s(60)), ..Keepalive::default() }), keepalive(OFF));
    pair.delay = ms(1);
    pair.advance(ms(59_999));
    assert_eq!(pair.server.connection.state(), State::Open);
    pair.advance(ms(1));
    let pong = |byte| Ok(Event::Pong(vec![byte].into()));
    assert_eq!(pair.server.take(), [pong(1), pong(2), Err(ProtocolError::IdleTimeout)]);
}

// ---- the closing handshake

#[test]
fn a_peer_that_does_not_answer_a_close_is_hung_up_on() {
    for role in BOTH {
        let mut end = open(role);
        quiet(&mut end, s(0));
        end.send_binary(&[0; 1000]).unwrap();
        end.close(Code::NORMAL, "").unwrap();
        assert_eq!(end.handle_timeout(s(5)), Ok(None));
        frame_in(&mut end, 0x81, b"this does not put it off");
        assert_eq!(end.handle_timeout(ms(14_999)), Ok(None));
        assert_eq!((next(&end), end.wants().transport), (Some(s(15)), Transport::Open));
        assert_eq!(end.handle_timeout(s(15)), Err(ProtocolError::CloseTimeout));
        // Nothing is waited for, not even to go out.
        let wants = end.wants();
        assert_eq!((wants.read, wants.write, wants.transport, wants.deadline), (false, false, Transport::Close, None));
        assert_eq!(end.state(), State::Closed);
        assert_eq!(end.handle_timeout(s(100)), Ok(None));
        assert_eq!(end.receive_eof(), Ok(None));
    }
}

#[test]
fn a_close_that_waits_for_a_message_is_bounded_too() {
    for role in BOTH {
        let mut end = open(role);
        end.send_fragment(Kind::Text, b"a", false).unwrap();
        end.close(Code::NORMAL, "").unwrap();
        assert_eq!(end.handle_timeout(s(0)), Ok(None));
        end.send_fragment(Kind::Text, b"b", false).unwrap();
        assert_eq!(end.handle_timeout(s(10)), Err(ProtocolError::CloseTimeout));
        assert_eq!(end.send_fragment(Kind::Text, b"c", true), Err(SendError::Closing));
        assert_eq!(end.send_text("d"), Err(SendError::Closing));
        assert_eq!((end.state(), end.wants().transport), (State::Closed, Transport::Close));
    }
}

#[test]
fn a_transport_that_does_not_end_after_its_connection_is_closed_in_silence() {
    let ends: [fn(&mut Connection); 3] = [
        |end| frame_in(end, 0x88, b""),
        |end| _ = feed(end, &frame_to(end.role(), 0x83, b""), usize::MAX),
        |end| end.abort(Code::AWAY),
    ];
    for role in BOTH {
        for finish in ends {
            let mut end = open(role);
            quiet(&mut end, s(0));
            // The peer reads nothing, so a server's answer does not go out either.
            finish(&mut end);
            assert_eq!(next(&end), NOW);
            assert_eq!(end.handle_timeout(s(1)), Ok(None));
            assert_eq!((next(&end), end.wants().transport), (Some(s(11)), Transport::Open));
            assert_eq!(end.handle_timeout(s(11)), Ok(None));
            assert_eq!((next(&end), end.wants().transport), (None, Transport::Close));
        }
    }
}

// ---- off

#[test]
fn deadlines_that_are_off_never_come() {
    let server = Connection::server(keepalive(OFF));
    let ends = [
        server,
        new_client(keepalive(OFF)),
        open_with(Role::Server, keepalive(OFF)),
        open_with(Role::Client, keepalive(OFF)),
    ];
    for mut end in ends {
        outbound(&mut end);
        for now in [0, 10, 1_000_000] {
            assert_eq!(quiet(&mut end, s(now)), None, "{end:?}");
        }
        if end.close(Code::NORMAL, "").is_ok() {
            outbound(&mut end);
            for now in [1_000_000, 2_000_000] {
                assert_eq!(quiet(&mut end, s(now)), None, "{end:?}");
            }
        }
    }
}

// ---- round trips

#[test]
fn the_round_trip_of_the_latest_answered_ping_is_told() {
    let mut end = open(Role::Server);
    quiet(&mut end, s(0));
    assert_eq!(end.counters().round_trip, None);
    end.handle_timeout(s(20)).unwrap();
    let payload = sent(&mut end)[0].1.clone();
    frame_in(&mut end, 0x8A, &payload);
    quiet(&mut end, ms(20_250));
    assert_eq!(end.counters().round_trip, Some(ms(250)));
    // A pong that answers nothing, and one that comes twice, measure nothing.
    frame_in(&mut end, 0x8A, b"else");
    frame_in(&mut end, 0x8A, &payload);
    quiet(&mut end, s(30));
    assert_eq!(end.counters().round_trip, Some(ms(250)));
    end.handle_timeout(s(50)).unwrap();
    frame_in(&mut end, 0x8A, &payload);
    end.handle_timeout(s(51)).unwrap();
    assert_eq!(end.counters().round_trip, Some(ms(250)), "the pong of the ping before");
}

// ---- two ends

#[test]
fn a_quiet_pair_keeps_itself_alive() {
    let mut pair = Pair::open(Config::default(), Config::default());
    pair.delay = ms(40);
    pair.advance(s(3600));
    for end in [&mut pair.client, &mut pair.server] {
        assert_eq!(end.connection.state(), State::Open);
        assert_eq!(end.connection.counters().round_trip, Some(ms(80)));
        let events = end.take();
        assert!(events.len() > 300, "{} pings and pongs", events.len());
        assert!(events.iter().all(|event| matches!(event, Ok(Event::Ping(_) | Event::Pong(_)))));
    }
}

#[test]
fn a_peer_that_hangs_is_found_out() {
    let mut pair = Pair::open(keepalive(OFF), Config::default());
    pair.server.reading = false;
    pair.advance(ms(39_999));
    assert_eq!((pair.client.take(), pair.client.is_closed()), (vec![], false));
    pair.advance(ms(1));
    assert_eq!(pair.client.take(), [Err(ProtocolError::PongTimeout)]);
    pair.advance(ms(9_999));
    assert!(!pair.client.is_closed());
    pair.advance(ms(1));
    assert_eq!((pair.client.take(), pair.client.is_closed()), (vec![], true));
    // What it reads when it wakes up.
    pair.server.reading = true;
    pair.run();
    let close = sockless::Close { code: Code::INTERNAL_ERROR, reason: "".into() };
    assert_eq!(pair.server.take(), [Ok(Event::Ping(vec![1].into())), Ok(Event::Close(close))]);
    assert!(pair.server.is_closed());
}

/// What is sent to a peer that has vanished goes to the transport's own buffers, which says nothing of the peer.
#[test]
fn a_peer_that_hangs_is_found_out_although_much_is_sent_to_it() {
    let mut pair = Pair::open(keepalive(OFF), Config::default());
    pair.server.reading = false;
    let send = |pair: &mut Pair| {
        pair.client.connection.send_text("are you there?").unwrap();
        pair.client.connection.send_shared(Kind::Binary, vec![7; 1000].into()).unwrap();
        pair.advance(s(1));
    };
    (0..39).for_each(|_| send(&mut pair));
    assert_eq!(pair.client.take(), []);
    send(&mut pair);
    assert_eq!(pair.client.take(), [Err(ProtocolError::PongTimeout)]);
}

/// What the transport's buffers took at once says nothing either.
#[test]
fn a_peer_that_hangs_is_found_out_behind_a_full_wire() {
    let mut pair = Pair::open(keepalive(OFF), Config::default());
    pair.server.reading = false;
    pair.window = 100;
    pair.advance(s(15));
    pair.client.connection.send_binary(&[7; 1000]).unwrap();
    pair.advance(ms(24_999));
    assert_eq!((pair.client.take(), pair.client.connection.counters().sent.bytes > 100), (vec![], true));
    pair.advance(ms(1));
    assert_eq!(pair.client.take(), [Err(ProtocolError::PongTimeout)]);
}

/// But a peer that takes what waits for it is there, and its pong may be far behind.
#[test]
fn a_peer_that_takes_its_time_is_not_left() {
    let idle = Keepalive { idle: Some(s(100)), ..Keepalive::default() };
    let mut pair = Pair::open(keepalive(OFF), keepalive(idle));
    // A byte a second.
    (pair.window, pair.cut, pair.delay) = (1, 1, s(1));
    pair.client.connection.send_binary(&[7; 150]).unwrap();
    pair.advance(s(140));
    assert_eq!((pair.client.take(), pair.server.take()), (vec![], vec![]));
    pair.advance(s(60));
    assert_eq!(pair.server.take()[0], Ok(Event::Binary(vec![7; 150].into())));
    assert_eq!(
        (pair.client.take(), pair.client.connection.state()),
        (vec![Ok(Event::Pong(vec![1].into()))], State::Open)
    );
}

#[test]
fn a_handshake_that_hangs_ends_for_both() {
    let mut pair = Pair::new(Config::default(), new_client(Config::default()));
    pair.server.reading = false;
    pair.advance(ms(9_999));
    assert_eq!((pair.client.take(), pair.server.take()), (vec![], vec![]));
    pair.advance(ms(1));
    assert_eq!((pair.client.take(), pair.server.take()), (vec![Err(TIMEOUT)], vec![Err(TIMEOUT)]));
    pair.advance(s(10));
    assert!(pair.client.is_closed() && pair.server.is_closed());
    assert_eq!((pair.client.take(), pair.server.take()), (vec![], vec![]));
}

#[test]
fn a_peer_that_speaks_but_never_reads_makes_one_ping_wait_and_no_more() {
    for role in BOTH {
        let mut end = open_with(role, keepalive(Keepalive { ping: Some(s(20)), pong: Some(s(10)), ..OFF }));
        end.handle_timeout(s(0)).unwrap();
        for round in 1..=1000 {
            assert_eq!(end.handle_timeout(s(20 * round)), Ok(None));
            frame_in(&mut end, 0x8A, b"not an answer");
            assert_eq!(end.handle_timeout(s(20 * round)), Ok(None));
        }
        let pings = sent(&mut end);
        assert!(matches!(&pings[..], [(0x89, payload)] if payload[..] == [1000_u16 as u8]), "{pings:?}");
        // The newest is the one that is answered.
        frame_in(&mut end, 0x8A, &pings[0].1);
        assert_eq!(end.handle_timeout(s(20_001)), Ok(None));
        assert_eq!(end.counters().round_trip, Some(s(1)));
    }
}
