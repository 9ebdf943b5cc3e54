//! Settings from files: those that can be used, and those that cannot.

use sockless_tls::{Identity, Roots, Tls, TlsError, rustls};
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

/// What a client that trusts `authority` says to a server with these settings, by a handshake in memory.
fn shake_hands(server: &Arc<rustls::ServerConfig>, authority: PathBuf) -> Result<(), rustls::Error> {
    let client: Arc<rustls::ClientConfig> = Tls::trusting(authority).unwrap().into();
    let mut client = rustls::ClientConnection::new(client, "localhost".try_into().unwrap())?;
    let mut server = rustls::ServerConnection::new(server.clone())?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = vec![];
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(())
}

/// A certificate that has run out, say.
#[test]
fn an_identity_is_read_again_while_a_server_runs() {
    let (files, other) = (Files::new("again"), Files::new("next"));
    let old = files.of("old.pem");
    fs::copy(files.of("cert.pem"), &old).unwrap();
    let identity = Identity::open(files.of("cert.pem"), files.of("key.pem")).unwrap();
    let server = identity.clone().into();
    assert_eq!(shake_hands(&server, old.clone()), Ok(()));
    assert!(shake_hands(&server, other.of("cert.pem")).is_err());
    // The new certificate without its key: what was shown stays.
    fs::copy(other.of("cert.pem"), files.of("cert.pem")).unwrap();
    assert!(identity.reload().is_err());
    assert_eq!(shake_hands(&server, old.clone()), Ok(()));
    fs::copy(other.of("key.pem"), files.of("key.pem")).unwrap();
    identity.reload().unwrap();
    assert_eq!(shake_hands(&server, other.of("cert.pem")), Ok(()));
    assert!(shake_hands(&server, old.clone()).is_err());
    // And by values.
    let third = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&old, third.cert.pem()).unwrap();
    identity.replace(vec![third.cert.der().clone()], third.signing_key.serialize_der().try_into().unwrap()).unwrap();
    assert_eq!(shake_hands(&server, old), Ok(()));
}
