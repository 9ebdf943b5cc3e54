//! What the tests of compression share.

use crate::common::SEED;
use sockless::{Config, Connection, Deflate, DeflateParams, Limits, Negotiated, Role};
use zlib_rs::{DeflateConfig, DeflateFlush};

/// What ends each compressed message, and is left out of it.
const TAIL: &[u8] = b"\x00\x00\xff\xff";

/// The largest windows both ways, with context takeover or without.
pub(crate) fn params(takeover: bool) -> DeflateParams {
    DeflateParams { window_bits: 15, peer_window_bits: 15, takeover, peer_takeover: takeover }
}

/// The default settings, but that messages of any length are compressed.
pub(crate) fn always() -> Deflate {
    Deflate { threshold: 0, ..Deflate::default() }
}

/// An open connection that has agreed on compression.
pub(crate) fn agreed(role: Role, params: DeflateParams, deflate: Deflate) -> Connection {
    let mut config = Config::default();
    config.deflate = Some(deflate);
    Connection::open(role, Negotiated::try_from(params).unwrap(), config, SEED)
}

/// The same with the largest windows and no threshold.
pub(crate) fn compressed(role: Role, takeover: bool) -> Connection {
    agreed(role, params(takeover), always())
}

/// The same with a limit on the bytes of messages, and none on their fragments.
pub(crate) fn limited(role: Role, takeover: bool, message: usize) -> Connection {
    let mut connection = compressed(role, takeover);
    connection.set_limits(Limits { message, fragments: u32::MAX, ..Limits::default() });
    connection
}

/// Bytes that no codec makes shorter.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The same, and the worst for the codes that level 1 has: each byte takes nine bits.
pub(crate) fn loud_noise(len: usize) -> Vec<u8> {
    noise(len).into_iter().map(|byte| byte | 0x90).collect()
}

/// Text such as programs send, in which no two lines are the same.
pub(crate) fn lines(len: usize) -> String {
    let mut text: String =
        (0..=len / 20).map(|n| format!("{{\"id\":{n},\"price\":{}.5}}\n", n * 7919 % 1000)).collect();
    text.truncate(len);
    text
}

/// A peer's deflater.
pub(crate) struct Encoder(zlib_rs::Deflate);

impl Encoder {
    pub(crate) fn new(level: i32, window_bits: i32) -> Self {
        Self(zlib_rs::Deflate::new_with_config(DeflateConfig {
            level,
            window_bits: -window_bits,
            ..DeflateConfig::default()
        }))
    }

    /// The payload of a message, which may refer to those before.
    pub(crate) fn message(&mut self, plain: &[u8]) -> Vec<u8> {
        if plain.is_empty() {
            return vec![0];
        }
        let mut payload = self.part(plain);
        assert!(payload.ends_with(TAIL));
        payload.truncate(payload.len() - TAIL.len());
        payload
    }

    /// A part of one, with the tail that ends it.
    pub(crate) fn part(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut out = vec![0; plain.len() * 2 + 64];
        let before = self.0.total_out();
        self.0.compress(plain, &mut out, DeflateFlush::SyncFlush).unwrap();
        out.truncate((self.0.total_out() - before) as usize);
        out
    }
}

/// The payload of a message that refers to none before.
pub(crate) fn deflated(plain: &[u8]) -> Vec<u8> {
    Encoder::new(6, 15).message(plain)
}

/// Bits in the order of RFC 1951 §3.1.1, to write blocks by hand.
#[derive(Clone, Default)]
pub(crate) struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    /// A number, from its least bit on.
    pub(crate) fn number(mut self, value: u32, bits: usize) -> Self {
        for bit in 0..bits {
            if self.len.is_multiple_of(8) {
                self.bytes.push(0);
            }
            self.bytes[self.len / 8] |= ((value >> bit & 1) as u8) << (self.len % 8);
            self.len += 1;
        }
        self
    }

    /// A Huffman code, from its first bit on.
    pub(crate) fn code(self, value: u32, bits: usize) -> Self {
        self.number(value.reverse_bits() >> (32 - bits), bits)
    }

    /// The header of a block: whether it says that it is the last, and its type.
    pub(crate) fn block(self, last: bool, kind: u32) -> Self {
        self.number(last.into(), 1).number(kind, 2)
    }

    /// A letter, in the fixed code.
    pub(crate) fn letter(self, letter: u8) -> Self {
        match letter {
            0..=143 => self.code(0x30 + u32::from(letter), 8),
            _ => self.code(0x190 + u32::from(letter) - 144, 9),
        }
    }

    /// Three letters from `distance` before, at most four, in the fixed code.
    pub(crate) fn three(self, distance: u32) -> Self {
        self.code(1, 7).code(distance - 1, 5)
    }

    /// The end of a block in the fixed code.
    pub(crate) fn end(self) -> Self {
        self.code(0, 7)
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A message as [`inflate`] has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inflated {
    pub(crate) plain: Vec<u8>,
    /// How far back it refers at most.
    pub(crate) farthest: usize,
}

/// Inflates a message, which may refer to the plain bytes `before`: a decoder that shares nothing with the one that is
/// tested. `None` if the message is not whole blocks, of which the last is empty and ends with the tail.
pub(crate) fn inflate(before: &[u8], payload: &[u8]) -> Option<Inflated> {
    let input = [payload, TAIL].concat();
    let mut source = Source { rest: &input, hold: 0, count: 0 };
    let mut out = before.to_vec();
    let mut farthest = 0;
    let mut is_whole = false;
    while source.left() > 0 {
        let last = source.bits(1)? == 1;
        match source.bits(2)? {
            0 => {
                source.align();
                let (len, not) = (source.bits(16)?, source.bits(16)?);
                if len != not ^ 0xFFFF {
                    return None;
                }
                is_whole = len == 0;
                for _ in 0..len {
                    out.push(source.bits(8)? as u8);
                }
            }
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 => 8,
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                block(&mut source, &mut out, &Code::new(&lengths), &Code::new(&[5; 30]), &mut farthest)?;
            }
            2 => {
                let counts = [source.bits(5)? + 257, source.bits(5)? + 1, source.bits(4)? + 4];
                let [letters, distances, lengths] = counts.map(|count| count as usize);
                let mut of_lengths = [0; 19];
                for index in &[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][..lengths] {
                    of_lengths[*index] = source.bits(3)? as u8;
                }
                let code = Code::new(&of_lengths);
                let mut lengths: Vec<u8> = vec![];
                while lengths.len() < letters + distances {
                    let (length, times) = match code.symbol(&mut source)? {
                        16 => (*lengths.last()?, source.bits(2)? + 3),
                        17 => (0, source.bits(3)? + 3),
                        18 => (0, source.bits(7)? + 11),
                        length => (length as u8, 1),
                    };
                    lengths.extend((0..times).map(|_| length));
                }
                let (letters, distances) = lengths.split_at(letters);
                block(&mut source, &mut out, &Code::new(letters), &Code::new(distances), &mut farthest)?;
            }
            _ => return None,
        }
        if last {
            source.align();
            if source.left() == TAIL.len() {
                is_whole = true;
                break;
            }
        }
    }
    is_whole.then(|| Inflated { plain: out.split_off(before.len()), farthest })
}

fn block(source: &mut Source<'_>, out: &mut Vec<u8>, letters: &Code, far: &Code, farthest: &mut usize) -> Option<()> {
    const BASES: [usize; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ];
    loop {
        match letters.symbol(source)? {
            letter @ 0..256 => out.push(letter as u8),
            256 => return Some(()),
            symbol => {
                let index = symbol - 257;
                let extra = if index < 8 || index == 28 { 0 } else { index / 4 - 1 };
                let len = BASES.get(index)? + source.bits(extra)? as usize;
                let symbol = far.symbol(source)?;
                let extra = (symbol / 2).saturating_sub(1);
                let base = if symbol < 2 { symbol } else { (2 + symbol % 2) << extra };
                let distance = base + source.bits(extra)? as usize + 1;
                *farthest = distance.max(*farthest);
                for _ in 0..len {
                    out.push(out[out.len().checked_sub(distance)?]);
                }
            }
        }
    }
}

struct Source<'a> {
    rest: &'a [u8],
    /// Bits of it that were taken off, and how many are left of them.
    hold: u64,
    count: usize,
}

impl Source<'_> {
    fn bits(&mut self, count: usize) -> Option<u32> {
        while self.count < count {
            let (byte, rest) = self.rest.split_first()?;
            self.hold |= u64::from(*byte) << self.count;
            self.count += 8;
            self.rest = rest;
        }
        let value = self.hold & ((1 << count) - 1);
        self.hold >>= count;
        self.count -= count;
        Some(value as u32)
    }

    fn align(&mut self) {
        self.hold >>= self.count % 8;
        self.count -= self.count % 8;
    }

    /// Whole or begun bytes that have not been read.
    fn left(&self) -> usize {
        self.rest.len() + self.count.div_ceil(8)
    }
}

/// A Huffman code (RFC 1951 §3.2.2): how many symbols have each length, and the symbols in order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        let mut symbols = vec![];
        for length in 1..16 {
            let with = lengths.iter().enumerate().filter(|(_, of)| **of == length).map(|(symbol, _)| symbol);
            symbols.extend(with.clone());
            counts[usize::from(length)] = with.count();
        }
        Self { counts, symbols }
    }

    fn symbol(&self, source: &mut Source<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= source.bits(1)? as usize;
            if code < first + count {
                return self.symbols.get(index + code - first).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}
