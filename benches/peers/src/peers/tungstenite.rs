use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ};
use bytes::Bytes;
use tungstenite::protocol::{self, WebSocketConfig};
use tungstenite::{Message, WebSocket};

pub(crate) struct Tungstenite(pub(crate) WebSocket<Pipe>);

impl Peer for Tungstenite {
    const NAME: &'static str = "tungstenite";
    const SIZE: usize = size_of::<WebSocket<()>>();
    const LACKS: &'static str = "takes memory for what a header announces, within 16 MiB a frame; checks text when its frame is \
        whole; no compression";

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        let config = match settings {
            Settings::Fast => WebSocketConfig::default().read_buffer_size(READ),
            Settings::Default => WebSocketConfig::default(),
        };
        let role = match role {
            Role::Server => protocol::Role::Server,
            Role::Client => protocol::Role::Client,
        };
        Self(WebSocket::from_raw_socket(pipe, role, Some(config)))
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        for _ in 0..count {
            match self.0.read().unwrap() {
                Message::Text(text) => each(text.as_bytes()),
                Message::Binary(bytes) => each(&bytes),
                other => panic!("{other:?}"),
            }
        }
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        for _ in 0..count {
            self.0.write(Message::Binary(payload.clone())).unwrap();
        }
        self.0.flush().unwrap();
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        for _ in 0..count {
            let message = self.0.read().unwrap();
            self.0.write(message).unwrap();
        }
        self.0.flush().unwrap();
    }
}
