//! The guides of `docs` in the repository.
//!
// Where their text refers to files, pages come in their place, for of two definitions the first counts.
#![doc = include_str!("guide/links.md")]
#![doc = include_str!("../docs/guide/README.md")]

/// A page for each file. Its programs are tests of a package of their own.
macro_rules! pages {
    ($($name:ident $file:literal)*) => {$(
        #[doc = include_str!("guide/links.md")]
        #[doc = include_str!(concat!("../docs/", $file))]
        pub mod $name {}
    )*};
}

pages! {
    benchmarks "benchmarks.md"
    compression "guide/compression.md"
    cookbook "guide/cookbook.md"
    figures "benchmarks/figures.md"
    first_steps "guide/first-steps.md"
    from_axum "moving/axum.md"
    from_fastwebsockets "moving/fastwebsockets.md"
    from_tokio_tungstenite "moving/tokio-tungstenite.md"
    peers "guide/peers.md"
    performance "guide/performance.md"
    platforms "platforms.md"
    production "guide/production.md"
    security "guide/security.md"
    stability "stability.md"
    states "guide/states.md"
    testing "guide/testing.md"
    your_loop "guide/your-loop.md"
}
