//! The negotiation of extensions of a program's own (RFC 6455 §9.1), over the grammar of [`extension`].

use super::extension::{self, Extension};
use crate::extensions::{Extensions, Params, Stages};
use crate::wire::error::{HandshakeError, SendError};
use alloc::string::String;
use alloc::vec::Vec;

/// Adds what a client offers to a list, the value of a `Sec-WebSocket-Extensions`.
///
/// # Errors
/// [`Head`](SendError::Head) for a name or parameter that is no token.
pub fn offer(list: &mut String, extensions: &Extensions) -> Result<(), SendError> {
    extensions
        .iter()
        .try_for_each(|extension| extension.offers().iter().try_for_each(|params| push(list, extension.name(), params)))
}

/// A server's choice among a request's offers: the stages, and the answer that says so, to be added to what is answered
/// otherwise. Of each extension, the client's first offer that it accepts; of two with the same name, or that claim the same of
/// the reserved bits, of which some may be `taken`, the first.
pub fn choose<'h>(
    offers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    extensions: &Extensions,
    taken: u8,
) -> (Stages, String) {
    let (mut stages, mut answer, mut names) = (Stages::new(), String::new(), Vec::new());
    let offers: Vec<_> = offers.flatten().collect();
    for own in extensions.iter() {
        if names.contains(&own.name()) || own.bits() & taken != 0 {
            continue;
        }
        let mut offered = offers.iter().filter(|offer| offer.name() == own.name()).map(params);
        let before = answer.len();
        if let Some((params, stage)) = offered.find_map(|offer| own.accept(&offer))
            && push(&mut answer, own.name(), &params).is_ok()
        {
            match stages.push(own, stage) {
                Ok(()) => names.push(own.name()),
                Err(_) => answer.truncate(before),
            }
        }
    }
    (stages, answer)
}

/// What a server's `answers` agree on, beside compression, which may have `taken` a bit.
///
/// # Errors
/// [`Extensions`](HandshakeError::Extensions) for an answer that its extension does not take, that claims a bit which another has,
/// or that names them in another order.
pub fn agreed<'h>(
    answers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    extensions: &Extensions,
    taken: u8,
) -> Result<Stages, HandshakeError> {
    let (mut stages, mut left) = (Stages::new(), extensions.iter());
    let is_own = |answer: &Extension<'_>| extensions.iter().any(|own| own.name() == answer.name());
    for answer in answers {
        let answer = answer?;
        // It comes before all others.
        if answer.name() == extension::DEFLATE && !stages.is_empty() {
            return Err(HandshakeError::Extensions);
        }
        if is_own(&answer) {
            let own = left.find(|own| own.name() == answer.name()).ok_or(HandshakeError::Extensions)?;
            let stage = own.agree(&params(&answer)).filter(|_| own.bits() & taken == 0);
            let added = stage.map(|stage| stages.push(own, stage));
            added.and_then(Result::ok).ok_or(HandshakeError::Extensions)?;
        }
    }
    Ok(stages)
}

fn push(list: &mut String, name: &str, params: &Params) -> Result<(), SendError> {
    extension::push(list, name, &params.iter().collect::<Vec<_>>())
}

fn params(extension: &Extension<'_>) -> Params {
    extension.params().fold(Params::new(), |params, param| params.with(param.name, param.value.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extensions::{self, Decode, Encode, Output, Part, Refused, Stage};
    use alloc::boxed::Box;

    /// Takes offers with the parameter `yes`, and answers with `so`.
    #[derive(Debug)]
    struct Sample(&'static str, u8);

    struct Nothing;

    impl Encode for Nothing {
        fn encode(&mut self, _: Part<'_>, _: &mut Output<'_>) -> Result<u8, Refused> {
            Ok(0)
        }
    }

    impl Decode for Nothing {
        fn decode(&mut self, _: Part<'_>, _: &mut Output<'_>) -> Result<(), Refused> {
            Ok(())
        }
    }

    impl extensions::Extension for Sample {
        fn name(&self) -> &str {
            self.0
        }

        fn bits(&self) -> u8 {
            self.1
        }

        fn offers(&self) -> Vec<Params> {
            Vec::from([Params::new().with("yes", "1"), Params::new().with("yes", "2")])
        }

        fn accept(&self, offer: &Params) -> Option<(Params, Stage)> {
            let value = offer.get("yes")??;
            Some((Params::new().with("so", value), Stage::new(Nothing, Nothing)))
        }

        fn agree(&self, answer: &Params) -> Option<Stage> {
            answer.get("so")?.map(|_| Stage::new(Nothing, Nothing))
        }
    }

    fn samples(samples: &[(&'static str, u8)]) -> Extensions {
        samples.iter().map(|(name, bits)| Box::new(Sample(name, *bits)) as Box<dyn extensions::Extension>).collect()
    }

    #[test]
    fn offers_are_listed_in_order() {
        let mut list = String::from("permessage-deflate");
        offer(&mut list, &samples(&[("a", 0), ("b", 0)])).unwrap();
        assert_eq!(list, "permessage-deflate, a; yes=1, a; yes=2, b; yes=1, b; yes=2");
        assert_eq!(offer(&mut String::new(), &samples(&[("no token", 0)])), Err(SendError::Head));
        assert_eq!(offer(&mut String::new(), &Extensions::NONE), Ok(()));
    }

    #[test]
    fn the_first_offer_that_will_do_is_chosen_in_the_servers_order() {
        for (offers, own, taken, answer) in [
            ("b; yes=1, a; yes=2, a; yes=3", &[("a", 0), ("b", 0)][..], 0, "a; so=2, b; so=1"),
            ("a, a; no, a; yes=2", &[("a", 0)], 0, "a; so=2"),
            ("a", &[("a", 0)], 0, ""),
            ("", &[("a", 0)], 0, ""),
            ("c; yes=1", &[("a", 0)], 0, ""),
            ("a; yes=1, b; yes=1", &[("a", 0b100), ("b", 0b110)], 0, "a; so=1"),
            ("a; yes=1, b; yes=1", &[("a", 0b100), ("b", 0b010)], 0b100, "b; so=1"),
            ("a; yes=1, a; yes=1", &[("a", 0), ("a", 0)], 0, "a; so=1"),
            ("a b, a; yes=1", &[("a", 0)], 0, "a; so=1"),
        ] {
            let (stages, chosen) = choose(extension::parse(offers), &samples(own), taken);
            assert_eq!(chosen, answer, "{offers}");
            assert_eq!(stages.is_empty(), answer.is_empty(), "{offers}");
        }
    }

    #[test]
    fn an_answer_keeps_to_the_order_and_the_bits() {
        let own = samples(&[("a", 0b010), ("b", 0b001), ("c", 0b001)]);
        for (answers, taken, bits) in [
            ("a; so=1, b; so=1", 0, Some(0b011)),
            ("permessage-deflate, a; so=1", 0b100, Some(0b010)),
            ("a; so=1, x, b; so=1", 0, Some(0b011)),
            ("x", 0, Some(0)),
            ("b; so=1, a; so=1", 0, None),
            ("a; so=1, a; so=1", 0, None),
            ("a; so=1, permessage-deflate", 0b100, None),
            ("b; so=1, c; so=1", 0, None),
            ("a; so=1", 0b010, None),
            ("a", 0, None),
            ("a;", 0, None),
        ] {
            let stages = agreed(extension::parse(answers), &own, taken);
            let expected = bits.ok_or(HandshakeError::Extensions);
            assert_eq!(stages.map(|stages| stages.bits()), expected, "{answers} {taken}");
        }
    }
}
