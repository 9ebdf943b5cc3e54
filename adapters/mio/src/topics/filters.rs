//! Filters of topics, as MQTT has them: which of them a topic matches.

use std::collections::HashMap;

/// Levels of a filter at most, so that looking one up has an end of its own.
const MOST_LEVELS: usize = 128;

/// Any one level.
const ONE: &str = "+";

/// All levels that follow, or none.
const REST: &str = "#";

/// A filter that is none: `+` and `#` stand for whole levels, `#` for the last, and there are at most 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a filter of topics: `+` and `#` stand for whole levels, `#` for the last of at most 128")]
pub struct FilterError;

/// Whether `filter` is one.
pub(crate) fn check(filter: &str) -> Result<(), FilterError> {
    let mut levels = filter.split('/');
    let last = levels.next_back();
    let good = levels.clone().count() < MOST_LEVELS
        && levels.all(|level| level == ONE || !level.contains(['+', '#']))
        && last.is_some_and(|level| level == ONE || level == REST || !level.contains(['+', '#']));
    if good { Ok(()) } else { Err(FilterError) }
}

/// The filters that somebody has subscribed to, by their levels, each with the number of its topic.
#[derive(Default)]
pub(super) struct Filters {
    number: Option<u32>,
    next: HashMap<Box<str>, Filters>,
}

impl Filters {
    pub(super) fn is_empty(&self) -> bool {
        self.number.is_none() && self.next.is_empty()
    }

    /// The number of a filter, that of `new` if there is none yet.
    pub(super) fn number(&mut self, filter: &str, new: impl FnOnce() -> u32) -> u32 {
        let end = filter.split('/').fold(self, |node, level| node.next.entry(level.into()).or_default());
        *end.number.get_or_insert_with(new)
    }

    pub(super) fn find(&self, filter: &str) -> Option<u32> {
        filter.split('/').try_fold(self, |node, level| node.next.get(level))?.number
    }

    pub(super) fn remove(&mut self, filter: &str) {
        self.remove_from(filter.split('/'));
    }

    fn remove_from<'f>(&mut self, mut levels: impl Iterator<Item = &'f str>) {
        let Some(level) = levels.next() else { return self.number = None };
        if let Some(next) = self.next.get_mut(level) {
            next.remove_from(levels);
            if next.is_empty() {
                self.next.remove(level);
            }
        }
        if self.next.is_empty() {
            self.next = HashMap::new();
        }
    }

    /// Calls `found` with the number of each filter that a topic matches. No node is looked at twice.
    pub(super) fn each_match(&self, topic: &str, mut found: impl FnMut(u32)) {
        if self.is_empty() {
            return;
        }
        // No filter has as many as are left out.
        let levels: Vec<_> = topic.split('/').take(MOST_LEVELS + 1).collect();
        // What a system tells of itself is for those who ask for it (MQTT 5.0 §4.7.2).
        self.visit(&levels, !topic.starts_with('$'), &mut found);
    }

    fn visit(&self, levels: &[&str], wild: bool, found: &mut impl FnMut(u32)) {
        let next = |level: &str| self.next.get(level);
        if let Some(number) = next(REST).filter(|_| wild).and_then(|rest| rest.number) {
            found(number);
        }
        let Some((level, rest)) = levels.split_first() else {
            if let Some(number) = self.number {
                found(number);
            }
            return;
        };
        let named = next(level).filter(|_| ![ONE, REST].contains(level));
        for next in named.into_iter().chain(next(ONE).filter(|_| wild)) {
            next.visit(rest, true, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_filter() {
        for good in ["a", "+", "#", "a/+/b", "a/#", "+/+", "/", "", "a//b", "/#", "+/a/#"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["a+", "a/b#", "#/a", "a/#/b", "a/+b/c", "++", "##", "a/b+"] {
            assert_eq!(check(bad), Err(FilterError), "{bad}");
        }
        assert_eq!(check(&["a"; 128].join("/")), Ok(()));
        assert_eq!(check(&["a"; 129].join("/")), Err(FilterError));
    }

    /// By the words of MQTT 5.0 §4.7.1, level by level.
    fn matches(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => matches(filter, topic),
            ([level, filter @ ..], [same, topic @ ..]) => level == same && matches(filter, topic),
            _ => false,
        }
    }

    #[test]
    fn a_topic_matches_as_mqtt_says() {
        let filters =
            ["#", "+", "a", "a/#", "a/+", "a/+/b", "+/b", "+/+/#", "a/b", "/+", "a/b/+", "+/+", "a//b", "$s/#", "$s/+"];
        let mut trie = Filters::default();
        for (number, filter) in filters.iter().enumerate() {
            assert_eq!(trie.number(filter, || number as u32), number as u32);
            assert_eq!((trie.number(filter, || 99), trie.find(filter)), (number as u32, Some(number as u32)));
        }
        for topic in [
            "a", "b", "a/b", "a/c", "a/c/b", "a/b/b", "/", "/b", "a/", "a//b", "", "c/b/d/e", "$s", "$s/a", "+", "#",
            "a/+",
        ] {
            let mut found = Vec::new();
            trie.each_match(topic, |number| found.push(filters[number as usize]));
            found.sort_unstable();
            let split = |text: &'static str| text.split('/').collect::<Vec<_>>();
            let wild = |filter: &&str| topic.starts_with('$') && filter.starts_with(['+', '#']);
            let mut expected: Vec<_> = filters.into_iter().filter(|filter| !wild(filter)).collect();
            expected.retain(|filter| matches(&split(filter), &split(topic)));
            expected.sort_unstable();
            assert_eq!(found, expected, "{topic}");
        }
        for filter in filters {
            trie.remove(filter);
            trie.remove(filter);
            assert_eq!(trie.find(filter), None);
        }
        assert!(trie.is_empty());
    }

    /// Many filters that all begin alike are each looked at once, not once for each way to them.
    #[test]
    fn no_topic_takes_a_long_time() {
        let mut trie = Filters::default();
        for number in 0..1 << 12 {
            let levels: Vec<_> = (0..12).map(|bit| if number >> bit & 1 == 0 { "a" } else { "+" }).collect();
            trie.number(&levels.join("/"), || number);
        }
        let mut found = Vec::new();
        trie.each_match(&["a"; 12].join("/"), |number| found.push(number));
        found.sort_unstable();
        assert!(found.into_iter().eq(0..1 << 12));
        trie.each_match(&"a/".repeat(1 << 20), |_| panic!("it has more levels than any filter"));
    }
}
