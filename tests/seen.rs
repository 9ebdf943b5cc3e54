//! What is told by `tracing`: each frame at TRACE, and nothing of what is in it.

use sockless::seen::{Ended, Life, Refused, Span, refused};
use sockless::{
    Close, Code, Config, Connection, Event, HandshakeError, Negotiated, Prepared, ProtocolError, Role, Seed, bytes::Buf,
};
use sockless_test_support::{Level, Log};

fn open(role: Role) -> Connection {
    Connection::open(role, Negotiated::default(), Config::default(), Seed::new([7; 16]))
}

/// What one has said, to the other.
fn carry(from: &mut Connection, to: &mut Connection, mut told: impl FnMut(&Event<'_>)) {
    let mut bytes = Vec::new();
    let mut outbound = from.outbound();
    while outbound.has_remaining() {
        bytes.extend_from_slice(outbound.chunk());
        let len = outbound.chunk().len();
        outbound.advance(len);
    }
    let mut input = &mut bytes[..];
    while let Some(event) = to.receive(&mut input).unwrap() {
        told(&event);
    }
}

/// Everything that makes a frame, with a secret in each payload.
fn talk() {
    let (mut client, mut server) = (open(Role::Client), open(Role::Server));
    client.send_text("secret").unwrap();
    client.send_fragment(sockless::Kind::Text, b"secret", false).unwrap();
    client.send_fragment(sockless::Kind::Text, b"secret!", true).unwrap();
    client.ping(b"secret ping").unwrap();
    carry(&mut client, &mut server, |_| {});
    server.send_prepared(&Prepared::text("secret prepared")).unwrap();
    server.send_prepared(&Prepared::binary(&[b's'; 1000])).unwrap();
    server.send_shared(sockless::Kind::Binary, vec![b's'; 2000].into()).unwrap();
    drop(server.send_through(&(&[b's'; 300][..]).into()).unwrap());
    server.close(4000, "secret reason").unwrap();
    carry(&mut server, &mut client, |_| {});
}

#[test]
fn each_frame_is_told_at_trace_and_nothing_of_it_but_its_length() {
    let log = Log::new(Level::TRACE);
    tracing::subscriber::with_default(log.clone(), talk);
    let told = log.take();
    let frame = |way: &str, opcode: &str, fin: bool, len: usize| {
        format!("TRACE frame {way} opcode={opcode} fin={fin} len={len}")
    };
    let of_client = [("Text", true, 6), ("Text", false, 6), ("Continuation", true, 7), ("Ping", true, 11)];
    let of_server = [
        ("Pong", true, 11),
        ("Text", true, 15),
        ("Binary", true, 1000),
        ("Binary", true, 2000),
        ("Binary", true, 300),
        ("Close", true, 15),
    ];
    // What is made in each direction, and what is received; a ping overtakes.
    let mut wanted: Vec<String> = of_client.map(|(opcode, fin, len)| frame("sent", opcode, fin, len)).into();
    for (opcode, fin, len) in [of_client[3], of_client[0], of_client[1], of_client[2]] {
        wanted.push(frame("received", opcode, fin, len));
        if opcode == "Ping" {
            wanted.push(frame("sent", "Pong", true, 11));
        }
    }
    wanted.extend(of_server[1..].iter().map(|(opcode, fin, len)| frame("sent", opcode, *fin, *len)));
    wanted.extend(of_server.map(|(opcode, fin, len)| frame("received", opcode, fin, len)));
    wanted.push(frame("sent", "Close", true, 2));
    assert_eq!(told, wanted);
    assert!(!told.iter().any(|told| told.contains("secret")));
}

#[test]
fn frames_are_told_at_no_other_level() {
    let log = Log::new(Level::DEBUG);
    tracing::subscriber::with_default(log.clone(), talk);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_life_is_told_once_whatever_ends_it() {
    let log = Log::new(Level::DEBUG);
    tracing::subscriber::with_default(log.clone(), || {
        let mut life = Life::default();
        life.end(Code::NORMAL, Ended::Closing); // was never open
        life.open(Role::Server);
        life.end(Code::new(4001), Ended::Closing);
        life.end(Code::NORMAL, Ended::Closing);
        drop(life);
        let mut life = Life::default();
        life.open(Role::Client);
        life.end(Code::INTERNAL_ERROR, Ended::Protocol(&ProtocolError::PongTimeout));
        let mut life = Life::default();
        life.open(Role::Client);
    });
    assert_eq!(
        log.take(),
        [
            "DEBUG open role=Server",
            "DEBUG closed role=Server code=4001 cause=\"closing\"",
            "DEBUG open role=Client",
            "DEBUG closed role=Client code=1011 cause=\"pong_timeout\" error=no answer to a ping in time",
            "DEBUG open role=Client",
            "DEBUG closed role=Client code=1006 cause=\"dropped\"",
        ]
    );
}

#[test]
fn refusals_say_why_and_plain_answers_are_none() {
    let log = Log::new(Level::DEBUG);
    let error = ProtocolError::Handshake(HandshakeError::Timeout);
    tracing::subscriber::with_default(log.clone(), || {
        for why in [Refused::Full, Refused::Status(200), Refused::Status(403), Refused::Handshake(&error)] {
            refused(why);
        }
    });
    assert_eq!(
        log.take(),
        [
            "DEBUG refused reason=\"full\"",
            "DEBUG refused reason=\"status\" status=403",
            &format!("DEBUG refused reason=\"handshake\" error={error}"),
        ]
    );
}

#[test]
fn a_span_has_an_id_an_address_and_a_path() {
    let log = Log::new(Level::INFO);
    tracing::subscriber::with_default(log.clone(), || {
        let span = Span::connection(Some(7), Some("192.0.2.1:80"));
        drop(span.enter());
        span.path("/chat");
    });
    assert_eq!(
        log.take(),
        ["SPAN connection", "record id=7", "record peer=192.0.2.1:80", "enter", "exit", "record path=\"/chat\""]
    );
}

/// So that a reason's absence above is known to be no accident.
#[test]
fn a_reason_is_told_to_the_application_alone() {
    let (mut client, mut server) = (open(Role::Client), open(Role::Server));
    server.close(4000, "secret reason").unwrap();
    let mut reasons = Vec::new();
    carry(&mut server, &mut client, |event| {
        if let Event::Close(Close { reason, .. }) = event {
            reasons.push(reason.to_string());
        }
    });
    assert_eq!(reasons, ["secret reason"]);
}
