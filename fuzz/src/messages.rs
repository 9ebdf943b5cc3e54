//! Messages to send: their data, their lengths.

use sockless::{Kind, Message};

/// Data that differ from those of other numbers: text with characters of every length, or bytes.
pub fn data(kind: Kind, number: usize, len: usize) -> Vec<u8> {
    let mut data = format!("{number} ").into_bytes();
    match kind {
        Kind::Text => data.extend("Stra\u{df}e \u{20ac} \u{1d11e} ".bytes().cycle().take(len)),
        // Every other message is one that cannot be compressed.
        Kind::Binary if number.is_multiple_of(2) => {
            let mut state = number as u32 | 1;
            data.extend((0..len).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            }));
        }
        Kind::Binary => data.extend((0..=u8::MAX).cycle().take(len)),
    }
    data.truncate(len);
    if kind == Kind::Text && std::str::from_utf8(&data).is_err() {
        let whole = std::str::from_utf8(&data).map_err(|error| error.valid_up_to());
        data.truncate(whole.err().unwrap_or(len));
    }
    data
}

/// A length with its edges: up to 125 as it is, then in larger steps.
pub fn length(choice: u8) -> usize {
    match choice {
        0..126 => choice.into(),
        u8::MAX => 66_000,
        _ => usize::from(choice) * 40 - 4914,
    }
}

/// The message of such data.
pub fn message(kind: Kind, data: &[u8]) -> Message<'_> {
    match kind {
        Kind::Text => Message::Unchecked(data.into()),
        Kind::Binary => Message::Binary(data.into()),
    }
}
