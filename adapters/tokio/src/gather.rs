//! Small parts of a message, until they are worth a fragment.

use crate::writing::Writing;
use sockless::driver::Driver;
use sockless::driver::Error;
use sockless::utf8::Utf8;
use sockless::{Kind, Outbound, SendError};

/// Bytes; fewer wait for more, so that a message has no more fragments than its receiver takes: by default, 4096 here.
const WORTH: usize = 64 << 10;

/// How many fragments may be smaller because they were flushed. Whatever copies flushes whenever its source has nothing more.
const FEW: u32 = 2048;

/// A message in parts, of which the first has been sent.
pub(crate) struct Gathered {
    kind: Kind,
    /// Where the text ends, what was gathered included.
    utf8: Utf8,
    bytes: Vec<u8>,
    /// Fragments that were released.
    released: u32,
}

/// Sends the next part of a message: the first by itself, so that the sending side knows of the message; others with those that
/// were `gathered`, when they are worth it, or with the `last`.
///
/// # Errors
/// As [`Sender::send_fragment`](sockless::Sender::send_fragment); the part was not taken then.
pub(crate) fn send_part(
    gathered: &mut Option<Box<Gathered>>,
    writing: &mut Writing<Driver>,
    kind: Kind,
    part: &[u8],
    last: bool,
) -> Result<(), Error> {
    let before = gathered.as_ref().filter(|gathered| gathered.kind == kind);
    let mut utf8 = before.map(|gathered| gathered.utf8).unwrap_or_default();
    if kind == Kind::Text {
        let checked = utf8.check(part).and_then(|_| if last { utf8.finish() } else { Ok(()) });
        checked.map_err(|_| SendError::InvalidUtf8)?;
    }
    match gathered {
        Some(message) if message.kind == kind => {
            let gathered = message.bytes.len();
            if last || gathered + part.len() >= WORTH {
                if part.len() < WORTH {
                    message.bytes.extend_from_slice(part);
                    if let Err(error) = writing.with(|sender| sender.send_fragment(kind, &message.bytes, last)) {
                        message.bytes.truncate(gathered);
                        return Err(error);
                    }
                    message.bytes.clear();
                } else {
                    message.release(writing)?;
                    writing.with(|sender| sender.send_fragment(kind, part, last))?;
                }
            } else {
                // It is refused now, not when it goes out.
                writing.out.check()?;
                message.bytes.extend_from_slice(part);
            }
            message.utf8 = utf8;
        }
        // Another kind's is under way, which the sending side knows.
        _ => {
            writing.with(|sender| sender.send_fragment(kind, part, last))?;
            *gathered = Some(Box::new(Gathered { kind, utf8, bytes: Vec::new(), released: 0 }));
        }
    }
    if last {
        *gathered = None;
    }
    Ok(())
}

impl Gathered {
    /// Sends what was gathered, be it little.
    ///
    /// # Errors
    /// As [`Sender::send_fragment`](sockless::Sender::send_fragment), but for [`Full`](SendError::Full): it was taken before.
    pub(crate) fn release(&mut self, writing: &mut Writing<Driver>) -> Result<(), Error> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        writing.with(|sender| match sender.send_fragment(self.kind, &self.bytes, false) {
            Err(SendError::Full) => {
                let limits = sender.outbound_limits();
                sender.set_outbound(Outbound { hard: usize::MAX, ..limits });
                let sent = sender.send_fragment(self.kind, &self.bytes, false);
                sender.set_outbound(limits);
                sent
            }
            sent => sent,
        })?;
        self.bytes.clear();
        self.released += 1;
        Ok(())
    }

    /// Whether it may be released however little it is.
    pub(crate) fn may_be_released(&self) -> bool {
        self.released < FEW
    }
}
