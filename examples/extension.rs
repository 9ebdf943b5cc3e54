//! An extension of one's own: every message carries its number, so that both ends see that none is missing.
//!
//! ```text
//! cargo run --example extension --features testing
//! ```

use sockless::Config;
use sockless::extensions::{Decode, Encode, Extension, Extensions, Output, Params, Part, Refused, Stage};
use sockless::testing::Pair;

#[derive(Debug)]
struct Numbered;

/// Of one way of one connection: the number of the next message, and how many bytes of it have come.
#[derive(Default)]
struct Count(u32, usize);

impl Extension for Numbered {
    fn name(&self) -> &str {
        "x-numbered"
    }

    fn accept(&self, _offer: &Params) -> Option<(Params, Stage)> {
        Some((Params::new(), Stage::new(Count::default(), Count::default())))
    }

    fn agree(&self, _answer: &Params) -> Option<Stage> {
        Some(Stage::new(Count::default(), Count::default()))
    }
}

impl Encode for Count {
    fn encode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<u8, Refused> {
        if part.first {
            out.push(&self.0.to_be_bytes())?;
            self.0 += 1;
        }
        out.push(part.bytes)?;
        Ok(0) // No reserved bits.
    }
}

impl Decode for Count {
    fn decode(&mut self, part: Part<'_>, out: &mut Output<'_>) -> Result<(), Refused> {
        // A part is whatever has come: it may end within the number.
        let expected = self.0.to_be_bytes();
        let due = &expected[self.1..expected.len().min(self.1 + part.bytes.len())];
        let rest = part.bytes.strip_prefix(due).ok_or(Refused::new(1002))?;
        self.1 += due.len();
        if part.last {
            *self = Self(self.0 + 1, 0);
        }
        out.push(rest)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config { extensions: Extensions::new([Numbered]), ..Config::default() };
    let mut pair = Pair::open(config.clone(), config);
    pair.cut = 1; // It comes byte by byte.
    pair.client.connection.send_text("hello")?;
    pair.client.connection.send_text("world")?;
    println!("{} bytes on the wire", pair.client.connection.queued());
    pair.run();
    println!("{:?}", pair.server.take());
    Ok(())
}
