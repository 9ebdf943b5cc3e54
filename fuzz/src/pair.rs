//! Two connections under operations, cuts, delays and a clock that the input chooses.

use crate::messages::{data, length, message};
use crate::relay;
use crate::settings::{SEED, Settings, keepalive};
use crate::tapes;
use arbitrary::Arbitrary;
use bytes::{Buf, Bytes};
use sockless::testing::tape::Recorder;
use sockless::testing::{End, Pair};
use sockless::{
    ClientRequest, Code, Compress, Config, Event, Kind, Message, Outbound, Prepared, ProtocolError, Role, SendError,
    State,
};
use std::fmt::Write;
use std::io::IoSlice;
use std::time::Duration;

/// The settings of two ends and of the wires between them, and a script of operations.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    client: EndInput,
    server: EndInput,
    cut: u8,
    delay: u8,
    window: u8,
    /// What the server does with a message, or with the request; whether ends that hang stay so; or else a relay.
    ways: u8,
    script: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct EndInput {
    settings: Settings,
    keepalive: [u8; 5],
}

impl EndInput {
    fn config(self) -> Config {
        Config { keepalive: keepalive(self.keepalive), ..self.settings.config() }
    }
}

/// Nothing that was sent before a close is lost or reordered; each end is told of its end once; every run ends by its
/// deadlines.
pub fn check(input: &Input<'_>) {
    if input.ways & 0x80 != 0 {
        return relay::check(input.client.settings, [input.cut, input.delay, input.window], input.ways, input.script);
    }
    let mut game = Game::new(input, tapes::folder().is_some());
    tapes::leave(tapes::folder(), &mut game, |game| game.play_all(input), Game::recorders);
}

/// The shortest frames have 14 bytes of header for 16 of payload; what is compressed piecemeal may grow.
const MOST_FRAMED: usize = 2;

/// A control frame of a client's.
const MOST_CONTROL: usize = 131;

/// The head of a request or a response.
const MOST_HEAD: usize = 1024;

/// What an end has done, as the test remembers it.
#[derive(Default)]
struct Model {
    /// Messages that were taken to be sent, in order.
    sent: Vec<(Kind, Vec<u8>)>,
    pings: Vec<Vec<u8>>,
    /// The message in fragments that is under way.
    part: Option<(Kind, Vec<u8>)>,
    /// How many of the peer's messages and pings have come.
    received: usize,
    pinged: usize,
    aborted: bool,
    killed: bool,
    /// It refused the request, after which nothing is told.
    rejected: bool,
    end: Option<Result<Event<'static>, ProtocolError>>,
    /// The longest message or fragment, so far.
    longest: usize,
    /// [`Outbound::hard`] as it is.
    hard: usize,
    /// The largest bound on what waits, so far.
    bound: usize,
}

struct Game {
    pair: Pair,
    /// The client's and the server's.
    models: [Model; 2],
    reply: u8,
    /// In how many more parts data may cross the wires, so that no run takes long.
    parts: usize,
}

const fn index(role: Role) -> usize {
    match role {
        Role::Client => 0,
        Role::Server => 1,
    }
}

/// The kind and payload of a message.
fn parts(event: &Event<'_>) -> Option<(Kind, Vec<u8>)> {
    match event {
        Event::Text(text) => Some((Kind::Text, text.as_bytes().to_vec())),
        Event::Unchecked(bytes) => Some((Kind::Text, bytes.to_vec())),
        Event::Binary(bytes) => Some((Kind::Binary, bytes.to_vec())),
        _ => None,
    }
}

impl Game {
    fn new(input: &Input<'_>, records: bool) -> Self {
        let request = ClientRequest::new("ws://pair.test/").expect("a good URL");
        let client = Recorder::client(&request, input.client.config(), SEED).expect("a good request");
        let mut pair = match records {
            true => Pair::new(input.server.config(), client),
            false => Pair::new(input.server.config(), client.into_connection()),
        };
        pair.cut = if input.cut == 0 { usize::MAX } else { input.cut.into() };
        pair.delay = Duration::from_millis(input.delay.into());
        pair.window = if input.window == 0 { usize::MAX } else { usize::from(input.window) * 16 };
        let mut models: [Model; 2] = Default::default();
        models[0].set_outbound(input.client.settings.outbound());
        models[1].set_outbound(input.server.settings.outbound());
        Self { pair, models, reply: input.ways & 7, parts: 500 }
    }

    fn play_all(&mut self, input: &Input<'_>) {
        let mut script = input.script;
        // Each operation takes three bytes.
        for _ in 0..300 {
            let Some((operation, rest)) = script.split_first_chunk() else { break };
            script = rest;
            self.play(*operation);
        }
        self.finish(input.ways & 0x40 != 0);
    }

    fn recorders(&self) -> Vec<(&str, &Recorder)> {
        vec![("client", &self.pair.client.connection), ("server", &self.pair.server.connection)]
    }

    fn end(&mut self, role: Role) -> &mut End {
        match role {
            Role::Client => &mut self.pair.client,
            Role::Server => &mut self.pair.server,
        }
    }

    /// As [`length`], within what the run may still send.
    fn length(&mut self, choice: u8) -> usize {
        let part = self.pair.cut.min(self.pair.window).min(1024);
        let len = length(choice).min(self.parts * part);
        self.parts = self.parts.saturating_sub(len / part);
        len
    }

    fn play(&mut self, [what, a, b]: [u8; 3]) {
        let role = if what & 0x80 == 0 { Role::Client } else { Role::Server };
        let kind = if what & 1 == 0 { Kind::Binary } else { Kind::Text };
        match what & 0x1F {
            0..=3 => {
                let len = self.length(a);
                self.send(role, kind, len, b);
            }
            4 | 5 => {
                let len = self.length(a);
                self.fragment(role, kind, len, b & 3 == 0);
            }
            6 | 7 => self.control(role, what & 1 == 0, usize::from(a)),
            8 => {
                let code =
                    [Code::NORMAL, Code::AWAY, Code::NO_STATUS, Code::from(4000), Code::ABNORMAL][usize::from(a) % 5];
                self.attempt(role, |connection| connection.close(code, if b == 0 { "" } else { "bye" }));
            }
            9 => {
                self.end(role).connection.abort(Code::from(1000 + u16::from(a)));
                self.models[index(role)].aborted = true;
                self.models[index(role)].part = None;
            }
            10 => self.end(role).reading ^= true,
            11 if a > 0xC0 => {
                self.end(role).kill();
                self.models[index(role)].killed = true;
            }
            12 => self.advance(Duration::from_millis(u64::from(a) * 10)),
            13 => {
                self.pair.cut = usize::from(a).max(1);
                self.pair.delay = Duration::from_millis(u64::from(b));
            }
            14 => self.pair.window = 16 + usize::from(a) * 64,
            15 => self.end(role).connection.swap_outbox(&mut vec![0xEE; a.into()]),
            16 => self.end(role).connection.recycle(vec![0xEE; length(a)]),
            17 => {
                let now = self.pair.now() + Duration::from_millis(u64::from(a));
                let result = self.end(role).connection.handle_timeout(now);
                self.hear(role, result.transpose());
            }
            18 => {
                let outbound = Outbound { soft: length(a), hard: length(b), ..Outbound::default() };
                self.end(role).connection.set_outbound(outbound);
                self.models[index(role)].set_outbound(outbound);
            }
            _ => self.run(),
        }
        self.check_bounds(role);
    }

    /// Calls something that sends; whether it did. If it did not, nothing is changed, and there was a reason.
    fn attempt(&mut self, role: Role, send: impl FnOnce(&mut Recorder) -> Result<(), SendError>) -> bool {
        let Model { part, hard, .. } = &self.models[index(role)];
        let (under_way, hard) = (part.is_some(), *hard);
        let connection = &mut self.end(role).connection;
        let (before, state) = (connection.counters(), connection.state());
        let result = send(connection);
        let ending = matches!(state, State::Closing | State::Closed);
        match result {
            Ok(()) => return true,
            Err(SendError::Full) => assert!(before.queued > hard),
            Err(SendError::NotOpen) => assert_ne!(state, State::Open),
            Err(SendError::Closing) => assert!(ending),
            Err(SendError::FragmentUnderWay) => assert!(under_way),
            Err(SendError::InvalidUtf8 | SendError::LongControl | SendError::CloseCode(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(connection.counters(), before, "{result:?}");
        false
    }

    fn send(&mut self, role: Role, kind: Kind, len: usize, how: u8) {
        let data = data(kind, self.models[index(role)].sent.len(), len);
        let message = match kind {
            Kind::Text => Message::from(std::str::from_utf8(&data).expect("good text")),
            Kind::Binary => Message::from(&data[..]),
        };
        let taken = self.attempt(role, |connection| match how & 7 {
            0 => connection.send(&message),
            1 => connection.send_shared(kind, Bytes::copy_from_slice(&data)),
            2 => connection.send_prepared(&match &message {
                Message::Text(text) => Prepared::text(text),
                message => Prepared::binary(message.as_bytes()),
            }),
            3 => connection.send_written(kind, |writer| match &message {
                Message::Text(text) => writer.write_str(text).expect("it is held"),
                message => std::io::Write::write_all(writer, message.as_bytes()).expect("it is held"),
            }),
            4 => connection.send_with(&message, Compress::Always),
            5 => connection.send_with(&message, Compress::Never),
            _ => match &message {
                Message::Text(text) => connection.send_text(text),
                message => connection.send_binary(message.as_bytes()),
            },
        });
        if taken {
            self.models[index(role)].record(kind, data);
        }
    }

    /// Sends a fragment of data that may be cut inside a character; then it may not be the last.
    fn fragment(&mut self, role: Role, kind: Kind, len: usize, last: bool) {
        let (kind, before) = match &self.models[index(role)].part {
            Some((kind, bytes)) => (*kind, bytes.len()),
            None => (kind, 0),
        };
        let bytes: Vec<u8> = "\u{df}-\u{20ac}-\u{1d11e} ".bytes().cycle().skip(before % 14).take(len).collect();
        if self.attempt(role, |connection| connection.send_fragment(kind, &bytes, last)) {
            let model = &mut self.models[index(role)];
            model.longest = model.longest.max(len);
            let (_, part) = model.part.get_or_insert((kind, vec![]));
            part.extend_from_slice(&bytes);
            if last {
                let (kind, whole) = model.part.take().expect("it was just put there");
                assert!(kind == Kind::Binary || std::str::from_utf8(&whole).is_ok());
                model.record(kind, whole);
            }
        }
    }

    /// Sends a ping of at least two bytes, which those of the keepalive do not have, or a pong.
    fn control(&mut self, role: Role, ping: bool, number: usize) {
        let payload = data(Kind::Binary, self.models[index(role)].pings.len(), number.max(2));
        let taken = self.attempt(role, |connection| match ping {
            true => connection.ping(&payload),
            false => connection.pong(&payload),
        });
        assert!(!taken || payload.len() <= 125);
        if taken && ping {
            self.models[index(role)].pings.push(payload);
        }
    }

    fn run(&mut self) {
        let Self { pair, models, reply, .. } = self;
        pair.run_with(|connection, event| answer(connection, event, models, *reply));
        self.hear_all();
    }

    fn advance(&mut self, time: Duration) {
        let Self { pair, models, reply, .. } = self;
        pair.advance_with(time, |connection, event| answer(connection, event, models, *reply));
        self.hear_all();
    }

    fn hear_all(&mut self) {
        for role in [Role::Client, Role::Server] {
            let events = self.end(role).take();
            self.hear(role, events);
            self.check_bounds(role);
        }
    }

    fn hear(&mut self, role: Role, events: impl IntoIterator<Item = Result<Event<'static>, ProtocolError>>) {
        let [client, server] = &mut self.models;
        let (model, peer) = if role == Role::Client { (client, server) } else { (server, client) };
        for event in events {
            assert!(model.end.is_none(), "{event:?} behind {:?}", model.end);
            match &event {
                Ok(Event::Close(_) | Event::Rejected(_)) | Err(_) => model.end = Some(event),
                Ok(Event::Ping(payload)) if payload.len() > 1 => {
                    assert_eq!(peer.pings.get(model.pinged).map(Vec::as_slice), Some(&**payload), "pings are in order");
                    model.pinged += 1;
                }
                Ok(event) => {
                    if let Some(message) = parts(event) {
                        assert!(peer.sent.get(model.received) == Some(&message), "{message:?} out of order");
                        model.received += 1;
                    }
                }
            }
        }
    }

    /// What waits is bounded by the settings, and a message and a few control frames beyond.
    fn check_bounds(&mut self, role: Role) {
        let Model { bound, longest, .. } = self.models[index(role)];
        let queued = self.end(role).connection.counters().queued;
        let message = longest * MOST_FRAMED + 256;
        let most = bound.saturating_add(message + 4 * MOST_CONTROL + MOST_HEAD);
        assert!(queued <= most, "{queued} bytes wait, more than {most}");
        self.check_slices(role);
    }

    /// The slices that wait are what their count says, and begin with the chunk.
    fn check_slices(&mut self, role: Role) {
        let outbound = self.end(role).connection.outbound();
        let mut slices = [IoSlice::new(&[]); 16];
        let count = outbound.chunks_vectored(&mut slices);
        let len: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        assert!(len == outbound.remaining() || count == slices.len());
        assert_eq!(slices[0][..], *outbound.chunk());
    }

    /// Both ends close; then all deadlines pass.
    fn finish(&mut self, hang: bool) {
        if !hang {
            (self.pair.client.reading, self.pair.server.reading) = (true, true);
        }
        // What has not opened by now will not.
        self.advance(Duration::from_secs(3));
        for role in [Role::Client, Role::Server] {
            self.attempt(role, |connection| connection.close(Code::NORMAL, ""));
        }
        self.advance(Duration::from_secs(6));
        for role in [Role::Client, Role::Server] {
            self.check_end(role);
        }
    }

    fn check_end(&mut self, role: Role) {
        assert!(self.end(role).is_closed(), "{role:?} ends by its deadlines: {:?}", self.end(role));
        let [client, server] = &self.models;
        let (model, peer) = if role == Role::Client { (client, server) } else { (server, client) };
        if !model.killed {
            assert_eq!(model.end.is_some(), !model.rejected, "{role:?} is told of its end, {:?}", model.end);
        }
        if matches!(model.end, Some(Ok(Event::Close(_)))) && !peer.aborted {
            assert_eq!(model.received, peer.sent.len(), "all that was sent before a close frame has come");
        }
    }
}

impl Model {
    fn set_outbound(&mut self, outbound: Outbound) {
        self.hard = outbound.hard;
        self.bound = self.bound.max(outbound.hard).max(outbound.soft);
    }

    fn record(&mut self, kind: Kind, data: Vec<u8>) {
        self.longest = self.longest.max(data.len());
        self.sent.push((kind, data));
    }
}

/// What the server does when something comes.
fn answer(connection: &mut Recorder, event: &Event<'static>, models: &mut [Model; 2], reply: u8) {
    if connection.role() == Role::Client {
        return;
    }
    let model = &mut models[index(Role::Server)];
    match (reply, event) {
        (1, Event::Request(_)) => {
            connection.reject(403, &[], b"no").expect("a request waits");
            model.rejected = true;
        }
        (2 | 3, event) => {
            if let Some((kind, data)) = parts(event)
                && connection.send(&if reply == 2 { message(kind, &data) } else { Message::from("ok") }).is_ok()
            {
                let sent = if reply == 2 { (kind, data) } else { (Kind::Text, b"ok".to_vec()) };
                model.record(sent.0, sent.1);
            }
        }
        (4, Event::Text(_)) => {
            let _ = connection.close(Code::AWAY, "enough");
        }
        (5, Event::Ping(_)) => {
            connection.abort(Code::POLICY);
            model.aborted = true;
            model.part = None;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Game, Input};
    use crate::tapes;
    use arbitrary::{Arbitrary, Unstructured};
    use sockless::Role;
    use sockless::testing::tape::Tape;
    use std::mem;
    use std::panic::{self, AssertUnwindSafe};
    use std::{env, fs, process};

    /// An event that no peer caused, as of a core that is broken, fails the run; the core alone gives it at the same call.
    #[test]
    fn a_run_that_fails_leaves_tapes_that_fail_at_the_same_call() {
        let input = Input::arbitrary_take_rest(Unstructured::new(&[0; 40])).unwrap();
        let mut game = Game::new(&input, true);
        let folder = env::temp_dir().join(format!("sockless-fuzz-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        let run = |game: &mut Game| {
            game.run();
            game.play([0, 4, 0]);
            game.run();
            let mut bad = *b"\x81\x84\0\0\0\0fake";
            let told =
                game.end(Role::Server).connection.receive(&mut &mut bad[..]).map(|event| event.unwrap().into_owned());
            game.hear(Role::Server, [told]);
        };
        let failed =
            panic::catch_unwind(AssertUnwindSafe(|| tapes::leave(Some(&folder), &mut game, run, Game::recorders)));
        let reason = failed.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(*reason, "(Text, [102, 97, 107, 101]) out of order");

        let [client, mut server] = ["client.tape", "server.tape"].map(|name| {
            let bytes = fs::read(folder.join(name)).unwrap();
            Tape::from_bytes(&bytes).unwrap()
        });
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((client.replay(), server.replay()), (Ok(()), Ok(())));
        let last = server.steps.len() - 1;
        let gave = mem::take(&mut server.steps[last].gave);
        assert_eq!(gave, "text \"fake\"");
        let now = server.replay().unwrap_err();
        assert_eq!((now.step, now.call, now.came), (last, "receive", gave));
        assert!(last > 5, "{last} steps before");
    }
}
