//! The few rules of HTTP's grammar that a handshake needs (RFC 9110 §5.6, RFC 3986 §3.2).

use crate::wire::error::SendError;
use alloc::{borrow::Cow, string::String};
use core::fmt;

/// Whether two names are the same in any case of letters; most are written alike, which is seen soonest.
#[inline]
pub(super) fn same(a: impl AsRef<[u8]>, b: impl AsRef<[u8]>) -> bool {
    let (a, b) = (a.as_ref(), b.as_ref());
    a == b || a.eq_ignore_ascii_case(b)
}

/// Whether `text` is a token (RFC 9110 §5.6.2), as names of fields, methods and subprotocols are.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| TCHAR[usize::from(byte)])
}

const TCHAR: [bool; 256] = table(b"!#$%&'*+-.^_`|~");
const BASE64: [bool; 256] = table(b"+/");
const HOST: [bool; 256] = table(b"-._~!$&'()*+;=%:[]");

/// The digits of percent-encoding, in the case that is preferred (RFC 3986 §2.1).
pub(super) const HEX: [u8; 16] = *b"0123456789ABCDEF";

/// ASCII letters and digits, and `others`.
const fn table(mut others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte as usize] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    while let [other, rest @ ..] = others {
        table[*other as usize] = true;
        others = rest;
    }
    table
}

/// Whether `text` can be a field's value (RFC 9110 §5.5): no control character but the tab, so no CR, LF or NUL.
pub(super) fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

/// Whether `text` has only letters of a host and port (RFC 3986 §3.2). A comma is none: it joins two hosts.
pub(super) fn is_host(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| HOST[usize::from(*byte)])
}

/// Whether `text` has only letters of base64 (RFC 4648 §4).
pub(super) fn is_base64(text: &[u8]) -> bool {
    text.iter().all(|byte| BASE64[usize::from(*byte)])
}

/// Whether `text` can be a request's target (RFC 9112 §3.2).
pub(super) fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Whether a server takes `text` for a target. It has no fragment (RFC 9112 §3.2, RFC 9113 §8.3.1): who takes one off reads
/// another path or host than who does not.
pub(super) fn is_taken(text: &str) -> bool {
    !text.is_empty() && !has(text.as_bytes(), b'#')
}

/// Whether `byte` is among `bytes`. Looks at all of them, which for the few of a name is soonest done.
#[inline]
pub(super) fn has(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().fold(false, |has, other| has | (*other == byte))
}

/// Spaces and tabs around `text` taken off (OWS, RFC 9110 §5.6.3).
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The members of a list, trimmed, without the empty ones, which a recipient ignores (RFC 9110 §5.6.1).
pub(super) fn members(list: &str) -> impl Iterator<Item = &str> + Clone {
    let mut rest = Some(list);
    let all = core::iter::from_fn(move || {
        let list = rest?;
        let comma = next_comma(list.as_bytes());
        rest = comma.map(|comma| &list[comma + 1..]);
        Some(trim(&list[..comma.unwrap_or(list.len())]))
    });
    all.filter(|member| !member.is_empty())
}

/// Where the first comma is that is in no quoted string (RFC 9110 §5.6.4).
pub(super) fn next_comma(list: &[u8]) -> Option<usize> {
    let (mut inside, mut escaped) = (false, false);
    list.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            _ => {}
        }
        *byte == b',' && !inside
    })
}

/// Takes the parts of a field's value from its front, one after the other, with the spaces and tabs before them.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a>(pub(super) &'a [u8]);

impl<'a> Parts<'a> {
    pub(super) fn is_empty(&mut self) -> bool {
        self.skip_whitespace();
        self.0.is_empty()
    }

    /// Whether `delimiter` is next, which is taken then.
    pub(super) fn delimiter(&mut self, delimiter: u8) -> bool {
        self.skip_whitespace();
        let rest = self.0.strip_prefix(&[delimiter]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// The token that is next.
    pub(super) fn token(&mut self) -> Option<&'a [u8]> {
        self.skip_whitespace();
        let end = self.0.iter().position(|byte| !TCHAR[usize::from(*byte)]);
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// The token that is next, in quotes (RFC 9110 §5.6.4) or without.
    pub(super) fn unquoted_token(&mut self) -> Option<Cow<'a, str>> {
        if !self.delimiter(b'"') {
            return self.token().map(|token| Cow::Borrowed(text(token)));
        }
        let mut escaped = false;
        let end = self.0.iter().position(|byte| {
            let is_end = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            is_end
        })?;
        let quoted = text(&self.0[..end]);
        self.0 = &self.0[end + 1..];
        let text = if quoted.contains('\\') { Cow::Owned(unescape(quoted)) } else { Cow::Borrowed(quoted) };
        is_token(&text).then_some(text)
    }

    fn skip_whitespace(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }
}

/// `bytes` as text; nothing where they are none.
pub(super) fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// The text of a quoted string without the backslashes that escape what is behind them.
fn unescape(quoted: &str) -> String {
    let mut letters = quoted.chars();
    core::iter::from_fn(|| letters.next().filter(|letter| *letter != '\\').or_else(|| letters.next())).collect()
}

/// Adds a member to a list.
pub(super) fn join(list: &mut String, member: &str) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(member);
}

/// Fields that the caller adds to a head, with the first mistake made, which is told when the head is written.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct ExtraFields {
    lines: String,
    mistake: Option<SendError>,
}

impl ExtraFields {
    /// Adds a field, unless it could break the head or say again what the handshake says.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if !is_token(name) || !is_value(value) {
            self.fail(SendError::Head);
        } else if is_reserved(name) {
            self.fail(SendError::ReservedHeader);
        } else {
            for part in [name, ": ", trim(value), "\r\n"] {
                self.lines.push_str(part);
            }
        }
    }

    /// Takes out all fields of this name.
    pub(super) fn remove(&mut self, name: &str) {
        let is_other = |line: &&str| !line.split_once(':').is_some_and(|(other, _)| same(other, name));
        self.lines = self.lines.split_inclusive("\r\n").filter(is_other).collect();
    }

    pub(super) fn fail(&mut self, mistake: SendError) {
        self.mistake.get_or_insert(mistake);
    }

    /// The fields as lines of a head.
    pub(super) fn lines(&self) -> Result<&str, SendError> {
        self.mistake.map_or(Ok(&self.lines), Err)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.split_terminator("\r\n").filter_map(|line| line.split_once(": "))
    }
}

impl fmt::Debug for ExtraFields {
    /// Leaves the fields out: they carry cookies and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtraFields").field("mistake", &self.mistake).finish_non_exhaustive()
    }
}

/// Fields that the handshake writes itself, and those that would announce a body where there is none.
fn is_reserved(name: &str) -> bool {
    let prefix = name.as_bytes().get(..14);
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"sec-websocket-"))
        || ["host", "upgrade", "connection", "content-length", "transfer-encoding"]
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn lists() {
        let list = |text| members(text).collect::<Vec<_>>();
        assert_eq!(list("keep-alive,\tUpgrade ,, x"), ["keep-alive", "Upgrade", "x"]);
        assert_eq!(list(r#"a="1, \" ,2", b"#), [r#"a="1, \" ,2""#, "b"]);
        assert_eq!(list(r#"a="1, 2"#), [r#"a="1, 2"#]);
        assert_eq!(list(r"a\, b"), [r"a\", "b"]);
        assert_eq!(list(" ,\t, "), [""; 0]);
    }

    #[test]
    fn tokens() {
        assert!(is_token("!#$%&'*+-.^_`|~09azAZ"));
        for byte in (0..=b' ').chain(*b"\"(),/:;<=>?@[\\]{}\x7f") {
            assert!(!is_token(core::str::from_utf8(&[b'a', byte]).unwrap()), "{byte}");
        }
        assert!(!is_token("") && !is_token("\u{e4}"));
    }

    #[test]
    fn extra_fields_take_no_injection() {
        for (name, value, mistake) in [
            ("X", "a\r\nY: b", SendError::Head),
            ("X", "a\nb", SendError::Head),
            ("X", "a\rb", SendError::Head),
            ("X", "a\0b", SendError::Head),
            ("X", "a\x7fb", SendError::Head),
            ("X\r\nY", "a", SendError::Head),
            ("X:", "a", SendError::Head),
            ("X ", "a", SendError::Head),
            ("", "a", SendError::Head),
            ("UPGRADE", "h2c", SendError::ReservedHeader),
            ("Sec-Websocket-Anything", "a", SendError::ReservedHeader),
            ("content-length", "5", SendError::ReservedHeader),
        ] {
            let mut extra = ExtraFields::default();
            extra.push(name, value);
            extra.push("Fine", "after");
            assert_eq!(extra.lines(), Err(mistake), "{name:?}: {value:?}");
        }
        let mut extra = ExtraFields::default();
        extra.push("Set-Cookie", " a=b; \u{e4}\t");
        extra.push("Empty", "");
        assert_eq!(extra.lines(), Ok("Set-Cookie: a=b; \u{e4}\r\nEmpty: \r\n"));
        assert_eq!(extra.iter().collect::<Vec<_>>(), [("Set-Cookie", "a=b; \u{e4}"), ("Empty", "")]);
    }
}
