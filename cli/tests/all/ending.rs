//! Exit statuses, and outputs that nobody reads.

use crate::common::{Serving, command, run, run_open, serve, within};
use sockless_test_support::proxy::{Then, scripted};
use sockless_tokio::{Error, Reject, Server};
#[cfg(target_os = "linux")]
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;

#[test]
fn an_end_that_is_not_normal_is_3() {
    let normal = serve(Server::new(), |mut socket, _, _| async move { socket.close(1001, "").await });
    assert_eq!(run_open(&["connect", &normal]).status, Some(0));
    let closed = serve(Server::new(), |mut socket, _, _| async move { socket.close(1011, "oh no\x1b[2J").await });
    let ran = run_open(&["connect", &closed]);
    assert_eq!((ran.status, &*ran.stderr), (Some(3), "sockless: closed with 1011 (internal error): oh no\\u{1b}[2J\n"));
    // Cut off behind the handshake.
    let cut =
        serve(Server::new(), |socket, _, _| async move { socket.into_inner().map(drop).map_err(|_| Error::Text) });
    let ran = run_open(&["connect", &cut]);
    assert_eq!((ran.status, ran.stderr.lines().count()), (Some(3), 1), "{}", ran.stderr);
}

#[test]
fn what_is_no_connection_is_1() {
    let refusing = serve(Server::new(), |_, _, _| async { Ok(()) });
    let ran = run(&["connect", &refusing.replace("ws://", "wss://")], b"");
    assert_eq!(ran.status, Some(1));
    let refused = refusing_server();
    let ran = run(&["connect", &refused], b"");
    assert_eq!((ran.status, &*ran.stderr), (Some(1), "sockless: the server refused: 403 Forbidden\nnot you\n"));
    let ran = run(&["connect", "--json", &refused], b"");
    let lost: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!((ran.status, lost["event"].as_str()), (Some(1), Some("lost")));
    // In use.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = run(&["serve", "--listen", &taken.local_addr().unwrap().to_string()], b"");
    assert_eq!((ran.status, ran.text()), (Some(1), ""));
}

/// The URL of a server that answers 403 to all.
fn refusing_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            _ = stream.read(&mut [0; 4096]);
            _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nnot you\n");
        }
    });
    url
}

#[test]
fn what_cannot_be_meant_is_2() {
    for arguments in [
        &["connect"][..],
        &["connect", "http://127.0.0.1/"],
        &["connect", "ws://127.0.0.1:1/", "--header=a"],
        &["connect", "ws://127.0.0.1:1/", "--header=a: b\r\nc: d"],
        &["connect", "ws://127.0.0.1:1/", "--hex", "--base64"],
        &["connect", "ws://127.0.0.1:1/", "--cacert=/nowhere/at/all"],
        &["connect", "ws://127.0.0.1:1/", "--ping=-1"],
        &["connect", "ws://127.0.0.1:1/", "--proxy=nonsense"],
        &["serve", "--static=/nowhere/at/all", "--listen=127.0.0.1:0"],
        &["serve", "--broadcast", "--command=cat"],
        &["nonsense"],
    ] {
        let ran = run(arguments, b"");
        assert_eq!((ran.status, ran.text()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn a_message_that_was_asked_for_and_did_not_come_is_4() {
    let url = serve(Server::new(), |mut socket, _, _| async move {
        while socket.recv().await?.is_some() {}
        Ok(())
    });
    let ran = run(&["connect", "--once", "--wait=0.01", &url], b"");
    assert_eq!((ran.status, &*ran.stderr), (Some(4), "sockless: no message came\n"));
}

#[test]
fn a_closed_output_ends_it_quietly() {
    let url = serve(Server::new(), |mut socket, _, _| async move {
        loop {
            socket.send("y".repeat(10_000)).await?;
        }
    });
    for how in [&["connect"][..], &["connect", "--json"], &["connect", "--binary"]] {
        let arguments = [how, &[&url]].concat();
        let mut child = command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        within("something is printed", || stdout.fill_buf().map(<[u8]>::len)).unwrap();
        drop(stdout);
        let stdin = child.stdin.take();
        let ended = within("it ends", || child.wait_with_output()).unwrap();
        drop(stdin);
        assert_eq!((ended.status.code(), &*String::from_utf8_lossy(&ended.stderr)), (Some(0), ""), "{how:?}");
    }
}

/// A full disk is none that nobody reads.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_told_and_is_1() {
    let server = Serving::start(&[]);
    let tape = format!("{}/full-{}.tape", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    assert_eq!(run(&["record", &server.url, "-o", &tape], b"a\n").status, Some(0));
    for arguments in [
        &["connect", &server.url][..],
        &["connect", "--once", "--wait=600", &server.url],
        &["connect", "--json", &server.url],
        &["record", &server.url, "-o", &tape],
        &["replay", &tape],
        &["inspect", &tape],
        &["load", "--json", "--duration=0.1", &server.url],
        &["completions", "bash"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut child = command(arguments).stdin(Stdio::piped()).stdout(full).spawn().unwrap();
        _ = child.stdin.take().unwrap().write_all(b"a\n");
        let ended = within("it ends", || child.wait_with_output()).unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert!(stderr.starts_with("sockless: standard output: "), "{arguments:?}: {stderr}");
        assert_eq!((ended.status.code(), stderr.lines().count()), (Some(1), 1), "{arguments:?}: {stderr}");
    }
    let ran = run(&["record", &server.url, "-o", "/dev/full"], b"");
    assert!(ran.status == Some(1) && ran.stderr.starts_with("sockless: /dev/full: "), "{}", ran.stderr);
}

#[test]
fn a_closed_error_output_harms_nothing() {
    let server = Serving::start(&[]);
    let mut child = command(&["connect", "-v", &server.url]).stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    child.stdin.take().unwrap().write_all(b"a\n").unwrap();
    let ended = within("it ends", || child.wait_with_output()).unwrap();
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), &b"a\n"[..]));
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completions", shell], b"");
        assert!(ran.status == Some(0) && ran.text().contains("connect"), "{shell}");
    }
}

#[test]
fn the_proxy_of_the_environment_is_taken_unless_it_is_not_to_be() {
    let server = Serving::start(&[]);
    let proxy = refusing_server().replace("ws://", "http://");
    for (arguments, status) in [(&[][..], 1), (&["--no-proxy"], 0)] {
        let arguments = [&["connect", &server.url], arguments].concat();
        let mut command = command(&arguments);
        command.env("http_proxy", &proxy).env_remove("no_proxy").env_remove("NO_PROXY").env_remove("REQUEST_METHOD");
        let ended = within("it ends", || command.stdin(Stdio::null()).output()).unwrap();
        assert_eq!(ended.status.code(), Some(status), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    let ran = run(&["connect", &server.url, "--proxy", &proxy], b"");
    assert!(ran.status == Some(1) && ran.stderr.contains("proxy"), "{}", ran.stderr);
}

#[test]
fn a_proxy_leads_to_where_it_is_told_to() {
    let server = Serving::start(&[]);
    let asked = b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nProxy-Authorization: Basic bWU6aXQ=\r\n\r\n";
    let turns = vec![(asked.to_vec(), b"HTTP/1.1 200 Fine\r\n\r\n".to_vec())];
    let (port, _) = scripted(turns, Then::Pass(server.address().parse().unwrap()));
    let ran = run(&["connect", "ws://a.test/", "--proxy", &format!("http://me:it@127.0.0.1:{port}")], b"through\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "through\n"), "{}", ran.stderr);
}

#[test]
fn a_refusal_of_the_servers_own_is_told() {
    let server = Server::new().answer(async |request, _| match request.path() {
        "/" => Ok((request.accept(), request)),
        _ => Err(Reject::text(404, "no such room\n")),
    });
    let url = serve(server, |_, _, _| async { Ok(()) });
    let ran = run(&["connect", &format!("{url}elsewhere")], b"");
    assert_eq!((ran.status, &*ran.stderr), (Some(1), "sockless: the server refused: 404 Not Found\nno such room\n"));
}
