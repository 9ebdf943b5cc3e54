//! The client that waits, to a server that is spoken for byte by byte.

use crate::common::{PATIENCE, text, within};
use sockless_mio::sockless::{Connection, Event, Negotiated, Role, Seed};
use sockless_mio::{Client, ClientBuilder, ClientError, Code, Config};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A client that has all the time there is, and its server's end, which has sent `frames` behind the head of its response.
fn connected(frames: &[u8]) -> (Client, TcpStream) {
    connected_with(frames, |builder| builder)
}

fn connected_with(
    frames: &[u8],
    settings: impl FnOnce(ClientBuilder) -> ClientBuilder + Send + 'static,
) -> (Client, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The system's own buffers would hold a good deal.
    socket2::SockRef::from(&listener).set_recv_buffer_size(64 << 10).unwrap();
    socket2::SockRef::from(&listener).set_send_buffer_size(64 << 10).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    // Its servers know no pings, and take as long as the machine makes them.
    let mut config = Config::default();
    config.keepalive.ping = None;
    let builder = move || settings(Client::builder(&url).timeout(Duration::MAX).config(config));
    let client = thread::spawn(move || builder().connect().unwrap());
    let mut server = within("its connection", || listener.accept()).unwrap().0;
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    server.set_write_timeout(Some(PATIENCE)).unwrap();
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
    (within("its connection", || client.join()).unwrap(), server)
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

/// Tells `each` the events that a server reads, until it has enough.
fn read_all(stream: &mut TcpStream, mut each: impl FnMut(Event<'_>) -> bool) {
    let mut connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the client has hung up");
        let mut input = &mut buffer[..len];
        while let Some(event) = connection.receive(&mut input).unwrap() {
            if !each(event) {
                return;
            }
        }
    }
}

#[test]
fn a_deadline_counts_however_much_else_comes() {
    let (mut client, mut server) = connected(b"");
    let (enough, started) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let pings = b"\x89\x02hi".repeat(10_000);
            while !enough.load(Ordering::Relaxed) && started.elapsed() < PATIENCE {
                server.write_all(&pings).unwrap();
            }
            started.elapsed()
        });
        for _ in 0..3 {
            let received = client.receive_timeout(Duration::from_millis(50));
            assert!(matches!(received, Err(ClientError::TimedOut)), "{received:?}");
            let pong = client.receive_pong(Duration::from_millis(50));
            assert!(matches!(pong, Err(ClientError::TimedOut)), "{pong:?}");
        }
        enough.store(true, Ordering::Relaxed);
        // What it still writes has to go somewhere.
        drop(client);
        let _ = within("the flood's end", || flood.join());
    });
    assert!(started.elapsed() < PATIENCE, "it went on for as long as there was something to read");
}

#[test]
fn what_comes_while_it_sends_is_bounded_and_a_peer_that_reads_gets_all() {
    const ROOM: usize = 1 << 20;
    const SENT: usize = 3000;
    let (mut client, mut server) = connected_with(b"", |builder| builder.inbox(ROOM));
    let closing = &AtomicBool::new(false);
    let mut reads = server.try_clone().unwrap();
    thread::scope(|scope| {
        let received = scope.spawn(move || {
            let mut messages = 0;
            read_all(&mut reads, |event| match event {
                Event::Close(_) => false,
                event => {
                    messages += usize::from(matches!(event, Event::Binary(_)));
                    true
                }
            });
            closing.store(true, Ordering::Relaxed);
            messages
        });
        scope.spawn(move || {
            // Empty, so that what is kept of a message is what it takes besides its payload.
            let flood = b"\x82\x00".repeat(32 << 10);
            while !closing.load(Ordering::Relaxed) {
                server.write_all(&flood).unwrap();
            }
            server.write_all(b"\x88\x02\x03\xe8").unwrap();
        });
        for _ in 0..SENT {
            client.send_binary(&[7; 1024]).unwrap();
        }
        let kept = client.connection().counters().received.frames as usize;
        assert!(kept * 64 <= ROOM + 64, "{kept} messages are kept");
        // Their pongs are behind what is not read.
        client.ping(b"").unwrap();
        assert!(matches!(client.receive_pong(PATIENCE), Err(ClientError::Unreceived)));
        assert_eq!(client.close(Code::NORMAL, "").unwrap().code, Code::NORMAL);
        assert_eq!(within("all messages", || received.join()).unwrap(), SENT);
        let left = std::iter::from_fn(|| client.receive().ok().flatten()).count();
        assert!(left > 0 && left * 64 <= ROOM + 64, "{left} messages are left");
    });
}

#[test]
fn a_peer_that_has_to_be_read_first_is_told_of_and_nothing_is_lost() {
    const LEN: usize = 256 << 10;
    const SENT: u8 = 100;
    let (mut client, mut server) = connected_with(b"", |builder| builder.inbox(1 << 20));
    let echo = thread::spawn(move || {
        // It reads nothing while it writes.
        let mut writes = server.try_clone().unwrap();
        read_all(&mut server, |event| {
            let Event::Binary(bytes) = event else { return false };
            let head = [&[0x82, 127][..], &(bytes.len() as u64).to_be_bytes()].concat();
            writes.write_all(&[&head, &bytes[..]].concat()).unwrap();
            true
        });
        writes.write_all(b"\x88\x02\x03\xe8").unwrap();
    });
    let (mut echoed, mut unreceived) = (0, 0);
    let mut receive = |client: &mut Client, time| match client.receive_timeout(time) {
        Ok(message) => {
            assert_eq!(message.unwrap().as_bytes(), [echoed; LEN]);
            echoed += 1;
            echoed < SENT
        }
        Err(ClientError::TimedOut) => false,
        Err(error) => panic!("{error}"),
    };
    for number in 0..SENT {
        match client.send_binary(&[number; LEN]) {
            Ok(()) => {}
            Err(ClientError::Unreceived) => {
                unreceived += 1;
                while receive(&mut client, Duration::from_millis(10)) {}
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(unreceived > 0, "all of it had room");
    while receive(&mut client, PATIENCE) {}
    client.close(Code::NORMAL, "").unwrap();
    within("the echo's end", || echo.join()).unwrap();
    assert_eq!(echoed, SENT);
}
