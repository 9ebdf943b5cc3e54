//! Tapes of connections that failed.

use crate::common::taped::{BAD, HELLO, REQUEST, check, tapes};
use crate::common::{PATIENCE, Soon, open, watch};
use sockless_tokio::sockless::Role;
use sockless_tokio::sockless::testing::tape::{Call, Tape};
use sockless_tokio::{Config, Error, NetStream, ProtocolError, Server, WebSocket};
use std::sync::mpsc::Receiver;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

fn taped() -> (Config, Receiver<(Tape, ProtocolError)>) {
    watch();
    let (tapes, told) = tapes();
    (Config { tapes: Some(tapes), ..Config::default() }, told)
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
