//! TLS: certificates made on the spot, and one's own.

use crate::common::{Serving, run, run_open, serve};
use sockless_tokio::Server;
use sockless_tokio::rustls::crypto::ring;
use sockless_tokio::rustls::server::WebPkiClientVerifier;
use sockless_tokio::rustls::{RootCertStore, ServerConfig};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// The path of a file with this text.
fn written(name: &str, text: &str) -> String {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pem", std::process::id()));
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_trusted_only_by_who_says_so() {
    let server = Serving::start(&["--tls"]);
    assert!(server.url.starts_with("wss://"));
    let ran = run(&["connect", "--insecure", &server.url], b"a\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "a\n"), "{}", ran.stderr);
    let ran = run(&["connect", &server.url], b"a\n");
    assert!(ran.status == Some(1) && ran.stderr.contains("TLS"), "{}", ran.stderr);
}

#[test]
fn an_authority_of_ones_own_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (written("cert", &made.cert.pem()), written("key", &made.signing_key.serialize_pem()));
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = written("other", &other.cert.pem());
    let server = Serving::start(&["--cert", &cert, "--key", &key]);
    let ran = run(&["connect", "--cacert", &cert, &server.url], b"a\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "a\n"), "{}", ran.stderr);
    assert_eq!(run(&["connect", "--cacert", &other, &server.url], b"a\n").status, Some(1));
    // A certificate of the client's is shown to nobody who does not ask for it, and harms nothing.
    let ran = run(&["connect", "--cacert", &cert, "--cert", &cert, "--key", &key, &server.url], b"a\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "a\n"), "{}", ran.stderr);
}

#[test]
fn a_client_shows_its_certificate_to_a_server_that_asks_for_it() {
    let server = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let client = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    let mut trusted = RootCertStore::empty();
    trusted.add(client.cert.der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(trusted.into(), provider.clone()).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = server.signing_key.serialize_der().try_into().unwrap();
    let config = builder.with_client_cert_verifier(verifier).with_single_cert(vec![server.cert.der().clone()], key);
    let asking = Server::new().tls(Arc::new(config.unwrap()));
    let url = serve(asking, |mut socket, _, _| async move { socket.send("known").await }).replace("ws://", "wss://");
    let authority = written("authority", &server.cert.pem());
    let (cert, key) =
        (written("client", &client.cert.pem()), written("client-key", &client.signing_key.serialize_pem()));
    let ran = run_open(&["connect", "--cacert", &authority, "--cert", &cert, "--key", &key, &url]);
    assert_eq!((ran.status, ran.text()), (Some(0), "known\n"), "{}", ran.stderr);
    let ran = run_open(&["connect", "--cacert", &authority, &url]);
    assert_eq!((ran.status, ran.text()), (Some(1), ""), "{}", ran.stderr);
}
