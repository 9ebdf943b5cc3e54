//! What the clients of all adapters can be told, written once.

use super::{Proxies, Proxy};
use crate::config::SharedConfig;
use crate::driver::Redirects;
use crate::handshake::{ClientRequest, SubprotocolPolicy};
use crate::wire::error::SendError;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::format;
use std::string::String;
use std::sync::Arc;
use std::time::Duration;
use std::vec::Vec;

/// Changes a request.
type Adjust = dyn Fn(ClientRequest) -> ClientRequest + Send + Sync;

/// A client's settings but for its sockets and its TLS; `client_settings` has what sets them.
#[doc(hidden)]
#[derive(Clone)]
pub struct ClientSettings {
    pub url: String,
    pub config: SharedConfig,
    pub headers: Vec<(String, String)>,
    pub subprotocols: Vec<String>,
    pub policy: SubprotocolPolicy,
    pub adjust: Option<Arc<Adjust>>,
    pub proxies: Proxies,
    pub server_name: Option<String>,
    pub redirects: u32,
    pub trust_redirects: bool,
    pub timeout: Option<Duration>,
    pub nodelay: bool,
}

#[doc(hidden)]
impl ClientSettings {
    pub const TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));

    pub fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            config: SharedConfig::default(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            policy: SubprotocolPolicy::default(),
            adjust: None,
            proxies: Proxies::default(),
            server_name: None,
            redirects: 0,
            trust_redirects: false,
            timeout: Self::TIMEOUT,
            nodelay: true,
        }
    }

    pub fn basic_auth(&mut self, user: &str, password: &str) {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        self.headers.push(("Authorization".into(), format!("Basic {credentials}")));
    }

    /// The request, with all that the settings add.
    ///
    /// # Errors
    /// What is not fit to be sent.
    pub fn request(&self) -> Result<ClientRequest, SendError> {
        let mut request = ClientRequest::new(&self.url)?.with_subprotocol_policy(self.policy);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for name in &self.subprotocols {
            request = request.subprotocol(name);
        }
        if let Some(adjust) = &self.adjust {
            request = adjust(request);
        }
        request.check()?;
        Ok(request)
    }

    /// The redirects of one connection.
    pub const fn redirects(&self) -> Redirects {
        Redirects::new(self.redirects, self.trust_redirects)
    }

    /// The proxy that a request takes.
    pub fn proxy_of(&self, request: &ClientRequest) -> Option<&Proxy> {
        self.proxies.of(request)
    }

    /// Whom TLS is to show: another than the host for the URL's own server alone, not for where it redirects to.
    pub fn server_name<'a>(&'a self, request: &'a ClientRequest) -> &'a str {
        let is_own = |_: &&String| ClientRequest::new(&self.url).is_ok_and(|own| own.is_same_origin(request));
        self.server_name.as_ref().filter(is_own).map_or(request.server_name(), String::as_str)
    }
}

/// The methods of a client that set its [`ClientSettings`], which it has as `settings`; `part` is called where connections are
/// made in another way from then on.
#[doc(hidden)]
#[macro_export]
macro_rules! client_settings {
    ($($part:ident)?) => {
        /// 30 s for all that [`connect`](Self::connect) does: a name to look up, several addresses to try, a proxy and TLS.
        pub const TIMEOUT: Option<::std::time::Duration> = $crate::client::ClientSettings::TIMEOUT;

        /// Replaces the URL, for clients that differ in nothing else.
        #[must_use]
        pub fn url(mut self, url: &str) -> Self {
            self.settings.url = url.into();
            self
        }

        /// Replaces the core's settings: limits, deadlines, compression.
        #[must_use]
        pub fn config(mut self, config: impl Into<$crate::SharedConfig>) -> Self {
            self.settings.config = config.into();
            self
        }

        /// Adds a field to the request. There is one `Authorization`: the latest.
        #[must_use]
        pub fn header(mut self, name: &str, value: &str) -> Self {
            self.settings.headers.push((name.into(), value.into()));
            self
        }

        /// Adds basic authorisation (RFC 7617).
        #[must_use]
        pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
            self.settings.basic_auth(user, password);
            self
        }

        /// Offers a subprotocol; the one offered first is liked best.
        #[must_use]
        pub fn subprotocol(mut self, name: &str) -> Self {
            self.settings.subprotocols.push(name.into());
            self
        }

        /// What becomes of the handshake if the server chooses none of them.
        #[must_use]
        pub fn subprotocol_policy(mut self, policy: $crate::handshake::SubprotocolPolicy) -> Self {
            self.settings.policy = policy;
            self
        }

        /// Changes the request last, before it is sent: method, target, `Host`. A redirect goes on with what it has made.
        #[must_use]
        pub fn adjust(
            mut self,
            adjust: impl Fn($crate::ClientRequest) -> $crate::ClientRequest + Send + Sync + 'static,
        ) -> Self {
            self.settings.adjust = Some(::std::sync::Arc::new(adjust));
            self
        }

        /// Connects through a proxy, or through those of [`Proxies`](crate::Proxies), which
        /// [`Proxy::from_env`](crate::Proxy::from_env) finds in the environment; by default, through none. Redirects take
        /// theirs too.
        #[must_use]
        pub fn proxy(mut self, proxy: impl Into<$crate::client::Proxies>) -> Self {
            self.settings.proxies = proxy.into();
            $(self.$part();)?
            self
        }

        /// Has the server show in TLS that it is this one, in place of the URL's host: for a URL with an address, say. Where it
        /// redirects to has its own.
        #[must_use]
        pub fn server_name(mut self, name: &str) -> Self {
            self.settings.server_name = Some(name.into());
            $(self.$part();)?
            self
        }

        /// Follows so many redirects; by default none. None leads from `wss` to `ws`, and what is the caller's goes to the first
        /// server only: headers, credentials, subprotocols, as [`ClientRequest::redirected`](crate::ClientRequest::redirected)
        /// has it.
        #[must_use]
        pub fn redirects(mut self, most: u32) -> Self {
            self.settings.redirects = most;
            self
        }

        /// Whether redirects take all of the request to any server that they lead to, credentials included, which is off: for
        /// servers that are known to lead only where all of it may be seen.
        #[must_use]
        pub fn trust_redirects(mut self, trust: bool) -> Self {
            self.settings.trust_redirects = trust;
            self
        }

        /// Replaces the time for all that [`connect`](Self::connect) does. The opening handshake has a bound of its own in
        /// [`Keepalive::handshake`](crate::sockless::Keepalive::handshake).
        #[must_use]
        pub fn timeout(mut self, timeout: impl Into<Option<::std::time::Duration>>) -> Self {
            self.settings.timeout = timeout.into();
            self
        }

        /// Whether TCP sends small segments at once, which is on: a message is all that there is to say.
        #[must_use]
        pub fn nodelay(mut self, nodelay: bool) -> Self {
            self.settings.nodelay = nodelay;
            self
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_in_tls_is_for_the_urls_server_alone() {
        let mut settings = ClientSettings::new("wss://127.0.0.1/a");
        let request = settings.request().unwrap();
        assert_eq!(settings.server_name(&request), "127.0.0.1");
        settings.server_name = Some("inside.example".into());
        for (location, name) in [
            ("/b", "inside.example"),
            ("wss://127.0.0.1:444/", "127.0.0.1"),
            ("wss://b/", "b"),
            ("wss://[::1]/", "::1"),
        ] {
            let moved = request.redirected(location.as_bytes()).unwrap();
            assert_eq!(settings.server_name(&moved), name, "{location}");
        }
        let zone = ClientSettings::new("ws://[fe80::1%25a]");
        assert_eq!(zone.server_name(&zone.request().unwrap()), "fe80::1");
    }
}
