//! A peer whose bytes make much work does not keep the others of its worker waiting.

use crate::common;
use crate::common::{PATIENCE, REQUEST, eventually, skip_head, start};
use sockless_mio::{Answer, Builder, Config, Conn, Error, Handler, Message, Request, Server};
use std::array;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a peer sends that makes work.
struct Work {
    name: &'static str,
    /// Sent again and again.
    bytes: Vec<u8>,
    /// What each of its events costs, as the server sees it, in bytes.
    cost: usize,
}

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len @ ..0x1_0000 => frame.extend([&[0xFE][..], &(len as u16).to_be_bytes()].concat()),
        len => frame.extend([&[0xFF][..], &(len as u64).to_be_bytes()].concat()),
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// What an event costs at least, a ping, and a byte that is inflated.
const EVENT: usize = 128;
const PING: usize = 16 << 10;
#[cfg(feature = "deflate")]
const INFLATED: usize = 33;

/// What a connection's turn may cost.
const TURN: usize = 4 << 20;

fn small_messages() -> Work {
    Work { name: "small", bytes: frame(0x82, &[7; 16]).repeat(1000), cost: EVENT + 22 }
}

fn empty_messages() -> Work {
    Work { name: "empty", bytes: frame(0x82, b"").repeat(4000), cost: EVENT + 6 }
}

fn pings() -> Work {
    Work { name: "pings", bytes: frame(0x89, b"").repeat(5000), cost: PING }
}

fn pongs() -> Work {
    Work { name: "pongs", bytes: frame(0x8A, b"").repeat(4000), cost: EVENT + 6 }
}

/// A message in so many fragments as may be.
fn fragments() -> Work {
    let message = [frame(0x02, b"a"), frame(0x00, b"a").repeat(4094), frame(0x80, b"a")].concat();
    Work { name: "fragments", bytes: message, cost: 4096 * (EVENT + 7) }
}

/// Most of it is read to where it lies in the end.
fn large_messages() -> Work {
    Work { name: "large", bytes: frame(0x82, &vec![7; 8 << 20]), cost: 8 << 20 }
}

#[cfg(feature = "deflate")]
mod compressed {
    use super::*;
    use sockless_mio::sockless::bytes::Buf;
    use sockless_mio::sockless::{Connection, Deflate, DeflateParams, Role, Seed};

    /// One of an empty block, which is all that there is of it.
    pub(super) fn empty_messages() -> Work {
        Work { name: "empty compressed", bytes: frame(0xC1, b"\0").repeat(4000), cost: EVENT + INFLATED * 7 }
    }

    /// A kilobyte that inflates to a megabyte.
    pub(super) fn bombs() -> Work {
        let mut config = Config::default();
        config.deflate = Some(Deflate::default());
        let params = DeflateParams { window_bits: 12, peer_window_bits: 12, takeover: false, peer_takeover: false };
        let mut client = Connection::open(Role::Client, params.try_into().unwrap(), config, Seed::new([0; 16]));
        client.send_binary(&vec![0; 1 << 20]).unwrap();
        let mut outbound = client.outbound();
        let bomb = outbound.copy_to_bytes(outbound.remaining());
        Work { name: "bombs", bytes: bomb.repeat(10), cost: 1 << 20 }
    }

    /// A message of empty blocks, each with its own codes (RFC 1951 §3.2.7), in 88 bits: of the code lengths' code only 1 and
    /// 18 are used, and the one symbol that has a code is the end of the block.
    pub(super) fn empty_blocks() -> Work {
        let mut bits = Vec::new();
        // A value's bits come from the lowest on.
        let mut put = |value: u32, count: u32| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
        // Not the last, dynamic; 257 and 1 codes, 18 code lengths, in their strange order.
        [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)].into_iter().for_each(|(value, count)| put(value, count));
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
            put(u32::from(symbol == 18 || symbol == 1), 3);
        }
        // 138 and 118 zeros, two ones, and the end.
        [(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)]
            .into_iter()
            .for_each(|(value, count)| put(value, count));
        let blocks = bits.repeat(8);
        let byte = |bits: &[bool]| bits.iter().enumerate().map(|(bit, set)| u8::from(*set) << bit).sum::<u8>();
        let blocks: Vec<u8> = blocks.chunks(8).map(byte).collect();
        Work {
            name: "empty blocks",
            bytes: frame(0xC2, &[blocks.repeat(140_000 / blocks.len()), vec![0]].concat()),
            cost: INFLATED * 140_000,
        }
    }

    pub(super) fn server() -> Builder {
        let mut config = Config::default();
        config.deflate = Some(Deflate::default());
        Server::builder().config(config)
    }
}

fn path(name: &str) -> PathBuf {
    let name: String = name.split(' ').collect();
    std::env::temp_dir().join(format!("sockless-mio-fair-{name}-{}.sock", std::process::id()))
}

/// An open connection. What is written to a Unix socket is there at once.
fn connect(path: &Path, name: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    let start = format!("GET /{name} ");
    let request = [
        start.as_bytes(),
        REQUEST.strip_prefix(b"GET / ").unwrap().strip_suffix(b"\r\n").unwrap(),
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    ];
    stream.write_all(&request.concat()).unwrap();
    skip_head(&mut stream);
    stream
}

/// Who is heard first where one peer makes work and then says "busy", and another after it "other", while the worker does
/// something else.
fn heard(server: Builder, work: &Work) -> [String; 2] {
    let path = path(work.name);
    let (tell, told) = channel();
    let (begin, begun) = sync_channel(0);
    let (go_on, goes_on) = sync_channel(1);
    let gate = Mutex::new((begin, goes_on));
    let server = start(
        server.workers(1).listen(format!("unix:{}", path.display())),
        move |_: &mut Conn<'_>, message: Message<'_>| {
            match message.as_bytes() {
                b"wait" => {
                    let (begin, goes_on) = &*gate.lock().unwrap();
                    begin.send(())?;
                    goes_on.recv_timeout(PATIENCE)?;
                }
                word @ (b"busy" | b"other") => tell.send(String::from_utf8(word.into())?)?,
                _ => {}
            }
            Ok::<(), Error>(())
        },
    );
    let [mut busy, mut other, mut third] = array::from_fn(|_| connect(&path, ""));
    third.write_all(&text("wait")).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    busy.write_all(&[&work.bytes[..], &text("busy")].concat()).unwrap();
    other.write_all(&text("other")).unwrap();
    go_on.send(()).unwrap();
    let heard = array::from_fn(|_| told.recv_timeout(PATIENCE).unwrap());
    server.stop();
    heard
}

#[test]
fn a_turn_ends_within_pings() {
    assert_eq!(heard(Server::builder(), &pings()), ["other", "busy"]);
}

#[test]
#[cfg(feature = "deflate")]
fn a_turn_ends_within_compressed_messages() {
    for work in [compressed::bombs(), compressed::empty_blocks()] {
        assert_eq!(heard(compressed::server(), &work), ["other", "busy"], "{}", work.name);
    }
}

/// Turns that a patient peer waits for.
const TURNS: usize = 60;

/// Watches one peer wait for its turns while another makes work.
struct Watch {
    patient: Mutex<Option<UnixStream>>,
    /// Events of the others since the last of its turns.
    events: AtomicUsize,
    /// Of each turn, how many events there were before it.
    turns: Mutex<Vec<usize>>,
    came: Sender<()>,
}

struct Watched(Arc<Watch>);

impl Handler for Watched {
    /// Whether it is the patient one.
    type State = bool;

    fn on_request(&self, conn: &mut Conn<'_, bool>, request: &Request<'_>) -> Answer {
        *conn.state_mut() = request.path() == "/patient";
        request.accept().into()
    }

    fn on_message(&self, conn: &mut Conn<'_, bool>, _: Message<'_>) -> Result<(), Error> {
        if !*conn.state() {
            self.0.events.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let mut turns = self.0.turns.lock().unwrap();
        turns.push(self.0.events.swap(0, Ordering::Relaxed));
        self.0.came.send(())?;
        if turns.len() <= TURNS {
            // The next message is there before this turn has ended, so it waits for nothing but the others.
            self.0.patient.lock().unwrap().as_mut().unwrap().write_all(&text("my turn?"))?;
        }
        Ok(())
    }

    fn on_ping(&self, _: &mut Conn<'_, bool>, _: &[u8]) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
    }

    fn on_pong(&self, _: &mut Conn<'_, bool>, _: &[u8]) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// A peer that waits for nothing but its turns has them, however much work another makes, and for however long.
fn turns_come(server: Builder, work: &Work) {
    let path = path(&format!("turns {}", work.name));
    let (came, comes) = channel();
    let watch =
        Arc::new(Watch { patient: Mutex::new(None), events: AtomicUsize::new(0), turns: Mutex::default(), came });
    let server = start(server.workers(1).listen(format!("unix:{}", path.display())), Watched(watch.clone()));
    *watch.patient.lock().unwrap() = Some(connect(&path, "patient"));
    let mut busy = connect(&path, "busy");
    let mut answers = busy.try_clone().unwrap();
    thread::scope(|scope| {
        // Both end with the server.
        scope.spawn(|| while busy.write_all(&work.bytes).is_ok() {});
        scope.spawn(|| std::io::copy(&mut answers, &mut std::io::sink()));
        eventually("it is at work", || watch.events.load(Ordering::Relaxed) > 0);
        watch.patient.lock().unwrap().as_mut().unwrap().write_all(&text("my turn?")).unwrap();
        let turns = (0..=TURNS).take_while(|_| {
            common::watch();
            comes.recv_timeout(PATIENCE).is_ok()
        });
        let turns = turns.count();
        server.stop();
        assert!(turns > TURNS, "{}: after {turns} turns none came", work.name);
    });
    let turns = watch.turns.lock().unwrap();
    // A turn of the other's before its last byte is read, and one when the next comes.
    let most = 2 * (TURN + work.cost) / work.cost;
    let worst = turns[1..].iter().max().unwrap();
    assert!(*worst <= most, "{}: {worst} events, and {most} are enough", work.name);
}

#[test]
fn turns_come_beside_small_messages() {
    turns_come(Server::builder(), &small_messages());
    turns_come(Server::builder(), &empty_messages());
}

#[test]
fn turns_come_beside_control_frames() {
    turns_come(Server::builder(), &pings());
    turns_come(Server::builder(), &pongs());
}

#[test]
fn turns_come_beside_long_messages() {
    let mut config = Config::default();
    (config.limits.message, config.limits.fragments) = (16 << 20, 5000);
    turns_come(Server::builder().config(config.clone()), &fragments());
    turns_come(Server::builder().config(config), &large_messages());
}

#[test]
#[cfg(feature = "deflate")]
fn turns_come_beside_compressed_messages() {
    turns_come(compressed::server(), &compressed::empty_messages());
    turns_come(compressed::server(), &compressed::bombs());
    turns_come(compressed::server(), &compressed::empty_blocks());
}
