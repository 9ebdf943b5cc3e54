//! What a request is answered.

use sockless::Accept;

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Open the WebSocket; see [`Request::accept`](sockless::Request::accept). A request that may not be accepted is refused all the same.
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
