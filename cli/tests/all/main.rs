//! All tests that run the command: one program is linked once, and its tests share the processors.

mod common;
mod connecting;
mod ending;
mod inspecting;
#[cfg(unix)]
mod interrupting;
mod load;
mod proxying;
mod secure;
mod serving;
mod tapes;
#[cfg(unix)]
mod typing;
