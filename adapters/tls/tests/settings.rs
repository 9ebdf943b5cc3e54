//! Settings from files: those that can be used, and those that cannot.

use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use sockless_tls::{Identity, Roots, Tls, TlsError, rustls};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
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
    shake_hands_by(server, Tls::trusting(authority).unwrap())
}

fn shake_hands_by(server: &Arc<rustls::ServerConfig>, client: Tls) -> Result<(), rustls::Error> {
    let client: Arc<rustls::ClientConfig> = client.into();
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

#[test]
fn a_client_shows_who_it_is_to_a_server_that_asks() {
    let (server, client, other) = (Files::new("asks"), Files::new("shows"), Files::new("stranger"));
    let mut known = rustls::RootCertStore::empty();
    known.add(rustls::pki_types::CertificateDer::from_pem_file(client.of("cert.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(known), provider.clone()).build().unwrap();
    let asking = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![rustls::pki_types::CertificateDer::from_pem_file(server.of("cert.pem")).unwrap()];
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(server.of("key.pem")).unwrap();
    let asking = Arc::new(asking.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap());

    let trusting = || Tls::trusting(server.of("cert.pem")).unwrap();
    let shows = |files: &Files| Identity::open(files.of("cert.pem"), files.of("key.pem")).unwrap();
    assert!(shake_hands_by(&asking, trusting()).is_err());
    assert!(shake_hands_by(&asking, trusting().identity(shows(&other))).is_err());
    let identity = shows(&client);
    let tls = trusting().identity(identity.clone());
    assert_eq!(shake_hands_by(&asking, tls.clone()), Ok(()));
    // It is read again.
    for name in ["cert.pem", "key.pem"] {
        fs::copy(other.of(name), client.of(name)).unwrap();
    }
    identity.reload().unwrap();
    assert!(shake_hands_by(&asking, tls).is_err());
}

/// Run again by the test below, for the environment is the process's.
#[test]
fn keys_are_logged_where_the_environment_says() {
    let files = Files::new("keys");
    let log = files.of("keys.log");
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        let server = Tls::server(files.of("cert.pem"), files.of("key.pem")).unwrap();
        let tls = Tls::trusting(files.of("cert.pem")).unwrap().log_keys();
        return assert_eq!(shake_hands_by(&server, tls), Ok(()));
    }
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys_are_logged_where_the_environment_says"])
        .env("SSLKEYLOGFILE", &log)
        .output()
        .unwrap();
    assert!(again.status.success());
    let keys = fs::read_to_string(log).unwrap();
    assert!(keys.lines().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")), "{keys}");
}
