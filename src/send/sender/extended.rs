//! What goes out through the stages of extensions (RFC 6455 §9).

use super::Sender;
use crate::extensions::Encoding;
use crate::message::Kind;
use crate::state::Happened;
use crate::wire::code::Code;
use crate::wire::error::SendError;
use crate::wire::frame::OpCode;

impl Sender {
    /// What is sent goes through these stages from now on.
    pub(crate) fn extend(&mut self, stages: Encoding) {
        self.rare.get_or_insert_default().extended = Some(stages);
        self.note_plain();
    }

    /// Whether it does.
    #[inline]
    pub(super) fn is_extended(&self) -> bool {
        self.rare.as_deref().is_some_and(|rare| rare.extended.is_some())
    }

    /// Appends a data frame that carries what the stages make of a payload. Where one fails, nothing more is sent but a close.
    #[cold]
    pub(super) fn append_extended(&mut self, fin: bool, rsv: u8, opcode: OpCode, payload: &[u8]) {
        let Some(stages) = self.rare.as_deref_mut().and_then(|rare| rare.extended.as_mut()) else { return };
        if self.facts.has(Happened::Failed) {
            return;
        }
        let kind = match opcode {
            OpCode::Text => Some(Kind::Text),
            OpCode::Binary => Some(Kind::Binary),
            _ => None,
        };
        match stages.encode(kind, fin, payload) {
            Ok((bits, made)) => self.append_as(self.role, fin, rsv | bits, opcode, &made),
            Err(refused) => {
                let code = if refused.code().is_sendable() { refused.code() } else { Code::INTERNAL_ERROR };
                self.fail(Some(code));
            }
        }
    }

    /// Whether what has just been taken, while the connection was open, will be sent.
    #[inline]
    pub(super) fn check_sent(&self) -> Result<(), SendError> {
        if self.facts.has(Happened::Failed) { Err(SendError::Extension) } else { Ok(()) }
    }
}
