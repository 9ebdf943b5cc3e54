//! Messages that are lent as they lie.

use crate::event::Event;
use crate::message::Kind;
use crate::wire::error::ProtocolError;
use crate::wire::utf8;
use alloc::borrow::Cow;

/// A message that is lent as it lies. An event has many more words: made late, it is not moved, which would read back from
/// memory at once what was just written there.
#[derive(Clone, Copy)]
pub(crate) enum Lent<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    Unchecked(&'a [u8]),
}

impl<'a> From<Lent<'a>> for Event<'a> {
    #[inline(always)]
    fn from(lent: Lent<'a>) -> Self {
        match lent {
            Lent::Text(text) => Self::Text(Cow::Borrowed(text)),
            Lent::Binary(bytes) => Self::Binary(Cow::Borrowed(bytes)),
            Lent::Unchecked(bytes) => Self::Unchecked(Cow::Borrowed(bytes)),
        }
    }
}

/// The message that came as one slice, borrowed from it.
#[inline(always)]
pub(super) fn message(kind: Kind, payload: &[u8], check_utf8: bool) -> Result<Lent<'_>, ProtocolError> {
    Ok(match kind {
        Kind::Binary => Lent::Binary(payload),
        Kind::Text if check_utf8 => Lent::Text(utf8::whole_text(payload)?),
        Kind::Text => Lent::Unchecked(payload),
    })
}
