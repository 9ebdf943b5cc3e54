//! The sending half: messages and replies to outbound bytes, and the closing handshake.

#[cfg(feature = "deflate")]
mod compressed;
mod extended;
mod lent;
mod transport;

use crate::config::{Negotiated, SharedConfig};
#[cfg(feature = "deflate")]
use crate::deflate::{Compress, Deflater};
use crate::extensions::Encoding;
use crate::message::chunk::Chunk;
use crate::message::{Kind, Message, Role};
use crate::noted::Notes;
use crate::seen::{self, Way};
use crate::send::outbox::{Outbox, Part, control_frame};
use crate::state::{Facts, Happened, Transport};
use crate::timer::Timer;
use crate::wire::close::{self, Code};
use crate::wire::error::SendError;
use crate::wire::frame::{ControlPayload, Header, OpCode, RSV1};
use crate::wire::mask::{Keys, Seed};
use crate::wire::utf8::Utf8;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The sending half of an open connection: messages and replies to outbound bytes, as in
/// [`Connection`](crate::Connection).
pub struct Sender {
    config: SharedConfig,
    outbox: Outbox,
    keys: Keys,
    timer: Timer,
    negotiated: Negotiated,
    role: Role,
    facts: Facts,
    /// Messages go out as they are, neither compressed nor in fragments, and no message in fragments is under way.
    plain: bool,
    /// What few connections have.
    rare: Option<Box<Rare>>,
    /// Frames sent; each has its number of the count before it.
    frames: u64,
    bytes: u64,
    /// Before the latest message, or later.
    most_queued: u32,
    /// Where what goes out is kept.
    notes: Notes,
}

#[derive(Default)]
struct Rare {
    /// The message in fragments that is under way.
    fragmented: Option<Fragmented>,
    extended: Option<Encoding>,
    /// With context takeover, from the first compressed message on.
    #[cfg(feature = "deflate")]
    deflater: Option<Box<Deflater>>,
    /// The context belongs to the compressed messages that are relayed.
    #[cfg(feature = "deflate")]
    context_lent: bool,
}

impl Rare {
    fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.deflater.is_some() || self.context_lent {
            return false;
        }
        self.fragmented.is_none() && self.extended.is_none()
    }
}

#[derive(Clone)]
struct Fragmented {
    kind: Kind,
    relayed: bool,
    #[cfg_attr(not(feature = "deflate"), allow(dead_code))]
    compressed: bool,
    utf8: Utf8,
    /// The close frame that waits for the message to end.
    close: Option<ControlPayload>,
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Sender {
    /// Bytes; a message of so many takes less time where it goes out from where it lies than a copy of it does, the system call
    /// counted.
    pub const LEAST_SHARED: usize = 4 << 10;

    pub(crate) fn new(role: Role, seed: Seed, config: SharedConfig) -> Self {
        Self {
            config,
            outbox: Outbox::default(),
            keys: Keys::new(seed),
            timer: Timer::new(),
            negotiated: Negotiated::default(),
            role,
            facts: Facts::default(),
            plain: false,
            rare: None,
            frames: 0,
            bytes: 0,
            most_queued: 0,
            notes: Notes::default(),
        }
    }

    /// The opening handshake is done.
    pub(crate) fn open(&mut self, negotiated: Negotiated) {
        self.negotiated = negotiated;
        self.facts.set(Happened::Open);
        self.note_plain();
    }

    /// Replaces the settings, before the opening handshake is done.
    pub(crate) fn set_config(&mut self, config: SharedConfig) {
        self.config = config;
    }

    fn note_plain(&mut self) {
        self.plain = !self.negotiated.is_compressed() && self.config.outbound.fragment == 0 && self.rare.is_none();
    }

    /// Holds nothing for what there is nothing of.
    fn settle_rare(&mut self) {
        self.rare.take_if(|rare| rare.is_empty());
        self.note_plain();
    }

    // ---- messages

    /// As [`Connection::send`](crate::Connection::send).
    ///
    /// # Errors
    /// As [`Connection::send_text`](crate::Connection::send_text).
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        let message = message.into();
        let payload = message.as_bytes();
        if payload.len() >= Self::LEAST_SHARED && !message.is_borrowed() {
            return self.keep(message);
        }
        self.send_message(message.kind(), payload)
    }

    /// As [`Connection::send_text`](crate::Connection::send_text).
    ///
    /// # Errors
    /// [`NotOpen`](SendError::NotOpen), [`Closing`](SendError::Closing), [`Full`](SendError::Full) or
    /// [`FragmentUnderWay`](SendError::FragmentUnderWay).
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.send_message(Kind::Text, text.as_bytes())
    }

    /// As [`Connection::send_binary`](crate::Connection::send_binary).
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.send_message(Kind::Binary, bytes)
    }

    #[inline]
    fn send_message(&mut self, kind: Kind, payload: &[u8]) -> Result<(), SendError> {
        match self.role {
            Role::Server => self.send_as(Role::Server, kind, payload),
            Role::Client => self.send_as_client(kind, payload),
        }
    }

    /// Apart, so that a server keeps no registers free for masks.
    #[inline(never)]
    fn send_as_client(&mut self, kind: Kind, payload: &[u8]) -> Result<(), SendError> {
        self.send_as(Role::Client, kind, payload)
    }

    #[inline(always)]
    fn send_as(&mut self, role: Role, kind: Kind, payload: &[u8]) -> Result<(), SendError> {
        // Before the checks, so that the compiler does not write what follows them once for each kind.
        let opcode = kind.opcode();
        if !self.plain {
            return self.shape(kind, payload);
        }
        self.facts.check_open()?;
        self.check_room()?;
        self.append_as(role, true, 0, opcode, payload);
        Ok(())
    }

    /// Sends a message, compressed where it is worth it.
    #[cold]
    #[inline(never)]
    fn shape(&mut self, kind: Kind, payload: &[u8]) -> Result<(), SendError> {
        self.check_new()?;
        #[cfg(feature = "deflate")]
        if self.negotiated.is_compressed() {
            self.deflate(kind, payload, Compress::Auto);
            return self.check_sent();
        }
        self.frames_of(kind, 0, payload);
        self.check_sent()
    }

    /// Appends a message, in as many frames as the configuration says.
    fn frames_of(&mut self, kind: Kind, rsv: u8, payload: &[u8]) {
        match self.config.outbound.fragment {
            0 => self.append(true, rsv, kind.opcode(), payload),
            size => self.fragments_of(size, kind, rsv, payload),
        }
    }

    fn fragments_of(&mut self, size: usize, kind: Kind, rsv: u8, payload: &[u8]) {
        let (mut opcode, mut rsv, mut rest) = (kind.opcode(), rsv, payload);
        while rest.len() > size {
            let (fragment, behind) = rest.split_at(size);
            self.append(false, rsv, opcode, fragment);
            (opcode, rsv, rest) = (OpCode::Continuation, 0, behind);
        }
        self.append(true, rsv, opcode, rest);
    }

    /// As [`Connection::send_fragment`](crate::Connection::send_fragment).
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and [`InvalidUtf8`](SendError::InvalidUtf8).
    pub fn send_fragment(&mut self, kind: Kind, bytes: &[u8], last: bool) -> Result<(), SendError> {
        self.check_fragment(kind, false)?;
        if kind == Kind::Text {
            let mut utf8 = self.fragmented().map(|message| message.utf8).unwrap_or_default();
            let checked = utf8.check(bytes).and_then(|_| if last { utf8.finish() } else { Ok(()) });
            checked.map_err(|_| SendError::InvalidUtf8)?;
            self.send_part(kind, bytes, last);
            if let Some(message) = self.fragmented_mut() {
                message.utf8 = utf8;
            }
        } else {
            self.send_part(kind, bytes, last);
        }
        self.check_sent()
    }

    /// Whether a fragment may follow, or begin a message.
    fn check_fragment(&self, kind: Kind, relayed: bool) -> Result<(), SendError> {
        match self.fragmented() {
            None => self.check_new(),
            Some(message) if (message.kind, message.relayed) == (kind, relayed) => self.check_room(),
            Some(_) => Err(SendError::FragmentUnderWay),
        }
    }

    /// Sends a fragment of the caller's, compressed if the first of the message is.
    fn send_part(&mut self, kind: Kind, bytes: &[u8], last: bool) {
        #[cfg(feature = "deflate")]
        if self.is_fragment_compressed(bytes.len()) {
            return self.deflate_fragment(kind, bytes, last);
        }
        self.fragment(kind, false, false, bytes, last);
    }

    #[inline]
    fn fragmented(&self) -> Option<&Fragmented> {
        self.rare.as_deref()?.fragmented.as_ref()
    }

    fn fragmented_mut(&mut self) -> Option<&mut Fragmented> {
        self.rare.as_deref_mut()?.fragmented.as_mut()
    }

    fn take_fragmented(&mut self) -> Option<Fragmented> {
        let message = self.rare.as_deref_mut()?.fragmented.take();
        self.settle_rare();
        message
    }

    fn fragment(&mut self, kind: Kind, relayed: bool, compressed: bool, bytes: &[u8], last: bool) {
        let first = self.fragmented().is_none();
        let opcode = if first { kind.opcode() } else { OpCode::Continuation };
        // RFC 7692 §6: only the first fragment is marked.
        let rsv = if first && compressed { RSV1 } else { 0 };
        self.append(last, rsv, opcode, bytes);
        if self.facts.has(Happened::Failed) {
            // A stage of an extension cannot go on, and the message has ended with the connection.
            return;
        }
        if last {
            if let Some(close) = self.take_fragmented().and_then(|message| message.close) {
                self.append_close(&close);
            }
        } else if first {
            let utf8 = Utf8::default();
            let message = Fragmented { kind, relayed, compressed, utf8, close: None };
            self.rare.get_or_insert_default().fragmented = Some(message);
            self.note_plain();
        }
    }

    // ---- control frames

    /// As [`Connection::ping`](crate::Connection::ping).
    ///
    /// # Errors
    /// [`LongControl`](SendError::LongControl), [`NotOpen`](SendError::NotOpen), [`Closing`](SendError::Closing) or
    /// [`Full`](SendError::Full).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(OpCode::Ping, payload)
    }

    /// As [`Connection::pong`](crate::Connection::pong).
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(OpCode::Pong, payload)
    }

    fn send_control(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), SendError> {
        let payload = ControlPayload::new(payload).ok_or(SendError::LongControl)?;
        self.facts.check_open()?;
        self.check_room()?;
        self.push_control(opcode, &payload, Part::Control);
        Ok(())
    }

    fn push_control(&mut self, opcode: OpCode, payload: &[u8], part: Part) {
        // It may take the place of a longer one.
        self.note_queued(0);
        let frame = control_frame(opcode, payload, self.mask());
        self.outbox.push_control(frame, part);
        self.note_frame(true, opcode, payload.len());
    }

    /// As [`Connection::close`](crate::Connection::close).
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said,
    /// [`NotOpen`](SendError::NotOpen) or [`Closing`](SendError::Closing).
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        let payload = close::payload(code.into(), reason)?;
        self.facts.check_close()?;
        match self.fragmented_mut() {
            Some(message) => {
                message.close = Some(payload);
                self.facts.set(Happened::CloseWaits);
            }
            None => self.append_close(&payload),
        }
        Ok(())
    }

    /// As [`Connection::close_amid`](crate::Connection::close_amid).
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_amid(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), SendError> {
        let payload = close::payload(code.into(), reason)?;
        self.facts.check_close()?;
        self.take_fragmented();
        self.append_close(&payload);
        Ok(())
    }

    /// As [`Connection::abort`](crate::Connection::abort).
    pub fn abort(&mut self, code: impl Into<Code>) {
        if self.facts.has(Happened::Open) && self.transport() != Transport::Close {
            // A close frame that has not begun to go out is dropped too, and none can be behind it.
            self.note_queued(0);
            if self.outbox.cut() {
                self.facts.unset(Happened::CloseSent);
            }
            self.reply_close(code.into());
        }
        self.facts.set(Happened::Failed);
    }

    /// Sends a close frame unless one was sent (RFC 6455 §5.5.1); a message in fragments ends there.
    fn reply_close(&mut self, code: Code) {
        self.take_fragmented();
        if !self.facts.has(Happened::CloseSent) {
            // A code that must not be sent was not received either, and those of errors may be.
            let payload = close::payload(code, "").unwrap_or_default();
            self.append_close(&payload);
        }
    }

    fn append_close(&mut self, payload: &[u8]) {
        self.append(true, 0, OpCode::Close, payload);
        self.facts.set(Happened::CloseSent);
    }

    // ---- frames

    #[inline]
    fn mask(&mut self) -> Option<[u8; 4]> {
        (self.role == Role::Client).then(|| self.keys.mask(self.frames))
    }

    fn append(&mut self, fin: bool, rsv: u8, opcode: OpCode, payload: &[u8]) {
        if self.is_extended() && !opcode.is_control() {
            return self.append_extended(fin, rsv, opcode, payload);
        }
        self.append_as(self.role, fin, rsv, opcode, payload);
    }

    /// Where most frames are made; the `role` is known to the compiler.
    #[inline(always)]
    fn append_as(&mut self, role: Role, fin: bool, rsv: u8, opcode: OpCode, payload: &[u8]) {
        let mask = (role == Role::Client).then(|| self.keys.mask(self.frames));
        self.outbox.append(Header { fin, rsv, opcode, mask, length: payload.len() as u64 }, payload);
        self.note_frame(fin, opcode, payload.len());
    }

    #[inline(always)]
    fn note_frame(&mut self, fin: bool, opcode: OpCode, len: usize) {
        self.frames += 1;
        seen::frame(Way::Sent, fin, opcode, len as u64);
    }

    /// Notes how much waits, and that `lent` bytes do that are not in the outbox. Whatever takes from the outbox calls it
    /// before, and what adds to it need not.
    #[inline]
    fn note_queued(&mut self, lent: usize) {
        self.most_queued = self.most_queued.max(to_u32(self.outbox.len() + lent));
    }

    #[inline]
    fn check_new(&self) -> Result<(), SendError> {
        self.facts.check_open()?;
        if self.fragmented().is_some() {
            return Err(SendError::FragmentUnderWay);
        }
        self.check_room()
    }

    #[inline]
    fn check_room(&self) -> Result<(), SendError> {
        if self.outbox.len() > self.config.outbound.hard { Err(SendError::Full) } else { Ok(()) }
    }

    /// Whether a relayed frame would be taken from a connection that agreed on `from`.
    pub(crate) fn check_relay(&self, from: &Negotiated) -> Result<(), SendError> {
        if !self.negotiated.carries(from) || self.is_extended() {
            return Err(SendError::Extension);
        }
        match self.fragmented() {
            Some(message) if message.relayed => self.check_room(),
            _ => self.check_new(),
        }
    }

    /// Takes a part of another connection's message as a fragment of its own (RFC 6455 §5.4 lets an intermediary).
    pub(crate) fn relay(&mut self, chunk: &Chunk<'_>) -> Result<(), SendError> {
        self.check_fragment(chunk.kind, true)?;
        #[cfg(feature = "deflate")]
        if chunk.compressed {
            self.lend_context();
        }
        self.fragment(chunk.kind, true, chunk.compressed, chunk.payload, chunk.last);
        Ok(())
    }
    // ---- the opening handshake

    /// Appends the head that `write` writes.
    pub(crate) fn push_head<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.outbox.push_head(write)
    }

    pub(crate) fn nonce(&self) -> [u8; 16] {
        self.keys.nonce()
    }

    /// No opening handshake will follow; the transport is of no more use, not even to read.
    pub(crate) fn expire(&mut self) {
        self.facts.set(Happened::Expired);
    }
}
