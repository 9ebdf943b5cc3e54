//! `connect` against `serve`, and against servers of this process.

use crate::common::{Serving, run, run_open, serve};
use serde_json::{Value, json};
use sockless_tokio::{Config, Event, Server, sockless::Deflate};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The objects of an output of JSON lines.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn lines_go_out_as_messages_and_messages_come_as_lines() {
    let server = Serving::start(&[]);
    let ran = run(&["connect", &server.url], "one\r\ntwo\n\nzwölf".as_bytes());
    assert_eq!((ran.status, ran.text(), &*ran.stderr), (Some(0), "one\ntwo\n\nzwölf\n", ""));
}

#[test]
fn much_goes_both_ways_at_once() {
    let server = Serving::start(&[]);
    let line = "x".repeat(99_999) + "\n";
    let input = line.repeat(200);
    let ran = run(&["connect", &server.url, "--no-compression"], input.as_bytes());
    assert_eq!((ran.status, &*ran.stderr), (Some(0), ""));
    assert!(ran.stdout == input.as_bytes());
}

#[test]
fn bytes_pass_as_they_are() {
    let server = Serving::start(&[]);
    let input: Vec<u8> = (0..300_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let ran = run(&["connect", "--binary", &server.url], &input);
    assert_eq!((ran.status, &*ran.stderr), (Some(0), ""));
    assert!(ran.stdout == input);
}

#[test]
fn hex_and_base64_are_lines_both_ways() {
    let server = Serving::start(&[]);
    for (how, input, output) in
        [("--hex", "00ff\nxyz\n0A\n", "00ff\n0a\n"), ("--base64", "AP8=\n*\nCg==\n", "AP8=\nCg==\n")]
    {
        let ran = run(&["connect", how, &server.url], input.as_bytes());
        assert_eq!((ran.status, ran.text()), (Some(0), output));
        assert!(ran.stderr.contains("not sent"), "{}", ran.stderr);
    }
}

#[test]
fn binary_messages_among_text_are_told_apart() {
    let url = serve(Server::new(), |mut socket, _, _| async move { socket.send(vec![0, 255]).await });
    let ran = run_open(&["connect", &url]);
    assert_eq!((ran.status, ran.text()), (Some(0), "hex:00ff\n"));
}

#[test]
fn what_is_to_be_said_in_the_request_is() {
    let url = serve(Server::new(), |mut socket, _, request| async move {
        let field = |name: &str| String::from_utf8_lossy(request.header(name).unwrap_or_default()).into_owned();
        let told = ["x-a", "cookie", "authorization", "sec-websocket-protocol"].map(field);
        socket.send(told.join("|")).await
    });
    let ran = run_open(&[
        "connect",
        &url,
        "--once",
        "--header=X-A: b:c",
        "--cookie=a=1",
        "--cookie=b=2",
        "--user=me:se:cret",
        "--subprotocol=one",
        "--subprotocol=two",
    ]);
    assert_eq!((ran.status, ran.text()), (Some(0), "b:c|a=1; b=2|Basic bWU6c2U6Y3JldA==|one, two\n"));
}

#[test]
fn verbose_shows_heads_and_what_was_agreed_on() {
    let server = Serving::start(&[]);
    let ran = run(&["connect", "-v", "--subprotocol=chat", &server.url], b"a\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "a\n"));
    for said in [
        "> GET / HTTP/1.1\n",
        "> Sec-WebSocket-Key: (random)\n",
        "> Sec-WebSocket-Extensions: permessage-deflate",
        "< HTTP/1.1 101",
        "* subprotocol: chat\n",
        "* compression: permessage-deflate; sent: window 15, takeover; received: ",
        "* closed with 1000",
    ] {
        assert!(ran.stderr.contains(said), "{said} is not in\n{}", ran.stderr);
    }
    let ran = run(&["connect", "-v", "--no-compression", &server.url], b"");
    assert!(
        ran.stderr.contains("* compression: none\n") && !ran.stderr.contains("permessage-deflate"),
        "{}",
        ran.stderr
    );
}

#[test]
fn json_has_an_object_for_all_that_happens() {
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let url = serve(Server::new().config(config), |mut socket, _, _| async move {
        socket.send("say \"hi\"").await?;
        socket.send(vec![0, 255]).await?;
        socket.ping(b"?").await?;
        socket.close(4000, "enough").await
    });
    let ran = run_open(&["connect", "--json", &url]);
    let objects = objects(ran.text());
    let events: Vec<_> = objects.iter().map(|object| object["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["open", "message", "message", "ping", "close", "lost"]);
    assert_eq!(json!([objects[0]["status"], objects[0]["url"]]), json!([101, url]));
    assert_eq!(objects[0].get("head"), None);
    assert!(objects[0]["compression"].is_string(), "{}", objects[0]);
    assert_eq!(json!([objects[1]["type"], objects[1]["text"]]), json!(["text", "say \"hi\""]));
    assert_eq!(json!([objects[2]["type"], objects[2]["base64"]]), json!(["binary", "AP8="]));
    assert_eq!(objects[3]["base64"], "Pw==");
    assert_eq!(json!([objects[4]["code"], objects[4]["reason"]]), json!([4000, "enough"]));
    assert_eq!(json!([objects[5]["error"], ran.status]), json!(["closed with 4000 (application): enough", 3]));
    let ran = run_open(&["connect", "--json", "-v", &url]);
    let heads: Vec<_> = self::objects(ran.text()).iter().map(|object| object["head"].clone()).collect();
    assert!(heads[0].as_str().unwrap().starts_with("GET / ") && heads[1].as_str().unwrap().starts_with("HTTP/1.1 101"));
    let times: Vec<_> = objects.iter().map(|object| object["time"].as_f64().unwrap()).collect();
    assert!(times[0] > 1.6e12 && times.is_sorted(), "{times:?}");
}

#[test]
fn pings_are_sent_and_their_round_trips_told() {
    let url = serve(Server::new(), |mut socket, _, _| async move {
        let mut pings = 0;
        while pings < 3 {
            match socket.recv_event().await? {
                Some(Event::Ping(_)) => pings += 1,
                Some(_) => {}
                None => return Ok(()),
            }
        }
        Ok(())
    });
    let ran = run_open(&["connect", "--json", "--ping=0.001", &url]);
    let times: Vec<_> = objects(ran.text()).iter().filter_map(|object| object["ms"].as_f64()).collect();
    // The third may have come when the connection closed.
    assert!(times.len() >= 2 && times.iter().all(|time| *time > 0.0), "{}", ran.text());
    let ran = run_open(&["connect", "--ping=0.001", &url]);
    assert!(ran.status == Some(0) && ran.stderr.matches("* round trip ").count() >= 2, "{}", ran.stderr);
}

#[test]
fn once_ends_after_the_first_message() {
    let url = serve(Server::new(), |mut socket, _, _| async move {
        for n in 0..3 {
            socket.feed(n.to_string()).await?;
        }
        while socket.recv().await?.is_some() {}
        Ok(())
    });
    let ran = run_open(&["connect", "--once", &url]);
    assert_eq!((ran.status, ran.text()), (Some(0), "0\n"));
}

#[test]
fn after_the_end_of_input_it_waits_as_long_as_it_is_told_to() {
    // Says nothing to a client that has closed by then.
    let url = serve(Server::new(), |mut socket, _, _| async move {
        let Some(message) = socket.recv().await? else { return Ok(()) };
        match tokio::time::timeout(std::time::Duration::from_millis(50), socket.recv()).await {
            Ok(_) => Ok(()),
            Err(_) => socket.send(message).await,
        }
    });
    let ran = run(&["connect", "--wait=600", &url], b"late\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "late\n"));
    let ran = run(&["connect", "--once", "--wait=600", &url], b"late\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "late\n"));
}

#[test]
fn it_connects_again_when_it_is_to() {
    let count = Arc::new(AtomicU32::new(0));
    let url = serve(Server::new(), move |mut socket, _, _| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                return socket.close(1012, "back soon").await;
            }
            socket.send("back").await
        }
    });
    let ran = run_open(&["connect", "--reconnect", "--once", &url]);
    assert_eq!((ran.status, ran.text()), (Some(0), "back\n"));
    assert!(ran.stderr.contains("closed with 1012") && ran.stderr.contains("again in"), "{}", ran.stderr);
}
