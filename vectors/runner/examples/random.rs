//! Random streams of frames, a line each, and what sockless makes of them: `random COUNT [SEED]`.
//!
//! A line is the role of who receives, the bytes in hexadecimal digits, what it tells of, and how that ends, as
//! `vectors/differential.py` reads it.

use sockless::{Code, Config, Connection, Event, Negotiated, Role, Seed};
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

fn main() -> io::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let count = numbers.next().expect("a count of cases");
    let mut random = Random(numbers.next().unwrap_or_default());
    let mut out = BufWriter::new(io::stdout().lock());
    for _ in 0..count {
        let role = if random.chance(2) { Role::Server } else { Role::Client };
        let mut stream = stream(&mut random, role);
        let name = if role == Role::Server { "server" } else { "client" };
        writeln!(out, "{name} {}{}", hex(&stream), outcome(role, &mut stream))?;
    }
    out.flush()
}

/// SplitMix64: the same cases for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Once in so many times.
    fn chance(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A few frames, good ones mostly, the last of which may be cut off.
fn stream(random: &mut Random, to: Role) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut is_inside = false;
    for _ in 0..=random.below(6) {
        let mut first = match random.below(8) {
            0 => 0x88,
            1 => 0x89,
            2 => 0x8A,
            _ => {
                let fin = random.chance(2);
                let opcode = if is_inside { 0 } else { 1 + random.below(2) as u8 };
                is_inside = !fin;
                opcode | if fin { 0x80 } else { 0 }
            }
        };
        let payload = payload(random, first);
        if random.chance(24) {
            first ^= 1 << random.below(8);
        }
        let masked = (to == Role::Server) != random.chance(60);
        frame(random, &mut stream, first, masked, &payload);
    }
    let cut = if random.chance(10) { random.below(stream.len()) } else { stream.len() };
    stream.truncate(cut);
    stream
}

fn payload(random: &mut Random, first: u8) -> Vec<u8> {
    let control = first & 8 != 0;
    let most = match random.below(200) {
        0..16 => 127,
        16 if !control => 70_000,
        17..22 if !control => 2000,
        _ => 12,
    };
    let len = if control && random.chance(20) {
        120 + random.below(10)
    } else {
        random.below(most).min(if control { 125 } else { most })
    };
    let mut payload: Vec<u8> = match random.below(3) {
        0 => (0..len).map(|_| random.next() as u8).collect(),
        1 => b"text ".iter().copied().cycle().take(len).collect(),
        // Now and then it is cut inside a character, or has a wrong byte in one.
        _ => {
            let mut text: Vec<u8> =
                "\u{df}\u{20ac}\u{1d11e}\u{7ff}\u{d7ff}\u{10ffff}".bytes().cycle().take(len).collect();
            if random.chance(4) && len > 0 {
                text[random.below(len)] ^= 1 << random.below(8);
            }
            text
        }
    };
    if first & 15 == 8 && payload.len() >= 2 {
        let code = match random.below(4) {
            0 => random.next() as u16,
            1 => 990 + random.below(50) as u16,
            2 => 3000 + random.below(2000) as u16,
            _ => 1000,
        };
        payload[..2].copy_from_slice(&code.to_be_bytes());
        if !random.chance(6) {
            payload[2..].fill(b'r');
        }
    }
    payload
}

/// Appends a frame whose length is in its shortest form, mostly.
fn frame(random: &mut Random, stream: &mut Vec<u8>, first: u8, masked: bool, payload: &[u8]) {
    let len = payload.len();
    let form = match len {
        _ if random.chance(60) => random.below(3),
        ..126 => 0,
        126..0x1_0000 => 1,
        _ => 2,
    };
    let mask = if masked { 0x80 } else { 0 };
    stream.push(first);
    match form {
        0 => stream.push(mask | len.min(125) as u8),
        1 => {
            stream.push(mask | 126);
            stream.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            stream.push(mask | 127);
            let top = if random.chance(8) { 1 << 63 } else { 0 };
            stream.extend_from_slice(&(len as u64 | top).to_be_bytes());
        }
    }
    let key = if masked { (random.next() as u32).to_be_bytes() } else { [0; 4] };
    if masked {
        stream.extend_from_slice(&key);
    }
    stream.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// What is told of, and how it ends: it is open, was closed, or fails with a code, for a reason.
fn outcome(role: Role, stream: &mut [u8]) -> String {
    let mut connection = Connection::open(role, Negotiated::default(), Config::default(), Seed::new([0x5A; 16]));
    let mut told = String::new();
    let mut input = stream;
    let mut end = "open".to_owned();
    loop {
        match connection.receive(&mut input) {
            Ok(None) => break,
            Ok(Some(Event::Close(close))) => {
                let code =
                    if close.code == Code::NO_STATUS { "-".to_owned() } else { u16::from(close.code).to_string() };
                _ = write!(told, " close:{code}:{}", hex(close.reason.as_bytes()));
                end = "closed".to_owned();
            }
            Ok(Some(event)) => {
                let (name, bytes) = match &event {
                    Event::Text(text) => ("text", text.as_bytes()),
                    Event::Binary(bytes) => ("binary", &**bytes),
                    Event::Ping(bytes) => ("ping", &**bytes),
                    Event::Pong(bytes) => ("pong", &**bytes),
                    event => unreachable!("{event:?} behind the handshake"),
                };
                _ = write!(told, " {name}:{}", hex(bytes));
            }
            Err(error) => {
                let name = format!("{error:?}");
                let name = name.split([' ', '(']).next().unwrap_or_default();
                end = format!("fail:{}:{name}", error.close_code().map_or(0, u16::from));
            }
        }
    }
    told + " " + &end
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}
