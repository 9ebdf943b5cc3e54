//! The client that waits, to a server that is spoken for byte by byte.

mod common;

use common::{PATIENCE, text};
use sockless_mio::Client;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// A client that has all the time there is, and its server's end, which has sent `frames` behind the head of its response.
fn connected(frames: &[u8]) -> (Client, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let client = thread::spawn(move || Client::builder(&url).timeout(Duration::MAX).connect().unwrap());
    let mut server = listener.accept().unwrap().0;
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        server.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    let request = String::from_utf8(request).unwrap();
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = sockless_mio::sockless::handshake::accept_key(key.as_bytes().try_into().unwrap());
    let head = b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    server.write_all(&[&head[..], &accept, b"\r\n\r\n", frames].concat()).unwrap();
    (client.join().unwrap(), server)
}

#[test]
fn what_has_come_is_taken_before_more_is_read() {
    let (mut client, mut server) = connected(&b"\x81\x01a".repeat(100));
    let receive = |client: &mut Client| {
        assert_eq!(client.receive_timeout(Duration::MAX).unwrap(), Some(text("a")));
        client.connection().counters().received.frames
    };
    let mut frames = receive(&mut client);
    for number in 1..100 {
        // More is there, each time.
        server.write_all(b"\x81\x01a").unwrap();
        let now = receive(&mut client);
        assert!(now == frames || frames == number, "{now} frames were read when {number} of {frames} were taken");
        frames = now;
    }
}

#[test]
fn pongs_that_nobody_asks_for_are_not_kept_for_ever() {
    let pongs: Vec<u8> = (0..1000_u16).flat_map(|number| [&[0x8A, 2][..], &number.to_be_bytes()].concat()).collect();
    let (mut client, mut server) = connected(&pongs);
    server.write_all(b"\x81\x01a").unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("a")));
    drop(server);
    let mut left = std::iter::from_fn(|| client.receive_pong(PATIENCE).ok()).collect::<Vec<_>>();
    assert_eq!(left.pop().as_deref(), Some(&999_u16.to_be_bytes()[..]), "the newest are kept");
    assert!(left.len() < 100, "{} are left", left.len());
}
