//! The driver among hostile peers and careless loops: it tells what the connection alone would, bounds what it holds, and
//! mixes nobody's bytes with another's.

use crate::common::heap::used;
use crate::common::random::{Random, Replay, seeds};
use crate::common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use sockless::driver::{Driver, Next, Storage};
use sockless::{Code, Config, Connection, Event, Keepalive, Limits, ProtocolError, Role, State};
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

type Told = Result<Event<'static>, ProtocolError>;

const NOW: Duration = Duration::from_millis(1);

fn quiet() -> Config {
    let mut config = Config::default();
    config.keepalive =
        Keepalive { handshake: None, ping: None, pong: None, idle: None, close: None, ..Keepalive::default() };
    config
}

/// A transport that takes so many bytes, and then no more for now.
struct Taker<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
}

impl Write for Taker<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.room);
        self.bytes.extend(&bytes[..n]);
        self.room -= n;
        if n == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that returns what it is sent, and all that is known of it.
struct Echo {
    driver: Driver,
    told: Vec<Told>,
    /// What it has sent, whether or not it has gone out.
    sent: Vec<Vec<u8>>,
    /// What has gone out.
    wire: Vec<u8>,
}

impl Echo {
    fn new(connection: Connection) -> Self {
        Self { driver: Driver::new(connection), told: vec![], sent: vec![], wire: vec![] }
    }

    /// Reads from the front of `input` if that is wanted; whether it was.
    fn read(&mut self, storage: &mut Storage, input: &mut &[u8], most: usize) -> bool {
        let wanted = self.driver.next(storage, NOW).read;
        if wanted {
            let space = self.driver.space(storage);
            let n = space.len().min(input.len()).min(most);
            space[..n].copy_from_slice(&input[..n]);
            *input = &input[n..];
            match n {
                0 => self.driver.received_nothing(storage),
                n => self.driver.received(storage, n, NOW),
            }
        }
        wanted
    }

    fn event(&mut self, storage: &mut Storage) -> bool {
        match self.driver.event(storage, NOW) {
            Ok(None) => return false,
            Ok(Some(event)) => {
                answer(self.driver.connection(), &event, &mut self.sent);
                self.told.push(Ok(event.into_owned()));
            }
            Err(error) => self.told.push(Err(error)),
        }
        true
    }

    fn each(&mut self, storage: &mut Storage) {
        let Self { driver, told, sent, .. } = self;
        while let Err(error) = driver.each(storage, NOW, |turn, event| {
            answer(turn, &event, sent);
            told.push(Ok(event.into_owned()));
        }) {
            told.push(Err(error));
        }
    }

    fn write(&mut self, storage: &mut Storage, room: usize) {
        self.driver.write(storage, Taker { bytes: &mut self.wire, room }).unwrap();
    }

    /// Turns until nothing moves any more.
    fn finish(&mut self, storage: &mut Storage, input: &mut &[u8]) {
        loop {
            let (left, told, written) = (input.len(), self.told.len(), self.wire.len());
            self.read(storage, input, usize::MAX);
            while self.event(storage) {}
            self.write(storage, usize::MAX);
            let next = self.driver.next(storage, NOW);
            self.driver.leave(storage);
            let goes_on = next.again || next.read && !input.is_empty();
            if !goes_on && (left, told, written) == (input.len(), self.told.len(), self.wire.len()) {
                return;
            }
        }
    }
}

fn answer(connection: &mut Connection, event: &Event<'_>, sent: &mut Vec<Vec<u8>>) {
    let bytes = match event {
        Event::Text(text) => text.as_bytes(),
        Event::Binary(bytes) => bytes,
        _ => return,
    };
    if connection.send_binary(bytes).is_ok() {
        sent.push(bytes.to_vec());
    }
}

// ---- what is told

/// What a peer may send that obeys no rule for long.
fn mischief(random: &mut Random, role: Role, lengths: &[usize]) -> Vec<u8> {
    let mut stream = vec![];
    for _ in 0..random.below(12) {
        let len = random.pick(lengths);
        let payload = random.bytes(len);
        let control = &payload[..len.min(125)];
        stream.extend(match random.below(12) {
            0..4 => frame_to(role, 0x82, &payload),
            4 => frame_to(role, 0x81, random.text(len).as_bytes()),
            5 => frames_to(role, &[(0x02, &payload), (0x00, b""), (0x89, control), (0x80, &payload)]),
            6 => frame_to(role, 0x8A, control),
            7 => frame_to(role, 0x89, control),
            8 => frames_to(role, &[(0x88, &[3, 232]), (0x82, &payload)]),
            // A length that nothing comes of, or too little.
            9 => header_to(role, 0x82, random.pick(&[126, 0xFFFF, 0x1_0000, 1 << 40, u64::MAX >> 1, u64::MAX])),
            10 => [header_to(role, 0x82, len as u64 + 1), control.to_vec()].concat(),
            _ => {
                let len = random.below(40) + 1;
                random.bytes(len)
            }
        });
    }
    if !stream.is_empty() && random.percent(40) {
        let at = random.below(stream.len());
        stream[at] ^= 1 << random.below(8);
    }
    stream
}

#[test]
fn whatever_comes_it_tells_what_the_connection_alone_tells() {
    let mut storage = Storage::new(2048);
    for seed in seeds(300) {
        let _replay = Replay(seed);
        let mut random = Random(seed);
        let role = random.pick(&BOTH);
        let one_at_a_time = random.percent(30);
        let lengths = [0, 1, 5, 125, 126, 300, 5000, 70_000];
        let stream = mischief(&mut random, role, if one_at_a_time { &lengths[..6] } else { &lengths });
        let mut alone = open_with(role, quiet());
        let (events, error) = feed(&mut alone, &stream, usize::MAX);
        let mut expected: Vec<Told> = events.into_iter().map(Ok).collect();
        expected.extend(error.map(Err));
        match alone.receive_eof() {
            Ok(None) => {}
            Ok(Some(event)) => expected.push(Ok(event)),
            Err(error) => expected.push(Err(error)),
        }

        let mut end = Echo::new(open_with(role, quiet()));
        let mut input = &stream[..];
        let mut turns = 0;
        while !input.is_empty() {
            let most = if one_at_a_time { 1 } else { random.pick(&[1, 2, 7, 100, 1000, 2048, usize::MAX]) };
            end.read(&mut storage, &mut input, most);
            match random.percent(50) {
                true => while end.event(&mut storage) {},
                false => end.each(&mut storage),
            }
            end.write(&mut storage, random.pick(&[0, 1, 1000, usize::MAX]));
            let next = end.driver.next(&mut storage, NOW);
            if random.percent(50) {
                end.driver.leave(&mut storage);
            }
            if next.close {
                break;
            }
            turns += 1;
            assert!(turns < 10 * stream.len() + 1000, "it makes no headway");
        }
        end.finish(&mut storage, &mut input);
        end.driver.received(&mut storage, 0, NOW);
        end.finish(&mut storage, &mut input);
        assert!(end.told == expected, "{role:?}: {:.2000?}\n{:.2000?}", end.told, expected);
        assert!(end.driver.next(&mut storage, NOW).close);
        // Every message was returned, and the end was said as alone.
        let frames = unframe(&end.wire);
        let returned: Vec<_> = frames.iter().filter(|(first, _)| *first == 0x82).map(|(_, bytes)| bytes).collect();
        assert!(returned.iter().copied().eq(&end.sent), "{} returned of {}", returned.len(), end.sent.len());
        let close = |frames: &[(u8, Vec<u8>)]| frames.iter().find(|(first, _)| *first == 0x88).cloned();
        assert_eq!(close(&frames), close(&unframe(&outbound(&mut alone))));
        end.driver.leave(&mut storage);
    }
}

// ---- what it holds

#[test]
fn announced_lengths_make_no_room() {
    for role in BOTH {
        let mut config = quiet();
        config.limits = Limits { message: usize::MAX, frame: usize::MAX, ..Limits::default() };
        let mut storage = Storage::new(4096);
        let mut end = Echo::new(open_with(role, config));
        let bytes = [header_to(role, 0x82, 1 << 40), vec![7; 5000]].concat();
        let (most, heap) = used(|| {
            let (mut input, mut most) = (&bytes[..], 0);
            while !input.is_empty() {
                most = most.max(end.driver.space(&mut storage).len());
                end.read(&mut storage, &mut input, 500);
                end.each(&mut storage);
            }
            end.driver.leave(&mut storage);
            most
        });
        assert!(most <= 64 << 10, "{role:?}: {most} bytes to read into");
        assert!(heap.held <= 64 << 10, "{role:?}: {} bytes held", heap.held);
    }
}

/// A peer that sends `frames` without end and takes nothing. What it can make wait is bounded, it is not read without end if it
/// is a client, and it is given up in time.
fn flood(role: Role, what: &str, frames: &[u8]) {
    let mut storage = Storage::new(16 << 10);
    let mut config = Config::default();
    let hard = 256 << 10;
    (config.outbound.soft, config.outbound.hard) = (hard / 4, hard);
    let mut end = Echo::new(open_with(role, config));
    let flood = frames.repeat((16 << 10) / frames.len() + 2);
    let (mut read, mut error) = (0, None);
    let ((), heap) = used(|| {
        for second in 0..60 {
            let now = Duration::from_secs(second);
            for _ in 0..3 {
                let next = end.driver.next(&mut storage, now);
                if next.read {
                    let space = end.driver.space(&mut storage);
                    let (n, at) = (space.len().min(16 << 10), read % frames.len());
                    space[..n].copy_from_slice(&flood[at..at + n]);
                    end.driver.received(&mut storage, n, now);
                    read += n;
                }
                if let Err(told) = end.driver.each(&mut storage, now, |connection, event| {
                    _ = event.into_message().map(|message| connection.send(&message));
                }) {
                    error.get_or_insert((second, told));
                }
                end.write(&mut storage, 0);
                end.driver.leave(&mut storage);
            }
            if error.is_some() {
                break;
            }
        }
    });
    let queued = end.driver.peek().counters().most_queued as usize;
    assert!(queued <= hard + (1 << 10), "{role:?}, {what}: {queued} bytes waited");
    assert!(heap.held <= 2 * hard as isize + (1 << 20), "{role:?}, {what}: {} bytes held", heap.held);
    if role == Role::Server && what == "messages" {
        assert!(read < 4 * hard, "{read} bytes were read of a peer that takes no answers");
        let (second, error) = error.expect("it is given up");
        assert_eq!((error, second < 60), (ProtocolError::PongTimeout, true), "after {second} s");
    }
}

#[test]
fn a_peer_that_never_reads_can_make_little_wait() {
    for role in BOTH {
        for (what, frame) in [
            ("messages", frame_to(role, 0x82, &[7; 1000])),
            ("pings", frame_to(role, 0x89, &[7; 125])),
            ("empty messages", frame_to(role, 0x82, b"")),
        ] {
            flood(role, what, &frame);
        }
    }
}

#[test]
fn the_smallest_fragments_end_at_their_limit() {
    for each in [false, true] {
        let mut storage = Storage::new(64 << 10);
        let mut end = Echo::new(open_with(Role::Server, quiet()));
        let mut stream = frame_to(Role::Server, 0x02, b"");
        stream.extend(frame_to(Role::Server, 0x00, b"").repeat(10_000));
        let (_, heap) = used(|| {
            let mut input = &stream[..];
            while end.told.is_empty() {
                assert!(end.read(&mut storage, &mut input, 7000));
                match each {
                    true => end.each(&mut storage),
                    false => while end.event(&mut storage) {},
                }
            }
        });
        assert!(matches!(end.told[..], [Err(ProtocolError::TooManyFragments { .. })]), "{:?}", end.told);
        assert_eq!(end.driver.peek().state(), State::Closing);
        assert!(heap.held <= 4096, "{} bytes", heap.held);
    }
}

// ---- any order of calls

/// What a loop may do with a driver at any time.
#[derive(Clone, Copy, Debug)]
enum Call {
    Read(usize),
    Nothing,
    Event,
    Each,
    Write(usize),
    WriteByHand(usize),
    Send(u8),
    Lend,
    Next,
    Leave,
    Pause(bool),
    Hold(bool),
    HoldBack(bool),
    Ask,
}

fn a_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => prop_oneof![1..20_usize, 1..3000_usize].prop_map(Call::Read),
        1 => Just(Call::Nothing),
        4 => Just(Call::Event),
        3 => Just(Call::Each),
        3 => prop_oneof![0..20_usize, 0..3000_usize].prop_map(Call::Write),
        2 => (0..1000_usize).prop_map(Call::WriteByHand),
        2 => any::<u8>().prop_map(Call::Send),
        1 => Just(Call::Lend),
        2 => Just(Call::Next),
        2 => Just(Call::Leave),
        1 => any::<bool>().prop_map(Call::Pause),
        1 => any::<bool>().prop_map(Call::Hold),
        1 => any::<bool>().prop_map(Call::HoldBack),
        1 => Just(Call::Ask),
    ]
}

/// Messages to an end, as frames with pings between them.
fn a_stream() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let frame = prop_oneof![
        6 => prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..2000)].prop_map(|bytes| vec![(0x82, bytes)]),
        1 => Just(vec![(0x82, vec![7; 70_000])]),
        2 => vec(any::<u8>(), 0..10).prop_map(|bytes| vec![(0x02, bytes.clone()), (0x89, vec![]), (0x80, bytes)]),
        1 => vec(any::<u8>(), 0..125).prop_map(|bytes| vec![(0x89, bytes)]),
    ];
    vec(frame, 0..8).prop_map(|frames| frames.concat())
}

fn obey(end: &mut Echo, storage: &mut Storage, input: &mut &[u8], call: Call) {
    match call {
        Call::Read(most) => _ = end.read(storage, input, most),
        Call::Nothing => end.driver.received_nothing(storage),
        Call::Event => _ = end.event(storage),
        Call::Each => end.each(storage),
        Call::Write(room) => end.write(storage, room),
        Call::WriteByHand(room) => {
            let mut outbound = end.driver.outbound(storage);
            let chunk = bytes::Buf::chunk(&outbound);
            let n = chunk.len().min(room);
            end.wire.extend(&chunk[..n]);
            bytes::Buf::advance(&mut outbound, n);
            end.driver.wrote(storage);
        }
        Call::Send(byte) => {
            let bytes = vec![byte; usize::from(byte) * 3];
            end.driver.connection().send_binary(&bytes).unwrap();
            end.sent.push(bytes);
        }
        Call::Lend => end.driver.lend(storage),
        Call::Next => _ = end.driver.next(storage, NOW),
        Call::Leave => end.driver.leave(storage),
        Call::Pause(true) => end.driver.pause(),
        Call::Pause(false) => end.driver.resume(),
        Call::Hold(true) => end.driver.hold(),
        Call::Hold(false) => end.driver.release(),
        Call::HoldBack(held_back) => end.driver.set_held_back(held_back),
        Call::Ask => {
            _ = (end.driver.is_settled(storage), end.driver.has_more(storage), end.driver.peek().wants());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Several connections of one loop, which shares its storage among them and calls in any order.
    #[test]
    fn calls_in_any_order_lose_and_mix_nothing(
        streams in [a_stream(), a_stream(), a_stream()],
        calls in vec((0..3_usize, a_call()), 0..150),
    ) {
        let roles = [Role::Server, Role::Client, Role::Server];
        let mut storage = Storage::new(1024);
        let bytes: Vec<Vec<u8>> = roles.iter().zip(&streams).map(|(role, frames)| {
            frames.iter().flat_map(|(first, payload)| frame_to(*role, *first, payload)).collect()
        }).collect();
        let mut inputs: Vec<&[u8]> = bytes.iter().map(|bytes| &bytes[..]).collect();
        let mut ends: Vec<Echo> = roles.iter().map(|role| Echo::new(open_with(*role, quiet()))).collect();
        let mut turn = 0;
        for (whose, call) in calls {
            if whose != turn {
                ends[turn].driver.leave(&mut storage);
                turn = whose;
            }
            obey(&mut ends[whose], &mut storage, &mut inputs[whose], call);
        }
        ends[turn].driver.leave(&mut storage);
        for (((end, input), role), bytes) in ends.iter_mut().zip(&mut inputs).zip(roles).zip(&bytes) {
            end.driver.resume();
            end.driver.release();
            end.driver.set_held_back(false);
            end.finish(&mut storage, input);
            prop_assert!(input.is_empty());
            let (expected, error) = feed(&mut open_with(role, quiet()), bytes, usize::MAX);
            prop_assert_eq!(error, None);
            prop_assert!(end.told.iter().map(|told| told.as_ref().unwrap()).eq(&expected));
            let frames = unframe(&end.wire);
            let data = frames.iter().filter(|(first, _)| *first == 0x82).map(|(_, payload)| payload);
            prop_assert!(data.eq(&end.sent));
            let pings = expected.iter().filter(|event| matches!(event, Event::Ping(_))).count();
            prop_assert!(frames.iter().filter(|(first, _)| *first == 0x8A).count() <= pings);
            // And it ends as any.
            end.driver.connection().close(Code::NORMAL, "").unwrap();
            end.wire.clear();
            end.finish(&mut storage, input);
            let close = unframe(&end.wire);
            prop_assert_eq!(close, [close_frame(1000)]);
        }
    }
}

// ---- a blocking loop

/// The loop of the README, whose calls block.
#[test]
fn a_blocking_loop_gives_up_a_peer_that_takes_nothing_and_says_nothing() {
    for (role, queued) in BOTH.into_iter().flat_map(|role| [(role, 10), (role, 100_000), (role, 1_000_000)]) {
        let mut storage = Storage::new(4096);
        let mut end = Echo::new(open_with(role, Config::default()));
        let (mut now, mut error, mut turns) = (Duration::ZERO, None, 0);
        end.driver.connection().send_binary(&vec![7; queued]).unwrap();
        loop {
            let next = end.driver.next(&mut storage, now);
            if next.close {
                break;
            }
            // A read and a write that get nowhere.
            now += 2 * next.wait(now).expect("it waits for ever");
            if next.read {
                end.driver.received_nothing(&mut storage);
            }
            if let Err(told) = end.driver.each(&mut storage, now, |_, _| {}) {
                error.get_or_insert((now.as_secs(), told));
            }
            end.write(&mut storage, 0);
            turns += 1;
            assert!(turns < 10_000, "{role:?}, {queued} bytes: it goes round for nothing, at {now:?}, with {error:?}");
        }
        let (second, error) = error.expect("it is given up");
        assert_eq!(
            (error, second < 60),
            (ProtocolError::PongTimeout, true),
            "{role:?}, {queued} bytes: after {second} s"
        );
    }
}

#[test]
fn a_blocking_call_waits_for_the_deadline_but_not_for_long_while_the_other_is_to_be_tried() {
    let ms = Duration::from_millis;
    let next = |write, deadline| Next { write, deadline, ..Next::default() };
    for (write, deadline, wait) in [
        (false, None, None),
        (false, Some(ms(5000)), Some(ms(4000))),
        (false, Some(ms(1000)), Some(ms(1))),
        (false, Some(ms(10)), Some(ms(1))),
        (true, None, Some(ms(10))),
        (true, Some(ms(5000)), Some(ms(10))),
        (true, Some(ms(1003)), Some(ms(3))),
        (true, Some(ms(10)), Some(ms(1))),
    ] {
        assert_eq!(next(write, deadline).wait(ms(1000)), wait, "{write}, {deadline:?}");
    }
}
