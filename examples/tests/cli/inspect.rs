//! `inspect`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{capture, code, text, torchlight};

fn samples(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data-samples").join(name)
}

/// What `inspect` says about one file, as JSON.
fn found(folder: &Path, words: &[&str]) -> Value {
    let done = torchlight(folder, &[&["inspect", "--json"], words].concat());
    assert_eq!(code(&done), 0, "{}", text(&done.stderr));
    let summary: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    summary["found"].clone()
}

#[test]
fn rows_of_any_form() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    capture(folder.path(), "a.pcap");
    let mut forms = vec![("csv", "nPrint CSV", 20), ("npy", "array", 20), ("png", "image", 1024)];
    if cfg!(feature = "polars") {
        forms.push(("parquet", "Parquet table", 20));
    }
    for (format, kind, rows) in forms {
        let name = format!("a.{format}");
        torchlight(folder.path(), &["encode", "a.pcap", "--format", format, "-o", &name]);
        let found = found(folder.path(), &[&name]);
        assert_eq!((&found["kind"], &found["rows"]), (&json!(kind), &json!(rows)), "{format}");
        assert_eq!(found["columns"], 1088);
    }
}

#[test]
fn captures_with_damage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut bytes = fs::read(capture(folder.path(), "a.pcap")).expect("readable");
    let whole = found(folder.path(), &["a.pcap", "--lossy"]);
    assert_eq!((&whole["packets"], &whole["damage"]), (&json!(20), &Value::Null));
    // The fifth record states another length.
    bytes[24 + 4 * 76 + 8..24 + 4 * 76 + 12].copy_from_slice(&[0xff; 4]);
    fs::write(folder.path().join("b.pcap"), &bytes).expect("written");
    for (words, packets, says) in [
        (&["b.pcap"][..], 4, "b.pcap, packet 5, byte 328"),
        (&["b.pcap", "--lossy"], 19, "damaged in 1 places, 76 bytes passed over"),
    ] {
        let found = found(folder.path(), words);
        let damage = found["damage"].as_str().expect("damage");
        assert!(found["packets"] == packets && damage.contains(says), "{found}");
    }
}

/// The headers of weights say it; no number behind them is read.
#[test]
fn models_and_weights() {
    let base = samples("torchlight-base");
    let model = found(&base, &["."]);
    assert_eq!(model["kind"], "model folder");
    let unet = "unet/diffusion_pytorch_model.safetensors";
    let weights = found(&base, &[unet]);
    assert_eq!(weights["kind"], "weights");
    assert_eq!(model["unet"]["parameters"], weights["parameters"]);
    let bytes = fs::read(base.join(unet)).expect("readable");
    let header_bytes = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + header_bytes]).expect("JSON");
    let tensors = header.as_object().expect("an object").keys();
    let tensors = tensors.filter(|name| *name != "__metadata__").count();
    assert!(weights["tensors"] == tensors && tensors > 100, "{weights}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, damaged) in [
        ("short", &bytes[..4]),
        ("cut", &bytes[..bytes.len() - 1]),
        ("header", &bytes[..header_bytes]),
        ("wild", &[0xff; 64]),
    ] {
        let name = format!("{name}.safetensors");
        fs::write(folder.path().join(&name), damaged).expect("written");
        let done = torchlight(folder.path(), &["inspect", &name]);
        assert_eq!(code(&done), 3);
        assert!(text(&done.stderr).contains(&format!("failed: {name}: ")), "{name}");
    }
}
