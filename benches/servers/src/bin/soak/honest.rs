//! Clients that do as they should, each in a way of its own. All that they send has to come back.

use sockless::bytes::Buf;
use sockless::{ClientRequest, Config, Connection, Deflate, Event, Seed};
use sockless_bench_servers::{Dice, client_frame, open};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// The longest that anything honest is waited for; a server that is as busy as this takes seconds at times.
const BOUND: Duration = Duration::from_secs(60);

/// As long as a message may be, by default.
const LARGE: u64 = 1_000_000;

type Act = fn(SocketAddr, &mut Dice) -> io::Result<()>;

pub(crate) const HONEST: [(&str, Act); 7] = [
    ("exchanges", exchanges),
    ("sends much and reads", sends_much_and_reads),
    ("reads slowly", reads_slowly),
    ("byte by byte", byte_by_byte),
    ("in fragments", in_fragments),
    ("compressed", compressed),
    ("leaves early", leaves_early),
];

/// An open connection that speaks frames.
pub(crate) struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

pub(crate) fn arrive(address: SocketAddr) -> io::Result<Client> {
    let stream = open(address)?;
    stream.set_read_timeout(Some(BOUND))?;
    stream.set_write_timeout(Some(BOUND))?;
    Ok(Client { reader: BufReader::with_capacity(64 << 10, stream.try_clone()?), stream })
}

impl Client {
    /// Sends a message, and waits for the same.
    pub(crate) fn exchange(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&client_frame(first, payload))?;
        self.expect(first, payload)
    }

    /// The next message has to be this one, whole.
    fn expect(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        let (got, bytes) = self.next()?;
        if got == first && bytes == payload {
            return Ok(());
        }
        let start = &bytes[..bytes.len().min(20)];
        Err(wrong(format!("{got:#x} of {} bytes, {start:x?}, for {first:#x} of {}", bytes.len(), payload.len())))
    }

    /// The next frame that is no ping: pings are answered.
    fn next(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            let mut head = [0; 2];
            self.reader.read_exact(&mut head)?;
            let len = match head[1] {
                126 => self.number(2)?,
                127 => self.number(8)?,
                short @ ..126 => u64::from(short),
                masked => return Err(wrong(format!("a second byte of {masked:#x}"))),
            };
            let mut payload = vec![0; usize::try_from(len).map_err(|_| wrong(format!("{len} bytes")))?];
            self.reader.read_exact(&mut payload)?;
            if head[0] != 0x89 {
                return Ok((head[0], payload));
            }
            self.stream.write_all(&client_frame(0x8A, &payload))?;
        }
    }

    fn number(&mut self, len: usize) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes[8 - len..])?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// The closing handshake, to its end.
    pub(crate) fn close(mut self) -> io::Result<()> {
        self.exchange(0x88, &1000_u16.to_be_bytes())?;
        // The server closes first (RFC 6455 §7.1.1).
        match self.reader.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(wrong("more behind the close frame".into())),
        }
    }
}

fn wrong(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Messages of any length, one at a time, with pings between them.
fn exchanges(address: SocketAddr, dice: &mut Dice) -> io::Result<()> {
    let mut client = arrive(address)?;
    for _ in 0..dice.roll(20) {
        let len = 1 << dice.roll(20);
        client.exchange(0x82, &dice.bytes(len))?;
        if dice.roll(4) == 0 {
            client.stream.write_all(&client_frame(0x89, b"there?"))?;
            client.expect(0x8A, b"there?")?;
        }
    }
    client.close()
}

/// Sixty large messages, written by one thread while another reads.
fn sends_much_and_reads(address: SocketAddr, dice: &mut Dice) -> io::Result<()> {
    let mut client = arrive(address)?;
    let message = dice.bytes(LARGE as usize);
    let frame = client_frame(0x82, &message);
    let mut writer = client.stream.try_clone()?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || (0..60).try_for_each(|_| writer.write_all(&frame)));
        let received = (0..60).try_for_each(|_| client.expect(0x82, &message));
        if received.is_err() {
            // So that the other thread ends.
            _ = client.stream.shutdown(std::net::Shutdown::Both);
        }
        let sent = sending.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()));
        received.and(sent)
    })?;
    client.close()
}

/// What it does not read at first fills all buffers on its way, and stops nobody but itself.
fn reads_slowly(address: SocketAddr, dice: &mut Dice) -> io::Result<()> {
    let mut client = arrive(address)?;
    let message = dice.bytes(LARGE as usize);
    let frame = client_frame(0x82, &message);
    let mut writer = client.stream.try_clone()?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || (0..8).try_for_each(|_| writer.write_all(&frame)));
        let received = (0..8).try_for_each(|_| {
            thread::sleep(Duration::from_millis(20));
            client.expect(0x82, &message)
        });
        if received.is_err() {
            _ = client.stream.shutdown(std::net::Shutdown::Both);
        }
        let sent = sending.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()));
        received.and(sent)
    })?;
    client.close()
}

fn byte_by_byte(address: SocketAddr, dice: &mut Dice) -> io::Result<()> {
    let mut client = arrive(address)?;
    let text = "größer ".repeat(1 + dice.roll(100) as usize);
    for byte in client_frame(0x81, text.as_bytes()) {
        client.stream.write_all(&[byte])?;
    }
    client.expect(0x81, text.as_bytes())?;
    client.close()
}

fn in_fragments(address: SocketAddr, dice: &mut Dice) -> io::Result<()> {
    let mut client = arrive(address)?;
    let len = dice.roll(LARGE) as usize;
    let message = dice.bytes(len);
    let parts: Vec<_> = message.chunks(1 + dice.roll(100_000) as usize + len / 1000).collect();
    for (number, part) in parts.iter().enumerate() {
        let first = if number == 0 { 0x02 } else { 0x00 };
        let last = if number + 1 == parts.len() { 0x80 } else { 0 };
        client.stream.write_all(&client_frame(first | last, part))?;
        if last == 0 && dice.roll(10) == 0 {
            client.stream.write_all(&client_frame(0x89, b"still there?"))?;
            client.expect(0x8A, b"still there?")?;
        }
    }
    if !parts.is_empty() {
        client.expect(0x82, &message)?;
    }
    client.close()
}

/// Compressed both ways, by the core.
fn compressed(address: SocketAddr, dice: &mut Dice) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(BOUND))?;
    stream.set_write_timeout(Some(BOUND))?;
    let mut config = Config::default();
    config.deflate = Some(Deflate::default());
    let request = ClientRequest::new(&format!("ws://{address}/")).map_err(io::Error::other)?;
    let mut seed = [0; 16];
    seed.copy_from_slice(&dice.bytes(16));
    let mut connection = Connection::client(&request, config, Seed::new(seed)).map_err(io::Error::other)?;
    let mut buffer = vec![0; 64 << 10];
    // One to open, and one to close.
    let mut left = 2 + dice.roll(10);
    let mut said = None;
    loop {
        let mut out = connection.outbound();
        let out = out.copy_to_bytes(out.remaining());
        stream.write_all(&out)?;
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            connection.receive_eof().map_err(io::Error::other)?;
            return if left == 0 { Ok(()) } else { Err(wrong(format!("an end with {left} messages to come"))) };
        }
        let mut input = &mut buffer[..n];
        while let Some(event) = connection.receive(&mut input).map_err(io::Error::other)? {
            match event {
                Event::Open(_) => {}
                Event::Text(text) if said.as_deref() == Some(&*text) => {}
                Event::Ping(_) | Event::Close(_) => continue,
                other => return Err(wrong(format!("{other:?}").chars().take(100).collect())),
            }
            left -= 1;
            if left == 1 {
                connection.close(sockless::Code::NORMAL, "").map_err(io::Error::other)?;
                left = 0;
            } else {
                let text = format!("{} ", dice.roll(1000)).repeat(dice.roll(50_000) as usize);
                connection.send_text(&text).map_err(io::Error::other)?;
                said = Some(text);
            }
        }
    }
}

/// Gone without a word, behind an answer or before it.
fn leaves_early(address: SocketAddr, dice: &mut Dice) -> io::Result<()> {
    let mut client = arrive(address)?;
    let len = 1 << dice.roll(17);
    let payload = dice.bytes(len);
    client.exchange(0x82, &payload)?;
    client.stream.write_all(&client_frame(0x82, &payload))
}
