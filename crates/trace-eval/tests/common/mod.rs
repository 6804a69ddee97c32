//! Readers for the golden files.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

/// The folder with the metric fixtures: `TORCHLIGHT_GOLDENS/metrics`, or our own.
pub fn metrics_folder() -> PathBuf {
    std::env::var_os("TORCHLIGHT_GOLDENS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from)
        .join("metrics")
}

/// The folder with the statistics fixtures: `TORCHLIGHT_GOLDENS/statistics` where it is there, or our own.
pub fn statistics_folder() -> PathBuf {
    std::env::var_os("TORCHLIGHT_GOLDENS")
        .map(|folder| PathBuf::from(folder).join("statistics"))
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/statistics"))
}

/// An int8 array of two dimensions from a NumPy file of format 1.0, 2.0 or 3.0.
pub struct Array {
    pub rows: usize,
    pub columns: usize,
    pub cells: Vec<i8>,
}

pub fn read_npy(path: &Path) -> Array {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(&bytes[..6], b"\x93NUMPY", "{}", path.display());
    let (start, length) = match bytes[6] {
        1 => (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))),
        _ => (12, u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize),
    };
    let header = std::str::from_utf8(&bytes[start..start + length]).expect("an ASCII header");
    assert!(header.contains("'|i1'") || header.contains("'<i1'"), "{header}");
    let shape = header.split("'shape': (").nth(1).and_then(|s| s.split(')').next());
    let shape: Vec<usize> =
        shape.expect("a shape").split(',').filter_map(|s| s.trim().parse().ok()).collect();
    let [rows, columns] = shape[..] else { panic!("{}: shape {shape:?}", path.display()) };
    let data: Vec<i8> = bytes[start + length..].iter().map(|b| *b as i8).collect();
    assert_eq!(data.len(), rows * columns, "{}", path.display());
    let cells = if header.contains("'fortran_order': True") {
        (0..rows * columns).map(|i| data[(i % columns) * rows + i.div_euclid(columns)]).collect()
    } else {
        data
    };
    Array { rows, columns, cells }
}

/// A table of text with a header line.
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn column(&self, name: &str) -> usize {
        self.header
            .iter()
            .position(|h| h == name)
            .unwrap_or_else(|| panic!("no column {name} in {:?}", self.header))
    }

    pub fn numbers(&self, name: &str) -> Vec<f64> {
        let c = self.column(name);
        self.rows.iter().map(|r| r[c].parse().expect("a number")).collect()
    }
}

pub fn read_table(path: &Path) -> Table {
    let delimiter = if path.extension().is_some_and(|e| e == "tsv") { b'\t' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .comment(Some(b'#'))
        .quoting(delimiter == b',')
        .from_path(path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let header = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|r| r.expect("a record").iter().map(str::to_owned).collect())
        .collect();
    Table { header, rows }
}

/// Names of the files in `folder` that start with `prefix` and end with `suffix`, sorted.
pub fn files_like(folder: &Path, prefix: &str, suffix: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .filter_map(|entry| {
            let path = entry.expect("a folder entry").path();
            let name = path.file_name()?.to_str()?.to_owned();
            let middle = name.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned();
            Some((middle, path))
        })
        .collect();
    found.sort();
    found
}
