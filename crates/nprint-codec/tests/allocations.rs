//! Nothing is allocated per packet once the memory of the first packets is there, and a capture of
//! any length is converted in the same memory.
#![allow(unsafe_code, reason = "an allocator that counts can be written in no other way")]

use nprint_codec::{
    CaptureFormat, CaptureReader, CaptureWriter, CsvIndex, CsvOptions, CsvReader, CsvWriter,
    Header, Layout, LinkType, NpyForm, NpyReader, NpyWriter, RowDecoder, RowEncoder, RowPolicy,
    TernaryMatrix, Trace, decode, decode_into, encode_into, write_capture_to, write_csv,
};
use std::alloc::{GlobalAlloc, Layout as MemoryLayout, System};
use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;

/// The system's allocator, counting the calls and the bytes of each thread.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(calls: usize, bytes: isize) {
    CALLS.set(CALLS.get() + calls);
    BYTES.set(BYTES.get() + bytes);
    PEAK.set(PEAK.get().max(BYTES.get()));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: MemoryLayout) -> *mut u8 {
        count(1, layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: MemoryLayout) {
        count(0, -layout.size().cast_signed());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: MemoryLayout, size: usize) -> *mut u8 {
        count(1, size.cast_signed() - layout.size().cast_signed());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = CALLS.get();
    run();
    CALLS.get() - before
}

fn peak_bytes(run: impl FnOnce()) -> isize {
    let before = BYTES.get();
    PEAK.set(before);
    run();
    PEAK.get() - before
}

/// IPv4 and IPv6 with TCP and UDP.
fn trace() -> Trace {
    let mut trace = Trace::new(LinkType::RawIp);
    for i in 0..1_000_u16 {
        let [high, low] = i.to_be_bytes();
        let (mut bytes, protocol) = (vec![0; 60], if i % 3 == 0 { 17 } else { 6 });
        if i % 2 == 0 {
            bytes[..10].copy_from_slice(&[0x45, 0, 0, 60, high, low, 0, 0, 64, protocol]);
            bytes[32] = 0x50;
        } else {
            bytes[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 20, protocol, 64]);
            bytes[8..40].fill(low);
            bytes[52] = 0x50;
        }
        trace.push(1_000_000 * i64::from(i), &bytes, 60);
    }
    trace
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Vec::<u64>::with_capacity(10))), 1);
    assert_eq!(peak_bytes(|| drop(Vec::<u64>::with_capacity(10))), 80);
}

#[test]
fn rows_and_packets_allocate_nothing() {
    let (trace, layout) = (trace(), Arc::new(Layout::of_headers(&Header::ALL)));
    let mut encoder = RowEncoder::new(&layout, RowPolicy::NPrint);
    let mut cells = vec![0; layout.columns()];
    let rows = |encoder: &mut RowEncoder, cells: &mut [i8]| {
        for packet in trace.iter() {
            let row = encoder.encode(trace.link_type(), packet.bytes).expect("an IP packet");
            row.write_i8(cells);
        }
    };
    assert_eq!(allocations(|| rows(&mut encoder, &mut cells)), 0);

    let mut matrix = TernaryMatrix::new(layout.clone());
    encode_into(&mut matrix, &trace, RowPolicy::NPrint);
    assert_eq!(matrix.rows(), 1_000);
    let again = allocations(|| {
        matrix.clear();
        encode_into(&mut matrix, &trace, RowPolicy::NPrint);
    });
    assert_eq!(again, 0);

    let mut decoder = RowDecoder::new(&layout);
    assert!(decoder.decode(&matrix.row(1)).is_some_and(|packet| packet.len() == 60));
    let packets = allocations(|| {
        for row in matrix.iter() {
            assert!(decoder.decode(&row).is_some());
        }
    });
    assert_eq!(packets, 0);
    let mut decoded = decode(&matrix, &[]);
    let of_decoder = allocations(|| drop(RowDecoder::new(&layout)));
    assert_eq!(allocations(|| decode_into(&mut decoded, &matrix, &[])), of_decoder);
}

#[test]
fn lines_of_csv_allocate_nothing() {
    let (trace, layout) = (trace(), Arc::new(Layout::of_headers(&Header::ALL)));
    let options = CsvOptions {
        index: CsvIndex::Flow,
        relative_time: true,
        absolute_time: true,
        ..CsvOptions::default()
    };
    let mut matrix = TernaryMatrix::new(layout.clone());
    encode_into(&mut matrix, &trace, RowPolicy::NPrint);
    let mut csv = CsvWriter::new(io::sink(), &layout, &options).expect("a sink");
    let mut lines = || {
        for packet in trace.iter() {
            assert!(csv.write_packet(trace.link_type(), &packet).expect("a sink"));
        }
        for row in matrix.iter() {
            csv.write_row(&row, 0).expect("a sink");
        }
    };
    lines();
    assert_eq!(allocations(lines), 0);
}

#[test]
fn records_of_captures_and_arrays_allocate_nothing() {
    let (trace, layout) = (trace(), Arc::new(Layout::of_headers(&Header::ALL)));
    let mut matrix = TernaryMatrix::new(layout.clone());
    encode_into(&mut matrix, &trace, RowPolicy::NPrint);
    for format in [CaptureFormat::Pcap, CaptureFormat::PcapNanoseconds, CaptureFormat::PcapNg] {
        let mut decoder = RowDecoder::new(&layout);
        let mut capture =
            CaptureWriter::new(io::sink(), decoder.link_type(), format).expect("a sink");
        let mut records = || {
            for (packet, row) in trace.iter().zip(matrix.iter()) {
                capture.write_packet(&packet).expect("a sink");
                assert!(capture.write_row(&mut decoder, &row, 0).expect("a sink"));
            }
        };
        records();
        assert_eq!(allocations(records), 0, "{format:?}");
    }
    for form in [NpyForm::Cells, NpyForm::Planes] {
        let mut file = io::Cursor::new(Vec::with_capacity(4 << 20));
        let mut npy = NpyWriter::new(&mut file, &layout, form).expect("memory");
        let mut rows = || matrix.iter().for_each(|row| npy.write_row(&row).expect("memory"));
        rows();
        assert_eq!(allocations(rows), 0, "{form:?}");
        npy.finish().expect("memory");
        let mut npy = NpyReader::new(&file.get_ref()[..], "memory", &layout).expect("an array");
        assert!(npy.next_row().expect("an array").is_some());
        let read = allocations(|| while npy.next_row().expect("an array").is_some() {});
        assert_eq!(read, 0, "{form:?}");
    }
}

/// A capture to CSV, packet by packet.
fn convert(capture: impl Read, csv: impl io::Write, layout: &Arc<Layout>) -> usize {
    let mut packets = CaptureReader::new(capture, "a capture").expect("a header");
    let mut csv = CsvWriter::new(csv, layout, &CsvOptions::default()).expect("a header line");
    while let Some(captured) = packets.next_packet().expect("a sound capture") {
        csv.write_packet(captured.link_type, &captured.packet).expect("room");
    }
    csv.finish().expect("room")
}

/// Records of a capture again and again: nothing holds the long one.
struct Endless<'a>(&'a [u8], usize);

impl Read for Endless<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let from = self.1.rem_euclid(self.0.len());
        let read = (&self.0[from..]).read(out)?;
        self.1 += read;
        Ok(read)
    }
}

#[test]
fn the_length_of_a_capture_does_not_matter() {
    let (trace, layout) = (trace(), Arc::new(Layout::of_headers(&Header::ALL)));
    let mut capture = Vec::new();
    write_capture_to(&mut capture, &trace).expect("memory");
    let (header, records) = capture.split_at(24);
    let (mut streamed, mut whole) = (Vec::new(), Vec::new());
    convert(&capture[..], &mut streamed, &layout);
    write_csv(&mut whole, &trace, &layout, &CsvOptions::default()).expect("memory");
    assert_eq!(streamed, whole);

    let csv_header = streamed.iter().position(|byte| *byte == b'\n').expect("a header line") + 1;
    let (csv_header, lines) = streamed.split_at(csv_header);
    let again = |part, times: usize| Endless(part, 0).take((times * part.len()) as u64);
    let capture = |times: usize| header.chain(again(records, times));
    let csv = |times: usize| csv_header.chain(again(lines, times));

    let to_csv = |times: usize| convert(capture(times), io::sink(), &layout);
    let to_planes = |times: usize| {
        let mut packets = CaptureReader::new(capture(times), "a capture").expect("a header");
        let (mut block, mut rows) = (TernaryMatrix::new(layout.clone()), 0);
        while packets.read_rows(&mut block, RowPolicy::NPrint, 256).expect("sound") > 0 {
            rows += block.rows();
            block.clear();
        }
        rows
    };
    let csv_to_planes = |times: usize| {
        let mut csv = CsvReader::new(csv(times), "CSV").expect("a header line");
        let (mut block, mut rows) = (TernaryMatrix::new(layout.clone()), 0);
        while csv.read_rows(&mut block, &mut Vec::new(), 256).expect("sound") > 0 {
            rows += block.rows();
            block.clear();
        }
        rows
    };
    let csv_to_capture = |times: usize| {
        let mut csv = CsvReader::new(csv(times), "CSV").expect("a header line");
        let (mut decoder, format) = (RowDecoder::new(&layout), CaptureFormat::Pcap);
        let link_type = decoder.link_type();
        let mut capture = CaptureWriter::new(io::sink(), link_type, format).expect("a sink");
        while let Some(row) = csv.next_row().expect("sound") {
            capture.write_row(&mut decoder, &row.row, row.time_ns).expect("a sink");
        }
        capture.finish().expect("a sink")
    };
    let ways: [(&str, &dyn Fn(usize) -> usize); 4] = [
        ("capture to CSV", &to_csv),
        ("capture to planes", &to_planes),
        ("CSV to planes", &csv_to_planes),
        ("CSV to capture", &csv_to_capture),
    ];
    for (way, convert) in ways {
        let measure = |times: usize| {
            let (mut rows, mut calls) = (0, 0);
            let peak = peak_bytes(|| calls = allocations(|| rows = convert(times)));
            assert_eq!(rows, times * trace.len(), "{way}");
            (calls, peak)
        };
        let (short, long) = (measure(5), measure(50));
        assert_eq!(short, long, "{way}: calls and peak of a capture ten times as long");
        assert!(long.1 < 2 << 20, "{way}: {} bytes", long.1);
    }
}
