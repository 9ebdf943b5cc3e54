//! The loop that README.md shows beside a real poll: nothing that comes in a burst is left lying.
// Where lengths have 32 bits, the tests are built for a target whose examples are not.

use crate::common::*;
use sockless::Config;
use sockless_test_support::{left_out, watch, within};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Sixteen messages of 64 KiB are more than a read brings and than the transport takes at once: reading stops for their answers,
/// and what came meanwhile is told by no edge. Without its last line on `reads`, the loop stands still within some rounds.
#[test]
fn the_loop_on_bare_mio_echoes_bursts_of_long_messages() {
    watch();
    let tests = std::env::current_exe().unwrap();
    let example = tests.ancestors().nth(2).unwrap().join("examples/mio_loop");
    if !example.exists() {
        return left_out("the example mio_loop, which `cargo test` without `--test` builds");
    }
    let child = Command::new(example).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
    let mut server = Server(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut stream = TcpStream::connect(line.trim().strip_prefix("listening on ").unwrap()).unwrap();
    // A keepalive ping would wake the loop after longer.
    stream.set_read_timeout(Some(Config::default().keepalive.ping.unwrap() / 2)).unwrap();
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let payload: Vec<u8> = (0..64 << 10).map(|at: u32| (at * 7) as u8).collect();
    let burst = client_frame(0x82, &payload).repeat(16);
    let expected = server_frame(0x82, &payload).repeat(16);
    let mut answers = vec![0; expected.len()];
    for round in 0..100 {
        let mut sending = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| sending.write_all(&burst));
            within("the answers", || stream.read_exact(&mut answers)).unwrap();
        });
        assert!(answers == expected, "round {round}");
    }
}
