//! `serve`: what it does with messages, and its pages.

use crate::common::{Serving, eventually, run, run_open, soon, within};
use sockless_tokio::connect;
#[cfg(unix)]
use sockless_tokio::{NetStream, WebSocket};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
#[cfg(unix)]
use std::process::{Command, Stdio};

#[tokio::test]
async fn what_one_client_says_all_others_hear() {
    let server = Serving::start(&["--broadcast"]);
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(soon("it connects", connect(&server.url)).await.unwrap());
    }
    // None but the first is known to have joined before it was heard.
    for from in 0..3 {
        for to in (0..3).filter(|to| *to != from) {
            loop {
                soon("it is sent", clients[from].send(format!("{from} to {to}"))).await.unwrap();
                let heard = tokio::time::timeout(std::time::Duration::from_millis(100), clients[to].recv()).await;
                if heard.is_ok_and(|heard| heard.unwrap().unwrap().as_text() == Some(&*format!("{from} to {to}"))) {
                    break;
                }
            }
        }
    }
    let mut last = clients.pop().unwrap();
    soon("it is sent", last.send(vec![7])).await.unwrap();
    for client in &mut clients {
        while soon("it is heard", client.recv()).await.unwrap().unwrap().as_bytes() != [7] {}
    }
    // The one who said it has not heard it.
    last.start_close(1000, "").unwrap();
    while let Some(message) = soon("it ends", last.recv()).await.unwrap() {
        assert_ne!(message.as_bytes(), [7]);
    }
}

#[test]
fn a_command_hears_messages_as_lines_and_says_lines_as_messages() {
    let server = Serving::start(&["--command", "cat"]);
    let ran = run(&["connect", "--wait=600", "--once", &server.url], b"one\ntwo\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "one\n"));
}

#[test]
fn how_a_command_ended_is_told() {
    let good = Serving::start(&["--command", "echo $PATH_INFO $QUERY_STRING; printf last"]);
    let ran = run_open(&["connect", &format!("{}a/b?c=d", good.url)]);
    assert_eq!((ran.status, ran.text(), &*ran.stderr), (Some(0), "/a/b c=d\nlast\n", ""));
    let bad = Serving::start(&["--command", "exit 7"]);
    let ran = run_open(&["connect", &bad.url]);
    assert!(ran.status == Some(3) && ran.stderr.contains("1011 (internal error): exit status: 7"), "{}", ran.stderr);
}

#[test]
fn a_command_ends_with_its_client() {
    let directory = directory("command");
    let mark = directory.join("ended");
    let server = Serving::start(&["--command", &format!("cat >/dev/null; touch '{}'", mark.display())]);
    assert_eq!(run(&["connect", &server.url], b"a\n").status, Some(0));
    eventually("the command has ended", || mark.exists());
}

/// Connects to a command that says the number of its process and never reads, and sends it so much.
#[cfg(unix)]
async fn unread(server: &Serving, len: usize) -> (String, WebSocket<NetStream>) {
    let mut socket = soon("it connects", connect(&server.url)).await.unwrap();
    let process = soon("it says its number", socket.recv()).await.unwrap().unwrap();
    soon("it is sent", socket.send(vec![b'a'; len])).await.unwrap();
    (process.as_text().unwrap().to_owned(), socket)
}

#[cfg(unix)]
fn lives(process: &str) -> bool {
    Command::new("kill").args(["-0", process]).stderr(Stdio::null()).status().unwrap().success()
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_that_does_not_read_ends_with_its_client_too() {
    let server = Serving::start(&["--command", "echo $$; exec sleep 600 2>&-"]);
    // More than a pipe holds.
    let (process, socket) = unread(&server, 300_000).await;
    assert!(lives(&process));
    drop(socket);
    eventually("the command has ended", || !lives(&process));
}

#[cfg(unix)]
#[tokio::test]
async fn a_client_of_a_command_that_does_not_read_is_told_when_too_much_waits() {
    let server = Serving::start(&["--command", "echo $$; exec sleep 600 2>&-"]);
    let (process, mut socket) = unread(&server, 1 << 20).await;
    // While that waits, pings are answered; the next message is too much.
    soon("a pong", socket.round_trip()).await.unwrap();
    soon("it is sent", socket.send(vec![b'a'; 1 << 20])).await.unwrap();
    while soon("it ends", socket.recv()).await.unwrap().is_some() {}
    let close = socket.peer_close().unwrap();
    assert_eq!((u16::from(close.code), &*close.reason), (1013, "the command does not read"));
    eventually("the command has ended", || !lives(&process));
}

/// A new directory for a test.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The answer to a request.
#[track_caller]
fn get(server: &Serving, target: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address()).unwrap();
    let mut answer = String::new();
    within("it is answered", || stream.read_to_string(&mut answer)).unwrap();
    answer
}

#[test]
fn there_is_a_page_to_try_it_by() {
    let server = Serving::start(&[]);
    let page = get(&server, "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("new WebSocket("), "{page}");
    assert!(get(&server, "/other").starts_with("HTTP/1.1 404"));
    let ran = run(&["connect", &format!("{}some/path", server.url)], b"a\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "a\n"));
}

#[test]
fn files_are_those_of_the_directory_and_no_others() {
    let directory = directory("files");
    let root = directory.join("root");
    fs::create_dir_all(root.join("sub dir")).unwrap();
    fs::write(directory.join("secret.txt"), "secret").unwrap();
    fs::write(root.join("a.html"), "page a").unwrap();
    fs::write(root.join("sub dir/index.html"), "index").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(directory.join("secret.txt"), root.join("link.txt")).unwrap();
    let server = Serving::start(&["--static", root.to_str().unwrap()]);
    let page = get(&server, "/a.html");
    assert!(page.contains("\r\nContent-Type: text/html; charset=utf-8\r\n") && page.ends_with("\r\npage a"), "{page}");
    assert!(get(&server, "/sub%20dir/").ends_with("\r\nindex"));
    assert!(get(&server, "/").contains("new WebSocket("));
    let outside = directory.join("secret.txt");
    for target in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/link.txt",
        "/%00",
        "//",
        outside.to_str().unwrap(),
    ] {
        let page = get(&server, target);
        assert!(page.starts_with("HTTP/1.1 4") && !page.ends_with("\r\nsecret"), "{target}: {page}");
    }
    let absolute = format!("/%2f{}", outside.to_str().unwrap().trim_start_matches('/'));
    assert!(get(&server, &absolute).starts_with("HTTP/1.1 404"));
    fs::write(root.join("index.html"), "mine").unwrap();
    assert!(get(&server, "/").ends_with("\r\nmine"));
}
