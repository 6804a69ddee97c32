//! Writing whole captures.

use super::CaptureWriter;
use crate::{Error, LinkType, Result, Trace};
use flate2::{Compression, GzBuilder};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A format of capture files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CaptureFormat {
    /// Classic pcap, little-endian, times in microseconds. The functions that have a whole trace
    /// before them take [`PcapNanoseconds`](Self::PcapNanoseconds) instead where a time needs it.
    #[default]
    Pcap,
    /// Classic pcap, little-endian, times in nanoseconds.
    PcapNanoseconds,
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

    /// The format, with nanoseconds where a time of `trace` needs them.
    fn fine_enough(self, trace: &Trace) -> Self {
        let whole_microseconds = || trace.iter().all(|p| p.time_ns.rem_euclid(1_000) == 0);
        match self {
            Self::Pcap if !whole_microseconds() => Self::PcapNanoseconds,
            format => format,
        }
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
    let format = CaptureFormat::of_path(path).fine_enough(trace);
    write_capture_with(path, trace.link_type(), format, |capture| {
        trace.iter().try_for_each(|packet| capture.write_packet(&packet))
    })
}

/// Lets `write` fill a capture file packet by packet; `.gz` and the renaming as
/// [`write_capture`] has them. Where `write` fails there is no file.
///
/// # Errors
/// [`Error::Io`], and what `write` returns.
///
/// # Example
/// ```
/// use nprint_codec::{CaptureFormat, Error, LinkType, Packet, read_capture, write_capture_with};
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// let path = folder.path().join("a.pcapng.gz");
/// let format = CaptureFormat::of_path(&path);
/// write_capture_with(&path, LinkType::RawIp, format, |capture| {
///     capture.write_packet(&Packet { time_ns: 7, bytes: &[0x45; 20], original_length: 20 })
/// })?;
/// assert_eq!(read_capture(&path)?.packet(0).time_ns, 7);
/// # Ok::<(), Error>(())
/// ```
pub fn write_capture_with<T, E: From<Error>>(
    path: impl AsRef<Path>,
    link_type: LinkType,
    format: CaptureFormat,
    write: impl FnOnce(&mut CaptureWriter<&mut dyn Write>) -> Result<T, E>,
) -> Result<T, E> {
    let path = path.as_ref();
    write_atomically(path, |file| {
        if path.extension().is_some_and(|e| e == "gz") {
            let mut gzip = GzBuilder::new().write(file, Compression::best());
            let done = fill(&mut gzip, link_type, format, write)?;
            gzip.finish().map_err(|source| write_error(path, source))?;
            Ok(done)
        } else {
            fill(file, link_type, format, write)
        }
    })
}

fn fill<T, E: From<Error>>(
    writer: &mut dyn Write,
    link_type: LinkType,
    format: CaptureFormat,
    write: impl FnOnce(&mut CaptureWriter<&mut dyn Write>) -> Result<T, E>,
) -> Result<T, E> {
    let mut capture = CaptureWriter::new(writer, link_type, format)?;
    let done = write(&mut capture)?;
    capture.finish()?;
    Ok(done)
}

/// Writes pcap to a writer, as [`write_capture`] does to a file.
///
/// # Errors
/// [`Error::Io`], [`Error::TimeNotWritable`].
pub fn write_capture_to(writer: impl Write, trace: &Trace) -> Result<()> {
    write_capture_as(writer, trace, CaptureFormat::Pcap)
}

/// Writes any format to a writer.
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
pub fn write_capture_as(writer: impl Write, trace: &Trace, format: CaptureFormat) -> Result<()> {
    let format = format.fine_enough(trace);
    let mut capture = CaptureWriter::new(writer, trace.link_type(), format)?;
    trace.iter().try_for_each(|packet| capture.write_packet(&packet))?;
    capture.finish().map(drop)
}

/// Lets `write` fill a file beside `path`, then renames it; removes it when `write` fails.
fn write_atomically<T, E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let part = part_path(path);
    let written = (|| {
        let mut file = File::create(&part).map_err(|source| write_error(&part, source))?;
        let done = write(&mut file)?;
        file.sync_all().map_err(|source| write_error(&part, source))?;
        fs::rename(&part, path).map_err(|source| write_error(path, source))?;
        Ok(done)
    })();
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
