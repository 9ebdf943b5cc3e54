//! Frame headers: bytes to values and back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockless::ProtocolError;
use sockless::frame::{Header, MAX_HEADER, OpCode};

type Parsed = Result<Option<(Header, usize)>, ProtocolError>;

fuzz_target!(|bytes: &[u8]| {
    let parsed = Header::parse(bytes);
    match parsed {
        Ok(Some((header, len))) => assert_eq!(&header.encode()[..], &bytes[..len]),
        Ok(None) => assert!(bytes.len() < MAX_HEADER),
        Err(_) => assert!(bytes.len() >= 2),
    }
    check_prefixes(bytes, parsed);
    if let Some(bytes) = bytes.first_chunk() {
        check_encoded(*bytes);
    }
});

/// Up to some length more bytes are asked for, and from there on all say the same.
fn check_prefixes(bytes: &[u8], parsed: Parsed) {
    let mut verdicts = (0..=bytes.len().min(MAX_HEADER)).map(|len| Header::parse(&bytes[..len]));
    let first = verdicts.find(|verdict| *verdict != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), parsed);
    assert!(verdicts.all(|verdict| verdict == parsed));
}

/// Any header is read back as it was, unless it says what none may.
fn check_encoded([first, flags, length @ .., a, b, c, d]: [u8; MAX_HEADER]) {
    let Ok(opcode) = OpCode::from_bits(first & 0x0F) else { return };
    // Every width of length is as likely.
    let length = u64::from_be_bytes(length) >> (1 + (flags >> 1) % 63);
    let mask = (flags & 1 != 0).then_some([a, b, c, d]);
    let header = Header { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode, mask, length };
    let bytes = header.encode();
    let expected = match (opcode.is_control(), header.fin, length) {
        (true, false, _) => Err(ProtocolError::FragmentedControl),
        (true, true, 126..) => Err(ProtocolError::LongControl),
        _ => Ok(Some((header, bytes.len()))),
    };
    assert_eq!(Header::parse(&bytes), expected);
}
