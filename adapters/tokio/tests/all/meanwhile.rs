//! Whoever waits for what was sent to be written reads meanwhile: pings are answered, the peer's close is told, and what else
//! comes is kept, within a bound, for who receives next.

use crate::common::*;
use sockless_tokio::sockless::{Close, Code, Config, Keepalive, Kind, Limits, ProtocolError, Role, SendError};
use sockless_tokio::{Error, Event, Message, Piece, WebSocket};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex, repeat};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

/// Longer than any stream here holds.
const LONG: usize = 200_000;

fn closed(code: u16) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::Closed(close) if close.code == Code::from(code))
}

/// A server and what is at the other end of its stream, which holds so much.
fn server(capacity: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (server, wire) = duplex(capacity);
    (open(server, Role::Server, Config::default()), wire)
}

/// What a client's messages look like on the wire.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat()
}

/// Has the server send more than its stream holds, while the peer writes, and takes it only then.
async fn send_meanwhile(server: &mut WebSocket<DuplexStream>, wire: &mut DuplexStream, bytes: &[u8]) {
    let sent = server.send(vec![7; LONG]);
    let taken = async {
        wire.write_all(bytes).await.unwrap();
        yield_now().await;
        let mut taken = vec![0; LONG];
        wire.read_exact(&mut taken).await.unwrap();
    };
    let (sent, ()) = tokio::join!(sent, taken);
    sent.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_something_waits_to_be_written_is_kept_in_its_order() {
    let (mut server, mut wire) = server(1000);
    let came = [
        frame(0x81, b"one"),
        frame(0x89, b"first"),
        frame(0x8A, b"pong"),
        frame(0x89, b"second"),
        frame(0x01, b"t"),
        frame(0x80, b"wo"),
        frame(0x82, b"three"),
        frame(0x88, b"\x03\xe8bye"),
    ];
    send_meanwhile(&mut server, &mut wire, &came.concat()).await;
    let mut events = vec![];
    let rest = async {
        let mut rest = vec![];
        wire.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let told = async {
        while let Some(event) = server.recv_event().await.unwrap() {
            events.push(event);
        }
    };
    let (rest, ()) = tokio::join!(rest, told);
    let close = Close { code: Code::NORMAL, reason: "bye".into() };
    let expected = [
        Event::Message("one".into()),
        // Of pings that nobody has seen, the newest is enough.
        Event::Ping("second".into()),
        Event::Pong("pong".into()),
        Event::Message("two".into()),
        Event::Message(Message::binary("three")),
        Event::Close(close),
    ];
    assert_eq!(events, expected);
    assert!(rest.ends_with(b"\x88\x02\x03\xe8"));
}

#[tokio::test(start_paused = true)]
async fn it_is_lent_and_answered_like_what_lies_in_the_read_buffer() {
    let (mut server, mut wire) = server(1000);
    send_meanwhile(&mut server, &mut wire, &[frame(0x81, b"a"), frame(0x81, b"b")].concat()).await;
    wire.write_all(&frame(0x81, b"c")).await.unwrap();
    let mut lent: Vec<Message> = vec![];
    let each = server.recv_each(|message, replies| {
        lent.push(message.clone().into());
        replies.feed(message).map_err(Some)?;
        if lent.len() == 3 { Err(None) } else { Ok::<_, Option<Error>>(()) }
    });
    assert!(each.await.is_err());
    server.flush().await.unwrap();
    assert_eq!(lent, ["a", "b", "c"].map(Message::from));
    let mut answers = [0; 9];
    // The end of the long message is ahead.
    let mut header = [0; 10];
    wire.read_exact(&mut header).await.unwrap();
    wire.read_exact(&mut answers).await.unwrap();
    assert_eq!(&answers, b"\x81\x01a\x81\x01b\x81\x01c");
}

#[tokio::test(start_paused = true)]
async fn pieces_stay_pieces_and_are_put_together_for_who_wants_the_whole() {
    for whole in [false, true] {
        let (mut server, mut wire) = server(1000);
        wire.write_all(&frame(0x81, b"a")).await.unwrap();
        assert!(server.recv_piece().await.unwrap().unwrap().last);
        let came = [frame(0x01, b"gr"), frame(0, "ü".as_bytes())].concat();
        send_meanwhile(&mut server, &mut wire, &came).await;
        let end = [frame(0x80, "ße".as_bytes()), frame(0x82, b"next")].concat();
        wire.write_all(&end).await.unwrap();
        if whole {
            assert_eq!(server.recv().await.unwrap(), Some("grüße".into()));
            assert_eq!(server.recv().await.unwrap(), Some(Message::binary("next")));
            continue;
        }
        for (text, first, last) in [("gr", true, false), ("ü", false, false), ("ße", false, true)] {
            let piece = Piece { data: text.into(), first, frame_end: true, last };
            assert_eq!(server.recv_piece().await.unwrap(), Some(piece));
        }
        assert_eq!(server.recv_event().await.unwrap(), Some(Event::Message(Message::binary("next"))));
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_along_when_the_connection_is_parted() {
    let (mut server, mut wire) = server(1000);
    send_meanwhile(&mut server, &mut wire, &frame(0x81, b"kept")).await;
    let (_sender, mut receiver) = server.split();
    assert_eq!(receiver.recv().await.unwrap(), Some("kept".into()));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_bounded_and_none_of_it_is_lost() {
    for len in [0, 1, 100] {
        let (mut server, mut wire) = server(1000);
        let flood = tokio::spawn(async move {
            for _ in 0..5000 {
                wire.write_all(&frame(0x82, &vec![7; len])).await.unwrap();
            }
            wire
        });
        let sent = timeout(Duration::from_secs(5), server.send(vec![0; LONG]));
        assert!(sent.await.is_err(), "the peer takes nothing");
        // 64 KiB, of which each takes 128 bytes and its payload, and one read.
        let frames = server.counters().received.frames;
        let most = (64 << 10) / (128 + len as u64) + 1;
        assert!((most..=most + 200).contains(&frames), "{frames} of {len} bytes");
        for _ in 0..5000 {
            assert_eq!(server.recv().await.unwrap(), Some(vec![7; len].into()));
        }
        drop(flood.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn pings_never_fill_it() {
    let (mut server, mut wire) = server(1000);
    let mut sent = pin!(server.send(vec![7; LONG]));
    let cx = &mut Context::from_waker(Waker::noop());
    // The pongs are not written, for the peer takes nothing.
    for _ in 0..20_000 {
        assert!(sent.as_mut().poll(cx).is_pending());
        wire.write_all(&frame(0x89, b"p")).await.unwrap();
    }
    assert!(sent.poll(cx).is_pending());
    assert_eq!(server.counters().received.frames, 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_while_a_long_message_is_written() {
    let second = Duration::from_secs(1);
    let keepalive = Keepalive { ping: Some(second), pong: Some(second), ..Keepalive::default() };
    let limits = Limits { message: usize::MAX, ..Limits::default() };
    let (client, server) = duplex(1 << 20);
    let mut client = open(client, Role::Client, Config::default());
    let mut server = open(server, Role::Server, Config { keepalive, limits, ..Config::default() });
    let served = tokio::spawn(async move {
        let mut pongs = 0;
        loop {
            match server.recv_event().await? {
                Some(Event::Pong(_)) => pongs += 1,
                Some(Event::Message(message)) => break Ok::<_, Error>((pongs, message.as_bytes().len())),
                event => panic!("{event:?}"),
            }
        }
    });
    let mut writer = client.writer(Kind::Binary);
    // A part each half second, for twenty seconds; few of them make it wait.
    for _ in 0..40 {
        writer.write(&[7; 5000]).await.unwrap();
        sleep(second / 2).await;
    }
    writer.finish().await.unwrap();
    let (pongs, len) = soon("the message", served).await.unwrap().expect("nobody gives up");
    assert_eq!(len, 40 * 5000);
    assert!(pongs >= 3, "{pongs} pongs");
}

#[tokio::test]
async fn a_message_that_is_refused_is_told_to_who_writes_it() {
    for capacity in [1000, 1 << 24] {
        let (client, server) = duplex(capacity);
        let mut client = open(client, Role::Client, Config::default());
        let limits = Limits { message: 100_000, ..Limits::default() };
        let mut server = open(server, Role::Server, Config { limits, ..Config::default() });
        let served = tokio::spawn(async move { server.recv().await });
        let mut writer = client.writer(Kind::Binary);
        let mut parts = 0;
        let refused = loop {
            match soon("a part", writer.write(&[7; 1000])).await {
                Ok(()) => parts += 1,
                Err(error) => break error,
            }
            // Where it never waits, the others have no turn.
            yield_now().await;
        };
        assert!(closed(1009)(&refused), "{refused:?}");
        assert!((100..=200).contains(&parts), "{parts} parts");
        assert!(closed(1009)(&client.send("another").await.unwrap_err()));
        // The end itself is told in the ordinary way.
        assert_eq!(soon("the end", client.recv()).await.unwrap(), None);
        assert_eq!(client.peer_close().map(|close| close.code), Some(Code::from(1009)));
        let served = soon("the server", served).await.unwrap();
        assert!(matches!(served, Err(Error::Protocol(ProtocolError::MessageTooLong { .. }))), "{served:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_does_not_end_well_for_a_peer_that_has_closed() {
    let (mut server, mut wire) = server(1 << 20);
    let mut writer = server.writer(Kind::Binary);
    writer.write(b"a part").await.unwrap();
    wire.write_all(&frame(0x88, b"\x03\xf3")).await.unwrap();
    let finished = writer.finish().await;
    assert!(finished.as_ref().is_err_and(closed(1011)), "{finished:?}");

    // What was whole by then is written, and the peer may have taken it.
    let (client, server) = duplex(1000);
    let (mut client, mut server) =
        (open(client, Role::Client, Config::default()), open(server, Role::Server, Config::default()));
    server.start_close(4000, "enough").unwrap();
    let (sent, received) = tokio::join!(client.send(vec![7; LONG]), server.recv());
    sent.unwrap();
    assert_eq!(received.unwrap(), Some(vec![7; LONG].into()));
}

#[tokio::test(start_paused = true)]
async fn who_has_closed_is_told_apart() {
    for halves in [false, true] {
        let (mut server, mut wire) = server(1000);
        wire.write_all(&frame(0x88, b"\x0f\xa0enough")).await.unwrap();
        let refused = if halves {
            let (sender, mut receiver) = server.split();
            assert!(matches!(receiver.recv_event().await, Ok(Some(Event::Close(_)))));
            sender.send("late").await
        } else {
            assert!(matches!(server.recv_event().await, Ok(Some(Event::Close(_)))));
            server.send("late").await
        };
        let refused = refused.unwrap_err();
        assert!(closed(4000)(&refused), "{refused:?}");
        assert_eq!(refused.to_string(), format!("closed by the peer with {}", Code::from(4000)));
    }
    for halves in [false, true] {
        let (mut server, _wire) = server(1000);
        let refused = if halves {
            let (sender, _receiver) = server.split();
            sender.close(4000, "enough").await.unwrap();
            sender.send("late").await
        } else {
            server.start_close(4000, "enough").unwrap();
            server.send("late").await
        };
        assert!(matches!(refused, Err(Error::Send(SendError::Closing))), "{refused:?}");
    }
}

/// Whoever waits at the half that sends is told why the connection has failed, as who receives is.
#[tokio::test(start_paused = true)]
async fn a_half_that_sends_is_told_what_the_other_finds() {
    for (bytes, why) in
        [(&frame(0xF, b"")[..], ProtocolError::ReservedOpcode(0xF)), (b"", ProtocolError::UnexpectedEof)]
    {
        let (server, mut wire) = server(100);
        let (sender, mut receiver) = server.split();
        let sending = tokio::spawn(async move { sender.send(vec![0; 100_000]).await });
        yield_now().await;
        wire.write_all(bytes).soon().await.unwrap();
        wire.shutdown().soon().await.unwrap();
        let is = |error: Error| matches!(error, Error::Protocol(found) if found == why);
        assert!(is(receiver.recv().soon().await.unwrap_err()));
        assert!(receiver.recv().soon().await.unwrap().is_none());
        let told = sending.soon().await.unwrap().unwrap_err();
        assert!(matches!(told, Error::Protocol(found) if found == why), "{told:?}");
    }
}

#[tokio::test]
async fn small_parts_of_a_long_message_are_few_fragments() {
    const LEN: u64 = 48 << 20;
    // One has more at any time; with the other, `copy` waits for each 8 KiB, and flushes what it has.
    let (feeding, source) = duplex(8 << 10);
    let sources: [Box<dyn AsyncRead + Send + Unpin>; 2] = [Box::new(repeat(7).take(LEN)), Box::new(source.take(LEN))];
    let feeding = tokio::spawn(async move { copy(&mut repeat(7).take(LEN), &mut { feeding }).await });
    for (mut source, most) in sources.into_iter().zip([LEN / (64 << 10) + 100, 3000]) {
        let limits = Limits { message: usize::MAX, ..Limits::default() };
        let (client, server) = duplex(1 << 20);
        let mut client = open(client, Role::Client, Config::default());
        // All else is as by default, the number of fragments too.
        let mut server = open(server, Role::Server, Config { limits, ..Config::default() });
        let sending = tokio::spawn(async move {
            let mut writer = client.writer(Kind::Binary);
            assert_eq!(copy(&mut source, &mut writer).await.unwrap(), LEN);
            writer.shutdown().await.unwrap();
        });
        let message = soon("the message", server.recv()).await.unwrap().expect("it is taken");
        assert_eq!(message.as_bytes().len() as u64, LEN);
        let frames = server.counters().received.frames;
        assert!(frames <= most, "{frames} frames");
        sending.await.unwrap();
    }
    feeding.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn parts_that_were_gathered_go_out_when_they_are_flushed_or_something_is_received() {
    let (mut server, mut wire) = server(1 << 20);
    let mut writer = server.writer(Kind::Text);
    for part in [b"a", b"b", b"c"] {
        writer.write(part).await.unwrap();
    }
    server.flush().await.unwrap();
    let mut bytes = [0; 64];
    let read = wire.read(&mut bytes).await.unwrap();
    assert_eq!(&bytes[..read], b"\x01\x01a\0\x02bc", "the first part by itself");
    server.writer(Kind::Text).write(b"d").await.unwrap();
    assert!(timeout(Duration::from_secs(1), server.recv()).await.is_err());
    let read = wire.read(&mut bytes).await.unwrap();
    assert_eq!(&bytes[..read], b"\0\x01d");
    // A part that makes no text is refused at once, and none is in front of it.
    server.writer(Kind::Text).write(b"e\xC3").await.unwrap();
    assert!(matches!(server.writer(Kind::Text).write(b"e").await, Err(Error::Send(SendError::InvalidUtf8))));
    assert!(matches!(server.writer(Kind::Binary).write(b"e").await, Err(Error::Send(SendError::FragmentUnderWay))));
    server.writer(Kind::Text).write(b"\xA9").await.unwrap();
    // Whoever parts the connection goes on with it by fragments.
    let (sender, _receiver) = server.split();
    sender.send_fragment(Kind::Text, b"f", true).await.unwrap();
    let read = wire.read(&mut bytes).await.unwrap();
    assert_eq!(&bytes[..read], b"\0\x03e\xC3\xA9\x80\x01f");
}

#[tokio::test(start_paused = true)]
async fn two_ends_that_send_before_they_receive() {
    let (mut client, mut server) = pair(1000);
    let talk = async |socket: &mut WebSocket<DuplexStream>| {
        for number in 0..20_u8 {
            socket.send(vec![number; 1_000_000]).await?;
            assert!(socket.recv().await? == Some(vec![number; 1_000_000].into()));
        }
        Ok::<_, Error>(())
    };
    let both = async { tokio::try_join!(talk(&mut client), talk(&mut server)) };
    soon("both", both).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_closed_and_takes_no_more_has_the_time_of_a_closing_handshake() {
    let (mut server, mut wire) = server(100);
    wire.write_all(&frame(0x88, b"\x0f\xa0")).await.unwrap();
    let started = Instant::now();
    let ended = server.send(vec![7; LONG]).await;
    assert!(ended.as_ref().is_err_and(closed(4000)), "{ended:?}");
    assert_eq!(started.elapsed().as_secs(), 10);
}
