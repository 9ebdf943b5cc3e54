//! permessage-deflate: the same level, window and memory for all who have it.

use super::bytes;
use crate::measure::{Entry, Workload};
use crate::peer::{Peer, Role as PeerRole, Settings};
use crate::peers::{Limit, Output, yawc_options};
use crate::pipe::{Kept, Pipe, READ, now};
use crate::stream;
use bytes::{Buf, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use futures_util::SinkExt;
use sockless::frame::{Header, OpCode};
use sockless::{Config, Connection, Deflate, DeflateParams, Event, Negotiated, Outbound, Role, Seed};
use sockudo_ws::DeflateConfig;
use sockudo_ws::protocol::{CompressedProtocol, Message};
use std::hint::black_box;
use std::rc::Rc;
use yawc::{CompressionLevel, WebSocket};

pub(super) const LEVEL: u32 = 1;
const WINDOW_BITS: u8 = 15;
pub(super) const COUNT: usize = 64;

/// What ends every compressed message, and is left out of it.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Sends these messages.
type Send = Box<dyn FnMut(&[Bytes])>;

/// The messages to send, and the same compressed.
#[derive(Clone)]
pub(super) struct Messages {
    plain: Rc<Vec<Bytes>>,
    pub(super) stream: Bytes,
    takeover: bool,
}

impl Messages {
    pub(super) fn new(size: usize, takeover: bool, window_bits: u8) -> Self {
        let plain = stream::documents(COUNT, size);
        let mut codec = Codec::new(takeover, window_bits);
        let frames = plain.iter().map(|message| stream::frame(true, 4, OpCode::Binary, codec.deflate(message)));
        let stream = frames.collect::<Vec<_>>().concat().into();
        Self { plain: plain.into(), stream, takeover }
    }

    fn inflate_entry(&self, name: &'static str, mut receive: impl FnMut(&mut dyn FnMut(&[u8])) + 'static) -> Entry {
        // Twice, to see that a codec survives the beginning of the stream.
        let mut expected = self.plain.iter().chain(&*self.plain);
        for _ in 0..2 {
            receive(&mut |message| assert!(Some(message) == expected.next().map(|plain| &plain[..]), "{name}"));
        }
        assert_eq!(expected.next(), None, "{name}");
        Entry::new(name, move || {
            receive(&mut |message| {
                black_box(message);
            });
        })
    }

    fn deflate_entry<S: FnMut(&[Bytes]) + 'static>(&self, name: &'static str, open: impl Fn(Pipe) -> S) -> Entry {
        let kept = Kept::default();
        open(Pipe::new(&[], &[], READ).keeping(&kept))(&self.plain);
        let kept = kept.lock().unwrap();
        let mut bytes = &kept[..];
        let mut codec = Codec::new(self.takeover, WINDOW_BITS);
        for plain in &*self.plain {
            let (header, len) = Header::parse(bytes).unwrap().unwrap();
            let (payload, rest) = bytes[len..].split_at(header.length as usize);
            assert!(header.rsv == 4 && codec.inflate(payload) == plain, "{name}");
            bytes = rest;
        }
        assert!(bytes.is_empty(), "{name}");
        let mut send = open(Pipe::new(&[], &[], READ));
        let plain = self.plain.clone();
        Entry::new(name, move || send(black_box(&plain)))
    }
}

/// The codec that all of them use, alone: zlib-rs.
struct Codec {
    compress: Compress,
    decompress: Decompress,
    flush: FlushCompress,
    output: Vec<u8>,
}

impl Codec {
    fn new(takeover: bool, window_bits: u8) -> Self {
        Self {
            compress: Compress::new_with_window_bits(Compression::new(LEVEL), false, window_bits),
            decompress: Decompress::new_with_window_bits(false, window_bits),
            // A full flush forgets what was before, as a reset does.
            flush: if takeover { FlushCompress::Sync } else { FlushCompress::Full },
            output: vec![0; 64 << 10],
        }
    }

    fn deflate(&mut self, message: &[u8]) -> &[u8] {
        let before = self.compress.total_out();
        self.compress.compress(message, &mut self.output, self.flush).unwrap();
        let len = (self.compress.total_out() - before) as usize;
        self.output[..len].strip_suffix(&TAIL).unwrap()
    }

    fn inflate(&mut self, message: &[u8]) -> &[u8] {
        let before = self.decompress.total_out();
        self.decompress.decompress(message, &mut self.output, FlushDecompress::Sync).unwrap();
        let len = (self.decompress.total_out() - before) as usize;
        self.decompress.decompress(&TAIL, &mut self.output[len..], FlushDecompress::Sync).unwrap();
        &self.output[..len]
    }
}

// ---- sockless

fn sockless(takeover: bool) -> Connection {
    let params =
        DeflateParams { window_bits: WINDOW_BITS, peer_window_bits: WINDOW_BITS, takeover, peer_takeover: takeover };
    let mut config = Config::default();
    config.deflate = Some(Deflate {
        level: LEVEL as u8,
        mem_level: 8,
        threshold: 0,
        window_bits: WINDOW_BITS,
        ..Deflate::default()
    });
    config.outbound = Outbound { soft: usize::MAX, hard: usize::MAX, retain: usize::MAX, ..Outbound::default() };
    Connection::open(Role::Server, Negotiated::try_from(params).unwrap(), config, Seed::new([7; 16]))
}

fn sockless_inflate(messages: &Messages) -> impl FnMut(&mut dyn FnMut(&[u8])) + use<> {
    let mut connection = sockless(messages.takeover);
    let mut pipe = Pipe::new(&[], &messages.stream, READ);
    let mut buffer = vec![0; READ];
    move |each| {
        let mut received = 0;
        while received < COUNT {
            let len = pipe.fill(&mut buffer);
            let mut input = &mut buffer[..len];
            while let Some(event) = connection.receive(&mut input).unwrap() {
                let Event::Binary(message) = event else { panic!("{event:?}") };
                each(&message);
                connection.recycle(message.into_owned());
                received += 1;
            }
        }
    }
}

fn sockless_deflate(takeover: bool) -> impl Fn(Pipe) -> Send {
    move |mut pipe| {
        let mut connection = sockless(takeover);
        Box::new(move |messages| {
            for message in messages {
                connection.send_binary(message).unwrap();
            }
            let mut outbound = connection.outbound();
            let len = pipe.put(outbound.chunk());
            outbound.advance(len);
        })
    }
}

// ---- sockudo-ws

fn sockudo(takeover: bool) -> CompressedProtocol {
    let config = DeflateConfig {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        compression_level: LEVEL,
        compression_threshold: 0,
        ..DeflateConfig::default()
    };
    CompressedProtocol::server(64 << 20, 64 << 20, config)
}

fn sockudo_inflate(messages: &Messages) -> impl FnMut(&mut dyn FnMut(&[u8])) + use<> {
    let mut protocol = sockudo(messages.takeover);
    let mut pipe = Pipe::new(&[], &messages.stream, READ);
    let mut input = BytesMut::with_capacity(READ);
    let mut received = Vec::new();
    move |each| {
        let mut count = 0;
        while count < COUNT {
            pipe.append(&mut input, READ);
            protocol.process_into(&mut input, &mut received).unwrap();
            count += received.len();
            received.drain(..).for_each(|message| each(message.as_bytes()));
        }
    }
}

fn sockudo_deflate(takeover: bool) -> impl Fn(Pipe) -> Send {
    move |mut pipe| {
        let mut protocol = sockudo(takeover);
        let mut output = BytesMut::new();
        Box::new(move |messages| {
            for message in messages {
                protocol.encode_message(&Message::Binary(message.clone()), &mut output).unwrap();
            }
            pipe.put(&output);
            output.clear();
        })
    }
}

// ---- yawc

fn yawc(pipe: Pipe, takeover: bool) -> WebSocket<Pipe> {
    let extensions = match takeover {
        true => "permessage-deflate",
        false => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    };
    let options = yawc_options().with_compression_level(CompressionLevel::new(LEVEL));
    let options = if takeover { options } else { options.server_no_context_takeover().client_no_context_takeover() };
    WebSocket::from_stream_with_extensions(pipe, yawc::Role::Server, Some(extensions), options).unwrap()
}

fn yawc_inflate(messages: &Messages) -> impl FnMut(&mut dyn FnMut(&[u8])) + use<> {
    let mut socket = yawc(Pipe::new(&[], &messages.stream, READ), messages.takeover);
    move |each| {
        now(async {
            for _ in 0..COUNT {
                each(socket.next_frame().await.unwrap().payload());
            }
        });
    }
}

fn yawc_deflate(takeover: bool) -> impl Fn(Pipe) -> Send {
    move |pipe| {
        let mut socket = yawc(pipe, takeover);
        Box::new(move |messages| {
            now(async {
                for message in messages {
                    socket.feed(yawc::Frame::binary(message.clone())).await.unwrap();
                }
                socket.flush().await.unwrap();
            });
        })
    }
}

// ---- the limit

fn limit_inflate(messages: &Messages) -> impl FnMut(&mut dyn FnMut(&[u8])) + use<> {
    let mut limit = Limit::open(Pipe::new(&[], &messages.stream, READ), PeerRole::Server, Settings::Fast);
    let mut codec = Codec::new(true, WINDOW_BITS);
    move |each| limit.receive(COUNT, |message| each(codec.inflate(message)))
}

fn limit_deflate(takeover: bool) -> impl Fn(Pipe) -> Send {
    move |mut pipe| {
        let (mut codec, mut output) = (Codec::new(takeover, WINDOW_BITS), Output::new());
        Box::new(move |messages| {
            for message in messages {
                output.append(0xc2, codec.deflate(message), None);
            }
            output.flush(&mut pipe);
        })
    }
}

pub(super) fn all() -> Vec<Workload> {
    let mut workloads = Vec::new();
    for (takeover, with) in [(true, "with"), (false, "without")] {
        for size in [1 << 10, 16 << 10] {
            let case = format!("{}, {with} takeover", bytes(size));
            let mut add = |group: &str, entries: fn(&Messages) -> Vec<Entry>| {
                let entries = Box::new(move || entries(&Messages::new(size, takeover, WINDOW_BITS)));
                let (group, case) = (group.into(), case.clone());
                workloads.push(Workload { group, case, messages: COUNT, size, entries });
            };
            add("inflate", |messages| {
                vec![
                    messages.inflate_entry("limit", limit_inflate(messages)),
                    messages.inflate_entry("sockless", sockless_inflate(messages)),
                    messages.inflate_entry("yawc", yawc_inflate(messages)),
                    messages.inflate_entry("sockudo-ws", sockudo_inflate(messages)),
                ]
            });
            add("deflate", |messages| {
                vec![
                    messages.deflate_entry("limit", limit_deflate(messages.takeover)),
                    messages.deflate_entry("sockless", sockless_deflate(messages.takeover)),
                    messages.deflate_entry("yawc", yawc_deflate(messages.takeover)),
                    messages.deflate_entry("sockudo-ws", sockudo_deflate(messages.takeover)),
                ]
            });
        }
    }
    workloads.sort_by(|a, b| b.group.cmp(&a.group));
    workloads
}
