//! `-P`, where the tool is deterministic but surprising.

use crate::manifest::{Case, cases, difference, row_numbers, run};
use crate::stated::is_stated;

/// Each quirk is reproduced, or differs in what is stated here and in nothing else.
#[test]
fn golden_quirks_are_reproduced_or_differ_as_stated() {
    run(&cases("fwd", "quirk"), |case| {
        let (id, codes) = (case.text("id"), case.codes());
        let (ours, golden) = (case.ours(), case.golden());
        let unknown: Vec<_> = codes.iter().filter(|code| !is_stated(code)).collect();
        assert!(unknown.is_empty() && !codes.is_empty(), "{id}: nothing is stated on {unknown:?}");
        time_columns_are_true(case, &ours);
        if codes.contains("Q-SNIFF") || codes.contains("Q-LINK") {
            return link_type_is_believed(case, &ours, &golden);
        }
        if codes.contains("Q-STOP") {
            return damage_is_named(case, &ours, &golden);
        }
        if codes.contains("B-WLAN") || codes.contains("Q-RADIO") {
            wireless_cells_are_true(case, &ours);
        }
        if codes.contains("Q-JOIN") {
            // Commas stand between our cells; and where Q-RTS or Q-2038 says that times differ,
            // `time_columns_are_true` has seen them.
            let times_differ = codes.contains("Q-RTS") || codes.contains("Q-2038");
            let (ours, golden) = (ours.replace(',', ""), golden.replace(',', ""));
            return if times_differ { None } else { difference(id, &ours, &golden) };
        }
        // Radiotap headers have the length that they state; the tool takes 56 bytes.
        let short: Vec<usize> = case.trace().0.iter().map(|p| usize::from(p.bytes[2])).collect();
        let radio = |row: usize, name: &str| {
            let bit = |prefix: &str| bit_of(case, name, prefix);
            codes.contains("Q-RADIO")
                && short[row - 1] != 56
                && (name == "tx_mac" || bit("radiotap_").is_some_and(|b| b >= 8 * short[row - 1]))
        };
        // A difference of -1 us is a cell of ours; the tool leaves it out, and the row is short.
        let minus_one = |row: usize, _: &str| {
            case.text("bad_cols") == "rowlength"
                && row_numbers(case.text("bad_rows")).contains(&row)
        };
        let also = |row: usize, name: &str| radio(row, name) || minus_one(row, name);
        let count = |text: &str| text.lines().count();
        let (a, b) = (case.masked(&ours, also), case.masked(&golden, also));
        // Rows with a cell less are all x.
        let cut = |text: &str| -> String {
            let all_x = |line: &str| line.split(',').all(|cell| matches!(cell, "x" | ""));
            text.lines().flat_map(|l| [if all_x(l) { "x" } else { l }, "\n"]).collect()
        };
        (count(&ours) != count(&golden))
            .then(|| format!("{id}: other rows"))
            .or_else(|| difference(id, &cut(&a), &cut(&b)))
    });
}

/// Rows of ours where the tool goes by two bytes of the packet, or gives up.
fn link_type_is_believed(case: &Case, ours: &str, golden: &str) -> Option<String> {
    const ROWS: [(&str, usize); 5] = [
        ("09_rawip", 8),
        ("10_sll", 5),
        ("10b_sll2", 2),
        ("10c_null", 2),
        ("19_l2_looks_like_ip", 2),
    ];
    let id = case.text("id");
    let rows = ROWS.iter().find(|(name, _)| case.text("input").ends_with(&format!("/{name}.pcap")));
    let (_, rows) = rows.unwrap_or_else(|| panic!("{id}: nothing is stated"));
    let found = ours.lines().count() - 1;
    if found != *rows {
        return Some(format!("{id}: {found} rows, stated {rows}"));
    }
    // The rows that both have are the same ones.
    let (few, many) = if ours.len() < golden.len() { (ours, golden) } else { (golden, ours) };
    let mut rest = many.lines();
    let missing = few.lines().find(|line| !rest.any(|other| other == *line));
    missing.map(|line| format!("{id}: a row differs: {}", &line[..line.len().min(60)]))
}

fn damage_is_named(case: &Case, ours: &str, golden: &str) -> Option<String> {
    let (id, damage) = (case.text("id"), case.trace().1);
    if case.text("input").contains("two_snaplens") {
        let rows = ours.lines().count() - 1;
        let reads_on = ours.starts_with(golden) && rows == 3 && damage.is_none();
        return (!reads_on).then(|| format!("{id}: {rows} rows of 3, damage {damage:?}"));
    }
    match damage {
        None => Some(format!("{id}: no damage is named")),
        Some(_) => difference(id, ours, golden),
    }
}

/// Times by the book: microseconds, rounded down, and the difference to the row before.
fn time_columns_are_true(case: &Case, ours: &str) {
    let (args, id) = (case.args(), case.text("id"));
    if !args.relative_time && !args.absolute_time {
        return;
    }
    let (trace, _) = case.trace();
    let rows = ours.lines().count() - 1;
    if rows != trace.len() {
        return; // packets without a row: which time belongs to which row is not known here
    }
    let mut last = None;
    for (packet, line) in trace.iter().zip(ours.lines().skip(1)) {
        let us = packet.time_ns.div_euclid(1_000);
        let since = us - last.unwrap_or(us);
        last = Some(us);
        let mut expected = Vec::new();
        expected.extend(args.relative_time.then_some(since));
        let seconds = [us.div_euclid(1_000_000), us.rem_euclid(1_000_000)];
        expected.extend(args.absolute_time.then_some(seconds).into_iter().flatten());
        let cells = line.split(',').skip(1).take(expected.len());
        let found: Vec<i64> = cells.map(|c| c.parse().expect("a number")).collect();
        assert_eq!(found, expected, "{id}");
    }
}

/// The 802.11 columns hold the bytes behind the radiotap header, or nothing.
fn wireless_cells_are_true(case: &Case, ours: &str) {
    let (trace, _) = case.trace();
    let names: Vec<&str> = ours.lines().next().expect("a header").split(',').collect();
    for (packet, line) in trace.iter().zip(ours.lines().skip(1)) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len(), "{}", case.text("id"));
        let frame = match trace.link_type().number() {
            127 => &packet.bytes[usize::from(packet.bytes[2])..],
            _ => &[],
        };
        for (name, cell) in names.iter().zip(&cells) {
            let Some(bit) = bit_of(case, name, "wlan_") else { continue };
            let truth = frame.get(bit >> 3).map(|byte| byte >> (7 - bit % 8) & 1);
            let expected = truth.map_or(case.options().fill.to_string(), |b| b.to_string());
            assert_eq!(*cell, expected, "{}: {name}", case.text("id"));
        }
    }
}

/// The bit of the header that a column with this prefix shows.
fn bit_of(case: &Case, name: &str, prefix: &str) -> Option<usize> {
    let first = |n: &str| n.starts_with(prefix);
    if !first(name) {
        return None;
    }
    let layout = case.layout();
    let start =
        (0..layout.columns()).find(|c| layout.column_name(*c).is_some_and(|n| first(&n)))?;
    let column =
        (start..layout.columns()).find(|c| layout.column_name(*c).as_deref() == Some(name))?;
    Some(column - start)
}
