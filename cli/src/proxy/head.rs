//! The head of a client's request, made to be one for the server behind a proxy.

use sockless_tokio::sockless::handshake::extended;
use sockless_tokio::{ClientRequest, Config, Request};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How long a head may be; what is longer is passed on as it is.
const MOST: usize = 16 << 10;

/// Reads up to the end of a head, and what came with it.
///
/// # Errors
/// Of the reader.
pub(super) async fn read(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < MOST && end(&bytes).is_none() {
        if reader.take((MOST - bytes.len()) as u64).read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    Ok(bytes)
}

fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The same for the server of this URL: with its host, and its target unless that is `/`; and what followed as it was. What is
/// no head of a request stays as it is.
pub(super) fn rewritten(bytes: &[u8], url: &ClientRequest) -> Vec<u8> {
    let Some((head, rest)) = end(bytes).map(|end| bytes.split_at(end)) else { return bytes.to_vec() };
    let Ok(request) = Request::parse(head, &Config::default()) else { return bytes.to_vec() };
    let target = if url.target() == "/" { request.target() } else { url.target() };
    let list = extended::request_headers(url, &Config::default()).unwrap_or_default();
    let host = list.iter().find(|(name, _)| name == ":authority").map_or(url.host(), |(_, host)| host);
    let version = if request.is_http_1_1() { "HTTP/1.1" } else { "HTTP/1.0" };
    let mut head = format!("{} {target} {version}\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(if name.eq_ignore_ascii_case("host") { host.as_bytes() } else { value });
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(rest);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_made_the_servers() {
        let rewritten =
            |bytes: &[u8], url: &str| String::from_utf8(rewritten(bytes, &ClientRequest::new(url).unwrap())).unwrap();
        let head = b"GET /a?b HTTP/1.1\r\nhost:  proxy:1\r\nX: y\r\n\r\nrest";
        assert_eq!(rewritten(head, "ws://server:2/"), "GET /a?b HTTP/1.1\r\nhost: server:2\r\nX: y\r\n\r\nrest");
        assert_eq!(rewritten(head, "wss://server/c"), "GET /c HTTP/1.1\r\nhost: server\r\nX: y\r\n\r\nrest");
        for no_head in [&b"GET / HTTP/1.1\r\n"[..], b"nonsense\r\n\r\n", b""] {
            assert_eq!(rewritten(no_head, "ws://server/").as_bytes(), no_head);
        }
    }
}
