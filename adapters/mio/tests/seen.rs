//! What is seen from outside: what a server's log and its numbers say of a day's connections, and that no secret is in them.

#[allow(dead_code)] // It uses a part.
#[path = "all/common/mod.rs"]
mod common;

use common::{PATIENCE, client, dial, start, text};
use metrics_exporter_prometheus::PrometheusBuilder;
use sockless_mio::{Answer, Closed, Code, Config, Conn, Error, Handler, Message, Prepared, Reject, Request, Server};
use sockless_test_support::{Level, Log, eventually};
use std::io::{Read, Write};

struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_request(&self, _: &mut Conn<'_>, request: &Request<'_>) -> Answer {
        match request.path() {
            "/forbidden" => Reject::new(403).into(),
            "/page" => Reject::page("text/html", "secret").into(),
            _ => request.accept().into(),
        }
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        match message.as_text() {
            Some("fail") => Err("it failed".into()),
            Some("panic") => panic!("as it was asked to"),
            Some("others") => {
                conn.broadcast(&Prepared::text("secret for all"));
                Ok(())
            }
            _ => conn.send(message).map(drop).map_err(Into::into),
        }
    }

    fn on_close(&self, _: &mut Conn<'_>, _: Closed) {}
}

#[test]
fn a_server_tells_and_counts_and_keeps_secrets() {
    let log = Log::new(Level::TRACE);
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let numbers = PrometheusBuilder::new().install_recorder().unwrap();
    let mut config = Config::default();
    config.limits.message = 1000;
    let started = start(Server::builder().listen("127.0.0.1:0").workers(1).config(config), Echo);
    let address = started.address();

    // One that says secrets everywhere.
    let url = format!("ws://{address}/chat?token=secret");
    let builder = sockless_mio::Client::builder(&url)
        .header("Authorization", "Bearer secret")
        .header("Cookie", "session=secret")
        .timeout(PATIENCE);
    let mut socket = client(|| builder.connect()).unwrap();
    socket.send_text("secret").unwrap();
    assert_eq!(socket.receive().unwrap(), Some(text("secret")));
    socket.send_binary(b"secret").unwrap();
    assert_eq!(socket.receive().unwrap(), Some(Message::from(&b"secret"[..])));
    // And hears one from another.
    let mut other = client(|| sockless_mio::Client::connect(&format!("ws://{address}/other"))).unwrap();
    other.send_text("others").unwrap();
    assert_eq!(socket.receive().unwrap(), Some(text("secret for all")));
    other.close(Code::NORMAL, "").unwrap();
    socket.close(Code::new(4321), "secret").unwrap();
    // One that says too much, and two whose handlers fail.
    for said in ["x".repeat(1001), "fail".to_owned(), "panic".to_owned()] {
        let mut socket = client(|| sockless_mio::Client::connect(&format!("ws://{address}/"))).unwrap();
        socket.send_text(&said).unwrap();
        while let Ok(Some(_)) = socket.receive() {}
    }
    // Some that do not open.
    for path in ["forbidden", "page"] {
        assert!(client(|| sockless_mio::Client::connect(&format!("ws://{address}/{path}"))).is_err());
    }
    let mut stream = dial(address);
    stream.write_all(b"secret\r\n\r\n").unwrap();
    stream.read_to_end(&mut vec![]).unwrap();
    drop(stream);
    // What the server has still to do when a client knows the end.
    started.eventually("their ends", |stats| stats.connections == 0);
    started.stop();
    let mut lines = Vec::new();
    eventually("all is told", || {
        lines.extend(log.take());
        lines.iter().filter(|line| line.contains("closed role=Server")).count() == 5
    });

    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
    for wanted in [
        "record id=0.0.0",
        "record path=\"/chat\"",
        "DEBUG open role=Server",
        "TRACE frame received opcode=Text fin=true len=6",
        "DEBUG closed role=Server code=1000 cause=\"closing\"",
        "DEBUG closed role=Server code=4321 cause=\"closing\"",
        "DEBUG closed role=Server code=1009 cause=\"limit\" error=message of 1001 bytes or more, longer than the limit of 1000",
        "DEBUG closed role=Server code=1011 cause=\"closing\"",
        "DEBUG refused reason=\"status\" status=403",
        "INFO handler failed error=it failed",
        "INFO handler panicked",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} in {lines:#?}");
    }
    // All of it is told within a span.
    let mut depth = 0;
    for line in &lines {
        match line.as_str() {
            "enter" => depth += 1,
            "exit" => depth -= 1,
            line => {
                let of_server = line.contains("role=Server") || line == "TRACE frame sent opcode=Text fin=true len=14";
                assert!(depth > 0 || !of_server, "{line} in {lines:#?}");
            }
        }
    }

    let rendered = numbers.render();
    let counted: Vec<_> = rendered.lines().collect();
    for wanted in [
        "sockless_connections{role=\"server\"} 0",
        "sockless_opened_total{role=\"server\"} 5",
        "sockless_closed_total{role=\"server\",code=\"1000\",cause=\"closing\"} 1",
        "sockless_closed_total{role=\"server\",code=\"4xxx\",cause=\"closing\"} 1",
        "sockless_closed_total{role=\"server\",code=\"1009\",cause=\"limit\"} 1",
        "sockless_refused_total{reason=\"status\"} 1",
        "sockless_refused_total{reason=\"handshake\"} 1",
        "sockless_handler_failures_total 2",
        // Both ends count here: what one sends, the other receives.
        "sockless_messages_sent_total{kind=\"binary\"} 2",
        "sockless_messages_received_total{kind=\"binary\"} 2",
        // Of the one that panicked there is no end to measure.
        "sockless_handler_seconds_count 4",
    ] {
        assert!(counted.contains(&wanted), "{wanted} in {rendered}");
    }
    assert!(!rendered.contains("secret"));
}
