//! The halves of a driver: together they do what the whole does, though neither sees the other.

use crate::common::random::Random;
use crate::common::*;
use bytes::Buf;
use sockless::driver::{Driver, Reading, Storage, Writing};
use sockless::{Code, Config, Connection, Event, Fact, Keepalive, ProtocolError, Role};
use std::time::Duration;

type Told = Result<Event<'static>, ProtocolError>;

const SECOND: Duration = Duration::from_secs(1);

fn quiet() -> Config {
    let mut config = Config::default();
    config.keepalive =
        Keepalive { handshake: None, ping: None, pong: None, idle: None, close: None, ..Keepalive::default() };
    config
}

#[track_caller]
fn halves(role: Role, config: Config) -> (Reading, Writing) {
    Driver::new(open_with(role, config)).split().unwrap_or_else(|_| panic!("it is open"))
}

/// Both halves, each with a storage of its own, and facts that go from one to the other at once.
struct Both {
    reading: Reading,
    writing: Writing,
    storages: [Storage; 2],
    told: Vec<Told>,
    facts: Vec<Fact>,
    written: Vec<u8>,
}

impl Both {
    fn new(role: Role, config: Config) -> Self {
        let (reading, writing) = halves(role, config);
        let storages = [Storage::new(2048), Storage::new(1024)];
        Self { reading, writing, storages, told: vec![], facts: vec![], written: vec![] }
    }

    /// Takes what a read has brought, none at the end, in as many turns as it wants.
    fn take(&mut self, mut bytes: &[u8]) {
        loop {
            let space = self.reading.space(&mut self.storages[0]);
            let len = space.len().min(bytes.len());
            space[..len].copy_from_slice(&bytes[..len]);
            bytes = &bytes[len..];
            self.reading.received(&mut self.storages[0], len);
            loop {
                self.events();
                let next = self.reading.next(&mut self.storages[0], true);
                assert_eq!((next.again, next.read), (next.again, !next.again));
                if !next.again {
                    break;
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        self.reading.leave(&mut self.storages[0]);
    }

    fn events(&mut self) {
        loop {
            let mut facts = vec![];
            let told = match self.reading.event(&mut self.storages[0], |fact| facts.push(fact)) {
                Ok(Some(event)) => Ok(event.into_owned()),
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            };
            for fact in facts {
                self.writing.handle_fact(fact);
                self.facts.push(fact);
            }
            match told {
                Ok(event) => self.told.push(Ok(event)),
                Err(None) => break self.write(),
                Err(Some(error)) => self.told.push(Err(error)),
            }
        }
    }

    fn write(&mut self) {
        self.writing.lend(&mut self.storages[1]);
        let mut outbound = self.writing.outbound();
        self.written.extend(outbound.copy_to_bytes(outbound.remaining()));
        self.writing.leave(&mut self.storages[1]);
    }
}

#[test]
fn any_cutting_tells_and_writes_what_the_connection_alone_does() {
    let mut random = Random(11);
    for role in BOTH {
        for round in 0..60 {
            let mut stream = vec![];
            for _ in 0..12 {
                let payload = vec![b'x'; random.pick(&[0, 1, 16, 125, 126, 700, 3000, 70_000])];
                let len = payload.len();
                stream.extend(match random.below(5) {
                    0 => frame_to(role, 0x81, &payload),
                    1 => frames_to(role, &[(0x01, &payload[..len / 2]), (0x89, b"?"), (0x80, &payload[len / 2..])]),
                    2 => frame_to(role, 0x8A, b"unasked"),
                    _ => frame_to(role, 0x82, &payload),
                });
            }
            match round % 4 {
                0 => stream.extend(frame_to(role, 0x88, &[3, 232])),
                1 => stream.extend(frame_to(role, 0x81, b"\xff")),
                _ => {}
            }
            let mut both = Both::new(role, quiet());
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (part, more) = rest.split_at(random.pick(&[1, 2, 7, 100, 1000, 2048, rest.len()]).min(rest.len()));
                both.take(part);
                rest = more;
            }
            both.take(b"");

            let mut alone = open_with(role, quiet());
            let (mut expected, mut written, mut input) = (vec![], vec![], &mut stream[..]);
            loop {
                let told = alone.receive(&mut input);
                // Every ping is answered.
                written.extend(outbound(&mut alone));
                match told {
                    Ok(Some(event)) => expected.push(Ok(event.into_owned())),
                    Ok(None) => break,
                    Err(error) => expected.push(Err(error)),
                }
            }
            expected.extend(alone.receive_eof().map(|_| None).unwrap_or_else(|error| Some(Err(error))));
            written.extend(outbound(&mut alone));
            assert!(both.told == expected, "{role:?}, round {round}");
            assert!(both.written == written, "{role:?}, round {round}");
            assert!(both.writing.next(SECOND).close, "{role:?}, round {round}");
        }
    }
}

#[test]
fn pieces_come_as_they_arrive_and_facts_with_them() {
    let (mut reading, _writing) = halves(Role::Server, quiet());
    let mut storage = Storage::new(1024);
    let frames = frames_to(Role::Server, &[(0x01, b"a"), (0x89, b"?"), (0x80, b"b")]);
    reading.space(&mut storage)[..frames.len()].copy_from_slice(&frames);
    reading.received(&mut storage, frames.len());
    let (mut pieces, mut facts) = (vec![], vec![]);
    loop {
        match reading.piece(&mut storage, |fact| facts.push(fact)).unwrap() {
            Some(Event::Piece(piece)) => pieces.push((piece.data.as_bytes().to_vec(), piece.last)),
            Some(event) => assert_eq!(event, ping(b"?")),
            None => {
                if !reading.next(&mut storage, true).again {
                    break;
                }
            }
        }
    }
    assert_eq!(pieces, [(b"a".to_vec(), false), (b"b".to_vec(), true)]);
    assert!(matches!(facts[..], [Fact::Ping(_)]), "{facts:?}");
}

#[test]
fn the_end_is_told_once_and_behind_all_that_came() {
    let mut both = Both::new(Role::Server, quiet());
    both.take(&frame_to(Role::Server, 0x88, &[3, 232]));
    assert_eq!(both.told, [Ok(closed(1000, ""))]);
    assert_eq!(both.written, b"\x88\x02\x03\xe8");
    let next = both.writing.next(SECOND);
    assert!(next.shutdown && next.close && !both.writing.next(SECOND).shutdown);
    both.take(b"");
    assert_eq!(both.told.len(), 1, "it ended as it should");
    assert!(matches!(both.facts[..], [Fact::Close(_), Fact::Eof]), "{:?}", both.facts);

    let mut both = Both::new(Role::Client, quiet());
    both.take(b"");
    assert_eq!(both.told, [Err(ProtocolError::UnexpectedEof)]);
    assert!(matches!(both.facts[..], [Fact::Eof, Fact::Failed(_)]), "{:?}", both.facts);
}

#[test]
fn the_writing_half_keeps_the_time_by_what_the_other_has_heard() {
    let mut config = quiet();
    config.keepalive.ping = Some(SECOND);
    config.keepalive.pong = Some(SECOND / 2);
    let mut both = Both::new(Role::Server, config);
    assert_eq!(both.writing.judge(both.reading.heard(), Duration::ZERO), Ok(false));
    assert!(both.writing.is_settled());
    assert_eq!(both.writing.next(Duration::ZERO).deadline, Some(SECOND));
    // A message is a sign of life, though nobody has said anything of it.
    both.take(&frame_to(Role::Server, 0x82, b"hello"));
    assert_eq!(both.writing.judge(both.reading.heard(), SECOND), Ok(false));
    assert_eq!(both.writing.next(SECOND).deadline, Some(SECOND * 2));
    assert_eq!(both.writing.judge(both.reading.heard(), SECOND * 2), Ok(true), "a ping is due");
    assert!(!both.writing.is_settled());
    both.write();
    assert_eq!(both.written, b"\x89\x01\x01");
    // Silence behind the ping ends it, and a dead peer is not waited for.
    assert_eq!(both.writing.judge(both.writing.heard(), SECOND * 3), Err(ProtocolError::PongTimeout));
    both.reading.end();
    both.write();
    assert!(both.writing.next(SECOND * 3).close);
    both.take(&frame_to(Role::Server, 0x82, b"late"));
    assert_eq!(both.told, [Ok(binary(b"hello"))]);
}

#[test]
fn a_dead_peer_that_takes_nothing_is_not_waited_for() {
    let mut config = quiet();
    config.keepalive.ping = Some(SECOND);
    config.keepalive.pong = Some(SECOND);
    let (_reading, mut writing) = halves(Role::Server, config);
    for seconds in 0..2 {
        writing.judge(0, SECOND * seconds).unwrap();
    }
    assert!(writing.judge(0, SECOND * 2).is_err());
    let next = writing.next(SECOND * 2);
    assert!(next.close && !next.shutdown, "{next:?}");
}

#[test]
fn what_was_read_before_it_was_parted_comes_from_the_reading_half() {
    let mut storage = Storage::new(1024);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    let input = frames_to(Role::Server, &[(0x81, b"whole"), (0x81, b"halves")]);
    driver.space(&mut storage)[..input.len()].copy_from_slice(&input);
    driver.received(&mut storage, input.len(), SECOND);
    assert_eq!(driver.event(&mut storage, SECOND), Ok(Some(text("whole"))));
    driver.leave(&mut storage);
    let (mut reading, mut writing) = driver.split().unwrap_or_else(|_| panic!("it is open"));
    assert!(reading.next(&mut storage, true).again);
    assert_eq!(reading.event(&mut storage, |_| {}), Ok(Some(text("halves"))));
    writing.sender().close(Code::NORMAL, "").unwrap();
    assert!(writing.next(SECOND).write);
}

#[test]
fn a_connection_that_is_not_open_is_given_back() {
    let driver = Driver::new(Connection::server(quiet()));
    let Err(driver) = driver.split() else { panic!("it is not open") };
    assert_eq!(driver.peek().role(), Role::Server);
}

#[test]
fn what_cannot_be_written_is_given_up() {
    let (_reading, mut writing) = halves(Role::Server, quiet());
    writing.sender().send_text("into the void").unwrap();
    writing.write_failed();
    let next = writing.next(SECOND);
    assert_eq!((next.read, next.write, next.shutdown, next.close), (true, false, false, false));
    writing.set_held_back(true);
    writing.handle_fact(Fact::Eof);
    assert!(writing.next(SECOND).close);
}
