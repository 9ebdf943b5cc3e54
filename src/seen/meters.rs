//! Handles to what is counted, looked up once.
#![cfg(feature = "metrics")]

use super::{Way, names};
use crate::message::Role;
use crate::wire::close::Code;
use crate::wire::frame::OpCode;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::borrow::Cow;
use std::string::ToString;
use std::sync::LazyLock;
use std::time::Duration;

/// Of each frame, or message.
struct Meters {
    received: Traffic,
    sent: Traffic,
    handler: Histogram,
}

struct Traffic {
    text: Counter,
    binary: Counter,
    ping: Counter,
    pong: Counter,
    close: Counter,
    bytes: Counter,
}

static METERS: LazyLock<Meters> = LazyLock::new(|| {
    describe();
    Meters {
        received: Traffic::new(names::RECEIVED, names::RECEIVED_BYTES),
        sent: Traffic::new(names::SENT, names::SENT_BYTES),
        handler: histogram!(names::HANDLER_SECONDS),
    }
});

impl Traffic {
    fn new(messages: &'static str, bytes: &'static str) -> Self {
        let of = |kind: &'static str| counter!(messages, "kind" => kind);
        let (text, binary, ping, pong, close) = (of("text"), of("binary"), of("ping"), of("pong"), of("close"));
        Self { text, binary, ping, pong, close, bytes: counter!(bytes) }
    }
}

fn describe() {
    describe_gauge!(names::CONNECTIONS, "Connections that are open now.");
    describe_counter!(names::OPENED, "Connections that were opened.");
    describe_counter!(names::CLOSED, "Connections that were open and have ended, by close code and cause.");
    describe_counter!(names::REFUSED, "Connections that a server did not open, by reason.");
    describe_counter!(names::RECEIVED, "Messages and control frames that came, by kind.");
    describe_counter!(names::SENT, "Messages and control frames that were made to go out, by kind.");
    describe_counter!(names::RECEIVED_BYTES, "Bytes of payload that came, as they were on the wire.");
    describe_counter!(names::SENT_BYTES, "Bytes of payload that were made to go out, as they are on the wire.");
    describe_counter!(names::DROPPED, "Messages not taken for a peer that is too slow, or closing.");
    describe_counter!(names::HANDLER_FAILURES, "Handlers that have failed, or panicked.");
    describe_histogram!(names::HANDLER_SECONDS, metrics::Unit::Seconds, "Time that a handler takes for a message.");
}

#[inline]
pub(super) fn frame(way: Way, opcode: OpCode, len: u64) {
    let traffic = match way {
        Way::Received => &METERS.received,
        Way::Sent => &METERS.sent,
    };
    match opcode {
        OpCode::Text => traffic.text.increment(1),
        OpCode::Binary => traffic.binary.increment(1),
        OpCode::Ping => traffic.ping.increment(1),
        OpCode::Pong => traffic.pong.increment(1),
        OpCode::Close => traffic.close.increment(1),
        OpCode::Continuation => {}
    }
    traffic.bytes.increment(len);
}

const fn label(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
    }
}

/// What no peer can make many of.
fn of_code(code: Code) -> Cow<'static, str> {
    match u16::from(code) {
        code @ 1000..=1015 => code.to_string().into(),
        3000..=3999 => "3xxx".into(),
        4000..=4999 => "4xxx".into(),
        _ => "other".into(),
    }
}

pub(super) fn opened(role: Role) {
    LazyLock::force(&METERS);
    gauge!(names::CONNECTIONS, "role" => label(role)).increment(1);
    counter!(names::OPENED, "role" => label(role)).increment(1);
}

pub(super) fn closed(role: Role, code: Code, cause: &'static str) {
    gauge!(names::CONNECTIONS, "role" => label(role)).decrement(1);
    counter!(names::CLOSED, "role" => label(role), "code" => of_code(code), "cause" => cause).increment(1);
}

pub(super) fn refused(reason: &'static str) {
    LazyLock::force(&METERS);
    counter!(names::REFUSED, "reason" => reason).increment(1);
}

pub(super) fn dropped(messages: u64) {
    counter!(names::DROPPED).increment(messages);
}

pub(super) fn handler_failed() {
    counter!(names::HANDLER_FAILURES).increment(1);
}

pub(super) fn handled(time: Duration) {
    METERS.handler.record(time);
}
