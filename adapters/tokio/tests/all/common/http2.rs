//! A server of WebSockets over HTTP/2: hyper's, with axum's routes.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use sockless_test_support::Soon;
use sockless_tokio::sockless::Deflate;
use sockless_tokio::{Error, WebSocketUpgrade};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

fn routes() -> Router {
    let echo = |upgrade: WebSocketUpgrade| async move {
        upgrade.subprotocols(&["chat"]).deflate(Deflate::default()).on_upgrade(|mut socket| async move {
            while let Some(message) = socket.recv().await? {
                socket.feed(message).await?;
            }
            Ok::<_, Error>(())
        })
    };
    Router::new()
        .route("/", any(echo))
        .route("/chat", any(echo))
        .route("/no", any(|| async { (StatusCode::FORBIDDEN, [("x-why", "because")], "not you") }))
        .route("/moved", any(|| async { (StatusCode::FOUND, [("location", "/chat")]) }))
}

pub(crate) async fn hyper(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let served =
        builder.enable_connect_protocol().serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes()));
    // A client that is gone may have left something unread, which resets the connection.
    _ = served.await;
}

/// A port, how many connections to it there are, and how many there were.
pub(crate) struct Counted {
    pub(crate) port: u16,
    now: Arc<AtomicUsize>,
    ever: Arc<AtomicUsize>,
}

impl Counted {
    pub(crate) async fn serve<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counted = Self { port, now: Arc::default(), ever: Arc::default() };
        let (now, ever) = (counted.now.clone(), counted.ever.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                now.fetch_add(1, Ordering::SeqCst);
                ever.fetch_add(1, Ordering::SeqCst);
                let (work, now) = (handle(stream), now.clone());
                tokio::spawn(async move {
                    work.await;
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        counted
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn ever(&self) -> usize {
        self.ever.load(Ordering::SeqCst)
    }

    /// Waits until all have ended.
    pub(crate) async fn ended(&self) {
        let ended = async {
            while self.now.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        ended.soon().await;
    }
}
