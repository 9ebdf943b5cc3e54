//! A client that shares connections of HTTP/2.

use super::{Client, in_time};
use crate::http2::{Http2, Opened, open};
use crate::stream::NetStream;
use sockless::ClientRequest;
use sockless::driver::ConnectError;
use tokio::time::Instant;

/// What a server was found to speak.
pub(super) enum Reached {
    Open(Box<Opened>),
    /// HTTP/1.1, over this.
    Http1(NetStream),
}

impl Client {
    /// Has WebSockets to the same server share a connection of HTTP/2 (RFC 8441), those of this client's clones too.
    ///
    /// With `wss` the server chooses by ALPN, and with `ws` it has to speak HTTP/2 from the first byte. One that does not, or
    /// whose settings lack SETTINGS_ENABLE_CONNECT_PROTOCOL, is spoken to by HTTP/1.1. The response's status is 200 where it is
    /// 101 by HTTP/1.1.
    ///
    /// A connection is made for the first WebSocket, another where the server takes no more streams on it, where it is lost, and
    /// behind a request on it that was not answered in time. It ends with the last WebSocket on it. A task of its own reads and
    /// writes it. [`connect_over`](Self::connect_over) speaks HTTP/1.1.
    ///
    /// ```no_run
    /// # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
    /// use sockless_tokio::Client;
    ///
    /// let client = Client::new("wss://example.com/chat").http2();
    /// let (mut chat, _) = client.connect().await?;
    /// // Over the same connection.
    /// let (mut feed, _) = client.clone().url("wss://example.com/feed").connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.http2 = Some(Http2::new(false));
        self
    }

    /// The same, but a server without HTTP/2, or without WebSockets over it, is [`ConnectError::NoHttp2`].
    #[must_use]
    pub fn http2_only(mut self) -> Self {
        self.http2 = Some(Http2::new(true));
        self
    }

    /// No connection is shared by clients that make theirs in different ways.
    pub(super) fn part(&mut self) {
        self.http2 = self.http2.as_ref().map(|http2| Http2::new(http2.only));
    }

    pub(super) async fn reach(
        &self,
        http2: &Http2,
        request: &ClientRequest,
        deadline: Option<Instant>,
    ) -> Result<Reached, ConnectError> {
        loop {
            let config = &self.settings.config;
            let mut place = in_time(deadline, http2.place(request, config)).await?;
            let (link, made) = match place.link() {
                Some(link) => (link, false),
                None => {
                    let stream = in_time(deadline, self.dial_for(request, true)).await?;
                    let made = match stream.is_http1() {
                        true if http2.only => Err(ConnectError::NoHttp2),
                        true => return Ok(Reached::Http1(stream)),
                        false => in_time(deadline, place.make(stream, config)).await,
                    };
                    match made {
                        Err(ConnectError::NoHttp2) if !http2.only => {
                            return Ok(Reached::Http1(in_time(deadline, self.dial_for(request, false)).await?));
                        }
                        made => (made?, true),
                    }
                }
            };
            drop(place);
            match open(link, request, config, deadline).await {
                Ok(opened) => return Ok(Reached::Open(Box::new(opened))),
                // It had ended, was about to, or has just become full.
                Err(unopened) if unopened.untaken && !made => {}
                Err(unopened) => return Err(unopened.error),
            }
        }
    }
}
