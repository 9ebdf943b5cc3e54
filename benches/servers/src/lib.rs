//! What the programs here have in common: server processes, their figures in `/proc`, and frames of a client.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to listen, and a peer to answer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server process, which ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command`, words apart by spaces, in which `{addr}` becomes an address and `{port}` its port, and waits
    /// until it listens.
    ///
    /// # Errors
    /// A command that does not start, or does not listen in time.
    pub fn start(command: &str) -> io::Result<Self> {
        // A port that is free now; whoever listens next gets it.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let fill =
            |word: &str| word.replace("{addr}", &address.to_string()).replace("{port}", &address.port().to_string());
        let mut words = command.split_whitespace().map(fill);
        let program = words.next().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "no command"))?;
        let child =
            Command::new(OsStr::new(&program)).args(words).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let server = Self { child, address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::new(ErrorKind::TimedOut, format!("{command} does not listen on {address}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time of all its threads, user and system together.
    ///
    /// # Errors
    /// A server that is gone.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            // In nanoseconds, where `stat` counts hundredths of a second.
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// A server that is gone.
    pub fn resident(&self) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.pid()))?;
        let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Ok(pages.unwrap_or(0) * rustix::param::page_size() as u64)
    }

    /// Its open descriptors.
    ///
    /// # Errors
    /// A server that is gone.
    pub fn descriptors(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, then.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Opens a WebSocket, and waits for the server's answer.
///
/// # Errors
/// No connection, or an answer that opens none.
pub fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    // Byte by byte: what follows is not ours.
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101 ") { Ok(stream) } else { Err(ErrorKind::InvalidData.into()) }
}

/// A binary message of `payload` in one frame, as a client sends it, and as a server sends it back.
pub fn frames(payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let head = |mask: u8| {
        let mut head = vec![0x82];
        match payload.len() {
            len @ ..=125 => head.push(mask | len as u8),
            len @ ..=0xFFFF => {
                head.push(mask | 126);
                head.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                head.push(mask | 127);
                head.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        head
    };
    let mut client = head(0x80);
    client.extend_from_slice(&KEY);
    client.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    let mut server = head(0);
    server.extend_from_slice(payload);
    (client, server)
}
