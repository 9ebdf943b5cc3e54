//! Which proxy a request takes, if any.

use super::proxy::Proxy;
use crate::driver::ProxyError;
use crate::handshake::{ClientRequest, ascii_name};
use ipnet::IpNet;
use std::net::IpAddr;
use std::string::String;
use std::vec::Vec;

/// Which proxy a request takes, if any: one for `ws`, one for `wss`, and the hosts that are connected to without.
///
/// ```
/// use sockless::ClientRequest;
/// use sockless::client::{Proxies, Proxy};
///
/// let proxies = Proxies::from(Proxy::new("http://proxy.example:3128")?).except("localhost, .example.org, 10.0.0.0/8");
/// let is_proxied = |url| Ok::<_, sockless::SendError>(proxies.of(&ClientRequest::new(url)?).is_some());
/// assert!(is_proxied("wss://example.com/")?);
/// assert!(!is_proxied("wss://chat.example.org/")?);
/// assert!(!is_proxied("ws://10.1.2.3/")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    plain: Option<Proxy>,
    secure: Option<Proxy>,
    except: Vec<Exception>,
}

/// A host, or several, without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    Network(IpNet),
    Host { host: String, port: Option<u16> },
}

impl Proxies {
    /// What the environment says, as curl reads it: `http_proxy` for `ws`, `https_proxy` for `wss`, `all_proxy` for what has
    /// none of its own, and `no_proxy` for hosts without, each in small letters or, where that is not set or empty, in large.
    /// A proxy without a scheme is an `http` one.
    ///
    /// Where `REQUEST_METHOD` is set, as for a CGI program, `HTTP_PROXY` may be a client's `Proxy` field, and is not looked at.
    ///
    /// # Errors
    /// [`Variable`](ProxyError::Variable) for one that is no proxy's URL.
    pub fn from_env() -> Result<Self, ProxyError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The same of variables that `get` gives.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        // On Windows a variable's letters are of no size.
        let is_cgi = get("REQUEST_METHOD").is_some();
        let proxy = |names: [&'static str; 2]| {
            let is_forged = |name: &str| is_cgi && (name == "HTTP_PROXY" || cfg!(windows) && name == "http_proxy");
            let set = names.into_iter().filter(|name| !is_forged(name)).find_map(|name| Some((name, get(name)?)));
            let Some((name, value)) = set else { return Ok(None) };
            let value = value.trim();
            let proxy = match value.contains("://") {
                true => Proxy::new(value),
                false => Proxy::new(&std::format!("http://{value}")),
            };
            proxy.map(Some).map_err(|_| ProxyError::Variable(name))
        };
        let all = proxy(["all_proxy", "ALL_PROXY"])?;
        let proxies = Self {
            plain: proxy(["http_proxy", "HTTP_PROXY"])?.or_else(|| all.clone()),
            secure: proxy(["https_proxy", "HTTPS_PROXY"])?.or(all),
            except: Vec::new(),
        };
        Ok(proxies.except(&get("no_proxy").or_else(|| get("NO_PROXY")).unwrap_or_default()))
    }

    /// Adds hosts that are connected to without a proxy, separated by commas or spaces, as in `NO_PROXY`: names, which stand for
    /// those below them too, be there a dot before them or not; addresses; networks, `10.0.0.0/8`; each but networks with a
    /// port if only that is meant; `*` for all.
    #[must_use]
    pub fn except(mut self, hosts: &str) -> Self {
        let hosts = hosts.split(|letter: char| letter == ',' || letter.is_whitespace());
        self.except.extend(hosts.filter(|host| !host.is_empty()).map(Exception::new));
        self
    }

    /// The proxy that this request takes; `None` for none.
    pub fn of(&self, request: &ClientRequest) -> Option<&Proxy> {
        let proxy = if request.is_secure() { &self.secure } else { &self.plain };
        let host = request.server_name().trim_end_matches('.');
        let is_excepted = self.except.iter().any(|exception| exception.holds(host, request.port()));
        proxy.as_ref().filter(|_| !is_excepted)
    }
}

impl Proxy {
    /// Which proxies the environment names: see [`Proxies::from_env`].
    ///
    /// # Errors
    /// [`ProxyError::Variable`].
    pub fn from_env() -> Result<Proxies, ProxyError> {
        Proxies::from_env()
    }
}

/// This proxy, whatever is asked for.
impl From<Proxy> for Proxies {
    fn from(proxy: Proxy) -> Self {
        Self { plain: Some(proxy.clone()), secure: Some(proxy), except: Vec::new() }
    }
}

impl Exception {
    fn new(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        if let Ok(network) = text.parse() {
            return Self::Network(network);
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Self::Network(address.into());
        }
        let (host, port) = match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => (host, Some(port)),
            _ => (text, None),
        };
        let host = host.trim_start_matches('*').trim_matches(['.', '[', ']']);
        Self::Host { host: ascii_name(host).unwrap_or_else(|_| host.into()), port }
    }

    fn holds(&self, host: &str, to: u16) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => host.parse::<IpAddr>().is_ok_and(|address| network.contains(&address)),
            Self::Host { port: Some(port), .. } if *port != to => false,
            Self::Host { host: excepted, .. } => match (host.parse::<IpAddr>(), excepted.parse::<IpAddr>()) {
                (Ok(host), Ok(excepted)) => host == excepted,
                (Err(_), Err(_)) => is_at_or_below(host, excepted),
                _ => false,
            },
        }
    }
}

fn is_at_or_below(host: &str, name: &str) -> bool {
    let Some(start) = host.len().checked_sub(name.len()).filter(|_| !name.is_empty()) else { return false };
    let ends_so = host.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(name));
    ends_so && (start == 0 || host.as_bytes()[start - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    /// The host of the proxy that these variables, each `NAME=VALUE`, give this URL.
    fn by(variables: &[&str], url: &str) -> Result<Option<String>, ProxyError> {
        let get =
            |name: &str| variables.iter().find_map(|it| Some(it.strip_prefix(name)?.strip_prefix('=')?.to_string()));
        let request = ClientRequest::new(url).unwrap();
        Ok(Proxies::from_variables(get)?.of(&request).map(|proxy| format!("{}:{}", proxy.host(), proxy.port())))
    }

    #[test]
    fn variables() {
        for (variables, plain, secure) in [
            (&[][..], None, None),
            (&["http_proxy=http://a:1"], Some("a:1"), None),
            (&["HTTP_PROXY=http://a:1", "https_proxy=http://b:2"], Some("a:1"), Some("b:2")),
            (&["HTTPS_PROXY=https://b"], None, Some("b:443")),
            (&["ALL_PROXY=socks5h://c"], Some("c:1080"), Some("c:1080")),
            (&["all_proxy=socks5://c", "http_proxy=a:3128"], Some("a:3128"), Some("c:1080")),
            // In small letters first, and what is empty is not set.
            (&["http_proxy=a:1", "HTTP_PROXY=b:2"], Some("a:1"), None),
            (&["http_proxy=", "HTTP_PROXY= b:2 "], Some("b:2"), None),
            (&["all_proxy=c:3", "https_proxy= "], Some("c:3"), Some("c:3")),
            (&["all_proxy=c:3", "no_proxy=*"], None, None),
            // A program of CGI, whose client may have sent `Proxy: evil:1`.
            (&["REQUEST_METHOD=GET", "HTTP_PROXY=evil:1"], None, None),
            (&["REQUEST_METHOD=GET", "HTTP_PROXY=evil:1", "ALL_PROXY=c:3"], Some("c:3"), Some("c:3")),
            (&["REQUEST_METHOD=GET", "HTTPS_PROXY=b:2"], None, Some("b:2")),
        ] {
            assert_eq!(by(variables, "ws://host/").unwrap().as_deref(), plain, "{variables:?}");
            assert_eq!(by(variables, "wss://host/").unwrap().as_deref(), secure, "{variables:?}");
        }
        assert!(matches!(by(&["HTTPS_PROXY=ftp://a"], "ws://b"), Err(ProxyError::Variable("HTTPS_PROXY"))));
        assert!(matches!(by(&["all_proxy=a b"], "ws://b"), Err(ProxyError::Variable("all_proxy"))));
    }

    #[cfg(not(windows))]
    #[test]
    fn in_small_letters_no_client_sets_it() {
        assert_eq!(by(&["REQUEST_METHOD=GET", "http_proxy=a:1"], "ws://b").unwrap().as_deref(), Some("a:1"));
    }

    #[test]
    fn exceptions() {
        for (except, excepted, others) in [
            ("", &[][..], &["ws://a", "ws://127.0.0.1", "ws://localhost"][..]),
            ("*", &["ws://a", "wss://[::1]:7"], &[]),
            (
                "a.example",
                &["ws://a.example", "ws://A.Example.", "wss://b.a.example:7"],
                &["ws://ba.example", "ws://example"],
            ),
            (".a.example", &["ws://a.example", "ws://b.a.example"], &["ws://ba.example"]),
            ("*.a.example", &["ws://a.example", "ws://b.a.example"], &["ws://ba.example"]),
            ("a b,c,, d", &["ws://a", "ws://b", "ws://c", "ws://d"], &["ws://e"]),
            ("a:80 b:443", &["ws://a", "ws://a:80", "wss://b", "wss://x.b"], &["wss://a", "ws://b", "ws://a:8080"]),
            ("127.0.0.1", &["ws://127.0.0.1:9001"], &["ws://127.0.0.2", "ws://localhost"]),
            ("10.0.0.0/8,::1", &["ws://10.9.8.7", "ws://[::1]", "ws://[0:0::1]"], &["ws://11.0.0.1", "ws://[::2]"]),
            ("[::1]:80", &["ws://[::1]"], &["ws://[::1]:81", "ws://[::2]"]),
            ("fe80::/10", &["ws://[fe80::1%25eth0]"], &["ws://[fd00::1]"]),
            // The end of an address is no name.
            ("0.0.1", &[], &["ws://127.0.0.1"]),
            (".", &[], &["ws://a"]),
        ] {
            let proxies = Proxies::from(Proxy::new("http://proxy").unwrap()).except(except);
            for (urls, is_proxied) in [(excepted, false), (others, true)] {
                for url in urls {
                    assert_eq!(
                        proxies.of(&ClientRequest::new(url).unwrap()).is_some(),
                        is_proxied,
                        "{except:?}: {url}"
                    );
                }
            }
        }
    }

    #[cfg(feature = "idn")]
    #[test]
    fn exceptions_in_any_letters() {
        let proxies = Proxies::from(Proxy::new("http://proxy").unwrap()).except(".b\u{fc}cher.example");
        assert_eq!(proxies.of(&ClientRequest::new("ws://a.B\u{dc}CHER.example/").unwrap()), None);
    }
}
