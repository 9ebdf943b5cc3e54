//! Unix sockets.

use crate::common;
use crate::common::{start, text};
use sockless_mio::{Client, Conn, Error, Message, Server};
use std::io::ErrorKind;

fn who(conn: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
    let peer = format!("{:?}", conn.peer());
    conn.send_text(&peer)?;
    Ok(())
}

#[test]
fn beside_tcp() {
    let path = std::env::temp_dir().join(format!("sockless-mio-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let server = start(Server::builder().listen("127.0.0.1:0").listen(&listen).workers(2), who);
    for _ in 0..10 {
        let mut client = common::client(|| Client::connect_unix(&path, "ws://localhost/")).unwrap();
        client.send_text("who am I?").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("None")));
    }
    let mut client = server.connect();
    client.send_text("who am I?").unwrap();
    assert!(matches!(client.receive().unwrap(), Some(Message::Text(who)) if who.starts_with("Some(127.0.0.1:")));
    // In use it is not taken away.
    let Err(error) = Server::builder().listen(&listen).bind(who) else { panic!("taken away") };
    assert!(error.to_string().starts_with(&listen), "{error} does not say what is in use");
    server.stop();
    assert!(!path.exists());
    // What a server has left that was killed is.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = start(Server::builder().listen(&listen).workers(1), who);
    common::client(|| Client::connect_unix(&path, "ws://localhost/")).unwrap();
    server.stop();
}

/// Only sockets are taken away, and only those on which nobody listens.
#[test]
fn what_else_is_at_its_path_stays() {
    let path = std::env::temp_dir().join(format!("sockless-mio-file-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    std::fs::write(&path, "precious").unwrap();
    let Err(error) = Server::builder().listen(&listen).bind(who) else { panic!("taken away") };
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    // Nor is what a link leads to.
    let link = path.with_extension("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Server::builder().listen(format!("unix:{}", link.display())).bind(who).is_err());
    assert!(path.exists() && link.exists());
    std::fs::remove_file(&link).unwrap();
    std::fs::remove_file(&path).unwrap();
}

/// Whoever has taken its place keeps it.
#[test]
fn a_successor_is_not_taken_away() {
    let path = std::env::temp_dir().join(format!("sockless-mio-next-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    for workers in [1, 2] {
        let server = start(Server::builder().listen(&listen).workers(workers), who);
        std::fs::remove_file(&path).unwrap();
        let next = start(Server::builder().listen(&listen).workers(workers), who);
        server.stop();
        let mut client = common::client(|| Client::connect_unix(&path, "ws://localhost/")).unwrap();
        client.send_text("who am I?").unwrap();
        assert_eq!(client.receive().unwrap(), Some(text("None")));
        next.stop();
        assert!(!path.exists());
    }
    // One that never runs leaves nothing either.
    drop(Server::builder().listen(&listen).bind(who).unwrap());
    assert!(!path.exists());
}
