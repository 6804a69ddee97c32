//! The codec on the sample captures, each path beside its naive twin (`*_before`) and beside the
//! copy or table expansion that it cannot be faster than (`*_bound`), in one run and in CPU time:
//! `cargo bench --bench codec`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod cpu_time;
#[path = "../crates/nprint-codec/tests/twin/mod.rs"]
#[allow(dead_code, reason = "the laws take more of the twins than the benches")]
mod twin;

use cpu_time::CpuTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use nprint_codec::{
    CaptureFormat, CaptureReader, CaptureWriter, CsvOptions, CsvReader, CsvWriter, Header, Layout,
    NpyForm, RowDecoder, RowEncoder, RowPolicy, TernaryMatrix, Trace, decode, decode_into, dissect,
    encode, encode_into, read_capture, read_capture_from, read_csv_from, read_npy, takes,
    write_capture_to, write_csv, write_npy,
};
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// More rows than the caches hold.
const ROWS: usize = 16_384;
/// A block of rows of a stream.
const BLOCK_ROWS: usize = 1_024;
const POLICY: RowPolicy = RowPolicy::NPrint;

fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data-samples/captures");
    let files = std::fs::read_dir(folder).expect("the sample captures are in the repository");
    let mut paths: Vec<PathBuf> = files.flatten().map(|f| f.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "pcap"));
    paths.sort();
    paths
}

/// The samples one after the other, again and again.
fn trace() -> Trace {
    let samples: Vec<Trace> = samples().iter().flat_map(read_capture).collect();
    let first = samples.first().expect("at least one sample capture");
    let mut trace = Trace::new(first.link_type());
    let packets: Vec<_> = samples.iter().flat_map(Trace::iter).collect();
    let rows = |bytes| dissect(first.link_type(), bytes).is_some_and(|d| takes(POLICY, &d));
    let rows = packets.iter().filter(|packet| rows(packet.bytes));
    for packet in rows.cycle().take(ROWS) {
        trace.push(packet.time_ns, packet.bytes, packet.original_length);
    }
    trace
}

fn null() -> Box<dyn Write> {
    match File::options().write(true).open("/dev/null") {
        Ok(file) => Box::new(file),
        Err(_) => Box::new(io::sink()),
    }
}

/// A file in memory, where the system has such files; else one on disk.
fn memory_file() -> File {
    let shared = Path::new("/dev/shm");
    let file = if shared.is_dir() { tempfile::tempfile_in(shared) } else { tempfile::tempfile() };
    file.expect("a temporary file")
}

/// The file again, empty: its pages are given back.
fn emptied(file: &mut File) -> &mut File {
    file.set_len(0).and_then(|()| file.rewind()).expect("a temporary file");
    file
}

/// A capture as CSV, packet by packet.
fn stream_csv(capture: impl Read, csv: impl Write, layout: &Arc<Layout>) -> usize {
    let mut packets = CaptureReader::new(capture, "a capture").expect("a capture");
    let mut csv = CsvWriter::new(csv, layout, &CsvOptions::default()).expect("written");
    while let Some(captured) = packets.next_packet().expect("a capture") {
        csv.write_packet(captured.link_type, &captured.packet).expect("written");
    }
    csv.finish().expect("written")
}

/// A capture as bit planes, a block at a time.
fn stream_planes(capture: impl Read, block: &mut TernaryMatrix) {
    let mut packets = CaptureReader::new(capture, "a capture").expect("a capture");
    while {
        block.clear();
        packets.read_rows(block, POLICY, BLOCK_ROWS).expect("a capture") > 0
    } {
        black_box(&mut *block);
    }
}

/// Rows as a capture, a row at a time.
fn stream_pcap(matrix: &TernaryMatrix, decoder: &mut RowDecoder, pcap: impl Write) {
    let format = CaptureFormat::Pcap;
    let mut capture = CaptureWriter::new(pcap, decoder.link_type(), format).expect("written");
    for row in matrix.iter() {
        capture.write_row(decoder, &row, 0).expect("written");
    }
    capture.finish().expect("written");
}

/// `before`, `now` and the bound of one path.
struct Bench<'a, 'c> {
    group: &'a mut BenchmarkGroup<'c, CpuTime>,
    name: &'a str,
    id: &'a str,
}

impl<'a, 'c> Bench<'a, 'c> {
    fn new(group: &'a mut BenchmarkGroup<'c, CpuTime>, name: &'a str, id: &'a str) -> Self {
        Self { group, name, id }
    }

    fn now<T>(&mut self, mut run: impl FnMut() -> T) -> &mut Self {
        self.group.bench_function(format!("{}/{}", self.name, self.id), |b| b.iter(&mut run));
        self
    }

    fn before<T>(&mut self, mut run: impl FnMut() -> T) -> &mut Self {
        let id = format!("{}_before/{}", self.name, self.id);
        self.group.sample_size(10).bench_function(id, |b| b.iter(&mut run));
        self.group.sample_size(20);
        self
    }

    /// Copies `bytes` bytes.
    fn copy_bound(&mut self, bytes: usize) {
        let id = format!("{}_bound/{}/{bytes}", self.name, self.id);
        let (source, mut target) = (vec![1_u8; bytes], vec![0; bytes]);
        self.group.bench_function(id, |b| {
            b.iter(|| black_box(&mut target[..]).copy_from_slice(black_box(&source)));
        });
    }

    /// Writes `bytes` bytes to a fresh file in memory, as many at a time as the codec does.
    fn file_bound(&mut self, bytes: usize) {
        let id = format!("{}_bound/{}/{bytes}", self.name, self.id);
        let (mut file, source) = (memory_file(), vec![b'1'; bytes]);
        self.group.bench_function(id, |b| {
            b.iter(|| {
                let file = emptied(&mut file);
                source.chunks(1 << 17).for_each(|chunk| file.write_all(chunk).expect("written"));
            });
        });
    }

    /// Reads a file from the page cache, as many bytes at a time as the codec does.
    fn read_bound(&mut self, file: &mut File, bytes: usize) {
        let id = format!("{}_bound/{}/{bytes}", self.name, self.id);
        let mut buffer = vec![0; 1 << 18];
        self.group.bench_function(id, |b| {
            b.iter(|| {
                file.rewind().expect("a file");
                while file.read(black_box(&mut buffer)).expect("a file") > 0 {}
            });
        });
    }

    /// Expands bytes to `N` bytes each by a table, `bytes` of them into `chunk` bytes of memory.
    fn table_bound<const N: usize>(&mut self, bytes: usize, chunk: usize) {
        let id = format!("{}_bound/{}/{bytes}", self.name, self.id);
        let table: Vec<[u8; N]> = (0..=255_u8).map(|byte| [byte; N]).collect();
        let table: &[[u8; N]; 256] = table.as_slice().try_into().expect("256 entries");
        let source: Vec<u8> = (0..bytes.div_ceil(N)).map(|i| i as u8).collect();
        let mut target = vec![[0; N]; chunk.min(bytes).div_ceil(N)];
        self.group.bench_function(id, |b| {
            b.iter(|| {
                for source in black_box(&source).chunks(target.len()) {
                    for (slot, byte) in target.iter_mut().zip(source) {
                        *slot = table[usize::from(*byte)];
                    }
                    black_box(&mut target);
                }
            });
        });
    }
}

fn codec(c: &mut Criterion<CpuTime>) {
    let trace = trace();
    let mut group = c.benchmark_group("codec");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for layout in [Layout::reference(), Arc::new(Layout::of_headers(&Header::ALL))] {
        let matrix = encode(&trace, &layout, POLICY);
        let id = format!("{}x{}", matrix.rows(), matrix.columns());

        let mut planes = TernaryMatrix::new(layout.clone());
        Bench::new(&mut group, "encode", &id)
            .now(|| {
                planes.clear();
                encode_into(&mut planes, black_box(&trace), POLICY);
            })
            .before(|| twin::matrix::encode(black_box(&trace), &layout, POLICY))
            .copy_bound(16 * layout.words() * ROWS);
        Bench::new(&mut group, "encode_fresh", &id)
            .now(|| encode(black_box(&trace), &layout, POLICY));

        let (mut encoder, mut cells) =
            (RowEncoder::new(&layout, POLICY), vec![0; ROWS * matrix.columns()]);
        Bench::new(&mut group, "encode_to_i8", &id)
            .now(|| {
                let mut rows = cells.chunks_exact_mut(matrix.columns());
                for packet in trace.iter() {
                    if let Some(row) = encoder.encode(trace.link_type(), packet.bytes) {
                        row.write_i8(rows.next().unwrap_or_default());
                    }
                }
            })
            .before(|| {
                twin::matrix::encode(black_box(&trace), &layout, POLICY);
                twin::matrix::to_i8(black_box(&matrix))
            })
            .table_bound::<8>(ROWS * matrix.columns(), usize::MAX);
        let mut twin = matrix.clone();
        Bench::new(&mut group, "from_i8", &id)
            .now(|| TernaryMatrix::from_i8(layout.clone(), black_box(&cells)))
            .before(|| twin::matrix::from_i8(&mut twin, black_box(&cells)));

        let mut npy = Vec::new();
        for (name, form) in [("npy_cells", NpyForm::Cells), ("npy_planes", NpyForm::Planes)] {
            Bench::new(&mut group, &format!("{name}_write"), &id).now(|| {
                npy.clear();
                write_npy(&mut npy, black_box(&matrix), form)
            });
            Bench::new(&mut group, &format!("{name}_read"), &id)
                .now(|| read_npy(black_box(&npy[..]), "memory", &layout))
                .copy_bound(npy.len());
        }

        let decoded = decode(&matrix, &[]);
        let (mut pcap, mut reused) = (Vec::new(), decoded.clone());
        let mut decoder = RowDecoder::new(&layout);
        stream_pcap(&matrix, &mut decoder, &mut pcap);
        let bytes = pcap.len();
        Bench::new(&mut group, "decode_to_pcap", &id)
            .now(|| {
                pcap.clear();
                stream_pcap(black_box(&matrix), &mut decoder, &mut pcap);
            })
            .before(|| {
                let mut pcap = Vec::new();
                write_capture_to(&mut pcap, &twin::matrix::decode(black_box(&matrix), &[]))
            })
            .copy_bound(bytes);
        Bench::new(&mut group, "decode_to_trace_to_pcap", &id).now(|| {
            pcap.clear();
            decode_into(&mut reused, black_box(&matrix), &[]);
            write_capture_to(&mut pcap, &reused)
        });
        Bench::new(&mut group, "decode", &id)
            .now(|| decode_into(&mut reused, black_box(&matrix), &[]));
        Bench::new(&mut group, "decode_fresh", &id).now(|| decode(black_box(&matrix), &[]));

        // Whole ways, from a capture file in the page cache.
        let mut capture = Vec::new();
        write_capture_to(&mut capture, &trace).expect("memory takes everything");
        let mut cached = memory_file();
        cached.write_all(&capture).expect("written");
        let mut block = TernaryMatrix::new(layout.clone());
        Bench::new(&mut group, "file_to_planes", &id)
            .now(|| {
                cached.rewind().expect("a file");
                stream_planes(&cached, &mut block);
            })
            .read_bound(&mut cached, capture.len());
        Bench::new(&mut group, "file_to_trace", &id).now(|| {
            cached.rewind().expect("a file");
            read_capture_from(&cached, "a capture")
        });

        let options = CsvOptions::default();
        let mut csv = Vec::new();
        write_csv(&mut csv, &trace, &layout, &options).expect("memory takes everything");
        let mut out = null();
        Bench::new(&mut group, "file_to_csv", &id).now(|| {
            cached.rewind().expect("a file");
            stream_csv(&cached, &mut out, &layout)
        });
        Bench::new(&mut group, "csv_write", &id)
            .now(|| write_csv(&mut out, black_box(&trace), &layout, &options))
            .before(|| twin::csv::write_csv(null(), black_box(&trace), &layout, &options))
            .table_bound::<16>(csv.len(), 1 << 17);
        let mut target = memory_file();
        Bench::new(&mut group, "csv_write_file", &id)
            .now(|| write_csv(emptied(&mut target), black_box(&trace), &layout, &options))
            .file_bound(csv.len());
        group.throughput(Throughput::Bytes(csv.len() as u64));
        Bench::new(&mut group, "csv_to_planes", &id)
            .now(|| {
                let mut rows = CsvReader::new(black_box(&csv[..]), "memory").expect("CSV");
                let mut times = Vec::new();
                while {
                    block.clear();
                    rows.read_rows(&mut block, &mut times, BLOCK_ROWS).expect("CSV") > 0
                } {
                    black_box(&mut block);
                }
            })
            .before(|| twin::csv::read_csv(black_box(&csv), &layout))
            .copy_bound(csv.len());
        Bench::new(&mut group, "csv_read", &id)
            .now(|| read_csv_from(black_box(&csv[..]), "memory"));
        group.throughput(Throughput::Elements(ROWS as u64));
    }
    group.finish();

    let file = samples().first().and_then(|path| std::fs::read(path).ok());
    let file = file.expect("at least one sample capture");
    let mut files = c.benchmark_group("codec");
    files.throughput(Throughput::Bytes(file.len() as u64));
    files.bench_function(format!("read_capture/{}", file.len()), |b| {
        b.iter(|| read_capture_from(black_box(&file[..]), "memory"));
    });
    files.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = codec
}
criterion_main!(benches);
