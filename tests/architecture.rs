//! The picture in `docs/architecture.md`, enforced: which crate may know which.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use torchlight_tests::{cargo, root};

/// Every edge of the picture: who depends, on whom.
const EDGES: [(&str, &str); 10] = [
    ("trace-image", "nprint-codec"),
    ("protocol-repair", "nprint-codec"),
    ("trace-eval", "nprint-codec"),
    ("controlnet-canny", "diffusion-lora"),
    ("torchlight", "nprint-codec"),
    ("torchlight", "trace-image"),
    ("torchlight", "diffusion-lora"),
    ("torchlight", "controlnet-canny"),
    ("torchlight", "protocol-repair"),
    ("torchlight", "trace-eval"),
];
/// The edges that a feature switches on.
const OPTIONAL_EDGES: [(&str, &str); 2] =
    [("controlnet-canny", "diffusion-lora"), ("torchlight", "diffusion-lora")];
/// The seven crates.
const CRATES: [&str; 7] = [
    "nprint-codec",
    "trace-image",
    "diffusion-lora",
    "controlnet-canny",
    "protocol-repair",
    "trace-eval",
    "torchlight",
];
/// The workspace's own packages: they may use every crate and each other, and no crate may use
/// them.
const TOP_LEVEL: [&str; 6] = [
    "torchlight-examples",
    "torchlight-benches",
    "torchlight-canny-benches",
    "torchlight-diffusion-benches",
    "torchlight-tests",
    "xtask",
];

/// One dependency of one member on another, as declared.
#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    optional: bool,
}

fn metadata() -> Value {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps"]).expect("cargo metadata");
    serde_json::from_str(&text).expect("cargo metadata prints JSON")
}

fn members(metadata: &Value) -> BTreeMap<String, &Value> {
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    let name = |package: &Value| package["name"].as_str().map(str::to_owned);
    packages.iter().map(|p| (name(p).expect("a package has a name"), p)).collect()
}

/// Every declared dependency of a member on a member, of any kind: normal, dev and build.
fn edges(members: &BTreeMap<String, &Value>) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (from, package) in members {
        for dependency in package["dependencies"].as_array().expect("a package has dependencies") {
            let to = dependency["name"].as_str().expect("a dependency has a name").to_owned();
            if members.contains_key(&to) {
                let optional = dependency["optional"] == true;
                edges.push(Edge { from: from.clone(), to, optional });
            }
        }
    }
    edges
}

#[test]
fn the_members_are_the_ones_in_the_picture() {
    let metadata = metadata();
    let expected: BTreeSet<&str> = CRATES.into_iter().chain(TOP_LEVEL).collect();
    let members = members(&metadata);
    assert_eq!(members.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_edge_is_in_the_picture() {
    let metadata = metadata();
    let edges = edges(&members(&metadata));
    assert!(!edges.is_empty(), "the workspace has edges");
    for edge in &edges {
        let allowed = EDGES.contains(&(edge.from.as_str(), edge.to.as_str()));
        let top_level = TOP_LEVEL.contains(&edge.from.as_str());
        assert!(allowed || top_level, "{} must not know {}", edge.from, edge.to);
    }
}

#[test]
fn every_edge_of_the_picture_is_there() {
    let metadata = metadata();
    let edges = edges(&members(&metadata));
    for (from, to) in EDGES {
        let found: Vec<&Edge> = edges.iter().filter(|e| e.from == from && e.to == to).collect();
        assert!(!found.is_empty(), "{from} does not use {to}: the picture is out of date");
        if OPTIONAL_EDGES.contains(&(from, to)) {
            assert!(found.iter().any(|e| e.optional), "{from} must use {to} behind a feature");
        }
    }
}

#[test]
fn crates_without_tensors_do_not_reach_libtorch() {
    let all = ["-e", "normal,build,dev"];
    let without_feature = ["-e", "normal,build,dev", "--no-default-features"];
    let builds: [(&str, &[&str]); 10] = [
        ("nprint-codec", &all),
        ("trace-image", &all),
        ("protocol-repair", &all),
        ("trace-eval", &all),
        ("controlnet-canny", &without_feature),
        ("torchlight", &without_feature),
        ("torchlight-examples", &without_feature),
        ("torchlight-benches", &all),
        ("torchlight-canny-benches", &all),
        ("torchlight-tests", &all),
    ];
    for (package, arguments) in builds {
        let tree = tree(package, arguments);
        assert!(tree.starts_with(package), "an unexpected tree: {tree}");
        for line in tree.lines() {
            let name = line.split_whitespace().next().unwrap_or_default();
            assert!(!matches!(name, "tch" | "torch-sys"), "{package} reaches {line}");
        }
    }
}

#[test]
fn the_tree_shows_libtorch_where_it_is() {
    // Otherwise the test above could not fail.
    assert!(tree("controlnet-canny", &[]).contains("torch-sys "));
    assert!(tree("diffusion-lora", &[]).contains("torch-sys "));
    assert!(tree("torchlight-examples", &[]).contains("torch-sys "));
}

fn tree(package: &str, arguments: &[&str]) -> String {
    let command = ["tree", "--locked", "--prefix", "none", "--package", package];
    cargo(&[&command[..], arguments].concat()).expect("cargo tree")
}

#[test]
fn xtask_needs_nothing() {
    let metadata = metadata();
    let members = members(&metadata);
    assert_eq!(members["xtask"]["dependencies"], serde_json::json!([]));
}

#[test]
fn every_package_inherits_from_the_workspace() {
    let metadata = metadata();
    for (name, package) in members(&metadata) {
        let path = package["manifest_path"].as_str().expect("a package has a manifest");
        let manifest = manifest(path);
        let inherits = |table: &str, key: &str| {
            let value = manifest.get(table).and_then(|t| t.get(key));
            value.and_then(|v| v.get("workspace")) == Some(&toml::Value::Boolean(true))
        };
        for key in ["edition", "rust-version", "version", "license"] {
            assert!(inherits("package", key), "{name}: {key}.workspace = true is missing");
        }
        let lints = manifest.get("lints").and_then(|l| l.get("workspace"));
        assert_eq!(lints, Some(&toml::Value::Boolean(true)), "{name}: [lints] workspace = true");
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let dependencies = manifest.get(table).and_then(toml::Value::as_table);
            for (dependency, value) in dependencies.into_iter().flatten() {
                assert!(value.get("path").is_none(), "{name}: {dependency} by path, not workspace");
            }
        }
    }
}

#[test]
fn the_workspace_forbids_what_the_house_style_forbids() {
    let manifest = manifest(root().join("Cargo.toml"));
    let lints = &manifest["workspace"]["lints"];
    // `deny` for the one module that opens libtorch's CUDA part; all other crates forbid it.
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("deny"));
    for entry in std::fs::read_dir(root().join("crates")).expect("the folder of crates") {
        let folder = entry.expect("an entry").path();
        let library = std::fs::read_to_string(folder.join("src/lib.rs")).expect("a library");
        let forbids = library.contains("#![forbid(unsafe_code)]");
        assert_eq!(forbids, !folder.ends_with("diffusion-lora"), "{}", folder.display());
    }
    for lint in ["integer_division", "unwrap_used", "todo", "dbg_macro", "print_stdout"] {
        assert_eq!(lints["clippy"][lint].as_str(), Some("deny"), "{lint}");
    }
}

fn manifest(path: impl AsRef<std::path::Path>) -> toml::Value {
    let text = std::fs::read_to_string(path).expect("a readable manifest");
    toml::from_str(&text).expect("a manifest is TOML")
}
