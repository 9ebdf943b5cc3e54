//! The rules for a request that opens a WebSocket (RFC 6455 §4.2.1), over header fields from any source.

use super::grammar::{is_base64, is_host, is_token, members, same, text};
use super::{allows, extension};
use crate::config::Config;
use crate::wire::error::HandshakeError;
use core::mem;

/// A `Sec-WebSocket-Key` as it came: 24 letters of base64.
pub(super) type Key = [u8; 24];

/// What most browsers offer, which keeps to the grammar.
const BROWSERS: &[u8] = b"permessage-deflate; client_max_window_bits";

/// What matters of a request's fields, picked out in one pass.
#[derive(Default)]
pub(super) struct Opening<'h> {
    /// The host where something overrules `Host`: a target in absolute form, or `:authority`.
    pub(super) authority: Option<&'h str>,
    /// Whether `Upgrade` asks for a WebSocket.
    pub(super) upgrade: bool,
    /// Whether subprotocols are offered.
    pub(super) subprotocols: bool,
    /// Whether a body follows, or what says how long it is makes no sense.
    pub(super) body: bool,
    /// Whether a `Content-Length` was there.
    length: bool,
    connection: bool,
    host: Single<'h>,
    origin: Single<'h>,
    version: Single<'h>,
    key: Single<'h>,
    bad_subprotocols: bool,
    bad_extensions: bool,
}

/// A field that must be there at most once.
#[derive(Clone, Copy, Default)]
pub(super) enum Single<'h> {
    #[default]
    None,
    One(&'h [u8]),
    Many,
}

impl<'h> Single<'h> {
    pub(super) fn put(&mut self, value: &'h [u8]) {
        *self = if let Self::None = self { Self::One(value) } else { Self::Many };
    }

    pub(super) fn one(self) -> Option<&'h [u8]> {
        if let Self::One(value) = self { Some(value) } else { None }
    }
}

impl<'h> Opening<'h> {
    pub(super) fn new(authority: Option<&'h str>) -> Self {
        Self { authority, ..Self::default() }
    }

    /// Takes notice of one field.
    pub(super) fn field(&mut self, name: &str, value: &'h [u8]) {
        let is = |known| same(name, known);
        // By length at first, which most fields of no interest differ in; in browsers' letters, for `same`.
        match name.len() {
            4 if is("Host") => self.host.put(value),
            6 if is("Origin") => self.origin.put(value),
            7 if is("Upgrade") => self.upgrade |= has_token(value, "websocket"),
            10 if is("Connection") => self.connection |= has_token(value, "Upgrade"),
            // Two lengths are read in two ways, even if they are the same (RFC 9112 §6.3, 5).
            14 if is("Content-Length") => self.body |= mem::replace(&mut self.length, true) || value != b"0",
            17 if is("Sec-WebSocket-Key") => self.key.put(value),
            17 if is("Transfer-Encoding") => self.body = true,
            21 if is("Sec-WebSocket-Version") => self.version.put(value),
            22 if is("Sec-WebSocket-Protocol") => {
                self.bad_subprotocols |= !all(members(text(value)), is_token);
                self.subprotocols = true;
            }
            24 if is("Sec-WebSocket-Extensions") => {
                self.bad_extensions |=
                    value != BROWSERS && !all(extension::parse_bytes(value), |extension| extension.is_ok());
            }
            _ => {}
        }
    }

    /// Refuses a request with a body (RFC 9112 §6): no upgrade has one, and where it ends is for a reader of HTTP to say.
    /// What is behind the head would be frames to one reader and content to another.
    pub(super) fn check_body(&self) -> Result<(), HandshakeError> {
        if self.body { Err(HandshakeError::Body) } else { Ok(()) }
    }

    /// Judges a request of HTTP/1, and gives its key.
    pub(super) fn check_http1(
        &self,
        method: &str,
        at_least_1_1: bool,
        config: &Config,
    ) -> Result<&'h Key, HandshakeError> {
        self.check_body()?;
        if !self.upgrade || !self.connection {
            // An upgrade that the connection doesn't name may be for another hop (RFC 9110 §7.8).
            return Err(HandshakeError::NotUpgrade);
        }
        if method != "GET" {
            return Err(HandshakeError::Method);
        }
        if !at_least_1_1 {
            return Err(HandshakeError::HttpVersion);
        }
        if self.host.one().is_none() {
            return Err(HandshakeError::Host);
        }
        self.check(config, config.secure)?;
        let key: Option<&Key> = self.key.one().and_then(|key| key.try_into().ok());
        key.filter(|key| is_key(key)).ok_or(HandshakeError::Key)
    }

    /// Judges what every version of HTTP has in common, where it is `secure`, if that is known.
    #[inline(always)]
    pub(super) fn check(&self, config: &Config, secure: Option<bool>) -> Result<(), HandshakeError> {
        let host = match self.authority {
            Some(authority) => Some(authority.as_bytes()),
            None => self.host.one(),
        };
        let host = host.filter(|host| is_host(host)).ok_or(HandshakeError::Host)?;
        if self.version.one() != Some(b"13") {
            return Err(HandshakeError::Version);
        }
        if self.bad_subprotocols {
            return Err(HandshakeError::Subprotocol);
        }
        if self.bad_extensions {
            return Err(HandshakeError::Extensions);
        }
        match self.origin {
            Single::None => Ok(()),
            Single::One(origin) if allows(&config.origins, secure, origin, host) => Ok(()),
            Single::One(_) | Single::Many => Err(HandshakeError::Origin),
        }
    }
}

/// Whether this is 16 bytes in base64 (RFC 4648 §4): 22 letters, of which the last carries two bits, and the padding.
fn is_key(key: &Key) -> bool {
    let (letters, padding) = key.split_at(22);
    is_base64(letters) && matches!(letters.last(), Some(b'A' | b'Q' | b'g' | b'w')) && padding == b"=="
}

/// Whether `list` has members, as one that is there has to (RFC 9110 §5.6.1, `1#element`), and all of them are `good`.
pub(super) fn all<T>(list: impl Iterator<Item = T>, mut good: impl FnMut(T) -> bool) -> bool {
    let mut any = false;
    for member in list {
        if !good(member) {
            return false;
        }
        any = true;
    }
    any
}

/// Whether `token`, in any case of letters, is in the list, which most often is that alone.
#[inline]
pub(super) fn has_token(value: &[u8], token: &str) -> bool {
    value == token.as_bytes() || has_member(value, token)
}

#[inline(never)]
fn has_member(value: &[u8], token: &str) -> bool {
    members(text(value)).any(|member| same(member, token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::encode;

    #[test]
    fn keys_are_what_encodes_to_them() {
        for byte in 0..=255 {
            for at in 0..16 {
                let mut nonce = [0x5a; 16];
                nonce[at] = byte;
                assert!(is_key(&encode(&nonce)));
            }
        }
        let key: Key = *b"dGhlIHNhbXBsZSBub25jZQ==";
        for (at, letter) in
            [(0, b'='), (0, b'-'), (5, b' '), (20, 0x80), (21, b'R'), (21, b'='), (22, b'A'), (23, b'A')]
        {
            let mut bad = key;
            bad[at] = letter;
            assert!(!is_key(&bad), "{letter} at {at}");
        }
    }
}
