//! The core without `std`: links it with a panic handler and an allocator of our own, and echoes a frame.
//!
//! `cargo run` exits with 0 when the echo is right. A dependency that drags `std` in brings a second panic handler, and
//! the build fails. Features of the core are given as `--features sockless/NAME`.
#![no_std]
#![no_main]

use bytes::Buf;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};
use sockless::{Config, Connection, Event, Negotiated, Role, Seed};

#[link(name = "c")]
unsafe extern "C" {
    fn _exit(status: i32) -> !;
}

/// Hands out a static array from its front and takes nothing back.
struct Bump {
    used: AtomicUsize,
    room: UnsafeCell<Room>,
}

type Room = [u128; 65_536];

#[global_allocator]
static HEAP: Bump = Bump { used: AtomicUsize::new(0), room: UnsafeCell::new([0; 65_536]) };

// SAFETY: nobody touches `room` but through the pointers given out, and no two of those overlap, because `used` grows
// atomically.
unsafe impl Sync for Bump {}

// SAFETY: a block lies inside `room`, is aligned because `room` and its offset are, and is given out once. A request
// that does not fit, or asks for more than `room`'s own alignment, gets null, as `GlobalAlloc` asks.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = |used: usize| used.next_multiple_of(layout.align());
        let end = |used| {
            let end = start(used).checked_add(layout.size())?;
            (end <= size_of::<Room>() && layout.align() <= align_of::<Room>()).then_some(end)
        };
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end) {
            Ok(used) => self.room.get().cast::<u8>().wrapping_add(start(used)),
            Err(_) => null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: `_exit` may be called at any time, with any status.
    unsafe { _exit(101) }
}

// The compiled `alloc` names these two; nothing unwinds where a panic aborts, so they are never called.
// SAFETY: no other function in the program has these names, which `std` alone would define.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

// SAFETY: no other function in the program has this name, and its signature is the one that C's start-up code calls.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let mut server = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    // RFC 6455 §5.7: a masked "Hello".
    let mut frame = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let mut input: &mut [u8] = &mut frame;
    let Ok(Some(Event::Text(text))) = server.receive(&mut input) else { return 1 };
    if server.send_text(&text).is_err() {
        return 2;
    }
    if !matches!(server.receive(&mut input), Ok(None)) {
        return 3;
    }
    let mut outbound = server.outbound();
    if outbound.copy_to_bytes(outbound.remaining()) != b"\x81\x05Hello"[..] {
        return 4;
    }
    0
}
