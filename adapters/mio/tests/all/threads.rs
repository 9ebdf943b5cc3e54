//! `Handle`: what other threads do with connections.

use crate::common;
use crate::common::{eventually, raw, start, text, within};
use sockless_mio::sockless::bytes::Bytes;
use sockless_mio::{Closed, Code, Conn, Error, Handle, Handler, Id, Kind, Message, Prepared, SendError, Sent, Server};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

/// Tells who has come, and answers with what the other threads made of its state.
struct Desk {
    came: Mutex<Sender<Id>>,
}

impl Handler for Desk {
    type State = usize;

    fn on_open(&self, conn: &mut Conn<'_, usize>) {
        self.came.lock().unwrap().send(conn.id()).unwrap();
    }

    fn on_message(&self, conn: &mut Conn<'_, usize>, _: Message<'_>) -> Result<(), Error> {
        let state = conn.state().to_string();
        conn.send_text(&state)?;
        Ok(())
    }
}

/// Has something run behind each end, and tells what became of that: what a task made of a message, or that it was dropped.
struct Behind {
    handle: Arc<OnceLock<Handle<()>>>,
    told: Mutex<Sender<(Id, Became)>>,
}

type Became = Receiver<Result<Sent, SendError>>;

impl Handler for Behind {
    type State = ();

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn on_close(&self, conn: &mut Conn<'_>, _: Closed) {
        let (told, became) = channel();
        let task = move |conn: &mut Conn<'_>| told.send(conn.send_text("too late")).unwrap();
        self.handle.get().unwrap().run(conn.id(), task).unwrap();
        self.told.lock().unwrap().send((conn.id(), became)).unwrap();
    }
}

#[test]
fn a_task_behind_the_end_is_called_until_the_socket_is_closed() {
    let (told, ends) = channel();
    let handle = Arc::new(OnceLock::new());
    let behind = Behind { handle: handle.clone(), told: Mutex::new(told) };
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), behind);
    handle.set(server.handle().clone()).ok().unwrap();

    // A frame without a mask: its peer has been told, and is waited for.
    let mut lingers = raw(server.address());
    lingers.write_all(b"\x81\x02hi").unwrap();
    let (id, became) = ends.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(became.recv_timeout(common::PATIENCE), Ok(Err(SendError::Closing)));
    let mut rest = Vec::new();
    lingers.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xea");
    let (called, calls) = channel();
    server.handle().run(id, move |conn| called.send(conn.id()).unwrap()).unwrap();
    assert_eq!(calls.recv_timeout(common::PATIENCE), Ok(id));
    drop(lingers);
    eventually("it is gone", || server.handle().queued(id).is_none());
    assert_eq!(server.handle().run(id, |_| ()), Err(SendError::Closing));

    // Both have said goodbye, and the socket is closed in the turn that says so.
    let mut client = server.connect();
    client.close(Code::NORMAL, "").unwrap();
    let (_, became) = ends.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(became.recv_timeout(common::PATIENCE), Err(RecvTimeoutError::Disconnected));
    server.stop();
}

fn run(pool: bool) {
    let (came, comes) = channel();
    let builder = Server::builder().listen("127.0.0.1:0").workers(2);
    let server = start(if pool { builder.pool(2, 16) } else { builder }, Desk { came: Mutex::new(came) });
    // One at a time: of several, the first to be connected need not be the first to be told.
    let join = || (server.connect(), comes.recv_timeout(common::PATIENCE).unwrap());
    let (mut one, id) = join();
    let (mut others, ids): (Vec<_>, Vec<_>) = (0..9).map(|_| join()).unzip();
    assert!(!ids.contains(&id));
    let handle = server.handle().clone();
    eventually("all are counted", || handle.count() == 10);

    // All from other threads, in the order of the calls of each.
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let handle = handle.clone();
            thread::spawn(move || {
                for message in 0..100 {
                    assert_eq!(handle.send_text(id, &format!("{number} {message}")), Ok(Sent::Now));
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..400 {
        let message = one.receive().unwrap().unwrap();
        let message = String::from_utf8(message.as_bytes().to_vec()).unwrap();
        let (number, count) = message.split_once(' ').unwrap();
        let number: usize = number.parse().unwrap();
        assert_eq!(count, next[number].to_string());
        next[number] += 1;
    }
    threads.into_iter().for_each(|thread| within("a thread", || thread.join()).unwrap());

    assert_eq!(handle.send_binary(id, b"bytes"), Ok(Sent::Now));
    assert_eq!(handle.send_shared(id, Kind::Binary, Bytes::from(vec![7; 100_000])), Ok(Sent::Now));
    assert_eq!(handle.send_shared(id, Kind::Text, Bytes::from_static(b"\xFF")), Err(SendError::InvalidUtf8));
    assert_eq!(handle.send_prepared(id, &Prepared::text("prepared")), Ok(Sent::Now));
    assert_eq!(one.receive().unwrap(), Some(Message::Binary(b"bytes".to_vec().into())));
    assert_eq!(one.receive().unwrap(), Some(Message::Binary(vec![7; 100_000].into())));
    assert_eq!(one.receive().unwrap(), Some(text("prepared")));

    // A call for one, and for each.
    handle.run(id, |conn| *conn.state_mut() += 41).unwrap();
    let (count, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counts, finishes) = (count.clone(), finished.clone());
    let task = move |conn: &mut Conn<'_, usize>| {
        *conn.state_mut() += 1;
        counts.fetch_add(1, Ordering::SeqCst);
    };
    let of_count = count.clone();
    handle.each(task, move || finishes.store(of_count.load(Ordering::SeqCst), Ordering::SeqCst)).unwrap();
    eventually("finished behind the last", || finished.load(Ordering::SeqCst) == 10);
    one.send_text("state?").unwrap();
    assert_eq!(one.receive().unwrap(), Some(text("42")));
    for other in &mut others {
        other.send_text("state?").unwrap();
        assert_eq!(other.receive().unwrap(), Some(text("1")));
    }

    // The end, from outside.
    assert_eq!(handle.close(id, Code::from(999), ""), Err(SendError::CloseCode(999)));
    handle.close(id, Code::from(4002), "enough").unwrap();
    assert_eq!(one.receive().unwrap(), None);
    assert_eq!(one.closed().map(|close| (u16::from(close.code), &*close.reason)), Some((4002, "enough")));
    drop(one);
    handle.abort(ids[0], Code::POLICY).unwrap();
    assert_eq!(others[0].receive().unwrap(), None);
    drop(others.remove(0));
    eventually("gone", || handle.queued(id).is_none() && handle.queued(ids[0]).is_none());
    assert_eq!(handle.send_text(id, "anyone?"), Err(SendError::Closing));

    // Whoever has its place is another.
    let again: Vec<_> = (0..10).map(|_| server.connect()).collect();
    let new: Vec<_> = (0..10).map(|_| comes.recv_timeout(common::PATIENCE).unwrap()).collect();
    assert!(!new.contains(&id) && !new.contains(&ids[0]));
    assert_eq!(handle.send_text(id, "anyone?"), Err(SendError::Closing));
    drop(again);
    server.stop();
    assert_eq!(handle.send_text(ids[1], "anyone?"), Err(SendError::Closing));
}

#[test]
fn on_the_loop() {
    run(false);
}

#[test]
fn in_the_pool() {
    run(true);
}
