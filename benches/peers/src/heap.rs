//! The heap, counted: every allocation, and what is held.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

/// The system's allocator; it counts while it is told to, which is never while the clock runs.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(allocations: u64, bytes: i64) {
    if ON.load(Relaxed) {
        ALLOCATIONS.fetch_add(allocations, Relaxed);
        HELD.fetch_add(bytes, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller's.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller's.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What `run` makes, the allocations that takes, and the bytes that are held behind it.
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> (T, u64, i64) {
    let (allocations, held) = (ALLOCATIONS.load(Relaxed), HELD.load(Relaxed));
    ON.store(true, Relaxed);
    let made = run();
    ON.store(false, Relaxed);
    (made, ALLOCATIONS.load(Relaxed) - allocations, HELD.load(Relaxed) - held)
}
