//! A capture written packet by packet.
//!
//! Representation: records are put together in one buffer, of whose size the second-level cache
//! holds, and go out when it is full: nothing is allocated per packet, and the writer needs no
//! buffer of its own. A packet is bytes and a number of zeros behind them, because that is what a
//! row of bits gives: the zeros are set in place. Bench: `decode_to_pcap/*`.

use super::CaptureFormat;
use crate::{Error, LinkType, Packet, Result, Row, RowDecoder};
use std::io::{self, Write};

const SNAP_LENGTH: u32 = 262_144;
const FLUSH_BYTES: usize = 1 << 17;
const NS_PER_SECOND: i64 = 1_000_000_000;

/// Writes a capture packet by packet, in the memory of a few packets.
///
/// # Example
/// ```
/// use nprint_codec::{CaptureFormat, CaptureWriter, LinkType, Packet, read_capture_from};
/// let mut file = Vec::new();
/// let mut capture = CaptureWriter::new(&mut file, LinkType::RawIp, CaptureFormat::Pcap)?;
/// for second in 0..3 {
///     let time_ns = second * 1_000_000_000;
///     capture.write_packet(&Packet { time_ns, bytes: &[0x45, 0, 0, 20], original_length: 20 })?;
/// }
/// assert_eq!(capture.finish()?, 3);
/// assert_eq!(read_capture_from(&file[..], "memory")?.packet(2).time_ns, 2_000_000_000);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
///
/// # Source
/// IETF draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
#[derive(Debug)]
pub struct CaptureWriter<W> {
    writer: W,
    format: CaptureFormat,
    buffer: Vec<u8>,
    packets: usize,
}

impl<W: Write> CaptureWriter<W> {
    /// A writer of packets of one link type; the file header is the first thing that it writes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(writer: W, link_type: LinkType, format: CaptureFormat) -> Result<Self> {
        let mut buffer = Vec::with_capacity(FLUSH_BYTES + (FLUSH_BYTES >> 1));
        match format {
            CaptureFormat::Pcap => pcap_header(&mut buffer, 0xa1b2_c3d4, link_type),
            CaptureFormat::PcapNanoseconds => pcap_header(&mut buffer, 0xa1b2_3c4d, link_type),
            CaptureFormat::PcapNg => section_and_interface(&mut buffer, link_type),
        }
        let mut capture = Self { writer, format, buffer, packets: 0 };
        capture.flush()?;
        Ok(capture)
    }

    /// Writes one packet of the writer's link type.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::TimeNotWritable`] for a time before 1970, and in pcap for one after
    /// 2106 or, where it counts microseconds, between two of them. Such a packet is left out.
    pub fn write_packet(&mut self, packet: &Packet<'_>) -> Result<()> {
        self.write_parts(packet.time_ns, packet.bytes, 0, packet.original_length)
    }

    /// Writes the packet of one row, as [`RowDecoder::decode`] gives it, and returns whether it
    /// has one.
    ///
    /// # Errors
    /// As [`write_packet`](Self::write_packet).
    ///
    /// # Panics
    /// When the row is shorter than the decoder's layout, as slices do.
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{CaptureFormat, CaptureWriter, Layout, RowDecoder, TernaryMatrix, ipv4};
    /// let mut matrix = TernaryMatrix::vacant(Layout::reference(), 2);
    /// matrix.row_mut(1).set(ipv4::TOTAL_LENGTH, 1_500);
    /// let (mut decoder, mut file) = (RowDecoder::new(matrix.layout()), Vec::new());
    /// let format = CaptureFormat::Pcap;
    /// let mut capture = CaptureWriter::new(&mut file, decoder.link_type(), format)?;
    /// assert!(!capture.write_row(&mut decoder, &matrix.row(0), 0)?);
    /// assert!(capture.write_row(&mut decoder, &matrix.row(1), 0)?);
    /// assert_eq!((capture.finish()?, file.len()), (1, 24 + 16 + 1_500));
    /// # Ok::<(), nprint_codec::Error>(())
    /// ```
    pub fn write_row(
        &mut self,
        decoder: &mut RowDecoder,
        row: &Row<'_>,
        time_ns: i64,
    ) -> Result<bool> {
        let Some((headers, zeros)) = decoder.headers(row) else { return Ok(false) };
        let length = (headers.len() + zeros) as u32;
        self.write_parts(time_ns, headers, zeros, length).map(|()| true)
    }

    /// Number of packets written so far.
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// Writes what is left, and returns the number of packets.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<usize> {
        self.flush()?;
        self.writer.flush().map_err(failed)?;
        Ok(self.packets)
    }

    /// Writes a packet of `bytes` and `zeros` zeros behind them.
    #[inline]
    fn write_parts(
        &mut self,
        time_ns: i64,
        bytes: &[u8],
        zeros: usize,
        original: u32,
    ) -> Result<()> {
        let captured = bytes.len() + zeros;
        let buffer = &mut self.buffer;
        if self.format == CaptureFormat::PcapNg {
            let ticks = u64::try_from(time_ns).map_err(|_| {
                let range = "1970-01-01 to 2262-04-11 in nanoseconds";
                not_writable("pcapng", range, self.packets, time_ns)
            })?;
            let padding = captured.next_multiple_of(4) - captured;
            let total = (32 + captured + padding) as u32;
            let (high, low) = ((ticks >> 32) as u32, ticks as u32);
            push_words(buffer, [6, total, 0, high, low, captured as u32, original]);
            buffer.extend_from_slice(bytes);
            buffer.resize(buffer.len() + zeros + padding, 0);
            push_words(buffer, [total]);
        } else {
            let seconds = u32::try_from(time_ns.div_euclid(NS_PER_SECOND)).map_err(|_| {
                let range = "1970-01-01 to 2106-02-07";
                not_writable("pcap", range, self.packets, time_ns)
            })?;
            let ns = time_ns.rem_euclid(NS_PER_SECOND) as u32;
            let fraction = if self.format == CaptureFormat::PcapNanoseconds {
                ns
            } else if ns.is_multiple_of(1_000) {
                ns.div_euclid(1_000)
            } else {
                let range = "whole microseconds";
                return Err(not_writable("pcap in microseconds", range, self.packets, time_ns));
            };
            push_words(buffer, [seconds, fraction, captured as u32, original]);
            buffer.extend_from_slice(bytes);
            buffer.resize(buffer.len() + zeros, 0);
        }
        self.packets += 1;
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.write_all(&self.buffer).map_err(failed)?;
        self.buffer.clear();
        Ok(())
    }
}

fn pcap_header(out: &mut Vec<u8>, magic: u32, link_type: LinkType) {
    let version = 4 << 16 | 2;
    push_words(out, [magic, version, 0, 0, SNAP_LENGTH, link_type.number()]);
}

/// ```text
/// section header | interface description (if_tsresol 9) | an enhanced packet block a packet …
/// ```
fn section_and_interface(out: &mut Vec<u8>, link_type: LinkType) {
    let version = 1;
    // The section's length is not known: -1 in 64 bits.
    push_words(out, [0x0a0d_0d0a, 28, 0x1a2b_3c4d, version, u32::MAX, u32::MAX, 28]);
    let (if_tsresol, nanoseconds) = (1 << 16 | 9, 9);
    // The link type has 16 bits here and the reserved ones above it are 0.
    let link_type = link_type.number() & 0xffff;
    push_words(out, [1, 32, link_type, SNAP_LENGTH, if_tsresol, nanoseconds, 0, 32]);
}

#[inline]
fn push_words<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    out.extend_from_slice(words.map(u32::to_le_bytes).as_flattened());
}

fn not_writable(format: &'static str, range: &'static str, before: usize, time_ns: i64) -> Error {
    Error::TimeNotWritable { format, range, packet: before + 1, time_ns }
}

fn failed(source: io::Error) -> Error {
    Error::Io { action: "write", file: "a capture".to_owned(), source }
}
