//! TLS: certificates made on the spot, and one's own.

use crate::common::{Serving, run};
use std::fs;
use std::path::PathBuf;

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
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let write = |name: &str, text: String| {
        let file = directory.join(format!("{name}-{}.pem", std::process::id()));
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (write("cert", made.cert.pem()), write("key", made.signing_key.serialize_pem()));
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = write("other", other.cert.pem());
    let server = Serving::start(&["--cert", &cert, "--key", &key]);
    let ran = run(&["connect", "--cacert", &cert, &server.url], b"a\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "a\n"), "{}", ran.stderr);
    assert_eq!(run(&["connect", "--cacert", &other, &server.url], b"a\n").status, Some(1));
    // A certificate of the client's is shown to nobody who does not ask for it, and harms nothing.
    let ran = run(&["connect", "--cacert", &cert, "--cert", &cert, "--key", &key, &server.url], b"a\n");
    assert_eq!((ran.status, ran.text()), (Some(0), "a\n"), "{}", ran.stderr);
}
