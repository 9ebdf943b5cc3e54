//! All tests that share a process: one program is linked once, and its tests share the processors.

mod addresses;
#[cfg(unix)]
mod adopting;
mod allocations;
mod answers;
mod churn;
mod client;
mod closing;
mod common;
mod echo;
#[cfg(unix)]
mod fair;
mod limits;
#[cfg(feature = "native-tls")]
mod native;
#[cfg(feature = "nats")]
mod nats;
mod outgoing;
mod panics;
mod pausing;
mod pieces;
mod pool;
mod rates;
mod refusals;
mod requests;
mod routes;
mod run;
mod shutdown;
mod slow;
#[cfg(feature = "testing")]
mod tapes;
#[cfg(feature = "testing")]
mod testing;
mod threads;
mod timers;
#[cfg(feature = "tls")]
mod tls;
mod topics;
#[cfg(unix)]
mod unix;
