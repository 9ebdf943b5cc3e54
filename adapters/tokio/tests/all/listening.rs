//! What a server listens at: TCP, Unix sockets, and what somebody else has opened.

use crate::common::{Soon, watch};
use sockless_tokio::sockless::Config;
use sockless_tokio::{Client, Listeners, Server, connect, listen};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::unbounded_channel;

/// A path for a socket, which is free, and goes when this is dropped.
struct Socket(PathBuf);

impl Socket {
    fn new(name: &str) -> Self {
        watch();
        Self(std::env::temp_dir().join(format!("sockless-{name}-{}.sock", std::process::id())))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

async fn ask_over(path: &Path) -> String {
    let stream = UnixStream::connect(path).soon().await.unwrap();
    let (mut socket, _) = Client::new("ws://localhost/").connect_over(stream).soon().await.unwrap();
    socket.recv().soon().await.unwrap().unwrap().as_text().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_listens_at_unix_sockets_and_at_addresses() {
    let path = Socket::new("both");
    let mut listeners = Listeners::from(listen("127.0.0.1:0").await.unwrap());
    let address = match listeners.iter().next().unwrap() {
        sockless_tokio::Listener::Tcp(listener) => listener.local_addr().unwrap(),
        other => panic!("{other:?}"),
    };
    listeners.push(UnixListener::bind(&path.0).unwrap());
    assert_eq!(listeners.len(), 2);
    let (failed, mut failures) = unbounded_channel();
    // Whoever has no address is not asked for it.
    let server = Server::new().admit(|address| address.ip().is_loopback()).on_error(move |peer, failure| {
        failed.send((peer.unwrap().address, failure.to_string())).unwrap();
    });
    let server = server.config(Config::default());
    tokio::spawn(server.serve(listeners, |mut socket, peer, _| async move {
        assert_eq!(socket.stream().tcp().is_some(), peer.address.is_some());
        socket.send(peer.address.map_or("local".to_owned(), |address| address.ip().to_string())).soon().await
    }));
    assert_eq!(ask_over(&path.0).await, "local");
    let mut socket = connect(&format!("ws://{address}/")).soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("127.0.0.1".into()));
    // What hangs up without a request has no address either.
    drop(UnixStream::connect(&path.0).soon().await.unwrap());
    assert_eq!(failures.recv().soon().await.unwrap().0, None);
}

/// The same test, run again as the child that listeners are handed over to.
#[cfg(feature = "activation")]
mod activation {
    use super::*;
    use sockless_tokio::Error;
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};

    const CHILD: &str = "SOCKLESS_TEST_IS_HANDED_LISTENERS";

    /// Serves two connections, one at each.
    async fn child() {
        let listeners = Listeners::handed_over().unwrap();
        assert_eq!(listeners.len(), 2);
        assert!(Listeners::handed_over().unwrap().is_empty(), "they are taken once");
        let (done, mut connections) = unbounded_channel();
        tokio::spawn(Server::new().serve(listeners, move |mut socket, peer, _| {
            let done = done.clone();
            async move {
                socket.send(format!("handed over: {}", peer.address.is_some())).soon().await?;
                // Until the client is gone.
                while let Ok(Some(_)) = socket.recv().soon().await {}
                done.send(()).unwrap();
                Ok::<_, Error>(())
            }
        }));
        for _ in 0..2 {
            connections.recv().soon().await.unwrap();
        }
    }

    #[tokio::test]
    async fn listeners_are_handed_over() {
        if std::env::var_os(CHILD).is_some() {
            return child().await;
        }
        assert!(Listeners::handed_over().unwrap().is_empty(), "nobody has handed any over");
        let path = Socket::new("handed");
        let unix = std::os::unix::net::UnixListener::bind(&path.0).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        // The clients are there before there is a server: nobody is refused.
        let early = tokio::spawn(async move {
            let mut socket = connect(&format!("ws://{address}/")).soon().await.unwrap();
            socket.recv().soon().await.unwrap()
        });
        let mut child = Command::new("sh");
        child.args(["-c", r#"exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@""#]);
        child.arg(std::env::current_exe().unwrap()).args([
            "--exact",
            "listening::activation::listeners_are_handed_over",
            "--nocapture",
        ]);
        child.stdin(Stdio::from(OwnedFd::from(unix))).stdout(Stdio::from(OwnedFd::from(tcp))).env(CHILD, "1");
        let mut child = child.spawn().unwrap();
        assert_eq!(ask_over(&path.0).await, "handed over: false");
        assert_eq!(early.soon().await.unwrap(), Some("handed over: true".into()));
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        assert!(ended.soon().await.unwrap().success());
    }
}
