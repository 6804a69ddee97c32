//! Damaged input: every prefix and thousands of mutations of every sample give a result or an
//! error, never a panic, and never more memory than the bound that is stated here.
//!
//! One test in a file of its own, because the allocator counts for the whole process.

use flate2::{Compression, write::GzEncoder};
use nprint_codec::{
    CaptureReader, CsvOptions, Header, HexReader, Layers, Layout, NpyForm, PacketFilter, RowPolicy,
    TernaryMatrix, decode, encode, read_capture_lossy_from, read_csv_from, read_npy,
    salvage_capture_from, write_hex_csv, write_npy,
};
use std::alloc::{GlobalAlloc, System};
use std::fs;
use std::io::{Read, Write as _, sink};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

/// What reading may hold at once: the reader's buffer of 256 KiB and its double while it grows,
/// and a few copies of the input in other forms.
fn bound_bytes(input: usize) -> usize {
    (1 << 20) + 32 * input
}

/// What the way back may hold at once: a packet is as long as its IP header says, 64 KiB at most,
/// and the buffer of all of them may be twice as long while it grows.
fn bound_of_packets(rows: usize) -> usize {
    (1 << 20) + 3 * (1 << 16) * rows
}

const MUTATIONS: usize = 10_000;
/// Every prefix of a longer sample would take minutes.
const MAX_PREFIX_SAMPLE_BYTES: usize = 5_000;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grew(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(held, Relaxed);
}

#[expect(
    unsafe_code,
    reason = "an allocator that counts is unsafe by its trait, and forwards only"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        grew(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: std::alloc::Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Capture,
    Csv,
    Hex,
    Npy,
}

fn samples() -> Vec<(String, Kind, Vec<u8>)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nprint");
    let mut samples = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(golden.join("captures"))
        .expect("the samples")
        .map(|entry| entry.expect("a sample").path())
        .collect();
    paths.sort();
    for path in paths {
        let bytes = fs::read(&path).expect("readable");
        let kind =
            if path.extension().is_some_and(|e| e == "csv") { Kind::Hex } else { Kind::Capture };
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if name == "03_v6.pcap" {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(&bytes).expect("memory");
            samples.push((format!("{name}.gz"), kind, gzip.finish().expect("memory")));
        }
        samples.push((name, kind, bytes));
    }
    let mut csv = b"src_ip,rts,udp_sport_0".to_vec();
    (1..16).for_each(|bit| csv.extend(format!(",udp_sport_{bit}").bytes()));
    csv.extend(b",tv_sec,tv_usec");
    for row in 0..4 {
        csv.extend(format!("\n10.0.0.1,{row}").bytes());
        (0..16).for_each(|bit| csv.extend([",0", ",1", ",-1", ",1.0"][(bit + row) % 4].bytes()));
        csv.extend(format!(",17{row},5").bytes());
    }
    samples.push(("rows.csv".to_owned(), Kind::Csv, csv));
    let packets = fs::read(golden.join("captures/07_frags.pcap")).expect("readable");
    let (trace, _) = read_capture_lossy_from(&packets[..], "sample").expect("a capture");
    let matrix = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
    for (name, form) in [("cells.npy", NpyForm::Cells), ("planes.npy", NpyForm::Planes)] {
        let mut array = Vec::new();
        write_npy(&mut array, &matrix, form).expect("memory takes everything");
        samples.push((name.to_owned(), Kind::Npy, array));
    }
    samples
}

/// Every column that there is, so that every layer has cells.
fn every_header() -> &'static Arc<Layout> {
    static EVERY: LazyLock<Arc<Layout>> = LazyLock::new(|| {
        Arc::new(Layout::with_payload(&Header::WIRE_ORDER, 8).expect("8 bytes fit"))
    });
    &EVERY
}

/// Reads the bytes in every way there is for their kind, and returns what can go back to packets.
fn read(kind: Kind, bytes: &[u8]) -> Option<TernaryMatrix> {
    match kind {
        Kind::Capture => {
            if let Ok(saved) = salvage_capture_from(bytes, "damaged") {
                assert!(saved.damage.len() <= saved.damaged_places);
            }
            let (trace, _) = read_capture_lossy_from(bytes, "damaged").ok()?;
            for policy in [RowPolicy::EveryIpPacket, RowPolicy::NPrint] {
                let matrix = encode(&trace, &Layout::reference(), policy);
                assert!(matrix.rows() <= trace.len());
            }
            let matrix = encode(&trace, every_header(), RowPolicy::Through(Layers::ALL));
            assert!(matrix.rows() <= trace.len());
            Some(matrix)
        }
        Kind::Csv => read_csv_from(bytes, "damaged").ok().map(|table| table.matrix),
        Kind::Hex => {
            let packets = HexReader::new(bytes, "damaged").ok()?;
            let held: usize = packets.flatten().map(|p| 2 * p.bytes.len()).sum();
            assert!(held <= bytes.len());
            let packets = HexReader::new(bytes, "damaged").ok()?;
            let policy = RowPolicy::Through(Layers::ALL);
            let options = CsvOptions { policy, ..CsvOptions::default() };
            let rows = write_hex_csv(sink(), packets, &Layout::reference(), &options, |_| {});
            assert!(rows.expect("a sink takes everything") <= bytes.len());
            None
        }
        Kind::Npy => read_npy(bytes, "damaged", &Layout::reference()).ok(),
    }
}

/// Does it, and fails where more than `bound` bytes are held meanwhile.
fn within<T>(name: &str, bound: usize, action: impl FnOnce() -> T) -> T {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = action();
    let peak = PEAK.load(Relaxed) - before;
    assert!(peak <= bound, "{name}: {peak} bytes, bound {bound}");
    result
}

fn read_within_bound(name: &str, kind: Kind, bytes: &[u8]) {
    // A compressed file may be large inside: by deflate's format, a thousand times.
    let input = if bytes.starts_with(&[0x1f, 0x8b]) { 1_032 * bytes.len() } else { bytes.len() };
    if let Some(matrix) = within(name, bound_bytes(input), || read(kind, bytes)) {
        let trace = within(name, bound_of_packets(matrix.rows()), || decode(&matrix, &[]));
        assert!(trace.len() <= matrix.rows());
    }
}

/// SplitMix64, so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % limit
    }
}

/// One to six edits: other bytes, extreme bytes, a piece cut out, doubled or put elsewhere.
fn mutated(sample: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(64)).min(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes[at..end.min(at + 4)].fill([0, 0xff, 0x7f, 0x80][random.below(4)]),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
    bytes
}

/// A record again and again.
struct Again<'a> {
    record: &'a [u8],
    at: usize,
    records: usize,
}

impl Read for Again<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let mut rest = &mut *into;
        while self.records > 0 && !rest.is_empty() {
            let length = rest.len().min(self.record.len() - self.at);
            rest[..length].copy_from_slice(&self.record[self.at..self.at + length]);
            rest = &mut rest[length..];
            self.at = (self.at + length) % self.record.len();
            self.records -= usize::from(self.at == 0);
        }
        let left = rest.len();
        Ok(into.len() - left)
    }
}

/// A capture of any length is streamed in one buffer.
fn stream_within_bound(records: usize) {
    let file = fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nprint/captures/13_micro_be.pcap"),
    );
    let file = file.expect("readable");
    let captured = file[32..36].try_into().map(u32::from_be_bytes).expect("4 bytes") as usize;
    let (header, record) = (&file[..24], &file[24..24 + 16 + captured]);
    within("stream", (1 << 18) + (1 << 12), || {
        let stream = header.chain(Again { record, at: 0, records });
        let mut reader = CaptureReader::new(stream, "stream").expect("a capture");
        while reader.next_packet().expect("sound").is_some() {}
        assert_eq!(reader.packets(), records);
    });
}

/// Where every eighth byte could start a block that ends far behind the file, the search for the
/// next block does not move the rest of the file each time.
fn search_is_linear() {
    let mut file = vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0];
    file.extend([0xff; 8]);
    file.extend([28, 0, 0, 0]);
    let bait = [6, 0, 0, 0, 0, 0, 0xf0, 0];
    file.extend(std::iter::repeat_n(bait, 1 << 18).flatten());
    let start = std::time::Instant::now();
    let saved = salvage_capture_from(&file[..], "bait").expect("a section header");
    assert_eq!((saved.trace.len(), saved.damaged_places), (0, 1));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn damaged_input_gives_a_result_or_an_error_in_bounded_memory() {
    every_header();
    search_is_linear();
    stream_within_bound(1_000);
    stream_within_bound(1_000_000);
    let samples = samples();
    for (name, kind, bytes) in &samples {
        read_within_bound(name, *kind, bytes);
        if bytes.len() <= MAX_PREFIX_SAMPLE_BYTES {
            (0..bytes.len()).for_each(|end| read_within_bound(name, *kind, &bytes[..end]));
        }
    }
    let mut random = Random(1);
    for _ in 0..MUTATIONS {
        let (name, kind, bytes) = &samples[random.below(samples.len())];
        read_within_bound(name, *kind, &mutated(bytes, &mut random));
    }
    let filter = b"tcp src or dst port 80 and not (net 10.0.0.0/8 or ip6 proto 58) || less 9";
    for _ in 0..2_000 {
        let text = String::from_utf8_lossy(&mutated(filter, &mut random)).into_owned();
        drop(PacketFilter::parse(&text));
    }
}
