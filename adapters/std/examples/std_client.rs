//! Sends lines of standard input to a WebSocket server, and prints what it sends meanwhile, from another thread.
//!
//! ```text
//! cargo run --release -p sockless-std --example std_client -- ws://127.0.0.1:9001/
//! ```

use sockless_std::{Error, connect};
use std::io;
use std::thread;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("a URL is missing")?;
    let (sender, mut receiver) = connect(&url)?.split()?;
    let printing = thread::spawn(move || {
        while let Some(message) = receiver.recv()? {
            println!("{}", String::from_utf8_lossy(message.as_bytes()));
        }
        Ok::<_, Error>(())
    });
    for line in io::stdin().lines() {
        sender.send(line?)?;
    }
    sender.close(1000, "")?;
    Ok(printing.join().expect("it does not panic")?)
}
