//! The grammar of `Sec-WebSocket-Extensions`, in offers and answers alike (RFC 6455 §9.1).

use super::grammar::{Parts, is_token, join, next_comma, text};
use crate::wire::error::{HandshakeError, SendError};
use alloc::{borrow::Cow, string::String};
use core::fmt;

/// The name of compression (RFC 7692 §7).
pub(super) const DEFLATE: &str = "permessage-deflate";

/// One extension of an offer or an answer: a name and parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    name: &'a [u8],
    /// With the semicolon before each.
    params: &'a [u8],
}

/// A parameter of an extension: its name, and its value, if it has one, out of its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name, as it was written.
    pub name: &'a str,
    /// The value; a token.
    pub value: Option<Cow<'a, str>>,
}

/// The extensions of a field's value, in order of preference; one that breaks the grammar is an error, and does not
/// hide those after it.
///
/// Spaces and tabs may be around every part, for RFC 6455 §4.3 takes over the implied whitespace of RFC 2616 §2.1.
///
/// # Errors
/// Each item may be [`Extensions`](HandshakeError::Extensions).
///
/// ```
/// use sockless::handshake::extension;
///
/// let mut offer = extension::parse("permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\", x-y");
/// let deflate = offer.next().unwrap()?;
/// assert_eq!(deflate.name(), "permessage-deflate");
/// let params: Vec<_> = deflate.params().map(|param| (param.name, param.value)).collect();
/// assert_eq!(params, [("client_max_window_bits", None), ("server_max_window_bits", Some("10".into()))]);
/// assert_eq!(offer.next().unwrap()?.name(), "x-y");
/// assert!(offer.next().is_none());
/// # Ok::<(), sockless::HandshakeError>(())
/// ```
pub fn parse(value: &str) -> impl Iterator<Item = Result<Extension<'_>, HandshakeError>> + Clone {
    parse_bytes(value.as_bytes())
}

/// The same for a value as it came.
pub(super) fn parse_bytes(value: &[u8]) -> impl Iterator<Item = Result<Extension<'_>, HandshakeError>> + Clone {
    let mut parts = Parts(value);
    core::iter::from_fn(move || {
        while parts.delimiter(b',') {}
        if parts.is_empty() {
            return None;
        }
        let list = parts.0;
        let extension = Extension::take(&mut parts);
        if extension.is_none() {
            parts = Parts(next_comma(list).map_or(&[], |comma| &list[comma + 1..]));
        }
        Some(extension.ok_or(HandshakeError::Extensions))
    })
}

/// Takes `token [ "=" ( token | quoted-string ) ]`, where what is quoted must be a token too.
fn param<'a>(parts: &mut Parts<'a>) -> Option<(&'a [u8], Option<Cow<'a, str>>)> {
    let name = parts.token()?;
    let value = if parts.delimiter(b'=') { Some(parts.unquoted_token()?) } else { None };
    Some((name, value))
}

impl<'a> Extension<'a> {
    /// Takes a member of a list, and the comma behind it.
    fn take(parts: &mut Parts<'a>) -> Option<Self> {
        let name = parts.token()?;
        let params = parts.0;
        while parts.delimiter(b';') {
            param(parts)?;
        }
        let params = params[..params.len() - parts.0.len()].trim_ascii();
        (parts.is_empty() || parts.delimiter(b',')).then_some(Self { name, params })
    }

    /// The name the extension is registered by.
    pub fn name(&self) -> &'a str {
        text(self.name)
    }

    /// The parameters in order. The grammar allows the same name twice; an extension may not.
    pub fn params(&self) -> impl Iterator<Item = Param<'a>> + Clone + use<'a> {
        let mut parts = Parts(self.params);
        let params = core::iter::from_fn(move || parts.delimiter(b';').then(|| param(&mut parts)).flatten());
        params.map(|(name, value)| Param { name: text(name), value })
    }
}

impl fmt::Debug for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Extension<'_> {
    /// The extension as [`push`] would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for Param { name, value } in self.params() {
            write!(f, "; {name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// Adds an extension with its parameters to a list, the value of a `Sec-WebSocket-Extensions`.
///
/// # Errors
/// [`Head`](SendError::Head) where a name or value is no token; `list` is then as it was.
///
/// ```
/// use sockless::handshake::extension;
///
/// let mut offer = String::new();
/// extension::push(&mut offer, "permessage-deflate", &[("client_max_window_bits", None)])?;
/// extension::push(&mut offer, "x-y", &[("level", Some("3"))])?;
/// assert_eq!(offer, "permessage-deflate; client_max_window_bits, x-y; level=3");
/// # Ok::<(), sockless::SendError>(())
/// ```
pub fn push(list: &mut String, name: &str, params: &[(&str, Option<&str>)]) -> Result<(), SendError> {
    let good = |(name, value): &(&str, Option<&str>)| is_token(name) && value.is_none_or(is_token);
    if !is_token(name) || !params.iter().all(good) {
        return Err(SendError::Head);
    }
    join(list, name);
    for (name, value) in params {
        list.push_str("; ");
        list.push_str(name);
        if let Some(value) = value {
            list.push('=');
            list.push_str(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec::Vec};

    fn shown(value: &str) -> Result<Vec<String>, HandshakeError> {
        parse(value).map(|extension| extension.map(|extension| extension.to_string())).collect()
    }

    #[test]
    fn samples_of_the_rfc() {
        // RFC 6455 §9.1.
        assert_eq!(shown("foo,\tbar; baz=2").unwrap(), ["foo", "bar; baz=2"]);
        assert_eq!(shown("deflate-stream").unwrap(), ["deflate-stream"]);
        assert_eq!(
            shown("mux; max-channels=4; flow-control, deflate-stream").unwrap(),
            ["mux; max-channels=4; flow-control", "deflate-stream"]
        );
        assert_eq!(shown("private-extension").unwrap(), ["private-extension"]);
    }

    #[test]
    fn quotes_and_whitespace() {
        assert_eq!(shown(r#"a ;b = "c" ; d="\e\f""#).unwrap(), ["a; b=c; d=ef"]);
        assert_eq!(shown(", a,, b ,").unwrap(), ["a", "b"]);
        assert!(shown("").unwrap().is_empty());
    }

    #[test]
    fn broken_grammar() {
        for value in [
            "a b",
            "a;",
            "a;;b",
            ";a",
            "a=b",
            "a; b=",
            "a; =b",
            "a; b=c=d",
            "a; b c",
            "a; b=\"",
            "a; b=\"c",
            "a; b=c\"",
            "a; b=\"\"",
            "a; b=\"c d\"",
            "a; b=\"c,d\"",
            "a; b=\"c\"d\"",
            "a; b=\"c\\\"",
            "a; b=\"\\\"\"",
            "a\u{e4}",
            "a; b=\u{e4}",
            "a/b",
            "\"a\"",
        ] {
            assert_eq!(shown(value), Err(HandshakeError::Extensions), "{value}");
        }
    }

    #[test]
    fn a_broken_member_ends_at_the_comma_that_is_in_no_quotes() {
        let good = |value| parse(value).map(|extension| extension.map(|it| it.to_string()).ok()).collect::<Vec<_>>();
        assert_eq!(good("a b, c"), [None, Some("c".to_string())]);
        assert_eq!(good(r#"a "b, \", c", d; e, f g"#), [None, Some("d; e".to_string()), None]);
        assert_eq!(good(r#"a; b="c d, e", f; g="h, i"#), [None, None]);
    }

    #[test]
    fn pushed_text_is_read_back_and_takes_no_injection() {
        let mut list = String::new();
        for bad in ["", "a b", "a\r\n", "a,b", "a;b", "\u{e4}"] {
            assert_eq!(push(&mut list, bad, &[]), Err(SendError::Head));
            assert_eq!(push(&mut list, "a", &[(bad, None)]), Err(SendError::Head));
            assert_eq!(push(&mut list, "a", &[("b", Some(bad))]), Err(SendError::Head));
        }
        push(&mut list, "a", &[("b", None), ("c", Some("d"))]).unwrap();
        push(&mut list, "e", &[]).unwrap();
        assert_eq!(shown(&list).unwrap(), ["a; b; c=d", "e"]);
    }
}
