//! Captures from files: both formats, damage, and the bytes written.

use flate2::{Compression, write::GzEncoder};
use nprint_codec::{
    CaptureFormat, CaptureReader, Error, LinkType, PacketFilter, Selection, Trace, read_capture,
    read_capture_from, read_capture_lossy, read_capture_lossy_from, salvage_capture_from,
    write_capture, write_capture_as, write_capture_to,
};
use proptest::prelude::*;
use std::io::Write;
use std::sync::LazyLock;

fn small_trace(times_ns: [i64; 2]) -> Trace {
    let mut trace = Trace::new(LinkType::Ethernet);
    trace.push(times_ns[0], b"first packet", 12);
    trace.push(times_ns[1], b"second", 1500);
    trace
}

fn written(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_capture_to(&mut bytes, trace).expect("memory takes everything");
    bytes
}

/// Swaps every header word of a little-endian pcap.
fn big_endian(little: &[u8]) -> Vec<u8> {
    let swap = |range: &[u8]| range.iter().rev().copied().collect::<Vec<u8>>();
    let mut out = Vec::new();
    for (start, end) in [(0, 4), (4, 6), (6, 8), (8, 12), (12, 16), (16, 20), (20, 24)] {
        out.extend(swap(&little[start..end]));
    }
    let mut at = 24;
    while at < little.len() {
        let word = |i: usize| &little[at + 4 * i..at + 4 * i + 4];
        let length = u32::from_le_bytes(word(2).try_into().expect("4 bytes")) as usize;
        (0..4).for_each(|i| out.extend(swap(word(i))));
        out.extend(&little[at + 16..at + 16 + length]);
        at += 16 + length;
    }
    out
}

#[derive(Default)]
struct Ng {
    bytes: Vec<u8>,
    big: bool,
}

impl Ng {
    fn u16(&self, v: u16) -> [u8; 2] {
        if self.big { v.to_be_bytes() } else { v.to_le_bytes() }
    }
    fn u32(&self, v: u32) -> [u8; 4] {
        if self.big { v.to_be_bytes() } else { v.to_le_bytes() }
    }
    fn block(&mut self, block_type: u32, body: &[u8]) {
        let pad = body.len().next_multiple_of(4) - body.len();
        let length = self.u32((12 + body.len() + pad) as u32);
        let block_type = self.u32(block_type);
        self.bytes.extend([&block_type[..], &length, body, &vec![0; pad], &length].concat());
    }
    fn section(big: bool) -> Self {
        let mut ng = Self { bytes: Vec::new(), big };
        let body = [&ng.u32(0x1a2b_3c4d)[..], &ng.u16(1), &ng.u16(0), &[0xff; 8]].concat();
        ng.block(0x0a0d_0d0a, &body);
        ng
    }
    fn interface(&mut self, link_type: u16, snap: u32, resolution: u8, offset: i64) {
        let offset = if self.big { offset.to_be_bytes() } else { offset.to_le_bytes() };
        let body = [
            &self.u16(link_type)[..],
            &[0, 0],
            &self.u32(snap),
            &self.u16(9),
            &self.u16(1),
            &[resolution, 0, 0, 0],
            &self.u16(14),
            &self.u16(8),
            &offset,
            &[0; 4],
        ]
        .concat();
        self.block(1, &body);
    }
    fn enhanced(&mut self, interface: u32, ticks: u64, bytes: &[u8], original: u32) {
        let words = [interface, (ticks >> 32) as u32, ticks as u32, bytes.len() as u32, original];
        let head: Vec<u8> = words.iter().flat_map(|w| self.u32(*w)).collect();
        self.block(6, &[&head, bytes].concat());
    }
}

fn all_kinds(big: bool) -> Vec<u8> {
    let mut ng = Ng::section(big);
    ng.interface(1, 0, 6, 0);
    ng.interface(1, 0, 9, 10);
    ng.interface(1, 0, 0x8a, 0);
    ng.block(0x0bad, b"custom");
    ng.enhanced(0, 1_000_001, b"micro", 5);
    ng.enhanced(1, 1_000_000_001, b"nano+", 60);
    ng.enhanced(2, 1024 + 512, b"binary!", 7);
    let simple = [&ng.u32(6)[..], b"simple"].concat();
    ng.block(3, &simple);
    let head = [
        &ng.u16(0)[..],
        &ng.u16(0),
        &ng.u32(0),
        &ng.u32(2_000_000),
        &ng.u32(3),
        &ng.u32(4),
        b"old",
    ]
    .concat();
    ng.block(2, &head);
    ng.bytes
}

#[test]
fn pcap_in_four_flavours() {
    for times in [[1_000, 2_000_000_000], [1_001, 2_000_000_000]] {
        let trace = small_trace(times);
        let little = written(&trace);
        let magic = if times[0] == 1_000 { 0xa1b2_c3d4_u32 } else { 0xa1b2_3c4d };
        assert_eq!(little[..4], magic.to_le_bytes());
        assert_eq!(read_capture_from(&little[..], "le").expect("valid"), trace);
        assert_eq!(read_capture_from(&big_endian(&little)[..], "be").expect("valid"), trace);
    }
}

#[test]
fn pcapng_of_every_packet_block() {
    for big in [false, true] {
        let trace = read_capture_from(&all_kinds(big)[..], "ng").expect("valid");
        let found: Vec<_> = trace.iter().map(|p| (p.time_ns, p.bytes, p.original_length)).collect();
        let expected: Vec<(i64, &[u8], u32)> = vec![
            (1_000_001_000, b"micro", 5),
            (11_000_000_001, b"nano+", 60),
            (1_500_000_000, b"binary!", 7),
            (0, b"simple", 6),
            (2_000_000_000, b"old", 4),
        ];
        assert_eq!(found, expected, "big-endian: {big}");
    }
}

#[test]
fn a_second_section_starts_anew() {
    let mut bytes = all_kinds(false);
    bytes.extend(all_kinds(true));
    assert_eq!(read_capture_from(&bytes[..], "ng").expect("valid").len(), 10);
    let mut ng = Ng::section(false);
    ng.interface(1, 0, 6, 0);
    ng.bytes.extend(Ng::section(false).bytes);
    ng.enhanced(0, 0, b"x", 1);
    let error = read_capture_from(&ng.bytes[..], "ng").expect_err("no interface in section 2");
    assert!(matches!(error, Error::UnknownInterface { interface: 0, declared: 0, .. }));
}

#[test]
fn gzip_is_seen_by_its_magic() {
    let trace = small_trace([0, 1_000]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&written(&trace)).expect("memory");
    let bytes = gzip.finish().expect("memory");
    assert_eq!(read_capture_from(&bytes[..], "gz").expect("valid"), trace);
    let cut = read_capture_from(&bytes[..bytes.len() - 4], "gz").expect_err("cut");
    assert!(matches!(cut, Error::Decompression { .. }), "{cut}");
}

#[test]
fn damage_is_named_and_what_came_before_is_kept() {
    let bytes = written(&small_trace([0, 1_000]));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.pcap");
    std::fs::write(&path, &bytes[..bytes.len() - 2]).expect("writable");
    let (trace, damage) = read_capture_lossy(&path).expect("a capture");
    assert_eq!(trace.len(), 1);
    let text = damage.expect("cut").to_string();
    assert!(text.contains("cut.pcap, packet 2, byte 52"), "{text}");
    assert!(text.contains("22 bytes expected") && text.contains("20 left"), "{text}");
    assert!(matches!(read_capture(&path), Err(Error::Truncated { .. })));
}

#[test]
fn what_is_no_capture_is_said_by_name() {
    let text = read_capture_from(&b"hello world"[..], "notes.txt").expect_err("text").to_string();
    assert!(
        text.starts_with("notes.txt is not a capture: it starts with [68, 65, 6c, 6c]"),
        "{text}"
    );
    assert!(matches!(read_capture_from(&b""[..], "e"), Err(Error::EmptyFile { .. })));
    let missing = read_capture("/no/such/file.pcap").expect_err("missing");
    assert!(matches!(missing, Error::Io { action: "open", .. }), "{missing}");
}

#[test]
fn a_trace_has_one_link_type() {
    let mut ng = Ng::section(false);
    ng.interface(1, 0, 6, 0);
    ng.interface(101, 0, 6, 0);
    ng.enhanced(0, 0, b"a", 1);
    ng.enhanced(1, 0, b"b", 1);
    let error = read_capture_from(&ng.bytes[..], "ng").expect_err("two link types");
    assert!(matches!(
        error,
        Error::MixedLinkTypes { first: LinkType::Ethernet, second: LinkType::RawIp, .. }
    ));
}

#[test]
fn lying_lengths_allocate_nothing() {
    let mut bytes = written(&small_trace([0, 1_000]));
    bytes[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = read_capture_from(&bytes[..], "liar").expect_err("4 GiB are not there");
    assert!(matches!(error, Error::RecordTooLong { stated_bytes: 0x1_0000_000f, .. }), "{error}");
    // Believed, but not there: nothing of that size is allocated (`robustness.rs` counts).
    bytes[32..36].copy_from_slice(&(15_u32 << 20).to_le_bytes());
    let error = read_capture_from(&bytes[..], "liar").expect_err("15 MiB are not there");
    assert!(matches!(error, Error::Truncated { expected_bytes: 0xf0_0010, .. }), "{error}");
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.pcap.gz");
    let trace = small_trace([5_000, 6_000]);
    write_capture(&path, &trace).expect("writable");
    let bytes = std::fs::read(&path).expect("there");
    assert!(bytes.starts_with(&[0x1f, 0x8b]));
    assert_eq!(read_capture(&path).expect("valid"), trace);
    let error = write_capture(&path, &small_trace([-1, 0])).expect_err("before 1970");
    assert!(matches!(error, Error::TimeNotWritable { packet: 1, time_ns: -1, .. }));
    assert_eq!(std::fs::read(&path).expect("there"), bytes);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

/// A reader that makes a capture of so many packets as it is read, and holds none of them.
struct Endless {
    record: Vec<u8>,
    header: Vec<u8>,
    packets: usize,
    at: usize,
}

impl std::io::Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.header.is_empty() {
            if self.packets == 0 {
                return Ok(0);
            }
            self.packets -= 1;
            self.header = self.record.clone();
            self.at = 0;
        }
        let length = into.len().min(self.header.len() - self.at);
        into[..length].copy_from_slice(&self.header[self.at..self.at + length]);
        self.at += length;
        if self.at == self.header.len() {
            self.header.clear();
        }
        Ok(length)
    }
}

#[test]
fn a_stream_is_read_as_it_comes() {
    let file = written(&small_trace([0, 1_000]));
    let (header, record) = (file[..24].to_vec(), file[24..52].to_vec());
    let endless = Endless { record, header, packets: 100_000, at: 0 };
    let mut reader = CaptureReader::new(endless, "stream").expect("a capture");
    while let Some(captured) = reader.next_packet().expect("sound") {
        assert_eq!((captured.packet.bytes, captured.interface), (&b"first packet"[..], 0));
    }
    assert_eq!(reader.packets(), 100_000);
    let last = reader.place();
    assert_eq!((last.packet, last.offset_bytes), (100_000, 24 + 28 * 99_999));
}

#[test]
fn enough_is_enough() {
    let file = written(&small_trace([0, 1_000]));
    let (header, record) = (file[..24].to_vec(), file[24..52].to_vec());
    let endless = Endless { record, header, packets: usize::MAX, at: 0 };
    let mut reader = CaptureReader::new(endless, "stream").expect("a capture");
    let filter = PacketFilter::parse("greater 12").ok();
    let selection = Selection { filter, max_packets: Some(3), ..Selection::default() };
    let (trace, damage) = reader.read_selected(&selection);
    assert_eq!((trace.len(), damage.is_none()), (3, true));
}

#[test]
fn behind_damage_reading_goes_on() {
    let mut trace = Trace::new(LinkType::Ethernet);
    for i in 0..20_u8 {
        let bytes: Vec<u8> = (0..60).map(|b| b ^ i).collect();
        trace.push(1_700_000_000_000_000_000 + i64::from(i) * 1_000, &bytes, 60);
    }
    for format in [CaptureFormat::Pcap, CaptureFormat::PcapNg] {
        let mut sound = Vec::new();
        write_capture_as(&mut sound, &trace, format).expect("memory");
        // Bytes are lost, come twice, or are overwritten in the middle of packet 10.
        let at = sound.len() >> 1;
        let mut overwritten = sound.clone();
        overwritten[at - 50..at + 50].fill(0xee);
        let lost = [&sound[..at], &sound[at + 33..]].concat();
        let twice = [&sound[..at], &sound[at - 21..]].concat();
        for damaged in [overwritten, lost, twice] {
            let saved = salvage_capture_from(&damaged[..], "damaged").expect("a file header");
            assert!(saved.damaged_places > 0 && !saved.damage.is_empty(), "{format:?}");
            let good = saved.trace.iter().filter(|p| trace.iter().any(|t| t == *p)).count();
            assert!(good >= 17, "{format:?}: {good} of 20; {:?}", saved.damage);
            assert!(saved.trace.len() <= 21);
            let (_, damage) = read_capture_lossy_from(&damaged[..], "damaged").expect("a header");
            let (strict, name) = (damage.map(|d| d.to_string()), "damaged, packet ");
            // pcap has nothing that says where a record starts: garbage may pass as packets.
            assert!(format == CaptureFormat::Pcap || strict.is_some_and(|d| d.starts_with(name)));
        }
        let whole = salvage_capture_from(&sound[..], "sound").expect("a capture");
        assert_eq!((whole.trace, whole.damaged_places, whole.skipped_bytes), (trace.clone(), 0, 0));
    }
}

#[test]
fn a_bad_block_is_passed_over_by_its_length() {
    let mut ng = Ng::section(false);
    ng.interface(1, 0, 6, 0);
    ng.enhanced(0, 1, b"one", 3);
    ng.enhanced(7, 2, b"stranger", 8);
    ng.interface(101, 0, 6, 0);
    ng.enhanced(1, 3, b"other link type", 15);
    ng.enhanced(0, 4, b"two", 3);
    let saved = salvage_capture_from(&ng.bytes[..], "ng").expect("a capture");
    let kept: Vec<&[u8]> = saved.trace.iter().map(|p| p.bytes).collect();
    assert_eq!(kept, [b"one", b"two"]);
    assert!(matches!(
        saved.damage[..],
        [Error::UnknownInterface { interface: 7, .. }, Error::MixedLinkTypes { .. }]
    ));
    assert_eq!(saved.skipped_bytes, 40);
}

#[test]
fn pcapng_is_written_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = small_trace([1_700_000_000_000_000_001, 1_700_000_000_999_999_999]);
    for (name, magic) in
        [("a.pcapng", [0x0a, 0x0d]), ("b.pcapng.gz", [0x1f, 0x8b]), ("c.pcap", [0x4d, 0x3c])]
    {
        let path = folder.path().join(name);
        write_capture(&path, &trace).expect("writable");
        assert_eq!(std::fs::read(&path).expect("there")[..2], magic, "{name}");
        assert_eq!(read_capture(&path).expect("valid"), trace, "{name}");
    }
}

/// `tests/data`: a golden capture through the programs zstd 1.5 (two frames) and xz (two streams).
#[test]
fn zstd_and_xz_are_read_where_built_in() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let plain = read_capture(folder.join("golden/nprint/captures/12_nano_le.pcap")).expect("valid");
    for (ending, built) in [("zst", cfg!(feature = "zstd")), ("xz", cfg!(feature = "xz"))] {
        let path = folder.join(format!("data/12_nano_le.pcap.{ending}"));
        if !built {
            let error = read_capture(&path).expect_err("not built in");
            assert!(matches!(error, Error::CompressionNotBuilt { .. }), "{error}");
            continue;
        }
        assert_eq!(read_capture(&path).expect("valid"), plain, "{ending}");
        let bytes = std::fs::read(&path).expect("there");
        for end in 6..bytes.len() {
            let read = read_capture_lossy_from(&bytes[..end], "cut");
            assert!(!matches!(&read, Ok((trace, None)) if trace.len() > plain.len()));
        }
        let mut flipped = bytes.clone();
        flipped[100] ^= 0x55;
        let error = read_capture_from(&flipped[..], "flipped").expect_err("damaged");
        assert!(matches!(error, Error::Decompression { .. }), "{error}");
    }
}

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    vec![written(&small_trace([1_000, 2_000])), all_kinds(false), all_kinds(true)]
});

#[test]
fn every_prefix_gives_packets_or_an_error() {
    for sample in SAMPLES.iter() {
        let whole = read_capture_from(&sample[..], "whole").expect("valid");
        for end in 0..sample.len() {
            if let Ok(trace) = read_capture_from(&sample[..end], "cut") {
                assert!(trace.len() <= whole.len());
                trace.iter().zip(whole.iter()).for_each(|(a, b)| assert_eq!(a, b));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn mutations_are_survived(
        sample in 0_usize..3,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = SAMPLES[sample].clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(trace) = read_capture_from(&bytes[..], "mutant") {
            let held: usize = trace.iter().map(|p| p.bytes.len()).sum();
            prop_assert!(held <= bytes.len());
        }
    }

    #[test]
    fn written_is_read_in_either_format(
        packets in prop::collection::vec(
            (0..=i64::from(u32::MAX) * 1_000_000_000, prop::collection::vec(any::<u8>(), 0..40), any::<u32>()),
            0..6,
        ),
    ) {
        let mut trace = Trace::new(LinkType::RawIp);
        for (time_ns, bytes, original) in &packets {
            trace.push(*time_ns, bytes, *original);
        }
        for format in [CaptureFormat::Pcap, CaptureFormat::PcapNg] {
            let mut file = Vec::new();
            write_capture_as(&mut file, &trace, format).expect("memory");
            prop_assert_eq!(&read_capture_from(&file[..], "memory").expect("valid"), &trace);
        }
    }
}
