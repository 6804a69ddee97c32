//! Classic pcap.
//!
//! ```text
//! file    | magic 4 | version 2+2 | zone 4 | accuracy 4 | snap length 4 | link type 4 | records …
//! record  | seconds 4 | fraction 4 | captured length 4 | original length 4 | bytes …
//! ```

use super::reader::{Located, MAX_RECORD_BYTES};
use super::window::Window;
use crate::{Error, LinkType, Result};
use std::io::Read;

const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;
/// The largest snap length that libpcap writes.
const MAX_SNAP_BYTES: u32 = 262_144;
/// Records next to each other lie no further apart where damage is looked for. Units: seconds.
const NEAR_SECONDS: u32 = 7 * 86_400;

#[derive(Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    ns_per_unit: u32,
    link_type: LinkType,
    snap_bytes: u32,
    last_seconds: Option<u32>,
}

/// A record header as it stands.
#[derive(Debug, Clone, Copy)]
struct Record {
    seconds: u32,
    fraction: u32,
    captured: u32,
    original: u32,
}

impl Pcap {
    /// Reads the file header.
    pub(super) fn start<R: Read>(window: &mut Window<R>) -> Result<Self> {
        let magic = window.fill(4)?;
        let (big_endian, ns_per_unit) = match *magic {
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, 1_000),
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, 1_000),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, 1),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, 1),
            _ => {
                let found = magic.to_vec();
                return Err(Error::NotACapture { file: window.place().file.clone(), found });
            }
        };
        let header = window.need(FILE_HEADER_BYTES, "file header", "the pcap format")?;
        let word = |at: usize| word(big_endian, header, at);
        let pcap = Self {
            big_endian,
            ns_per_unit,
            // The upper bits hold the length of a frame check sequence.
            link_type: LinkType::from_number(word(20) & 0x03ff_ffff),
            snap_bytes: word(16),
            last_seconds: None,
        };
        window.consume(FILE_HEADER_BYTES);
        Ok(pcap)
    }

    pub(super) fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// The next packet; `doubtful` checks what the format leaves open.
    #[inline]
    pub(super) fn next<R: Read>(
        &mut self,
        window: &mut Window<R>,
        doubtful: bool,
    ) -> Result<Option<Located>> {
        if window.fill(1)?.is_empty() {
            return Ok(None);
        }
        let header = window.need(RECORD_HEADER_BYTES, "record header", "the pcap format")?;
        let record = self.record(header);
        let size = RECORD_HEADER_BYTES as u64 + u64::from(record.captured);
        if size > MAX_RECORD_BYTES as u64 {
            return Err(Error::RecordTooLong {
                place: window.place().clone(),
                what: "packet record",
                stated_bytes: size,
                limit_bytes: MAX_RECORD_BYTES as u64,
            });
        }
        if doubtful {
            self.check(window, &record)?;
        }
        let length = record.captured as usize;
        let size = RECORD_HEADER_BYTES + length;
        window.need(size, "packet record", "the record's captured length")?;
        self.last_seconds = Some(record.seconds);
        Ok(Some(Located {
            link_type: self.link_type,
            interface: 0,
            time_ns: i64::from(record.seconds) * 1_000_000_000
                + i64::from(record.fraction) * i64::from(self.ns_per_unit),
            at: window.consume(size) + RECORD_HEADER_BYTES,
            length,
            original_length: record.original,
        }))
    }

    fn record(&self, header: &[u8]) -> Record {
        let word = |at: usize| word(self.big_endian, header, at);
        Record { seconds: word(0), fraction: word(4), captured: word(8), original: word(12) }
    }

    fn units_per_second(&self) -> u32 {
        1_000_000_000_u32.div_euclid(self.ns_per_unit)
    }

    fn captured_limit(&self) -> u32 {
        self.snap_bytes.clamp(MAX_SNAP_BYTES, MAX_RECORD_BYTES as u32)
    }

    fn check<R: Read>(&self, window: &Window<R>, record: &Record) -> Result<()> {
        let wrong = |what, found, expected| {
            Err(Error::ImplausibleRecord { place: window.place().clone(), what, found, expected })
        };
        if record.fraction >= self.units_per_second() {
            return wrong("fraction", record.fraction, "less than a second");
        }
        if record.captured > self.captured_limit() {
            return wrong("captured length", record.captured, "at most the snap length");
        }
        Ok(())
    }

    /// Whether a record that makes every sense starts here: plausible itself, and before the end
    /// of the file or another plausible one.
    pub(super) fn is_record<R: Read>(&self, window: &mut Window<R>) -> Result<bool> {
        let header = window.fill(RECORD_HEADER_BYTES)?;
        if header.len() < RECORD_HEADER_BYTES {
            return Ok(false);
        }
        let record = self.record(header);
        if !self.is_plausible(&record, self.last_seconds) {
            return Ok(false);
        }
        let size = RECORD_HEADER_BYTES + record.captured as usize;
        let both = window.fill(size + RECORD_HEADER_BYTES)?;
        Ok(match both.get(size..) {
            None => false,
            Some([]) => true,
            Some(next) if next.len() < RECORD_HEADER_BYTES => false,
            Some(next) => self.is_plausible(&self.record(next), Some(record.seconds)),
        })
    }

    fn is_plausible(&self, record: &Record, near_seconds: Option<u32>) -> bool {
        record.fraction < self.units_per_second()
            && (1..=self.captured_limit()).contains(&record.captured)
            && (record.captured..=MAX_RECORD_BYTES as u32).contains(&record.original)
            && near_seconds.is_none_or(|near| record.seconds.abs_diff(near) <= NEAR_SECONDS)
    }
}

fn word(big_endian: bool, bytes: &[u8], at: usize) -> u32 {
    let bytes = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}
