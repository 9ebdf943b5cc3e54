//! An echo over TCP, by a handler that is a closure: every kind of message, of every size, and the end of it.

use crate::common::{eventually, start, text, within};
use sockless_mio::{Client, Code, Conn, Kind, Message, Server};
use std::time::Duration;

fn echo(conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), sockless_mio::Error> {
    conn.send(message)?;
    Ok(())
}

#[test]
fn messages_come_back() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(2), echo);
    let mut client = server.connect();
    for message in ["grüße", "", "x"] {
        client.send_text(message).unwrap();
        assert_eq!(client.receive().unwrap(), Some(text(message)));
    }
    // Around the lengths where headers, buffers and direct reads change.
    for len in [0, 1, 125, 126, 65_535, 65_536, 262_130, 262_144, 262_160, 1 << 20] {
        let bytes: Vec<u8> = (0..len).map(|i| ((i * 31) >> 3) as u8).collect();
        client.send_binary(&bytes).unwrap();
        assert_eq!(client.receive().unwrap(), Some(Message::Binary(bytes.into())), "{len} bytes");
    }
    client.send_fragment(Kind::Text, b"frag", false).unwrap();
    client.send_fragment(Kind::Text, b"ments", true).unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("fragments")));
    client.ping(b"hello?").unwrap();
    assert_eq!(client.receive_pong(Duration::from_secs(10)).unwrap(), b"hello?");
    let close = client.close(Code::from(4000), "done").unwrap();
    assert_eq!((close.code, &*close.reason), (Code::from(4000), ""));
    server.stop();
}

#[test]
fn many_at_once_and_pipelined() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(2), echo);
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        for message in 0..200 {
            client.send_text(&format!("{number}:{message}")).unwrap();
        }
    }
    for (number, client) in clients.iter_mut().enumerate() {
        for message in 0..200 {
            assert_eq!(client.receive().unwrap(), Some(text(&format!("{number}:{message}"))));
        }
    }
    server.eventually("all are counted", |stats| stats.messages_received == 10_000 && stats.messages_sent == 10_000);
    let stats = server.handle().stats();
    assert_eq!((server.handle().count(), stats.connections), (50, 50));
    assert_eq!((stats.accepted, stats.opened, stats.refused, stats.dropped), (50, 50, 0, 0));
    drop(clients);
    server.eventually("all are gone", |stats| stats.connections == 0 && stats.open == 0);
    server.stop();
}

#[test]
fn a_client_reads_in_a_thread_of_its_own() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), echo);
    let mut client = server.connect();
    for number in 0..5 {
        client.send_text(&number.to_string()).unwrap();
    }
    let reader = std::thread::spawn(move || {
        let mut heard = Vec::new();
        let until = |client: &mut Client, message: Message<'_>| {
            heard.push(message.into_owned());
            match heard.len() {
                5 => client.send_text("last").is_ok(),
                count => count < 6,
            }
        };
        client.read_loop(until).unwrap();
        heard
    });
    let heard = ["0", "1", "2", "3", "4", "last"].map(text);
    assert_eq!(within("all answers", || reader.join()).unwrap(), heard);
    server.stop();
}

#[test]
#[cfg(target_os = "linux")]
fn servers_share_a_port() {
    // As processes do, each of which has a queue of its own.
    let one = start(Server::builder().listen("127.0.0.1:0").workers(1), echo);
    let other = start(Server::builder().listen(one.address()).workers(1), echo);
    let mut clients = Vec::new();
    eventually("both are connected to", || {
        clients.push(one.connect());
        one.handle().count() > 0 && other.handle().count() > 0
    });
    for mut client in clients {
        client.send_text("both").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("both")));
    }
    one.stop();
    other.stop();
}

#[test]
fn a_large_message_in_fragments_and_in_bytes() {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), echo);
    let mut client = server.connect();
    let part = vec![b'a'; 100_000];
    for last in [false, false, true] {
        client.send_fragment(Kind::Binary, &part, last).unwrap();
    }
    assert_eq!(client.receive().unwrap(), Some(Message::Binary(vec![b'a'; 300_000].into())));
    server.stop();
}
