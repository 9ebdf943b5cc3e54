//! What the tests share.

#[path = "../../../../../tests/all/common/random.rs"]
mod random;

use random::Random;
use smol::io::{AsyncRead, AsyncWrite};
use smol::net::{TcpListener, TcpStream};
use sockless_futures::{ClientRequest, Config, Error, Settings, WebSocket};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

pub(crate) use sockless_test_support::{soon, watch};

/// Runs a test's future, which must not stand still.
#[track_caller]
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    watch();
    smol::block_on(soon("the test's end", future))
}

/// Two sockets that are connected.
pub(crate) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A client and a server over these streams that have opened a connection.
pub(crate) async fn open_over<S>(client: S, server: S, settings: &Settings) -> (WebSocket<S>, WebSocket<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = ClientRequest::new("ws://localhost/").unwrap();
    let asked = settings.connect_over(&request, client);
    let answered = settings.accept_with(server, |request| Ok(request.accept()));
    let (asked, answered) = futures_util::future::join(asked, answered).await;
    (asked.unwrap().0, answered.unwrap())
}

pub(crate) async fn pair_with(settings: &Settings) -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let (client, server) = sockets().await;
    open_over(client, server, settings).await
}

pub(crate) async fn pair() -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    pair_with(&Settings::default()).await
}

/// Settings with other than the defaults.
pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// Sends each message back, to the end.
pub(crate) async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Some bytes.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * i) >> 7) as u8).collect()
}

/// A stream that takes ten bytes of what is long and no more, and whose flush forgets whom a write has it wake.
pub(crate) struct Forgetting<S> {
    pub(crate) stream: S,
    pub(crate) stuck: bool,
    pub(crate) waits: Arc<Mutex<Option<Waker>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Forgetting<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Forgetting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.len() < 1000 {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        if !std::mem::replace(&mut self.stuck, true) {
            return Poll::Ready(Ok(10));
        }
        *self.waits.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        *self.waits.lock().unwrap() = None;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// A stream that cuts what goes through it by chance, has its task wait for nothing now and then, and holds back what it was
/// given until it is flushed.
pub(crate) struct Cutting<S> {
    stream: S,
    held: Vec<u8>,
    random: Random,
    most: usize,
}

impl<S> Cutting<S> {
    pub(crate) fn new(stream: S, seed: u64, most: usize) -> Self {
        Self { stream, held: Vec::new(), random: Random(seed), most }
    }

    /// How many of so many bytes go through.
    fn poll_cut(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<usize> {
        if self.random.below(8) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(len.min(1 + self.random.below(self.most)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cutting<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let len = std::task::ready!(self.poll_cut(cx, buf.len()));
        Pin::new(&mut self.stream).poll_read(cx, &mut buf[..len])
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cutting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = std::task::ready!(self.poll_cut(cx, buf.len()));
        if self.held.len() > self.most {
            std::task::ready!(self.as_mut().poll_flush(cx))?;
        }
        self.held.extend_from_slice(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, held, .. } = &mut *self;
        while !held.is_empty() {
            let len = std::task::ready!(Pin::new(&mut *stream).poll_write(cx, held))?;
            held.drain(..len);
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
