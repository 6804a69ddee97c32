//! Input and output files: `-` is standard input or output, nothing is overwritten unasked.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use torchlight::nprint_codec::{
    CaptureFormat, CaptureReader, CaptureWriter, LinkType, Trace, read_capture_from,
    write_capture_with,
};
use torchlight::{StopFlag, capture_files};

use crate::summary::Common;

/// Whether a path stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses to go on where something is at `path` and `--force` is not given.
pub fn may_write(path: &Path, common: &Common) -> anyhow::Result<()> {
    if !is_dash(path) && path.exists() && !is_special(path) && !common.force {
        bail!("{} exists; --force replaces it", path.display());
    }
    Ok(())
}

/// Whether a path is a device or pipe, which is written to, not replaced.
pub fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Whether writing ended because the reader of our output has seen enough.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut sources = error.chain().filter_map(|source| source.downcast_ref::<io::Error>());
    sources.any(|source| source.kind() == io::ErrorKind::BrokenPipe)
}

/// Lets `write` fill a file, which appears as a whole, or standard output.
pub fn fill<T>(
    output: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if is_dash(output) {
        let mut out = io::stdout().lock();
        let done = write(&mut out)?;
        out.flush()?;
        return Ok(done);
    }
    fill_file(output, |file| write(file))
}

/// As [`fill`], for what is not written from front to back: a pipe gets it in one piece, from a
/// temporary file.
pub fn fill_seekable<T>(
    output: &Path,
    write: impl FnOnce(&mut File) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let file = || File::options().write(true).open(output);
    let is_pipe = || file().and_then(|mut file| file.stream_position()).is_err();
    let in_one_piece = is_dash(output) || (is_special(output) && is_pipe());
    if !in_one_piece {
        return fill_file(output, write);
    }
    let mut whole = tempfile::tempfile()?;
    let done = write(&mut whole)?;
    whole.rewind()?;
    fill(output, |out| Ok(io::copy(&mut whole, out)?))?;
    Ok(done)
}

/// Lets `write` fill a capture in the format that the output's name asks for.
pub fn fill_capture<T>(
    output: &Path,
    link_type: LinkType,
    write: impl FnOnce(&mut CaptureWriter<&mut dyn Write>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let format = CaptureFormat::of_path(output);
    if !is_dash(output) && !is_special(output) {
        return write_capture_with(output, link_type, format, write);
    }
    fill(output, |out| {
        let mut capture = CaptureWriter::new(out, link_type, format)?;
        let done = write(&mut capture)?;
        capture.finish()?;
        Ok(done)
    })
}

/// A device is written to; a file is written beside its place and renamed, and there is none where
/// `write` fails.
fn fill_file<T>(
    output: &Path,
    write: impl FnOnce(&mut File) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let named = || output.display().to_string();
    if is_special(output) {
        let mut file = File::options().write(true).open(output).with_context(named)?;
        return write(&mut file);
    }
    let mut part = output.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let mut file = File::create(&part).with_context(named)?;
    let written = write(&mut file).and_then(|done| {
        file.sync_all().with_context(named)?;
        fs::rename(&part, output).with_context(named)?;
        Ok(done)
    });
    if written.is_err() {
        // The error of the writing is the one to report.
        let _ = fs::remove_file(&part);
    }
    written
}

/// Opens a file or standard input; reading fails from when the user wants an end.
pub fn open(path: &Path, stop: &StopFlag) -> anyhow::Result<Box<dyn Read>> {
    if is_dash(path) {
        return Ok(Box::new(Stoppable { inner: io::stdin().lock(), stop: stop.clone() }));
    }
    let inner = File::open(path).with_context(|| path.display().to_string())?;
    Ok(Box::new(Stoppable { inner, stop: stop.clone() }))
}

/// A source that is exhausted early, and says so.
struct Stoppable<R> {
    inner: R,
    stop: StopFlag,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_raised() {
            return Err(io::Error::other("stopped"));
        }
        self.inner.read(buffer)
    }
}

/// Reads a whole file or standard input.
pub fn read(path: &Path, stop: &StopFlag) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, stop)?.read_to_end(&mut bytes).with_context(|| shown(path))?;
    Ok(bytes)
}

/// Writes a whole file or standard output.
pub fn write(path: &Path, bytes: &[u8], common: &Common) -> anyhow::Result<()> {
    may_write(path, common)?;
    fill(path, |out| Ok(out.write_all(bytes)?))
}

/// Reads a capture from a file or standard input.
pub fn capture(path: &Path, stop: &StopFlag) -> anyhow::Result<Trace> {
    Ok(read_capture_from(open(path, stop)?, &shown(path))?)
}

/// The packets of a file or of standard input, one after the other.
pub fn packets(path: &Path, stop: &StopFlag) -> anyhow::Result<CaptureReader<Box<dyn Read>>> {
    Ok(CaptureReader::new(open(path, stop)?, &shown(path))?)
}

/// What a lossy reading passed over so far, if anything.
pub fn losses(packets: &CaptureReader<Box<dyn Read>>) -> Option<String> {
    let losses = packets.losses().filter(|losses| losses.damaged_places > 0)?;
    let first = losses.damage.first().map(ToString::to_string).unwrap_or_default();
    Some(format!(
        "damaged in {} places, {} bytes passed over; first: {first}",
        losses.damaged_places, losses.skipped_bytes
    ))
}

/// Captures as they are named, a folder standing for those in it, sorted.
pub fn captures(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut captures = Vec::new();
    for path in named {
        if path.is_dir() {
            captures.extend(capture_files(path)?);
        } else {
            captures.push(path.clone());
        }
    }
    if captures.is_empty() {
        bail!(
            "no captures in {}",
            named.iter().map(|path| shown(path)).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(captures)
}

/// A path for people.
pub fn shown(path: &Path) -> String {
    if is_dash(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Empties the way for a folder that a command makes: with `--force` what a marker file says to
/// be an earlier result is taken away.
pub fn new_folder(folder: &Path, marker: &str, common: &Common) -> anyhow::Result<()> {
    let marker = folder.join(marker);
    if marker.exists() {
        may_write(&marker, common)?;
        std::fs::remove_file(&marker).with_context(|| marker.display().to_string())?;
    }
    Ok(())
}
