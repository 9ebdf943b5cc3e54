//! The thread that looks whether the others go on.

use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::panic::Location;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// How long a test may stand still. The variable `SOCKLESS_TESTS_STILL` has another number of seconds.
pub const STILL: Duration = Duration::from_secs(60);

/// How long a debugger is waited for.
const DEBUGGER: Duration = Duration::from_secs(30);

/// Seconds that the watchdog has seen, which pass for it when they pass for the tests: a process that is stopped, or that
/// gets no processor, stands still as a whole.
static SECONDS: AtomicU64 = AtomicU64::new(0);

static STANDING: LazyLock<Mutex<Standing>> = LazyLock::new(|| {
    // Where there are no threads, nothing looks, and whoever runs the tests has to bound them.
    if cfg!(not(target_family = "wasm")) {
        thread::Builder::new().name("watchdog".into()).spawn(watch).expect("a thread");
    }
    Mutex::default()
});

/// Who waits or is watched, by number: the oldest first.
#[derive(Default)]
struct Standing {
    next: u64,
    places: BTreeMap<u64, Place>,
}

struct Place {
    thread: String,
    what: String,
    at: &'static Location<'static>,
    since: u64,
    backtrace: Option<Backtrace>,
}

fn standing() -> MutexGuard<'static, Standing> {
    STANDING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put(place: Place) -> u64 {
    let mut standing = standing();
    let number = standing.next;
    standing.next += 1;
    standing.places.insert(number, place);
    number
}

/// Something that is waited for, until it is dropped.
pub(crate) struct Spot(u64);

impl Spot {
    pub(crate) fn new(what: &str, at: &'static Location<'static>) -> Self {
        mark(at);
        let thread = thread::current().name().unwrap_or("a thread").to_owned();
        let backtrace = Some(Backtrace::force_capture());
        Self(put(Place { thread, what: format!("waits for {what}"), at, since: SECONDS.load(Relaxed), backtrace }))
    }
}

impl Drop for Spot {
    fn drop(&mut self) {
        let place = standing().places.remove(&self.0);
        if let Some(place) = place {
            mark(place.at);
        }
    }
}

/// A thread that is watched, as long as it lives.
struct Watched(u64);

impl Drop for Watched {
    fn drop(&mut self) {
        standing().places.remove(&self.0);
    }
}

thread_local! {
    static WATCHED: Option<Watched> = thread::current().name().map(|name| {
        let (thread, what) = (name.to_owned(), "was last seen".to_owned());
        Watched(put(Place { thread, what, at: Location::caller(), since: SECONDS.load(Relaxed), backtrace: None }))
    });
}

/// The thread is there, and goes on.
pub(crate) fn mark(at: &'static Location<'static>) {
    // Within a destructor of the thread's own, it is watched no more.
    _ = WATCHED.try_with(|watched| {
        let Some(Watched(number)) = watched else { return };
        if let Some(place) = standing().places.get_mut(number) {
            (place.at, place.since) = (at, SECONDS.load(Relaxed));
        }
    });
}

fn watch() {
    let still = env::var("SOCKLESS_TESTS_STILL").ok().and_then(|seconds| seconds.parse().ok());
    let still = still.unwrap_or(STILL.as_secs());
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = SECONDS.fetch_add(1, Relaxed) + 1;
        let standing = standing();
        if standing.places.values().any(|place| now - place.since > still) {
            // Past libtest, which would keep it to itself. Nobody is there to hear that it cannot be written.
            _ = io::stderr().write_all(report(&standing, now, still).as_bytes());
            _ = debugger();
            process::abort();
        }
    }
}

fn report(standing: &Standing, now: u64, still: u64) -> String {
    let mut text = format!("\n\n== nothing happened for {still} s: the watchdog ends this process\n");
    for place in standing.places.values() {
        let Place { thread, what, at, since, backtrace } = place;
        let age = now - since;
        let mark = if age > still { "==>" } else { "   " };
        _ = writeln!(text, "{mark} {thread}: {what}, {at}, {age} s ago");
        if let Some(backtrace) = backtrace.as_ref().filter(|_| age > still) {
            // Of the packages here: what is below and above them is the same in every test.
            let frames: Vec<_> = backtrace.to_string().lines().map(str::to_owned).collect();
            for frame in frames.windows(2).filter(|frame| frame[1].trim_start().starts_with("at ./")) {
                _ = writeln!(text, "{}\n{}", frame[0], frame[1]);
            }
        }
    }
    threads(&mut text);
    text
}

/// What the system knows of each thread: whether it sleeps, and for what, or runs.
fn threads(text: &mut String) {
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let (status, within) = (read("status"), read("wchan"));
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let nanos: u64 = read("schedstat").split(' ').next().and_then(|time| time.parse().ok()).unwrap_or_default();
        let (name, state) = (field("Name:"), field("State:"));
        _ = writeln!(text, "    thread {name}: {state}, {} ms of processor, in {within}", nanos / 1_000_000);
    }
}

/// Has a debugger show where all threads are, if there is one.
fn debugger() -> io::Result<()> {
    let process = process::id().to_string();
    let arguments = ["-nx", "-batch", "-p", &process, "-ex", "thread apply all backtrace"];
    let mut gdb = Command::new("gdb").args(arguments).stdin(Stdio::null()).stdout(io::stderr()).spawn()?;
    let started = Instant::now();
    while gdb.try_wait()?.is_none() && started.elapsed() < DEBUGGER {
        thread::sleep(Duration::from_millis(100));
    }
    gdb.kill()
}
