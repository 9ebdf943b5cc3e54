//! Items of a codec over messages.

use crate::message::Message;
use bytestring::ByteString;
use futures_core::Stream;
use futures_sink::Sink;
use sockless::Kind;
use sockless::bytes::BytesMut;
use sockless::driver::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio_util::codec::{Decoder, Encoder};

/// Items over the messages of a connection `C`, by any [`Decoder`] and [`Encoder`] `U` of tokio-util's: a `Stream` and a `Sink`, over
/// a [`WebSocket`](crate::WebSocket) or one of its halves.
///
/// Each item goes as a message of its own. A message that comes holds whole items, none or several: its end is the end of
/// its bytes to the decoder ([`Decoder::decode_eof`]), so an item that is cut off there is an error. Behind an error of the
/// decoder's the next message follows, to the decoder as the error has left it. A codec whose items lie across messages goes with tokio-util's own `Framed` over a
/// [`ByteStream`](crate::ByteStream).
///
/// ```
/// use futures_util::{SinkExt, StreamExt};
/// use sockless_tokio::{Framed, codec::LinesCodec};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (client, server) = tokio::io::duplex(1024);
/// # let open = |stream, role| {
/// #     let (negotiated, config, seed) = (Default::default(), sockless::Config::default(), sockless::Seed::random());
/// #     sockless_tokio::WebSocket::open(stream, role, negotiated, config, seed, b"")
/// # };
/// # let (socket, mut peer) = (open(client, sockless::Role::Client), open(server, sockless::Role::Server));
/// let mut lines = Framed::text(socket, LinesCodec::new());
/// lines.send("one").await?;
/// assert_eq!(peer.recv().await?, Some("one\n".into()));
/// peer.send("two\nthree").await?;
/// assert_eq!(lines.next().await.transpose()?, Some("two".into()));
/// assert_eq!(lines.next().await.transpose()?, Some("three".into()));
/// # Ok(())
/// # }
/// ```
pub struct Framed<C, U> {
    inner: C,
    codec: U,
    kind: Kind,
    /// What is left of the message that came last.
    read: BytesMut,
    /// There may be more items in it.
    more: bool,
    write: BytesMut,
}

impl<C, U> Framed<C, U> {
    /// Items that go as binary messages; what comes may be text as well.
    pub fn new(connection: C, codec: U) -> Self {
        let (read, write) = (BytesMut::new(), BytesMut::new());
        Self { inner: connection, codec, kind: Kind::Binary, read, more: false, write }
    }

    /// Items that go as text; what comes may be binary as well.
    pub fn text(connection: C, codec: U) -> Self {
        Self { kind: Kind::Text, ..Self::new(connection, codec) }
    }

    /// The connection.
    pub fn get_ref(&self) -> &C {
        &self.inner
    }

    /// The connection. Messages that are received from it are not decoded here.
    pub fn get_mut(&mut self) -> &mut C {
        &mut self.inner
    }

    /// The codec.
    pub fn codec_mut(&mut self) -> &mut U {
        &mut self.codec
    }

    /// The connection, without the items that are left of the message that came last.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

impl<C, U> Stream for Framed<C, U>
where
    C: Stream<Item = Result<Message, Error>> + Unpin,
    U: Decoder + Unpin,
{
    type Item = Result<U::Item, U::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inner, codec, read, more, .. } = self.get_mut();
        loop {
            if *more {
                let decoded = codec.decode_eof(read).transpose();
                *more = matches!(decoded, Some(Ok(_)));
                if decoded.is_some() {
                    return Poll::Ready(decoded);
                }
            }
            read.clear();
            match ready!(Pin::new(&mut *inner).poll_next(cx)) {
                Some(Ok(message)) => read.extend_from_slice(message.as_bytes()),
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::from(error).into()))),
                None => return Poll::Ready(None),
            }
            *more = true;
        }
    }
}

impl<C, U, I> Sink<I> for Framed<C, U>
where
    C: Sink<Message, Error = Error> + Unpin,
    U: Encoder<I> + Unpin,
{
    type Error = U::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), U::Error>> {
        Pin::new(&mut self.inner).poll_ready(cx).map_err(into)
    }

    fn start_send(self: Pin<&mut Self>, item: I) -> Result<(), U::Error> {
        let Self { inner, codec, kind, write, .. } = self.get_mut();
        write.clear();
        codec.encode(item, write)?;
        let bytes = write.split().freeze();
        let message = match kind {
            Kind::Binary => Message::Binary(bytes),
            Kind::Text => match ByteString::try_from(bytes) {
                Ok(text) => Message::Text(text),
                Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error).into()),
            },
        };
        Pin::new(inner).start_send(message).map_err(into)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), U::Error>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(into)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), U::Error>> {
        Pin::new(&mut self.inner).poll_close(cx).map_err(into)
    }
}

fn into<E: From<io::Error>>(error: Error) -> E {
    io::Error::from(error).into()
}

impl<C: fmt::Debug, U> fmt::Debug for Framed<C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed").field("connection", &self.inner).finish_non_exhaustive()
    }
}
