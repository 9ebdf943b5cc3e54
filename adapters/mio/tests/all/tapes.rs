//! Tapes of connections that failed.

use crate::common::taped::{BAD, HELLO, REQUEST, check, tapes};
use crate::common::{PATIENCE, dial, start};
use sockless_mio::{Config, Conn, Error, Message, Server};
use std::io::{Read, Write};

#[test]
fn of_a_servers_connections() {
    for pool in [false, true] {
        let (tapes, told) = tapes();
        let config = Config { tapes: Some(tapes), ..Config::default() };
        let builder = Server::builder().listen("127.0.0.1:0").workers(1).config(config);
        let builder = if pool { builder.pool(1, 16) } else { builder };
        let server = start(builder, |conn: &mut Conn<'_>, message: Message<'_>| -> Result<(), Error> {
            conn.send(message)?;
            Ok(())
        });
        let mut client = dial(server.address());
        client.write_all(&[REQUEST, HELLO].concat()).unwrap();
        let mut answers = Vec::new();
        while !answers.ends_with(b"hello") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            answers.push(byte[0]);
        }
        client.write_all(BAD).unwrap();
        let (tape, error) = told.recv_timeout(PATIENCE).unwrap();
        check(&tape, error);
        server.stop();
    }
}
