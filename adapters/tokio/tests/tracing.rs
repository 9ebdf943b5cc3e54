//! What is told by `tracing`: a span for each connection, and events of its life.

use sockless_test_support::Soon;
use sockless_tokio::sockless::Config;
use sockless_tokio::{Backoff, Change, Client, ConnectError, Error, Reject, Server, accept_with, connect};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down the names of spans, and events with their messages.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sockless_tokio"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        self.0.lock().unwrap().push(format!("span {} {}", span.metadata().name(), fields.0));
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

#[tokio::test]
async fn the_life_of_a_connection_is_told() {
    let log = Log::default();
    let _default = tracing::subscriber::set_default(log.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(Server::new().serve(listener, |mut socket, _| async move {
        while socket.recv().await?.is_some() {}
        Ok::<_, Error>(())
    }));
    let mut socket = connect(&url).soon().await.unwrap();
    socket.close(1000, "done").soon().await.unwrap();
    let told = log.0.lock().unwrap().clone();
    for wanted in ["span connect", "span connection", "role=Server", "role=Client", "reason_len=4", "message=over"] {
        assert!(told.iter().any(|told| told.contains(wanted)), "{wanted} in {told:#?}");
    }
}

#[tokio::test]
async fn nothing_that_may_be_secret_is_told() {
    let log = Log::default();
    let _default = tracing::subscriber::set_default(log.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let locations = [
        Some(format!("ws://user:secret@{address}/secret?token=secret#secret")),
        None,
        Some("ftp://user:secret@host.test/path?token=secret".into()),
        Some("ws://user:secret@[bad?token=secret".into()),
    ];
    let server = tokio::spawn(async move {
        for location in locations {
            let stream = listener.accept().soon().await.unwrap().0;
            let answered = accept_with(stream, Config::default(), |request| match &location {
                Some(location) => Err(Reject::new(302).header("Location", location)),
                None => Ok(request.accept().subprotocol("secret")),
            });
            if let Ok(mut socket) = answered.await {
                socket.close(1000, "secret").soon().await.unwrap();
            }
        }
    });
    let client = Client::new(&format!("ws://user:secret@{address}/secret?secret")).redirects(1).subprotocol("secret");
    let mut client =
        client.trust_redirects(true).reconnecting(Backoff { first: Duration::from_millis(1), ..Backoff::default() });
    assert!(matches!(client.next().soon().await, Ok(Change::Connected)));
    assert!(
        matches!(client.next().soon().await, Ok(Change::Lost { close: Some(close), .. }) if close.reason == "secret")
    );
    for location in ["host.test/path", "[bad"] {
        let Ok(Change::Failed(error @ ConnectError::Redirect(_), _)) = client.next().soon().await else {
            panic!("followed")
        };
        assert_eq!(error.to_string(), format!("redirect to {location:?} not followed"));
    }
    server.soon().await.unwrap();
    let told = log.0.lock().unwrap().clone();
    for wanted in ["message=redirected", "message=open", "message=peer closes", "message=not connected"] {
        assert!(told.iter().any(|told| told.contains(wanted)), "{wanted} in {told:#?}");
    }
    assert!(!told.iter().any(|told| told.contains("secret")), "{told:#?}");
}
