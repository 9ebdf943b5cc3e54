//! Captures, made of what two ends of a connection send each other.

use etherparse::{PacketBuilder, TcpHeader};
use sockless_tokio::sockless::bytes::BufMut;
use sockless_tokio::sockless::{Connection, Deflate, Event, Seed};
use sockless_tokio::{ClientRequest, Config};
use std::net::SocketAddr;

/// Who sends.
pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

/// Two ends in memory, and what each has sent, in order.
pub(crate) struct Talk {
    ends: [Connection; 2],
    pub(crate) sent: Vec<(usize, Vec<u8>)>,
}

impl Talk {
    /// An open connection, with compression or without.
    pub(crate) fn open(deflate: Option<Deflate>) -> Self {
        Self::open_as([deflate.clone(), deflate])
    }

    /// The same, with settings for each.
    pub(crate) fn open_as(deflate: [Option<Deflate>; 2]) -> Self {
        let [config, server] = deflate.map(|deflate| Config { deflate, ..Config::default() });
        let request = ClientRequest::new("ws://example.com/chat?room=7").unwrap().subprotocol("chat");
        let client = Connection::client(&request, config, Seed::new([7; 16])).unwrap();
        let mut talk = Self { ends: [client, Connection::server(server)], sent: Vec::new() };
        talk.pass();
        talk
    }

    /// One end says something, and both say what follows from it.
    pub(crate) fn say(&mut self, side: usize, say: impl FnOnce(&mut Connection)) -> &mut Self {
        say(&mut self.ends[side]);
        self.pass();
        self
    }

    pub(crate) fn text(&mut self, side: usize, text: &str) -> &mut Self {
        self.say(side, |end| end.send_text(text).unwrap())
    }

    pub(crate) fn close(&mut self, side: usize, code: u16, reason: &str) -> &mut Self {
        self.say(side, |end| end.close(code, reason).unwrap())
    }

    /// One end's bytes, whatever they are.
    pub(crate) fn bytes(&mut self, side: usize, bytes: &[u8]) -> &mut Self {
        self.sent.push((side, bytes.to_vec()));
        self
    }

    /// How much one end has sent.
    pub(crate) fn len(&self, side: usize) -> usize {
        self.sent.iter().filter(|(from, _)| *from == side).map(|(_, bytes)| bytes.len()).sum()
    }

    /// All that one end has sent.
    pub(crate) fn stream(&self, side: usize) -> Vec<u8> {
        self.sent.iter().filter(|(from, _)| *from == side).flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    fn pass(&mut self) {
        loop {
            let before = self.sent.len();
            for side in [CLIENT, SERVER] {
                let mut bytes = Vec::new();
                bytes.put(self.ends[side].outbound());
                if bytes.is_empty() {
                    continue;
                }
                self.sent.push((side, bytes.clone()));
                let other = &mut self.ends[1 - side];
                let mut input = &mut bytes[..];
                while let Some(event) = other.receive(&mut input).unwrap() {
                    if let Event::Request(request) = event {
                        other.accept(request.accept_first_subprotocol()).unwrap();
                    }
                }
            }
            if self.sent.len() == before {
                return;
            }
        }
    }
}

/// What packets lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Ethernet,
    Sll,
    Sll2,
    Null,
    Raw,
}

impl Link {
    pub(crate) const ALL: [Self; 5] = [Self::Ethernet, Self::Sll, Self::Sll2, Self::Null, Self::Raw];

    fn number(self) -> u16 {
        match self {
            Self::Ethernet => 1,
            Self::Sll => 113,
            Self::Sll2 => 276,
            Self::Null => 0,
            Self::Raw => 101,
        }
    }
}

/// A segment of TCP: who sends it, its place in the stream, and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) side: usize,
    pub(crate) at: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) flags: &'static str,
}

/// Addresses of the two ends.
pub(crate) type Ends = [SocketAddr; 2];

pub(crate) fn ends(client_port: u16) -> Ends {
    [([127, 0, 0, 1], client_port).into(), ([127, 0, 0, 1], 9001).into()]
}

/// The segments of a connection: SYN both ways, each of what was sent in parts of at most `most`, FIN both ways.
pub(crate) fn segments(sent: &[(usize, Vec<u8>)], most: usize) -> Vec<Segment> {
    let bare = |side, at, flags| Segment { side, at, data: Vec::new(), flags };
    let (mut segments, mut at) = (vec![bare(CLIENT, 0, "S"), bare(SERVER, 0, "SA")], [1, 1]);
    for (side, bytes) in sent {
        for part in bytes.chunks(most) {
            segments.push(Segment { side: *side, at: at[*side], data: part.to_vec(), flags: "A" });
            at[*side] += part.len() as u32;
        }
    }
    segments.extend([bare(CLIENT, at[CLIENT], "FA"), bare(SERVER, at[SERVER], "FA")]);
    segments
}

/// Packets of these segments, of which the first has this sequence number.
pub(crate) fn packets(segments: &[Segment], ends: Ends, link: Link, first: u32) -> Vec<Vec<u8>> {
    segments.iter().map(|segment| packet(segment, ends, link, first)).collect()
}

fn packet(segment: &Segment, ends: Ends, link: Link, first: u32) -> Vec<u8> {
    let (from, to) = (ends[segment.side], ends[1 - segment.side]);
    let mut tcp = TcpHeader::new(from.port(), to.port(), first.wrapping_add(segment.at), 65_000);
    for flag in segment.flags.chars() {
        match flag {
            'S' => tcp.syn = true,
            'A' => tcp.ack = true,
            'F' => tcp.fin = true,
            _ => tcp.rst = true,
        }
    }
    let mut packet = Vec::new();
    macro_rules! write {
        ($builder:expr) => {
            $builder.tcp_header(tcp).write(&mut packet, &segment.data).unwrap()
        };
    }
    let is_ethernet = link == Link::Ethernet;
    let kind: [u8; 2] = if from.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xDD] };
    match link {
        Link::Ethernet | Link::Raw => {}
        // Type 0, ARPHRD_LOOPBACK, an address of 6 bytes in 8.
        Link::Sll => packet.extend([&[0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0][..], &kind].concat()),
        Link::Sll2 => packet.extend([&kind[..], &[0; 18]].concat()),
        Link::Null => packet.extend([2, 0, 0, 0]),
    }
    match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) if is_ethernet => {
            write!(PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(from.ip().octets(), to.ip().octets(), 64));
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) if is_ethernet => {
            write!(PacketBuilder::ethernet2([1; 6], [2; 6]).ipv6(from.ip().octets(), to.ip().octets(), 64));
        }
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            write!(PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64));
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            write!(PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), 64));
        }
        _ => panic!("one family"),
    }
    packet
}

/// Packets a millisecond apart, from second 1,700,000,000 on.
const SECOND: u32 = 1_700_000_000;

/// A pcap file.
pub(crate) fn pcap(link: Link, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = pcap_header(link);
    for (index, packet) in packets.iter().enumerate() {
        file.extend(pcap_packet(index as u32, packet));
    }
    file
}

pub(crate) fn pcap_header(link: Link) -> Vec<u8> {
    let head = [0xA1B2_C3D4, 2 | 4 << 16, 0, 0, 262_144, u32::from(link.number())];
    head.iter().flat_map(|word: &u32| word.to_le_bytes()).collect()
}

pub(crate) fn pcap_packet(milliseconds: u32, packet: &[u8]) -> Vec<u8> {
    let (seconds, rest) = (SECOND + milliseconds / 1000, milliseconds % 1000);
    let len = packet.len() as u32;
    let head = [seconds, rest * 1000, len, len];
    head.iter().flat_map(|word| word.to_le_bytes()).chain(packet.iter().copied()).collect()
}

/// The same as a pcap file whose numbers have the highest byte first, and whose times are nanoseconds.
pub(crate) fn pcap_big(link: Link, packets: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    let mut file = words(&[0xA1B2_3C4D, 2 << 16 | 4, 0, 0, 262_144, u32::from(link.number())]);
    for (index, packet) in packets.iter().enumerate() {
        let (index, len) = (index as u32, packet.len() as u32);
        file.extend(words(&[SECOND + index / 1000, index % 1000 * 1_000_000, len, len]));
        file.extend(packet);
    }
    file
}

/// The same as a pcapng file, with a block that nobody knows, and times of this resolution.
pub(crate) fn pcapng(link: Link, packets: &[Vec<u8>], resolution: u8) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let len = (12 + body.len() + padding.len()) as u32;
        [&kind.to_le_bytes()[..], &len.to_le_bytes(), body, &padding, &len.to_le_bytes()].concat()
    };
    let section = [&0x1A2B_3C4D_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xFF; 8]].concat();
    let options = [9, 0, 1, 0, resolution, 0, 0, 0, 0, 0, 0, 0];
    let interface = [&link.number().to_le_bytes()[..], &[0, 0], &0_u32.to_le_bytes(), &options].concat();
    let mut file = [block(0x0A0D_0D0A, &section), block(1, &interface), block(0x7777, b"what is this")].concat();
    let unit = if resolution & 0x80 == 0 { 10_u64.pow(resolution.into()) } else { 1 << (resolution & 0x7F) };
    for (index, packet) in packets.iter().enumerate() {
        let time = u64::from(SECOND) * unit + index as u64 * unit / 1000;
        let len = (packet.len() as u32).to_le_bytes();
        let (high, low) = (((time >> 32) as u32).to_le_bytes(), (time as u32).to_le_bytes());
        file.extend(block(6, &[&[0; 4], &high[..], &low, &len, &len, packet].concat()));
    }
    file
}
