//! The manifest's cases, and how one is run.

use fancy_regex::Regex;
use flate2::read::MultiGzDecoder;
use nprint_codec::{
    CsvOptions, Error, HexReader, Layout, NprintArgs, PacketFilter, Selection, Trace,
    read_capture_lossy, write_csv, write_hex_csv,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One run of the tool.
pub struct Case {
    pub folder: PathBuf,
    columns: BTreeMap<String, String>,
}

impl Case {
    pub fn text(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }

    pub fn input(&self) -> PathBuf {
        self.folder.join(self.text("input"))
    }

    pub fn args(&self) -> NprintArgs {
        NprintArgs::parse(shell_words(self.text("args")))
            .unwrap_or_else(|e| panic!("{}: {e}", self.text("id")))
    }

    /// The codes in brackets that the notes end with, e.g. `Q-SKIP`.
    pub fn codes(&self) -> BTreeSet<&str> {
        let code = |part: &'_ str| {
            matches!(part.split_once('-'), Some(("Q" | "B", rest))
                if rest.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
        };
        let parts = self.text("notes").split(['(', ')']);
        parts.filter(|part| code(part)).collect()
    }

    /// The tool's output, without what it prints there by mistake.
    pub fn golden(&self) -> String {
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

    pub fn number(&self, column: &str) -> usize {
        self.text(column).parse().expect("a number in the manifest")
    }

    pub fn layout(&self) -> Arc<Layout> {
        Arc::new(self.args().layout().expect("columns that the tool took"))
    }

    pub fn options(&self) -> CsvOptions {
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
    pub fn trace(&self) -> (Trace, Option<Error>) {
        let (trace, damage) = read_capture_lossy(self.input()).expect("a capture");
        let filter = self.args().filter;
        let filter = filter.map(|f| PacketFilter::parse(&f).expect("a filter that the tool took"));
        (Selection { filter, ..Selection::default() }.apply(&trace), damage)
    }

    /// Our CSV for the case.
    pub fn ours(&self) -> String {
        let mut csv = Vec::new();
        write_csv(&mut csv, &self.trace().0, &self.layout(), &self.options())
            .expect("memory takes everything");
        String::from_utf8(csv).expect("CSV is text")
    }

    /// Our CSV for a case of hexadecimal input, and the lines that are left out.
    pub fn ours_of_hex(&self) -> (String, Vec<Error>) {
        let (mut csv, mut left_out) = (Vec::new(), Vec::new());
        let text = read_text(&self.input());
        let packets = HexReader::new(text.as_bytes(), self.text("id")).expect("a header line");
        write_hex_csv(&mut csv, packets, &self.layout(), &self.options(), |e| left_out.push(e))
            .expect("memory takes everything");
        (String::from_utf8(csv).expect("CSV is text"), left_out)
    }

    pub fn bad_columns(&self) -> Vec<&str> {
        let patterns = self.text("bad_cols").split(',').filter(|c| !c.is_empty());
        patterns.map(|c| c.trim_end_matches('*')).collect()
    }

    /// `text` with the cells replaced by x where the manifest says that they are bad, or `also`
    /// does; rows are counted from 1 and columns known by name.
    pub fn masked(&self, text: &str, also: impl Fn(usize, &str) -> bool) -> String {
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

pub fn every_case() -> Vec<Case> {
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
        .collect()
}

/// The cases of one kind (`fwd`, `hex`, `rev`) and status (`match`, `quirk`, `bug`, `crash`).
pub fn cases(kind: &str, status: &str) -> Vec<Case> {
    let of = |case: &Case| case.text("kind") == kind && case.text("status") == status;
    every_case().into_iter().filter(of).collect()
}

pub fn read_text(path: &Path) -> String {
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
pub fn difference(id: &str, ours: &str, golden: &str) -> Option<String> {
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
pub fn run(cases: &[Case], check: impl Fn(&Case) -> Option<String>) {
    let differences: Vec<String> = cases.iter().filter_map(check).collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(!ours_is_the_copy() || !cases.is_empty(), "the manifest has no such case");
}

/// `4,18,23-25`.
pub fn row_numbers(text: &str) -> BTreeSet<usize> {
    let number = |n: &str| n.parse::<usize>().expect("a number in the manifest");
    text.split(',')
        .filter(|part| !part.is_empty())
        .flat_map(|part| match part.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(part)..=number(part),
        })
        .collect()
}
