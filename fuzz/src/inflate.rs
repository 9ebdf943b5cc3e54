//! Compressed messages: hostile ones into a receiver, and any data through both ends.

use crate::feed::{Budget, By, Cuts, Feeder, Said};
use crate::frames;
use crate::settings::Settings;
use arbitrary::Arbitrary;
use bytes::Buf;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use sockless::{Compress, Connection, Event, Kind, Message, Prepared, ProtocolError, Role};

/// No more data than about this is sent, so that no run takes long.
const MOST: usize = 70_000;

/// Settings, and either compressed bytes or data to be compressed.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    settings: Settings,
    cuts: Cuts,
    others: Cuts,
    /// Bits: data or compressed bytes; the role.
    ways: u8,
    bytes: &'a [u8],
}

impl Input<'_> {
    fn role(&self) -> Role {
        if self.ways & 2 == 0 { Role::Client } else { Role::Server }
    }
}

/// Compressed bytes make the same in any cuts and no more than allowed; data come through as they are.
pub fn check(input: &Input<'_>) {
    if input.ways & 1 == 0 { hostile(input) } else { identity(input) }
}

/// A compressed message as it is sent: its kind, and its fragments one after the other.
type Compressed = (Kind, Vec<u8>);

/// The messages of a script, in frames to this role: for each frame, a byte whose bits are text or binary and the last
/// fragment or not, and its length, where 255 stands for all that is left.
fn messages(mut script: &[u8], to: Role) -> (Vec<u8>, Vec<Compressed>) {
    let key = (to == Role::Server).then_some([0x12, 0, 0x34, 0xFF]);
    let (mut stream, mut whole) = (vec![], vec![]);
    let mut message: Option<Compressed> = None;
    while let [flags, length, rest @ ..] = script {
        let len = if *length == u8::MAX { rest.len() } else { rest.len().min(usize::from(*length)) };
        let payload;
        (payload, script) = rest.split_at(len);
        let kind = if flags & 1 == 0 { Kind::Binary } else { Kind::Text };
        let opcode = if message.is_some() { 0 } else { 0x40 | kind.opcode() as u8 };
        let last = flags & 2 == 0;
        frames::push(&mut stream, opcode | u8::from(last) << 7, key, payload);
        let (_, bytes) = message.get_or_insert((kind, vec![]));
        bytes.extend_from_slice(payload);
        if last {
            whole.extend(message.take());
        }
    }
    (stream, whole)
}

fn hostile(input: &Input<'_>) {
    let settings = input.settings;
    let (stream, messages) = messages(input.bytes, input.role());
    let said = |cuts, by| {
        let mut config = settings.config();
        config.deflate = Some(settings.deflate.deflate());
        let negotiated = settings.deflate.params().try_into().unwrap();
        let mut connection = Connection::open(input.role(), negotiated, config, crate::settings::SEED);
        let mut feeder = Feeder::new(&mut connection, by);
        feeder.budget = Some(Budget { message: settings.limits().message, compressed: true });
        feeder.feed(&stream, cuts, |_, _| {});
        assert!(feeder.joined() <= settings.limits().message);
        feeder.flush();
        feeder.eof();
        feeder.said
    };
    let whole = said(Cuts::WHOLE, By::Receive);
    for (cuts, by) in [(input.cuts, By::Receive), (input.others, By::Receive), (input.others, By::Piece)] {
        assert_eq!(said(cuts, by), whole, "{cuts:?} {by:?}");
    }
    check_messages(input, &whole, &messages);
}

/// What was inflated is what another inflater makes of it.
fn check_messages(input: &Input<'_>, said: &Said, messages: &[Compressed]) {
    assert!(said.events.len() <= messages.len());
    for (event, (kind, compressed)) in said.events.iter().zip(messages) {
        let (got, bytes) = match event {
            Event::Text(text) => (Kind::Text, text.as_bytes()),
            Event::Unchecked(bytes) => (Kind::Text, &bytes[..]),
            Event::Binary(bytes) => (Kind::Binary, &bytes[..]),
            event => panic!("{event:?} of a compressed message"),
        };
        assert_eq!(got, *kind);
        assert!(bytes.len() <= input.settings.limits().message);
        // Of messages that refer to those before them, the other inflater knows nothing.
        if !input.settings.deflate.params().peer_takeover {
            assert!(inflated(compressed, bytes.len()).is_some_and(|inflated| inflated == bytes), "{event:?}");
        }
    }
}

/// A message by another implementation, which must make `len` bytes of it.
fn inflated(compressed: &[u8], len: usize) -> Option<Vec<u8>> {
    let input = [compressed, &[0x00, 0x00, 0xFF, 0xFF]].concat();
    let (mut from, mut made) = (0, vec![]);
    // A block may say that it is the last, and others follow; what ends the message is no block of its own.
    while from < compressed.len() {
        let mut out = vec![0; len - made.len() + 1];
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
        let (status, taken, given) = decompress(&mut DecompressorOxide::new(), &input[from..], &mut out, 0, flags);
        made.extend_from_slice(&out[..given]);
        from += taken;
        match status {
            TINFLStatus::Done if made.len() <= len => {}
            TINFLStatus::NeedsMoreInput => break,
            _ => return None,
        }
    }
    Some(made)
}

/// Data that is sent compressed is received as it was.
fn identity(input: &Input<'_>) {
    let deflate = input.settings.deflate;
    let role = input.role();
    let mut config = input.settings.config();
    config.deflate = Some(deflate.deflate());
    config.outbound.hard = usize::MAX;
    let mut sender = Connection::open(role, deflate.params().try_into().unwrap(), config, crate::settings::SEED);
    let sent = send_all(&mut sender, input.bytes);
    let mut outbound = sender.outbound();
    let bytes = outbound.copy_to_bytes(outbound.remaining());
    frames::unframe(&bytes, role);

    let peer = if role == Role::Server { Role::Client } else { Role::Server };
    let params = deflate.mirrored().params();
    let mut receiver =
        Connection::open(peer, params.try_into().unwrap(), sockless::Config::default(), crate::settings::SEED);
    receiver.set_limits(sockless::Limits { fragments: u32::MAX, ..Default::default() });
    let mut feeder = Feeder::new(&mut receiver, By::Receive);
    feeder.feed(&bytes, input.cuts, |_, _| {});
    feeder.eof();
    assert_eq!((feeder.said.events, feeder.said.error), (sent, Some(ProtocolError::UnexpectedEof)));
}

/// Sends the messages of a script: for each, a byte that says how, a byte of length, and so many bytes of data or a
/// pattern to be repeated.
fn send_all(sender: &mut Connection, mut script: &[u8]) -> Vec<Event<'static>> {
    let (mut sent, mut total) = (vec![], 0);
    while let [how, length, rest @ ..] = script
        && total < MOST
    {
        let data;
        (data, script) = frames::payload_of(*length, rest);
        let text = std::str::from_utf8(&data).ok().filter(|_| how & 1 != 0).map(str::to_owned);
        let message = match &text {
            Some(text) => Message::from(&**text),
            None => Message::from(&data[..]),
        };
        send(sender, &message, how >> 1);
        total += data.len();
        sent.push(message.into_owned().into());
    }
    sent
}

fn send(sender: &mut Connection, message: &Message<'_>, how: u8) {
    let result = match how & 7 {
        0 | 1 => sender.send(message),
        2 => sender.send_with(message, Compress::Always),
        3 => sender.send_with(message, Compress::Never),
        4 => sender.send_shared(message.kind(), message.as_bytes().to_vec().into()),
        5 => match message {
            Message::Text(text) => sender.send_prepared(&Prepared::text(text)),
            message => sender.send_prepared(&Prepared::binary(message.as_bytes())),
        },
        _ => {
            let size = message.as_bytes().len() / (1 + usize::from(how >> 3)) + 1;
            let parts: Vec<_> = message.as_bytes().chunks(size).collect();
            let fragments = parts.iter().try_for_each(|part| sender.send_fragment(message.kind(), part, false));
            fragments.and_then(|()| sender.send_fragment(message.kind(), b"", true))
        }
    };
    assert_eq!(result, Ok(()));
}
