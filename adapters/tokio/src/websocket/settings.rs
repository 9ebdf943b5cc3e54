//! Settings that change while a connection runs.

use super::WebSocket;
use sockless::{Keepalive, Limits, Rates};

impl<S> WebSocket<S> {
    /// Changes what the peer may send, from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.side.writing.driver.connection().set_limits(limits);
    }

    /// Changes how much the peer may send in a time; see [`Config::rates`](sockless::Config::rates).
    pub fn set_rates(&mut self, rates: Rates) {
        self.side.writing.driver.set_rates(rates);
    }

    /// Changes when the peer is pinged, and how long it is waited for; it counts from what has happened already.
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.side.writing.driver.set_keepalive(keepalive);
    }
}
