//! Having a connection closed by another thread than its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Has another thread close a connection, with 1001 (going away): within half a second if its own thread waits to receive.
#[derive(Clone, Debug, Default)]
pub struct Closer(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    own: AtomicBool,
    /// Of all connections of a server.
    all: Option<Closer>,
}

impl Closer {
    /// Asks it to close; what was sent on it before goes out first.
    pub fn go_away(&self) {
        self.0.own.store(true, Ordering::SeqCst);
    }

    /// One for a single connection, which is also asked to close by this.
    pub(crate) fn child(&self) -> Self {
        Self(Arc::new(Asked { own: AtomicBool::new(false), all: Some(self.clone()) }))
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.own.load(Ordering::SeqCst) || self.0.all.as_ref().is_some_and(Self::is_asked)
    }
}
