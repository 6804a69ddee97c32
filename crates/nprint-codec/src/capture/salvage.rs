//! What can be saved of a damaged capture.

use super::reader::Losses;
use super::{CaptureReader, Gathered, open};
use crate::{Error, Result, Selection, Selector, Trace};
use std::io::Read;
use std::path::Path;

/// The packets of a damaged capture, and what is wrong with it.
#[derive(Debug)]
pub struct Salvage {
    /// Every packet that could be read.
    pub trace: Trace,
    /// What was wrong, in file order; the first 64.
    pub damage: Vec<Error>,
    /// How often something was wrong.
    pub damaged_places: usize,
    /// Bytes that were passed over in search of the next record.
    pub skipped_bytes: u64,
}

/// Reads a capture and goes on behind damage: at the next record that makes sense (pcap: plausible
/// itself, and before another plausible one; pcapng: a block whose two lengths agree).
/// [`CaptureReader::lossy`] does the same as a stream.
///
/// A record header that no writer makes is damage here even where the format allows it. Packets of
/// a second link type are left out and counted as damage. Nothing goes on behind damaged
/// compression.
///
/// # Errors
/// [`Error::Io`] on opening, [`Error::EmptyFile`], [`Error::NotACapture`],
/// [`Error::CompressionNotBuilt`]; [`Error::Truncated`] in the file header.
///
/// # Example
/// ```
/// use nprint_codec::{LinkType, Trace, salvage_capture_from, write_capture_to};
/// let mut trace = Trace::new(LinkType::RawIp);
/// for time_ns in 0..3 {
///     trace.push(time_ns, &[0x45; 20], 20);
/// }
/// let mut file = Vec::new();
/// write_capture_to(&mut file, &trace)?;
/// file[24 + 36 + 8] = 0xff; // the second record states another length
/// file[24 + 36 + 11] = 0xff;
/// let saved = salvage_capture_from(&file[..], "memory")?;
/// assert_eq!((saved.trace.len(), saved.damaged_places, saved.skipped_bytes), (2, 1, 36));
/// # Ok::<(), nprint_codec::Error>(())
/// ```
pub fn salvage_capture(path: impl AsRef<Path>) -> Result<Salvage> {
    let (file, name) = open(path.as_ref())?;
    salvage_capture_from(file, &name)
}

/// As [`salvage_capture`], from a reader; `name` stands for the file in errors.
///
/// # Errors
/// As [`salvage_capture`].
pub fn salvage_capture_from(reader: impl Read, name: &str) -> Result<Salvage> {
    let mut reader = CaptureReader::new(reader, name)?.lossy();
    let (mut gathered, mut all) = (Gathered::default(), Selector::new(Selection::default()));
    loop {
        match gathered.take_next(&mut reader, &mut all) {
            Ok(true) => {}
            Ok(false) => break,
            // A packet of another link type: the reader itself goes on.
            Err(error) => reader.note(error),
        }
    }
    let trace = gathered.into_trace(&reader);
    let Losses { damage, damaged_places, skipped_bytes } = reader.into_losses();
    Ok(Salvage { trace, damage, damaged_places, skipped_bytes })
}
