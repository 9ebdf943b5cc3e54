//! What compressed messages cost through a connection beside the codec alone, with the same settings on the same bytes.
//!
//! `cargo bench -p sockless-bench-core --bench deflate`. The messages are JSON. The codec forgets each one before the next, as
//! without context takeover, and no end masks its frames: the bytes are the same. The copy of the stream into the read
//! buffer stands in for the socket, and is part of every figure.

use bytes::Buf;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockless::frame::{Header, OpCode};
use sockless::{Config, Connection, Deflate, DeflateParams, Event, Limits, Negotiated, Outbound, Role, Seed};
use std::borrow::Cow;
use std::hint::black_box;
use std::ops::Range;
use zlib_rs::{DeflateConfig, DeflateFlush, InflateFlush};

const SIZES: [usize; 3] = [256, 1 << 10, 16 << 10];
const TAIL: &[u8] = b"\x00\x00\xff\xff";

/// Different messages of `size` bytes, 256 KiB of them.
fn messages(size: usize) -> Vec<String> {
    let mut state = 1_u32;
    let mut random = |below: u32| {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        (state >> 16) % below
    };
    let mut message = || {
        let mut text = format!("{{\"channel\":\"ticker\",\"sequence\":{},\"events\":[", random(60_000));
        while text.len() < size {
            let (side, product) = (["buy", "sell"][random(2) as usize], ["BTC-USD", "ETH-EUR"][random(2) as usize]);
            let [price, cents, volume] = [50_000, 100, 1000].map(&mut random);
            text += &format!(
                "{{\"type\":\"{side}\",\"product\":\"{product}\",\"price\":{price}.{cents:02},\"size\":0.{volume:03}}},"
            );
        }
        text.truncate(size - 2);
        text + "]}"
    };
    (0..(256 << 10) / size).map(|_| message()).collect()
}

fn deflater(deflate: &Deflate) -> zlib_rs::Deflate {
    zlib_rs::Deflate::new_with_config(DeflateConfig {
        level: deflate.level.into(),
        window_bits: -i32::from(deflate.window_bits),
        mem_level: deflate.mem_level.into(),
        ..DeflateConfig::default()
    })
}

/// Deflates a message into `out`; the payload.
fn compress<'a>(codec: &mut zlib_rs::Deflate, message: &str, out: &'a mut [u8]) -> &'a [u8] {
    let before = codec.total_out();
    codec.compress(message.as_bytes(), out, DeflateFlush::FullFlush).unwrap();
    &out[..(codec.total_out() - before) as usize - TAIL.len()]
}

fn connection(role: Role) -> Connection {
    let deflate = Deflate { threshold: 0, ..Deflate::default() };
    let (window_bits, peer_window_bits) = (deflate.window_bits, deflate.peer_window_bits);
    let params = DeflateParams { window_bits, peer_window_bits, takeover: false, peer_takeover: false };
    let limits = Limits { message: 64 << 20, ..Limits::default() };
    let outbound = Outbound { retain: usize::MAX, ..Outbound::default() };
    let config = Config { limits, outbound, deflate: Some(deflate), ..Config::default() };
    Connection::open(role, Negotiated::try_from(params).unwrap(), config, Seed::new([7; 16]))
}

fn bench_inflate(c: &mut Criterion) {
    let mut group = c.benchmark_group("inflate");
    for size in SIZES {
        let messages = messages(size);
        let mut codec = deflater(&Deflate::default());
        let (mut stream, mut out): (Vec<u8>, _) = (vec![], vec![0; size * 2 + 64]);
        let mut payloads: Vec<Range<usize>> = vec![];
        for message in &messages {
            let payload = compress(&mut codec, message, &mut out);
            let length = payload.len() as u64;
            stream.extend_from_slice(&Header { fin: true, rsv: 4, opcode: OpCode::Text, mask: None, length }.encode());
            let start = stream.len();
            stream.extend_from_slice(payload);
            payloads.push(start..stream.len());
        }
        let mut buffer = stream.clone();
        group.throughput(Throughput::Elements(messages.len() as u64));

        let mut connection = connection(Role::Client);
        group.bench_function(BenchmarkId::new("sockless", size), |b| {
            b.iter(|| {
                buffer.copy_from_slice(&stream);
                let mut input = &mut buffer[..];
                let mut count = 0;
                while let Some(event) = connection.receive(&mut input).unwrap() {
                    let Event::Text(Cow::Owned(text)) = black_box(event) else { panic!("not inflated") };
                    assert_eq!(text.len(), size);
                    connection.recycle(text.into_bytes());
                    count += 1;
                }
                assert_eq!(count, messages.len());
            });
        });
        let mut codec = zlib_rs::Inflate::new(false, 15);
        group.bench_function(BenchmarkId::new("codec", size), |b| {
            b.iter(|| {
                buffer.copy_from_slice(&stream);
                for payload in &payloads {
                    codec.reset(false);
                    codec.decompress(&buffer[payload.clone()], &mut out, InflateFlush::SyncFlush).unwrap();
                    assert_eq!(codec.total_out() as usize, size);
                    codec.decompress(TAIL, &mut out[size..], InflateFlush::SyncFlush).unwrap();
                    black_box(&mut out);
                }
            });
        });
    }
    group.finish();
}

fn bench_deflate(c: &mut Criterion) {
    let mut group = c.benchmark_group("deflate");
    for size in SIZES {
        let messages = messages(size);
        let mut codec = deflater(&Deflate::default());
        let mut out = vec![0; size * 2 + 64];
        group.throughput(Throughput::Elements(messages.len() as u64));

        let mut connection = connection(Role::Server);
        group.bench_function(BenchmarkId::new("sockless", size), |b| {
            b.iter(|| {
                for message in &messages {
                    connection.send_text(black_box(message)).unwrap();
                    let mut outbound = connection.outbound();
                    let len = black_box(outbound.chunk()).len();
                    outbound.advance(len);
                }
            });
        });
        group.bench_function(BenchmarkId::new("codec", size), |b| {
            b.iter(|| {
                for message in &messages {
                    black_box(compress(&mut codec, black_box(message), &mut out));
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1)).without_plots();
    targets = bench_inflate, bench_deflate
}
criterion_main!(benches);
