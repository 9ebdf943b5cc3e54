//! One direction of TCP: segments, in whatever order and however often, to bytes in order.

use std::collections::BTreeMap;

/// How much of what lies behind a gap is kept, what it costs to keep it included.
const MOST_KEPT: usize = 4 << 20;
/// What it costs to keep a segment, beside its bytes.
const COST: usize = 64;

#[derive(Default)]
pub(super) struct Flow {
    /// The sequence number of the next byte, once one is known, and that byte's place in the stream.
    next: Option<u32>,
    delivered: u64,
    /// What lies behind a gap, by its place in the stream.
    kept: BTreeMap<u64, Vec<u8>>,
    cost: usize,
    /// Where the stream ends.
    end: Option<u64>,
}

/// More lies behind a gap than is kept: what is missing will not come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;

impl Flow {
    /// A stream that begins behind this sequence number, that of its SYN.
    pub(super) fn begin(&mut self, syn: u32) {
        self.next.get_or_insert(syn.wrapping_add(1));
    }

    /// Whether this sequence number, that of a SYN, begins another stream than this one.
    pub(super) fn is_other(&self, syn: u32) -> bool {
        let first = self.next.map(|next| next.wrapping_sub(self.delivered as u32));
        first.is_some_and(|first| first != syn.wrapping_add(1))
    }

    /// Takes a segment, and gives `take` the bytes that are in order by it.
    ///
    /// # Errors
    /// [`Lost`], and then nothing more will come in order.
    pub(super) fn segment(
        &mut self,
        sequence: u32,
        data: &[u8],
        is_last: bool,
        mut take: impl FnMut(&mut [u8]),
    ) -> Result<(), Lost> {
        let next = *self.next.get_or_insert(sequence);
        // Sequence numbers go round: what is less than half of them ahead is ahead (RFC 9293 §3.4).
        let ahead = i64::from(sequence.wrapping_sub(next) as i32);
        let place = self.delivered as i64 + ahead;
        // What lies before the first byte is none of the stream.
        let data = data.get(place.min(0).unsigned_abs() as usize..).unwrap_or_default();
        let start = place.max(0) as u64;
        if is_last {
            self.end.get_or_insert(start + data.len() as u64);
        }
        if start <= self.delivered {
            self.deliver(start, data, &mut take);
            while let Some(entry) = self.kept.first_entry() {
                if *entry.key() > self.delivered {
                    break;
                }
                let (start, data) = entry.remove_entry();
                self.cost -= data.len() + COST;
                self.deliver(start, &data, &mut take);
            }
            return Ok(());
        }
        if data.is_empty() || self.kept.get(&start).is_some_and(|kept| kept.len() >= data.len()) {
            return Ok(());
        }
        self.cost += data.len() + COST;
        if let Some(shorter) = self.kept.insert(start, data.to_owned()) {
            self.cost -= shorter.len() + COST;
        }
        if self.cost > MOST_KEPT { Err(Lost) } else { Ok(()) }
    }

    /// Gives what is new of data that begins at `start`, which is not ahead.
    fn deliver(&mut self, start: u64, data: &[u8], take: &mut impl FnMut(&mut [u8])) {
        let known = usize::try_from(self.delivered - start).unwrap_or(usize::MAX);
        let Some(new) = data.get(known..).filter(|new| !new.is_empty()) else { return };
        take(&mut new.to_vec());
        self.delivered += new.len() as u64;
        self.next = self.next.map(|next| next.wrapping_add(new.len() as u32));
    }

    /// Whether all has come, to the end.
    pub(super) fn is_ended(&self) -> bool {
        self.end.is_some_and(|end| self.delivered >= end)
    }

    /// Where bytes are missing, if later ones have come: how many were in order before them.
    pub(super) fn gap(&self) -> Option<u64> {
        let is_cut = !self.kept.is_empty() || self.end.is_some_and(|end| end > self.delivered);
        is_cut.then_some(self.delivered)
    }

    /// Frees what it keeps.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.cost = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes in order of segments, each at its sequence number.
    fn ordered(flow: &mut Flow, segments: &[(u32, &str)]) -> String {
        let mut all = Vec::new();
        for (sequence, data) in segments {
            flow.segment(*sequence, data.as_bytes(), false, |bytes| all.extend_from_slice(bytes)).unwrap();
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn in_order_whatever_the_order() {
        for start in [0, 7, u32::MAX - 2, u32::MAX] {
            let at = |n: u32| start.wrapping_add(1).wrapping_add(n);
            for segments in [
                vec![(at(0), "abc"), (at(3), "def")],
                vec![(at(3), "def"), (at(0), "abc")],
                vec![(at(0), "abc"), (at(0), "abc"), (at(1), "bcdef"), (at(3), "d")],
                vec![(at(5), "f"), (at(3), "d"), (at(3), "de"), (at(0), "abcd"), (at(2), "c")],
                vec![(at(4), "ef"), (at(2), "cde"), (at(0), "ab")],
                vec![(start, "?abc"), (at(3), "def")],
            ] {
                let mut flow = Flow::default();
                flow.begin(start);
                assert_eq!(ordered(&mut flow, &segments), "abcdef", "{segments:?} from {start}");
                assert_eq!((flow.gap(), flow.cost), (None, 0));
            }
        }
    }

    #[test]
    fn a_stream_without_its_beginning_begins_where_it_is_first_seen() {
        let mut flow = Flow::default();
        assert_eq!(ordered(&mut flow, &[(50, "cd"), (48, "ab"), (52, "ef")]), "cdef");
    }

    #[test]
    fn a_gap_is_told_and_bounds_what_is_kept() {
        let mut flow = Flow::default();
        assert_eq!(ordered(&mut flow, &[(1, "ab"), (4, "d")]), "ab");
        assert_eq!(flow.gap(), Some(2));
        let data = [0; 1 << 16];
        let kept = (0_u32..).find(|n| flow.segment(10 + (n << 16), &data, false, |_| {}) == Err(Lost)).unwrap();
        assert_eq!(kept as usize, MOST_KEPT / (data.len() + COST));
        // Many that are small.
        let mut flow = Flow::default();
        ordered(&mut flow, &[(1, "a")]);
        let kept = (0_u32..).find(|n| flow.segment(10 + 2 * n, b"x", false, |_| {}) == Err(Lost)).unwrap();
        assert_eq!(kept as usize, MOST_KEPT / (1 + COST));
    }

    #[test]
    fn the_end_comes_behind_all_before_it() {
        let mut flow = Flow::default();
        flow.begin(0);
        flow.segment(4, b"d", true, |_| {}).unwrap();
        assert_eq!((flow.is_ended(), flow.gap()), (false, Some(0)));
        flow.segment(1, b"abc", false, |_| {}).unwrap();
        assert!(flow.is_ended() && !flow.is_other(0) && flow.is_other(1));
    }
}
