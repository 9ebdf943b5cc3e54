//! The parameters of permessage-deflate: offers, and whether an answer agrees with one (RFC 7692 §7.1).

use serde::Deserialize;
use std::fmt::Write;

const NAME: &str = "permessage-deflate";

/// An offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The server is asked not to take its context over.
    pub server_no_context_takeover: bool,
    /// The client says that it will not.
    pub client_no_context_takeover: bool,
    /// The server is asked for a window no larger.
    pub server_max_window_bits: Option<u8>,
    /// The client can be told its window, which is no larger in any case.
    pub client_max_window_bits: Option<Window>,
}

/// The client's window in an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Window {
    /// The parameter without a value, which is `true`.
    Any(bool),
    /// At most so many bits.
    Most(u8),
}

impl Offer {
    /// The value of `Sec-WebSocket-Extensions`.
    pub fn header(&self) -> String {
        let mut text = NAME.to_owned();
        if self.server_no_context_takeover {
            text.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            text.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            let _ = write!(text, "; server_max_window_bits={bits}");
        }
        match self.client_max_window_bits {
            Some(Window::Most(bits)) => {
                let _ = write!(text, "; client_max_window_bits={bits}");
            }
            Some(Window::Any(_)) => text.push_str("; client_max_window_bits"),
            None => {}
        }
        text
    }
}

/// Whether a server's answer, the value of `Sec-WebSocket-Extensions`, agrees with one of the offers.
pub(crate) fn agrees(answer: &str, offers: &[Offer]) -> bool {
    let Some(answer) = read(answer) else { return false };
    offers.iter().any(|offer| {
        // What is asked for is answered (§7.1.1.1, §7.1.2.1); the client's window only where it may be (§7.1.2.2).
        let server_window = match (offer.server_max_window_bits, answer.server_max_window_bits) {
            (Some(most), bits) => bits.is_some_and(|bits| bits <= most),
            (None, _) => true,
        };
        let client_window = match (offer.client_max_window_bits, answer.client_max_window_bits) {
            (_, None) => true,
            (None, Some(_)) | (_, Some(Window::Any(_))) => false,
            (Some(Window::Any(_)), Some(Window::Most(_))) => true,
            (Some(Window::Most(most)), Some(Window::Most(bits))) => bits <= most,
        };
        server_window && client_window && (answer.server_no_context_takeover || !offer.server_no_context_takeover)
    })
}

/// The parameters of a single answer; `None` for anything else.
fn read(answer: &str) -> Option<Offer> {
    let mut parts = answer.split(';').map(str::trim);
    if parts.next() != Some(NAME) {
        return None;
    }
    let mut read = Offer::default();
    let bits = |value: &str| value.trim_matches('"').parse().ok().filter(|bits| (8..=15).contains(bits));
    for part in parts {
        let (name, value) =
            part.split_once('=').map_or((part, None), |(name, value)| (name.trim(), Some(value.trim())));
        let good = match (name, value) {
            ("server_no_context_takeover", None) => !std::mem::replace(&mut read.server_no_context_takeover, true),
            ("client_no_context_takeover", None) => !std::mem::replace(&mut read.client_no_context_takeover, true),
            ("server_max_window_bits", Some(value)) => read.server_max_window_bits.replace(bits(value)?).is_none(),
            ("client_max_window_bits", Some(value)) => {
                read.client_max_window_bits.replace(Window::Most(bits(value)?)).is_none()
            }
            _ => false,
        };
        if !good {
            return None;
        }
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_agrees_with_what_was_asked_for() {
        let plain = Offer::default();
        let asked = Offer {
            server_no_context_takeover: true,
            client_no_context_takeover: false,
            server_max_window_bits: Some(12),
            client_max_window_bits: Some(Window::Most(11)),
        };
        let any = Offer { client_max_window_bits: Some(Window::Any(true)), ..plain };
        for (answer, offers, good) in [
            ("permessage-deflate", &[plain][..], true),
            ("permessage-deflate", &[], false),
            ("permessage-deflate", &[asked], false),
            ("permessage-deflate", &[asked, plain], true),
            ("permessage-deflate; server_max_window_bits=9", &[plain], true),
            ("permessage-deflate; client_max_window_bits=9", &[plain], false),
            ("permessage-deflate; client_max_window_bits=9", &[any], true),
            ("permessage-deflate; client_max_window_bits", &[any], false),
            ("permessage-deflate; server_no_context_takeover; server_max_window_bits=12", &[asked], true),
            ("permessage-deflate; server_no_context_takeover; server_max_window_bits=13", &[asked], false),
            (
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
                &[asked],
                false,
            ),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", &[plain], false),
            ("permessage-deflate; nonsense", &[plain], false),
            ("x-other", &[plain], false),
        ] {
            assert_eq!(agrees(answer, offers), good, "{answer}");
        }
    }

    #[test]
    fn an_offer_is_written_as_it_is_read() {
        let offer = Offer {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: Some(Window::Most(11)),
        };
        assert_eq!(read(&offer.header()), Some(offer));
    }
}
