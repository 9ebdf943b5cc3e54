//! By the client that waits: a line, and the answer to it.

use super::{Arguments, Failure, print};
use sockless_mio::{Client, Tls};
use std::io;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut client = Client::builder(&arguments.url).config(arguments.config());
    if let Some(file) = &arguments.root {
        client = client.tls(Tls::trusting(file)?);
    }
    let mut client = client.connect().map_err(Failure::connecting)?;
    for line in io::stdin().lines() {
        client.send(&arguments.message(line?))?;
        let Some(answer) = client.receive()? else { break };
        print(answer.as_text(), answer.as_bytes());
    }
    client.close(1000, "")?;
    Ok(())
}
