//! Capture files: pcap and pcapng both ways, compressed or not.
//!
//! ```text
//! reader ─decompress→ Window (one buffer, grows with what is there) ─pcap | pcapng→ packets
//! ```

mod compression;
mod pcap;
mod pcapng;
mod reader;
mod salvage;
mod window;
mod write;
mod writer;

pub use reader::{CaptureReader, CapturedPacket, Losses};
pub use salvage::{Salvage, salvage_capture, salvage_capture_from};
pub use write::{
    CaptureFormat, write_capture, write_capture_as, write_capture_to, write_capture_with,
};
pub use writer::CaptureWriter;

use crate::encode::push_packet;
use crate::{Error, Result, RowPolicy, Selection, Selector, TernaryMatrix, Trace};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a capture: pcap (either byte order, microseconds or nanoseconds) or pcapng (enhanced,
/// simple and obsolete packet blocks, any number of interfaces and sections), told apart by their
/// first bytes, and gzip, zstd or xz of either (the latter two with the features of that name).
///
/// No length that the file states is believed before that many bytes are there. Simple packet
/// blocks have no time and get 0. For a capture that need not fit into memory see
/// [`CaptureReader`].
///
/// # Errors
/// [`Error::Io`], [`Error::EmptyFile`], [`Error::NotACapture`], [`Error::CompressionNotBuilt`],
/// and for damage, with file, packet and offset: [`Error::Truncated`], [`Error::RecordTooLong`],
/// [`Error::MalformedBlock`], [`Error::UnknownInterface`], [`Error::MixedLinkTypes`],
/// [`Error::TimeOutOfRange`], [`Error::Decompression`].
///
/// # Source
/// IETF draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; RFC 1952, RFC 8878, the .xz file format.
pub fn read_capture(path: impl AsRef<Path>) -> Result<Trace> {
    strict(read_capture_lossy(path)?)
}

/// Reads a capture as [`read_capture`] does, but keeps what comes before damage, and returns the
/// damage beside it. [`salvage_capture`] goes on behind the damage.
///
/// # Errors
/// [`Error::Io`], [`Error::EmptyFile`], [`Error::NotACapture`]; [`Error::Truncated`] where the
/// file header itself is incomplete.
pub fn read_capture_lossy(path: impl AsRef<Path>) -> Result<(Trace, Option<Error>)> {
    let (file, name) = open(path.as_ref())?;
    read_capture_lossy_from(file, &name)
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
    strict(read_capture_lossy_from(reader, name)?)
}

/// Reads a capture from a reader as [`read_capture_lossy`] does from a file.
///
/// # Errors
/// As [`read_capture_lossy`].
pub fn read_capture_lossy_from(reader: impl Read, name: &str) -> Result<(Trace, Option<Error>)> {
    Ok(CaptureReader::new(reader, name)?.read_selected(&Selection::default()))
}

impl<R: Read> CaptureReader<R> {
    /// Reads the packets that `selection` takes, up to the end, to damage, which is returned
    /// beside them, or to the number of packets that is enough: nothing is read behind it.
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{CaptureReader, LinkType, Selection, Trace, write_capture_to};
    /// let mut trace = Trace::new(LinkType::RawIp);
    /// (0..9).for_each(|second| trace.push(second * 1_000_000_000, &[0x45, 0], 20));
    /// let mut file = Vec::new();
    /// write_capture_to(&mut file, &trace)?;
    /// let first = Selection { max_packets: Some(2), ..Selection::default() };
    /// let (read, damage) = CaptureReader::new(&file[..], "memory")?.read_selected(&first);
    /// assert_eq!((read.len(), damage.is_none()), (2, true));
    /// # Ok::<(), nprint_codec::Error>(())
    /// ```
    pub fn read_selected(&mut self, selection: &Selection) -> (Trace, Option<Error>) {
        let mut gathered = Gathered::default();
        let mut selector = Selector::new(selection.clone());
        let damage = loop {
            match gathered.take_next(self, &mut selector) {
                Ok(true) => {}
                Ok(false) => break None,
                Err(damage) => break Some(damage),
            }
        };
        (gathered.into_trace(self), damage)
    }
}

impl<R: Read> CaptureReader<R> {
    /// Appends the rows of the next packets to `matrix`, at most `max_rows`, and returns their
    /// number, 0 at the end of the file. With a matrix that is [cleared](TernaryMatrix::clear)
    /// each time, a capture of any length becomes bit planes in the memory of one block.
    ///
    /// # Errors
    /// As [`next_packet`](Self::next_packet); the rows before the damage are appended.
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{
    ///     CaptureReader, Layout, LinkType, RowPolicy, TernaryMatrix, Trace, write_capture_to,
    /// };
    /// let mut trace = Trace::new(LinkType::RawIp);
    /// let udp = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    /// (0..5).for_each(|time_ns| trace.push(time_ns, &udp, 20));
    /// let mut file = Vec::new();
    /// write_capture_to(&mut file, &trace)?;
    ///
    /// let mut reader = CaptureReader::new(&file[..], "memory")?;
    /// let (mut block, mut sizes) = (TernaryMatrix::new(Layout::reference()), Vec::new());
    /// while reader.read_rows(&mut block, RowPolicy::default(), 3)? > 0 {
    ///     sizes.push(block.rows());
    ///     block.clear();
    /// }
    /// assert_eq!(sizes, [3, 2]);
    /// # Ok::<(), nprint_codec::Error>(())
    /// ```
    pub fn read_rows(
        &mut self,
        matrix: &mut TernaryMatrix,
        policy: RowPolicy,
        max_rows: usize,
    ) -> Result<usize> {
        let mut rows = 0;
        while rows < max_rows {
            let Some(captured) = self.next_packet()? else { break };
            let bytes = captured.packet.bytes;
            rows += usize::from(push_packet(matrix, captured.link_type, bytes, policy));
        }
        Ok(rows)
    }
}

fn strict((trace, damage): (Trace, Option<Error>)) -> Result<Trace> {
    damage.map_or(Ok(trace), Err)
}

fn open(path: &Path) -> Result<(File, String)> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok((file, name)),
        Err(source) => Err(Error::Io { action: "open", file: name, source }),
    }
}

/// Packets of one link type on the way to a [`Trace`].
#[derive(Default)]
struct Gathered(Option<Trace>);

impl Gathered {
    /// Takes the next packet that `selector` takes, and says whether there was one.
    fn take_next<R: Read>(
        &mut self,
        reader: &mut CaptureReader<R>,
        selector: &mut Selector,
    ) -> Result<bool> {
        let Some(captured) = reader.next_selected(selector)? else { return Ok(false) };
        let CapturedPacket { link_type, packet, .. } = captured;
        let trace = self.0.get_or_insert_with(|| Trace::new(link_type));
        if trace.link_type() == link_type {
            trace.push(packet.time_ns, packet.bytes, packet.original_length);
            return Ok(true);
        }
        let first = trace.link_type();
        Err(Error::MixedLinkTypes { place: reader.place(), first, second: link_type })
    }

    /// A file without a packet gives a trace of its first interface's link type, Ethernet where
    /// it has none.
    fn into_trace<R: Read>(self, reader: &CaptureReader<R>) -> Trace {
        self.0.unwrap_or_else(|| Trace::new(reader.first_link_type()))
    }
}
