//! Tapes of connections that failed, kept by their drivers: what is on them, what is left out, and that they replay.

use bytes::Buf;
use sockless::driver::{Driver, Storage};
use sockless::testing::tape::{Call, Tape};
use sockless::{Config, Connection, Event, Keepalive, Negotiated, ProtocolError, Role, Seed, Tapes};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

type Told = Receiver<(Tape, ProtocolError)>;

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
/// An opcode that is reserved.
const BAD: &[u8] = b"\x83\x80\0\0\0\0";

fn config(bytes: usize) -> (Config, Told) {
    let (tell, told) = channel();
    let tapes = Tapes::new(bytes, move |tape, error| tell.send((tape, error)).unwrap());
    (Config { tapes: Some(tapes), ..Config::default() }, told)
}

fn open(role: Role, config: Config) -> Driver {
    Driver::new(Connection::open(role, Negotiated::default(), config, Seed::new([7; 16])))
}

/// Reads this at once, answers, and writes.
fn turn(driver: &mut Driver, input: &[u8], at: Duration) -> Vec<u8> {
    let (mut storage, mut written) = (Storage::new(4096), Vec::new());
    for part in input.chunks(1024) {
        driver.space(&mut storage)[..part.len()].copy_from_slice(part);
        driver.received(&mut storage, part.len(), at);
        while driver.next(&mut storage, at).again {
            let told = driver.each(&mut storage, at, |connection, event| match event {
                Event::Request(request) => connection.accept(request.accept()).unwrap(),
                event => _ = event.into_message().map(|message| connection.send(&message)),
            });
            _ = told;
        }
        driver.write(&mut storage, &mut written).unwrap();
    }
    driver.leave(&mut storage);
    written
}

/// As it is read from its bytes, and replays.
#[track_caller]
fn sound(told: &Told) -> (Tape, ProtocolError) {
    let (tape, error) = told.try_recv().unwrap();
    assert!(told.try_recv().is_err(), "told once");
    assert_eq!(Tape::from_bytes(&tape.to_bytes()).as_ref(), Ok(&tape));
    assert_eq!(tape.replay(), Ok(()));
    assert_eq!(tape.steps.last().unwrap().gave, format!("error {error:?}"));
    (tape, error)
}

fn bytes_from(tape: &Tape, from: Role) -> Vec<u8> {
    let wire = tape.wire().filter(|(_, who, _)| *who == from);
    wire.flat_map(|(.., bytes)| bytes.to_vec()).collect()
}

#[test]
fn a_bad_frame_ends_a_tape_of_all_that_was_said() {
    let (config, told) = config(1 << 20);
    let mut driver = Driver::new(Connection::server(config));
    let head = turn(&mut driver, REQUEST, Duration::from_millis(1));
    let answer = turn(&mut driver, HELLO, Duration::from_millis(20));
    assert!(told.try_recv().is_err(), "it has not failed yet");
    turn(&mut driver, &[HELLO, BAD].concat(), Duration::from_millis(300));

    let (tape, error) = sound(&told);
    assert_eq!(error, ProtocolError::ReservedOpcode(3));
    assert_eq!(bytes_from(&tape, Role::Client), [REQUEST, HELLO, HELLO, BAD].concat());
    assert_eq!(bytes_from(&tape, Role::Server), [head, answer].concat());
    let last = tape.steps.last().unwrap();
    assert!(matches!(last.call, Call::Receive(_)), "{last:?}");
    assert_eq!(last.at, Duration::from_millis(300));
    let hellos = tape.steps.iter().filter(|step| step.gave == "text \"hello\"");
    assert_eq!(hellos.map(|step| step.at.as_millis()).collect::<Vec<_>>(), [20, 300]);
    assert!(tape.steps.iter().all(|step| !matches!(step.call, Call::Unseen)));
}

/// An answer goes out between the two halves of one read, and the bad frame is last all the same.
#[test]
fn the_bad_frame_is_behind_what_was_answered_before_it() {
    let (config, told) = config(1 << 20);
    let mut driver = open(Role::Server, config);
    let (mut storage, mut written) = (Storage::new(1024), Vec::new());
    let input = [HELLO, BAD].concat();
    driver.space(&mut storage)[..input.len()].copy_from_slice(&input);
    driver.received(&mut storage, input.len(), Duration::ZERO);
    assert!(matches!(driver.event(&mut storage, Duration::ZERO), Ok(Some(Event::Text(_)))));
    driver.connection().send_text("hello").unwrap();
    driver.write(&mut storage, &mut written).unwrap();
    driver.event(&mut storage, Duration::from_secs(1)).unwrap_err();
    let (tape, _) = sound(&told);
    let last = &tape.steps[tape.steps.len() - 2..];
    assert!(matches!(&last[0].call, Call::Passed(Role::Server, bytes) if *bytes == written), "{last:?}");
    assert!(matches!(last[1].call, Call::Receive(_)), "{last:?}");
}

#[test]
fn of_a_long_one_the_heads_and_the_end_are_kept() {
    // Each part takes some bytes beside its own.
    let (config, told) = config(1000);
    let mut driver = Driver::new(Connection::server(config));
    turn(&mut driver, REQUEST, Duration::ZERO);
    for _ in 0..50 {
        turn(&mut driver, HELLO, Duration::ZERO);
    }
    // It lies across two reads.
    turn(&mut driver, &HELLO[..4], Duration::ZERO);
    turn(&mut driver, &HELLO[4..], Duration::ZERO);
    turn(&mut driver, BAD, Duration::ZERO);

    let (tape, _) = sound(&told);
    let kept = bytes_from(&tape, Role::Client);
    assert!(kept.starts_with(REQUEST) && kept.ends_with(&[HELLO, BAD].concat()));
    assert!(kept.len() <= REQUEST.len() + 200 && kept.len() > REQUEST.len() + 40, "{} bytes", kept.len());
    let cut = tape.steps.iter().find(|step| step.call == Call::Unseen).unwrap();
    assert!(cut.gave.ends_with(" bytes were not kept"), "{cut:?}");
    assert!(tape.steps.iter().filter(|step| step.gave == "text \"hello\"").count() > 1);
}

#[test]
fn what_this_end_sent_begins_with_a_message_too() {
    let (config, told) = config(400);
    let mut driver = open(Role::Server, config);
    driver.connection().send_text(&"x".repeat(120)).unwrap();
    for _ in 0..122 {
        driver.outbound(&mut Storage::new(1024)).copy_to_slice(&mut [0]);
    }
    turn(&mut driver, HELLO, Duration::ZERO);
    turn(&mut driver, BAD, Duration::ZERO);
    let (tape, _) = sound(&told);
    assert_eq!(bytes_from(&tape, Role::Server), b"\x81\x05hello");
    assert_eq!(bytes_from(&tape, Role::Client), [HELLO, BAD].concat());
    assert_eq!(tape.steps[0].gave, "122 bytes were not kept");
}

#[test]
fn one_message_that_is_more_than_is_kept_cannot_be_taken_up() {
    // It is sent back, so that of its own bytes the last two thousand are left.
    let (config, told) = config(8000);
    let mut driver = open(Role::Client, config);
    let long = [b"\x82\x7e\x13\x88", &[7; 5000][..]].concat();
    turn(&mut driver, &long, Duration::ZERO);
    turn(&mut driver, b"\x83\x00", Duration::ZERO);
    let (tape, error) = sound(&told);
    assert_eq!(error, ProtocolError::ReservedOpcode(3));
    // The bad frame is behind the message: there it is taken up again.
    assert_eq!(tape.steps.last().unwrap().call, Call::Receive(b"\x83\x00".to_vec()));
    assert_eq!(bytes_from(&tape, Role::Server), b"\x83\x00");
    assert!(bytes_from(&tape, Role::Client).len() > 5000);

    let (config, told) = self::config(60);
    let mut driver = open(Role::Client, config);
    turn(&mut driver, b"\x01\x0ahello", Duration::ZERO);
    turn(&mut driver, b"hello\x83\x00", Duration::ZERO);
    let (tape, _) = sound(&told);
    assert_eq!(tape.steps.last().unwrap().call, Call::Unseen);
    assert_eq!(bytes_from(&tape, Role::Server), b"hello\x83\x00");
}

#[test]
fn the_end_and_a_deadline_are_told_too() {
    let (config, told) = config(1000);
    let mut driver = open(Role::Server, config);
    turn(&mut driver, HELLO, Duration::ZERO);
    let mut storage = Storage::new(1024);
    driver.received(&mut storage, 0, Duration::ZERO);
    driver.event(&mut storage, Duration::ZERO).unwrap_err();
    let (tape, error) = sound(&told);
    assert_eq!((error, &tape.steps.last().unwrap().call), (ProtocolError::UnexpectedEof, &Call::Eof));

    let (config, told) = self::config(1000);
    let keepalive = Keepalive { ping: None, idle: Some(Duration::from_secs(1)), ..Keepalive::default() };
    let mut driver = open(Role::Server, Config { keepalive, ..config });
    turn(&mut driver, HELLO, Duration::ZERO);
    driver.judge(Duration::ZERO).unwrap();
    driver.judge(Duration::from_secs(2)).unwrap_err();
    let (tape, error) = sound(&told);
    assert_eq!((error, &tape.steps.last().unwrap().call), (ProtocolError::IdleTimeout, &Call::Unseen));
}

#[test]
fn a_request_that_is_none_is_on_a_tape() {
    let (config, told) = config(1000);
    let mut driver = Driver::new(Connection::server(config));
    turn(&mut driver, b"GET /chat HTTP/1.1\r\nHo st: x\r\n\r\n", Duration::ZERO);
    let (tape, error) = sound(&told);
    assert!(matches!(error, ProtocolError::Handshake(_)), "{error:?}");
    assert!(matches!(tape.steps.last().unwrap().call, Call::Receive(_)));
}

#[test]
fn a_half_that_writes_tells_of_a_deadline_and_messages_alone_of_a_fault() {
    let (config, told) = config(1000);
    let keepalive = Keepalive { ping: None, idle: Some(Duration::from_secs(1)), ..Keepalive::default() };
    let driver = open(Role::Server, Config { keepalive, ..config });
    let Ok((_, mut writing)) = driver.split() else { panic!("not open") };
    writing.judge(0, Duration::ZERO).unwrap();
    writing.judge(0, Duration::from_secs(2)).unwrap_err();
    assert_eq!(sound(&told).1, ProtocolError::IdleTimeout);

    let (config, told) = self::config(1000);
    let mut driver = open(Role::Server, config);
    let mut storage = Storage::new(1024);
    // Text that is none.
    let input = [HELLO, b"\x81\x81\0\0\0\0\xff"].concat();
    driver.space(&mut storage)[..input.len()].copy_from_slice(&input);
    driver.received(&mut storage, input.len(), Duration::ZERO);
    let mut messages = driver.messages(&mut storage);
    assert!(matches!(messages.next(), Some(Ok(Event::Text(_)))));
    assert!(matches!(messages.next(), Some(Err(ProtocolError::InvalidUtf8))));
    assert_eq!(sound(&told).1, ProtocolError::InvalidUtf8);
}

#[test]
fn who_is_told_may_be_another_for_a_request() {
    let ((config, told), (other, of_other)) = (config(1000), self::config(1));
    let mut driver = Driver::new(Connection::server(config));
    let mut storage = Storage::new(1024);
    driver.space(&mut storage)[..REQUEST.len()].copy_from_slice(REQUEST);
    driver.received(&mut storage, REQUEST.len(), Duration::ZERO);
    let Ok(Some(Event::Request(request))) = driver.event(&mut storage, Duration::ZERO) else { panic!("no request") };
    let request = driver.reconfigure(request, other).unwrap();
    driver.connection().accept(request.accept()).unwrap();
    driver.leave(&mut storage);
    turn(&mut driver, BAD, Duration::ZERO);
    let (tape, _) = sound(&of_other);
    assert!(told.try_recv().is_err());
    assert_eq!(bytes_from(&tape, Role::Client), [REQUEST, BAD].concat());
}

/// What is kept for many short reads is bounded too.
#[test]
fn short_reads_are_paid_for() {
    let (config, told) = config(10_000);
    let mut driver = open(Role::Server, config);
    let mut storage = Storage::new(1024);
    let message = [b"\x82\xfe\x27\x10\0\0\0\0", &[7; 10_000][..]].concat();
    for byte in message {
        driver.space(&mut storage)[0] = byte;
        driver.received(&mut storage, 1, Duration::ZERO);
        _ = driver.event(&mut storage, Duration::ZERO).unwrap();
    }
    driver.leave(&mut storage);
    turn(&mut driver, BAD, Duration::ZERO);
    let (tape, _) = sound(&told);
    assert!(tape.steps.len() < 300, "{} steps", tape.steps.len());
}

#[test]
fn a_connection_in_halves_and_one_that_ends_well() {
    let (config, told) = config(1000);
    let mut driver = open(Role::Server, config.clone());
    turn(&mut driver, HELLO, Duration::ZERO);
    let Ok((mut reading, mut writing)) = driver.split() else { panic!("not open") };
    let (mut storage, mut written) = (Storage::new(1024), Vec::new());
    writing.sender().send_text("bye").unwrap();
    writing.write(&mut written).unwrap();
    reading.space(&mut storage)[..BAD.len()].copy_from_slice(BAD);
    reading.received(&mut storage, BAD.len());
    while let Ok(Some(_)) = reading.event(&mut storage, |fact| writing.handle_fact(fact)) {}
    let (tape, _) = sound(&told);
    assert_eq!(bytes_from(&tape, Role::Server), b"\x81\x05hello\x81\x03bye");

    let mut driver = open(Role::Server, config);
    turn(&mut driver, b"\x88\x80\0\0\0\0", Duration::ZERO);
    assert!(told.try_recv().is_err());
}

/// Long messages are read to where they belong, and go out from where they lie.
#[test]
fn what_is_read_and_written_without_a_copy_is_kept() {
    let (config, told) = config(2 << 20);
    let mut driver = open(Role::Client, config);
    let (mut storage, mut written) = (Storage::new(16 << 10), Vec::new());
    let long = [b"\x82\x7f\0\0\0\0\0\x10\0\0", &[7; 1 << 20][..], b"\x83\x00"].concat();
    let mut rest = &long[..];
    let (mut failed, mut direct) = (false, false);
    while !failed {
        direct |= driver.connection().tail().is_some();
        let space = driver.space(&mut storage);
        let len = rest.len().min(space.len());
        space[..len].copy_from_slice(&rest[..len]);
        driver.received(&mut storage, len, Duration::ZERO);
        rest = &rest[len..];
        while driver.next(&mut storage, Duration::ZERO).again && !failed {
            failed = driver.event(&mut storage, Duration::ZERO).is_err();
        }
    }
    let (tape, _) = sound(&told);
    assert!(direct && bytes_from(&tape, Role::Server) == long);

    let (config, told) = self::config(1 << 20);
    let mut driver = open(Role::Server, config);
    let message = sockless::Message::from(&[7; 40_000][..]);
    for take in [100, 30_000] {
        let mut through = driver.send_through(&message).unwrap();
        written.extend(through.copy_to_bytes(take));
    }
    driver.write(&mut storage, &mut written).unwrap();
    turn(&mut driver, BAD, Duration::ZERO);
    assert_eq!(bytes_from(&sound(&told).0, Role::Server), written);
}
