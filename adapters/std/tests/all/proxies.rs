//! Connections through proxies of every kind, honest and not, and to where and from where a client connects.

use crate::common::{PATIENCE, echo, watch, within};
use sockless_std::{Client, ConnectError, Proxies, Proxy, ProxyError, Server, SocksError, accept};
use sockless_test_support::proxy::{Then, scripted};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

const FINE: &[u8] = b"HTTP/1.1 200 Fine\r\nProxy-Agent: x\r\n\r\n";
const ASKED: &[u8] = b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n";

/// A server that echoes to those who come.
fn echoing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(|| echo(accept(stream).unwrap()));
        }
    });
    address
}

fn talk(client: &Client) -> Result<(), ConnectError> {
    let (mut socket, _) = within("a connection", || client.connect())?;
    socket.send("through").unwrap();
    assert_eq!(within("an echo", || socket.recv()).unwrap(), Some("through".into()));
    within("the end", || socket.close(1000, "")).unwrap();
    Ok(())
}

fn through(url: &str, proxy: &str, port: u16) -> Client {
    Client::new(url).proxy(Proxy::new(&proxy.replace("PROXY", &format!("127.0.0.1:{port}"))).unwrap())
}

fn turns(turns: &[(&[u8], &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
    turns.iter().map(|(read, said)| (read.to_vec(), said.to_vec())).collect()
}

#[test]
fn each_kind_is_told_what_it_wants_and_passes_bytes_on() {
    watch();
    let server = echoing();
    let port = server.port().to_be_bytes();
    let connect = format!(
        "CONNECT name.test:{0} HTTP/1.1\r\nHost: name.test:{0}\r\nProxy-Authorization: Basic dXM/ZXI6IHNlY3JldA==\r\n\r\n",
        server.port()
    );
    let granted5: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let with_port = |start: &[u8], end: &[u8]| [start, &port, end].concat();
    for (proxy, host, exchange) in [
        ("http://us%3Fer:%20secret@PROXY", "name.test", turns(&[(connect.as_bytes(), FINE)])),
        (
            "socks4a://me@PROXY",
            "name.test",
            turns(&[(&with_port(&[4, 1], b"\0\0\0\x01me\0name.test\0"), &[0, 90, 0, 0, 0, 0, 0, 0])]),
        ),
        // Looked up here.
        ("socks4://PROXY", "localhost", turns(&[(&with_port(&[4, 1], b"\x7f\0\0\x01\0"), &[0, 90, 0, 0, 0, 0, 0, 0])])),
        (
            "socks5h://PROXY",
            "name.test",
            turns(&[(&[5, 1, 0], &[5, 0]), (&with_port(b"\x05\x01\0\x03\x09name.test", b""), granted5)]),
        ),
        (
            "socks5://user:secret@PROXY",
            "127.0.0.1",
            turns(&[
                (&[5, 2, 0, 2], &[5, 2]),
                (b"\x01\x04user\x06secret", &[1, 0]),
                (&with_port(&[5, 1, 0, 1, 127, 0, 0, 1], b""), granted5),
            ]),
        ),
    ] {
        let (port, ended) = scripted(exchange, Then::Pass(server));
        let client = through(&format!("ws://{host}:{}/", server.port()), proxy, port);
        talk(&client).unwrap_or_else(|error| panic!("{proxy}: {error}"));
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap().unwrap(), b"", "{proxy}");
    }
}

#[test]
fn a_refusal_is_told_with_its_fields_and_its_body() {
    watch();
    let answer = b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 5\r\n\r\nlogin";
    let (port, _) = scripted(turns(&[(ASKED, answer)]), Then::Wait);
    let refused = within("a refusal", || through("ws://a.test/", "http://PROXY", port).connect()).map(drop);
    let Err(ConnectError::Proxy(ProxyError::Refused(response))) = refused else { panic!("{refused:?}") };
    assert_eq!((response.status(), response.reason(), response.is_whole()), (407, "Who?", true));
    assert_eq!(response.header("proxy-authenticate"), Some(&b"Basic realm=\"x\""[..]));
    assert_eq!(response.body(), b"login");
    // Its body is not waited for long.
    let answer = b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nlog";
    for then in [Then::Wait, Then::HangUp] {
        let (port, _) = scripted(turns(&[(ASKED, answer)]), then);
        let client = through("ws://a.test/", "http://PROXY", port).timeout(None);
        let refused = within("a refusal", || client.connect()).map(drop);
        let Err(ConnectError::Proxy(ProxyError::Refused(response))) = refused else { panic!("{refused:?}") };
        assert_eq!((response.status(), response.body(), response.is_whole()), (403, &b"log"[..], false));
    }
}

#[test]
fn proxies_that_lie_flood_hang_up_or_never_answer() {
    watch();
    let flood = [b"HTTP/1.1 200 Fine\r\nX: ", &*vec![b'x'; 16 << 10]].concat();
    for answer in [&flood[..], b"SSH-2.0-x\r\n\r\n", b"\0"] {
        let (port, _) = scripted(turns(&[(ASKED, answer)]), Then::Wait);
        let told = within("an error", || through("ws://a.test/", "http://PROXY", port).connect()).map(drop);
        assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Answer))), "{told:?}");
    }
    let (port, _) = scripted(turns(&[(ASKED, b"HTTP/1.1 200 Fine\r\n")]), Then::HangUp);
    let told = within("an error", || through("ws://a.test/", "http://PROXY", port).connect()).map(drop);
    assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Io(_)))), "{told:?}");
    let (port, _) = scripted(turns(&[(&[5, 1, 0], &[5, 0xFF])]), Then::Wait);
    let told = within("an error", || through("ws://a.test/", "socks5h://PROXY", port).connect()).map(drop);
    assert!(matches!(told, Err(ConnectError::Proxy(ProxyError::Socks(SocksError::Login)))), "{told:?}");
    let (port, ended) = scripted(turns(&[(ASKED, b"HTTP/1.1 200 ")]), Then::Wait);
    let client = through("ws://a.test/", "http://PROXY", port).timeout(Duration::from_millis(50));
    let late = within("the end of the time", || client.connect()).map(drop);
    assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
    // It is hung up on, however far it has come.
    _ = ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn hosts_without_a_proxy_are_connected_to() {
    watch();
    let server = echoing();
    let get = |name: &str| match name {
        "all_proxy" => Some("socks5h://127.0.0.1:1".into()),
        "no_proxy" => Some("localhost".into()),
        _ => None,
    };
    let client = Client::new("").proxy(Proxies::from_variables(get).unwrap());
    talk(&client.clone().url(&format!("ws://localhost:{}/", server.port()))).unwrap();
    let other = within("an error", || client.url("ws://a.test/").connect()).map(drop);
    assert!(matches!(other, Err(ConnectError::Proxy(ProxyError::Io(_)))), "{other:?}");
}

#[test]
fn to_addresses_and_from_addresses_of_ones_own() {
    watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Server::new()
        .start(listener, |mut socket, _| {
            let peer = socket.get_ref().tcp().peer_addr().unwrap();
            socket.send(peer.to_string())
        })
        .unwrap();
    let server = running.address();
    // A port that was free a moment ago refuses.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new("ws://[fe80::1%25lo]:7/").resolver(move |host, port| {
        assert_eq!((host, port), ("fe80::1%lo", 7));
        Ok(vec![dead, server])
    });
    let seen = |client: &Client| {
        let (mut socket, _) = within("a connection", || client.connect())?;
        let message = within("an address", || socket.recv()).unwrap().unwrap();
        Ok::<_, ConnectError>(message.as_text().unwrap().parse::<SocketAddr>().unwrap())
    };
    seen(&client).unwrap();
    #[cfg(target_os = "linux")]
    {
        let own = IpAddr::from([127, 0, 0, 9]);
        assert_eq!(seen(&client.clone().local_address(own)).unwrap().ip(), own);
        assert_eq!(seen(&client.clone().interface("lo").local_address(own)).unwrap().ip(), own);
        assert!(matches!(seen(&client.clone().interface("none")), Err(ConnectError::Tcp(_))));
    }
    let other: IpAddr = "::1".parse().unwrap();
    assert!(matches!(seen(&client.clone().local_address(other)), Err(ConnectError::Tcp(_))));
    let failing = client.socket(|_, _| Err(io::ErrorKind::PermissionDenied.into()));
    let told = seen(&failing);
    assert!(
        matches!(&told, Err(ConnectError::Tcp(error)) if error.kind() == io::ErrorKind::PermissionDenied),
        "{told:?}"
    );
    for resolver in [|| Err(io::Error::other("no")), || panic!("as a test wants it")] {
        let client = Client::new("ws://a.test/").resolver(move |_, _| resolver());
        assert!(matches!(seen(&client), Err(ConnectError::Resolve(_))));
    }
}
