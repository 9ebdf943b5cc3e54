//! All tests that share a process: one program is linked once, and its tests share the processors.

mod allocations;
mod byte_stream;
mod closing;
mod common;
mod cutting;
mod echo;
mod interop;
#[cfg(feature = "native-tls")]
mod native;
mod nonblocking;
mod opening;
mod parting;
mod proxies;
mod rates;
mod reconnecting;
mod round_trip;
mod server;
mod split;
#[cfg(feature = "testing")]
mod tapes;
#[cfg(feature = "tls")]
mod tls;
mod waiting;
