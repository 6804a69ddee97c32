//! Input and output files: `-` is standard input or output, nothing is overwritten unasked.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use torchlight::artefact::write_atomic;
use torchlight::nprint_codec::{
    CaptureReader, Error, Selection, Trace, read_capture, read_capture_from,
};

use crate::summary::Common;

/// Whether a path stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses to go on where something is at `path` and `--force` is not given.
pub fn may_write(path: &Path, common: &Common) -> anyhow::Result<()> {
    if !is_dash(path) && path.exists() && !common.force {
        bail!("{} exists; --force replaces it", path.display());
    }
    Ok(())
}

/// Writes a whole file or standard output.
pub fn write(path: &Path, bytes: &[u8], common: &Common) -> anyhow::Result<()> {
    if is_dash(path) {
        return Ok(std::io::stdout().lock().write_all(bytes)?);
    }
    may_write(path, common)?;
    Ok(write_atomic(path, bytes)?)
}

/// Reads a whole file or standard input.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if is_dash(path) {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        file.read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
    }
    Ok(bytes)
}

/// Reads a capture from a file or standard input.
pub fn capture(path: &Path) -> anyhow::Result<Trace> {
    if is_dash(path) {
        return Ok(read_capture_from(std::io::stdin().lock(), "standard input")?);
    }
    Ok(read_capture(path)?)
}

/// Reads the packets that are asked for, as far as the capture can be read, and what was wrong
/// behind that.
pub fn capture_selected(
    path: &Path,
    selection: &Selection,
) -> anyhow::Result<(Trace, Option<Error>)> {
    if is_dash(path) {
        let mut reader = CaptureReader::new(std::io::stdin().lock(), "standard input")?;
        return Ok(reader.read_selected(selection));
    }
    Ok(CaptureReader::open(path)?.read_selected(selection))
}

/// A path for people.
pub fn shown(path: &Path) -> String {
    if is_dash(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// The output of one of several inputs: the output itself for one, a file in it for several.
pub fn output_of(out: &Path, stem: &str, ending: &str, several: bool) -> anyhow::Result<PathBuf> {
    if !several {
        return Ok(out.to_owned());
    }
    if is_dash(out) {
        bail!("several inputs need a folder to write to: -o FOLDER");
    }
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    Ok(out.join(format!("{stem}.{ending}")))
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
