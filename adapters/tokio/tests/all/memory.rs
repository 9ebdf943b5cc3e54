//! What connections take while they wait; `examples/idle.rs` measures a whole server.

use sockless_tokio::{Client, Receiver, Sender, WebSocket, accept};
use std::mem::{size_of, size_of_val};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[test]
fn connections_are_small() {
    // With that feature, where a tape may be kept.
    let most = if cfg!(feature = "testing") { 512 + size_of::<usize>() } else { 512 };
    assert!(size_of::<WebSocket<TcpStream>>() <= most, "{}", size_of::<WebSocket<TcpStream>>());
    let receiver = size_of::<Receiver<OwnedReadHalf, OwnedWriteHalf>>();
    assert!(receiver <= 256, "{receiver}");
    assert_eq!(size_of::<Sender<OwnedWriteHalf>>(), 3 * size_of::<usize>());
}

#[test]
fn handshakes_leave_no_room_in_the_tasks_that_await_them() {
    let (stream, _): (DuplexStream, _) = tokio::io::duplex(1);
    let future = accept(stream);
    assert!(size_of_val(&future) <= 512, "{}", size_of_val(&future));
    let client = Client::new("ws://127.0.0.1/");
    let future = client.connect();
    assert!(size_of_val(&future) <= 512, "{}", size_of_val(&future));
}
