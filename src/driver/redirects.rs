//! How a client follows redirects.

use super::ConnectError;
use crate::handshake::ClientRequest;
use std::string::String;

/// The redirects of one connection: how many are still followed, and what goes along.
#[derive(Clone, Copy, Debug)]
pub struct Redirects {
    most: u32,
    left: u32,
    trust: bool,
}

impl Redirects {
    /// So many at most. With `trust`, all of the request goes to any server that they lead to
    /// ([`ClientRequest::redirected_with_all`]), or else as [`ClientRequest::redirected`] has it.
    pub const fn new(most: u32, trust: bool) -> Self {
        Self { most, left: most, trust }
    }

    /// What to ask for next, where `request` was refused so.
    ///
    /// # Errors
    /// `refused` itself, unless it is a redirect and any are followed; [`Redirect`](ConnectError::Redirect) for one that leads
    /// nowhere, or one too many.
    pub fn follow(&mut self, request: &ClientRequest, refused: ConnectError) -> Result<ClientRequest, ConnectError> {
        let response = match refused {
            ConnectError::Rejected(response) if self.most > 0 => response,
            refused => return Err(refused),
        };
        let Some(location) = response.redirect() else { return Err(ConnectError::Rejected(response)) };
        let lost = || ConnectError::Redirect(String::from_utf8_lossy(location).into_owned());
        self.left = self.left.checked_sub(1).ok_or_else(lost)?;
        let next = if self.trust { request.redirected_with_all(location) } else { request.redirected(location) };
        next.ok_or_else(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::handshake::Response;
    use std::boxed::Box;

    fn refused(head: &'static [u8]) -> ConnectError {
        ConnectError::Rejected(Box::new(Response::parse(head, &Limits::default()).unwrap()))
    }

    const MOVED: &[u8] = b"HTTP/1.1 302 Found\r\nLocation: ws://b/c\r\n\r\n";

    #[test]
    fn as_many_as_are_allowed_and_nothing_else() {
        let request = ClientRequest::new("ws://a/").unwrap().header("Cookie", "d");
        assert!(matches!(Redirects::new(0, false).follow(&request, refused(MOVED)), Err(ConnectError::Rejected(_))));
        let mut redirects = Redirects::new(1, false);
        let other = refused(b"HTTP/1.1 404 Not Found\r\n\r\n");
        assert!(matches!(redirects.follow(&request, other), Err(ConnectError::Rejected(_))));
        assert!(matches!(redirects.follow(&request, ConnectError::Timeout), Err(ConnectError::Timeout)));
        let next = redirects.follow(&request, refused(MOVED)).unwrap();
        assert_eq!((next.host(), next.target()), ("b", "/c"));
        assert!(matches!(redirects.follow(&next, refused(MOVED)), Err(ConnectError::Redirect(to)) if to == "ws://b/c"));
    }
}
