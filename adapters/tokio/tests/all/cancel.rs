//! Futures that are dropped at any point lose nothing and tell nothing twice.
//!
//! Each schedule polls futures by hand and drops them after any number of polls, over a stream that reads and writes as
//! little as it likes and is often not ready. What follows from a seed can be run again.

use crate::common::choppy::{Choppy, LARGEST};
use crate::common::random::Random;
use crate::common::*;
use sockless_tokio::sockless::{self, Code, Config, Kind, Role};
use sockless_tokio::{Error, Event, Message, Receiver, Sender, WebSocket};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex};

/// Schedules of each kind of connection.
const SCHEDULES: u64 = 10_000;

/// Bytes of an answer that is written from where it lies.
const LONG: usize = 33_000;

/// Polls a future so many times at most, and drops it.
fn poll<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let cx = &mut Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    })
}

/// A message that differs from all that were sent, and is one of them now.
fn numbered(sent: &mut Vec<Message>, len: usize) -> Message {
    let message = Message::binary([format!("{} ", sent.len()).into_bytes(), vec![b'.'; len]].concat());
    sent.push(message.clone());
    message
}

/// One end of a connection, whole or in halves.
#[allow(clippy::large_enum_variant)] // There are two of it.
enum End {
    Whole(WebSocket<Choppy>),
    Halves(Receiver<ReadHalf<Choppy>, WriteHalf<Choppy>>, Sender<WriteHalf<Choppy>>),
}

/// An end, what it has sent and received, and how it ended.
struct Side {
    end: End,
    sent: Vec<Message>,
    received: Vec<Message>,
    /// The parts of a message that comes in pieces.
    parts: Vec<u8>,
    pieces: bool,
    over: bool,
}

impl Side {
    fn new(stream: DuplexStream, role: Role, random: &mut Random, halves: bool) -> Self {
        let choppy = Choppy::new(stream, random);
        let socket = open(choppy, role, Config::default());
        let end = if halves {
            let (sender, receiver) = socket.split();
            End::Halves(receiver, sender)
        } else {
            End::Whole(socket)
        };
        let pieces = random.percent(30);
        Self { end, sent: vec![], received: vec![], parts: vec![], pieces, over: false }
    }

    /// Sends the next message by some future that is dropped.
    fn send(&mut self, random: &mut Random) {
        let len = if random.percent(3) { random.below(8_000) } else { random.below(60) };
        let message = numbered(&mut self.sent, len);
        let polls = random.below(4);
        let ended = match (&mut self.end, random.below(3)) {
            (End::Whole(socket), 0) => poll(socket.send(message), polls),
            (End::Whole(socket), 1) => poll(socket.feed(message), polls),
            (End::Whole(socket), _) => {
                let (front, back) = message.as_bytes().split_at(1);
                let mut writer = socket.writer(Kind::Binary);
                [poll(writer.write(front), polls), poll(writer.write(back), polls), poll(writer.finish(), polls)]
                    .into_iter()
                    .flatten()
                    .find(Result::is_err)
            }
            (End::Halves(_, sender), 0) => poll(sender.feed(message), polls),
            (End::Halves(_, sender), _) => poll(sender.clone().send(message), polls),
        };
        assert!(!matches!(ended, Some(Err(_))), "{ended:?}");
    }

    fn ping(&mut self, random: &mut Random) {
        let polls = random.below(3);
        _ = match &mut self.end {
            End::Whole(socket) => poll(socket.ping(b"ping"), polls),
            End::Halves(_, sender) => poll(sender.ping(b"ping"), polls),
        };
    }

    fn flush(&mut self, random: &mut Random) {
        let polls = random.below(4);
        _ = match &mut self.end {
            End::Whole(socket) => poll(socket.flush(), polls),
            End::Halves(_, sender) => poll(sender.flush(), polls),
        };
    }

    /// Receives by some future that is dropped; what is lent may have a long answer, which is lent too.
    fn receive(&mut self, random: &mut Random, answers: bool) {
        let polls = random.below(4);
        if self.pieces {
            let piece = match &mut self.end {
                End::Whole(socket) => poll(socket.recv_piece(), polls),
                End::Halves(receiver, _) => poll(receiver.recv_piece(), polls),
            };
            match piece {
                None => {}
                Some(Ok(Some(piece))) => {
                    assert_eq!(piece.first, self.parts.is_empty());
                    self.parts.extend_from_slice(piece.data.as_bytes());
                    if piece.last {
                        self.received.push(Message::binary(std::mem::take(&mut self.parts)));
                    }
                }
                Some(end) => self.end(end.map(|_| ())),
            }
        } else if let End::Whole(socket) = &mut self.end
            && random.percent(25)
        {
            let stop = random.percent(50);
            let each = socket.recv_each(|message, replies| {
                self.received.push(message.into());
                if answers && random.percent(1) {
                    let answer = numbered(&mut self.sent, LONG);
                    replies.feed(sockless::Message::Binary(answer.as_bytes().into())).map_err(Some)?;
                }
                if stop { Err(None) } else { Ok::<_, Option<Error>>(()) }
            });
            match poll(each, polls) {
                None | Some(Err(None)) => {}
                Some(Ok(())) => self.end(Ok(())),
                Some(Err(Some(error))) => self.end(Err(error)),
            }
        } else if random.percent(50) {
            let message = match &mut self.end {
                End::Whole(socket) if random.percent(50) => {
                    poll(socket.recv_with(|message, _| Message::from(message)), polls)
                }
                End::Whole(socket) => poll(socket.recv(), polls),
                End::Halves(receiver, _) => poll(receiver.recv(), polls),
            };
            match message {
                None => {}
                Some(Ok(Some(message))) => self.received.push(message),
                Some(end) => self.end(end.map(|_| ())),
            }
        } else {
            let event = match &mut self.end {
                End::Whole(socket) => poll(socket.recv_event(), polls),
                End::Halves(receiver, _) => poll(receiver.recv_event(), polls),
            };
            match event {
                Some(Ok(Some(Event::Message(message)))) => self.received.push(message),
                None | Some(Ok(Some(_))) => {}
                Some(end) => self.end(end.map(|_| ())),
            }
        }
    }

    fn end(&mut self, end: Result<(), Error>) {
        assert!(end.is_ok(), "{end:?}");
        self.over = true;
    }

    fn start_close(&mut self) {
        match &mut self.end {
            End::Whole(socket) => socket.start_close(Code::NORMAL, "").expect("it can be said"),
            End::Halves(_, sender) => _ = poll(sender.close(Code::NORMAL, ""), 1),
        }
    }
}

fn run(seed: u64, halves: bool) {
    let random = &mut Random(seed);
    let capacity = 1 + random.below(LARGEST);
    let (one, other) = duplex(capacity);
    let mut sides = [Side::new(one, Role::Client, random, halves), Side::new(other, Role::Server, random, halves)];
    for _ in 0..random.below(60) {
        let side = &mut sides[random.below(2)];
        match random.below(10) {
            0..3 => side.send(random),
            3 => side.ping(random),
            4 => side.flush(random),
            _ => side.receive(random, capacity > 200),
        }
    }
    // A close is the end of what may be sent, so each side waits for the other's messages.
    let all = |sides: &[Side; 2]| [0, 1].map(|side| sides[side].received.len() == sides[1 - side].sent.len());
    let mut turns = 0;
    while all(&sides) != [true, true] {
        sides.iter_mut().for_each(|side| side.receive(random, false));
        turns += 1;
        assert!(turns < 100_000, "seed {seed}: messages are missing");
    }
    sides[random.below(2)].start_close();
    while !(sides[0].over && sides[1].over) {
        sides.iter_mut().for_each(|side| side.receive(random, false));
        turns += 1;
        assert!(turns < 100_000, "seed {seed}: it does not end");
    }
    for side in [0, 1] {
        assert!(sides[side].received == sides[1 - side].sent, "seed {seed}: not what was sent");
    }
}

fn run_all(halves: bool) {
    // For the timers to be made; nobody turns them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    (0..SCHEDULES).for_each(|seed| run(seed, halves));
}

#[test]
fn ten_thousand_schedules_of_a_whole_connection() {
    run_all(false);
}

#[test]
fn ten_thousand_schedules_of_halves() {
    run_all(true);
}

#[tokio::test]
async fn whoever_panics_on_a_message_loses_no_other() {
    let (mut client, mut server) = pair(1 << 10);
    for number in 0..5 {
        client.feed(number.to_string()).await.unwrap();
    }
    client.flush().await.unwrap();
    let mut taken = vec![];
    for _ in 0..5 {
        let receive = server.recv_with(|message, _| {
            taken.push(Message::from(message));
            assert!(taken.len() % 2 == 0, "every other one is too much");
        });
        let mut receive = pin!(receive);
        let poll = || receive.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll));
    }
    assert_eq!(taken, ["0", "1", "2", "3", "4"].map(Message::from));
}
