//! What a server says to a request as a whole: yes, or something else.

use super::Accept;
use alloc::{string::String, vec::Vec};

/// What a request is answered, for [`Connection::answer`](crate::Connection::answer).
///
/// ```
/// use sockless::{Answer, Reject, Request};
///
/// fn answer(request: &Request<'_>) -> Answer {
///     match request.path() {
///         "/chat" => request.accept().header("Set-Cookie", "seen=1").into(),
///         "/" => Reject::page("text/html", "<h1>Hello</h1>").into(),
///         _ => Reject::text(404, "there is nothing here\n").into(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Open the WebSocket; see [`Request::accept`](super::Request::accept). A request that may not be accepted is refused all
    /// the same.
    Accept(Accept),
    /// Refuse, or answer plain HTTP; then the connection ends.
    Reject(Reject),
}

/// Another answer than a WebSocket: a refusal, a redirect, or the answer to plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reject {
    /// An answer with this status, 200 to 599, and without a body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A status and a line of text.
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status).header("Content-Type", "text/plain; charset=utf-8").body(text)
    }

    /// A page: 200, with its content type.
    pub fn page(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).header("Content-Type", content_type).body(body)
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The fields, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The body.
    pub fn as_body(&self) -> &[u8] {
        &self.body
    }
}

impl Answer {
    /// Adds a field.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Accept(accept) => Self::Accept(accept.header(name, value)),
            Self::Reject(reject) => Self::Reject(reject.header(name, value)),
        }
    }
}

impl From<Accept> for Answer {
    fn from(accept: Accept) -> Self {
        Self::Accept(accept)
    }
}

impl From<Reject> for Answer {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<Result<Accept, Reject>> for Answer {
    fn from(answer: Result<Accept, Reject>) -> Self {
        answer.map_or_else(Self::Reject, Self::Accept)
    }
}
