//! Finds golden cases by walking folders, and compares tensors.
//!
//! `TORCHLIGHT_GOLDENS` names another folder whose `diffusers` subfolder has the same form.

use std::path::{Path, PathBuf};

use diffusion_lora::Weights;
use serde_json::Value;
use tch::{Kind, Tensor};

/// Network outputs: about ten times the noise floor of f32.
pub const OUTPUT: f64 = 2e-5;

/// The folder of the diffusers cases, and whether it is this package's own.
pub fn root() -> (PathBuf, bool) {
    tch::set_num_threads(1);
    match std::env::var_os("TORCHLIGHT_GOLDENS") {
        Some(folder) => (Path::new(&folder).join("diffusers"), false),
        None => (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diffusers"), true),
    }
}

/// Folders whose `config.json` `wanted` accepts, sorted. This package's own folder must have one.
pub fn cases(wanted: impl Fn(&Value) -> bool) -> Vec<PathBuf> {
    let (root, own) = root();
    assert!(root.is_dir(), "{} is no folder", root.display());
    let (mut open, mut found) = (vec![root], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("config.json") && wanted(&json(&path)) {
                found.push(folder.clone());
            }
        }
    }
    found.sort();
    assert!(!(own && found.is_empty()), "no golden case of this kind");
    found
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a readable file");
    serde_json::from_str(&text).expect("valid JSON")
}

/// A case's recorded inputs and outputs: its own or its parent folder's.
pub fn recorded(case: &Path) -> Weights {
    let own = case.join("io.safetensors");
    let parent = case.parent().expect("a case lies in a folder").join("io.safetensors");
    Weights::read(if own.is_file() { &own } else { &parent }).expect("recorded tensors")
}

/// A recorded tensor.
pub fn tensor(io: &Weights, name: &str) -> Tensor {
    let tensor = io.get(name);
    tensor.unwrap_or_else(|| panic!("{}: no {name}", io.origin().display())).shallow_clone()
}

/// Largest absolute difference; the shapes must agree.
pub fn difference(actual: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(actual.size(), expected.size(), "shapes");
    let gap = actual.to_kind(Kind::Double) - expected.to_kind(Kind::Double);
    let gap = gap.abs().max().double_value(&[]);
    if gap.is_nan() { f64::INFINITY } else { gap }
}

/// Fails where `actual` is further from the recorded tensor than `tolerance`.
pub fn check(case: &Path, io: &Weights, name: &str, actual: &Tensor, tolerance: f64) {
    let gap = difference(actual, &tensor(io, name));
    let folder = case.file_name().unwrap_or_default().display();
    eprintln!("{folder} {name}: {gap:.2e}");
    assert!(gap <= tolerance, "{folder} {name}: off by {gap:e}, allowed {tolerance:e}");
}
