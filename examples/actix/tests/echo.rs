//! A client beside actix-web's server: messages, refusals, and the end.

use actix_web::{App, HttpRequest, HttpServer, web};
use sockless::{Config, Limits};
use sockless_actix_example::upgrade;
use sockless_tokio::{ConnectError, Error, connect};

async fn echo(request: HttpRequest, payload: web::Payload) -> actix_web::HttpResponse {
    let limits = Limits { message: 1 << 20, ..Limits::default() };
    upgrade(&request, payload, Config { limits, ..Config::default() }, async |socket| {
        while let Some(message) = socket.recv().await? {
            match message.as_text() {
                Some("enough") => return Ok(()),
                Some("fail") => return Err(Error::TimedOut),
                _ => socket.send(message).await?,
            }
        }
        Ok(())
    })
}

#[actix_web::test]
async fn a_server_of_actix_web_echoes_and_says_how_it_ends() {
    let server =
        HttpServer::new(|| App::new().route("/echo", web::get().to(echo)).route("/", web::get().to(async || "a page")));
    let server = server.workers(1).bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", server.addrs()[0]);
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    for (last, code) in [("enough", 1000), ("fail", 1011)] {
        let mut socket = connect(&format!("{url}/echo")).await.unwrap();
        for message in ["hello".to_owned(), "x".repeat(1 << 20), String::new()] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.recv().await.unwrap(), Some(message.into()));
        }
        socket.send(last).await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), None);
        assert_eq!(socket.peer_close().map(|close| u16::from(close.code)), Some(code));
    }
    let mut socket = connect(&format!("{url}/echo")).await.unwrap();
    socket.send("hello").await.unwrap();
    socket.close(1000, "").await.unwrap();
    match connect(&url).await {
        Err(ConnectError::Rejected(response)) => {
            assert_eq!((response.status(), response.body()), (200, &b"a page"[..]))
        }
        other => panic!("{other:?}"),
    }
    let client = sockless_tokio::Client::new(&format!("{url}/echo")).header("Origin", "http://evil.example");
    match client.connect().await {
        Err(ConnectError::Rejected(response)) => assert_eq!(response.status(), 403),
        other => panic!("{other:?}"),
    }
    handle.stop(false).await;
}
