//! `record` and `replay`: a chat recorded in each way and replayed in each way; changed and cut tapes are told.

use crate::common::{Ran, Serving, command, eventually, run, run_open, serve, within};
use serde_json::{Value, json};
use sockless::Tapes;
use sockless::testing::tape::{Call, Tape};
use sockless_tokio::{Config, Event, Server};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

/// A file of its own for a test.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.tape", std::process::id()))
}

/// The command, which listens and then goes on.
struct Listening {
    child: Child,
    stdout: BufReader<ChildStdout>,
    url: String,
}

impl Listening {
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdin(Stdio::null()).spawn().unwrap();
        let (mut stdout, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        within("it listens", || stdout.read_line(&mut line)).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("it says where").to_owned();
        Self { child, stdout, url }
    }

    /// What it says before it ends.
    #[track_caller]
    fn end(mut self) -> Ran {
        let mut rest = Vec::new();
        within("it ends", || std::io::Read::read_to_end(&mut self.stdout, &mut rest)).unwrap();
        let mut ran = Ran::from(within("it ends", || self.child.wait_with_output()).unwrap());
        ran.stdout = rest;
        ran
    }
}

/// What is said in the chats: some of it long enough to be compressed.
fn lines() -> String {
    format!("one\n{}\nzwölf\n", "again and again ".repeat(40))
}

/// A tape of a chat with `serve`, by a client of its own.
#[track_caller]
fn recorded(name: &str, more: &[&str]) -> (PathBuf, Serving) {
    let (server, file) = (Serving::start(&[]), file(name));
    let arguments = [&["record", &server.url, "-o", file.to_str().unwrap()], more].concat();
    let ran = run(&arguments, lines().as_bytes());
    assert_eq!((ran.status, ran.text(), &*ran.stderr), (Some(0), &*lines(), ""));
    (file, server)
}

/// A tape of the same chat, by a relay between `connect` and `serve`.
#[track_caller]
fn relayed(name: &str) -> (PathBuf, Serving) {
    let (server, file) = (Serving::start(&[]), file(name));
    let relay =
        Listening::start(&["record", "--listen", "127.0.0.1:0", "--to", &server.url, "-o", file.to_str().unwrap()]);
    let ran = run(&["connect", &relay.url], lines().as_bytes());
    assert_eq!((ran.status, ran.text(), &*ran.stderr), (Some(0), &*lines(), ""));
    let ran = relay.end();
    assert_eq!((ran.status, &*ran.stderr), (Some(0), ""));
    (file, server)
}

fn gave(tape: &Tape, what: &str) -> usize {
    tape.steps.iter().filter(|step| step.gave.starts_with(what)).count()
}

#[test]
fn a_recorded_client_replays_in_the_core_alone() {
    for more in [&[][..], &["--no-compression", "--header=X-A: b", "--subprotocol=chat"]] {
        let (file, _server) = recorded("client-alone", more);
        let tape = Tape::from_bytes(&fs::read(&file).unwrap()).unwrap();
        assert_eq!((gave(&tape, "open"), gave(&tape, "text"), gave(&tape, "close")), (1, 3, 1));
        let offered = b"permessage-deflate";
        let compressed = tape.wire().any(|(_, _, bytes)| bytes.windows(offered.len()).any(|part| part == offered));
        assert_eq!(compressed, more.is_empty(), "compression");
        let ran = run(&["replay", file.to_str().unwrap()], b"");
        let said = format!("the same in all {} steps\n", tape.steps.len());
        assert_eq!((ran.status, ran.text(), &*ran.stderr), (Some(0), &*said, ""));
    }
}

#[test]
fn a_relayed_chat_replays_in_the_core_alone() {
    let (file, _server) = relayed("relay-alone");
    let tape = Tape::from_bytes(&fs::read(&file).unwrap()).unwrap();
    // From both ends.
    assert_eq!((gave(&tape, "text"), gave(&tape, "close"), gave(&tape, "error")), (6, 2, 0));
    let heads = tape.steps.iter().filter(|step| matches!(step.call, Call::Passed(..))).count();
    assert_eq!(heads, 2);
    let times: Vec<_> = tape.steps.iter().map(|step| step.at).collect();
    assert!(times.is_sorted() && times[0] < times[times.len() - 1], "{times:?}");
    let ran = run(&["replay", file.to_str().unwrap()], b"");
    assert_eq!((ran.status, &*ran.stderr), (Some(0), ""));
    assert_eq!(ran.text(), format!("the same in all {} steps\n", tape.steps.len()));
}

#[test]
fn either_tape_is_played_to_a_server() {
    for (file, server) in [recorded("client-to", &[]), relayed("relay-to")] {
        let file = file.to_str().unwrap();
        // The response, three messages and a close.
        for how in [&["--fast"][..], &[]] {
            let ran = run(&[&["replay", file, "--to", &server.url], how].concat(), b"");
            assert_eq!(
                (ran.status, ran.text(), &*ran.stderr),
                (Some(0), "the same in all 5 things that the other end said\n", "")
            );
        }
        let other = serve(Server::new().config(config()), |mut socket, _, _| async move {
            while let Some(message) = socket.recv().await? {
                socket.send(if message.as_text() == Some("zwölf") { "twelve".into() } else { message }).await?;
            }
            Ok(())
        });
        let ran = run(&["replay", file, "--to", &other, "--fast"], b"");
        let said = "sockless: of what the server says, 3 is different: text \"zw\\xc3\\xb6lf\" on the tape, text \"twelve\" now\n";
        assert_eq!((ran.status, ran.text(), &*ran.stderr), (Some(3), "", said));
        let plain = Serving::start(&["--no-compression"]);
        let ran = run(&["replay", file, "--to", &plain.url, "--fast"], b"");
        assert_eq!(ran.status, Some(3));
        assert!(ran.stderr.contains("the server agrees on another compression"), "{}", ran.stderr);
    }
}

/// As `serve` has it, so that a server in this process agrees on the same.
fn config() -> sockless_tokio::Config {
    let deflate = sockless::Deflate { takeover: true, peer_takeover: true, window_bits: 15, ..Default::default() };
    sockless_tokio::Config { deflate: Some(deflate), ..Default::default() }
}

#[test]
fn either_tape_is_played_to_a_client() {
    for (file, _server) in [recorded("client-listen", &[]), relayed("relay-listen")] {
        let file = file.to_str().unwrap();
        let replay = Listening::start(&["replay", file, "--listen", "127.0.0.1:0", "--fast"]);
        // Its key is another, and so are its masks.
        let ran = run(&["connect", &replay.url], lines().as_bytes());
        assert_eq!((ran.status, ran.text(), &*ran.stderr), (Some(0), &*lines(), ""));
        let ran = replay.end();
        assert_eq!(
            (ran.status, ran.text(), &*ran.stderr),
            (Some(0), "the same in all 5 things that the other end said\n", "")
        );

        let replay = Listening::start(&["replay", file, "--listen", "127.0.0.1:0", "--fast"]);
        let ran = run(&["connect", &replay.url], b"two\n");
        assert_eq!(ran.text(), "");
        let ran = replay.end();
        let said = "sockless: of what the client says, 1 is different: text \"one\" on the tape, text \"two\" now\n";
        assert_eq!((ran.status, &*ran.stderr), (Some(3), said));
    }
}

#[test]
fn a_changed_tape_is_told_with_the_call() {
    let (file, _server) = recorded("changed", &["--no-compression"]);
    let bytes = fs::read(&file).unwrap();
    let tape = Tape::from_bytes(&bytes).unwrap();
    let step = tape.steps.iter().position(|step| step.gave == "text \"one\"").unwrap();
    // In what came from the server, behind its header.
    let place = bytes.windows(5).position(|window| window == b"\x81\x03one").unwrap() + 4;
    let mut changed = bytes.clone();
    changed[place] = b'a';
    fs::write(&file, &changed).unwrap();
    let ran = run(&["replay", file.to_str().unwrap()], b"");
    assert_eq!((ran.status, ran.text()), (Some(3), ""));
    let start = format!("sockless: step {step}, receive of connection 0 at ");
    assert!(ran.stderr.starts_with(&start), "{}", ran.stderr);
    assert!(ran.stderr.ends_with(": text \"one\" on the tape, text \"ona\" now\n"), "{}", ran.stderr);

    // Cut off, it is told too, and what there is replays.
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let ran = run(&["replay", file.to_str().unwrap()], b"");
    assert_eq!(ran.status, Some(0));
    assert!(ran.stderr.contains("the tape is cut off: its last step, at byte "), "{}", ran.stderr);
    assert!(ran.text().starts_with(&format!("the same in all {} steps", tape.steps.len() - 1)), "{}", ran.text());

    for (bytes, said) in [
        (&b"GET / HTTP/1.1\r\n"[..], "not a tape"),
        (b"sl-tape\x09", "tape of version 9, which is unknown here"),
        (b"sl-tape\x01\x05\0\0\0\x63\0", "the step at byte 8 of the tape is broken"),
    ] {
        fs::write(&file, bytes).unwrap();
        let ran = run(&["replay", file.to_str().unwrap()], b"");
        assert_eq!((ran.status, ran.text()), (Some(2), ""));
        assert!(ran.stderr.ends_with(&format!(": {said}\n")), "{}", ran.stderr);
    }
}

#[test]
fn limits_on_a_tape_are_not_taken_blindly() {
    let (file, _server) = recorded("limits", &["--max-message=100000000"]);
    let ran = run(&["replay", file.to_str().unwrap()], b"");
    assert_eq!((ran.status, ran.stderr.contains("--max-message")), (Some(2), true), "{}", ran.stderr);
    let ran = run(&["replay", "--max-message=100000000", file.to_str().unwrap()], b"");
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
}

/// Each step is in the file as soon as it has happened: what is killed leaves a tape.
#[test]
fn a_tape_is_there_while_it_is_made() {
    let (server, file) = (Serving::start(&[]), file("killed"));
    let arguments = ["record", &server.url, "-o", file.to_str().unwrap()];
    let mut child = command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (mut stdout, mut answers) = (BufReader::new(child.stdout.take().unwrap()), String::new());
    // What came before the second message is written by then.
    for line in ["hello\n", "again\n"] {
        stdin.write_all(line.as_bytes()).unwrap();
        within("an answer", || stdout.read_line(&mut answers)).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (tape, _) = Tape::recover(&fs::read(&file).unwrap());
    assert_eq!(gave(&tape, "text \"hello\""), 1);
    let ran = run(&["replay", file.to_str().unwrap()], b"");
    assert_eq!((ran.status, &*answers), (Some(0), "hello\nagain\n"), "{}", ran.stderr);
}

#[test]
fn a_relay_passes_whatever_there_is() {
    // No WebSocket at all: it passes, and is on the tape.
    let (server, tape) = (Serving::start(&[]), file("http"));
    let relay =
        Listening::start(&["record", "--listen", "127.0.0.1:0", "--to", &server.url, "-o", tape.to_str().unwrap()]);
    let mut stream = std::net::TcpStream::connect(relay.url.split('/').nth(2).unwrap()).unwrap();
    stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    within("the answer", || std::io::Read::read_to_end(&mut stream, &mut answer)).unwrap();
    drop(stream);
    assert_eq!(relay.end().status, Some(0));
    let tape = Tape::from_bytes(&fs::read(&tape).unwrap()).unwrap();
    let from_server = tape.wire().filter(|(_, from, _)| *from == sockless::Role::Server);
    assert_eq!(from_server.flat_map(|(.., bytes)| bytes.to_vec()).collect::<Vec<_>>(), answer);
    assert!(answer.starts_with(b"HTTP/1.1 404"));
}

#[test]
fn pings_of_a_server_and_its_code_are_on_the_tape() {
    let url = serve(Server::new(), |mut socket, _, _| async move {
        socket.ping(b"?").await?;
        while !matches!(socket.recv_event().await?, Some(Event::Pong(_)) | None) {}
        socket.close(4000, "enough").await
    });
    let file = file("pings");
    let ran = run_open(&["record", &url, "-o", file.to_str().unwrap()]);
    assert_eq!((ran.status, &*ran.stderr), (Some(3), "sockless: closed with 4000 (application): enough\n"));
    let tape = Tape::from_bytes(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((gave(&tape, "ping \"?\""), gave(&tape, "close 4000 \"enough\"")), (1, 1));
    assert_eq!(tape.replay(), Ok(()));
}

#[test]
fn what_cannot_be_meant_or_reached_is_told() {
    let server = Serving::start(&[]);
    let nowhere = "/nowhere/at/all.tape";
    for arguments in [
        &["record", &server.url][..],
        &["record", "-o", nowhere],
        &["record", &server.url, "-o", nowhere],
        &["record", &server.url, "--listen", "127.0.0.1:0", "-o", nowhere],
        &["replay", nowhere],
        &["replay"],
    ] {
        let ran = run(arguments, b"");
        assert_eq!((ran.status, ran.text()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
    }
    let file = file("unreached");
    let ran = run(&["record", "ws://127.0.0.1:1/", "-o", file.to_str().unwrap()], b"");
    assert_eq!((ran.status, file.exists()), (Some(1), false), "{}", ran.stderr);
}

/// The objects of lines.
fn objects(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_replay_says_how_it_ended_as_json() {
    let (file, server) = recorded("json", &["--no-compression"]);
    let path = file.to_str().unwrap();
    let tape = Tape::from_bytes(&fs::read(&file).unwrap()).unwrap();
    let ran = run(&["replay", "--json", path], b"");
    assert_eq!((ran.status, objects(&ran)), (Some(0), vec![json!({ "event": "same", "steps": tape.steps.len() })]));
    let ran = run(&["replay", "--json", path, "--to", &server.url, "--fast"], b"");
    assert_eq!((ran.status, objects(&ran)), (Some(0), vec![json!({ "event": "same", "things": 5 })]));
    let other = serve(Server::new(), |mut socket, _, _| async move {
        socket.send("zero").await?;
        socket.close(1000, "").await
    });
    let ran = run(&["replay", "--json", path, "--to", &other, "--fast"], b"");
    let object = json!({ "event": "different", "thing": 1, "on_tape": "text \"one\"", "now": "text \"zero\"" });
    assert_eq!((ran.status, objects(&ran)), (Some(3), vec![object]));

    let mut changed = tape.clone();
    let step = changed.steps.iter().position(|step| step.gave == "text \"one\"").unwrap();
    changed.steps[step].gave = "text \"two\"".into();
    fs::write(&file, changed.to_bytes()).unwrap();
    let ran = run(&["replay", "--json", path], b"");
    let object = json!({
        "event": "different", "step": step, "call": "receive", "connection": 0, "unseen": false,
        "ms": changed.steps[step].at.as_micros() as f64 / 1e3,
        "on_tape": "text \"two\"", "now": "text \"one\"",
    });
    assert_eq!((ran.status, objects(&ran)), (Some(3), vec![object]));

    fs::write(&file, tape.to_bytes()).unwrap();
    let replay = Serving::start_as("replay", &["--json", "--fast", path]);
    let ran = run(&["connect", &replay.url], lines().as_bytes());
    assert_eq!((ran.status, ran.text()), (Some(0), &*lines()), "{}", ran.stderr);
}

#[test]
fn a_tape_is_inspected() {
    for (file, _server) in [recorded("inspected", &[]), relayed("inspected-relay")] {
        let ran = run(&["inspect", "--json", file.to_str().unwrap()], b"");
        assert_eq!((ran.status, &*ran.stderr), (Some(0), ""));
        let all = objects(&ran);
        let texts = |from: &str| {
            let said = all.iter().filter(|object| object["event"] == "message" && object["from"] == from);
            said.map(|object| object["text"].as_str().unwrap().to_owned() + "\n").collect::<String>()
        };
        assert_eq!((texts("client"), texts("server")), (lines(), lines()));
        let events: Vec<_> = all.iter().map(|object| object["event"].as_str().unwrap()).collect();
        assert_eq!((events[0], events[1], *events.last().unwrap()), ("request", "open", "close"));
        assert!(!all[1]["compression"].is_null() && all.iter().all(|object| object["connection"] == 1));
        // From a pipe too, for people.
        let piped = run(&["inspect", "-"], &fs::read(&file).unwrap());
        assert!(piped.text().lines().any(|line| line.ends_with("#1 < text zw\u{f6}lf")), "{}", piped.text());
    }
}

/// As an adapter hands it over: the end of what was said, and why the connection failed.
#[test]
fn a_tape_of_a_connection_that_failed_is_inspected_and_replayed() {
    let (tell, told) = std::sync::mpsc::channel();
    let tapes = Tapes::new(1000, move |tape, _| tell.send(tape).unwrap());
    let url = serve(
        Server::new().config(Config { tapes: Some(tapes), ..Config::default() }),
        |mut socket, _, _| async move {
            while let Some(message) = socket.recv().await? {
                socket.send(message).await?;
            }
            Ok(())
        },
    );
    let spoiled = ["--to", &url, "--bad-frame", "utf8", "--bad-frame-after", "20m", "--toward", "server"];
    let proxy = Serving::start_as("proxy", &spoiled);
    // Each message is sent behind the answer to the one before, so that no read has many of them.
    run(&["load", "--connections=1", "--size=5", &proxy.url], b"");
    let tape: Tape = within("a tape", || told.recv()).unwrap();
    let file = file("failed");
    fs::write(&file, tape.to_bytes()).unwrap();
    let ran = run(&["inspect", file.to_str().unwrap()], b"");
    assert_eq!(ran.status, Some(3), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(" is not on the tape: ") && ran.stderr.contains(" bytes were not kept\n"),
        "{}",
        ran.stderr
    );
    let shown: Vec<_> = ran.text().lines().collect();
    assert!(shown.iter().any(|line| line.ends_with("#1 > text {\"id\"")), "{}", ran.text());
    assert!(shown.iter().any(|line| line.contains("#1 > FAULT")), "{}", ran.text());
    let ran = run(&["replay", file.to_str().unwrap()], b"");
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains(" bytes were not kept\n"), "{}", ran.stderr);
}

#[test]
fn each_client_of_a_relay_has_a_tape_of_its_own() {
    let server = Serving::start(&[]);
    let name = file("many-%n");
    let relay = Serving::start_as("record", &["--to", &server.url, "-o", name.to_str().unwrap()]);
    let said = ["first\n", "second\n", "third\n"];
    for line in said {
        let ran = run(&["connect", &relay.url], line.as_bytes());
        assert_eq!((ran.status, ran.text()), (Some(0), line), "{}", ran.stderr);
    }
    for (number, line) in (1..).zip(said) {
        let file = name.to_str().unwrap().replace("%n", &number.to_string());
        // Who is served sees the end before the relay has written it.
        eventually("its end is on the tape", || gave(&Tape::recover(&fs::read(&file).unwrap()).0, "close") == 2);
        let ran = run(&["replay", &file], b"");
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let ran = run(&["inspect", &file], b"");
        assert!(ran.text().contains(&format!("< text {line}")), "{}", ran.text());
    }
    assert!(!fs::exists(name.to_str().unwrap().replace("%n", "4")).unwrap());
}
