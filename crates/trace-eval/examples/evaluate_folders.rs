//! Two folders of captures to a report: `cargo run --release -p trace-eval --example
//! evaluate_folders -- REAL SYNTHETIC OUT [HELD_OUT]`. Labels are read from names of the form
//! `….torchlight-ENCRYPTION-a-video.RESOLUTION.STREAMING.TRANSPORT.pcap`; a synthetic capture names
//! its parent before `.child` or `-child`. Without SYNTHETIC (`-`) every other real capture with some packets
//! changed plays that part. `STUDY=1` adds mixing curves, class balancing and importances, `PICTURES=FOLDER` the PNG
//! files of a folder, `MOST=N` takes N real captures alone.

use nprint_codec::{Labels, Layout, RowPolicy, Trace, encode, read_capture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use std::path::{Path, PathBuf};
use trace_eval::report::{Extras, Picture, PictureRow};
use trace_eval::utility::StudyConfig;
use trace_eval::{EvalConfig, Sample, evaluate};

/// What captures end with.
const ENDINGS: [&str; 5] = [".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz", ".cap"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [real, synthetic, out, rest @ ..] = &arguments[..] else {
        return Err("REAL SYNTHETIC OUT [HELD_OUT]".into());
    };
    let mut real = read_folder(Path::new(real))?;
    let most = std::env::var("MOST").ok().and_then(|m| m.parse().ok()).unwrap_or(usize::MAX);
    real.truncate(most);
    let (real, held_out): (Vec<Sample>, Vec<Sample>) = if synthetic == "-" {
        let half = real.len() >> 1;
        let rest = real.split_off(half);
        (real, rest)
    } else {
        let held_out = rest.first().map(|folder| read_folder(Path::new(folder))).transpose()?;
        (real, held_out.unwrap_or_default())
    };
    let synthetic = if synthetic == "-" {
        real.iter().enumerate().map(|(i, s)| perturbed(s, i as u64)).collect()
    } else {
        read_folder(Path::new(synthetic))?
    };
    let started = std::time::Instant::now();
    let study = std::env::var_os("STUDY").map(|_| StudyConfig::default());
    let config = EvalConfig { study, ..EvalConfig::default() };
    let report = evaluate(&real, &held_out, &synthetic, &config)?;
    eprintln!("evaluated in {:.1} s", started.elapsed().as_secs_f64());
    for finding in &report.summary {
        eprintln!("{:24} {:>8}  {}", finding.title, finding.value, finding.text);
    }
    let extras = Extras {
        title: "Folder against folder".to_owned(),
        subtitle: format!("{} beside {}", arguments[1], arguments[0]),
        pictures: pictures()?,
        ..Extras::default()
    };
    for path in report.write(Path::new(out), &extras)? {
        eprintln!("{}", path.display());
    }
    Ok(())
}

/// The PNG files of the folder that `PICTURES` names, in one row.
fn pictures() -> Result<Vec<PictureRow>, Box<dyn Error>> {
    let Some(folder) = std::env::var_os("PICTURES") else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let picture = |path: &PathBuf| -> Result<Picture, Box<dyn Error>> {
        let caption = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        Ok(Picture { caption, png: std::fs::read(path)? })
    };
    let pictures = paths.iter().map(picture).collect::<Result<_, _>>()?;
    Ok(vec![PictureRow { title: "Pictures".to_owned(), pictures }])
}

fn read_folder(folder: &Path) -> Result<Vec<Sample>, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_str().is_some_and(|p| ENDINGS.iter().any(|e| p.ends_with(e))))
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Sample, Box<dyn Error>> {
    let name = path.file_name().and_then(|n| n.to_str()).ok_or("a name in UTF-8")?;
    let name = ENDINGS.iter().find_map(|e| name.strip_suffix(e)).unwrap_or(name).to_owned();
    let trace = read_capture(path)?;
    let matrix = encode(&trace, &Layout::reference(), RowPolicy::default());
    let parent = name.split_once(".child").or_else(|| name.split_once("-child"));
    let parent = parent.map(|(parent, _)| parent.to_owned());
    Ok(Sample { labels: labels(&name), parent, name, trace, matrix })
}

fn labels(name: &str) -> Labels {
    let tail = name.split_once("torchlight-").map_or("", |(_, tail)| tail);
    let parts: Vec<&str> = tail.split(['-', '.']).collect();
    match parts[..] {
        [encryption, _, _, resolution, streaming, transport, ..] => [
            ("encryption", encryption),
            ("resolution", resolution),
            ("streaming", streaming),
            ("transport", transport),
        ]
        .into_iter()
        .collect(),
        _ => Labels::new(),
    }
}

/// The capture with every tenth packet replaced by another one of it.
fn perturbed(sample: &Sample, seed: u64) -> Sample {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut trace = Trace::new(sample.trace.link_type());
    for (place, packet) in sample.trace.iter().take(1024).enumerate() {
        let from =
            if rng.random_bool(0.1) { rng.random_range(0..sample.trace.len()) } else { place };
        let other = sample.trace.packet(from);
        trace.push(packet.time_ns, other.bytes, other.original_length);
    }
    let matrix = encode(&trace, &Layout::reference(), RowPolicy::default());
    let (name, parent) = (format!("{}.child", sample.name), Some(sample.name.clone()));
    Sample { name, parent, trace, matrix, labels: sample.labels.clone() }
}
