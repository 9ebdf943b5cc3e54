//! What echoes take of the heap, with the default configuration, once traffic is steady.

use crate::common::heap;
use crate::common::{raw, start};
use sockless_mio::sockless::Sender;
use sockless_mio::{Conn, Error, Handler, Message, Server};
use std::io::{Read, Write};
use std::sync::Mutex;

/// Messages before traffic counts as steady, and those that are looked at.
const BEFORE: usize = 200;
const STEADY: usize = 1000;

/// Echoes, and notes what the thread of the loop had asked of the heap by then.
#[derive(Default)]
struct Echo(Mutex<[usize; 2]>);

impl Handler for &'static Echo {
    type State = usize;

    fn on_message(&self, conn: &mut Conn<'_, usize>, message: Message<'_>) -> Result<(), Error> {
        *conn.state_mut() += 1;
        match *conn.state() {
            BEFORE => self.0.lock().unwrap()[0] = heap::so_far().calls,
            n if n == BEFORE + STEADY => self.0.lock().unwrap()[1] = heap::so_far().calls,
            _ => {}
        }
        conn.send(message)?;
        Ok(())
    }
}

/// Allocations of the loop while so many messages of `len` bytes are echoed.
fn allocations(len: usize) -> usize {
    let echo: &'static Echo = Box::leak(Box::default());
    let server = start(Server::builder().workers(1).listen("127.0.0.1:0"), echo);
    let mut stream = raw(server.address());
    let header = |mask: u8| match len {
        0..126 => vec![0x82, mask | len as u8],
        126..65_536 => [&[0x82, mask | 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[0x82, mask | 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    let frame = [header(0x80), vec![0; 4], vec![7; len]].concat();
    let mut echoed = vec![0; header(0).len() + len];
    for _ in 0..BEFORE + STEADY {
        stream.write_all(&frame).unwrap();
        stream.read_exact(&mut echoed).unwrap();
    }
    server.stop();
    let [before, behind] = *echo.0.lock().unwrap();
    behind - before
}

#[test]
fn messages_that_come_whole_take_nothing() {
    for len in [0, 16, 1000, 4000] {
        let calls = allocations(len);
        assert_eq!(calls, 0, "{calls} allocations for {STEADY} echoes of {len} bytes");
    }
}

/// Answers a number with so many bytes of its own, and notes what became of them: whether they were let go at once.
#[derive(Default)]
struct Own(Mutex<Vec<bool>>);

impl Handler for &'static Own {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        let bytes = vec![7; message.as_text().unwrap_or_default().parse()?];
        let (sent, used) = heap::used(|| conn.send(bytes));
        self.0.lock().unwrap().push(used.held < 0);
        sent?;
        Ok(())
    }
}

#[test]
fn a_message_of_ones_own_is_copied_only_where_that_takes_less_time() {
    let own: &'static Own = Box::leak(Box::default());
    let server = start(Server::builder().workers(1).listen("127.0.0.1:0"), own);
    let mut client = server.connect();
    // The first makes the room for those behind it.
    for len in [Sender::LEAST_SHARED - 1, 100, Sender::LEAST_SHARED - 1, Sender::LEAST_SHARED, 100_000] {
        client.send_text(&len.to_string()).unwrap();
        assert_eq!(client.receive().unwrap(), Some(Message::Binary(vec![7; len].into())));
    }
    server.stop();
    assert_eq!(own.0.lock().unwrap()[1..], [true, true, false, false]);
}
