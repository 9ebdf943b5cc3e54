//! What an application says to the events of its connections.

use crate::call::{Call, Error};
use crate::closed::Closed;
use crate::conn::{Conn, Task};
use crate::routed::Routed;
use crate::session::{Calls, Lent};
use sockless::seen::{self, Since};
use sockless::{Answer, Code, Message, Piece, Request, Response};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An application: one value that is called for the events of all connections, from every worker.
///
/// Only [`on_message`](Self::on_message) is required. A closure `Fn(&mut Conn, Message) -> Result<(), Error>` is a
/// handler without state. The calls of one connection come one at a time and in order, in whatever thread. A call that
/// panics aborts its connection with 1011, and no other.
///
/// ```
/// use sockless_mio::{Answer, Conn, Error, Handler, Message, Reject, Request};
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
///         let Some(name) = request.query() else { return Reject::text(403, "who are you?\n").into() };
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
    /// Any error is told to [`on_error`](Self::on_error), and closes the connection with 1011; but not one that says only that the
    /// connection is closing.
    fn on_message(&self, conn: &mut Conn<'_, Self::State>, message: Message<'_>) -> Result<(), Error>;

    /// A piece of a message came: of those connections that [take pieces](Conn::take_pieces). Text is cut between characters.
    ///
    /// The default leaves pieces unread.
    ///
    /// # Errors
    /// As [`on_message`](Self::on_message).
    fn on_piece(&self, conn: &mut Conn<'_, Self::State>, piece: Piece<'_>) -> Result<(), Error> {
        _ = (conn, piece);
        Ok(())
    }

    /// A timer that was [set](Conn::set_timer) is due; it is not set any longer.
    fn on_timer(&self, conn: &mut Conn<'_, Self::State>, number: u32) {
        _ = (conn, number);
    }

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

    /// The server shuts down, and takes leave of this peer: the last that is sent here goes out before the close frame.
    fn on_shutdown(&self, conn: &mut Conn<'_, Self::State>) {
        _ = conn;
    }

    /// Something went wrong that is not told elsewhere: [`on_message`](Self::on_message) or [`on_piece`](Self::on_piece) failed, an
    /// [`Answer`] could not be written, a call [panicked](Panicked), or a client's opening handshake failed, which is a
    /// [`CloseError`](crate::CloseError).
    fn on_error(&self, conn: &mut Conn<'_, Self::State>, error: &Error) {
        _ = (conn, error);
    }

    /// A connection could not be accepted, of too many open files perhaps: it is tried again soon. Always called on the loop.
    fn on_accept_error(&self, error: &io::Error) {
        _ = error;
    }

    /// Where a request goes, as [`Routes`](crate::Routes) say.
    #[doc(hidden)]
    fn routed(&self, request: &mut Request<'_>, is_secure: bool) -> Routed {
        _ = (request, is_secure);
        Routed::default()
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

/// What happens to a session is told to its handler.
impl<H: Handler> Calls<H::State, Task<H::State>> for H {
    #[inline]
    fn message(&self, lent: Lent<'_, H::State, Task<H::State>>, message: Message<'_>) {
        deliver(self, &mut Conn::new(lent), message);
    }

    fn panicked(&self, lent: Lent<'_, H::State, Task<H::State>>) {
        panicked(self, &mut Conn::new(lent));
    }

    fn routed(&self, request: &mut Request<'_>, is_secure: bool) -> Routed {
        Handler::routed(self, request, is_secure)
    }

    fn call(&self, lent: Lent<'_, H::State, Task<H::State>>, call: Call<'_, Task<H::State>>) {
        let mut conn = Conn::new(lent);
        if catch_unwind(AssertUnwindSafe(|| dispatch(self, &mut conn, call))).is_err() {
            panicked(self, &mut conn);
        }
    }
}

/// A call of the handler has panicked, and the connection ends: what [`Handler::on_error`] is told. Of what, the panic's hook knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handler panicked")]
pub struct Panicked;

#[cold]
fn panicked<H: Handler>(handler: &H, conn: &mut Conn<'_, H::State>) {
    conn.count_panic();
    conn.abort(Code::INTERNAL_ERROR);
    if catch_unwind(AssertUnwindSafe(|| handler.on_error(conn, &Panicked.into()))).is_err() {
        conn.count_panic();
    }
}

#[inline]
fn deliver<H: Handler>(handler: &H, conn: &mut Conn<'_, H::State>, message: Message<'_>) {
    let since = Since::now();
    let done = handler.on_message(conn, message);
    since.handled();
    if let Err(error) = done {
        blame(handler, conn, error);
    }
}

#[cold]
#[inline(never)]
fn blame<H: Handler>(handler: &H, conn: &mut Conn<'_, H::State>, error: Error) {
    if sockless::driver::Error::only_closing(&*error) {
        return;
    }
    seen::handler_failed(Some(&error));
    handler.on_error(conn, &error);
    _ = conn.close(Code::INTERNAL_ERROR, "");
}

fn dispatch<H: Handler>(handler: &H, conn: &mut Conn<'_, H::State>, call: Call<'_, Task<H::State>>) {
    match call {
        Call::Message(message) => deliver(handler, conn, message),
        Call::Piece(piece) => {
            let since = Since::now();
            let done = handler.on_piece(conn, piece);
            since.handled();
            if let Err(error) = done {
                blame(handler, conn, error);
            }
        }
        Call::Timer(number) => handler.on_timer(conn, number),
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
        Call::Shutdown(drain) => {
            handler.on_shutdown(conn);
            _ = conn.close(drain.code, &drain.reason);
        }
        Call::Error(error) => handler.on_error(conn, &error),
        Call::Task(task) => task.run(conn),
    }
}
