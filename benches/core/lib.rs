//! Nothing: a package has to have something besides its benches.
