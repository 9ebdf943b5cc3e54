//! A connection from the first byte to the last, whole and in halves.

use crate::common::{bytes, config, echo, pair, run, sockets};
use futures_util::{FutureExt, SinkExt, StreamExt, future};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use sockless_futures::sockless::{HandshakeError, Negotiated, ProtocolError, Rate, Rates, Role, Seed, SendError};
use sockless_futures::{
    ClientRequest, Close, Code, ConnectError, Error, Event, InUse, Reject, Settings, State, WebSocket, accept,
    connect_over,
};

#[test]
fn messages_come_back_and_the_end_is_told_to_both() {
    run(async {
        let (mut client, server) = pair().await;
        let server = smol::spawn(echo(server));
        for len in [0, 1, 125, 126, 70_000, 1 << 20] {
            client.send(bytes(len)).await.unwrap();
            assert_eq!(client.recv().await.unwrap(), Some(bytes(len).into()));
        }
        client.send("grüße, 世界 🌍").await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Some("grüße, 世界 🌍".into()));
        client.ping(b"ping").await.unwrap();
        assert_eq!(client.recv_event().await.unwrap(), Some(Event::Pong(b"ping"[..].into())));
        let close = client.close(4001, "done").await.unwrap();
        assert_eq!((close.code, client.state()), (4001.into(), State::Closed));
        server.await.unwrap();
        assert_eq!(client.recv().await.unwrap(), None);
        let refused = client.send("more").await;
        assert!(matches!(refused, Err(Error::Send(SendError::Closing))), "{refused:?}");
    });
}

#[test]
fn the_peers_close_is_told_to_who_receives_and_who_sends() {
    run(async {
        let (mut client, mut server) = pair().await;
        let closing = smol::spawn(async move { server.close(Code::AWAY, "later").await });
        assert_eq!(client.recv().await.unwrap(), None);
        let refused = client.send("more").await;
        let Err(Error::Closed(close)) = refused else { panic!("{refused:?}") };
        assert_eq!(*close, Close { code: Code::AWAY, reason: "later".into() });
        assert_eq!(closing.await.unwrap().code, Code::AWAY);
    });
}

#[test]
fn what_is_fed_goes_out_with_what_follows() {
    run(async {
        let (mut client, mut server) = pair().await;
        for number in 0..1000 {
            client.feed(number.to_string()).await.unwrap();
        }
        client.flush().await.unwrap();
        for number in 0..1000 {
            assert_eq!(server.recv().await.unwrap(), Some(number.to_string().into()));
        }
    });
}

#[test]
fn halves_work_in_tasks_of_their_own() {
    run(async {
        let (client, server) = pair().await;
        let server = smol::spawn(async move {
            let (sink, stream) = server.split();
            stream.forward(sink).await
        });
        let (mut sink, mut stream) = client.split();
        let sending = smol::spawn(async move {
            for number in 0..1000 {
                sink.feed(number.to_string().into()).await.unwrap();
            }
            sink.flush().await.unwrap();
            sink
        });
        for number in 0..1000 {
            assert_eq!(stream.next().await.unwrap().unwrap(), number.to_string().into());
        }
        let mut sink = sending.await;
        let (closed, end) = future::join(sink.close(), stream.next()).await;
        closed.unwrap();
        assert!(end.is_none());
        server.await.unwrap();
        assert_eq!(stream.reunite(sink).unwrap().state(), State::Closed);
    });
}

#[test]
fn who_closes_the_sink_waits_for_the_end_and_what_comes_before_is_kept() {
    run(async {
        let (mut client, mut server) = pair().await;
        let ending = smol::spawn(async move {
            assert_eq!(server.recv().await.unwrap(), None);
            server
        });
        SinkExt::close(&mut client).await.unwrap();
        assert_eq!(client.state(), State::Closed);
        let mut server = ending.await;
        // The peer has closed, which is no failure.
        SinkExt::close(&mut server).await.unwrap();

        let (mut client, mut server) = pair().await;
        server.send("last").await.unwrap();
        let ending = smol::spawn(async move { server.recv().await });
        SinkExt::close(&mut client).await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Some("last".into()));
        assert_eq!(client.recv().await.unwrap(), None);
        assert_eq!(ending.await.unwrap(), None);

        // More comes than is kept, and none of it is lost.
        let (mut client, mut server) = pair().await;
        let ending = smol::spawn(async move {
            drop(server.send(bytes(1 << 18)));
            server.send(bytes(1 << 18)).await.unwrap();
            server.recv().await
        });
        SinkExt::close(&mut client).await.unwrap();
        for _ in 0..2 {
            assert!(client.recv().await.unwrap() == Some(bytes(1 << 18).into()));
        }
        assert_eq!(client.recv().await.unwrap(), None);
        assert_eq!(ending.await.unwrap(), None);
    });
}

#[test]
fn a_handshake_done_elsewhere_and_a_stream_given_back() {
    run(async {
        let open = |stream, role, rest: &[u8]| {
            WebSocket::open(stream, role, Negotiated::default(), &Settings::default(), Seed::random(), rest)
        };
        let (client, server) = sockets().await;
        let mut server = open(server, Role::Server, b"\x81\x83\0\0\0\0Hey\x01\x81\0\0\0\0Y");
        assert_eq!(server.recv().await.unwrap(), Some("Hey".into()));
        assert!(server.recv().now_or_never().is_none());
        let refused = server.into_inner().unwrap_err();
        assert_eq!(refused.why, InUse::WithinMessage);
        let mut server = refused.inner;
        let mut client_stream = client.clone();
        client_stream.write_all(b"\x80\x81\0\0\0\0o").await.unwrap();
        assert_eq!(server.recv().await.unwrap(), Some("Yo".into()));
        // What is fed is not written.
        server.feed("A").await.unwrap();
        let refused = server.into_inner().unwrap_err();
        assert_eq!(refused.why, InUse::Unwritten);
        let mut server = refused.inner;
        client_stream.write_all(b"\x81\x81\0\0\0\0B\x81\x81\0\0\0\0C").await.unwrap();
        let mut client = open(client, Role::Client, b"");
        assert_eq!(server.recv().await.unwrap(), Some("B".into()));
        server.flush().await.unwrap();
        assert_eq!(server.recv().await.unwrap(), Some("C".into()));
        assert_eq!(client.recv().await.unwrap(), Some("A".into()));
        let (stream, rest) = server.into_inner().unwrap();
        let mut server = open(stream, Role::Server, &rest);
        client.send("D").await.unwrap();
        assert_eq!(server.recv().await.unwrap(), Some("D".into()));
        // As long as there is: more than is read at once, however little the peer may send.
        let rates = Rates { bytes: Some(Rate::per_second(1 << 30)), ..Rates::default() };
        let settings = Settings::default().config(config(|config| config.rates = rates));
        let long = [&b"\x82\xFF\0\0\0\0\0\x10\0\0\0\0\0\0"[..], &bytes(1 << 20)].concat();
        let (_client, server) = sockets().await;
        let (role, negotiated) = (Role::Server, Negotiated::default());
        let mut server = WebSocket::open(server, role, negotiated, &settings, Seed::random(), &long);
        assert!(server.recv().await.unwrap() == Some(bytes(1 << 20).into()));
    });
}

#[test]
fn requests_are_accepted_with_a_subprotocol_or_refused() {
    run(async {
        let (client, server) = sockets().await;
        let request = ClientRequest::new("ws://localhost/chat").unwrap().subprotocol("a").subprotocol("b");
        let settings = Settings::default();
        let asked = settings.connect_over(&request, client);
        let answered = settings.accept_with(server, |request| {
            assert_eq!(request.path(), "/chat");
            Ok(request.accept_first_subprotocol())
        });
        let (asked, answered) = future::join(asked, answered).await;
        let ((asked, response), answered) = (asked.unwrap(), answered.unwrap());
        assert_eq!((asked.subprotocol(), answered.subprotocol(), response.status()), (Some("a"), Some("a"), 101));

        let (client, server) = sockets().await;
        let answered = settings.accept_with(server, |_| Err(Reject::new(404).body("nothing here")));
        let (asked, answered) = future::join(connect_over("ws://localhost/", client), answered).await;
        let Err(ConnectError::Rejected(response)) = asked else { panic!("{asked:?}") };
        assert_eq!((response.status(), response.body()), (404, &b"nothing here"[..]));
        assert!(matches!(answered, Err(Error::Refused(404))), "{answered:?}");
    });
}

#[test]
fn a_bad_request_is_answered_and_told() {
    run(async {
        let (mut client, server) = sockets().await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let (answered, read) = future::join(accept(server), client.read_to_string(&mut answer)).await;
        read.unwrap();
        assert!(
            matches!(answered, Err(Error::Protocol(ProtocolError::Handshake(HandshakeError::NotUpgrade)))),
            "{answered:?}"
        );
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
        // Nobody there.
        let (client, server) = sockets().await;
        drop(server);
        let asked = connect_over("ws://localhost/", client).await;
        assert!(matches!(asked, Err(ConnectError::Handshake(_))), "{asked:?}");
    });
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn every_ping_that_one_read_brings_is_answered() {
    run(async {
        let (mut client, server) = sockets().await;
        client.write_all(REQUEST).await.unwrap();
        let mut server = accept(server).await.unwrap();
        let pings: Vec<u8> = (0..10).flat_map(|n| [0x89, 0x81, 0, 0, 0, 0, n]).collect();
        client.write_all(&pings).await.unwrap();
        client.write_all(b"\x88\x80\0\0\0\0").await.unwrap();
        assert_eq!(server.recv().await.unwrap(), None);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let frames = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let pongs: Vec<u8> = (0..10).flat_map(|n| [0x8A, 1, n]).collect();
        assert_eq!(answer[frames..], [&pongs[..], b"\x88\0"].concat());
    });
}

#[test]
fn a_breach_is_told_once_behind_the_close_frame() {
    run(async {
        let (mut client, server) = sockets().await;
        client.write_all(REQUEST).await.unwrap();
        let mut server = accept(server).await.unwrap();
        client.write_all(b"\x81\x81\0\0\0\0A\x83\x80\0\0\0\0").await.unwrap();
        assert_eq!(server.recv().await.unwrap(), Some("A".into()));
        let ending = smol::spawn(async move {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let told = server.recv().await;
        assert!(matches!(told, Err(Error::Protocol(_))), "{told:?}");
        assert_eq!(server.recv().await.unwrap(), None);
        let answer = ending.await;
        let frame = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert_eq!((answer[frame], &answer[frame + 2..frame + 4]), (0x88, &1002u16.to_be_bytes()[..]));
    });
}
