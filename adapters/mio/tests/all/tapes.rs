//! Tapes of connections that failed.

use crate::common::{PATIENCE, REQUEST, dial, start};
use sockless_mio::sockless::Role;
use sockless_mio::sockless::testing::tape::{Call, Tape};
use sockless_mio::{Config, Conn, Error, Message, ProtocolError, Server, Tapes};
use std::io::{Read, Write};
use std::sync::mpsc::channel;

/// A message, and a frame with an opcode that is reserved.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
const BAD: &[u8] = b"\x83\x80\0\0\0\0";

/// What a bad frame led to: a tape that is read from its bytes, replays, and ends with the frame.
fn check(tape: &Tape, error: ProtocolError) {
    assert_eq!(error, ProtocolError::ReservedOpcode(3));
    assert_eq!(Tape::from_bytes(&tape.to_bytes()).as_ref(), Ok(tape));
    assert_eq!(tape.replay(), Ok(()));
    let last = tape.steps.last().unwrap();
    assert!(matches!(last.call, Call::Receive(_)), "{last:?}");
    assert_eq!(last.gave, "error ReservedOpcode(3)");
    assert!(tape.steps.iter().any(|step| step.gave == "text \"hello\""));
    let from = |from| tape.wire().filter(move |(_, who, _)| *who == from).flat_map(|(.., bytes)| bytes).copied();
    assert!(from(Role::Client).collect::<Vec<_>>().ends_with(&[HELLO, BAD].concat()));
    assert!(from(Role::Server).collect::<Vec<_>>().ends_with(b"\r\n\r\n\x81\x05hello"));
}

#[test]
fn of_a_servers_connections() {
    for pool in [false, true] {
        let (tell, told) = channel();
        let tapes = Tapes::new(64 << 10, move |tape, error| tell.send((tape, error)).unwrap());
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
