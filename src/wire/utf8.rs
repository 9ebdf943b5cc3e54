//! UTF-8 as it arrives (RFC 6455 §8.1), over simdutf8.

use crate::wire::error::ProtocolError;

/// The bytes of a character that has not come whole: all that must survive between two parts of a text.
///
/// ```
/// use sockless::utf8::Utf8;
///
/// let mut utf8 = Utf8::default();
/// let part = utf8.check(b"caf\xc3")?;
/// assert_eq!((part.head, part.text), (None, "caf"));
/// let part = utf8.check(b"\xa9!")?;
/// assert_eq!((part.head, part.text), (Some('\u{e9}'), "!"));
/// utf8.finish()?;
/// # Ok::<(), sockless::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utf8 {
    partial: [u8; 3],
    len: u8,
}

/// What a part of a text says, on character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The character that the parts before began and this one completed.
    pub head: Option<char>,
    /// The characters that came whole.
    pub text: &'a str,
}

impl Utf8 {
    /// Checks the next part of a text; an unfinished character at its end is kept for the next part.
    ///
    /// # Errors
    /// [`InvalidUtf8`](ProtocolError::InvalidUtf8) at the first byte that cannot continue.
    #[inline]
    pub fn check<'a>(&mut self, bytes: &'a [u8]) -> Result<Checked<'a>, ProtocolError> {
        let (head, bytes) = if self.len == 0 { (None, bytes) } else { self.complete(bytes)? };
        let (whole, tail) = bytes.split_at(bytes.len() - unfinished(bytes));
        let text = whole_text(whole)?;
        if !tail.is_empty() {
            self.keep(tail)?;
        }
        Ok(Checked { head, text })
    }

    /// Takes bytes until the unfinished character is whole: it, and the bytes behind it.
    #[cold]
    fn complete<'a>(&mut self, bytes: &'a [u8]) -> Result<(Option<char>, &'a [u8]), ProtocolError> {
        let have = usize::from(self.len);
        let (more, rest) = bytes.split_at(self.missing().min(bytes.len()));
        let mut character = [0; 4];
        character[..have].copy_from_slice(&self.partial[..have]);
        character[have..][..more.len()].copy_from_slice(more);
        Ok((self.keep(&character[..have + more.len()])?, rest))
    }

    /// A character, or keeps it until it is whole.
    fn keep(&mut self, character: &[u8]) -> Result<Option<char>, ProtocolError> {
        match core::str::from_utf8(character) {
            Ok(text) => {
                self.len = 0;
                Ok(text.chars().next())
            }
            Err(error) if error.error_len().is_some() => Err(ProtocolError::InvalidUtf8),
            Err(_) => {
                self.partial[..character.len()].copy_from_slice(character);
                self.len = character.len() as u8;
                Ok(None)
            }
        }
    }

    /// Ends the text, ready for another.
    ///
    /// # Errors
    /// [`InvalidUtf8`](ProtocolError::InvalidUtf8) if its last character is not whole.
    #[inline]
    pub fn finish(&mut self) -> Result<(), ProtocolError> {
        match core::mem::take(&mut self.len) {
            0 => Ok(()),
            _ => Err(ProtocolError::InvalidUtf8),
        }
    }

    /// How many bytes the unfinished character still wants; 0 if there is none.
    pub(crate) fn missing(self) -> usize {
        match self.len {
            0 => 0,
            len => width(self.partial[0]) - usize::from(len),
        }
    }
}

/// A text that came whole.
///
/// # Errors
/// [`InvalidUtf8`](ProtocolError::InvalidUtf8).
#[inline]
pub fn whole_text(bytes: &[u8]) -> Result<&str, ProtocolError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)
}

/// The bytes of the character that starts with `first`.
const fn width(first: u8) -> usize {
    match first {
        0xF0..=0xFF => 4,
        0xE0..=0xEF => 3,
        0xC0..=0xDF => 2,
        _ => 1,
    }
}

/// The length of the character at the end of `bytes` that goes on behind it; 0 if none does.
#[inline]
fn unfinished(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        if byte & 0xC0 != 0x80 {
            return if width(byte) > back { back } else { 0 };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// One byte at a time, by core's own validation of all bytes so far: the index of the first bad byte.
    fn slow(bytes: &[u8]) -> Option<usize> {
        (0..bytes.len()).find(|&i| core::str::from_utf8(&bytes[..=i]).is_err_and(|e| e.error_len().is_some()))
    }

    /// The same by `Utf8`, `step` bytes at a time: the part that fails, or the text.
    fn fast(bytes: &[u8], step: usize) -> Result<String, usize> {
        let mut utf8 = Utf8::default();
        let mut text = String::new();
        for (i, part) in bytes.chunks(step).enumerate() {
            let checked = utf8.check(part).map_err(|_| i)?;
            text.extend(checked.head);
            text.push_str(checked.text);
            let left = bytes[..(i * step + part.len())].len() - text.len();
            assert_eq!(left, usize::from(utf8.len));
            assert_eq!(utf8.missing() > 0, left > 0);
        }
        utf8.finish().map_err(|_| bytes.len())?;
        Ok(text)
    }

    fn same(bytes: &[u8]) {
        for step in 1..=bytes.len().max(1) {
            let expected = match slow(bytes) {
                Some(bad) => Err(bad / step),
                None => String::from_utf8(bytes.to_vec()).map_err(|_| bytes.len()),
            };
            assert_eq!(fast(bytes, step), expected, "{bytes:x?} by {step}");
        }
    }

    #[test]
    fn texts_cut_anywhere() {
        same(b"");
        same(
            "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5} Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}-\u{20ac}\u{10ffff}".as_bytes(),
        );
        let long: Vec<u8> = "Stra\u{df}e \u{20ac} \u{1d11e} ".bytes().cycle().take(257).collect();
        same(&long);
    }

    /// Every first byte with every second, and the edges of the third and fourth.
    #[test]
    fn sequences_at_their_edges() {
        for first in 0x7E..=0xFF {
            for second in 0x7E..=0xFF {
                for rest in [&b""[..], b"\x7f", b"\x80", b"\xbf\x80", b"\x80\xc0", b"\xbf\xbf"] {
                    let mut bytes = Vec::from(b"ab");
                    bytes.extend([first, second]);
                    bytes.extend(rest);
                    same(&bytes);
                }
            }
        }
    }

    #[test]
    fn a_text_ends_between_characters() {
        let mut utf8 = Utf8::default();
        utf8.check(b"\xf0\x9d\x84").unwrap();
        assert_eq!(utf8.missing(), 1);
        assert_eq!(utf8.finish(), Err(ProtocolError::InvalidUtf8));
        assert_eq!(utf8.finish(), Ok(()), "ready for another text");
    }
}
