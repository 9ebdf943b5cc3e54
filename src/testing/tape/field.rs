//! How values stand in a tape: written one behind the other, and read back within the bytes that are there.

use crate::config::{Config, Keepalive, Limits, Negotiated, Origins, Outbound};
#[cfg(feature = "deflate")]
use crate::deflate::{Compress, Deflate, DeflateParams, Pool};
use crate::extensions::Extensions;
use crate::handshake::SubprotocolPolicy;
use crate::message::{Kind, Role};
use crate::rates::{Excess, Rate, Rates};
use crate::wire::code::Code;
use crate::wire::mask::Seed;
use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};
use core::time::Duration;

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// The bytes end first.
    Cut,
    /// No such value was written.
    Value,
    /// It needs the feature `deflate`.
    #[cfg_attr(feature = "deflate", expect(dead_code, reason = "it has the feature"))]
    Feature,
}

/// A value that can be written and read back.
pub(super) trait Field: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(input: &mut &[u8]) -> Result<Self, Bad>;
}

/// A byte that says which of several.
pub(super) fn tag(input: &mut &[u8]) -> Result<u8, Bad> {
    let (first, rest) = input.split_first().ok_or(Bad::Cut)?;
    *input = rest;
    Ok(*first)
}

/// So many bytes.
pub(super) fn bytes<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], Bad> {
    let (bytes, rest) = input.split_at_checked(len).ok_or(Bad::Cut)?;
    *input = rest;
    Ok(bytes)
}

/// LEB128: seven bits a byte, the lowest first, and a bit that says whether more follow.
impl Field for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        let mut number = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let byte = tag(input)?;
            let part = u64::from(byte & 0x7F);
            number |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part).ok_or(Bad::Value)?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Bad::Value)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Field for $number {
            fn put(&self, out: &mut Vec<u8>) {
                u64::from(*self).put(out);
            }

            fn get(input: &mut &[u8]) -> Result<Self, Bad> {
                u64::get(input)?.try_into().map_err(|_| Bad::Value)
            }
        }
    )*};
}

numbers!(u8, u16, u32);

impl Field for usize {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    /// A limit of a larger machine is as good as none here; a length is held against what is there.
    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        Ok(u64::get(input)?.try_into().unwrap_or(Self::MAX))
    }
}

/// Values of which there are few, by their places in a list that only gets longer.
macro_rules! choices {
    ($($type:ty: [$($value:expr),*];)*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let place = [$($value),*].iter().position(|value| value == self);
                out.push(place.expect("all are listed") as u8);
            }

            fn get(input: &mut &[u8]) -> Result<Self, Bad> {
                [$($value),*].into_iter().nth(tag(input)?.into()).ok_or(Bad::Value)
            }
        }
    )*};
}

choices! {
    bool: [false, true];
    Kind: [Kind::Text, Kind::Binary];
    Role: [Role::Server, Role::Client];
    Excess: [Excess::Wait, Excess::Close];
    SubprotocolPolicy: [SubprotocolPolicy::Rfc, SubprotocolPolicy::Browser];
}

#[cfg(feature = "deflate")]
choices! {
    Compress: [Compress::Auto, Compress::Always, Compress::Never];
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        bool::get(input)?.then(|| T::get(input)).transpose()
    }
}

impl<T: Field> Field for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        T::get(input).map(Self::new)
    }
}

impl Field for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        out.extend_from_slice(self);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        let len = usize::get(input)?;
        Ok(bytes(input, len)?.into())
    }
}

impl Field for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        Self::from_utf8(Field::get(input)?).map_err(|_| Bad::Value)
    }
}

/// What is listed takes a byte each at least, so that no list is longer than what is left.
fn put_all<T: Field>(list: &[T], out: &mut Vec<u8>) {
    list.len().put(out);
    list.iter().for_each(|value| value.put(out));
}

fn get_all<T: Field>(input: &mut &[u8]) -> Result<Vec<T>, Bad> {
    (0..usize::get(input)?).map(|_| T::get(input)).collect()
}

impl Field for Vec<(String, String)> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self, out);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        get_all(input)
    }
}

impl Field for (String, String) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        Ok((Field::get(input)?, Field::get(input)?))
    }
}

impl Field for Cow<'static, str> {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().to_vec().put(out);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        String::get(input).map(Self::Owned)
    }
}

impl Field for Duration {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_secs().put(out);
        self.subsec_nanos().put(out);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        let (seconds, nanos) = (u64::get(input)?, u32::get(input)?);
        if nanos < 1_000_000_000 { Ok(Self::new(seconds, nanos)) } else { Err(Bad::Value) }
    }
}

impl Field for Code {
    fn put(&self, out: &mut Vec<u8>) {
        u16::from(*self).put(out);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        u16::get(input).map(Self::new)
    }
}

impl Field for Seed {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes());
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        let seed = bytes(input, 16)?;
        Ok(Self::new(seed.try_into().map_err(|_| Bad::Value)?))
    }
}

/// A field of these that is forgotten here does not compile.
macro_rules! fields {
    ($($type:ident { $($field:ident),* })*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(out);)*
            }

            fn get(input: &mut &[u8]) -> Result<Self, Bad> {
                Ok(Self { $($field: Field::get(input)?),* })
            }
        }
    )*};
}

fields! {
    Limits { message, frame, fragments, head, fields }
    Outbound { soft, hard, retain, fragment }
    Keepalive { handshake, ping, pong, pong_code, message, idle, close }
    Rate { per_second, burst }
    Rates { messages, bytes, excess }
}

#[cfg(feature = "deflate")]
fields! {
    Deflate { level, mem_level, threshold, window_bits, peer_window_bits, takeover, peer_takeover, pool }
    DeflateParams { window_bits, peer_window_bits, takeover, peer_takeover }
}

/// Played again, each connection has codecs of its own.
#[cfg(feature = "deflate")]
impl Field for Pool {
    fn put(&self, _: &mut Vec<u8>) {}

    fn get(_: &mut &[u8]) -> Result<Self, Bad> {
        Ok(Self::default())
    }
}

/// Stands where there would be compression.
#[cfg(not(feature = "deflate"))]
struct Missing;

#[cfg(not(feature = "deflate"))]
impl Field for Missing {
    fn put(&self, _: &mut Vec<u8>) {}

    fn get(_: &mut &[u8]) -> Result<Self, Bad> {
        Err(Bad::Feature)
    }
}

impl Field for Negotiated {
    fn put(&self, out: &mut Vec<u8>) {
        #[cfg(feature = "deflate")]
        self.deflate.put(out);
        #[cfg(not(feature = "deflate"))]
        None::<Missing>.put(out);
    }

    #[cfg(feature = "deflate")]
    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        match Field::get(input)? {
            Some(params) => DeflateParams::try_into(params).map_err(|_| Bad::Value),
            None => Ok(Self::default()),
        }
    }

    #[cfg(not(feature = "deflate"))]
    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        Option::<Missing>::get(input).map(|_| Self::default())
    }
}

impl Field for Origins {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::SameHost => out.push(0),
            Self::Any => out.push(1),
            Self::List(origins) => {
                out.push(2);
                put_all(origins, out);
            }
        }
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        match tag(input)? {
            0 => Ok(Self::SameHost),
            1 => Ok(Self::Any),
            2 => get_all(input).map(Self::List),
            _ => Err(Bad::Value),
        }
    }
}

impl Field for Config {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            limits,
            outbound,
            keepalive,
            rates,
            check_utf8,
            answer_pings,
            answer_close,
            require_masks,
            origins,
            secure,
            #[cfg(feature = "deflate")]
            deflate,
            // They are programs, which no tape holds.
            extensions: _,
            // Nothing follows from it.
            #[cfg(feature = "std")]
                tapes: _,
        } = self;
        #[cfg(not(feature = "deflate"))]
        let deflate = &None::<Missing>;
        limits.put(out);
        outbound.put(out);
        keepalive.put(out);
        rates.put(out);
        for flag in [check_utf8, answer_pings, answer_close, require_masks] {
            flag.put(out);
        }
        origins.put(out);
        secure.put(out);
        deflate.put(out);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        let config = Self {
            limits: Field::get(input)?,
            outbound: Field::get(input)?,
            keepalive: Field::get(input)?,
            rates: Field::get(input)?,
            check_utf8: Field::get(input)?,
            answer_pings: Field::get(input)?,
            answer_close: Field::get(input)?,
            require_masks: Field::get(input)?,
            origins: Field::get(input)?,
            secure: Field::get(input)?,
            #[cfg(feature = "deflate")]
            deflate: Field::get(input)?,
            extensions: Extensions::NONE,
            #[cfg(feature = "std")]
            tapes: None,
        };
        #[cfg(not(feature = "deflate"))]
        Option::<Missing>::get(input)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn round<T: Field>(value: &T) -> T {
        let mut out = vec![];
        value.put(&mut out);
        for len in 0..out.len() {
            assert!(T::get(&mut &out[..len]).is_err(), "{len} of {}", out.len());
        }
        let mut input = &out[..];
        let read = T::get(&mut input).unwrap();
        assert!(input.is_empty());
        read
    }

    #[test]
    fn numbers_of_all_lengths() {
        for number in (0..64).flat_map(|shift| [1 << shift, (1 << shift) - 1, u64::MAX >> shift]) {
            assert_eq!(round(&number), number);
        }
        // A bit too many, and a number without an end.
        assert_eq!(u64::get(&mut &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"[..]), Err(Bad::Value));
        assert_eq!(u64::get(&mut &[0x80; 20][..]), Err(Bad::Value));
        assert_eq!(u8::get(&mut &b"\x80\x02"[..]), Err(Bad::Value));
    }

    #[test]
    fn settings_that_differ_from_the_defaults_in_all() {
        let config = Config {
            limits: Limits { message: 1, frame: 2, fragments: 3, head: 4, fields: 5 },
            outbound: Outbound { soft: 6, hard: 7, retain: 8, fragment: 9 },
            keepalive: Keepalive {
                handshake: None,
                ping: Some(Duration::new(10, 999_999_999)),
                pong: Some(Duration::MAX),
                pong_code: Code::new(4000),
                message: Some(Duration::ZERO),
                idle: Some(Duration::from_secs(11)),
                close: None,
            },
            rates: Rates {
                messages: Some(Rate { per_second: 12, burst: 13 }),
                bytes: Some(Rate { per_second: 14, burst: u32::MAX }),
                excess: Excess::Close,
            },
            check_utf8: false,
            answer_pings: false,
            answer_close: false,
            require_masks: false,
            origins: Origins::List(vec!["https://a.example".into(), "".into()]),
            extensions: Extensions::NONE,
            secure: Some(false),
            #[cfg(feature = "deflate")]
            deflate: Some(Deflate {
                level: 2,
                mem_level: 3,
                threshold: 4,
                window_bits: 10,
                peer_window_bits: 11,
                takeover: true,
                peer_takeover: true,
                pool: Pool::default(),
            }),
            #[cfg(feature = "std")]
            tapes: None,
        };
        #[allow(unused_mut)]
        let mut read = round(&config);
        #[cfg(feature = "deflate")]
        if let (Some(read), Some(config)) = (&mut read.deflate, &config.deflate) {
            read.pool = config.pool.clone();
        }
        assert_eq!(read, config);
        let one = Config { answer_close: false, origins: Origins::Any, secure: Some(true), ..Config::DEFAULT };
        assert_eq!(round(&one), one);
        assert_eq!(round(&Config::DEFAULT), Config::DEFAULT);
    }

    #[test]
    fn lengths_that_lie_take_no_memory() {
        let lie = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f\0\0";
        assert_eq!(Vec::<u8>::get(&mut &lie[..]), Err(Bad::Cut));
        assert_eq!(Vec::<(String, String)>::get(&mut &lie[..]), Err(Bad::Cut));
        assert_eq!(Duration::get(&mut &b"\0\x80\x94\xeb\xdc\x03"[..]), Err(Bad::Value));
    }
}
