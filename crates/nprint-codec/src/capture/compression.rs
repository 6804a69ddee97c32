//! Compressed captures, told by their first bytes.

use crate::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Chain, Cursor, Read};

/// Enough to tell every format.
const MAGIC_BYTES: usize = 6;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

type Raw<R> = Chain<Cursor<Vec<u8>>, R>;
type Buffered<R> = BufReader<Raw<R>>;

/// A reader of the capture's own bytes, whatever the file is compressed with.
pub(super) struct Decompressed<R: Read> {
    source: Source<R>,
    file: String,
    bytes: u64,
}

enum Source<R: Read> {
    Plain(Raw<R>),
    Gzip(Box<MultiGzDecoder<Buffered<R>>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::Frames<Buffered<R>>>),
    #[cfg(feature = "xz")]
    Xz(Box<lzma_rust2::XzReader<Buffered<R>>>),
}

impl<R: Read> Decompressed<R> {
    /// Looks at the first bytes.
    pub(super) fn new(mut reader: R, file: &str) -> Result<Self> {
        let mut magic = Vec::with_capacity(MAGIC_BYTES);
        let read = (&mut reader).take(MAGIC_BYTES as u64).read_to_end(&mut magic);
        let failed = |source| Error::Io { action: "read", file: file.to_owned(), source };
        read.map_err(failed)?;
        let (gzip, zstd, xz) =
            (magic.starts_with(GZIP), magic.starts_with(ZSTD), magic.starts_with(XZ));
        let raw = Cursor::new(magic).chain(reader);
        let source = if gzip {
            Source::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(raw))))
        } else if zstd {
            zstd_source(raw, file)?
        } else if xz {
            xz_source(raw, file)?
        } else {
            Source::Plain(raw)
        };
        Ok(Self { source, file: file.to_owned(), bytes: 0 })
    }
}

#[cfg(feature = "zstd")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn zstd_source<R: Read>(raw: Raw<R>, _file: &str) -> Result<Source<R>> {
    Ok(Source::Zstd(Box::new(zstd::Frames::new(BufReader::new(raw)))))
}

#[cfg(not(feature = "zstd"))]
fn zstd_source<R: Read>(_raw: Raw<R>, file: &str) -> Result<Source<R>> {
    Err(Error::CompressionNotBuilt { file: file.to_owned(), format: "zstd" })
}

#[cfg(feature = "xz")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn xz_source<R: Read>(raw: Raw<R>, _file: &str) -> Result<Source<R>> {
    /// What the highest preset of xz needs is 65 MiB. Units: KiB.
    const MEMORY_LIMIT_KIB: u32 = 128 << 10;
    let reader = BufReader::new(raw);
    Ok(Source::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(reader, true, MEMORY_LIMIT_KIB))))
}

#[cfg(not(feature = "xz"))]
fn xz_source<R: Read>(_raw: Raw<R>, file: &str) -> Result<Source<R>> {
    Err(Error::CompressionNotBuilt { file: file.to_owned(), format: "xz" })
}

impl<R: Read> Read for Decompressed<R> {
    /// Errors of decompression carry this crate's [`Error`].
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (format, read) = match &mut self.source {
            Source::Plain(raw) => return raw.read(into),
            Source::Gzip(gzip) => ("gzip", gzip.read(into)),
            #[cfg(feature = "zstd")]
            Source::Zstd(frames) => ("zstd", frames.read(into)),
            #[cfg(feature = "xz")]
            Source::Xz(xz) => ("xz", xz.read(into)),
        };
        match read {
            Ok(read) => {
                self.bytes += read as u64;
                Ok(read)
            }
            Err(source) if source.kind() == io::ErrorKind::Interrupted => Err(source),
            Err(source) => Err(io::Error::other(Error::Decompression {
                file: self.file.clone(),
                format,
                decompressed_bytes: self.bytes,
                source,
            })),
        }
    }
}

#[cfg(feature = "zstd")]
mod zstd {
    use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
    use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
    use std::io::{self, BufRead, Read};

    /// Decoded at once. Units: bytes.
    const STEP: BlockDecodingStrategy = BlockDecodingStrategy::UptoBytes(1 << 17);
    /// `zstd --ultra -22` uses 128 MiB; without `--ultra` it stays within 8 MiB. Units: bytes.
    const MAX_WINDOW_BYTES: u64 = 128 << 20;

    /// The frames of a file one after the other (RFC 8878 section 3).
    pub(super) struct Frames<R> {
        reader: R,
        decoder: FrameDecoder,
        in_frame: bool,
    }

    impl<R: BufRead> Frames<R> {
        pub(super) fn new(reader: R) -> Self {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(MAX_WINDOW_BYTES);
            Self { reader, decoder, in_frame: false }
        }

        /// Starts the next frame, and says whether there is one.
        fn start_frame(&mut self) -> io::Result<bool> {
            while !self.reader.fill_buf()?.is_empty() {
                match self.decoder.reset(&mut self.reader) {
                    Ok(()) => return Ok(true),
                    Err(FrameDecoderError::ReadFrameHeaderError(
                        ReadFrameHeaderError::SkipFrame { length, .. },
                    )) => {
                        let mut skipped = (&mut self.reader).take(length.into());
                        io::copy(&mut skipped, &mut io::sink())?;
                    }
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
            Ok(false)
        }
    }

    impl<R: BufRead> Read for Frames<R> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            loop {
                if !self.in_frame {
                    self.in_frame = self.start_frame()?;
                    if !self.in_frame {
                        return Ok(0);
                    }
                }
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let done = self.decoder.decode_blocks(&mut self.reader, STEP);
                    done.map_err(io::Error::other)?;
                }
                let read = self.decoder.read(into)?;
                if read > 0 || into.is_empty() {
                    return Ok(read);
                }
                self.in_frame = false;
            }
        }
    }
}
