//! The programs of the README and of the guides, compiled and run as the doctests of this package: they are for several adapters.

#[cfg(doctest)]
mod readme {
    #![doc = include_str!("../../README.md")]
}

/// A test for each program of a guide.
macro_rules! guides {
    ($($name:ident $file:literal)*) => {$(
        #[cfg(doctest)]
        mod $name {
            #![doc = include_str!(concat!("../../docs/guide/", $file))]
        }
    )*};
}

guides! {
    compression "compression.md"
    cookbook "cookbook.md"
    first_steps "first-steps.md"
    peers "peers.md"
    performance "performance.md"
    production "production.md"
    security "security.md"
    states "states.md"
    testing "testing.md"
    your_loop "your-loop.md"
}
