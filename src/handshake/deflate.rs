//! The negotiation of permessage-deflate (RFC 7692 §5, §7.1), over the grammar of [`extension`].

use super::extension::{self, DEFLATE, Extension};
use crate::deflate::{Deflate, DeflateParams, LEAST_WINDOW_BITS};
use crate::wire::error::DeflateParameter::{self, *};
use crate::wire::error::HandshakeError;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;

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
    /// An error for an unknown parameter, one written twice, or a value that is missing, out of range or too much.
    fn read(extension: &Extension<'_>) -> Result<Self, HandshakeError> {
        let mut written = Self::default();
        for param in extension.params() {
            let known = DeflateParameter::ALL.into_iter().find(|known| known.name() == param.name);
            let known = known.ok_or(HandshakeError::Extensions)?;
            let good = match (known, param.value.as_deref()) {
                (ServerNoContextTakeover, None) => !mem::replace(&mut written.server_no_takeover, true),
                (ClientNoContextTakeover, None) => !mem::replace(&mut written.client_no_takeover, true),
                (ClientMaxWindowBits, None) => written.client_bits.replace(None).is_none(),
                (ServerMaxWindowBits, Some(value)) => {
                    bits(value).is_some_and(|bits| written.server_bits.replace(bits).is_none())
                }
                (ClientMaxWindowBits, Some(value)) => {
                    bits(value).is_some_and(|bits| written.client_bits.replace(Some(bits)).is_none())
                }
                _ => false,
            };
            if !good {
                return Err(HandshakeError::Parameter(known));
            }
        }
        Ok(written)
    }

    fn write(&self) -> String {
        let server_bits = self.server_bits.map(|bits| bits.to_string());
        let client_bits = self.client_bits.map(|bits| bits.map(|bits| bits.to_string()));
        let params = [
            self.server_no_takeover.then_some((ServerNoContextTakeover, None)),
            self.client_no_takeover.then_some((ClientNoContextTakeover, None)),
            server_bits.as_deref().map(|bits| (ServerMaxWindowBits, Some(bits))),
            client_bits.as_ref().map(|bits| (ClientMaxWindowBits, bits.as_deref())),
        ];
        let mut list = String::new();
        let params: Vec<_> = params.into_iter().flatten().map(|(known, value)| (known.name(), value)).collect();
        // All of them are tokens.
        let _ = extension::push(&mut list, DEFLATE, &params);
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
    let offers = offers.flatten().filter(|offer| offer.name() == DEFLATE);
    offers.filter_map(|offer| Written::read(&offer).ok()).find_map(|offer| accept(&offer, deflate))
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
/// For an answer that the offer does not allow (RFC 7692 §7.1): [`Parameter`](HandshakeError::Parameter) names what was
/// asked for and left out, is twice there or out of range, or a window larger than offered;
/// [`Extensions`](HandshakeError::Extensions) for an unknown parameter, or a second answer.
pub fn agreed<'h>(
    answers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    deflate: &Deflate,
) -> Result<Option<DeflateParams>, HandshakeError> {
    agreed_on(&[wanted(deflate)], answers, deflate)
}

/// The same for an offer that anybody may have made, as it was sent: a list of alternatives (RFC 7692 §5).
pub(super) fn agreed_to<'h>(
    offer: &str,
    answers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    deflate: &Deflate,
) -> Result<Option<DeflateParams>, HandshakeError> {
    let offers = extension::parse(offer).flatten().filter(|offer| offer.name() == DEFLATE);
    let offers: Vec<_> = offers.filter_map(|offer| Written::read(&offer).ok()).collect();
    agreed_on(&offers, answers, deflate)
}

/// Whether permessage-deflate is in an offer.
pub(crate) fn is_in(offer: &str) -> bool {
    extension::parse(offer).flatten().any(|offer| offer.name() == DEFLATE)
}

fn agreed_on<'h>(
    offers: &[Written],
    answers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    deflate: &Deflate,
) -> Result<Option<DeflateParams>, HandshakeError> {
    let mut params = None;
    for answer in answers {
        let answer = answer?;
        if answer.name() == DEFLATE {
            let answer = Written::read(&answer)?;
            let mut agreed = offers.iter().map(|offer| agree(&answer, offer, deflate));
            // It answers one of them, whichever; the first says what is wrong with it.
            let first = agreed.next().unwrap_or(Err(HandshakeError::Extensions));
            let agreed = first.or_else(|error| agreed.find_map(Result::ok).ok_or(error))?;
            if params.replace(agreed).is_some() {
                return Err(HandshakeError::Extensions);
            }
        }
    }
    Ok(params)
}

fn agree(answer: &Written, offer: &Written, deflate: &Deflate) -> Result<DeflateParams, HandshakeError> {
    // What is asked for is answered (§7.1.1.1), and so is a window (§7.1.2.1).
    if offer.server_no_takeover && !answer.server_no_takeover {
        return Err(HandshakeError::Parameter(ServerNoContextTakeover));
    }
    let peer_window_bits = answer.server_bits.unwrap_or(15);
    if offer.server_bits.is_some_and(|most| peer_window_bits > most) {
        return Err(HandshakeError::Parameter(ServerMaxWindowBits));
    }
    // Only a client that offers it is told its window, and by a number (§7.1.2.2); it keeps to its own in any case.
    let most = offer.client_bits.map(|most| most.unwrap_or(15));
    let told = match (answer.client_bits, most) {
        (None, _) => most.unwrap_or(15),
        (Some(Some(bits)), Some(most)) if bits <= most => bits,
        _ => return Err(HandshakeError::Parameter(ClientMaxWindowBits)),
    };
    Ok(DeflateParams {
        // With one of 8, which the codec does not have, messages go plain.
        window_bits: own_bits(deflate).min(told),
        peer_window_bits,
        // Who says that it will not take over does not, whatever the answer (§7.1.1.2).
        takeover: deflate.takeover && !offer.client_no_takeover && !answer.client_no_takeover,
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
        Written::read(&extension::parse(extension).next().unwrap().unwrap()).ok()
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
