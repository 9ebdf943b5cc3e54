//! The client that connects again.

use futures_util::FutureExt;
use sockless_test_support::{Soon, soon};
use sockless_tokio::sockless::{Code, Config};
use sockless_tokio::{
    Backoff, Change, Client, ConnectError, Keep, Message, Reconnecting, Reject, Unsent, accept, accept_with,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

const QUICK: Backoff = Backoff {
    first: Duration::from_millis(2),
    longest: Duration::from_millis(8),
    attempts: Some(4),
    settled: Backoff::SETTLED,
};

/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn it_connects_again_and_reports_what_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        // The first connection is closed with a reason, the second dropped while much is on its way, the third serves.
        let mut socket = accept(listener.accept().soon().await.unwrap().0).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some("one".into()));
        socket.close(Code::RESTART, "back soon").soon().await.unwrap();
        drop(socket);

        let refuse = |_: &sockless_tokio::sockless::Request<'_>| Err(Reject::new(503));
        _ = accept_with(listener.accept().soon().await.unwrap().0, Config::default(), refuse).soon().await;

        let mut socket = accept(listener.accept().soon().await.unwrap().0).soon().await.unwrap();
        assert_eq!(socket.recv().soon().await.unwrap(), Some("two".into()));
        // Some of the next is read, and never all of it.
        socket.stream_mut().read_exact(&mut [0; 100]).soon().await.unwrap();
        drop(socket);

        let mut socket = accept(listener.accept().soon().await.unwrap().0).soon().await.unwrap();
        while let Some(message) = socket.recv().await.unwrap() {
            socket.send(message).soon().await.unwrap();
        }
    });
    let mut client = Client::new(&url).reconnecting(QUICK);
    assert_eq!(client.send("early").soon().await, Err(Unsent::NotConnected("early".into())));
    assert!(matches!(client.next().soon().await, Ok(Change::Connected)));
    client.send("one").soon().await.unwrap();
    match client.next().soon().await {
        Ok(Change::Lost { close: Some(close), error: None, unsent, kept: 0, wait: Some(_), .. }) => {
            assert_eq!((close.code, &*close.reason, unsent), (Code::RESTART, "back soon", vec![]));
        }
        other => panic!("{other:?}"),
    }
    match client.next().soon().await {
        Ok(Change::Failed(ConnectError::Rejected(response), wait)) => {
            assert_eq!(response.status(), 503);
            assert!(wait <= QUICK.longest);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.next().soon().await, Ok(Change::Resumed { kept: 0 })));
    client.send("two").soon().await.unwrap();
    // More than fits between two sockets.
    let large = Message::binary(vec![7; 32 << 20]);
    client.send(large.clone()).soon().await.unwrap();
    match client.next().soon().await {
        Ok(Change::Lost { close: None, error: Some(_), unsent, .. }) => assert!(unsent == [large]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.next().soon().await, Ok(Change::Resumed { kept: 0 })));
    client.send("three").soon().await.unwrap();
    assert!(matches!(client.next().soon().await, Ok(Change::Message(message)) if message == "three".into()));
    client.close(1000, "").soon().await.ended.unwrap();
    server.soon().await.unwrap();
}

#[tokio::test]
async fn it_gives_up_after_so_many_failures_and_begins_anew() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut client = Client::new(&format!("ws://127.0.0.1:{port}/")).reconnecting(QUICK);
    for _ in 0..2 {
        for _ in 0..3 {
            assert!(matches!(client.next().soon().await, Ok(Change::Failed(ConnectError::Tcp(_), _))));
        }
        assert!(matches!(client.next().soon().await, Err(ConnectError::Tcp(_))));
    }
    let mut hopeless = Client::new("http://127.0.0.1/").reconnecting(QUICK);
    assert!(matches!(hopeless.next().soon().await, Err(ConnectError::Request(_))));
}

#[tokio::test]
async fn a_dropped_wait_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut socket = accept(listener.accept().soon().await.unwrap().0).soon().await.unwrap();
        socket.send("Hello").soon().await.unwrap();
        socket.close(1000, "").soon().await.unwrap();
        // One connection is all that there was.
        drop(listener);
    });
    let mut client = Client::new(&url).reconnecting(QUICK);
    let mut told = vec![];
    while told.len() < 3 {
        tokio::select! {
            biased;
            change = client.next() => told.push(format!("{:?}", change.unwrap())),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(told[0], "Connected");
    assert_eq!(told[1], r#"Message(Text("Hello"))"#);
    assert!(told[2].starts_with("Lost"), "{told:?}");
    server.soon().await.unwrap();
}

/// The URL of a server that opens connections and closes them at once, and how many it has.
async fn closing() -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicU32::new(0));
    let counted = accepted.clone();
    tokio::spawn(async move {
        loop {
            let mut socket = accept(listener.accept().await.unwrap().0).soon().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            _ = socket.close(1000, "").soon().await;
        }
    });
    (url, accepted)
}

#[tokio::test]
async fn a_server_that_accepts_and_closes_is_given_up() {
    let (url, accepted) = closing().await;
    let mut client = Client::new(&url).reconnecting(QUICK);
    for round in 1..=2 {
        for _ in 0..4 {
            assert!(matches!(client.next().soon().await, Ok(Change::Connected | Change::Resumed { .. })));
            assert!(matches!(client.next().soon().await, Ok(Change::Lost { .. })));
        }
        assert!(matches!(client.next().soon().await, Err(ConnectError::ShortLived)));
        assert_eq!(accepted.load(Ordering::Relaxed), round * 4);
    }
    // Unless that is long enough.
    let mut client = Client::new(&url).reconnecting(Backoff { settled: Duration::ZERO, ..QUICK });
    for _ in 0..20 {
        assert!(matches!(client.next().soon().await, Ok(Change::Connected | Change::Resumed { .. })));
        assert!(matches!(client.next().soon().await, Ok(Change::Lost { .. })));
    }
}

#[tokio::test]
async fn what_the_server_has_read_is_never_reported_as_unsent() {
    const READ: u32 = 3000;
    let socket = TcpSocket::new_v4().unwrap();
    // The system's own buffers would hold a good deal.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let ((has_read, mut read), (stop, stopped)) = (oneshot::channel(), oneshot::channel());
    let server = tokio::spawn(async move {
        let mut socket = accept(listener.accept().soon().await.unwrap().0).soon().await.unwrap();
        for number in 0..READ {
            assert_eq!(socket.recv().soon().await.unwrap().unwrap().as_bytes()[..4], number.to_be_bytes());
        }
        has_read.send(()).unwrap();
        stopped.await.unwrap();
    });
    let mut client = Client::new(&url).reconnecting(QUICK);
    assert!(matches!(client.next().soon().await, Ok(Change::Connected)));
    let message = |number: u32| Message::binary([&number.to_be_bytes()[..], &[7; 4092]].concat());
    let (mut sent, mut done) = (0, false);
    timeout(PATIENCE, async {
        loop {
            // The wait for each is given up at once.
            match client.send(message(sent)).now_or_never() {
                Some(Err(Unsent::Full(refused))) => assert_eq!(refused, message(sent)),
                Some(Err(error)) => panic!("{error}"),
                _ => {
                    sent += 1;
                    continue;
                }
            }
            let before = client.socket().unwrap().counters().sent;
            _ = timeout(Duration::from_millis(20), client.next()).await;
            // Nobody reads any more, and the system takes nothing.
            done |= read.try_recv().is_ok();
            if done && client.socket().unwrap().counters().sent == before {
                break;
            }
        }
    })
    .await
    .expect("it is full in time");
    stop.send(()).unwrap();
    let Ok(Change::Lost { unsent, .. }) = client.next().soon().await else { panic!("still there") };
    server.soon().await.unwrap();
    let first = u32::from_be_bytes(unsent[0].as_bytes()[..4].try_into().unwrap());
    assert!(first >= READ, "{first} was read");
    assert!(unsent.iter().eq((first..sent).map(message).collect::<Vec<_>>().iter()), "all from {first} to {sent}");
}

#[tokio::test]
async fn the_list_of_what_is_unsent_is_bounded_by_its_entries_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let mut client = Client::new(&url).reconnecting(QUICK);
    let accepting = async { accept(listener.accept().soon().await.unwrap().0).soon().await.unwrap() };
    let (connected, mut server) = tokio::join!(client.next(), accepting);
    assert!(matches!(connected, Ok(Change::Connected)));
    // As much as the system takes.
    let mut large = 0;
    while client.send(vec![7; 64 << 10]).now_or_never().is_some() {
        large += 1;
    }
    let mut empty = 0;
    let refused = loop {
        match client.send("").now_or_never() {
            Some(Err(error)) => break error,
            _ => empty += 1,
        }
    };
    assert_eq!(refused, Unsent::Full("".into()));
    assert!(empty * 64 <= 1 << 20, "{empty} messages are kept");
    // All that was taken goes out.
    let reading = async {
        for number in 0..large + 1 + empty {
            let len = if number <= large { 64 << 10 } else { 0 };
            assert_eq!(server.recv().soon().await.unwrap().unwrap().as_bytes().len(), len);
        }
        server.close(1000, "").soon().await.unwrap();
    };
    let both = async { tokio::join!(client.next(), reading).0 };
    match timeout(PATIENCE, both).await.expect("all is read") {
        Ok(Change::Lost { close: Some(_), unsent, .. }) => assert_eq!(unsent, []),
        other => panic!("{other:?}"),
    }
}

/// A server that is driven by the test, and a client of it that keeps what is not sent.
async fn keeping(keep: Keep) -> (TcpListener, Reconnecting) {
    // So that little is between the two.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, Client::new(&url).reconnecting(Backoff { attempts: None, ..QUICK }).keep(keep))
}

/// The next connection of a client, while it looks for something to tell.
async fn connection(listener: &TcpListener) -> TcpStream {
    listener.accept().soon().await.unwrap().0
}

/// A message that says which it is, and is long enough that the system takes no more than some.
fn numbered(number: u32, len: usize) -> Message {
    let mut bytes = vec![7; len];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Message::binary(bytes)
}

#[tokio::test]
async fn what_is_kept_goes_out_once_wherever_the_server_drops_the_connection() {
    // More than the system takes of so many connections.
    const LEN: usize = 1_000_000;
    const MESSAGES: u32 = 48;
    let (listener, mut client) = keeping(Keep { messages: 100, bytes: 100 * LEN }).await;
    for number in 0..MESSAGES {
        client.send(numbered(number, LEN)).soon().await.unwrap();
    }
    let (known, mut last) = tokio::sync::watch::channel(None);
    let server = tokio::spawn(async move {
        // Before anything, in the middle of the request, and before the answer to it.
        drop(connection(&listener).await);
        _ = connection(&listener).await.read_u8().soon().await.unwrap();
        let mut asked = connection(&listener).await;
        let mut request = vec![];
        while !request.ends_with(b"\r\n\r\n") {
            request.push(asked.read_u8().soon().await.unwrap());
        }
        // Within the answer.
        asked.write_all(b"HTTP/1.1 101 ").soon().await.unwrap();
        drop(asked);
        // Behind the answer, in the middle of a message, and between two.
        let mut got = vec![];
        for (whole, part) in [(0, 0), (0, 1000), (2, 0), (1, 100_000), (3, LEN as u64 - 1)] {
            let mut socket = accept(connection(&listener).await).soon().await.unwrap();
            for _ in 0..whole {
                let message = socket.recv().soon().await.unwrap().unwrap();
                got.push(u32::from_be_bytes(message.as_bytes()[..4].try_into().unwrap()));
            }
            let mut part = socket.stream_mut().take(part);
            tokio::io::copy(&mut part, &mut tokio::io::sink()).soon().await.unwrap();
        }
        let mut socket = accept(connection(&listener).await).soon().await.unwrap();
        while let Some(message) = socket.recv().soon().await.unwrap() {
            assert_eq!(message.len(), LEN);
            got.push(u32::from_be_bytes(message.as_bytes()[..4].try_into().unwrap()));
            known.send_replace(got.last().copied());
        }
        got
    });
    let (mut lost, mut failed) = (0, 0);
    loop {
        tokio::select! {
            change = client.next() => match change.unwrap() {
                // Nothing is told to be lost, and all that is kept is told.
                Change::Lost { unsent, kept, .. } => (lost, _) = (lost + 1, assert!(unsent.is_empty() && kept > 0)),
                Change::Failed(..) => failed += 1,
                _ => {}
            },
            _ = last.wait_for(|last| *last == Some(MESSAGES - 1)) => break,
        }
    }
    assert_eq!((lost, failed), (5, 3));
    let stopped = client.close(1000, "").soon().await;
    assert!(stopped.unsent.is_empty() && stopped.ended.is_ok(), "{stopped:?}");
    let got = server.soon().await.unwrap();
    // None twice, and in their order. What is missing was wholly given to a connection that the server dropped.
    assert!(got.is_sorted_by(|one, other| one < other), "{got:?}");
    assert_eq!(got.last(), Some(&(MESSAGES - 1)));
}

#[tokio::test]
async fn each_connection_is_greeted_before_what_was_kept() {
    let (listener, client) = keeping(Keep::default()).await;
    let mut greeted = 0;
    let mut client = client.greeting(move |response| {
        greeted += 1;
        vec![format!("{} {greeted}", response.status()).into(), "subscribe".into()]
    });
    client.send("kept").soon().await.unwrap();
    let serving = async {
        let mut socket = accept(connection(&listener).await).soon().await.unwrap();
        for message in ["101 1", "subscribe", "kept"] {
            assert_eq!(socket.recv().soon().await.unwrap(), Some(message.into()));
        }
        socket.close(1001, "").soon().await.unwrap();
    };
    let talking = async {
        assert!(matches!(client.next().soon().await, Ok(Change::Connected)));
        assert!(matches!(client.next().soon().await, Ok(Change::Lost { kept: 0, wait: Some(_), .. })));
        for message in ["one", "two"] {
            client.send(message).soon().await.unwrap();
        }
    };
    tokio::join!(serving, talking);
    let serving = async {
        let mut socket = accept(connection(&listener).await).soon().await.unwrap();
        for message in ["101 2", "subscribe", "a dialogue", "one", "two", "three"] {
            assert_eq!(socket.recv().soon().await.unwrap(), Some(message.into()));
        }
        socket.close(1000, "").soon().await.unwrap();
    };
    let talking = async {
        assert!(matches!(client.next().soon().await, Ok(Change::Resumed { kept: 2 })));
        // A dialogue comes before what was kept; what is sent now, behind it.
        let socket = client.socket().unwrap();
        socket.round_trip().soon().await.unwrap();
        socket.send("a dialogue").soon().await.unwrap();
        client.send("three").soon().await.unwrap();
        assert!(matches!(client.next().soon().await, Ok(Change::Lost { kept: 0, .. })));
    };
    tokio::join!(serving, talking);
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_told_when_it_stops() {
    let (listener, mut client) = keeping(Keep { messages: 3, bytes: 10 }).await;
    assert_eq!(client.send("eleven byte").soon().await, Err(Unsent::Full("eleven byte".into())));
    for message in ["four", "five!"] {
        client.send(message).soon().await.unwrap();
    }
    assert_eq!(client.send("ab").soon().await, Err(Unsent::Full("ab".into())));
    client.send("").soon().await.unwrap();
    assert_eq!(client.send("").soon().await, Err(Unsent::Full("".into())));
    // Never connected: nothing of it was sent.
    let stopped = client.close(1000, "").soon().await;
    assert_eq!(stopped.unsent, ["four", "five!", ""].map(Message::from));
    stopped.ended.unwrap();
    assert_eq!(client.close(1000, "").soon().await.unsent, []);
    // It begins anew, and what it has sent by the time it stops is not told.
    client.send("again").soon().await.unwrap();
    let serving = async {
        let mut socket = accept(connection(&listener).await).soon().await.unwrap();
        let got = [socket.recv().soon().await.unwrap(), socket.recv().soon().await.unwrap()];
        assert_eq!(got, [Some("again".into()), None]);
    };
    let stopping = async {
        assert!(matches!(client.next().soon().await, Ok(Change::Connected)));
        client.close(1000, "").soon().await
    };
    let ((), stopped) = soon("the end", async { tokio::join!(serving, stopping) }).await;
    assert_eq!(stopped.unsent, []);
    stopped.ended.unwrap();
}

#[tokio::test]
async fn a_stop_whose_peer_takes_nothing_goes_on_when_it_is_asked_again() {
    let (listener, mut client) = keeping(Keep { messages: 100, bytes: 64 << 20 }).await;
    let (mut served, connected) =
        tokio::join!(async { accept(connection(&listener).await).soon().await.unwrap() }, client.next());
    assert!(matches!(connected, Ok(Change::Connected)));
    let messages: Vec<_> = (0..16).map(|number| numbered(number, 1 << 20)).collect();
    for message in &messages {
        assert!(client.send(message.clone()).now_or_never().is_none_or(|sent| sent.is_ok()));
    }
    for _ in 0..100 {
        assert!(client.close(1000, "").now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    // The server has taken the first when it goes.
    assert_eq!(served.recv().soon().await.unwrap().as_ref(), Some(&messages[0]));
    drop(served);
    let stopped = client.close(1000, "").soon().await;
    stopped.ended.unwrap_err();
    assert!(!stopped.unsent.is_empty() && messages.ends_with(&stopped.unsent), "{} left", stopped.unsent.len());
}

#[tokio::test(start_paused = true)]
async fn waits_are_those_that_are_told() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60), attempts: None, ..QUICK };
    let mut client = Client::new(&format!("ws://127.0.0.1:{port}/")).timeout(None).reconnecting(backoff);
    let mut told = Duration::ZERO;
    for attempt in 0..8 {
        let before = tokio::time::Instant::now();
        let Ok(Change::Failed(ConnectError::Tcp(_), wait)) = client.next().soon().await else { panic!("connected") };
        // The clock stands still but for waits, which are kept to the millisecond.
        let waited = before.elapsed();
        assert!(told <= waited && waited <= told + Duration::from_millis(2), "{waited:?} of {told:?}");
        let whole = Duration::from_secs(1 << attempt).min(backoff.longest);
        assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
        told = wait;
    }
}
