//! What the caller adds to the page.

/// Sections that the evaluation cannot know: pictures, training curves, the repair table, run facts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras {
    /// Title of the page.
    pub title: String,
    /// Sentence under the title.
    pub subtitle: String,
    /// Rows of pictures: a parent, its edges, its children before and after repair.
    pub pictures: Vec<PictureRow>,
    /// Curves, e.g. training losses.
    pub curves: Vec<Curve>,
    /// Tables, e.g. cells changed by repair, by field and rule.
    pub tables: Vec<ExtraTable>,
    /// Name and value: times, settings, versions, hashes.
    pub facts: Vec<(String, String)>,
}

/// Pictures side by side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PictureRow {
    /// What they have in common, e.g. the name of the parent.
    pub title: String,
    /// The pictures, left to right.
    pub pictures: Vec<Picture>,
}

/// One picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// Line under the picture.
    pub caption: String,
    /// A PNG file, put into the page as it is.
    pub png: Vec<u8>,
}

/// A curve over steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// Name, e.g. `LoRA training loss`.
    pub name: String,
    /// Step and value, by rising step; values that are not finite are left out of the plot.
    pub points: Vec<(f64, f64)>,
}

/// A table of text; cells that are numbers are set right and sorted as numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExtraTable {
    /// Heading.
    pub title: String,
    /// Paragraph before the table.
    pub note: String,
    /// Column names.
    pub columns: Vec<String>,
    /// Rows; missing cells are empty.
    pub rows: Vec<Vec<String>>,
}
