//! All tests that share a process: one program is linked once, and its tests share the processors.

#[cfg(feature = "addresses")]
mod addresses;
mod budget;
mod by_hand;
mod closing;
mod common;
mod cutting;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "deflate")]
mod deflate_memory;
#[cfg(feature = "deflate")]
mod deflate_negotiation;
#[cfg(feature = "deflate")]
mod deflate_rest;
#[cfg(feature = "deflate")]
mod deflate_sending;
mod driver;
mod driver_calls;
mod driver_halves;
mod driver_hostile;
#[cfg(all(unix, target_pointer_width = "64"))]
mod examples;
mod extensions;
mod features;
mod frames;
mod framing;
mod handshake;
mod hostile;
mod keeping;
#[cfg(all(feature = "std", feature = "testing"))]
mod kept;
mod large;
mod lessons;
mod limits;
#[cfg(feature = "std")]
mod masks;
mod memory;
mod outbound;
mod pieces;
mod prepared;
mod rates;
mod relay;
#[cfg(feature = "std")]
mod sending;
#[cfg(feature = "testing")]
mod simulation;
mod split;
#[cfg(feature = "std")]
mod states;
#[cfg(feature = "testing")]
mod tapes;
#[cfg(feature = "testing")]
mod testkit;
mod text;
mod through;
#[cfg(feature = "testing")]
mod timers;
