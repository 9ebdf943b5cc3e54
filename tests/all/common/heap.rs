//! An allocator that counts, for each thread on its own.

#![allow(dead_code)] // Other packages use a part.

use sockless::{Config, Connection, Negotiated, Role, Seed};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Once;

/// What happened on the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Calls that asked for memory.
    pub(crate) calls: usize,
    /// Bytes that those asked for, as far as can be counted.
    pub(crate) asked: usize,
    /// Bytes held at the end beyond those at the start.
    pub(crate) held: isize,
    /// The most bytes ever held beyond those at the start.
    pub(crate) peak: isize,
}

thread_local! {
    static USED: Cell<Used> = const { Cell::new(Used { calls: 0, asked: 0, held: 0, peak: 0 }) };
}

static FIRST: Once = Once::new();

/// Has everything made that is made with the first frame: the handles of what is counted, with the feature `metrics`.
fn first() {
    let mut connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    _ = connection.receive(&mut &mut [0x89, 0x80, 0, 0, 0, 0][..]);
}

/// Runs `work`, and says what it did to the heap.
pub(crate) fn used<T>(work: impl FnOnce() -> T) -> (T, Used) {
    // What the watchdog keeps of this thread is none of the work's, nor what a process makes once.
    sockless_test_support::watch();
    FIRST.call_once(first);
    let before = USED.replace(Used::default());
    let result = work();
    let used = USED.get();
    USED.set(Used {
        calls: before.calls + used.calls,
        asked: before.asked.saturating_add(used.asked),
        held: before.held + used.held,
        peak: before.peak.max(before.held + used.peak),
    });
    (result, used)
}

/// What this thread has done to the heap so far, outside of [`used`].
pub(crate) fn so_far() -> Used {
    USED.get()
}

struct Counting;

fn count(taken: usize, given: usize) {
    let mut used = USED.get();
    if taken > 0 {
        used.calls += 1;
        used.asked = used.asked.saturating_add(taken);
    }
    used.held += taken as isize - given as isize;
    used.peak = used.peak.max(used.held);
    USED.set(used);
}

// SAFETY: every call goes to the system's allocator as it is; what is counted allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Where it cannot grow in place, both are held for a moment.
        count(size, 0);
        count(0, layout.size());
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;
