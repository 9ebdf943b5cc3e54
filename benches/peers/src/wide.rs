//! XOR by the widest instructions the machine has.

/// Masks or unmasks in place.
#[inline]
pub(crate) fn apply(bytes: &mut [u8], key: [u8; 4]) {
    let (at, len) = (bytes.as_mut_ptr(), bytes.len());
    // SAFETY: it is the same slice, read and written.
    unsafe { xor(at, at, len, u32::from_le_bytes(key)) }
}

/// Masks or unmasks from one place to another.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8], key: [u8; 4]) {
    assert_eq!(from.len(), to.len());
    // SAFETY: both are of this length.
    unsafe { xor(from.as_ptr(), to.as_mut_ptr(), from.len(), u32::from_le_bytes(key)) }
}

/// The key as it applies `at` bytes into the payload.
#[inline]
fn turned(key: u32, at: usize) -> u32 {
    key.rotate_right(8 * (at as u32 % 4))
}

/// From one place to another; a key of 0 copies.
///
/// # Safety
/// `from` and `to` are valid for `len` bytes, and the same or apart.
#[inline]
pub(crate) unsafe fn xor(from: *const u8, to: *mut u8, len: usize, key: u32) {
    /// The first and the last word, which overlap; `$key` repeats a key.
    macro_rules! ends {
        ($word:ty, $key:expr) => {{
            let last = len - size_of::<$word>();
            let repeated = $key;
            let front = from.cast::<$word>().read_unaligned() ^ repeated(key);
            let back = from.add(last).cast::<$word>().read_unaligned() ^ repeated(turned(key, last));
            (front, back, last)
        }};
    }
    macro_rules! put {
        ($word:ty, $ends:expr) => {{
            let (front, back, last) = $ends;
            to.cast::<$word>().write_unaligned(front);
            to.add(last).cast::<$word>().write_unaligned(back);
        }};
    }
    let twice = |key| u64::from(key) << 32 | u64::from(key);
    let fourfold = |key| u128::from(twice(key)) << 64 | u128::from(twice(key));
    // SAFETY: of `len` bytes, no word reaches behind the last.
    unsafe {
        match len {
            0..4 => (0..len).for_each(|i| *to.add(i) = *from.add(i) ^ key.to_le_bytes()[i]),
            4..8 => put!(u32, ends!(u32, |key| key)),
            8..16 => put!(u64, ends!(u64, twice)),
            16..=32 => put!(u128, ends!(u128, fourfold)),
            33..64 => {
                let outer = ends!(u128, fourfold);
                let second = from.add(16).cast::<u128>().read_unaligned() ^ fourfold(key);
                let third = from.add(len - 32).cast::<u128>().read_unaligned() ^ fourfold(turned(key, len));
                to.add(16).cast::<u128>().write_unaligned(second);
                to.add(len - 32).cast::<u128>().write_unaligned(third);
                put!(u128, outer);
            }
            #[cfg(target_arch = "x86_64")]
            _ if is_x86_feature_detected!("avx512f") => vector::avx512(from, to, len, key),
            #[cfg(target_arch = "x86_64")]
            _ if is_x86_feature_detected!("avx2") => vector::avx2(from, to, len, key),
            _ => {
                let ends = ends!(u128, fourfold);
                for at in (16..len - 16).step_by(16) {
                    let word = from.add(at).cast::<u128>().read_unaligned() ^ fourfold(key);
                    to.add(at).cast::<u128>().write_unaligned(word);
                }
                put!(u128, ends);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use super::turned;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($name:ident, $feature:literal, $vector:ty, $repeat:ident, $load:ident, $store:ident, $xor:ident) => {
            /// # Safety
            /// As `xor`; `len` is a vector's, at least.
            #[target_feature(enable = $feature)]
            pub(super) unsafe fn $name(from: *const u8, to: *mut u8, len: usize, key: u32) {
                const N: usize = size_of::<$vector>();
                let repeated = |at| $repeat(turned(key, at) as i32);
                // SAFETY: of `len` bytes, no vector reaches behind the last.
                unsafe {
                    let load = |at: usize| $load(from.add(at).cast());
                    let store = |at: usize, vector| $store(to.add(at).cast(), vector);
                    let front = $xor(load(0), repeated(0));
                    let back = $xor(load(len - N), repeated(len - N));
                    // Stores that cross no cache line are worth a turn of the key in long payloads.
                    let mut at = if len < 16 * N { N } else { to.align_offset(N) };
                    let key = repeated(at);
                    while at + 4 * N <= len {
                        let [a, b, c, d] = [0, N, 2 * N, 3 * N].map(|i| $xor(load(at + i), key));
                        store(at, a);
                        store(at + N, b);
                        store(at + 2 * N, c);
                        store(at + 3 * N, d);
                        at += 4 * N;
                    }
                    while at + N <= len {
                        store(at, $xor(load(at), key));
                        at += N;
                    }
                    store(0, front);
                    store(len - N, back);
                }
            }
        };
    }

    vector!(avx512, "avx512f", __m512i, _mm512_set1_epi32, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_xor_si512);
    vector!(avx2, "avx2", __m256i, _mm256_set1_epi32, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_length_at_every_alignment() {
        let key = [1, 2, 3, 4];
        let payload: Vec<u8> = (0..3000_u32).map(|i| (i * 7) as u8).collect();
        for start in 0..64 {
            for len in (0..300).chain([1024, 2047, 2900]) {
                let from = &payload[start..start + len];
                let expected: Vec<u8> = from.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
                let mut whole = payload.clone();
                super::apply(&mut whole[start..start + len], key);
                assert_eq!(whole[start..start + len], expected);
                assert_eq!((&whole[..start], &whole[start + len..]), (&payload[..start], &payload[start + len..]));
                let mut to = vec![0; start + len];
                super::copy(from, &mut to[start..], key);
                assert_eq!(to[start..], expected);
            }
        }
    }
}
