//! Handlers tested without sockets: a peer in memory, on a virtual clock.

mod memory;

use crate::call::Call;
use crate::command::{Act, Audience, Command, Id};
use crate::conn::{Conn, Task};
use crate::handle::Handle;
use crate::handler::Handler;
use crate::mailbox::{Mailbox, Shared};
use crate::session::{Active, Lent, Local, Phase, Place, Seat, Session};
use crate::stats::Stats;
use crate::transport::Transport as _;
use memory::Memory;
use sockless::addresses::{Admission, Clients, Trusted};
use sockless::bytes::Buf;
use sockless::driver::Storage;
use sockless::{
    ClientRequest, Close, Code, Config, Connection, Event, Keepalive, Message, Prepared, Response, Seed, SendError,
    Transport,
};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The peer of a [`Handler`]: what it sends is told to the handler before the call returns, and what the handler sends is here
/// then. Both speak the real protocol, over memory instead of a socket.
///
/// Time stands still until it is told to [`advance`](Self::advance). Pings of the handler's side are answered as any client does.
/// [`Handler::on_accept`] is not called, and there is no pool.
///
/// ```
/// use sockless_mio::testing::Peer;
/// use sockless_mio::{Code, Conn, Error, Handler, Message, Prepared};
/// use std::time::Duration;
///
/// struct Chat;
///
/// impl Handler for Chat {
///     type State = usize;
///
///     fn on_open(&self, conn: &mut Conn<'_, usize>) {
///         conn.subscribe("news");
///     }
///
///     fn on_message(&self, conn: &mut Conn<'_, usize>, message: Message<'_>) -> Result<(), Error> {
///         *conn.state_mut() += 1;
///         conn.publish("news", &Prepared::binary(message.as_bytes()));
///         conn.send_text("said")?;
///         Ok(())
///     }
/// }
///
/// let mut peer = Peer::connect(Chat);
/// assert_eq!(peer.topics(), ["news"]);
/// peer.send("hello")?;
/// assert_eq!(peer.receive(), Some("said".into()));
/// assert_eq!(peer.published()[0].message.payload(), b"hello");
/// assert_eq!(*peer.state(), 1);
///
/// // Silence is pinged, and a peer that answers lives on.
/// peer.advance(Duration::from_secs(60));
/// assert!(peer.is_open());
///
/// peer.close(Code::NORMAL, "bye")?;
/// assert_eq!(peer.closed().map(|close| close.code), Some(Code::NORMAL));
/// # Ok::<(), sockless_mio::SendError>(())
/// ```
pub struct Peer<H: Handler> {
    handler: H,
    session: Session<H::State, Task<H::State>>,
    local: Local<Task<H::State>>,
    storage: Storage,
    memory: Memory,
    client: Connection,
    deadline: Option<Duration>,
    ended: bool,
    /// It takes nothing of what it is sent.
    stopped: bool,
    sent: Vec<u8>,
    events: VecDeque<Event<'static>>,
    response: Option<Response<'static>>,
    closed: Option<Close<'static>>,
    published: Vec<Published>,
}

/// A message that a handler has for others.
#[derive(Debug)]
pub struct Published {
    /// The topic; `None`: for all that are open.
    pub topic: Option<String>,
    /// The message.
    pub message: Prepared,
}

const ID: Id = Id { worker: 0, key: 0, generation: 0 };

/// The beginning.
impl<H: Handler> Peer<H> {
    /// Opens a connection for `/`, with the default configuration.
    pub fn connect(handler: H) -> Self {
        let request = ClientRequest::new("ws://localhost/").expect("a good URL");
        Self::request(handler, &request, Config::default())
    }

    /// Sends a request, to a server of this configuration. [`is_open`](Self::is_open) and [`response`](Self::response) say what it was
    /// answered.
    ///
    /// # Panics
    /// If the request cannot be written ([`ClientRequest::check`]).
    pub fn request(handler: H, request: &ClientRequest, config: Config) -> Self {
        let mut own = config.clone();
        own.keepalive =
            Keepalive { handshake: None, ping: None, pong: None, idle: None, close: None, ..Keepalive::default() };
        let client = Connection::client(request, own, Seed::new([7; 16])).expect("a request that can be written");
        let mailbox = Mailbox::new(None);
        mailbox.open(ID.key);
        let shared = Shared::new([mailbox].into(), config.outbound.hard, OnceLock::new(), false);
        let clients = Clients::new(Trusted::default(), false, Admission::new(None, None));
        let configs = [config.clone().into(), config.clone().into()];
        let mut local = Local::new(ID.worker, Arc::new(shared), usize::MAX, Arc::new(clients), configs);
        local.handshakes = 1;
        let mut peer = Self {
            handler,
            session: Session::new(Connection::server(config), Seat::new(ID, Place::Here(H::State::default()), None)),
            local,
            storage: Storage::default(),
            memory: Memory::default(),
            client,
            deadline: None,
            ended: false,
            stopped: false,
            sent: Vec::new(),
            events: VecDeque::new(),
            response: None,
            closed: None,
            published: Vec::new(),
        };
        peer.run();
        peer
    }

    /// What the request was answered, be it a refusal; `None` before.
    pub fn response(&self) -> Option<&Response<'static>> {
        self.response.as_ref()
    }
}

/// What the peer does.
impl<H: Handler> Peer<H> {
    /// Sends a message.
    ///
    /// # Errors
    /// What a client may not send now.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        self.client.send(message)?;
        self.run();
        Ok(())
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`LongControl`](SendError::LongControl).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.client.ping(payload)?;
        self.run();
        Ok(())
    }

    /// Starts the closing handshake.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl).
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        self.client.close(code, reason)?;
        self.run();
        Ok(())
    }

    /// Sends these bytes as they are, whatever they say.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.run();
        self.memory.input.extend(bytes);
        self.run();
    }

    /// Goes without a word.
    pub fn hang_up(&mut self) {
        self.memory.is_over = true;
        self.run();
    }

    /// Takes no more of what it is sent, and answers nothing, until it [reads on](Self::read_on).
    pub fn stop_reading(&mut self) {
        self.stopped = true;
    }

    /// Takes what it was sent.
    pub fn read_on(&mut self) {
        self.stopped = false;
        self.run();
    }

    /// Lets time pass; what is due meanwhile is done when it is.
    pub fn advance(&mut self, time: Duration) {
        let end = self.local.now.saturating_add(time);
        while let Some(deadline) = self.deadline.filter(|at| *at > self.local.now && *at < end) {
            self.local.now = deadline;
            self.run();
        }
        self.local.now = end;
        self.run();
    }
}

/// What the handler has done.
impl<H: Handler> Peer<H> {
    /// The next message that it has sent.
    pub fn receive(&mut self) -> Option<Message<'static>> {
        let is_message = |event: &Event<'_>| matches!(event, Event::Text(_) | Event::Binary(_) | Event::Unchecked(_));
        let index = self.events.iter().position(is_message)?;
        self.events.remove(index)?.into_message()
    }

    /// The next that the peer was told, as a client is: messages, pings, pongs and the close frame.
    pub fn event(&mut self) -> Option<Event<'static>> {
        self.events.pop_front()
    }

    /// All bytes that it was sent, from the first of the response on.
    pub fn bytes(&self) -> &[u8] {
        &self.sent
    }

    /// The close frame that it was sent.
    pub fn closed(&self) -> Option<&Close<'static>> {
        self.closed.as_ref()
    }

    /// Whether the WebSocket is open.
    pub fn is_open(&self) -> bool {
        self.session.seat.phase == Phase::Open
    }

    /// Whether the transport is closed: nothing more will happen.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The topics that it has subscribed to.
    pub fn topics(&self) -> Vec<&str> {
        self.local.topics.names(&self.session.seat.subscriptions).collect()
    }

    /// What it has for others, which this takes.
    pub fn published(&mut self) -> Vec<Published> {
        std::mem::take(&mut self.published)
    }

    /// What the handler keeps for the connection.
    pub fn state(&self) -> &H::State {
        self.session.seat.state()
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        Stats { panics: self.local.shared.stats().panics, ..self.local.stats }
    }
}

/// What the application does besides.
impl<H: Handler> Peer<H> {
    /// Calls something with the connection, as its handler is called.
    pub fn call<R>(&mut self, call: impl FnOnce(&mut Conn<'_, H::State>) -> R) -> R {
        let result = call(&mut Conn::new(Lent::Here(self.active().here())));
        self.run();
        result
    }

    /// A handle, as other threads have one. What it is told is done by the next call of this peer, be it
    /// [`run`](Self::run).
    pub fn handle(&self) -> Handle<H::State> {
        Handle { shared: self.local.shared.clone() }
    }

    /// Which connection it is, for a handle.
    pub fn id(&self) -> Id {
        ID
    }

    /// Does what there is to do; every other call does so too.
    pub fn run(&mut self) {
        while !self.ended && self.turn() {}
    }
}

impl<H: Handler> Peer<H> {
    fn active(&mut self) -> Active<'_, H::State, Task<H::State>, H, Memory> {
        let Self { handler, session, local, storage, memory, .. } = self;
        Active { session, calls: handler, local, storage, transport: memory }
    }

    /// A turn of either end; whether there is more to do.
    fn turn(&mut self) -> bool {
        io::copy(&mut self.client.outbound().reader(), &mut self.memory.input).expect("memory takes all");
        self.memory.is_full = self.stopped;
        self.session.seat.blocked &= self.stopped;
        self.session.seat.dirty = false;
        self.local.dirty.clear();
        let mut active = self.active();
        active.read(true);
        active.ring();
        active.flush();
        let next = active.next();
        self.deadline = next.deadline;
        let told = self.obey();
        self.take_output();
        if next.close {
            self.ended = true;
            self.active().close();
            self.take_published();
            // It was told how it ended, or is now left without a word.
            _ = self.client.receive_eof();
        }
        let hangs_up = self.client.wants().transport != Transport::Open && !self.memory.is_over;
        self.memory.is_over |= hangs_up;
        let waits = !self.session.seat.blocked && self.session.connection().queued() > 0;
        let comes = next.again || next.read && self.memory.is_readable();
        told || hangs_up || waits || comes || self.session.seat.dirty || self.client.queued() > 0
    }

    /// Does what handles have asked for; whether there was anything.
    fn obey(&mut self) -> bool {
        let mut commands = Vec::new();
        self.local.shared.mailboxes[0].take(&mut commands);
        let told = !commands.is_empty();
        for command in commands {
            self.take_published();
            let is_open = self.is_open();
            match command {
                Command::To(ID, act) => self.active().act(act),
                Command::Each(task) if is_open => self.active().act(Act::Run(task)),
                Command::Shutdown(drain) if is_open => self.active().call(Call::Shutdown(drain)),
                Command::Publish(audience, message) => {
                    let subscribed = audience.topic.as_ref().is_none_or(|topic| self.local.topics.count(topic) > 0);
                    if is_open && subscribed && audience.except != Some(ID) {
                        self.session.deliver(&mut self.local, &message);
                    }
                    self.published.push(Published::new(audience, message));
                }
                // Of another connection, of none that is open, or to a server that is not there.
                _ => {}
            }
        }
        self.take_published();
        told
    }

    fn take_published(&mut self) {
        self.published
            .extend(self.local.deliveries.take().into_iter().map(|(to, message)| Published::new(to, message)));
    }

    /// Takes what was sent, as a client does.
    fn take_output(&mut self) {
        let mut output = std::mem::take(&mut self.memory.output);
        self.sent.extend_from_slice(&output);
        let mut input = &mut output[..];
        while let Ok(Some(event)) = self.client.receive(&mut input) {
            match event.into_owned() {
                Event::Open(response) | Event::Rejected(response) => self.response = Some(response),
                event => {
                    if let Event::Close(close) = &event {
                        self.closed = Some(close.clone());
                    }
                    self.events.push_back(event);
                }
            }
        }
    }
}

impl Published {
    fn new(audience: Audience, message: Prepared) -> Self {
        Self { topic: audience.topic.map(|topic| (*topic).into()), message }
    }
}
