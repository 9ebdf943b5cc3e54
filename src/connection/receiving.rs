//! Receiving, as a connection does it: what its receiving half finds, its sending half is told.

use super::ends::{Connection, Opening};
use crate::event::{Event, Fact};
use crate::receive::receiver::{Lent, Receiver};
use crate::wire::error::{HandshakeError, ProtocolError, RelayError};
use crate::wire::frame;
use alloc::vec::Vec;

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
        match self.whole_message(input) {
            Some(result) => result.map(|message| Some(message.into())),
            None if self.opening.is_none() && self.receiver.is_done(input) => Ok(None),
            None => self.receive_rest(input),
        }
    }

    /// The common case of [`receive`](Self::receive): a message that came whole. Nothing follows from it.
    #[inline(always)]
    pub(crate) fn whole_message<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Result<Lent<'a>, ProtocolError>> {
        if self.opening.is_some() {
            return None;
        }
        let result = self.receiver.whole_message(input)?;
        if let Err(error) = &result {
            self.sender.handle_fact((*error).into());
        }
        Some(result)
    }

    #[inline(never)]
    fn receive_rest<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.opening.is_some() {
            return self.receive_opening(input, Receiver::receive);
        }
        let result = self.receiver.receive_rest(input);
        self.settle(result)
    }

    /// The same, but messages come in [`Piece`](crate::Piece)s as they arrive, and nothing is kept: for messages of any
    /// size in constant memory, or to see the peer's fragments.
    ///
    /// A message stays with the method that its first byte came to. [`Limits::message`](crate::Limits::message) counts here too.
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

    /// The same, but each [`Piece`](crate::Piece) is a whole frame of the peer's, inflated if it was compressed, and messages in
    /// fragments are not joined: `first` says that a message begins with it, its `data` of which kind that is, and `last` is its FIN
    /// bit. A character of text that the end of a frame cuts comes with the next.
    ///
    /// A frame has at most [`Limits::frame`](crate::Limits::frame) bytes, and all of a message
    /// [`Limits::message`](crate::Limits::message). One that came whole is lent, others are put together.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    ///
    /// ```
    /// # use sockless::{Config, Connection, Event, Negotiated, Role, Seed};
    /// # let mut server = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    /// // "Hel", and "lo" with FIN.
    /// let mut input: &mut [u8] = &mut b"\x01\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo".clone();
    /// let mut frames = vec![];
    /// while let Some(Event::Piece(frame)) = server.receive_frame(&mut input)? {
    ///     frames.push((frame.data.as_text().unwrap().to_owned(), frame.first, frame.last));
    /// }
    /// assert_eq!(frames, [("Hel".to_owned(), true, false), ("lo".to_owned(), false, true)]);
    /// # Ok::<(), sockless::ProtocolError>(())
    /// ```
    pub fn receive_frame<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.opening.is_some() {
            return self.receive_opening(input, Receiver::receive_frame);
        }
        let result = self.receiver.receive_frame(input);
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
    /// Where messages may be compressed, `to` must have agreed on a window as large, which wants a `window_bits` of 15 in
    /// its settings, and on context takeover if the peer has it; with that, all of a peer's messages have to go to the
    /// same connection.
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
    /// it is whole, or nothing is gained by waiting: in the opening handshake, of a fragment or a frame of which a part was
    /// received, of what breaks a rule or a limit, and behind the end.
    ///
    /// [`receive`](Self::receive) takes all of its input, so a message that a read cuts off is moved to a buffer of its
    /// own, a part at a time. A driver that has room behind `input` may keep it instead, read on, and get the message
    /// borrowed. No room is made by it, for a peer announces what it likes; and what is kept has not been received: it is no sign
    /// of life, and text is checked when its frame is whole.
    #[doc(hidden)] // The driver's, and for tests, benchmarks and fuzzing.
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
    #[doc(hidden)] // As `missing`.
    #[inline]
    pub fn tail(&mut self) -> Option<&mut [u8]> {
        self.receiver.tail()
    }

    /// Takes the first `len` bytes of [`tail`](Self::tail), just read into it.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    #[doc(hidden)] // As `missing`.
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
    /// With a buffer as large as [`Limits::message`](crate::Limits::message), nothing is allocated for receiving from then on. The connection
    /// keeps the largest that it was given until a message takes it.
    pub fn recycle(&mut self, spent: Vec<u8>) {
        self.receiver.recycle(spent);
    }
}
