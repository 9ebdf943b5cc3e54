//! Settings that change while connections run.

use crate::config::{Config, Keepalive, Limits, SharedConfig};
use crate::rates::Rates;
use alloc::vec::Vec;

/// A change of settings for connections that run, one or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// What a peer may send, from the next frame on.
    Limits(Limits),
    /// Deadlines, which count from what has happened already.
    Keepalive(Keepalive),
    /// How much a peer may send in a time; what it owes it still does.
    Rates(Rates),
}

impl Change {
    /// Changes settings for connections to come.
    pub fn apply(&self, config: &mut Config) {
        match *self {
            Self::Limits(limits) => config.limits = limits,
            Self::Keepalive(keepalive) => config.keepalive = keepalive,
            Self::Rates(rates) => config.rates = rates,
        }
    }
}

/// One [`Change`] for many connections: those that shared their settings before do so behind it, so that it costs no memory for
/// each.
#[derive(Debug)]
pub struct Changes {
    change: Change,
    /// Settings before the change, and behind it.
    made: Vec<(SharedConfig, SharedConfig)>,
}

/// Settings that are looked for among those that were changed already: a server has few, and connections with their own are not
/// remembered.
const MOST_REMEMBERED: usize = 32;

impl Changes {
    /// For as many connections as there are.
    pub const fn new(change: Change) -> Self {
        Self { change, made: Vec::new() }
    }

    /// What changes.
    pub const fn change(&self) -> Change {
        self.change
    }

    /// The settings behind the change.
    pub fn of(&mut self, config: &SharedConfig) -> SharedConfig {
        if let Some((_, made)) = self.made.iter().find(|(before, _)| before.is_same(config)) {
            return made.clone();
        }
        let mut made = config.clone();
        self.change.apply(made.to_mut());
        if self.made.len() < MOST_REMEMBERED {
            self.made.push((config.clone(), made.clone()));
        }
        made
    }
}
