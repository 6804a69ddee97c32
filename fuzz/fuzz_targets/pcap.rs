//! Any bytes as a capture: strict and salvaged; what is read goes the whole way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{
    flows, read_capture_from, read_capture_lossy_from, salvage_capture_from, write_capture_to,
};
use nprint_codec_fuzz::whole_way;

fuzz_target!(|bytes: &[u8]| {
    let Ok((trace, damage)) = read_capture_lossy_from(bytes, "fuzz") else { return };
    whole_way(&trace, bytes);
    assert!(flows(&trace, Some(1_000)).len() <= trace.len());
    let mut file = Vec::new();
    if write_capture_to(&mut file, &trace).is_ok() {
        let again = read_capture_from(&file[..], "again").expect("what was written is read");
        assert_eq!(again.len(), trace.len());
    }
    let saved = salvage_capture_from(bytes, "fuzz").expect("the file header was good");
    assert!(saved.damage.len() <= saved.damaged_places);
    if damage.is_some() {
        whole_way(&saved.trace, bytes);
    }
});
