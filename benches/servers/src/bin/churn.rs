//! Clients that connect, talk and are killed at random, while the server's memory and descriptors are watched.
//!
//! ```text
//! cargo run --release -p sockless-bench-servers --bin churn -- \
//!     --clients 10000 --seconds 60 target/release/echo mio --listen {addr}
//! ```

use sockless_bench_servers::{ALLOCATOR, Dice, Server, frames, open, reset, talk};
use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 8;

/// In each, clients come, talk and go, in the end all of them.
const PARTS: usize = 6;

/// Bytes a connection, in the middle one of the second half's parts: less than the smallest allocation, 32, lost with each.
/// A table that happens to double shows in one part, a leak in all.
const LEAK: f64 = 24.0;

#[derive(Default)]
struct Totals {
    opened: AtomicU64,
    messages: AtomicU64,
    killed: AtomicU64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("churn: {error}; usage: churn [--clients N] [--seconds S] COMMAND, with {{addr}} in it");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    use lexopt::prelude::*;
    let (mut clients, mut seconds, mut command) = (10_000, 60.0, Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("clients") => clients = arguments.value()?.parse()?,
            Long("seconds") => seconds = arguments.value()?.parse()?,
            Value(first) => {
                command.push(first.string()?);
                for word in arguments.raw_args()? {
                    command.push(word.string()?);
                }
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let server = Server::start(&format!("env {ALLOCATOR} {}", command.join(" ")))?;
    talk(&mut open(server.address)?, 100)?;
    thread::sleep(Duration::from_millis(200));
    let (base_memory, base_descriptors) = (server.resident()?, server.descriptors()?);
    println!("base: {} KiB resident, {base_descriptors} descriptors", base_memory >> 10);

    let totals = Totals::default();
    let mut after = Vec::new();
    for part in 1..=PARTS {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds / PARTS as f64);
        let result = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (address, totals) = (server.address, &totals);
                    let dice = Dice::new(0, (part * THREADS + thread) as u64);
                    scope.spawn(move || churn(address, clients / THREADS, deadline, dice, totals))
                })
                .collect();
            while Instant::now() < deadline {
                thread::sleep(Duration::from_secs(5).min(deadline - Instant::now()));
                println!(
                    "{:>7} KiB, {:>5} descriptors; {} opened, {} messages, {} killed",
                    server.resident()? >> 10,
                    server.descriptors()?,
                    totals.opened.load(Relaxed),
                    totals.messages.load(Relaxed),
                    totals.killed.load(Relaxed),
                );
            }
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(ErrorKind::Other.into())))
        });
        result?;
        println!("all survivors of part {part} answered rightly; now they go");
        let patience = Instant::now() + Duration::from_secs(20);
        while server.descriptors()? > base_descriptors && Instant::now() < patience {
            thread::sleep(Duration::from_millis(50));
        }
        let memory = server.resident()?;
        after.push((memory, totals.opened.load(Relaxed)));
        println!("nobody there: {} KiB, {} descriptors", memory >> 10, server.descriptors()?);
    }
    if server.descriptors()? != base_descriptors {
        return Err("descriptors are leaked".into());
    }
    let grown = |part: &[(u64, u64)]| part[1].0.saturating_sub(part[0].0) as f64 / (part[1].1 - part[0].1) as f64;
    let mut grown: Vec<_> = after[PARTS / 2 - 1..].windows(2).map(grown).collect();
    println!("grown in each of the last parts: {grown:.1?} bytes a connection");
    grown.sort_by(f64::total_cmp);
    if grown[grown.len() / 2] > LEAK {
        return Err("memory is leaked".into());
    }
    Ok(())
}

/// Keeps `most` clients busy until it is time; then those that are left say something once more.
fn churn(address: SocketAddr, most: usize, deadline: Instant, mut dice: Dice, totals: &Totals) -> io::Result<()> {
    let mut clients: Vec<Option<TcpStream>> = (0..most).map(|_| None).collect();
    while Instant::now() < deadline {
        let number = dice.roll(most as u64) as usize;
        match (&mut clients[number], dice.roll(10)) {
            (empty @ None, _) => {
                *empty = Some(open(address)?);
                totals.opened.fetch_add(1, Relaxed);
            }
            (Some(client), 0..8) => {
                let len = 1 << dice.roll(17);
                talk(client, len + dice.roll(len as u64) as usize)?;
                totals.messages.fetch_add(1, Relaxed);
            }
            (client, how) => {
                kill(client.take(), how == 8, &mut dice)?;
                totals.killed.fetch_add(1, Relaxed);
            }
        }
    }
    clients.iter_mut().flatten().try_for_each(|client| talk(client, 1000))
}

/// Ends a connection without a close frame: in the middle of a message, or with an answer on its way, by a reset or not.
fn kill(client: Option<TcpStream>, by_reset: bool, dice: &mut Dice) -> io::Result<()> {
    let Some(mut client) = client else { return Ok(()) };
    let (request, _) = frames(&vec![1; 1 << dice.roll(14)]);
    let cut = dice.roll(request.len() as u64 + 1) as usize;
    client.write_all(&request[..cut])?;
    if by_reset {
        reset(client);
    }
    Ok(())
}
