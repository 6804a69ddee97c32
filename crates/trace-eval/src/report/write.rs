//! A report as files.

use super::{Extras, Report, Table, Values, html, plot};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Folder of the plots alone.
const PLOTS: &str = "plots";

impl Report {
    /// Writes the report into `folder`, which is made if it is missing. Returns the paths, the page
    /// first.
    ///
    /// # Layout
    /// `report.html` with everything inside; `report.json`, this value; every [`Table`] as `NAME.csv`, and with
    /// feature `polars` as `NAME.parquet` too; `plots/NAME.svg`, the plots of the page alone; `plots/heat-map-HEADER.png`, 4
    /// × 24 pixels a bit; `plots/picture-ROW-PLACE-CAPTION.png`, the pictures of `extras`. The same report gives the
    /// same bytes.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Json`], [`Error::Csv`] or [`Error::Png`] with the file that failed
    /// (`Error::Parquet` with feature `polars`).
    pub fn write(&self, folder: &Path, extras: &Extras) -> Result<Vec<PathBuf>> {
        let plots = folder.join(PLOTS);
        std::fs::create_dir_all(&plots)
            .map_err(|source| Error::Write { path: plots.clone(), source })?;
        let mut paths = Vec::new();
        let mut put = |path: PathBuf, bytes: &[u8]| -> Result<()> {
            replace(&path, bytes).map_err(|source| Error::Write { path: path.clone(), source })?;
            paths.push(path);
            Ok(())
        };
        put(folder.join("report.html"), html::to_html(self, extras).as_bytes())?;
        let json = folder.join("report.json");
        let text = serde_json::to_vec_pretty(self)
            .map_err(|source| Error::Json { path: json.clone(), source })?;
        put(json, &text)?;
        for table in self.tables() {
            let path = folder.join(format!("{}.csv", table.name));
            let bytes = csv(&table).map_err(|source| Error::Csv { path: path.clone(), source })?;
            put(path, &bytes)?;
            #[cfg(feature = "polars")]
            {
                let path = folder.join(format!("{}.parquet", table.name));
                let bytes = super::parquet::parquet(&table)
                    .map_err(|source| Error::Parquet { path: path.clone(), source })?;
                put(path, &bytes)?;
            }
        }
        for plot in plot::all(self, extras) {
            put(plots.join(format!("{}.svg", plot.name)), plot.alone().as_bytes())?;
        }
        for header in &self.headers {
            let name = format!("heat-map-{}.png", plot::file_name(&header.header));
            let path = plots.join(name);
            let bytes = plot::heat_map_png(header, &path)?;
            put(path, &bytes)?;
        }
        for (row, pictures) in extras.pictures.iter().enumerate() {
            for (place, picture) in pictures.pictures.iter().enumerate() {
                let caption = plot::file_name(&picture.caption);
                let name = format!("picture-{}-{}-{caption}.png", row + 1, place + 1);
                put(plots.join(name), &picture.png)?;
            }
        }
        Ok(paths)
    }
}

/// Writes beside the file and renames, so that a reader never sees half of it.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, bytes)?;
    std::fs::rename(&part, path)
}

/// A table as CSV; numbers as short as they can be read back from.
fn csv(table: &Table) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(table.columns.iter().map(|c| &c.name))?;
    for row in 0..table.rows() {
        writer.write_record(table.columns.iter().map(|c| cell(&c.values, row)))?;
    }
    writer.into_inner().map_err(|e| e.into_error().into())
}

fn cell(values: &Values, row: usize) -> String {
    match values {
        Values::Text(v) => v[row].clone(),
        Values::Number(v) => v[row].map(|v| v.to_string()).unwrap_or_default(),
        Values::Count(v) => v[row].to_string(),
        Values::Flag(v) => v[row].to_string(),
    }
}
