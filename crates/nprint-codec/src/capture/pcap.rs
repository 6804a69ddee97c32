//! Classic pcap.
//!
//! ```text
//! file    | magic 4 | version 2+2 | zone 4 | accuracy 4 | snap length 4 | link type 4 | records …
//! record  | seconds 4 | fraction 4 | captured length 4 | original length 4 | bytes …
//! ```

use super::Cursor;
use crate::{Error, LinkType, Result, Trace};
use pcap_parser::pcap::{PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

const FILE_HEADER_BYTES: u64 = 24;
const RECORD_HEADER_BYTES: u64 = 16;

pub(super) fn read(bytes: &[u8], file: String) -> Result<(Trace, Option<Error>)> {
    let mut cursor = Cursor::new(bytes, file);
    let header = cursor.peek(FILE_HEADER_BYTES, "file header", "the pcap format")?;
    let Ok((_, header)) = parse_pcap_header(header) else {
        // The four magic numbers were told apart before; the parser knows the same four.
        return Err(Error::NotACapture { file: cursor.place.file, found: bytes[..4].to_vec() });
    };
    cursor.skip(FILE_HEADER_BYTES as usize);
    // The upper bits hold the length of a frame check sequence.
    let link_type = LinkType::from_number(header.network.0 as u32 & 0x03ff_ffff);
    let mut trace = Trace::new(link_type);
    while !cursor.rest.is_empty() {
        cursor.place.packet += 1;
        if let Err(damage) = read_record(&mut cursor, &header, &mut trace) {
            return Ok((trace, Some(damage)));
        }
    }
    Ok((trace, None))
}

fn read_record(cursor: &mut Cursor<'_>, header: &PcapHeader, trace: &mut Trace) -> Result<()> {
    let start = cursor.peek(RECORD_HEADER_BYTES, "record header", "the pcap format")?;
    let length = [start[8], start[9], start[10], start[11]];
    let captured =
        if header.is_bigendian() { u32::from_be_bytes(length) } else { u32::from_le_bytes(length) };
    let size = RECORD_HEADER_BYTES + u64::from(captured);
    let record = cursor.peek(size, "packet record", "the record's captured length")?;
    let parsed =
        if header.is_bigendian() { parse_pcap_frame_be(record) } else { parse_pcap_frame(record) };
    let (_, frame) = parsed.expect("the record is complete and any content is valid");
    let ns_per_unit = if header.is_nanosecond_precision() { 1 } else { 1_000 };
    let time_ns = i64::from(frame.ts_sec) * 1_000_000_000 + i64::from(frame.ts_usec) * ns_per_unit;
    trace.push(time_ns, frame.data, frame.origlen);
    cursor.skip(record.len());
    Ok(())
}
