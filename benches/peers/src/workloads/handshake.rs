//! The opening handshake of a server, from a browser's request to an open connection.

use crate::measure::{Entry, Workload};
use crate::pipe::{Kept, Pipe, READ, now};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Buf;
use sha1::{Digest, Sha1};
use sockless::{Config, Connection, Event};
use sockudo_ws::protocol::Protocol;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::Arc;
use tungstenite::protocol::WebSocketConfig;

const REQUEST: &[u8] = b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://example.com\r\nSec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const KEY_AND_GUID: &[u8; 60] = b"                        258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

fn entry(name: &'static str, mut shake: impl FnMut(&mut Pipe) + 'static) -> Entry {
    let kept = Kept::default();
    shake(&mut Pipe::new(&[], REQUEST, READ).keeping(&kept));
    let response = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
    assert!(response.starts_with("HTTP/1.1 101 ") && response.contains(ACCEPT), "{name}: {response}");
    let mut pipe = Pipe::new(&[], REQUEST, READ);
    Entry::new(name, move || shake(&mut pipe))
}

fn limit() -> impl FnMut(&mut Pipe) {
    let (mut buffer, mut output) = (vec![0; READ], Vec::new());
    move |pipe| {
        let len = pipe.fill(&mut buffer);
        let mut headers = [const { MaybeUninit::uninit() }; 16];
        let mut request = httparse::Request::new(&mut []);
        assert!(request.parse_with_uninit_headers(&buffer[..len], &mut headers).unwrap().is_complete());
        let key = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key")).unwrap();
        let mut text = *KEY_AND_GUID;
        text[..24].copy_from_slice(key.value);
        let mut accept = [0; 28];
        BASE64.encode_slice(Sha1::digest(text), &mut accept).unwrap();
        output.clear();
        output.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        );
        output.extend_from_slice(&accept);
        output.extend_from_slice(b"\r\n\r\n");
        pipe.put(&output);
    }
}

fn sockless() -> impl FnMut(&mut Pipe) {
    let mut config = Config::default();
    config.outbound.retain = usize::MAX;
    let config = Arc::new(config);
    let (mut buffer, mut outbox) = (vec![0; READ], Vec::new());
    move |pipe| {
        let mut connection = Connection::server(config.clone());
        connection.swap_outbox(&mut outbox);
        let len = pipe.fill(&mut buffer);
        let mut input = &mut buffer[..len];
        match connection.receive(&mut input) {
            Ok(Some(Event::Request(request))) => connection.accept(request.accept()).unwrap(),
            other => panic!("{other:?}"),
        }
        let mut outbound = connection.outbound();
        let len = pipe.put(outbound.chunk());
        outbound.advance(len);
        connection.swap_outbox(&mut outbox);
        black_box(&connection);
    }
}

fn tungstenite(pipe: &mut Pipe) {
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
    black_box(&tungstenite::accept_with_config(pipe, Some(config)).unwrap());
}

fn tokio_websockets(pipe: &mut Pipe) {
    black_box(&now(tokio_websockets::ServerBuilder::new().accept(pipe)).unwrap());
}

fn soketto(pipe: &mut Pipe) {
    use soketto::handshake::server::{Response, Server};
    now(async {
        let mut server = Server::new(pipe);
        let key = server.receive_request().await.unwrap().key();
        server.send_response(&Response::Accept { key, protocol: None }).await.unwrap();
        black_box(&server.into_builder().finish());
    });
}

fn sockudo() -> impl FnMut(&mut Pipe) {
    use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
    let mut buffer = vec![0; READ];
    move |pipe| {
        let len = pipe.fill(&mut buffer);
        let (request, _) = parse_request(&buffer[..len]).unwrap().unwrap();
        pipe.put(&build_response(&generate_accept_key(request.key), None, None));
        black_box(&Protocol::new(sockudo_ws::Role::Server, 1 << 20, 1 << 20));
    }
}

fn nexus(pipe: &mut Pipe) {
    black_box(nexus_web::ws::ClientBuilder::new().buffer_capacity(READ).accept(pipe).unwrap());
}

pub(super) fn all() -> Vec<Workload> {
    let entries = || {
        vec![
            entry("limit", limit()),
            entry("sockless", sockless()),
            entry("tungstenite", tungstenite),
            entry("tokio-websockets", tokio_websockets),
            Entry::cannot("fastwebsockets", "leaves it to hyper"),
            entry("soketto", soketto),
            Entry::cannot("yawc", "leaves it to hyper"),
            entry("sockudo-ws", sockudo()),
            Entry::cannot("web-socket", "leaves it to the caller"),
            Entry::cannot("websocket-sans-io", "leaves it to the caller"),
            entry("nexus-web", nexus),
        ]
    };
    let (group, case) = ("handshake".into(), "a browser's request".into());
    vec![Workload { group, case, messages: 1, size: 0, entries: Box::new(entries) }]
}
