//! Sends a file to `mio_upload` as one message, and goes on where it was cut off, until all of it is there.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_upload_send -- ws://127.0.0.1:9001/upload/film film.mkv
//! ```

use sockless_mio::{Client, ClientError, Error, Kind};
use std::env::args;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

fn main() -> Result<(), Error> {
    let (Some(url), Some(file)) = (args().nth(1), args().nth(2)) else { return Err("URL FILE".into()) };
    let mut file = File::open(file)?;
    loop {
        match send_rest(&url, &mut file) {
            Ok(()) => return Ok(()),
            Err(error) if matches!(error.downcast_ref(), Some(ClientError::Rejected(_))) => return Err(error),
            Err(error) => println!("{error}: once more"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn send_rest(url: &str, file: &mut File) -> Result<(), Error> {
    let mut client = Client::connect(url)?;
    let begun = client.receive()?.ok_or(ClientError::Closed)?;
    let begun: u64 = begun.as_text().unwrap_or_default().parse()?;
    println!("{begun} bytes are there");
    file.seek(SeekFrom::Start(begun))?;
    let mut chunk = vec![0; 64 << 10];
    loop {
        let len = file.read(&mut chunk)?;
        client.send_fragment(Kind::Binary, &chunk[..len], len == 0)?;
        if len == 0 {
            break;
        }
    }
    client.receive()?.ok_or(ClientError::Closed)?;
    client.close(1000, "")?;
    println!("done");
    Ok(())
}
