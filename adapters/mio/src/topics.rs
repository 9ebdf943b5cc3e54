//! Who of a worker's connections has subscribed to what.

use slab::Slab;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The topics that a connection has subscribed to.
pub(crate) type Subscriptions = Vec<u32>;

#[derive(Default)]
pub(crate) struct Topics {
    by_name: HashMap<Arc<str>, u32>,
    topics: Slab<Topic>,
}

struct Topic {
    name: Arc<str>,
    members: HashSet<u32>,
}

impl Topics {
    /// Whether that is new.
    pub(crate) fn subscribe(&mut self, key: u32, subscriptions: &mut Subscriptions, name: &str) -> bool {
        let number = match self.by_name.get(name) {
            Some(number) => *number,
            None => {
                let name: Arc<str> = name.into();
                let number = self.topics.insert(Topic { name: name.clone(), members: HashSet::new() }) as u32;
                self.by_name.insert(name, number);
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
    pub(crate) fn unsubscribe(&mut self, key: u32, subscriptions: &mut Subscriptions, name: &str) -> bool {
        let Some(number) = self.by_name.get(name).copied() else { return false };
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
            self.by_name.remove(&topic.name);
        }
    }

    /// How many have subscribed.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.by_name.get(name).map_or(0, |number| self.topics[*number as usize].members.len())
    }

    /// The keys of those who have subscribed.
    pub(crate) fn members(&self, name: &str) -> impl Iterator<Item = u32> {
        let topic = self.by_name.get(name).map(|number| &self.topics[*number as usize]);
        topic.into_iter().flat_map(|topic| topic.members.iter().copied())
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
        assert!(topics.subscribe(1, &mut one, "a"));
        assert!(!topics.subscribe(1, &mut one, "a"));
        assert!(topics.subscribe(2, &mut two, "a"));
        assert!(topics.subscribe(2, &mut two, "b"));
        assert_eq!(topics.names(&two).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(topics.members("a").collect::<HashSet<_>>(), HashSet::from([1, 2]));
        assert!(topics.unsubscribe(1, &mut one, "a"));
        assert!(!topics.unsubscribe(1, &mut one, "a"));
        assert!(one.is_empty());
        topics.remove(2, &mut two);
        assert_eq!(topics.members("a").count(), 0);
        assert!(topics.by_name.is_empty() && topics.topics.is_empty());
    }
}
