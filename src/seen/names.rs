//! The names of what is counted, as Prometheus would have them, and their labels.

/// Gauge: connections that are open now. Label `role`: `server` or `client`.
pub const CONNECTIONS: &str = "sockless_connections";
/// Connections that were opened. Label `role`.
pub const OPENED: &str = "sockless_opened_total";
/// Connections that were open and have ended. Labels `role`; `code`: 1000 to 1015, `3xxx`, `4xxx` or `other`, where 1005 is a close
/// frame without a code and 1006 an end without a close frame; `cause`: see [`Ended::cause`](super::Ended::cause).
pub const CLOSED: &str = "sockless_closed_total";
/// Connections that a server did not open. Label `reason`: see [`Refused::reason`](super::Refused::reason).
pub const REFUSED: &str = "sockless_refused_total";
/// Messages and control frames that came. Label `kind`: `text`, `binary`, `ping`, `pong` or `close`.
pub const RECEIVED: &str = "sockless_messages_received_total";
/// Messages and control frames that were made to go out. Label `kind`.
pub const SENT: &str = "sockless_messages_sent_total";
/// Bytes of payload that came, as they were on the wire.
pub const RECEIVED_BYTES: &str = "sockless_received_bytes_total";
/// Bytes of payload that were made to go out, as they are on the wire.
pub const SENT_BYTES: &str = "sockless_sent_bytes_total";
/// Messages that were not taken for a peer that is too slow, or closing.
pub const DROPPED: &str = "sockless_dropped_total";
/// Handlers that have failed, or panicked.
pub const HANDLER_FAILURES: &str = "sockless_handler_failures_total";
/// Histogram: seconds from when the application is told a message until it has done with it.
pub const HANDLER_SECONDS: &str = "sockless_handler_seconds";

/// Bounds for [`HANDLER_SECONDS`], in seconds: from 10 µs to 10 s.
pub const BUCKETS: &[f64] = &[1e-5, 1e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 10.0];
