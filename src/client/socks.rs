//! What a client and a SOCKS proxy say to each other: version 5 (RFC 1928, RFC 1929), and version 4 with its extension 4a.

use crate::driver::SocksError;
use std::net::IpAddr;
use std::string::String;
use std::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Four,
    Five,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reply4,
    Method,
    Login,
    Reply5,
    Open,
}

/// A client's side of it.
#[derive(Clone)]
pub(super) struct Socks {
    stage: Stage,
    /// What is to be said now.
    pub(super) outbound: Vec<u8>,
    /// What is said once the proxy has chosen how to be logged in to, and what is said to log in.
    request: Vec<u8>,
    login: Option<Vec<u8>>,
    /// What came and is not whole.
    received: Vec<u8>,
}

impl Socks {
    pub(super) fn new(
        version: Version,
        host: &str,
        port: u16,
        credentials: Option<(String, String)>,
    ) -> Result<Self, SocksError> {
        let mut socks =
            Self { stage: Stage::Open, outbound: Vec::new(), request: Vec::new(), login: None, received: Vec::new() };
        match version {
            Version::Four => {
                socks.stage = Stage::Reply4;
                socks.outbound = request4(host, port, &credentials.unwrap_or_default().0)?;
            }
            Version::Five => {
                socks.stage = Stage::Method;
                socks.login = credentials.map(|(user, password)| login(&user, &password)).transpose()?;
                // Without credentials, and with them if there are any.
                socks.outbound = if socks.login.is_some() { [5, 2, 0, 2].into() } else { [5, 1, 0].into() };
                socks.request = request5(host, port)?;
            }
        }
        Ok(socks)
    }

    /// Takes what the proxy says; whether the connection goes through it now, behind which nothing may have come.
    pub(super) fn receive(&mut self, input: &[u8]) -> Result<bool, SocksError> {
        self.received.extend_from_slice(input);
        while self.stage != Stage::Open {
            let Some(taken) = self.step()? else { return Ok(false) };
            self.received.drain(..taken);
        }
        if self.received.is_empty() { Ok(true) } else { Err(SocksError::Malformed) }
    }

    /// How many bytes make the next answer, if it is whole.
    fn step(&mut self) -> Result<Option<usize>, SocksError> {
        match (self.stage, &*self.received) {
            (Stage::Reply4, [0, 90, _, _, _, _, _, _, ..]) => self.stage = Stage::Open,
            (Stage::Reply4, [0, 90, ..] | [0] | []) => return Ok(None),
            (Stage::Reply4, [0, code @ 91..=93, ..]) => return Err(SocksError::Refused(*code)),
            (Stage::Method, [5, 0, ..]) => self.say(Stage::Reply5),
            (Stage::Method, [5, 2, ..]) if self.login.is_some() => self.say(Stage::Login),
            (Stage::Method, [5, 0xFF, ..]) => return Err(SocksError::Login),
            (Stage::Login, [1, 0, ..]) => self.say(Stage::Reply5),
            (Stage::Login, [1, _, ..]) => return Err(SocksError::Login),
            (Stage::Reply5, [5, code @ 1..=255, ..]) => return Err(SocksError::Refused(*code)),
            (Stage::Method | Stage::Reply5, [5] | []) | (Stage::Login, [1] | []) => return Ok(None),
            (Stage::Reply5, [5, 0] | [5, 0, 0] | [5, 0, 0, 1 | 3 | 4]) => return Ok(None),
            (Stage::Reply5, [5, 0, 0, kind @ (1 | 3 | 4), length, ..]) => {
                let address = match kind {
                    1 => 4,
                    4 => 16,
                    _ => 1 + usize::from(*length),
                };
                // Head, address and port.
                let all = 4 + address + 2;
                if self.received.len() < all {
                    return Ok(None);
                }
                self.stage = Stage::Open;
                return Ok(Some(all));
            }
            _ => return Err(SocksError::Malformed),
        }
        Ok(Some(if self.stage == Stage::Open { 8 } else { 2 }))
    }

    /// Says what this stage begins with.
    fn say(&mut self, stage: Stage) {
        self.stage = stage;
        let said = if stage == Stage::Login { self.login.as_deref().unwrap_or_default() } else { &self.request };
        self.outbound.extend_from_slice(said);
    }
}

/// CONNECT in version 4, or for a name in 4a, which has it behind an address that is none.
fn request4(host: &str, port: u16, user: &str) -> Result<Vec<u8>, SocksError> {
    let (address, name) = match host.parse() {
        Ok(IpAddr::V4(address)) => (address.octets(), None),
        Ok(IpAddr::V6(_)) => return Err(SocksError::Address),
        Err(_) => ([0, 0, 0, 1], Some(host)),
    };
    if user.contains('\0') {
        return Err(SocksError::Credentials);
    }
    if name.is_some_and(|name| name.contains('\0') || name.len() > 255) {
        return Err(SocksError::Address);
    }
    let mut request = [&[4, 1][..], &port.to_be_bytes(), &address, user.as_bytes(), &[0]].concat();
    if let Some(name) = name {
        request.extend_from_slice(name.as_bytes());
        request.push(0);
    }
    Ok(request)
}

/// CONNECT (RFC 1928 §4).
fn request5(host: &str, port: u16) -> Result<Vec<u8>, SocksError> {
    let mut request = Vec::from([5, 1, 0]);
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(1);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(4);
            request.extend(address.octets());
        }
        Err(_) => {
            request.extend([3, u8::try_from(host.len()).map_err(|_| SocksError::Address)?]);
            request.extend(host.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    Ok(request)
}

/// User and password (RFC 1929 §2).
fn login(user: &str, password: &str) -> Result<Vec<u8>, SocksError> {
    let mut login = Vec::from([1]);
    for text in [user, password] {
        login.push(u8::try_from(text.len()).map_err(|_| SocksError::Credentials)?);
        login.extend(text.as_bytes());
    }
    Ok(login)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{Five, Four};

    /// What is said, in turns, when `answers` come one after the other, each in pieces of this length, and how it ends.
    fn said(mut socks: Socks, answers: &[&[u8]], size: usize) -> (Vec<Vec<u8>>, Result<bool, SocksError>) {
        let (mut said, mut told) = (Vec::new(), Ok(false));
        said.push(std::mem::take(&mut socks.outbound));
        for answer in answers {
            for piece in answer.chunks(size) {
                told = socks.receive(piece);
                if told.is_err() {
                    return (said, told);
                }
            }
            said.push(std::mem::take(&mut socks.outbound));
        }
        (said, told)
    }

    fn new(version: Version, host: &str, login: Option<(&str, &str)>) -> Result<Socks, SocksError> {
        Socks::new(version, host, 0x1234, login.map(|(user, password)| (user.into(), password.into())))
    }

    #[test]
    fn each_says_its_part_however_the_bytes_are_cut() {
        let granted4: &[u8] = &[0, 90, 1, 2, 3, 4, 5, 6];
        let by_name5: &[u8] = &[5, 0, 0, 3, 2, b'x', b'y', 0, 7];
        let by_v4: &[u8] = &[5, 0, 0, 1, 1, 2, 3, 4, 0, 7];
        let by_v6: &[u8] = &[5, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 7];
        let user = Some(("us", "pwd"));
        for (version, host, login, answers, wanted) in [
            (Four, "1.2.3.4", None, &[granted4][..], &[&b"\x04\x01\x12\x34\x01\x02\x03\x04\0"[..], b""][..]),
            (Four, "a.b", user, &[granted4], &[b"\x04\x01\x12\x34\0\0\0\x01us\0a.b\0", b""]),
            (Five, "a.b", None, &[&[5, 0], by_name5], &[b"\x05\x01\0", b"\x05\x01\0\x03\x03a.b\x12\x34", b""]),
            (
                Five,
                "1.2.3.4",
                user,
                &[&[5, 2], &[1, 0], by_v4],
                &[b"\x05\x02\0\x02", b"\x01\x02us\x03pwd", b"\x05\x01\0\x01\x01\x02\x03\x04\x12\x34", b""],
            ),
            (
                Five,
                "::1",
                user,
                &[&[5, 0], by_v6],
                &[b"\x05\x02\0\x02", b"\x05\x01\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34", b""],
            ),
        ] {
            for size in [1, 2, 3, 100] {
                let (said, told) = said(new(version, host, login).unwrap(), answers, size);
                assert_eq!(told, Ok(true), "{host} by {size}");
                assert_eq!(said, wanted, "{host} by {size}");
            }
        }
    }

    #[test]
    fn refusals_and_lies_are_told() {
        let user = Some(("user", ""));
        for (version, login, answers, wanted) in [
            (Four, None, &[&[0, 91][..]][..], SocksError::Refused(91)),
            (Four, None, &[&[0, 93, 0, 0, 0, 0, 0, 0]], SocksError::Refused(93)),
            (Four, None, &[&[0, 94]], SocksError::Malformed),
            (Four, None, &[&[5, 90]], SocksError::Malformed),
            (Four, None, &[&[0, 90, 0, 0, 0, 0, 0, 0, b'x']], SocksError::Malformed),
            (Five, None, &[&[5, 0xFF]], SocksError::Login),
            (Five, None, &[&[5, 2]], SocksError::Malformed),
            (Five, user, &[&[5, 1]], SocksError::Malformed),
            (Five, user, &[&[5, 2], &[1, 1]], SocksError::Login),
            (Five, user, &[&[5, 2], &[5, 0]], SocksError::Malformed),
            (Five, None, &[b"HTTP/1.1 400 Bad Request"], SocksError::Malformed),
            (Five, None, &[&[5, 0], &[5, 5]], SocksError::Refused(5)),
            (Five, None, &[&[5, 0], &[5, 0, 0, 2]], SocksError::Malformed),
            (Five, None, &[&[5, 0], &[5, 0, 1]], SocksError::Malformed),
            (Five, None, &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'x']], SocksError::Malformed),
        ] {
            for size in [1, 100] {
                let (_, told) = said(new(version, "a", login).unwrap(), answers, size);
                assert_eq!(told, Err(wanted), "{answers:?} by {size}");
            }
        }
    }

    #[test]
    fn what_has_no_place_is_refused_before_it_is_said() {
        let long = "x".repeat(256);
        for (version, host, login, wanted) in [
            (Four, "::1", None, SocksError::Address),
            (Four, "a\0b", None, SocksError::Address),
            (Four, &*long, None, SocksError::Address),
            (Four, "a", Some(("b\0", "")), SocksError::Credentials),
            (Five, &*long, None, SocksError::Address),
            (Five, "a", Some((&*long, "")), SocksError::Credentials),
            (Five, "a", Some(("", &*long)), SocksError::Credentials),
        ] {
            assert_eq!(new(version, host, login).map(drop), Err(wanted));
        }
    }
}
