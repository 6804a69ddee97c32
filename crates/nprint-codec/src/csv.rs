//! nPrint's CSV, both ways. The only place that knows column names of files.
//!
//! ```text
//! src_ip    , rts , tv_sec , tv_usec , ipv4_ver_0 , ipv4_ver_1 , …
//! index       ~~~ optional times ~~~   one column a bit, most significant first
//! ```

mod cells;
#[cfg(feature = "polars")]
mod frame;
mod header;
mod index;
mod line;
mod read;
mod row;
mod source;
mod write;

#[cfg(feature = "polars")]
pub use frame::{read_parquet, read_parquet_from, write_parquet};
pub use index::CsvIndex;
pub use read::{CsvReader, CsvRow, CsvTable, read_csv, read_csv_from};
pub use write::{CsvWriter, write_csv, write_matrix_csv};

use crate::{Layout, RowPolicy};

const RELATIVE_TIME: &str = "rts";
const SECONDS: &str = "tv_sec";
const MICROSECONDS: &str = "tv_usec";

/// How CSV is written. The default is what the C++ tool does without options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// The first column; default the source address, nPrint's `-O 0`.
    pub index: CsvIndex,
    /// Column `rts`: microseconds since the row before. nPrint's `-R`.
    pub relative_time: bool,
    /// Columns `tv_sec`, `tv_usec`: time since 1970. nPrint's `-A`.
    pub absolute_time: bool,
    /// The number printed for vacant cells; default -1, nPrint's `-F`. 0 and 1 cannot be told
    /// from bits again.
    pub fill: i8,
    /// Only the first packets of the capture are looked at, packets that give no row included;
    /// default all. nPrint's `-c`.
    pub max_packets: Option<usize>,
    /// Which packets give a row; default [`RowPolicy::NPrint`].
    pub policy: RowPolicy,
    /// Columns of the layout that are not printed; see [`dropping`](Self::dropping).
    pub dropped_columns: Vec<usize>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            index: CsvIndex::default(),
            relative_time: false,
            absolute_time: false,
            fill: -1,
            max_packets: None,
            policy: RowPolicy::NPrint,
            dropped_columns: Vec::new(),
        }
    }
}

impl CsvOptions {
    /// Drops every bit column of `layout` whose full name `drop` says yes to: nPrint's `-x`, with
    /// the caller's kind of expression.
    pub fn dropping(mut self, layout: &Layout, mut drop: impl FnMut(&str) -> bool) -> Self {
        self.dropped_columns = names(layout)
            .enumerate()
            .filter(|(_, name)| drop(name))
            .map(|(column, _)| column)
            .collect();
        self
    }
}

/// The column names of `layout` in order.
fn names(layout: &Layout) -> impl Iterator<Item = String> + '_ {
    layout.fields().flat_map(|(f, _)| (0..f.bits).map(move |bit| format!("{}_{bit}", f.name)))
}
