//! What an image says about itself, and its form in the text chunks of a PNG.

use std::sync::Arc;

use nprint_codec::{Field, Layout};

use crate::{Canvas, Error, Palette, Result};

/// What every keyword of ours begins with.
pub(crate) const PREFIX: &str = "torchlight:";

const PALETTE: &str = "torchlight:palette";
const CANVAS: &str = "torchlight:canvas";
const LAYOUT: &str = "torchlight:layout";
const FIELDS: &str = "torchlight:fields";
const ROWS: &str = "torchlight:rows";

const CANVAS_TEXT: &str = "`<rows>x<columns>`";
const LAYOUT_TEXT: &str = "the layout's fingerprint, 16 hexadecimal digits";
const FIELDS_TEXT: &str = "nPrint field names between commas, in column order";
const ROWS_TEXT: &str = "a number of packets that fits the canvas";
const PALETTE_TEXT: &str =
    "`torchlight`, `netdiffusion` or `one=#rrggbb zero=#rrggbb vacant=#rrggbb`";

/// All that is needed to read the cells of an image.
///
/// # Layout
/// In a PNG it is five `tEXt` chunks before the pixels:
/// ```text
/// torchlight:palette   torchlight
/// torchlight:canvas    1024x1088
/// torchlight:layout    fingerprint of the columns, 16 hexadecimal digits
/// torchlight:fields    ipv4_ver,ipv4_hl,…
/// torchlight:rows      817                      (where it is known)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What the colours mean.
    pub palette: Palette,
    /// The size that the image must have.
    pub canvas: Canvas,
    /// What the columns mean; columns of the canvas past them are padding.
    pub layout: Arc<Layout>,
    /// How many rows are packets, where that is known: of a rendered matrix, not of a generated
    /// image. Rows past them are padding.
    pub packet_rows: Option<usize>,
}

impl Default for Description {
    /// Torchlight's palette and canvas, the reference layout, an unknown number of packets.
    fn default() -> Self {
        Self {
            palette: Palette::default(),
            canvas: Canvas::default(),
            layout: Layout::reference(),
            packet_rows: None,
        }
    }
}

impl Description {
    /// Checks that the parts fit each other.
    ///
    /// # Errors
    /// [`Error::CanvasSize`], [`Error::CanvasTooNarrow`], and [`Error::Description`] where more
    /// rows are packets than the canvas has.
    pub fn validate(&self) -> Result<()> {
        self.canvas.pixels()?;
        if self.layout.columns() > self.canvas.columns {
            let layout_columns = self.layout.columns();
            return Err(Error::CanvasTooNarrow { canvas: self.canvas, layout_columns });
        }
        match self.packet_rows {
            Some(rows) if rows > self.canvas.rows => {
                Err(Error::Description { key: ROWS, found: rows.to_string(), expected: ROWS_TEXT })
            }
            _ => Ok(()),
        }
    }

    /// Keyword and text of the chunks.
    pub(crate) fn to_text(&self) -> Vec<(&'static str, String)> {
        let fields: Vec<&str> = self.layout.fields().map(|(field, _)| field.name).collect();
        let mut chunks = vec![
            (PALETTE, self.palette.to_string()),
            (CANVAS, format!("{}x{}", self.canvas.rows, self.canvas.columns)),
            (LAYOUT, format!("{:016x}", self.layout.fingerprint())),
            (FIELDS, fields.join(",")),
        ];
        chunks.extend(self.packet_rows.map(|rows| (ROWS, rows.to_string())));
        chunks
    }

    /// The description in the chunks of a PNG; `None` where there is no chunk of ours at all.
    pub(crate) fn from_text(chunks: &[(String, String)]) -> Result<Option<Self>> {
        if !chunks.iter().any(|(key, _)| key.starts_with(PREFIX)) {
            return Ok(None);
        }
        let find = |key| chunks.iter().find(|(k, _)| k == key).map(|(_, text)| text.as_str());
        let need = |key, expected| find(key).ok_or(Error::DescriptionMissing { key, expected });
        let wrong = |key, found: &str, expected| Error::Description {
            key,
            found: shorten(found),
            expected,
        };

        let text = need(PALETTE, PALETTE_TEXT)?;
        let palette = text.parse().map_err(|_| wrong(PALETTE, text, PALETTE_TEXT))?;
        let text = need(CANVAS, CANVAS_TEXT)?;
        let canvas = text
            .split_once('x')
            .and_then(|(rows, columns)| {
                Some(Canvas { rows: rows.parse().ok()?, columns: columns.parse().ok()? })
            })
            .ok_or_else(|| wrong(CANVAS, text, CANVAS_TEXT))?;
        let text = need(LAYOUT, LAYOUT_TEXT)?;
        let expected =
            u64::from_str_radix(text, 16).map_err(|_| wrong(LAYOUT, text, LAYOUT_TEXT))?;
        let layout = match Layout::reference() {
            reference if reference.fingerprint() == expected => reference,
            _ => named_layout(need(FIELDS, FIELDS_TEXT)?, expected)?,
        };
        let packet_rows = find(ROWS)
            .map(|text| text.parse().map_err(|_| wrong(ROWS, text, ROWS_TEXT)))
            .transpose()?;
        let description = Self { palette, canvas, layout, packet_rows };
        description.validate()?;
        Ok(Some(description))
    }
}

/// The layout of the named fields, which must have the given fingerprint.
fn named_layout(names: &str, expected: u64) -> Result<Arc<Layout>> {
    let fields: Vec<Field> = names
        .split(',')
        .map(|name| {
            Field::by_name(name).ok_or_else(|| Error::Description {
                key: FIELDS,
                found: shorten(name),
                expected: FIELDS_TEXT,
            })
        })
        .collect::<Result<_>>()?;
    let layout = Layout::from_fields(&fields)?;
    let found = layout.fingerprint();
    if found == expected {
        Ok(Arc::new(layout))
    } else {
        Err(Error::LayoutFingerprint { found, expected })
    }
}

/// The beginning of a text that can have any length.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}
