//! Labelled captures in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use nprint_codec::{Labels, Trace, read_capture};
use trace_image::{LabelPattern, LabelsTable};

use crate::{Error, Result};

/// Endings that do not count as part of a capture's name.
const ENDINGS: [&str; 5] = [".gz", ".pcap", ".pcapng", ".cap", ".dmp"];

/// Where labels come from.
#[derive(Debug, Clone)]
pub enum LabelSource {
    /// A table beside the captures.
    Table(LabelsTable),
    /// The files' names.
    Pattern(LabelPattern),
    /// The files' names where they tell something; any other file has no labels.
    IfNamed(LabelPattern),
}

impl LabelSource {
    /// The table `labels`, else `labels.csv` in the folder where there is one, else the names by
    /// `pattern`.
    ///
    /// # Errors
    /// Those of [`LabelsTable::read`].
    pub fn find(
        folder: &Path,
        labels: Option<&Path>,
        pattern: Option<&LabelPattern>,
        categories: &[String],
    ) -> Result<Self> {
        if let Some(table) = Self::table(folder, labels, pattern) {
            let categories: Vec<&str> = categories.iter().map(String::as_str).collect();
            let selected = (!categories.is_empty()).then_some(categories.as_slice());
            return Ok(Self::Table(LabelsTable::read(table, selected)?));
        }
        Ok(Self::Pattern(pattern.cloned().unwrap_or_else(LabelPattern::searchlight)))
    }

    /// The same, but a file whose name tells nothing has no labels instead of being an error: for captures
    /// that come from anywhere.
    #[must_use]
    pub fn lenient(self) -> Self {
        match self {
            Self::Pattern(pattern) => Self::IfNamed(pattern),
            other => other,
        }
    }

    /// The file that [`find`](Self::find) reads, if any.
    pub fn table(
        folder: &Path,
        labels: Option<&Path>,
        pattern: Option<&LabelPattern>,
    ) -> Option<PathBuf> {
        let beside = folder.join("labels.csv");
        let beside = (pattern.is_none() && beside.is_file()).then_some(beside);
        labels.map(Path::to_owned).or(beside)
    }

    /// The labels of a file.
    ///
    /// # Errors
    /// [`trace_image::Error::NotInTable`] or [`trace_image::Error::Unlabelled`].
    pub fn labels(&self, path: &Path) -> Result<Labels> {
        Ok(match self {
            Self::Table(table) => table.labels(path)?.clone(),
            Self::Pattern(pattern) => pattern.labels(path)?,
            Self::IfNamed(pattern) => pattern.labels(path).unwrap_or_default(),
        })
    }
}

/// A capture with what is known about it.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The file's name without folders and endings.
    pub stem: String,
    /// The packets.
    pub trace: Trace,
    /// What they are.
    pub labels: Labels,
}

impl Capture {
    /// Reads a file and looks up its labels.
    ///
    /// # Errors
    /// Those of [`read_capture`] and [`LabelSource::labels`].
    pub fn read(path: &Path, source: &LabelSource) -> Result<Self> {
        let trace = read_capture(path)?;
        Ok(Self { stem: stem(path), trace, labels: source.labels(path)? })
    }
}

/// Files of a folder that are taken for captures, sorted: all but hidden ones, tables (`.csv`)
/// and `README.md`.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be listed.
pub fn capture_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let path = entry.map_err(Error::file("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let other = name.starts_with('.') || name == "README.md" || name.ends_with(".csv");
        if path.is_file() && !other {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A file's name without folders and endings of captures.
pub fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut rest = name.as_ref();
    while let Some(shorter) = ENDINGS.iter().find_map(|ending| rest.strip_suffix(ending)) {
        rest = shorter;
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems() {
        assert_eq!(stem(Path::new("a/1-c1.x.http1.pcap.gz")), "1-c1.x.http1");
        assert_eq!(stem(Path::new("b.pcapng")), "b");
        assert_eq!(stem(Path::new("b")), "b");
    }
}
