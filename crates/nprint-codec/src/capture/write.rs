//! Writing pcap.

use crate::{Error, Result, Trace};
use flate2::{Compression, GzBuilder};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const SNAP_LENGTH: u32 = 262_144;

/// Writes a pcap file; a path that ends in `.gz` is compressed.
///
/// The file is written beside its place and renamed, so that a reader sees the old file, no
/// file or the whole new one. The same trace gives the same bytes.
///
/// # Units
/// Microseconds (magic a1b2c3d4) where every time is a whole number of them, else nanoseconds
/// (a1b23c4d). Little-endian in both cases.
///
/// # Errors
/// [`Error::Io`]; [`Error::TimeNotWritable`] for a time before 1970 or after 2106.
pub fn write_capture(path: impl AsRef<Path>, trace: &Trace) -> Result<()> {
    let path = path.as_ref();
    write_atomically(path, |file| {
        if path.extension().is_some_and(|e| e == "gz") {
            let mut gzip = GzBuilder::new().write(file, Compression::best());
            write_capture_to(&mut gzip, trace)?;
            gzip.finish().map(drop).map_err(|source| write_error(path, source))
        } else {
            write_capture_to(file, trace)
        }
    })
}

/// Writes pcap to a writer, as [`write_capture`] does to a file.
///
/// # Errors
/// [`Error::Io`], [`Error::TimeNotWritable`].
pub fn write_capture_to(mut writer: impl Write, trace: &Trace) -> Result<()> {
    let whole_microseconds = trace.iter().all(|p| p.time_ns.rem_euclid(1_000) == 0);
    let (magic, ns_per_unit) =
        if whole_microseconds { (0xa1b2_c3d4_u32, 1_000) } else { (0xa1b2_3c4d, 1) };
    let failed = |source| Error::Io { action: "write", file: "a capture".to_owned(), source };
    let mut header = [0; 24];
    header[..4].copy_from_slice(&magic.to_le_bytes());
    header[4..8].copy_from_slice(&[2, 0, 4, 0]);
    header[16..20].copy_from_slice(&SNAP_LENGTH.to_le_bytes());
    header[20..].copy_from_slice(&trace.link_type().number().to_le_bytes());
    writer.write_all(&header).map_err(failed)?;
    for (index, packet) in trace.iter().enumerate() {
        let seconds = u32::try_from(packet.time_ns.div_euclid(1_000_000_000)).map_err(|_| {
            Error::TimeNotWritable {
                format: "pcap",
                range: "1970-01-01 to 2106-02-07",
                packet: index + 1,
                time_ns: packet.time_ns,
            }
        })?;
        let fraction = packet.time_ns.rem_euclid(1_000_000_000).div_euclid(ns_per_unit) as u32;
        let captured = packet.bytes.len() as u32;
        let mut record = [0; 16];
        for (slot, word) in record.as_chunks_mut::<4>().0.iter_mut().zip([
            seconds,
            fraction,
            captured,
            packet.original_length,
        ]) {
            *slot = word.to_le_bytes();
        }
        writer.write_all(&record).map_err(failed)?;
        writer.write_all(packet.bytes).map_err(failed)?;
    }
    writer.flush().map_err(failed)
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
