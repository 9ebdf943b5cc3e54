//! `connect` at a terminal, which is a pseudo-terminal here, and what else of it needs more than pipes.

use crate::common::{Serving, command, run, serve, within};
use nix::pty::openpty;
use nix::sys::termios::{Termios, tcgetattr};
use sockless_tokio::Server;
use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

/// The command at a terminal.
struct Typing {
    child: Child,
    terminal: File,
    slave: OwnedFd,
    before: Termios,
    shown: String,
}

impl Typing {
    fn start(arguments: &[&str]) -> Self {
        let pty = openpty(None, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let stdio = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = command(arguments);
        command.env("TERM", "xterm").stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().unwrap();
        Self { child, terminal: pty.master.into(), slave: pty.slave, before, shown: String::new() }
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads what is shown until this is, which is then forgotten.
    #[track_caller]
    fn sees(&mut self, wanted: &str) {
        loop {
            if let Some(at) = self.shown.find(wanted) {
                self.shown.drain(..at + wanted.len());
                return;
            }
            let mut buffer = [0; 4096];
            let read = within(wanted, || self.terminal.read(&mut buffer)).unwrap();
            self.shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }

    /// Ends with this status, and leaves the terminal as it was.
    #[track_caller]
    fn ends_with(mut self, status: i32) {
        let ended = within("it ends", || self.child.wait()).unwrap();
        assert_eq!(ended.code(), Some(status), "{}", self.shown);
        assert_eq!(tcgetattr(&self.slave).unwrap(), self.before);
    }
}

/// The URL of a server that echoes, and tells how it was closed.
fn closing(closed: mpsc::Sender<Option<u16>>) -> String {
    serve(Server::new(), move |mut socket, _, _| {
        let closed = closed.clone();
        async move {
            while let Some(message) = socket.recv().await? {
                socket.send(message).await?;
            }
            _ = closed.send(socket.peer_close().map(|close| close.code.into()));
            Ok(())
        }
    })
}

#[test]
fn a_typed_line_is_sent_and_the_history_recalls_it() {
    let server = Serving::start(&[]);
    let mut typing = Typing::start(&["connect", &server.url]);
    typing.sees("Ctrl-D ends");
    typing.sees("open  >    0 B  <    0 B ");
    // With a letter too much in it, which is taken back.
    typing.types("helxlo\x1b[D\x1b[D\x7f\r");
    typing.sees("hello\r\n");
    typing.sees("open  >    5 B  <    5 B ");
    typing.types("\x1b[A!\r");
    typing.sees("hello!\r\n");
    typing.sees("open  >   11 B  <   11 B ");
    typing.types("\x04");
    typing.ends_with(0);
}

#[test]
fn ctrl_c_closes_while_a_line_is_typed() {
    let (closed, told) = mpsc::channel();
    let mut typing = Typing::start(&["connect", &closing(closed)]);
    typing.sees("open  > ");
    typing.types("half a line\x03");
    typing.ends_with(0);
    assert_eq!(within("a close", || told.recv()).unwrap(), Some(1000));
}

#[test]
fn a_history_is_kept_where_it_is_asked_for() {
    let server = Serving::start(&[]);
    let file = env::temp_dir().join(format!("sockless-history-{}", std::process::id()));
    for (keys, shown) in [("first\r", "first\r\n"), ("\x1b[A and more\r", "first and more\r\n")] {
        let mut typing = Typing::start(&["connect", &server.url, "--history", file.to_str().unwrap()]);
        typing.sees("open  > ");
        typing.types(keys);
        typing.sees(shown);
        // The terminal takes Ctrl-D as a key again.
        typing.sees("open  > ");
        typing.types("\x04");
        typing.ends_with(0);
    }
    let kept = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(kept, "#V2\nfirst\nfirst and more\n");
}

#[test]
fn a_close_by_the_server_ends_it_while_a_line_is_typed() {
    let url = serve(Server::new(), |mut socket, _, _| async move {
        let Some(message) = socket.recv().await? else { return Ok(()) };
        socket.send(message).await?;
        socket.close(4001, "enough").await
    });
    let mut typing = Typing::start(&["connect", &url]);
    typing.sees("open  > ");
    typing.types("one\r");
    typing.sees("one\r\n");
    typing.sees("sockless: closed with 4001 (application): enough");
    typing.ends_with(3);
}

#[test]
fn json_is_set_out_for_people() {
    let server = Serving::start(&[]);
    let ran = run(&["connect", "--pretty", &server.url], b"{\"b\":1.50,\"a\":[]}\nplain\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "{\n  \"b\": 1.50,\n  \"a\": []\n}\nplain\n"));
}

#[test]
fn ctrl_c_closes_without_a_terminal_too() {
    let (closed, told) = mpsc::channel();
    let url = closing(closed);
    let mut child = command(&["connect", &url]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"a\n").unwrap();
    let mut echo = [0; 2];
    within("an echo", || child.stdout.as_mut().unwrap().read_exact(&mut echo)).unwrap();
    let stdin = child.stdin.take();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = within("it ends", || child.wait_with_output()).unwrap();
    drop(stdin);
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{stderr}");
    assert_eq!(within("a close", || told.recv()).unwrap(), Some(1000));
}

#[test]
fn the_manual_is_printed_or_written() {
    let ran = run(&["man"], b"");
    assert!(ran.status == Some(0) && ran.text().contains(".TH sockless 1"), "{}", ran.text());
    let directory = env::temp_dir().join(format!("sockless-man-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let ran = run(&["man", directory.to_str().unwrap()], b"");
    assert_eq!((ran.status, &*ran.stderr), (Some(0), ""));
    let page = fs::read_to_string(directory.join("sockless-inspect.1")).unwrap();
    assert!(page.contains("max\\-message") && directory.join("sockless.1").exists(), "{page}");
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(run(&["man", "/nowhere/at/all"], b"").status, Some(1));
}
