//! pcapng.
//!
//! ```text
//! block       | type 4 | total length 4 | body … | total length 4 |
//! section     | section header block | interface description, packet and other blocks … |
//! interface   | link type 2 | reserved 2 | snap length 4 | options … |
//! enhanced    | interface 4 | time 4 + 4 | captured 4 | original 4 | bytes … | options … |
//! simple      | original 4 | bytes … |
//! obsolete    | interface 2 | drops 2 | time 4 + 4 | captured 4 | original 4 | bytes … | options … |
//! option      | code 2 | length 2 | value, padded to 4 |
//! ```

use super::reader::{Located, MAX_RECORD_BYTES};
use super::window::Window;
use crate::{Error, LinkType, Place, Result};
use std::io::Read;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// Type and length in front of a body; another length behind it.
const FRONT_BYTES: usize = 8;
const FRAME_BYTES: usize = 12;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_TIME_OFFSET: u16 = 14;
/// No capture has more; each takes memory until the section ends.
const MAX_INTERFACES: usize = 1 << 16;

#[derive(Debug, Clone, Copy, Default)]
enum ByteOrder {
    #[default]
    Little,
    Big,
}

impl ByteOrder {
    fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn u16(self, bytes: &[u8], at: usize) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes([bytes[at], bytes[at + 1]]),
            Self::Big => u16::from_be_bytes([bytes[at], bytes[at + 1]]),
        }
    }

    fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: LinkType,
    snap_length: u32,
    units_per_second: u64,
    offset_seconds: i64,
}

/// A packet as its block has it; `at` counts from the block's start.
struct RawPacket {
    interface: u32,
    /// Time in the interface's units; simple packet blocks have none.
    ticks: Option<u64>,
    at: usize,
    length: usize,
    original_length: u32,
}

#[derive(Debug, Default)]
pub(super) struct PcapNg {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    first_link_type: Option<LinkType>,
    /// Offset of the block read last.
    last_block: u64,
    /// Length of the block whose content made the last error, where its frame is sound.
    bad_block_bytes: Option<usize>,
}

/// An error that does not know its place yet: naming it allocates, which sound blocks need not.
enum Fault {
    Malformed(u32, &'static str),
    TooLong(u32),
    UnknownInterface { interface: u32, declared: usize },
    TimeOutOfRange { ticks: u64, units_per_second: u64 },
}

impl Fault {
    fn at(self, place: &Place) -> Error {
        let place = place.clone();
        match self {
            Self::Malformed(block_type, expected) => {
                Error::MalformedBlock { place, block_type, expected }
            }
            Self::TooLong(length) => Error::RecordTooLong {
                place,
                what: "pcapng block",
                stated_bytes: length.into(),
                limit_bytes: MAX_RECORD_BYTES as u64,
            },
            Self::UnknownInterface { interface, declared } => {
                Error::UnknownInterface { place, interface, declared }
            }
            Self::TimeOutOfRange { ticks, units_per_second } => {
                Error::TimeOutOfRange { place, ticks, units_per_second }
            }
        }
    }
}

impl PcapNg {
    pub(super) fn first_link_type(&self) -> Option<LinkType> {
        self.first_link_type
    }

    pub(super) fn last_block(&self) -> u64 {
        self.last_block
    }

    pub(super) fn bad_block_bytes(&self) -> Option<usize> {
        self.bad_block_bytes
    }

    /// Reads blocks until one holds a packet.
    pub(super) fn next<R: Read>(&mut self, window: &mut Window<R>) -> Result<Option<Located>> {
        loop {
            self.bad_block_bytes = None;
            if window.fill(1)?.is_empty() {
                return Ok(None);
            }
            self.last_block = window.place().offset_bytes;
            let front = window.need(FRAME_BYTES, "block", "the pcapng format")?;
            let framed = self.frame(front);
            let (block_type, length) = framed.map_err(|fault| fault.at(window.place()))?;
            let block = window.need(length, "block", "the block's total length")?;
            let found = self.block(block_type, block);
            let found = found.map_err(|fault| fault.at(window.place()))?;
            let at = window.consume(length);
            if let Some(packet) = found {
                return Ok(Some(Located { at: at + packet.at, ..packet }));
            }
        }
    }

    /// Type and total length of the block, checked so far as its front allows.
    fn frame(&mut self, front: &[u8]) -> Result<(u32, usize), Fault> {
        if front.starts_with(&SECTION.to_be_bytes()) {
            // The type is a palindrome; the byte order follows from the magic behind the length.
            let order = section_order(front);
            let rule = "byte-order magic 1a2b3c4d expected";
            self.order = order.ok_or(Fault::Malformed(SECTION, rule))?;
        }
        let (block_type, length) = (self.order.u32(front, 0), self.order.u32(front, 4));
        if length < FRAME_BYTES as u32 || !length.is_multiple_of(4) {
            let rule = "the total length must be a multiple of 4 and at least 12";
            return Err(Fault::Malformed(block_type, rule));
        }
        if length as usize > MAX_RECORD_BYTES {
            return Err(Fault::TooLong(length));
        }
        Ok((block_type, length as usize))
    }

    /// Takes in a whole block; its packet, where it has one.
    fn block(&mut self, block_type: u32, block: &[u8]) -> Result<Option<Located>, Fault> {
        if self.order.u32(block, block.len() - 4) as usize != block.len() {
            return Err(Fault::Malformed(block_type, "both total lengths must agree"));
        }
        self.bad_block_bytes = Some(block.len());
        match block_type {
            SECTION => self.start_section(block).map(|()| None),
            INTERFACE => self.add_interface(block).map(|()| None),
            ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET => {
                self.packet(block_type, block).map(Some)
            }
            // Names, statistics, secrets, custom blocks: nothing that a trace holds.
            _ => Ok(None),
        }
    }

    fn start_section(&mut self, block: &[u8]) -> Result<(), Fault> {
        if block.len() < 28 || self.order.u16(block, 12) != 1 {
            return Err(Fault::Malformed(SECTION, "28 bytes and major version 1 expected"));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn add_interface(&mut self, block: &[u8]) -> Result<(), Fault> {
        let rule = "the fields and options must fit into the total length";
        if block.len() < 20 {
            return Err(Fault::Malformed(INTERFACE, rule));
        }
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Fault::Malformed(INTERFACE, "at most 65536 interfaces expected"));
        }
        let (mut resolution, mut offset_seconds) = (6, 0);
        let options = &block[16..block.len() - 4];
        let options = Options { order: self.order, rest: options };
        for option in options {
            let Some((code, value)) = option else {
                return Err(Fault::Malformed(INTERFACE, rule));
            };
            match (code, value) {
                (OPTION_RESOLUTION, [exponent, ..]) => resolution = *exponent,
                (OPTION_TIME_OFFSET, [a, b, c, d, e, f, g, h]) => {
                    offset_seconds = self.order.i64([*a, *b, *c, *d, *e, *f, *g, *h]);
                }
                _ => {}
            }
        }
        // 10^20 and 2^64 units a second do not fit; no clock is that fine.
        let units_per_second = match resolution {
            n @ 0..=19 => 10_u64.pow(n.into()),
            n @ 0x80..=0xbf => 1 << (n & 0x7f),
            _ => {
                let rule = "if_tsresol must be at most 10^-19 or 2^-63";
                return Err(Fault::Malformed(INTERFACE, rule));
            }
        };
        let link_type = LinkType::from_number(self.order.u16(block, 8).into());
        self.first_link_type.get_or_insert(link_type);
        let snap_length = self.order.u32(block, 12);
        self.interfaces.push(Interface {
            link_type,
            snap_length,
            units_per_second,
            offset_seconds,
        });
        Ok(())
    }

    /// The packet of a block; `at` counts from the block's start.
    fn packet(&self, block_type: u32, block: &[u8]) -> Result<Located, Fault> {
        let Some(raw) = self.raw_packet(block_type, block) else {
            let rule = "the captured length must fit into the total length";
            return Err(Fault::Malformed(block_type, rule));
        };
        let interface = usize::try_from(raw.interface).ok().and_then(|i| self.interfaces.get(i));
        let Some(interface) = interface else {
            let declared = self.interfaces.len();
            return Err(Fault::UnknownInterface { interface: raw.interface, declared });
        };
        let time_ns = match raw.ticks {
            None => 0,
            Some(ticks) => interface.time_ns(ticks).ok_or(Fault::TimeOutOfRange {
                ticks,
                units_per_second: interface.units_per_second,
            })?,
        };
        Ok(Located {
            link_type: interface.link_type,
            interface: raw.interface,
            time_ns,
            at: raw.at,
            length: raw.length,
            original_length: raw.original_length,
        })
    }

    fn raw_packet(&self, block_type: u32, block: &[u8]) -> Option<RawPacket> {
        let end = block.len() - 4;
        let word = |at: usize| (at + 4 <= end).then(|| self.order.u32(block, at));
        if block_type == SIMPLE_PACKET {
            let original_length = word(8)?;
            let snap = self.interfaces.first().map_or(0, |i| i.snap_length);
            let limit = if snap == 0 { original_length } else { original_length.min(snap) };
            let length = (end - 12).min(limit as usize);
            return Some(RawPacket { interface: 0, ticks: None, at: 12, length, original_length });
        }
        let ticks = u64::from(word(12)?) << 32 | u64::from(word(16)?);
        let (length, original_length) = (word(20)? as usize, word(24)?);
        let interface = match block_type {
            OBSOLETE_PACKET => self.order.u16(block, 8).into(),
            _ => word(8)?,
        };
        let at = FRONT_BYTES + 20;
        let fits = length <= end - at;
        fits.then_some(RawPacket { interface, ticks: Some(ticks), at, length, original_length })
    }

    /// Whether a block whose both lengths agree, or a section, starts here.
    pub(super) fn is_block<R: Read>(&self, window: &mut Window<R>) -> Result<bool> {
        let front = window.fill(FRAME_BYTES)?;
        if front.len() < FRAME_BYTES {
            return Ok(false);
        }
        let is_section = front.starts_with(&SECTION.to_be_bytes());
        let order = if is_section { section_order(front) } else { Some(self.order) };
        let Some(order) = order else { return Ok(false) };
        let (block_type, length) = (order.u32(front, 0), order.u32(front, 4) as usize);
        let known = matches!(block_type, SECTION | 1..=6);
        if !known || !(FRAME_BYTES..=MAX_RECORD_BYTES).contains(&length) || length % 4 != 0 {
            return Ok(false);
        }
        let block = window.fill(length)?;
        Ok(block.len() == length && order.u32(block, length - 4) as usize == length)
    }
}

impl Interface {
    /// Nanoseconds since 1970, rounded down.
    fn time_ns(&self, ticks: u64) -> Option<i64> {
        let ns = match self.units_per_second {
            1_000_000_000 => i128::from(ticks),
            1_000_000 => i128::from(ticks) * 1_000,
            units => (i128::from(ticks) * 1_000_000_000).div_euclid(units.into()),
        };
        i64::try_from(ns + i128::from(self.offset_seconds) * 1_000_000_000).ok()
    }
}

/// Code and value of each option; `None` for one that does not fit.
struct Options<'a> {
    order: ByteOrder,
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len() < 4 {
            return None;
        }
        let (code, length) = (self.order.u16(self.rest, 0), self.order.u16(self.rest, 2));
        if code == 0 {
            return None;
        }
        let length = usize::from(length);
        let value = self.rest.get(4..4 + length);
        self.rest = self.rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        Some(value.map(|value| (code, value)))
    }
}

fn section_order(front: &[u8]) -> Option<ByteOrder> {
    match front[8..12] {
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(ByteOrder::Little),
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(ByteOrder::Big),
        _ => None,
    }
}
