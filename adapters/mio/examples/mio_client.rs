//! Sends each line of standard input to a WebSocket server, and prints what it is answered.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_client -- ws://127.0.0.1:9001/
//! ```

use sockless_mio::Client;
use std::io;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("a URL is missing")?;
    let mut client = Client::connect(&url)?;
    for line in io::stdin().lines() {
        client.send_text(&line?)?;
        let Some(answer) = client.receive()? else { break };
        println!("{}", String::from_utf8_lossy(answer.as_bytes()));
    }
    client.close(1000, "")?;
    Ok(())
}
