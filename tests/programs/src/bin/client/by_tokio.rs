//! By one task, which waits for what is typed and for what comes.

use super::{Arguments, Failure, judge, print, tell_subprotocol};
use sockless_tokio::{Client, ConnectError, Error, Event, Message, NetStream, Proxy, Tls, WebSocket};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
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
    if arguments.http2 {
        client = client.http2_only();
    }
    match arguments {
        Arguments { autobahn: true, .. } => autobahn(&client, arguments).await,
        Arguments { echo: true, .. } => echo(&client).await,
        _ => talk(&client, arguments).await,
    }
}

fn refused(error: ConnectError) -> Failure {
    match error {
        ConnectError::Request(_) => Failure::new(2, error),
        error => Failure::connecting(error),
    }
}

async fn talk(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let (mut socket, response) = client.connect().await.map_err(refused)?;
    tell_subprotocol(&response);
    if arguments.ping {
        socket.ping(b"client").await?;
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut typing = true;
    loop {
        let event = tokio::select! {
            event = socket.recv_event() => event?,
            line = lines.next_line(), if typing => {
                typing = say(&mut socket, line?, arguments).await?;
                continue;
            }
        };
        match event {
            None => return judge(socket.peer_close()),
            Some(Event::Message(message)) => print(message.as_text(), message.as_bytes()),
            Some(Event::Pong(payload)) if *payload == *b"client" => eprintln!("client: pong"),
            Some(_) => {}
        }
    }
}

/// Whether there is more to say.
async fn say(socket: &mut WebSocket<NetStream>, line: Option<String>, arguments: &Arguments) -> Result<bool, Error> {
    match line {
        Some(line) => socket.send(arguments.message(line)).await.map(|()| true),
        None => socket.start_close(1000, "").map(|()| false),
    }
}

async fn echo(client: &Client) -> Result<(), Failure> {
    let (mut socket, _) = client.connect().await.map_err(refused)?;
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    judge(socket.peer_close())
}

async fn autobahn(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let count = client.clone().url(&arguments.count_url()).connect().await.map_err(refused)?.0.recv().await?;
    for url in arguments.cases(count.as_ref().and_then(Message::as_text))? {
        let ended = echo(&client.clone().url(&url)).await;
        ended.unwrap_or_else(|failure| eprintln!("{url}: {}", failure.message));
    }
    Ok(())
}
