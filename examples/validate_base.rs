//! Measures a base model on captures it never saw: reconstruction field by field, agreement with a
//! parent as the control's scale goes from 0 to 1, and whether a forest trained on real captures
//! recognises the label that was asked for.
//!
//! ```text
//! cargo run --release --example validate_base -- MODEL_DIR CAPTURES_DIR [SERVICES_DIR [JUDGE_DIR]]
//! ```
//! `CAPTURES_DIR` holds labelled video captures (file names as in `data-samples/captures`), of
//! which the first eight are parents of the control test; `SERVICES_DIR` more captures for the
//! reconstruction alone; `JUDGE_DIR` the real captures that the forest learns from (default
//! `CAPTURES_DIR`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use controlnet_canny::Canny;
use controlnet_canny::controlnet::{AnyControlNet, edge_condition};
use diffusion_lora::Pipeline;
use diffusion_lora::data::{to_bytes, to_signed};
use diffusion_lora::sample::{ControlInput, SampleConfig, SampleRequest, sample};
use nprint_codec::{
    Field, Header, IpVersion, Labels, Layout, Row, RowPolicy, TernaryMatrix, Trace, dissect,
    encode, ipv4, ipv6, read_capture, tcp,
};
use protocol_repair::{RepairConfig, repair};
use tch::{Device, Kind, Tensor, no_grad};
use trace_eval::classify::{FeatureMatrix, Forest, ForestConfig};
use trace_eval::features::BitView;
use trace_image::{
    Canvas, DEFAULT_TEMPLATE, Description, LabelPattern, Palette, TraceImage, caption,
    decode_tolerant, render,
};

/// A capture with everything that is made from it.
struct Real {
    trace: Trace,
    matrix: TernaryMatrix,
    picture: Tensor,
    description: Description,
    labels: Labels,
    caption: String,
}

fn read_all(folder: &Path) -> Result<Vec<Real>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    files.retain(|f| f.to_string_lossy().contains(".pcap"));
    files.sort();
    files.iter().map(|file| read_one(file)).collect()
}

fn read_one(file: &Path) -> Result<Real> {
    let mut trace = read_capture(file)?;
    trace.truncate(Canvas::default().rows);
    let matrix = encode(&trace, &Layout::reference(), RowPolicy::EveryIpPacket);
    let image = render(&matrix, &Palette::TORCHLIGHT, &Canvas::default())?;
    let labels = LabelPattern::searchlight().labels(file)?;
    let caption = caption(&labels, DEFAULT_TEMPLATE)?.as_str().to_owned();
    Ok(Real {
        picture: to_tensor(&image),
        description: image.description()?.clone(),
        trace,
        matrix,
        labels,
        caption,
    })
}

fn to_tensor(image: &TraceImage) -> Tensor {
    let size = image.size();
    Tensor::from_slice(image.pixels())
        .reshape([size.rows as i64, size.columns as i64, 3])
        .permute([2, 0, 1])
        .contiguous()
}

fn to_matrix(picture: &Tensor, description: &Description) -> Result<nprint_codec::SoftMatrix> {
    let interleaved = picture.permute([1, 2, 0]).contiguous().flatten(0, -1);
    let pixels = Vec::<u8>::try_from(interleaved)?;
    let image = TraceImage::from_rgb(Canvas::default(), pixels)?;
    Ok(decode_tolerant(&image, description)?.0)
}

type Group = (&'static str, &'static [Field]);

/// What a packet must keep: each group is right where every field of it that is there is right.
const GROUPS: &[Group] = &[
    ("packet length", &[ipv4::TOTAL_LENGTH, ipv6::PAYLOAD_LENGTH]),
    ("TTL / hop limit", &[ipv4::TTL, ipv6::HOP_LIMIT]),
    ("protocol", &[ipv4::PROTOCOL, ipv6::NEXT_HEADER]),
    (
        "TCP flags",
        &[tcp::CWR, tcp::ECE, tcp::URG, tcp::ACK, tcp::PSH, tcp::RST, tcp::SYN, tcp::FIN],
    ),
    ("TOS / traffic class", &[ipv4::TOS, ipv6::TRAFFIC_CLASS]),
    ("fragment", &[ipv4::DONT_FRAGMENT, ipv4::MORE_FRAGMENTS, ipv4::FRAGMENT_OFFSET]),
    ("TCP window", &[tcp::WINDOW]),
];

fn reconstruction(pipeline: &Pipeline, reals: &[Real]) -> Result<Vec<(&'static str, f64, u64)>> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for real in reals {
        let autoencoder = pipeline.autoencoder.as_dyn();
        let picture = no_grad(|| {
            let latents = autoencoder.encode(&to_signed(&real.picture.unsqueeze(0)), None)?;
            autoencoder.decode(&latents)
        })?;
        let soft = to_matrix(&to_bytes(&picture).squeeze_dim(0), &real.description)?;
        for (truth, read) in real.matrix.iter().zip(soft.cells().iter()) {
            let mut count = |name, right: bool| {
                let slot = counts.entry(name).or_default();
                slot.0 += u64::from(right);
                slot.1 += 1;
            };
            count("header stack", Header::ALL.iter().all(|h| truth.has(*h) == read.has(*h)));
            for (name, fields) in GROUPS {
                if fields.iter().any(|f| truth.get(*f).is_some()) {
                    count(name, fields.iter().all(|f| truth.get(*f) == read.get(*f)));
                }
            }
        }
    }
    let order = ["header stack"].into_iter().chain(GROUPS.iter().map(|g| g.0));
    Ok(order
        .filter_map(|name| {
            counts.get(name).map(|(right, all)| (name, *right as f64 / *all as f64, *all))
        })
        .collect())
}

/// Length of a packet by its IP header.
fn length(row: &Row<'_>) -> Option<u32> {
    row.get(ipv4::TOTAL_LENGTH).or_else(|| row.get(ipv6::PAYLOAD_LENGTH).map(|l| l + 40))
}

/// Whether each packet comes from the side that sends more bytes.
fn downstream(trace: &Trace) -> Vec<bool> {
    let sides: Vec<Option<(Vec<u8>, Vec<u8>)>> = trace
        .iter()
        .map(|p| {
            let d = dissect(trace.link_type(), p.bytes)?;
            let (at, n) = if d.version == IpVersion::V4 { (12, 4) } else { (8, 16) };
            Some((d.ip.get(at..at + n)?.to_vec(), d.ip.get(at + n..at + 2 * n)?.to_vec()))
        })
        .collect();
    let mut sent: BTreeMap<(&[u8], &[u8]), u64> = BTreeMap::new();
    for (side, packet) in sides.iter().zip(trace.iter()) {
        if let Some((from, to)) = side {
            *sent.entry((from, to)).or_default() += u64::from(packet.original_length);
        }
    }
    sides
        .iter()
        .map(|side| {
            side.as_ref().is_some_and(|(from, to)| {
                let there = sent.get(&(&from[..], &to[..])).copied().unwrap_or(0);
                there > sent.get(&(&to[..], &from[..])).copied().unwrap_or(0)
            })
        })
        .collect()
}

fn share(pairs: impl Iterator<Item = bool>) -> f64 {
    let (mut right, mut all) = (0_u32, 0_u32);
    for ok in pairs {
        right += u32::from(ok);
        all += 1;
    }
    f64::from(right) / f64::from(all.max(1))
}

/// A generated child: its matrix as decoded, its matrix and capture after repair.
struct Child {
    raw: TernaryMatrix,
    trace: Trace,
    changed: f64,
}

fn children(
    pipeline: &Pipeline,
    control: &AnyControlNet,
    parents: &[&Real],
    scale: f64,
    guidance_scale: f64,
) -> Result<Vec<Child>> {
    let mut made = Vec::new();
    let mut description = parents[0].description.clone();
    description.packet_rows = None;
    for (index, parent) in parents.iter().enumerate() {
        let text = no_grad(|| pipeline.encode_text(&[&parent.caption], 0))?;
        let negative = no_grad(|| pipeline.encode_text(&[""], 0))?;
        let edges = edge_condition(&Canny::default(), &parent.picture)?;
        let condition = edges.unsqueeze(0).to_kind(Kind::Float) / 255.0;
        let canvas = Canvas::default();
        let shape = pipeline
            .autoencoder
            .as_dyn()
            .latent_shape(canvas.rows as i64, canvas.columns as i64)?;
        let request = SampleRequest {
            text: &text,
            negative: &negative,
            latent_shape: &shape,
            seeds: &[1000 + index as u64],
            control: Some(ControlInput { control: control.as_dyn(), condition: &condition, scale }),
        };
        let config = SampleConfig { steps: 25, guidance_scale, eta: 0.0 };
        let go_on = |_, _| ControlFlow::Continue(());
        let latents =
            sample(pipeline.denoiser.as_dyn(), &pipeline.scheduler, &config, &request, go_on)?;
        let latents = latents.context("sampling was stopped")?;
        let picture = no_grad(|| pipeline.autoencoder.as_dyn().decode(&latents))?;
        let soft = to_matrix(&to_bytes(&picture).squeeze_dim(0), &description)?;
        let (trace, report) = repair(&soft, &RepairConfig::default())?;
        made.push(Child {
            raw: soft.cells().clone(),
            trace,
            changed: report.changed_non_derived_share(),
        });
    }
    Ok(made)
}

fn label_accuracy(
    reals: &[Real],
    parents: &[&Real],
    children: &[Child],
    category: &str,
) -> Result<(f64, f64)> {
    let layout = Layout::reference();
    let keep = BitView::NoLeaks.columns(&layout);
    let repaired: Vec<TernaryMatrix> =
        children.iter().map(|c| encode(&c.trace, &layout, RowPolicy::EveryIpPacket)).collect();
    let matrices: Vec<&TernaryMatrix> = reals.iter().map(|r| &r.matrix).chain(&repaired).collect();
    let features = FeatureMatrix::from_ternary(&matrices, Canvas::default().rows, &keep)?;
    let value = |labels: &Labels| labels.value(category).unwrap_or_default().to_owned();
    let mut classes: Vec<String> = reals.iter().map(|r| value(&r.labels)).collect();
    classes.sort();
    classes.dedup();
    let number = |labels: &Labels| classes.iter().position(|c| *c == value(labels)).unwrap_or(0);
    let mut truth: Vec<usize> = reals.iter().map(|r| number(&r.labels)).collect();
    truth.extend(parents.iter().map(|p| number(&p.labels)));
    let train: Vec<usize> = (0..reals.len()).collect();
    let test: Vec<usize> = (reals.len()..truth.len()).collect();
    let forest = Forest::fit(&features, &truth, &train, &ForestConfig::default())?;
    let predicted = forest.predict(&features, &test);
    let right = share(test.iter().zip(&predicted).map(|(i, p)| truth[*i] == *p));
    Ok((right, 1.0 / classes.len() as f64))
}

#[allow(clippy::print_stdout)] // the table is what this program is for
fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(Into::into).collect();
    let [model, captures, services @ ..] = &arguments[..] else {
        anyhow::bail!("usage: validate_base MODEL_DIR CAPTURES_DIR [SERVICES_DIR [JUDGE_DIR]]");
    };
    let pipeline = Pipeline::load(model, Device::Cpu, Kind::Float)?;
    let control = AnyControlNet::load(&model.join("controlnet"), Device::Cpu, Kind::Float)?;
    let reals = read_all(captures)?;
    let mut sets = vec![("video", reals)];
    if let Some(folder) = services.first() {
        sets.push(("services", read_all(folder)?));
    }
    println!("| set | field | exact | packets |\n|---|---|---|---|");
    for (name, set) in &sets {
        for (field, right, packets) in reconstruction(&pipeline, set)? {
            println!("| {name} | {field} | {right:.5} | {packets} |");
        }
    }
    let reals = &sets[0].1;
    let parents: Vec<&Real> = reals.iter().take(8).collect();
    println!(
        "\n| control scale | exact length | same direction | non-derived cells changed by repair |"
    );
    println!("|---|---|---|---|");
    for scale in [0.0, 0.5, 1.0] {
        let made = children(&pipeline, &control, &parents, scale, 1.0)?;
        let mut lengths = Vec::new();
        let mut directions = Vec::new();
        for (parent, child) in parents.iter().zip(&made) {
            lengths.push(share(
                parent.matrix.iter().zip(child.raw.iter()).map(|(p, c)| length(&p) == length(&c)),
            ));
            let (p, c) = (downstream(&parent.trace), downstream(&child.trace));
            directions.push(share(p.iter().zip(&c).map(|(p, c)| p == c)));
        }
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let changed: Vec<f64> = made.iter().map(|c| c.changed).collect();
        println!(
            "| {scale} | {:.3} | {:.3} | {:.4} |",
            mean(&lengths),
            mean(&directions),
            mean(&changed)
        );
    }
    let all: Vec<&Real> = reals.iter().collect();
    println!(
        "\n| control scale | guidance | category | recognised by a forest trained on real captures | chance |"
    );
    println!("|---|---|---|---|---|");
    let judges = services.get(1).map(|folder| read_all(folder)).transpose()?;
    let judges = judges.as_ref().unwrap_or(reals);
    for (scale, guidance) in [(0.0, 1.0), (1.0, 1.0)] {
        let made = children(&pipeline, &control, &all, scale, guidance)?;
        for category in ["encryption", "resolution", "streaming", "transport"] {
            let (right, chance) = label_accuracy(judges, &all, &made, category)?;
            println!("| {scale} | {guidance} | {category} | {right:.3} | {chance:.3} |");
        }
    }
    Ok(())
}
