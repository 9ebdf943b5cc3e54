//! Sockets from elsewhere: listeners that another has made or handed over, connections that another has accepted, and several
//! processes on one port.

use crate::common;
use crate::common::{eventually, start};
use sockless_mio::{Address, Client, Conn, Error, Listeners, Message, Server};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command};

/// Answers with the number of the process.
fn pid(conn: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
    conn.send_text(&std::process::id().to_string())?;
    Ok(())
}

/// The process that answers at an address, if one does.
fn who(address: SocketAddr) -> Option<u32> {
    let mut client = common::client(|| Client::connect(&format!("ws://{address}/"))).ok()?;
    client.send_text("who?").ok()?;
    client.receive().ok()??.as_text()?.parse().ok()
}

#[test]
fn listeners_that_are_there_already() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let path = std::env::temp_dir().join(format!("sockless-adopting-{}.sock", std::process::id()));
    let unix = UnixListener::bind(&path).unwrap();
    let mut listeners = Listeners::from(tcp);
    listeners.push(unix);
    assert_eq!((listeners.len(), listeners.iter().count(), listeners.is_empty()), (2, 2, false));
    let server = start(Server::builder().workers(2).listen_on(listeners), pid);
    // Who came first waits in the listeners' own queue.
    for _ in 0..10 {
        assert_eq!(who(address), Some(std::process::id()));
    }
    let mut unix = UnixStream::connect(&path).unwrap();
    unix.set_read_timeout(Some(common::PATIENCE)).unwrap();
    std::io::Write::write_all(&mut unix, common::REQUEST).unwrap();
    common::skip_head(&mut unix);
    server.stop();
    // The file is whose it was.
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_says_where_it_listens() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let server = Server::builder().workers(1).listen("127.0.0.1:0").listen_on(vec![tcp]).bind(pid).unwrap();
    assert_eq!(server.addresses()[1], Address::Tcp(address));
    #[cfg(feature = "tls")]
    {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(Server::builder().listen_on_tls(tcp).bind(pid).is_err(), "TLS without a certificate");
    }
}

#[test]
fn connections_that_another_has_accepted() {
    let server = start(Server::builder().workers(2).max_handshakes(2), pid);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        (stream, listener.accept().unwrap().0)
    };
    for _ in 0..10 {
        let (mut client, accepted) = connect();
        server.handle().adopt(accepted).unwrap();
        std::io::Write::write_all(&mut client, common::REQUEST).unwrap();
        common::skip_head(&mut client);
    }
    let (mut one, other) = UnixStream::pair().unwrap();
    one.set_read_timeout(Some(common::PATIENCE)).unwrap();
    server.handle().adopt(other).unwrap();
    std::io::Write::write_all(&mut one, common::REQUEST).unwrap();
    common::skip_head(&mut one);
    server.eventually("all are counted", |stats| stats.accepted == 11);

    // There is no certificate; and no place, while others have theirs for less than a second.
    #[cfg(feature = "tls")]
    {
        let (mut client, accepted) = connect();
        server.handle().adopt_tls(accepted).unwrap();
        assert_eq!(std::io::Read::read(&mut client, &mut [0]).unwrap(), 0);
        server.eventually("it is refused", |stats| stats.refused == 1);
    }
    let mut silent = Vec::new();
    for _ in 0..20 {
        let (client, accepted) = connect();
        server.handle().adopt(accepted).unwrap();
        silent.push(client);
    }
    server.eventually("some are refused", |stats| stats.refused > 1 && stats.connections <= 11 + 4);
    let handle = server.handle().clone();
    server.stop();
    assert!(handle.adopt(connect().1).is_err());
}

/// What a child process is to do.
const CHILD: &str = "SOCKLESS_TEST_CHILD";

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Serves for ever, if it is told where.
#[test]
fn child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let builder = Server::builder().workers(2);
    let builder = match &*place {
        #[cfg(feature = "activation")]
        "handed over" => {
            let listeners = Listeners::handed_over().unwrap();
            assert_eq!(listeners.len(), 1);
            assert!(Listeners::handed_over().unwrap().is_empty());
            builder.listen_on(listeners)
        }
        address => builder.listen(address),
    };
    builder.bind(pid).unwrap().run().unwrap();
}

#[cfg(feature = "activation")]
#[test]
fn a_listener_that_was_handed_over() {
    common::watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As systemd does: the first is descriptor 3, and the variables say whom they are for.
    let hand_over = r#"exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" --exact adopting::child"#;
    let mut command = Command::new("sh");
    command.args(["-c", hand_over]).arg(std::env::current_exe().unwrap()).env(CHILD, "handed over");
    command.stdin(std::os::fd::OwnedFd::from(listener.try_clone().unwrap()));
    let first = Killed(command.spawn().unwrap());
    assert_eq!(who(address), Some(first.0.id()));
    // The queue outlives the process: who connects meanwhile waits for the next.
    drop(first);
    let waiting = std::thread::spawn(move || who(address));
    command.stdin(std::os::fd::OwnedFd::from(listener));
    let second = Killed(command.spawn().unwrap());
    assert_eq!(common::within("the answer", || waiting.join().unwrap()), Some(second.0.id()));
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
#[test]
fn several_processes_share_a_port() {
    common::watch();
    // It keeps the port, and does not listen there.
    let keeper = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    keeper.set_reuse_address(true).unwrap();
    keeper.set_reuse_port(true).unwrap();
    keeper.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = keeper.local_addr().unwrap().as_socket().unwrap();
    let child = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Killed(command.args(["--exact", "adopting::child"]).env(CHILD, address.to_string()).spawn().unwrap())
    };
    let children = [child(), child()];
    for child in &children {
        eventually("each answers", || who(address) == Some(child.0.id()));
    }
}
