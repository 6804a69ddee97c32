//! Image folders: `images/*.png` and a `metadata.jsonl` that says what each one shows.
//!
//! # Layout
//! The form that Hugging Face's `imagefolder` loader reads:
//! ```text
//! metadata.jsonl     {"file_name":"images/a.png","text":"…","encryption":"none",…}   one a line
//! images/a.png
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path, PathBuf};

use nprint_codec::Labels;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::file::write_atomic;
use crate::{Caption, Error, Result, TraceImage};

const METADATA: &str = "metadata.jsonl";
const IMAGES: &str = "images";
const FILE_NAME: &str = "file_name";
const TEXT: &str = "text";

/// Makes an image folder.
///
/// Every file appears whole or not at all, and the metadata last: a folder without
/// `metadata.jsonl` is not finished, and making it again replaces its images.
#[derive(Debug)]
pub struct ImageFolderWriter {
    dir: PathBuf,
    metadata: String,
    names: BTreeSet<String>,
}

impl ImageFolderWriter {
    /// Begins a folder, which may exist.
    ///
    /// # Errors
    /// [`Error::FolderExists`] where a finished one is there; [`Error::Io`].
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let path = dir.join(METADATA);
        if path.exists() {
            return Err(Error::FolderExists { path });
        }
        let images = dir.join(IMAGES);
        fs::create_dir_all(&images).map_err(Error::io("create", images))?;
        Ok(Self { dir, metadata: String::new(), names: BTreeSet::new() })
    }

    /// Begins a folder in place of what may be there: its metadata is removed at once, images
    /// of the same names are replaced.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn replace(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let path = dir.join(METADATA);
        if path.exists() {
            fs::remove_file(&path).map_err(Error::io("remove", path))?;
        }
        Self::create(dir)
    }

    /// Writes `images/<stem>.png` and notes its caption and labels; gives the file's path.
    ///
    /// # Errors
    /// [`Error::ImageName`], [`Error::ImageRepeated`], [`Error::ReservedCategory`], and those of
    /// [`TraceImage::write_png`].
    pub fn add(
        &mut self,
        stem: &str,
        image: &TraceImage,
        caption: &Caption,
        labels: &Labels,
    ) -> Result<PathBuf> {
        let plain = !stem.is_empty() && !stem.starts_with('.') && !stem.contains(['/', '\\', '\0']);
        if !plain {
            return Err(Error::ImageName { name: stem.to_owned() });
        }
        for (category, _) in labels.iter() {
            if [FILE_NAME, TEXT].contains(&category) {
                return Err(Error::ReservedCategory { category: category.to_owned() });
            }
        }
        if !self.names.insert(stem.to_owned()) {
            return Err(Error::ImageRepeated { name: stem.to_owned() });
        }
        let file_name = format!("{IMAGES}/{stem}.png");
        let path = self.dir.join(&file_name);
        image.write_png(&path)?;
        let head = [(FILE_NAME, file_name.as_str()), (TEXT, caption.as_str())];
        for (i, (key, value)) in head.into_iter().chain(labels.iter()).enumerate() {
            let comma = if i == 0 { '{' } else { ',' };
            let (key, value) = (serde_json::Value::from(key), serde_json::Value::from(value));
            write!(self.metadata, "{comma}{key}:{value}").expect("a String takes any text");
        }
        self.metadata.push_str("}\n");
        Ok(path)
    }

    /// Writes the metadata and gives its path.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<PathBuf> {
        let path = self.dir.join(METADATA);
        write_atomic(&path, self.metadata.as_bytes())?;
        Ok(path)
    }
}

/// An image of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderImage {
    /// Where the file is.
    pub path: PathBuf,
    /// What it shows, in words.
    pub caption: Caption,
    /// What it shows, by category.
    pub labels: Labels,
}

impl FolderImage {
    /// Reads the image.
    ///
    /// # Errors
    /// Those of [`TraceImage::read_png`].
    pub fn read(&self) -> Result<TraceImage> {
        TraceImage::read_png(&self.path)
    }

    /// The file's name without folders and ending.
    pub fn stem(&self) -> &str {
        self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }
}

/// Reads the metadata of an image folder, in its order. Images are read when they are asked for.
///
/// # Errors
/// [`Error::Io`]; inside [`Error::InFile`] with the line: [`Error::MetadataJson`],
/// [`Error::MetadataKey`], [`Error::MetadataImage`].
///
/// # Example
/// ```
/// use nprint_codec::{Labels, Layout, TernaryMatrix};
/// use trace_image::{Canvas, ImageFolderWriter, Palette, caption, read_image_folder, render};
///
/// let dir = std::env::temp_dir().join(format!("image-folder-{}", std::process::id()));
/// let matrix = TernaryMatrix::vacant(Layout::reference(), 2);
/// let image = render(&matrix, &Palette::default(), &Canvas { rows: 2, columns: 1088 })?;
/// let labels: Labels = [("service", "dns")].into_iter().collect();
/// let mut writer = ImageFolderWriter::replace(&dir)?;
/// writer.add("first", &image, &caption(&labels, "a trace: {service}")?, &labels)?;
/// writer.finish()?;
///
/// let images = read_image_folder(&dir)?;
/// assert_eq!(images[0].caption.as_str(), "a trace: dns");
/// assert_eq!(images[0].read()?, image);
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), trace_image::Error>(())
/// ```
pub fn read_image_folder(dir: impl AsRef<Path>) -> Result<Vec<FolderImage>> {
    let dir = dir.as_ref();
    let path = dir.join(METADATA);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| entry(dir, line, i + 1).map_err(|error| error.in_file(&path)))
        .collect()
}

fn entry(dir: &Path, text: &str, line: usize) -> Result<FolderImage> {
    let Pairs(pairs) =
        serde_json::from_str(text).map_err(|source| Error::MetadataJson { line, source })?;
    let wrong = |key: &str, expected| Error::MetadataKey { line, key: key.to_owned(), expected };
    let (mut file_name, mut caption, mut labels) = (None, None, Labels::new());
    for (key, value) in pairs {
        let value = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::Bool(flag) => flag.to_string(),
            serde_json::Value::Null => continue,
            _ => return Err(wrong(&key, "text or a number")),
        };
        match key.as_str() {
            FILE_NAME => file_name = Some(value),
            TEXT => caption = Some(Caption::new(value)),
            _ => labels.set(key, value),
        }
    }
    let file_name = file_name.ok_or_else(|| wrong(FILE_NAME, "the image's path in the folder"))?;
    let caption = caption.ok_or_else(|| wrong(TEXT, "a caption"))?;
    let inside = Path::new(&file_name).components().all(|c| matches!(c, Component::Normal(_)));
    if !inside || file_name.is_empty() {
        return Err(wrong(FILE_NAME, "a path inside the folder"));
    }
    let path = dir.join(&file_name);
    if path.is_file() {
        Ok(FolderImage { path, caption, labels })
    } else {
        Err(Error::MetadataImage { line, file_name })
    }
}

/// A JSON object in the order of its keys.
struct Pairs(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
