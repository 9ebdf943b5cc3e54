//! Runs the conformance vectors of this folder against an implementation of WebSockets.
//!
//! Fill in [`Implementation`] and [`Endpoint`], and [`run`] says where the implementation differs from the RFCs:
//!
//! ```
//! use sockless_vectors::{Client, Cutting, Endpoint, Frames, Implementation, Server, load, run};
//!
//! /// It speaks no WebSocket at all, so every case is left out.
//! struct Mine;
//!
//! impl Implementation for Mine {
//!     fn frames(&self, _: &Frames) -> Option<Box<dyn Endpoint>> {
//!         None
//!     }
//!     fn server(&self, _: &Server) -> Option<Box<dyn Endpoint>> {
//!         None
//!     }
//!     fn client(&self, _: &Client) -> Option<Box<dyn Endpoint>> {
//!         None
//!     }
//! }
//!
//! let cases = load(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
//! let report = run(&cases, &Mine, Cutting::Whole);
//! assert_eq!((report.passed, report.left_out), (0, cases.len()));
//! assert_eq!(report.to_string(), format!("0 passed, 0 deviate, 0 fail without saying why, {} left out", cases.len()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod case;
mod compare;
mod endpoint;
mod offer;
mod outcome;
mod run;
pub mod table;

pub use case::{
    Accept, Bytes, Case, Client, End, Event, Expect, Frames, Limits, Load, Open, Params, Role, Sends, Server, load,
};
pub use endpoint::{Endpoint, Implementation};
pub use offer::Offer;
pub use outcome::{Handshake, Outcome};
pub use run::{Cutting, Deviation, Report, run};
