//! `-C`: packets in hexadecimal digits.

use crate::manifest::{cases, difference, read_text, run};

/// `-C`.
#[test]
fn golden_hexadecimal_runs_are_byte_identical() {
    run(&cases("hex", "match"), |case| {
        let (ours, left_out) = case.ours_of_hex();
        assert!(left_out.is_empty(), "{left_out:?}");
        difference(case.text("id"), &ours, &case.golden())
    });
    run(&cases("hex", "bug"), |case| {
        let mask = |text: &str| case.masked(text, |_, _| false);
        difference(case.text("id"), &mask(&case.ours_of_hex().0), &mask(&case.golden()))
    });
}

/// Q-HEX: a bad line is no line of the CSV, and does not end it either.
#[test]
fn golden_hexadecimal_runs_go_on_behind_bad_lines() {
    run(&cases("hex", "quirk"), |case| {
        let (ours, left_out) = case.ours_of_hex();
        let golden = read_text(&case.folder.join(case.text("golden")));
        let rows = golden.lines().filter(|line| !line.starts_with("Error parsing line"));
        let golden: String = rows.flat_map(|line| [line, "\n"]).collect();
        let lines = read_text(&case.input()).lines().count();
        assert_eq!(ours.lines().count() + left_out.len(), lines, "{left_out:?}");
        (!ours.starts_with(&golden)).then(|| format!("{}: other rows", case.text("id")))
    });
}
