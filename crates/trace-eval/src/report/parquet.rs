//! A table as Parquet.

use super::{Table, Values};
use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetWriter, PolarsResult};

/// The bytes of `NAME.parquet`: words as strings, numbers as doubles with nulls, counts as unsigned
/// 64-bit integers, flags as booleans. Uncompressed: tables are small, and every reader knows how.
pub(super) fn parquet(table: &Table) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Uncompressed)
        .finish(&mut frame(table)?)?;
    Ok(bytes)
}

fn frame(table: &Table) -> PolarsResult<DataFrame> {
    let column = |c: &super::Column| {
        let name = c.name.as_str().into();
        match &c.values {
            Values::Text(v) => Column::new(name, v),
            Values::Number(v) => Column::new(name, v),
            Values::Count(v) => Column::new(name, v),
            Values::Flag(v) => Column::new(name, v),
        }
    };
    DataFrame::new(table.rows(), table.columns.iter().map(column).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::{ParquetReader, SerReader};

    #[test]
    fn what_is_written_is_read_back() {
        let column =
            |name: &str, values: Values| super::super::Column { name: name.into(), values };
        let table = Table {
            name: "t",
            columns: vec![
                column("words", Values::Text(vec!["real → real".into(), String::new()])),
                column("numbers", Values::Number(vec![None, Some(0.1 + 0.2)])),
                column("counts", Values::Count(vec![0, u64::MAX])),
                column("flags", Values::Flag(vec![true, false])),
            ],
        };
        let bytes = parquet(&table).expect("bytes");
        assert_eq!(bytes, parquet(&table).expect("the same bytes"));
        let read = ParquetReader::new(std::io::Cursor::new(&bytes)).finish().expect("a frame");
        assert!(read.equals_missing(&frame(&table).expect("a frame")), "{read:?}");
    }
}
