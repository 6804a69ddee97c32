//! Any text up to a zero byte as a filter expression, and the bytes behind it as the packet that it
//! judges, under every link type that is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nprint_codec::{LinkType, Packet, PacketFilter};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (expression, bytes) = input.split_at(end);
    let Ok(filter) = PacketFilter::parse(&String::from_utf8_lossy(expression)) else { return };
    let packet = Packet { time_ns: 0, bytes, original_length: bytes.len() as u32 };
    for link_type in [0, 1, 9, 101, 108, 113, 127, 276] {
        filter.matches(LinkType::from_number(link_type), &packet);
    }
});
