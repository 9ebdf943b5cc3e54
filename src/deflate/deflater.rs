//! Plain messages to compressed ones (RFC 7692 §7.2.1).

use super::TAIL;
use alloc::{boxed::Box, vec, vec::Vec};
use zlib_rs::{DeflateConfig, DeflateFlush, Method, Status, Strategy};

/// Plain messages to compressed ones.
pub(crate) struct Deflater {
    codec: zlib_rs::Deflate,
    /// Window bits, level and memory level.
    pub(super) key: (u8, u8, u8),
    out: Vec<u8>,
    /// It was of use since somebody asked.
    pub(crate) used: bool,
}

impl Deflater {
    pub(super) fn new(key: (u8, u8, u8)) -> Box<Self> {
        let (window_bits, level, mem_level) = key;
        let config = DeflateConfig {
            level: level.clamp(1, 9).into(),
            method: Method::Deflated,
            window_bits: -i32::from(window_bits),
            mem_level: mem_level.clamp(1, 9).into(),
            strategy: Strategy::Default,
        };
        Box::new(Self { codec: zlib_rs::Deflate::new_with_config(config), key, out: Vec::new(), used: false })
    }

    /// Forgets the messages before.
    pub(crate) fn reset(&mut self) {
        self.codec.reset();
    }

    /// Keeps no more than a fifth of what the codec itself holds.
    pub(crate) fn shrink(&mut self) {
        if self.out.capacity() > 32 << 10 {
            self.out = Vec::new();
        }
    }

    /// Deflates a whole message; `None` if it would not get shorter. With `takeover` the next one may refer to it, else the
    /// codec forgets it.
    pub(crate) fn message(&mut self, payload: &[u8], takeover: bool) -> Option<&[u8]> {
        let len = self.deflate(payload, takeover);
        self.out[..len].strip_suffix(&TAIL).filter(|deflated| deflated.len() < payload.len())
    }

    /// Deflates a fragment of a message, which may grow; `takeover` as for a message.
    pub(crate) fn fragment(&mut self, payload: &[u8], last: bool, takeover: bool) -> &[u8] {
        match (payload, last) {
            ([], false) => &[],
            // An empty block that is not compressed, without the tail that the peer adds.
            ([], true) => &[0x00],
            _ => {
                let len = self.deflate(payload, takeover);
                let deflated = &self.out[..len];
                if last { deflated.strip_suffix(&TAIL).unwrap_or(deflated) } else { deflated }
            }
        }
    }

    /// Deflates into `out`, up to a byte boundary; the bytes that makes.
    fn deflate(&mut self, payload: &[u8], takeover: bool) -> usize {
        self.used = true;
        // Level 1 makes 9 bits of 8 at worst, and other levels add a few bytes to each block. All of it must fit: a reset
        // does not make zlib-rs forget output that did not.
        let room = payload.len() + payload.len() / 8 + payload.len() / 64 + 64;
        if self.out.len() < room {
            self.out = vec![0; room];
        }
        // What a full flush makes it forget takes a third less time than a reset.
        let flush = if takeover { DeflateFlush::SyncFlush } else { DeflateFlush::FullFlush };
        let mut len = 0;
        // The codec counts in 32 bits.
        for part in payload.chunks(1 << 30) {
            let before = self.codec.total_out();
            let status = self.codec.compress(part, &mut self.out[len..room], flush);
            len += (self.codec.total_out() - before) as usize;
            debug_assert!(status == Ok(Status::Ok) && len < room, "{status:?}: {len} of {room} bytes");
        }
        len
    }
}
