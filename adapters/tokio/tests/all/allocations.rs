//! What echoes take of the heap, with the default configuration, once traffic is steady.

use crate::common;
use crate::common::heap;
use sockless_tokio::sockless::{Config, Role};
use sockless_tokio::{Error, WebSocket};
use std::io::{Read, Write};
use std::net::TcpListener;
use tokio::net::TcpStream;

/// Messages before traffic counts as steady, and those that are looked at.
const BEFORE: usize = 200;
const STEADY: usize = 1000;

/// Allocations of the task while it serves so many messages of `len` bytes; it calls the mark for each.
fn allocations(
    len: usize,
    serve: impl AsyncFnOnce(WebSocket<TcpStream>, &mut dyn FnMut()) -> Result<(), Error>,
) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    let peer = std::thread::spawn(move || {
        client.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        let header = |mask: u8| match len {
            0..126 => vec![0x82, mask | len as u8],
            _ => [&[0x82, mask | 126][..], &(len as u16).to_be_bytes()].concat(),
        };
        let frame = [header(0x80), vec![0; 4], vec![7; len]].concat();
        let mut echoed = vec![0; header(0).len() + len];
        for _ in 0..BEFORE + STEADY {
            client.write_all(&frame).unwrap();
            client.read_exact(&mut echoed).unwrap();
        }
        client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
        client.read_to_end(&mut echoed).unwrap();
    });
    let (mut count, mut marks) = (0, [0; 2]);
    let mut mark = || {
        count += 1;
        match count {
            BEFORE => marks[0] = heap::so_far().calls,
            n if n == BEFORE + STEADY => marks[1] = heap::so_far().calls,
            _ => {}
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = common::open(TcpStream::from_std(server).unwrap(), Role::Server, Config::default());
        serve(socket, &mut mark).await.unwrap();
    });
    peer.join().unwrap();
    marks[1] - marks[0]
}

#[test]
fn messages_that_come_whole_and_are_lent_take_nothing() {
    for len in [0, 16, 1000, 4000] {
        let calls = allocations(len, async |mut socket, mark| {
            socket
                .recv_each(|message, replies| {
                    mark();
                    replies.feed(message)
                })
                .await
        });
        assert_eq!(calls, 0, "{calls} allocations for {STEADY} echoes of {len} bytes");
    }
}

#[test]
fn messages_that_are_owned_take_their_own_buffer() {
    for len in [0, 16, 1000, 4000] {
        let calls = allocations(len, async |mut socket, mark| {
            while let Some(message) = socket.recv().await? {
                mark();
                socket.send(message).await?;
            }
            Ok(())
        });
        assert!(calls <= STEADY, "{calls} allocations for {STEADY} echoes of {len} bytes");
    }
}
