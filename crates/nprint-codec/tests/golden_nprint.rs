//! What the C++ tool printed, byte for byte. The folder's README says where it comes from.
//!
//! `TORCHLIGHT_GOLDENS=DIR` takes `DIR/nprint` instead: the manifest there says which cases run.

use fancy_regex::Regex;
use flate2::read::MultiGzDecoder;
use nprint_codec::{
    CsvOptions, Error, HeaderStatistics, HexReader, Layout, NprintArgs, PacketFilter, Selection,
    Trace, decode, encode, read_capture, read_capture_lossy, read_csv_from, write_csv,
    write_hex_csv,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Case {
    folder: PathBuf,
    columns: BTreeMap<String, String>,
}

impl Case {
    fn text(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }

    fn input(&self) -> PathBuf {
        self.folder.join(self.text("input"))
    }

    fn args(&self) -> NprintArgs {
        NprintArgs::parse(shell_words(self.text("args")))
            .unwrap_or_else(|e| panic!("{}: {e}", self.text("id")))
    }

    /// The codes in brackets that the notes end with, e.g. `Q-SKIP`.
    fn codes(&self) -> BTreeSet<&str> {
        let code = |part: &'_ str| {
            matches!(part.split_once('-'), Some(("Q" | "B", rest))
                if rest.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
        };
        let parts = self.text("notes").split(['(', ')']);
        parts.filter(|part| code(part)).collect()
    }

    /// The tool's output, without what it prints there by mistake.
    fn golden(&self) -> String {
        let text = read_text(&self.folder.join(self.text("golden")));
        assert_eq!(text.lines().count(), self.number("rows") + 1, "{}: rows", self.text("id"));
        let header = text.lines().next().unwrap_or_default();
        assert_eq!(header.split(',').count(), self.number("cols"), "{}: cols", self.text("id"));
        if !self.codes().contains("B-VERB") {
            return text;
        }
        let printed = text.lines().filter(|l| *l != "WlanHeader: raw data not set");
        printed.flat_map(|l| [l, "\n"]).collect()
    }

    fn number(&self, column: &str) -> usize {
        self.text(column).parse().expect("a number in the manifest")
    }

    fn layout(&self) -> Arc<Layout> {
        Arc::new(self.args().layout().expect("columns that the tool took"))
    }

    fn options(&self) -> CsvOptions {
        let args = self.args();
        let drop = args
            .drop_expression
            .as_deref()
            .map(|e| Regex::new(&format!("^(?:{e})$")).expect("an expression that the tool took"));
        args.csv_options().dropping(&self.layout(), |name| {
            drop.as_ref().is_some_and(|d| d.is_match(name).expect("a simple expression"))
        })
    }

    /// The packets that the tool looked at: where it stops silently, it keeps what came before;
    /// so does this, and names the damage.
    fn trace(&self) -> (Trace, Option<Error>) {
        let (trace, damage) = read_capture_lossy(self.input()).expect("a capture");
        let filter = self.args().filter;
        let filter = filter.map(|f| PacketFilter::parse(&f).expect("a filter that the tool took"));
        (Selection { filter, ..Selection::default() }.apply(&trace), damage)
    }

    /// Our CSV for the case.
    fn ours(&self) -> String {
        let mut csv = Vec::new();
        write_csv(&mut csv, &self.trace().0, &self.layout(), &self.options())
            .expect("memory takes everything");
        String::from_utf8(csv).expect("CSV is text")
    }

    /// Our CSV for a case of hexadecimal input, and the lines that are left out.
    fn ours_of_hex(&self) -> (String, Vec<Error>) {
        let (mut csv, mut left_out) = (Vec::new(), Vec::new());
        let text = read_text(&self.input());
        let packets = HexReader::new(text.as_bytes(), self.text("id")).expect("a header line");
        write_hex_csv(&mut csv, packets, &self.layout(), &self.options(), |e| left_out.push(e))
            .expect("memory takes everything");
        (String::from_utf8(csv).expect("CSV is text"), left_out)
    }

    fn bad_columns(&self) -> Vec<&str> {
        let patterns = self.text("bad_cols").split(',').filter(|c| !c.is_empty());
        patterns.map(|c| c.trim_end_matches('*')).collect()
    }

    /// `text` with the cells replaced by x where the manifest says that they are bad, or `also`
    /// does; rows are counted from 1 and columns known by name.
    fn masked(&self, text: &str, also: impl Fn(usize, &str) -> bool) -> String {
        let bad_rows = row_numbers(self.text("bad_rows"));
        let bad_columns = self.bad_columns();
        let names: Vec<&str> = text.lines().next().unwrap_or_default().split(',').collect();
        let is_bad = |row: usize, name: &str| {
            let listed = bad_columns.iter().any(|bad| name.starts_with(bad));
            row > 0 && ((bad_rows.contains(&row) && listed) || also(row, name))
        };
        let mut out = String::new();
        for (row, line) in text.lines().enumerate() {
            for (cell, name) in line.split(',').zip(&names) {
                out.push_str(if is_bad(row, name) { "x" } else { cell });
                out.push(',');
            }
            out.push('\n');
        }
        out
    }
}

fn ours_is_the_copy() -> bool {
    std::env::var_os("TORCHLIGHT_GOLDENS").is_none()
}

fn cases(kind: &str, status: &str) -> Vec<Case> {
    let folder = match std::env::var_os("TORCHLIGHT_GOLDENS") {
        Some(goldens) => Path::new(&goldens).join("nprint"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nprint"),
    };
    let manifest = read_text(&folder.join("MANIFEST.tsv"));
    let mut lines = manifest.lines();
    let names: Vec<&str> = lines.next().expect("a header line").split('\t').collect();
    lines
        .map(|line| Case {
            folder: folder.clone(),
            columns: names
                .iter()
                .zip(line.split('\t'))
                .map(|(name, value)| ((*name).to_owned(), value.to_owned()))
                .collect(),
        })
        .filter(|case| case.text("kind") == kind && case.text("status") == status)
        .collect()
}

fn read_text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "gz") {
        MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip of text");
    } else {
        text = String::from_utf8(bytes).expect("text");
    }
    text
}

/// Words with quotes as a shell reads them.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(q)) if c == q => quote = None,
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The first difference, short enough to read.
fn difference(id: &str, ours: &str, golden: &str) -> Option<String> {
    if ours == golden {
        return None;
    }
    let names: Vec<&str> = golden.lines().next().unwrap_or_default().split(',').collect();
    for (line, (o, g)) in ours.lines().zip(golden.lines()).enumerate() {
        for (column, (a, b)) in o.split(',').zip(g.split(',')).enumerate() {
            if a != b {
                let name = names.get(column).unwrap_or(&"?");
                return Some(format!("{id}: line {}, {name}: {a}, golden {b}", line + 1));
            }
        }
    }
    let lines = (ours.lines().count(), golden.lines().count());
    Some(format!("{id}: {} lines, golden {}", lines.0, lines.1))
}

/// Runs every case and fails on any difference.
fn run(cases: &[Case], check: impl Fn(&Case) -> Option<String>) {
    let differences: Vec<String> = cases.iter().filter_map(check).collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(!ours_is_the_copy() || !cases.is_empty(), "the manifest has no such case");
}

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

/// Each quirk is reproduced, or differs in what is stated here and in nothing else.
#[test]
fn golden_quirks_are_reproduced_or_differ_as_stated() {
    run(&cases("fwd", "quirk"), |case| {
        let (id, codes) = (case.text("id"), case.codes());
        let (ours, golden) = (case.ours(), case.golden());
        let unknown: Vec<_> = codes.iter().filter(|code| !STATED.contains(code)).collect();
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

/// What this crate does about each quirk and bug:
///
/// * Q-SKIP, Q-FRAG, Q-COUNT: the same.
/// * Q-SNIFF, Q-LINK: the link type is believed, and SLL2, NULL, LOOP and PPP are read.
/// * Q-STOP: what came before damage is kept, and the damage is an error; an interface with
///   another snap length is no damage.
/// * Q-RTS, Q-2038: differences are printed as they are, and seconds are not negative.
/// * Q-JOIN: commas.
/// * Q-RADIO: the stated length of the radiotap header is honoured; no IP header is looked for.
/// * B-WLAN: 802.11 columns hold 802.11 bits, and later columns do not shift.
const STATED: [&str; 11] = [
    "Q-SKIP", "Q-FRAG", "Q-COUNT", "Q-SNIFF", "Q-LINK", "Q-STOP", "Q-RTS", "Q-2038", "Q-JOIN",
    "Q-RADIO", "B-WLAN",
];

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

/// `4,18,23-25`.
fn row_numbers(text: &str) -> BTreeSet<usize> {
    let number = |n: &str| n.parse::<usize>().expect("a number in the manifest");
    text.split(',')
        .filter(|part| !part.is_empty())
        .flat_map(|part| match part.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(part)..=number(part),
        })
        .collect()
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
