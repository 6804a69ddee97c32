//! Small labelled captures and model folders made on the spot.

use std::fs;
use std::path::{Path, PathBuf};

use nprint_codec::{Checksum, LinkType, Trace, write_capture};
use torchlight::{Builder, DeviceChoice, Torchlight};

/// A UDP packet of `payload` bytes from host 1 to host 2 or back.
fn udp_packet(id: u16, back: bool, payload: u16) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    if back {
        bytes[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
        bytes[8] = 61;
    }
    bytes[2..4].copy_from_slice(&(28 + payload).to_be_bytes());
    bytes[4..6].copy_from_slice(&id.to_be_bytes());
    let sum = Checksum::new().with(&bytes).finish();
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    let ports: [u16; 2] = if back { [51_820, 40_000] } else { [40_000, 51_820] };
    bytes.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    bytes.extend((8 + payload).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.resize(28 + usize::from(payload), 7);
    bytes
}

/// A capture of `packets` packets; `kind` decides lengths and directions.
pub fn capture(kind: u16, packets: u16) -> Trace {
    let mut trace = Trace::new(LinkType::RawIp);
    for i in 0..packets {
        let back = (i + kind).rem_euclid(3) != 0;
        let bytes = udp_packet(i, back, 100 + 400 * kind + 8 * i.rem_euclid(3));
        let time_ns = 1_700_000_000_000_000_000 + i64::from(i) * 3_000_000;
        trace.push(time_ns, &bytes, bytes.len() as u32);
    }
    trace
}

/// Six captures of two kinds, with `labels.csv`.
pub fn captures(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder");
    let mut table = vec!["file,tunnel,speed".to_owned()];
    for i in 0..6_u16 {
        let (kind, name) = (i.rem_euclid(2), format!("c{i}.pcap"));
        write_capture(folder.join(&name), &capture(kind, 30 + i)).expect("a capture");
        let tunnel = ["none", "wireguard"][usize::from(kind)];
        table.push(format!("{name},{tunnel},s{}", i.div_euclid(3)));
    }
    let table = table.join("\n") + "\n";
    fs::write(folder.join("labels.csv"), table).expect("a table");
    folder.to_owned()
}

/// A run of everything with the fewest steps.
pub fn tiny_run(root: &Path, base: &Path) -> Builder {
    Torchlight::builder()
        .captures(captures(&root.join("captures")))
        .base(base)
        .output(root.join("out"))
        .device(DeviceChoice::Cpu)
        .seed(3)
        .configure(|config| {
            config.threads = 1;
            config.dataset.rows = 32;
            config.lora.steps = 3;
            config.lora.gradient_accumulation = 1;
            config.lora.batch_size = 2;
            config.lora.checkpoint_every = 1;
            config.generate.parents = Some(3);
            config.generate.children = 2;
            config.generate.steps = 2;
            config.evaluate.metrics.runs = 1;
            config.evaluate.metrics.trees = 5;
            config.evaluate.metrics.floor_splits = 2;
        })
}

/// Every file below a folder that is a result, with its bytes.
pub fn results(out: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut open = vec![out.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if !["manifest.json", "report.html"].contains(&name.as_str()) {
                let inner = path.strip_prefix(out).expect("inside").display().to_string();
                files.push((inner, fs::read(&path).expect("readable")));
            }
        }
    }
    files.sort();
    files
}
