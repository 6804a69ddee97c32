//! Any bytes as a NumPy array, or as the cells of one; what is read is written in both forms and
//! goes to packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{Header, Layout, read_npy};
use nprint_codec_fuzz::{arrays, capture_of};
use std::sync::Arc;

/// Columns: 8 bytes of them.
const BYTES: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let layout = Arc::new(Layout::of_headers(&[Header::Udp]));
    let array = |descr: &str, shape: String| {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let length = (text.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), bytes].concat()
    };
    let rows_of = |row_bytes: usize| bytes.len().checked_div(row_bytes).unwrap_or(0);
    for file in [
        bytes.to_vec(),
        array("|i1", format!("{}, {}", rows_of(8 * BYTES), 8 * BYTES)),
        array("|u1", format!("{}, 2, {BYTES}", rows_of(2 * BYTES))),
    ] {
        if let Ok(matrix) = read_npy(&file[..], "fuzz", &layout) {
            assert!(matrix.rows() <= file.len());
            arrays(&matrix);
            capture_of(&matrix, &[]);
        }
    }
});
