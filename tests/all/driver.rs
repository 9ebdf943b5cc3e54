//! The driver: any loop around it tells what the connection alone would, keeps time, lets nobody starve and nobody wait.

#[cfg(feature = "deflate")]
use crate::common::compressed;
use crate::common::heap::used;
use crate::common::random::Random;
use crate::common::*;
use sockless::driver::{Driver, Next, Storage};
use sockless::{
    Code, Config, Connection, Event, Keepalive, Kind, Message, Piece, ProtocolError, RelayError, Role, SendError, State,
};
#[cfg(feature = "deflate")]
use sockless::{DeflateParams, Negotiated};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::Duration;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

type Told = Result<Event<'static>, ProtocolError>;

/// One way of a transport, which holds so many bytes.
struct Wire {
    bytes: VecDeque<u8>,
    room: usize,
    ended: bool,
}

impl Wire {
    fn new(room: usize) -> Self {
        Self { bytes: VecDeque::new(), room, ended: false }
    }

    /// `None`: there is nothing now.
    fn read(&mut self, into: &mut [u8], cut: usize) -> Option<usize> {
        let n = into.len().min(self.bytes.len()).min(cut);
        for (to, byte) in into.iter_mut().zip(self.bytes.drain(..n)) {
            *to = byte;
        }
        (n > 0 || self.ended).then_some(n)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let before = self.bytes.len();
        for slice in slices {
            let n = slice.len().min(self.room - self.bytes.len());
            self.bytes.extend(&slice[..n]);
        }
        match self.bytes.len() - before {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A transport whose peer is gone.
struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An end, as a loop that has many holds it.
struct End {
    driver: Driver,
    told: Vec<Told>,
    /// Bytes that a read brings at most.
    cut: usize,
    /// Events are taken by `each`.
    each: bool,
    closed: bool,
}

impl End {
    fn new(connection: Connection) -> Self {
        Self { driver: Driver::new(connection), told: vec![], cut: usize::MAX, each: false, closed: false }
    }

    fn open(role: Role, config: Config) -> Self {
        Self::new(open_with(role, config))
    }

    /// A turn of the loop; whether anything moved.
    fn turn(
        &mut self,
        storage: &mut Storage,
        [from, to]: [&mut Wire; 2],
        now: Duration,
        mut handle: impl FnMut(&mut Connection, &Event<'_>),
    ) -> bool {
        if self.closed {
            return false;
        }
        let mut moved = false;
        let next = self.driver.next(storage, now);
        if next.read {
            match from.read(self.driver.space(storage), self.cut) {
                Some(n) => {
                    moved |= n > 0 || !self.told.iter().any(Result::is_err);
                    self.driver.received(storage, n, now);
                }
                None => self.driver.received_nothing(storage),
            }
        }
        let told = self.told.len();
        while self.each {
            let result = self.driver.each(storage, now, |connection, event| {
                handle(connection, &event);
                self.told.push(Ok(event.into_owned()));
            });
            match result {
                Ok(()) => break,
                Err(error) => self.told.push(Err(error)),
            }
        }
        while !self.each {
            match self.driver.event(storage, now) {
                Ok(Some(event)) => {
                    handle(self.driver.connection(), &event);
                    self.told.push(Ok(event.into_owned()));
                }
                Ok(None) => break,
                Err(error) => self.told.push(Err(error)),
            }
        }
        moved |= self.told.len() > told;
        moved |= self.write(storage, to);
        let next = self.driver.next(storage, now);
        moved |= next.again || next.read && !from.bytes.is_empty();
        if next.shutdown || next.close {
            to.ended = true;
        }
        self.closed |= next.close;
        self.driver.leave(storage);
        moved
    }

    fn write(&mut self, storage: &mut Storage, to: &mut Wire) -> bool {
        let queued = self.driver.peek().queued();
        _ = self.driver.write(storage, to);
        self.driver.peek().queued() < queued
    }

    /// Has it take these bytes at once, in as many turns as it wants; what it writes.
    fn take(&mut self, storage: &mut Storage, bytes: &[u8], now: Duration) -> Vec<u8> {
        let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
        from.bytes.extend(bytes);
        while self.turn(storage, [&mut from, &mut to], now, |_, _| {}) {}
        to.bytes.into()
    }

    fn events(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn quiet() -> Config {
    let mut config = Config::default();
    config.keepalive =
        Keepalive { handshake: None, ping: None, pong: None, idle: None, close: None, ..Keepalive::default() };
    config
}

fn echo(connection: &mut Connection, event: &Event<'_>) {
    match event {
        Event::Text(text) => connection.send_text(text).unwrap(),
        Event::Binary(bytes) => connection.send_binary(bytes).unwrap(),
        _ => {}
    }
}

// ---- what is told

#[test]
fn any_cutting_tells_what_the_connection_alone_tells() {
    let mut random = Random(7);
    let mut storage = Storage::new(2048);
    for role in BOTH {
        for round in 0..60 {
            let mut stream = vec![];
            for _ in 0..12 {
                let len = random.pick(&[0, 1, 16, 125, 126, 700, 3000, 70_000]);
                let payload = vec![b'x'; len];
                stream.extend(match random.below(5) {
                    0 => frame_to(role, 0x81, &payload),
                    1 => frames_to(role, &[(0x01, &payload[..len / 2]), (0x89, b"?"), (0x80, &payload[len / 2..])]),
                    2 => frame_to(role, 0x8A, b"unasked"),
                    _ => frame_to(role, 0x82, &payload),
                });
            }
            if round % 3 == 0 {
                stream.extend(frame_to(role, 0x88, &[3, 232]));
            } else if round % 3 == 1 {
                stream.extend(frame_to(role, 0x81, b"\xff"));
            }
            let mut alone = open_with(role, quiet());
            let (expected, error) = feed(&mut alone, &stream, usize::MAX);
            let mut end = End::open(role, quiet());
            end.each = random.percent(50);
            let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
            from.bytes.extend(&stream);
            loop {
                end.cut = random.pick(&[1, 2, 7, 100, 1000, 2048, usize::MAX]);
                if !end.turn(&mut storage, [&mut from, &mut to], ms(1), |_, _| {}) {
                    break;
                }
            }
            let mut expected: Vec<_> = expected.into_iter().map(Ok).collect();
            expected.extend(error.map(Err));
            let short = |told: &[Told]| {
                told.iter().map(|it| format!("{it:.40?}").chars().take(60).collect::<String>()).collect::<Vec<_>>()
            };
            let told = end.events();
            assert!(told == expected, "{role:?}, round {round}: {:#?} {:#?}", short(&told), short(&expected));
        }
    }
}

#[test]
fn a_frame_that_a_full_read_cuts_off_is_lent_whole() {
    let mut storage = Storage::new(4096);
    let frames: Vec<u8> = (0..20).flat_map(|i| frame_to(Role::Server, 0x82, &[i; 200])).collect();
    let mut end = Driver::new(open_with(Role::Server, quiet()));
    let mut rest = &frames[..];
    let mut lent = 0;
    while !rest.is_empty() {
        let space = end.space(&mut storage);
        let n = space.len().min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        end.received(&mut storage, n, ms(1));
        while let Some(event) = end.event(&mut storage, ms(1)).unwrap() {
            let Event::Binary(Cow::Borrowed(bytes)) = event else { panic!("{event:?}") };
            assert_eq!(bytes, [lent; 200]);
            lent += 1;
        }
        end.next(&mut storage, ms(1));
    }
    assert_eq!(lent, 20);
}

#[test]
fn a_large_message_is_read_to_where_it_belongs() {
    let mut storage = Storage::new(4096);
    let mut end = Driver::new(open_with(Role::Client, quiet()));
    let message = frame_to(Role::Client, 0x82, &[7; 300_000]);
    let (mut rest, mut direct, mut told) = (&message[..], 0, None);
    while told.is_none() {
        let space = end.space(&mut storage);
        if space.len() > 4096 {
            direct += space.len().min(rest.len());
        }
        let n = space.len().min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        end.received(&mut storage, n, ms(1));
        told = end.event(&mut storage, ms(1)).unwrap().map(Event::into_owned);
        end.next(&mut storage, ms(1));
    }
    assert_eq!(told, Some(Event::Binary(vec![7; 300_000].into())));
    assert!(direct > 200_000, "{direct} bytes");
}

#[test]
fn a_loop_that_leaves_before_it_takes_what_was_read_loses_nothing() {
    let mut storage = Storage::new(4096);
    let message: Vec<u8> = (0..500_000_u32).map(|i| (i * 7) as u8).collect();
    let frame = client_frame(0x82, &message);
    // Cut so that the rest of the message is read to where it belongs, or so that it is not.
    for cut in [10, 5000] {
        let mut driver = End::open(Role::Server, quiet()).driver;
        let (mut told, mut direct) = (None, false);
        for bytes in [&frame[..cut], &frame[cut..]] {
            let mut rest = bytes;
            while !rest.is_empty() {
                let space = driver.space(&mut storage);
                let len = rest.len().min(space.len());
                direct |= space.len() > 4096;
                space[..len].copy_from_slice(&rest[..len]);
                rest = &rest[len..];
                driver.received(&mut storage, len, ms(0));
                assert!(!driver.is_settled(&storage));
                driver.leave(&mut storage);
                // Another connection has its turn.
                let mut other = End::open(Role::Server, quiet()).driver;
                other.space(&mut storage).fill(7);
                other.received(&mut storage, 1, ms(0));
                other.leave(&mut storage);
                assert!(driver.next(&mut storage, ms(0)).again);
                if let Some(event) = driver.event(&mut storage, ms(0)).unwrap() {
                    told = Some(event.into_owned());
                }
            }
        }
        assert_eq!(told, Some(Event::Binary(message.clone().into())), "cut at {cut}");
        assert!(direct, "cut at {cut}");
    }
}

#[test]
fn every_ping_of_one_read_is_answered() {
    let mut storage = Storage::new(4096);
    let mut end = End::open(Role::Server, quiet());
    let pings: Vec<u8> = (0..50).flat_map(|i| frame_to(Role::Server, 0x89, &[i])).collect();
    let pongs: Vec<u8> = (0..50).flat_map(|i| [0x8A, 1, i]).collect();
    assert_eq!(end.take(&mut storage, &pings, ms(1)), pongs);
}

#[test]
fn what_came_behind_a_request_follows_its_answer_without_another_read() {
    let mut storage = Storage::new(4096);
    let mut end = End::new(Connection::server(quiet()));
    let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
    from.bytes.extend(REQUEST);
    from.bytes.extend(frame_to(Role::Server, 0x81, b"early"));
    // The answer comes only later, of the application's own accord.
    while end.turn(&mut storage, [&mut from, &mut to], ms(1), |_, _| {}) {}
    let events = end.events();
    let [Ok(Event::Request(request))] = &events[..] else { panic!("{events:?}") };
    end.driver.connection().accept(request.accept()).unwrap();
    let next = end.driver.next(&mut storage, ms(1));
    assert!(next.again && next.write, "{next:?}");
    while end.turn(&mut storage, [&mut from, &mut to], ms(1), |_, _| {}) {}
    assert_eq!(end.events(), [Ok(Event::Text("early".into()))]);
}

// ---- who waits for whom

/// Both ends send `count` messages of `len` bytes; the server answers each it gets if `answers`.
fn both_send(room: usize, count: usize, len: usize, answers: bool) {
    let mut storage = Storage::new(16 << 10);
    let (mut up, mut down) = (Wire::new(room), Wire::new(room));
    let (mut client, mut server) = (End::open(Role::Client, quiet()), End::open(Role::Server, quiet()));
    let message = vec![7; len];
    let (mut to_send, mut to_return) = (count, if answers { 0 } else { count });
    loop {
        let mut moved = false;
        for (end, left) in [(&mut client, &mut to_send), (&mut server, &mut to_return)] {
            while *left > 0 && end.driver.connection().send_binary(&message).is_ok() {
                *left -= 1;
                moved = true;
            }
        }
        moved |= client.turn(&mut storage, [&mut down, &mut up], ms(1), |_, _| {});
        moved |= server.turn(&mut storage, [&mut up, &mut down], ms(1), |connection, event| {
            if answers {
                echo(connection, event);
            }
        });
        if !moved {
            break;
        }
    }
    let got = [client.events().len(), server.events().len()];
    assert_eq!(got, [count; 2], "over wires of {room} bytes, messages of {len}");
}

#[test]
fn two_ends_that_both_send_much_never_wait_for_each_other() {
    for room in [1, 100, 64 << 10] {
        for answers in [false, true] {
            both_send(room, 20, 500 * room.min(200), answers);
        }
    }
}

#[test]
fn a_server_stops_reading_for_its_answers_alone_and_a_client_never() {
    for role in BOTH {
        let mut storage = Storage::new(1 << 20);
        let mut end = End::open(role, quiet());
        let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(10));
        let mut turn = |end: &mut End, to: &mut Wire, answer: bool| {
            from.bytes.extend(frame_to(role, 0x82, &[7; 50_000]));
            end.turn(&mut storage, [&mut from, to], ms(1), |connection, event| {
                if answer {
                    echo(connection, event);
                }
            });
            end.events().len()
        };
        // Of its own accord.
        end.driver.connection().send_binary(&[0; 500_000]).unwrap();
        assert_eq!([turn(&mut end, &mut to, false), turn(&mut end, &mut to, false)], [1, 1], "{role:?}");
        // The second answer is too much for a server.
        let answered = [turn(&mut end, &mut to, true), turn(&mut end, &mut to, true), turn(&mut end, &mut to, true)];
        assert_eq!(answered, [1, 1, if role == Role::Server { 0 } else { 1 }], "{role:?}");
        // Until they have gone, whatever is sent behind them.
        end.driver.connection().send_binary(&[0; 100_000]).unwrap();
        (to.bytes, to.room) = (VecDeque::new(), 550_000);
        turn(&mut end, &mut to, false);
        assert!(end.driver.peek().is_high());
        assert!(turn(&mut end, &mut to, false) >= 1, "{role:?}");
    }
}

#[test]
fn work_of_every_kind_ends_a_turn() {
    let mut storage = Storage::new(4 << 20);
    let kinds: [(&str, Vec<u8>); 4] = [
        ("empty messages", frame_to(Role::Server, 0x82, b"")),
        ("pongs", frame_to(Role::Server, 0x8A, b"")),
        ("pings", frame_to(Role::Server, 0x89, b"")),
        ("fragments", frames_to(Role::Server, &[(0x02, b""), (0x80, b"")])),
    ];
    for (what, frames) in kinds {
        let mut end = End::open(Role::Server, quiet());
        end.each = what == "pongs";
        let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
        from.bytes.extend(frames.repeat((4 << 20) / frames.len()));
        end.turn(&mut storage, [&mut from, &mut to], ms(1), |_, _| {});
        let told = end.events().len();
        assert!(told <= (4 << 20) / 128 + 1, "{told} {what}");
        // What was read is not lost to who else was lent the storage meanwhile.
        let mut other = End::open(Role::Server, quiet());
        other.take(&mut storage, &frame_to(Role::Server, 0x81, b"mine"), ms(1));
        assert_eq!(other.events(), [Ok(Event::Text("mine".into()))]);
        let mut all = told;
        while end.turn(&mut storage, [&mut from, &mut to], ms(1), |_, _| {}) {
            all += end.events().len();
        }
        let expected = (4 << 20) / frames.len();
        assert_eq!(all + end.events().len(), expected, "{what}");
    }
}

#[cfg(feature = "deflate")]
#[test]
fn a_part_of_a_compressed_message_is_work_however_events_are_taken() {
    let params = DeflateParams { window_bits: 15, peer_window_bits: 15, takeover: true, peer_takeover: true };
    let negotiated = Negotiated::try_from(params).unwrap();
    for each in [false, true] {
        let mut storage = Storage::default();
        let mut driver = Driver::new(Connection::open(Role::Server, negotiated, quiet(), SEED));
        // Empty blocks, which make nothing of five bytes each (RFC 1951 §3.2.4).
        let part = frame_to(Role::Server, 0x42, &[0, 0, 0, 0xFF, 0xFF].repeat(40_000));
        let mut read = |driver: &mut Driver, bytes: &[u8]| {
            driver.space(&mut storage)[..bytes.len()].copy_from_slice(bytes);
            driver.received(&mut storage, bytes.len(), ms(1));
            let mut told = 0;
            match each {
                true => driver.each(&mut storage, ms(1), |_, _| told += 1).unwrap(),
                false => told += usize::from(driver.event(&mut storage, ms(1)).unwrap().is_some()),
            }
            told
        };
        assert_eq!(read(&mut driver, &part), 0);
        // The turn is over: the ping waits.
        assert_eq!(read(&mut driver, &frame_to(Role::Server, 0x89, b"")), 0, "each: {each}");
        assert!(driver.next(&mut storage, ms(1)).again);
        assert!(driver.event(&mut storage, ms(1)).unwrap().is_some());
    }
}

#[test]
fn bytes_that_come_one_at_a_time_cost_as_much_as_any() {
    let mut storage = Storage::new(1 << 20);
    let mut end = Driver::new(open_with(Role::Server, quiet()));
    let (_, heap) = used(|| {
        for byte in frame_to(Role::Server, 0x82, &[7; 60_000]) {
            end.space(&mut storage)[0] = byte;
            end.received(&mut storage, 1, ms(1));
            while end.event(&mut storage, ms(1)).unwrap().is_some() {}
            end.next(&mut storage, ms(1));
            end.leave(&mut storage);
        }
    });
    assert!(heap.asked < 400_000, "{heap:?}");
}

// ---- time

fn keepalive() -> Config {
    let mut config = Config::default();
    config.keepalive = Keepalive {
        handshake: Some(ms(1000)),
        ping: Some(ms(1000)),
        pong: Some(ms(500)),
        idle: None,
        close: Some(ms(700)),
        ..Keepalive::default()
    };
    config
}

#[test]
fn a_pong_that_waits_in_the_transport_is_read_before_the_time_is_judged() {
    let mut storage = Storage::new(4096);
    let mut end = End::open(Role::Server, keepalive());
    let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
    let mut turn = |end: &mut End, from: &mut Wire, now| end.turn(&mut storage, [from, &mut to], now, |_, _| {});
    turn(&mut end, &mut from, ms(0));
    turn(&mut end, &mut from, ms(1000));
    // The pong comes in time; the loop comes back long after.
    from.bytes.extend(frame_to(Role::Server, 0x8A, &[1]));
    turn(&mut end, &mut from, ms(9000));
    assert_eq!(end.events(), [Ok(Event::Pong(vec![1].into()))]);
    assert_eq!(end.driver.peek().state(), State::Open);
    // Silence is judged all the same.
    turn(&mut end, &mut from, ms(11_000));
    turn(&mut end, &mut from, ms(11_600));
    assert_eq!(end.events(), [Err(ProtocolError::PongTimeout)]);
    assert!(end.closed, "a dead peer is not waited for");
}

#[test]
fn a_deadline_is_not_judged_before_the_transport_was_asked() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, keepalive()));
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    let next = driver.next(&mut storage, ms(0));
    assert_eq!(next.deadline, Some(ms(1000)));
    assert_eq!(driver.event(&mut storage, ms(5000)), Ok(None));
    let next = driver.next(&mut storage, ms(5000));
    assert_eq!((next.read, next.write, next.deadline), (true, false, Some(ms(1000))));
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(5000)), Ok(None));
    assert!(driver.next(&mut storage, ms(5000)).write, "a ping");
}

#[test]
fn messages_alone_leave_it_settled() {
    let mut storage = Storage::new(4096);
    let mut end = End::open(Role::Server, keepalive());
    end.take(&mut storage, b"", ms(0));
    assert!(end.driver.is_settled(&storage));
    // Until the deadline is told of what the time was told for.
    end.driver.received_nothing(&mut storage);
    assert_eq!(end.driver.event(&mut storage, ms(1)), Ok(None));
    assert!(!end.driver.is_settled(&storage));
    end.driver.next(&mut storage, ms(1));
    end.take(&mut storage, &frame_to(Role::Server, 0x82, b"hello"), ms(900));
    assert!(end.driver.is_settled(&storage));
    // What was heard counts when the deadline comes.
    end.take(&mut storage, b"", ms(1000));
    assert_eq!(end.driver.next(&mut storage, ms(1000)).deadline, Some(ms(1900)));
    end.driver.connection().send_text("x").unwrap();
    assert!(!end.driver.is_settled(&storage));
}

#[test]
fn silence_counts_from_when_something_was_heard_not_from_when_the_time_was_told() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, keepalive()));
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    driver.next(&mut storage, ms(0));
    let hello = frame_to(Role::Server, 0x82, b"hello");
    driver.space(&mut storage)[..hello.len()].copy_from_slice(&hello);
    driver.received(&mut storage, hello.len(), ms(900));
    assert!(driver.event(&mut storage, ms(900)).unwrap().is_some());
    assert_eq!(driver.event(&mut storage, ms(900)), Ok(None));
    assert_eq!(driver.next(&mut storage, ms(900)).deadline, Some(ms(1000)), "messages move no deadline");
    driver.leave(&mut storage);
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(1000)), Ok(None));
    assert_eq!(driver.next(&mut storage, ms(1000)).deadline, Some(ms(1900)));
}

#[test]
fn what_is_left_of_what_was_read_is_told_later_and_is_not_settled() {
    let large = frame_to(Role::Client, 0x82, &[7; 300_000]);
    let frames = frames_to(Role::Client, &[(0x82, b"one"), (0x82, b"two")]);
    // What is read and told at first, what is read then, or the end, and the event that it makes.
    for (first, then, event) in [
        (&b""[..], &frames[..], Some(binary(b"one"))),
        (&frames[..5], &frames[5..], Some(binary(b"two"))),
        // A part of a large one, where it lies.
        (&large[..4096], &large[4096..5096], None),
        (b"", b"", None),
    ] {
        let mut storage = Storage::new(4096);
        let mut driver = Driver::new(open_with(Role::Client, quiet()));
        driver.received_nothing(&mut storage);
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
        driver.next(&mut storage, ms(1));
        if !first.is_empty() {
            read(&mut driver, &mut storage, first);
            while driver.event(&mut storage, ms(1)).unwrap().is_some() {}
            driver.next(&mut storage, ms(1));
        }
        assert!(driver.is_settled(&storage), "{event:?}");
        let is_end = then.is_empty();
        match is_end {
            true => driver.received(&mut storage, 0, ms(1)),
            false => read(&mut driver, &mut storage, then),
        }
        assert!(!driver.is_settled(&storage), "{event:?}");
        assert!(driver.has_more(&storage));
        let next = driver.next(&mut storage, ms(1));
        assert_eq!((next.again, next.read), (true, false), "{event:?}");
        driver.leave(&mut storage);
        // Another has the storage meanwhile.
        let mut other = End::open(Role::Server, quiet());
        other.take(&mut storage, &frame_to(Role::Server, 0x81, b"mine"), ms(1));
        assert_eq!(other.events(), [Ok(Event::Text("mine".into()))]);
        assert!(!driver.is_settled(&storage), "{event:?}");
        let next = driver.next(&mut storage, ms(1));
        assert_eq!((next.again, next.read), (true, false), "{event:?}");
        driver.leave(&mut storage);
        match is_end {
            true => assert_eq!(driver.event(&mut storage, ms(1)), Err(ProtocolError::UnexpectedEof)),
            false => assert!(driver.event(&mut storage, ms(1)).unwrap() == event),
        }
    }
}

#[test]
fn who_pauses_and_then_closes_sees_the_end() {
    for abort in [false, true] {
        let mut storage = Storage::new(4096);
        let mut end = End::open(Role::Server, keepalive());
        let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
        end.driver.pause();
        from.bytes.extend(frame_to(Role::Server, 0x82, b"unread"));
        for now in [0, 5000, 50_000] {
            assert!(!end.turn(&mut storage, [&mut from, &mut to], ms(now), |_, _| {}));
        }
        assert_eq!((end.events(), to.bytes.len()), (vec![], 0));
        match abort {
            true => end.driver.connection().abort(Code::AWAY),
            false => end.driver.connection().close(Code::AWAY, "").unwrap(),
        }
        for now in [50_000, 50_001, 50_800] {
            end.turn(&mut storage, [&mut from, &mut to], ms(now), |_, _| {});
        }
        assert!(end.closed, "abort: {abort}");
        let told = end.events();
        match abort {
            true => assert_eq!(told, []),
            false => {
                assert_eq!(told, [Ok(Event::Binary(b"unread".into())), Err(ProtocolError::CloseTimeout)]);
            }
        }
    }
}

// ---- what who takes the events says of the turn

/// Gives a driver what was read, as its loop does.
fn read(driver: &mut Driver, storage: &mut Storage, input: &[u8]) {
    driver.space(storage)[..input.len()].copy_from_slice(input);
    driver.received(storage, input.len(), ms(1));
}

#[test]
fn no_event_follows_one_that_pauses_holds_or_ends_the_turn() {
    for how in ["pause", "hold", "end", "charge"] {
        let mut storage = Storage::new(4096);
        let mut driver = Driver::new(open_with(Role::Server, quiet()));
        read(&mut driver, &mut storage, &frame_to(Role::Server, 0x81, b"x").repeat(3));
        let mut told = vec![];
        driver
            .each(&mut storage, ms(1), |turn, event| {
                told.push((turn.is_last(), event.into_owned()));
                match how {
                    "pause" => turn.pause(),
                    "hold" => turn.hold(),
                    "end" => turn.end(),
                    _ => turn.charge(5 << 20),
                }
            })
            .unwrap();
        assert_eq!(told, [(false, Event::Text("x".into()))], "{how}");
        assert!(!driver.has_more(&storage), "{how}");
        assert_eq!(driver.is_held(), how == "hold");
        let next = driver.next(&mut storage, ms(1));
        assert_eq!((next.again, next.read), (matches!(how, "end" | "charge"), false), "{how}");
        driver.leave(&mut storage);
        driver.turn(&mut storage).resume();
        driver.release();
        assert!(driver.next(&mut storage, ms(1)).again, "{how}");
        told.clear();
        driver.each(&mut storage, ms(1), |turn, event| told.push((turn.is_last(), event.into_owned()))).unwrap();
        assert_eq!(told, [(false, Event::Text("x".into())), (true, Event::Text("x".into()))], "{how}");
    }
}

#[test]
fn the_last_of_what_was_read_is_told_of_each_kind() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    let frames = [(0x82, &b"b"[..]), (0x81, b"t"), (0x01, b"put "), (0x80, b"together"), (0x89, b""), (0x81, b"t")];
    read(&mut driver, &mut storage, &frames_to(Role::Server, &frames));
    read(&mut driver, &mut storage, &frame_to(Role::Server, 0x82, b"b"));
    let mut told = vec![];
    while let Some(event) =
        driver.event_with(&mut storage, ms(1), |turn, event| (turn.is_last(), event.into_owned())).unwrap()
    {
        told.push(event);
    }
    let text = |text: &'static str| Event::Text(text.into());
    assert_eq!(
        told,
        [
            (false, Event::Binary(b"b".into())),
            (false, text("t")),
            (true, text("put together")),
            (false, Event::Ping(b"".into())),
        ]
    );
    // The answer to a ping goes out first.
    driver.next(&mut storage, ms(1));
    driver.leave(&mut storage);
    let mut last = || driver.event_with(&mut storage, ms(1), |turn, event| (turn.is_last(), event.into_owned()));
    assert_eq!(last(), Ok(Some((false, text("t")))));
    assert_eq!(last(), Ok(Some((true, Event::Binary(b"b".into())))));
}

#[test]
fn a_turn_goes_on_behind_what_is_written_within_it() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    read(&mut driver, &mut storage, &frame_to(Role::Server, 0x89, b"?").repeat(3));
    let (mut told, mut wire) = (0, Wire::new(usize::MAX));
    loop {
        driver.each(&mut storage, ms(1), |_, _| told += 1).unwrap();
        let more = driver.has_more(&storage);
        driver.write(&mut storage, &mut wire).unwrap();
        if !more {
            break;
        }
    }
    assert_eq!((told, wire.bytes.len()), (3, 9), "each ping has its pong");
}

/// Whoever takes events has to catch up even with a connection that closes; while it does, only the end has a deadline.
#[test]
fn a_connection_that_is_held_is_not_read_though_it_closes() {
    let mut storage = Storage::new(4096);
    let mut end = End::open(Role::Server, keepalive());
    let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
    end.driver.hold();
    from.bytes.extend(frame_to(Role::Server, 0x82, b"unread"));
    from.ended = true;
    for now in [0, 5000] {
        assert!(!end.turn(&mut storage, [&mut from, &mut to], ms(now), |_, _| {}));
    }
    assert_eq!(end.driver.next(&mut storage, ms(5000)).deadline, None);
    end.driver.connection().close(Code::AWAY, "").unwrap();
    end.turn(&mut storage, [&mut from, &mut to], ms(5000), |_, _| {});
    assert_eq!(end.driver.next(&mut storage, ms(5000)).deadline, Some(ms(5700)));
    end.turn(&mut storage, [&mut from, &mut to], ms(5700), |_, _| {});
    assert_eq!(end.events(), [Err(ProtocolError::CloseTimeout)]);
    assert!(end.closed);
}

#[test]
fn a_peer_that_hangs_up_is_not_waited_for_in_a_pause() {
    for resumes in [false, true] {
        let mut storage = Storage::new(4096);
        let mut driver = Driver::new(open_with(Role::Server, keepalive()));
        read(&mut driver, &mut storage, &frame_to(Role::Server, 0x81, b"left"));
        driver.pause();
        assert_eq!(driver.next(&mut storage, ms(1)).deadline, None);
        driver.hung_up();
        assert_eq!(driver.next(&mut storage, ms(10)).deadline, Some(ms(710)));
        driver.leave(&mut storage);
        if resumes {
            driver.resume();
            assert_eq!(driver.event(&mut storage, ms(710)), Ok(Some(Event::Text("left".into()))));
            driver.pause();
            assert_eq!(driver.next(&mut storage, ms(800)).deadline, Some(ms(1500)), "it begins anew");
        } else {
            assert_eq!(driver.event(&mut storage, ms(709)), Ok(None));
            assert_eq!(driver.event(&mut storage, ms(710)), Err(ProtocolError::UnexpectedEof));
            assert!(driver.next(&mut storage, ms(710)).close);
        }
    }
}

#[test]
fn the_end_of_the_transport_waits_for_a_pause_without_spinning() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    driver.received(&mut storage, 0, ms(1));
    driver.pause();
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
    assert!(!driver.next(&mut storage, ms(1)).again);
    driver.resume();
    assert!(driver.next(&mut storage, ms(1)).again);
    assert_eq!(driver.event(&mut storage, ms(1)), Err(ProtocolError::UnexpectedEof));
}

#[test]
fn the_last_long_message_is_written_from_where_it_lies() {
    let message = vec![7; 40_000];
    let mut storage = Storage::default();
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    read(&mut driver, &mut storage, &frame_to(Role::Server, 0x82, &message).repeat(2));
    let mut wire = Wire::new(100_000);
    let mut queued = vec![];
    driver
        .each(&mut storage, ms(1), |turn, event| {
            let message = event.into_message().unwrap();
            turn.send_through(&message, &mut wire).unwrap();
            queued.push(turn.queued());
        })
        .unwrap();
    // The second went out behind the first, at once.
    assert_eq!(queued, [40_004, 0]);
    // What the transport doesn't take waits.
    wire.room = wire.bytes.len() + 10;
    let message = Message::from(&message[..]);
    driver.turn(&mut storage).send_through(&message, &mut wire).unwrap();
    assert_eq!(driver.peek().queued(), 39_994);
    wire.room = usize::MAX;
    assert!(driver.write(&mut storage, &mut wire).unwrap());
    assert_eq!(wire.bytes.len(), 3 * 40_004);
}

#[test]
fn answers_that_are_written_in_a_later_turn_count_too() {
    let mut storage = Storage::new(1 << 20);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    for _ in 0..5 {
        assert!(driver.next(&mut storage, ms(1)).read);
        read(&mut driver, &mut storage, &frame_to(Role::Server, 0x82, &[7; 30_000]));
        while let Some(event) = driver.event(&mut storage, ms(1)).unwrap() {
            echo(driver.connection(), &event);
        }
        driver.leave(&mut storage);
    }
    assert!(!driver.next(&mut storage, ms(1)).read, "too many wait");
}

#[test]
fn answers_count_though_the_transport_is_asked_again_before_they_are_written() {
    let mut storage = Storage::new(1 << 20);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    for _ in 0..5 {
        assert!(driver.next(&mut storage, ms(1)).read);
        read(&mut driver, &mut storage, &frame_to(Role::Server, 0x82, &[7; 30_000]));
        driver.each(&mut storage, ms(1), |turn, event| echo(turn, &event)).unwrap();
        driver.received_nothing(&mut storage);
        driver.each(&mut storage, ms(1), |_, _| panic!("nothing is said")).unwrap();
    }
    assert!(!driver.next(&mut storage, ms(1)).read, "too many wait");
}

#[test]
fn answers_that_are_worked_out_elsewhere_count_if_it_is_said() {
    for says in [false, true] {
        let mut storage = Storage::new(4096);
        let mut driver = Driver::new(open_with(Role::Server, quiet()));
        for _ in 0..5 {
            if says {
                driver.answering(&mut storage);
            }
            driver.connection().send_binary(&[7; 30_000]).unwrap();
            driver.leave(&mut storage);
        }
        assert_eq!(driver.next(&mut storage, ms(1)).read, !says);
    }
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_input_that_says_nothing_ends_a_turn_too() {
    let mut storage = Storage::new(4 << 20);
    // One frame of a fragment, of stored blocks that hold nothing.
    let block = [0, 0, 0, 0xFF, 0xFF];
    let frame = frame_to(Role::Server, 0x42, &block.repeat(500_000 / 5));
    for each in [false, true] {
        let (mut driver, mut turns) = (Driver::new(compressed::compressed(Role::Server, true)), 0);
        read(&mut driver, &mut storage, &frame);
        loop {
            match each {
                true => driver.each(&mut storage, ms(1), |_, _| panic!("nothing is said")).unwrap(),
                false => assert_eq!(driver.event(&mut storage, ms(1)), Ok(None)),
            }
            turns += 1;
            if !driver.next(&mut storage, ms(1)).again {
                break;
            }
            driver.leave(&mut storage);
        }
        assert!((2..=4).contains(&turns), "{turns} turns, each: {each}");
    }
}

// ---- the end of the transport

#[test]
fn the_write_side_is_shut_down_once_and_the_end_of_the_transport_is_told() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Client, quiet()));
    driver.connection().close(Code::NORMAL, "").unwrap();
    let mut wire = Wire::new(usize::MAX);
    assert!(driver.write(&mut storage, &mut wire).unwrap());
    let close = frame_to(Role::Client, 0x88, &[3, 232]);
    driver.space(&mut storage)[..close.len()].copy_from_slice(&close);
    driver.received(&mut storage, close.len(), ms(1));
    assert!(matches!(driver.event(&mut storage, ms(1)), Ok(Some(Event::Close(_)))));
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
    let expected = Next { again: false, read: true, write: false, shutdown: true, close: false, deadline: None };
    assert_eq!(driver.next(&mut storage, ms(1)), expected);
    let next = driver.next(&mut storage, ms(1));
    assert_eq!((next.shutdown, next.close, next.read), (false, false, true));
    driver.received(&mut storage, 0, ms(1));
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(None), "it ended as it should");
    assert!(driver.next(&mut storage, ms(1)).close);
}

#[test]
fn a_transport_that_holds_bytes_back_is_waited_for_but_not_for_ever() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    driver.received(&mut storage, 0, ms(1));
    driver.set_held_back(true);
    assert_eq!(driver.event(&mut storage, ms(1)), Err(ProtocolError::UnexpectedEof));
    let next = driver.next(&mut storage, ms(1));
    assert_eq!((next.shutdown, next.close, next.deadline), (false, false, Some(ms(10_001))));
    assert!(!driver.next(&mut storage, ms(10_000)).close);
    assert_eq!(driver.next(&mut storage, ms(10_001)), Next { close: true, ..Next::default() });
    driver.set_held_back(false);
    let next = driver.next(&mut storage, ms(2));
    assert!(next.shutdown && next.close);
}

#[test]
fn a_transport_that_takes_one_slice_at_a_time_gets_all() {
    struct OneSlice(Vec<u8>);
    impl Write for OneSlice {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    let mut expected = vec![];
    for n in 0..3 {
        let bytes = vec![n; 100_000];
        expected.extend(frame_to(Role::Client, 0x82, &bytes));
        driver.connection().send_shared(Kind::Binary, bytes.into()).unwrap();
    }
    let mut transport = OneSlice(vec![]);
    assert!(driver.write(&mut storage, &mut transport).unwrap());
    assert!(transport.0 == expected);
}

#[test]
fn what_the_peer_said_before_it_went_is_read_though_nothing_can_be_written() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    driver.connection().send_text("into the void").unwrap();
    let broken = driver.write(&mut storage, Broken);
    assert_eq!(broken.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let next = driver.next(&mut storage, ms(1));
    assert_eq!((next.read, next.write, next.close), (true, false, false));
    let last = frame_to(Role::Server, 0x81, b"last words");
    driver.space(&mut storage)[..last.len()].copy_from_slice(&last);
    driver.received(&mut storage, last.len(), ms(1));
    assert_eq!(driver.event(&mut storage, ms(1)), Ok(Some(Event::Text("last words".into()))));
    driver.received_nothing(&mut storage);
    assert_eq!(driver.event(&mut storage, ms(1)), Err(ProtocolError::UnexpectedEof));
    assert!(driver.next(&mut storage, ms(1)).close);
}

#[test]
fn a_connection_that_is_gone_leaves_nothing_to_the_next() {
    let mut storage = Storage::new(4096);
    let mut gone = Driver::new(open_with(Role::Server, quiet()));
    let input = frames_to(Role::Server, &[(0x81, b"read"), (0x81, b"never read")]);
    gone.space(&mut storage)[..input.len()].copy_from_slice(&input);
    gone.received(&mut storage, input.len(), ms(1));
    assert!(gone.event(&mut storage, ms(1)).unwrap().is_some());
    drop(gone);
    let mut next = End::open(Role::Server, quiet());
    next.take(&mut storage, &frame_to(Role::Server, 0x81, b"mine"), ms(1));
    assert_eq!(next.events(), [Ok(Event::Text("mine".into()))]);
}

// ---- what it costs

#[test]
fn an_idle_driver_is_small_and_holds_no_heap() {
    assert!(size_of::<Driver>() <= size_of::<Connection>() + 16, "{} bytes", size_of::<Driver>());
    let mut storage = Storage::new(4096);
    let mut scratch = End::open(Role::Server, quiet());
    scratch.take(&mut storage, &frame_to(Role::Server, 0x82, &[7; 2000]), ms(1));
    let (mut wire, mut out) = (Wire::new(1 << 20), Wire::new(1 << 20));
    let frames = frames_to(Role::Server, &[(0x82, &[7; 1000]), (0x89, b"?"), (0x01, b"a"), (0x80, b"b")]);
    out.bytes.reserve(1 << 16);
    wire.bytes.reserve(1 << 16);
    let (_idle, heap) = used(|| {
        let mut driver = Driver::new(open_with(Role::Server, Config::default()));
        for cut in [1, 5, 1000, 4096] {
            wire.bytes.extend(&frames);
            while let Some(n) = wire.read(driver.space(&mut storage), cut) {
                driver.received(&mut storage, n, ms(1));
                while let Some(event) = driver.event(&mut storage, ms(1)).unwrap() {
                    echo(driver.connection(), &event);
                }
                driver.write(&mut storage, &mut out).unwrap();
                driver.next(&mut storage, ms(1));
                driver.leave(&mut storage);
            }
        }
        driver
    });
    assert!(heap.held <= 4096, "{} bytes, what the storage's outbox grew by", heap.held);
}

#[test]
fn steady_traffic_allocates_nothing_with_the_defaults() {
    for len in [0, 16, 1000, 100_000] {
        let mut storage = Storage::default();
        let mut driver = Driver::new(open_with(Role::Server, Config::default()));
        let stream = frame_to(Role::Server, 0x82, &vec![7; len]).repeat(16);
        let mut round = || {
            let (mut rest, mut echoes) = (&stream[..], 0);
            while echoes < 16 {
                // Reads that end anywhere.
                let space = driver.space(&mut storage);
                let n = rest.len().min(space.len()).min(stream.len() / 5 + 1);
                space[..n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                driver.received(&mut storage, n, ms(1));
                loop {
                    match driver.event(&mut storage, ms(1)).unwrap() {
                        Some(Event::Binary(bytes)) => {
                            driver.connection().send_binary(&bytes).unwrap();
                            if let Cow::Owned(bytes) = bytes {
                                driver.connection().recycle(bytes);
                            }
                            echoes += 1;
                        }
                        None if driver.peek().queued() > 0 => {
                            driver.write(&mut storage, io::sink()).unwrap();
                        }
                        _ => break,
                    }
                }
                driver.next(&mut storage, ms(1));
                driver.leave(&mut storage);
            }
        };
        for _ in 0..3 {
            round();
        }
        let ((), heap) = used(round);
        assert_eq!(heap.calls, 0, "messages of {len} bytes");
    }
}

/// As in a loop that reads many before it writes to any.
#[test]
fn answers_that_wait_for_others_to_be_read_allocate_nothing() {
    let mut storage = Storage::default();
    let mut drivers: Vec<_> = (0..8).map(|_| Driver::new(open_with(Role::Server, Config::default()))).collect();
    let message = frame_to(Role::Server, 0x82, &[7; 100]);
    let mut round = || {
        for driver in &mut drivers {
            read(driver, &mut storage, &message);
            while let Some(event) = driver.event(&mut storage, ms(1)).unwrap() {
                echo(driver.connection(), &event);
            }
            driver.leave(&mut storage);
        }
        for driver in &mut drivers {
            assert!(driver.write(&mut storage, io::sink()).unwrap());
            driver.next(&mut storage, ms(1));
            driver.leave(&mut storage);
        }
    };
    round();
    round();
    let ((), heap) = used(round);
    assert_eq!((heap.calls, heap.held), (0, 0));
}

#[test]
fn answers_are_written_before_there_are_too_many_to_send() {
    for each in [false, true] {
        let mut storage = Storage::new(1 << 20);
        let mut config = quiet();
        (config.outbound.soft, config.outbound.hard) = (16 << 10, 64 << 10);
        let mut end = End::open(Role::Server, config);
        end.each = each;
        let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
        from.bytes.extend(frame_to(Role::Server, 0x82, &[7; 2000]).repeat(200));
        while end.turn(&mut storage, [&mut from, &mut to], ms(1), echo) {}
        assert_eq!(end.events().len(), 200);
        assert_eq!(to.bytes.len(), 200 * 2004);
    }
}

#[test]
fn what_a_transport_holds_back_for_a_dead_peer_is_not_waited_for() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, keepalive()));
    driver.set_held_back(true);
    let mut told = vec![];
    for now in [0, 1000, 1500] {
        driver.received_nothing(&mut storage);
        told.extend(driver.event(&mut storage, ms(now)).err());
        driver.write(&mut storage, io::sink()).unwrap();
        assert_eq!(driver.next(&mut storage, ms(now)).close, now == 1500);
    }
    assert_eq!(told, [ProtocolError::PongTimeout]);
}

#[test]
fn an_outbox_that_is_lent_twice_keeps_its_room() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    let mut round = || {
        driver.lend(&mut storage);
        driver.lend(&mut storage);
        driver.connection().send_binary(&[7; 5000]).unwrap();
        driver.lend(&mut storage);
        driver.write(&mut storage, io::sink()).unwrap();
        driver.leave(&mut storage);
    };
    round();
    let ((), heap) = used(round);
    assert_eq!(heap.calls, 0);
}

#[test]
fn what_is_kept_for_the_next_turn_lies_in_a_buffer_that_serves_again() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    let messages = frame_to(Role::Server, 0x82, &[7; 100]).repeat(10);
    let mut round = || {
        read(&mut driver, &mut storage, &messages);
        for _ in 0..10 {
            let mut told = 0;
            driver.each(&mut storage, ms(1), |turn, _| (told, _) = (told + 1, turn.end())).unwrap();
            assert_eq!(told, 1);
            driver.next(&mut storage, ms(1));
            driver.leave(&mut storage);
        }
    };
    round();
    let ((), heap) = used(round);
    assert_eq!(heap.calls, 1, "what says where the buffer is: {heap:?}");
}

#[test]
fn pieces_come_as_they_arrive() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    let message = frames_to(Role::Server, &[(0x01, "größer".as_bytes()), (0x80, b"!")]);
    let mut pieces = vec![];
    for part in message.chunks(9) {
        driver.space(&mut storage)[..part.len()].copy_from_slice(part);
        driver.received(&mut storage, part.len(), ms(1));
        while let Some(event) = driver.piece(&mut storage, ms(1)).unwrap() {
            let Event::Piece(piece) = event else { panic!("{event:?}") };
            pieces.push((piece.data.kind(), String::from_utf8(piece.data.as_bytes().into()).unwrap(), piece.last));
        }
        driver.next(&mut storage, ms(1));
        driver.leave(&mut storage);
    }
    assert_eq!(pieces.iter().map(|(_, text, _)| &text[..]).collect::<String>(), "größer!");
    assert!(pieces.iter().all(|(kind, ..)| *kind == Kind::Text) && pieces.last().unwrap().2 && pieces.len() > 2);
    // With their turn, which may end among them.
    driver.space(&mut storage)[..message.len()].copy_from_slice(&message);
    driver.received(&mut storage, message.len(), ms(1));
    let told = driver.piece_with(&mut storage, ms(1), |turn, event| {
        turn.end();
        matches!(event, Event::Piece(Piece { first: true, last: false, .. }))
    });
    assert_eq!(told, Ok(Some(true)));
    assert_eq!(driver.piece_with(&mut storage, ms(1), |_, _| ()), Ok(None), "it is the others' turn");
    driver.leave(&mut storage);
    assert!(driver.next(&mut storage, ms(1)).again);
    let told =
        driver.piece_with(&mut storage, ms(1), |_, event| matches!(event, Event::Piece(Piece { last: true, .. })));
    assert_eq!(told, Ok(Some(true)));
}

#[test]
fn messages_are_passed_on_and_none_is_lost_where_nothing_is_taken() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    let mut config = quiet();
    config.outbound.hard = 50;
    let mut to = open_with(Role::Client, config);
    let frames = frames_to(Role::Server, &[(0x82, &[7; 90]), (0x89, b"?"), (0x82, &[8; 90])]);
    driver.space(&mut storage)[..frames.len()].copy_from_slice(&frames);
    driver.received(&mut storage, frames.len(), ms(1));
    assert_eq!(driver.relay(&mut storage, &mut to, ms(1)), Err(RelayError::Send(SendError::Full)));
    driver.pause();
    driver.next(&mut storage, ms(1));
    driver.leave(&mut storage);
    assert_eq!(driver.relay(&mut storage, &mut to, ms(1)), Ok(None), "it waits");
    assert_eq!(sent(&mut to), [(0x82, vec![7; 90])]);
    driver.resume();
    assert!(driver.next(&mut storage, ms(1)).again);
    assert_eq!(driver.relay(&mut storage, &mut to, ms(1)), Ok(Some(ping(b"?"))));
    assert_eq!(driver.relay(&mut storage, &mut to, ms(1)), Ok(None), "a ping is answered first");
    driver.write(&mut storage, std::io::sink()).unwrap();
    assert_eq!(driver.relay(&mut storage, &mut to, ms(1)), Ok(None));
    assert!(storage.work() > 90);
    assert_eq!(sent(&mut to), [(0x82, vec![8; 90])]);
}

#[test]
fn each_frame_of_a_message_is_work() {
    for each in [false, true] {
        let mut storage = Storage::new(4 << 20);
        let mut end = End::open(Role::Server, quiet());
        end.each = each;
        let message = [&[(0x02, &b""[..])][..], &[(0, &b""[..]); 3998], &[(0x80, &b""[..])]].concat();
        let (mut from, mut to) = (Wire::new(usize::MAX), Wire::new(usize::MAX));
        from.bytes.extend(frames_to(Role::Server, &message).repeat(100));
        end.turn(&mut storage, [&mut from, &mut to], ms(1), |_, _| {});
        let told = end.events().len();
        assert!((8..=9).contains(&told), "{told} messages of 4000 fragments");
    }
}

#[test]
fn the_rest_of_a_large_message_is_kept_for_its_turn() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Client, quiet()));
    let payload: Vec<u8> = (0..300_000).map(|at| at as u8).collect();
    let message = frame_to(Role::Client, 0x82, &payload);
    let (mut rest, mut told) = (&message[..], None);
    while told.is_none() {
        let space = driver.space(&mut storage);
        let n = space.len().min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        driver.received(&mut storage, n, ms(1));
        // Others have their turn first, on the same storage.
        driver.pause();
        assert_eq!(driver.event(&mut storage, ms(1)), Ok(None));
        assert!(!driver.is_settled(&storage));
        driver.leave(&mut storage);
        let mut other = End::open(Role::Server, quiet());
        other.take(&mut storage, &frame_to(Role::Server, 0x81, b"mine"), ms(1));
        assert_eq!(other.events(), [Ok(Event::Text("mine".into()))]);
        driver.resume();
        let next = driver.next(&mut storage, ms(1));
        assert!(next.again && !next.read, "{next:?}");
        told = driver.event(&mut storage, ms(1)).unwrap().map(Event::into_owned);
        driver.leave(&mut storage);
    }
    assert_eq!(told, Some(Event::Binary(payload.into())));
}

#[test]
fn a_closing_handshake_has_all_of_its_time_though_nothing_was_heard_for_long() {
    let mut storage = Storage::new(4096);
    let mut config = keepalive();
    config.keepalive.ping = None;
    let mut end = End::open(Role::Server, config);
    end.take(&mut storage, b"", ms(0));
    end.take(&mut storage, &frame_to(Role::Server, 0x82, b"hello"), ms(100));
    assert_eq!(end.events(), [Ok(binary(b"hello"))]);
    end.driver.connection().close(Code::AWAY, "").unwrap();
    end.take(&mut storage, b"", ms(9000));
    assert_eq!(end.events(), []);
    assert_eq!(end.driver.next(&mut storage, ms(9000)).deadline, Some(ms(9700)));
}

#[test]
fn messages_are_taken_one_by_one_and_what_is_left_follows() {
    let mut storage = Storage::new(4096);
    let mut driver = Driver::new(open_with(Role::Server, quiet()));
    let frames = frames_to(Role::Server, &[(0x81, b"a"), (0x82, b"b"), (0x89, b"?"), (0x81, b"c"), (0x81, b"\xff")]);
    driver.space(&mut storage)[..frames.len()].copy_from_slice(&frames);
    driver.received(&mut storage, frames.len(), ms(1));
    let mut messages = driver.messages(&mut storage);
    assert_eq!(messages.next(), Some(Ok(text("a"))));
    messages.turn().send_text("answer").unwrap();
    // Whoever stops here goes on later, also where others had their turn meanwhile.
    drop(messages);
    driver.write(&mut storage, std::io::sink()).unwrap();
    driver.leave(&mut storage);
    assert!(driver.next(&mut storage, ms(1)).again);
    let mut messages = driver.messages(&mut storage);
    assert_eq!(messages.next(), Some(Ok(binary(b"b"))));
    assert_eq!(messages.next(), None, "a ping is no message");
    drop(messages);
    assert!(!driver.is_dry(&storage));
    let ping = driver.event_with(&mut storage, ms(1), |_, event| event.into_owned());
    assert!(matches!(ping, Ok(Some(Event::Ping(_)))), "{ping:?}");
    assert_eq!(driver.messages(&mut storage).next(), None, "its answer is written first");
    driver.write(&mut storage, std::io::sink()).unwrap();
    let is_last = driver.event_with(&mut storage, ms(1), |turn, event| (turn.is_last(), event.into_owned()));
    assert_eq!(is_last, Ok(Some((false, text("c")))));
    assert_eq!(driver.messages(&mut storage).next(), Some(Err(ProtocolError::InvalidUtf8)));
    assert_eq!(driver.messages(&mut storage).next(), None);
}
