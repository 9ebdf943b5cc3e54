//! With tungstenite at the other end.

use crate::common::{bytes, echo, within};
use sockless_std::{accept, connect};
use std::net::TcpListener;
use std::thread;
use tungstenite::Message;

#[test]
fn its_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = thread::spawn(move || echo(accept(listener.accept().unwrap().0).unwrap()));
    let (mut client, _) = within("a connection", || tungstenite::connect(&url)).unwrap();
    let messages = [
        Message::text("text"),
        Message::binary(vec![]),
        Message::binary(bytes(70_000)),
        Message::binary(bytes(1 << 20)),
    ];
    for message in messages {
        client.send(message.clone()).unwrap();
        assert_eq!(within("an echo", || client.read()).unwrap(), message);
    }
    client.send(Message::Ping(b"ping".to_vec().into())).unwrap();
    assert_eq!(within("a pong", || client.read()).unwrap(), Message::Pong(b"ping".to_vec().into()));
    client.close(None).unwrap();
    while within("the end", || client.read()).is_ok() {}
    within("its end", || serving.join()).unwrap().unwrap();
}

#[test]
fn its_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let mut server = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        while let Ok(message) = server.read() {
            if message.is_text() || message.is_binary() {
                server.send(message).unwrap();
            }
        }
    });
    let mut client = within("a connection", || connect(&url)).unwrap();
    for len in [0, 200, 70_000, 1 << 20] {
        client.send(&bytes(len)[..]).unwrap();
        assert_eq!(within("an echo", || client.recv()).unwrap().unwrap().as_bytes(), bytes(len));
    }
    client.ping(b"ping").unwrap();
    let pong = within("a pong", || client.recv_event()).unwrap();
    assert!(matches!(pong, Some(sockless_std::Event::Pong(payload)) if &*payload == b"ping"));
    within("the end", || client.close(1000, "")).unwrap();
    within("its end", || serving.join()).unwrap();
}
