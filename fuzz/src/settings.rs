//! What an input chooses of a connection's settings: a few bytes in front of the rest.

use arbitrary::Arbitrary;
use sockless::testing::tape::Recorder;
use sockless::{Config, Connection, Deflate, DeflateParams, Keepalive, Limits, Negotiated, Outbound, Role, Seed};
use std::time::Duration;

/// Where the masking keys of fuzzed clients come from.
pub const SEED: Seed = Seed::new([0x5A; 16]);

/// Each of a fixed number of bytes, so that the rest of an input stays where it is when one of them changes.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Settings {
    /// Bits: UTF-8 unchecked, pings unanswered, masks optional, compression.
    flags: u8,
    message: u8,
    frame: u8,
    fragments: u8,
    outbound: u8,
    pub deflate: DeflateSettings,
}

/// The settings of permessage-deflate.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct DeflateSettings {
    /// This end's window bits and takeover.
    own: u8,
    /// The peer's.
    peer: u8,
    /// Level, and threshold.
    effort: u8,
}

/// The edges of length forms and buffers; the first stands for the default.
const SIZES: [usize; 16] = [0, 0, 1, 2, 5, 64, 125, 126, 127, 300, 1000, 4096, 0xFFFF, 0x1_0000, 0x2_0000, usize::MAX];

/// One of [`SIZES`], or `default`.
fn size(choice: u8, default: usize) -> usize {
    match choice & 0x0F {
        0 => default,
        index => SIZES[usize::from(index)],
    }
}

/// Window bits and takeover.
fn window(choice: u8) -> (u8, bool) {
    (9 + (choice & 0x7F) % 7, choice & 0x80 != 0)
}

impl Settings {
    pub fn limits(self) -> Limits {
        Limits {
            message: size(self.message, Limits::MESSAGE),
            frame: size(self.frame, Limits::FRAME),
            fragments: match self.fragments {
                0 => Limits::FRAGMENTS,
                few => u32::from(few),
            },
            ..Limits::default()
        }
    }

    pub fn outbound(self) -> Outbound {
        Outbound {
            soft: size(self.outbound, Outbound::SOFT),
            hard: size(self.outbound >> 2, Outbound::HARD),
            retain: size(self.outbound >> 4, Outbound::RETAIN),
            fragment: if self.frame & 0x80 == 0 { Outbound::FRAGMENT } else { 16 + usize::from(self.outbound) * 16 },
        }
    }

    pub fn is_compressed(self) -> bool {
        self.flags & 8 != 0
    }

    pub fn checks_utf8(self) -> bool {
        self.flags & 1 == 0
    }

    pub fn answers_pings(self) -> bool {
        self.flags & 2 == 0
    }

    pub fn requires_masks(self) -> bool {
        self.flags & 4 == 0
    }

    pub fn config(self) -> Config {
        Config {
            limits: self.limits(),
            outbound: self.outbound(),
            check_utf8: self.checks_utf8(),
            answer_pings: self.answers_pings(),
            require_masks: self.requires_masks(),
            deflate: self.is_compressed().then(|| self.deflate.deflate()),
            ..Config::default()
        }
    }

    pub fn negotiated(self) -> Negotiated {
        if self.is_compressed() { self.deflate.params().try_into().unwrap() } else { Negotiated::default() }
    }

    /// A connection after a handshake done elsewhere.
    pub fn open(self, role: Role) -> Connection {
        Connection::open(role, self.negotiated(), self.config(), SEED)
    }

    /// The same, which keeps a tape.
    pub fn record(self, role: Role) -> Recorder {
        Recorder::open(role, self.negotiated(), self.config(), SEED)
    }

    /// A connection without deadlines.
    pub fn open_for_ever(self, role: Role) -> Connection {
        let keepalive =
            Keepalive { handshake: None, ping: None, pong: None, idle: None, close: None, ..Keepalive::default() };
        Connection::open(role, self.negotiated(), Config { keepalive, ..self.config() }, SEED)
    }
}

impl DeflateSettings {
    pub fn deflate(self) -> Deflate {
        let ((window_bits, takeover), (peer_window_bits, peer_takeover)) = (window(self.own), window(self.peer));
        Deflate {
            level: 1 + (self.effort & 0x0F) % 9,
            mem_level: 1 + (self.effort & 0x0F) % 9,
            threshold: [0, 1, 64, Deflate::THRESHOLD][usize::from(self.effort >> 6)],
            window_bits,
            peer_window_bits,
            takeover,
            peer_takeover,
            ..Deflate::default()
        }
    }

    pub fn params(self) -> DeflateParams {
        let ((window_bits, takeover), (peer_window_bits, peer_takeover)) = (window(self.own), window(self.peer));
        DeflateParams { window_bits, peer_window_bits, takeover, peer_takeover }
    }

    /// The same agreement as the other end sees it.
    pub fn mirrored(self) -> Self {
        Self { own: self.peer, peer: self.own, ..self }
    }
}

/// Deadlines from tens of milliseconds to seconds; the peer's silence always ends a connection.
pub fn keepalive(choice: [u8; 5]) -> Keepalive {
    let [handshake, ping, pong, idle, close] =
        choice.map(|byte| Some(Duration::from_millis(10 + 10 * u64::from(byte))));
    // A few choices stand for never, where another deadline is left.
    let ping = ping.filter(|_| choice[1] < 0xF0);
    let idle = idle.filter(|_| choice[3] < 0x80 || ping.is_none());
    Keepalive { handshake, ping, pong, idle, close, ..Keepalive::default() }
}
