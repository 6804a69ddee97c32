//! `-N`: CSV to captures.

use crate::manifest::{Case, cases, read_text, row_numbers, run};
use nprint_codec::{Trace, decode, read_capture, read_csv_from};
use std::collections::BTreeSet;

/// `-N`: CSV back to packets, bits as they are.
#[test]
fn golden_reverse_runs_give_the_same_packets() {
    run(&cases("rev", "match"), |case| reverse_difference(case, &BTreeSet::new()));
}

/// B-REVTAIL: bytes without columns are 0, not memory. B-REVE6: IPv6 behind Ethernet has its whole
/// length; the manifest names the packets that the tool cuts.
#[test]
fn golden_reverse_bugs_stay_in_their_packets() {
    run(&cases("rev", "bug"), |case| {
        let bad = row_numbers(case.text("bad_rows"));
        for packet in bad.iter().map(|n| reversed(case).packet(n - 1).bytes.to_vec()) {
            let stated = 54 + usize::from(u16::from_be_bytes([packet[18], packet[19]]));
            assert_eq!((packet[12], packet.len()), (0x86, stated), "{}", case.text("id"));
        }
        reverse_difference(case, &bad)
    });
}

/// Q-REV: time columns are no bits here; and of a fill that is a bit no header can be told to be
/// absent, so that every row becomes a packet with all of them.
#[test]
fn golden_reverse_quirks_differ_as_stated() {
    run(&cases("rev", "quirk"), |case| {
        let (id, ours) = (case.text("id"), reversed(case));
        let whole =
            read_capture(case.folder.join("captures/02_v4_udp_icmp.pcap")).expect("a capture");
        assert_eq!(ours.len(), 17, "{id}");
        for (packet, original) in ours.iter().zip(whole.iter()) {
            if id.ends_with("_F_0") {
                assert_eq!(packet.bytes[..20], original.bytes[14..34], "{id}");
            } else {
                let length = packet.bytes.len();
                assert_eq!(*packet.bytes, original.bytes[14..14 + length], "{id}");
            }
        }
        let first = whole.packet(0).time_ns;
        let since =
            |trace: &Trace, start: i64| trace.iter().map(|p| p.time_ns - start).collect::<Vec<_>>();
        let timed = id.ends_with("_R");
        (timed && since(&ours, ours.packet(0).time_ns) != since(&whole, first))
            .then(|| format!("{id}: other times"))
    });
}

fn reversed(case: &Case) -> Trace {
    let table = read_csv_from(read_text(&case.input()).as_bytes(), case.text("id"));
    let table = table.unwrap_or_else(|e| panic!("{e}"));
    decode(&table.matrix, table.times_ns.as_deref().unwrap_or_default())
}

/// The first packet that differs, those in `except` (from 1) apart.
fn reverse_difference(case: &Case, except: &BTreeSet<usize>) -> Option<String> {
    let (id, ours) = (case.text("id"), reversed(case));
    let golden = read_capture(case.folder.join(case.text("golden"))).expect("a capture");
    if (ours.len(), ours.link_type()) != (golden.len(), golden.link_type()) {
        return Some(format!("{id}: {} packets, golden {}", ours.len(), golden.len()));
    }
    let pairs = ours.iter().zip(golden.iter()).enumerate();
    let mut pairs = pairs.map(|(i, pair)| (i + 1, pair)).filter(|(i, _)| !except.contains(i));
    pairs.find(|(_, (o, g))| o.bytes != g.bytes).map(|(packet, _)| format!("{id}: packet {packet}"))
}
