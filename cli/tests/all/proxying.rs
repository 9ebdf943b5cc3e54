//! `proxy` between two ends that see each byte.

use crate::common::captures::{CLIENT, SERVER, Talk};
use crate::common::{Serving, command, run, within};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// An open connection through a proxy, of which each end has read the other's head.
struct Through {
    proxy: Serving,
    ends: [TcpStream; 2],
}

impl Through {
    #[track_caller]
    fn open(arguments: &[&str]) -> Self {
        let talk = Talk::open(None);
        let (mut through, request) = Self::asked(arguments, &talk);
        let wanted = String::from_utf8(talk.sent[0].1.clone()).unwrap();
        let host = format!("Host: {}", through.ends[SERVER].local_addr().unwrap());
        assert_eq!(String::from_utf8(request).unwrap(), wanted.replace("Host: example.com", &host));
        through.ends[SERVER].write_all(&talk.sent[1].1).unwrap();
        let mut response = vec![0; talk.sent[1].1.len()];
        through.read(CLIENT, &mut response);
        assert!(response == talk.sent[1].1);
        through
    }

    /// The same, as far as the request.
    fn asked(arguments: &[&str], talk: &Talk) -> (Self, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let to = format!("ws://{address}/");
        let proxy = Serving::start_as("proxy", &[&["--to", &to], arguments].concat());
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        client.write_all(&talk.sent[0].1).unwrap();
        let (mut server, _) = within("the proxy connects", || listener.accept()).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if within("a head", || server.read(&mut byte)).unwrap() == 0 {
                break;
            }
            request.push(byte[0]);
        }
        (Self { proxy, ends: [client, server] }, request)
    }

    #[track_caller]
    fn read(&mut self, side: usize, bytes: &mut [u8]) {
        within("bytes", || self.ends[side].read_exact(bytes)).unwrap();
    }

    #[track_caller]
    fn write(&mut self, side: usize, bytes: &[u8]) {
        self.ends[side].write_all(bytes).unwrap();
    }

    /// What one end reads to its end, be that one that is said or not.
    #[track_caller]
    fn rest(&mut self, side: usize) -> Vec<u8> {
        let mut rest = Vec::new();
        match within("the end", || self.ends[side].read_to_end(&mut rest)) {
            Ok(_) => {}
            // Who hangs up has not always read all.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        rest
    }

    /// Both ends end, and this is what each has read until then.
    #[track_caller]
    fn end(mut self) -> [Vec<u8>; 2] {
        for end in &self.ends {
            end.shutdown(Shutdown::Write).unwrap();
        }
        [self.rest(CLIENT), self.rest(SERVER)]
    }
}

/// A text frame, as a client sends it or a server.
fn text(side: usize, text: &str) -> Vec<u8> {
    let (mask, key) = if side == CLIENT { (0x80, &[0; 4][..]) } else { (0, &[][..]) };
    [&[0x81, mask | text.len() as u8], key, text.as_bytes()].concat()
}

#[test]
fn bytes_pass_as_they_are_both_ways() {
    let mut through = Through::open(&[]);
    let there: Vec<u8> = (0..300).flat_map(|n| text(CLIENT, &n.to_string())).collect();
    through.write(CLIENT, &there);
    // What breaks each rule passes too.
    through.write(SERVER, b"\xFF\xFF nonsense");
    assert_eq!(through.end(), [b"\xFF\xFF nonsense".to_vec(), there]);
}

#[test]
fn what_passes_is_shown() {
    let mut through = Through::open(&["--json"]);
    through.write(CLIENT, &text(CLIENT, "there"));
    let mut read = vec![0; text(CLIENT, "there").len()];
    through.read(SERVER, &mut read);
    through.write(SERVER, &text(SERVER, "back"));
    let mut shown = || -> Value {
        let mut object: Value = serde_json::from_str(&through.proxy.line()).unwrap();
        assert!(object["time"].as_f64().unwrap() > 1.6e12 && object["connection"] == 1, "{object}");
        ["time", "connection", "offset", "bytes"]
            .iter()
            .for_each(|field| _ = object.as_object_mut().unwrap().remove(*field));
        object
    };
    assert_eq!(shown()["event"], "connection");
    assert_eq!(shown(), json!({ "event": "request", "from": "client", "method": "GET", "target": "/chat?room=7" }));
    assert_eq!(shown()["event"], "open");
    assert_eq!(shown(), json!({ "event": "message", "from": "client", "type": "text", "text": "there", "frames": 1 }));
    assert_eq!(shown(), json!({ "event": "message", "from": "server", "type": "text", "text": "back", "frames": 1 }));
}

#[test]
fn a_bad_frame_comes_where_it_is_asked_for() {
    let ping = [&[0x89, 0x7E, 0, 126][..], &[b'x'; 126]].concat();
    let masked_ping = [&[0x89, 0xFE, 0, 126, 0, 0, 0, 0][..], &[b'x'; 126]].concat();
    for (kind, to_client, to_server) in [
        ("reserved-bit", &b"\xA1\x03bad"[..], &b"\xA1\x83\0\0\0\0bad"[..]),
        ("mask", b"\x81\x83\0\0\0\0bad", b"\x81\x03bad"),
        ("utf8", b"\x81\x01\xFF", b"\x81\x81\0\0\0\0\xFF"),
        ("long-control", &ping, &masked_ping),
        ("opcode", b"\x83\x03bad", b"\x83\x83\0\0\0\0bad"),
        ("close-code", b"\x88\x02\x03\xED", b"\x88\x82\0\0\0\0\x03\xED"),
    ] {
        // Behind the handshake, in both directions.
        let mut through = Through::open(&["--bad-frame", kind]);
        let mut bad = vec![0; to_client.len()];
        through.read(CLIENT, &mut bad);
        assert_eq!(bad, to_client, "{kind}");
        through.write(CLIENT, &text(CLIENT, "a"));
        assert_eq!(through.end(), [vec![], [to_server, &text(CLIENT, "a")].concat()], "{kind}");
    }
    let arguments = ["--bad-frame=utf8", "--bad-frame-after=2m", "--toward=client"];
    let mut through = Through::open(&arguments);
    for word in ["one", "two", "three"] {
        through.write(SERVER, &text(SERVER, word));
        through.write(CLIENT, &text(CLIENT, word));
    }
    let [client, server] = through.end();
    assert_eq!(
        client,
        [&text(SERVER, "one")[..], &text(SERVER, "two"), b"\x81\x01\xFF", &text(SERVER, "three")].concat()
    );
    assert_eq!(server, ["one", "two", "three"].map(|word| text(CLIENT, word)).concat());
}

#[test]
fn it_hangs_up_where_it_is_asked_to() {
    let mut through = Through::open(&["--drop-after=2m", "--toward=client"]);
    let words: Vec<_> = ["one", "two", "three"].iter().flat_map(|word| text(SERVER, word)).collect();
    through.write(SERVER, &words);
    assert_eq!([through.rest(CLIENT), through.rest(SERVER)], [words[..10].to_vec(), vec![]]);
    // Within the handshake.
    let talk = Talk::open(None);
    let (mut through, request) = Through::asked(&["--drop-after=20b", "--toward=server"], &talk);
    assert_eq!((&*request, through.rest(CLIENT)), (&talk.sent[0].1[..20], vec![]));
}

#[test]
fn one_direction_ends_where_it_is_asked_to_and_the_other_goes_on() {
    let mut through = Through::open(&["--half-close-after=1m", "--toward=server"]);
    through.write(CLIENT, &[text(CLIENT, "one"), text(CLIENT, "two")].concat());
    assert_eq!(through.rest(SERVER), text(CLIENT, "one"));
    // What more comes is taken, though nobody gets it.
    within("all is taken", || through.ends[CLIENT].write_all(&vec![0; 32 << 20])).unwrap();
    through.write(SERVER, &text(SERVER, "back"));
    assert_eq!(through.end(), [text(SERVER, "back"), vec![]]);
}

#[test]
fn bits_turn_as_the_seed_has_it() {
    let corrupted = |seed: &str| {
        let mut through = Through::open(&["--corrupt=0.01", "--toward=client", "--seed", seed]);
        // Its length and its masks are no frames, which does not matter to bytes.
        through.write(SERVER, &[0; 50_000]);
        through.write(CLIENT, &text(CLIENT, "whole"));
        let [client, server] = through.end();
        assert_eq!((client.len(), server), (50_000, text(CLIENT, "whole")));
        client
    };
    let once = corrupted("5");
    assert!(once == corrupted("5") && once != corrupted("6"));
    let turned = once.iter().filter(|byte| **byte != 0).count();
    assert!((400..600).contains(&turned), "{turned}");
}

#[test]
fn pieces_delays_and_rates_lose_nothing() {
    for how in ["--cut=1", "--delay=20", "--rate=20000b", "--rate=1000m"] {
        let mut through = Through::open(&[how]);
        let there: Vec<u8> = (0..100).flat_map(|n| text(CLIENT, &n.to_string())).collect();
        let back: Vec<u8> = (0..100).flat_map(|n| text(SERVER, &n.to_string())).collect();
        through.write(CLIENT, &there);
        through.write(SERVER, &back);
        assert_eq!(through.end(), [back, there], "{how}");
    }
}

#[test]
fn a_peer_that_never_reads_holds_up_the_one_that_sends() {
    const MOST: usize = 64 << 20;
    let mut through = Through::open(&["--max-message=1000"]);
    through.ends[CLIENT].set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (part, mut sent) = (vec![0; 1 << 16], 0);
    let stopped = loop {
        match through.ends[CLIENT].write(&part) {
            Ok(_) if sent > MOST => panic!("the proxy keeps all"),
            Ok(written) => sent += written,
            Err(error) => break error,
        }
    };
    assert!(matches!(stopped.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped}");
    // All of it comes, once it is read.
    let [_, server] = through.end();
    assert_eq!(server.len(), sent);
}

#[test]
fn several_clients_have_a_number_each_and_a_server_may_speak_tls() {
    let server = Serving::start(&["--tls"]);
    let mut proxy = Serving::start_as("proxy", &["--insecure", "--to", &server.url]);
    let url = proxy.url.clone();
    let clients: Vec<_> = (0..3)
        .map(|n| {
            let url = url.clone();
            thread::spawn(move || run(&["connect", &url], format!("from {n}\n").as_bytes()))
        })
        .collect();
    for (n, client) in clients.into_iter().enumerate() {
        let ran = within("a client ends", || client.join()).unwrap();
        assert_eq!((ran.status, ran.text()), (Some(0), &*format!("from {n}\n")), "{}", ran.stderr);
    }
    let mut told = Vec::new();
    while told.len() < 6 {
        let line = proxy.line();
        if let Some((start, text)) = line.split_once(" text ") {
            let (_, connection) = start.split_once('#').unwrap();
            told.push((text.to_owned(), connection.to_owned()));
        }
    }
    told.sort();
    // Each is sent and comes back, on a connection of its own.
    for (n, pair) in told.chunks(2).enumerate() {
        assert!(pair.iter().all(|(text, _)| *text == format!("from {n}")), "{told:?}");
        assert_eq!(pair[0].1.replace('<', ">"), pair[1].1);
    }
    assert!(told[0].1 != told[2].1 && told[2].1 != told[4].1 && told[0].1 != told[4].1);
}

#[test]
fn a_server_that_is_not_there_is_told_of() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut proxy = Serving::start_as("proxy", &["--to", &format!("ws://{nobody}/")]);
    let ran = run(&["connect", &proxy.url], b"");
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.starts_with("sockless: the server refused: 502 Bad Gateway\n"), "{}", ran.stderr);
    assert!(proxy.line().contains(" to ws://"));
    assert!(proxy.line().contains("#1 * lost: "));
}

#[test]
fn it_ends_when_nobody_reads_what_it_shows() {
    let server = Serving::start(&[]);
    let mut child = command(&["proxy", "--listen=127.0.0.1:0", "--to", &server.url]).spawn().unwrap();
    let (mut stdout, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
    within("it listens", || stdout.read_line(&mut line)).unwrap();
    drop(stdout);
    _ = run(&["connect", line.trim().strip_prefix("listening on ").unwrap()], b"a\n");
    let status = within("it ends", || child.wait()).unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_cannot_be_meant_is_2() {
    for arguments in [
        &["--to", "http://127.0.0.1/"][..],
        &["--to", "ws://127.0.0.1/", "--rate=0b"],
        &["--to", "ws://127.0.0.1/", "--rate=fast"],
        &["--to", "ws://127.0.0.1/", "--cut=0"],
        &["--to", "ws://127.0.0.1/", "--corrupt=2"],
        &["--to", "ws://127.0.0.1/", "--bad-frame=good"],
        &["--to", "ws://127.0.0.1/", "--bad-frame-after=1m"],
        &["--to", "ws://127.0.0.1/", "--cacert=/nowhere/at/all"],
        &[],
    ] {
        let ran = run(&[&["proxy", "--listen=127.0.0.1:0"], arguments].concat(), b"");
        assert_eq!((ran.status, ran.text()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
    }
}
