//! Messages that go out from where they lie: shared, prepared, or lent to one write.

use super::Sender;
use crate::message::Role;
use crate::message::{Kind, Message};
use crate::seen;
use crate::send::prepared::{self, Prepared};
use crate::send::through::Through;
use crate::wire::error::SendError;
use crate::wire::frame::{Header, HeaderBytes, MAX_HEADER};
use crate::wire::mask::Mask;
use crate::wire::utf8;
use alloc::vec::Vec;
use bytes::Bytes;
use core::mem;

/// Payloads below this many bytes are copied even where they are to be shared: a reference saves next to no memory.
const LEAST_REFERRED: usize = 256;

impl Sender {
    /// As [`Connection::send_shared`](crate::Connection::send_shared).
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), and [`InvalidUtf8`](SendError::InvalidUtf8).
    pub fn send_shared(&mut self, kind: Kind, bytes: Bytes) -> Result<(), SendError> {
        self.check_message(kind, &bytes)?;
        self.share(kind, bytes)
    }

    /// Sends a message that is nobody else's.
    #[inline(never)]
    pub(super) fn keep(&mut self, message: Message<'_>) -> Result<(), SendError> {
        self.check_new()?;
        self.share(message.kind(), message.into_bytes())
    }

    /// Sends what a [`Writer`](crate::Writer) has put together; `bytes` are left if they cannot be sent.
    pub(crate) fn send_vec(&mut self, kind: Kind, bytes: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_message(kind, bytes)?;
        self.share(kind, mem::take(bytes).into())
    }

    fn check_message(&self, kind: Kind, bytes: &[u8]) -> Result<(), SendError> {
        self.check_new()?;
        match kind {
            Kind::Text => utf8::whole_text(bytes).map(|_| ()).map_err(|_| SendError::InvalidUtf8),
            Kind::Binary => Ok(()),
        }
    }

    #[inline]
    fn share(&mut self, kind: Kind, bytes: Bytes) -> Result<(), SendError> {
        match self.is_copied(bytes.len()) {
            true => self.send_message(kind, &bytes),
            false => self.refer(kind, bytes),
        }
    }

    #[inline(never)]
    fn refer(&mut self, kind: Kind, bytes: Bytes) -> Result<(), SendError> {
        let len = bytes.len();
        let (mask, payload) = match self.mask() {
            None => (None, bytes),
            // Masked where they lie if nobody else holds them, else in a copy.
            Some(key) => match bytes.try_into_mut() {
                Ok(mut own) => {
                    Mask::new(key).apply(&mut own);
                    (Some(key), own.freeze())
                }
                Err(shared) => return self.send_message(kind, &shared),
            },
        };
        let header = Header { fin: true, rsv: 0, opcode: kind.opcode(), mask, length: len as u64 }.encode();
        header.append(self.outbox.tail(MAX_HEADER));
        self.outbox.push_payload(payload);
        self.note_frame(true, kind.opcode(), len);
        Ok(())
    }

    /// As [`Connection::send_through`](crate::Connection::send_through).
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_through<'a>(&'a mut self, message: &'a Message<'_>) -> Result<Through<'a>, SendError> {
        let (kind, payload) = (message.kind(), message.as_bytes());
        if self.role == Role::Client || self.is_copied(payload.len()) {
            self.send_message(kind, payload)?;
            return Ok(Through::new(self.outbound(), HeaderBytes::NONE, &[]));
        }
        self.check_new()?;
        let length = payload.len() as u64;
        let header = Header { fin: true, rsv: 0, opcode: kind.opcode(), mask: None, length }.encode();
        self.note_frame(true, kind.opcode(), payload.len());
        self.note_queued(header.len() + payload.len());
        Ok(Through::new(self.outbound(), header, payload))
    }

    /// Whether a message of `len` bytes does not go out as it is, or costs less when it is copied.
    #[inline]
    fn is_copied(&self, len: usize) -> bool {
        if !self.plain && self.is_extended() {
            return true;
        }
        #[cfg(feature = "deflate")]
        if !self.plain && self.is_worth_deflating(len) {
            return true;
        }
        len < LEAST_REFERRED || self.config.outbound.fragment != 0
    }

    /// As [`Connection::send_prepared`](crate::Connection::send_prepared).
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), SendError> {
        self.check_new()?;
        #[cfg(feature = "deflate")]
        if self.is_worth_deflating(message.payload().len()) {
            self.send_deflated(message);
            return self.check_sent();
        }
        self.append_prepared(message.frame());
        self.check_sent()
    }

    /// Appends a frame as a server sends it.
    pub(super) fn append_prepared(&mut self, frame: &Bytes) {
        match (self.role, self.config.outbound.fragment) {
            (Role::Server, 0) if !self.is_extended() => {
                if frame.len() < LEAST_REFERRED {
                    self.outbox.tail(frame.len()).extend_from_slice(frame);
                } else {
                    self.outbox.push_frame(frame.clone());
                }
                self.note_prepared(frame);
            }
            _ => {
                let (kind, rsv, payload) = prepared::parts(frame);
                self.frames_of(kind, rsv, payload);
            }
        }
    }

    #[inline]
    fn note_prepared(&mut self, frame: &[u8]) {
        if seen::IS_SEEN {
            let (kind, _, payload) = prepared::parts(frame);
            self.note_frame(true, kind.opcode(), payload.len());
        } else {
            self.frames += 1;
        }
    }
}
