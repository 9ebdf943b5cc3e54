//! How much a peer may send in a time: the bucket, and what a driver makes of it.

use crate::common::heap;
use crate::common::*;
use bytes::Buf;
use proptest::prelude::*;
use sockless::driver::{Driver, Next, Storage};
use sockless::{
    Bucket, Change, Changes, Code, Config, Connection, Event, Excess, Fact, Keepalive, Limits, Negotiated,
    ProtocolError, Rate, Rates, Role, SharedConfig, State, Transport,
};
use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// ---- the bucket

#[test]
fn a_bucket_is_full_at_first_and_fills_with_time() {
    let mut bucket = Bucket::new(Rate::per_second(10).burst(3));
    assert_eq!((bucket.left(ms(0)), bucket.ready_at(1)), (3, ms(0)));
    for _ in 0..3 {
        assert!(bucket.take(1, ms(0)));
    }
    assert!(!bucket.take(1, ms(99)) && bucket.take(1, ms(100)) && !bucket.take(1, ms(100)));
    assert_eq!((bucket.ready_at(1), bucket.ready_at(3), bucket.ready_at(1000)), (ms(200), ms(400), ms(400)));
    assert_eq!(
        (bucket.left(ms(299)), bucket.left(ms(300)), bucket.left(ms(400)), bucket.left(ms(1 << 30))),
        (1, 2, 3, 3)
    );
}

#[test]
fn a_burst_is_there_whole_whatever_the_rate() {
    for per_second in (1..100).chain([999, 1001, 123_457, 1_000_003, 999_999_937]) {
        let mut bucket = Bucket::new(Rate::per_second(per_second));
        let burst = per_second.min(1000);
        for taken in 0..burst {
            assert_eq!(bucket.left(ms(7)), u64::from(per_second - taken), "{per_second}");
            assert!(bucket.take(1, ms(7)), "{taken} of {per_second}");
        }
        bucket.charge(u64::from(per_second - burst), ms(7));
        assert_eq!(bucket.left(bucket.ready_at(1)), 1, "{per_second}");
        assert_eq!(bucket.left(bucket.ready_at(1) - Duration::from_nanos(1)), 0, "{per_second}");
    }
}

#[test]
fn what_is_taken_beyond_is_owed() {
    let mut bucket = Bucket::new(Rate::per_second(1000));
    assert!(!bucket.take(1001, ms(0)));
    bucket.charge(5000, ms(0));
    assert_eq!((bucket.left(ms(4000)), bucket.ready_at(1)), (0, ms(4001)));
    assert!(!bucket.take(1, ms(4000)) && bucket.take(1, ms(4001)));
    // A thousand is owed, and two thousand a second pay for it.
    bucket.charge(2000, ms(5001));
    bucket.set_rate(Rate::per_second(2000).burst(1), ms(5001));
    assert_eq!((bucket.ready_at(1), bucket.left(ms(1 << 30))), (Duration::from_micros(5_501_500), 1));
    let mut full = Bucket::new(Rate::per_second(5));
    full.set_rate(Rate::per_second(7), ms(0));
    assert_eq!(full.left(ms(0)), 5);
}

#[test]
fn a_bucket_bears_what_makes_no_sense() {
    for rate in [Rate::per_second(0), Rate::per_second(u32::MAX), Rate { per_second: 0, burst: u32::MAX }] {
        let mut bucket = Bucket::new(rate);
        assert!(bucket.take(1, Duration::MAX));
        bucket.charge(u64::MAX, Duration::MAX);
        bucket.charge(u64::MAX, ms(0));
        _ = (bucket.left(ms(0)), bucket.left(Duration::MAX), bucket.ready_at(u64::MAX));
        assert!(!bucket.take(1, ms(0)));
    }
}

proptest! {
    /// In any time no more are taken than the burst, and what the rate makes of that time.
    #[test]
    fn no_more_is_taken_than_the_rate_gives(
        per_second in 1..2000u32,
        burst in 1..100u32,
        takes in proptest::collection::vec((0..50u64, 1..20u64), 1..200),
    ) {
        let mut bucket = Bucket::new(Rate { per_second, burst });
        let (mut now, mut taken) = (ms(0), 0);
        for (wait, amount) in takes {
            now += ms(wait);
            let left = bucket.left(now);
            let took = bucket.take(amount, now);
            prop_assert_eq!(took, left >= amount);
            taken += if took { amount } else { 0 };
            let most = u64::from(burst) + now.as_millis() as u64 * u64::from(per_second) / 1000;
            prop_assert!(taken <= most, "{} of {}", taken, most);
            // It says when there will be one, and there is.
            let ready = bucket.ready_at(1).max(now);
            prop_assert!(bucket.left(ready) >= 1);
            prop_assert!(ready == now || bucket.left(ready - Duration::from_nanos(1)) == 0);
        }
    }
}

// ---- the driver

fn rated(rates: Rates) -> Config {
    let mut config = Config { rates, ..Config::default() };
    config.keepalive = Keepalive { ping: None, ..Keepalive::default() };
    config
}

fn messages(rate: Rate) -> Rates {
    Rates { messages: Some(rate), ..Rates::NONE }
}

/// An end whose peer has always more to send.
struct Flooded {
    driver: Driver,
    storage: Storage,
    /// What the peer sends, over and over.
    flood: Vec<u8>,
    sent: usize,
    told: Vec<Event<'static>>,
    failed: Option<ProtocolError>,
    by: By,
}

/// How events are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Event,
    Each,
    Piece,
    Messages,
}

const ALL: [By; 4] = [By::Event, By::Each, By::Piece, By::Messages];

impl Flooded {
    fn new(role: Role, config: Config, frames: &[(u8, &[u8])], by: By) -> Self {
        let driver = Driver::new(open_with(role, config));
        let storage = Storage::new(256 << 10);
        Self { driver, storage, flood: frames_to(role, frames), sent: 0, told: vec![], failed: None, by }
    }

    /// Turns of a loop at one time, until it waits; what it waits for.
    fn turns(&mut self, now: Duration) -> Next {
        for _ in 0..100_000 {
            let next = self.driver.next(&mut self.storage, now);
            if !next.read && !next.again {
                self.driver.leave(&mut self.storage);
                return next;
            }
            if next.read {
                let space = self.driver.space(&mut self.storage);
                let len = space.len();
                for byte in space {
                    *byte = self.flood[self.sent % self.flood.len()];
                    self.sent += 1;
                }
                self.driver.received(&mut self.storage, len, now);
            }
            self.events(now);
            let mut out = self.driver.outbound(&mut self.storage);
            let queued = out.remaining();
            out.advance(queued);
            self.driver.wrote(&mut self.storage);
            if self.failed.is_some() {
                return self.driver.next(&mut self.storage, now);
            }
        }
        panic!("it never waits");
    }

    fn events(&mut self, now: Duration) {
        let Self { driver, storage, told, by, .. } = self;
        if *by == By::Messages {
            let mut messages = driver.messages(storage);
            while let Some(message) = messages.next() {
                told.push(message.unwrap().into_owned());
            }
        }
        loop {
            let result = match by {
                By::Each => driver.each(storage, now, |_, event| told.push(event.into_owned())).map(|()| None),
                By::Piece => driver.piece(storage, now).map(|event| event.map(Event::into_owned)),
                By::Event | By::Messages => driver.event(storage, now).map(|event| event.map(Event::into_owned)),
            };
            match result {
                Ok(Some(event)) => told.push(event),
                Ok(None) => return,
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

#[test]
fn a_flood_of_messages_comes_at_its_rate() {
    for role in BOTH {
        for by in ALL {
            let rate = messages(Rate::per_second(10).burst(5));
            let mut end = Flooded::new(role, rated(rate), &[(0x81, b"0123456789")], by);
            for (now, told) in [(0, 5), (0, 5), (50, 5), (100, 6), (1000, 11), (100_000, 16)] {
                let next = end.turns(ms(now));
                assert_eq!(end.told.len(), told, "{by:?} at {now}");
                assert_eq!(
                    next,
                    Next { deadline: Some(ms(now / 100 * 100 + 100)), ..Next::default() },
                    "{by:?} at {now}"
                );
                // It is read no more, and what was read is little.
                assert!(end.sent <= 64 << 10, "{} read", end.sent);
            }
        }
    }
}

#[test]
fn a_flood_of_pings_fragments_or_pongs_counts_as_well() {
    for (frames, told) in [
        (&[(0x89, &b"ping"[..])][..], 5),
        (&[(0x8A, b"")], 5),
        (&[(0x01, b"a"), (0x00, b"b"), (0x80, b"c")], 2),
        (&[(0x01, b""), (0x00, b""), (0x89, b""), (0x00, b""), (0x80, b"")], 2),
    ] {
        let mut end = Flooded::new(Role::Server, rated(messages(Rate::per_second(1).burst(5))), frames, By::Event);
        end.turns(ms(0));
        assert_eq!(end.told.len(), told, "{frames:?}");
        assert!(end.turns(ms(500)).deadline >= Some(ms(1000)));
        assert_eq!(end.told.len(), told, "{frames:?}");
    }
}

#[test]
fn a_flood_of_bytes_comes_at_its_rate() {
    for len in [10, 1000, 200_000] {
        for by in [By::Event, By::Each, By::Piece] {
            let rates = Rates { bytes: Some(Rate::per_second(100_000).burst(20_000)), ..Rates::NONE };
            let mut end = Flooded::new(Role::Server, rated(rates), &[(0x82, &vec![7; len])], by);
            let mut now = ms(0);
            for _ in 0..200 {
                now = end.turns(now).deadline.expect("a limit").max(now);
                let most = 20_000 + now.as_millis() as usize * 100 + 2048;
                assert!(end.sent <= most, "{} of {most} bytes at {now:?}", end.sent);
            }
            // Nor is it slower than its rate.
            assert!(end.sent >= now.as_millis() as usize * 100, "{} bytes at {now:?}", end.sent);
        }
    }
}

#[test]
fn who_keeps_to_its_rate_notices_nothing() {
    let rates = Rates {
        messages: Some(Rate::per_second(10).burst(1)),
        bytes: Some(Rate::per_second(1000)),
        excess: Excess::Close,
    };
    let mut driver = Driver::new(open_with(Role::Server, rated(rates)));
    let mut storage = Storage::new(4096);
    let frame = frame_to(Role::Server, 0x81, b"Hello");
    for now in (0..100).map(|number| ms(100 * number)) {
        assert!(driver.next(&mut storage, now).read);
        driver.space(&mut storage)[..frame.len()].copy_from_slice(&frame);
        driver.received(&mut storage, frame.len(), now);
        assert_eq!(driver.event(&mut storage, now), Ok(Some(Event::Text("Hello".into()))));
        assert_eq!(driver.event(&mut storage, now), Ok(None));
        driver.leave(&mut storage);
    }
}

#[test]
fn who_sends_more_is_refused_where_that_is_asked_for() {
    let of_messages = messages(Rate::per_second(10).burst(5));
    let of_bytes = Rates { bytes: Some(Rate::per_second(70)), ..Rates::NONE };
    for role in BOTH {
        for by in ALL {
            for (rates, most) in [(of_messages, 5), (of_bytes, if role == Role::Server { 70 / 6 } else { 70 / 2 })] {
                let rates = Rates { excess: Excess::Close, ..rates };
                let mut end = Flooded::new(role, rated(rates), &[(0x81, b"")], by);
                let next = end.turns(ms(0));
                assert_eq!(end.told.len(), most);
                assert_eq!(end.failed, Some(ProtocolError::RateExceeded));
                assert_eq!(ProtocolError::RateExceeded.close_code(), Some(Code::POLICY));
                assert!(next.close || role == Role::Client || next.shutdown, "{next:?}");
                assert_eq!(end.driver.peek().state(), State::Closing);
            }
        }
    }
}

#[test]
fn a_peer_that_is_not_read_is_not_silent() {
    let mut config = rated(messages(Rate { per_second: 1, burst: 1 }));
    config.keepalive = Keepalive { ping: Some(ms(100)), pong: Some(ms(100)), idle: Some(ms(2000)), ..config.keepalive };
    let mut end = Flooded::new(Role::Server, config, &[(0x81, b"x")], By::Each);
    for now in (0..10_000).step_by(50) {
        end.turns(ms(now));
        end.driver.received_nothing(&mut end.storage);
        end.events(ms(now));
        assert_eq!(end.driver.judge(ms(now)), Ok(()));
        end.driver.leave(&mut end.storage);
    }
    assert_eq!((end.told.len(), end.failed, end.driver.peek().state()), (10, None, State::Open));
    // But it is not waited for at the end.
    end.driver.connection().close(Code::AWAY, "").unwrap();
    let mut now = ms(10_000);
    while end.failed.is_none() {
        assert!(now < ms(30_000));
        now = end.turns(now).deadline.expect("a deadline").max(now + ms(1));
        end.events(now);
    }
    assert_eq!(end.failed, Some(ProtocolError::CloseTimeout));
    assert_eq!(end.driver.peek().wants().transport, Transport::Close);
}

#[test]
fn rates_are_changed_while_a_connection_runs() {
    let mut end = Flooded::new(Role::Server, rated(Rates::NONE), &[(0x81, b"x")], By::Each);
    end.driver.set_rates(messages(Rate::per_second(1).burst(3)));
    assert_eq!((end.turns(ms(0)).deadline, end.told.len()), (Some(ms(1000)), 3));
    end.driver.set_rates(messages(Rate::per_second(10).burst(3)));
    assert_eq!((end.turns(ms(1000)).deadline, end.told.len()), (Some(ms(1100)), 6));
    end.turns(ms(10_000));
    assert_eq!(end.told.len(), 9);
    end.driver.set_rates(Rates::NONE);
    assert!(end.driver.next(&mut end.storage, ms(10_000)).again, "what was read before comes now");
    end.events(ms(10_000));
    assert!(end.told.len() > 1000, "{}", end.told.len());
    assert!(end.driver.next(&mut end.storage, ms(10_000)).read);
}

#[test]
fn one_change_is_for_many_connections_and_costs_no_memory_for_each() {
    let mut own = Config::default();
    own.limits.frame = 1000;
    let shared = SharedConfig::from(own);
    let mut drivers: Vec<_> = (0..100)
        .map(|number| match number % 2 {
            0 => Driver::new(open_with(Role::Server, Config::default())),
            _ => Driver::new(Connection::open(Role::Server, Negotiated::default(), shared.clone(), SEED)),
        })
        .collect();
    let ((), used) = heap::used(|| {
        for change in [
            Change::Limits(Limits { message: 7, ..Limits::default() }),
            Change::Keepalive(Keepalive { ping: Some(ms(7000)), ..Keepalive::default() }),
        ] {
            let mut changes = Changes::new(change);
            drivers.iter_mut().for_each(|driver| driver.change(&mut changes));
        }
    });
    assert!(used.held <= 2 * 1024, "{used:?}");
    for mut driver in drivers {
        let config = driver.peek().config();
        assert_eq!((config.limits.message, config.keepalive.ping), (7, Some(ms(7000))));
        let error = feed(driver.connection(), &frame_to(Role::Server, 0x82, &[0; 8]), 100).1;
        assert_eq!(error, Some(ProtocolError::MessageTooLong { len: 8, limit: 7 }));
    }
    assert_eq!(shared.limits, Limits { frame: 1000, ..Limits::default() }, "the server's own is as it was");
    let mut end = Flooded::new(Role::Server, rated(Rates::NONE), &[(0x81, b"x")], By::Each);
    end.driver.change(&mut Changes::new(Change::Rates(messages(Rate::per_second(1).burst(3)))));
    assert_eq!((end.turns(ms(0)).deadline, end.told.len()), (Some(ms(1000)), 3));
}

#[test]
fn the_opening_handshake_is_not_counted() {
    let rates = Rates { bytes: Some(Rate::per_second(50)), messages: Some(Rate::per_second(1)), excess: Excess::Close };
    let mut driver = Driver::new(sockless::Connection::server(rated(rates)));
    let mut storage = Storage::new(4096);
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    driver.space(&mut storage)[..request.len()].copy_from_slice(request);
    driver.received(&mut storage, request.len(), ms(0));
    let Ok(Some(Event::Request(request))) = driver.event(&mut storage, ms(0)) else { panic!("no request") };
    driver.connection().accept(request.accept()).unwrap();
    assert_eq!(driver.event(&mut storage, ms(0)), Ok(None));
    assert_eq!(driver.peek().state(), State::Open);
}

// ---- halves

#[test]
fn halves_keep_rates_too() {
    let config = rated(messages(Rate::per_second(10).burst(2)));
    let Ok((mut reading, mut writing)) = Driver::new(open_with(Role::Server, config)).split() else {
        panic!("not open")
    };
    let mut storage = Storage::new(4096);
    let frames = frame_to(Role::Server, 0x81, b"x").repeat(5);
    assert!(reading.is_rated());
    assert_eq!(writing.judge(0, ms(0)), Ok(false));
    let mut facts = vec![];
    reading.tell_time(ms(0));
    reading.space(&mut storage)[..frames.len()].copy_from_slice(&frames);
    reading.received(&mut storage, frames.len());
    let mut told = 0;
    while reading.event(&mut storage, |fact| facts.push(fact)).unwrap().is_some() {
        told += 1;
    }
    assert_eq!((told, &facts[..]), (2, &[Fact::Limited(ms(100))][..]));
    assert_eq!(reading.next(&mut storage, true), Next::default());
    facts.drain(..).for_each(|fact| writing.handle_fact(fact));
    assert_eq!(writing.next(ms(50)).deadline, Some(ms(100)));
    // No time is judged meanwhile.
    assert_eq!(writing.judge(reading.heard(), ms(99)), Ok(false));
    assert_eq!(writing.next(ms(100)).deadline, None);
    reading.tell_time(ms(100));
    assert!(reading.next(&mut storage, true).again);
    assert!(reading.event(&mut storage, |fact| facts.push(fact)).unwrap().is_some());
    assert_eq!(facts, [Fact::Limited(ms(200))]);
    reading.set_rates(Rates { excess: Excess::Close, ..messages(Rate::per_second(1)) });
    let failed = reading.event(&mut storage, |fact| facts.push(fact));
    assert_eq!((failed, facts.last()), (Err(ProtocolError::RateExceeded), Some(&Fact::Failed(Some(Code::POLICY)))));
}
