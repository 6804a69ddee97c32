//! Labels from a table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nprint_codec::Labels;

use crate::{Error, Result};

/// The column that names the file.
const FILE: &str = "file";
/// Endings that packing adds to a capture's name.
const PACKED: [&str; 4] = [".xz", ".gz", ".zst", ".bz2"];

/// A table of labels: CSV with a header line, a column `file`, and a column a category.
///
/// # Example
/// ```
/// use trace_image::LabelsTable;
///
/// let csv = "file,service,seed\na/x.pcap.xz,dns,7\n";
/// let table = LabelsTable::from_csv(csv.as_bytes(), Some(&["service"]))?;
/// assert_eq!(table.labels("elsewhere/x.pcap")?.value("service"), Some("dns"));
/// assert_eq!(table.labels("x.pcap")?.value("seed"), None);
/// # Ok::<(), trace_image::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelsTable {
    categories: Vec<String>,
    by_file: BTreeMap<String, Labels>,
    /// File name without folders and packing; `None` where several files share it.
    by_name: BTreeMap<String, Option<Labels>>,
}

impl LabelsTable {
    /// Reads a file; `categories` selects columns, all but `file` where it is `None`.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`from_csv`](Self::from_csv) inside [`Error::InFile`].
    pub fn read(path: impl AsRef<Path>, categories: Option<&[&str]>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        Self::from_csv(&bytes, categories).map_err(|error| error.in_file(path))
    }

    /// Reads CSV. Labels stand in the order of the table's columns; an empty cell is no label.
    ///
    /// # Errors
    /// [`Error::TableRow`], [`Error::TableColumn`], [`Error::TableRepeatsFile`].
    pub fn from_csv(csv: &[u8], categories: Option<&[&str]>) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv);
        let row_error = |source: csv::Error| {
            let line = source.position().map_or(1, csv::Position::line);
            Error::TableRow { line, source }
        };
        let header = reader.headers().map_err(row_error)?.clone();
        let column = |name: &str| {
            header.iter().position(|found| found == name).ok_or_else(|| Error::TableColumn {
                column: name.to_owned(),
                found: header.iter().map(str::to_owned).collect(),
            })
        };
        let file_column = column(FILE)?;
        let mut selected = match categories {
            Some(names) => names.iter().map(|name| column(name)).collect::<Result<Vec<_>>>()?,
            None => (0..header.len()).collect(),
        };
        selected.sort_unstable();
        selected.dedup();
        selected.retain(|&i| i != file_column);

        let mut by_file = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for row in reader.records() {
            let row = row.map_err(row_error)?;
            let file = row.get(file_column).unwrap_or_default();
            let labels: Labels = selected
                .iter()
                .filter_map(|&i| Some((header.get(i)?, row.get(i)?)))
                .filter(|(_, value)| !value.is_empty())
                .collect();
            if by_file.insert(file.to_owned(), labels.clone()).is_some() {
                let line = row.position().map_or(1, csv::Position::line);
                return Err(Error::TableRepeatsFile { line, file: file.to_owned() });
            }
            by_name
                .entry(plain_name(file).to_owned())
                .and_modify(|several| *several = None)
                .or_insert(Some(labels));
        }
        let categories =
            selected.iter().filter_map(|&i| header.get(i)).map(str::to_owned).collect();
        Ok(Self { categories, by_file, by_name })
    }

    /// The selected columns, in the order of the table.
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.by_file.len()
    }

    /// Whether no file is listed.
    pub fn is_empty(&self) -> bool {
        self.by_file.is_empty()
    }

    /// The labels of a file: by its path as the table writes it, else by its name without
    /// folders and packing (`.xz`, `.gz`, `.zst`, `.bz2`), where only one file has that name.
    ///
    /// # Errors
    /// [`Error::NotInTable`].
    pub fn labels(&self, path: impl AsRef<Path>) -> Result<&Labels> {
        let path = path.as_ref();
        let text = path.to_string_lossy();
        self.by_file
            .get(text.as_ref())
            .or_else(|| self.by_name.get(plain_name(&text))?.as_ref())
            .ok_or_else(|| Error::NotInTable { name: text.into_owned() })
    }
}

/// The name without folders and packing.
fn plain_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    PACKED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &[u8] = b"file,encryption,seed,transport\n\
        quick/a.pcap,none,1,http1\n\
        b.pcap.xz, ipsecsts ,2,\n\
        one/c.pcap,none,3,http3\n\
        two/c.pcap,none,4,http3\n";

    #[test]
    fn columns_come_in_table_order() {
        let table =
            LabelsTable::from_csv(CSV, Some(&["transport", "encryption"])).expect("a table");
        assert_eq!(table.categories(), ["encryption", "transport"]);
        let values: Vec<_> = table.labels("a.pcap").expect("listed").iter().collect();
        assert_eq!(values, [("encryption", "none"), ("transport", "http1")]);
        let values: Vec<_> = table.labels("x/b.pcap").expect("listed").iter().collect();
        assert_eq!(values, [("encryption", "ipsecsts")]);
        assert_eq!(table.len(), 4);
    }

    #[test]
    fn names_that_are_not_unique_need_the_path() {
        let table = LabelsTable::from_csv(CSV, None).expect("a table");
        assert_eq!(table.labels("two/c.pcap").expect("listed").value("seed"), Some("4"));
        assert!(matches!(table.labels("c.pcap"), Err(Error::NotInTable { .. })));
        assert!(matches!(table.labels("d.pcap"), Err(Error::NotInTable { .. })));
    }

    #[test]
    fn bad_tables_name_the_line() {
        let error = |csv: &str, columns| {
            LabelsTable::from_csv(csv.as_bytes(), columns).expect_err("a bad table").to_string()
        };
        assert_eq!(error("name,a\n", None), "no column `file`: the table has name, a");
        assert!(error("file,a\n", Some(&["b"])).starts_with("no column `b`"));
        assert!(error("file,a\nx,1\ny\n", None).starts_with("line 3:"));
        assert_eq!(error("file,a\nx,1\ny,1\nx,2\n", None), "line 4: `x` is listed twice");
        assert!(error("", None).starts_with("no column `file`"));
    }
}
