//! `inspect` on captures that are made here.

use crate::common::captures::{
    CLIENT, Link, SERVER, Segment, Talk, ends, packets, pcap, pcap_big, pcap_header, pcap_packet, pcapng, segments,
};
use crate::common::{Ran, command, left_out, run, within};
use serde_json::{Value, json};
use sockless_tokio::sockless::Deflate;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Runs `inspect` with a file on its standard input.
fn inspect(arguments: &[&str], file: &[u8]) -> Ran {
    run(&[&["inspect", "-"], arguments].concat(), file)
}

/// The objects of its output, without these fields.
fn objects(ran: &Ran, without: &[&str]) -> Vec<Value> {
    let parse = |line| {
        let mut object: Value = serde_json::from_str(line).unwrap();
        without.iter().for_each(|field| _ = object.as_object_mut().unwrap().remove(*field));
        object
    };
    ran.text().lines().map(parse).collect()
}

fn takeover() -> Option<Deflate> {
    Some(Deflate { takeover: true, peer_takeover: true, threshold: 0, ..Deflate::default() })
}

/// A chat with all there is.
fn chat(deflate: Option<Deflate>) -> Talk {
    let mut talk = Talk::open(deflate);
    talk.text(CLIENT, "hello, hello, hello")
        .text(SERVER, "hello, hello, hello")
        .say(SERVER, |server| server.ping(b"?").unwrap())
        .text(CLIENT, "hello, hello, hello\nagain")
        .say(CLIENT, |client| {
            client.send_fragment(sockless_tokio::Kind::Binary, &[1, 2], false).unwrap();
            client.send_fragment(sockless_tokio::Kind::Binary, &[3], true).unwrap();
        })
        .text(SERVER, "zwölf")
        .close(CLIENT, 1001, "bye");
    talk
}

/// What is said in [`chat`], but for compression.
fn said() -> Vec<Value> {
    let from = |side: &str, mut object: Value| {
        object["from"] = side.into();
        object
    };
    vec![
        from("client", json!({ "event": "request", "method": "GET", "target": "/chat?room=7" })),
        from(
            "server",
            json!({ "event": "open", "url": "ws://example.com/chat?room=7", "status": 101, "subprotocol": "chat" }),
        ),
        from("client", json!({ "event": "message", "type": "text", "text": "hello, hello, hello", "frames": 1 })),
        from("server", json!({ "event": "message", "type": "text", "text": "hello, hello, hello", "frames": 1 })),
        from("server", json!({ "event": "ping", "base64": "Pw==" })),
        from("client", json!({ "event": "pong", "base64": "Pw==" })),
        from(
            "client",
            json!({ "event": "message", "type": "text", "text": "hello, hello, hello\nagain", "frames": 1 }),
        ),
        from("client", json!({ "event": "message", "type": "binary", "base64": "AQID", "frames": 2 })),
        from("server", json!({ "event": "message", "type": "text", "text": "zwölf", "frames": 1 })),
        from("client", json!({ "event": "close", "code": 1001, "reason": "bye", "name": "going away" })),
        from("server", json!({ "event": "close", "code": 1001, "reason": "", "name": "going away" })),
    ]
}

const BESIDE: [&str; 6] = ["time", "connection", "offset", "bytes", "head", "compression"];

/// What is said, without what is said of connections.
fn messages(ran: &Ran) -> Vec<Value> {
    let mut objects = objects(ran, &BESIDE);
    objects.retain(|object| object["event"] != "connection" && object["event"] != "end");
    objects
}

/// The same, sorted by who says it: between the two directions the order is that of the packets. So the request may come behind
/// its answer.
fn by_side(mut objects: Vec<Value>) -> Vec<Value> {
    objects.iter_mut().for_each(|object| _ = object.as_object_mut().unwrap().remove("url"));
    objects.sort_by_key(|object| object["from"] == "server");
    objects
}

#[test]
fn all_is_told_with_its_place_and_time() {
    let talk = chat(takeover());
    let file = pcap(Link::Raw, &packets(&segments(&talk.sent, usize::MAX), ends(50_000), Link::Raw, 1));
    let ran = inspect(&["--json"], &file);
    assert_eq!((ran.status, &*ran.stderr), (Some(0), ""));
    assert_eq!(messages(&ran), said());
    let all = objects(&ran, &[]);
    assert_eq!(
        all[0],
        json!({ "event": "connection", "client": "127.0.0.1:50000", "server": "127.0.0.1:9001", "from": null,
            "connection": 1, "time": 1_700_000_000_002.0 })
    );
    assert_eq!(all[2]["compression"], "permessage-deflate; client: window 12, takeover; server: window 12, takeover");
    // Each packet is one thing, a millisecond after the one before it.
    let mut at = [0, 0];
    for ((object, (side, bytes)), time) in all[1..].iter().zip(&talk.sent).zip(2..) {
        assert_eq!(json!([object["offset"], object["bytes"]]), json!([at[*side], bytes.len()]), "{object}");
        assert_eq!(object["time"], 1_700_000_000_000.0 + f64::from(time));
        at[*side] += bytes.len();
    }
    let ends: Vec<_> =
        all[all.len() - 2..].iter().map(|object| json!([object["event"], object["from"], object["what"]])).collect();
    assert_eq!(ends, [json!(["end", "client", "FIN"]), json!(["end", "server", "FIN"])]);
}

#[test]
fn people_read_lines() {
    let talk = chat(None);
    let file = pcap(Link::Raw, &packets(&segments(&talk.sent, usize::MAX), ends(50_000), Link::Raw, 1));
    let ran = inspect(&[], &file);
    assert_eq!(
        ran.text(),
        "    0.000000 #1 * 127.0.0.1:50000 to 127.0.0.1:9001
    0.000000 #1 > GET /chat?room=7
    0.001000 #1 < open; subprotocol: chat; compression: none
    0.002000 #1 > text hello, hello, hello
    0.003000 #1 < text hello, hello, hello
    0.004000 #1 < ping ?
    0.005000 #1 > pong ?
    0.006000 #1 > text hello, hello, hello\\nagain
    0.007000 #1 > binary 010203, in 2 frames
    0.008000 #1 < text zwölf
    0.009000 #1 > close 1001 (going away): bye
    0.010000 #1 < close 1001 (going away)
    0.011000 #1 > end: FIN
    0.012000 #1 < end: FIN
"
    );
    let ran = inspect(&["-v"], &file);
    for said in
        ["    > GET /chat?room=7 HTTP/1.1\n    > Host: example.com\n", "    < HTTP/1.1 101 ", "> pong ?  [7 bytes at "]
    {
        assert!(ran.text().contains(said), "{said}\n{}", ran.text());
    }
}

#[test]
fn long_messages_are_cut_unless_all_is_asked_for() {
    let mut talk = Talk::open(None);
    talk.text(CLIENT, &"é".repeat(1000));
    let file = pcap(Link::Raw, &packets(&segments(&talk.sent, usize::MAX), ends(50_000), Link::Raw, 1));
    let cut = format!("text {}… of 2000 bytes\n", "é".repeat(995));
    assert!(inspect(&[], &file).text().contains(&cut));
    assert!(inspect(&["-v"], &file).text().contains(&format!("text {}  [2008 bytes at ", "é".repeat(1000))));
}

#[test]
fn each_end_compresses_as_was_agreed_on_for_it() {
    let client = Deflate { takeover: true, peer_takeover: true, window_bits: 13, threshold: 0, ..Deflate::default() };
    let server = Deflate { takeover: false, window_bits: 10, ..client.clone() };
    let mut talk = Talk::open_as([Some(client), Some(server)]);
    for _ in 0..2 {
        let text = "hello, hello, hello".repeat(100);
        talk.text(CLIENT, &text).text(SERVER, &text);
    }
    let ran = inspect(&[], &pcap(Link::Raw, &packets(&segments(&talk.sent, 99), ends(50_000), Link::Raw, 1)));
    let agreed = "permessage-deflate; client: window 13, takeover; server: window 10, no takeover\n";
    assert!(ran.text().contains(agreed), "{}", ran.text());
    assert_eq!(ran.text().matches("text hello, hello").count(), 4);
}

#[test]
fn every_kind_of_file_and_link_is_read() {
    let talk = chat(None);
    let six = ["[2001:db8::1]:50000".parse().unwrap(), "[2001:db8::2]:80".parse().unwrap()];
    for link in Link::ALL {
        for ends in [ends(50_000), six] {
            let packets = packets(&segments(&talk.sent, usize::MAX), ends, link, 1);
            let files = [
                pcap(link, &packets),
                pcap_big(link, &packets),
                pcapng(link, &packets, 6),
                pcapng(link, &packets, 9),
                pcapng(link, &packets, 0x80 | 20),
            ];
            for (index, file) in files.iter().enumerate() {
                let ran = inspect(&["--json"], file);
                assert_eq!((ran.status, messages(&ran)), (Some(0), said()), "{link:?} {ends:?} {index}");
                let first = objects(&ran, &[])[0]["time"].as_f64().unwrap();
                // A resolution of powers of two has no whole millisecond.
                assert!((first - 1_700_000_000_002.0).abs() < 0.002, "{first}");
            }
        }
    }
}

#[test]
fn segments_may_come_in_any_order_and_often_and_be_cut_anywhere() {
    let talk = chat(takeover());
    for (most, first) in [(1, 1), (7, u32::MAX - 100), (100, u32::MAX)] {
        let mut all = segments(&talk.sent, most);
        // Both ends' first and last segments stay where they are.
        let (start, end) = (2, all.len() - 2);
        let again: Vec<_> = all[start..end].iter().step_by(3).cloned().collect();
        let mut middle: Vec<_> = all.drain(start..end).chain(again).collect();
        // As chance has it, which follows from a number.
        let mut random = 1_u64;
        for index in (1..middle.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            middle.swap(index, (random >> 33) as usize % (index + 1));
        }
        all.splice(start..start, middle);
        let ran = inspect(&["--json"], &pcap(Link::Ethernet, &packets(&all, ends(50_000), Link::Ethernet, first)));
        assert_eq!((ran.status, by_side(messages(&ran))), (Some(0), by_side(said())), "{most}");
    }
}

#[test]
fn connections_are_told_apart() {
    let mut all = Vec::new();
    let talks: Vec<_> = (0..3)
        .map(|n| {
            let mut talk = Talk::open(takeover());
            talk.text(CLIENT, &format!("from {n}")).close(CLIENT, 1000, "");
            talk
        })
        .collect();
    let streams: Vec<_> = (0..3_u16)
        .map(|n| packets(&segments(&talks[usize::from(n)].sent, 50), ends(50_000 + n), Link::Raw, 1))
        .collect();
    for at in 0..streams.iter().map(Vec::len).max().unwrap() {
        all.extend(streams.iter().filter_map(|stream| stream.get(at).cloned()));
    }
    // The ports of the first are used again.
    all.extend(packets(&segments(&talks[2].sent, 50), ends(50_000), Link::Raw, 77_777));
    let ran = inspect(&["--json"], &pcap(Link::Raw, &all));
    let mut texts: Vec<_> = objects(&ran, &[])
        .iter()
        .filter_map(|object| Some((object["connection"].as_u64()?, object["text"].as_str()?.to_owned())))
        .collect();
    texts.sort();
    let expected = [(1, "from 0"), (2, "from 1"), (3, "from 2"), (4, "from 2")].map(|(n, text)| (n, text.to_owned()));
    assert_eq!((ran.status, texts), (Some(0), expected.to_vec()));
}

#[test]
fn a_fault_is_told_with_its_byte_and_its_section() {
    // Behind the fault, a message that nobody reads.
    for (side, bad, byte, error, section) in [
        (
            SERVER,
            &b"\xA1\x02hi\x81\x01x"[..],
            1,
            "reserved bits 0b010 without an extension that defines them",
            "RFC 6455 §5.2",
        ),
        (SERVER, b"\x81\x04ab\xFFc", 4, "invalid UTF-8", "RFC 6455 §8.1"),
        (CLIENT, b"\x81\x02hi", 1, "unmasked frame from a client", "RFC 6455 §5.1"),
        (SERVER, b"\x88\x02\x03\xED", 3, "close code 1005 is not allowed on the wire", "RFC 6455 §7.4"),
        (SERVER, b"\x80\x00", 1, "continuation frame outside a fragmented message", "RFC 6455 §5.4"),
        (SERVER, b"\x88\x00\x81\x00", 2, "bytes behind the close frame", "RFC 6455 §5.5.1"),
    ] {
        let mut talk = Talk::open(None);
        talk.text(SERVER, "good").text(CLIENT, "good");
        let start = talk.len(side);
        talk.bytes(side, bad);
        for most in [1, usize::MAX] {
            let ran = inspect(
                &["--json"],
                &pcap(Link::Raw, &packets(&segments(&talk.sent, most), ends(50_000), Link::Raw, 1)),
            );
            let mut faults = objects(&ran, &["time", "connection"]);
            faults.retain(|object| {
                object["event"] == "fault" && object["error"] != "transport ended without a closing handshake"
            });
            let begins = if byte == 2 { start + 2 } else { start };
            let from = ["client", "server"][side];
            let fault = json!({ "event": "fault", "from": from, "error": error, "section": section, "offset": start + byte, "begins": begins });
            assert_eq!((ran.status, faults), (Some(3), vec![fault]));
            assert_eq!(ran.text().matches("good").count(), 2);
        }
    }
    // A message whose compressed bytes are none.
    let mut talk = Talk::open(takeover());
    let start = talk.len(SERVER);
    talk.bytes(SERVER, b"\xC1\x02\xFF\xFF");
    let ran = inspect(&[], &pcap(Link::Raw, &packets(&segments(&talk.sent, 99), ends(50_000), Link::Raw, 1)));
    let told = format!(
        "#1 < FAULT at byte {}, in what begins at {start}: corrupt compressed data (RFC 7692 §7.2.2)\n",
        start + 2
    );
    assert!(ran.text().contains(&told), "{told}{}", ran.text());
}

#[test]
fn a_handshake_that_does_not_fit_is_a_fault() {
    let talk = chat(None);
    let faults = |side: usize, from: &str, to: &str| {
        let mut sent = talk.sent.clone();
        let head = sent.iter_mut().find(|(of, _)| *of == side).unwrap();
        let text = String::from_utf8(head.1.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        head.1 = text.replace(from, to).into();
        let ran = inspect(&["--json"], &pcap(Link::Raw, &packets(&segments(&sent, 99), ends(50_000), Link::Raw, 1)));
        let mut told = objects(&ran, &[]);
        told.retain(|object| object["event"] == "fault");
        let told: Vec<_> = told
            .iter()
            .map(|object| (object["error"].as_str().unwrap().to_owned(), object["section"].clone()))
            .collect();
        // What follows is read all the same.
        assert!(ran.text().contains("again"), "{}", ran.text());
        told
    };
    let fault = |error: &str, section: &str| vec![(format!("opening handshake failed: {error}"), section.into())];
    assert_eq!(
        faults(SERVER, "Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
        fault("bad Sec-WebSocket-Accept", "RFC 6455 §4.1")
    );
    assert_eq!(
        faults(SERVER, "Protocol: chat", "Protocol: talk"),
        fault("bad Sec-WebSocket-Protocol", "RFC 6455 §11.3.4")
    );
    assert_eq!(
        faults(SERVER, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: a\r\n\r\n"),
        fault("bad Sec-WebSocket-Extensions", "RFC 6455 §9.1")
    );
    assert_eq!(faults(CLIENT, "Version: 13", "Version: 12"), fault("Sec-WebSocket-Version is not 13", "RFC 6455 §4.4"));
}

#[test]
fn what_is_no_websocket_is_said_so() {
    let told = |sent: &[(usize, Vec<u8>)]| {
        let ran = inspect(&[], &pcap(Link::Raw, &packets(&segments(sent, usize::MAX), ends(50_000), Link::Raw, 1)));
        assert_eq!(ran.status, Some(0));
        ran.text().lines().map(|line| line[13..].to_owned()).collect::<Vec<_>>()
    };
    let begin = "#1 * 127.0.0.1:50000 to 127.0.0.1:9001";
    let tls = told(&[(CLIENT, b"\x16\x03\x01\x02\x00".to_vec()), (SERVER, b"\x16\x03\x03".to_vec())]);
    assert_eq!(tls, [begin, "#1 > not read: TLS, which cannot be read"]);
    let other = told(&[(SERVER, b"SSH-2.0-x\r\n".to_vec()), (CLIENT, b"SSH-2.0-y\r\n".to_vec())]);
    assert_eq!(other, [begin, "#1 < not read: neither a WebSocket nor TLS"]);
    let http = told(&[
        (CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
    ]);
    assert_eq!(http, [begin, "#1 > GET /", "#1 > not read: plain HTTP, which asks for no WebSocket"]);
    let talk = Talk::open(None);
    let refused =
        told(&[talk.sent[0].clone(), (SERVER, b"HTTP/1.1 403 Not You\r\nContent-Length: 2\r\n\r\nno".to_vec())]);
    assert_eq!(refused[2], "#1 < rejected: 403 Not You");
    // What is no TCP, or no packet at all, is passed over.
    let file = pcap(Link::Ethernet, &[vec![], vec![0; 13], vec![0xFF; 60], [&[0; 12][..], &[8, 0, 0x45]].concat()]);
    assert_eq!((inspect(&[], &file).status, inspect(&[], &file).text()), (Some(0), ""));
}

#[test]
fn bytes_that_are_missing_are_told_and_what_is_before_them_is_read() {
    let mut talk = Talk::open(None);
    talk.text(SERVER, "before").text(SERVER, "lost").text(SERVER, "behind").text(CLIENT, "other way");
    let mut all = segments(&talk.sent, usize::MAX);
    let lost = all.iter().position(|segment| segment.data.ends_with(b"lost")).unwrap();
    let at = all.remove(lost).at - 1;
    let ran = inspect(&[], &pcap(Link::Raw, &packets(&all, ends(50_000), Link::Raw, 1)));
    assert!(ran.text().contains("text before") && ran.text().contains("text other way"), "{}", ran.text());
    assert!(
        ran.text().contains(&format!("#1 < unread: bytes are missing in the capture, from byte {at} on\n")),
        "{}",
        ran.text()
    );
    assert!(!ran.text().contains("behind"));
    // A reset is an end.
    let reset = Segment { side: SERVER, at, data: vec![], flags: "R" };
    let mut all = segments(&talk.sent, usize::MAX);
    all.truncate(6);
    all.push(reset);
    let ran = inspect(&[], &pcap(Link::Raw, &packets(&all, ends(50_000), Link::Raw, 1)));
    assert!(ran.text().ends_with("#1 < end: RST\n"), "{}", ran.text());
}

#[test]
fn a_connection_whose_answer_is_not_there_is_read_as_it_was_asked_for() {
    let talk = chat(takeover());
    let mut all = segments(&talk.sent, usize::MAX);
    all.retain(|segment| segment.side == CLIENT);
    let mut expected = said();
    expected.retain(|object| object["from"] == "client");
    // To its end, and to that of the capture.
    for end in [all.len(), all.len() - 1] {
        let ran = inspect(&["--json"], &pcap(Link::Raw, &packets(&all[..end], ends(50_000), Link::Raw, 1)));
        assert_eq!((ran.status, messages(&ran)), (Some(0), expected.clone()));
    }
}

#[test]
fn no_more_connections_are_kept_than_are_asked_for() {
    let mut talk = Talk::open(None);
    talk.text(CLIENT, "kept");
    let first = packets(&segments(&talk.sent, usize::MAX)[..4], ends(50_000), Link::Raw, 1);
    let mut all = first.clone();
    for port in 1..20 {
        all.extend(packets(&segments(&talk.sent, usize::MAX)[..4], ends(50_000 + port), Link::Raw, 1));
    }
    let ran = inspect(&["--max-connections=8"], &pcap(Link::Raw, &all));
    assert!(ran.text().contains("#1 * unread: given up, as there are too many connections\n"), "{}", ran.text());
    assert_eq!(ran.text().matches("given up").count(), 12, "{}", ran.text());
    assert_eq!(ran.stderr, "sockless: not read: 12 connections given up; see --max-connections\n");
    let ran = inspect(&["--max-connections=20"], &pcap(Link::Raw, &all));
    assert_eq!((ran.text().matches("given up").count(), &*ran.stderr), (0, ""));
}

#[test]
fn a_file_that_is_cut_is_read_as_far_as_it_goes() {
    let talk = chat(None);
    let all = packets(&segments(&talk.sent, usize::MAX), ends(50_000), Link::Raw, 1);
    for file in [pcap(Link::Raw, &all), pcapng(Link::Raw, &all, 6)] {
        let ran = inspect(&["--json"], &file[..file.len() - 3]);
        assert_eq!((ran.status, &*ran.stderr), (Some(0), "sockless: the capture ends within a packet\n"));
        assert_eq!(messages(&ran), said());
    }
    let header = pcap_header(Link::Raw);
    assert_eq!(inspect(&[], &header).status, Some(0));
    for (file, status) in [(&b""[..], 2), (b"GET / HTTP", 2), (b"{}", 1), (b"{", 1), (&header[..3], 2)] {
        let ran = inspect(&[], file);
        assert_eq!((ran.status, ran.text()), (Some(status), ""), "{file:?}");
    }
    assert_eq!(run(&["inspect", "/nowhere/at/all"], b"").status, Some(1));
    // A block that says it is longer than any.
    let long = [&header[..], &[0; 8], &[0xFF; 8], &vec![0; 17 << 20]].concat();
    let ran = inspect(&[], &long);
    assert_eq!(
        (ran.status, ran.stderr.starts_with("sockless: the capture cannot be read: ")),
        (Some(1), true),
        "{}",
        ran.stderr
    );
}

#[test]
fn damaged_files_harm_nothing() {
    let talk = chat(takeover());
    let all = packets(&segments(&talk.sent, 64), ends(50_000), Link::Ethernet, 1);
    let mut random = 7_u64;
    for (index, file) in [pcap(Link::Ethernet, &all), pcapng(Link::Ethernet, &all, 6)].iter().enumerate() {
        for _ in 0..30 {
            let mut file = file.clone();
            for _ in 0..8 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (random >> 33) as usize % file.len();
                file[at] = (random >> 20) as u8;
            }
            let ran = inspect(&["-v"], &file);
            assert!(matches!(ran.status, Some(0..=3)) && !ran.stderr.contains("panic"), "{index}: {}", ran.stderr);
        }
    }
}

#[test]
fn one_ends_bytes_are_read_by_its_role() {
    for deflate in [None, takeover()] {
        let talk = chat(deflate);
        for (side, role) in [(CLIENT, "client"), (SERVER, "server")] {
            let mut expected = said();
            expected.retain(|object| object["from"] == role);
            if side == SERVER {
                expected[0]["url"] = Value::Null;
            }
            let ran = inspect(&["--json", "--role", role], &talk.stream(side));
            assert_eq!((ran.status, messages(&ran)), (Some(0), expected.clone()));
            // Without its handshake.
            let head = talk.sent.iter().find(|(of, _)| *of == side).unwrap().1.len();
            let is_plain = talk.stream(side)[head] & 0x40 == 0;
            let how = if is_plain {
                &["--json", "--role", role, "--open"][..]
            } else {
                &["--json", "--role", role, "--open", "--compressed"]
            };
            let ran = inspect(how, &talk.stream(side)[head..]);
            assert_eq!((ran.status, messages(&ran)), (Some(0), expected[1..].to_vec()));
        }
    }
    let ran = inspect(&["--role=server", "--open"], b"\x81\x05Hel");
    assert_eq!(
        (ran.status, ran.text()),
        (
            Some(3),
            "#1 < FAULT at byte 4, in what begins at 0: transport ended without a closing handshake (RFC 6455 §7.1.5)\n"
        )
    );
}

#[test]
fn an_archive_of_a_browser_is_read() {
    let har = json!({ "log": { "entries": [
        { "request": { "url": "https://example.com/" } },
        { "request": { "url": "wss://example.com/chat" }, "_webSocketMessages": [
            { "type": "send", "time": 1_700_000_000.5, "opcode": 1, "data": "hi\u{1b}" },
            { "type": "receive", "time": 1_700_000_001.75, "opcode": 2, "data": "AP8=" },
            { "type": "receive", "time": 1_700_000_002.0, "opcode": 2, "data": "*" },
        ] },
    ] } });
    let file = format!("\u{feff}{har}");
    let ran = inspect(&[], file.as_bytes());
    assert_eq!(
        ran.text(),
        "    0.000000 #1 * the browser to wss://example.com/chat
    0.000000 #1 > text hi\\u{1b}
    1.250000 #1 < binary 00ff
    1.500000 #1 < FAULT: the archive's data is no base64: Invalid symbol 42, offset 0.
"
    );
    assert_eq!(ran.status, Some(3));
    let ran = inspect(&["--json"], file.trim_start_matches('\u{feff}').as_bytes());
    let message = &objects(&ran, &[])[1];
    assert_eq!(
        *message,
        json!({ "event": "message", "type": "text", "text": "hi\u{1b}", "frames": 1, "connection": 1, "from": "client", "time": 1_700_000_000_500.0 })
    );
}

#[test]
fn a_file_that_grows_is_followed_until_ctrl_c() {
    let talk = chat(takeover());
    let all = packets(&segments(&talk.sent, usize::MAX), ends(50_000), Link::Raw, 1);
    let path = env::temp_dir().join(format!("sockless-grows-{}.pcap", std::process::id()));
    let mut file = fs::File::create(&path).unwrap();
    let mut child =
        command(&["inspect", "--follow", "--json", path.to_str().unwrap()]).stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || within("a line", || lines.next()).unwrap().unwrap();
    file.write_all(&pcap_header(Link::Raw)[..3]).unwrap();
    file.write_all(&pcap_header(Link::Raw)[3..]).unwrap();
    for (index, packet) in all[..4].iter().enumerate() {
        let bytes = pcap_packet(index as u32, packet);
        // A packet may be written in two parts.
        file.write_all(&bytes[..20]).unwrap();
        file.write_all(&bytes[20..]).unwrap();
    }
    assert!(next().contains("connection") && next().contains("request") && next().contains("open"));
    file.write_all(&pcap_packet(5, &all[4])).unwrap();
    assert!(next().contains("hello, hello, hello"));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = within("it ends", || child.wait_with_output()).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
}

/// What tshark reads of the same file, a line for each frame: who sends it, its opcode, and its payload without its mask.
#[test]
fn tshark_reads_the_same() {
    if Command::new("tshark").arg("--version").stdout(Stdio::null()).status().is_err() {
        return left_out("tshark is missing");
    }
    let talk = chat(None);
    let file = pcap(Link::Ethernet, &packets(&segments(&talk.sent, usize::MAX), ends(50_000), Link::Ethernet, 1));
    let path = env::temp_dir().join(format!("sockless-tshark-{}.pcap", std::process::id()));
    fs::write(&path, &file).unwrap();
    let fields = ["tcp.srcport", "websocket.opcode", "websocket.payload.text", "websocket.payload.close.status_code"];
    let mut tshark = Command::new("tshark");
    tshark.args([
        "-n",
        "-r",
        path.to_str().unwrap(),
        "-d",
        "tcp.port==9001,http",
        "-Y",
        "websocket",
        "-T",
        "fields",
        "-E",
        "separator=|",
    ]);
    fields.iter().for_each(|field| _ = tshark.args(["-e", field]));
    let told = within("tshark ends", || tshark.output()).unwrap();
    fs::remove_file(&path).unwrap();
    let theirs: Vec<String> = String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect();
    let ours: Vec<String> = said()[2..]
        .iter()
        .map(|object| {
            let port = if object["from"] == "client" { 50_000 } else { 9001 };
            let text = object["text"].as_str().unwrap_or_default();
            let (opcode, text, code) = match object["event"].as_str().unwrap() {
                "message" if object["type"] == "text" => ("1", text, String::new()),
                "message" => ("2,0", "", String::new()),
                "ping" => ("9", "", String::new()),
                "pong" => ("10", "", String::new()),
                _ => ("8", "", object["code"].to_string()),
            };
            format!("{port}|{opcode}|{}|{code}", text.replace('\n', "\\n"))
        })
        .collect();
    assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&told.stderr));
}
