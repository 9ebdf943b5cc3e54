//! The yardsticks: an epoll loop that writes back what it reads, and knows nothing of WebSockets; with `--frames`, the
//! least that a WebSocket needs besides: of each frame the header is read, the payload unmasked into what is written back
//! and a header put before it. No rule of the protocol is checked.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sockless::mask::Mask;
use std::io::{self, ErrorKind, Read, Write};

/// As large as the read buffer of the servers beside it.
const BUFFER: usize = (1 << 20) + (64 << 10);

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// What the socket did not take.
    backlog: Vec<u8>,
    readable: bool,
    frames: Option<Frames>,
}

/// What is known of a WebSocket.
#[derive(Clone, Default)]
struct Frames {
    /// The request has come.
    open: bool,
    /// The part of a frame that the last read brought.
    rest: Vec<u8>,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let frames = std::env::args().nth(2).filter(|argument| argument == "--frames").map(|_| Frames::default());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let (mut buffer, mut out) = (vec![0; BUFFER], Vec::new());
    let mut again = Vec::new();
    loop {
        let timeout = if again.is_empty() { None } else { Some(std::time::Duration::ZERO) };
        poll.poll(&mut events, timeout)?;
        let mut keys = std::mem::take(&mut again);
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let free = connections.iter().position(Option::is_none).unwrap_or(connections.len());
                    connections.resize_with(connections.len().max(free + 1), || None);
                    poll.registry().register(&mut stream, Token(free), Interest::READABLE | Interest::WRITABLE)?;
                    connections[free] =
                        Some(Connection { stream, backlog: Vec::new(), readable: true, frames: frames.clone() });
                }
            } else {
                if let Some(connection) = &mut connections[event.token().0] {
                    connection.readable |= event.is_readable();
                }
                keys.push(event.token().0);
            }
        }
        for key in keys {
            let Some(connection) = &mut connections[key] else { continue };
            match connection.turn(&mut buffer, &mut out) {
                Ok(true) => again.push(key),
                Ok(false) => {}
                Err(_) => connections[key] = None,
            }
        }
    }
}

impl Connection {
    /// Writes what is left, reads once and writes that; whether there may be more.
    fn turn(&mut self, buffer: &mut [u8], out: &mut Vec<u8>) -> io::Result<bool> {
        if !self.backlog.is_empty() {
            match self.stream.write(&self.backlog) {
                Ok(n) => _ = self.backlog.drain(..n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if !self.readable || !self.backlog.is_empty() {
            return Ok(false);
        }
        let kept = self.frames.as_ref().map_or(0, |frames| frames.rest.len());
        if let Some(frames) = &self.frames {
            buffer[..kept].copy_from_slice(&frames.rest);
        }
        let n = match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        self.readable = n == buffer.len() - kept;
        let answer = match &mut self.frames {
            None => &buffer[..n],
            Some(frames) => {
                out.clear();
                frames.answer(&buffer[..kept + n], out);
                &out[..]
            }
        };
        if answer.is_empty() {
            return Ok(self.readable);
        }
        let written = match self.stream.write(answer) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.backlog.extend_from_slice(&answer[written..]);
        Ok(self.readable && self.backlog.is_empty())
    }
}

impl Frames {
    /// Appends the answers to what is whole of `input`; keeps the rest.
    fn answer(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        if !self.open && input.ends_with(b"\r\n\r\n") {
            // The clients here do not look at more.
            out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
            (self.open, input) = (true, &[]);
        }
        while let Some((head, payload)) = input.get(1).and_then(|&length| {
            // RFC 6455 §5.2; a mask of 4 bytes ends the header.
            let head = match length & 0x7F {
                126 => 8,
                127 => 14,
                _ => 6,
            };
            let bytes = input.get(2..head - 4)?;
            let payload = match bytes {
                [] => usize::from(length & 0x7F),
                bytes => bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)),
            };
            (input.len() >= head + payload).then_some((head, payload))
        }) {
            let (frame, behind) = input.split_at(head + payload);
            out.extend_from_slice(&[frame[0], frame[1] & 0x7F]);
            out.extend_from_slice(&frame[2..head - 4]);
            if let Some(key) = frame[..head].last_chunk() {
                Mask::new(*key).copy(&frame[head..], out);
            }
            input = behind;
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
    }
}
