//! Clients of every kind, honest and hostile, chosen at random, against one echo server: honest ones get what is theirs in
//! time, and when all have gone nothing is left of them in the server: no descriptor, no thread, no work and no memory.
//!
//! ```text
//! cargo run --release -p sockless-bench-servers --bin soak -- \
//!     --seconds 1200 target/release/echo mio --deflate --listen {addr}
//! ```

mod honest;
mod hostile;

use honest::HONEST;
use hostile::{HOSTILE, Held};
use sockless_bench_servers::{ALLOCATOR, Dice, Server, open, talk};
use std::error::Error;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const HONEST_THREADS: usize = 4;
const HOSTILE_THREADS: usize = 4;

/// In each, clients come and go, in the end all of them.
const PARTS: u32 = 6;

/// What the process may hold at the end beyond the most that it held when nobody was there in the first half: holes in the
/// heap, which come and go by as much.
const HOLES: u64 = 4 << 20;

/// The longest that a server takes to be rid of clients that are gone: twice its own deadlines.
const RID: Duration = Duration::from_secs(40);

/// What all clients share.
struct Stage<'a> {
    address: SocketAddr,
    /// When no client begins anything any more.
    deadline: Instant,
    /// Of honest clients: visits that went well.
    served: AtomicU64,
    /// Of hostile ones, by kind: deeds.
    deeds: &'a [AtomicU64],
    /// What happened to honest clients and should not have.
    harm: Mutex<Vec<String>>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}; usage: soak [--seconds S] [--seed N] COMMAND, with {{addr}} in it");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    use lexopt::prelude::*;
    let (mut seconds, mut seed, mut command) = (1200.0, 1, Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seconds") => seconds = arguments.value()?.parse()?,
            Long("seed") => seed = arguments.value()?.parse()?,
            Value(first) => {
                command.push(first.string()?);
                for word in arguments.raw_args()? {
                    command.push(word.string()?);
                }
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let server = Server::start_quietly(&format!("env {ALLOCATOR} {}", command.join(" ")))?;
    talk(&mut open(server.address)?, 100)?;
    // The connections that asked whether it listens have to be gone, too.
    let mut base = Left::of(&server)?;
    loop {
        thread::sleep(Duration::from_millis(500));
        let before = mem::replace(&mut base, Left::of(&server)?);
        if (before.descriptors, before.threads) == (base.descriptors, base.threads) {
            break;
        }
    }
    println!("base: {base}");
    let mut memory = Vec::new();
    let deeds: Vec<_> = HOSTILE.iter().map(|_| AtomicU64::new(0)).collect();
    for part in 1..=PARTS {
        let stage = Stage {
            address: server.address,
            deadline: Instant::now() + Duration::from_secs_f64(seconds) / PARTS,
            served: AtomicU64::new(0),
            deeds: &deeds,
            harm: Mutex::default(),
        };
        thread::scope(|scope| {
            for number in 0..HONEST_THREADS + HOSTILE_THREADS {
                let (stage, dice) = (&stage, Dice::new(seed, u64::from(part) << 16 | number as u64));
                scope.spawn(
                    move || if number < HONEST_THREADS { be_honest(stage, dice) } else { be_hostile(stage, dice) },
                );
            }
        });
        let harm = stage.harm.into_inner().unwrap_or_default();
        if !harm.is_empty() {
            return Err(format!("honest clients were harmed, by seed {seed}: {}", harm.join("; ")).into());
        }
        let left = settle(&server, base)?;
        println!("part {part}: {} visits of honest clients; then nobody there: {left}", stage.served.load(Relaxed));
        memory.push(left.memory);
    }
    let deeds: Vec<_> =
        HOSTILE.iter().zip(&deeds).map(|((name, _), n)| format!("{} {name}", n.load(Relaxed))).collect();
    println!("hostile clients: {}", deeds.join(", "));
    let (first, second) = memory.split_at(memory.len() / 2);
    let (level, last) = (first.iter().max(), second.last());
    if last > level.map(|level| level + HOLES).as_ref() {
        return Err(
            format!("memory is leaked: {:?} KiB", memory.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>()).into()
        );
    }
    match server.panics() {
        0 => Ok(()),
        panics => Err(format!("the server panicked {panics} times").into()),
    }
}

/// What a server holds.
#[derive(Clone, Copy)]
struct Left {
    descriptors: usize,
    threads: usize,
    memory: u64,
}

impl Left {
    fn of(server: &Server) -> io::Result<Self> {
        Ok(Self { descriptors: server.descriptors()?, threads: server.threads()?, memory: server.resident()? })
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} descriptors, {} threads, {} KiB", self.descriptors, self.threads, self.memory >> 10)
    }
}

/// Waits until nothing is left of clients that are gone: no descriptor, no thread, and nothing that keeps a processor busy.
fn settle(server: &Server, base: Left) -> Result<Left, Box<dyn Error>> {
    let started = Instant::now();
    loop {
        let before = server.cpu_time()?;
        thread::sleep(Duration::from_millis(500));
        // Less, where a thread has gone with what it had.
        let busy = server.cpu_time()?.saturating_sub(before);
        let left = Left::of(server)?;
        if left.descriptors <= base.descriptors && left.threads <= base.threads && busy < Duration::from_millis(50) {
            return Ok(left);
        }
        if started.elapsed() > RID {
            return Err(
                format!("after {RID:?} without clients: {left}, not {base}, and {busy:?} of work in 500 ms").into()
            );
        }
    }
}

/// One honest client after the other, and beside them one that stays to the end.
fn be_honest(stage: &Stage<'_>, mut dice: Dice) {
    let harmed = |name: &str, error: io::Error| {
        let mut harm = stage.harm.lock().unwrap_or_else(|error| error.into_inner());
        harm.push(format!("{name}: {error}"));
    };
    let mut survivor = match honest::arrive(stage.address) {
        Ok(survivor) => survivor,
        Err(error) => return harmed("a survivor", error),
    };
    while Instant::now() < stage.deadline {
        let (name, act) = dice.pick(&HONEST);
        if let Err(error) = act(stage.address, &mut dice) {
            return harmed(name, error);
        }
        if let Err(error) = survivor.exchange(0x82, &dice.bytes(1000)) {
            return harmed("a survivor", error);
        }
        stage.served.fetch_add(1, Relaxed);
    }
    if let Err(error) = survivor.close() {
        harmed("a survivor", error);
    }
}

/// One hostile client after the other; some of them stay a while. What becomes of them is their own affair.
fn be_hostile(stage: &Stage<'_>, mut dice: Dice) {
    let mut held = Held::default();
    while Instant::now() < stage.deadline {
        let number = dice.roll(HOSTILE.len() as u64) as usize;
        let (_, act) = HOSTILE[number];
        if let Ok(()) = act(stage.address, &mut dice, &mut held) {
            stage.deeds[number].fetch_add(1, Relaxed);
        }
    }
}
