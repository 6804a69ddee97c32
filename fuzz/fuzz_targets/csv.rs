//! Any bytes as nPrint CSV; what is read goes to arrays, to text and to packets, and comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{CsvOptions, read_csv_from, write_matrix_csv};
use nprint_codec_fuzz::{arrays, capture_of};

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = read_csv_from(bytes, "fuzz") else { return };
    let times_ns = table.times_ns.as_deref().unwrap_or_default();
    arrays(&table.matrix);
    capture_of(&table.matrix, times_ns);
    let mut csv = Vec::new();
    let options = CsvOptions { absolute_time: true, ..CsvOptions::default() };
    let rows = write_matrix_csv(&mut csv, &table.matrix, times_ns, &options);
    assert_eq!(rows.expect("memory takes everything"), table.matrix.rows());
    assert_eq!(read_csv_from(&csv[..], "own").expect("own text is read").matrix, table.matrix);
});
