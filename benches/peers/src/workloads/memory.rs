//! What an idle connection holds: one that has sent a message back, as it comes.

use super::deflate::{COUNT, LEVEL, Messages};
use super::everybody;
use crate::heap;
use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ, now};
use crate::stream::{self, Content};
use bytes::{Buf, BytesMut};
use futures_util::SinkExt;
use sockless::{Config, Connection, Deflate, DeflateParams, Event, Negotiated, Pool, Seed};
use sockudo_ws::protocol::CompressedProtocol;
use sockudo_ws::{DeflateConfig, DeflateWindowBits};
use yawc::{CompressionLevel, Options, WebSocket};

pub(crate) struct Idle {
    pub(crate) name: &'static str,
    /// Bytes of the connection itself, its transport left out.
    pub(crate) size: usize,
    /// Bytes on the heap, the buffers left out that a loop lends to all its connections.
    pub(crate) heap: usize,
}

fn idle<P: Peer>() -> Idle {
    let payload = Content::Binary.payload(1 << 10);
    let pipe = Pipe::new(&[], &stream::frame(true, 0, Content::Binary.opcode(), &payload), READ);
    let (peer, _, held) = heap::counted(|| {
        let mut peer = P::open(pipe, Role::Server, Settings::Default);
        peer.echo(1);
        peer
    });
    Idle { name: P::NAME, size: P::SIZE, heap: held as usize - peer.lent() }
}

pub(crate) fn all() -> Vec<Idle> {
    let mut all = everybody!(idle());
    all.retain(|idle| idle.size > 0);
    all.extend([
        sockless("sockless, deflate of 15 bits", 15, false),
        sockless("sockless, deflate of 15 bits, at rest", 15, true),
        yawc("yawc, deflate of 15 bits", 15),
        sockudo("sockudo-ws, deflate of 15 bits", 15),
        sockless("sockless, deflate of 12 bits", 12, false),
        sockless("sockless, deflate of 12 bits, at rest", 12, true),
        yawc("yawc, deflate of 12 bits", 12),
        sockudo("sockudo-ws, deflate of 12 bits", 12),
    ]);
    all
}

// ---- with takeover, behind the messages of a stream, each sent back

/// What is received, in reads of [`READ`].
fn compressed(window_bits: u8) -> Pipe {
    Pipe::new(&[], &Messages::new(1 << 10, true, window_bits).stream, READ)
}

/// With `rests`, as it is behind two keepalive pings between which nothing was compressed: [`Connection::rest`].
fn sockless(name: &'static str, bits: u8, rests: bool) -> Idle {
    // The codecs that a pool keeps are lent to all connections.
    let deflate = Deflate { window_bits: bits, threshold: 0, pool: Pool::new(0), ..Deflate::default() };
    let mut config = Config::default();
    config.deflate = Some(deflate);
    let params = DeflateParams { window_bits: bits, peer_window_bits: bits, takeover: true, peer_takeover: true };
    let mut pipe = compressed(bits);
    let mut buffer = vec![0; READ];
    let (connection, _, held) = heap::counted(|| {
        let negotiated = Negotiated::try_from(params).unwrap();
        let mut connection = Connection::open(sockless::Role::Server, negotiated, config, Seed::new([7; 16]));
        let mut count = 0;
        while count < COUNT {
            let len = pipe.fill(&mut buffer);
            let mut input = &mut buffer[..len];
            while let Some(event) = connection.receive(&mut input).unwrap() {
                let Event::Binary(message) = event else { panic!("{event:?}") };
                connection.send_binary(&message).unwrap();
                let mut outbound = connection.outbound();
                let len = pipe.put(outbound.chunk());
                outbound.advance(len);
                count += 1;
            }
        }
        if rests {
            connection.rest();
        }
        connection
    });
    drop(connection);
    Idle { name, size: size_of::<Connection>(), heap: held as usize }
}

fn yawc(name: &'static str, bits: u8) -> Idle {
    let agreed = format!("permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}");
    let pipe = compressed(bits);
    let (socket, _, held) = heap::counted(|| {
        let options = Options::default().with_compression_level(CompressionLevel::new(LEVEL));
        let mut socket =
            WebSocket::from_stream_with_extensions(pipe, yawc::Role::Server, Some(&agreed), options).unwrap();
        now(async {
            for _ in 0..COUNT {
                let payload = socket.next_frame().await.unwrap().into_payload();
                socket.feed(yawc::Frame::binary(payload)).await.unwrap();
                socket.flush().await.unwrap();
            }
        });
        socket
    });
    drop(socket);
    Idle { name, size: size_of::<WebSocket<()>>(), heap: held as usize }
}

fn sockudo(name: &'static str, bits: u8) -> Idle {
    let window = DeflateWindowBits::try_from(bits).unwrap();
    let config = DeflateConfig {
        server_max_window_bits: window,
        client_max_window_bits: window,
        compression_level: LEVEL,
        compression_threshold: 0,
        ..DeflateConfig::default()
    };
    let mut pipe = compressed(bits);
    let (mut input, mut output, mut messages) = (BytesMut::with_capacity(READ), BytesMut::new(), Vec::new());
    let ((protocol, lent), _, held) = heap::counted(|| {
        let mut protocol = CompressedProtocol::server(64 << 20, 64 << 20, config);
        let mut count = 0;
        while count < COUNT {
            pipe.append(&mut input, READ);
            protocol.process_into(&mut input, &mut messages).unwrap();
            for message in messages.drain(..) {
                protocol.encode_message(&message, &mut output).unwrap();
                pipe.put(&output);
                output.clear();
                count += 1;
            }
        }
        (protocol, output.capacity())
    });
    drop(protocol);
    Idle { name, size: size_of::<CompressedProtocol>(), heap: held as usize - lent }
}
