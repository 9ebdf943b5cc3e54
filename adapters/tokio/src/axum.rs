//! [`WebSocketUpgrade`] as an extractor of axum 0.8.

use crate::handling::Outcome;
use crate::hyper::{Refusal, Upgraded, WebSocketUpgrade};
use crate::websocket::WebSocket;
use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::Request;
use http::request::Parts;

/// For handlers that take the upgrade as an argument. A request that opens no WebSocket is answered with the status that
/// fits.
///
/// Routed by `any`, as HTTP/2 comes with another method than HTTP/1.1; what hyper's server needs for that is said at
/// [`WebSocketUpgrade`].
///
/// ```
/// use axum::{Router, response::Response, routing::any};
/// use sockless_tokio::{Error, Upgraded, WebSocket, WebSocketUpgrade};
///
/// async fn chat(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.subprotocols(&["chat"]).on_upgrade(echo)
/// }
///
/// async fn echo(mut socket: WebSocket<Upgraded>) -> Result<(), Error> {
///     while let Some(message) = socket.recv().await? {
///         socket.feed(message).await?;
///     }
///     Ok(())
/// }
///
/// let app: Router = Router::new().route("/chat", any(chat));
/// ```
impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let mut head = Request::from_parts(parts.clone(), ());
        head.extensions_mut().clear();
        Self::from_head(head, &mut parts.extensions)
    }
}

impl WebSocketUpgrade {
    /// The response of a handler of axum; `work` is done with the connection in a task of its own, whose end is told to the
    /// peer, as by [`Upgrading::run`](crate::Upgrading::run). If the request is refused, or the client is gone before the
    /// connection is there, it is not called.
    pub fn on_upgrade<F, Fut>(self, work: F) -> Response
    where
        F: FnOnce(WebSocket<Upgraded>) -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        match self.accept() {
            Ok((response, upgrading)) => {
                tokio::spawn(upgrading.run(work));
                response.map(|()| Body::empty())
            }
            Err(refusal) => refusal.into_response(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        http::Response::<String>::from(self).map(Body::from)
    }
}
