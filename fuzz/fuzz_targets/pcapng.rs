//! Any bytes behind a section header as pcapng; what is read is written as pcapng and read again,
//! and goes the whole way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{
    CaptureFormat, read_capture_from, read_capture_lossy_from, salvage_capture_from,
    write_capture_as,
};
use nprint_codec_fuzz::whole_way;

const SECTION: &[u8] = &[
    0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0,
];

fuzz_target!(|bytes: &[u8]| {
    let bytes =
        if bytes.starts_with(&SECTION[..4]) { bytes.to_vec() } else { [SECTION, bytes].concat() };
    let Ok((trace, damage)) = read_capture_lossy_from(&bytes[..], "fuzz") else { return };
    whole_way(&trace, &bytes);
    let mut file = Vec::new();
    if write_capture_as(&mut file, &trace, CaptureFormat::PcapNg).is_ok() {
        let again = read_capture_from(&file[..], "again").expect("what was written is read");
        assert_eq!(again.len(), trace.len());
    }
    let saved = salvage_capture_from(&bytes[..], "fuzz").expect("the section header was good");
    assert!(saved.damage.len() <= saved.damaged_places);
    if damage.is_some() {
        whole_way(&saved.trace, &bytes);
    }
});
