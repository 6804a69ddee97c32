//! What can go wrong, with the file, the place in it and what was expected.

use std::path::PathBuf;

use crate::{Canvas, Rgb};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two classes of a palette share a colour.
    #[error("a palette needs three different colours: one={one:?} zero={zero:?} vacant={vacant:?}")]
    PaletteNotDistinct {
        /// Colour of 1.
        one: Rgb,
        /// Colour of 0.
        zero: Rgb,
        /// Colour of vacant cells.
        vacant: Rgb,
    },
    /// Text that names no palette.
    #[error(
        "`{found}` is no palette: expected `torchlight`, `netdiffusion` or \
         `one=#rrggbb zero=#rrggbb vacant=#rrggbb`"
    )]
    PaletteText {
        /// The text.
        found: String,
    },
    /// A canvas without pixels, or with more than this crate works with.
    #[error("a canvas of {canvas}: expected 1 to {} pixels", Canvas::MAX_PIXELS)]
    CanvasSize {
        /// The canvas.
        canvas: Canvas,
    },
    /// The columns of the layout do not fit the canvas.
    #[error("the layout has {layout_columns} columns, but a canvas of {canvas} has fewer")]
    CanvasTooNarrow {
        /// The canvas.
        canvas: Canvas,
        /// Columns of the layout.
        layout_columns: usize,
    },
    /// The pixels do not fill the image.
    #[error("{canvas} pixels need {expected} RGB bytes, but {found} were given")]
    PixelBytes {
        /// Rows and columns of the image.
        canvas: Canvas,
        /// Bytes that fill it.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The image has another size than the canvas it should show.
    #[error(
        "the image has {found}, but its canvas is {canvas}: a resized image cannot be read cell by cell"
    )]
    Resized {
        /// Size of the image.
        found: Canvas,
        /// Size of the canvas.
        canvas: Canvas,
    },
    /// The image does not say what its colours mean.
    #[error(
        "the image does not say its palette, canvas and layout (no `{}` text chunks): give them",
        crate::description::PREFIX
    )]
    Undescribed,
    /// An error in a certain file.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Bytes that are no PNG.
    #[error("not a readable PNG: {source}")]
    PngDecode {
        /// Why.
        source: png::DecodingError,
    },
    /// An image that cannot be written as PNG.
    #[error("cannot write the image as PNG: {source}")]
    PngEncode {
        /// Why.
        source: png::EncodingError,
    },
    /// A text chunk of ours that says something impossible.
    #[error("PNG text `{key}` is `{found}`: expected {expected}")]
    Description {
        /// Keyword of the chunk.
        key: &'static str,
        /// Its text.
        found: String,
        /// What was expected instead.
        expected: &'static str,
    },
    /// Some text chunks of ours are there, another is missing.
    #[error("PNG text `{key}` is missing beside others of its kind: expected {expected}")]
    DescriptionMissing {
        /// Keyword of the chunk.
        key: &'static str,
        /// What it should say.
        expected: &'static str,
    },
    /// The recorded columns do not have the recorded fingerprint.
    #[error(
        "the recorded layout has fingerprint {found:016x}, but {expected:016x} was recorded: \
         made by a version with other fields?"
    )]
    LayoutFingerprint {
        /// Fingerprint of the fields that are named.
        found: u64,
        /// Fingerprint that is recorded.
        expected: u64,
    },
    /// An error of the codec.
    #[error(transparent)]
    Codec(#[from] nprint_codec::Error),

    /// A pattern that is no regular expression.
    #[error("label pattern `{pattern}`: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: regex::Error,
    },
    /// A pattern that names nothing.
    #[error(
        "label pattern `{pattern}` has no named group: expected one `(?<category>…)` a label, \
         or one of the names `searchlight` and `netdiffusion`"
    )]
    PatternWithoutGroups {
        /// The pattern.
        pattern: String,
    },
    /// A file name that a pattern does not match.
    #[error("`{name}` has no labels: the pattern `{pattern}` does not match")]
    Unlabelled {
        /// The file name.
        name: String,
        /// The pattern.
        pattern: String,
    },
    /// A file that the labels table does not list.
    #[error("`{name}` is not in the `file` column of the labels table")]
    NotInTable {
        /// The file name.
        name: String,
    },
    /// A table that is not CSV.
    #[error("line {line}: not a row of a CSV table: {source}")]
    TableRow {
        /// Line, from 1.
        line: u64,
        /// Why.
        source: csv::Error,
    },
    /// A column that the table lacks.
    #[error("no column `{column}`: the table has {}", found.join(", "))]
    TableColumn {
        /// The column.
        column: String,
        /// Columns of the table.
        found: Vec<String>,
    },
    /// A file that the table lists twice.
    #[error("line {line}: `{file}` is listed twice")]
    TableRepeatsFile {
        /// Line of the second entry, from 1.
        line: u64,
        /// The file.
        file: String,
    },
    /// A caption template with an open or empty placeholder.
    #[error(
        "caption template `{template}`, byte {offset}: expected `{{category}}`, `{{labels}}`, \
         `{{{{` or `}}}}`"
    )]
    Template {
        /// The template.
        template: String,
        /// Where. Units: bytes.
        offset: usize,
    },
    /// A caption template that asks for a label that is not there.
    #[error(
        "the caption template wants `{category}`, but the labels are [{}]",
        found.join(", ")
    )]
    LabelMissing {
        /// The category, or `labels` where there is none at all.
        category: String,
        /// Categories that are there.
        found: Vec<String>,
    },

    /// A finished image folder is in the way.
    #[error("{} is there already: an image folder is not overwritten unasked", path.display())]
    FolderExists {
        /// Its metadata file.
        path: PathBuf,
    },
    /// A name that cannot be a file of the folder.
    #[error("`{name}` cannot name an image: expected a plain file name without folders")]
    ImageName {
        /// The name.
        name: String,
    },
    /// An image that was added twice.
    #[error("the image folder has an image `{name}` already")]
    ImageRepeated {
        /// The name.
        name: String,
    },
    /// A label whose category is a key of the metadata itself.
    #[error("a label cannot be called `{category}`: the metadata uses that key itself")]
    ReservedCategory {
        /// The category.
        category: String,
    },
    /// A line of the metadata that is no JSON object.
    #[error("line {line}: expected one JSON object: {source}")]
    MetadataJson {
        /// Line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A line of the metadata that lacks something.
    #[error("line {line}: key `{key}`: expected {expected}")]
    MetadataKey {
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A line of the metadata names a file that is not there.
    #[error("line {line}: there is no file `{file_name}` in the folder")]
    MetadataImage {
        /// Line, from 1.
        line: usize,
        /// The name.
        file_name: String,
    },
}

impl Error {
    /// The same error, said of a file.
    pub(crate) fn in_file(self, path: impl Into<PathBuf>) -> Self {
        Self::InFile { path: path.into(), source: Box::new(self) }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
