//! The window of an inflater, by itself: what the peer may still refer to (RFC 7692 §7.2.2).

use alloc::vec::Vec;

/// The longest copy (RFC 1951 §3.2.5).
const COPY: usize = 258;

/// Compressed data that has an inflater say its last `len` bytes, of 1 to 32 KiB, again: copies of the longest kind from that far back,
/// in a block of fixed codes (RFC 1951 §3.2.6). The codec has no other way to tell its window without `unsafe`.
pub(super) fn said_again(len: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    // Not the last block, and of fixed codes.
    bits.push(0b01 << 1, 3);
    // The distance in the form that §3.2.5 tables: a symbol of five bits, and the rest in extra ones.
    let distance = len.max(1) as u32 - 1;
    let (symbol, extra) = match distance.checked_ilog2() {
        None | Some(0 | 1) => (distance, 0),
        Some(log) => (2 * log + (distance >> (log - 1) & 1), log - 1),
    };
    for _ in 0..len.div_ceil(COPY) {
        // Symbol 285, the length 258. Codes go from their highest bit on, all else from the lowest.
        bits.push(0b1100_0101_u32.reverse_bits() >> 24, 8);
        bits.push(symbol.reverse_bits() >> 27, 5);
        bits.push(distance & ((1 << extra) - 1), extra);
    }
    bits.end()
}

/// What that makes is this long, the window and some of it again.
pub(super) const fn said_len(len: usize) -> usize {
    len.div_ceil(COPY) * COPY
}

/// Bits, from the lowest of each byte on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    last: u64,
    count: u32,
}

impl Bits {
    fn push(&mut self, bits: u32, count: u32) {
        self.last |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.last as u8);
            (self.last, self.count) = (self.last >> 8, self.count - 8);
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(self.last as u8);
        self.bytes
    }
}
