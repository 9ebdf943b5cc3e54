//! Clients on an event loop: `Handle::connect`.

use crate::common;
use crate::common::start;
use sockless_mio::{
    Answer, ClientRequest, CloseError, Closed, Conn, Error, Handler, Message, Reject, Request, Response, Server,
};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Refuses `/no`, and echoes.
struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_request(&self, _: &mut Conn<'_>, request: &Request<'_>) -> Answer {
        match request.path() {
            "/no" => Reject::text(403, "no\n").into(),
            _ => request.accept().header("X-Seen", "yes").into(),
        }
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }
}

/// Says its name when it is open, and tells all that happens.
struct Caller {
    told: Sender<String>,
}

impl Handler for Caller {
    type State = String;

    fn on_response(&self, conn: &mut Conn<'_, String>, response: &Response<'_>) {
        let seen = response.header("x-seen").is_some();
        self.told.send(format!("{} is answered {} {seen}", conn.state(), response.status())).unwrap();
    }

    fn on_open(&self, conn: &mut Conn<'_, String>) {
        let name = conn.state().clone();
        conn.send_text(&name).unwrap();
    }

    fn on_message(&self, conn: &mut Conn<'_, String>, message: Message<'_>) -> Result<(), Error> {
        let heard = String::from_utf8_lossy(message.as_bytes()).into_owned();
        self.told.send(format!("{} hears {heard}", conn.state())).unwrap();
        Ok(())
    }

    fn on_close(&self, conn: &mut Conn<'_, String>, closed: Closed) {
        let why = match closed.error {
            Some(CloseError::Rejected(status)) => status.to_string(),
            Some(CloseError::Io(error)) => format!("{:?}", error.kind()),
            Some(error) => error.to_string(),
            None => u16::from(closed.code).to_string(),
        };
        self.told.send(format!("{} ends: {why}", conn.state())).unwrap();
    }
}

fn told(told: &Receiver<String>, wanted: &[&str]) {
    let mut told: Vec<_> = wanted.iter().map(|_| told.recv_timeout(common::PATIENCE).unwrap()).collect();
    told.sort();
    assert_eq!(told, wanted);
}

fn run(pool: bool) {
    let server = start(Server::builder().listen("127.0.0.1:0").workers(1), Echo);
    let (told_by, tells) = channel();
    let builder = Server::builder().workers(2);
    let callers = start(if pool { builder.pool(2, 16) } else { builder }, Caller { told: told_by });
    let connect = |url: &str, name: &'static str| {
        let request = ClientRequest::new(url).unwrap();
        callers.handle().connect(&request, move |conn| name.clone_into(conn.state_mut())).unwrap();
    };
    let port = server.address().port();
    connect(&format!("ws://127.0.0.1:{port}/"), "ann");
    told(&tells, &["ann hears ann", "ann is answered 101 true"]);
    // A name with an address that does not answer before one that does, perhaps.
    connect(&format!("ws://localhost:{port}/"), "bob");
    told(&tells, &["bob hears bob", "bob is answered 101 true"]);
    connect(&format!("ws://127.0.0.1:{port}/no"), "cay");
    told(&tells, &["cay ends: 403", "cay is answered 403 false"]);
    // Nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    connect(&format!("ws://{free}/"), "dan");
    told(&tells, &["dan ends: ConnectionRefused"]);
    let bad = ClientRequest::new("ws://127.0.0.1/").unwrap().header("X", "a\r\nb");
    assert!(callers.handle().connect(&bad, |_| {}).is_err());
    assert_eq!(callers.handle().count(), 2);
    server.handle().shutdown(common::PATIENCE).unwrap();
    told(&tells, &["ann ends: 1001", "bob ends: 1001"]);
    server.stop();
    callers.eventually("none is left", |stats| stats.connections == 0);
    callers.stop();
}

#[test]
fn on_the_loop() {
    run(false);
}

#[test]
fn in_the_pool() {
    run(true);
}
