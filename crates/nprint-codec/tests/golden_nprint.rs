//! What the C++ tool printed, byte for byte. The folder's README says where it comes from.
//!
//! `TORCHLIGHT_GOLDENS=DIR` takes `DIR/nprint` instead: the manifest there says which cases run.

use fancy_regex::Regex;
use flate2::read::MultiGzDecoder;
use nprint_codec::{
    NprintArgs, decode, encode, read_capture, read_capture_lossy, read_csv_from, write_csv,
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

    /// Our CSV for the case.
    fn ours(&self) -> String {
        let args = self.args();
        let layout = Arc::new(args.layout().expect("columns that the tool took"));
        let drop = args
            .drop_expression
            .as_deref()
            .map(|e| Regex::new(&format!("^(?:{e})$")).expect("an expression that the tool took"));
        let options = args.csv_options().dropping(&layout, |name| {
            drop.as_ref().is_some_and(|d| d.is_match(name).expect("a simple expression"))
        });
        // Where the tool stops silently, it keeps what came before; so does this.
        let (trace, _) = read_capture_lossy(self.input()).expect("a capture");
        let mut csv = Vec::new();
        write_csv(&mut csv, &trace, &layout, &options).expect("memory takes everything");
        String::from_utf8(csv).expect("CSV is text")
    }

    /// What of the tool's command line this crate does not offer.
    fn out_of_scope(&self) -> Option<&'static str> {
        if self.text("kind") != "fwd" {
            return None;
        }
        let args = self.args();
        if args.radiotap || args.wlan {
            Some("radiotap and 802.11 columns")
        } else if args.filter.is_some() {
            Some("filters of libpcap")
        } else {
            None
        }
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

/// Runs what is in scope, reports what is not, and fails on any difference.
fn run(cases: &[Case], at_least: f64, check: impl Fn(&Case) -> Option<String>) {
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differences = Vec::new();
    let mut ran = 0;
    for case in cases {
        if let Some(reason) = case.out_of_scope() {
            *skipped.entry(reason).or_default() += 1;
            continue;
        }
        ran += 1;
        differences.extend(check(case));
    }
    eprintln!("{ran} of {} cases ran; skipped: {skipped:?}", cases.len());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    if ours_is_the_copy() {
        let share = f64::from(ran) / cases.len() as f64;
        assert!(share >= at_least, "only {ran} of {} cases ran", cases.len());
    }
}

#[test]
fn golden_forward_runs_are_byte_identical() {
    run(&cases("fwd", "match"), 0.95, |case| {
        difference(case.text("id"), &case.ours(), &case.golden())
    });
}

/// Surprising, but harmless: reproduced by default.
#[test]
fn golden_harmless_quirks_are_reproduced() {
    const REPRODUCED: [&str; 3] = ["Q-SKIP", "Q-FRAG", "Q-COUNT"];
    let mut cases = cases("fwd", "quirk");
    cases.retain(|c| !c.codes().is_empty() && c.codes().iter().all(|q| REPRODUCED.contains(q)));
    run(&cases, 1.0, |case| difference(case.text("id"), &case.ours(), &case.golden()));
}

/// Where the tool reads what it should not, every other cell agrees.
#[test]
fn golden_bugs_stay_in_their_cells() {
    let mut cases = cases("fwd", "bug");
    // Rows of packets that are too short to be rows.
    cases.retain(|c| !c.text("bad_cols").contains("whole"));
    run(&cases, 0.9, |case| {
        let bad_rows = row_numbers(case.text("bad_rows"));
        let bad_columns: Vec<&str> = case.text("bad_cols").split(',').collect();
        let golden = case.golden();
        let names: Vec<&str> = golden.lines().next().unwrap_or_default().split(',').collect();
        let is_bad =
            |name: &str| bad_columns.iter().any(|bad| name.starts_with(bad.trim_end_matches('*')));
        let mask = |text: &str| -> String {
            let mut out = String::new();
            for (row, line) in text.lines().enumerate() {
                for (cell, name) in line.split(',').zip(&names) {
                    out.push_str(if bad_rows.contains(&row) && is_bad(name) { "x" } else { cell });
                    out.push(',');
                }
                out.push('\n');
            }
            out
        };
        difference(case.text("id"), &mask(&case.ours()), &mask(&golden))
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

#[test]
fn golden_crashes_do_not_happen_here() {
    run(&cases("fwd", "crash"), 1.0, |case| {
        assert!(case.ours().lines().count() > 1, "{}: no rows", case.text("id"));
        None
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
    run(&cases, 0.95, |case| {
        let options = case.args().csv_options();
        let layout = Arc::new(case.args().layout().expect("columns that the tool took"));
        let (trace, _) = read_capture_lossy(case.input()).expect("a capture");
        let expected = encode(&trace, &layout, options.policy);
        let table = read_csv_from(case.golden().as_bytes(), case.text("id"));
        let table = table.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(table.index.map(|i| i.0), Some(options.index));
        (table.matrix != expected).then(|| format!("{}: other cells", case.text("id")))
    });
}

/// `-N`: CSV back to packets, bits as they are.
#[test]
fn golden_reverse_runs_give_the_same_packets() {
    let cases = cases("rev", "match");
    run(&cases, 1.0, |case| {
        let id = case.text("id");
        let table = read_csv_from(read_text(&case.input()).as_bytes(), id);
        let ours = decode(&table.unwrap_or_else(|e| panic!("{e}")).matrix, &[]);
        let golden = read_capture(case.folder.join(case.text("golden"))).expect("a capture");
        if (ours.len(), ours.link_type()) != (golden.len(), golden.link_type()) {
            return Some(format!("{id}: {} packets, golden {}", ours.len(), golden.len()));
        }
        let differ = ours.iter().zip(golden.iter()).position(|(o, g)| o.bytes != g.bytes);
        differ.map(|at| format!("{id}: packet {}", at + 1))
    });
}
