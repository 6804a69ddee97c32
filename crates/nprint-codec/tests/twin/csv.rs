//! Matrices to text and back.

use super::matrix::headers;
use nprint_codec::{
    CsvIndex, CsvOptions, Header, IpVersion, Layout, TernaryMatrix, Trace, dissect,
};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The text of a cell for each byte with all its bits.
pub fn byte_table() -> Box<[[u8; 16]; 256]> {
    let mut bits = Box::new([[b','; 16]; 256]);
    for (byte, text) in bits.iter_mut().enumerate() {
        (0..8).for_each(|bit| text[2 * bit + 1] = b'0' + ((byte >> (7 - bit)) & 1) as u8);
    }
    bits
}

/// A row in memory of its own, a byte of it at a time.
pub fn write_csv(
    mut writer: impl Write,
    trace: &Trace,
    layout: &Arc<Layout>,
    options: &CsvOptions,
) -> io::Result<usize> {
    let index = options.index.column_name();
    let times = [
        options.relative_time.then_some("rts"),
        options.absolute_time.then_some("tv_sec"),
        options.absolute_time.then_some("tv_usec"),
    ];
    let before = index.into_iter().chain(times.into_iter().flatten()).map(str::to_owned);
    let kept = |column: &usize| !options.dropped_columns.contains(column);
    let all = (0..layout.columns()).filter(kept).filter_map(|c| layout.column_name(c));
    let names: Vec<String> = before.chain(all).collect();
    writeln!(writer, "{}", names.join(","))?;

    let fill = format!(",{}", options.fill).into_bytes();
    let (fill_eight, bits) = (fill.repeat(8), byte_table());
    let (mut buffer, mut last_us, mut rows) = (Vec::new(), None, 0);
    let mut matrix = TernaryMatrix::new(layout.clone());
    for packet in trace.iter().take(options.max_packets.unwrap_or(usize::MAX)) {
        let Some(headers) = headers(trace.link_type(), packet.bytes, options.policy) else {
            continue;
        };
        matrix.truncate(0);
        let mut row = matrix.push_vacant();
        for (header, bytes) in &headers {
            row.set_header(*header, bytes);
        }
        let start = buffer.len();
        if index.is_some() {
            buffer.push(b',');
            buffer.extend(index_text(options.index, trace, packet.bytes, &headers).as_bytes());
        }
        let time_us = packet.time_ns.div_euclid(1_000);
        if options.relative_time {
            buffer.extend(format!(",{}", last_us.map_or(0, |last| time_us - last)).as_bytes());
        }
        if options.absolute_time {
            let (seconds, us) = (time_us.div_euclid(1_000_000), time_us.rem_euclid(1_000_000));
            buffer.extend(format!(",{seconds},{us}").as_bytes());
        }
        last_us = Some(time_us);
        let row = matrix.row(0);
        let one = |column: usize| match row.cell(column).bit() {
            None => &fill[..],
            Some(false) => b",0",
            Some(true) => b",1",
        };
        if options.dropped_columns.is_empty() {
            let planes = row.present_words().iter().zip(row.value_words());
            let planes = planes.flat_map(|(p, v)| p.to_be_bytes().into_iter().zip(v.to_be_bytes()));
            for (i, (present, value)) in planes.take(layout.columns() >> 3).enumerate() {
                match present {
                    0xff => buffer.extend(bits[usize::from(value)]),
                    0 => buffer.extend(&fill_eight),
                    _ => (8 * i..8 * i + 8).for_each(|column| buffer.extend(one(column))),
                }
            }
        } else {
            (0..layout.columns()).filter(kept).for_each(|column| buffer.extend(one(column)));
        }
        if buffer.len() > start {
            buffer.remove(start);
        }
        buffer.push(b'\n');
        rows += 1;
        if buffer.len() >= 1 << 18 {
            writer.write_all(&buffer)?;
            buffer.clear();
        }
    }
    writer.write_all(&buffer)?;
    Ok(rows)
}

fn index_text(index: CsvIndex, trace: &Trace, bytes: &[u8], headers: &[(Header, &[u8])]) -> String {
    let d = dissect(trace.link_type(), bytes).expect("a row has a packet");
    let ip = &bytes[d.link.len()..];
    let address = |v4: usize, v6: usize| match d.version {
        IpVersion::V4 => ip
            .get(v4..v4 + 4)
            .map(|b| IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(b).expect("4 bytes")))),
        IpVersion::V6 => ip
            .get(v6..v6 + 16)
            .map(|b| IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(b).expect("16 bytes")))),
    };
    let ports = headers.iter().find(|(h, _)| matches!(h, Header::Tcp | Header::Udp));
    let port = |at: usize| {
        let bytes = ports.map_or(&[][..], |(_, bytes)| bytes);
        bytes.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    };
    let protocol = ports.map(|(header, _)| header.name().to_uppercase());
    match index {
        CsvIndex::SourceAddress => address_text(address(12, 8)),
        CsvIndex::DestinationAddress => address_text(address(16, 24)),
        CsvIndex::SourcePort => or_null(port(0)),
        CsvIndex::DestinationPort => or_null(port(2)),
        CsvIndex::Flow => format!(
            "{}_{}_{}_{}_{}",
            address_text(address(12, 8)),
            address_text(address(16, 24)),
            or_null(port(0)),
            or_null(port(2)),
            or_null(protocol)
        ),
        _ => "NULL".to_owned(),
    }
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |v| v.to_string())
}

fn address_text(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(v6)) if v6.segments()[..6] == [0; 6] && v6.segments()[6] != 0 => {
            let [.., a, b, c, d] = v6.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        other => or_null(other),
    }
}

/// A cell at a time; `None` where any line is not the table's or any cell of a bit column is not
/// a number.
pub fn read_csv(text: &[u8], layout: &Arc<Layout>) -> Option<TernaryMatrix> {
    let columns: BTreeMap<String, usize> =
        (0..layout.columns()).filter_map(|c| Some((layout.column_name(c)?, c))).collect();
    let mut lines = io::BufReader::new(text);
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line).ok()?;
    let header = String::from_utf8(line.clone()).ok()?;
    let slots: Vec<Option<usize>> =
        header.trim_end().split(',').map(|name| columns.get(name).copied()).collect();
    let mut matrix = TernaryMatrix::new(layout.clone());
    let (mut present, mut value) = (vec![0_u64; layout.words()], vec![0_u64; layout.words()]);
    let mut fill = None;
    while {
        line.clear();
        lines.read_until(b'\n', &mut line).ok()? > 0
    } {
        for end in [b'\n', b'\r'] {
            if line.last() == Some(&end) {
                line.pop();
            }
        }
        if line.is_empty() {
            continue;
        }
        present.fill(0);
        value.fill(0);
        let mut rest = Some(&line[..]);
        for slot in &slots {
            let (text, tail) = first_cell(rest?);
            rest = tail;
            let Some(column) = *slot else { continue };
            let bit = match text {
                b"0" => 0,
                b"1" => 1,
                b"-1" if *fill.get_or_insert(-1) == -1 => continue,
                _ => match number(text)? {
                    bit @ (0 | 1) => bit as u64,
                    other if *fill.get_or_insert(other) == other => continue,
                    _ => return None,
                },
            };
            let (word, shift) = (column >> 6, 63 - (column & 63));
            present[word] |= 1 << shift;
            value[word] |= bit << shift;
        }
        if rest.is_some() {
            return None;
        }
        matrix.push_vacant().set_words(&present, &value);
    }
    Some(matrix)
}

fn first_cell(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let length = match line {
        [b',', ..] => 0,
        [_, b',', ..] => 1,
        [_, _, b',', ..] => 2,
        _ => line.iter().position(|b| *b == b',').unwrap_or(line.len()),
    };
    let (text, tail) = line.split_at(length);
    (text, tail.get(1..))
}

fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    text.parse().ok().or_else(|| {
        let float = text.parse::<f64>().ok()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}
