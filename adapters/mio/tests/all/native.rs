//! TLS by the system's library.

use crate::common::{self, PATIENCE, within};
use sockless_mio::native_tls::{Certificate, Identity, TlsAcceptor, TlsConnector};
use sockless_mio::{Client, ClientError, ClientRequest, Closed, Code, Conn, Error, Handler, Message, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// A certificate made now for `localhost`: who trusts it, and who shows it.
fn made() -> (TlsConnector, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let trusted = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = TlsConnector::builder().disable_built_in_roots(true).add_root_certificate(trusted).build().unwrap();
    let identity = Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).unwrap();
    (client, TlsAcceptor::new(identity).unwrap())
}

struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        assert!(conn.tls().is_some());
        conn.send(message)?;
        Ok(())
    }
}

fn server(showing: TlsAcceptor) -> (common::Started<()>, SocketAddr) {
    let started = common::start(Server::builder().listen_tls("localhost:0").native_tls(showing), Echo);
    let address = started.address();
    (started, address)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7) as u8).collect()
}

#[test]
fn a_client_and_a_server() {
    let (trusting, showing) = made();
    let (_server, address) = server(showing);
    let connect = |host: &str, tls: TlsConnector| {
        let url = format!("wss://{host}:{}/", address.port());
        within("a connection", || Client::builder(&url).native_tls(tls).connect())
    };
    let mut client = connect("localhost", trusting.clone()).unwrap();
    for len in [0, 1, 16 << 10, 1 << 20] {
        client.send_binary(&bytes(len)).unwrap();
        let echo = within("an echo", || client.receive()).unwrap();
        assert!(echo.unwrap().as_bytes() == bytes(len), "{len} bytes");
    }
    within("the end", || client.close(Code::NORMAL, "")).unwrap();
    // Another name than the certificate's, and one for whom nobody vouches.
    for (host, tls) in [("127.0.0.1", trusting), ("localhost", made().0)] {
        let refused = connect(host, tls).map(drop);
        assert!(matches!(refused, Err(ClientError::Io(_))), "{refused:?}");
    }
}

/// OpenSSL wants a write that was not taken again as it was; what is most urgent changes meanwhile.
#[test]
fn much_both_ways_with_pings_between_past_who_does_not_read() {
    let (trusting, showing) = made();
    let (_server, address) = server(showing);
    let url = format!("wss://localhost:{}/", address.port());
    let mut client =
        within("a connection", || Client::builder(&url).native_tls(trusting).inbox(64 << 20).connect()).unwrap();
    for number in 0..24 {
        client.send_binary(&bytes(1_000_000 + number)).unwrap();
        client.ping(b"between").unwrap();
    }
    for number in 0..24 {
        let echo = within("an echo", || client.receive()).unwrap().unwrap();
        assert!(echo.as_bytes() == bytes(1_000_000 + number), "{number}");
    }
    within("the end", || client.close(Code::NORMAL, "")).unwrap();
}

/// Tells how what it has connected to did.
struct Ends(Mutex<Sender<String>>);

impl Handler for Ends {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        conn.send_text("hello").unwrap();
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        self.0.lock().unwrap().send(format!("{message:?}")).unwrap();
        conn.close(Code::NORMAL, "")?;
        Ok(())
    }

    fn on_close(&self, _: &mut Conn<'_>, closed: Closed) {
        self.0.lock().unwrap().send(format!("{closed:?}")).unwrap();
    }
}

#[test]
fn connections_of_an_event_loop() {
    let (trusting, showing) = made();
    let (_server, address) = server(showing);
    let (ends, ended) = channel();
    let clients = common::start(Server::builder().native_client_tls(trusting), Ends(Mutex::new(ends)));
    let request = ClientRequest::new(&format!("wss://localhost:{}/", address.port())).unwrap();
    clients.handle().connect(&request, |_| {}).unwrap();
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), r#"Text("hello")"#);
}

#[test]
fn who_speaks_no_tls_and_who_stops_within_it_are_let_go() {
    let (trusting, showing) = made();
    let (server, address) = server(showing);
    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // What TLS says of that, perhaps, and the end.
    _ = plain.read_to_end(&mut Vec::new());
    // A client whose peer is silent has its time.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let silent = thread::spawn(move || listener.accept().unwrap());
    let soon = std::time::Duration::from_millis(50);
    let late = within("the end", || Client::builder(&url).native_tls(trusting).timeout(soon).connect()).map(drop);
    assert!(matches!(late, Err(ClientError::TimedOut)), "{late:?}");
    drop(within("its end", || silent.join()).unwrap());
    common::eventually("nobody is left", || server.handle().count() == 0);
}
