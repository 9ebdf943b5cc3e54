//! Sending, as a connection does it: its sending half does it all.

use super::ends::Connection;
use crate::message::{Kind, Message};
use crate::send::prepared::Prepared;
use crate::send::through::Through;
use crate::send::writer::Writer;
use crate::wire::close::Code;
use crate::wire::error::SendError;
use bytes::Bytes;

/// Sending: all or nothing, and never blocking.
impl Connection {
    /// Sends a message: text, bytes, or a [`Message`]. One of [`Sender::LEAST_SHARED`](crate::Sender::LEAST_SHARED) bytes or more
    /// that borrows nothing goes out from where it lies.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        self.sender.send(message)
    }

    /// Sends a message, compressed or not as the caller has it, where compression is negotiated.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[cfg(feature = "deflate")]
    pub fn send_with<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
        compress: crate::Compress,
    ) -> Result<(), SendError> {
        self.sender.send_with(message, compress)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`NotOpen`](SendError::NotOpen) or [`Closing`](SendError::Closing) for good; [`Full`](SendError::Full) or
    /// [`FragmentUnderWay`](SendError::FragmentUnderWay) for now.
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.sender.send_text(text)
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.sender.send_binary(bytes)
    }

    /// Sends a fragment of a message (RFC 6455 §5.4), which begins with the first and ends with the `last`; all are of one
    /// `kind`. Text may be cut anywhere.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and [`InvalidUtf8`](SendError::InvalidUtf8).
    pub fn send_fragment(&mut self, kind: Kind, bytes: &[u8], last: bool) -> Result<(), SendError> {
        self.sender.send_fragment(kind, bytes, last)
    }

    /// Sends a message without copying it: a server keeps a reference; a client masks in place what nobody else refers
    /// to, and else a copy. Below [`Sender::LEAST_SHARED`](crate::Sender::LEAST_SHARED) bytes that takes more time than a copy, and
    /// saves its memory; below 256 bytes it is a copy.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and [`InvalidUtf8`](SendError::InvalidUtf8).
    pub fn send_shared(&mut self, kind: Kind, bytes: Bytes) -> Result<(), SendError> {
        self.sender.send_shared(kind, bytes)
    }

    /// Sends a message without copying it, for a driver that writes at once: all that waits and the message, whose payload
    /// is borrowed, as a [`Buf`](bytes::Buf).
    ///
    /// What has not gone out of it when that is dropped, at once or after a part was written, is copied to what waits, as
    /// [`send`](Self::send) would have: the message is sent as soon as this returns, and never blocks. Nothing else goes
    /// out or is received meanwhile. Short messages, a client's, and those that go compressed or in fragments are copied
    /// at first, and are a part of what waits.
    ///
    /// Forgotten ([`core::mem::forget`]) instead of dropped, it cuts its frame off where the last write ended.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    ///
    /// ```
    /// use sockless::{Config, Connection, Message, Negotiated, Role, Seed};
    /// use bytes::Buf;
    /// use std::io::{self, IoSlice, Write};
    ///
    /// /// Sends a message to a socket that does not block; what it does not take now waits in the connection.
    /// fn send(message: &Message<'_>, connection: &mut Connection, socket: &mut impl Write) -> io::Result<()> {
    ///     let mut through = connection.send_through(message).map_err(io::Error::other)?;
    ///     while through.has_remaining() {
    ///         let mut slices = [IoSlice::new(&[]); 16];
    ///         let count = through.chunks_vectored(&mut slices);
    ///         match socket.write_vectored(&slices[..count]) {
    ///             Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
    ///             Ok(n) => through.advance(n),
    ///             Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// # /// Takes 300 bytes.
    /// # struct Socket(Vec<u8>);
    /// # impl Write for Socket {
    /// #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
    /// #         let n = bytes.len().min(300 - self.0.len());
    /// #         self.0.extend(&bytes[..n]);
    /// #         if n == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    /// #     }
    /// #     fn flush(&mut self) -> io::Result<()> {
    /// #         Ok(())
    /// #     }
    /// # }
    /// # let mut socket = Socket(vec![]);
    ///
    /// let mut connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    /// let message = [7; 1000];
    /// send(&Message::from(&message[..]), &mut connection, &mut socket)?; // takes 300 bytes
    /// assert_eq!(connection.counters().queued, 4 + 1000 - 300);
    /// # assert_eq!(socket.0, [&b"\x82\x7e\x03\xe8"[..], &[7; 296]].concat());
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn send_through<'a>(&'a mut self, message: &'a Message<'_>) -> Result<Through<'a>, SendError> {
        self.sender.send_through(message)
    }

    /// Sends a message that was framed before, by reference if it is long; it costs the same however long it is.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), SendError> {
        self.sender.send_prepared(message)
    }

    /// A message to be written piecemeal.
    pub fn writer(&mut self, kind: Kind) -> Writer<'_> {
        self.sender.writer(kind)
    }

    /// Sends a ping (RFC 6455 §5.5.2) of at most 125 bytes, ahead of the messages that wait.
    ///
    /// # Errors
    /// [`LongControl`](SendError::LongControl), [`NotOpen`](SendError::NotOpen), [`Closing`](SendError::Closing) or
    /// [`Full`](SendError::Full).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.ping(payload)
    }

    /// Sends a pong that answers nothing, or one of the caller's own (RFC 6455 §5.5.3).
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.pong(payload)
    }

    /// Starts the closing handshake (RFC 6455 §7.1.2): nothing new may be sent; what waits goes out first, and the
    /// fragments of a message under way may still be sent.
    ///
    /// [`Code::NO_STATUS`] sends a close frame without a code; a reason has at most 123 bytes. Messages of the peer's
    /// may still come before its [`Close`](crate::Event::Close). Behind that it is the answer, if
    /// [`Config::answer_close`](crate::Config::answer_close) is off.
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said,
    /// [`NotOpen`](SendError::NotOpen) or [`Closing`](SendError::Closing).
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        self.sender.close(code, reason)
    }

    /// As [`close`](Self::close), but does not wait for the rest of a message in fragments that is under way: it ends there, unfinished.
    /// For a proxy whose other end has gone in the middle of one (RFC 6455 §5.4 has control frames between fragments).
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_amid(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        self.sender.close_amid(code, reason)
    }

    /// Ends the connection without waiting for anything: what has not begun to go out is dropped, and a close frame
    /// with this code is the last that goes out. Later input is discarded.
    pub fn abort(&mut self, code: impl Into<Code>) {
        self.opening = None;
        self.receiver.discard();
        self.sender.abort(code);
    }
}
