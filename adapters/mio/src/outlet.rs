//! Where messages of topics go besides the connections here.

use sockless::Prepared;
use std::sync::Arc;

/// Takes what is published here to other nodes.
pub(crate) trait Outlet: Send + Sync {
    /// Takes a message on its way, without waiting.
    fn push(&self, topic: &Arc<str>, message: &Prepared);

    /// Messages that were lost on their way out.
    fn unsent(&self) -> u64;

    /// Waits until all that was taken has gone; nothing more is taken.
    fn end(&self);
}
