//! pcapng.
//!
//! ```text
//! block   | type 4 | total length 4 | body … | total length 4 |
//! section | section header block | interface description, packet and other blocks … |
//! ```

use super::Cursor;
use crate::{Error, LinkType, Result, Trace};
use pcap_parser::Block;
use pcap_parser::pcapng::{InterfaceDescriptionBlock, parse_block_be, parse_block_le};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const OPTION_TIME_OFFSET: u16 = 14;

#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn u32(self, bytes: &[u8]) -> u32 {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn u16(self, bytes: &[u8]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes([bytes[0], bytes[1]]),
            Self::Big => u16::from_be_bytes([bytes[0], bytes[1]]),
        }
    }
}

struct Interface {
    link_type: LinkType,
    snap_length: u32,
    units_per_second: u64,
    offset_seconds: i64,
}

/// A packet as its block has it.
struct RawPacket<'a> {
    interface: u32,
    /// Time in the interface's units; simple packet blocks have none.
    ticks: Option<u64>,
    bytes: &'a [u8],
    original_length: u32,
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// Made when the first interface is seen.
    trace: Option<Trace>,
    packets: usize,
}

pub(super) fn read(bytes: &[u8], file: String) -> Result<(Trace, Option<Error>)> {
    let cursor = Cursor::new(bytes, file);
    cursor.peek(28, "section header block", "the pcapng format")?;
    let order = ByteOrder::Little;
    let mut reader = Reader { cursor, order, interfaces: Vec::new(), trace: None, packets: 0 };
    let mut damage = None;
    while damage.is_none() && !reader.cursor.rest.is_empty() {
        damage = reader.read_block().err();
    }
    // A file without an interface has no packet either, and any link type is true of it.
    Ok((reader.trace.unwrap_or_else(|| Trace::new(LinkType::Ethernet)), damage))
}

impl<'a> Reader<'a> {
    fn read_block(&mut self) -> Result<()> {
        self.cursor.place.packet = self.packets + 1;
        let start = self.cursor.peek(12, "block", "the pcapng format")?;
        if start.starts_with(&SECTION.to_be_bytes()) {
            // The type is a palindrome; the byte order follows from the magic behind the length.
            self.order = match start[8..12] {
                [0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
                [0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
                _ => return Err(self.malformed(SECTION, "byte-order magic 1a2b3c4d expected")),
            };
        }
        let block_type = self.order.u32(start);
        let length = self.order.u32(&start[4..]);
        if length < 12 || !length.is_multiple_of(4) {
            let rule = "the total length must be a multiple of 4 and at least 12";
            return Err(self.malformed(block_type, rule));
        }
        let block = self.cursor.peek(length.into(), "block", "the block's total length")?;
        if self.order.u32(&block[block.len() - 4..]) != length {
            return Err(self.malformed(block_type, "both total lengths must agree"));
        }
        match block_type {
            SECTION => self.start_section(block)?,
            INTERFACE => self.add_interface(block)?,
            ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET => {
                let packet = self.parse_packet(block_type, block)?;
                self.add_packet(&packet)?;
            }
            // Names, statistics, secrets, custom blocks: nothing that a trace holds.
            _ => {}
        }
        self.cursor.skip(block.len());
        Ok(())
    }

    fn parse(&self, block_type: u32, block: &'a [u8]) -> Result<Block<'a>> {
        let parsed = match self.order {
            ByteOrder::Little => parse_block_le(block),
            ByteOrder::Big => parse_block_be(block),
        };
        let rule = "the fields and options must fit into the total length";
        parsed.map(|(_, block)| block).map_err(|_| self.malformed(block_type, rule))
    }

    fn start_section(&mut self, block: &'a [u8]) -> Result<()> {
        match self.parse(SECTION, block)? {
            Block::SectionHeader(header) if header.major_version == 1 => {
                self.interfaces.clear();
                Ok(())
            }
            _ => Err(self.malformed(SECTION, "major version 1 expected")),
        }
    }

    fn add_interface(&mut self, block: &'a [u8]) -> Result<()> {
        let Block::InterfaceDescription(described) = self.parse(INTERFACE, block)? else {
            return Err(self.malformed(INTERFACE, "an interface description expected"));
        };
        // 10^20 and 2^64 units a second do not fit; no clock is that fine.
        let units_per_second = match described.if_tsresol {
            n @ 0..=19 => 10_u64.pow(n.into()),
            n @ 0x80..=0xbf => 1 << (n & 0x7f),
            _ => {
                return Err(self.malformed(INTERFACE, "if_tsresol must be at most 10^-19 or 2^-63"));
            }
        };
        let link_type = LinkType::from_number(described.linktype.0 as u32);
        self.trace.get_or_insert_with(|| Trace::new(link_type));
        self.interfaces.push(Interface {
            link_type,
            snap_length: described.snaplen,
            units_per_second,
            offset_seconds: time_offset(&described, self.order),
        });
        Ok(())
    }

    fn parse_packet(&self, block_type: u32, block: &'a [u8]) -> Result<RawPacket<'a>> {
        let body = &block[8..block.len() - 4];
        if block_type == OBSOLETE_PACKET {
            // | interface 2 | drops 2 | time 4 + 4 | captured 4 | original 4 | bytes … |
            let header = body.get(..20);
            let field = |at: usize| header.map(|h| self.order.u32(&h[at..]));
            let captured = field(12).and_then(|n| body.get(20..)?.get(..n as usize));
            let (Some(header), Some(bytes)) = (header, captured) else {
                let rule = "the captured length must fit into the total length";
                return Err(self.malformed(block_type, rule));
            };
            let half = |at: usize| u64::from(self.order.u32(&header[at..]));
            return Ok(RawPacket {
                interface: self.order.u16(header).into(),
                ticks: Some((half(4) << 32) | half(8)),
                bytes,
                original_length: self.order.u32(&header[16..]),
            });
        }
        match self.parse(block_type, block)? {
            Block::EnhancedPacket(packet) => Ok(RawPacket {
                interface: packet.if_id,
                ticks: Some((u64::from(packet.ts_high) << 32) | u64::from(packet.ts_low)),
                // Without the padding.
                bytes: &packet.data[..packet.data.len().min(packet.caplen as usize)],
                original_length: packet.origlen,
            }),
            Block::SimplePacket(packet) => {
                let snap = self.interfaces.first().map_or(0, |i| i.snap_length);
                let limit = if snap == 0 { packet.origlen } else { packet.origlen.min(snap) };
                let captured = packet.data.len().min(limit as usize);
                Ok(RawPacket {
                    interface: 0,
                    ticks: None,
                    bytes: &packet.data[..captured],
                    original_length: packet.origlen,
                })
            }
            _ => Err(self.malformed(block_type, "a packet block expected")),
        }
    }

    fn add_packet(&mut self, packet: &RawPacket<'_>) -> Result<()> {
        let interface = usize::try_from(packet.interface).ok();
        let (Some(interface), Some(trace)) =
            (interface.and_then(|i| self.interfaces.get(i)), self.trace.as_mut())
        else {
            return Err(Error::UnknownInterface {
                place: self.cursor.place.clone(),
                interface: packet.interface,
                declared: self.interfaces.len(),
            });
        };
        if trace.is_empty() && trace.link_type() != interface.link_type {
            *trace = Trace::new(interface.link_type);
        }
        if trace.link_type() != interface.link_type {
            return Err(Error::MixedLinkTypes {
                place: self.cursor.place.clone(),
                first: trace.link_type(),
                second: interface.link_type,
            });
        }
        let time_ns = match packet.ticks {
            None => 0,
            Some(ticks) => interface.time_ns(ticks).ok_or_else(|| Error::TimeOutOfRange {
                place: self.cursor.place.clone(),
                ticks,
                units_per_second: interface.units_per_second,
            })?,
        };
        trace.push(time_ns, packet.bytes, packet.original_length);
        self.packets += 1;
        Ok(())
    }

    fn malformed(&self, block_type: u32, expected: &'static str) -> Error {
        Error::MalformedBlock { place: self.cursor.place.clone(), block_type, expected }
    }
}

impl Interface {
    /// Nanoseconds since 1970, rounded down.
    fn time_ns(&self, ticks: u64) -> Option<i64> {
        let ns = i128::from(ticks) * 1_000_000_000;
        let ns = ns.div_euclid(self.units_per_second.into());
        i64::try_from(ns + i128::from(self.offset_seconds) * 1_000_000_000).ok()
    }
}

/// The option `if_tsoffset`. Units: seconds. Read from the raw option, because the parser takes
/// it for little-endian in every section.
fn time_offset(interface: &InterfaceDescriptionBlock<'_>, order: ByteOrder) -> i64 {
    let option = interface.options.iter().find(|o| o.code.0 == OPTION_TIME_OFFSET);
    let bytes = option.and_then(|o| o.value.get(..8)).and_then(|v| <[u8; 8]>::try_from(v).ok());
    match order {
        ByteOrder::Little => bytes.map_or(0, i64::from_le_bytes),
        ByteOrder::Big => bytes.map_or(0, i64::from_be_bytes),
    }
}
