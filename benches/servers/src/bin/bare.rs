//! The yardstick: an epoll loop that writes back what it reads, and knows nothing of WebSockets.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};

/// As large as the read buffer of the servers beside it.
const BUFFER: usize = 256 << 10;

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// What the socket did not take.
    backlog: Vec<u8>,
    readable: bool,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; BUFFER];
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
                    connections[free] = Some(Connection { stream, backlog: Vec::new(), readable: true });
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
            match connection.turn(&mut buffer) {
                Ok(true) => again.push(key),
                Ok(false) => {}
                Err(_) => connections[key] = None,
            }
        }
    }
}

impl Connection {
    /// Writes what is left, reads once and writes that; whether there may be more.
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
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
        let n = match self.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        self.readable = n == buffer.len();
        let written = match self.stream.write(&buffer[..n]) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.backlog.extend_from_slice(&buffer[written..n]);
        Ok(self.readable && self.backlog.is_empty())
    }
}
