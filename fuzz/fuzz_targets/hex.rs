//! Any bytes as CSV with packets in hexadecimal digits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{CsvOptions, Header, HexReader, Layout, write_hex_csv};
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let Ok(packets) = HexReader::new(bytes, "fuzz") else { return };
    let layout = Arc::new(Layout::of_headers(&[Header::Ipv4, Header::Udp]));
    let mut csv = Vec::new();
    let rows = write_hex_csv(&mut csv, packets, &layout, &CsvOptions::default(), |_| {});
    let lines = csv.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, rows.expect("memory takes everything") + 1);
});
