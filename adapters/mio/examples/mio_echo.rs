//! An echo server, a worker for each core.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_echo
//! ```

use sockless_mio::{Conn, Error, Handler, Message, Server};

struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let server = Server::builder().listen("127.0.0.1:9001").bind(Echo)?;
    for address in server.addresses() {
        println!("listening on {address}");
    }
    server.run()?;
    Ok(())
}
