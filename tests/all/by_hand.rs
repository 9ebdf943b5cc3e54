//! What a connection does by itself unless it is told not to, or otherwise: the answer to a close, the code for a missing pong, the
//! time of a message under way.

use crate::common::*;
use sockless::driver::{Driver, Storage};
use sockless::{
    Close, Code, Config, Connection, Event, Fact, Keepalive, ProtocolError, Role, SendError, State, Transport,
};
use std::time::Duration;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The frames that wait, which are out then.
fn sent(end: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    unframe(&outbound(end))
}

/// The peer's close frame, behind which nothing is sent.
fn closed_by_peer(role: Role, config: Config) -> Connection {
    let mut end = open_with(role, config);
    let frame = frame_to(role, 0x88, &payload(4001, "bye"));
    let close = Close { code: Code::new(4001), reason: "bye".into() };
    assert_eq!(feed(&mut end, &frame, 3), (vec![Event::Close(close)], None));
    end
}

fn by_hand() -> Config {
    Config { answer_close: false, ..Config::default() }
}

// ---- the answer to a close

#[test]
fn the_answer_to_a_close_is_the_callers_where_that_is_asked_for() {
    for role in BOTH {
        let mut end = closed_by_peer(role, by_hand());
        assert_eq!((sent(&mut end), end.state(), end.wants().transport), (vec![], State::Closing, Transport::Open));
        assert_eq!(end.send_text("late"), Err(SendError::Closing));
        assert_eq!(end.close(Code::new(1005 + 1), ""), Err(SendError::CloseCode(1006)));
        end.close(Code::new(4002), "thanks").unwrap();
        assert_eq!(end.close(Code::NORMAL, ""), Err(SendError::Closing), "once");
        assert_eq!(sent(&mut end), [(0x88, payload(4002, "thanks"))]);
        let ends = if role == Role::Server { Transport::Close } else { Transport::Shutdown };
        assert_eq!(end.wants().transport, ends);
        assert_eq!(end.receive_eof(), Ok(None));
    }
    // By default it has gone already.
    let mut end = closed_by_peer(Role::Server, Config::default());
    assert_eq!(end.close(Code::NORMAL, ""), Err(SendError::Closing));
    assert_eq!(sent(&mut end), [(0x88, payload(4001, ""))]);
}

#[test]
fn a_message_in_fragments_is_finished_before_the_answer() {
    let mut server = open_with(Role::Server, by_hand());
    server.send_fragment(sockless::Kind::Text, b"a", false).unwrap();
    feed(&mut server, &frame_to(Role::Server, 0x88, b""), 100);
    server.close(Code::NORMAL, "").unwrap();
    server.send_fragment(sockless::Kind::Text, b"b", true).unwrap();
    let expected = [(0x01, b"a".to_vec()), (0x80, b"b".to_vec()), (0x88, payload(1000, ""))];
    assert_eq!(sent(&mut server), expected);
    assert_eq!(server.wants().transport, Transport::Close);
}

#[test]
fn an_answer_that_does_not_come_is_waited_for_as_long_as_a_close_may_take() {
    for role in BOTH {
        let mut end = closed_by_peer(role, by_hand());
        assert_eq!(end.handle_timeout(s(5)), Ok(None));
        assert_eq!((end.poll_timeout(), end.wants().transport), (Some(s(15)), Transport::Open));
        assert_eq!(end.handle_timeout(s(15)), Ok(None));
        assert_eq!((sent(&mut end), end.wants().transport), (vec![], Transport::Close));
        assert_eq!(end.close(Code::NORMAL, ""), Err(SendError::Closing));
    }
}

#[test]
fn a_close_of_ones_own_needs_no_answer() {
    let mut server = open_with(Role::Server, by_hand());
    server.close(Code::AWAY, "").unwrap();
    assert_eq!(sent(&mut server), [(0x88, payload(1001, ""))]);
    assert_eq!(feed(&mut server, &frame_to(Role::Server, 0x88, &payload(1001, "")), 100).0.len(), 1);
    assert_eq!((sent(&mut server), server.wants().transport), (vec![], Transport::Close));
}

#[test]
fn halves_leave_the_answer_to_the_caller_too() {
    let Ok((mut sender, mut receiver)) = open_with(Role::Server, by_hand()).split() else { panic!("not open") };
    let mut frame = frame_to(Role::Server, 0x88, &payload(4001, ""));
    let event = receiver.receive(&mut &mut frame[..]).unwrap().unwrap();
    sender.handle_fact(event.fact().unwrap());
    assert_eq!(sender.queued(), 0);
    sender.close(Code::new(4003), "").unwrap();
    assert_eq!(sender.wants().transport, Transport::Open);
    assert_eq!(bytes::Buf::chunk(&sender.outbound()), b"\x88\x02\x0f\xa3");
}

// ---- deadlines

#[test]
fn the_code_for_a_missing_pong_is_chosen() {
    for (code, frame) in [(Code::new(4008), payload(4008, "")), (Code::NO_STATUS, vec![])] {
        let mut config = Config::default();
        config.keepalive.pong_code = code;
        let mut end = open_with(Role::Server, config);
        assert_eq!(end.handle_timeout(s(0)), Ok(None));
        assert_eq!(end.handle_timeout(s(20)), Ok(None));
        assert_eq!(sent(&mut end), [(0x89, vec![1])]);
        assert_eq!(end.handle_timeout(s(40)), Err(ProtocolError::PongTimeout));
        assert_eq!(sent(&mut end), [(0x88, frame)]);
    }
    assert_eq!(ProtocolError::PongTimeout.close_code(), Some(Keepalive::PONG_CODE));
}

#[test]
fn deadlines_are_changed_while_a_connection_runs() {
    let mut end = open(Role::Server);
    assert_eq!(end.handle_timeout(s(0)), Ok(None));
    assert_eq!(end.poll_timeout(), Some(s(20)));
    let slow = Keepalive { ping: Some(s(300)), ..Keepalive::default() };
    end.set_keepalive(slow);
    assert_eq!(end.poll_timeout(), Some(s(300)));
    end.set_keepalive(Keepalive { ping: None, idle: Some(s(30)), ..slow });
    assert_eq!(end.poll_timeout(), Some(s(30)));
    assert_eq!(end.handle_timeout(s(30)), Err(ProtocolError::IdleTimeout));
    // Others that had the same settings keep theirs.
    assert_eq!(Config::default().keepalive.ping, Some(s(20)));
}

/// Settings by which a message has five seconds.
fn five_seconds() -> Config {
    let mut config = Config::default();
    config.keepalive.message = Some(s(5));
    config
}

#[test]
fn a_message_that_is_not_finished_in_time_is_given_up() {
    for role in BOTH {
        // Begun by a fragment, by a header alone, and by a part of a frame.
        for front in
            [frame_to(role, 0x02, b"begun"), header_to(role, 0x82, 100), frame_to(role, 0x82, &[7; 99])[..50].into()]
        {
            let mut end = open_with(role, five_seconds());
            assert_eq!(end.handle_timeout(s(0)), Ok(None));
            assert_eq!(feed(&mut end, &front, 2), (vec![], None));
            assert_eq!(end.poll_timeout(), Some(s(0)), "the time is to be told");
            assert_eq!(end.handle_timeout(s(2)), Ok(None));
            assert_eq!(end.poll_timeout(), Some(s(7)));
            assert_eq!(end.handle_timeout(s(7)), Err(ProtocolError::MessageTimeout));
            assert_eq!(sent(&mut end), [(0x88, payload(1008, ""))]);
        }
    }
}

#[test]
fn bytes_of_a_message_do_not_put_off_its_end() {
    let mut end = open_with(Role::Server, five_seconds());
    assert_eq!(end.handle_timeout(s(0)), Ok(None));
    for now in 1..6 {
        let first = if now == 1 { 0x02 } else { 0x00 };
        // A ping in between is none of its fragments.
        let frames = frames_to(Role::Server, &[(first, b"x"), (0x89, b"")]);
        assert_eq!(feed(&mut end, &frames, 100), (vec![Event::Ping(b"".as_slice().into())], None));
        assert_eq!(end.handle_timeout(s(now)), Ok(None));
    }
    assert_eq!(end.handle_timeout(s(6)), Err(ProtocolError::MessageTimeout));
}

#[test]
fn each_message_has_its_own_time() {
    let mut end = open_with(Role::Server, five_seconds());
    assert_eq!(end.handle_timeout(s(0)), Ok(None));
    let frame = frame_to(Role::Server, 0x82, b"0123456789");
    // There is always one under way, which is another one each time.
    let mut rest = &frame[..5];
    assert_eq!(feed(&mut end, rest, 100), (vec![], None));
    for now in 1..100 {
        assert_eq!(end.handle_timeout(s(now)), Ok(None));
        let bytes = [&frame[rest.len()..], &frame[..8]].concat();
        rest = &frame[..8];
        assert_eq!(feed(&mut end, &bytes, 100).0.len(), 1);
    }
    assert_eq!(feed(&mut end, &frame[8..], 100).0.len(), 1);
    assert_eq!(end.handle_timeout(s(100)), Ok(None));
    assert_eq!(end.poll_timeout(), Some(s(120)), "only a ping is due");
}

#[test]
fn messages_that_are_passed_on_one_after_the_other_have_their_own_time_too() {
    let mut from = open_with(Role::Server, five_seconds());
    let mut to = open(Role::Client);
    assert_eq!(from.handle_timeout(s(0)), Ok(None));
    let frame = frame_to(Role::Server, 0x82, b"0123456789");
    let mut part = frame[..8].to_vec();
    for now in 1..100 {
        // The end of one and the front of the next come at once, and no event tells of it.
        assert_eq!(from.relay(&mut &mut part[..], &mut to), Ok(None));
        assert_eq!(from.handle_timeout(s(now)), Ok(None), "at {now}");
        part = [&frame[8..], &frame[..8]].concat();
        outbound(&mut to);
    }
    assert_eq!(from.handle_timeout(s(104)), Err(ProtocolError::MessageTimeout));
}

#[test]
fn a_driver_is_told_when_a_message_begins() {
    for pieces in [false, true] {
        let mut driver = Driver::new(open_with(Role::Server, five_seconds()));
        let mut storage = Storage::new(4096);
        driver.received_nothing(&mut storage);
        assert_eq!(driver.event(&mut storage, s(0)), Ok(None));
        assert_eq!(driver.next(&mut storage, s(0)).deadline, Some(s(20)));
        let front = frame_to(Role::Server, 0x01, b"front");
        let mut read = |driver: &mut Driver, bytes: &[u8], now| {
            driver.space(&mut storage)[..bytes.len()].copy_from_slice(bytes);
            driver.received(&mut storage, bytes.len(), now);
            let mut told = 0;
            while let Some(_told) = match pieces {
                true => driver.piece(&mut storage, now).unwrap(),
                false => driver.event(&mut storage, now).unwrap(),
            } {
                told += 1;
            }
            (told, driver.next(&mut storage, now).deadline)
        };
        assert_eq!(read(&mut driver, &front, s(3)), (usize::from(pieces), Some(s(8))));
        let back = frame_to(Role::Server, 0x80, b"back");
        assert_eq!(read(&mut driver, &back, s(4)).0, 1);
        assert_eq!(read(&mut driver, &front, s(6)).1, Some(s(11)));
        driver.received_nothing(&mut storage);
        assert_eq!(driver.event(&mut storage, s(11)), Err(ProtocolError::MessageTimeout));
    }
}

#[test]
fn halves_of_a_driver_tell_each_other_when_a_message_begins() {
    let Ok((mut reading, mut writing)) = Driver::new(open_with(Role::Server, five_seconds())).split() else {
        panic!("not open");
    };
    let mut storage = Storage::new(4096);
    assert_eq!(writing.judge(0, s(0)), Ok(false));
    assert_eq!(writing.next(s(0)).deadline, Some(s(20)));
    let mut facts = vec![];
    let mut read = |bytes: &[u8]| {
        reading.space(&mut storage)[..bytes.len()].copy_from_slice(bytes);
        reading.received(&mut storage, bytes.len());
        while reading.event(&mut storage, |fact| facts.push(fact)).unwrap().is_some() {}
        reading.next(&mut storage, true);
        (std::mem::take(&mut facts), reading.heard())
    };
    let (facts, heard) = read(&frame_to(Role::Server, 0x01, b"front"));
    assert_eq!(facts, [Fact::MessageBegun]);
    facts.into_iter().for_each(|fact| writing.handle_fact(fact));
    assert_eq!(writing.next(s(1)).deadline, Some(s(0)), "at once");
    assert_eq!(writing.judge(heard, s(1)), Ok(false));
    assert_eq!(writing.next(s(1)).deadline, Some(s(6)));
    let (facts, _) = read(&frame_to(Role::Server, 0x80, b"back"));
    assert_eq!(facts, [Fact::MessageEnded]);
    let (facts, heard) = read(&frame_to(Role::Server, 0x82, b"whole"));
    assert_eq!((facts, heard), (vec![], 11 + 10 + 11));
    // Where no time is set, there is nothing to tell.
    let Ok((_, mut receiver)) = open(Role::Server).split() else { panic!("not open") };
    let mut front = frame_to(Role::Server, 0x01, b"front");
    assert_eq!((receiver.receive(&mut &mut front[..]), receiver.message_fact()), (Ok(None), None));
}
