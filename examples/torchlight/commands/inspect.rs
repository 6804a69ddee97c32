//! `inspect`: what a file or folder holds.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};
use torchlight::Problem;
use torchlight::artefact::Manifest;
use torchlight::diffusion_lora::Weights;
use torchlight::diffusion_lora::lora::{AdapterFile, AdapterLayer};
use torchlight::nprint_codec::{
    Error, Layout, Trace, dissect, read_capture_lossy, read_csv, read_npy,
};
use torchlight::trace_image::{Description, TraceImage, decode_tolerant, read_image_folder};

use crate::files::{self, is_dash, shown};
use crate::summary::Summary;

/// `torchlight inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight inspect trace.pcap image.png pytorch_lora_weights.safetensors"
)]
pub struct Inspect {
    /// Captures, CSV, NPY, PNG, safetensors files; model, image and stage folders; `-` is a capture
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Inspect {
    /// Does it.
    pub fn run(self) -> Summary {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for path in &self.files {
            match look(path) {
                Ok(Value::Object(fields)) => {
                    let mut object = Map::new();
                    object.insert("file".to_owned(), json!(shown(path)));
                    object.extend(fields);
                    found.push(Value::Object(object));
                }
                Ok(other) => found.push(other),
                Err(error) => {
                    problems.push(Problem { input: shown(path), reason: format!("{error:#}") });
                }
            }
        }
        let mut summary = Summary::of(found.len()).problems(&problems);
        for value in found {
            summary = summary.fact("found", value);
        }
        summary
    }
}

fn look(path: &Path) -> anyhow::Result<Value> {
    if path.is_dir() {
        return folder(path);
    }
    if is_dash(path) {
        return Ok(capture(&files::capture(path)?, None));
    }
    let mut head = [0; 8];
    let mut file = std::fs::File::open(path)?;
    let _short_files_are_fine = std::io::Read::read(&mut file, &mut head)?;
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match (&head, ending.as_str()) {
        ([0x89, b'P', b'N', b'G', ..], _) => image(path),
        ([0x93, b'N', b'U', b'M', ..], _) => {
            let matrix = read_npy(&files::read(path)?[..], &shown(path), &Layout::reference())?;
            Ok(json!({ "kind": "array", "rows": matrix.rows(), "columns": matrix.columns() }))
        }
        (_, "safetensors") => weights(path),
        (_, "csv") => {
            let table = read_csv(path)?;
            Ok(json!({
                "kind": "nPrint CSV",
                "rows": table.matrix.rows(),
                "columns": table.matrix.columns(),
                "times": table.times_ns.is_some(),
            }))
        }
        _ => {
            let (trace, damage) = read_capture_lossy(path)?;
            Ok(capture(&trace, damage.as_ref()))
        }
    }
}

fn capture(trace: &Trace, damage: Option<&Error>) -> Value {
    let mut kinds: Map<String, Value> = Map::new();
    for packet in trace.iter() {
        let kind = dissect(trace.link_type(), packet.bytes)
            .map_or("no IP".to_owned(), |d| format!("{:?} {:?}", d.version, d.kind));
        let count = kinds.get(&kind).and_then(Value::as_u64).unwrap_or(0) + 1;
        kinds.insert(kind, json!(count));
    }
    let times: Vec<i64> = trace.iter().map(|packet| packet.time_ns).collect();
    let span = times.iter().max().zip(times.iter().min()).map_or(0, |(last, first)| last - first);
    json!({
        "kind": "capture",
        "link_type": trace.link_type().number(),
        "packets": trace.len(),
        "bytes_on_the_wire": trace.iter().map(|p| u64::from(p.original_length)).sum::<u64>(),
        "seconds": span as f64 / 1e9,
        "packets_by_kind": kinds,
        "damage": damage.map(ToString::to_string),
    })
}

fn image(path: &Path) -> anyhow::Result<Value> {
    let image = TraceImage::read_png(path)?;
    let size = image.size();
    let described = image.description().is_ok();
    let unknown = Description { canvas: size, ..Description::default() };
    let description = image.description().unwrap_or(&unknown);
    let decoded = decode_tolerant(&image, description).ok().map(|(_, report)| json!(report));
    Ok(json!({
        "kind": "image",
        "rows": size.rows,
        "columns": size.columns,
        "described": described,
        "palette": description.palette.to_string(),
        "cells": decoded,
    }))
}

fn weights(path: &Path) -> anyhow::Result<Value> {
    if let Ok(adapter) = AdapterFile::read(path) {
        let ranks: Vec<i64> = adapter.unet.layers.values().map(AdapterLayer::rank).collect();
        let alpha = adapter.unet.layers.values().next().map(AdapterLayer::alpha);
        return Ok(json!({
            "kind": "LoRA adapter",
            "modules": adapter.unet.layers.len(),
            "text_encoder_modules": adapter.text_encoder.layers.len(),
            "rank": ranks.iter().max(),
            "alpha": alpha,
            "targets": adapter.unet.target_modules,
        }));
    }
    let weights = Weights::read(path)?;
    let parameters: usize = weights.iter().map(|(_, tensor)| tensor.numel()).sum();
    Ok(json!({ "kind": "weights", "tensors": weights.len(), "parameters": parameters }))
}

fn folder(path: &Path) -> anyhow::Result<Value> {
    if path.join("model_index.json").is_file() {
        let part = |name: &str, file: &str| -> Option<Value> {
            let config = std::fs::read(path.join(name).join("config.json")).ok()?;
            let config: Value = serde_json::from_slice(&config).ok()?;
            let found = weights(&path.join(name).join(file)).ok()?;
            Some(json!({ "class": config["_class_name"], "parameters": found["parameters"] }))
        };
        let usual = "diffusion_pytorch_model.safetensors";
        return Ok(json!({
            "kind": "model folder",
            "text_encoder": part("text_encoder", "model.safetensors"),
            "vae": part("vae", usual),
            "unet": part("unet", usual),
            "controlnet": part("controlnet", usual),
        }));
    }
    if let Ok(manifest) = Manifest::read(path) {
        return Ok(json!({
            "kind": "stage folder",
            "stage": manifest.inputs.stage,
            "files": manifest.outputs.len(),
            "seed": manifest.seed,
            "seconds": manifest.duration_s,
            "problems": manifest.problems.len(),
        }));
    }
    let images = read_image_folder(path)?;
    let captions: Vec<&str> = images.iter().take(3).map(|image| image.caption.as_str()).collect();
    Ok(json!({ "kind": "image folder", "images": images.len(), "first_captions": captions }))
}
