//! Memory that a thread lends its handlers, so that what they put together costs no allocation.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers that a thread keeps, and the most bytes of room that one keeps.
const KEPT: usize = 4;
const MOST: usize = 256 << 10;

thread_local! {
    static KEEP: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that was lent, from [`Conn::scratch`](crate::Conn::scratch): empty, with the room that others have made. It goes back
/// when it is dropped, in whatever thread.
///
/// ```
/// use sockless_mio::{Conn, Error, Message};
/// use std::io::Write;
///
/// fn shout(conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
///     let mut answer = conn.scratch();
///     write!(answer, "{}!", message.as_text().unwrap_or("what"))?;
///     answer.make_ascii_uppercase();
///     conn.send_text(std::str::from_utf8(&answer)?)?;
///     Ok(())
/// }
/// # #[cfg(feature = "testing")]
/// # {
/// # use sockless_mio::testing::Peer;
/// # let mut peer = Peer::connect(shout);
/// # peer.send("hello")?;
/// # assert_eq!(peer.receive(), Some("HELLO!".into()));
/// # }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// One that the thread has, or a new one.
    pub(crate) fn lend() -> Self {
        Self(KEEP.with_borrow_mut(Vec::pop).unwrap_or_default())
    }
}

impl Deref for Scratch {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Scratch {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        buffer.shrink_to(MOST);
        // A thread that ends keeps nothing.
        _ = KEEP.try_with(|keep| {
            let mut keep = keep.borrow_mut();
            if keep.len() < KEPT {
                keep.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_lent_again_and_bounded() {
        let mut one = Scratch::lend();
        one.extend([1; 1000]);
        let at = one.as_ptr();
        drop(one);
        let (mut one, two) = (Scratch::lend(), Scratch::lend());
        assert_eq!((one.as_ptr(), one.len(), two.capacity()), (at, 0, 0));
        one.resize(MOST + 1, 0);
        drop((one, two));
        assert!(KEEP.with_borrow(|keep| keep.iter().all(|buffer| buffer.capacity() <= MOST)));
        drop([(); 2 * KEPT].map(|()| Scratch::lend()));
        assert_eq!(KEEP.with_borrow(Vec::len), KEPT);
    }
}
