//! Settings from files: those that can be used, and those that cannot.

use sockless_tls::{Roots, Tls, TlsError, rustls};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// A certificate and its key, in files that end with it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sockless-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self(folder)
    }

    fn of(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_that_fit() {
    let files = Files::new("fit");
    let server = Tls::server(files.of("cert.pem"), files.of("key.pem")).unwrap();
    assert_eq!((&server.alpn_protocols[..], server.send_tls13_tickets), (&[b"http/1.1".to_vec()][..], 0));
    let client: Arc<rustls::ClientConfig> = Tls::trusting(files.of("cert.pem")).unwrap().into();
    assert_eq!(client.alpn_protocols, [b"http/1.1"]);
    #[cfg(feature = "webpki-roots")]
    assert!(Tls::new(Roots::Webpki).is_ok());
    assert!(Tls::new(Roots::Own(vec![])).is_ok(), "who trusts nobody connects to nobody");
}

#[test]
fn settings_that_cannot_be_used_are_told() {
    let (files, other) = (Files::new("settings"), Files::new("other"));
    let told = |result: Result<Tls, TlsError>| result.unwrap_err().to_string();
    assert!(told(Tls::trusting(files.of("none.pem"))).contains("No such file"));
    let none = told(Tls::trusting(files.of("key.pem")));
    assert_eq!(none, format!("no certificate in {}", files.of("key.pem").display()));
    assert!(Tls::server(files.of("cert.pem"), files.of("cert.pem")).is_err(), "no key");
    assert!(Tls::server(files.of("cert.pem"), other.of("key.pem")).is_err(), "another's key");
}
