//! Captures to images with captions.

use std::path::{Path, PathBuf};

use nprint_codec::{Labels, Layout, RowPolicy, encode};
use trace_image::{Caption, ImageFolderWriter, TraceImage, caption, render};

use crate::{Capture, DatasetConfig, Error, LabelSource, Monitor, Result};

/// Writes the image folder of `files` into `folder`: `images/<stem>.png` and `metadata.jsonl`.
///
/// Files that cannot be used (no capture, damaged, not labelled, without an IP packet) are told to
/// the monitor as problems; the others are written. Returns how many images there are.
///
/// # Errors
/// [`Error::NoUsableCapture`] where every file has a problem, [`Error::Image`] where the folder
/// cannot be written, [`Error::Stopped`].
pub fn write_dataset(
    files: &[PathBuf],
    labels: &LabelSource,
    settings: &DatasetConfig,
    folder: &Path,
    monitor: &mut Monitor<'_>,
) -> Result<usize> {
    let mut writer = ImageFolderWriter::replace(folder)?;
    let mut written = 0;
    for (index, path) in files.iter().enumerate() {
        monitor.step(index, files.len())?;
        let added = picture(path, labels, settings).and_then(|(stem, image, caption, labels)| {
            Ok(writer.add(&stem, &image, &caption, &labels)?)
        });
        match added {
            Ok(_) => written += 1,
            Err(Error::Image(error @ trace_image::Error::Io { .. })) => return Err(error.into()),
            Err(error) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                monitor.problem(name, error);
            }
        }
    }
    if written == 0 {
        return Err(Error::NoUsableCapture {
            folder: files.first().and_then(|f| f.parent()).unwrap_or(folder).to_owned(),
            files: files.len(),
            first: monitor.problems().first().map_or("it is empty".to_owned(), ToString::to_string),
        });
    }
    writer.finish()?;
    monitor.step(files.len(), files.len())?;
    Ok(written)
}

fn picture(
    path: &Path,
    labels: &LabelSource,
    settings: &DatasetConfig,
) -> Result<(String, TraceImage, Caption, Labels)> {
    let Capture { stem, trace, labels } = Capture::read(path, labels)?;
    let caption = caption(&labels, &settings.caption)?;
    let matrix = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
    if matrix.rows() == 0 {
        return Err(Error::NoIpPacket { path: path.to_owned(), packets: trace.len() });
    }
    let image = render(&matrix, &settings.palette, &settings.canvas())?;
    Ok((stem, image, caption, labels))
}
