//! Numbers that follow from a seed.

#![allow(dead_code)] // Other packages use a part.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True so many times in a hundred.
    pub(crate) fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Bytes without any order in half of the cases, and few different ones in the other.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mask = self.pick(&[u64::MAX, 0x0101_0101_0101_0101]);
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| (self.next() & mask).to_ne_bytes()).collect();
        bytes.truncate(len);
        bytes
    }

    /// Text of this many bytes, in characters of all lengths.
    pub(crate) fn text(&mut self, len: usize) -> String {
        let some = String::from_iter((0..20).map(|_| self.pick(&['a', 'b', ' ', '\u{e9}', '\u{20ac}', '\u{1d11e}'])));
        let mut text = some.repeat(len / some.len());
        text.extend(core::iter::repeat_n('.', len - text.len()));
        text
    }
}

/// What a run of random tests is to do: the seeds to run, those that the environment names if it does.
///
/// `SOCKLESS_SEED=7` replays one run; `SOCKLESS_RUNS=100000` makes more of them.
pub(crate) fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match (number("SOCKLESS_SEED"), number("SOCKLESS_RUNS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, runs) => 0..runs.unwrap_or(usual),
    }
}

/// Says which seed a panic came with.
pub(crate) struct Replay(pub(crate) u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay this run with SOCKLESS_SEED={}", self.0);
        }
    }
}
