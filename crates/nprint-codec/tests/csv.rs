//! nPrint CSV: what other programs do to it, and what is refused.

use nprint_codec::{
    CsvIndex, CsvOptions, Error, Header, Layout, LinkType, TernaryMatrix, Trace, read_csv_from,
    tcp, udp, write_csv, write_matrix_csv,
};
use proptest::prelude::*;
use std::sync::Arc;

fn layout() -> Arc<Layout> {
    Arc::new(Layout::of_headers(&[Header::Udp, Header::Ipv4]))
}

fn trace() -> Trace {
    let mut trace = Trace::new(LinkType::RawIp);
    for i in 0..3_u8 {
        let mut bytes = vec![0x45, 0, 0, 28, 0, i, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend([0, 53, 200, i, 0, 8, 0, 0]);
        trace.push(1_700_000_000_000_000_000 + i64::from(i) * 1_500_000, &bytes, 28);
    }
    trace
}

fn csv(options: &CsvOptions) -> String {
    let mut out = Vec::new();
    write_csv(&mut out, &trace(), &layout(), options).expect("memory takes everything");
    String::from_utf8(out).expect("CSV is text")
}

/// Edits every line but keeps the lines apart.
fn each_line(text: &str, end: &str, edit: impl Fn(usize, &str) -> String) -> String {
    text.lines().enumerate().map(|(i, line)| edit(i, line) + end).collect()
}

#[test]
fn times_and_index_come_back() {
    for (absolute_time, relative_time) in [(true, false), (false, true), (true, true)] {
        let options = CsvOptions {
            index: CsvIndex::Flow,
            absolute_time,
            relative_time,
            ..CsvOptions::default()
        };
        let table = read_csv_from(csv(&options).as_bytes(), "flow.csv").expect("valid");
        let (kind, names) = table.index.expect("an index column");
        assert_eq!((kind, names[2].as_str()), (CsvIndex::Flow, "10.0.0.1_10.0.0.2_53_51202_UDP"));
        let start = if absolute_time { 1_700_000_000_000_000_000 } else { 0 };
        assert_eq!(table.times_ns, Some(vec![start, start + 1_500_000, start + 3_000_000]));
    }
}

#[test]
fn what_pandas_makes_of_it() {
    let plain = csv(&CsvOptions::default());
    let expected = read_csv_from(plain.as_bytes(), "plain").expect("valid").matrix;
    let floats = each_line(&plain, "\r\n", |i, line| {
        if i == 0 {
            return format!(",{line},label");
        }
        let cells: Vec<String> = line.split(',').map(|c| format!("{c}.0")).collect();
        format!("{},{},web", i - 1, cells.join(",")).replacen("10.0.0.1.0", "10.0.0.1", 1)
    });
    assert_eq!(read_csv_from(floats.as_bytes(), "floats").expect("valid").matrix, expected);
    let reversed = each_line(&plain, "\n", |_, line| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells.reverse();
        cells.join(",")
    });
    assert_eq!(read_csv_from(reversed.as_bytes(), "reversed").expect("valid").matrix, expected);
}

#[test]
fn a_matrix_without_addresses_has_null_for_index() {
    let mut matrix = TernaryMatrix::new(Layout::reference());
    let mut row = matrix.push_vacant();
    row.set(udp::SOURCE_PORT, 53);
    row.set(udp::DESTINATION_PORT, 5353);
    let mut out = Vec::new();
    let options = CsvOptions { index: CsvIndex::Flow, ..CsvOptions::default() };
    assert_eq!(write_matrix_csv(&mut out, &matrix, &[], &options).expect("memory"), 1);
    let table = read_csv_from(&out[..], "matrix").expect("valid");
    assert_eq!(table.index.map(|i| i.1), Some(vec!["NULL_NULL_53_5353_UDP".to_owned()]));
    assert_eq!(table.matrix, matrix);
}

#[test]
fn refusals_say_where() {
    let plain = csv(&CsvOptions::default());
    let error =
        |text: &str| read_csv_from(text.as_bytes(), "x.csv").expect_err("damaged").to_string();
    assert!(error("a,b,c\n1,2,3\n").contains("x.csv: none of the 3 columns"));
    assert!(matches!(read_csv_from(&b""[..], "x"), Err(Error::EmptyFile { .. })));
    let partial =
        each_line(&plain, "\n", |_, line| line.rsplit_once(',').expect("many").0.to_owned());
    assert!(
        error(&partial)
            .contains("field udp_cksum needs each of its 16 bits once; bit 15 is missing")
    );
    let twice = plain.replacen("ipv4_ttl_1,", "ipv4_ttl_0,", 1);
    assert!(
        error(&twice).contains("field ipv4_ttl needs each of its 8 bits once; bit 0 is repeated")
    );
    let short = each_line(&plain, "\n", |i, line| {
        if i == 2 { line.rsplit_once(',').expect("many").0.to_owned() } else { line.to_owned() }
    });
    assert!(error(&short).contains("x.csv, line 3: 544 cells, expected 545"), "{}", error(&short));
    let word = plain.replacen("\n10.0.0.1,0,1,0,0", "\n10.0.0.1,0,1,zero,0", 1);
    assert!(error(&word).contains("line 2, column 4 (ipv4_ver_2): \"zero\""), "{}", error(&word));
    let seven = plain.replacen("\n10.0.0.1,0,1,0,0", "\n10.0.0.1,0,1,7,0", 1);
    assert!(error(&seven).contains("the one fill of this file"), "{}", error(&seven));
}

#[test]
fn bits_that_are_no_bytes_are_refused_as_a_layout() {
    let columns: Vec<String> = (0..4).map(|i| format!("ipv4_ver_{i}")).collect();
    let text = format!("{}\n0,1,0,0\n", columns.join(","));
    assert!(matches!(read_csv_from(text.as_bytes(), "x"), Err(Error::CsvLayout { .. })));
}

proptest! {
    #[test]
    fn any_matrix_comes_back(
        rows in prop::collection::vec(prop::collection::vec(any::<(u64, u64)>(), 24), 0..4),
        fill in any::<i8>().prop_filter("not a bit", |f| *f != 0 && *f != 1),
        index in 0_usize..=6,
    ) {
        let layout = Layout::with_payload(&[Header::Ethernet, Header::Ipv6, Header::Tcp], 77);
        let layout = Arc::new(layout.expect("77 bytes fit"));
        prop_assert_eq!(layout.words(), 24);
        let mut matrix = TernaryMatrix::new(layout);
        for planes in rows {
            let (present, value): (Vec<u64>, Vec<u64>) = planes.into_iter().unzip();
            matrix.push_vacant().set_words(&present, &value);
        }
        let index = CsvIndex::ALL.get(index).copied().unwrap_or(CsvIndex::None);
        let options = CsvOptions { fill, index, ..CsvOptions::default() };
        let mut out = Vec::new();
        write_matrix_csv(&mut out, &matrix, &[], &options).expect("memory");
        prop_assert_eq!(read_csv_from(&out[..], "memory").expect("valid").matrix, matrix);
    }

    #[test]
    fn mutations_are_survived(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
    ) {
        let layout = Arc::new(Layout::of_headers(&[Header::Udp]));
        let mut bytes = Vec::new();
        write_csv(&mut bytes, &trace(), &layout, &CsvOptions::default()).expect("memory");
        bytes.truncate(end.index(bytes.len()) + 1);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(table) = read_csv_from(&bytes[..], "mutant") {
            prop_assert!(table.matrix.rows() <= bytes.len());
        }
    }
}

#[test]
fn dropped_columns_are_gone() {
    let layout = Arc::new(Layout::of_headers(&[Header::Tcp]));
    let options = CsvOptions::default().dropping(&layout, |name| !name.starts_with(tcp::SYN.name));
    let mut out = Vec::new();
    write_csv(&mut out, &trace(), &layout, &options).expect("memory");
    assert!(out.starts_with(b"src_ip,tcp_syn_0\n10.0.0.1,-1\n"));
}
