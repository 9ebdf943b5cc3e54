use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use bytes::{Bytes, BytesMut};
use sockudo_ws::Message;
use sockudo_ws::protocol::{self, Protocol};

/// Its machine without I/O, in the loop of a server.
pub(crate) struct Sockudo {
    protocol: Protocol,
    pipe: Pipe,
    input: BytesMut,
    output: BytesMut,
    messages: Vec<Message>,
}

impl Sockudo {
    /// Handles what one read brings.
    #[inline]
    fn read(&mut self) {
        self.pipe.append(&mut self.input, READ);
        self.protocol.process_into(&mut self.input, &mut self.messages).unwrap();
    }

    #[inline]
    fn flush(&mut self) {
        self.pipe.put(&self.output);
        self.output.clear();
    }
}

impl Peer for Sockudo {
    const NAME: &'static str = "sockudo-ws";
    const SIZE: usize = size_of::<Protocol>();
    const LACKS: &'static str = "as built here, takes keys from `fastrand`, which can be predicted; as driven here, leaves pongs and \
        the answer to a close to the loop";

    fn open(pipe: Pipe, role: Role, _: Settings) -> Self {
        let role = match role {
            Role::Server => protocol::Role::Server,
            Role::Client => protocol::Role::Client,
        };
        Self {
            protocol: Protocol::new(role, 64 << 20, 64 << 20),
            pipe,
            input: BytesMut::with_capacity(READ),
            output: BytesMut::new(),
            messages: Vec::new(),
        }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        let mut received = 0;
        while received < count {
            self.read();
            received += self.messages.len();
            self.messages.drain(..).for_each(|message| each(message.as_bytes()));
        }
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        let message = Message::Binary(payload.clone());
        for _ in 0..count {
            self.protocol.encode_message(&message, &mut self.output).unwrap();
        }
        self.flush();
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        let mut received = 0;
        while received < count {
            self.read();
            received += self.messages.len();
            for message in self.messages.drain(..) {
                self.protocol.encode_message(&message, &mut self.output).unwrap();
            }
            self.flush();
        }
    }

    fn lent(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }
}
