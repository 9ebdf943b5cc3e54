use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use bytes::Bytes;
use websocket_sans_io::{
    FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent as Event,
};

/// Its frames, with the loop and the messages that it leaves to its caller.
pub(crate) struct SansIo {
    decoder: WebsocketFrameDecoder,
    encoder: WebsocketFrameEncoder,
    role: Role,
    keys: u32,
    pipe: Pipe,
    buffer: Vec<u8>,
    message: Vec<u8>,
    output: Vec<u8>,
}

impl SansIo {
    /// Handles messages until there were `count`, and writes what they made behind each read.
    #[inline]
    fn run(&mut self, count: usize, mut each: impl FnMut(&[u8], &mut Vec<u8>)) {
        let mut messages = 0;
        while messages < count {
            let read = self.pipe.fill(&mut self.buffer);
            let mut input = &mut self.buffer[..read];
            loop {
                let result = self.decoder.add_data(input).unwrap();
                let (taken, rest) = std::mem::take(&mut input).split_at_mut(result.consumed_bytes);
                input = rest;
                match result.event {
                    Some(Event::Start { .. }) => {}
                    // A message whose only chunk this is lies whole in the buffer.
                    Some(Event::PayloadChunk { .. }) if self.message.is_empty() => {
                        match self.decoder.add_data(&mut []).unwrap().event {
                            Some(Event::End { frame_info, .. }) if frame_info.fin => {
                                each(taken, &mut self.output);
                                messages += 1;
                            }
                            _ => self.message.extend_from_slice(taken),
                        }
                    }
                    Some(Event::PayloadChunk { .. }) => self.message.extend_from_slice(taken),
                    Some(Event::End { frame_info, .. }) if frame_info.fin => {
                        each(&self.message, &mut self.output);
                        self.message.clear();
                        messages += 1;
                    }
                    Some(Event::End { .. }) => {}
                    None if input.is_empty() => break,
                    None => {}
                }
            }
            if !self.output.is_empty() {
                self.pipe.put(&self.output);
                self.output.clear();
            }
        }
    }
}

#[inline]
fn append(encoder: &mut WebsocketFrameEncoder, mask: Option<[u8; 4]>, payload: &[u8], output: &mut Vec<u8>) {
    let info = FrameInfo { opcode: Opcode::Binary, payload_length: payload.len() as u64, mask, fin: true, reserved: 0 };
    output.extend_from_slice(&encoder.start_frame(&info));
    let start = output.len();
    output.extend_from_slice(payload);
    encoder.transform_frame_payload(&mut output[start..]);
}

impl Peer for SansIo {
    const NAME: &'static str = "websocket-sans-io";
    const SIZE: usize = size_of::<WebsocketFrameDecoder>() + size_of::<WebsocketFrameEncoder>();
    const LACKS: &'static str = "leaves the rules, messages, their limit, masking keys, pongs and the answer to a close to the loop; \
        no compression";
    const CHECKS_TEXT: bool = false;

    fn open(pipe: Pipe, role: Role, _: Settings) -> Self {
        let (decoder, encoder) = Default::default();
        let (message, output) = Default::default();
        Self { decoder, encoder, role, keys: 1, pipe, buffer: vec![0; READ], message, output }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        self.run(count, |message, _| each(message));
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        for _ in 0..count {
            // It leaves the keys to its caller too.
            self.keys = self.keys.wrapping_mul(0x915f_77f5).wrapping_add(1);
            let mask = (self.role == Role::Client).then(|| self.keys.to_ne_bytes());
            append(&mut self.encoder, mask, payload, &mut self.output);
        }
        self.pipe.put(&self.output);
        self.output.clear();
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        let mut encoder = self.encoder;
        self.run(count, |message, output| append(&mut encoder, None, message, output));
    }

    fn lent(&self) -> usize {
        self.buffer.capacity() + self.output.capacity()
    }
}
