//! The one room where the two halves, the opening handshake and time meet.

mod opening;

use crate::config::{Limits, Negotiated, Outbound, SharedConfig};
use crate::event::{Event, Fact, Kind, Message};
use crate::handshake::{self, ClientHandshake, ClientRequest, HeadReader};
use crate::receive::decode::Role;
use crate::receive::receiver::Receiver;
use crate::send::outbox::Outgoing;
use crate::send::prepared::Prepared;
use crate::send::sender::{Counters, Sender};
use crate::send::through::Through;
use crate::send::writer::Writer;
use crate::state::{State, Wants};
use crate::wire::close::Code;
use crate::wire::error::{HandshakeError, ProtocolError, RelayError, SendError};
use crate::wire::frame;
use crate::wire::mask::Seed;
use alloc::{boxed::Box, vec::Vec};
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use opening::Opening;

/// A WebSocket connection, from the first byte of the HTTP head to the last, without its transport.
///
/// Bytes that were read go into [`receive`](Self::receive), events come out. What is to be written waits in
/// [`outbound`](Self::outbound). [`wants`](Self::wants) says what to do next.
///
/// ```
/// use sockless::{Config, Connection, Event, Negotiated, Role, Seed};
/// use bytes::Buf;
///
/// let mut server = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
/// let mut input: &mut [u8] = &mut b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".clone();
/// while let Some(event) = server.receive(&mut input)? {
///     if let Event::Text(text) = event {
///         server.send_text(&text)?;
///     }
/// }
/// assert_eq!(server.outbound().chunk(), b"\x81\x05Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Connection {
    receiver: Receiver,
    sender: Sender,
    opening: Option<Box<Opening>>,
}

/// Making a connection.
impl Connection {
    /// A server's end, which waits for a request.
    pub fn server(config: impl Into<SharedConfig>) -> Self {
        let opening = Opening::Request(HeadReader::default());
        // A server masks nothing, so its seed does not matter.
        Self::new(Role::Server, config.into(), Seed::new([0; 16]), Some(Box::new(opening)))
    }

    /// A client's end; its request is outbound already.
    ///
    /// The nonce and all masking keys follow from `seed`: use [`Seed::random`], or a source as good.
    ///
    /// # Errors
    /// [`Head`](SendError::Head) or [`ReservedHeader`](SendError::ReservedHeader) for what the request must not say.
    ///
    /// ```
    /// use sockless::{ClientRequest, Config, Connection, Seed};
    /// use bytes::Buf;
    ///
    /// let request = ClientRequest::new("ws://example.com/chat")?;
    /// let mut client = Connection::client(&request, Config::default(), Seed::new([7; 16]))?;
    /// assert!(client.outbound().chunk().starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n"));
    /// # Ok::<(), sockless::SendError>(())
    /// ```
    pub fn client(request: &ClientRequest, config: impl Into<SharedConfig>, seed: Seed) -> Result<Self, SendError> {
        let mut connection = Self::new(Role::Client, config.into(), seed, None);
        let request = &*handshake::offer(request, connection.receiver.config());
        let nonce = connection.sender.nonce();
        connection.sender.push_head(|out| handshake::write_request(request, &nonce, out))?;
        connection.opening = Some(Box::new(Opening::Response(ClientHandshake::new(request, &nonce), None)));
        Ok(connection)
    }

    /// An open connection, after a handshake done elsewhere.
    ///
    /// `negotiated` is what that handshake agreed on; `seed` matters for a client only.
    pub fn open(role: Role, negotiated: Negotiated, config: impl Into<SharedConfig>, seed: Seed) -> Self {
        #[allow(unused_mut)]
        let mut config = config.into();
        #[cfg(feature = "deflate")]
        if negotiated.deflate.is_some() && config.deflate.is_none() {
            config.to_mut().deflate = Some(crate::Deflate::default());
        }
        let mut connection = Self::new(role, config, seed, None);
        connection.opened(negotiated);
        connection
    }

    fn new(role: Role, config: SharedConfig, seed: Seed, opening: Option<Box<Opening>>) -> Self {
        let receiver = Receiver::new(role, config.clone());
        Self { receiver, sender: Sender::new(role, seed, config), opening }
    }

    fn opened(&mut self, negotiated: Negotiated) {
        self.receiver.open(negotiated);
        self.sender.open(negotiated);
    }

    /// Parts an open connection into halves for two threads, which exchange [`Fact`]s and nothing else.
    ///
    /// # Errors
    /// The connection itself, if it is not open, or holds events of bytes that came before it was.
    ///
    /// ```
    /// # use sockless::{Config, Connection, Event, Fact, Negotiated, Role, Seed};
    /// # use bytes::Buf;
    /// # let connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    /// let Ok((mut receiver, mut sender)) = connection.split() else { panic!("not open") };
    /// let (facts, of_receiver) = std::sync::mpsc::channel();
    /// let reader = std::thread::spawn(move || {
    ///     let mut input: &mut [u8] = &mut b"\x89\x82\0\0\0\0hi".clone(); // a ping, read from somewhere
    ///     loop {
    ///         match receiver.receive(&mut input) {
    ///             Ok(Some(event)) => facts.send(event.fact()).unwrap(),
    ///             Ok(None) => break,
    ///             Err(error) => facts.send(Some(Fact::from(error))).unwrap(),
    ///         }
    ///     }
    /// });
    /// for fact in of_receiver.iter().flatten() {
    ///     sender.handle_fact(fact);
    /// }
    /// assert_eq!(sender.outbound().chunk(), b"\x8a\x02hi");
    /// # reader.join().unwrap();
    /// ```
    #[allow(clippy::result_large_err)] // The error is the connection, given back.
    pub fn split(self) -> Result<(Receiver, Sender), Self> {
        match (self.sender.state(), &self.opening) {
            (State::Open | State::Closing, None) => Ok((self.receiver, self.sender)),
            _ => Err(self),
        }
    }
}

/// Receiving.
impl Connection {
    /// Takes from the front of `input` what makes the next event; `None` when all of it is taken.
    ///
    /// The event borrows `input`, where its payload is unmasked in place, or owns what had to be put together. While a
    /// server has not answered a request, bytes behind it are kept; after the answer, call once more even without
    /// input.
    ///
    /// # Errors
    /// The [`ProtocolError`] that ends the connection, once; later input is discarded. The close frame it asks for is
    /// outbound: flush it, and do what [`wants`](Self::wants) says of the transport.
    #[inline]
    pub fn receive<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.opening.is_some() {
            return self.receive_opening(input, Receiver::receive_any);
        }
        match self.receiver.whole_message(input) {
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => self.settle(Err(error)),
            None if self.receiver.is_done(input) => Ok(None),
            None => match self.receiver.within(input) {
                Some(Ok(())) => Ok(None),
                Some(Err(error)) => self.settle(Err(error)),
                None => self.receive_rest(input),
            },
        }
    }

    #[inline(never)]
    fn receive_rest<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        #[cfg(feature = "deflate")]
        match self.receiver.whole_where_compressed(input) {
            Some(Ok(event)) => return Ok(Some(event)),
            Some(Err(error)) => return self.settle(Err(error)),
            None => {}
        }
        let result = self.receiver.receive_any(input);
        self.settle(result)
    }

    /// The same, but messages come in [`Piece`](crate::Piece)s as they arrive, and nothing is kept: for messages of any
    /// size in constant memory, or to see the peer's fragments.
    ///
    /// A message stays with the method that its first byte came to. [`Limits::message`] counts here too.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_piece<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.opening.is_some() {
            return self.receive_opening(input, Receiver::receive_piece);
        }
        let result = self.receiver.receive_piece(input);
        self.settle(result)
    }

    /// Passes the messages in `input` on to another connection, for a proxy: masked anew for its peer, neither joined
    /// nor inflated, nor is their UTF-8 checked; each call's part of a frame goes as a fragment of its own
    /// (RFC 6455 §5.4).
    ///
    /// Control frames are events, and pings are answered, as in [`receive`](Self::receive): a closing handshake is
    /// each connection's own. Stop reading while much waits in `to`: its [`is_high`](Self::is_high) says so. Of a message that was
    /// passed on in part, [`receive`](Self::receive) and [`receive_piece`](Self::receive_piece) discard the rest.
    ///
    /// Where messages may be compressed, `to` must have agreed on a window as large, and on context takeover if the peer
    /// has it; with that, all of a peer's messages have to go to the same connection.
    ///
    /// # Errors
    /// [`RelayError::Peer`] as [`receive`](Self::receive); [`RelayError::Send`] if `to` takes nothing, where `input`
    /// keeps what was not passed on.
    pub fn relay<'a>(&mut self, input: &mut &'a mut [u8], to: &mut Self) -> Result<Option<Event<'a>>, RelayError> {
        if self.opening.is_some() {
            return Ok(self.receive(input)?);
        }
        match self.receiver.relay(input, &mut to.sender) {
            Ok(event) => Ok(self.settle(Ok(event))?),
            Err(RelayError::Peer(error)) => Ok(self.settle(Err(error))?),
            Err(error) => Err(error),
        }
    }

    /// How many more bytes, read behind `input`, would make the frame at its front whole, so far as its header says; 0 if
    /// it is whole, or nothing is gained by waiting.
    ///
    /// [`receive`](Self::receive) takes all of its input, so a message that a read cuts off is moved to a buffer of its
    /// own, a part at a time. A driver that has room behind `input` may keep it instead, read on, and get the message
    /// borrowed:
    ///
    /// ```
    /// # use sockless::{Config, Connection, Event, Negotiated, Role, Seed};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut connection = Connection::open(Role::Client, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    /// # let stream = b"\x81\x05Hello\x89\0\x82\x7e\x03\xe8".iter().copied().chain([7; 1000]).collect::<Vec<u8>>();
    /// # struct Socket<'a>(&'a [u8]);
    /// # impl std::io::Read for Socket<'_> {
    /// #     fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
    /// #         let len = buffer.len().min(100);
    /// #         self.0.read(&mut buffer[..len])
    /// #     }
    /// # }
    /// # let mut socket = Socket(&stream);
    /// # let mut events = 0;
    /// use std::borrow::Cow;
    /// use std::io::Read;
    ///
    /// let mut buffer = vec![0; 4096];
    /// let room = buffer.len();
    /// let mut kept = 0;
    /// loop {
    ///     let n = socket.read(&mut buffer[kept..])?;
    ///     if n == 0 {
    ///         // ... receive_eof()
    ///         break;
    ///     }
    ///     let end = kept + n;
    ///     let mut input = &mut buffer[..end];
    ///     loop {
    ///         let missing = connection.missing(input);
    ///         if missing > 0 && input.len() + missing <= room {
    ///             break;
    ///         }
    ///         match connection.receive(&mut input)? {
    ///             Some(Event::Binary(message)) => assert!(matches!(message, Cow::Borrowed(_))),
    ///             Some(_) => {} // ...
    ///             None => break,
    ///         }
    /// #       events += 1;
    ///     }
    ///     kept = input.len();
    ///     buffer.copy_within(end - kept..end, 0);
    /// }
    /// # assert_eq!((events, kept), (3, 0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Never make room by what it says: a peer announces what it likes, up to its limits. And do not wait for bytes that
    /// may not come, for what is kept has not been received: it does not count as a sign of life, and text is checked when
    /// its frame is whole. Give it to [`receive`](Self::receive) when the transport has no more for now.
    ///
    /// Nothing is gained in the opening handshake, of a fragment or a frame of which a part was received, of what breaks a
    /// rule or a limit, and behind the end.
    #[inline]
    pub fn missing(&self, input: &[u8]) -> usize {
        match frame::is_whole(input) || self.opening.is_some() {
            true => 0,
            false => self.receiver.missing(input),
        }
    }

    /// Where the next bytes belong while a large binary message is put together, so that a driver reads from its socket
    /// straight into it; `None` while the driver's own buffer serves better.
    ///
    /// Text goes through the driver's buffer: it is checked there, and moved once.
    ///
    /// ```
    /// # use sockless::{Config, Connection, Event, Negotiated, Role, Seed};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut connection = Connection::open(Role::Client, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    /// # let message = [&b"\x82\x7f\0\0\0\0\0\x04\0\0"[..], &[7; 0x40000]].concat();
    /// # let mut socket = &message[..];
    /// # let mut buffer = [0; 4096];
    /// # let mut done = false;
    /// # while !done {
    /// use std::io::Read;
    ///
    /// if let Some(tail) = connection.tail() {
    ///     let n = socket.read(tail)?;
    ///     if let Some(Event::Binary(message)) = connection.receive_tail(n)? {
    ///         assert_eq!(message.len(), 256 * 1024);
    /// #       done = true;
    ///     }
    /// } else {
    ///     let n = socket.read(&mut buffer)?;
    ///     let mut input = &mut buffer[..n];
    ///     while let Some(event) = connection.receive(&mut input)? {
    ///         // ...
    /// #       if let Event::Binary(message) = event { assert_eq!(message.len(), 256 * 1024); done = true }
    ///     }
    /// }
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn tail(&mut self) -> Option<&mut [u8]> {
        self.receiver.tail()
    }

    /// Takes the first `len` bytes of [`tail`](Self::tail), just read into it.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_tail(&mut self, len: usize) -> Result<Option<Event<'static>>, ProtocolError> {
        let result = self.receiver.receive_tail(len);
        self.settle(result)
    }

    /// The transport has ended, whoever ended it; says how the connection did, unless that was said.
    ///
    /// # Errors
    /// [`UnexpectedEof`](ProtocolError::UnexpectedEof) without a closing handshake, or
    /// [`Handshake`](ProtocolError::Handshake) without an opening one.
    pub fn receive_eof(&mut self) -> Result<Option<Event<'static>>, ProtocolError> {
        let result = match self.opening.take().map(|opening| *opening) {
            None => self.receiver.receive_eof().map(|()| None),
            Some(Opening::Held(..)) => Err(ProtocolError::UnexpectedEof),
            Some(Opening::Refused(error)) => Err(error.into()),
            Some(Opening::Request(_) | Opening::Answer(_)) => Err(HandshakeError::UnexpectedEof.into()),
            Some(Opening::Response(mut client, _)) => match client.receive_eof() {
                Ok(Some(outcome)) => self.handle_outcome(outcome).map(Some).map_err(Into::into),
                Ok(None) => Ok(None),
                Err(error) => Err(error.into()),
            },
        };
        self.receiver.end();
        self.sender.handle_fact(Fact::Eof);
        self.settle(result)
    }

    /// Gives a spent buffer back: the next message that has to be put together goes there.
    ///
    /// With a buffer as large as [`Limits::message`], nothing is allocated for receiving from then on. The connection
    /// keeps the largest that it was given until a message takes it.
    pub fn recycle(&mut self, spent: Vec<u8>) {
        self.receiver.recycle(spent);
    }

    /// Tells the sending half of what the receiving half has found.
    fn settle<'a>(
        &mut self,
        result: Result<Option<Event<'a>>, ProtocolError>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        match &result {
            Ok(None) => {}
            Ok(Some(event)) => {
                if let Some(fact) = event.fact() {
                    self.sender.handle_fact(fact);
                }
            }
            Err(error) => {
                self.receiver.end();
                self.sender.handle_fact((*error).into());
            }
        }
        result
    }
}

/// Sending: all or nothing, and never blocking.
impl Connection {
    /// Sends a message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        self.sender.send(message)
    }

    /// Sends a message, compressed or not as the caller has it, where compression is negotiated.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[cfg(feature = "deflate")]
    pub fn send_with(&mut self, message: &Message<'_>, compress: crate::Compress) -> Result<(), SendError> {
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
    /// to, and else a copy. A short message is copied, which costs less.
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
    /// may still come before its [`Close`](Event::Close).
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said,
    /// [`NotOpen`](SendError::NotOpen) or [`Closing`](SendError::Closing).
    pub fn close(&mut self, code: Code, reason: &str) -> Result<(), SendError> {
        self.sender.close(code, reason)
    }

    /// Ends the connection without waiting for anything: what has not begun to go out is dropped, and a close frame
    /// with this code is the last that goes out. Later input is discarded.
    pub fn abort(&mut self, code: Code) {
        self.opening = None;
        self.receiver.discard();
        self.sender.abort(code);
    }
}

/// The transport, the clock and the state.
impl Connection {
    /// What waits to go out, as a [`Buf`](bytes::Buf): write from it and `advance` it by what was written.
    #[inline]
    pub fn outbound(&mut self) -> Outgoing<'_> {
        self.sender.outbound()
    }

    /// Swaps the storage of the outbox with `buffer`, which is cleared; what waits is moved along.
    ///
    /// So a loop lends one buffer to whichever connection is busy: swap before, write what is outbound, swap back: a
    /// connection from which all has gone out then holds nothing. Such a loop sets [`Outbound::retain`] to [`usize::MAX`].
    #[inline]
    pub fn swap_outbox(&mut self, buffer: &mut Vec<u8>) {
        self.sender.swap_outbox(buffer);
    }

    /// What the driver should do now; it changes with every other call.
    #[inline]
    pub fn wants(&self) -> Wants {
        Wants { read: self.wants_read(), deadline: self.poll_timeout(), ..self.sender.wants() }
    }

    /// What [`wants`](Self::wants) says of reading, and less work: for between the events of one read.
    #[inline]
    pub fn wants_read(&self) -> bool {
        self.sender.wants_read() && !matches!(self.opening.as_deref(), Some(Opening::Answer(_)))
    }

    /// Whether more than [`Outbound::soft`] bytes wait to go out: time to write them before more is made.
    ///
    /// It is no reason not to read, or two ends that both send much wait for each other for ever. Only a server that answers
    /// from within reading may wait with reading on, while its answers wait: [`Answers`](crate::driver::Answers).
    #[inline]
    pub fn is_high(&self) -> bool {
        self.sender.is_high()
    }

    /// The sending half.
    #[inline]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Tells the time: on a monotonic clock of the caller's choice, as the time since any moment that stays the same.
    ///
    /// Call it when [`poll_timeout`](Self::poll_timeout) says so, and as often else as is convenient: the more often, the
    /// more exact is what it knows of silence.
    ///
    /// # Errors
    /// A deadline that ends the connection: [`PongTimeout`](ProtocolError::PongTimeout),
    /// [`IdleTimeout`](ProtocolError::IdleTimeout), [`CloseTimeout`](ProtocolError::CloseTimeout) or
    /// [`HandshakeError::Timeout`].
    pub fn handle_timeout(&mut self, now: Duration) -> Result<Option<Event<'static>>, ProtocolError> {
        if let Some(event) = self.refusal_in_time(now) {
            return Ok(Some(event));
        }
        let heard = self.receiver.traffic().bytes;
        match self.sender.handle_timeout(now, heard) {
            Ok(()) => Ok(None),
            Err(ProtocolError::Handshake(error)) => match self.end_refusal() {
                Some(event) => Ok(Some(event)),
                None => Err(self.fail_opening(error)),
            },
            Err(error) => {
                self.receiver.end();
                Err(error)
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the caller's clock; a past time means now.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let deadline = self.sender.poll_timeout();
        match self.refusal_deadline() {
            None => deadline,
            Some(refusal) => Some(deadline.map_or(refusal, |deadline| deadline.min(refusal))),
        }
    }

    /// The state, as RFC 6455 names it.
    #[inline]
    pub fn state(&self) -> State {
        self.sender.state()
    }

    /// Which end of the connection this is.
    pub fn role(&self) -> Role {
        self.receiver.role()
    }

    /// What the opening handshake agreed on.
    pub fn negotiated(&self) -> Negotiated {
        self.receiver.negotiated()
    }

    /// Bytes that wait to go out.
    #[inline]
    pub fn queued(&self) -> usize {
        self.sender.queued()
    }

    /// Bytes of messages that wait to go out: what [`queued`](Self::queued) says, without the control frames that overtake
    /// messages, and without this end's close frame, which is behind them all. So a message has gone out as soon as no more
    /// than what was sent behind it waits.
    pub fn queued_messages(&self) -> usize {
        self.sender.queued_messages()
    }

    /// What the connection has done so far.
    pub fn counters(&self) -> Counters {
        self.sender.counters(self.receiver.traffic())
    }

    /// Changes what the peer may send, from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.receiver.set_limits(limits);
    }

    /// Changes what may wait to go out, from the next message on.
    pub fn set_outbound(&mut self, outbound: Outbound) {
        self.sender.set_outbound(outbound);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role())
            .field("state", &self.state())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
