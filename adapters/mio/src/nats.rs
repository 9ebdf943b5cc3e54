//! Topics on several nodes, joined by a NATS broker.

mod queue;

use crate::command::Audience;
use crate::conn::Task;
use crate::handle::Handle;
use crate::mailbox::{Shared, Teller};
use crate::outlet::Outlet;
use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::{Client, ConnectOptions, Subscriber, ToServerAddrs};
use futures_core::Stream;
use queue::{Next, Queue};
use sockless::{Prepared, Subjects};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};
use thiserror::Error;

pub use queue::Bounds;

/// Messages handed to the client before it is waited for.
const MOST_UNFLUSHED: usize = 16;

/// Why a server was not joined to a broker.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The prefix is not one or more tokens of a subject.
    #[error("not a prefix of subjects")]
    Prefix,
    /// The server is joined to a broker already, or has ended.
    #[error("joined to a broker already")]
    Joined,
    /// The operating system has no randomness to name the node with.
    #[error(transparent)]
    Entropy(getrandom::Error),
    /// The thread that speaks to the broker cannot be started.
    #[error(transparent)]
    Thread(#[from] io::Error),
    /// The broker cannot be connected to.
    #[error(transparent)]
    Connect(#[from] async_nats::ConnectError),
    /// The client was closed.
    #[error(transparent)]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The broker does not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Over a NATS broker.
impl<S: 'static> Handle<S> {
    /// Joins this server's topics to those of all that join the same broker with the same prefix: what is published by any of
    /// them reaches the subscribers of all, whether they are `sockless-mio`'s or `sockless-tokio`'s. When this returns, the broker
    /// knows of this node. Broadcasts stay here.
    ///
    /// A message reaches the subscribers here at once, whether or not the broker is there, and they get it once. It reaches
    /// each other node at most once: what is published while the broker is away waits, within `waiting`, and the oldest of
    /// what is too much is lost and counted as [`unsent`](crate::Stats::unsent). So is a message longer than the broker's
    /// `max_payload`, or of a topic longer than 2,048 bytes. The client reconnects by itself, as its options have it. What
    /// other nodes publish while this one is not connected does not come.
    ///
    /// [`Subjects`] says how messages are named, for other programs that publish. The option `no_echo` saves the broker the
    /// work of sending back to this node what it has published.
    ///
    /// It has a thread of its own, which [`Running::join`](crate::Running::join) and [`Server::run`](crate::Server::run) wait for
    /// until what waited is sent. This waits for the broker, so it is not for handlers.
    ///
    /// # Errors
    /// See [`NatsError`].
    ///
    /// ```no_run
    /// use sockless_mio::{Bounds, Conn, Message, Server, async_nats::ConnectOptions};
    ///
    /// let server = Server::builder().listen("127.0.0.1:9001").bind(|_: &mut Conn<'_>, _: Message<'_>| Ok(()))?;
    /// let waiting = Bounds { messages: 10_000, bytes: 16 << 20 };
    /// server.handle().over_nats(ConnectOptions::new().no_echo(), "nats://127.0.0.1:4222", "chat", waiting)?;
    /// server.run()?;
    /// # Ok::<(), sockless_mio::Error>(())
    /// ```
    pub fn over_nats(
        &self,
        options: ConnectOptions,
        address: impl ToServerAddrs + Send + 'static,
        prefix: &str,
        waiting: Bounds,
    ) -> Result<(), NatsError> {
        let node = getrandom::u64().map_err(NatsError::Entropy)?;
        let subjects = Subjects::new(prefix, node).ok_or(NatsError::Prefix)?;
        if self.shared.outlet.get().is_some() {
            return Err(NatsError::Joined);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let queue = Arc::new(Queue::new(waiting));
        let (joined, joins) = mpsc::sync_channel(1);
        let (shared, node_queue) = (Arc::downgrade(&self.shared), queue.clone());
        let node = async move {
            match join(options, address, &subjects).await {
                Ok((client, incoming)) => speak(client, incoming, &subjects, &node_queue, &shared, &joined).await,
                Err(error) => _ = joined.send(Err(error)),
            }
        };
        let thread = thread::Builder::new().name("sockless-nats".into()).spawn(move || runtime.block_on(node))?;
        joins.recv().map_err(|_| io::Error::other("the thread that speaks to the broker has gone"))??;
        let outlet = Nats { queue, thread: Mutex::new(Some(thread)) };
        self.shared.outlet.set(Box::new(outlet)).map_err(|_| NatsError::Joined)
    }
}

/// What a server's messages to other nodes go through; dropped, its thread ends once all is sent.
struct Nats {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Outlet for Nats {
    fn push(&self, topic: &Arc<str>, message: &Prepared) {
        self.queue.push(topic, message);
    }

    fn unsent(&self) -> u64 {
        self.queue.unsent()
    }

    fn end(&self) {
        self.queue.end();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that has panicked has told of it.
        _ = thread.map(JoinHandle::join);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.queue.end();
    }
}

async fn join(
    options: ConnectOptions,
    address: impl ToServerAddrs,
    subjects: &Subjects,
) -> Result<(Client, Subscriber), NatsError> {
    let client = options.connect(address).await?;
    let incoming = client.subscribe(subjects.all().to_owned()).await?;
    round_trip(&client).await?;
    Ok((client, incoming))
}

/// Sends and receives, until nothing more is to be sent.
async fn speak<S>(
    client: Client,
    incoming: Subscriber,
    subjects: &Subjects,
    queue: &Queue,
    shared: &Weak<Shared<Task<S>>>,
    joined: &SyncSender<Result<(), NatsError>>,
) {
    _ = joined.send(Ok(()));
    let mut sending = pin!(send(&client, queue, subjects));
    let mut receiving = pin!(receive(incoming, subjects, shared));
    let mut goes_on = true;
    poll_fn(|cx| {
        goes_on = goes_on && receiving.as_mut().poll(cx).is_pending();
        sending.as_mut().poll(cx)
    })
    .await;
}

/// Gives to the subscribers here what other nodes publish.
async fn receive<S>(mut incoming: Subscriber, subjects: &Subjects, shared: &Weak<Shared<Task<S>>>) {
    while let Some(message) = poll_fn(|cx| Pin::new(&mut incoming).poll_next(cx)).await {
        if subjects.is_own(&message.subject) {
            continue;
        }
        let (Some((topic, message)), Some(shared)) =
            (subjects.read(&message.subject, &message.payload), shared.upgrade())
        else {
            continue;
        };
        let audience = Audience { topic: Some(topic.into()), except: None };
        // A worker that is far behind leaves them out, as it does with those of its own node.
        _ = shared.publish_here(&audience, &message, None, Teller::Other);
    }
}

/// Gives to the broker what is published here, until there is no more to come and all is sent.
async fn send(client: &Client, queue: &Queue, subjects: &Subjects) {
    let mut unflushed = 0;
    loop {
        let next = queue.next();
        if unflushed > 0 && (!matches!(next, Next::Message(..)) || unflushed >= MOST_UNFLUSHED) {
            // The client would keep any amount while the broker is away; this waits until it is back.
            _ = client.flush().await;
            unflushed = 0;
        }
        match next {
            Next::Message(topic, message) => {
                let sent = match subjects.of(&topic, message.kind()) {
                    Some(subject) => client.publish(subject, message.payload().to_vec().into()).await.is_ok(),
                    None => false,
                };
                if !sent {
                    queue.lose(1);
                }
                unflushed += 1;
            }
            Next::Nothing => queue.wait().await,
            Next::End => break,
        }
    }
    // A client that hangs up may take back what the broker has not read.
    _ = round_trip(client).await;
}

/// Waits until the broker has read all that this client has sent before.
async fn round_trip(client: &Client) -> Result<(), RequestError> {
    match client.request(client.new_inbox(), Default::default()).await {
        // Nobody listens there, and the broker says so.
        Err(error) if error.kind() != RequestErrorKind::NoResponders => Err(error),
        _ => Ok(()),
    }
}
