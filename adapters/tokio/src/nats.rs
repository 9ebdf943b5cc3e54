//! A [`Hub`] on several nodes, joined by a NATS broker.

use crate::hub::{Bounds, Delivery, Hub, Mailbox, WeakHub};
use crate::trace;
use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::{Client, Subscriber};
use futures_core::Stream;
use sockless::Subjects;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use thiserror::Error;

/// Messages handed to the client before it is waited for.
const MOST_UNFLUSHED: usize = 16;

/// Why a hub was not joined to a broker.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The prefix is not one or more tokens of a subject.
    #[error("not a prefix of subjects")]
    Prefix,
    /// The operating system has no randomness to name the node with.
    #[error(transparent)]
    Entropy(getrandom::Error),
    /// The client was closed.
    #[error(transparent)]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The broker does not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Over a NATS broker.
impl Hub {
    /// A hub whose topics reach the members of all nodes that join the same broker with the same prefix. When this
    /// returns, the broker knows of this node.
    ///
    /// A message reaches the members of its own node at once, whether or not the broker is there, and they get it once.
    /// It reaches each other node at most once: what is published while the broker is away waits, within `waiting`,
    /// and the oldest of what is too much is lost and counted as [`unsent`](crate::HubCounts::unsent). So is a message
    /// longer than the broker's `max_payload`, or of a topic longer than 2,048 bytes. The client reconnects by itself,
    /// as its options have it. What other nodes publish while this one is not connected does not come.
    ///
    /// A message's subject is `PREFIX.NODE.KIND_TOPIC`, where `NODE` is random, and `KIND_TOPIC` is `t` or `b`, for text
    /// or binary, and the topic in base64url without padding; its payload is the message's. A program may publish
    /// so, too, under a name of its own for `NODE`. The option `no_echo` of the client saves the broker the work of
    /// sending back to this node what it has published.
    ///
    /// The connection's task ends with the last clone of the hub and its last member, once what waited is sent.
    ///
    /// # Errors
    /// [`NatsError::Prefix`]; the others if the client cannot subscribe, or the broker does not answer in the client's time
    /// for requests.
    ///
    /// # Cancel safety
    /// Dropped, the future leaves nothing behind.
    ///
    /// ```no_run
    /// use sockless_tokio::{Bounds, Hub, sockless::Prepared};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = async_nats::ConnectOptions::new().no_echo().connect("nats://127.0.0.1:4222").await?;
    /// let waiting = Bounds { messages: 10_000, bytes: 16 << 20 };
    /// let hub = Hub::over_nats(client, "chat", waiting).await?;
    /// hub.publish("room", &Prepared::text("to all members on all nodes"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn over_nats(client: Client, prefix: &str, waiting: Bounds) -> Result<Self, NatsError> {
        let node = getrandom::u64().map_err(NatsError::Entropy)?;
        let subjects = Subjects::new(prefix, node).ok_or(NatsError::Prefix)?;
        let incoming = client.subscribe(subjects.all().to_owned()).await?;
        round_trip(&client).await?;
        let (hub, outlet) = Self::with_outlet(waiting);
        let receiving = tokio::spawn(receive(incoming, hub.downgrade(), subjects.clone()));
        let weak = hub.downgrade();
        tokio::spawn(async move {
            send(client, outlet, weak, subjects).await;
            receiving.abort();
        });
        Ok(hub)
    }
}

/// Gives to the members here what other nodes publish.
async fn receive(mut incoming: Subscriber, hub: WeakHub, subjects: Subjects) {
    while let Some(message) = poll_fn(|cx| Pin::new(&mut incoming).poll_next(cx)).await {
        if subjects.is_own(&message.subject) {
            continue;
        }
        let Some((topic, prepared)) = subjects.read(&message.subject, &message.payload) else {
            trace::event!(DEBUG, subject = %message.subject, "not a message of a hub");
            continue;
        };
        hub.deliver(&topic, &prepared);
    }
}

/// Gives to the broker what is published here, until the hub is gone and all is sent.
async fn send(client: Client, outlet: Arc<Mailbox>, hub: WeakHub, subjects: Subjects) {
    let mut unflushed = 0;
    loop {
        let next = poll_fn(|cx| match outlet.poll_recv(cx) {
            Poll::Pending if unflushed > 0 => Poll::Ready(None),
            poll => poll.map(Some),
        });
        let next = next.await;
        if next.is_none() || unflushed >= MOST_UNFLUSHED {
            // The client would keep any amount while the broker is away; this waits until it is back.
            _ = client.flush().await;
            unflushed = 0;
        }
        match next {
            Some(Some(Delivery::Message { topic, message })) => {
                let sent = match subjects.of(&topic, message.kind()) {
                    Some(subject) => client.publish(subject, message.payload().to_vec().into()).await.is_ok(),
                    None => false,
                };
                if !sent {
                    hub.unsent(1);
                }
                unflushed += 1;
            }
            // The hub has counted them.
            Some(Some(Delivery::Missed(_))) | None => {}
            Some(None) => break,
        }
    }
    // A client that hangs up may take back what the broker has not read.
    _ = round_trip(&client).await;
}

/// Waits until the broker has read all that this client has sent before.
async fn round_trip(client: &Client) -> Result<(), RequestError> {
    match client.request(client.new_inbox(), Default::default()).await {
        // Nobody listens there, and the broker says so.
        Err(error) if error.kind() != RequestErrorKind::NoResponders => Err(error),
        _ => Ok(()),
    }
}
