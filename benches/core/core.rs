//! What the core costs, in memory, beside the least work that gives the same result and beside tungstenite.
//!
//! `cargo bench -p sockless-bench-core --bench core` runs all of it, and the same with `-- receive` a part. The copy of the stream into the read buffer stands
//! in for the socket and is part of every figure of `receive` and `echo`, the peer's too.

use bytes::{Buf, Bytes};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockless::frame::{Header, OpCode};
use sockless::mask::Mask;
use sockless::{Config, Connection, Event, Kind, Negotiated, Outbound, Role, Seed, utf8};
use std::hint::black_box;
use std::io::{self, Read, Write};

const READ: usize = 64 << 10;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

/// Masked messages of `size` bytes, 1 MiB of them or one, as a client sends them.
fn stream(opcode: OpCode, payload: &[u8]) -> (Vec<u8>, usize) {
    let count = ((1 << 20) / payload.len()).clamp(1, 4096);
    let mut bytes = Vec::new();
    for _ in 0..count {
        let header = Header { fin: true, rsv: 0, opcode, mask: Some(KEY), length: payload.len() as u64 };
        bytes.extend_from_slice(&header.encode());
        Mask::new(KEY).copy(payload, &mut bytes);
    }
    (bytes, count)
}

fn text(size: usize, non_ascii: bool) -> Vec<u8> {
    let letters =
        if non_ascii { "Stra\u{df}e, \u{43c}\u{438}\u{440}, \u{4e16}\u{754c}. " } else { "The quick brown fox. " };
    let mut text: String = letters.chars().cycle().take(size).collect();
    while text.len() > size {
        text.pop();
    }
    text.push_str(&"x".repeat(size - text.len()));
    text.into_bytes()
}

fn open(role: Role) -> Connection {
    let mut config = Config::default();
    config.limits.message = 64 << 20;
    config.outbound = Outbound { soft: usize::MAX, hard: usize::MAX, retain: usize::MAX, ..Outbound::default() };
    Connection::open(role, Negotiated::default(), config, Seed::new([7; 16]))
}

/// Reads a stream as a driver does: into the buffer, or straight into a large message.
fn receive(connection: &mut Connection, mut stream: &[u8], buffer: &mut [u8]) -> usize {
    let mut messages = 0;
    while !stream.is_empty() {
        let event = if let Some(tail) = connection.tail() {
            let n = tail.len().min(READ).min(stream.len());
            tail[..n].copy_from_slice(&stream[..n]);
            stream = &stream[n..];
            connection.receive_tail(n).unwrap()
        } else {
            let n = buffer.len().min(stream.len());
            buffer[..n].copy_from_slice(&stream[..n]);
            stream = &stream[n..];
            let mut input = &mut buffer[..n];
            loop {
                match connection.receive(&mut input).unwrap() {
                    Some(event) if input.is_empty() => break Some(event),
                    Some(event) => messages += taken(event, |_| ()),
                    None => break None,
                }
            }
        };
        if let Some(event) = event {
            let mut spent = None;
            messages += taken(event, |buffer| spent = Some(buffer));
            if let Some(spent) = spent {
                connection.recycle(spent);
            }
        }
    }
    messages
}

fn taken(event: Event<'_>, recycle: impl FnOnce(Vec<u8>)) -> usize {
    match black_box(event) {
        Event::Binary(std::borrow::Cow::Owned(bytes)) => recycle(bytes),
        Event::Text(std::borrow::Cow::Owned(text)) => recycle(text.into_bytes()),
        _ => {}
    }
    1
}

/// A stream that tungstenite reads, and that swallows what it writes.
struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len().min(READ).min(self.bytes.len() - self.at);
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..n].copy_from_slice(&self.bytes[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl Write for Source<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(bytes: &[u8]) -> tungstenite::WebSocket<Source<'_>> {
    let config = tungstenite::protocol::WebSocketConfig::default().read_buffer_size(READ);
    let role = tungstenite::protocol::Role::Server;
    tungstenite::WebSocket::from_raw_socket(Source { bytes, at: 0 }, role, Some(config))
}

fn bench_receive(c: &mut Criterion) {
    let kinds = [("binary", OpCode::Binary, false), ("ascii", OpCode::Text, false), ("text", OpCode::Text, true)];
    for (kind, opcode, non_ascii) in kinds {
        let mut group = c.benchmark_group(format!("receive/{kind}"));
        for size in SIZES {
            let (bytes, count) = stream(opcode, &text(size, non_ascii));
            group.throughput(Throughput::Elements(count as u64));
            let mut connection = open(Role::Server);
            let mut buffer = vec![0; READ];
            group.bench_function(BenchmarkId::new("sockless", size), |b| {
                b.iter(|| assert_eq!(receive(&mut connection, &bytes, &mut buffer), count));
            });
            let mut peer = tungstenite(&bytes);
            group.bench_function(BenchmarkId::new("tungstenite", size), |b| {
                b.iter(|| {
                    peer.get_mut().at = 0;
                    for _ in 0..count {
                        black_box(peer.read().unwrap());
                    }
                });
            });
            let mut whole = vec![0; bytes.len()];
            group.bench_function(BenchmarkId::new("copy and XOR", size), |b| {
                b.iter(|| {
                    whole.copy_from_slice(&bytes);
                    Mask::new(KEY).apply(black_box(&mut whole));
                });
            });
        }
        group.finish();
    }
}

fn bench_send(c: &mut Criterion) {
    for role in [Role::Server, Role::Client] {
        let mut group = c.benchmark_group(format!("send/{role:?}"));
        for size in SIZES {
            let payload = text(size, false);
            let mut connection = open(role);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("sockless", size), |b| {
                b.iter(|| {
                    connection.send_binary(black_box(&payload)).unwrap();
                    let mut outbound = connection.outbound();
                    black_box(outbound.chunk());
                    outbound.advance(outbound.remaining());
                });
            });
        }
        group.finish();
    }
}

/// Eight messages written together to a socket, which is read empty: from which size on a reference costs less than a copy.
#[cfg(unix)]
fn bench_reference(c: &mut Criterion) {
    const COUNT: usize = 8;
    let (mut socket, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut write = |connection: &mut Connection| {
        let mut outbound = connection.outbound();
        while outbound.has_remaining() {
            let mut slices = [io::IoSlice::new(&[]); 2 * COUNT];
            let filled = outbound.chunks_vectored(&mut slices);
            let written = socket.write_vectored(&slices[..filled]).unwrap();
            peer.read_exact(&mut buffer[..written]).unwrap();
            outbound.advance(written);
        }
    };
    let mut group = c.benchmark_group("reference");
    group.throughput(Throughput::Elements(COUNT as u64));
    for size in [1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10] {
        // Not one alone, which would stay in the first-level cache.
        let payloads: Vec<Bytes> = (0..64).map(|_| Bytes::from(text(size, false))).collect();
        let mut next = payloads.iter().cycle();
        let mut connection = open(Role::Server);
        group.bench_function(BenchmarkId::new("copy", size), |b| {
            b.iter(|| {
                next.by_ref().take(COUNT).for_each(|payload| connection.send_binary(payload).unwrap());
                write(&mut connection);
            });
        });
        group.bench_function(BenchmarkId::new("reference", size), |b| {
            b.iter(|| {
                let shared = next.by_ref().take(COUNT).cloned();
                shared.for_each(|payload| connection.send_shared(Kind::Binary, payload).unwrap());
                write(&mut connection);
            });
        });
    }
    group.finish();
}

#[cfg(not(unix))]
fn bench_reference(_: &mut Criterion) {}

fn bench_echo(c: &mut Criterion) {
    let mut group = c.benchmark_group("echo");
    for size in SIZES {
        let (bytes, count) = stream(OpCode::Binary, &text(size, false));
        group.throughput(Throughput::Elements(count as u64));
        let mut connection = open(Role::Server);
        let mut buffer = vec![0; READ];
        group.bench_function(BenchmarkId::new("sockless", size), |b| {
            b.iter(|| {
                for read in bytes.chunks(READ) {
                    buffer[..read.len()].copy_from_slice(read);
                    let mut input = &mut buffer[..read.len()];
                    while let Some(event) = connection.receive(&mut input).unwrap() {
                        if let Event::Binary(bytes) = event {
                            connection.send_binary(&bytes).unwrap();
                        }
                    }
                    let mut outbound = connection.outbound();
                    black_box(outbound.chunk());
                    outbound.advance(outbound.remaining());
                }
            });
        });
        let mut peer = tungstenite(&bytes);
        group.bench_function(BenchmarkId::new("tungstenite", size), |b| {
            b.iter(|| {
                peer.get_mut().at = 0;
                for _ in 0..count {
                    let message = peer.read().unwrap();
                    peer.write(message).unwrap();
                }
                peer.flush().unwrap();
            });
        });
    }
    group.finish();
}

const REQUEST: &[u8] = b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://example.com\r\nSec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

fn bench_handshake(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    let mut buffer = REQUEST.to_vec();
    group.bench_function("sockless", |b| {
        b.iter(|| {
            let mut connection = Connection::server(Config::default());
            buffer.copy_from_slice(REQUEST);
            let mut input = &mut buffer[..];
            match connection.receive(&mut input) {
                Ok(Some(Event::Request(request))) => connection.accept(request.accept()).unwrap(),
                other => panic!("{other:?}"),
            }
            black_box(connection.outbound().chunk());
        });
    });
    group.bench_function("tungstenite", |b| {
        b.iter(|| tungstenite::accept(Source { bytes: REQUEST, at: 0 }).unwrap());
    });
    group.finish();
}

fn bench_leaves(c: &mut Criterion) {
    for size in SIZES {
        let mut bytes = text(size, true);
        c.bench_function(&format!("mask/{size}"), |b| b.iter(|| Mask::new(KEY).apply(black_box(&mut bytes))));
        let text = text(size, true);
        c.bench_function(&format!("utf8/whole/{size}"), |b| b.iter(|| utf8::whole_text(black_box(&text)).unwrap()));
        c.bench_function(&format!("utf8/parts of 1500/{size}"), |b| {
            b.iter(|| {
                let mut utf8 = utf8::Utf8::default();
                for part in text.chunks(1500) {
                    black_box(utf8.check(part).unwrap());
                }
                utf8.finish().unwrap();
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1)).without_plots();
    targets = bench_receive, bench_send, bench_reference, bench_echo, bench_handshake, bench_leaves
}
criterion_main!(benches);
