//! From arguments to a client.

use crate::status::Failure;
use crate::tls;
use clap::Args;
use sockless::{Deflate, SharedConfig};
use sockless_tokio::{Client, Config, Identity, Proxy, Tls};
use std::path::PathBuf;

/// How a server is reached, and what it is told.
#[derive(Args, Clone)]
pub(crate) struct Reach {
    /// Adds a field to the request; may be repeated
    #[arg(long, value_name = "NAME:VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Offers a subprotocol; may be repeated, the one liked best first
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Sends a cookie; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    cookie: Vec<String>,
    /// Sends a user and a password by basic authorisation
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Option<String>,
    /// Trusts whatever certificate the server shows
    #[arg(long, conflicts_with = "cacert")]
    insecure: bool,
    /// Trusts the certificates of this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Shows the certificate of this PEM file
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, in a PEM file
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Connects through this proxy (http, https, socks4, socks4a, socks5, socks5h), and not through those that http_proxy,
    /// https_proxy, all_proxy and no_proxy name
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Connects through no proxy
    #[arg(long, conflicts_with = "proxy")]
    no_proxy: bool,
    /// Gives up connecting after this time
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    connect_timeout: std::time::Duration,
}

impl Reach {
    /// A client for this URL.
    ///
    /// # Errors
    /// Arguments that cannot be used.
    pub(crate) fn client(&self, url: &str, config: impl Into<SharedConfig>) -> Result<Client, Failure> {
        let mut client = Client::new(url).config(config).timeout(self.connect_timeout);
        for (name, value) in &self.header {
            client = client.header(name, value);
        }
        if !self.cookie.is_empty() {
            client = client.header("Cookie", &self.cookie.join("; "));
        }
        if let Some(user) = &self.user {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            client = client.basic_auth(user, password);
        }
        for name in &self.subprotocol {
            client = client.subprotocol(name);
        }
        if let Some(url) = &self.proxy {
            client = client.proxy(Proxy::new(url).map_err(Failure::usage)?);
        } else if !self.no_proxy {
            client = client.proxy(Proxy::from_env().map_err(Failure::usage)?);
        }
        Ok(if let Some(tls) = self.tls()? { client.tls(tls) } else { client })
    }

    /// TLS settings, where they are not the usual ones.
    fn tls(&self) -> Result<Option<Tls>, Failure> {
        let tls = match &self.cacert {
            Some(file) => Some(Tls::trusting(file)?),
            None if self.insecure => Some(tls::trusting_anybody()?),
            None => None,
        };
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else { return Ok(tls) };
        let tls = tls.or_else(Tls::usual).ok_or_else(|| Failure::usage("nobody is trusted here; see --cacert"))?;
        Ok(Some(tls.identity(Identity::open(cert, key)?)))
    }
}

/// What an end takes.
#[derive(Args)]
pub(crate) struct Taking {
    /// Agrees on no compression
    #[arg(long)]
    no_compression: bool,
    /// Takes no longer messages
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub(crate) max_message: usize,
}

impl Taking {
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::default();
        config.limits.message = self.max_message;
        config.deflate = (!self.no_compression).then(deflate);
        config
    }
}

/// Compression as a client likes it: each message by help of those before it, and any window, so that a server may name one.
pub(crate) fn deflate() -> Deflate {
    Deflate { takeover: true, peer_takeover: true, window_bits: 15, ..Deflate::default() }
}

/// A time in seconds.
pub(crate) fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    std::time::Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("it has the form NAME:VALUE")?;
    Ok((name.trim().into(), value.trim().into()))
}
