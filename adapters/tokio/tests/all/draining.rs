//! How a server takes leave of its peers: over a span of time, with a code of choice, and of those that stay.

use crate::common;
use crate::common::{Soon, watch};
use sockless_tokio::sockless::{Close, Code, SendError};
use sockless_tokio::{Drain, Error, NetStream, Open, Server, WebSocket, connect};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// A listener, and where clients find it.
async fn listener() -> (TcpListener, String) {
    watch();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn wait_for_the_end(mut socket: WebSocket<NetStream>) -> Result<(), Error> {
    while socket.recv().await?.is_some() {}
    Ok(())
}

async fn until_open(open: &Open, count: usize) {
    while open.count() < count {
        sleep(Duration::from_millis(1)).soon().await;
    }
}

/// What the peer has said at the end.
async fn farewell(socket: &mut WebSocket<NetStream>) -> Close<'static> {
    assert_eq!(socket.recv().soon().await.unwrap(), None);
    socket.peer_close().unwrap().clone()
}

const RESTART: Drain = Drain {
    span: Duration::from_secs(60),
    code: Code::RESTART,
    reason: std::borrow::Cow::Borrowed("back soon"),
    grace: Duration::from_secs(20),
};

/// In memory, where a clock that stands still as long as anything is to be done has the times of the rule.
#[tokio::test(start_paused = true)]
async fn peers_are_told_over_the_span() {
    watch();
    let (open, began) = (Open::new(), Instant::now());
    let mut told = JoinSet::new();
    for _ in 0..20 {
        let (mut client, mut server) = common::pair(1024);
        let tracked = open.track(&server);
        told.spawn(async move {
            assert_eq!(client.recv().await.unwrap(), None);
            assert_eq!(client.peer_close(), Some(&Close { code: Code::RESTART, reason: "back soon".into() }));
            began.elapsed()
        });
        tokio::spawn(async move {
            let _tracked = tracked;
            while server.recv().await.unwrap().is_some() {}
        });
    }
    let report = open.shutdown(RESTART).soon().await.unwrap();
    assert_eq!((report.closed, report.cut_off), (20, vec![]));
    let mut times: Vec<_> = told.join_all().soon().await.iter().map(Duration::as_millis).collect();
    let mut expected: Vec<_> = (0..20).map(|id| RESTART.delay(id).as_millis()).collect();
    times.sort();
    expected.sort();
    // A timer of tokio's rings at whole milliseconds.
    assert!(times.iter().zip(&expected).all(|(time, due)| (*due..=*due + 1).contains(time)), "{times:?} {expected:?}");
}

#[tokio::test]
async fn a_server_tells_all_its_peers_and_waits_for_them() {
    let (listener, url) = listener().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::new().drain(Drain { span: Duration::from_millis(50), ..RESTART }).unwrap().shutdown(stopped);
    let open = server.open();
    let served = tokio::spawn(server.serve(listener, |socket, _, _| wait_for_the_end(socket)));
    let mut sockets = vec![];
    for _ in 0..20 {
        sockets.push(connect(&url).soon().await.unwrap());
    }
    until_open(&open, 20).await;
    stop.send(()).unwrap();
    let mut told = JoinSet::new();
    for mut socket in sockets {
        told.spawn(async move { farewell(&mut socket).await });
    }
    for close in told.join_all().soon().await {
        assert_eq!(close, Close { code: Code::RESTART, reason: "back soon".into() });
    }
    let report = served.soon().await.unwrap();
    assert_eq!((report.closed, report.cut_off), (20, vec![]));
    assert!(connect(&url).soon().await.is_err());
}

#[tokio::test]
async fn who_does_not_go_is_cut_off_and_named() {
    let (listener, url) = listener().await;
    let server = Server::new();
    let open = server.open();
    let served = tokio::spawn(server.serve(listener, |socket, peer, _| async move {
        if peer.id == 1 {
            std::future::pending::<()>().await;
        }
        wait_for_the_end(socket).await
    }));
    let mut sockets = vec![];
    for count in 1..=3 {
        sockets.push(connect(&url).soon().await.unwrap());
        until_open(&open, count).await;
    }
    let drain = Drain { grace: Duration::from_secs(1), ..Drain::default() };
    let (report, ()) = tokio::join!(open.shutdown(drain), async {
        assert_eq!(farewell(&mut sockets[0]).await.code, Code::AWAY);
        assert_eq!(farewell(&mut sockets[2]).await.code, Code::AWAY);
        assert!(sockets[1].recv().soon().await.is_err(), "it hangs up");
    });
    // The others too, if this machine took so long.
    let report = report.unwrap();
    assert_eq!(report.closed + report.cut_off.len(), 3);
    let stayed = report.cut_off.iter().find(|peer| peer.id == 1).unwrap();
    assert_eq!(stayed.address, sockets[1].stream().tcp().unwrap().local_addr().ok());
    let told = served.soon().await.unwrap();
    assert_eq!((told.closed, told.cut_off.len()), (report.closed, report.cut_off.len()), "whoever is told");
}

#[tokio::test]
async fn the_end_may_begin_anywhere_and_only_once() {
    let (listener, url) = listener().await;
    let server = Server::new();
    let open = server.open();
    let served = tokio::spawn(server.serve(listener, |socket, _, _| wait_for_the_end(socket)));
    let mut socket = connect(&url).soon().await.unwrap();
    until_open(&open, 1).await;
    // What cannot be said ends nothing.
    let bad = Drain { code: Code::ABNORMAL, ..Drain::default() };
    assert_eq!(open.shutdown(bad.clone()).soon().await, Err(SendError::CloseCode(1006)));
    assert!(matches!(Server::new().drain(bad), Err(SendError::CloseCode(1006))));
    let try_later = Drain { code: Code::TRY_LATER, ..Drain::default() };
    let (first, second, close) = tokio::join!(
        open.shutdown(try_later),
        open.shutdown(Drain { code: Code::RESTART, ..Drain::default() }),
        farewell(&mut socket)
    );
    assert_eq!(close.code, Code::TRY_LATER);
    assert_eq!((first.unwrap().closed, second.unwrap().closed), (1, 1));
    assert_eq!(served.soon().await.unwrap().cut_off, []);
}

/// Connections of another server's, counted by hand.
#[tokio::test(start_paused = true)]
async fn tracked_connections_are_closed_too_and_cut_off() {
    watch();
    let open = Open::new();
    let mut sockets = vec![];
    let mut tasks = vec![];
    for number in 0..3_u64 {
        let (client, mut server) = common::pair(1024);
        sockets.push(client);
        let tracked = open.track(&server);
        assert_eq!(tracked.peer().id, number);
        tasks.push(tokio::spawn(async move {
            let _tracked = tracked;
            while server.recv().await.unwrap().is_some() {}
        }));
    }
    assert_eq!(open.count(), 3);
    let [mut kicked, mut gone, quiet] = sockets.try_into().unwrap();
    assert_eq!(open.close(0, 4003, "banned"), Ok(true));
    assert_eq!(kicked.recv().soon().await.unwrap(), None);
    assert_eq!(kicked.peer_close(), Some(&Close { code: Code::new(4003), reason: "banned".into() }));
    tasks.remove(0).soon().await.unwrap();
    assert_eq!(open.count(), 2);
    // One peer answers, the other does not.
    let drain = Drain { span: Duration::from_secs(5), grace: Duration::from_secs(1), ..Drain::default() };
    let (report, ended) = tokio::join!(open.shutdown(drain), gone.recv());
    let report = report.unwrap();
    assert_eq!((ended.unwrap(), report.closed, report.cut_off.len()), (None, 1, 1));
    assert_eq!((report.cut_off[0].id, report.cut_off[0].address), (2, None));
    for task in tasks {
        task.soon().await.unwrap();
    }
    assert_eq!(open.count(), 0);
    drop(quiet);
    // Who comes too late.
    let (mut client, mut server) = common::pair(1024);
    let _tracked = open.track(&server);
    let (theirs, ours) = tokio::join!(client.recv(), server.recv());
    assert_eq!((theirs.unwrap(), ours.unwrap()), (None, None));
    assert_eq!(client.peer_close().unwrap().code, Code::AWAY);
}
