//! Laws: the fast paths are their naive twins, and every way out has its way back.

mod twin;

use nprint_codec::{
    CaptureFormat, CaptureReader, CaptureWriter, CsvIndex, CsvOptions, CsvReader, Header, Layer,
    Layers, Layout, LinkType, NpyForm, NpyReader, NpyWriter, RowDecoder, RowEncoder, RowPolicy,
    TernaryMatrix, Trace, decode, decode_into, encode, encode_into, ipv4, read_capture_from,
    read_csv_from, write_capture_as, write_csv, write_matrix_csv, write_npy,
};
use proptest::prelude::*;
use std::sync::Arc;

/// IP headers that make sense, in most cases, and any bytes after them; where `sound`, headers
/// that say how long they are, all of them captured.
fn packet(sound: bool) -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop_oneof![Just(6_u8), Just(17), Just(1), Just(58), Just(44), any::<u8>()];
    let word = || prop::collection::vec(any::<u8>(), 60);
    let shape = (any::<bool>(), prop_oneof![3 => Just(5_u8), 1 => 0_u8..=15], 0_u8..=15);
    let rest = prop::collection::vec(any::<u8>(), 0..40);
    let tail = (prop_oneof![3 => Just(0_u16), 1 => any::<u16>()], any::<u16>(), 0_usize..400);
    (protocol, word(), word(), shape, rest, tail).prop_map(
        move |(protocol, mut ip, mut transport, (v4, ihl, doff), rest, tail)| {
            let (fragment, extra, cut) = if sound { (0, 0, usize::MAX) } else { tail };
            let (ihl, doff) = if sound { (ihl.max(5), doff.max(5)) } else { (ihl, doff) };
            transport[12] = (doff << 4) | (transport[12] & 15);
            transport.truncate(4 * usize::from(doff.max(2)));
            let data = transport.len() + rest.len() + usize::from(extra & 7);
            if v4 {
                ip.truncate(4 * usize::from(ihl.max(3)));
                let total = (ip.len() + data) as u16;
                ip[0] = 0x40 | ihl;
                ip[2..4].copy_from_slice(&total.to_be_bytes());
                ip[6..8].copy_from_slice(&fragment.to_be_bytes());
                ip[9] = protocol;
            } else {
                ip.truncate(40);
                ip[0] = 0x60 | (ip[0] & 15);
                ip[4..6].copy_from_slice(&(data as u16).to_be_bytes());
                ip[6] = protocol;
            }
            let mut bytes = [ip, transport, rest].concat();
            bytes.truncate(cut);
            bytes
        },
    )
}

fn traces(sound: bool) -> impl Strategy<Value = Trace> {
    let packets = prop::collection::vec((packet(sound), any::<u32>(), any::<[u8; 12]>()), 0..8);
    (packets, any::<bool>()).prop_map(move |(packets, ethernet)| {
        let link_type = if ethernet { LinkType::Ethernet } else { LinkType::RawIp };
        let mut trace = Trace::new(link_type);
        for (packet, time, addresses) in packets {
            let v4 = packet.first().is_some_and(|b| b >> 4 == 4);
            let ethertype: &[u8] = match (sound, addresses[0], v4) {
                (false, 0..32, _) => &[0x81, 0, 0x20, 5, 0x86, 0xdd],
                (_, _, true) => &[8, 0],
                (_, _, false) => &[0x86, 0xdd],
            };
            let frame = [&addresses[..], ethertype, &packet].concat();
            let bytes = if ethernet { frame } else { packet };
            trace.push(1_000 * i64::from(time), &bytes, bytes.len() as u32);
        }
        trace
    })
}

/// Layouts whose runs start on words, on bytes, and in another order than on the wire.
fn layouts() -> Vec<Arc<Layout>> {
    let every = [Header::ALL.as_slice(), &[Header::Ethernet, Header::Vlan]].concat();
    let mut reversed: Vec<_> = Header::ALL.iter().flat_map(|h| h.fields()).copied().collect();
    // The options in front of the fields before them.
    reversed.reverse();
    reversed.retain(|f| f.bits % 8 == 0 && f.offset_bits % 8 == 0);
    vec![
        Layout::reference(),
        Arc::new(Layout::of_headers(&Header::ALL)),
        Arc::new(Layout::of_headers(&[Header::Udp])),
        Arc::new(Layout::with_payload(&every, 13).expect("13 bytes fit")),
        Arc::new(Layout::from_fields(&reversed).expect("whole bytes")),
    ]
}

/// Rows as a model makes them: most words whole, some of any bits.
fn matrices() -> impl Strategy<Value = TernaryMatrix> {
    let word = prop_oneof![
        3 => Just((0, 0)),
        3 => any::<u64>().prop_map(|value| (u64::MAX, value)),
        1 => any::<(u64, u64)>(),
        2 => (any::<u64>(), 0_u32..=8).prop_map(|(value, bytes)| {
            (u64::MAX.checked_shr(8 * bytes).map_or(0, |low| !low), value)
        }),
    ];
    let rows = prop::collection::vec(prop::collection::vec(word, 30), 0..6);
    (0..layouts().len(), rows).prop_map(|(layout, rows)| {
        let layout = layouts().swap_remove(layout);
        let words = layout.words();
        let mut matrix = TernaryMatrix::new(layout);
        for row in rows {
            let (present, value): (Vec<u64>, Vec<u64>) = row.into_iter().take(words).unzip();
            matrix.push_vacant().set_words(&present, &value);
        }
        matrix
    })
}

/// Layers of the frames, some of which have tags.
fn layers() -> impl Strategy<Value = Layers> {
    prop::collection::vec(prop::sample::select(&Layer::ALL[..]), 0..8)
        .prop_map(|layers| layers.into_iter().collect())
}

fn options() -> impl Strategy<Value = CsvOptions> {
    let fill = prop_oneof![3 => Just(-1_i8), 1 => any::<i8>()];
    let max_packets = prop_oneof![Just(None), (0_usize..6).prop_map(Some)];
    (0_usize..=6, any::<(bool, bool, bool)>(), fill, max_packets, any::<prop::sample::Index>())
        .prop_map(|(index, (relative_time, absolute_time, drop), fill, max_packets, dropped)| {
            let first = if drop { dropped.index(1300) } else { 0 };
            CsvOptions {
                index: CsvIndex::ALL.get(index).copied().unwrap_or(CsvIndex::None),
                relative_time,
                absolute_time,
                fill,
                max_packets,
                policy: if drop { RowPolicy::EveryIpPacket } else { RowPolicy::NPrint },
                dropped_columns: (first..first + if drop { 45 } else { 0 }).collect(),
            }
        })
}

proptest! {
    #[test]
    fn encoding_is_its_naive_twin(trace in traces(false), layers in layers()) {
        for layout in layouts() {
            for policy in [RowPolicy::EveryIpPacket, RowPolicy::NPrint, RowPolicy::Through(layers)] {
                let matrix = encode(&trace, &layout, policy);
                let (present, value) = twin::matrix::encode(&trace, &layout, policy);
                prop_assert_eq!(matrix.present_plane(), &present[..]);
                prop_assert_eq!(matrix.value_plane(), &value[..]);

                // In memory that was used before, and a row at a time, too.
                let mut again = matrix.clone();
                encode_into(&mut again, &trace, policy);
                prop_assert_eq!(again.rows(), 2 * matrix.rows());
                again.clear();
                encode_into(&mut again, &trace, policy);
                prop_assert_eq!(&again, &matrix);
                let mut encoder = RowEncoder::new(&layout, policy);
                let mut rows = matrix.iter();
                for packet in trace.iter() {
                    if let Some(row) = encoder.encode(trace.link_type(), packet.bytes) {
                        let expected = rows.next().expect("as many rows");
                        prop_assert_eq!(row.present_words(), expected.present_words());
                        prop_assert_eq!(row.value_words(), expected.value_words());
                    }
                }
                prop_assert!(rows.next().is_none());
            }
        }
    }

    /// The bit of every column is the bit of the header byte that the field table says.
    #[test]
    fn every_cell_is_its_header_bit(trace in traces(false)) {
        for layout in layouts() {
            let matrix = encode(&trace, &layout, RowPolicy::NPrint);
            let headers = |bytes| twin::matrix::headers(trace.link_type(), bytes, RowPolicy::NPrint);
            let packets: Vec<_> = trace.iter().filter_map(|packet| headers(packet.bytes)).collect();
            prop_assert_eq!(packets.len(), matrix.rows());
            for (row, headers) in matrix.iter().zip(packets) {
                for (field, start) in layout.fields() {
                    let bytes = headers.iter().find(|(header, _)| *header == field.header);
                    for bit in 0..usize::from(field.bits) {
                        let at = usize::from(field.offset_bits) + bit;
                        let byte = bytes.and_then(|(_, bytes)| bytes.get(at >> 3));
                        let expected = byte.map_or(-1, |b| ((b >> (7 - (at & 7))) & 1) as i8);
                        prop_assert_eq!(row.cell(start + bit).to_i8(), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn decoding_is_its_naive_twin(matrix in matrices(), times in prop::collection::vec(any::<i64>(), 0..4)) {
        let decoded = decode(&matrix, &times);
        prop_assert_eq!(&decoded, &twin::matrix::decode(&matrix, &times));
        let mut again = Trace::new(LinkType::Null);
        for _ in 0..2 {
            decode_into(&mut again, &matrix, &times);
            prop_assert_eq!(&again, &decoded);
        }
        let mut decoder = RowDecoder::new(matrix.layout());
        let mut packets = decoded.iter();
        for row in matrix.iter() {
            if let Some(bytes) = decoder.decode(&row) {
                prop_assert_eq!(Some(bytes), packets.next().map(|p| p.bytes));
            }
        }
        prop_assert!(packets.next().is_none());
    }

    #[test]
    fn written_captures_are_their_naive_twin(
        matrix in matrices(),
        times in prop::collection::vec(0_i64..4_000_000_000_000_000_000, 6),
    ) {
        for (format, unit) in [
            (CaptureFormat::Pcap, 1_000),
            (CaptureFormat::PcapNanoseconds, 1),
            (CaptureFormat::PcapNg, 1),
        ] {
            let times: Vec<i64> = times.iter().map(|t| t - t.rem_euclid(unit)).collect();
            let mut decoder = RowDecoder::new(matrix.layout());
            let (mut rows, mut packets) = (Vec::new(), Vec::new());
            let mut capture =
                CaptureWriter::new(&mut rows, decoder.link_type(), format).expect("memory");
            let mut trace = Trace::new(decoder.link_type());
            let naive = twin::matrix::decode(&matrix, &[]);
            for (row, time_ns) in matrix.iter().zip(&times) {
                if capture.write_row(&mut decoder, &row, *time_ns).expect("memory") {
                    let packet = naive.packet(trace.len());
                    trace.push(*time_ns, packet.bytes, packet.original_length);
                }
            }
            prop_assert_eq!(capture.finish().expect("memory"), naive.len());
            let expected = match format {
                CaptureFormat::PcapNg => twin::capture::pcapng(&trace),
                _ => twin::capture::pcap(&trace, unit),
            };
            prop_assert_eq!(&rows, &expected);
            write_capture_as(&mut packets, &trace, format).expect("memory");
            prop_assert_eq!(&packets, &expected);
            prop_assert_eq!(read_capture_from(&rows[..], "memory").expect("valid"), trace);
        }
    }

    #[test]
    fn every_covered_bit_comes_back(trace in traces(true)) {
        // The layouts that know how long a packet is.
        let whole = layouts().into_iter().filter(|l| l.column_of(ipv4::VERSION).is_some());
        for layout in whole {
            let matrix = encode(&trace, &layout, RowPolicy::NPrint);
            let decoded = decode(&matrix, &[]);
            let again = encode(&decoded, &layout, RowPolicy::NPrint);
            prop_assert_eq!(again.rows(), matrix.rows());
            // Not equal: a bare IP packet gets an Ethernet header where the layout has one.
            for (again, row) in again.iter().zip(matrix.iter()) {
                let again = again.present_words().iter().zip(again.value_words());
                let row = row.present_words().iter().zip(row.value_words());
                for ((present, value), (known, expected)) in again.zip(row) {
                    prop_assert_eq!((present & known, value & known), (*known, *expected));
                }
            }
        }
        let layout = Arc::new(Layout::with_payload(&Header::WIRE_ORDER, 100).expect("fits"));
        let matrix = encode(&trace, &layout, RowPolicy::NPrint);
        let decoded = decode(&matrix, &[]);
        let taken = trace.iter().filter(|packet| {
            twin::matrix::headers(trace.link_type(), packet.bytes, RowPolicy::NPrint).is_some()
        });
        for (packet, original) in decoded.iter().zip(taken) {
            let link = if trace.link_type() == LinkType::Ethernet { 0 } else { 14 };
            prop_assert_eq!(&packet.bytes[link..], original.bytes);
        }
    }

    #[test]
    fn cells_as_numbers_are_their_naive_twin(matrix in matrices()) {
        let cells = matrix.to_i8();
        prop_assert_eq!(&cells, &twin::matrix::to_i8(&matrix));
        let mut twin = TernaryMatrix::vacant(matrix.layout().clone(), matrix.rows());
        twin::matrix::from_i8(&mut twin, &cells);
        prop_assert_eq!(&twin, &matrix);
        let back = TernaryMatrix::from_i8(matrix.layout().clone(), &cells);
        prop_assert_eq!(back.expect("cells"), matrix);
    }

    #[test]
    fn written_csv_is_its_naive_twin(trace in traces(false), options in options()) {
        for layout in layouts() {
            let (mut ours, mut naive) = (Vec::new(), Vec::new());
            let rows = write_csv(&mut ours, &trace, &layout, &options).expect("memory");
            let expected = twin::csv::write_csv(&mut naive, &trace, &layout, &options);
            prop_assert_eq!(rows, expected.expect("memory"));
            prop_assert_eq!(String::from_utf8(ours), String::from_utf8(naive));
        }
    }

    #[test]
    fn csv_comes_back_and_is_read_as_its_naive_twin_does(
        matrix in matrices(),
        fill in any::<i8>().prop_filter("not a bit", |f| *f != 0 && *f != 1),
        canonical in any::<bool>(),
        crlf in any::<bool>(),
    ) {
        let fill = if canonical { -1 } else { fill };
        let options = CsvOptions { fill, ..CsvOptions::default() };
        let mut csv = Vec::new();
        write_matrix_csv(&mut csv, &matrix, &[], &options).expect("memory");
        if crlf {
            csv = String::from_utf8(csv).expect("text").replace('\n', "\r\n").into_bytes();
        }
        let naive = twin::csv::read_csv(&csv, matrix.layout());
        prop_assert_eq!(naive.as_ref(), Some(&matrix));
        prop_assert_eq!(read_csv_from(&csv[..], "memory").expect("valid").matrix, matrix);
    }

    /// A reader that gives a few bytes at a time sees the same rows.
    #[test]
    fn where_reads_end_does_not_matter(matrix in matrices(), sizes in prop::collection::vec(1_usize..3_000, 1..9)) {
        struct Slow<'a>(&'a [u8], std::iter::Cycle<std::vec::IntoIter<usize>>);
        impl std::io::Read for Slow<'_> {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                let size = self.1.next().unwrap_or(1).min(out.len());
                std::io::Read::read(&mut self.0, &mut out[..size])
            }
        }
        let mut csv = Vec::new();
        write_matrix_csv(&mut csv, &matrix, &[], &CsvOptions::default()).expect("memory");
        let slow = Slow(&csv, sizes.into_iter().cycle());
        prop_assert_eq!(read_csv_from(slow, "slow").expect("valid").matrix, matrix);
    }

    /// Blocks of any size, one after the other, are the whole.
    #[test]
    fn streams_are_the_whole(trace in traces(false), matrix in matrices(), block in 1_usize..5) {
        let gather = |layout: &Arc<Layout>, read: &mut dyn FnMut(&mut TernaryMatrix) -> usize| {
            let mut whole = TernaryMatrix::new(layout.clone());
            let mut rows = TernaryMatrix::new(layout.clone());
            while read(&mut rows) > 0 {
                rows.iter().for_each(|row| whole.push_row(&row));
                rows.clear();
            }
            whole
        };
        let mut capture = Vec::new();
        write_capture_as(&mut capture, &trace, CaptureFormat::PcapNg).expect("memory");
        for layout in layouts() {
            let mut packets = CaptureReader::new(&capture[..], "memory").expect("valid");
            let rows = gather(&layout, &mut |rows| {
                packets.read_rows(rows, RowPolicy::NPrint, block).expect("valid")
            });
            prop_assert_eq!(rows, encode(&trace, &layout, RowPolicy::NPrint));
        }

        let times: Vec<i64> = (0..matrix.rows() as i64).map(|i| 1_000 * i * i).collect();
        let options = CsvOptions { absolute_time: true, ..CsvOptions::default() };
        let mut csv = Vec::new();
        write_matrix_csv(&mut csv, &matrix, &times, &options).expect("memory");
        let (mut csv, mut read) = (CsvReader::new(&csv[..], "memory").expect("valid"), Vec::new());
        let layout = csv.layout().clone();
        let rows = gather(&layout, &mut |rows| {
            csv.read_rows(rows, &mut read, block).expect("valid")
        });
        prop_assert_eq!(rows, matrix.clone());
        prop_assert_eq!(read, times);

        for form in [NpyForm::Cells, NpyForm::Planes] {
            let mut whole = Vec::new();
            write_npy(&mut whole, &matrix, form).expect("memory");
            let mut streamed = std::io::Cursor::new(b"before".to_vec());
            streamed.set_position(6);
            let mut npy = NpyWriter::new(&mut streamed, matrix.layout(), form).expect("memory");
            matrix.iter().for_each(|row| npy.write_row(&row).expect("memory"));
            prop_assert_eq!(npy.finish().expect("memory"), matrix.rows());
            prop_assert_eq!(&streamed.get_ref()[6..], &whole[..]);
            let mut npy = NpyReader::new(&whole[..], "memory", matrix.layout()).expect("valid");
            let rows = gather(matrix.layout(), &mut |rows| {
                let single = npy.next_row().expect("valid").map(|row| rows.push_row(&row));
                single.map_or(0, |()| 1 + npy.read_rows(rows, block - 1).expect("valid"))
            });
            prop_assert_eq!(&rows, &matrix);
        }
    }

    /// Any edit of a canonical file is read as the twin reads it, or refused by both.
    #[test]
    fn edited_csv_is_read_as_the_naive_twin_does(
        matrix in matrices(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"01-,\n\r .5x"[..])), 1..4),
    ) {
        let mut csv = Vec::new();
        let options = CsvOptions { index: CsvIndex::None, ..CsvOptions::default() };
        write_matrix_csv(&mut csv, &matrix, &[], &options).expect("memory");
        let header = csv.iter().position(|b| *b == b'\n').expect("a header line") + 1;
        if csv.len() > header {
            for (at, byte) in edits {
                let at = header + at.index(csv.len() - header);
                csv[at] = byte;
            }
        }
        let naive = twin::csv::read_csv(&csv, matrix.layout());
        let ours = read_csv_from(&csv[..], "edited").ok().map(|table| table.matrix);
        prop_assert_eq!(ours, naive);
    }
}
