//! A connection from the first byte to the last, whole and in halves.

use crate::common::{bytes, echo, pair, run, sockets};
use futures_util::{SinkExt, StreamExt, future};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use sockless_futures::sockless::{HandshakeError, ProtocolError, SendError};
use sockless_futures::{
    ClientRequest, Close, Code, ConnectError, Error, Event, Message, Reject, Settings, State, accept, connect_over,
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
fn halves_and_clones_work_in_tasks_of_their_own() {
    run(async {
        let (client, server) = pair().await;
        let server = smol::spawn(echo(server));
        let (sender, mut receiver) = client.split();
        let sending: Vec<_> = (0..8u8)
            .map(|number| {
                let mut sender = sender.clone();
                smol::spawn(async move {
                    for _ in 0..100 {
                        sender.send(vec![number; 1000]).await.unwrap();
                    }
                })
            })
            .collect();
        let mut counts = [0; 8];
        for _ in 0..800 {
            let message = receiver.recv().await.unwrap().unwrap();
            let number = message.as_bytes()[0];
            assert_eq!(message.as_bytes(), vec![number; 1000]);
            counts[usize::from(number)] += 1;
        }
        assert_eq!(counts, [100; 8]);
        future::join_all(sending).await;
        let mut sender = sender;
        sender.start_close(1000, "").await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), None);
        assert_eq!(receiver.peer_close().unwrap().code, Code::NORMAL);
        server.await.unwrap();
    });
}

#[test]
fn it_is_a_stream_and_a_sink() {
    run(async {
        let (client, server) = pair().await;
        let server = smol::spawn(async move {
            let (sink, stream) = StreamExt::split(server);
            stream.forward(sink).await
        });
        let (mut sink, mut stream) = StreamExt::split(client);
        let sending = smol::spawn(async move {
            for number in 0..100 {
                sink.feed(Message::from(number.to_string())).await.unwrap();
            }
            sink.flush().await.unwrap();
            sink
        });
        let all: Vec<_> = stream.by_ref().take(100).map(Result::unwrap).collect().await;
        assert_eq!(all, (0..100).map(|number| number.to_string().into()).collect::<Vec<Message<'_>>>());
        let mut sink = sending.await;
        let (closed, end) = future::join(SinkExt::<Message<'static>>::close(&mut sink), stream.next()).await;
        closed.unwrap();
        assert!(end.is_none());
        // It forwards no close, whose end is that of its stream.
        _ = server.await;
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
