//! The hub: who gets what, in which order, and what becomes of those who are slow.

use crate::common;
use futures_util::{FutureExt, StreamExt};
use sockless_test_support::Soon;
use sockless_tokio::sockless::{Kind, Prepared};
use sockless_tokio::{Bounds, Delivery, Hub, HubCounts, Member, Slow};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What waits for a member, as text: `topic: message`, `missed N`, and `dropped` at the end.
fn waiting(member: &mut Member) -> Vec<String> {
    let mut told = vec![];
    while let Some(delivery) = member.recv().now_or_never() {
        told.push(match delivery {
            Some(Delivery::Message { topic, message }) => {
                format!("{topic}: {}", String::from_utf8_lossy(message.payload()))
            }
            Some(Delivery::Missed(count)) => format!("missed {count}"),
            None => {
                told.push("dropped".into());
                break;
            }
        });
    }
    told
}

fn member(hub: &Hub, topics: &[&str]) -> Member {
    let member = hub.member(Bounds::default(), Slow::default());
    assert!(topics.iter().all(|topic| member.join(topic)));
    member
}

#[test]
fn members_of_a_topic_get_its_messages() {
    let hub = Hub::new();
    let (mut a, mut b, mut both) = (member(&hub, &["a"]), member(&hub, &["b"]), member(&hub, &["a", "b"]));
    assert_eq!(hub.publish("a", &Prepared::text("one")), 2);
    assert_eq!(hub.publish("b", &Prepared::text("two")), 2);
    assert_eq!(hub.publish("c", &Prepared::text("nobody")), 0);
    assert_eq!(waiting(&mut a), ["a: one"]);
    assert_eq!(waiting(&mut b), ["b: two"]);
    assert_eq!(waiting(&mut both), ["a: one", "b: two"]);
    assert!(waiting(&mut both).is_empty());
}

#[test]
fn joining_and_leaving() {
    let hub = Hub::new();
    let mut a = member(&hub, &["a"]);
    assert!(!a.join("a"), "it has joined before");
    assert_eq!(hub.publish("a", &Prepared::text("once")), 1);
    assert!(a.leave("a"));
    assert!(!a.leave("a"));
    assert_eq!(hub.publish("a", &Prepared::text("gone")), 0);
    assert_eq!(waiting(&mut a), ["a: once"], "what was published before still comes");
    assert_eq!(hub.topics(), Vec::<Arc<str>>::new(), "a topic without members is forgotten");
    assert!(a.join("a"));
    assert_eq!((hub.count("a"), hub.topics()), (1, vec!["a".into()]));
    drop(a);
    assert_eq!((hub.count("a"), hub.topics()), (0, vec![]));
}

#[test]
fn a_member_publishes_to_all_others() {
    let hub = Hub::new();
    let (mut a, mut b, mut c) = (member(&hub, &["t"]), member(&hub, &["t"]), member(&hub, &["t"]));
    let outside = member(&hub, &[]);
    assert_eq!(a.publish("t", &Prepared::text("from a")), 2);
    assert_eq!(outside.publish("t", &Prepared::text("from outside")), 3);
    assert_eq!(waiting(&mut a), ["t: from outside"]);
    for other in [&mut b, &mut c] {
        assert_eq!(waiting(other), ["t: from a", "t: from outside"]);
    }
}

#[test]
fn a_message_is_framed_once() {
    let hub = Hub::new();
    let message = Prepared::binary(&[7; 1000]);
    let mut members: Vec<_> = (0..10).map(|_| member(&hub, &["t"])).collect();
    hub.publish("t", &message);
    for member in &mut members {
        let Some(Some(Delivery::Message { message: got, .. })) = member.recv().now_or_never() else { panic!() };
        assert_eq!(got.kind(), Kind::Binary);
        assert!(std::ptr::eq(got.payload(), message.payload()));
    }
}

#[test]
fn slow_members_are_told_what_they_missed() {
    let hub = Hub::new();
    let mut slow = hub.member(Bounds { messages: 3, ..Bounds::default() }, Slow::Tell);
    let mut quick = hub.member(Bounds { messages: 3, ..Bounds::default() }, Slow::Tell);
    slow.join("t");
    quick.join("t");
    for number in 0..5 {
        assert_eq!(hub.publish("t", &Prepared::text(&number.to_string())), 2);
        assert_eq!(waiting(&mut quick), [format!("t: {number}")]);
    }
    assert_eq!(waiting(&mut slow), ["missed 2", "t: 2", "t: 3", "t: 4"]);
    hub.publish("t", &Prepared::text("5"));
    assert_eq!(waiting(&mut slow), ["t: 5"]);
    let counts = hub.counts();
    assert_eq!((counts.published, counts.delivered, counts.missed, counts.dropped), (6, 12, 2, 0));
}

#[test]
fn slow_members_are_dropped() {
    let hub = Hub::new();
    let mut slow = hub.member(Bounds { messages: 2, ..Bounds::default() }, Slow::Drop);
    let mut quick = member(&hub, &["t"]);
    assert!(slow.join("t") && slow.join("u"));
    assert_eq!(hub.publish("t", &Prepared::text("1")), 2);
    assert_eq!(hub.publish("u", &Prepared::text("2")), 1);
    assert_eq!(hub.publish("t", &Prepared::text("3")), 1);
    assert_eq!(waiting(&mut slow), ["dropped"]);
    assert_eq!(waiting(&mut slow), ["dropped"]);
    assert_eq!(waiting(&mut quick), ["t: 1", "t: 3"]);
    assert!(!slow.join("t"));
    assert_eq!((hub.count("t"), hub.count("u")), (1, 0));
    let counts = hub.counts();
    assert_eq!((counts.members, counts.dropped, counts.missed), (1, 1, 2));
    drop(slow);
    assert_eq!(hub.counts(), counts);
}

#[test]
fn bytes_are_bounded_too() {
    let hub = Hub::new();
    let mut member = hub.member(Bounds { bytes: 100, ..Bounds::default() }, Slow::Tell);
    member.join("t");
    let long = "x".repeat(60);
    for _ in 0..3 {
        hub.publish("t", &Prepared::text(&long));
    }
    // The bound, and one message.
    assert_eq!(waiting(&mut member), ["missed 1".into(), format!("t: {long}"), format!("t: {long}")]);
    // One that is longer than the bound goes through by itself.
    let longer = "y".repeat(1000);
    hub.publish("t", &Prepared::text("z"));
    hub.publish("t", &Prepared::text(&longer));
    hub.publish("t", &Prepared::text("z"));
    assert_eq!(waiting(&mut member), ["missed 2", "t: z"]);
    let mut least = hub.member(Bounds { messages: 0, bytes: 0 }, Slow::Tell);
    least.join("u");
    hub.publish("u", &Prepared::text("a"));
    assert_eq!(waiting(&mut least), ["u: a"]);
}

#[test]
fn counts() {
    let hub = Hub::new();
    let members = [member(&hub, &["a"]), member(&hub, &["a", "b"])];
    hub.publish("a", &Prepared::text("x"));
    hub.clone().publish("c", &Prepared::text("y"));
    let mut wanted = HubCounts::default();
    (wanted.members, wanted.topics, wanted.published, wanted.delivered) = (2, 2, 2, 2);
    assert_eq!(hub.counts(), wanted);
    drop(members);
    (wanted.members, wanted.topics) = (0, 0);
    assert_eq!(hub.counts(), wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_once_and_in_order_though_every_wait_is_given_up() {
    const EACH: u32 = 2_000;
    let hub = Hub::new();
    let bounds = Bounds { messages: usize::MAX, bytes: usize::MAX };
    let receivers: Vec<_> = (0..4)
        .map(|_| {
            let mut member = hub.member(bounds, Slow::Drop);
            member.join("t");
            tokio::spawn(async move {
                let mut got = vec![];
                while got.len() < 2 * EACH as usize {
                    // Most of these futures are dropped before they are ready.
                    let delivery = tokio::select! {
                        biased;
                        delivery = member.recv() => delivery,
                        () = tokio::task::yield_now() => continue,
                    };
                    let Some(Delivery::Message { message, .. }) = delivery else { panic!("{delivery:?}") };
                    got.push(<[u8; 8]>::try_from(message.payload()).unwrap());
                }
                got
            })
        })
        .collect();
    let senders = [0_u32, 1].map(|sender| {
        let hub = hub.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                let message = [sender.to_be_bytes(), number.to_be_bytes()].concat();
                assert_eq!(hub.publish("t", &Prepared::binary(&message)), 4);
                if number % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    let mut orders = vec![];
    for receiver in receivers {
        orders.push(timeout(Duration::from_secs(60), receiver).await.expect("all come").unwrap());
    }
    for sender in senders {
        sender.await.unwrap();
    }
    for sender in [0_u32, 1] {
        let of_it: Vec<_> = orders[0].iter().filter(|message| message[..4] == sender.to_be_bytes()).collect();
        assert!(of_it.iter().map(|message| &message[4..]).eq((0..EACH).map(u32::to_be_bytes)));
    }
    assert!(orders.iter().all(|order| *order == orders[0]), "the same order for all");
}

#[tokio::test]
async fn a_member_is_a_stream_that_is_woken() {
    let hub = Hub::new();
    let member = member(&hub, &["t"]);
    let received = tokio::spawn(member.take(2).count());
    tokio::task::yield_now().await;
    hub.publish("t", &Prepared::text("1"));
    tokio::task::yield_now().await;
    hub.publish("t", &Prepared::text("2"));
    assert_eq!(timeout(Duration::from_secs(30), received).await.expect("it is woken").unwrap(), 2);
}

#[tokio::test]
async fn from_socket_to_socket() {
    let hub = Hub::new();
    let mut clients = vec![];
    for _ in 0..3 {
        let (client, mut socket) = common::pair(1 << 16);
        let mut member = member(&hub, &["room"]);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = socket.recv() => match message? {
                        Some(message) => _ = member.publish("room", &Prepared::text(message.as_text().unwrap())),
                        None => return Ok::<_, sockless_tokio::Error>(()),
                    },
                    delivery = member.recv() => {
                        let Some(Delivery::Message { message, .. }) = delivery else { panic!("{delivery:?}") };
                        socket.send_prepared(&message).soon().await?;
                    }
                }
            }
        });
        clients.push(client);
    }
    for sender in 0..3 {
        let text = format!("from {sender}");
        clients[sender].send(text.clone()).soon().await.unwrap();
        for receiver in (0..3).filter(|receiver| *receiver != sender) {
            let got = timeout(Duration::from_secs(30), clients[receiver].recv()).await.expect("it comes").unwrap();
            assert_eq!(got, Some(text.clone().into()));
        }
    }
}
