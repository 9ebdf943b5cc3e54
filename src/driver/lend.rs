//! What a thread lends to the connection that is polled, a buffer to read into and an outbox: so those that wait hold none.

use super::Storage;
use std::boxed::Box;
use std::cell::Cell;

std::thread_local! {
    static STORAGE: Cell<Option<Box<Storage>>> = const { Cell::new(None) };
}

/// Does something with the [`Storage`] of this thread, for adapters whose connections are polled by turns; with another where a
/// stream that is itself made of WebSockets has it. Each leaves it by [`Driver::leave`](super::Driver::leave).
#[inline]
pub fn lent<T>(work: impl FnOnce(&mut Storage) -> T) -> T {
    let mut storage = STORAGE.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let result = work(&mut storage);
    _ = STORAGE.try_with(|slot| slot.set(Some(storage)));
    result
}
