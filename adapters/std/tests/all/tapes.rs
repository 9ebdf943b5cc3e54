//! Tapes of connections that failed.

use crate::common::taped::{BAD, HELLO, REQUEST, check, tapes};
use crate::common::{PATIENCE, config, echo, sockets, watch, within};
use sockless_std::sockless::testing::tape::{Call, Tape};
use sockless_std::sockless::{ProtocolError, Role};
use sockless_std::{Client, Config, Server, accept};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::thread;

fn taped() -> (Config, Receiver<(Tape, ProtocolError)>) {
    watch();
    let (tapes, told) = tapes();
    (config(|config| config.tapes = Some(tapes)), told)
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
