//! What an application says to the events of its connections.

use crate::command::{Cause, Task};
use crate::conn::Conn;
use sockless::{Accept, Close, Code, Kind, Message, ProtocolError, Request, Response};
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Any error of an application's.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// An application: one value that is called for the events of all connections, from every worker.
///
/// Only [`on_message`](Self::on_message) is required. A closure `Fn(&mut Conn, Message) -> Result<(), Error>` is a
/// handler without state. The calls of one connection come one at a time and in order, in whatever thread. A call that
/// panics aborts its connection with 1011, and no other.
///
/// ```
/// use sockless_mio::{Answer, Conn, Error, Handler, Message, Request};
///
/// /// Greets each by the name in its query, and counts what it says.
/// struct Greeter;
///
/// #[derive(Default)]
/// struct Visitor {
///     name: String,
///     said: usize,
/// }
///
/// impl Handler for Greeter {
///     type State = Visitor;
///
///     fn on_request(&self, conn: &mut Conn<'_, Visitor>, request: &Request<'_>) -> Answer {
///         let Some(name) = request.query() else { return Answer::reject(403, "who are you?\n") };
///         conn.state_mut().name = name.to_owned();
///         Answer::Accept(request.accept().header("Set-Cookie", "seen=1"))
///     }
///
///     fn on_open(&self, conn: &mut Conn<'_, Visitor>) {
///         let greeting = format!("hello, {}", conn.state().name);
///         _ = conn.send_text(&greeting);
///     }
///
///     fn on_message(&self, conn: &mut Conn<'_, Visitor>, _: Message<'_>) -> Result<(), Error> {
///         conn.state_mut().said += 1;
///         let said = conn.state().said.to_string();
///         conn.send_text(&said)?;
///         Ok(())
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// What the application keeps for each connection, from the first byte to the last.
    type State: Default + Send + 'static;

    /// Whether to take a connection at all, by its address; `None` for a Unix socket. Always called on the loop.
    fn on_accept(&self, peer: Option<SocketAddr>) -> bool {
        _ = peer;
        true
    }

    /// A request came, for a WebSocket or for anything else: says what to answer.
    ///
    /// The default accepts what is a good request for a WebSocket, from an origin that the configuration allows, and
    /// refuses the rest with the status that fits.
    fn on_request(&self, conn: &mut Conn<'_, Self::State>, request: &Request<'_>) -> Answer {
        _ = conn;
        Answer::Accept(request.accept())
    }

    /// Client: the server's answer came, the connection is about to open.
    fn on_response(&self, conn: &mut Conn<'_, Self::State>, response: &Response<'_>) {
        _ = (conn, response);
    }

    /// The connection is open.
    fn on_open(&self, conn: &mut Conn<'_, Self::State>) {
        _ = conn;
    }

    /// A message came.
    ///
    /// # Errors
    /// Any error is told to [`on_error`](Self::on_error), and closes the connection with 1011.
    fn on_message(&self, conn: &mut Conn<'_, Self::State>, message: Message<'_>) -> Result<(), Error>;

    /// A ping came; its pong is outbound already, unless the configuration leaves that to the application.
    fn on_ping(&self, conn: &mut Conn<'_, Self::State>, payload: &[u8]) {
        _ = (conn, payload);
    }

    /// A pong came.
    fn on_pong(&self, conn: &mut Conn<'_, Self::State>, payload: &[u8]) {
        _ = (conn, payload);
    }

    /// The peer takes less than it is sent: more than [`Outbound::soft`](sockless::Outbound::soft) bytes wait.
    ///
    /// Those that a server's handler has answered from within the calls for what was read are the peer's own doing: while more
    /// than that of them wait, it is not read. What is sent for other reasons never stops reading, nor does a client.
    fn on_backpressure(&self, conn: &mut Conn<'_, Self::State>) {
        _ = conn;
    }

    /// After that: nothing waits any more.
    fn on_drain(&self, conn: &mut Conn<'_, Self::State>) {
        _ = conn;
    }

    /// The connection has ended. Called once for each that was opened, whatever the cause, and for each that
    /// [`Handle::connect`](crate::Handle::connect) could not open. Nothing more can be sent.
    fn on_close(&self, conn: &mut Conn<'_, Self::State>, closed: Closed) {
        _ = (conn, closed);
    }

    /// The server shuts down: the last that is sent here goes out before the close frame, with 1001.
    fn on_shutdown(&self, conn: &mut Conn<'_, Self::State>) {
        _ = conn;
    }

    /// The application made a mistake: [`on_message`](Self::on_message) failed, or an [`Answer`] could not be written.
    fn on_error(&self, conn: &mut Conn<'_, Self::State>, error: &Error) {
        _ = (conn, error);
    }
}

impl<F> Handler for F
where
    F: Fn(&mut Conn<'_>, Message<'_>) -> Result<(), Error> + Send + Sync + 'static,
{
    type State = ();

    #[inline]
    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        self(conn, message)
    }
}

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Open the WebSocket; see [`Request::accept`]. A request that may not be accepted is refused all the same.
    Accept(Accept),
    /// Refuse, or answer plain HTTP: any status from 200 to 599, then the connection ends.
    Reject {
        /// The status code.
        status: u16,
        /// Fields of the response.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
}

impl Answer {
    /// A status and a line of text.
    pub fn reject(status: u16, text: &str) -> Self {
        Self::Reject { status, headers: Vec::new(), body: text.into() }
            .header("Content-Type", "text/plain; charset=utf-8")
    }

    /// A page: 200, with its content type.
    pub fn page(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Reject { status: 200, headers: Vec::new(), body: body.into() }.header("Content-Type", content_type)
    }

    /// Adds a field.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Accept(accept) => Self::Accept(accept.header(name, value)),
            Self::Reject { status, mut headers, body } => {
                headers.push((name.into(), value.into()));
                Self::Reject { status, headers, body }
            }
        }
    }
}

impl From<Accept> for Answer {
    fn from(accept: Accept) -> Self {
        Self::Accept(accept)
    }
}

/// How a connection has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed {
    /// The code of the peer's close frame, or of the one that a fault of its was answered with; 1005 and 1006 where there
    /// is none (RFC 6455 §7.1.5).
    pub code: Code,
    /// The peer's reason.
    pub reason: String,
    /// What went wrong, unless the peer closed by the rules.
    pub error: Option<CloseError>,
}

/// What ended a connection against the rules.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The peer broke the protocol, kept silent for too long, or was gone.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The socket, or TLS.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Client: the server refused, with this status.
    #[error("the server refused with status {0}")]
    Rejected(u16),
}

impl From<Close<'_>> for Closed {
    fn from(close: Close<'_>) -> Self {
        Self { code: close.code, reason: close.reason.into_owned(), error: None }
    }
}

impl From<ProtocolError> for Closed {
    fn from(error: ProtocolError) -> Self {
        let code = error.close_code().unwrap_or(Code::ABNORMAL);
        Self { code, reason: String::new(), error: Some(error.into()) }
    }
}

impl Closed {
    /// Without a close frame of the peer's.
    pub(crate) fn abnormal(error: Option<CloseError>) -> Self {
        Self { code: Code::ABNORMAL, reason: String::new(), error }
    }
}

/// One call of a handler.
pub(crate) enum Call<'a, S> {
    Request(Request<'a>),
    Response(Response<'a>),
    Open,
    Message(Message<'a>),
    Ping(Cow<'a, [u8]>),
    Pong(Cow<'a, [u8]>),
    Backpressure,
    Drain,
    Close(Closed),
    Shutdown,
    Error(Error),
    Task(Task<S>),
}

impl<S> Call<'_, S> {
    /// What that is sent for which the handler sends within this call.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Message(_) | Self::Ping(_) | Self::Pong(_) | Self::Open => Cause::Heard,
            _ => Cause::Own,
        }
    }

    /// Bytes that it brings from the peer.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.as_bytes().len(),
            Self::Ping(payload) | Self::Pong(payload) => payload.len(),
            Self::Request(request) => request.as_bytes().len(),
            Self::Response(response) => response.as_bytes().len() + response.body().len(),
            Self::Close(closed) => closed.reason.len(),
            _ => 0,
        }
    }

    pub(crate) fn into_owned(self) -> Call<'static, S> {
        match self {
            Self::Request(request) => Call::Request(request.into_owned()),
            Self::Response(response) => Call::Response(response.into_owned()),
            Self::Open => Call::Open,
            Self::Message(message) => Call::Message(message.into_owned()),
            Self::Ping(payload) => Call::Ping(Cow::Owned(payload.into_owned())),
            Self::Pong(payload) => Call::Pong(Cow::Owned(payload.into_owned())),
            Self::Backpressure => Call::Backpressure,
            Self::Drain => Call::Drain,
            Self::Close(closed) => Call::Close(closed),
            Self::Shutdown => Call::Shutdown,
            Self::Error(error) => Call::Error(error),
            Self::Task(task) => Call::Task(task),
        }
    }
}

/// Calls the handler, on the loop or in the pool.
pub(crate) fn call<H: Handler>(handler: &H, conn: &mut Conn<'_, H::State>, call: Call<'_, H::State>) {
    if catch_unwind(AssertUnwindSafe(|| dispatch(handler, conn, call))).is_err() {
        // The panic's hook has told of it.
        conn.count_panic();
        conn.abort(Code::INTERNAL_ERROR);
    }
}

/// Gives a message to the handler.
#[inline]
pub(crate) fn deliver<H: Handler>(handler: &H, conn: &mut Conn<'_, H::State>, message: Message<'_>) {
    if let Err(error) = handler.on_message(conn, message) {
        handler.on_error(conn, &error);
        _ = conn.close(Code::INTERNAL_ERROR, "");
    }
}

fn dispatch<H: Handler>(handler: &H, conn: &mut Conn<'_, H::State>, call: Call<'_, H::State>) {
    match call {
        Call::Message(message) => deliver(handler, conn, message),
        Call::Request(request) => {
            let answer = handler.on_request(conn, &request);
            conn.answer(answer);
        }
        Call::Response(response) => handler.on_response(conn, &response),
        Call::Open => handler.on_open(conn),
        Call::Ping(payload) => handler.on_ping(conn, &payload),
        Call::Pong(payload) => handler.on_pong(conn, &payload),
        Call::Backpressure => handler.on_backpressure(conn),
        Call::Drain => handler.on_drain(conn),
        Call::Close(closed) => handler.on_close(conn, closed),
        Call::Shutdown => {
            handler.on_shutdown(conn);
            _ = conn.close(Code::AWAY, "");
        }
        Call::Error(error) => handler.on_error(conn, &error),
        Call::Task(task) => task.run(conn),
    }
}

/// Whether text or bytes are what a message of this kind may have.
pub(crate) fn is_valid(kind: Kind, bytes: &[u8]) -> bool {
    kind == Kind::Binary || std::str::from_utf8(bytes).is_ok()
}
