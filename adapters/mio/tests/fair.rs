//! A peer whose bytes make much work does not keep the others of its worker waiting.
#![cfg(unix)]

mod common;

use common::{PATIENCE, REQUEST, skip_head, start};
use sockless_mio::{Builder, Conn, Error, Message, Server};
use std::array;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::mpsc::{channel, sync_channel};

/// A message as a client sends it, of fewer than 126 bytes.
fn text(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// Who is heard first where one peer sends `work` and then "busy", and another after it "other", while the worker does
/// something else.
fn heard(name: &str, server: Builder, work: &[u8]) -> [String; 2] {
    let path = std::env::temp_dir().join(format!("sockless-mio-fair-{name}-{}.sock", std::process::id()));
    let (tell, told) = channel();
    let (begin, begun) = sync_channel(0);
    let (go_on, goes_on) = sync_channel(1);
    let gate = Mutex::new((begin, goes_on));
    let server = start(
        server.workers(1).listen(format!("unix:{}", path.display())),
        move |_: &mut Conn<'_>, message: Message<'_>| {
            match message.as_bytes() {
                b"wait" => {
                    let (begin, goes_on) = &*gate.lock().unwrap();
                    begin.send(())?;
                    goes_on.recv_timeout(PATIENCE)?;
                }
                short if short.len() < 10 => tell.send(String::from_utf8(short.into())?)?,
                _ => {}
            }
            Ok::<(), Error>(())
        },
    );
    // What is written to a Unix socket is there at once, and in that order.
    let [mut busy, mut other, mut third] = array::from_fn(|_| {
        let mut stream = UnixStream::connect(&path).unwrap();
        let extensions = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        stream.write_all(&[REQUEST.strip_suffix(b"\r\n").unwrap(), extensions].concat()).unwrap();
        skip_head(&mut stream);
        stream
    });
    third.write_all(&text("wait")).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    busy.write_all(&[work, &text("busy")].concat()).unwrap();
    other.write_all(&text("other")).unwrap();
    go_on.send(()).unwrap();
    let heard = array::from_fn(|_| told.recv_timeout(PATIENCE).unwrap());
    server.stop();
    heard
}

#[test]
fn pings() {
    let pings = b"\x89\x80\0\0\0\0".repeat(5000);
    assert_eq!(heard("pings", Server::builder(), &pings), ["other", "busy"]);
}

/// Ten kilobytes each that inflate to a megabyte.
#[test]
#[cfg(feature = "deflate")]
fn compressed_messages() {
    use sockless_mio::Config;
    use sockless_mio::sockless::bytes::Buf;
    use sockless_mio::sockless::{Connection, Deflate, DeflateParams, Role, Seed};
    let mut config = Config::default();
    config.deflate = Some(Deflate::default());
    let params = DeflateParams { window_bits: 12, peer_window_bits: 12, takeover: false, peer_takeover: false };
    let mut client = Connection::open(Role::Client, params.into(), config.clone(), Seed::new([0; 16]));
    client.send_binary(&vec![0; 1 << 20]).unwrap();
    let mut outbound = client.outbound();
    let bomb = outbound.copy_to_bytes(outbound.remaining());
    assert_eq!(heard("compressed", Server::builder().config(config), &bomb.repeat(10)), ["other", "busy"]);
}
