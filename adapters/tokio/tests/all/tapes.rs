//! Tapes of connections that failed.

use crate::common::{PATIENCE, Soon, open, watch};
use sockless_tokio::sockless::Role;
use sockless_tokio::sockless::testing::tape::{Call, Tape};
use sockless_tokio::{Config, Error, NetStream, ProtocolError, Server, Tapes, WebSocket};
use std::sync::mpsc::{Receiver, channel};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A message, and a frame with an opcode that is reserved.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
const BAD: &[u8] = b"\x83\x80\0\0\0\0";

fn taped() -> (Config, Receiver<(Tape, ProtocolError)>) {
    watch();
    let (tell, told) = channel();
    let tapes = Tapes::new(64 << 10, move |tape, error| tell.send((tape, error)).unwrap());
    (Config { tapes: Some(tapes), ..Config::default() }, told)
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

#[tokio::test]
async fn of_a_servers_connections() {
    let (config, told) = taped();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new().config(config);
    tokio::spawn(server.serve(listener, |mut socket: WebSocket<NetStream>, _, _| async move {
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok::<(), Error>(())
    }));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&[REQUEST, HELLO].concat()).await.unwrap();
    let mut answers = Vec::new();
    while !answers.ends_with(b"hello") {
        answers.push(client.read_u8().soon().await.unwrap());
    }
    client.write_all(BAD).await.unwrap();
    // The close frame that tells it, and the end.
    client.read_to_end(&mut answers).soon().await.unwrap();
    let (tape, error) = told.recv_timeout(PATIENCE).unwrap();
    check(&tape, error);
}

#[tokio::test]
async fn of_a_client_in_halves() {
    let (config, told) = taped();
    let (stream, mut server) = duplex(1000);
    let (sender, mut receiver) = open(stream, Role::Client, config).split();
    sender.send("hello").soon().await.unwrap();
    server.write_all(b"\x83\x00").await.unwrap();
    drop(server);
    receiver.recv().soon().await.unwrap_err();
    let (tape, error) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(error, ProtocolError::ReservedOpcode(3));
    assert_eq!(tape.steps.last().unwrap().call, Call::Receive(b"\x83\x00".to_vec()));
    assert_eq!(tape.replay(), Ok(()));
    let sent: usize = tape.wire().filter(|(_, who, _)| *who == Role::Client).map(|(.., bytes)| bytes.len()).sum();
    assert_eq!(sent, 11);
}
