//! `-P`: captures to CSV.

use crate::manifest::{cases, difference, read_text, row_numbers, run};
use nprint_codec::{HeaderStatistics, encode, read_csv_from};

#[test]
fn golden_forward_runs_are_byte_identical() {
    run(&cases("fwd", "match"), |case| difference(case.text("id"), &case.ours(), &case.golden()));
}

/// `-S`, but for the share of nothing, which the tool prints as `-nan%`.
#[test]
fn golden_statistics_are_the_same() {
    let mut cases = cases("fwd", "match");
    cases.retain(|case| case.args().stats);
    run(&cases, |case| {
        let name = format!("err/{}.stderr", case.text("id"));
        let golden = read_text(&case.folder.join(name)).replace("-nan%", "0.00%");
        let (trace, policy) = (case.trace().0, case.options().policy);
        let mut counts = HeaderStatistics::default();
        trace.iter().for_each(|packet| counts.add(trace.link_type(), policy, packet.bytes));
        difference(case.text("id"), &counts.to_string(), &golden)
    });
}

/// The tool's CSV, read by name, is the matrix that the capture gives.
#[test]
fn golden_csv_is_read_back() {
    let mut cases = cases("fwd", "match");
    cases.retain(|case| {
        let args = case.args();
        // Some fields only, or a fill that is a bit, is not the whole matrix; no bits, no matrix.
        let fill = args.csv_options().fill;
        args.drop_expression.is_none()
            && fill != 0
            && fill != 1
            && args.count.is_none()
            && !(args.headers.is_empty() && args.payload_bytes == 0)
    });
    run(&cases, |case| {
        let options = case.args().csv_options();
        let expected = encode(&case.trace().0, &case.layout(), options.policy);
        let table = read_csv_from(case.golden().as_bytes(), case.text("id"));
        let table = table.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(table.index.map(|i| i.0), Some(options.index));
        (table.matrix != expected).then(|| format!("{}: other cells", case.text("id")))
    });
}

/// Where the tool reads what it should not, every other cell agrees. For frames that are too short
/// to be rows (the note says which) it shows an earlier packet again, and here is no row.
#[test]
fn golden_bugs_stay_in_their_cells() {
    run(&cases("fwd", "bug"), |case| {
        let note = case.text("notes");
        let stubs = note.split_once("rows ").and_then(|(_, rest)| rest.split_once(" come from"));
        let stubs = stubs.map(|(rows, _)| row_numbers(rows)).unwrap_or_default();
        let mut ours: Vec<String> = case.ours().lines().map(str::to_owned).collect();
        let mut golden: Vec<String> = case.golden().lines().map(str::to_owned).collect();
        for stub in &stubs {
            ours.insert(*stub, String::new());
            golden[*stub].clear();
        }
        let mask = |lines: Vec<String>| case.masked(&lines.join("\n"), |_, _| false);
        difference(case.text("id"), &mask(ours), &mask(golden))
    });
}

#[test]
fn golden_crashes_do_not_happen_here() {
    run(&cases("fwd", "crash"), |case| {
        assert!(case.ours().lines().count() > 1, "{}: no rows", case.text("id"));
        None
    });
}
