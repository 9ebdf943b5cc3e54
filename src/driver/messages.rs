//! The messages of a turn that lie whole where they were read, which most are.

use super::{Progress, Turn, work};
use crate::connection::Connection;
use crate::event::Event;
use crate::wire::error::ProtocolError;

/// The messages that lie whole where they were read, one after the other; of other events, it does not know.
///
/// It is the quickest way for a loop that may stop behind any of them. Behind the last, [`Driver::event`](super::Driver::event)
/// says what follows.
pub struct Messages<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) progress: &'a mut Progress,
    pub(super) input: &'a mut [u8],
    /// How much input there was at first.
    pub(super) rest: usize,
    pub(super) at: &'a mut usize,
    pub(super) work: &'a mut usize,
    /// When the turn's events have cost more, there are none left.
    pub(super) most: usize,
    pub(super) stop_at: usize,
}

impl<'a> Messages<'a> {
    /// The next message; `None` if what follows is something else, or not for this turn.
    ///
    /// # Errors
    /// The [`ProtocolError`] that ends the connection.
    #[allow(clippy::should_implement_trait)] // An iterator's items could not be answered.
    #[inline(always)]
    pub fn next(&mut self) -> Option<Result<Event<'a>, ProtocolError>> {
        if *self.work >= self.most || self.connection.queued() > self.stop_at {
            return None;
        }
        let message = self.connection.whole_message(&mut self.input)?;
        *self.work += work::EVENT;
        if message.is_err() {
            self.progress.set(Progress::TIMED, false);
        }
        Some(self.progress.noted(self.connection, message.map(Event::from)))
    }

    /// The connection, to answer the message.
    #[inline(always)]
    pub fn turn(&mut self) -> Turn<'_> {
        Turn::new(self.connection, self.progress, self.work, self.input.is_empty())
    }
}

impl Drop for Messages<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let taken = self.rest - self.input.len();
        *self.at += taken;
        *self.work = self.work.saturating_add(taken);
    }
}
