//! What the programs here have in common: server processes, their figures in `/proc`, and frames of a client.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to listen, and a peer to answer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What glibc takes of itself, unless told, rises with the largest table that it has seen go; from then on it keeps such
/// tables in its heap, full of holes, and its growth would hide a leak, or look like one.
pub const ALLOCATOR: &str = "MALLOC_MMAP_THRESHOLD_=131072";

/// A server process, which ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    panics: Arc<AtomicUsize>,
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
        Self::start_with(command, Stdio::inherit())
    }

    /// The same, and of what it says of its connections nothing is shown but panics.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_quietly(command: &str) -> io::Result<Self> {
        let mut server = Self::start_with(command, Stdio::piped())?;
        let said = server.child.stderr.take().map(BufReader::new);
        let panics = server.panics.clone();
        // It ends with the process.
        thread::spawn(move || {
            for line in said.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
                if line.contains("panicked at") {
                    panics.fetch_add(1, Relaxed);
                    eprintln!("{line}");
                }
            }
        });
        Ok(server)
    }

    fn start_with(command: &str, stderr: Stdio) -> io::Result<Self> {
        // A port that is free now; whoever listens next gets it.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let fill =
            |word: &str| word.replace("{addr}", &address.to_string()).replace("{port}", &address.port().to_string());
        let mut words = command.split_whitespace().map(fill);
        let program = words.next().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "no command"))?;
        let mut command_line = Command::new(OsStr::new(&program));
        command_line.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let server = Self { child: command_line.spawn()?, panics: Arc::default(), address };
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

    /// How often it panicked, if it was started quietly.
    pub fn panics(&self) -> usize {
        self.panics.load(Relaxed)
    }

    /// Its threads.
    ///
    /// # Errors
    /// A server that is gone.
    pub fn threads(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.pid()))?.count())
    }

    /// The processor time of all its threads, user and system together.
    ///
    /// # Errors
    /// A server that is gone.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            // In nanoseconds, where `stat` counts hundredths of a second. A thread may have ended meanwhile.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
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
    open_with(address, "")
}

/// The same, with more fields in its request, each with its end of line.
///
/// # Errors
/// As for [`open`].
pub fn open_with(address: SocketAddr, fields: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request(address, fields).as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    // Byte by byte: what follows is not ours.
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101 ") { Ok(stream) } else { Err(ErrorKind::InvalidData.into()) }
}

/// A request that opens a WebSocket.
pub fn request(address: SocketAddr, fields: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

/// Says something, and waits for the answer.
///
/// # Errors
/// No answer, or another one.
pub fn talk(client: &mut TcpStream, len: usize) -> io::Result<()> {
    let payload: Vec<u8> = (0..len).map(|i| (i * 31 + len) as u8).collect();
    let (request, reply) = frames(&payload);
    client.write_all(&request)?;
    let mut got = vec![0; reply.len()];
    client.read_exact(&mut got)?;
    if got == reply { Ok(()) } else { Err(io::Error::new(ErrorKind::InvalidData, "another answer")) }
}

/// Ends a connection by a reset.
pub fn reset(stream: TcpStream) {
    // One that is gone already needs none.
    _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// A binary message of `payload` in one frame, as a client sends it, and as a server sends it back.
pub fn frames(payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (client_frame(0x82, payload), [head(0x82, 0, payload.len()), payload.to_vec()].concat())
}

/// A frame as a client sends it, whose first byte holds FIN, the reserved bits and the opcode.
pub fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = head(first, 0x80, payload.len());
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn head(first: u8, mask: u8, len: usize) -> Vec<u8> {
    let mut head = vec![first];
    match len {
        0..=125 => head.push(mask | len as u8),
        126..=0xFFFF => {
            head.push(mask | 126);
            head.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    head
}

/// Random enough, and the same in every run.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Those of `number` among the ones with this seed.
    pub fn new(seed: u64, number: u64) -> Self {
        Self(seed << 48 ^ number << 32)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 4);
        while bytes.len() < len {
            bytes.extend_from_slice(&(self.roll(1 << 31) as u32).to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
