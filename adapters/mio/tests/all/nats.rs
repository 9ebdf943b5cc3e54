//! Topics on two nodes, over a real `nats-server` on loopback, which is in Debian's package of that name.

use crate::common;
use crate::common::{Client, Started, eventually, start, text, within};
use sockless_mio::async_nats::{self, ConnectOptions};
use sockless_mio::{Bounds, Conn, Error, Message, NatsError, Prepared, Server, Subjects, sockless::Kind};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A broker, which ends with this.
struct Broker {
    process: Child,
    directory: PathBuf,
    address: String,
}

impl Broker {
    /// Starts one on a port that the system chooses; none where none is installed, and the test is left out.
    #[track_caller]
    fn start(name: &str) -> Option<Self> {
        common::watch();
        let directory = std::env::temp_dir().join(format!("sockless-mio-nats-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let started = run(&["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", directory.to_str().unwrap()]);
        let Some(process) = started else {
            _ = std::fs::remove_dir(&directory);
            sockless_test_support::left_out("nats-server is not installed");
            return None;
        };
        let file = directory.join(format!("nats-server_{}.ports", process.id()));
        let mut broker = Self { process, directory, address: String::new() };
        eventually("the broker starts", || {
            // {"nats":["nats://127.0.0.1:43523"]}, once it is written to the end.
            let ports = std::fs::read_to_string(&file).unwrap_or_default();
            if ports.trim_end().ends_with('}') {
                broker.address = ports.split('"').find(|word| word.starts_with("nats://127.0.0.1:")).unwrap().into();
            }
            !broker.address.is_empty()
        });
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

    fn join(&self, node: &Started<()>, waiting: Bounds) -> Result<(), NatsError> {
        let options = ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(20));
        within("joining the broker", || node.handle().over_nats(options, self.address.clone(), "test", waiting))
    }

    /// A server whose clients subscribe to what they say, and publish what stands before a colon, of text or with `!` of bytes.
    fn node(&self) -> Started<()> {
        let node =
            start(Server::builder().listen("127.0.0.1:0").workers(2), |conn: &mut Conn<'_>, message: Message<'_>| {
                let said = message.as_text().unwrap_or_default();
                match said.split_once(": ") {
                    Some((topic, "!")) => conn.publish(topic, &Prepared::binary(b"\xFF")),
                    Some((topic, said)) => conn.publish(topic, &Prepared::text(said)),
                    None if said.contains('+') => conn.subscribe_matching(said)?,
                    None => conn.subscribe(said),
                }
                conn.send_text("done")?;
                Ok(())
            });
        self.join(&node, Bounds::default()).unwrap();
        node
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

#[track_caller]
fn say(client: &mut Client, what: &str) {
    client.send_text(what).unwrap();
    assert_eq!(client.receive().unwrap(), Some(text("done")));
}

fn member(node: &Started<()>, topic: &str) -> Client {
    let mut client = node.connect();
    say(&mut client, topic);
    client
}

#[track_caller]
fn hears(client: &mut Client, message: &str) {
    assert_eq!(client.receive().unwrap(), Some(text(message)));
}

#[test]
fn messages_reach_subscribers_of_both_nodes_once() {
    let Some(broker) = Broker::start("once") else { return };
    let (one, two) = (broker.node(), broker.node());
    let topic = "rooms/grüße.*.>";
    let (mut here, mut there) = (member(&one, topic), member(&two, topic));
    let mut filter = member(&two, "rooms/+");
    for number in 0..100 {
        one.handle().publish(topic, &Prepared::text(&format!("one {number}"))).unwrap();
    }
    for member in [&mut here, &mut there, &mut filter] {
        for number in 0..100 {
            hears(member, &format!("one {number}"));
        }
    }
    // A subscriber's own message comes back neither from its node nor from the broker; had one come twice, it would come before this.
    say(&mut here, &format!("{topic}: said"));
    hears(&mut there, "said");
    say(&mut there, &format!("{topic}: !"));
    assert_eq!(here.receive().unwrap(), Some(Message::from(vec![0xFF])));
    // A broadcast stays here.
    one.handle().broadcast(&Prepared::text("all here")).unwrap();
    hears(&mut here, "all here");
    two.handle().publish(topic, &Prepared::text("last")).unwrap();
    for member in [&mut here, &mut there] {
        hears(member, "last");
    }
    // Of several publishers there is no order among the members of several workers.
    let got: Vec<_> = (0..3).map(|_| filter.receive().unwrap().unwrap()).collect();
    for message in [text("said"), Message::from(vec![0xFF]), text("last")] {
        assert!(got.contains(&message), "{got:?}");
    }
    assert!(matches!(broker.join(&one, Bounds::default()), Err(NatsError::Joined)));
    assert_eq!((one.handle().stats().unsent, two.handle().stats().unsent), (0, 0));
    one.stop();
    two.stop();
}

#[test]
fn a_broker_that_restarts_and_what_is_too_much() {
    let Some(mut broker) = Broker::start("restart") else { return };
    let two = broker.node();
    let one = start(Server::builder().workers(1), |_: &mut Conn<'_>, _: Message<'_>| Ok(()));
    broker.join(&one, Bounds { messages: 10, bytes: 8 << 20 }).unwrap();
    let mut there = member(&two, "t");
    let publish = |topic: &str, message: &str| one.handle().publish(topic, &Prepared::text(message)).unwrap();
    publish(&"x".repeat(3_000), "a long topic");
    publish("t", &"x".repeat((1 << 20) + 1));
    publish("t", "before");
    hears(&mut there, "before");
    one.eventually("two are counted", |stats| stats.unsent == 2);

    broker.stop();
    // Nobody waits for it; the oldest are lost.
    eventually("there is no more room", || {
        publish("t", "lost");
        one.handle().stats().unsent > 100
    });
    broker.start_again();
    let mut said = 0;
    let mut heard = None;
    eventually("the nodes come back", || {
        publish("t", &format!("after {said}"));
        said += 1;
        heard = there.receive_timeout(Duration::from_millis(50)).ok();
        heard.is_some()
    });
    publish("t", "the end");
    // In order, and none twice.
    let mut last = -1;
    loop {
        let message = heard.take().unwrap_or_else(|| there.receive().unwrap()).unwrap();
        match message.as_text().unwrap() {
            "the end" => break,
            "lost" => assert_eq!(last, -1),
            after => {
                let number: i32 = after.strip_prefix("after ").unwrap().parse().unwrap();
                assert!(number > last, "{after}");
                last = number;
            }
        }
    }
    one.stop();
    two.stop();
}

#[test]
fn other_programs_publish_and_listen() {
    let Some(broker) = Broker::start("others") else { return };
    let node = broker.node();
    let mut here = member(&node, "room");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let subjects = Subjects::new("test", 7).unwrap();
    let subject = |kind| subjects.of("room", kind).unwrap();
    let mut heard = within("the program", || {
        runtime.block_on(async {
            let client = async_nats::connect(&broker.address).await.unwrap();
            // What is not a message of a topic is passed over.
            for bad in ["test.a.x", "test.a.t!"] {
                client.publish(bad, "no".into()).await.unwrap();
            }
            client.publish(subject(Kind::Text), b"\xE9".as_slice().into()).await.unwrap();
            client.publish(subject(Kind::Text), "said".into()).await.unwrap();
            client.publish(subject(Kind::Binary), b"\xE9".as_slice().into()).await.unwrap();
            let heard = client.subscribe("test.*.tcm9vbQ").await.unwrap();
            // An answer, even that there is nobody, means that the broker has read the subscription.
            client.request("nobody", "".into()).await.unwrap_err();
            heard
        })
    });
    hears(&mut here, "said");
    assert_eq!(here.receive().unwrap(), Some(Message::from(vec![0xE9])));
    node.handle().publish("room", &Prepared::text("answered")).unwrap();
    let next = std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::Pin::new(&mut heard), cx));
    let message = within("the answer", || runtime.block_on(next)).unwrap();
    assert_eq!(&message.payload[..], b"answered");
    node.stop();
}

#[test]
fn what_was_published_is_sent_though_the_server_ends() {
    let Some(broker) = Broker::start("ended") else { return };
    let (one, two) = (broker.node(), broker.node());
    let mut there = member(&two, "t");
    for number in 0..500 {
        one.handle().publish("t", &Prepared::text(&number.to_string())).unwrap();
    }
    let handle = one.handle().clone();
    one.stop();
    for number in 0..500 {
        hears(&mut there, &number.to_string());
    }
    assert!(handle.publish("t", &Prepared::text("late")).is_err());
    assert_eq!(handle.stats().unsent, 0);
    two.stop();
}

#[test]
fn who_cannot_be_joined() {
    common::watch();
    let node = start(Server::builder().workers(1), |_: &mut Conn<'_>, _: Message<'_>| Ok(()));
    let join = |address: String, prefix| {
        within("an answer", || node.handle().over_nats(ConnectOptions::new(), address, prefix, Bounds::default()))
    };
    for prefix in ["", "a..b", "a.*", ">", "a b", ".a", "ä"] {
        assert!(matches!(join("nats://127.0.0.1:1".into(), prefix), Err(NatsError::Prefix)), "{prefix:?}");
    }
    // A port that was free a moment ago refuses.
    let refuses = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(join(format!("nats://{refuses}"), "a.b"), Err(NatsError::Connect(_))));
    let error: Error = NatsError::Joined.into();
    assert_eq!(error.to_string(), "joined to a broker already");
    node.stop();
}
