//! What proxies write into a request's head: `Forwarded` (RFC 7239), `X-Forwarded-For` and `X-Forwarded-Proto`.

use super::Trusted;
use crate::config::{Config, Origins};
use crate::handshake::Request;
use crate::wire::error::HandshakeError;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Who a client is, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// Its address; with port 0 where that is not known. `None` over a Unix socket of which no proxy says more.
    pub address: Option<SocketAddr>,
    /// Whether it reached the outermost proxy over TLS; `None` where that is not known.
    pub secure: Option<bool>,
}

/// What a header says of one hop: `None` where it says nothing, or that it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hop {
    address: Option<SocketAddr>,
    /// Whether it says of the address at least that it is not known.
    says: bool,
    secure: Option<bool>,
}

impl Trusted {
    /// Who has sent a request with these fields to `peer`, which brought it here: whoever is last in the chain of proxies that are
    /// trusted. Of an untrusted peer, the fields are not looked at.
    ///
    /// Every proxy adds at the end, so the chain is followed from there, and nothing before the first that is not trusted counts.
    ///
    /// # Errors
    /// [`Forwarded`](HandshakeError::Forwarded) where a trusted proxy's header cannot be read, or where two contradict each other: a
    /// client may have written the one that the proxy does not.
    ///
    /// ```
    /// use sockless::addresses::Trusted;
    ///
    /// let trusted = Trusted::new(["10.0.0.0/8"])?;
    /// let fields = [("X-Forwarded-For", &b"6.6.6.6, 192.0.2.7, 10.0.0.2"[..]), ("X-Forwarded-Proto", b"https")];
    /// let client = trusted.client(fields.into_iter(), Some("10.0.0.1:4000".parse()?))?;
    /// assert_eq!(client.address, Some("192.0.2.7:0".parse()?)); // and what it said of itself does not count
    /// assert_eq!(client.secure, Some(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client<'h>(
        &self,
        fields: impl Iterator<Item = (&'h str, &'h [u8])>,
        peer: Option<SocketAddr>,
    ) -> Result<Client, HandshakeError> {
        let mut client = Client { address: peer, secure: None };
        if !self.contains(peer) {
            return Ok(client);
        }
        let (mut standard, mut addresses, mut schemes) = (None, None, None);
        for (name, value) in fields {
            let list = match name {
                _ if name.eq_ignore_ascii_case("forwarded") => &mut standard,
                _ if name.eq_ignore_ascii_case("x-forwarded-for") => &mut addresses,
                _ if name.eq_ignore_ascii_case("x-forwarded-proto") => &mut schemes,
                _ => continue,
            };
            let value = core::str::from_utf8(value).map_err(|_| HandshakeError::Forwarded)?;
            let list: &mut String = list.get_or_insert_default();
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(value);
        }
        let standard = standard.map(|list| self.follow(&elements(&list)?)).transpose()?;
        let others = match (addresses, schemes) {
            (None, None) => None,
            (addresses, schemes) => Some(self.follow(&others(addresses.as_deref(), schemes.as_deref()))?),
        };
        let (one, other) = (standard.unwrap_or_default(), others.unwrap_or_default());
        let ip = |hop: Hop| hop.address.map(|address| address.ip().to_canonical());
        let contradict = one.says && other.says && ip(one) != ip(other)
            || matches!((one.secure, other.secure), (Some(one), Some(other)) if one != other);
        if contradict {
            return Err(HandshakeError::Forwarded);
        }
        client.address = one.address.or(other.address).or(peer);
        client.secure = one.secure.or(other.secure);
        Ok(client)
    }

    /// The hop that is the client's, and what is known of it.
    fn follow(&self, hops: &[Result<Hop, HandshakeError>]) -> Result<Hop, HandshakeError> {
        let mut found = Hop::default();
        for hop in hops.iter().rev() {
            let hop = (*hop)?;
            found.says |= hop.says;
            found.secure = hop.secure.or(found.secure);
            // Beyond a hop that hides, nobody is trusted.
            let Some(address) = hop.address else { break };
            found.address = Some(address);
            if !self.has(address.ip()) {
                break;
            }
        }
        Ok(found)
    }

    /// The same for a server, which judges the origin of the request by how the client came ([`Origins::SameHost`]): by what the
    /// proxies say, unless [`Config::secure`] does.
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub fn resolve<'r>(
        &self,
        request: Request<'r>,
        peer: Option<SocketAddr>,
        config: &Config,
    ) -> Result<(Request<'r>, Client), HandshakeError> {
        let client = self.client(request.headers(), peer)?;
        Ok((client.judge(request, config), client))
    }
}

impl Client {
    /// The request, its origin judged by how this client came, unless [`Config::secure`] says how.
    pub fn judge<'r>(&self, request: Request<'r>, config: &Config) -> Request<'r> {
        let (Some(secure), None, Origins::SameHost) = (self.secure, config.secure, &config.origins) else {
            return request;
        };
        request.judged(&Config { secure: Some(secure), ..config.clone() })
    }
}

type Hops = Vec<Result<Hop, HandshakeError>>;

/// What `X-Forwarded-For` and `X-Forwarded-Proto` say of each hop; a single scheme is that of the whole chain.
fn others(addresses: Option<&str>, schemes: Option<&str>) -> Hops {
    let split = |list: Option<&str>| -> Vec<String> {
        let members = list.into_iter().flat_map(|list| list.split(','));
        members.map(|member| String::from(member.trim())).filter(|member| !member.is_empty()).collect()
    };
    let (addresses, schemes) = (split(addresses), split(schemes));
    let count = addresses.len().max(schemes.len());
    let hop = |from_end: usize| {
        let address = addresses.len().checked_sub(from_end).map_or(Ok(None), |at| node(&addresses[at]));
        let scheme = match schemes.len() {
            0 => None,
            len => scheme(&schemes[len.saturating_sub(from_end)]),
        };
        address.map(|address| Hop { address, says: from_end <= addresses.len(), secure: scheme })
    };
    (1..=count).rev().map(hop).collect()
}

/// The elements of `Forwarded` (RFC 7239 §4).
fn elements(list: &str) -> Result<Hops, HandshakeError> {
    let mut hops = Vec::new();
    let mut rest = list;
    let (mut hop, mut bad, mut any) = (Hop::default(), false, false);
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let end = rest.find(['=', ',', ';']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        rest = &rest[end..];
        if let Some(behind) = rest.strip_prefix('=') {
            let (value, left) = value(behind)?;
            rest = left.trim_start_matches([' ', '\t']);
            any = true;
            match name {
                _ if name.eq_ignore_ascii_case("for") => match node(&value) {
                    Ok(address) => (hop.address, hop.says) = (address, true),
                    Err(_) => bad = true,
                },
                _ if name.eq_ignore_ascii_case("proto") => hop.secure = scheme(&value),
                _ => bad |= name.is_empty(),
            }
        } else {
            bad |= !name.is_empty();
        }
        match rest.as_bytes().first() {
            Some(b';') => rest = &rest[1..],
            Some(b',') | None => {
                if any || bad {
                    hops.push(if bad { Err(HandshakeError::Forwarded) } else { Ok(hop) });
                }
                (hop, bad, any) = (Hop::default(), false, false);
                if rest.is_empty() {
                    return Ok(hops);
                }
                rest = &rest[1..];
            }
            // Something behind a quoted string: where the elements end is not known.
            Some(_) => return Err(HandshakeError::Forwarded),
        }
    }
}

/// A token or a quoted string (RFC 9110 §5.6.4), and what is behind it.
fn value(text: &str) -> Result<(Cow<'_, str>, &str), HandshakeError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t', '"']).unwrap_or(text.len());
        return Ok((text[..end].into(), &text[end..]));
    };
    let (mut unquoted, mut escaped) = (String::new(), false);
    for (at, letter) in quoted.char_indices() {
        match letter {
            _ if escaped => {
                unquoted.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Ok((unquoted.into(), &quoted[at + 1..])),
            _ => unquoted.push(letter),
        }
    }
    // It would take what a proxy has added along.
    Err(HandshakeError::Forwarded)
}

/// The address of a node (RFC 7239 §6), with a port or without; `None` for one that is unknown or hides.
fn node(text: &str) -> Result<Option<SocketAddr>, HandshakeError> {
    if text.eq_ignore_ascii_case("unknown") || text.starts_with('_') {
        return Ok(None);
    }
    let bracketed = |text: &str| text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = text
        .parse::<SocketAddr>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0)))
        .or_else(|| bracketed(text).map(|ip| SocketAddr::new(ip.into(), 0)))
        .or_else(|| {
            // A port may hide too.
            let (host, port) = text.rsplit_once(':').filter(|(_, port)| port.starts_with('_'))?;
            _ = port;
            host.parse::<IpAddr>().ok().or_else(|| bracketed(host).map(IpAddr::from)).map(|ip| SocketAddr::new(ip, 0))
        });
    address.map(Some).ok_or(HandshakeError::Forwarded)
}

/// Whether a scheme is one of TLS.
fn scheme(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("https") || text.eq_ignore_ascii_case("wss") => Some(true),
        _ if text.eq_ignore_ascii_case("http") || text.eq_ignore_ascii_case("ws") => Some(false),
        _ => None,
    }
}
