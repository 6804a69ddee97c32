//! Any bytes as CSV with packets in hexadecimal digits, under nPrint's policy and with layers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{CsvOptions, Header, HexReader, Layers, Layout, RowPolicy, write_hex_csv};
use nprint_codec_fuzz::layers_of;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let headers = [Header::Vlan, Header::Ipv4, Header::Udp];
    let layout = Arc::new(Layout::of_headers(&headers));
    let layers = [Layers::NPRINT, Layers::ALL, layers_of(bytes)];
    for policy in layers.map(RowPolicy::Through) {
        let Ok(packets) = HexReader::new(bytes, "fuzz") else { return };
        let mut csv = Vec::new();
        let options = CsvOptions { policy, ..CsvOptions::default() };
        let rows = write_hex_csv(&mut csv, packets, &layout, &options, |_| {});
        let lines = csv.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, rows.expect("memory takes everything") + 1);
    }
});
