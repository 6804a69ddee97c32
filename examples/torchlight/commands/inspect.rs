//! `inspect`: what a file or folder holds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};
use torchlight::artefact::Manifest;
use torchlight::nprint_codec::{CsvReader, Layout, NpyReader, dissect};
use torchlight::trace_image::{Description, TraceImage, decode_tolerant, read_image_folder};
use torchlight::{Problem, StopFlag};

use super::tensors;
use crate::files::{self, is_dash, shown};
use crate::summary::Summary;
use crate::tables;
use crate::weights::Weights;

/// `torchlight inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight inspect trace.pcap image.png pytorch_lora_weights.safetensors"
)]
pub struct Inspect {
    /// Captures, CSV, NPY, PNG, safetensors files, Parquet (in builds with feature polars); model,
    /// image and stage folders; `-` is a capture
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Go on behind damage in captures
    #[arg(long)]
    lossy: bool,
}

impl Inspect {
    /// Does it.
    pub fn run(self, stop: &StopFlag) -> Summary {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for path in &self.files {
            match look(path, self.lossy, stop) {
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

fn look(path: &Path, lossy: bool, stop: &StopFlag) -> anyhow::Result<Value> {
    if path.is_dir() {
        return folder(path);
    }
    if is_dash(path) {
        return capture(path, lossy, stop);
    }
    let mut head = [0; 8];
    let _short_files_are_fine = File::open(path)?.read(&mut head)?;
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match (&head, ending.as_str()) {
        ([0x89, b'P', b'N', b'G', ..], _) => image(path),
        ([0x93, b'N', b'U', b'M', ..], _) => {
            let (input, layout) = (BufReader::new(files::open(path, stop)?), Layout::reference());
            let mut array = NpyReader::new(input, &shown(path), &layout)?;
            while array.next_row()?.is_some() {}
            Ok(json!({ "kind": "array", "rows": array.rows(), "columns": layout.columns() }))
        }
        ([b'P', b'A', b'R', b'1', ..], _) => {
            let table = tables::decode(std::fs::read(path)?, &shown(path))?;
            Ok(json!({
                "kind": "Parquet table",
                "rows": table.matrix.rows(),
                "columns": table.matrix.columns(),
                "times": table.times_ns.is_some(),
            }))
        }
        (_, "safetensors") => weights(path),
        (_, "csv") => {
            let (mut table, mut rows) =
                (CsvReader::new(files::open(path, stop)?, &shown(path))?, 0);
            while table.next_row()?.is_some() {
                rows += 1;
            }
            Ok(json!({
                "kind": "nPrint CSV",
                "rows": rows,
                "columns": table.layout().columns(),
                "times": table.has_times(),
            }))
        }
        _ => capture(path, lossy, stop),
    }
}

/// What a capture holds, as far as it can be read.
fn capture(path: &Path, lossy: bool, stop: &StopFlag) -> anyhow::Result<Value> {
    let mut packets = files::packets(path, stop)?;
    if lossy {
        packets = packets.lossy();
    }
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let (mut bytes_on_the_wire, mut span) = (0, None);
    let damage = loop {
        let captured = match packets.next_packet() {
            Ok(Some(captured)) => captured,
            Ok(None) => break None,
            Err(damage) => break Some(damage.to_string()),
        };
        let packet = captured.packet;
        let kind = dissect(captured.link_type, packet.bytes)
            .map_or("no IP".to_owned(), |d| format!("{:?} {:?}", d.version, d.kind));
        *kinds.entry(kind).or_default() += 1;
        bytes_on_the_wire += u64::from(packet.original_length);
        let (first, last) = span.unwrap_or((packet.time_ns, packet.time_ns));
        span = Some((packet.time_ns.min(first), packet.time_ns.max(last)));
    };
    Ok(json!({
        "kind": "capture",
        "link_type": packets.first_link_type().number(),
        "packets": packets.packets(),
        "bytes_on_the_wire": bytes_on_the_wire,
        "seconds": span.map_or(0, |(first, last)| last - first) as f64 / 1e9,
        "packets_by_kind": kinds,
        "damage": damage.or_else(|| files::losses(&packets)),
    }))
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
    if let Some(adapter) = tensors::adapter(path) {
        return Ok(adapter);
    }
    let Weights { tensors, parameters } = Weights::read(path)?;
    Ok(json!({ "kind": "weights", "tensors": tensors, "parameters": parameters }))
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
