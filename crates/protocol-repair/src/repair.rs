//! Evidence in, capture out.

use crate::compile::{compile, dissect_all};
use crate::config::{AddressPlan, Mode, Payload, RepairConfig, Timing};
use crate::draft::Draft;
use crate::evidence::Evidence;
use crate::infer::stack::packet_rows;
use crate::profile::Profile;
use crate::report::{Changes, RepairReport, explained_share, report};
use crate::rules::{Before, run};
use crate::{Error, Result};
use nprint_codec::{Layout, SoftMatrix, TernaryMatrix, Trace};

/// Passes after which the last result is taken as it is.
const PASSES: usize = 8;

/// Finds the protocol-correct capture that agrees best with `soft`, one packet a row.
///
/// Trailing rows that are more likely vacant than a packet are padding; every other row becomes
/// exactly one packet. Evidence that is consistent already is kept: the matrix of a real capture
/// comes back unchanged, checksums apart, which belong to the new addresses and payload.
///
/// # Errors
/// [`Error::Layout`] unless the matrix has the reference layout; [`Error::SourceLength`] where
/// addresses, payload or times are to be kept from a source of another length;
/// [`Error::Subnet`] and [`Error::StartTime`] for settings that cannot
/// be met.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, SoftMatrix, TernaryMatrix, ipv4, udp};
/// use protocol_repair::{RepairConfig, check, repair};
///
/// let mut cells = TernaryMatrix::new(Layout::reference());
/// let mut row = cells.push_vacant();
/// row.set_header(nprint_codec::Header::Ipv4, &[0x45, 0, 0, 40, 0, 7, 64, 0, 63, 17, 0, 0]);
/// row.set(udp::SOURCE_PORT, 40_000);
/// row.set(udp::DESTINATION_PORT, 5000);
/// let (trace, report) = repair(&SoftMatrix::certain(cells), &RepairConfig::default())?;
/// assert_eq!(trace.packet(0).original_length, 14 + 40);
/// assert_eq!(report.packets_by_protocol["ipv4/udp"], 1);
/// assert!(check(&trace).is_empty());
/// # Ok::<(), protocol_repair::Error>(())
/// ```
pub fn repair(soft: &SoftMatrix, config: &RepairConfig) -> Result<(Trace, RepairReport)> {
    repair_timed(soft, config, &mut Profile::default())
}

/// Repairs a trace that is longer than one image: `windows` are its images in order.
///
/// The padding at the end of each window is left out, and what is left is repaired as one: connections,
/// counters, clocks and fragments go on from window to window, and time and memory grow with the number
/// of rows. Sources of addresses, payload and times are those of the whole trace.
///
/// # Errors
/// Those of [`repair`], and [`Error::NoWindow`] without any window.
///
/// # Example
/// ```
/// use nprint_codec::{Layout, SoftMatrix, TernaryMatrix};
/// use protocol_repair::{RepairConfig, repair_windows};
///
/// let mut window = TernaryMatrix::vacant(Layout::reference(), 8);
/// window.row_mut(0).set_header(nprint_codec::Header::Ipv4, &[0x45, 0, 0, 20, 0, 7, 64, 0, 63, 59, 0, 0]);
/// let windows = [SoftMatrix::certain(window.clone()), SoftMatrix::certain(window)];
/// let (trace, report) = repair_windows(&windows, &RepairConfig::default())?;
/// assert_eq!((trace.len(), report.padding_rows), (2, 14));
/// # Ok::<(), protocol_repair::Error>(())
/// ```
pub fn repair_windows(
    windows: &[SoftMatrix],
    config: &RepairConfig,
) -> Result<(Trace, RepairReport)> {
    let Some(first) = windows.first() else { return Err(Error::NoWindow) };
    let layout = first.cells().layout().clone();
    let mut cells = TernaryMatrix::new(layout.clone());
    let mut confidence = Vec::new();
    let mut padding_rows = 0;
    for window in windows {
        checked(window)?;
        let rows = packet_rows(&Evidence::new(window));
        padding_rows += window.cells().rows() - rows;
        for row in window.cells().iter().take(rows) {
            cells.push_vacant().set_words(row.present_words(), row.value_words());
        }
        confidence.extend_from_slice(&window.confidence()[..rows * layout.columns()]);
    }
    let soft = SoftMatrix::new(cells, confidence).expect("one confidence a cell was copied");
    let (trace, report) = repair(&soft, config)?;
    Ok((trace, RepairReport { padding_rows: padding_rows + report.padding_rows, ..report }))
}

/// That a matrix has the reference layout.
fn checked(soft: &SoftMatrix) -> Result<()> {
    let (layout, reference) = (soft.cells().layout(), Layout::reference());
    if **layout == *reference {
        return Ok(());
    }
    Err(Error::Layout {
        columns: layout.columns(),
        expected: reference.fingerprint(),
        found: layout.fingerprint(),
    })
}

/// [`repair`], which also says how long each part of it took.
pub(crate) fn repair_timed(
    soft: &SoftMatrix,
    config: &RepairConfig,
    profile: &mut Profile,
) -> Result<(Trace, RepairReport)> {
    checked(soft)?;
    let layout = soft.cells().layout();
    let evidence = Evidence::new(soft);
    let rows = packet_rows(&evidence);
    validate(config, rows)?;
    let evidence = evidence.first(rows);
    let mut changes = Changes::default();
    let mut draft = Draft::new(&evidence, config);
    let mut before_rule = Before::new(&draft.cells);
    run(&mut draft, &mut before_rule, &mut changes, |rule, ns| profile.add(rule, ns));
    if let (Mode::Strict, Some(first)) = (config.mode, changes.first()) {
        let field = layout.field_at(first.column).map_or("", |(field, _)| field.name);
        let (rule, packet) = (first.rule, first.row);
        return Err(Error::Refused { rule, packet, field, cells: changes.total() });
    }
    let (noise, before) = (draft.noise.rate, explained_share(&draft));
    let mut passes = 1;
    if changes.total() > 0 {
        // The result is read again as evidence until nothing changes: so repair of a repaired
        // capture is that capture.
        let (mut cells, mut drawn) = (draft.cells, draft.drawn);
        loop {
            passes += 1;
            let stage = cells;
            let again = Evidence::certain(&stage);
            let mut draft = Draft::new(&again, config);
            draft.drawn = drawn;
            run(&mut draft, &mut before_rule, &mut changes, |rule, ns| profile.add(rule, ns));
            if draft.cells == stage || passes == PASSES {
                return Ok(finish(&evidence, draft, changes, (noise, passes, before), profile));
            }
            (cells, drawn) = (draft.cells, draft.drawn);
        }
    }
    Ok(finish(&evidence, draft, changes, (noise, passes, before), profile))
}

/// Bytes and report of a decided trace.
fn finish(
    evidence: &Evidence<'_>,
    mut draft: Draft<'_>,
    changes: Changes,
    (noise, passes, tcp_explained_before): (f64, usize, f64),
    profile: &mut Profile,
) -> (Trace, RepairReport) {
    let start = std::time::Instant::now();
    let trace = compile(&mut draft);
    profile.add_bytes(start.elapsed().as_nanos() as u64);
    let report = report(evidence, &draft, changes);
    (trace, RepairReport { noise, passes, tcp_explained_before, ..report })
}

fn validate(config: &RepairConfig, rows: usize) -> Result<()> {
    let same = |what, found| {
        if found == rows {
            Ok(())
        } else {
            Err(Error::SourceLength { what, expected: rows, found })
        }
    };
    match &config.addresses {
        AddressPlan::Keep(trace) => same("addresses", dissect_all(trace).len())?,
        AddressPlan::Subnets(subnets) => subnets.check()?,
        AddressPlan::Documentation => {}
    }
    if let Payload::Keep(trace) = &config.payload {
        same("payload bytes", dissect_all(trace).len())?;
    }
    let start_ns = match &config.timing {
        Timing::Keep(times) => {
            same("times", times.len())?;
            times.first().copied().unwrap_or(config.start_ns)
        }
        Timing::Model { .. } => config.start_ns,
    };
    if start_ns > 0 { Ok(()) } else { Err(Error::StartTime { start_ns }) }
}
