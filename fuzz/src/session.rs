//! A session of sockless-mio with a handler on top, driven without a socket.

use crate::frames;
use crate::messages::{data, length, message};
use crate::settings::{Settings, keepalive};
use arbitrary::Arbitrary;
use sockless_mio::sockless::Keepalive;
use sockless_mio::testing::Peer;
use sockless_mio::{ClientRequest, Closed, Code, Config, Conn, Error, Handler, Kind, Message, Piece, Prepared};
use std::time::Duration;

/// The settings of the server, and a script of what its peer and its handler do.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    settings: Settings,
    keepalive: [u8; 5],
    script: &'a [u8],
}

/// What a handler was told, and has done.
#[derive(Default)]
struct Log {
    opened: bool,
    closed: bool,
    pressed: bool,
    /// Messages that came whole, in pieces, or as far as they have come.
    received: Vec<(Kind, Vec<u8>)>,
    under_way: bool,
    /// Those that were taken to be sent.
    sent: Vec<(Kind, Vec<u8>)>,
}

/// Sends each message back.
struct Echo;

impl Echo {
    /// Between the opening and the end: when all calls but those come, and something may be sent.
    fn check(conn: &Conn<'_, Log>) {
        let Log { opened, closed, .. } = conn.state();
        assert!(*opened && !closed, "opened: {opened}, closed: {closed}, {:?}", conn.ready_state());
    }

    fn send(conn: &mut Conn<'_, Log>, kind: Kind, bytes: &[u8]) {
        if conn.send(message(kind, bytes)).is_ok() {
            Self::check(conn);
            conn.state_mut().sent.push((kind, bytes.to_vec()));
        }
    }
}

fn kind(message: &Message<'_>) -> Kind {
    if let Message::Binary(_) = message { Kind::Binary } else { Kind::Text }
}

impl Handler for Echo {
    type State = Log;

    fn on_open(&self, conn: &mut Conn<'_, Log>) {
        let Log { opened, closed, .. } = conn.state_mut();
        assert!(!*opened && !*closed);
        *opened = true;
        conn.subscribe("all");
    }

    fn on_message(&self, conn: &mut Conn<'_, Log>, message: Message<'_>) -> Result<(), Error> {
        Self::check(conn);
        assert!(!conn.state().under_way);
        let (kind, bytes) = (kind(&message), message.as_bytes());
        conn.state_mut().received.push((kind, bytes.to_vec()));
        Self::send(conn, kind, bytes);
        Ok(())
    }

    fn on_piece(&self, conn: &mut Conn<'_, Log>, piece: Piece<'_>) -> Result<(), Error> {
        Self::check(conn);
        let (kind, bytes) = (kind(&piece.data), piece.data.as_bytes());
        let log = conn.state_mut();
        assert_eq!(log.under_way, !piece.first);
        log.under_way = !piece.last;
        match (piece.first, log.received.last_mut()) {
            (false, Some((_, before))) => before.extend_from_slice(bytes),
            _ => log.received.push((kind, bytes.to_vec())),
        }
        Ok(())
    }

    fn on_timer(&self, conn: &mut Conn<'_, Log>, number: u32) {
        Self::check(conn);
        Self::send(conn, Kind::Binary, &number.to_be_bytes());
    }

    fn on_ping(&self, conn: &mut Conn<'_, Log>, _: &[u8]) {
        Self::check(conn);
    }

    fn on_pong(&self, conn: &mut Conn<'_, Log>, _: &[u8]) {
        Self::check(conn);
    }

    fn on_backpressure(&self, conn: &mut Conn<'_, Log>) {
        Self::check(conn);
        assert!(!std::mem::replace(&mut conn.state_mut().pressed, true), "it is told once");
    }

    fn on_drain(&self, conn: &mut Conn<'_, Log>) {
        Self::check(conn);
        assert!(std::mem::replace(&mut conn.state_mut().pressed, false), "something had waited");
        assert_eq!(conn.queued(), 0);
    }

    fn on_close(&self, conn: &mut Conn<'_, Log>, _: Closed) {
        Self::check(conn);
        conn.state_mut().closed = true;
    }
}

/// A handler is told of an opening, what comes in order, and of one end; what it sends comes in order, and all ends.
pub fn check(input: &Input<'_>) {
    let config = Config { keepalive: keepalive(input.keepalive), ..input.settings.config() };
    let request = ClientRequest::new("ws://session.test/").expect("a good URL");
    let mut game =
        Game { peer: Peer::request(Echo, &request, config), sent: Vec::new(), came: 0, own_bytes: false, most: 20_000 };
    let mut script = input.script;
    for number in 0..100 {
        let [what, amount, rest @ ..] = script else { break };
        script = game.play(number, [*what, *amount], rest);
        game.hear();
    }
    game.finish();
}

struct Game {
    peer: Peer<Echo>,
    /// What the client sent.
    sent: Vec<(Kind, Vec<u8>)>,
    /// How many of the handler's messages the client was told.
    came: usize,
    /// The client has sent other bytes.
    own_bytes: bool,
    /// Bytes that may still be sent, so that no run takes long.
    most: usize,
}

impl Game {
    /// Does one thing; what is left of the script.
    fn play<'s>(&mut self, number: usize, [what, amount]: [u8; 2], script: &'s [u8]) -> &'s [u8] {
        let kind = if what & 0x80 == 0 { Kind::Text } else { Kind::Binary };
        let data = data(kind, number, length(amount).min(self.most));
        let Self { peer, .. } = self;
        match what & 0x1F {
            0..=4 => {
                self.most -= data.len();
                if peer.send(message(kind, &data)).is_ok() {
                    self.sent.push((kind, data));
                }
            }
            5 => _ = peer.ping(&data),
            6 | 7 => {
                let (payload, rest) = frames::payload_of(amount & 0x7F, script);
                let mut bytes = Vec::new();
                frames::push(&mut bytes, (what >> 5) | (what << 7), Some([1, 2, 3, amount]), &payload);
                self.own_bytes = true;
                peer.send_bytes(&bytes);
                return rest;
            }
            8 => {
                let (bytes, rest) = script.split_at(script.len().min(usize::from(amount) & 0x0F));
                self.own_bytes |= !bytes.is_empty();
                peer.send_bytes(bytes);
                return rest;
            }
            9 => peer.stop_reading(),
            10 => peer.read_on(),
            11 => peer.advance(Duration::from_millis(u64::from(amount) * 20)),
            12 => _ = peer.close(Code::from(1000 + u16::from(amount) * 16), "bye"),
            13 if amount > 0xE0 => peer.hang_up(),
            14 => peer.call(|conn| conn.pause()),
            15 => peer.call(|conn| conn.resume()),
            16 => peer.call(|conn| {
                if conn.state().opened {
                    Echo::send(conn, kind, &data)
                }
            }),
            17 => peer.call(|conn| conn.set_timer(u32::from(amount) & 3, Duration::from_millis(u64::from(amount)))),
            18 => _ = peer.call(|conn| conn.close(Code::AWAY, "enough")),
            19 if amount > 0xE0 => peer.call(|conn| conn.abort(Code::AWAY)),
            20 => peer.call(|conn| conn.take_pieces(amount & 1 == 0)),
            21 => self.ask(number, amount),
            _ => peer.run(),
        }
        script
    }

    /// Another thread asks for something.
    fn ask(&mut self, number: usize, what: u8) {
        let Self { peer, .. } = self;
        let (handle, id) = (peer.handle(), peer.id());
        _ = match what & 7 {
            0 => handle.close(id, Code::AWAY, "asked"),
            1 if what > 0xE0 => handle.abort(id, Code::AWAY),
            2 => handle.run(id, move |conn| Echo::send(conn, Kind::Text, format!("task {number}").as_bytes())),
            3 => handle.set_keepalive(Keepalive::default()),
            4 => handle.publish("none", &Prepared::text("nobody")),
            _ => handle.run(id, |conn| conn.set_timer(9, Duration::ZERO)),
        };
    }

    /// What the client was told is what the handler has sent.
    fn hear(&mut self) {
        while let Some(message) = self.peer.receive() {
            let (kind, sent) = &self.peer.state().sent[self.came];
            assert!((*kind, &**sent) == (self::kind(&message), message.as_bytes()), "{message:?} out of order");
            self.came += 1;
        }
        let Log { opened, received, under_way, .. } = self.peer.state();
        assert!(*opened || received.is_empty());
        if !self.own_bytes {
            let whole = received.len() - usize::from(*under_way);
            assert!(self.sent.starts_with(&received[..whole]), "what came is what was sent");
        }
    }

    /// All that waits is taken, and everything comes to its end.
    fn finish(&mut self) {
        self.peer.call(|conn| conn.resume());
        self.peer.read_on();
        self.hear();
        if self.peer.is_open() {
            assert_eq!(self.came, self.peer.state().sent.len(), "all has come");
            assert!(self.own_bytes || self.sent.len() == self.peer.state().received.len());
            assert!(!self.peer.state().pressed);
        }
        self.peer.hang_up();
        self.peer.advance(Duration::from_secs(600));
        assert!(self.peer.has_ended());
        let Log { opened, closed, .. } = self.peer.state();
        assert_eq!(opened, closed);
        assert_eq!(self.peer.stats().panics, 0);
    }
}
