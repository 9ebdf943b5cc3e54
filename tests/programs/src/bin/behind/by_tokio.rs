//! By tasks of tokio.

use super::{Place, Result, name};
use sockless_tokio::{Error, Server, Trusted};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[tokio::main]
pub(super) async fn serve(places: [Place; 4], trust: &[String]) -> Result {
    let mut servers = JoinSet::new();
    for Place { tls, proxied } in places {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on {}", listener.local_addr()?);
        let mut server = Server::new().trusted(Trusted::new(trust)?).proxy_protocol(proxied);
        if let Some(tls) = tls {
            server = server.tls(tls);
        }
        servers.spawn(server.serve(listener, |mut socket, peer, _| async move {
            socket.send(name(peer.address)).await?;
            socket.recv_each::<Error>(|message, replies| replies.feed(message)).await
        }));
    }
    servers.join_all().await;
    Ok(())
}
