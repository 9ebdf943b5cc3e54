//! No test waits without an end, and one that does not end says where it stood.
//!
//! A wait that has a time limit of its own takes [`PATIENCE`] for it, and the test fails in the ordinary way. All other
//! waits go through [`within`], [`soon`] or [`Soon`], and a test that may go round in circles says now and then that it is under
//! way with [`watch`]. Where one of them stands still for [`STILL`], nothing can be done for its thread any more: the
//! watchdog writes who waits for what, since when, and where, and ends the process.

mod log;
pub mod proxy;
mod watchdog;

use std::any;
use std::env;
use std::io::{self, Write};
use std::panic::Location;
use std::thread;
use std::time::{Duration, Instant};

pub use log::Log;
pub use tracing::Level;
pub use watchdog::STILL;

/// How long something is waited for that has a limit of its own: longer than any machine needs, however busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Tells that the test of this thread is under way: from here on it has to say so again, or to end, within [`STILL`].
///
/// The helpers that a package's tests share do it for them. Threads without a name are none of libtest's, and are not
/// watched.
#[track_caller]
pub fn watch() {
    watchdog::mark(Location::caller());
}

/// Waits for something that has no time limit of its own.
#[track_caller]
pub fn within<T>(what: &str, wait: impl FnOnce() -> T) -> T {
    let _spot = watchdog::Spot::new(what, Location::caller());
    wait()
}

/// Waits for a future.
#[track_caller]
pub fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> + use<F> {
    let spot = watchdog::Spot::new(what, Location::caller());
    async move {
        let _spot = spot;
        future.await
    }
}

/// [`soon`] for a future that can say itself what it is.
pub trait Soon: Future + Sized {
    /// Waits for it.
    #[track_caller]
    fn soon(self) -> impl Future<Output = Self::Output> {
        soon(any::type_name::<Self>(), self)
    }
}

impl<F: Future> Soon for F {}

/// Waits until it holds, and asks again each millisecond.
///
/// # Panics
/// Where it does not hold within [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
    watch();
}

/// The variable under which a test that cannot run fails.
pub const ALL: &str = "SOCKLESS_TESTS_ALL";

/// Says that the test is left out, since something that it needs is not there.
///
/// # Panics
/// Where all tests are to run, which the variable [`ALL`] asks for.
#[track_caller]
pub fn left_out(missing: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(env::var_os(ALL).is_none(), "{missing}, and {ALL} asks for all tests");
    // Past libtest, which shows only what failed.
    _ = writeln!(io::stderr(), "{test} is left out: {missing}");
}
