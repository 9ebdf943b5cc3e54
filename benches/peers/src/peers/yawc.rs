use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, READ, now};
use bytes::Bytes;
use futures_util::SinkExt;
use yawc::{Frame, Options, WebSocket};

pub(crate) struct Yawc(pub(crate) WebSocket<Pipe>);

/// Its settings for speed, with UTF-8 checked, which it leaves out by itself.
pub(crate) fn options() -> Options {
    Options::default()
        .with_limits(64 << 20, 128 << 20)
        .with_read_buffer_capacity(READ)
        .with_write_buffer_capacity(2 * READ)
        .with_backpressure_boundary(2 * READ)
        .with_utf8()
}

impl Peer for Yawc {
    const NAME: &'static str = "yawc";
    const SIZE: usize = size_of::<WebSocket<()>>();
    const LACKS: &'static str = "checks text when its message is whole";

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        let options = match settings {
            Settings::Fast => options(),
            Settings::Default => Options::default(),
        };
        let role = match role {
            Role::Server => yawc::Role::Server,
            Role::Client => yawc::Role::Client,
        };
        Self(WebSocket::from_stream(pipe, role, options).unwrap())
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        now(async {
            for _ in 0..count {
                each(self.0.next_frame().await.unwrap().payload());
            }
        });
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        now(async {
            for _ in 0..count {
                self.0.feed(Frame::binary(payload.clone())).await.unwrap();
            }
            self.0.flush().await.unwrap();
        });
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        now(async {
            for _ in 0..count {
                let frame = self.0.next_frame().await.unwrap();
                self.0.feed(Frame::binary(frame.into_payload())).await.unwrap();
            }
            self.0.flush().await.unwrap();
        });
    }
}
