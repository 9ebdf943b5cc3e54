//! Captures: pcap and pcapng files to segments of TCP.

use crate::status::Failure;
use crate::status::Status;
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_parser::nom::{Err as Parse, IResult};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    Block, Linktype, PcapError, PcapHeader, parse_block_be, parse_block_le, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_header,
};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How much is read at a time.
const READ: usize = 64 << 10;
/// How long a block of a capture may be.
const MOST_BLOCK: usize = 16 << 20;
/// How many interfaces a section of a capture may have.
const MOST_INTERFACES: usize = 4096;

/// A segment of TCP.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    pub(super) time: Option<Duration>,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    pub(super) syn: bool,
    pub(super) ack: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) data: &'a [u8],
}

/// What was left out of a capture, and why.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Packets of a link type that is not known.
    pub(super) links: u64,
    /// Fragments of IP packets.
    pub(super) fragments: u64,
    /// Whether the file ends within a packet.
    pub(super) is_cut: bool,
}

/// Whether a file that begins so is a capture.
pub(super) fn is_capture(start: &[u8]) -> bool {
    let magics = [[0xA1, 0xB2, 0xC3, 0xD4], [0xA1, 0xB2, 0x3C, 0x4D], [0x0A, 0x0D, 0x0D, 0x0A]];
    start.first_chunk().is_some_and(|start: &[u8; 4]| {
        let mut turned = *start;
        turned.reverse();
        magics.contains(start) || magics.contains(&turned)
    })
}

/// Gives `take` all segments of a capture that begins with `start`, until it fails.
pub(super) fn read(
    start: Vec<u8>,
    mut input: impl Read,
    mut take: impl FnMut(&Segment<'_>) -> io::Result<()>,
) -> Result<LeftOut, Failure> {
    let mut format = Format::Unknown;
    let (mut buffer, mut at, mut left_out) = (start, 0, LeftOut::default());
    loop {
        let mut packet = |time, link, data: &[u8]| match segment(time, link, data, &mut left_out) {
            Some(segment) => take(&segment),
            None => Ok(()),
        };
        match format.next(&buffer[at..], &mut packet).map_err(unread)? {
            Some(taken) => at += taken,
            None if buffer.len() - at > MOST_BLOCK => return Err(unread("a block of more than 16 MiB")),
            None => {
                buffer.drain(..at);
                at = 0;
                let filled = buffer.len();
                buffer.resize(filled + READ, 0);
                // What there is by now, for a file may still grow.
                let read = input.read(&mut buffer[filled..]).map_err(unread)?;
                buffer.truncate(filled + read);
                if read == 0 {
                    left_out.is_cut = !buffer.is_empty();
                    return Ok(left_out);
                }
            }
        }
    }
}

fn unread(error: impl std::fmt::Display) -> Failure {
    Failure::new(Status::NotConnected, format!("the capture cannot be read: {error}"))
}

/// A file's format, and what its packets need from before them.
enum Format {
    Unknown,
    Pcap(PcapHeader),
    PcapNg { is_big: bool, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    /// Units in a second.
    resolution: u64,
    /// Seconds.
    offset: i64,
}

/// Takes a packet: its time, its link type and its bytes.
type Take<'t> = &'t mut dyn FnMut(Option<Duration>, Linktype, &[u8]) -> io::Result<()>;

impl Format {
    /// Reads the next block; how long it was, or `None` if it is not whole.
    fn next(&mut self, bytes: &[u8], take: Take<'_>) -> io::Result<Option<usize>> {
        match self {
            Self::Unknown if bytes.starts_with(&[0x0A, 0x0D, 0x0D, 0x0A]) => {
                *self = Self::PcapNg { is_big: false, interfaces: Vec::new() };
                Ok(Some(0))
            }
            Self::Unknown => {
                let Some((rest, header)) = whole(parse_pcap_header(bytes))? else { return Ok(None) };
                *self = Self::Pcap(header);
                Ok(Some(bytes.len() - rest.len()))
            }
            Self::Pcap(header) => {
                let parse = if header.is_bigendian() { parse_pcap_frame_be } else { parse_pcap_frame };
                let Some((rest, packet)) = whole(parse(bytes))? else { return Ok(None) };
                let unit = if header.is_nanosecond_precision() { 1 } else { 1000 };
                let time =
                    Duration::from_secs(packet.ts_sec.into()) + Duration::from_nanos(u64::from(packet.ts_usec) * unit);
                take(Some(time), header.network, packet.data)?;
                Ok(Some(bytes.len() - rest.len()))
            }
            Self::PcapNg { is_big, interfaces } => {
                // A section says anew how its numbers are written, and its header can be read either way.
                let parse = if *is_big { parse_block_be } else { parse_block_le };
                let Some((rest, block)) = whole(parse(bytes))? else { return Ok(None) };
                match block {
                    Block::SectionHeader(section) => {
                        *is_big = section.big_endian();
                        interfaces.clear();
                    }
                    Block::InterfaceDescription(described) => {
                        if interfaces.len() == MOST_INTERFACES {
                            return Err(io::Error::other("too many interfaces"));
                        }
                        interfaces.push(Interface {
                            link: described.linktype,
                            resolution: resolution(described.if_tsresol),
                            offset: described.if_tsoffset,
                        });
                    }
                    Block::EnhancedPacket(packet) => {
                        let interface = usize::try_from(packet.if_id).ok().and_then(|id| interfaces.get(id));
                        let interface = interface.ok_or_else(|| io::Error::other("a packet of no interface"))?;
                        let time = interface.time(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low));
                        take(Some(time), interface.link, packet.packet_data())?;
                    }
                    Block::SimplePacket(packet) => {
                        let interface =
                            interfaces.first().ok_or_else(|| io::Error::other("a packet of no interface"))?;
                        take(None, interface.link, packet.packet_data())?;
                    }
                    _ => {}
                }
                Ok(Some(bytes.len() - rest.len()))
            }
        }
    }
}

/// What was parsed; `None` where bytes are missing.
fn whole<'a, T>(parsed: IResult<&'a [u8], T, PcapError<&'a [u8]>>) -> io::Result<Option<(&'a [u8], T)>> {
    match parsed {
        Ok(parsed) => Ok(Some(parsed)),
        Err(Parse::Incomplete(_)) => Ok(None),
        // What it says holds all bytes that there are.
        Err(_) => Err(io::Error::other("it is damaged")),
    }
}

/// Units in a second, of the option `if_tsresol`: a power of 10, or with the top bit, of 2.
fn resolution(option: u8) -> u64 {
    let resolution = match option & 0x80 {
        0 => 10_u64.checked_pow(option.into()),
        _ => 1_u64.checked_shl((option & 0x7F).into()),
    };
    resolution.unwrap_or(1_000_000)
}

impl Interface {
    fn time(&self, units: u64) -> Duration {
        let fraction = u128::from(units % self.resolution) * 1_000_000_000 / u128::from(self.resolution);
        let seconds = (units / self.resolution).saturating_add_signed(self.offset);
        Duration::new(seconds, fraction as u32)
    }
}

/// The segment of TCP in a packet, if there is one.
fn segment<'a>(time: Option<Duration>, link: Linktype, data: &'a [u8], left_out: &mut LeftOut) -> Option<Segment<'a>> {
    // A frame of a type that says itself what follows it, behind so many bytes.
    let typed = |at: usize, header: usize| {
        let kind = data.get(at..at + 2)?.try_into().map(u16::from_be_bytes).ok()?;
        Some(LaxSlicedPacket::from_ether_type(EtherType(kind), data.get(header..)?))
    };
    let packet = match link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(data).ok()?,
        Linktype::LINUX_SLL => typed(14, 16)?,
        Linktype(276) => typed(0, 20)?,
        // The family's number is another on each system, and IP says itself which version it is.
        Linktype::NULL | Linktype::LOOP => LaxSlicedPacket::from_ip(data.get(4..)?).ok()?,
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 | Linktype(12 | 14) => LaxSlicedPacket::from_ip(data).ok()?,
        _ => {
            left_out.links += 1;
            return None;
        }
    };
    let (from, to): (IpAddr, IpAddr) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Arp(_) => return None,
    };
    if packet.ip_payload().is_some_and(|payload| payload.fragmented) {
        left_out.fragments += 1;
        return None;
    }
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
    Some(Segment {
        time,
        from: (from, tcp.source_port()).into(),
        to: (to, tcp.destination_port()).into(),
        sequence: tcp.sequence_number(),
        syn: tcp.syn(),
        ack: tcp.ack(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        data: tcp.payload(),
    })
}
