//! Capture files: pcap and pcapng in, pcap out, gzip on both sides.

mod pcap;
mod pcapng;
mod write;

pub use write::{write_capture, write_capture_to};

use crate::{Error, Place, Result, Trace};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads a capture: pcap (either byte order, microseconds or nanoseconds) or pcapng (enhanced,
/// simple and obsolete packet blocks, any number of interfaces and sections), told apart by their
/// first bytes, and gzip of either.
///
/// The file is read into memory; no length that it states is believed before that many bytes
/// are there. Simple packet blocks have no time and get 0.
///
/// # Errors
/// [`Error::Io`], [`Error::EmptyFile`], [`Error::NotACapture`], and for damage, with file, packet
/// and offset: [`Error::Truncated`], [`Error::MalformedBlock`], [`Error::UnknownInterface`],
/// [`Error::MixedLinkTypes`], [`Error::TimeOutOfRange`], [`Error::Gzip`].
///
/// # Source
/// IETF draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; RFC 1952.
pub fn read_capture(path: impl AsRef<Path>) -> Result<Trace> {
    strict(read_capture_lossy(path)?)
}

/// Reads a capture as [`read_capture`] does, but keeps what comes before damage, and returns the
/// damage beside it.
///
/// # Errors
/// [`Error::Io`], [`Error::EmptyFile`], [`Error::NotACapture`]; [`Error::Truncated`] where the
/// file header itself is incomplete.
pub fn read_capture_lossy(path: impl AsRef<Path>) -> Result<(Trace, Option<Error>)> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| Error::Io {
        action: "open",
        file: name.clone(),
        source,
    })?;
    read_from(file, name)
}

/// Reads a capture from a reader; `name` stands for the file in errors.
///
/// # Errors
/// As [`read_capture`].
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace, read_capture_from, write_capture_to};
/// let mut trace = Trace::new(LinkType::RawIp);
/// trace.push(1_500, &[0x45, 0, 0, 20], 20);
/// let mut file = Vec::new();
/// write_capture_to(&mut file, &trace)?;
/// assert_eq!(read_capture_from(&file[..], "memory")?, trace);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
pub fn read_capture_from(reader: impl Read, name: &str) -> Result<Trace> {
    strict(read_from(reader, name.to_owned())?)
}

/// Reads a capture from a reader as [`read_capture_lossy`] does from a file.
///
/// # Errors
/// As [`read_capture_lossy`].
pub fn read_capture_lossy_from(reader: impl Read, name: &str) -> Result<(Trace, Option<Error>)> {
    read_from(reader, name.to_owned())
}

fn strict((trace, damage): (Trace, Option<Error>)) -> Result<Trace> {
    damage.map_or(Ok(trace), Err)
}

fn read_from(mut reader: impl Read, name: String) -> Result<(Trace, Option<Error>)> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|source| Error::Io {
        action: "read",
        file: name.clone(),
        source,
    })?;
    let mut gzip_damage = None;
    if bytes.starts_with(&GZIP_MAGIC) {
        let mut plain = Vec::new();
        if let Err(source) = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain) {
            let decompressed_bytes = plain.len() as u64;
            gzip_damage = Some(Error::Decompression {
                file: name.clone(),
                format: "gzip",
                decompressed_bytes,
                source,
            });
        }
        bytes = plain;
    }
    let (trace, damage) = match parse(&bytes, name) {
        Ok(read) => read,
        // The capture is unreadable because the compressed data is.
        Err(error) => return Err(gzip_damage.unwrap_or(error)),
    };
    Ok((trace, gzip_damage.or(damage)))
}

fn parse(bytes: &[u8], file: String) -> Result<(Trace, Option<Error>)> {
    match bytes {
        [] => Err(Error::EmptyFile { file }),
        [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..] => pcap::read(bytes, file),
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => pcapng::read(bytes, file),
        _ => Err(Error::NotACapture { file, found: bytes[..bytes.len().min(4)].to_vec() }),
    }
}

/// Reads records one after the other and knows where it is.
struct Cursor<'a> {
    rest: &'a [u8],
    place: Place,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], file: String) -> Self {
        Self { rest: bytes, place: Place { file, packet: 0, offset_bytes: 0 } }
    }

    /// The next `length` bytes without taking them; an error that names `what` when the file
    /// ends before.
    fn peek(&self, length: u64, what: &'static str, by: &'static str) -> Result<&'a [u8]> {
        usize::try_from(length).ok().and_then(|n| self.rest.get(..n)).ok_or_else(|| {
            Error::Truncated {
                place: self.place.clone(),
                what,
                expected_by: by,
                expected_bytes: length,
                found_bytes: self.rest.len() as u64,
            }
        })
    }

    /// Goes on behind `length` bytes that [`peek`](Self::peek) has seen.
    fn skip(&mut self, length: usize) {
        self.rest = &self.rest[length..];
        self.place.offset_bytes += length as u64;
    }
}
