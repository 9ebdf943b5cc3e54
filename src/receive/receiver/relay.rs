//! Messages that are passed on to another connection instead of told.

use super::{Mode, Receiver};
use crate::event::Event;
use crate::receive::decode::Decoded;
use crate::send::sender::Sender;
use crate::wire::error::{RelayError, SendError};

impl Receiver {
    /// As [`Connection::relay`](crate::Connection::relay).
    ///
    /// # Errors
    /// [`RelayError::Peer`], once, or [`RelayError::Send`], which takes nothing from `input`.
    pub fn relay<'a>(&mut self, input: &mut &'a mut [u8], to: &mut Sender) -> Result<Option<Event<'a>>, RelayError> {
        self.watched(input, |receiver, input| {
            while !input.is_empty() {
                receiver.check_relay()?;
                to.check_relay(&receiver.negotiated)?;
                match receiver.decode(input, Mode::Relay)? {
                    None => return Ok(None),
                    Some(Decoded::Control(opcode, payload)) => return Ok(Some(receiver.control(opcode, payload)?)),
                    Some(Decoded::Data(mut chunk)) if receiver.mode == Mode::Relay => {
                        chunk.unmask();
                        to.relay(&chunk)?;
                    }
                    Some(Decoded::Data(chunk)) => {
                        if let Some(event) = receiver.data(chunk)? {
                            return Ok(Some(event));
                        }
                    }
                }
            }
            Ok(None)
        })
    }

    /// Refuses to pass on messages that may refer to such as were inflated here.
    fn check_relay(&self) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if (self.inflater.is_some() || self.decoder.has_window())
            && self.negotiated.deflate.is_some_and(|params| params.peer_takeover)
        {
            return Err(SendError::Extension);
        }
        if self.is_extended() { Err(SendError::Extension) } else { Ok(()) }
    }
}
