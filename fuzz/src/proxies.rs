//! What proxies say of their clients: a header of the PROXY protocol in any cuts, and fields of a request.

use arbitrary::Arbitrary;
use sockless::addresses::{Proxied, ProxyHeader, ProxyHeaderError, Trusted};

/// Bytes of a connection's front, and fields of a head.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// Bytes that come at once, less one.
    cut: u8,
    fields: [&'a [u8]; 3],
    bytes: &'a [u8],
}

/// Whatever the cuts, the same is read, no byte behind a header is taken, and nothing that a stranger writes counts.
pub fn proxies(input: &Input<'_>) {
    let [(one_by_one, taken), (at_once, taken_at_once)] =
        [1, usize::from(input.cut) + 1].map(|cut| read(input.bytes, cut));
    assert_eq!(at_once, one_by_one);
    assert!(taken.max(taken_at_once) <= ProxyHeader::MOST);
    // Of what is no header, more may come at once.
    assert!(one_by_one.is_err() || taken == taken_at_once);

    let names = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"];
    let fields = names.into_iter().zip(input.fields);
    let trusted = Trusted::new(["10.0.0.0/8", "::1"]).expect("networks");
    let [proxy, stranger] = ["10.0.0.1:1", "192.0.2.1:1"].map(|address| address.parse().ok());
    let told = trusted.client(fields.clone(), stranger).expect("nothing is looked at");
    assert_eq!((told.address, told.secure), (stranger, None));
    if let Ok(client) = trusted.client(fields, proxy) {
        assert!(client.address.is_some());
    }
    // What stands before the last of the list that a proxy has written does not count.
    if let Ok(before) = std::str::from_utf8(input.fields[1]) {
        let list = format!("{before}, 192.0.2.7");
        let client = trusted.client([("X-Forwarded-For", list.as_bytes())].into_iter(), proxy).expect("an address");
        assert_eq!(client.address, "192.0.2.7:0".parse().ok());
    }
}

fn read(bytes: &[u8], cut: usize) -> (Result<Option<Proxied>, ProxyHeaderError>, usize) {
    let mut header = ProxyHeader::default();
    let mut taken = 0;
    for mut part in bytes.chunks(cut) {
        let before = part.len();
        let result = header.receive(&mut part);
        taken += before - part.len();
        if !matches!(result, Ok(None)) {
            return (result, taken);
        }
    }
    (Ok(None), taken)
}
