//! Tapes of connections that failed.

use crate::common::{run, sockets};
use smol::io::AsyncWriteExt;
use sockless_futures::sockless::testing::tape::Call;
use sockless_futures::sockless::{Negotiated, ProtocolError, Role, Seed};
use sockless_futures::{Config, Settings, Tapes, WebSocket};
use std::sync::mpsc::channel;

#[test]
fn a_bad_frame_ends_a_tape() {
    let (tell, told) = channel();
    let tapes = Tapes::new(64 << 10, move |tape, error| tell.send((tape, error)).unwrap());
    let config = Config { tapes: Some(tapes), ..Config::default() };
    run(async {
        let (stream, mut server) = sockets().await;
        let settings = Settings::default().config(config);
        let mut client =
            WebSocket::open(stream, Role::Client, Negotiated::default(), &settings, Seed::new([7; 16]), b"");
        client.send("hello").await.unwrap();
        server.write_all(b"\x83\x00").await.unwrap();
        server.close().await.unwrap();
        client.recv().await.unwrap_err();
    });
    let (tape, error) = told.try_recv().unwrap();
    assert_eq!(error, ProtocolError::ReservedOpcode(3));
    assert_eq!(tape.steps.last().unwrap().call, Call::Receive(b"\x83\x00".to_vec()));
    assert_eq!(tape.replay(), Ok(()));
    let sent: usize = tape.wire().filter(|(_, who, _)| *who == Role::Client).map(|(.., bytes)| bytes.len()).sum();
    assert_eq!(sent, 11);
}
