use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ, now};
use bytes::Bytes;
use tokio::io::{BufReader, BufWriter};
use web_socket::{DataType, Event, WebSocket};

type Stream = BufReader<BufWriter<Pipe>>;

pub(crate) struct WebSocketCrate {
    socket: WebSocket<Stream>,
    /// It leaves fragments apart.
    message: Vec<u8>,
}

impl WebSocketCrate {
    /// The next message, which came whole or is put together.
    #[inline]
    async fn next(&mut self) -> Option<Box<[u8]>> {
        loop {
            let (part, data) = match self.socket.recv().await.unwrap() {
                Event::Data { ty: DataType::Complete(_), data } => return Some(data),
                Event::Data { ty: DataType::Stream(part), data } => (part, data),
                other => panic!("{other:?}"),
            };
            if let web_socket::Stream::Start(_) = part {
                self.message.clear();
            }
            self.message.extend_from_slice(&data);
            if let web_socket::Stream::End(_) = part {
                return None;
            }
        }
    }
}

impl Peer for WebSocketCrate {
    const NAME: &'static str = "web-socket";
    const SIZE: usize = size_of::<WebSocket<BufReader<BufWriter<()>>>>();
    const LACKS: &'static str = "takes memory for what a header announces, within 16 MiB; leaves messages in fragments, their limit, \
        pongs and the answer to a close to the loop; no compression";
    const CHECKS_TEXT: bool = false;

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        // It reads a header and writes a message at a time, so it wants buffers around it.
        let stream = match settings {
            Settings::Fast => BufReader::with_capacity(READ, BufWriter::with_capacity(READ, pipe)),
            Settings::Default => BufReader::new(BufWriter::new(pipe)),
        };
        let socket = match role {
            Role::Server => WebSocket::server(stream),
            Role::Client => WebSocket::client(stream),
        };
        Self { socket, message: Vec::new() }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        now(async {
            for _ in 0..count {
                match self.next().await {
                    Some(whole) => each(&whole),
                    None => each(&self.message),
                }
            }
        });
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        now(async {
            for _ in 0..count {
                self.socket.send(&payload[..]).await.unwrap();
            }
            self.socket.flash().await.unwrap();
        });
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        now(async {
            for _ in 0..count {
                match self.next().await {
                    Some(whole) => self.socket.send(&whole[..]).await.unwrap(),
                    None => self.socket.send(&self.message[..]).await.unwrap(),
                }
            }
            self.socket.flash().await.unwrap();
        });
    }
}
