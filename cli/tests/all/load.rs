//! `load` against servers that answer, that stand still, and that leave.

use crate::common::{Ran, Serving, run, serve};
use serde_json::{Value, json};
use sockless_tokio::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The objects that a run prints, one for each URL.
fn objects(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many latencies were longer than this.
fn longer(object: &Value, ms: f64) -> u64 {
    let steps = object["histogram"].as_array().unwrap().iter();
    let is_longer = |step: &&Value| step["up_to_ms"].as_f64().unwrap() / 2.0 >= ms;
    steps.filter(is_longer).map(|step| step["count"].as_u64().unwrap()).sum()
}

#[test]
fn what_is_sent_is_answered() {
    let server = Serving::start(&[]);
    for how in
        [&["--in-flight=8"][..], &["--binary", "--size=5000"], &["--compress", "--message-rate=300"], &["--rate=30"]]
    {
        let arguments = [&["load", "--json", "--connections=3", "--duration=0.3", &server.url], how].concat();
        let ran = run(&arguments, b"");
        let object = &objects(&ran)[0];
        assert_eq!(json!([ran.status, object["connections"], ran.stderr]), json!([0, 3, ""]), "{how:?}");
        assert!(object["sent"].as_u64().unwrap() > 0 && object["sent"] == object["answered"], "{object}");
        assert_eq!(object["failures"], json!({}));
        let ms = |name: &str| object["latency_ms"][name].as_f64().unwrap();
        assert!(
            ms("min") > 0.0 && ms("min") <= ms("p50") && ms("p50") <= ms("p99") && ms("p99") <= ms("max"),
            "{object}"
        );
        assert_eq!(longer(object, 0.0), object["answered"].as_u64().unwrap());
    }
}

/// Connections whose time comes behind the end are not waited for.
#[test]
fn it_ends_when_it_is_to_at_any_rate() {
    let server = Serving::start(&[]);
    for rate in ["--rate=0.001", "--rate=1e-300"] {
        let ran = run(&["load", "--json", "--connections=3", "--duration=0.1", rate, &server.url], b"");
        let object = &objects(&ran)[0];
        assert_eq!(json!([ran.status, object["connections"], ran.stderr]), json!([0, 1, ""]), "{rate}");
    }
}

/// Neither end can write while the other does not read: who sends has to read meanwhile, however much it sends.
#[test]
fn more_may_be_in_flight_than_buffers_hold() {
    let server = Serving::start(&[]);
    let arguments =
        ["load", "--json", "--connections=1", "--in-flight=300", "--size=100000", "--duration=1", &server.url];
    let ran = run(&arguments, b"");
    let object = &objects(&ran)[0];
    assert_eq!(json!([ran.status, object["failures"], ran.stderr]), json!([0, {}, ""]));
    assert!(object["sent"].as_u64().unwrap() >= 300 && object["sent"] == object["answered"], "{object}");
}

/// A server that stands still once, for a known time: what `load` says is held against the schedule, by hand.
///
/// The message at which the server stops was due when the stop began, or before. The one that is due `j` periods later is answered
/// when the stop is over, or later: its latency is at least the stop less `j` periods, however slow the machine is.
#[test]
fn a_stall_shows_in_all_messages_that_it_held_up() {
    const STALL: f64 = 1000.0;
    const PERIOD: f64 = 2.0;
    let url = serve(Server::new(), |mut socket, _, _| async move {
        let mut count = 0;
        while let Some(message) = socket.recv().await? {
            count += 1;
            if count == 50 {
                tokio::time::sleep(Duration::from_millis(STALL as u64)).await;
            }
            socket.feed(message).await?;
        }
        Ok(())
    });
    let ran = run(&["load", "--json", "--connections=1", "--message-rate=500", "--duration=3", &url], b"");
    let object = &objects(&ran)[0];
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let answered = object["answered"].as_f64().unwrap();
    assert_eq!(object["sent"].as_f64().unwrap(), answered);
    assert!(answered > 600.0, "the schedule goes on behind the stop: {object}");
    // As many are at least so late.
    let late = |ms: f64| ((STALL - ms) / PERIOD).floor() as u64;
    for step in object["histogram"].as_array().unwrap() {
        let ms = step["up_to_ms"].as_f64().unwrap() / 2.0;
        if ms < STALL {
            assert!(longer(object, ms) >= late(ms), "{} of {} over {ms} ms: {object}", longer(object, ms), late(ms));
        }
    }
    // Of those above a percentile, the least is late by the stop less their periods; a digit in a thousand is not kept.
    for (name, share) in [("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        let least = STALL - (answered * (1.0 - share)).ceil() * PERIOD;
        let said = object["latency_ms"][name].as_f64().unwrap();
        assert!(said >= least * 0.999, "{name}: {said} ms, and by the schedule {least} ms at least");
    }
}

#[test]
fn failures_are_counted_by_kind_and_servers_stand_side_by_side() {
    let good = Serving::start(&[]);
    let leaving = serve(Server::new(), |mut socket, _, _| async move {
        _ = socket.recv().await?;
        socket.close(1011, "").await
    });
    let ran = run(&["load", "--connections=2", "--duration=0.3", "--json", &good.url, &leaving], b"");
    let objects = objects(&ran);
    assert_eq!(json!([ran.status, objects[0]["url"], objects[1]["url"]]), json!([3, good.url, leaving]));
    assert_eq!(json!([objects[0]["failures"], objects[1]["answered"]]), json!([{}, 0]));
    let failures = objects[1]["failures"].as_object().unwrap();
    assert!(failures.len() == 1 && failures.iter().all(|(kind, n)| kind.contains("1011") && *n == 2), "{failures:?}");
    let ran = run(&["load", "--connections=2", "--duration=0.3", &good.url, &leaving], b"");
    let head = ran.text().lines().next().unwrap();
    assert!(
        head.contains(&good.url) && head.contains(&leaving) && ran.text().contains("latency, p99.9"),
        "{}",
        ran.text()
    );
}

#[test]
fn a_server_that_is_not_reached_and_one_that_does_not_answer() {
    let refusing = Arc::new(AtomicU32::new(0));
    let counted = refusing.clone();
    let server = Server::new().answer(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err::<(_, sockless_tokio::Request<'static>), _>(sockless_tokio::Reject::new(503)) }
    });
    let url = serve(server, |_, _, _| async { Ok(()) });
    let ran = run(&["load", "--connections=3", "--duration=0.2", "--json", &url], b"");
    let object = &objects(&ran)[0];
    assert_eq!((ran.status, refusing.load(Ordering::SeqCst)), (Some(1), 3));
    assert_eq!(object["failures"]["server answered with status 503"], 3);
    let other = serve(Server::new(), |mut socket, _, _| async move {
        while socket.recv().await?.is_some() {
            socket.send("something else").await?;
        }
        Ok(())
    });
    let ran = run(&["load", "--connections=1", "--duration=0.2", "--json", &other], b"");
    assert_eq!(json!([ran.status, objects(&ran)[0]["failures"]]), json!([3, { "answer of another length": 1 }]));
}
