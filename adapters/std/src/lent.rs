//! What a thread lends to the connection that it is busy with: a buffer to read into, and one for what goes out.

use sockless::driver::Storage;
use std::cell::Cell;

/// Bytes that a read brings at most; longer messages are read to where they belong.
const READ: usize = 256 << 10;

thread_local! {
    static SPARE: Cell<Option<Box<Storage>>> = const { Cell::new(None) };
}

/// A connection's claim on its thread's [`Storage`]: held while there is something in it.
#[derive(Default)]
pub(crate) struct Lent(Option<Box<Storage>>);

impl Lent {
    pub(crate) fn storage(&mut self) -> &mut Storage {
        self.0.get_or_insert_with(|| {
            let spare = SPARE.try_with(Cell::take).ok().flatten();
            spare.unwrap_or_else(|| Box::new(Storage::new(READ)))
        })
    }

    pub(crate) fn give_back(&mut self) {
        if let Some(storage) = self.0.take() {
            // A thread that ends has no use for it.
            _ = SPARE.try_with(|spare| spare.set(Some(storage)));
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.give_back();
    }
}
