//! Items of a codec over messages.

use crate::common::*;
use futures_util::{SinkExt, StreamExt};
use sockless_tokio::codec::{BytesCodec, Decoder, LengthDelimitedCodec, LinesCodec, LinesCodecError};
use sockless_tokio::sockless::bytes::{Bytes, BytesMut};
use sockless_tokio::{Framed, Message};
use std::io::{self, ErrorKind};

#[tokio::test]
async fn an_item_is_a_message_and_a_message_whole_items() {
    let (client, mut server) = pair(10_000);
    let mut lines = Framed::text(client, LinesCodec::new());
    for line in ["one", "", "three"] {
        lines.send(line).soon().await.unwrap();
        assert_eq!(server.recv().soon().await.unwrap(), Some(format!("{line}\n").as_str().into()));
    }
    for message in ["a\nb", "", "c\n", "d"] {
        server.send(message).soon().await.unwrap();
    }
    // Binary is taken as well.
    server.send(&b"e\n\nf"[..]).soon().await.unwrap();
    let mut next = async || lines.next().soon().await.unwrap();
    for line in ["a", "b", "c"] {
        assert_eq!(next().await.unwrap(), line);
    }
    for line in ["d", "e", "", "f"] {
        assert_eq!(next().await.unwrap(), line);
    }
    let (closed, ended) =
        soon("both ends", async { tokio::join!(SinkExt::<&str>::close(&mut lines), server.recv()) }).await;
    closed.unwrap();
    assert_eq!(ended.unwrap(), None);
    assert!(lines.next().soon().await.is_none());
    assert!(
        matches!(lines.send("more").soon().await, Err(LinesCodecError::Io(error)) if error.kind() == ErrorKind::BrokenPipe)
    );
}

#[tokio::test]
async fn an_item_that_is_cut_off_by_its_message_is_an_error_and_the_next_follows() {
    let (client, mut server) = pair(10_000);
    let (sender, receiver) = client.split();
    let mut sending = Framed::new(sender, LengthDelimitedCodec::new());
    let mut receiving = Framed::new(receiver, LengthDelimitedCodec::new());
    let (sent, got) = soon("both", async { tokio::join!(sending.send(Bytes::from("item")), server.recv()) }).await;
    sent.unwrap();
    assert_eq!(got.unwrap(), Some((&b"\0\0\0\x04item"[..]).into()));
    for message in [&b"\0\0\0\x01a\0\0\0\x01b"[..], b"\0\0\0\x04cut", b"", b"\0\0\0\x01c"] {
        server.send(message).soon().await.unwrap();
    }
    assert_eq!(receiving.next().soon().await.unwrap().unwrap(), "a");
    assert_eq!(receiving.next().soon().await.unwrap().unwrap(), "b");
    receiving.next().soon().await.unwrap().unwrap_err();
    drop(server);
}

/// A byte is an item.
struct Each;

impl Decoder for Each {
    type Item = u8;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<u8>> {
        match bytes.first() {
            None => Ok(None),
            Some(b'!') => Err(ErrorKind::InvalidInput.into()),
            Some(_) => Ok(Some(bytes.split_to(1)[0])),
        }
    }
}

#[tokio::test]
async fn an_end_without_a_close_is_an_error_and_text_is_checked() {
    let (client, mut server) = pair(10_000);
    let mut bytes = Framed::new(client, Each);
    for message in ["a!not read", "b"] {
        server.send(message).soon().await.unwrap();
    }
    drop(server);
    assert_eq!(bytes.next().soon().await.unwrap().unwrap(), b'a');
    assert_eq!(bytes.next().soon().await.unwrap().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(bytes.next().soon().await.unwrap().unwrap(), b'b');
    assert_eq!(bytes.next().soon().await.unwrap().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(bytes.next().soon().await.is_none());

    let (client, mut server) = pair(10_000);
    let mut text = Framed::text(client, BytesCodec::new());
    let refused = text.send(Bytes::from_static(b"\xff")).soon().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
    text.send(Bytes::from_static(b"fine")).soon().await.unwrap();
    assert_eq!(server.recv().soon().await.unwrap(), Some(Message::from("fine")));
}
