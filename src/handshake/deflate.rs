//! The negotiation of permessage-deflate (RFC 7692 §5, §7.1), over the grammar of [`extension`].

use super::extension::{self, Extension};
use crate::deflate::{Deflate, DeflateParams, LEAST_WINDOW_BITS};
use crate::error::HandshakeError;
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
        server_bits: (window_bits < 15).then_some(window_bits),
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
