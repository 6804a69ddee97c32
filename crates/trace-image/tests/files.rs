//! PNG files of ours and of others, and image folders.

mod common;

use std::fs;

use common::{packets, rng};
use nprint_codec::Labels;
use png::{BitDepth, ColorType};
use trace_image::{
    Canvas, Caption, DEFAULT_TEMPLATE, Error, ImageFolderWriter, LabelPattern, Palette, TraceImage,
    caption, read_image_folder, render,
};

const SMALL: Canvas = Canvas { rows: 3, columns: 1088 };

/// A PNG by another program.
fn png(color: ColorType, depth: BitDepth, texts: &[(&str, &str)], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette(vec![0, 255, 0, 255, 0, 0]);
    }
    for (key, text) in texts {
        encoder.add_text_chunk((*key).to_owned(), (*text).to_owned()).expect("ASCII");
    }
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(data).expect("pixels");
    writer.finish().expect("an end");
    bytes
}

#[test]
fn every_colour_type_is_read() {
    use BitDepth::{Eight, One, Sixteen};
    let rgb = [9, 8, 7, 1, 2, 3];
    for (color, depth, data, expected) in [
        (ColorType::Rgb, Eight, &rgb[..], rgb),
        (ColorType::Rgba, Eight, &[9, 8, 7, 255, 1, 2, 3, 0], rgb),
        (ColorType::Grayscale, Eight, &[5, 6], [5, 5, 5, 6, 6, 6]),
        (ColorType::Grayscale, One, &[0b0100_0000], [0, 0, 0, 255, 255, 255]),
        (ColorType::GrayscaleAlpha, Eight, &[5, 0, 6, 1], [5, 5, 5, 6, 6, 6]),
        (ColorType::Indexed, One, &[0b1000_0000], [255, 0, 0, 0, 255, 0]),
        (ColorType::Rgb, Sixteen, &[9, 0, 8, 0, 7, 0, 1, 0, 2, 0, 3, 0], rgb),
    ] {
        let image = TraceImage::from_png(&png(color, depth, &[], data)).expect("a PNG");
        assert_eq!(image.size(), Canvas { rows: 1, columns: 2 });
        assert_eq!(image.pixels(), expected, "{color:?} {depth:?}");
        assert!(matches!(image.description(), Err(Error::Undescribed)));
    }
}

#[test]
fn wrong_descriptions_are_named() {
    let good = [
        ("torchlight:palette", "torchlight"),
        ("torchlight:canvas", "1x2"),
        ("torchlight:layout", "0123456789abcdef"),
        ("torchlight:fields", "udp_sport"),
    ];
    let error = |texts: &[(&str, &str)]| {
        let bytes = png(ColorType::Rgb, BitDepth::Eight, texts, &[0; 6]);
        TraceImage::from_png(&bytes).expect_err("a wrong description").to_string()
    };
    let with = |key: &str, text: &'static str| {
        let mut texts = good;
        texts.iter_mut().find(|(k, _)| *k == key).expect("a key").1 = text;
        error(&texts)
    };
    assert!(error(&good).contains("but 0123456789abcdef was recorded"), "{}", error(&good));
    assert!(
        with("torchlight:fields", "no_such").contains("`no_such`: expected nPrint field names")
    );
    assert!(with("torchlight:fields", "ipv4_ver").contains("whole bytes"));
    assert!(with("torchlight:layout", "xyz").contains("`torchlight:layout` is `xyz`"));
    assert!(with("torchlight:canvas", "2").contains("expected `<rows>x<columns>`"));
    assert!(with("torchlight:palette", "blue").contains("`torchlight:palette` is `blue`"));
    assert!(error(&good[1..]).contains("`torchlight:palette` is missing"));
    assert!(error(&[("torchlight:rows", "1")]).contains("is missing"));
    // Other programs' chunks do not matter.
    let other = png(ColorType::Rgb, BitDepth::Eight, &[("Software", "x")], &[0; 6]);
    assert!(TraceImage::from_png(&other).is_ok());
}

#[test]
fn a_resized_file_says_so() {
    let image = render(&packets(2, &mut rng(3)), &Palette::default(), &SMALL).expect("it fits");
    let file = image.to_png().expect("a PNG");
    // The chunks of the large picture before the pixels of a small one.
    let reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().expect("a PNG");
    let texts: Vec<_> = reader
        .info()
        .uncompressed_latin1_text
        .iter()
        .map(|chunk| (chunk.keyword.as_str(), chunk.text.as_str()))
        .collect();
    assert!(texts.contains(&("torchlight:rows", "2")), "{texts:?}");
    let resized = png(ColorType::Rgb, BitDepth::Eight, &texts, &[0; 6]);
    let error = TraceImage::from_png(&resized).expect_err("another size");
    let message = error.to_string();
    assert!(message.contains("1 rows x 2 columns"), "{message}");
    assert!(message.contains("3 rows x 1088 columns"), "{message}");
}

#[test]
fn files_are_named_in_errors() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.png");
    let missing = TraceImage::read_png(&path).expect_err("no file").to_string();
    assert!(missing.starts_with("cannot read ") && missing.contains("a.png"), "{missing}");
    fs::write(&path, "not a picture").expect("a file");
    let text = TraceImage::read_png(&path).expect_err("a text").to_string();
    assert!(text.contains("a.png: not a readable PNG"), "{text}");
    // A header that claims more than anybody has.
    let mut huge = png(ColorType::Rgb, BitDepth::Eight, &[], &[0; 6]);
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    assert!(TraceImage::from_png(&huge).is_err());

    let image = render(&packets(2, &mut rng(3)), &Palette::NETDIFFUSION, &SMALL).expect("fits");
    image.write_png(&path).expect("a file");
    assert_eq!(TraceImage::read_png(&path).expect("our file"), image);
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1, "nothing left beside it");
}

fn labels(name: &str) -> Labels {
    LabelPattern::searchlight().labels(name).expect("a labelled name")
}

#[test]
fn a_folder_is_read_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("set");
    let names = [
        "1795156798-c1.wgsts.tiered.torchlight-wireguardsts-a-video.576.hls.http1",
        "1795156541-c1.plain.tiered.torchlight-none-a-web.ipv6.500000",
    ];
    let mut rng = rng(5);
    let mut writer = ImageFolderWriter::create(&root).expect("a new folder");
    let mut made = Vec::new();
    for name in names {
        let image = render(&packets(3, &mut rng), &Palette::default(), &SMALL).expect("it fits");
        let caption = caption(&labels(name), DEFAULT_TEMPLATE).expect("labels");
        writer.add(name, &image, &caption, &labels(name)).expect("a new image");
        made.push(image);
    }
    let again = writer.add(names[0], &made[0], &Caption::new("x"), &Labels::new());
    assert!(matches!(again, Err(Error::ImageRepeated { .. })));
    for bad in ["", "a/b", "../x", ".hidden", "a\\b"] {
        let error = writer.add(bad, &made[0], &Caption::new("x"), &Labels::new());
        assert!(matches!(error, Err(Error::ImageName { .. })), "{bad}");
    }
    let reserved: Labels = [("text", "x")].into_iter().collect();
    let error = writer.add("c", &made[0], &Caption::new("x"), &reserved);
    assert!(matches!(error, Err(Error::ReservedCategory { .. })));
    assert!(matches!(read_image_folder(&root), Err(Error::Io { .. })), "it is not finished");
    let metadata = writer.finish().expect("a whole folder");

    let text = fs::read_to_string(metadata).expect("the metadata");
    assert_eq!(
        text.lines().next().expect("a line"),
        format!(
            "{{\"file_name\":\"images/{}.png\",\"text\":\"pixelated network data: wireguardsts, \
             576, hls, http1\",\"encryption\":\"wireguardsts\",\"resolution\":\"576\",\
             \"streaming\":\"hls\",\"transport\":\"http1\"}}",
            names[0]
        )
    );
    let read = read_image_folder(&root).expect("our folder");
    assert_eq!(read.len(), 2);
    for ((entry, image), name) in read.iter().zip(&made).zip(names) {
        assert_eq!(&entry.read().expect("an image"), image);
        assert_eq!(entry.labels, labels(name));
        assert_eq!(entry.stem(), name);
    }
    assert_eq!(read[1].caption.as_str(), "pixelated network data: web, 6");

    assert!(matches!(ImageFolderWriter::create(&root), Err(Error::FolderExists { .. })));
    let writer = ImageFolderWriter::replace(&root).expect("asked for");
    writer.finish().expect("an empty folder");
    assert_eq!(read_image_folder(&root).expect("our folder"), []);
}

#[test]
fn bad_metadata_names_file_and_line() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("a.png"), "x").expect("a file");
    let error = |line: &str| {
        let text = format!("{{\"file_name\":\"a.png\",\"text\":\"one\",\"n\":5}}\n\n{line}\n");
        fs::write(dir.path().join("metadata.jsonl"), text).expect("a file");
        let error = read_image_folder(dir.path()).expect_err("a bad line").to_string();
        assert!(error.contains("metadata.jsonl: line 3: "), "{error}");
        error
    };
    assert!(error("{").contains("expected one JSON object"));
    assert!(error("[]").contains("expected one JSON object"));
    assert!(error("{\"text\":\"x\"}").contains("key `file_name`"));
    assert!(error("{\"file_name\":\"a.png\"}").contains("key `text`: expected a caption"));
    assert!(error("{\"file_name\":\"b.png\",\"text\":\"x\"}").contains("no file `b.png`"));
    assert!(error("{\"file_name\":\"../a.png\",\"text\":\"x\"}").contains("inside the folder"));
    assert!(error("{\"file_name\":\"/a.png\",\"text\":\"x\"}").contains("inside the folder"));
    assert!(error("{\"file_name\":\"a.png\",\"text\":\"x\",\"k\":[]}").contains("key `k`"));
}
