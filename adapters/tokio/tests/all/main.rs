//! All tests that share a process: one program is linked once, and its tests share the processors.

mod addresses;
mod allocations;
#[cfg(all(feature = "axum", feature = "deflate"))]
mod axum;
mod basics;
mod byte_stream;
mod cancel;
#[cfg(feature = "codec")]
mod codec;
mod combinators;
mod common;
mod draining;
mod driving;
mod extending;
mod fair;
mod handlers;
#[cfg(all(feature = "axum", feature = "deflate"))]
mod http2;
#[cfg(all(feature = "axum", feature = "deflate", feature = "http2", feature = "tls"))]
mod http2_client;
#[cfg(all(feature = "axum", feature = "deflate", feature = "http2"))]
mod http2_reconnecting;
mod hub;
#[cfg(unix)]
mod listening;
mod meanwhile;
mod memory;
#[cfg(feature = "native-tls")]
mod native;
#[cfg(feature = "nats")]
mod nats;
#[cfg(all(feature = "platform-roots", feature = "webpki-roots"))]
mod opening;
mod parting;
mod progress;
#[cfg(feature = "tls")]
mod proxies;
#[cfg(feature = "testing")]
mod rates;
#[cfg(feature = "tls")]
mod reaching;
mod reconnecting;
#[cfg(feature = "tls")]
mod refusals;
#[cfg(feature = "deflate")]
mod relaying;
mod round_trip;
mod runtimes;
mod serving;
#[cfg(feature = "testing")]
mod tapes;
#[cfg(feature = "testing")]
mod testing;
#[cfg(feature = "tls")]
mod tls;
#[cfg(all(feature = "axum", feature = "deflate"))]
mod upgrades;
