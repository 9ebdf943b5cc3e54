//! Who waits for a connection: its stream knows but one waker, which wakes them all.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The place of who receives; others are a sender's each.
pub(crate) const RECEIVER: usize = 0;

#[derive(Default)]
pub(crate) struct Waiting(Mutex<BTreeMap<usize, Waker>>);

impl Waiting {
    pub(crate) fn wait(&self, place: usize, waker: &Waker) {
        // What is dropped with a waker may come back here, so it is dropped behind the lock.
        let _old = lock(&self.0).insert(place, waker.clone());
    }

    pub(crate) fn leave(&self, place: usize) {
        let _left = lock(&self.0).remove(&place);
    }

    /// Wakes all but one, and who receives only where there is something for it.
    pub(crate) fn wake_others(&self, place: usize, news: bool) {
        let mut others = Vec::new();
        lock(&self.0).retain(|other, waker| {
            let stays = *other == place || *other == RECEIVER && !news;
            others.extend((!stays).then(|| waker.clone()));
            stays
        });
        others.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let all = mem::take(&mut *lock(&self.0));
        all.into_values().for_each(Waker::wake);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
