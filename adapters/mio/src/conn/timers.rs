//! Timers of a connection's own.

use super::Conn;
use crate::command::Act;
use std::time::Duration;

/// Timers.
impl<S> Conn<'_, S> {
    /// Calls [`on_timer`](crate::Handler::on_timer) with this number once, after so long, to 50 ms, if the connection is open then:
    /// in place of the timer that had the number before.
    pub fn set_timer(&mut self, number: u32, after: Duration) {
        self.act(Act::Timer(number, Some(after)));
    }

    /// Calls off a timer.
    pub fn clear_timer(&mut self, number: u32) {
        self.act(Act::Timer(number, None));
    }
}
