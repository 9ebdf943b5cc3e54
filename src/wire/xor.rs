//! XOR with a repeated key, by the widest instructions that the machine has: all that masking is (RFC 6455 §5.3).

use alloc::vec::Vec;
#[cfg(feature = "std")]
use fearless_simd::{Level, dispatch};

/// A key as it applies to the bytes at hand.
pub(crate) type Key = [u8; 4];

/// Shorter payloads gain nothing by wide instructions.
const LEAST_WIDE: usize = 128;

/// The bytes that are worked on at once in a long payload: a cache line, and the widest vector there is.
const LINE: usize = 64;

/// From this length on, it pays that stores cross no cache line.
const LEAST_ALIGNED: usize = 16 * LINE;

/// What is longer is done in parts of this length from the last to the first: what came last is still in a cache then, and
/// what is looked at first is when that begins.
const PART: usize = 64 << 10;

/// The key as it applies `at` bytes further into the payload.
#[inline]
pub(crate) fn turned(key: Key, at: usize) -> Key {
    u32::from_le_bytes(key).rotate_right(8 * (at % 4) as u32).to_le_bytes()
}

/// A block of a few words, which the compiler keeps in registers.
#[inline(always)]
fn block<const N: usize>(mut bytes: [u8; N], key: Key) -> [u8; N] {
    let key = u32::from_ne_bytes(key);
    for word in bytes.as_chunks_mut::<4>().0 {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    bytes
}

/// In place.
#[inline(always)]
pub(crate) fn apply(bytes: &mut [u8], key: Key) {
    match bytes.len() {
        0..4 => bytes.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key),
        4..8 => apply_ends::<4>(bytes, key),
        8..16 => apply_ends::<8>(bytes, key),
        16..=32 => apply_ends::<16>(bytes, key),
        33..=64 => apply_ends::<32>(bytes, key),
        65..LEAST_WIDE => apply_ends::<64>(bytes, key),
        LEAST_WIDE..=PART => apply_wide(bytes, key),
        _ => apply_parts(bytes, key),
    }
}

#[inline(never)]
fn apply_parts(bytes: &mut [u8], key: Key) {
    bytes.chunks_mut(PART).rev().for_each(|part| apply(part, key));
}

/// The first block and the last, which may overlap.
#[inline(always)]
fn apply_ends<const N: usize>(bytes: &mut [u8], key: Key) {
    let behind = turned(key, bytes.len());
    if let (Some(&front), Some(&back)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        bytes[..N].copy_from_slice(&block(front, key));
        let last = bytes.len() - N;
        bytes[last..].copy_from_slice(&block(back, behind));
    }
}

/// Blocks, and the first and last of `N` bytes, which may overlap them.
#[inline(always)]
fn apply_blocks(bytes: &mut [u8], key: Key) {
    let (Some(&front), Some(&back)) = (bytes.first_chunk::<LINE>(), bytes.last_chunk::<LINE>()) else { return };
    let last = bytes.len() - LINE;
    let start = if bytes.len() < LEAST_ALIGNED { LINE } else { bytes.as_ptr().align_offset(LINE).min(LINE) };
    let inner = turned(key, start);
    let (fours, rest) = bytes[start..].as_chunks_mut::<{ 4 * LINE }>();
    for four in fours {
        *four = block(*four, inner);
    }
    for line in rest.as_chunks_mut::<LINE>().0 {
        *line = block(*line, inner);
    }
    bytes[..LINE].copy_from_slice(&block(front, key));
    bytes[last..].copy_from_slice(&block(back, turned(key, last)));
}

#[cfg(feature = "std")]
fn apply_wide(bytes: &mut [u8], key: Key) {
    dispatch!(Level::new(), _ => apply_blocks(bytes, key));
}

#[cfg(not(feature = "std"))]
fn apply_wide(bytes: &mut [u8], key: Key) {
    apply_blocks(bytes, key);
}

/// Appends `bytes`, for which there is room: no code to make some is needed around it.
#[inline(always)]
pub(crate) fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    assert!(to.capacity() - to.len() >= bytes.len());
    to.extend_from_slice(bytes);
}

/// To the end of `to`.
#[inline]
pub(crate) fn append(bytes: &[u8], to: &mut Vec<u8>, key: Key) {
    to.reserve(bytes.len());
    match bytes.len() {
        0..4 => to.extend(bytes.iter().zip(key).map(|(byte, key)| byte ^ key)),
        4..8 => append_ends::<4>(bytes, to, key),
        8..16 => append_ends::<8>(bytes, to, key),
        16..=32 => append_ends::<16>(bytes, to, key),
        33..=64 => append_ends::<32>(bytes, to, key),
        65..LEAST_WIDE => append_ends::<64>(bytes, to, key),
        _ => append_wide(bytes, to, key),
    }
}

/// The first block and the last, which may overlap.
#[inline(always)]
fn append_ends<const N: usize>(bytes: &[u8], to: &mut Vec<u8>, key: Key) {
    let behind = turned(key, bytes.len());
    if let (Some(&front), Some(&back)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        to.extend_from_slice(&block(front, key));
        to.truncate(to.len() - (2 * N - bytes.len()));
        to.extend_from_slice(&block(back, behind));
    }
}

#[inline(always)]
fn append_blocks(bytes: &[u8], to: &mut Vec<u8>, key: Key) {
    let (Some(&front), Some(&back)) = (bytes.first_chunk::<LINE>(), bytes.last_chunk::<LINE>()) else { return };
    let (from, last) = (to.len(), bytes.len() - LINE);
    put(to, &block(front, key));
    let mut start = LINE;
    if bytes.len() >= LEAST_ALIGNED {
        start = to[from..].as_ptr().align_offset(LINE).min(LINE);
        to.truncate(from + start);
    }
    let inner = turned(key, start);
    let (fours, rest) = bytes[start..].as_chunks::<{ 4 * LINE }>();
    for four in fours {
        put(to, &block(*four, inner));
    }
    for line in rest.as_chunks::<LINE>().0 {
        put(to, &block(*line, inner));
    }
    to.truncate(from + last);
    put(to, &block(back, turned(key, last)));
}

/// The same for at least a [`LINE`], for which there is room.
#[cfg(feature = "std")]
pub(crate) fn append_wide(bytes: &[u8], to: &mut Vec<u8>, key: Key) {
    dispatch!(Level::new(), _ => append_blocks(bytes, to, key));
}

#[cfg(not(feature = "std"))]
pub(crate) fn append_wide(bytes: &[u8], to: &mut Vec<u8>, key: Key) {
    append_blocks(bytes, to, key);
}

/// From one place to another of the same length.
#[inline]
pub(crate) fn copy(bytes: &[u8], to: &mut [u8], key: Key) {
    if bytes.len() < LEAST_WIDE { copy_short(bytes, to, key) } else { copy_wide(bytes, to, key) }
}

/// The same for at most twice a [`LINE`].
#[inline(always)]
pub(crate) fn copy_short(bytes: &[u8], to: &mut [u8], key: Key) {
    match bytes.len() {
        0..4 => to.iter_mut().zip(bytes).zip(key).for_each(|((to, byte), key)| *to = byte ^ key),
        4..8 => copy_ends::<4>(bytes, to, key),
        8..16 => copy_ends::<8>(bytes, to, key),
        16..=32 => copy_ends::<16>(bytes, to, key),
        33..=64 => copy_ends::<32>(bytes, to, key),
        _ => copy_ends::<64>(bytes, to, key),
    }
}

/// The first block and the last, which may overlap.
#[inline(always)]
fn copy_ends<const N: usize>(bytes: &[u8], to: &mut [u8], key: Key) {
    let (Some(&front), Some(&back)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else { return };
    if let Some(to) = to.first_chunk_mut::<N>() {
        *to = block(front, key);
    }
    if let Some(to) = to.last_chunk_mut::<N>() {
        *to = block(back, turned(key, bytes.len()));
    }
}

#[inline(always)]
fn copy_blocks(bytes: &[u8], to: &mut [u8], key: Key) {
    let start = if bytes.len() < LEAST_ALIGNED { LINE } else { to.as_ptr().align_offset(LINE).min(LINE) };
    copy_ends::<LINE>(bytes, to, key);
    let inner = u32::from_ne_bytes(turned(key, start));
    let lines = bytes[start..].as_chunks::<LINE>().0.as_flattened().as_chunks::<4>().0;
    for (from, to) in lines.iter().zip(to[start..].as_chunks_mut().0) {
        *to = (u32::from_ne_bytes(*from) ^ inner).to_ne_bytes();
    }
}

#[cfg(feature = "std")]
fn copy_wide(bytes: &[u8], to: &mut [u8], key: Key) {
    dispatch!(Level::new(), _ => copy_blocks(bytes, to, key));
}

#[cfg(not(feature = "std"))]
fn copy_wide(bytes: &[u8], to: &mut [u8], key: Key) {
    copy_blocks(bytes, to, key);
}
