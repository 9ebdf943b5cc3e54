//! What the programs are told in the same words, whichever adapter they are by.

use clap::{Args, ValueEnum};
use sockless::{Config, Deflate, Origins};

/// Which adapter a program is by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Adapter {
    /// sockless-std
    Std,
    /// sockless-tokio
    Tokio,
    /// sockless-mio
    Mio,
    /// sockless-futures, on smol
    Futures,
}

/// What either role takes and compresses.
#[derive(Args, Clone, Copy, Debug)]
pub struct Settings {
    /// Refuse longer messages, in bytes, with 1009
    #[arg(long, default_value_t = 1 << 20)]
    max_message: usize,
    /// Refuse messages in more fragments with 1008
    #[arg(long, default_value_t = 4096)]
    max_fragments: u32,
    /// Compress messages
    #[arg(long)]
    deflate: bool,
    /// The same, each message compressed by help of those before it
    #[arg(long)]
    deflate_takeover: bool,
}

impl Settings {
    /// Those of a server, which takes requests of any origin.
    pub fn server(self) -> Config {
        let mut config = self.config(Deflate::default());
        config.origins = Origins::Any;
        // One read may bring more messages behind the longest: their echoes have to wait, not to be refused.
        config.outbound.hard = config.outbound.hard.max(self.max_message);
        config
    }

    /// Those of a client: any window will do for what it sends, so that a server may name one.
    pub fn client(self) -> Config {
        self.config(Deflate { window_bits: 15, ..Deflate::default() })
    }

    fn config(self, deflate: Deflate) -> Config {
        let takeover = self.deflate_takeover;
        let mut config = Config::default();
        config.limits.message = self.max_message;
        config.limits.fragments = self.max_fragments;
        config.deflate = (self.deflate || takeover).then_some(Deflate { takeover, peer_takeover: takeover, ..deflate });
        config
    }
}
