//! File descriptors, for loops that wait for many connections.

use crate::net_stream::NetStream;
use crate::stream::{NoTimeouts, Stream};
use crate::websocket::WebSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

macro_rules! descriptor {
    ([$($generics:tt)*] $type:ty, $stream:ident => $inner:expr) => {
        impl<$($generics)*> AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                let $stream = self;
                $inner.as_fd()
            }
        }

        impl<$($generics)*> AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                let $stream = self;
                $inner.as_fd().as_raw_fd()
            }
        }
    };
}

descriptor!([S: Stream + AsFd] WebSocket<S>, socket => socket.get_ref());
descriptor!([] NetStream, stream => stream.tcp());
descriptor!([S: AsFd] NoTimeouts<S>, stream => stream.0);
