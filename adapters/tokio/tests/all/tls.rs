//! A server over TLS: its certificate from PEM files, and read again while it runs.

use crate::common::{Soon, watch};
use sockless_tokio::{Client, Error, Identity, NetStream, Roots, Server, Tls, WebSocket};
use std::fs;
use std::path::PathBuf;
use tokio::net::TcpListener;

/// A certificate and its key, in files that end with it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        watch();
        let folder = std::env::temp_dir().join(format!("sockless-tokio-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = Self(folder);
        files.make();
        files
    }

    /// Makes others in their place.
    fn make(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.of("cert.pem"), made.cert.pem()).unwrap();
        fs::write(self.of("key.pem"), made.signing_key.serialize_pem()).unwrap();
    }

    fn of(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts a server of echoes; where clients find it.
async fn start(server: Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(server.serve(listener, |mut socket, _, _| async move {
        assert!(socket.stream().is_tls() && socket.stream().tcp().is_some());
        while let Some(message) = socket.recv().await? {
            socket.send(message).soon().await?;
        }
        Ok::<_, Error>(())
    }));
    url
}

async fn connect(url: &str, tls: &Tls) -> Option<WebSocket<NetStream>> {
    Client::new(url).tls(tls.clone()).connect().soon().await.ok().map(|(socket, _)| socket)
}

async fn echoes(socket: &mut WebSocket<NetStream>) {
    socket.send("hello").soon().await.unwrap();
    assert_eq!(socket.recv().soon().await.unwrap(), Some("hello".into()));
}

#[tokio::test]
async fn a_certificate_from_files() {
    let files = Files::new("files");
    let url = start(Server::new().tls(Tls::server(files.of("cert.pem"), files.of("key.pem")).unwrap())).await;
    echoes(&mut connect(&url, &Tls::trusting(files.of("cert.pem")).unwrap()).await.unwrap()).await;
    assert!(connect(&url, &Tls::new(Roots::Own(vec![])).unwrap()).await.is_none(), "who trusts nobody");
}

#[tokio::test]
async fn a_certificate_is_read_again_while_the_server_runs() {
    let files = Files::new("again");
    let identity = Identity::open(files.of("cert.pem"), files.of("key.pem")).unwrap();
    let url = start(Server::new().tls(identity.clone())).await;
    let before = Tls::trusting(files.of("cert.pem")).unwrap();
    let mut open = connect(&url, &before).await.unwrap();
    files.make();
    let after = Tls::trusting(files.of("cert.pem")).unwrap();
    assert!(connect(&url, &after).await.is_none(), "it is not read of itself");
    identity.reload().unwrap();
    echoes(&mut connect(&url, &after).await.unwrap()).await;
    assert!(connect(&url, &before).await.is_none());
    // Who was there stays.
    echoes(&mut open).await;
}
