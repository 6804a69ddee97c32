//! Every case of `golden/canny/MANIFEST.tsv`: no pixel may differ from OpenCV's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use controlnet_canny::{Canny, ColourMode, Norm, PixelView};

/// The folder of cases: `$TORCHLIGHT_GOLDENS/canny` where there is one, else our own.
fn folder() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/canny");
    let Some(other) = std::env::var_os("TORCHLIGHT_GOLDENS").map(PathBuf::from) else {
        return own;
    };
    assert!(other.is_dir(), "TORCHLIGHT_GOLDENS={} is not a folder", other.display());
    let other = other.join("canny");
    if other.is_dir() { other } else { own }
}

struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    data: Vec<u8>,
}

fn read_png(path: &Path) -> Picture {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = png::Decoder::new(BufReader::new(file)).read_info().expect("a PNG header");
    let info = reader.info();
    assert_eq!(info.bit_depth, png::BitDepth::Eight, "{}: bits a sample", path.display());
    assert_ne!(info.color_type, png::ColorType::Indexed, "{}: colour type", path.display());
    let (width, height) = (info.width as usize, info.height as usize);
    let channels = info.color_type.samples();
    let mut data = vec![0; width * height * channels];
    reader.next_frame(&mut data).expect("PNG pixels");
    Picture { width, height, channels, data }
}

/// One row of the manifest by column name.
type Case = BTreeMap<String, String>;

fn cases(folder: &Path) -> Vec<Case> {
    let path = folder.join("MANIFEST.tsv");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let header: Vec<&str> = lines.next().expect("a header line").split('\t').collect();
    lines
        .map(|line| {
            header.iter().zip(line.split('\t')).map(|(k, v)| ((*k).into(), v.into())).collect()
        })
        .collect()
}

fn number<T: std::str::FromStr>(case: &Case, column: &str) -> T {
    let text = &case[column];
    text.parse().unwrap_or_else(|_| panic!("{column} is not a number: {text}"))
}

/// What differs, or nothing.
fn run(folder: &Path, case: &Case) -> Option<String> {
    let mut input = read_png(&folder.join(&case["input"]));
    let size = (input.width, input.height, input.channels);
    assert_eq!(
        size,
        (number(case, "width"), number(case, "height"), number(case, "channels")),
        "{}: size",
        case["input"]
    );
    assert_eq!(case["aperture"], "3", "{}: only aperture 3 is implemented", case["input"]);
    let mode = match case["mode"].as_str() {
        "direct" => ColourMode::Colour,
        "gray" => ColourMode::Gray,
        "bgr" => {
            input.data.chunks_exact_mut(input.channels).for_each(<[u8]>::reverse);
            ColourMode::Colour
        }
        mode => panic!("{}: unknown mode {mode}", case["input"]),
    };
    let norm = match case["norm"].as_str() {
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        norm => panic!("{}: unknown norm {norm}", case["input"]),
    };
    let canny =
        Canny { low: number(case, "threshold1"), high: number(case, "threshold2"), norm, mode };
    let view = PixelView {
        data: &input.data,
        width: input.width,
        height: input.height,
        channels: input.channels,
    };
    let edges = canny.detect(view).expect("a valid image");
    let expected = read_png(&folder.join(&case["output"]));
    assert_eq!((expected.width, expected.height, expected.channels), (size.0, size.1, 1));
    assert_eq!(
        expected.data.iter().filter(|&&byte| byte != 0).count(),
        number::<usize>(case, "edge_pixels")
    );
    let wrong: Vec<usize> =
        (0..edges.data.len()).filter(|&i| edges.data[i] != expected.data[i]).collect();
    let first = wrong.first()?;
    Some(format!(
        "{} {} {canny:?}: {} of {} pixels differ, the first in row {} column {}",
        case["input"],
        case["mode"],
        wrong.len(),
        edges.data.len(),
        first.div_euclid(size.0),
        first % size.0,
    ))
}

#[test]
fn canny_golden() {
    let folder = folder();
    let cases = cases(&folder);
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    let wrong: Vec<String> = cases.iter().filter_map(|case| run(&folder, case)).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
