//! Ctrl-C, while an answer is waited for, or a reader of standard output that pauses.

use crate::common::{Serving, command, eventually, serve, soon, within};
use sockless::testing::tape::{Call, Tape};
use sockless_tokio::{Event, Server, connect};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

fn interrupt(child: &Child) {
    _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
}

/// Ctrl-C, as often as somebody may press it who waits.
#[track_caller]
fn ends_when_interrupted(child: &mut Child) {
    eventually("it ends", || {
        interrupt(child);
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(within("it has ended", || child.wait()).unwrap().code(), Some(0));
}

/// The tape of a connection to there.
fn tape(url: &str) -> PathBuf {
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("interrupted-{port}.tape"))
}

/// That `record` waited for nothing more when it was interrupted.
#[track_caller]
fn ends_with_an_abort(url: &str) {
    let tape = Tape::from_bytes(&fs::read(tape(url)).unwrap()).unwrap();
    let last = tape.steps.last().unwrap();
    assert!(matches!(last.call, Call::Abort(_)), "{:?}", last.call);
}

/// `connect` and `record`, not yet started.
fn both(url: &str) -> [Command; 2] {
    [command(&["connect", url]), command(&["record", url, "-o", tape(url).to_str().unwrap()])].map(|mut command| {
        command.stdin(Stdio::piped());
        command
    })
}

/// What a server has seen of a client.
#[derive(Debug, PartialEq)]
enum Seen {
    Pong,
    Close(Option<u16>),
}

#[test]
fn a_reader_that_pauses_stops_neither_pings_nor_ctrl_c_and_misses_nothing() {
    const LINE: usize = 999;
    let (seen, told) = mpsc::channel();
    // More than a pipe holds, and a ping.
    let url = serve(Server::new(), move |mut socket, _, _| {
        let seen = seen.clone();
        async move {
            for _ in 0..200 {
                socket.send("y".repeat(LINE)).await?;
            }
            socket.ping(b"").await?;
            while let Some(event) = socket.recv_event().await? {
                if let Event::Pong(_) = event {
                    _ = seen.send(Seen::Pong);
                }
            }
            _ = seen.send(Seen::Close(socket.peer_close().map(|close| close.code.into())));
            Ok(())
        }
    });
    for reads_on in [true, false] {
        for mut command in both(&url) {
            let mut child = command.spawn().unwrap();
            let mut stdout = child.stdout.take().unwrap();
            assert_eq!(within("a pong", || told.recv()).unwrap(), Seen::Pong);
            interrupt(&child);
            assert_eq!(within("a close", || told.recv()).unwrap(), Seen::Close(Some(1000)));
            if reads_on {
                let mut lines = Vec::new();
                within("all is printed", || stdout.read_to_end(&mut lines)).unwrap();
                assert_eq!(lines.len(), 200 * (LINE + 1));
                assert_eq!(within("it ends", || child.wait()).unwrap().code(), Some(0));
            } else {
                assert_eq!(child.try_wait().unwrap(), None, "nobody has read all");
                ends_when_interrupted(&mut child);
            }
        }
    }
}

#[test]
fn ctrl_c_is_heeded_when_no_more_is_received() {
    let (seen, told) = mpsc::channel();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let url = serve(Server::new(), move |socket, _, _| {
        let (seen, counted) = (seen.clone(), counted.clone());
        async move {
            let (sender, mut receiver) = socket.split();
            tokio::spawn(async move {
                while sender.send("y".repeat(10_000)).await.is_ok() {
                    counted.fetch_add(10_000, Ordering::Relaxed);
                }
            });
            while receiver.recv().await?.is_some() {}
            _ = seen.send(Seen::Close(receiver.peer_close().map(|close| close.code.into())));
            Ok(())
        }
    });
    for mut command in both(&url) {
        sent.store(0, Ordering::Relaxed);
        let mut child = command.spawn().unwrap();
        eventually("more is sent than waits", || sent.load(Ordering::Relaxed) > 1_200_000);
        interrupt(&child);
        assert_eq!(within("a close", || told.recv()).unwrap(), Seen::Close(Some(1000)));
        ends_when_interrupted(&mut child);
    }
}

#[tokio::test]
async fn a_proxy_goes_on_while_nobody_reads_what_it_shows_and_heeds_ctrl_c() {
    let server = Serving::start(&[]);
    let mut child = command(&["proxy", "--json", "--listen=127.0.0.1:0", "--to", &server.url]).spawn().unwrap();
    let (mut stdout, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
    within("it listens", || stdout.read_line(&mut line)).unwrap();
    let listening: serde_json::Value = serde_json::from_str(&line).unwrap();
    let mut client = soon("it connects", connect(listening["url"].as_str().unwrap())).await.unwrap();
    for _ in 0..200 {
        soon("it is sent", client.send("y".repeat(1000))).await.unwrap();
        soon("it is echoed", client.recv()).await.unwrap().unwrap();
    }
    ends_when_interrupted(&mut child);
}

#[test]
fn ctrl_c_does_not_wait_for_a_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for scheme in ["wss", "ws"] {
        for mut command in both(&format!("{scheme}://{}/", listener.local_addr().unwrap())) {
            let mut child = command.spawn().unwrap();
            let (mut stream, _) = within("it connects", || listener.accept()).unwrap();
            within("it asks", || stream.read(&mut [0])).unwrap();
            interrupt(&child);
            assert_eq!(within("it ends", || child.wait()).unwrap().code(), Some(0), "{scheme}");
        }
    }
    ends_with_an_abort(&format!("ws://{}/", listener.local_addr().unwrap()));
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_the_close() {
    let (seen, told) = mpsc::channel();
    // It reads nothing.
    let url = serve(Server::new(), move |_socket, _, _| {
        _ = seen.send(());
        std::future::pending()
    });
    for mut command in both(&url) {
        let mut child = command.spawn().unwrap();
        within("it is connected", || told.recv()).unwrap();
        ends_when_interrupted(&mut child);
    }
    ends_with_an_abort(&url);
}
