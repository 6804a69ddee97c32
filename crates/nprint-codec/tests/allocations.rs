//! Nothing is allocated per packet once the memory of the first packets is there.
#![allow(unsafe_code, reason = "an allocator that counts can be written in no other way")]

use nprint_codec::{
    CsvIndex, CsvOptions, CsvWriter, Header, Layout, LinkType, RowDecoder, RowEncoder, RowPolicy,
    TernaryMatrix, Trace, decode, decode_into, encode_into,
};
use std::alloc::{GlobalAlloc, Layout as MemoryLayout, System};
use std::cell::Cell;
use std::io;
use std::sync::Arc;

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: MemoryLayout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: MemoryLayout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: MemoryLayout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
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
