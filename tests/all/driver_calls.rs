//! Each call of a driver and of its halves, by itself: what it says, and what it leaves alone.

#[cfg(feature = "deflate")]
use crate::common::compressed;
use crate::common::heap::used;
use crate::common::*;
use bytes::Buf;
use sockless::driver::{Driver, Reading, Storage, Turn, Writing};
use sockless::{
    Change, Changes, Code, Config, Connection, Event, Excess, Fact, HandshakeError, Keepalive, Kind, Limits,
    ProtocolError, Rate, Rates, Role, State,
};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn quiet() -> Config {
    let mut config = Config::default();
    let Keepalive { handshake, ping, pong, idle, close, .. } = &mut config.keepalive;
    [handshake, ping, pong, idle, close].into_iter().for_each(|deadline| *deadline = None);
    config
}

fn pings() -> Config {
    let mut config = quiet();
    config.keepalive.ping = Some(ms(1000));
    config.keepalive.pong = Some(ms(500));
    config.keepalive.close = Some(ms(700));
    config
}

fn open(role: Role, config: Config) -> Driver {
    Driver::new(open_with(role, config))
}

#[track_caller]
fn halves(driver: Driver) -> (Reading, Writing) {
    driver.split().unwrap_or_else(|_| panic!("it is open"))
}

/// Gives a driver what was read, as its loop does.
fn received(driver: &mut Driver, storage: &mut Storage, input: &[u8]) {
    driver.space(storage)[..input.len()].copy_from_slice(input);
    driver.received(storage, input.len(), ms(1));
}

/// The same for a reading half.
fn heard(reading: &mut Reading, storage: &mut Storage, input: &[u8]) {
    reading.space(storage)[..input.len()].copy_from_slice(input);
    reading.received(storage, input.len());
}

/// A transport whose reads give this, one after the other, and which is asked for no more.
#[derive(Default)]
struct Reads(VecDeque<io::Result<Vec<u8>>>);

impl Read for Reads {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.pop_front().expect("it is not to be read")?;
        into[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

/// A transport that takes so many bytes.
struct Takes(usize);

impl Write for Takes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.len().min(self.0) {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => {
                self.0 -= n;
                Ok(n)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// ---- reading

#[test]
fn one_read_says_whether_there_may_be_more() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, pings());
    // As much as there is room for, and it is not read on before that is taken.
    let full = frame_to(Role::Server, 0x82, &[7; 1024 - 8]);
    let mut transport = Reads([Ok(full)].into());
    assert!(driver.read(&mut storage, &mut transport, || ms(1)).unwrap());
    assert!(!driver.read(&mut storage, &mut transport, || panic!("nothing is read")).unwrap());
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(binary(&[7; 1024 - 8]))));
    // Less than that.
    transport.0 = [Ok(frame_to(Role::Server, 0x81, b"short"))].into();
    assert!(!driver.read(&mut storage, &mut transport, || ms(2)).unwrap());
    assert_eq!(driver.event(&mut storage, ms(2)), Ok(Some(text("short"))));
    // Nothing now. Only then time counts.
    assert_eq!(driver.event(&mut storage, ms(3)), Ok(None));
    for (kind, more) in [(ErrorKind::Interrupted, true), (ErrorKind::WouldBlock, false), (ErrorKind::TimedOut, false)] {
        driver.next(&mut storage, ms(3));
        transport.0 = [Err(kind.into())].into();
        assert_eq!(driver.read(&mut storage, &mut transport, || panic!("none came")).unwrap(), more, "{kind}");
        assert_eq!(driver.event(&mut storage, ms(3)), Ok(None), "{kind}");
        assert_eq!(driver.next(&mut storage, ms(3)).deadline, Some(ms(1002)), "{kind}");
    }
    // An error, which the connection is told.
    transport.0 = [Err(ErrorKind::ConnectionReset.into())].into();
    let error = driver.read(&mut storage, &mut transport, || ms(4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(driver.event(&mut storage, ms(4)), Err(ProtocolError::UnexpectedEof));
}

#[test]
fn what_is_read_before_the_last_read_was_taken_lies_behind_it() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, quiet());
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
    let large = frame_to(Role::Server, 0x82, &payload);
    let (head, mut rest) = large.split_at(1000);
    received(&mut driver, &mut storage, head);
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
    // What lies where it belongs and is not taken stays there, and when that is full there is no space.
    while !rest.is_empty() {
        driver.hold();
        for _ in 0..3 {
            let len = driver.space(&mut storage).len().min(rest.len()).min(700);
            let part;
            (part, rest) = rest.split_at(len);
            if len > 0 {
                received(&mut driver, &mut storage, part);
            }
            assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
        }
        driver.release();
        if !rest.is_empty() {
            assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
        }
    }
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(binary(&payload))));
}

#[test]
fn the_end_of_the_transport_is_read_as_such() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Client, quiet());
    assert!(!driver.read(&mut storage, Reads([Ok(vec![])].into()), || ms(1)).unwrap());
    assert_eq!(driver.event(&mut storage, ms(1)), Err(ProtocolError::UnexpectedEof));
}

#[test]
fn what_was_received_lately_counts_as_heard_when_the_time_is_judged() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, pings());
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    driver.next(&mut storage, ms(0));
    let hello = frame_to(Role::Server, 0x82, b"hello");
    driver.space(&mut storage)[..hello.len()].copy_from_slice(&hello);
    driver.received_lately(&mut storage, hello.len());
    assert_eq!(driver.event(&mut storage, ms(900)), Ok(Some(binary(b"hello"))));
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(1000)), Ok(None));
    assert_eq!(driver.next(&mut storage, ms(1000)).deadline, Some(ms(2000)));
}

#[test]
fn the_time_is_judged_though_there_may_be_more_to_read() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, pings());
    assert_eq!(driver.judge(ms(0)), Ok(()));
    assert_eq!(driver.judge(ms(1000)), Ok(()));
    assert!(driver.next(&mut storage, ms(1000)).write, "a ping");
    assert_eq!(driver.judge(ms(1500)), Err(ProtocolError::PongTimeout));
}

#[test]
fn what_waits_to_be_read_is_read_before_the_time_is_judged() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, pings());
    let mut ping = vec![];
    for time in [0, 1000] {
        driver.received_nothing(&mut storage);
        assert_eq!(driver.event(&mut storage, ms(time)), Ok(None));
        driver.write(&mut storage, &mut ping).unwrap();
        driver.next(&mut storage, ms(time));
    }
    // Woken by its deadline, and behind that by the transport.
    assert_eq!(driver.event(&mut storage, ms(1600)), Ok(None));
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x8A, &ping[2..]));
    assert!(matches!(driver.event(&mut storage, ms(1600)), Ok(Some(Event::Pong(_)))));
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(1600)), Ok(None));
}

#[test]
fn the_time_is_judged_where_nothing_is_to_be_read() {
    let mut storage = Storage::new(1024);
    let mut config = quiet();
    config.keepalive.handshake = Some(ms(1000));
    let mut driver = Driver::new(Connection::server(config));
    received(&mut driver, &mut storage, REQUEST.as_bytes());
    assert!(matches!(driver.event(&mut storage, ms(1)), Ok(Some(Event::Request(_)))));
    driver.next(&mut storage, ms(1));
    assert_eq!(driver.event(&mut storage, ms(999)), Ok(None));
    driver.next(&mut storage, ms(999));
    assert_eq!(driver.event(&mut storage, ms(5000)), Err(HandshakeError::Timeout.into()));
}

#[test]
fn a_closing_handshake_begins_after_all_that_was_heard_before() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, pings());
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x82, b"hello"));
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(binary(b"hello"))));
    driver.connection().close(Code::AWAY, "").unwrap();
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(5000)), Ok(None));
    assert_eq!(driver.next(&mut storage, ms(5000)).deadline, Some(ms(5700)));
}

#[test]
fn a_head_that_has_not_come_whole_is_read_on() {
    let mut storage = Storage::new(1024);
    let server = Connection::server(quiet());
    let client = Connection::client(&sockless::ClientRequest::new("ws://x/").unwrap(), quiet(), SEED).unwrap();
    for (connection, part) in [(server, "GET / HTTP/1.1\r\n"), (client, "HTTP/1.1 101 \r\n")] {
        let mut driver = Driver::new(connection);
        received(&mut driver, &mut storage, part.as_bytes());
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
        let next = driver.next(&mut storage, ms(1));
        assert_eq!((next.again, next.read), (false, true), "{part}");
    }
}

#[test]
fn nothing_is_read_before_a_request_is_answered() {
    let mut storage = Storage::new(1024);
    let mut driver = Driver::new(Connection::server(quiet()));
    received(&mut driver, &mut storage, REQUEST.as_bytes());
    let Ok(Some(Event::Request(request))) = driver.event(&mut storage, ms(1)) else { panic!("it is a request") };
    let accept = request.accept();
    let next = driver.next(&mut storage, ms(1));
    assert_eq!((next.again, next.read), (false, false));
    driver.connection().accept(accept).unwrap();
    driver.write(&mut storage, io::sink()).unwrap();
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
    assert!(driver.next(&mut storage, ms(1)).read);
}

#[test]
fn only_a_short_frame_waits_for_its_end_where_it_was_read() {
    // At most a sixteenth of what a read brings.
    for (len, waits) in [(248, true), (249, false)] {
        let mut storage = Storage::new(4096);
        let mut driver = open(Role::Server, quiet());
        let frames = frames_to(Role::Server, &[(0x82, &[1; 4096 - 8 - 100]), (0x82, &vec![2; len])]);
        received(&mut driver, &mut storage, &frames[..4096]);
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(binary(&[1; 4096 - 8 - 100]))));
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
        driver.next(&mut storage, ms(1));
        received(&mut driver, &mut storage, &frames[4096..]);
        let Ok(Some(Event::Binary(bytes))) = driver.event(&mut storage, ms(1)) else { panic!("it has come whole") };
        assert_eq!((matches!(bytes, Cow::Borrowed(_)), &bytes[..]), (waits, &vec![2; len][..]));
    }
}

#[test]
fn messages_end_when_too_much_waits_to_go_out_or_their_turn_is_over() {
    let mut config = quiet();
    config.outbound.hard = 2000;
    let mut storage = Storage::new(4096);
    let mut driver = open(Role::Server, config);
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x82, b"x").repeat(20));
    // Half of what may wait at most, and a byte more.
    for (answers, told) in [([496, 496], 3), ([496, 497], 2)] {
        let mut messages = driver.messages(&mut storage);
        let mut answers = answers.iter();
        let mut count = 0;
        while let Some(message) = messages.next() {
            assert_eq!(message, Ok(binary(b"x")));
            count += 1;
            match answers.next() {
                Some(len) => messages.turn().send_binary(&vec![7; *len]).unwrap(),
                None => break,
            }
        }
        drop(messages);
        assert_eq!(count, told);
        driver.write(&mut storage, io::sink()).unwrap();
    }

    let mut storage = Storage::new(1 << 20);
    let mut driver = open(Role::Server, quiet());
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x82, b"").repeat(50_000));
    let mut messages = driver.messages(&mut storage);
    let mut count = 0;
    while messages.next().is_some() {
        count += 1;
    }
    assert_eq!(count, (4 << 20) / 128);
}

#[test]
fn a_frame_is_given_with_its_turn() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, quiet());
    received(&mut driver, &mut storage, &frames_to(Role::Server, &[(0x01, b"a"), (0x80, b"b")]));
    let mut told = vec![];
    while let Some(last) = driver
        .frame_with(&mut storage, ms(1), |turn, event| {
            let Event::Piece(piece) = event else { panic!("{event:?}") };
            turn.send_binary(piece.data.as_bytes()).unwrap();
            piece.last
        })
        .unwrap()
    {
        told.push((last, driver.peek().queued()));
    }
    assert_eq!(told, [(false, 3), (true, 6)]);
}

#[test]
fn a_read_brings_a_little_more_than_a_mebibyte_unless_it_is_said() {
    assert_eq!(open(Role::Server, quiet()).space(&mut Storage::default()).len(), 1_114_112);
    assert_eq!(format!("{:?}", Storage::new(1024)), "Storage { input: 0, .. }");
}

#[test]
fn short_frames_that_fill_a_read_are_told_before_the_next() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, quiet());
    let mut input = frame_to(Role::Server, 0x82, &[7; 10]).repeat(64);
    assert_eq!(input.len(), 1024);
    let mut transport = Reads([Ok(std::mem::take(&mut input))].into());
    assert!(driver.read(&mut storage, &mut transport, || ms(1)).unwrap());
    for _ in 0..64 {
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(binary(&[7; 10]))));
    }
}

#[test]
fn what_was_kept_is_followed_by_what_is_read_behind_it() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, quiet());
    received(&mut driver, &mut storage, &frames_to(Role::Server, &[(0x81, b"one"), (0x81, b"two"), (0x81, b"three")]));
    driver.next(&mut storage, ms(1));
    driver.leave(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(text("one"))));
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x81, b"four"));
    for word in ["two", "three", "four"] {
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(text(word))));
    }
}

#[test]
fn what_came_behind_a_request_comes_again_though_only_the_request_was_taken() {
    let mut storage = Storage::new(1024);
    let mut driver = Driver::new(Connection::server(quiet()));
    let input = [REQUEST.as_bytes(), &frame_to(Role::Server, 0x81, b"early")].concat();
    received(&mut driver, &mut storage, &input);
    let Ok(Some(Event::Request(request))) = driver.event(&mut storage, ms(1)) else { panic!("no request") };
    let accept = request.accept();
    driver.connection().accept(accept).unwrap();
    assert!(driver.next(&mut storage, ms(1)).again);
    driver.write(&mut storage, io::sink()).unwrap();
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(text("early"))));
}

#[test]
fn the_end_of_a_large_message_of_a_connection_that_is_gone_is_not_the_next_ones() {
    let mut storage = Storage::new(1024);
    let mut gone = open(Role::Server, quiet());
    let message = frame_to(Role::Server, 0x82, &[7; 100_000]);
    received(&mut gone, &mut storage, &message[..1000]);
    assert_eq!(gone.event(&mut storage, ms(1)), Ok(None));
    gone.next(&mut storage, ms(1));
    received(&mut gone, &mut storage, &message[1000..2000]);
    drop(gone);
    let mut next = open(Role::Server, quiet());
    assert_eq!(next.event(&mut storage, ms(1)), Ok(None));
    received(&mut next, &mut storage, &frame_to(Role::Server, 0x81, b"mine"));
    assert_eq!(next.event(&mut storage, ms(1)), Ok(Some(text("mine"))));
}

#[test]
fn a_buffer_that_is_longer_than_a_read_is_not_kept_for_the_next() {
    let mut storage = Storage::new(1024);
    let frame = frame_to(Role::Server, 0x82, &[7; 10]);
    let (mut driver, heap) = used(|| Driver::with_rest(open_with(Role::Server, quiet()), &frame.repeat(10_000)));
    let mut told = 0;
    while driver.event(&mut storage, ms(1)).unwrap().is_some() {
        told += 1;
    }
    assert_eq!(told, 10_000);
    driver.next(&mut storage, ms(1));
    // It serves no longer than until the next read.
    let ((), taken) = used(|| _ = driver.space(&mut storage));
    assert!(heap.held > 150_000 && taken.held < -150_000, "{heap:?}, then {taken:?}");
}

// ---- a turn's

/// What is told within one turn, and what of it is done with it.
fn told(
    driver: &mut Driver,
    storage: &mut Storage,
    mut take: impl FnMut(&mut Turn<'_>),
) -> Result<usize, ProtocolError> {
    let mut told = 0;
    driver.each(storage, ms(1), |turn, _| {
        told += 1;
        take(turn);
    })?;
    Ok(told)
}

#[cfg(feature = "deflate")]
#[test]
fn a_message_that_was_compressed_is_charged_for_and_one_that_was_not_is_not() {
    let messages = frame_to(Role::Server, 0x81, b"x").repeat(3);
    for (connection, expected) in
        [(compressed::compressed(Role::Server, true), 1), (open_with(Role::Server, quiet()), 3)]
    {
        let mut storage = Storage::new(4096);
        let mut driver = Driver::new(connection);
        received(&mut driver, &mut storage, &messages);
        assert_eq!(told(&mut driver, &mut storage, |turn| turn.charge_sent((4 << 20) / 32)), Ok(expected));
    }
}

#[cfg(feature = "deflate")]
#[test]
fn what_was_inflated_counts_by_its_length_on_either_side() {
    // A thousand bytes that do not compress: some 33 KB of work each, so many of them are one turn's.
    let mut storage = Storage::new(1 << 20);
    let payload: Vec<u8> = (0..1000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut stored = vec![0, 0xE8, 0x03, 0x17, 0xFC];
    stored.extend(&payload);
    stored.push(0);
    let mut driver = Driver::new(compressed::compressed(Role::Server, true));
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0xC2, &stored).repeat(100));
    assert_eq!(told(&mut driver, &mut storage, |_| {}), Ok(100));
}

#[test]
fn what_is_set_from_within_a_turn_holds_from_the_next_event_on() {
    let messages = frame_to(Role::Server, 0x81, b"x").repeat(3);
    let begin = || {
        let (mut storage, mut driver) = (Storage::new(4096), open(Role::Server, pings()));
        driver.next(&mut storage, ms(0));
        received(&mut driver, &mut storage, &messages);
        (storage, driver)
    };

    let (mut storage, mut driver) = begin();
    assert_eq!(told(&mut driver, &mut storage, |turn| (turn.hold(), turn.release()).0), Ok(1));
    assert!(!driver.is_held() && driver.next(&mut storage, ms(1)).again);
    assert_eq!(told(&mut driver, &mut storage, |_| {}), Ok(2));

    let rates = Rates { messages: Some(Rate::per_second(1)), excess: Excess::Close, ..Rates::default() };
    let (mut storage, mut driver) = begin();
    assert_eq!(told(&mut driver, &mut storage, |turn| turn.set_rates(rates)), Ok(1));
    driver.next(&mut storage, ms(1));
    let mut count = 0;
    assert_eq!(driver.each(&mut storage, ms(1), |_, _| count += 1), Err(ProtocolError::RateExceeded));
    assert_eq!(count, 1);

    let (mut storage, mut driver) = begin();
    let keepalive = Keepalive { ping: Some(ms(300)), ..pings().keepalive };
    assert_eq!(told(&mut driver, &mut storage, |turn| turn.set_keepalive(keepalive)), Ok(3));
    assert_eq!(driver.next(&mut storage, ms(1)).deadline, Some(ms(301)));

    let (mut storage, mut driver) = begin();
    let mut changes = Changes::new(Change::Limits(Limits { message: 0, ..Limits::default() }));
    assert_eq!(told(&mut driver, &mut storage, |turn| turn.change(&mut changes)), Ok(1));
    driver.next(&mut storage, ms(1));
    let too_long = ProtocolError::MessageTooLong { len: 1, limit: 0 };
    assert_eq!(driver.event(&mut storage, ms(1)), Err(too_long));
}

#[test]
fn who_is_paused_or_counted_has_more_to_mind_than_the_transport() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, pings());
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    driver.next(&mut storage, ms(0));
    assert!(driver.is_settled(&storage));
    driver.pause();
    assert!(!driver.is_settled(&storage));
    driver.resume();
    assert!(driver.is_settled(&storage));
    driver.set_rates(Rates { bytes: Some(Rate::per_second(1000)), ..Rates::default() });
    assert!(!driver.is_settled(&storage));
}

#[test]
fn pieces_of_a_message_tell_when_it_has_to_be_whole() {
    let mut config = quiet();
    config.keepalive.message = Some(ms(2000)); // counted in whole seconds
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, config);
    driver.received_nothing(&mut storage);
    assert_eq!(driver.piece(&mut storage, ms(0)), Ok(None));
    assert_eq!(driver.next(&mut storage, ms(0)).deadline, None);
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x02, b"begun"));
    assert!(driver.piece(&mut storage, ms(1)).unwrap().is_some());
    assert_eq!(driver.piece(&mut storage, ms(1)), Ok(None));
    assert_eq!(driver.next(&mut storage, ms(1)).deadline, Some(ms(3000)));
    driver.received_nothing(&mut storage);
    assert_eq!(driver.piece(&mut storage, ms(3000)), Err(ProtocolError::MessageTimeout));
}

#[test]
fn deadlines_that_are_changed_are_told() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, pings());
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    assert_eq!(driver.next(&mut storage, ms(0)).deadline, Some(ms(1000)));
    assert!(driver.is_settled(&storage));
    driver.set_keepalive(Keepalive { ping: Some(ms(300)), ..pings().keepalive });
    assert!(!driver.is_settled(&storage), "the loop has to ask");
    assert_eq!(driver.next(&mut storage, ms(0)).deadline, Some(ms(300)));
}

#[test]
fn a_message_that_ends_where_it_belongs_puts_off_no_closing_deadline() {
    let mut storage = Storage::new(4096);
    let mut driver = open(Role::Server, pings());
    let message = frame_to(Role::Server, 0x82, &[7; 600_000]);
    driver.next(&mut storage, ms(0));
    driver.connection().close(Code::AWAY, "").unwrap();
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    received(&mut driver, &mut storage, &message[..4000]);
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
    driver.next(&mut storage, ms(1));
    driver.leave(&mut storage);
    // The rest is read straight to where it belongs.
    let mut rest = &message[4000..];
    for _read in 0..1000 {
        let space = driver.space(&mut storage);
        let (part, left) = rest.split_at(space.len().min(rest.len()));
        space[..part.len()].copy_from_slice(part);
        driver.received(&mut storage, part.len(), ms(600));
        rest = left;
        if rest.is_empty() {
            break;
        }
        assert_eq!(driver.event(&mut storage, ms(600)), Ok(None));
    }
    assert_eq!(driver.event(&mut storage, ms(800)), Ok(Some(binary(&[7; 600_000]))));
    assert_eq!(driver.event(&mut storage, ms(800)), Err(ProtocolError::CloseTimeout));
}

// ---- writing

#[test]
fn a_server_is_read_on_when_no_more_than_its_soft_limit_of_answers_waits() {
    let mut config = quiet();
    config.outbound.soft = 1000;
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, config);
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x81, b"?"));
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(text("?"))));
    driver.connection().send_binary(&[7; 997]).unwrap();
    assert!(!driver.next(&mut storage, ms(1)).read, "1001 bytes wait");
    assert!(!driver.write(&mut storage, Takes(1)).unwrap());
    assert!(driver.next(&mut storage, ms(1)).read);
}

/// A transport that is told what each call takes, and is called no more often.
struct Calls {
    takes: VecDeque<io::Result<usize>>,
    /// Slices that each was offered.
    offered: Vec<usize>,
}

impl Write for Calls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.offered.push(1);
        self.takes.pop_front().expect("no call").map(|most| most.min(bytes.len()))
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.offered.push(slices.len());
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.takes.pop_front().expect("no call").map(|most| most.min(len))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_transport_that_takes_less_than_it_is_offered_is_not_asked_again() {
    let interrupted = || Err(ErrorKind::Interrupted.into());
    let shared = bytes::Bytes::from(vec![7; 1000]);
    let all = [7 + 4 + 1000, 7];
    let write = |takes: Vec<io::Result<usize>>| {
        let mut driver = open(Role::Server, quiet());
        let mut storage = Storage::new(1024);
        driver.connection().send_text("begin").unwrap();
        driver.connection().send_shared(Kind::Binary, shared.clone()).unwrap();
        driver.connection().send_text("end.1").unwrap();
        assert_eq!(driver.peek().queued(), all[0] + all[1]);
        let mut calls = Calls { takes: takes.into(), offered: vec![] };
        let written = driver.write(&mut storage, &mut calls).unwrap();
        assert!(calls.takes.is_empty());
        (written, driver.peek().queued(), calls.offered)
    };
    // All of it at once, and of the first slice, of which it may take one at a time.
    assert_eq!(write(vec![Ok(usize::MAX)]), (true, 0, vec![3]));
    assert_eq!(write(vec![Ok(11), Ok(1000), Ok(7)]), (true, 0, vec![3, 2, 1]));
    assert_eq!(write(vec![interrupted(), Ok(11), interrupted(), Ok(usize::MAX)]), (true, 0, vec![3, 3, 2, 2]));
    // Less than that.
    assert_eq!(write(vec![Ok(10)]), (false, 1008, vec![3]));
    assert_eq!(write(vec![Ok(11), Ok(999)]), (false, 8, vec![3, 2]));
    assert_eq!(write(vec![Ok(1012)]), (false, 6, vec![3]));
}

/// A server whose outbox is lent has this to say, and nothing of it is written yet.
fn waiting(storage: &mut Storage, len: usize) -> Driver {
    let mut driver = open(Role::Server, quiet());
    driver.lend(storage);
    driver.connection().send_binary(&vec![7; len]).unwrap();
    driver.next(storage, ms(1));
    driver.leave(storage);
    driver
}

/// What the heap was asked for by a connection that says so much and writes it.
fn written(storage: &mut Storage, len: usize) -> usize {
    let message = vec![7; len];
    let mut driver = open(Role::Server, quiet());
    let ((), heap) = used(|| {
        driver.lend(storage);
        driver.connection().send_binary(&message).unwrap();
        driver.write(storage, io::sink()).unwrap();
        driver.leave(storage);
    });
    heap.calls
}

#[test]
fn a_large_outbox_that_is_lent_is_not_given_to_who_waits_with_little() {
    let mut storage = Storage::new(1024);
    assert!(written(&mut storage, 60_000) > 0);
    let waits = waiting(&mut storage, 20_000);
    assert_eq!(written(&mut storage, 60_000), 0, "it was not given away");
    drop(waits);
    // A small one goes along: that costs less than a copy.
    let mut storage = Storage::new(1024);
    assert!(written(&mut storage, 4000) > 0);
    let mut driver = open(Role::Server, quiet());
    let message = [7; 3000];
    let ((), heap) = used(|| {
        driver.lend(&mut storage);
        driver.connection().send_binary(&message).unwrap();
        driver.leave(&mut storage);
    });
    assert_eq!((heap.calls, driver.peek().queued()), (0, 3004));
}

#[test]
fn outboxes_that_have_served_are_kept_for_the_next_but_not_many_and_no_large_ones() {
    for (len, kept) in [(20_000, 8), (100_000, 0)] {
        let mut storage = Storage::new(1024);
        // So that each gets one of its own; a large one goes along.
        if kept > 0 {
            written(&mut storage, 60_000);
        }
        let ((), heap) = used(|| {
            let mut waiting: Vec<_> = (0..20).map(|_| waiting(&mut storage, len)).collect();
            for driver in &mut waiting {
                driver.write(&mut storage, io::sink()).unwrap();
                driver.leave(&mut storage);
            }
        });
        let of_the_list = 8 * size_of::<Vec<u8>>() as isize;
        assert!((0..=of_the_list + 100).contains(&(heap.held - kept * (len as isize + 4))), "{len}: {heap:?}");
    }
}

#[test]
fn who_says_that_it_wrote_goes_on_in_the_same_turn() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, quiet());
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x89, b"?").repeat(2));
    for _ in 0..2 {
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(ping(b"?"))));
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(None), "its answer is written first");
        let mut outbound = driver.outbound(&mut storage);
        assert_eq!(outbound.copy_to_bytes(outbound.remaining()), b"\x8a\x01?"[..]);
        driver.wrote(&mut storage);
    }
}

#[test]
fn what_a_broken_transport_was_to_take_is_dropped() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, quiet());
    driver.connection().send_text("into the void").unwrap();
    driver.write_failed();
    let next = driver.next(&mut storage, ms(1));
    assert_eq!((next.read, next.write, driver.peek().queued()), (true, false, 0));
    let (_, mut writing) = halves(driver);
    writing.sender().send_text("more").unwrap();
    assert!(!writing.next(ms(1)).write, "nor what comes later");
}

#[test]
fn debug_says_what_it_is() {
    let driver = open(Role::Server, quiet());
    assert!(format!("{driver:?}").starts_with("Driver(Connection"), "{driver:?}");
    let (reading, writing) = halves(driver);
    assert!(format!("{reading:?}").starts_with("Reading { traffic: "), "{reading:?}");
    assert_eq!(format!("{writing:?}"), "Writing(Open)");
}

// ---- the halves

#[test]
fn what_is_left_stays_with_the_half_that_it_is_of() {
    // Of reading: input that was read, its end, and what is owed behind a piece.
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, quiet());
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x81, b"here"));
    let (mut reading, _) = halves(driver);
    assert_eq!(reading.event(&mut storage, |_| {}), Ok(Some(text("here"))), "without leaving");

    let mut driver = open(Role::Server, quiet());
    driver.received(&mut storage, 0, ms(1));
    driver.leave(&mut storage);
    let (mut reading, _) = halves(driver);
    let mut facts = vec![];
    assert_eq!(reading.event(&mut storage, |fact| facts.push(fact)), Err(ProtocolError::UnexpectedEof));
    assert!(matches!(facts[..], [Fact::Eof, Fact::Failed(_)]), "{facts:?}");
    reading.leave(&mut storage);

    let mut driver = open(Role::Server, quiet());
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x01, b"piece"));
    assert!(matches!(driver.piece(&mut storage, ms(1)), Ok(Some(Event::Piece(_)))));
    let (mut reading, _) = halves(driver);
    assert!(reading.next(&mut storage, true).again);
    reading.leave(&mut storage);

    // Of writing: the lent outbox, and what the transport holds back.
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, quiet());
    driver.lend(&mut storage);
    driver.connection().send_binary(&[7; 5000]).unwrap();
    driver.set_held_back(true);
    let (_, mut writing) = halves(driver);
    assert!(writing.write(io::sink()).unwrap());
    writing.leave(&mut storage);
    let ((), heap) = used(|| {
        writing.lend(&mut storage);
        writing.sender().send_binary(&[7; 5000]).unwrap();
    });
    assert_eq!(heap.calls, 0, "it has the outbox that was lent to the whole");
    assert!(writing.write(io::sink()).unwrap());
    writing.handle_fact(Fact::Eof);
    let next = writing.next(ms(1));
    assert_eq!((next.close, next.deadline), (false, Some(ms(10_001))));
    writing.set_held_back(false);
    assert!(writing.next(ms(2)).close);
}

#[test]
fn a_reading_half_is_not_paused_by_what_the_whole_has_answered() {
    let mut storage = Storage::new(1024);
    let mut config = quiet();
    config.outbound.soft = 100;
    let mut driver = open(Role::Server, config);
    received(&mut driver, &mut storage, &frame_to(Role::Server, 0x81, b"ask"));
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(text("ask"))));
    driver.connection().send_binary(&[7; 500]).unwrap();
    assert!(!driver.next(&mut storage, ms(1)).read);
    let (mut reading, _) = halves(driver);
    assert!(reading.next(&mut storage, true).read);
}

#[test]
fn settings_that_are_changed_hold_for_both_halves() {
    let mut storage = Storage::new(1024);
    let mut driver = open(Role::Server, pings());
    assert_eq!(driver.judge(ms(0)), Ok(()));
    let (mut reading, mut writing) = halves(driver);
    writing.handle_fact(Fact::MessageEnded);
    assert_eq!(writing.next(ms(0)).deadline, Some(ms(1000)));
    let keepalive = |ping| Keepalive { ping: Some(ms(ping)), ..pings().keepalive };
    writing.set_keepalive(keepalive(300));
    assert_eq!(writing.next(ms(0)).deadline, Some(ms(300)));
    writing.change(&mut Changes::new(Change::Keepalive(keepalive(200))));
    assert_eq!(writing.next(ms(0)).deadline, Some(ms(200)));

    assert!(!reading.is_rated());
    let mut limits = pings().limits;
    limits.message = 3;
    reading.change(&mut Changes::new(Change::Limits(limits)));
    assert!(!reading.is_rated());
    let mut rates = Rates::default();
    rates.messages = Some(Rate::per_second(1));
    reading.change(&mut Changes::new(Change::Rates(rates)));
    assert!(reading.is_rated());
    heard(&mut reading, &mut storage, &frame_to(Role::Server, 0x81, b"four"));
    let told = reading.event(&mut storage, |_| {});
    assert!(matches!(told, Err(ProtocolError::MessageTooLong { .. })), "{told:?}");
}

#[test]
fn an_outbox_goes_from_one_writing_half_to_the_next() {
    let mut storage = Storage::new(1024);
    let mut drivers = [(); 2].map(|()| halves(open(Role::Server, quiet())).1);
    let mut round = |writing: &mut Writing| {
        writing.lend(&mut storage);
        writing.sender().send_binary(&[7; 5000]).unwrap();
        assert!(writing.write(io::sink()).unwrap());
        writing.leave(&mut storage);
    };
    round(&mut drivers[0]);
    let ((), heap) = used(|| drivers.iter_mut().for_each(round));
    assert_eq!(heap.calls, 0);
}

#[test]
fn a_writing_half_says_whether_all_is_written() {
    let (_, mut writing) = halves(open(Role::Server, quiet()));
    writing.sender().send_binary(&[7; 98]).unwrap();
    assert!(!writing.write(Takes(60)).unwrap());
    assert_eq!(writing.peek().queued(), 40);
    assert!(writing.next(ms(1)).write);
    assert!(writing.write(Takes(60)).unwrap());
    assert_eq!(writing.peek().queued(), 0);
    assert_eq!(writing.write(io::empty()).map_err(|error| error.kind()), Ok(true));
}

#[test]
fn a_fault_of_the_peer_is_no_end_of_the_transport() {
    let mut storage = Storage::new(1024);
    let (mut reading, mut writing) = halves(open(Role::Server, quiet()));
    heard(&mut reading, &mut storage, &frame_to(Role::Server, 0x81, b"\xff"));
    let mut facts = vec![];
    assert_eq!(reading.event(&mut storage, |fact| facts.push(fact)), Err(ProtocolError::InvalidUtf8));
    assert!(matches!(facts[..], [Fact::Failed(_)]), "{facts:?}");
    facts.into_iter().for_each(|fact| writing.handle_fact(fact));
    assert_ne!(writing.peek().state(), State::Open);
    assert!(writing.next(ms(1)).write, "a close frame");
}

#[test]
fn a_reading_half_is_settled_when_all_is_told() {
    let mut storage = Storage::new(4096);
    let (mut reading, _) = halves(open(Role::Server, quiet()));
    assert!(reading.is_settled(&storage));
    heard(&mut reading, &mut storage, &frame_to(Role::Server, 0x81, b"x").repeat(2));
    assert!(!reading.is_settled(&storage));
    assert_eq!(reading.event(&mut storage, |_| {}), Ok(Some(text("x"))));
    assert!(!reading.is_settled(&storage));
    // Others have the storage meanwhile.
    reading.leave(&mut storage);
    let (mut other, _) = halves(open(Role::Server, quiet()));
    heard(&mut other, &mut storage, &frame_to(Role::Server, 0x81, b"mine"));
    assert_eq!(other.event(&mut storage, |_| {}), Ok(Some(text("mine"))));
    other.leave(&mut storage);
    assert_eq!(reading.event(&mut storage, |_| {}), Ok(Some(text("x"))));
    assert_eq!(reading.event(&mut storage, |_| {}), Ok(None));
    assert!(reading.is_settled(&storage));
}

#[test]
fn a_reading_half_that_has_nothing_to_wait_for_takes_what_was_cut_off() {
    let frames = frame_to(Role::Server, 0x82, &[7; 200]).repeat(20);
    for nothing in [false, true] {
        let mut storage = Storage::new(4096);
        let (mut reading, _) = halves(open(Role::Server, quiet()));
        heard(&mut reading, &mut storage, &frames[..4096]);
        while reading.event(&mut storage, |_| {}).unwrap().is_some() {}
        assert!(!reading.is_settled(&storage), "the front of a frame waits");
        if nothing {
            reading.received_nothing(&mut storage);
            assert_eq!(reading.event(&mut storage, |_| {}), Ok(None));
        }
        assert_eq!(reading.is_settled(&storage), nothing);
    }
}

#[test]
fn a_reading_half_keeps_only_a_short_frame_for_its_end() {
    for (len, waits) in [(248, true), (249, false)] {
        let mut storage = Storage::new(4096);
        let (mut reading, _) = halves(open(Role::Server, quiet()));
        let frames = frames_to(Role::Server, &[(0x82, &[1; 4096 - 8 - 100]), (0x82, &vec![2; len])]);
        heard(&mut reading, &mut storage, &frames[..4096]);
        assert_eq!(reading.event(&mut storage, |_| {}), Ok(Some(binary(&[1; 4096 - 8 - 100]))));
        assert_eq!(reading.event(&mut storage, |_| {}), Ok(None));
        reading.next(&mut storage, true);
        heard(&mut reading, &mut storage, &frames[4096..]);
        let Ok(Some(Event::Binary(bytes))) = reading.event(&mut storage, |_| {}) else { panic!("it has come whole") };
        assert_eq!((matches!(bytes, Cow::Borrowed(_)), &bytes[..]), (waits, &vec![2; len][..]));
    }
}

#[test]
fn a_reading_half_reads_a_large_message_to_where_it_belongs() {
    let mut storage = Storage::new(4096);
    let (mut reading, _) = halves(open(Role::Client, quiet()));
    let message = frame_to(Role::Client, 0x82, &[7; 300_000]);
    let (mut rest, mut direct) = (&message[..], 0);
    loop {
        let space = reading.space(&mut storage);
        let len = space.len().min(rest.len());
        direct += if space.len() > 4096 { len } else { 0 };
        space[..len].copy_from_slice(&rest[..len]);
        rest = &rest[len..];
        reading.received(&mut storage, len);
        if let Some(told) = reading.event(&mut storage, |_| {}).unwrap() {
            assert_eq!(told, binary(&[7; 300_000]));
            break;
        }
        reading.next(&mut storage, true);
    }
    assert!(direct > 200_000, "{direct} bytes");
}

#[test]
fn each_frame_is_work_of_a_reading_half_too() {
    let mut storage = Storage::new(4 << 20);
    let (mut reading, _) = halves(open(Role::Server, quiet()));
    let message = [&[(0x02, &b""[..])][..], &[(0, &b""[..]); 3998], &[(0x80, &b""[..])]].concat();
    heard(&mut reading, &mut storage, &frames_to(Role::Server, &message).repeat(100));
    let mut told = 0;
    while reading.event(&mut storage, |_| {}).unwrap().is_some() {
        told += 1;
    }
    assert!((8..=9).contains(&told), "{told} messages of 4000 fragments");
    assert!(reading.next(&mut storage, true).again);
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_input_is_work_of_a_reading_half_too() {
    let mut storage = Storage::new(4 << 20);
    // One frame of a fragment, of stored blocks that hold nothing.
    let frame = frame_to(Role::Server, 0x42, &[0, 0, 0, 0xFF, 0xFF].repeat(100_000));
    let (mut reading, _) = halves(Driver::new(compressed::compressed(Role::Server, true)));
    heard(&mut reading, &mut storage, &frame);
    let mut turns = 0;
    loop {
        assert_eq!(reading.event(&mut storage, |_| {}), Ok(None));
        turns += 1;
        if !reading.next(&mut storage, true).again {
            break;
        }
    }
    assert!((2..=4).contains(&turns), "{turns} turns");
    // What is not compressed has all of its turn at once.
    let (mut reading, _) = halves(open(Role::Server, quiet()));
    let mut storage = Storage::new(4 << 20);
    heard(&mut reading, &mut storage, &frame_to(Role::Server, 0x82, &[7; 500_000]));
    assert!(matches!(reading.event(&mut storage, |_| {}), Ok(Some(Event::Binary(Cow::Borrowed(_))))));
}
