//! HTTP heads: finding their end however the bytes are cut, and the fields in them (RFC 9112 §2, §5).

use super::grammar;
use crate::config::Limits;
use crate::wire::error::{HandshakeError, said};
use alloc::{borrow::Cow, vec::Vec};
use core::mem::{self, MaybeUninit};

/// Takes `count` bytes from the front of `input`.
pub(super) fn take_front<'a>(input: &mut &'a mut [u8], count: usize) -> &'a [u8] {
    let (front, rest) = mem::take(input).split_at_mut(count);
    *input = rest;
    front
}

/// Collects a head, whatever pieces it comes in. Between heads it holds no heap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadReader {
    /// What came of a head that is not whole.
    buffer: Vec<u8>,
}

impl HeadReader {
    /// Whether no head is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes a head from the front of `input`, its empty line included; `None` asks for more bytes. Those of the heads
    /// `before` it count with it. It is borrowed where it came in one call.
    ///
    /// # Errors
    /// [`HeadTooLong`](HandshakeError::HeadTooLong) at the first byte past `limits.head`, and
    /// [`Malformed`](HandshakeError::Malformed) at the first byte that can be in no head. The reader is then of no more
    /// use.
    pub(crate) fn read<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        before: usize,
        limits: &Limits,
    ) -> Result<Option<Cow<'a, [u8]>>, HandshakeError> {
        let seen = self.buffer.len();
        let fits = limits.head.saturating_sub(before + seen).min(input.len());
        let end = if seen == 0 {
            end_of_head(&input[..fits], 0)?
        } else {
            self.buffer.extend_from_slice(&input[..fits]);
            end_of_head(&self.buffer, seen)?
        };
        match end {
            Some(end) if seen == 0 => Ok(Some(Cow::Borrowed(take_front(input, end)))),
            Some(end) => {
                take_front(input, end - seen);
                self.buffer.truncate(end);
                Ok(Some(Cow::Owned(mem::take(&mut self.buffer))))
            }
            None if fits < input.len() => Err(HandshakeError::HeadTooLong { limit: said(limits.head) }),
            None => {
                let rest = take_front(input, fits);
                if seen == 0 {
                    self.buffer.extend_from_slice(rest);
                }
                Ok(None)
            }
        }
    }
}

/// Where the head at the front of `bytes` ends, past its empty line. The bytes before `from` were looked at before.
///
/// A lone CR or LF and a NUL are refused, although RFC 9112 §2.2 lets a recipient take them: two readers that differ
/// about where a line ends can be played against each other. So is an empty line before the first.
pub(super) fn end_of_head(bytes: &[u8], from: usize) -> Result<Option<usize>, HandshakeError> {
    // A line end that was cut is looked at again from its start.
    let mut at = bytes[..from].iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    while let Some(control) = next_control(bytes, at) {
        at = match &bytes[control..] {
            [b'\r', b'\n', b'\r', b'\n', ..] if control > 0 => return Ok(Some(control + 4)),
            [b'\r', b'\n', ..] if control > 0 => control + 2,
            [b'\r'] => return Ok(None),
            [b'\r' | b'\n' | 0, ..] => return Err(HandshakeError::Malformed),
            _ => control + 1,
        };
    }
    Ok(None)
}

/// The next byte that is CR, LF, NUL or one of their neighbours (up to 0x0f), at `from` or later.
fn next_control(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = &bytes[from..];
    let (words, tail) = rest.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // The top bit of each byte that is below 0x10: its high nibble is 0.
        let nibbles = u64::from_le_bytes(*word) & 0xf0f0_f0f0_f0f0_f0f0;
        let zeros = nibbles.wrapping_sub(0x0101_0101_0101_0101) & !nibbles & 0x8080_8080_8080_8080;
        if zeros != 0 {
            return Some(from + index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| *byte < 0x10)?;
    Some(bytes.len() - tail.len() + at)
}

/// A head whose bytes were checked once; its fields are found again each time they are asked for, so that it holds
/// nothing but the bytes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
}

impl Head<'_> {
    pub(super) fn into_owned(self) -> Head<'static> {
        Head { bytes: Cow::Owned(self.bytes.into_owned()) }
    }

    /// The parts of the first line, which spaces separate; the third goes to the line's end.
    pub(super) fn first_line(&self) -> [&str; 3] {
        let line = Lines(&self.bytes).next().unwrap_or_default();
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        core::array::from_fn(|_| parts.next().map_or("", grammar::text))
    }

    /// Names and trimmed values in order.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        Lines(&self.bytes).skip(1).map_while(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = grammar::text(&line[..colon]);
            Some((name, trim(&line[colon + 1..])))
        })
    }

    /// The values of the fields of this name, in any case of letters.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> + Clone {
        self.fields().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first of those values.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The same as text; `None` where it is not UTF-8, too.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.field(name).and_then(|value| core::str::from_utf8(value).ok())
    }

    /// The members of the lists in all fields of this name (RFC 9110 §5.3).
    pub(super) fn tokens(&self, name: &str) -> impl Iterator<Item = &str> + Clone {
        self.values(name).flat_map(|value| grammar::members(grammar::text(value)))
    }
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The lines of a checked head, the empty one included.
#[derive(Clone)]
struct Lines<'h>(&'h [u8]);

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let mut end = next_control(self.0, 0)?;
        while self.0[end] != b'\r' {
            end = next_control(self.0, end + 1)?;
        }
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(2..)?;
        Some(line)
    }
}

/// A table of fields for httparse, which costs nothing to set up.
pub(super) type Slots<'h> = [MaybeUninit<httparse::Header<'h>>; Limits::MOST_FIELDS];

/// An empty [`Slots`].
pub(super) const fn slots<'h>() -> Slots<'h> {
    [const { MaybeUninit::uninit() }; Limits::MOST_FIELDS]
}

/// Where the head ends in which httparse looked for at most so many fields; `None` where it does not.
pub(super) fn end(
    parsed: Result<httparse::Status<usize>, httparse::Error>,
    limit: usize,
) -> Result<Option<usize>, HandshakeError> {
    match parsed {
        Ok(httparse::Status::Complete(end)) => Ok(Some(end)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(HandshakeError::TooManyFields { limit: said(limit) }),
        Err(_) => Err(HandshakeError::Malformed),
    }
}

/// Refuses what a [`HeadReader`] would not have given as one head.
pub(super) fn check_end(bytes: &[u8]) -> Result<(), HandshakeError> {
    match end_of_head(bytes, 0)? {
        Some(end) if end == bytes.len() => Ok(()),
        _ => Err(HandshakeError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    type Read = Result<(Option<Vec<u8>>, usize), HandshakeError>;

    /// The head found in `bytes`, and how many bytes were left, when they come in parts of `sizes`.
    fn read(bytes: &[u8], sizes: impl IntoIterator<Item = usize>, head: usize) -> Read {
        let (mut reader, limits) = (HeadReader::default(), Limits { head, ..Limits::default() });
        let mut bytes = bytes.to_vec();
        let mut rest = &mut bytes[..];
        for size in sizes {
            let mut input;
            (input, rest) = rest.split_at_mut(size.min(rest.len()));
            if let Some(head) = reader.read(&mut input, 0, &limits)? {
                assert!(reader.buffer.capacity() == 0);
                return Ok((Some(head.into_owned()), input.len() + rest.len()));
            }
            assert!(input.is_empty());
        }
        Ok((None, rest.len()))
    }

    fn same_for_every_cut(bytes: &[u8], head: usize) -> Read {
        let whole = read(bytes, [bytes.len()], head);
        assert_eq!(read(bytes, vec![1; bytes.len()], head), whole);
        for cut in 0..=bytes.len() {
            assert_eq!(read(bytes, [cut, 0, bytes.len()], head), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn ends_at_the_empty_line() {
        let head = b"GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n";
        assert_eq!(same_for_every_cut(head, head.len()), Ok((Some(head.to_vec()), 0)));
        assert_eq!(same_for_every_cut(&[&head[..], b"\x81\x80\0\n"].concat(), 99), Ok((Some(head.to_vec()), 4)));
        assert_eq!(same_for_every_cut(&head[..head.len() - 1], 99), Ok((None, 0)));
        assert_eq!(same_for_every_cut(b"a\r\n\r\n\r\n", 99), Ok((Some(b"a\r\n\r\n".to_vec()), 2)));
    }

    #[test]
    fn refuses_at_the_first_bad_byte() {
        for bad in ["\n", "a\n", "a\r\nb\n", "a\0", "\0", "a\rb", "a\r\r", "\r\n", "a\r\n\n", "a\r\nbcdefgh\ri"] {
            assert_eq!(same_for_every_cut(bad.as_bytes(), 99), Err(HandshakeError::Malformed), "{bad:?}");
            assert_eq!(read(&bad.as_bytes()[..bad.len() - 1], [99], 99).unwrap().0, None, "{bad:?}");
        }
    }

    fn too_long(limit: usize) -> HandshakeError {
        HandshakeError::HeadTooLong { limit: said(limit) }
    }

    #[test]
    fn too_long_at_the_first_byte_past_the_limit() {
        let head = b"GET / HTTP/1.1\r\n\r\n";
        assert_eq!(same_for_every_cut(head, head.len() - 1), Err(too_long(head.len() - 1)));
        assert_eq!(same_for_every_cut(&[b'a'; 50], 49), Err(too_long(49)));
        assert_eq!(same_for_every_cut(&[b'a'; 50], 50), Ok((None, 0)));
        // What is past the limit is not looked at.
        assert_eq!(same_for_every_cut(b"aaaa\rb", 5), Err(too_long(5)));
        assert_eq!(same_for_every_cut(b"aaaa\rb", 6), Err(HandshakeError::Malformed));
        assert_eq!(same_for_every_cut(b"a", 0), Err(too_long(0)));
    }

    #[test]
    fn controls_are_found_at_every_offset() {
        for control in 0..=255 {
            for at in 0..30 {
                for from in 0..30 {
                    let mut bytes = [b'x'; 30];
                    bytes[at] = control;
                    let found = (control < 0x10 && at >= from).then_some(at);
                    assert_eq!(next_control(&bytes, from), found, "{control} at {at} from {from}");
                }
            }
        }
    }

    #[test]
    fn fields_of_a_head() {
        let head = Head { bytes: Cow::Borrowed(b"A b c d\r\nX: \t1, 2 \r\nEmpty:\r\nx:\"3,\t4\",\xff\r\nx:5\r\n\r\n") };
        assert_eq!(head.first_line(), ["A", "b", "c d"]);
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [("X", &b"1, 2"[..]), ("Empty", b""), ("x", b"\"3,\t4\",\xff"), ("x", b"5")]);
        assert_eq!((head.field("EMPTY"), head.field("none")), (Some(&b""[..]), None));
        assert_eq!(head.values("x").count(), 3);
        assert_eq!(head.tokens("x").collect::<Vec<_>>(), ["1", "2", "5"]);
    }
}
