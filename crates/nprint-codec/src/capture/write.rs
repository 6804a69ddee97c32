//! Writing pcap and pcapng.

use crate::{Error, Packet, Result, Trace};
use flate2::{Compression, GzBuilder};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const SNAP_LENGTH: u32 = 262_144;

/// A format of capture files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CaptureFormat {
    /// Classic pcap, little-endian; microseconds where every time is a whole number of them, else
    /// nanoseconds.
    #[default]
    Pcap,
    /// pcapng, little-endian, one section with one interface, times in nanoseconds.
    PcapNg,
}

impl CaptureFormat {
    /// The format that a file name asks for: `.pcapng`, `.ntar` or either behind `.gz` is pcapng,
    /// anything else pcap.
    pub fn of_path(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let ng = [".pcapng", ".ntar"].iter().any(|ending| name.ends_with(ending));
        if ng { Self::PcapNg } else { Self::Pcap }
    }
}

/// Writes a capture in the [format](CaptureFormat::of_path) that the path asks for; one that ends
/// in `.gz` is compressed.
///
/// The file is written beside its place and renamed, so that a reader sees the old file, no
/// file or the whole new one. The same trace gives the same bytes.
///
/// # Errors
/// [`Error::Io`]; [`Error::TimeNotWritable`] for a time before 1970, or after 2106 in pcap.
pub fn write_capture(path: impl AsRef<Path>, trace: &Trace) -> Result<()> {
    let path = path.as_ref();
    let format = CaptureFormat::of_path(path);
    write_atomically(path, |file| {
        if path.extension().is_some_and(|e| e == "gz") {
            let mut gzip = GzBuilder::new().write(file, Compression::best());
            write_capture_as(&mut gzip, trace, format)?;
            gzip.finish().map(drop).map_err(|source| write_error(path, source))
        } else {
            write_capture_as(file, trace, format)
        }
    })
}

/// Writes pcap to a writer, as [`write_capture`] does to a file.
///
/// # Errors
/// [`Error::Io`], [`Error::TimeNotWritable`].
pub fn write_capture_to(writer: impl Write, trace: &Trace) -> Result<()> {
    write_capture_as(writer, trace, CaptureFormat::Pcap)
}

/// Writes either format to a writer.
///
/// # Errors
/// [`Error::Io`], [`Error::TimeNotWritable`].
///
/// # Example
/// ```
/// use nprint_codec::{CaptureFormat, LinkType, Trace, read_capture_from, write_capture_as};
/// let mut trace = Trace::new(LinkType::RawIp);
/// trace.push(1_700_000_000_123_456_789, &[0x45, 0, 0, 20, 0], 20);
/// let mut file = Vec::new();
/// write_capture_as(&mut file, &trace, CaptureFormat::PcapNg)?;
/// assert_eq!(read_capture_from(&file[..], "memory")?, trace);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
pub fn write_capture_as(
    mut writer: impl Write,
    trace: &Trace,
    format: CaptureFormat,
) -> Result<()> {
    match format {
        CaptureFormat::Pcap => write_pcap(&mut writer, trace)?,
        CaptureFormat::PcapNg => write_pcapng(&mut writer, trace)?,
    }
    writer.flush().map_err(failed)
}

fn failed(source: io::Error) -> Error {
    Error::Io { action: "write", file: "a capture".to_owned(), source }
}

fn write_words(writer: &mut impl Write, words: &[u32]) -> Result<()> {
    words.iter().try_for_each(|word| writer.write_all(&word.to_le_bytes())).map_err(failed)
}

fn write_pcap(writer: &mut impl Write, trace: &Trace) -> Result<()> {
    let whole_microseconds = trace.iter().all(|p| p.time_ns.rem_euclid(1_000) == 0);
    let (magic, ns_per_unit) =
        if whole_microseconds { (0xa1b2_c3d4_u32, 1_000) } else { (0xa1b2_3c4d, 1) };
    let version = 4 << 16 | 2;
    write_words(writer, &[magic, version, 0, 0, SNAP_LENGTH, trace.link_type().number()])?;
    for (index, Packet { time_ns, bytes, original_length }) in trace.iter().enumerate() {
        let seconds = u32::try_from(time_ns.div_euclid(1_000_000_000)).map_err(|_| {
            let (format, range) = ("pcap", "1970-01-01 to 2106-02-07");
            Error::TimeNotWritable { format, range, packet: index + 1, time_ns }
        })?;
        let fraction = time_ns.rem_euclid(1_000_000_000).div_euclid(ns_per_unit) as u32;
        write_words(writer, &[seconds, fraction, bytes.len() as u32, original_length])?;
        writer.write_all(bytes).map_err(failed)?;
    }
    Ok(())
}

/// ```text
/// section header | interface description (if_tsresol 9) | an enhanced packet block a packet …
/// ```
fn write_pcapng(writer: &mut impl Write, trace: &Trace) -> Result<()> {
    let version = 1;
    // The section's length is not known: -1 in 64 bits.
    let section = [0x0a0d_0d0a, 28, 0x1a2b_3c4d, version, u32::MAX, u32::MAX, 28];
    write_words(writer, &section)?;
    let (if_tsresol, nanoseconds) = (1 << 16 | 9, 9);
    // The link type has 16 bits here and the reserved ones above it are 0.
    let link_type = trace.link_type().number() & 0xffff;
    write_words(writer, &[1, 32, link_type, SNAP_LENGTH, if_tsresol, nanoseconds, 0, 32])?;
    for (index, Packet { time_ns, bytes, original_length }) in trace.iter().enumerate() {
        let ticks = u64::try_from(time_ns).map_err(|_| {
            let (format, range) = ("pcapng", "1970-01-01 to 2262-04-11 in nanoseconds");
            Error::TimeNotWritable { format, range, packet: index + 1, time_ns }
        })?;
        let captured = bytes.len() as u32;
        let padding = (bytes.len().next_multiple_of(4) - bytes.len()) as u32;
        let total = 32 + captured + padding;
        let (high, low) = ((ticks >> 32) as u32, ticks as u32);
        write_words(writer, &[6, total, 0, high, low, captured, original_length])?;
        writer.write_all(bytes).map_err(failed)?;
        writer.write_all(&[0; 3][..padding as usize]).map_err(failed)?;
        write_words(writer, &[total])?;
    }
    Ok(())
}

/// Lets `write` fill a file beside `path`, then renames it; removes it when `write` fails.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<()> {
    let part = part_path(path);
    let written = File::create(&part).map_err(|source| write_error(&part, source)).and_then(|f| {
        let mut file = BufWriter::new(f);
        write(&mut file)?;
        let file = file.into_inner().map_err(|e| write_error(&part, e.into_error()))?;
        file.sync_all().map_err(|source| write_error(&part, source))?;
        fs::rename(&part, path).map_err(|source| write_error(path, source))
    });
    if written.is_err() {
        // The error of the writing is the one to report.
        let _ = fs::remove_file(&part);
    }
    written
}

/// `NAME.PID.part`: two processes that write the same file do not share a part.
fn part_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    name.into()
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "write", file: path.display().to_string(), source }
}
