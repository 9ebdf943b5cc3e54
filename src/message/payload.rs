//! What a message carries: text or bytes, borrowed from where they were read, owned, or shared.

use alloc::borrow::Cow;
use alloc::{string::String, vec::Vec};
use bytes::Bytes;
use bytestring::ByteString;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

/// The bytes of a message, borrowed or not: read as `&[u8]`.
///
/// Made from an array or slice of bytes, a `Vec<u8>`, [`Bytes`] or a `Cow`. What [`into_owned`](Self::into_owned) gives is
/// cloned without a copy.
#[derive(Clone)]
pub struct Payload<'a>(Held<&'a [u8], Vec<u8>, Bytes>);

/// The text of a message, borrowed or not: read as `&str`.
///
/// Made from a `&str`, a `String`, a [`ByteString`] or a `Cow`. What [`into_owned`](Self::into_owned) gives is cloned without
/// a copy.
#[derive(Clone)]
pub struct Text<'a>(Held<&'a str, String, ByteString>);

#[derive(Clone)]
enum Held<B, O, S> {
    Borrowed(B),
    Owned(O),
    Shared(S),
}

impl<'a> Payload<'a> {
    /// The same, borrowing nothing: what is borrowed is copied.
    pub fn into_owned(self) -> Payload<'static> {
        Payload(Held::Shared(self.into_bytes()))
    }

    /// The bytes, which are copied only if they are borrowed.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Held::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            // No more room than they need, for they may be kept for long.
            Held::Owned(bytes) => bytes.into_boxed_slice().into(),
            Held::Shared(bytes) => bytes,
        }
    }

    /// The bytes as the standard library has them, which are copied if they are shared.
    pub fn into_cow(self) -> Cow<'a, [u8]> {
        match self.0 {
            Held::Borrowed(bytes) => Cow::Borrowed(bytes),
            Held::Owned(bytes) => Cow::Owned(bytes),
            Held::Shared(bytes) => Cow::Owned(bytes.into()),
        }
    }

    /// Bytes of heap that are held, with the room of what is owned; none where it is borrowed.
    pub fn capacity(&self) -> usize {
        match &self.0 {
            Held::Borrowed(_) => 0,
            Held::Owned(bytes) => bytes.capacity(),
            Held::Shared(bytes) => bytes.len(),
        }
    }

    /// The bytes to be changed or added to; they are copied first if they are not this one's alone.
    pub fn to_mut(&mut self) -> &mut Vec<u8> {
        self.0 = Held::Owned(match core::mem::take(self).0 {
            Held::Borrowed(bytes) => bytes.into(),
            Held::Owned(bytes) => bytes,
            Held::Shared(bytes) => bytes.into(),
        });
        match &mut self.0 {
            Held::Owned(bytes) => bytes,
            _ => unreachable!("it is now"),
        }
    }

    /// Whether they belong to someone else, so that keeping them takes a copy.
    #[inline]
    pub fn is_borrowed(&self) -> bool {
        matches!(self.0, Held::Borrowed(_))
    }
}

impl<'a> Text<'a> {
    /// The same, borrowing nothing: what is borrowed is copied.
    pub fn into_owned(self) -> Text<'static> {
        Text(Held::Shared(self.into_shared()))
    }

    /// The text, which is copied only if it is borrowed.
    pub fn into_shared(self) -> ByteString {
        match self.0 {
            Held::Borrowed(text) => text.into(),
            // No more room than it needs, for it may be kept for long.
            Held::Owned(text) => text.into_boxed_str().into(),
            Held::Shared(text) => text,
        }
    }

    /// The bytes, which are copied only if they are borrowed.
    pub fn into_bytes(self) -> Bytes {
        self.into_shared().into_bytes()
    }

    /// The text as the standard library has it, which is copied if it is shared.
    pub fn into_cow(self) -> Cow<'a, str> {
        match self.0 {
            Held::Borrowed(text) => Cow::Borrowed(text),
            Held::Owned(text) => Cow::Owned(text),
            Held::Shared(text) => Cow::Owned((*text).into()),
        }
    }

    /// Bytes of heap that are held, with the room of what is owned; none where it is borrowed.
    pub fn capacity(&self) -> usize {
        match &self.0 {
            Held::Borrowed(_) => 0,
            Held::Owned(text) => text.capacity(),
            Held::Shared(text) => text.len(),
        }
    }

    /// The text to be changed or added to; it is copied first if it is not this one's alone.
    pub fn to_mut(&mut self) -> &mut String {
        self.0 = Held::Owned(match core::mem::take(self).0 {
            Held::Borrowed(text) => text.into(),
            Held::Owned(text) => text,
            Held::Shared(text) => text.into(),
        });
        match &mut self.0 {
            Held::Owned(text) => text,
            _ => unreachable!("it is now"),
        }
    }

    /// Whether it belongs to someone else, so that keeping it takes a copy.
    #[inline]
    pub fn is_borrowed(&self) -> bool {
        matches!(self.0, Held::Borrowed(_))
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Borrowed(bytes) => bytes,
            Held::Owned(bytes) => bytes,
            Held::Shared(bytes) => bytes,
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match &self.0 {
            Held::Borrowed(text) => text,
            Held::Owned(text) => text,
            Held::Shared(text) => text,
        }
    }
}

impl AsRef<[u8]> for Payload<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// What both are alike in: they are what they hold, however they hold it.
macro_rules! held {
    ($type:ident holds $target:ty: $($state:ident($from:ty)),+) => {
        impl fmt::Debug for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }

        impl PartialEq for $type<'_> {
            fn eq(&self, other: &Self) -> bool {
                **self == **other
            }
        }

        impl Eq for $type<'_> {}

        impl PartialEq<$target> for $type<'_> {
            fn eq(&self, other: &$target) -> bool {
                **self == *other
            }
        }

        impl PartialEq<&$target> for $type<'_> {
            fn eq(&self, other: &&$target) -> bool {
                **self == **other
            }
        }

        impl Hash for $type<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                (**self).hash(state);
            }
        }

        impl Default for $type<'_> {
            fn default() -> Self {
                Self(Held::Borrowed(Default::default()))
            }
        }

        $(impl<'a> From<$from> for $type<'a> {
            #[inline]
            fn from(held: $from) -> Self {
                Self(Held::$state(held))
            }
        })+

        impl<'a> From<Cow<'a, $target>> for $type<'a> {
            #[inline]
            fn from(held: Cow<'a, $target>) -> Self {
                match held {
                    Cow::Borrowed(held) => Self(Held::Borrowed(held)),
                    Cow::Owned(held) => Self(Held::Owned(held)),
                }
            }
        }

        /// Lent on, without a copy.
        impl<'a> From<&'a $type<'_>> for $type<'a> {
            #[inline]
            fn from(held: &'a $type<'_>) -> Self {
                Self(Held::Borrowed(held))
            }
        }
    };
}

held!(Payload holds [u8]: Borrowed(&'a [u8]), Owned(Vec<u8>), Shared(Bytes));
held!(Text holds str: Borrowed(&'a str), Owned(String), Shared(ByteString));

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self(Held::Borrowed(bytes))
    }
}

impl<'a> From<&'a String> for Text<'a> {
    fn from(text: &'a String) -> Self {
        Self(Held::Borrowed(text))
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Self(Held::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self(Held::Borrowed(bytes))
    }
}
