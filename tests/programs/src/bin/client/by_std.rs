//! By threads: one sends what is typed, one prints what comes.

use super::{Arguments, Failure, judge, print, tell_subprotocol};
use sockless_std::{Client, Error, Event, Message, NetStream, Proxy, Receiver, Tls};
use std::{io, thread};

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut client = Client::new(&arguments.url).config(arguments.config());
    for name in &arguments.subprotocol {
        client = client.subprotocol(name);
    }
    if let Some(proxy) = &arguments.proxy {
        client = client.proxy(Proxy::new(proxy)?);
    }
    if arguments.proxy_from_env {
        client = client.proxy(Proxy::from_env()?);
    }
    if let Some(file) = &arguments.root {
        client = client.tls(Tls::trusting(file)?);
    }
    match arguments {
        Arguments { http2: true, .. } => Err(Failure::new(2, "sockless-std has no HTTP/2")),
        Arguments { autobahn: true, .. } => autobahn(&client, arguments),
        Arguments { echo: true, .. } => echo(&client),
        _ => talk(&client, arguments),
    }
}

fn talk(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let (socket, response) = client.connect().map_err(Failure::connecting)?;
    tell_subprotocol(&response);
    let (sender, receiver) = socket.split()?;
    let printing = thread::spawn(move || print_all(receiver));
    if arguments.ping {
        sender.ping(b"client")?;
    }
    for line in io::stdin().lines() {
        sender.send(arguments.message(line?))?;
    }
    sender.close(1000, "")?;
    printing.join().expect("it does not panic")
}

fn print_all(mut receiver: Receiver<NetStream>) -> Result<(), Failure> {
    while let Some(event) = receiver.recv_event()? {
        match event {
            Event::Text(text) => print(Some(&text), b""),
            Event::Binary(bytes) => print(None, &bytes),
            Event::Pong(payload) if *payload == *b"client" => eprintln!("client: pong"),
            _ => {}
        }
    }
    judge(receiver.peer_close().as_ref())
}

fn echo(client: &Client) -> Result<(), Failure> {
    let (mut socket, _) = client.connect().map_err(Failure::connecting)?;
    socket.recv_each::<Error>(|message, replies| replies.feed(message))?;
    judge(socket.peer_close())
}

fn autobahn(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let count = client.clone().url(&arguments.count_url()).connect().map_err(Failure::connecting)?.0.recv()?;
    for url in arguments.cases(count.as_ref().and_then(Message::as_text))? {
        echo(&client.clone().url(&url)).unwrap_or_else(|failure| eprintln!("{url}: {}", failure.message));
    }
    Ok(())
}
