//! A capture as a stream of packets.

use super::compression::Decompressed;
use super::pcap::Pcap;
use super::pcapng::PcapNg;
use super::window::Window;
use crate::{Error, LinkType, Packet, Place, Result, Selector};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No record or block is longer: eight times what libpcap takes for a whole IP packet's snap
/// length (256 KiB) would do; USB captures have more. Units: bytes.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// A packet of a [`CaptureReader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturedPacket<'a> {
    /// Its interface's link type.
    pub link_type: LinkType,
    /// Number of its interface in the section of a pcapng file; 0 in pcap.
    pub interface: u32,
    /// Time, bytes and original length.
    pub packet: Packet<'a>,
}

/// Where a parser has found a packet: its bytes lie in the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub(super) link_type: LinkType,
    pub(super) interface: u32,
    pub(super) time_ns: i64,
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) original_length: u32,
}

/// Reads a capture packet by packet, whatever its format and compression.
///
/// Memory: one buffer of 256 KiB, or twice the longest record of the file, which may be 16 MiB at
/// most; besides it what the decompressor needs (zstd and xz at most 128 MiB) and 24 bytes an
/// interface. The length of the file plays no part.
///
/// # Example
/// ```
/// use nprint_codec::{CaptureReader, LinkType, Trace, write_capture_to};
/// let mut trace = Trace::new(LinkType::RawIp);
/// trace.push(1_000, &[0x45, 0, 0, 20], 20);
/// trace.push(2_000, &[0x60, 0], 40);
/// let mut file = Vec::new();
/// write_capture_to(&mut file, &trace)?;
///
/// let mut reader = CaptureReader::new(&file[..], "memory")?;
/// let mut bytes = 0;
/// while let Some(captured) = reader.next_packet()? {
///     bytes += captured.packet.bytes.len();
/// }
/// assert_eq!(bytes, 6);
/// # Ok::<(), nprint_codec::Error>(())
/// ```
pub struct CaptureReader<R: Read> {
    window: Window<Decompressed<R>>,
    format: Format,
    /// Where the last packet's record starts.
    record: (usize, u64),
    /// What the last error leaves to do.
    stopped: Option<Stopped>,
    doubtful: bool,
    /// What was lost so far, where damage is passed over.
    losses: Option<Losses>,
}

/// What a damaged capture has lost.
#[derive(Debug, Default)]
pub struct Losses {
    /// What was wrong, in file order; the first 64.
    pub damage: Vec<Error>,
    /// How often something was wrong.
    pub damaged_places: usize,
    /// Bytes that were passed over in search of the next record.
    pub skipped_bytes: u64,
}

/// Errors that are kept of one capture; damage beyond them is counted.
const MAX_KEPT_ERRORS: usize = 64;

impl Losses {
    pub(super) fn note(&mut self, error: Error) {
        self.damaged_places += 1;
        if self.damage.len() < MAX_KEPT_ERRORS {
            self.damage.push(error);
        }
    }
}

enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

#[derive(Debug, Clone, Copy)]
enum Stopped {
    /// The file, or what can be read of it, is at its end.
    AtEnd,
    /// A record makes no sense, and where the next one starts is not known.
    Lost,
    /// A block makes no sense, but has this many bytes.
    Within(usize),
}

impl CaptureReader<File> {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (file, name) = super::open(path.as_ref())?;
        Self::new(file, &name)
    }
}

impl<R: Read> CaptureReader<R> {
    /// Starts to read; `name` stands for the file in errors. The reader needs no buffer of its own.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::EmptyFile`], [`Error::NotACapture`],
    /// [`Error::CompressionNotBuilt`], [`Error::Decompression`]; [`Error::Truncated`] where the
    /// file header is incomplete.
    pub fn new(reader: R, name: &str) -> Result<Self> {
        let mut window = Window::new(Decompressed::new(reader, name)?, name.to_owned());
        let start = window.fill(4)?;
        let format = match *start {
            [] => return Err(Error::EmptyFile { file: name.to_owned() }),
            [0x0a, 0x0d, 0x0d, 0x0a] => {
                window.need(28, "section header block", "the pcapng format")?;
                Format::PcapNg(PcapNg::default())
            }
            _ => Format::Pcap(Pcap::start(&mut window)?),
        };
        Ok(Self { window, format, record: (0, 0), stopped: None, doubtful: false, losses: None })
    }

    /// The next packet, `None` at the end of the file and behind an error.
    ///
    /// # Errors
    /// As [`read_capture`](crate::read_capture) for damage; what was read before is as good as in
    /// any capture. [`resume`](Self::resume) goes on behind it; a [`lossy`](Self::lossy) reader
    /// does so by itself and has no errors.
    pub fn next_packet(&mut self) -> Result<Option<CapturedPacket<'_>>> {
        Ok(self.advance()?.map(|found| self.captured(found)))
    }

    /// The next packet that `selector` takes, `None` where it has enough.
    ///
    /// # Errors
    /// As [`next_packet`](Self::next_packet).
    pub fn next_selected(&mut self, selector: &mut Selector) -> Result<Option<CapturedPacket<'_>>> {
        while selector.wants_more() {
            let Some(found) = self.advance()? else { break };
            if selector.takes(found.link_type, &self.captured(found).packet) {
                return Ok(Some(self.captured(found)));
            }
        }
        Ok(None)
    }

    fn captured(&self, found: Located) -> CapturedPacket<'_> {
        let packet = Packet {
            time_ns: found.time_ns,
            bytes: self.window.consumed(found.at, found.length),
            original_length: found.original_length,
        };
        CapturedPacket { link_type: found.link_type, interface: found.interface, packet }
    }

    /// Finds the next packet, behind damage where that is passed over.
    fn advance(&mut self) -> Result<Option<Located>> {
        loop {
            let error = match self.advance_once() {
                Err(error) if self.losses.is_some() => error,
                found => return found,
            };
            let (skipped, second) = match self.resume() {
                Ok(skipped) => (skipped, None),
                Err(error) => (None, Some(error)),
            };
            let losses = self.losses.get_or_insert_default();
            [Some(error), second].into_iter().flatten().for_each(|error| losses.note(error));
            losses.skipped_bytes += skipped.unwrap_or(0);
        }
    }

    fn advance_once(&mut self) -> Result<Option<Located>> {
        if self.stopped.is_some() {
            return Ok(None);
        }
        self.window.place_mut().packet = self.record.0 + 1;
        let found = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.window, self.doubtful),
            Format::PcapNg(ng) => ng.next(&mut self.window),
        };
        match &found {
            Ok(Some(p)) => {
                let record_at = match &self.format {
                    Format::Pcap(_) => self.window.place().offset_bytes - p.length as u64 - 16,
                    Format::PcapNg(ng) => ng.last_block(),
                };
                self.record = (self.record.0 + 1, record_at);
            }
            Ok(None) => self.stopped = Some(Stopped::AtEnd),
            Err(error) => self.stopped = Some(self.after(error)),
        }
        found
    }

    fn after(&self, error: &Error) -> Stopped {
        match (error, &self.format) {
            (Error::Io { .. } | Error::Decompression { .. }, _) => Stopped::AtEnd,
            (Error::Truncated { .. } | Error::RecordTooLong { .. }, _) | (_, Format::Pcap(_)) => {
                Stopped::Lost
            }
            (_, Format::PcapNg(ng)) => ng.bad_block_bytes().map_or(Stopped::Lost, Stopped::Within),
        }
    }

    /// After an error: looks for the next record that makes sense, so that
    /// [`next_packet`](Self::next_packet) goes on there. Returns the number of bytes passed over, or `None`
    /// where no record was found before the end of the file.
    ///
    /// From here on record headers of pcap are doubted: a fraction of a second that is none, and
    /// more captured bytes than any writer captures, are errors.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Decompression`].
    pub fn resume(&mut self) -> Result<Option<u64>> {
        self.doubtful = true;
        let before = self.window.place().offset_bytes;
        match self.stopped {
            None => return Ok(Some(0)),
            Some(Stopped::AtEnd) => return Ok(None),
            Some(Stopped::Within(bytes)) => {
                self.window.fill(bytes)?;
                self.window.consume(bytes);
            }
            Some(Stopped::Lost) => {
                // Until it is found, an error of reading leaves nothing to resume.
                self.stopped = Some(Stopped::AtEnd);
                if !self.seek_record()? {
                    return Ok(None);
                }
            }
        }
        self.stopped = None;
        Ok(Some(self.window.place().offset_bytes - before))
    }

    /// Moves to the next record, at least one byte on.
    fn seek_record(&mut self) -> Result<bool> {
        loop {
            if self.window.fill(1)?.is_empty() {
                return Ok(false);
            }
            self.window.consume(1);
            let here = match &self.format {
                Format::Pcap(pcap) => pcap.is_record(&mut self.window)?,
                Format::PcapNg(ng) => ng.is_block(&mut self.window)?,
            };
            if here {
                return Ok(true);
            }
        }
    }

    /// Doubts record headers from the start, as [`resume`](Self::resume) does behind damage.
    pub fn doubtful(mut self) -> Self {
        self.doubtful = true;
        self
    }

    /// Goes on behind damage, as [`resume`](Self::resume) does, and doubts record headers from the
    /// start: the reader has no errors from here on, but [`losses`](Self::losses).
    ///
    /// # Example
    /// ```
    /// use nprint_codec::{CaptureReader, LinkType, Trace, write_capture_to};
    /// let mut trace = Trace::new(LinkType::RawIp);
    /// (0..3).for_each(|time_ns| trace.push(time_ns, &[0x45; 20], 20));
    /// let mut file = Vec::new();
    /// write_capture_to(&mut file, &trace)?;
    /// file[24 + 36 + 11] = 0xff; // the second record states another length
    /// let mut reader = CaptureReader::new(&file[..], "memory")?.lossy();
    /// while reader.next_packet()?.is_some() {}
    /// let losses = reader.losses().expect("a lossy reader");
    /// assert_eq!((reader.packets(), losses.damaged_places, losses.skipped_bytes), (2, 1, 36));
    /// # Ok::<(), nprint_codec::Error>(())
    /// ```
    pub fn lossy(mut self) -> Self {
        self.losses = Some(Losses::default());
        self.doubtful()
    }

    /// What a [`lossy`](Self::lossy) reader has passed over so far; `None` for another reader.
    pub fn losses(&self) -> Option<&Losses> {
        self.losses.as_ref()
    }

    pub(super) fn into_losses(self) -> Losses {
        self.losses.unwrap_or_default()
    }

    pub(super) fn note(&mut self, error: Error) {
        self.losses.get_or_insert_default().note(error);
    }

    /// The link type of the first interface seen so far, Ethernet before any.
    pub fn first_link_type(&self) -> LinkType {
        match &self.format {
            Format::Pcap(pcap) => pcap.link_type(),
            Format::PcapNg(ng) => ng.first_link_type().unwrap_or(LinkType::Ethernet),
        }
    }

    /// Number of packets read so far.
    pub fn packets(&self) -> usize {
        self.record.0
    }

    /// Where the last packet's record starts.
    pub fn place(&self) -> Place {
        Place {
            file: self.window.place().file.clone(),
            packet: self.record.0,
            offset_bytes: self.record.1,
        }
    }
}

impl<R: Read> std::fmt::Debug for CaptureReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureReader").field("place", &self.place()).finish_non_exhaustive()
    }
}
