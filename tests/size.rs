//! What a connection weighs at rest: itself, and no heap.

use sockless::Connection;

#[test]
fn a_connection_is_small() {
    assert!(size_of::<Connection>() <= 256, "{} bytes", size_of::<Connection>());
}
