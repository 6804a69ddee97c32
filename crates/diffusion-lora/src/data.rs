//! Image folders with captions: the training data.
//!
//! The form is that of Hugging Face `datasets`' image folder: pictures, and a `metadata.jsonl`
//! with one object a line, of which `file_name` (relative to the folder) and `text` are read.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::error::{Error, Result};

/// One picture with its caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptionedImage {
    /// The picture.
    pub path: PathBuf,
    /// Its caption.
    pub text: String,
}

#[derive(Deserialize)]
struct Line {
    file_name: PathBuf,
    text: String,
}

/// Reads `metadata.jsonl` of an image folder; the order is the file's.
///
/// # Errors
/// [`Error::MissingFile`], [`Error::Io`], and [`Error::MetadataLine`] with the number of a line that is
/// not an object with `file_name` and `text`.
pub fn read_image_folder(folder: &Path) -> Result<Vec<CaptionedImage>> {
    let path = folder.join("metadata.jsonl");
    if !path.is_file() {
        return Err(Error::MissingFile { path, purpose: "the captions of the image folder" });
    }
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let line: Line = serde_json::from_str(line).map_err(|source| Error::MetadataLine {
                path: path.clone(),
                line: index + 1,
                source,
            })?;
            Ok(CaptionedImage { path: folder.join(line.file_name), text: line.text })
        })
        .collect()
}

/// Reads an 8-bit RGB, RGBA or gray PNG as `[3, height, width]` of `u8`; alpha is left out.
///
/// # Errors
/// [`Error::Io`], [`Error::Png`] and [`Error::PngFormat`], each with the file.
pub fn read_png(path: &Path) -> Result<Tensor> {
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut decoder = png::Decoder::new(std::io::BufReader::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let damaged = |source| Error::Png { path: path.to_owned(), source };
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().unwrap_or(usize::MAX);
    let (width, height) = reader.info().size();
    let channels = reader.output_color_type().0.samples();
    let pixels = (width as usize).saturating_mul(height as usize).saturating_mul(channels);
    if size != pixels || size > 1 << 30 {
        return Err(Error::PngFormat { path: path.to_owned(), width, height });
    }
    let mut data = vec![0; size];
    reader.next_frame(&mut data).map_err(damaged)?;
    let (height, width) = (i64::from(height), i64::from(width));
    let image = Tensor::from_slice(&data).reshape([height, width, channels as i64]);
    let colours = if channels < 3 {
        image.narrow(2, 0, 1).expand([height, width, 3], false)
    } else {
        image.narrow(2, 0, 3)
    };
    Ok(colours.permute([2, 0, 1]).contiguous())
}

/// Pictures of `u8` as the networks want them: `[batch, 3, height, width]` in [-1, 1].
pub fn to_signed(images: &Tensor) -> Tensor {
    images.to_kind(Kind::Float) / 127.5 - 1.0
}

/// Pictures in [-1, 1] as `u8`, rounded to the nearest of 256 levels; values outside are cut.
pub fn to_bytes(images: &Tensor) -> Tensor {
    ((images.to_kind(Kind::Float) + 1.0) * 127.5).round().clamp(0.0, 255.0).to_kind(Kind::Uint8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("metadata.jsonl");
        std::fs::write(&path, "{\"file_name\":\"a.png\",\"text\":\"x\"}\n\n{\"text\":1}\n")
            .expect("a writable folder");
        let error = read_image_folder(folder.path()).expect_err("line 3 lacks a file name");
        assert!(matches!(error, Error::MetadataLine { line: 3, .. }), "{error}");
    }

    #[test]
    fn bytes_survive_the_way_to_floats_and_back() {
        let all = Tensor::arange(256, (Kind::Int64, tch::Device::Cpu)).to_kind(Kind::Uint8);
        assert_eq!(to_bytes(&to_signed(&all)), all);
    }
}
