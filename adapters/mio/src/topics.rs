//! Who of a worker's connections has subscribed to what.

mod filters;

use filters::Filters;
use slab::Slab;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use filters::FilterError;
pub(crate) use filters::check;

/// The topics that a connection has subscribed to.
pub(crate) type Subscriptions = Vec<u32>;

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One topic.
    Name,
    /// All topics that match.
    Filter,
}

#[derive(Default)]
pub(crate) struct Topics {
    by_name: HashMap<Arc<str>, u32>,
    by_filter: Filters,
    topics: Slab<Topic>,
}

struct Topic {
    name: Arc<str>,
    scope: Scope,
    members: HashSet<u32>,
}

impl Topics {
    /// Whether that is new.
    pub(crate) fn subscribe(&mut self, key: u32, subscriptions: &mut Subscriptions, scope: Scope, name: &str) -> bool {
        let Self { by_name, by_filter, topics } = self;
        let mut add =
            |name: &Arc<str>| topics.insert(Topic { name: name.clone(), scope, members: HashSet::new() }) as u32;
        let number = match (scope, by_name.get(name)) {
            (Scope::Filter, _) => by_filter.number(name, || add(&name.into())),
            (Scope::Name, Some(number)) => *number,
            (Scope::Name, None) => {
                let name: Arc<str> = name.into();
                let number = add(&name);
                by_name.insert(name, number);
                number
            }
        };
        let new = self.topics[number as usize].members.insert(key);
        if new {
            subscriptions.push(number);
        }
        new
    }

    /// Whether that was so.
    pub(crate) fn unsubscribe(
        &mut self,
        key: u32,
        subscriptions: &mut Subscriptions,
        scope: Scope,
        name: &str,
    ) -> bool {
        let number = match scope {
            Scope::Name => self.by_name.get(name).copied(),
            Scope::Filter => self.by_filter.find(name),
        };
        let Some(number) = number else { return false };
        let Some(index) = subscriptions.iter().position(|held| *held == number) else { return false };
        subscriptions.swap_remove(index);
        self.leave(key, number);
        true
    }

    /// Ends all of a connection's subscriptions.
    pub(crate) fn remove(&mut self, key: u32, subscriptions: &mut Subscriptions) {
        for number in std::mem::take(subscriptions) {
            self.leave(key, number);
        }
    }

    /// A topic lasts as long as it has members.
    fn leave(&mut self, key: u32, number: u32) {
        let topic = &mut self.topics[number as usize];
        topic.members.remove(&key);
        if topic.members.is_empty() {
            let topic = self.topics.remove(number as usize);
            match topic.scope {
                Scope::Name => _ = self.by_name.remove(&topic.name),
                Scope::Filter => self.by_filter.remove(&topic.name),
            }
        }
    }

    /// How many subscriptions a message to a topic is for.
    pub(crate) fn count(&self, name: &str) -> usize {
        let of = |number: u32| self.topics[number as usize].members.len();
        let mut count = self.by_name.get(name).map_or(0, |number| of(*number));
        self.by_filter.each_match(name, |number| count += of(number));
        count
    }

    /// The keys of those whom a message to a topic is for, each once.
    pub(crate) fn members(&self, name: &str) -> Vec<u32> {
        let of = |number: u32| self.topics[number as usize].members.iter().copied();
        let mut keys: Vec<_> = self.by_name.get(name).into_iter().flat_map(|number| of(*number)).collect();
        let plain = keys.len();
        self.by_filter.each_match(name, |number| keys.extend(of(number)));
        if keys.len() > plain {
            keys.sort_unstable();
            keys.dedup();
        }
        keys
    }

    /// The names of a connection's topics.
    pub(crate) fn names<'a>(&'a self, subscriptions: &'a Subscriptions) -> impl Iterator<Item = &'a str> {
        subscriptions.iter().map(|number| &*self.topics[*number as usize].name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_come_and_go_with_their_members() {
        let mut topics = Topics::default();
        let (mut one, mut two) = (Vec::new(), Vec::new());
        assert!(topics.subscribe(1, &mut one, Scope::Name, "a"));
        assert!(!topics.subscribe(1, &mut one, Scope::Name, "a"));
        assert!(topics.subscribe(2, &mut two, Scope::Name, "a"));
        assert!(topics.subscribe(2, &mut two, Scope::Name, "b"));
        assert_eq!(topics.names(&two).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(topics.members("a").into_iter().collect::<HashSet<_>>(), HashSet::from([1, 2]));
        assert!(topics.unsubscribe(1, &mut one, Scope::Name, "a"));
        assert!(!topics.unsubscribe(1, &mut one, Scope::Name, "a"));
        assert!(one.is_empty());
        topics.remove(2, &mut two);
        assert!(topics.members("a").is_empty());
        assert!(topics.by_name.is_empty() && topics.topics.is_empty());
    }

    #[test]
    fn filters_and_names_are_told_apart_and_each_gets_a_message_once() {
        let mut topics = Topics::default();
        let (mut one, mut two) = (Vec::new(), Vec::new());
        assert!(topics.subscribe(1, &mut one, Scope::Name, "a/+"));
        assert!(topics.members("a/b").is_empty());
        assert!(topics.subscribe(1, &mut one, Scope::Filter, "a/+"));
        assert!(!topics.subscribe(1, &mut one, Scope::Filter, "a/+"));
        assert!(topics.subscribe(1, &mut one, Scope::Filter, "#"));
        assert!(topics.subscribe(1, &mut one, Scope::Name, "a/b"));
        assert!(topics.subscribe(2, &mut two, Scope::Filter, "a/+"));
        assert_eq!((topics.members("a/b"), topics.count("a/b")), (vec![1, 2], 4));
        assert_eq!(topics.members("b"), [1]);
        assert!(topics.unsubscribe(1, &mut one, Scope::Filter, "#"));
        assert!(!topics.unsubscribe(1, &mut one, Scope::Name, "#"));
        assert!(topics.members("b").is_empty());
        assert_eq!(topics.names(&two).collect::<Vec<_>>(), ["a/+"]);
        topics.remove(2, &mut two);
        topics.remove(1, &mut one);
        assert!(topics.by_name.is_empty() && topics.by_filter.is_empty() && topics.topics.is_empty());
    }
}
