//! Sends lines of standard input to a WebSocket server, and prints what it sends meanwhile.
//!
//! ```text
//! cargo run --release -p sockless-tokio --example tokio_client -- ws://127.0.0.1:9001/
//! ```
//!
//! One task waits for what is typed and for what comes, whichever is first, and drops the other future: it loses nothing by that.

use sockless_tokio::connect;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("a URL is missing")?;
    let mut socket = connect(&url).await?;
    let mut lines = BufReader::new(stdin()).lines();
    let mut typing = true;
    loop {
        tokio::select! {
            line = lines.next_line(), if typing => match line? {
                Some(line) => socket.send(line).await?,
                None => {
                    typing = false;
                    // What the server still says is printed, up to its own close.
                    socket.start_close(1000, "")?;
                }
            },
            message = socket.recv() => match message? {
                Some(message) => println!("{}", String::from_utf8_lossy(message.as_bytes())),
                None => return Ok(()),
            },
        }
    }
}
