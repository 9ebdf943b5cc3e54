//! What is measured.

mod deflate;
mod handshake;
pub(crate) mod memory;
mod messages;
pub(crate) mod refusals;

use crate::measure::Workload;

pub(crate) fn all() -> Vec<Workload> {
    [messages::receive(), messages::send(), messages::echo(), handshake::all(), deflate::all()]
        .into_iter()
        .flatten()
        .collect()
}

/// A size as it is written.
fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..0x10_0000 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// What a generic function makes of every contestant.
macro_rules! everybody {
    ($make:ident($($argument:expr),*)) => {{
        use crate::peers::*;
        vec![
            $make::<Limit>($($argument),*),
            $make::<Sockless>($($argument),*),
            $make::<Tungstenite>($($argument),*),
            $make::<TokioWebSockets>($($argument),*),
            $make::<FastWebSockets>($($argument),*),
            $make::<Soketto>($($argument),*),
            $make::<Yawc>($($argument),*),
            $make::<Sockudo>($($argument),*),
            $make::<WebSocketCrate>($($argument),*),
            $make::<SansIo>($($argument),*),
            $make::<Nexus>($($argument),*),
        ]
    }};
}
use everybody;
