//! What is seen from outside: what a server's log and its numbers say of a day's connections, and that no secret is in them.

use metrics_exporter_prometheus::PrometheusBuilder;
use sockless_test_support::{Level, Log, Soon};
use sockless_tokio::sockless::Config;
use sockless_tokio::{Client, Error, Message, Reject, Server, connect};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The lines of what is counted, sorted, without comments and without what depends on time.
fn counted(rendered: &str) -> Vec<&str> {
    let mut lines: Vec<_> = rendered.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    lines.retain(|line| !line.starts_with("sockless_handler_seconds") || line.contains("_count"));
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn a_server_tells_and_counts_and_keeps_secrets() {
    let log = Log::new(Level::TRACE);
    let _default = tracing::subscriber::set_default(log.clone());
    let numbers = PrometheusBuilder::new().install_recorder().unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = Config::default();
    config.limits.message = 1000;
    let server = Server::new().config(config).answer(async |request, _| match request.path() {
        "/forbidden" => Err(Reject::new(403)),
        "/page" => Err(Reject::page("text/html", "secret")),
        _ => Ok((request.accept(), ())),
    });
    tokio::spawn(server.serve(listener, |mut socket, _, _| async move {
        while let Some(message) = socket.recv().await? {
            if message.as_text() == Some("fail") {
                return Err(Error::Refused(599)); // any error
            }
            socket.send(message).await?;
        }
        Ok::<_, Error>(())
    }));

    // One that says secrets everywhere.
    let url = format!("ws://{address}/chat?token=secret");
    let client = Client::new(&url).header("Authorization", "Bearer secret").header("Cookie", "session=secret");
    let (mut socket, _) = client.subprotocol("secret").connect().soon().await.unwrap();
    socket.send("secret").soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("secret".into()));
    socket.send(Message::from(&b"secret"[..])).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some(Message::from(&b"secret"[..])));
    socket.ping(b"secret").soon().await.unwrap();
    socket.close(4321, "secret").soon().await.unwrap();
    // One that says too much.
    let mut socket = connect(&format!("ws://{address}/long")).soon().await.unwrap();
    socket.send("x".repeat(1001)).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), None);
    drop(socket);
    // One whose handler fails.
    let mut socket = connect(&format!("ws://{address}/fails")).soon().await.unwrap();
    socket.send("fail").soon().await.unwrap();
    while let Ok(Some(_)) = socket.recv().soon().await {}
    drop(socket);
    // Some that do not open.
    for path in ["forbidden", "page"] {
        connect(&format!("ws://{address}/{path}")).soon().await.unwrap_err();
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"secret\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut vec![]).soon().await.unwrap();
    // What the server has still to do when a client knows the end.
    let told_by = |lines: &mut Vec<String>, rest: Vec<String>| {
        lines.extend(rest);
        lines.iter().filter(|line| line.contains("closed role=Server")).count() == 3
            && lines.iter().filter(|line| line.contains("refused")).count() == 2
            && lines.iter().any(|line| line.contains("handler failed error=request answered"))
    };
    let mut lines = Vec::new();
    let all = async {
        while !told_by(&mut lines, log.take()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    all.soon().await;

    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
    for wanted in [
        "record id=0",
        "record path=\"/chat\"",
        "DEBUG open role=Server",
        "TRACE frame received opcode=Text fin=true len=6",
        "DEBUG closed role=Server code=4321 cause=\"closing\"",
        "DEBUG closed role=Server code=1009 cause=\"limit\" error=message of 1001 bytes or more, longer than the limit of 1000",
        "DEBUG refused reason=\"status\" status=403",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} in {lines:#?}");
    }
    let rendered = numbers.render();
    let counted = counted(&rendered);
    for wanted in [
        "sockless_connections{role=\"client\"} 0",
        "sockless_connections{role=\"server\"} 0",
        "sockless_opened_total{role=\"server\"} 3",
        "sockless_closed_total{role=\"server\",code=\"4xxx\",cause=\"closing\"} 1",
        "sockless_closed_total{role=\"server\",code=\"1009\",cause=\"limit\"} 1",
        "sockless_closed_total{role=\"client\",code=\"1009\",cause=\"closing\"} 1",
        "sockless_refused_total{reason=\"status\"} 1",
        "sockless_refused_total{reason=\"handshake\"} 1",
        // That of who said too much fails too.
        "sockless_handler_failures_total 2",
        // Both ends count here: what one sends, the other receives.
        "sockless_messages_sent_total{kind=\"binary\"} 2",
        "sockless_messages_received_total{kind=\"binary\"} 2",
        "sockless_messages_received_total{kind=\"ping\"} 1",
        "sockless_handler_seconds_count 4",
    ] {
        assert!(counted.contains(&wanted), "{wanted} in {counted:#?}");
    }
    assert!(!rendered.contains("secret"));
}
