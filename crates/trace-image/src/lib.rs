#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod canvas;
mod caption;
mod decode;
mod description;
mod error;
mod file;
mod folder;
mod image;
mod palette;
mod pattern;
mod render;
mod table;

pub use canvas::Canvas;
pub use caption::{Caption, DEFAULT_TEMPLATE, caption};
pub use decode::{AMBIGUOUS_BELOW, CellCounts, DecodeReport, decode_tolerant};
pub use description::Description;
pub use error::{Error, Result};
pub use folder::{FolderImage, ImageFolderWriter, read_image_folder};
pub use image::TraceImage;
pub use palette::{Palette, Rgb};
pub use pattern::LabelPattern;
pub use render::render;
pub use table::LabelsTable;
