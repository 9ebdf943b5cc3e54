//! What a thread lends to the connection that is polled, a buffer to read into and an outbox: so those that wait hold none.

use sockless::driver::Storage;
use std::cell::Cell;

thread_local! {
    static STORAGE: Cell<Option<Box<Storage>>> = const { Cell::new(None) };
}

/// Does something with what the thread lends; with another where a stream that is itself made of WebSockets has it.
#[inline]
pub(crate) fn lent<T>(work: impl FnOnce(&mut Storage) -> T) -> T {
    let mut storage = STORAGE.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let result = work(&mut storage);
    _ = STORAGE.try_with(|slot| slot.set(Some(storage)));
    result
}
