//! How the messages of topics are named between the nodes of a server, for a broker such as NATS.

use crate::message::Kind;
use crate::send::prepared::Prepared;
use alloc::format;
use alloc::string::String;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The longest topic that goes to other nodes, in bytes: with the rest of a line of NATS' protocol it stays below the
/// 4,096 bytes that a broker takes.
const LONGEST_TOPIC: usize = 2_048;

/// The subjects of a node's messages: `PREFIX.NODE.KIND_TOPIC`, where `NODE` is a number of the node's own, and `KIND_TOPIC` is
/// `t` or `b`, for text or binary, and the topic in base64url without padding. A message's payload is its own.
///
/// The adapters' topics over NATS are named so, and so may be those of any other program.
///
/// ```
/// use sockless::{Kind, Subjects};
///
/// let (one, two) = (Subjects::new("chat", 1).unwrap(), Subjects::new("chat", 2).unwrap());
/// let subject = one.of("rooms/7", Kind::Text).unwrap();
/// assert_eq!(subject, "chat.0000000000000001.tcm9vbXMvNw");
/// let (topic, message) = two.read(&subject, b"hello").unwrap();
/// assert_eq!((&*topic, message.payload()), ("rooms/7", &b"hello"[..]));
/// assert!(one.is_own(&subject) && !two.is_own(&subject));
/// ```
#[derive(Clone, Debug)]
pub struct Subjects {
    all: String,
    own: String,
}

impl Subjects {
    /// Those of a node, whose number no other node has; `None` if the prefix is not one or more tokens of a subject.
    pub fn new(prefix: &str, node: u64) -> Option<Self> {
        let token = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let good = !prefix.contains(['*', '>']) && prefix.split('.').all(token);
        good.then(|| Self { all: format!("{prefix}.*.*"), own: format!("{prefix}.{node:016x}.") })
    }

    /// What all nodes' messages match.
    pub fn all(&self) -> &str {
        &self.all
    }

    /// The subject of a message of a topic; `None` if it would be too long.
    pub fn of(&self, topic: &str, kind: Kind) -> Option<String> {
        let kind = if kind == Kind::Text { 't' } else { 'b' };
        (topic.len() <= LONGEST_TOPIC).then(|| format!("{}{kind}{}", self.own, URL_SAFE_NO_PAD.encode(topic)))
    }

    /// Whether a subject is this node's.
    pub fn is_own(&self, subject: &str) -> bool {
        subject.starts_with(&self.own)
    }

    /// The topic and the message of any node; `None` for what is not one.
    pub fn read(&self, subject: &str, payload: &[u8]) -> Option<(String, Prepared)> {
        let (_, last) = subject.rsplit_once('.')?;
        let (kind, topic) = last.split_at_checked(1)?;
        let topic = String::from_utf8(URL_SAFE_NO_PAD.decode(topic).ok()?).ok()?;
        let prepared = match kind {
            "t" => Prepared::text(core::str::from_utf8(payload).ok()?),
            "b" => Prepared::binary(payload),
            _ => return None,
        };
        Some((topic, prepared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_prefix() {
        for good in ["chat", "a.b", "a.b.c-1", "$x"] {
            assert!(Subjects::new(good, 0).is_some(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "größe", "a\r\n"] {
            assert!(Subjects::new(bad, 0).is_none(), "{bad}");
        }
    }

    #[test]
    fn topics_of_any_letters_and_no_others() {
        let subjects = Subjects::new("a.b", u64::MAX).unwrap();
        assert_eq!(subjects.all(), "a.b.*.*");
        for topic in ["", "a", "rooms.*.>", "größe \r\n", &"x".repeat(LONGEST_TOPIC)] {
            for (kind, letter) in [(Kind::Text, 't'), (Kind::Binary, 'b')] {
                let subject = subjects.of(topic, kind).unwrap();
                assert!(subject.starts_with("a.b.ffffffffffffffff.") && subject.contains(letter));
                assert_eq!(subject.split('.').count(), 4);
                let (read, message) = subjects.read(&subject, b"hello").unwrap();
                assert_eq!((&*read, message.kind(), message.payload()), (topic, kind, &b"hello"[..]));
            }
        }
        assert_eq!(subjects.of(&"x".repeat(LONGEST_TOPIC + 1), Kind::Text), None);
        for (subject, payload) in [
            ("a.b.c.", &b""[..]),
            ("a.b.c.xYQ", b""),
            ("a.b.c.tY", b""),
            ("a.b.c.t_w", b""),
            ("a.b.c.tYQ", b"\xff"),
            ("t", b""),
            ("a.b.c.ä", b""),
        ] {
            let read = subjects.read(subject, payload);
            assert!(read.is_none(), "{subject}");
        }
    }
}
