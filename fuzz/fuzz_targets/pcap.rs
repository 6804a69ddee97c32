//! Any bytes as a capture: strict, salvaged, encoded under both policies; what is read is written
//! and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{
    Header, Layout, RowPolicy, encode, flows, read_capture_from, read_capture_lossy_from,
    salvage_capture_from, write_capture_to,
};
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let Ok((trace, _)) = read_capture_lossy_from(bytes, "fuzz") else { return };
    let layout = Arc::new(Layout::with_payload(&Header::WIRE_ORDER, 8).expect("8 bytes fit"));
    for policy in [RowPolicy::EveryIpPacket, RowPolicy::NPrint] {
        assert!(encode(&trace, &layout, policy).rows() <= trace.len());
    }
    assert!(flows(&trace, Some(1_000)).len() <= trace.len());
    let mut file = Vec::new();
    if write_capture_to(&mut file, &trace).is_ok() {
        let again = read_capture_from(&file[..], "again").expect("what was written is read");
        assert_eq!(again.len(), trace.len());
    }
    let saved = salvage_capture_from(bytes, "fuzz").expect("the file header was good");
    assert!(saved.damage.len() <= saved.damaged_places);
});
