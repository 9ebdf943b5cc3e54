//! The hub on two nodes, over a real `nats-server` on loopback, which is in Debian's package of that name.

use sockless_test_support::Soon;
use sockless_test_support::{PATIENCE, left_out, watch};
use sockless_tokio::sockless::{Kind, Prepared};
use sockless_tokio::{Bounds, Delivery, Hub, Member, NatsError, Slow};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const LONG: Duration = PATIENCE;
const WAITING: Bounds = Bounds { messages: 1_000, bytes: 1 << 20 };

/// A broker, which ends with this.
struct Broker {
    process: Child,
    directory: PathBuf,
    address: String,
}

impl Broker {
    /// Starts one on a port that the system chooses; none where none is installed, and the test is left out.
    #[track_caller]
    fn start(name: &str) -> impl Future<Output = Option<Self>> {
        watch();
        Self::start_in(name)
    }

    async fn start_in(name: &str) -> Option<Self> {
        let directory = std::env::temp_dir().join(format!("sockless-nats-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let started = run(&["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", directory.to_str().unwrap()]);
        let Some(process) = started else {
            _ = std::fs::remove_dir(&directory);
            left_out("nats-server is not installed");
            return None;
        };
        let file = directory.join(format!("nats-server_{}.ports", process.id()));
        let mut broker = Self { process, directory, address: String::new() };
        let begun = Instant::now();
        while broker.address.is_empty() {
            assert!(begun.elapsed() < LONG, "the broker does not start");
            sleep(Duration::from_millis(10)).await;
            // {"nats":["nats://127.0.0.1:43523"]}, once it is written to the end.
            let ports = std::fs::read_to_string(&file).unwrap_or_default();
            if ports.trim_end().ends_with('}') {
                let word = ports.split('"').find(|word| word.starts_with("nats://127.0.0.1:")).unwrap();
                broker.address = word.into();
            }
        }
        Some(broker)
    }

    fn stop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }

    /// Starts it again where it was.
    fn start_again(&mut self) {
        let port = self.address.rsplit_once(':').unwrap().1;
        self.process = run(&["-a", "127.0.0.1", "-p", port]).expect("it ran before");
    }

    async fn client(&self) -> async_nats::Client {
        let options = async_nats::ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(20));
        timeout(LONG, options.connect(&self.address)).await.expect("in time").unwrap()
    }

    async fn node(&self) -> Hub {
        timeout(LONG, Hub::over_nats(self.client().await, "test", WAITING)).await.expect("in time").unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
        _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Runs a broker, if one is installed.
fn run(arguments: &[&str]) -> Option<Child> {
    // Where Debian has it is not in everybody's path.
    ["nats-server", "/usr/sbin/nats-server"].into_iter().find_map(|program| {
        match Command::new(program).args(arguments).stderr(Stdio::null()).spawn() {
            Ok(process) => Some(process),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{program}: {error}"),
        }
    })
}

fn member(hub: &Hub, topic: &str) -> Member {
    let member = hub.member(Bounds { messages: 10_000, bytes: usize::MAX }, Slow::Drop);
    member.join(topic);
    member
}

async fn next(member: &mut Member) -> (String, Prepared) {
    match timeout(LONG, member.recv()).await.expect("it comes") {
        Some(Delivery::Message { topic, message }) => (topic.to_string(), message),
        other => panic!("{other:?}"),
    }
}

async fn next_text(member: &mut Member) -> String {
    String::from_utf8(next(member).soon().await.1.payload().to_vec()).unwrap()
}

async fn until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "it does not happen");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn messages_reach_members_of_both_nodes_once() {
    let Some(broker) = Broker::start("once").await else { return };
    let (one, two) = (broker.node().await, broker.node().await);
    let topic = "room of grüße.*.> and more";
    let (mut here, mut there, mut apart) = (member(&one, topic), member(&two, topic), member(&two, "apart"));
    for number in 0..100 {
        assert_eq!(one.publish(topic, &Prepared::text(&format!("one {number}"))), 1);
    }
    for member in [&mut here, &mut there] {
        for number in 0..100 {
            assert_eq!(next_text(member).await, format!("one {number}"));
        }
    }
    // Had one of them come twice, it would come before this.
    assert_eq!(two.publish(topic, &Prepared::binary(b"\xFF")), 1);
    for member in [&mut here, &mut there] {
        let (got, message) = next(member).soon().await;
        assert_eq!((&*got, message.kind(), message.payload()), (topic, Kind::Binary, &b"\xFF"[..]));
    }
    // A member's own message comes back neither from its node nor from the broker.
    assert_eq!(here.publish(topic, &Prepared::text("")), 0);
    assert_eq!(next_text(&mut there).await, "");
    two.publish(topic, &Prepared::text("last"));
    assert_eq!(next_text(&mut here).await, "last");
    assert_eq!(next_text(&mut there).await, "last");
    two.publish("", &Prepared::text("a topic of no letters"));
    two.publish("apart", &Prepared::text("the end"));
    assert_eq!(next_text(&mut apart).await, "the end");
    let (first, second) = (one.counts(), two.counts());
    assert_eq!((first.published, second.published, second.received), (101, 4, 101));
    assert_eq!((first.unsent, second.unsent), (0, 0));
}

#[tokio::test]
async fn a_broker_that_restarts() {
    let Some(mut broker) = Broker::start("restart").await else { return };
    let (one, two) = (broker.node().await, broker.node().await);
    let (mut here, mut there) = (member(&one, "t"), member(&two, "t"));
    one.publish("t", &Prepared::text("before"));
    assert_eq!((next_text(&mut here).await, next_text(&mut there).await), ("before".into(), "before".into()));

    broker.stop();
    // Here it goes on.
    assert_eq!(one.publish("t", &Prepared::text("meanwhile")), 1);
    assert_eq!(next_text(&mut here).await, "meanwhile");
    broker.start_again();

    // Nodes come back in their own time, and what one says before the other listens does not reach it.
    let mut said = 0;
    let (hub, begun) = (one.clone(), Instant::now());
    let heard = loop {
        assert!(begun.elapsed() < LONG, "the nodes do not come back");
        hub.publish("t", &Prepared::text(&format!("after {said}")));
        said += 1;
        match timeout(Duration::from_millis(50), there.recv()).await {
            Ok(Some(Delivery::Message { message, .. })) => break message,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    };
    let heard = String::from_utf8(heard.payload().to_vec()).unwrap();
    assert!(heard == "meanwhile" || heard.starts_with("after "), "{heard}");
    one.publish("t", &Prepared::text("the end"));
    let mut last = String::new();
    let mut all = vec![heard];
    while last != "the end" {
        last = next_text(&mut there).await;
        all.push(last.clone());
    }
    // In order, and none twice.
    let order = ["meanwhile".into()].into_iter().chain((0..said).map(|number| format!("after {number}")));
    let mut order = order.chain(["the end".into()]);
    assert!(all.iter().all(|message| order.any(|next| next == *message)), "{all:?}");
    // Those of its own node are all here, once.
    for number in 0..said {
        assert_eq!(next_text(&mut here).await, format!("after {number}"));
    }
    assert_eq!(next_text(&mut here).await, "the end");
    // And the other way round; the first to be heard is enough.
    two.publish("t", &Prepared::text("back"));
    assert_eq!(next_text(&mut here).await, "back");
}

#[tokio::test]
async fn what_cannot_be_sent_is_counted_and_bounded() {
    let Some(mut broker) = Broker::start("bounded").await else { return };
    let client = broker.client().await;
    let few = Bounds { messages: 10, bytes: 8 << 20 };
    let one = timeout(LONG, Hub::over_nats(client.clone(), "test", few)).await.unwrap().unwrap();
    let two = broker.node().await;
    let mut there = member(&two, "t");
    one.publish(&"x".repeat(5_000), &Prepared::text("a long topic"));
    one.publish("t", &Prepared::binary(&vec![0; (1 << 20) + 1]));
    one.publish("t", &Prepared::text("fits"));
    assert_eq!(next_text(&mut there).await, "fits");
    until(|| one.counts().unsent == 2).await;

    broker.stop();
    until(|| client.connection_state() != async_nats::connection::State::Connected).await;
    for _ in 0..1_000 {
        one.publish("t", &Prepared::text("lost"));
        tokio::task::yield_now().await;
    }
    // Ten wait, and a few are on their way.
    let unsent = one.counts().unsent - 2;
    assert!((900..=990).contains(&unsent), "{unsent}");
}

#[tokio::test]
async fn other_programs_publish_and_listen() {
    use futures_util::StreamExt;
    let Some(broker) = Broker::start("others").await else { return };
    let (hub, client) = (broker.node().await, broker.client().await);
    let mut here = member(&hub, "room");
    // What is not a message of a hub is passed over.
    for subject in ["test.a.tcm9vbQ", "test.a.x", "test.a.t!", "test.a.tcm9vbQ"] {
        client.publish(subject, "\u{e9}".into()).await.unwrap();
    }
    client.publish("test.a.tcm9vbQ", b"\xE9".as_slice().into()).await.unwrap();
    client.publish("test.a.bcm9vbQ", b"\xE9".as_slice().into()).await.unwrap();
    assert_eq!(next_text(&mut here).await, "\u{e9}");
    assert_eq!(next_text(&mut here).await, "\u{e9}");
    assert_eq!(next(&mut here).soon().await.1.payload(), b"\xE9");

    let mut heard = client.subscribe("test.*.tcm9vbQ").await.unwrap();
    // An answer, even that there is nobody, means that the broker has read the subscription.
    assert!(timeout(LONG, client.request("nobody", "".into())).await.expect("in time").is_err());
    hub.publish("room", &Prepared::text("said"));
    let message = timeout(LONG, heard.next()).await.expect("it comes").unwrap();
    assert_eq!(&message.payload[..], b"said");
}

#[tokio::test]
async fn what_was_published_is_sent_though_the_hub_is_dropped() {
    let Some(broker) = Broker::start("dropped").await else { return };
    let (one, two) = (broker.node().await, broker.node().await);
    let mut there = member(&two, "t");
    for number in 0..500 {
        one.publish("t", &Prepared::text(&number.to_string()));
    }
    drop(one);
    for number in 0..500 {
        assert_eq!(next_text(&mut there).await, number.to_string());
    }
}

#[tokio::test]
async fn prefixes_that_are_not_subjects() {
    let Some(broker) = Broker::start("prefix").await else { return };
    let client = broker.client().await;
    for prefix in ["", "a..b", "a.*", ">", "a b", ".a", "ä"] {
        let joined = timeout(LONG, Hub::over_nats(client.clone(), prefix, WAITING)).await.expect("in time");
        assert!(matches!(joined, Err(NatsError::Prefix)), "{prefix:?}");
    }
    timeout(LONG, Hub::over_nats(client, "a.b", WAITING)).await.expect("in time").unwrap();
}
