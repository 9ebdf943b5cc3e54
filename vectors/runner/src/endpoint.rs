//! What an implementation fills in.

use crate::case::{Client, Event, Frames, Server};

/// An implementation of WebSockets: it makes endpoints. `None` leaves the case out, for what it cannot do.
pub trait Implementation {
    /// An endpoint whose opening handshake is done.
    fn frames(&self, frames: &Frames) -> Option<Box<dyn Endpoint>>;

    /// A server that waits for a request, and answers it by itself.
    fn server(&self, server: &Server) -> Option<Box<dyn Endpoint>>;

    /// A client whose request is out, and taken from [`Endpoint::sent`].
    fn client(&self, client: &Client) -> Option<Box<dyn Endpoint>>;

    /// A server's judgement of a request of HTTP/2 or HTTP/3 (RFC 8441): the status to refuse it with, if any. It takes the
    /// origins of the host itself.
    fn extended_request(&self, _headers: &[(String, String)]) -> Option<Result<(), u16>> {
        None
    }

    /// Whether a client takes the response to such a request.
    fn extended_response(&self, _client: &Client, _headers: &[(String, String)]) -> Option<bool> {
        None
    }
}

/// One end of a connection. Pings are answered and close frames echoed, by itself or by whoever fills this in.
pub trait Endpoint {
    /// Takes bytes, and tells of all that they make.
    fn receive(&mut self, bytes: &[u8]) -> Vec<Event>;

    /// Whether it has failed the connection; it is given no more bytes then.
    fn has_failed(&self) -> bool;

    /// The bytes that it has to send since the last call.
    fn sent(&mut self) -> Vec<u8>;

    /// Starts the closing handshake.
    fn close(&mut self, code: u16, reason: &str);

    /// For a client whose key cannot be chosen: the `Sec-WebSocket-Accept` that answers its own, to be put in the place of
    /// the case's.
    fn accept(&self) -> Option<String> {
        None
    }
}
