//! The negotiation of permessage-deflate (RFC 7692 §5, §7.1), over the grammar of [`extension`].

use super::extension::{self, Extension};
use crate::deflate::{Deflate, DeflateParams, LEAST_WINDOW_BITS};
use crate::wire::error::HandshakeError;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const NAME: &str = "permessage-deflate";
const SERVER_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// The parameters of one offer or answer, as they were written.
#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// The inner `None` is a parameter without a value, which an offer may have.
    client_bits: Option<Option<u8>>,
}

impl Written {
    /// `None` for an unknown parameter, one written twice, or a value that is missing, out of range or too much.
    fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut written = Self::default();
        for param in extension.params() {
            let value = param.value.as_deref();
            let again = match param.name {
                SERVER_TAKEOVER if value.is_none() => core::mem::replace(&mut written.server_no_takeover, true),
                CLIENT_TAKEOVER if value.is_none() => core::mem::replace(&mut written.client_no_takeover, true),
                SERVER_BITS => written.server_bits.replace(bits(value?)?).is_some(),
                CLIENT_BITS => {
                    let value = match value {
                        Some(value) => Some(bits(value)?),
                        None => None,
                    };
                    written.client_bits.replace(value).is_some()
                }
                _ => return None,
            };
            if again {
                return None;
            }
        }
        Some(written)
    }

    fn write(&self) -> String {
        let server_bits = self.server_bits.map(|bits| bits.to_string());
        let client_bits = self.client_bits.map(|bits| bits.map(|bits| bits.to_string()));
        let params = [
            self.server_no_takeover.then_some((SERVER_TAKEOVER, None)),
            self.client_no_takeover.then_some((CLIENT_TAKEOVER, None)),
            server_bits.as_deref().map(|bits| (SERVER_BITS, Some(bits))),
            client_bits.as_ref().map(|bits| (CLIENT_BITS, bits.as_deref())),
        ];
        let mut list = String::new();
        let params: Vec<_> = params.into_iter().flatten().collect();
        // All of them are tokens.
        let _ = extension::push(&mut list, NAME, &params);
        list
    }
}

/// 8 to 15, in decimal without leading zeros (RFC 7692 §7.1.2).
fn bits(value: &str) -> Option<u8> {
    let bits: u8 = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (bits.to_string() == value).then_some(bits)
}

/// A server's choice among a request's offers, in the client's order (RFC 7692 §7.1): what was agreed on, and the
/// answer that says so; `None` if there is no offer that it can honour.
pub fn choose<'h>(
    offers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    deflate: &Deflate,
) -> Option<(DeflateParams, String)> {
    let offers = offers.flatten().filter(|offer| offer.name() == NAME);
    offers.filter_map(|offer| Written::read(&offer)).find_map(|offer| accept(&offer, deflate))
}

fn accept(offer: &Written, deflate: &Deflate) -> Option<(DeflateParams, String)> {
    let window_bits = own_bits(deflate).min(offer.server_bits.unwrap_or(15));
    // What the codec cannot deflate is declined (§7.1.2.1).
    if window_bits < LEAST_WINDOW_BITS {
        return None;
    }
    let params = DeflateParams {
        window_bits,
        // Only a client that offers it can be told its window (§7.1.2.2).
        peer_window_bits: offer.client_bits.map_or(15, |most| peer_bits(deflate).min(most.unwrap_or(15))),
        takeover: deflate.takeover && !offer.server_no_takeover,
        peer_takeover: deflate.peer_takeover && !offer.client_no_takeover,
    };
    let answer = Written {
        server_no_takeover: !params.takeover,
        client_no_takeover: !params.peer_takeover,
        // Asked for, it is answered, even if that says nothing (§7.1.2.1).
        server_bits: (window_bits < 15 || offer.server_bits.is_some()).then_some(window_bits),
        client_bits: (params.peer_window_bits < 15).then_some(Some(params.peer_window_bits)),
    };
    Some((params, answer.write()))
}

/// The offer of a client, for `Sec-WebSocket-Extensions`.
pub fn offer(deflate: &Deflate) -> String {
    wanted(deflate).write()
}

fn wanted(deflate: &Deflate) -> Written {
    let (server_bits, client_bits) = (peer_bits(deflate), own_bits(deflate));
    Written {
        server_no_takeover: !deflate.peer_takeover,
        client_no_takeover: !deflate.takeover,
        server_bits: (server_bits < 15).then_some(server_bits),
        client_bits: Some((client_bits < 15).then_some(client_bits)),
    }
}

/// What a server's answer to [`offer`] agrees on; `None` if it declined.
///
/// # Errors
/// [`Extensions`](HandshakeError::Extensions) for an answer that the offer does not allow (RFC 7692 §7.1): a parameter
/// that is unknown, twice there or out of range, one that was asked for and left out, a window larger than offered or
/// one that the codec cannot deflate.
pub fn agreed<'h>(
    answers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    deflate: &Deflate,
) -> Result<Option<DeflateParams>, HandshakeError> {
    let mut params = None;
    for answer in answers {
        let answer = answer?;
        if answer.name() == NAME {
            let answer = Written::read(&answer).and_then(|answer| agree(&answer, deflate));
            if params.replace(answer.ok_or(HandshakeError::Extensions)?).is_some() {
                return Err(HandshakeError::Extensions);
            }
        }
    }
    Ok(params)
}

fn agree(answer: &Written, deflate: &Deflate) -> Option<DeflateParams> {
    let wanted = wanted(deflate);
    let window_bits = own_bits(deflate).min(match answer.client_bits {
        Some(bits) => bits?,
        None => 15,
    });
    let peer_window_bits = answer.server_bits.unwrap_or(15);
    let honoured = (answer.server_no_takeover || !wanted.server_no_takeover)
        && wanted.server_bits.is_none_or(|most| peer_window_bits <= most)
        && window_bits >= LEAST_WINDOW_BITS
        && !matches!((answer.client_bits, wanted.client_bits), (Some(Some(bits)), Some(Some(most))) if bits > most);
    honoured.then_some(DeflateParams {
        window_bits,
        peer_window_bits,
        takeover: deflate.takeover && !answer.client_no_takeover,
        peer_takeover: !answer.server_no_takeover,
    })
}

fn own_bits(deflate: &Deflate) -> u8 {
    deflate.window_bits.clamp(LEAST_WINDOW_BITS, 15)
}

fn peer_bits(deflate: &Deflate) -> u8 {
    deflate.peer_window_bits.clamp(LEAST_WINDOW_BITS, 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(extension: &str) -> Option<Written> {
        Written::read(&extension::parse(extension).next().unwrap().unwrap())
    }

    #[test]
    fn parameters_are_read_as_they_were_written() {
        let written = |server_no_takeover, client_no_takeover, server_bits, client_bits| {
            Some(Written { server_no_takeover, client_no_takeover, server_bits, client_bits })
        };
        for (params, expected) in [
            ("", written(false, false, None, None)),
            ("; server_no_context_takeover", written(true, false, None, None)),
            ("; client_no_context_takeover", written(false, true, None, None)),
            ("; server_max_window_bits=8", written(false, false, Some(8), None)),
            ("; server_max_window_bits=\"15\"", written(false, false, Some(15), None)),
            ("; client_max_window_bits", written(false, false, None, Some(None))),
            ("; client_max_window_bits=10", written(false, false, None, Some(Some(10)))),
            (
                " ;client_max_window_bits = 9;server_max_window_bits=\"1\\0\" ; client_no_context_takeover",
                written(false, true, Some(10), Some(Some(9))),
            ),
            ("; server_max_window_bits", None),
            ("; server_no_context_takeover=1", None),
            ("; client_no_context_takeover=true", None),
            ("; Server_No_Context_Takeover", None),
            ("; server_max_window", None),
            ("; server_no_context_takeover; server_no_context_takeover", None),
            ("; client_no_context_takeover; client_no_context_takeover", None),
            ("; server_max_window_bits=9; server_max_window_bits=9", None),
            ("; client_max_window_bits; client_max_window_bits", None),
            ("; client_max_window_bits; client_max_window_bits=9", None),
        ] {
            assert_eq!(read(&["permessage-deflate", params].concat()), expected, "{params}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bits = || [None, Some(8), Some(15)];
        let flags = [false, true];
        for (server_no_takeover, client_no_takeover) in flags.into_iter().flat_map(|a| flags.map(|b| (a, b))) {
            for server_bits in bits() {
                for client_bits in [None, Some(None), Some(Some(9)), Some(Some(15))] {
                    let written = Written { server_no_takeover, client_no_takeover, server_bits, client_bits };
                    assert_eq!(read(&written.write()), Some(written));
                }
            }
        }
    }

    #[test]
    fn windows_are_8_to_15_in_one_form() {
        let windows: Vec<Option<u8>> = (0..=300).map(|n: u32| bits(&n.to_string())).collect();
        let expected: Vec<Option<u8>> = (0..=300).map(|n: u32| (8..=15).contains(&n).then_some(n as u8)).collect();
        assert_eq!(windows, expected);
        for value in ["", "08", "+8", "-8", "8.0", " 8", "8 ", "0x8", "1_0", "264", "\u{ff18}", "99999999999999999999"]
        {
            assert_eq!(bits(value), None, "{value:?}");
        }
    }
}
