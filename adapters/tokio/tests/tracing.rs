//! What is told by `tracing`: a span for each connection, and events of its life.

use sockless_tokio::{Error, Server, connect};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
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
        self.0.lock().unwrap().push(format!("span {}", span.metadata().name()));
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
    let mut socket = connect(&url).await.unwrap();
    socket.close(1000, "done").await.unwrap();
    let told = log.0.lock().unwrap().clone();
    for wanted in ["span connect", "span connection", "role=Server", "role=Client", "reason=done", "message=over"] {
        assert!(told.iter().any(|told| told.contains(wanted)), "{wanted} in {told:#?}");
    }
}
