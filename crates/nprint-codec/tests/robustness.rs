//! Damaged input: every prefix and thousands of mutations of every sample give a result or an
//! error, never a panic, and never more memory than the bound that is stated here.
//!
//! One test in a file of its own, because the allocator counts for the whole process.

use flate2::{Compression, write::GzEncoder};
use nprint_codec::{
    CaptureReader, HexReader, PacketFilter, RowPolicy, encode, read_capture_lossy_from,
    read_csv_from, salvage_capture_from,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What reading may hold at once: the reader's buffer of 256 KiB and its double while it grows,
/// and a few copies of the input in other forms.
fn bound_bytes(input: usize) -> usize {
    (1 << 20) + 32 * input
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
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
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
    samples
}

/// Reads the bytes in every way there is for their kind.
fn read(kind: Kind, bytes: &[u8]) {
    match kind {
        Kind::Capture => {
            if let Ok((trace, _)) = read_capture_lossy_from(bytes, "damaged") {
                let layout = nprint_codec::Layout::reference();
                assert!(encode(&trace, &layout, RowPolicy::EveryIpPacket).rows() <= trace.len());
            }
            if let Ok(saved) = salvage_capture_from(bytes, "damaged") {
                assert!(saved.damage.len() <= saved.damaged_places);
            }
        }
        Kind::Csv => drop(read_csv_from(bytes, "damaged")),
        Kind::Hex => {
            if let Ok(packets) = HexReader::new(bytes, "damaged") {
                let held: usize = packets.flatten().map(|p| 2 * p.bytes.len()).sum();
                assert!(held <= bytes.len());
            }
        }
    }
}

fn read_within_bound(name: &str, kind: Kind, bytes: &[u8]) {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    read(kind, bytes);
    let peak = PEAK.load(Relaxed) - before;
    // A compressed file may be large inside: by deflate's format, a thousand times.
    let input = if bytes.starts_with(&[0x1f, 0x8b]) { 1_032 * bytes.len() } else { bytes.len() };
    assert!(peak <= bound_bytes(input), "{name}: {peak} bytes for {} of input", bytes.len());
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
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let stream = header.chain(Again { record, at: 0, records });
    let mut reader = CaptureReader::new(stream, "stream").expect("a capture");
    while reader.next_packet().expect("sound").is_some() {}
    assert_eq!(reader.packets(), records);
    let peak = PEAK.load(Relaxed) - before;
    assert!(peak <= (1 << 18) + (1 << 12), "{peak} bytes");
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
