//! Extensions of a program's own, through clients and servers.

use crate::common::*;
use sockless_tokio::sockless::Config;
use sockless_tokio::sockless::extensions::{
    Decode, Encode, Extension, Extensions, Output, Params, Part, Refused, Stage,
};
use sockless_tokio::{Client, Error, Message, accept_with};
use tokio::io::duplex;

/// Turns every bit, both ways, and lets nothing through that is the letter x alone.
#[derive(Debug)]
struct Inverted;

impl Extension for Inverted {
    fn name(&self) -> &str {
        "x-inverted"
    }

    fn accept(&self, _: &Params) -> Option<(Params, Stage)> {
        Some((Params::new(), Stage::new(Inverted, Inverted)))
    }

    fn agree(&self, _: &Params) -> Option<Stage> {
        Some(Stage::new(Inverted, Inverted))
    }
}

fn invert(part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
    out.extend(part.bytes.iter().map(|byte| !byte))
}

impl Encode for Inverted {
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
        invert(part, out).map(|()| 0)
    }
}

impl Decode for Inverted {
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
        if part.bytes == [!b'x'] { Err(Refused::new(4000)) } else { invert(part, out) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_send_much_through_their_stages() {
    const MESSAGES: usize = 20;
    let config = Config { extensions: Extensions::new([Inverted]), ..Config::default() };
    let (near, far) = duplex(1000);
    let serving = config.clone();
    let accepting =
        tokio::spawn(async move { accept_with(far, serving, |request| Ok(request.accept())).await.unwrap() });
    let (client, response) = Client::new("ws://localhost/").config(config).connect_over(near).soon().await.unwrap();
    assert_eq!(response.header("sec-websocket-extensions"), Some(&b"x-inverted"[..]));
    let server = accepting.soon().await.unwrap();
    let message = Message::text("a text with €, ".repeat(5000));
    let both = [client, server].map(|socket| {
        let message = message.clone();
        tokio::spawn(async move {
            let (sender, mut receiver) = socket.split();
            let sent = message.clone();
            let sending = tokio::spawn(async move {
                for _ in 0..MESSAGES {
                    sender.send(sent.clone()).await.unwrap();
                }
                sender
            });
            for _ in 0..MESSAGES {
                assert_eq!(receiver.recv().soon().await.unwrap(), Some(message.clone()));
            }
            (sending.await.unwrap(), receiver)
        })
    });
    let [client, server] = both;
    let (client, mut told) = client.soon().await.unwrap();
    let (_server, mut server) = server.soon().await.unwrap();
    client.send("x").soon().await.unwrap();
    let (refused, told) = tokio::join!(server.recv().soon(), told.recv().soon());
    assert_eq!(told.unwrap(), None, "a close");
    assert!(matches!(&refused, Err(Error::Protocol(error)) if error.close_code() == Some(4000.into())), "{refused:?}");
}

#[cfg(all(feature = "axum", feature = "deflate", feature = "http2"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_and_http2_have_stages_behind_compression() {
    use crate::common::http2::Counted;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::service::TowerToHyperService;

    let config = || Config {
        extensions: Extensions::new([Inverted]),
        deflate: Some(sockless_tokio::sockless::Deflate::default()),
        ..Config::default()
    };
    let service = move || {
        let echo = move |upgrade: sockless_tokio::WebSocketUpgrade| async move {
            upgrade.config(config()).on_upgrade(|mut socket| async move {
                while let Some(message) = socket.recv().await? {
                    socket.send(message).await?;
                }
                Ok::<_, Error>(())
            })
        };
        TowerToHyperService::new(axum::Router::new().route("/", axum::routing::any(echo)))
    };
    let http1 = Counted::serve(move |stream| async move {
        let builder = hyper::server::conn::http1::Builder::new();
        _ = builder.serve_connection(TokioIo::new(stream), service()).with_upgrades().await;
    });
    let http2 = Counted::serve(move |stream| async move {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        _ = builder.enable_connect_protocol().serve_connection(TokioIo::new(stream), service()).await;
    });
    let (http1, http2) = tokio::join!(http1, http2);
    for (status, client) in [(101, Client::new(&http1.url("/"))), (200, Client::new(&http2.url("/")).http2_only())] {
        let (mut socket, response) = client.config(config()).connect().soon().await.unwrap();
        assert_eq!(response.status(), status);
        let agreed: Vec<_> = response.extensions().map(|extension| extension.unwrap().name().to_owned()).collect();
        assert_eq!(agreed, ["permessage-deflate", "x-inverted"]);
        let message = Message::text("a text with €, ".repeat(500));
        socket.send(message.clone()).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some(message));
        socket.send("x").soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), None);
        assert_eq!(socket.peer_close().unwrap().code, 4000.into());
    }
}
