//! Laws that hold for any evidence.

#[allow(dead_code)]
mod common;

use common::{captures, cells_of, flip, random_cells};
use nprint_codec::{Cell, Header, Layout, SoftMatrix, TernaryMatrix, dissect, encode};
use proptest::prelude::*;
use protocol_repair::{Link, Payload, PayloadPolicy, RepairConfig, check, repair, repair_windows};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

fn config(seed: u64) -> RepairConfig {
    RepairConfig { seed, ..RepairConfig::default() }
}

#[test]
fn an_encapsulated_payload_has_room_for_its_header() {
    let mut cells = TernaryMatrix::vacant(Layout::reference(), 1);
    let mut row = cells.row_mut(0);
    row.set_header(
        Header::Ipv4,
        &[0x45, 0, 0, 27, 0, 1, 0, 0, 64, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    let (trace, _) = repair(&SoftMatrix::certain(cells), &config(1)).expect("a valid matrix");
    let packet = dissect(trace.link_type(), trace.packet(0).bytes).expect("IP");
    assert_eq!((packet.protocol, packet.payload.len()), (50, 16));
    let [index, number] = [&packet.payload[..4], &packet.payload[4..8]];
    assert!(index != [0; 4] && number != [0; 4], "{:?}", packet.payload);
}

#[test]
fn disturbed_captures_become_correct_ones() {
    for (index, (name, source)) in captures().into_iter().enumerate() {
        let truth = cells_of(&source);
        let disturbed = flip(&truth, 0.02, index as u64);
        for link in [Link::Ethernet, Link::RawIp] {
            let config = RepairConfig { link, ..config(index as u64) };
            let (trace, report) =
                repair(&SoftMatrix::certain(disturbed.clone()), &config).expect("a valid matrix");
            assert_eq!(trace.len(), truth.rows(), "{name}");
            assert_eq!(check(&trace), vec![], "{name}");
            assert!(report.tcp_explained_after >= report.tcp_explained_before, "{name}");
            let again = cells_of(&trace);
            let same = |field| {
                truth.iter().zip(again.iter()).filter(|(a, b)| a.get(field) == b.get(field)).count()
            };
            for field in [nprint_codec::ipv4::PROTOCOL, nprint_codec::ipv6::NEXT_HEADER] {
                assert!(100 * same(field) >= 98 * truth.rows(), "{name}, {}", field.name);
            }
            let (twice, _) = repair(&SoftMatrix::certain(again), &config).expect("valid");
            assert_eq!(twice, trace, "{name}: repair of a repaired capture");
        }
    }
}

#[test]
fn padding_is_no_packet_and_rows_within_are() {
    let (_, source) = captures().into_iter().next().expect("there are captures");
    let truth = cells_of(&source);
    let mut padded = TernaryMatrix::vacant(Layout::reference(), 1024);
    for row in 0..truth.rows() {
        let cells = truth.row(row);
        padded.row_mut(row).set_words(cells.present_words(), cells.value_words());
    }
    let disturbed = flip(&padded, 0.02, 5);
    let (trace, report) = repair(&SoftMatrix::certain(disturbed), &config(1)).expect("valid");
    assert_eq!((trace.len(), report.padding_rows), (truth.rows(), 1024 - truth.rows()));
    // A vacant row between packets is a packet whose evidence was lost.
    let mut gap = truth.clone();
    let words = gap.layout().words();
    gap.row_mut(3).set_words(&vec![0; words], &vec![0; words]);
    let (trace, _) = repair(&SoftMatrix::certain(gap), &config(1)).expect("valid");
    assert_eq!(trace.len(), truth.rows());
    assert_eq!(check(&trace), vec![]);
}

#[test]
fn windows_of_a_long_trace_give_what_the_whole_gives() {
    for (index, (name, source)) in captures().into_iter().enumerate() {
        let truth = cells_of(&source);
        let disturbed = flip(&truth, 0.02, index as u64);
        let (whole, _) =
            repair(&SoftMatrix::certain(disturbed.clone()), &config(3)).expect("valid");
        // Images of 24 rows, of which the last few are padding.
        let windows: Vec<SoftMatrix> = (0..disturbed.rows())
            .step_by(20)
            .map(|start| {
                let mut window = TernaryMatrix::vacant(Layout::reference(), 24);
                for row in start..(start + 20).min(disturbed.rows()) {
                    let cells = disturbed.row(row);
                    let (present, value) = (cells.present_words(), cells.value_words());
                    window.row_mut(row - start).set_words(present, value);
                }
                SoftMatrix::certain(window)
            })
            .collect();
        let (made, report) = repair_windows(&windows, &config(3)).expect("valid");
        assert_eq!(made, whole, "{name}");
        assert_eq!(report.packets + report.padding_rows, 24 * windows.len(), "{name}");
    }
    let none = repair_windows(&[], &config(3));
    assert!(matches!(none, Err(protocol_repair::Error::NoWindow)));
}

#[test]
fn every_payload_policy_gives_correct_packets() {
    for policy in [PayloadPolicy::Zero, PayloadPolicy::Random, PayloadPolicy::Pattern] {
        for (name, source) in captures() {
            let config = RepairConfig { payload: Payload::Policy(policy), ..config(9) };
            let (trace, _) =
                repair(&SoftMatrix::certain(cells_of(&source)), &config).expect("valid");
            assert_eq!(check(&trace), vec![], "{name} {policy:?}");
        }
    }
}

#[test]
fn another_layout_is_refused() {
    let layout = Arc::new(Layout::of_headers(&[nprint_codec::Header::Udp]));
    let soft = SoftMatrix::certain(TernaryMatrix::vacant(layout, 2));
    assert!(matches!(
        repair(&soft, &RepairConfig::default()),
        Err(protocol_repair::Error::Layout { columns: 64, .. })
    ));
}

#[test]
fn sources_of_another_length_and_times_before_1970_are_refused() {
    let (_, source) = captures().into_iter().next().expect("there are captures");
    let mut cells = cells_of(&source);
    cells.truncate(5);
    let soft = SoftMatrix::certain(cells);
    let kept = RepairConfig { payload: Payload::Keep(Arc::new(source)), ..config(0) };
    assert!(matches!(
        repair(&soft, &kept),
        Err(protocol_repair::Error::SourceLength { expected: 5, .. })
    ));
    let early = RepairConfig { start_ns: 0, ..config(0) };
    assert!(matches!(
        repair(&soft, &early),
        Err(protocol_repair::Error::StartTime { start_ns: 0 })
    ));
}

fn laws(cells: TernaryMatrix, confidence: Vec<u8>, seed: u64) -> Result<(), TestCaseError> {
    let soft = SoftMatrix::new(cells, confidence).expect("one confidence a cell");
    let config = config(seed);
    let (trace, report) = repair(&soft, &config).expect("the reference layout");
    prop_assert_eq!(trace.len(), report.packets);
    prop_assert_eq!(report.packets + report.padding_rows, soft.cells().rows());
    prop_assert_eq!(&repair(&soft, &config).expect("valid").0, &trace);
    prop_assert_eq!(check(&trace), vec![]);
    let again = cells_of(&trace);
    prop_assert_eq!(again.rows(), trace.len());
    let (twice, _) = repair(&SoftMatrix::certain(again), &config).expect("valid");
    prop_assert_eq!(twice, trace);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_cells_become_a_capture(rows in 1_usize..24, seed in any::<u64>(), vacant in 0.0_f64..1.0) {
        let cells = random_cells(rows, vacant, seed);
        let confidence = vec![255; rows * 1088];
        laws(cells, confidence, seed)?;
    }

    #[test]
    fn unsure_captures_become_captures(pick in 0_usize..8, seed in any::<u64>(), rate in 0.0_f64..0.2) {
        let all = captures();
        let mut cells = flip(&cells_of(&all[pick % all.len()].1), rate, seed);
        cells.truncate(40);
        let confidence = (0..cells.rows() * 1088).map(|i| (i as u64).wrapping_mul(seed | 1) as u8).collect();
        laws(cells, confidence, seed)?;
    }
}

#[test]
fn extreme_matrices_are_survived() {
    let layout = Layout::reference();
    let vacant = TernaryMatrix::vacant(layout.clone(), 7);
    let (trace, report) = repair(&SoftMatrix::certain(vacant), &config(0)).expect("valid");
    assert!(trace.is_empty() && report.padding_rows == 7);
    let empty = TernaryMatrix::new(layout.clone());
    assert!(repair(&SoftMatrix::certain(empty), &config(0)).expect("valid").0.is_empty());
    for cell in [Cell::One, Cell::Zero] {
        let mut cells = TernaryMatrix::vacant(layout.clone(), 4);
        for row in 0..4 {
            (0..1088).for_each(|c| cells.row_mut(row).set_cell(c, cell));
        }
        let (trace, _) = repair(&SoftMatrix::certain(cells), &config(0)).expect("valid");
        assert_eq!(trace.len(), 4);
        assert_eq!(check(&trace), vec![]);
        let rows = encode(&trace, &layout, nprint_codec::RowPolicy::EveryIpPacket).rows();
        assert_eq!(rows, 4);
    }
}

#[test]
fn a_hundred_thousand_random_rows_are_survived() {
    let layout = Layout::reference();
    let mut cells = TernaryMatrix::new(layout.clone());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..100_000 {
        let words = |random: &mut ChaCha8Rng| -> Vec<u64> {
            (0..layout.words()).map(|_| random.next_u64()).collect()
        };
        let (present, value) = (words(&mut random), words(&mut random));
        cells.push_vacant().set_words(&present, &value);
    }
    let config = RepairConfig { payload: Payload::Policy(PayloadPolicy::Zero), ..config(1) };
    let (trace, report) = repair(&SoftMatrix::certain(cells), &config).expect("valid");
    assert_eq!((trace.len(), report.packets), (100_000, 100_000));
    assert_eq!(check(&trace), vec![]);
}
