//! Data frames and Parquet files: what was written is read, by name, and nothing else is.
#![cfg(feature = "polars")]

use nprint_codec::{
    CsvIndex, CsvOptions, CsvTable, Error, Header, Layer, Layers, Layout, RowPolicy, TernaryMatrix,
    Trace, read_capture, read_csv_from, read_parquet_from, write_csv, write_parquet,
};
use polars::prelude::{
    Column, DataFrame, DataType, KeyValueMetadata, NamedFrom, ParquetWriter, Series,
};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

fn trace(name: &str) -> Trace {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nprint/captures");
    read_capture(captures.join(name)).expect("a capture")
}

fn udp_table() -> CsvTable {
    let layout = Arc::new(Layout::of_headers(&[Header::Udp]));
    CsvTable::of_trace(&trace("02_v4_udp_icmp.pcap"), &layout, &CsvOptions::default())
}

fn parquet(table: &CsvTable) -> Vec<u8> {
    let mut file = Vec::new();
    write_parquet(&mut file, table).expect("memory takes everything");
    file
}

/// The frame with `change` done to each column.
fn changed(frame: &DataFrame, change: impl Fn(&Column) -> Option<Column>) -> DataFrame {
    let columns = frame.columns().iter().filter_map(change).collect();
    DataFrame::new(frame.height(), columns).expect("columns of one height")
}

/// A table holds what the CSV of the same capture holds, and whole nanoseconds.
#[test]
fn a_table_is_the_csv_of_the_capture() {
    for (name, index) in [
        ("20_mix.pcap", CsvIndex::Flow),
        ("06_l2_tunnels.pcap", CsvIndex::DestinationAddress),
        ("12_nano_le.pcap", CsvIndex::None),
    ] {
        let trace = trace(name);
        let layers = Layers::EVERY_IP_PACKET.with(Layer::VlanTags).with(Layer::Tunnels);
        for policy in [RowPolicy::NPrint, RowPolicy::Through(layers)] {
            let options =
                CsvOptions { index, policy, absolute_time: true, ..CsvOptions::default() };
            let layout = Layout::with_payload(&Header::WIRE_ORDER, 5).expect("5 bytes fit");
            let layout = Arc::new(layout);
            let table = CsvTable::of_trace(&trace, &layout, &options);
            let mut csv = Vec::new();
            let rows = write_csv(&mut csv, &trace, &layout, &options).expect("memory");
            let read = read_csv_from(&csv[..], name).expect("own CSV");
            assert_eq!((rows, &read.matrix), (table.matrix.rows(), &table.matrix));
            assert_eq!(read.index, table.index);
            let us = |table: &CsvTable| -> Vec<i64> {
                let times = table.times_ns.iter().flatten();
                times.map(|time_ns| time_ns.div_euclid(1_000)).collect()
            };
            assert_eq!(us(&read), us(&table));
            let again = read_parquet_from(parquet(&table), name).expect("own file");
            assert_eq!(again, table);
            assert_eq!(again.matrix.layout(), &layout);
        }
    }
}

#[test]
fn other_programs_may_have_changed_the_numbers() {
    let table = udp_table();
    let frame = table.to_frame().expect("a frame");
    let is_bit = |column: &Column| column.name().starts_with("udp_");
    let read = |frame: &DataFrame| CsvTable::from_frame(frame, "changed").expect("still a table");
    for dtype in [DataType::Float64, DataType::Int64, DataType::Float32] {
        let floats = changed(&frame, |c| {
            Some(if is_bit(c) { c.cast(&dtype).expect("numbers") } else { c.clone() })
        });
        assert_eq!(read(&floats), table, "{dtype}");
    }
    // The columns backwards, with one that is none of ours; and vacant cells as nulls.
    let mut columns: Vec<Column> = frame.columns().iter().rev().cloned().collect();
    columns.push(Series::new("label".into(), vec!["video"; frame.height()]).into());
    let shuffled = DataFrame::new(frame.height(), columns).expect("columns of one height");
    let backwards = read(&shuffled).matrix;
    for (row, expected) in backwards.iter().zip(table.matrix.iter()) {
        for (field, _) in table.matrix.layout().fields() {
            assert_eq!(row.get(field), expected.get(field), "{}", field.name);
        }
    }
    let nulls = changed(&frame, |c| {
        let cells = c.i8().ok().map(|cells| cells.iter().map(|v| v.filter(|v| *v >= 0)));
        Some(match cells {
            Some(cells) => Series::new(c.name().clone(), cells.collect::<Vec<_>>()).into(),
            None => c.clone(),
        })
    });
    assert_eq!(read(&nulls), table);
    // Times as nPrint has them.
    let rows = frame.height() as i64;
    let mut columns: Vec<Column> = frame.columns().iter().filter(|c| is_bit(c)).cloned().collect();
    columns.push(Series::new("rts".into(), (0..rows).collect::<Vec<i64>>()).into());
    let timed = DataFrame::new(frame.height(), columns.clone()).expect("columns of one height");
    assert_eq!(read(&timed).times_ns.map(|t| t[..4].to_vec()), Some(vec![0, 1_000, 3_000, 6_000]));
    columns.push(Series::new("tv_sec".into(), vec![2.0; frame.height()]).into());
    columns.push(Series::new("tv_usec".into(), vec![7_i64; frame.height()]).into());
    let timed = DataFrame::new(frame.height(), columns).expect("columns of one height");
    assert_eq!(read(&timed).times_ns.map(|t| t[0]), Some(2_000_007_000));
}

#[test]
fn refusals_say_which_column() {
    let frame = udp_table().to_frame().expect("a frame");
    let error = |frame: &DataFrame| CsvTable::from_frame(frame, "x").expect_err("no table");
    let none = changed(&frame, |c| (!c.name().starts_with("udp_")).then(|| c.clone()));
    assert!(matches!(error(&none), Error::CsvUnknownLayout { columns: 2, .. }));
    let partial = changed(&frame, |c| (c.name() != "udp_len_3").then(|| c.clone()));
    let text = error(&partial).to_string();
    assert!(text.contains("udp_len") && text.contains("bit 3 is missing"), "{text}");
    let with = |column: Column| {
        changed(&frame, |c| {
            Some(if c.name() == column.name() { column.clone() } else { c.clone() })
        })
    };
    let words = Series::new("udp_len_3".into(), vec!["one"; frame.height()]);
    let text = error(&with(words.into())).to_string();
    assert!(text.contains("x, column udp_len_3: values of type str"), "{text}");
    let mut cells = vec![0_i64; frame.height()];
    (cells[3], cells[5]) = (7, 8);
    let text = error(&with(Series::new("udp_sport_0".into(), cells).into())).to_string();
    assert!(text.starts_with("x, row 6, column udp_sport_0: 8, expected"), "{text}");
}

#[test]
fn a_file_of_other_columns_is_refused_by_its_fingerprint() {
    let (table, other) = (udp_table(), Layout::reference().fingerprint());
    let mut file = Vec::new();
    let stated = vec![("nprint-codec.layout".to_owned(), format!("{other:016x}"))];
    ParquetWriter::new(&mut file)
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(stated)))
        .finish(&mut table.to_frame().expect("a frame"))
        .expect("memory takes everything");
    let found = table.matrix.layout().fingerprint();
    match read_parquet_from(file, "other") {
        Err(Error::LayoutFingerprint { stored, found: read, .. }) => {
            assert_eq!((stored, read), (other, found));
        }
        result => panic!("{result:?}"),
    }
    let text = read_parquet_from(b"no parquet".to_vec(), "x").expect_err("no file").to_string();
    assert!(text.starts_with("cannot read x: "), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_matrix_comes_back(
        planes in prop::collection::vec(any::<(u64, u64)>(), 0..60),
        timed in any::<bool>(),
    ) {
        let layout = Layout::with_payload(&[Header::Vlan, Header::Icmp], 3).expect("3 bytes fit");
        let mut matrix = TernaryMatrix::new(Arc::new(layout));
        for planes in planes.chunks_exact(matrix.layout().words()) {
            let (present, value): (Vec<u64>, Vec<u64>) = planes.iter().copied().unzip();
            matrix.push_vacant().set_words(&present, &value);
        }
        let times_ns = timed.then(|| (0..matrix.rows() as i64).map(|row| row << 40).collect());
        let table = CsvTable { matrix, index: None, times_ns };
        let frame = table.to_frame().expect("a frame");
        prop_assert_eq!(&CsvTable::from_frame(&frame, "memory").expect("our own"), &table);
        prop_assert_eq!(&read_parquet_from(parquet(&table), "memory").expect("our own"), &table);
        // The naive twin: a cell at a time.
        for (row, cells) in table.matrix.iter().enumerate() {
            for column in 0..table.matrix.columns() {
                let name = table.matrix.layout().column_name(column).expect("a column");
                let cell = frame.column(&name).expect("its column").i8().expect("int8").get(row);
                prop_assert_eq!(cell, Some(cells.cell(column).to_i8()));
            }
        }
    }
}

/// Every tenth prefix and 400 damaged copies give a table or an error, also where polars panics.
#[test]
fn damaged_files_are_survived() {
    // Each panic in polars' threads would be printed.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if !thread.name().is_some_and(|name| name.starts_with("polars")) {
            hook(panic);
        }
    }));
    let file = parquet(&udp_table());
    for end in (0..file.len()).step_by(10) {
        assert!(read_parquet_from(file[..end].to_vec(), "cut").is_err());
    }
    let mut state = 1_u64;
    for _ in 0..400 {
        let mut bytes = file.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = (state >> 24) as u8;
        }
        if let Ok(table) = read_parquet_from(bytes, "damaged") {
            assert!(table.matrix.rows() <= 1_000);
        }
    }
}
