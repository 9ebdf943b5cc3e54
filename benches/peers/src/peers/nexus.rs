use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use bytes::Bytes;
use nexus_web::ws::{self, FrameReader, FrameWriter, Message};

/// Its reader and its writer, with the loop that it leaves to its caller: its own writes each message apart.
pub(crate) struct Nexus {
    reader: FrameReader,
    writer: FrameWriter,
    pipe: Pipe,
    output: Vec<u8>,
}

impl Nexus {
    /// Handles messages until there were `count`, and writes what they made behind each read.
    #[inline]
    fn run(&mut self, count: usize, mut each: impl FnMut(&[u8], &mut FrameWriter, &mut Vec<u8>)) {
        let mut messages = 0;
        while messages < count {
            while let Some(message) = self.reader.next().unwrap() {
                let (Message::Text(_) | Message::Binary(_)) = message else { panic!("{message:?}") };
                each(message.as_bytes(), &mut self.writer, &mut self.output);
                messages += 1;
            }
            if !self.output.is_empty() {
                self.pipe.put(&self.output);
                self.output.clear();
            }
            if messages < count {
                if self.reader.should_compact() {
                    self.reader.compact();
                }
                self.reader.read_from(&mut self.pipe).unwrap();
            }
        }
    }
}

#[inline]
fn append(writer: &mut FrameWriter, payload: &[u8], output: &mut Vec<u8>) {
    let start = output.len();
    output.resize(start + writer.max_encoded_len(payload.len()), 0);
    let len = writer.encode_binary(payload, &mut output[start..]);
    output.truncate(start + len);
}

impl Peer for Nexus {
    const NAME: &'static str = "nexus-web";
    const SIZE: usize = size_of::<FrameReader>() + size_of::<FrameWriter>();
    const LACKS: &'static str = "as driven here, leaves pongs and the answer to a close to the loop; no compression";

    const CHECKS_CUT_TEXT: bool = false;

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        let role = match role {
            Role::Server => ws::Role::Server,
            Role::Client => ws::Role::Client,
        };
        let mut reader = FrameReader::builder().role(role);
        if settings == Settings::Fast {
            reader = reader.buffer_capacity(READ).max_frame_size(u64::MAX).max_message_size(usize::MAX);
        }
        Self { reader: reader.build(), writer: FrameWriter::new(role), pipe, output: Vec::new() }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        self.run(count, |message, _, _| each(message));
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        for _ in 0..count {
            append(&mut self.writer, payload, &mut self.output);
        }
        self.pipe.put(&self.output);
        self.output.clear();
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        self.run(count, |message, writer, output| append(writer, message, output));
    }

    fn lent(&self) -> usize {
        self.output.capacity()
    }
}
