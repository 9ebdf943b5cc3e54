use crate::peer::{Peer, Role, Settings};
use crate::pipe::{Pipe, now};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Config, Limits, Message, ServerBuilder, WebSocketStream};

pub(crate) struct TokioWebSockets(WebSocketStream<Pipe>);

impl Peer for TokioWebSockets {
    const NAME: &'static str = "tokio-websockets";
    const SIZE: usize = size_of::<WebSocketStream<()>>();
    const LACKS: &'static str = "takes memory for what a header announces; as built here, takes keys from `fastrand`, which can be \
        predicted; no compression";
    const GROWS: bool = true;

    fn open(pipe: Pipe, role: Role, settings: Settings) -> Self {
        let (config, limits) = match settings {
            Settings::Fast => {
                (Config::default().flush_threshold(usize::MAX).frame_size(usize::MAX), Limits::unlimited())
            }
            Settings::Default => Default::default(),
        };
        Self(match role {
            Role::Server => ServerBuilder::new().config(config).limits(limits).serve(pipe),
            Role::Client => ClientBuilder::new().config(config).limits(limits).take_over(pipe),
        })
    }

    #[inline]
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        now(async {
            for _ in 0..count {
                each(self.0.next().await.unwrap().unwrap().as_payload());
            }
        });
    }

    #[inline]
    fn send(&mut self, payload: &Bytes, count: usize) {
        now(async {
            for _ in 0..count {
                self.0.feed(Message::binary(payload.clone())).await.unwrap();
            }
            self.0.flush().await.unwrap();
        });
    }

    #[inline]
    fn echo(&mut self, count: usize) {
        now(async {
            for _ in 0..count {
                let message = self.0.next().await.unwrap().unwrap();
                self.0.feed(message).await.unwrap();
            }
            self.0.flush().await.unwrap();
        });
    }
}
