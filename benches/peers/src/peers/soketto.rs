use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ, now};
use bytes::Bytes;
use futures_util::io::{BufReader, BufWriter};
use soketto::connection::Builder;
use soketto::{Mode, Receiver, Sender};

type Stream = BufReader<BufWriter<Pipe>>;

pub(crate) struct Soketto {
    sender: Sender<Stream>,
    receiver: Receiver<Stream>,
    message: Vec<u8>,
}

impl Peer for Soketto {
    const NAME: &'static str = "soketto";
    const SIZE: usize = size_of::<(Sender<()>, Receiver<()>)>();
    const LACKS: &'static str = "takes memory for what a header announces, within 256 MiB; compression by a feature that is off here, \
        without takeover";
    const CHECKS_TEXT: bool = false;

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        // It reads and writes a header at a time, so it wants buffers around it.
        let stream = match settings {
            Settings::Fast => BufReader::with_capacity(READ, BufWriter::with_capacity(READ, pipe)),
            Settings::Default => BufReader::new(BufWriter::new(pipe)),
        };
        let mode = match role {
            Role::Server => Mode::Server,
            Role::Client => Mode::Client,
        };
        let (sender, receiver) = Builder::new(stream, mode).finish();
        Self { sender, receiver, message: Vec::new() }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        now(async {
            for _ in 0..count {
                self.message.clear();
                self.receiver.receive_data(&mut self.message).await.unwrap();
                each(&self.message);
            }
        });
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        now(async {
            for _ in 0..count {
                self.sender.send_binary(payload).await.unwrap();
            }
            self.sender.flush().await.unwrap();
        });
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        now(async {
            for _ in 0..count {
                self.message.clear();
                self.receiver.receive_data(&mut self.message).await.unwrap();
                self.sender.send_binary_mut(&mut self.message).await.unwrap();
            }
            self.sender.flush().await.unwrap();
        });
    }
}
