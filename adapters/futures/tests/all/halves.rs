//! Halves by `StreamExt::split`, over a stream that knows but one waker: neither loses what the other waits for.

use crate::common::{config, run};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use smol::io::{AsyncRead, AsyncWrite};
use sockless_futures::sockless::{Negotiated, Role, Seed};
use sockless_futures::{Error, InUse, Message, Settings, WebSocket};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A stream in the hands of a test: what there is to be read, what was written, and how much more may be.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    input: Vec<u8>,
    output: Vec<u8>,
    room: usize,
    /// Of who waited last, be it to read or to write.
    waker: Option<Waker>,
}

impl Wire {
    fn with<T>(&self, work: impl FnOnce(&mut Ends) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    fn ring(&self) {
        let waker = self.with(|ends| ends.waker.take());
        waker.expect("somebody waits").wake();
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.with(|ends| {
            let len = buf.len().min(ends.input.len());
            if len == 0 {
                ends.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            buf[..len].copy_from_slice(&ends.input[..len]);
            ends.input.drain(..len);
            Poll::Ready(Ok(len))
        })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|ends| {
            let len = buf.len().min(ends.room);
            if len == 0 {
                ends.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            ends.output.extend_from_slice(&buf[..len]);
            ends.room -= len;
            Poll::Ready(Ok(len))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A half's task, which counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A server in halves, each in a task of its own.
struct Halves {
    wire: Wire,
    sink: SplitSink<WebSocket<Wire>, Message<'static>>,
    stream: SplitStream<WebSocket<Wire>>,
    sender: Arc<Task>,
    receiver: Arc<Task>,
}

fn open(wire: &Wire, settings: &Settings) -> WebSocket<Wire> {
    WebSocket::open(wire.clone(), Role::Server, Negotiated::default(), settings, Seed::random(), b"")
}

impl Halves {
    fn new(settings: &Settings) -> Self {
        let wire = Wire::default();
        let (sink, stream) = open(&wire, settings).split();
        Self { wire, sink, stream, sender: Arc::default(), receiver: Arc::default() }
    }

    fn start_send(&mut self, message: impl Into<Message<'static>>) {
        Pin::new(&mut self.sink).start_send(message.into()).unwrap();
    }

    fn poll_flush(&mut self) -> Poll<Result<(), Error>> {
        let waker = Waker::from(self.sender.clone());
        Pin::new(&mut self.sink).poll_flush(&mut Context::from_waker(&waker))
    }

    fn poll_next(&mut self) -> Poll<Option<Result<Message<'static>, Error>>> {
        let waker = Waker::from(self.receiver.clone());
        Pin::new(&mut self.stream).poll_next(&mut Context::from_waker(&waker))
    }

    /// How often each half was woken since it was last asked: who sends, and who receives.
    fn woken(&self) -> (usize, usize) {
        (self.sender.0.swap(0, Ordering::Relaxed), self.receiver.0.swap(0, Ordering::Relaxed))
    }
}

/// A client's message on the wire.
fn frame(payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let head = if len < 126 { vec![0x82, 0x80 | len as u8] } else { vec![0x82, 0xFE, (len >> 8) as u8, len as u8] };
    [&head, &[0; 4][..], payload].concat()
}

#[test]
fn what_the_stream_waited_for_wakes_both() {
    for receiver_last in [false, true] {
        let mut halves = Halves::new(&Settings::default());
        halves.start_send("A");
        for turn in [receiver_last, !receiver_last] {
            if turn {
                assert!(halves.poll_flush().is_pending());
            } else {
                assert!(halves.poll_next().is_pending());
            }
        }
        assert_eq!(halves.woken(), (0, 0), "nothing has come, and nothing could be written");
        halves.wire.ring();
        assert_eq!(halves.woken(), (1, 1));
    }
}

#[test]
fn what_one_half_does_for_the_other_wakes_that_and_nothing_else_does() {
    let mut halves = Halves::new(&Settings::default());
    halves.start_send("A");
    assert!(halves.poll_flush().is_pending());
    // What is received is written, too.
    halves.wire.with(|ends| ends.room = 3);
    assert!(halves.poll_next().is_pending());
    assert_eq!(halves.wire.with(|ends| ends.output.clone()), b"\x81\x01A");
    assert_eq!(halves.woken(), (1, 0));
    assert!(matches!(halves.poll_flush(), Poll::Ready(Ok(()))));
    // While something is sent it is read, too.
    halves.wire.with(|ends| ends.input = frame(b"B"));
    halves.start_send("C");
    assert!(halves.poll_flush().is_pending());
    assert_eq!(halves.woken(), (0, 1));
    assert!(matches!(halves.poll_next(), Poll::Ready(Some(Ok(message))) if message.as_bytes() == b"B"));
    for _ in 0..3 {
        assert!(halves.poll_next().is_pending());
        assert!(halves.poll_flush().is_pending());
    }
    assert_eq!(halves.woken(), (0, 0), "nothing has happened");
}

#[test]
fn what_comes_while_something_is_sent_is_kept_within_a_bound_and_none_is_lost() {
    let settings = Settings::default().config(config(|config| config.outbound.soft = 10_000));
    let mut halves = Halves::new(&settings);
    let frames: Vec<_> = (0..20_000u32).map(|number| frame(&[&number.to_be_bytes()[..], &[0; 200]].concat())).collect();
    halves.wire.with(|ends| ends.input = frames.concat());
    halves.start_send("A");
    for _ in 0..10 {
        assert!(halves.poll_flush().is_pending());
    }
    // One read, of some four megabytes. Who sends has stopped to read, and is told when it may go on.
    assert!(halves.wire.with(|ends| ends.input.len()) > 2 << 20);
    _ = halves.woken();
    assert!(matches!(halves.poll_next(), Poll::Ready(Some(Ok(_)))));
    assert_eq!(halves.woken().0, 1);
    run(async {
        for number in 1..20_000u32 {
            let message = halves.stream.next().await.unwrap().unwrap();
            assert_eq!(message.as_bytes()[..4], number.to_be_bytes());
        }
    });
    halves.wire.with(|ends| ends.room = 3);
    run(halves.sink.flush()).unwrap();
}

#[test]
fn what_came_while_something_was_sent_is_not_given_up_with_the_stream() {
    let wire = Wire::default();
    let mut socket = open(&wire, &Settings::default());
    wire.with(|ends| (ends.room, ends.input) = (3, frame(b"B")));
    assert!(matches!(socket.send("A").now_or_never(), Some(Ok(()))));
    let refused = socket.into_inner().unwrap_err();
    assert_eq!(refused.why, InUse::Unreceived);
    let mut socket = refused.inner;
    assert!(matches!(socket.recv().now_or_never(), Some(Ok(Some(message))) if message.as_bytes() == b"B"));
    assert!(socket.into_inner().is_ok());
}
