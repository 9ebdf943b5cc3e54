//! Who a client truly is: what proxies say before a connection and in its request, and whose word is taken.

use crate::common::*;
use proptest::prelude::*;
use sockless::addresses::{Client, Proxied, ProxyHeader, ProxyHeaderError, Trusted};
use sockless::{Config, Event, HandshakeError, Origins, Request};
use std::net::SocketAddr;

fn at(address: &str) -> Option<SocketAddr> {
    let address = address.parse().or_else(|_| address.parse().map(|ip| SocketAddr::new(ip, 0)));
    Some(address.expect("an address"))
}

fn proxies() -> Trusted {
    Trusted::new(["10.0.0.0/8", "fd00::/8", "127.0.0.1"]).unwrap()
}

/// Who a request comes from that a trusted proxy brings.
fn client(fields: &[(&str, &str)]) -> Result<(String, Option<bool>), HandshakeError> {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let client = proxies().client(fields, at("10.0.0.1:4000"))?;
    Ok((client.address.unwrap().to_string(), client.secure))
}

// ---- who is trusted

#[test]
fn networks_addresses_and_unix_sockets_are_trusted_as_they_are_listed() {
    let trusted = proxies();
    for peer in ["10.255.0.1:1", "127.0.0.1:1", "[fd12::1]:1", "[::ffff:10.0.0.1]:1"] {
        assert!(trusted.contains(at(peer)), "{peer}");
    }
    for peer in ["11.0.0.1:1", "127.0.0.2:1", "[fe80::1]:1", "[::1]:1", "[::ffff:11.0.0.1]:1"] {
        assert!(!trusted.contains(at(peer)), "{peer}");
    }
    assert!(!trusted.contains(None) && Trusted::new(["unix:"]).unwrap().contains(None));
    assert!(Trusted::default().is_empty() && !trusted.is_empty());
    for text in ["", "10.0.0.0/33", "10.0.0", "localhost", "unix", "10.0.0.0/8 "] {
        assert_eq!(Trusted::new([text]).unwrap_err().text, text);
    }
}

#[test]
fn an_address_header_from_a_stranger_is_ignored() {
    let fields =
        [("X-Forwarded-For", &b"6.6.6.6"[..]), ("Forwarded", b"for=\"broken"), ("X-Forwarded-Proto", b"https")];
    for peer in [at("192.0.2.1:4000"), at("[2001:db8::1]:4000"), None] {
        let client = proxies().client(fields.into_iter(), peer).unwrap();
        assert_eq!((client.address, client.secure), (peer, None));
    }
    let nobody = Trusted::default().client(fields.into_iter(), at("127.0.0.1:4000")).unwrap();
    assert_eq!(nobody.address, at("127.0.0.1:4000"));
}

// ---- fields of the request

#[test]
fn the_chain_is_followed_from_its_end_to_the_first_that_is_not_trusted() {
    for (list, address) in [
        ("192.0.2.7", "192.0.2.7:0"),
        ("6.6.6.6, 192.0.2.7", "192.0.2.7:0"),
        ("6.6.6.6, 192.0.2.7, 10.0.0.3,10.0.0.2", "192.0.2.7:0"),
        ("10.9.9.9, 10.0.0.2", "10.9.9.9:0"),
        ("nonsense, 192.0.2.7", "192.0.2.7:0"),
        ("192.0.2.7:4711", "192.0.2.7:4711"),
        ("2001:db8::7", "[2001:db8::7]:0"),
        ("[2001:db8::7]:4711", "[2001:db8::7]:4711"),
        ("[2001:db8::7]", "[2001:db8::7]:0"),
        ("unknown", "10.0.0.1:4000"),
        ("6.6.6.6, unknown, 10.0.0.2", "10.0.0.2:0"),
        ("", "10.0.0.1:4000"),
        (",,", "10.0.0.1:4000"),
    ] {
        assert_eq!(client(&[("X-Forwarded-For", list)]), Ok((address.into(), None)), "{list}");
    }
    // In two fields, as if in one.
    let fields = [("x-forwarded-for", "6.6.6.6"), ("X-FORWARDED-FOR", "192.0.2.7, 10.0.0.2")];
    assert_eq!(client(&fields), Ok(("192.0.2.7:0".into(), None)));
    for list in ["nonsense", "6.6.6.6, x", "1.2.3", "1.2.3.4:x", "[::1", "1.2.3.4:99999", "6.6.6.6, nonsense, 10.0.0.2"]
    {
        assert_eq!(client(&[("X-Forwarded-For", list)]), Err(HandshakeError::Forwarded), "{list}");
    }
}

#[test]
fn elements_of_the_standard_header() {
    for (list, address, secure) in [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60:0", Some(false)),
        ("For=\"[2001:db8:cafe::17]:4711\"", "[2001:db8:cafe::17]:4711", None),
        ("for=6.6.6.6, for=192.0.2.43; proto=https , for=10.0.0.2;proto=http", "192.0.2.43:0", Some(true)),
        ("for=\"192.0.2.43:80\";host=\"a,b;for=6.6.6.6\"", "192.0.2.43:80", None),
        ("for=\"192.0.2\\.43\"", "192.0.2.43:0", None),
        ("for=\"192.0.2.43:_port\"", "192.0.2.43:0", None),
        ("for=\"[2001:db8::1]:_p\"", "[2001:db8::1]:0", None),
        ("for=_hidden, for=10.0.0.2", "10.0.0.2:0", None),
        ("for=unknown", "10.0.0.1:4000", None),
        ("proto=https", "10.0.0.1:4000", Some(true)),
        ("for=\"broken, for=6.6.6.6\", for=192.0.2.7", "192.0.2.7:0", None),
        ("", "10.0.0.1:4000", None),
        (" , ", "10.0.0.1:4000", None),
    ] {
        assert_eq!(client(&[("Forwarded", list)]), Ok((address.into(), secure)), "{list}");
    }
    for list in [
        "for=\"192.0.2.7",
        "for=6.6.6.6, for=x",
        "for",
        "=1",
        "for=\"1.2.3.4\"x",
        "for=1.2.3.4 x",
        "for=\"a, for=192.0.2.7",
    ] {
        assert_eq!(client(&[("Forwarded", list)]), Err(HandshakeError::Forwarded), "{list}");
    }
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let both = |standard, other| client(&[("Forwarded", standard), ("X-Forwarded-For", other)]);
    assert_eq!(both("for=192.0.2.7", "192.0.2.7"), Ok(("192.0.2.7:0".into(), None)));
    assert_eq!(both("for=\"[::ffff:192.0.2.7]\"", "6.6.6.6, 192.0.2.7").map(|_| ()), Ok(()));
    // One of them was written by the client.
    for standard in ["for=6.6.6.6", "for=unknown", "for=192.0.2.7, for=6.6.6.6"] {
        assert_eq!(both(standard, "192.0.2.7"), Err(HandshakeError::Forwarded), "{standard}");
    }
    assert_eq!(both("for=192.0.2.7", "unknown"), Err(HandshakeError::Forwarded));
    // What one does not speak of, the other may.
    assert_eq!(both("proto=https", "192.0.2.7"), Ok(("192.0.2.7:0".into(), Some(true))));
    let schemes = [("Forwarded", "for=192.0.2.7;proto=http"), ("X-Forwarded-Proto", "https")];
    assert_eq!(client(&schemes), Err(HandshakeError::Forwarded));
    assert_eq!(HandshakeError::Forwarded.status(), Some(400));
}

#[test]
fn the_scheme_is_that_of_the_hop_or_of_the_whole_chain() {
    let scheme =
        |addresses, schemes| client(&[("X-Forwarded-For", addresses), ("X-Forwarded-Proto", schemes)]).unwrap().1;
    assert_eq!(scheme("192.0.2.7", "https"), Some(true));
    assert_eq!(scheme("6.6.6.6, 192.0.2.7, 10.0.0.2", "HTTPS"), Some(true));
    assert_eq!(scheme("6.6.6.6, 192.0.2.7, 10.0.0.2", "http, https, http"), Some(true));
    assert_eq!(scheme("192.0.2.7", "wss"), Some(true));
    assert_eq!(scheme("192.0.2.7", "ws"), Some(false));
    assert_eq!(scheme("192.0.2.7", "gopher"), None);
    assert_eq!(client(&[("X-Forwarded-Proto", "https")]).unwrap().1, Some(true));
}

#[test]
fn origins_are_judged_by_how_the_client_came() {
    let head = |origin: &str, proto: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {origin}\r\n\
             X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: {proto}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let check = |origin, proto, peer, config: &Config| {
        let head = head(origin, proto);
        let request = Request::parse(head.as_bytes(), config).unwrap();
        let (request, client) = proxies().resolve(request, at(peer), config).unwrap();
        (request.check(), client)
    };
    let config = Config::default();
    let proxy = "10.0.0.1:4000";
    let of =
        |secure| Client::clone(&check("https://example.com", if secure { "https" } else { "http" }, proxy, &config).1);
    assert_eq!((of(true).address, of(true).secure, of(false).secure), (at("192.0.2.7"), Some(true), Some(false)));
    assert_eq!(check("https://example.com", "https", proxy, &config).0, Ok(()));
    assert_eq!(check("http://example.com", "https", proxy, &config).0, Err(HandshakeError::Origin));
    assert_eq!(check("https://example.com", "http", proxy, &config).0, Err(HandshakeError::Origin));
    // Of a stranger, nothing of it counts.
    assert_eq!(check("http://example.com", "https", "192.0.2.9:1", &config).0, Ok(()));
    // What the settings say counts more.
    let secure = Config { secure: Some(true), ..Config::default() };
    assert_eq!(check("https://example.com", "http", proxy, &secure).0, Ok(()));
    let any = Config { origins: Origins::Any, ..Config::default() };
    assert_eq!(check("http://example.org", "https", proxy, &any).0, Ok(()));
    // A connection takes the answer that this makes.
    let mut server = sockless::Connection::server(Config::default());
    let mut bytes = head("http://example.com", "https").into_bytes();
    let Ok(Some(Event::Request(request))) = server.receive(&mut &mut bytes[..]) else { panic!("no request") };
    let (request, _) = proxies().resolve(request, at(proxy), server.config()).unwrap();
    server.accept(request.accept()).unwrap();
    assert!(outbound(&mut server).starts_with(b"HTTP/1.1 403 "));
}

// ---- the PROXY protocol

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2: command, family, and what follows the length.
fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    [&SIGNATURE[..], &[0x20 | command, family], &(body.len() as u16).to_be_bytes(), body].concat()
}

/// The body for 192.0.2.7:4000 to 10.0.0.1:443.
const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x0F, 0xA0, 1, 0xBB];

fn ipv6() -> Vec<u8> {
    let source = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets();
    [&source[..], &[0; 16], &[0x0F, 0xA0, 1, 0xBB]].concat()
}

/// A field of its type, and what it says.
fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &(value.len() as u16).to_be_bytes()[..], value].concat()
}

/// What a header is read as that comes in parts, and how much is left.
fn read(bytes: &[u8], cut: usize) -> (Result<Option<Proxied>, ProxyHeaderError>, usize) {
    let mut header = ProxyHeader::default();
    let mut taken = 0;
    for part in bytes.chunks(cut) {
        let mut input = part;
        let result = header.receive(&mut input);
        taken += part.len() - input.len();
        if !matches!(result, Ok(None)) {
            return (result, bytes.len() - taken);
        }
        assert!(input.is_empty() && header.wants() > 0);
    }
    (Ok(None), bytes.len() - taken)
}

/// What both versions say.
fn good() -> Vec<(Vec<u8>, Option<SocketAddr>, Option<bool>)> {
    let tls = |client: u8| field(0x20, &[&[client, 0, 0, 0, 0][..], &field(0x21, b"TLSv1.3")].concat());
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        (text("PROXY TCP4 192.0.2.7 10.0.0.1 4000 443\r\n"), at("192.0.2.7:4000"), None),
        (text("PROXY TCP6 2001:db8::7 ::1 4000 443\r\n"), at("[2001:db8::7]:4000"), None),
        (text("PROXY UNKNOWN\r\n"), None, None),
        (text("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), None, None),
        (second(1, 0x11, &IPV4), at("192.0.2.7:4000"), None),
        (second(1, 0x21, &ipv6()), at("[2001:db8::7]:4000"), None),
        (second(0, 0x00, &[]), None, None),
        (second(0, 0x11, &IPV4), None, None),
        (second(1, 0x00, &[]), None, None),
        (second(1, 0x31, &[7; 216]), None, None),
        (second(1, 0x22, &ipv6()), at("[2001:db8::7]:4000"), None),
        (second(1, 0x21, &[&ipv6()[..], &field(1, b"h2"), &tls(1)].concat()), at("[2001:db8::7]:4000"), Some(true)),
        (second(1, 0x11, &[&IPV4[..], &tls(7)].concat()), at("192.0.2.7:4000"), Some(true)),
        (second(1, 0x11, &[&IPV4[..], &tls(0)].concat()), at("192.0.2.7:4000"), Some(false)),
        (second(1, 0x11, &[&IPV4[..], &field(0xEA, &[0; 2000])].concat()), at("192.0.2.7:4000"), None),
    ]
}

#[test]
fn headers_of_both_versions_are_read_however_they_are_cut_and_not_beyond() {
    for (header, source, secure) in good() {
        let bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
        for cut in (1..header.len().min(64)).chain([header.len(), bytes.len()]) {
            let (proxied, left) = read(&bytes, cut);
            let proxied = proxied.unwrap().expect("a header");
            assert_eq!((proxied.source, proxied.secure), (source, secure), "{:?}", header.escape_ascii().to_string());
            // What is behind it in a part is left there.
            assert_eq!(left, bytes.len() - header.len());
        }
        for len in 0..header.len() {
            assert_eq!(read(&header[..len], len.max(1)), (Ok(None), 0), "cut at {len}");
        }
    }
}

#[test]
fn no_more_is_wanted_than_the_header_has() {
    for (bytes, ..) in good() {
        let mut header = ProxyHeader::default();
        let mut at = 0;
        loop {
            let wants = header.wants();
            assert!(wants > 0 && at + wants <= bytes.len(), "{wants} at {at} of {}", bytes.len());
            let done = header.receive(&mut &bytes[at..at + wants]).unwrap();
            at += wants;
            if done.is_some() {
                break;
            }
        }
        assert_eq!(at, bytes.len());
    }
}

#[test]
fn what_is_no_header_is_refused_at_once() {
    use ProxyHeaderError::{Malformed, TooLong};
    let line = |text: &str| text.as_bytes().to_vec();
    for (bytes, error) in [
        (line("GET / HTTP/1.1\r\n"), Malformed),
        (line("PROXX"), Malformed),
        (line("PROXY\r\n"), Malformed),
        (line("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), Malformed),
        (line("PROXY TCP4 ::1 ::1 1 2\r\n"), Malformed),
        (line("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), Malformed),
        (line("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4\r1.2.3.4 1 2\r\n"), Malformed),
        (line("PROXY UNKNOWN \u{fffd}\n"), Malformed),
        (b"PROXY UNKNOWN \xFF\r\n".to_vec(), Malformed),
        (line(&format!("PROXY UNKNOWN {}", "x".repeat(10 << 10))), TooLong),
        (line(&format!("PROXY UNKNOWN {}\r\n", "x".repeat(93))), TooLong),
        (second(1, 0x11, &[0; 10 << 10]), TooLong),
        (second(1, 0x11, &IPV4[..11]), Malformed),
        (second(1, 0x21, &ipv6()[..35]), Malformed),
        (second(1, 0x31, &[7; 215]), Malformed),
        (second(1, 0x11, &[&IPV4[..], &[0x20, 0]].concat()), Malformed),
        (second(2, 0x11, &IPV4), Malformed),
        (second(1, 0x41, &IPV4), Malformed),
        (second(1, 0x13, &IPV4), Malformed),
        ([&SIGNATURE[..], &[0x11, 0x11, 0, 12], &IPV4].concat(), Malformed),
        (second(1, 0x11, &[&IPV4[..], &[0x20, 0, 9, 1]].concat()), Malformed),
        (second(1, 0x11, &[&IPV4[..], &field(0x20, &[])].concat()), Malformed),
        (b"\r\n\r\n\0\r\nQUIX".to_vec(), Malformed),
    ] {
        for cut in [1, 5, 1 << 20] {
            let (result, _) = read(&bytes, cut);
            assert_eq!(result, Err(error), "{:?}", bytes[..bytes.len().min(64)].escape_ascii().to_string());
        }
    }
    // Nothing of what is too long is waited for.
    let mut header = ProxyHeader::default();
    let front = second(1, 0x11, &[0; 10 << 10]);
    assert_eq!(header.receive(&mut &front[..16]), Err(TooLong));
    assert!(ProxyHeaderError::ANSWER.starts_with(b"HTTP/1.1 400 "));
}

proptest! {
    /// Whatever comes, it ends with what it is, and takes no more than a header may have.
    #[test]
    fn any_bytes_end_soon(
        start in 0..4usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..6000),
        cut in 1..200usize,
    ) {
        let header = second(1, 0x11, &[]);
        let front = [&b""[..], b"PROXY TCP4 1.2.3.4 ", &SIGNATURE, &header[..14]][start];
        let bytes = [front, &bytes].concat();
        let (result, left) = read(&bytes, cut);
        prop_assert!(bytes.len() - left <= ProxyHeader::MOST.max(cut));
        prop_assert_eq!(read(&bytes, 1).0, result);
    }

    /// Nor does anything that a proxy may write panic.
    #[test]
    fn any_fields_are_judged(standard in "[ -~]{0,40}", other in "[ -~]{0,40}", scheme in "[ -~]{0,10}") {
        let fields = [("Forwarded", &standard[..]), ("X-Forwarded-For", &other), ("X-Forwarded-Proto", &scheme)];
        for field in fields {
            _ = client(&[field]);
        }
        _ = client(&fields);
    }

    /// Whoever a client says it is, the proxy's word stands.
    #[test]
    fn what_a_client_writes_before_the_proxy_does_not_count(said in "[ -!#-~]{0,40}") {
        let list = format!("{said}, 192.0.2.7");
        prop_assert_eq!(client(&[("X-Forwarded-For", &list)]), Ok(("192.0.2.7:0".into(), None)));
        let list = format!("{said}, for=192.0.2.7");
        if let Ok((address, _)) = client(&[("Forwarded", &list)]) {
            prop_assert_eq!(address, "192.0.2.7:0");
        }
    }
}
