use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, now};
use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, Payload, WebSocket};

pub(crate) struct FastWebSockets {
    socket: FragmentCollector<Pipe>,
    role: Role,
    /// What a client masks in place.
    scratch: Vec<u8>,
}

impl Peer for FastWebSockets {
    const NAME: &'static str = "fastwebsockets";
    const SIZE: usize = size_of::<FragmentCollector<()>>();
    const LACKS: &'static str = "takes memory for what a header announces; sets no limit to a message in fragments; checks text when \
        its frame is whole; no compression";
    const GROWS: bool = true;
    /// What collects fragments has no flush for a buffer below it.
    const WRITES_EACH: bool = true;

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        let of_peer = match role {
            Role::Server => fastwebsockets::Role::Server,
            Role::Client => fastwebsockets::Role::Client,
        };
        let mut socket = WebSocket::after_handshake(pipe, of_peer);
        if settings == Settings::Fast {
            socket.set_max_message_size(usize::MAX);
        }
        Self { socket: FragmentCollector::new(socket), role, scratch: Vec::new() }
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        now(async {
            for _ in 0..count {
                each(&self.socket.read_frame().await.unwrap().payload);
            }
        });
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        now(async {
            for _ in 0..count {
                let payload = match self.role {
                    Role::Server => Payload::Borrowed(payload),
                    Role::Client => {
                        self.scratch.clear();
                        self.scratch.extend_from_slice(payload);
                        Payload::BorrowedMut(&mut self.scratch)
                    }
                };
                self.socket.write_frame(Frame::binary(payload)).await.unwrap();
            }
        });
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        now(async {
            for _ in 0..count {
                let frame = self.socket.read_frame().await.unwrap();
                self.socket.write_frame(frame).await.unwrap();
            }
        });
    }
}
