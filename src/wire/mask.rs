//! Masking (RFC 6455 §5.3) and where masking keys come from (§10.3).

use crate::wire::xor;
use alloc::vec::Vec;
use core::fmt;
use siphasher::sip128::{Hash128, SipHasher13};

/// A masking key at some place of a payload, so that a payload may come in parts.
///
/// Masking and unmasking are the same (RFC 6455 §5.3).
///
/// ```
/// use sockless::mask::Mask;
///
/// let mut payload = *b"\x7f\x9f\x4d\x51\x58";
/// let mut mask = Mask::new([0x37, 0xfa, 0x21, 0x3d]);
/// mask.apply(&mut payload[..3]);
/// mask.apply(&mut payload[3..]);
/// assert_eq!(&payload, b"Hello");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The key as it applies to the next bytes of the payload.
    key: [u8; 4],
}

impl Mask {
    /// A mask at the front of a payload.
    #[inline]
    pub const fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Masks the next bytes of the payload in place.
    #[inline(always)]
    pub fn apply(&mut self, bytes: &mut [u8]) {
        xor::apply(bytes, self.key);
        self.skip(bytes.len());
    }

    /// Leaves the next bytes of the payload as they are.
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.key = xor::turned(self.key, len);
    }

    /// Masks the next bytes of the payload from one place to another of the same length.
    #[inline]
    pub(crate) fn copy_to(&mut self, bytes: &[u8], to: &mut [u8]) {
        xor::copy(bytes, to, self.key);
        self.skip(bytes.len());
    }

    /// Appends the next bytes of the payload to `to`, masked, touching them once.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8], to: &mut Vec<u8>) {
        xor::append(bytes, to, self.key);
        self.skip(bytes.len());
    }
}

/// Sixteen bytes from a source that nobody can predict: all that a client's masking keys come from.
///
/// ```
/// use sockless::mask::Seed;
///
/// # #[cfg(feature = "std")]
/// let unpredictable = Seed::random();
/// let replayable = Seed::new([7; 16]); // for tests
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 16]);

impl Seed {
    /// A seed of the caller's bytes, which must be unpredictable (RFC 6455 §10.3) and never used twice.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// For a tape, which is no place for secrets.
    #[cfg(feature = "testing")]
    pub(crate) const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// A seed from the operating system. `wasm32-unknown-unknown` has none: there [`new`](Self::new) takes what the host gives.
    ///
    /// # Panics
    /// If the operating system has no random bytes, which those in use always have.
    #[cfg(all(feature = "std", not(all(target_family = "wasm", target_os = "unknown"))))]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random bytes");
        Self(bytes)
    }
}

/// Never the bytes: who knows them knows every mask.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A client's masking keys: the pseudorandom function SipHash-1-3, keyed by the seed, of a quarter of a frame's number. One
/// output of it is the keys of four frames.
///
/// RFC 6455 §10.3 asks that nobody who sees keys, nor who chooses payloads, foresees another. That is what makes a
/// pseudorandom function of a counter: its output cannot be told from random without the 128-bit key. No attack on it in
/// this form is known that is better than trying keys; Rust's standard library guards its maps by the same, against
/// attackers who choose what it takes. Sixteen bytes of output take seven of its rounds, so a key takes less than two. A
/// stream cipher would do as well, but keeps more than twice the bytes in every idle connection.
#[derive(Clone)]
pub(crate) struct Keys {
    seed: Seed,
    /// The keys of the three frames behind the latest whose number is a multiple of four.
    next: [[u8; 4]; 3],
}

/// The number of a block of keys that no frame gets to.
const LAST: u64 = (1 << 56) - 1;

impl Keys {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { seed, next: [[0; 4]; 3] }
    }

    /// Sixteen bytes for each number, of which seven bytes count: with its length in the eighth, it is one block.
    #[inline]
    fn at(&self, number: u64) -> u128 {
        let key = u128::from_le_bytes(self.seed.0);
        let hasher = SipHasher13::new_with_keys(key as u64, (key >> 64) as u64);
        let Hash128 { h1, h2 } = hasher.hash(&number.to_le_bytes()[..7]);
        u128::from(h2) << 64 | u128::from(h1)
    }

    /// The masking key of the frame with this number, which is that of the latest call or follows it.
    #[inline(always)]
    pub(crate) fn mask(&mut self, frame: u64) -> [u8; 4] {
        match frame % 4 {
            0 => self.four(frame / 4),
            later => self.next[later as usize - 1],
        }
    }

    /// The first of four keys; the others are kept.
    #[inline(never)]
    fn four(&mut self, number: u64) -> [u8; 4] {
        let four = self.at(number);
        let key = |at: u32| ((four >> (32 * at)) as u32).to_le_bytes();
        self.next = [key(1), key(2), key(3)];
        key(0)
    }

    /// The nonce of an opening handshake (RFC 6455 §4.1), of a number that no frame gets to.
    pub(crate) fn nonce(&self) -> [u8; 16] {
        self.at(LAST).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// §5.3 to the letter.
    fn slow(bytes: &mut [u8], key: [u8; 4], at: usize) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[(at + i) % 4];
        }
    }

    #[test]
    fn fast_is_slow_at_every_length_and_offset() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let payload: Vec<u8> = (0..400).map(|i| (i * 7) as u8).collect();
        for start in 0..70 {
            for end in start..payload.len() {
                let mut expected = payload.clone();
                slow(&mut expected[..end], key, 0);

                let mut mask = Mask::new(key);
                let mut bytes = payload.clone();
                mask.apply(&mut bytes[..start]);
                mask.apply(&mut bytes[start..end]);
                assert_eq!(bytes, expected, "{start} to {end}");

                let mut mask = Mask::new(key);
                let mut copy = Vec::new();
                mask.copy(&payload[..start], &mut copy);
                mask.copy(&payload[start..end], &mut copy);
                assert_eq!(copy, expected[..end], "{start} to {end}");

                let mut mask = Mask::new(key);
                let mut over = payload.clone();
                mask.copy_to(&payload[..start], &mut over[..start]);
                mask.copy_to(&payload[start..end], &mut over[start..end]);
                assert_eq!(over, expected, "{start} to {end}");
            }
        }
    }

    #[test]
    fn a_copy_of_many_blocks() {
        let payload = vec![0; 0x6005];
        let mut copy = Vec::new();
        Mask::new([1, 2, 3, 4]).copy(&payload, &mut copy);
        let mut expected = payload;
        slow(&mut expected, [1, 2, 3, 4], 0);
        assert_eq!(copy, expected);
        let mut over = vec![7; copy.len()];
        Mask::new([1, 2, 3, 4]).copy_to(&vec![0; copy.len()], &mut over);
        assert_eq!(over, expected);
        Mask::new([1, 2, 3, 4]).apply(&mut over);
        assert_eq!(over, vec![0; copy.len()]);
    }

    #[test]
    fn long_payloads_in_place() {
        for len in [0x1_0000, 0x1_0001, 0x3_0007, 0x3_0050] {
            let mut bytes: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let mut expected = bytes.clone();
            slow(&mut expected, [1, 2, 3, 4], 0);
            Mask::new([1, 2, 3, 4]).apply(&mut bytes);
            assert!(bytes == expected, "{len}");
        }
    }

    #[test]
    fn keys_follow_from_the_seed_and_differ() {
        let keys = |seed| {
            let mut keys = Keys::new(Seed::new([seed; 16]));
            (0..1000).map(|frame| keys.mask(frame)).collect::<Vec<_>>()
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
        let mut sorted = keys(1);
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 1000);
    }

    #[test]
    fn the_halves_of_a_nonce_are_two_outputs() {
        let nonce = Keys::new(Seed::new([1; 16])).nonce();
        assert_ne!(nonce[..8], nonce[8..]);
    }

    #[test]
    fn a_seed_is_not_shown() {
        assert_eq!(alloc::format!("{:?}", Seed::new([7; 16])), "Seed(..)");
    }
}
