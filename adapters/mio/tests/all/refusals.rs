//! Servers that refuse a client, and how much of it is heard.

use crate::common::{PATIENCE, start};
use sockless_mio::sockless::Keepalive;
use sockless_mio::{
    Client, ClientBuilder, ClientError, ClientRequest, CloseError, Closed, Config, Conn, Error, Handler, Message,
    Response, Server,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

const HALF: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf";

/// The URL of a server that does something with each connection.
fn serve(each: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(|stream| each(stream.unwrap())));
    url
}

/// Answers, and keeps the connection.
fn keeps_open(mut stream: TcpStream) {
    thread::spawn(move || {
        stream.write_all(HALF).unwrap();
        _ = stream.read_to_end(&mut Vec::new());
    });
}

/// Answers, and hangs up on what it has not read, which the client's system takes for an error.
fn hangs_up(mut stream: TcpStream) {
    stream.read_exact(&mut [0]).unwrap();
    stream.write_all(HALF).unwrap();
}

/// Connects with all the time there is, but for what the settings say.
fn connect(url: &str, settings: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, ClientError> {
    let mut config = Config::default();
    config.keepalive = Keepalive { handshake: None, ..Keepalive::default() };
    let (told, result) = channel();
    let client = settings(Client::builder(url).config(config).timeout(Duration::MAX));
    thread::spawn(move || _ = told.send(client.connect()));
    result.recv_timeout(PATIENCE).expect("it ends in time")
}

fn is_half(result: Result<Client, ClientError>) -> bool {
    match result {
        Err(ClientError::Rejected(response)) => {
            assert_eq!((response.status(), response.body(), response.is_whole()), (403, &b"half"[..], false));
            true
        }
        Err(ClientError::TimedOut) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_whose_body_does_not_come_is_told_all_the_same() {
    assert!(is_half(connect(&serve(keeps_open), |client| client)));
    // By the client's own time too, if that ends when the head is there.
    let url = serve(keeps_open);
    let times = [50, 100, 200, 400, 800].map(Duration::from_millis);
    assert!(times.into_iter().any(|time| is_half(connect(&url, |client| client.timeout(time)))));
}

#[test]
fn a_refusal_is_heard_although_the_server_hangs_up_on_the_request() {
    // More than the system takes at once.
    let long = "x".repeat(16 << 20);
    assert!(is_half(connect(&serve(hangs_up), |client| client.header("X-Long", &long))));
}

/// Tells how its connections end.
struct Caller(Sender<String>);

impl Handler for Caller {
    type State = ();

    fn on_response(&self, _: &mut Conn<'_>, response: &Response<'_>) {
        self.0.send(format!("{} {}", response.status(), String::from_utf8_lossy(response.body()))).unwrap();
    }

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn on_close(&self, _: &mut Conn<'_>, closed: Closed) {
        let Some(CloseError::Rejected(status)) = closed.error else { panic!("{closed:?}") };
        self.0.send(format!("ends with {status}")).unwrap();
    }
}

#[test]
fn on_an_event_loop_too() {
    let mut config = Config::default();
    config.keepalive = Keepalive { handshake: None, ..Keepalive::default() };
    let (told_by, told) = channel();
    let callers = start(Server::builder().workers(1).config(config), Caller(told_by));
    let long = "x".repeat(16 << 20);
    for request in [
        ClientRequest::new(&serve(keeps_open)).unwrap(),
        ClientRequest::new(&serve(hangs_up)).unwrap().header("X-Long", &long),
    ] {
        callers.handle().connect(&request, |_| {}).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "403 half");
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "ends with 403");
    }
    callers.stop();
}
