//! Who waits for a connection: its stream knows but one waker, which wakes whoever receives and whoever sends.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Who receives.
pub(crate) const RECEIVER: usize = 0;

/// Who waits for what was sent to be written.
pub(crate) const SENDER: usize = 1;

#[derive(Default)]
pub(crate) struct Waiting([Mutex<Option<Waker>>; 2]);

impl Waiting {
    /// Says who of these waits from now on, if anybody; gives who did.
    pub(crate) fn replace(&self, who: usize, waker: Option<Waker>) -> Option<Waker> {
        mem::replace(&mut *self.0[who].lock().unwrap_or_else(PoisonError::into_inner), waker)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        [RECEIVER, SENDER].into_iter().filter_map(|who| self.replace(who, None)).for_each(Waker::wake);
    }
}
