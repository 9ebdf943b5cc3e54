//! Clients that mean harm, or do it. None of them waits for anything for long.

use sockless::bytes::Buf;
use sockless::{Config, Connection, Deflate, DeflateParams, Role, Seed};
use sockless_bench_servers::{Dice, client_frame, open_with, request, reset};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The longest that one waits to read or to write.
const MOMENT: Duration = Duration::from_millis(300);

/// The most that one sends.
const FLOOD: usize = 4 << 20;

/// How many stay, for each thread.
const STAY: usize = 40;

type Act = fn(SocketAddr, &mut Dice, &mut Held) -> io::Result<()>;

pub(crate) const HOSTILE: [(&str, Act); 21] = [
    ("silent", silent),
    ("half a request", half_a_request),
    ("a request byte by byte", a_request_byte_by_byte),
    ("garbage", garbage),
    ("an endless head", an_endless_head),
    ("plain HTTP", plain_http),
    ("never reads", never_reads),
    ("reads slowly", reads_slowly),
    ("pings", pings),
    ("pongs", pongs),
    ("empty messages", empty_messages),
    ("bombs", bombs),
    ("a message byte by byte", a_message_byte_by_byte),
    ("lying lengths", lying_lengths),
    ("endless fragments", endless_fragments),
    ("empty fragments", empty_fragments),
    ("broken frames", broken_frames),
    ("closes", closes),
    ("closes and goes on", closes_and_goes_on),
    ("resets", resets),
    ("half-closes", half_closes),
];

/// Connections that stay a while.
#[derive(Default)]
pub(crate) struct Held(Vec<TcpStream>);

impl Held {
    fn hold(&mut self, stream: TcpStream, dice: &mut Dice) {
        if self.0.len() == STAY {
            let gone = self.0.swap_remove(dice.roll(STAY as u64) as usize);
            if dice.roll(2) == 0 {
                reset(gone);
            }
        }
        self.0.push(stream);
    }
}

/// A connection that has said nothing.
fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    hurry(&stream)?;
    Ok(stream)
}

fn hurry(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(MOMENT))?;
    stream.set_write_timeout(Some(MOMENT))
}

/// A connection that is open.
fn arrive(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = open_with(address, "")?;
    hurry(&stream)?;
    Ok(stream)
}

/// Writes the same over and over, until there has been much of it or it is not taken. It may read meanwhile.
fn flood(mut stream: &TcpStream, bytes: &[u8], dice: &mut Dice) {
    let reads = dice.roll(2) == 0;
    let mut answers = vec![0; 64 << 10];
    let block = bytes.repeat(1 + (16 << 10) / bytes.len().max(1));
    let (mut sent, started) = (0, Instant::now());
    while sent < FLOOD && started.elapsed() < 4 * MOMENT {
        match stream.write(&block[sent % bytes.len()..]) {
            Ok(n) => sent += n,
            Err(_) => return,
        }
        if reads {
            _ = stream.set_nonblocking(true);
            while let Ok(1..) = stream.read(&mut answers) {}
            _ = stream.set_nonblocking(false);
        }
    }
}

/// Reads what there is, for a while.
fn drain(mut stream: &TcpStream) {
    let (mut answers, started) = (vec![0; 64 << 10], Instant::now());
    while started.elapsed() < 4 * MOMENT
        && let Ok(1..) = stream.read(&mut answers)
    {}
}

/// One of the ways to go, of which one is to stay.
fn leave(stream: TcpStream, dice: &mut Dice, held: &mut Held) {
    match dice.roll(6) {
        0 => reset(stream),
        1 => {
            _ = stream.shutdown(Shutdown::Write);
            drain(&stream);
        }
        2 => held.hold(stream, dice),
        3 => {
            _ = stream.shutdown(Shutdown::Write);
            held.hold(stream, dice);
        }
        4 => drain(&stream),
        _ => {}
    }
}

fn silent(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    held.hold(dial(address)?, dice);
    Ok(())
}

fn half_a_request(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = dial(address)?;
    let request = request(address, "");
    stream.write_all(&request.as_bytes()[..dice.roll(request.len() as u64) as usize])?;
    leave(stream, dice, held);
    Ok(())
}

fn a_request_byte_by_byte(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = dial(address)?;
    for byte in request(address, "").into_bytes() {
        stream.write_all(&[byte])?;
    }
    leave(stream, dice, held);
    Ok(())
}

fn garbage(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = dial(address)?;
    let len = 1 + dice.roll(40_000) as usize;
    stream.write_all(&dice.bytes(len))?;
    leave(stream, dice, held);
    Ok(())
}

fn an_endless_head(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = dial(address)?;
    stream.write_all(b"GET / HTTP/1.1\r\n")?;
    flood(&stream, dice.pick::<&[u8]>(&[&b"X: y\r\n"[..], b"x", b"\r", b"X:"]), dice);
    leave(stream, dice, held);
    Ok(())
}

fn plain_http(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = dial(address)?;
    let requests = [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
        "GET / HTTP/1.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ];
    stream.write_all(dice.pick(&requests).repeat(1 + dice.roll(3) as usize).as_bytes())?;
    leave(stream, dice, held);
    Ok(())
}

fn never_reads(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let stream = arrive(address)?;
    let len = 1 << dice.roll(18);
    let block = client_frame(0x82, &dice.bytes(len));
    let (mut sent, started) = (0, Instant::now());
    while started.elapsed() < 4 * MOMENT
        && let Ok(n) = (&stream).write(&block[sent % block.len()..])
    {
        sent += n;
    }
    leave(stream, dice, held);
    Ok(())
}

fn reads_slowly(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    stream.write_all(&client_frame(0x82, &dice.bytes(1_000_000)))?;
    for _ in 0..100 {
        _ = stream.read(&mut [0; 100])?;
    }
    leave(stream, dice, held);
    Ok(())
}

fn pings(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let stream = arrive(address)?;
    let len = dice.roll(126) as usize;
    flood(&stream, &client_frame(0x89, &dice.bytes(len)), dice);
    leave(stream, dice, held);
    Ok(())
}

fn pongs(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let stream = arrive(address)?;
    let len = dice.roll(126) as usize;
    flood(&stream, &client_frame(0x8A, &dice.bytes(len)), dice);
    leave(stream, dice, held);
    Ok(())
}

fn empty_messages(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let stream = arrive(address)?;
    flood(&stream, &client_frame(*dice.pick(&[0x81, 0x82]), b""), dice);
    leave(stream, dice, held);
    Ok(())
}

/// A kilobyte that inflates to a megabyte, and so on; and blocks that inflate to nothing.
fn bombs(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    let bomb = BOMB.get_or_init(|| {
        let mut config = Config::default();
        config.deflate = Some(Deflate::default());
        config.outbound.hard = 16 << 20;
        let params = DeflateParams { window_bits: 15, peer_window_bits: 15, takeover: false, peer_takeover: false };
        let mut connection = Connection::open(Role::Client, params.try_into().unwrap(), config, Seed::new([7; 16]));
        connection.send_binary(&vec![0; 1 << 20]).expect("there is room");
        let mut out = connection.outbound();
        out.copy_to_bytes(out.remaining()).to_vec()
    });
    let stream = open_with(address, "Sec-WebSocket-Extensions: permessage-deflate\r\n")?;
    hurry(&stream)?;
    // Empty stored blocks (RFC 1951 §3.2.4).
    let nothing = client_frame(0xC2, &b"\0\0\0\xFF\xFF".repeat(10_000));
    // As they are above the limit for one message, too.
    let cut = client_frame(0x42, &bomb[14.min(bomb.len())..]);
    flood(&stream, [bomb, &nothing, &cut][dice.roll(3) as usize], dice);
    leave(stream, dice, held);
    Ok(())
}

fn a_message_byte_by_byte(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    let frame = client_frame(0x81, &dice.bytes(300));
    for byte in &frame[..dice.roll(frame.len() as u64) as usize] {
        stream.write_all(&[*byte])?;
    }
    leave(stream, dice, held);
    Ok(())
}

fn lying_lengths(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    let len = *dice.pick(&[1_u64 << 20, 1_000_000, 1 << 32, u64::MAX >> 1, u64::MAX, 70_000, 0]);
    stream.write_all(&[&[*dice.pick(&[0x82, 0x02, 0x81]), 0xFF][..], &len.to_be_bytes(), &[0; 4]].concat())?;
    let some = dice.roll(1000) as usize;
    stream.write_all(&dice.bytes(some))?;
    leave(stream, dice, held);
    Ok(())
}

fn endless_fragments(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    stream.write_all(&client_frame(0x02, b""))?;
    let len = 1 << dice.roll(18);
    flood(&stream, &client_frame(0x00, &dice.bytes(len)), dice);
    leave(stream, dice, held);
    Ok(())
}

fn empty_fragments(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    stream.write_all(&client_frame(0x01, b""))?;
    flood(&stream, &client_frame(0x00, b""), dice);
    leave(stream, dice, held);
    Ok(())
}

fn broken_frames(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    let long = client_frame(0x89, &[0; 126]);
    let broken: [&[u8]; 12] = [
        b"\x82\x05hello",                    // no mask
        b"\xC2\x80\0\0\0\0",                 // a reserved bit
        b"\x83\x80\0\0\0\0",                 // a reserved opcode
        b"\x80\x80\0\0\0\0",                 // a fragment of nothing
        b"\x09\x80\0\0\0\0",                 // a ping in fragments
        b"\x81\x82\0\0\0\0\xC3\x28",         // no UTF-8
        b"\x88\x81\0\0\0\0\x03",             // half a code
        b"\x88\x82\0\0\0\0\x03\xED",         // a code that must not be sent
        b"\x82\xFE\0\x01\0\0\0\0x",          // a length longer than it needs to be
        b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", // a message within a message
        b"\x88\x84\0\0\0\0\x03\xE8\xFF\xFF", // a reason that is no UTF-8
        &long,
    ];
    stream.write_all(dice.pick::<&[u8]>(&broken))?;
    if dice.roll(2) == 0 {
        flood(&stream, &client_frame(0x82, b"behind it"), dice);
    }
    leave(stream, dice, held);
    Ok(())
}

/// Many that come and close at once, and wait for an answer or not.
fn closes(address: SocketAddr, dice: &mut Dice, _: &mut Held) -> io::Result<()> {
    for _ in 0..20 {
        let mut stream = arrive(address)?;
        let close = client_frame(0x88, dice.pick::<&[u8]>(&[&b""[..], b"\x03\xE8", b"\x0F\xA0bye"]));
        stream.write_all(&close.repeat(1 + dice.roll(3) as usize))?;
        match dice.roll(3) {
            0 => drain(&stream),
            1 => reset(stream),
            _ => {}
        }
    }
    Ok(())
}

fn closes_and_goes_on(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    stream.write_all(&client_frame(0x88, b"\x03\xE8"))?;
    flood(&stream, &client_frame(0x82, b"and another thing"), dice);
    leave(stream, dice, held);
    Ok(())
}

/// Reset in the middle of a message, or with an answer on its way.
fn resets(address: SocketAddr, dice: &mut Dice, _: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    let len = 1 << dice.roll(17);
    let frame = client_frame(0x82, &dice.bytes(len));
    stream.write_all(&frame[..dice.roll(frame.len() as u64 + 1) as usize])?;
    reset(stream);
    Ok(())
}

fn half_closes(address: SocketAddr, dice: &mut Dice, held: &mut Held) -> io::Result<()> {
    let mut stream = arrive(address)?;
    for _ in 0..dice.roll(5) {
        stream.write_all(&client_frame(0x82, &dice.bytes(10_000)))?;
    }
    stream.shutdown(Shutdown::Write)?;
    if dice.roll(2) == 0 {
        drain(&stream);
    } else {
        held.hold(stream, dice);
    }
    Ok(())
}
