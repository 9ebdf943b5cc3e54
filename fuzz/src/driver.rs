//! A driver that shares its storage with another, its calls in any order, and what a connection says that is fed whole.

use crate::feed::{By, Cuts, Feeder, join};
use crate::frames::{self, Frame};
use crate::settings::{SEED, Settings};
use crate::tapes;
use arbitrary::Arbitrary;
use bytes::Buf;
use sockless::driver::{Driver, Next, Storage};
use sockless::frame::OpCode;
use sockless::{Config, Connection, Event, Kind, Message, Negotiated, ProtocolError, Role};
use std::borrow::Cow;
use std::time::Duration;

/// What the peer sends, and what the loop does with it.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    settings: Settings,
    /// Bits: the role; the bytes are a script of frames; messages are sent back; a large buffer; then how events are taken.
    ways: u8,
    /// The loop's calls, each a choice and an amount, over and over while there is input.
    calls: [[u8; 2]; 8],
    bytes: &'a [u8],
}

/// How a loop takes events.
#[derive(Clone, Copy)]
enum Taking {
    /// By any of the calls that give messages whole.
    Whole,
    Pieces,
    Frames,
}

/// Whatever the order of its calls, a driver tells what a connection does that is fed whole, and its loop comes to the end.
pub fn check(input: &Input<'_>) {
    let role = if input.ways & 1 == 0 { Role::Server } else { Role::Client };
    let stream = match input.ways & 2 {
        0 => Cow::Borrowed(input.bytes),
        _ => Cow::Owned(frames::script(input.bytes, role)),
    };
    tapes::leave_received(|| input.settings.record(role), Cuts::WHOLE.parts(&stream));
    let mut game = Game::new(input, role, &stream);
    // Some loops do only what they are told to.
    if input.calls != [[0; 2]; 8] {
        let calls = input.calls.iter().cycle().take(200);
        calls.take_while(|call| game.play(**call)).for_each(drop);
    }
    game.finish();

    let mut plain = input.settings.open_for_ever(role);
    let mut feeder = Feeder::new(&mut plain, By::Receive);
    feeder.flushes = true;
    feeder.feed(&stream, Cuts::WHOLE, |_, _| {});
    feeder.eof();
    assert_eq!(game.error, feeder.said.error);
    assert_eq!(game.events, feeder.said.events);
    game.check_sent(&feeder.said.sent);
}

/// What the other driver is sent, again and again, and what it sends back then.
const PING: &[u8] = b"\x89\x80\0\0\0\0";
const PONG: &[u8] = b"\x8a\x00";

struct Game<'a> {
    role: Role,
    driver: Driver,
    storage: Storage,
    /// The other driver, whose turn it is now and then.
    other: Driver,
    taking: Taking,
    echoes: bool,
    compressed: bool,
    /// What the peer has sent, and was not read.
    input: &'a [u8],
    /// It was told that there is no more.
    over: bool,
    now: Duration,
    /// It was told to read, and has done nothing since.
    wants_read: bool,
    shut: bool,
    closed: bool,
    events: Vec<Event<'static>>,
    error: Option<ProtocolError>,
    joined: Option<Message<'static>>,
    /// What was taken to be sent.
    echoed: Vec<(Kind, Vec<u8>)>,
    sent: Vec<u8>,
}

impl<'a> Game<'a> {
    fn new(input: &Input<'_>, role: Role, stream: &'a [u8]) -> Self {
        Self {
            role,
            driver: Driver::new(input.settings.open_for_ever(role)),
            storage: Storage::new(if input.ways & 8 == 0 { 1024 } else { Storage::READ }),
            other: Driver::new(Connection::open(Role::Server, Negotiated::default(), Config::default(), SEED)),
            taking: match input.ways >> 4 & 3 {
                0 | 1 => Taking::Whole,
                2 => Taking::Pieces,
                _ => Taking::Frames,
            },
            echoes: input.ways & 4 != 0,
            compressed: input.settings.is_compressed(),
            input: stream,
            over: false,
            now: Duration::ZERO,
            wants_read: false,
            shut: false,
            closed: false,
            events: Vec::new(),
            error: None,
            joined: None,
            echoed: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Makes a call; whether there may be others.
    fn play(&mut self, [call, amount]: [u8; 2]) -> bool {
        let amount = usize::from(amount);
        match call & 0x0F {
            0..=2 => self.read(amount),
            3 => self.driver.received_nothing(&mut self.storage),
            4 | 5 => self.take(usize::MAX),
            6 => self.take(1 + amount % 4),
            7 | 8 => self.write(amount),
            9 => self.write(usize::MAX),
            10 => drop(self.next()),
            11 => self.visit(),
            12 => self.driver.pause(),
            13 => self.driver.hold(),
            14 => {
                self.driver.resume();
                self.driver.release();
            }
            _ => self.now += Duration::from_millis(amount as u64),
        }
        !self.closed
    }

    /// Does what it is told to do, until it is told to close. All that a turn can do it does, so that one in which nothing moves is
    /// the last before more is read.
    fn finish(&mut self) {
        self.driver.resume();
        self.driver.release();
        let mut idle = 0;
        while !self.closed {
            let before = self.moved();
            let next = self.next();
            if next.read {
                self.read(usize::MAX);
            }
            if next.read || next.again {
                self.take(usize::MAX);
            }
            self.write(usize::MAX);
            idle = if self.moved() == before { idle + 1 } else { 0 };
            assert!(idle < 4, "the loop spins: {next:?}, {:?}", self.driver);
        }
    }

    /// What changes as a loop gets on.
    fn moved(&self) -> (usize, u64, bool, usize, bool, usize) {
        let taken = self.driver.peek().counters().received.bytes;
        (self.input.len(), taken, self.over, self.events.len(), self.error.is_some(), self.sent.len())
    }

    fn next(&mut self) -> Next {
        let next = self.driver.next(&mut self.storage, self.now);
        self.wants_read = next.read;
        assert!(!(next.shutdown && self.shut), "it is told once");
        self.shut |= next.shutdown;
        self.closed |= next.close;
        next
    }

    fn read(&mut self, most: usize) {
        let space = self.driver.space(&mut self.storage);
        if space.is_empty() {
            assert!(!self.wants_read, "there is room for what is to be read");
            return;
        }
        let len = most.min(space.len()).min(self.input.len());
        let (bytes, rest) = self.input.split_at(len);
        space[..len].copy_from_slice(bytes);
        match (len, rest) {
            // There is no more, which is told once.
            (0, []) if self.over => {}
            (0, [_, ..]) => return self.driver.received_nothing(&mut self.storage),
            (0, []) => self.over = true,
            _ => self.input = rest,
        }
        self.wants_read = false;
        self.driver.received(&mut self.storage, len, self.now);
    }

    /// Takes events, at most so many.
    fn take(&mut self, most: usize) {
        let Self { driver, storage, now, .. } = self;
        let now = *now;
        let mut told = Told { events: &mut self.events, joined: &mut self.joined, ended: self.error.is_some() };
        let mut take = |connection: &mut Connection, event: Event<'_>| {
            let event = event.into_owned();
            if self.echoes {
                echo(connection, &event, &mut self.echoed);
            }
            told.push(event);
        };
        let mut result = Ok(Some(()));
        if let (Taking::Whole, usize::MAX) = (self.taking, most) {
            result = driver.each(storage, now, |turn, event| take(turn, event)).map(|()| None);
        }
        if let (Taking::Whole, 2) = (self.taking, most) {
            let mut messages = driver.messages(storage);
            while let Some(message) = messages.next() {
                match message {
                    Ok(event) => take(&mut messages.turn(), event),
                    Err(error) => result = Err(error),
                }
            }
        }
        for _ in 0..most {
            let Ok(Some(())) = result else { break };
            result = match self.taking {
                Taking::Whole if most == 1 => driver.event(storage, now).map(|event| {
                    event.map(|event| {
                        take(driver.connection(), event);
                    })
                }),
                Taking::Whole => driver.event_with(storage, now, |turn, event| take(turn, event)),
                Taking::Pieces => driver.piece_with(storage, now, |turn, event| take(turn, event)),
                Taking::Frames => driver.frame_with(storage, now, |turn, event| take(turn, event)),
            };
        }
        if let Err(error) = result {
            assert_eq!(self.error.replace(error), None, "one error");
        }
    }

    fn write(&mut self, most: usize) {
        let mut outbound = self.driver.outbound(&mut self.storage);
        let mut left = most.min(outbound.remaining());
        while left > 0 {
            let len = outbound.chunk().len().min(left);
            self.sent.extend_from_slice(&outbound.chunk()[..len]);
            outbound.advance(len);
            left -= len;
        }
        self.driver.wrote(&mut self.storage);
    }

    /// It is the other's turn, which finds and leaves nothing in the storage but what is its own.
    fn visit(&mut self) {
        self.driver.leave(&mut self.storage);
        let Self { other, storage, now, .. } = self;
        other.space(storage)[..PING.len()].copy_from_slice(PING);
        other.received(storage, PING.len(), *now);
        assert_eq!(other.event(storage, *now), Ok(Some(Event::Ping(b"".into()))));
        assert_eq!(other.event(storage, *now), Ok(None));
        let mut outbound = other.outbound(storage);
        let len = outbound.remaining();
        assert_eq!(outbound.copy_to_bytes(len), PONG);
        other.wrote(storage);
        assert!(other.next(storage, *now).read);
        other.leave(storage);
    }

    /// Pongs and the close frame are of those of a connection that writes at once; messages are those that were taken.
    fn check_sent(&self, plain: &[u8]) {
        let [ours, theirs] = [&self.sent, plain].map(|bytes| frames::unframe(bytes, self.role));
        let is_control = |frame: &Frame| frame.opcode.is_control();
        let [controls, expected] = [&ours, &theirs].map(|frames| {
            frames
                .iter()
                .filter(|frame| is_control(frame))
                .map(|frame| (frame.opcode, &frame.payload))
                .collect::<Vec<_>>()
        });
        // Of pings that were not answered yet, the last is (RFC 6455 section 5.5.3).
        let mut all = expected.iter();
        assert!(controls.iter().all(|sent| all.any(|frame| frame == sent)), "{controls:?}, {expected:?}");
        assert_eq!(controls.last(), expected.last());
        if self.compressed {
            return;
        }
        let mut messages: Vec<(Kind, Vec<u8>)> = Vec::new();
        for frame in ours.into_iter().filter(|frame| !is_control(frame)) {
            match frame.opcode {
                OpCode::Text => messages.push((Kind::Text, frame.payload)),
                OpCode::Binary => messages.push((Kind::Binary, frame.payload)),
                _ => messages.last_mut().expect("a message to continue").1.extend(frame.payload),
            }
        }
        // Behind an error, what waits may be dropped for the close frame.
        assert!(if self.error.is_none() { messages == self.echoed } else { self.echoed.starts_with(&messages) });
    }
}

/// What was told so far.
struct Told<'a> {
    events: &'a mut Vec<Event<'static>>,
    joined: &'a mut Option<Message<'static>>,
    ended: bool,
}

impl Told<'_> {
    fn push(&mut self, event: Event<'static>) {
        assert!(!self.ended && !matches!(self.events.last(), Some(Event::Close(_))), "{event:?} behind the end");
        let event = join(self.joined, event);
        self.events.extend(event);
    }
}

/// Sends a message back, and notes it if it was taken.
fn echo(connection: &mut Connection, event: &Event<'static>, echoed: &mut Vec<(Kind, Vec<u8>)>) {
    let (kind, bytes) = match event {
        Event::Text(text) => (Kind::Text, text.as_bytes()),
        Event::Binary(bytes) => (Kind::Binary, &**bytes),
        _ => return,
    };
    let message = match kind {
        Kind::Text => Message::Unchecked(bytes.into()),
        Kind::Binary => Message::Binary(bytes.into()),
    };
    if connection.send(&message).is_ok() {
        echoed.push((kind, bytes.to_vec()));
    }
}
