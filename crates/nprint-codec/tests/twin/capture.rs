//! Traces to files.

use nprint_codec::Trace;

/// pcap, a number at a time; with `ns_per_unit` 1 in nanoseconds.
pub fn pcap(trace: &Trace, ns_per_unit: i64) -> Vec<u8> {
    let magic: u32 = if ns_per_unit == 1 { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = Vec::new();
    file.extend(magic.to_le_bytes());
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(262_144_u32.to_le_bytes());
    file.extend(trace.link_type().number().to_le_bytes());
    for packet in trace.iter() {
        let (seconds, ns) =
            (packet.time_ns.div_euclid(1_000_000_000), packet.time_ns.rem_euclid(1_000_000_000));
        let fraction = ns.div_euclid(ns_per_unit);
        let lengths = [packet.bytes.len() as i64, i64::from(packet.original_length)];
        for number in [seconds, fraction].into_iter().chain(lengths) {
            file.extend((number as u32).to_le_bytes());
        }
        file.extend(packet.bytes);
    }
    file
}

/// pcapng, a block at a time.
pub fn pcapng(trace: &Trace) -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |block_type: u32, body: &[u8]| {
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = ((12 + body.len() + padding) as u32).to_le_bytes();
        file.extend(block_type.to_le_bytes());
        file.extend(length);
        file.extend(body);
        file.extend(&[0; 3][..padding]);
        file.extend(length);
    };
    let unknown_length = [0xff; 8];
    block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &unknown_length].concat());
    let link_type = trace.link_type().number() as u16;
    let link_type = link_type.to_le_bytes();
    block(1, &[&link_type[..], &[0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]].concat());
    for packet in trace.iter() {
        let ticks = packet.time_ns as u64;
        let words = [
            0,
            (ticks >> 32) as u32,
            ticks as u32,
            packet.bytes.len() as u32,
            packet.original_length,
        ];
        let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        body.extend(packet.bytes);
        block(6, &body);
    }
    file
}
