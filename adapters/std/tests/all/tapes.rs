//! Tapes of connections that failed.

use crate::common::{PATIENCE, config, echo, sockets, watch, within};
use sockless_std::sockless::testing::tape::{Call, Tape};
use sockless_std::sockless::{ProtocolError, Role};
use sockless_std::{Client, Config, Server, Tapes, accept};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A message, and a frame with an opcode that is reserved.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
const BAD: &[u8] = b"\x83\x80\0\0\0\0";

fn taped() -> (Config, Receiver<(Tape, ProtocolError)>) {
    watch();
    let (tell, told) = channel();
    let tapes = Tapes::new(64 << 10, move |tape, error| tell.send((tape, error)).unwrap());
    (config(|config| config.tapes = Some(tapes)), told)
}

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
    let (config, told) = taped();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new().config(config).start(listener, |socket, _| echo(socket)).unwrap();
    let mut client = TcpStream::connect(running.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
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
}

#[test]
fn of_a_client_in_halves() {
    let (config, told) = taped();
    let (stream, served) = sockets();
    let serving = thread::spawn(|| accept(served).unwrap());
    let (socket, _) = within("a client", || Client::new("ws://x/").config(config).connect_over(stream)).unwrap();
    let server = within("a server", || serving.join().unwrap());
    let (sender, mut receiver) = socket.split().unwrap();
    within("a message", || sender.send("hello")).unwrap();
    let (mut stream, _) = server.into_inner().unwrap();
    stream.write_all(b"\x83\x00").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    within("the failure", || receiver.recv()).unwrap_err();
    let (tape, error) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(error, ProtocolError::ReservedOpcode(3));
    assert_eq!(tape.steps.last().unwrap().call, Call::Receive(b"\x83\x00".to_vec()));
    assert_eq!(tape.replay(), Ok(()));
    let sent: usize = tape.wire().filter(|(_, who, _)| *who == Role::Client).map(|(.., bytes)| bytes.len()).sum();
    assert!(sent > 11, "the request and a message: {sent}");
}
