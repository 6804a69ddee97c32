//! Any bytes as nPrint CSV; what is read becomes packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{decode, read_csv_from};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(table) = read_csv_from(bytes, "fuzz") {
        let trace = decode(&table.matrix, table.times_ns.as_deref().unwrap_or_default());
        assert!(trace.len() <= table.matrix.rows());
    }
});
