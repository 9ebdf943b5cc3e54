//! Resident memory of a connection at rest.
//!
//! ```text
//! cargo run --release -p sockless-bench-servers --bin idle -- \
//!     --connections 10000 target/release/echo mio --threads 1 --listen {addr}
//! ```

use sockless_bench_servers::{Server, frames, open};
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}; usage: idle [--connections N] [--most BYTES] COMMAND, with {{addr}} in it");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    use lexopt::prelude::*;
    let (mut count, mut most, mut command) = (10_000, None, Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("connections") => count = arguments.value()?.parse()?,
            Long("most") => most = Some(arguments.value()?.parse::<f64>()?),
            Value(first) => {
                command.push(first.string()?);
                for word in arguments.raw_args()? {
                    command.push(word.string()?);
                }
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let server = Server::start(&command.join(" "))?;
    // What the first connections cost, code and buffers, is the server's own.
    for _ in 0..10 {
        echo(&mut open(server.address)?)?;
    }
    thread::sleep(Duration::from_secs(1));
    let base = server.resident()?;
    println!("base: {} KiB resident", base >> 10);
    let mut streams: Vec<TcpStream> = Vec::new();
    for number in 1..=count {
        let mut stream = open(server.address)?;
        echo(&mut stream)?;
        streams.push(stream);
        if number % 2000 == 0 {
            println!("{number} connections: {} KiB", server.resident()? >> 10);
        }
    }
    thread::sleep(Duration::from_secs(2));
    let each = (server.resident()? as f64 - base as f64) / count as f64;
    println!("at rest: {} KiB, {each:.0} bytes above the base for each connection", server.resident()? >> 10);
    for stream in &mut streams {
        echo(stream)?;
    }
    println!("all {count} answered once more: {} KiB", server.resident()? >> 10);
    drop(streams);
    thread::sleep(Duration::from_secs(1));
    println!("without them: {} KiB", server.resident()? >> 10);
    match most {
        Some(most) if each > most => Err(format!("{each:.0} bytes are more than {most:.0}").into()),
        _ => Ok(()),
    }
}

/// Says a word, and waits for the answer.
fn echo(stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let (request, reply) = frames(b"hello");
    stream.write_all(&request)?;
    let mut got = vec![0; reply.len()];
    stream.read_exact(&mut got)?;
    if got == reply { Ok(()) } else { Err("another answer".into()) }
}
