//! Packets of a source trace that addresses or payload are kept from.

use nprint_codec::{Dissection, Trace, dissect};

/// A packet of the source: its parts, all its bytes, its length on the wire.
pub(crate) type Source<'a> = (Dissection<'a>, &'a [u8], u32);

/// The IP packets of a source trace.
pub(crate) fn dissect_all(trace: &Trace) -> Vec<Source<'_>> {
    (0..trace.len())
        .filter_map(|i| {
            let packet = trace.packet(i);
            let d = dissect(trace.link_type(), packet.bytes)?;
            Some((d, packet.bytes, packet.original_length))
        })
        .collect()
}

/// Appends payload from a source packet; whether none of it was cut.
pub(crate) fn take(frame: &mut Vec<u8>, source: &Source<'_>, length: usize) -> bool {
    let (d, ..) = source;
    let own = &d.payload[..d.payload.len().min(length)];
    frame.extend(own);
    if d.payload.len() < d.payload_length && own.len() < length {
        return false;
    }
    let end = frame.len() + length - own.len();
    frame.resize(end, 0);
    true
}

/// Link-layer padding of a short frame, where a packet that takes `frame_bytes` has it too.
pub(crate) fn padding<'a>((d, bytes, original): &Source<'a>, frame_bytes: usize) -> &'a [u8] {
    let end = d.link.len() + d.ip.len() + d.extensions.len() + d.transport.len() + d.payload_length;
    match bytes.get(end..) {
        Some(rest) if *original as usize == bytes.len() && frame_bytes + rest.len() <= 60 => rest,
        _ => &[],
    }
}
