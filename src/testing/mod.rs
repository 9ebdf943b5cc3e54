//! Two connections joined in memory, on a virtual clock: to test a handler, or this crate, without sockets.

pub mod tape;

use crate::config::SharedConfig;
use crate::connection::Connection;
use crate::driver::Answers;
use crate::event::Event;
use crate::handshake::ClientRequest;
use crate::state::Transport;
use crate::wire::error::ProtocolError;
use crate::wire::mask::Seed;
use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;
use tape::Recorder;

/// A client and a server, joined by two wires.
///
/// Nothing moves but in [`run`](Self::run) and [`advance`](Self::advance), and all of it follows from the calls and the
/// settings: a run can be replayed.
///
/// ```
/// use sockless::{Config, Event, testing::Pair};
/// use std::time::Duration;
///
/// let mut pair = Pair::open(Config::default(), Config::default());
/// pair.cut = 1; // the bytes come one at a time
/// pair.client.connection.send_text("hello")?;
/// pair.run_with(|connection, event| {
///     // The handler to be tested; here, that of both ends.
///     if let Event::Text(text) = event && text == "hello" {
///         connection.send_text("welcome").unwrap();
///     }
/// });
/// assert_eq!(pair.client.take(), [Ok(Event::Text("welcome".into()))]);
///
/// pair.delay = Duration::from_millis(40);
/// pair.advance(Duration::from_secs(21)); // silence, so both ends ping
/// assert_eq!(pair.client.connection.counters().round_trip, Some(Duration::from_millis(80)));
/// # Ok::<(), sockless::SendError>(())
/// ```
#[derive(Debug)]
pub struct Pair {
    /// The client.
    pub client: End,
    /// The server.
    pub server: End,
    /// The most bytes that come at once, at least 1.
    pub cut: usize,
    /// How long bytes take from end to end.
    pub delay: Duration,
    /// Bytes that a wire holds; while it is full, its writer waits.
    pub window: usize,
    now: Duration,
}

/// One end of a [`Pair`].
#[derive(Debug)]
pub struct End {
    /// The connection, which keeps a [tape] if the pair is made with a [`Recorder`].
    pub connection: Recorder,
    /// Whether the end reads at all; a peer that hangs does not.
    pub reading: bool,
    events: Vec<Result<Event<'static>, ProtocolError>>,
    wire: Wire,
    shut: bool,
    closed: bool,
    answers: Answers,
}

/// The bytes on their way to an end, and when they arrive.
#[derive(Debug, Default)]
struct Wire {
    parts: VecDeque<(Duration, Vec<u8>)>,
    len: usize,
    /// When its end arrives.
    fin: Option<Duration>,
}

impl End {
    fn new(connection: Recorder) -> Self {
        Self {
            connection,
            reading: true,
            events: Vec::new(),
            wire: Wire::default(),
            shut: false,
            closed: false,
            answers: Answers::default(),
        }
    }

    /// The events, and the error that ended the connection, since the last call.
    pub fn take(&mut self) -> Vec<Result<Event<'static>, ProtocolError>> {
        core::mem::take(&mut self.events)
    }

    /// Whether it has closed its transport.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Closes the transport at once, as if the process had ended.
    pub fn kill(&mut self) {
        self.closed = true;
    }

    /// Whether it takes what arrives: a server does not while its handler's answers wait.
    fn reads(&self) -> bool {
        self.reading && self.connection.wants().read && !self.answers.pause(self.connection.sender())
    }

    /// Takes what has arrived, at most `cut` bytes; whether there was anything.
    fn read(&mut self, now: Duration, cut: usize, handler: &mut impl FnMut(&mut Recorder, &Event<'static>)) -> bool {
        if self.closed || !self.reads() {
            return false;
        }
        match self.wire.parts.pop_front() {
            Some((at, mut part)) if at <= now => {
                let rest = part.split_off(cut.max(1).min(part.len()));
                if !rest.is_empty() {
                    self.wire.parts.push_front((at, rest));
                }
                self.wire.len -= part.len();
                self.receive(&mut part, handler);
                true
            }
            Some(part) => {
                self.wire.parts.push_front(part);
                false
            }
            None if self.wire.fin.is_some_and(|at| at <= now) => {
                self.wire.fin = None;
                let result = self.connection.receive_eof();
                self.record(result, handler);
                true
            }
            None => false,
        }
    }

    fn receive(&mut self, mut input: &mut [u8], handler: &mut impl FnMut(&mut Recorder, &Event<'static>)) {
        loop {
            let result = self.connection.receive(&mut input).map(|event| event.map(Event::into_owned));
            if !self.record(result, handler) {
                break;
            }
        }
    }

    /// Keeps what a connection says; whether more may follow.
    fn record(
        &mut self,
        result: Result<Option<Event<'static>>, ProtocolError>,
        handler: &mut impl FnMut(&mut Recorder, &Event<'static>),
    ) -> bool {
        match result {
            Ok(None) => return false,
            Ok(Some(event)) => {
                let queued = self.connection.queued();
                handler(&mut self.connection, &event);
                self.answers.note(self.connection.sender(), queued);
                self.events.push(Ok(event));
            }
            Err(error) => self.events.push(Err(error)),
        }
        true
    }

    /// Does what the connection wants besides reading; whether there was anything.
    ///
    /// By the connection's word alone, without a [`Driver`](crate::driver::Driver): that would not wait for a peer that is dead,
    /// so that the deadlines behind would not be run.
    fn drive(&mut self, peer: &mut Self, now: Duration, pair: (usize, Duration, usize)) -> bool {
        if self.closed {
            // What is on its way arrives, and then the end.
            peer.wire.end(now + pair.1, &mut self.shut);
            return false;
        }
        let (cut, delay, window) = pair;
        let mut moved = false;
        moved |= self.connection.poll_timeout().is_some_and(|deadline| deadline <= now);
        // Told at every turn, so that silence counts from the last byte.
        let result = self.connection.handle_timeout(now);
        self.record(result, &mut |_, _| {});
        while self.connection.wants().write && peer.wire.len < window {
            let part = self.connection.take_outbound(cut.max(1).min(window - peer.wire.len));
            peer.wire.len += part.len();
            if !peer.closed {
                peer.wire.parts.push_back((now + delay, part));
            }
            moved = true;
        }
        match self.connection.wants().transport {
            Transport::Open => {}
            Transport::Shutdown => moved |= peer.wire.end(now + delay, &mut self.shut),
            Transport::Close => {
                peer.wire.end(now + delay, &mut self.shut);
                self.closed = true;
                let result = self.connection.receive_eof();
                self.record(result, &mut |_, _| {});
                moved = true;
            }
        }
        moved
    }

    /// When something happens next that is not caused by a call.
    fn next(&self) -> Option<Duration> {
        if self.closed {
            return None;
        }
        let arrival = self.wire.parts.front().map(|(at, _)| *at).or(self.wire.fin);
        let arrival = arrival.filter(|_| self.reads());
        [self.connection.poll_timeout(), arrival].into_iter().flatten().min()
    }
}

impl Wire {
    /// Ends the wire behind what is on it, once; whether that was now.
    fn end(&mut self, at: Duration, shut: &mut bool) -> bool {
        let first = !core::mem::replace(shut, true);
        if first {
            self.fin = Some(at);
        }
        first
    }
}

impl Pair {
    /// A pair whose opening handshake has not begun: the client's request is outbound.
    ///
    /// The server takes any request that its configuration allows, when [`run`](Self::run) gets to it, unless the handler
    /// answers it. If the client is a [`Recorder`] that keeps a tape, so does the server.
    pub fn new(server: impl Into<SharedConfig>, client: impl Into<Recorder>) -> Self {
        let client = client.into();
        let server = match client.tape().is_some() {
            true => Recorder::server(server),
            false => Connection::server(server).into(),
        };
        Self {
            client: End::new(client),
            server: End::new(server),
            cut: usize::MAX,
            delay: Duration::ZERO,
            window: usize::MAX,
            now: Duration::ZERO,
        }
    }

    /// A pair whose opening handshake is done, and whose events are taken.
    ///
    /// # Panics
    /// If the handshake fails, as no configuration makes it.
    pub fn open(server: impl Into<SharedConfig>, client: impl Into<SharedConfig>) -> Self {
        let client = ClientRequest::new("ws://pair.test/")
            .and_then(|request| Connection::client(&request, client, Seed::new([0x5A; 16])))
            .expect("the request is good");
        let mut pair = Self::new(server, client);
        pair.run();
        let events = (pair.client.take(), pair.server.take());
        assert!(
            matches!((&events.0[..], &events.1[..]), ([Ok(Event::Open(_))], [Ok(Event::Request(_))])),
            "the handshake fails: {events:?}"
        );
        pair
    }

    /// The time on the virtual clock.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Moves bytes both ways until nothing more happens at this time.
    pub fn run(&mut self) {
        self.run_with(|_, _| {});
    }

    /// The same, where `handler` is told each event with the connection that it happened on.
    pub fn run_with(&mut self, mut handler: impl FnMut(&mut Recorder, &Event<'static>)) {
        let mut handler = |connection: &mut Recorder, event: &Event<'static>| {
            handler(connection, event);
            if let Event::Request(request) = event {
                // Refused if the handler has answered it.
                let _ = connection.accept(request.accept());
            }
        };
        let settings = (self.cut, self.delay, self.window);
        loop {
            let mut moved = self.client.drive(&mut self.server, self.now, settings);
            moved |= self.server.drive(&mut self.client, self.now, settings);
            moved |= self.client.read(self.now, self.cut, &mut handler);
            moved |= self.server.read(self.now, self.cut, &mut handler);
            if !moved {
                break;
            }
        }
    }

    /// Lets time pass, and everything happen that happens by then.
    pub fn advance(&mut self, time: Duration) {
        self.advance_with(time, |_, _| {});
    }

    /// The same, where `handler` is told each event.
    pub fn advance_with(&mut self, time: Duration, mut handler: impl FnMut(&mut Recorder, &Event<'static>)) {
        let until = self.now + time;
        loop {
            self.run_with(&mut handler);
            match [self.client.next(), self.server.next()].into_iter().flatten().min() {
                Some(at) if at <= until && at > self.now => self.now = at,
                _ => break,
            }
        }
        self.now = until;
        self.run_with(handler);
    }
}
