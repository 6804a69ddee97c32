//! The whole run on untrained models, stopped and resumed, and with bad inputs.
#![cfg(feature = "diffusion")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{captures, results, tiny_run};
use diffusion_lora::folder::{tiny_row_model, tiny_stable_diffusion};
use torchlight::artefact::Manifest;
use torchlight::stages::ADAPTER_FILE;
use torchlight::{Error, Event, Outcome, Quiet, Stage, StopFlag, Torchlight};

/// An untrained Stable Diffusion with an untrained control network beside it.
fn stable_diffusion(root: &Path) -> PathBuf {
    use controlnet_canny::controlnet::ControlNet;
    use diffusion_lora::folder::AnyDenoiser;

    let folder = root.join("base");
    let pipeline =
        tiny_stable_diffusion(&["pixelated network data: none, s0"], 1).expect("a model");
    pipeline.save(&folder).expect("saved");
    if let AnyDenoiser::UNet2D(unet) = &pipeline.denoiser {
        let control =
            ControlNet::from_unet(unet, vec![8, 8, 16, 16], 2).expect("a control network");
        control.save(&folder.join("controlnet")).expect("saved");
    }
    folder
}

fn skipped(outcome: &Outcome) -> Vec<bool> {
    outcome.stages.iter().map(|stage| stage.skipped).collect()
}

fn go(torchlight: &Torchlight) -> Outcome {
    torchlight.run(&mut Quiet, &StopFlag::new()).expect("a run")
}

/// Asks for a stop at the first progress of `stage` after `after` units.
fn stop_in(torchlight: &Torchlight, stage: Stage, after: usize) {
    let stop = StopFlag::new();
    let result = torchlight.run(
        &mut |event: &Event| match event {
            Event::Advanced { stage: at, done, .. } if *at == stage && *done >= after => {
                stop.stop();
            }
            _ => {}
        },
        &stop,
    );
    assert!(matches!(result, Err(Error::Stopped { stage: at }) if at == stage), "{result:?}");
}

#[test]
fn stable_diffusion_from_captures_to_report() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let base = stable_diffusion(root.path());
    let torchlight = tiny_run(root.path(), &base).build().expect("good settings");
    let outcome = go(&torchlight);
    assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
    assert_eq!(skipped(&outcome), [false; 6]);
    let out = root.path().join("out");
    assert!(out.join("02-lora").join(ADAPTER_FILE).is_file());
    let new = fs::read_dir(&outcome.captures).expect("captures").count();
    assert_eq!(new, 3 * 2 + 1, "six captures and their labels");
    let page = fs::read_to_string(&outcome.report).expect("a page");
    assert!(page.contains("LoRA training loss") && page.contains("What repair changed"));
    let manifest = Manifest::read(&out.join("04-generate")).expect("a record");
    assert_eq!(manifest.outputs.len(), 7);
    let before = results(&out);

    assert_eq!(skipped(&go(&torchlight)), [true; 6], "nothing is done twice");

    // Another run elsewhere gives the same bytes.
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    go(&tiny_run(elsewhere.path(), &base).build().expect("good settings"));
    let after = results(&elsewhere.path().join("out"));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    for (a, b) in before.iter().zip(&after) {
        assert!(a.1 == b.1, "{} differs", a.0);
    }

    // A lost child is drawn again; the stages before it are not done again.
    let child = out.join("04-generate/images/c0-child-1.png");
    fs::remove_file(&child).expect("there was a child");
    fs::remove_file(out.join("04-generate/manifest.json")).expect("there was a record");
    let again = go(&torchlight);
    assert_eq!(skipped(&again)[..4], [true, true, true, false]);
    let same = results(&out);
    assert!(same.iter().zip(&before).all(|(a, b)| a == b), "the same bytes again");

    // Other settings of a stage redo it and what follows from it.
    let other = tiny_run(root.path(), &base).configure(|config| config.evaluate.pictures = 1);
    assert_eq!(
        skipped(&go(&other.build().expect("good settings"))),
        [true, true, true, true, true, false]
    );
}

/// Teaches the autoencoder a little, so that what it decodes has packets.
fn learn_rows(pipeline: &mut diffusion_lora::Pipeline) {
    use diffusion_lora::train::{RowTraining, TrainConfig, fit_row_autoencoder};
    use nprint_codec::{Layout, RowPolicy, encode};
    use torchlight::base::{column_weights, flip_chances, scramble_chances};
    use trace_image::{Canvas, Palette, render};

    let diffusion_lora::folder::AnyAutoencoder::Row(model) = &mut pipeline.autoencoder else {
        panic!("a row-wise model");
    };
    let layout = Layout::reference();
    let picture = |kind: u16| {
        let matrix = encode(&common::capture(kind, 32), &layout, RowPolicy::EveryIpPacket);
        let canvas = Canvas { rows: 32, columns: 1088 };
        let image = render(&matrix, &Palette::TORCHLIGHT, &canvas).expect("an image");
        let pixels = tch::Tensor::from_slice(image.pixels()).reshape([32, 1088, 3]);
        pixels.permute([2, 0, 1]).contiguous()
    };
    let rows = RowTraining {
        groups: vec![vec![picture(0), picture(1)]],
        weights: column_weights(&layout),
        flips: flip_chances(&layout),
        scrambles: scramble_chances(&layout),
        augmented_share: 0.0,
        latent_noise: 0.0,
    };
    let config = TrainConfig {
        steps: 60,
        batch_size: 32,
        gradient_accumulation: 1,
        learning_rate: 1e-2,
        ..TrainConfig::default()
    };
    fit_row_autoencoder(model, &rows, &config, None, |_| std::ops::ControlFlow::Continue(()))
        .expect("a finite loss");
}

#[test]
fn rows_from_captures_to_report() {
    use controlnet_canny::controlnet::AnyControlNet;

    let root = tempfile::tempdir().expect("a temporary folder");
    let base = root.path().join("base");
    let captions = ["pixelated network data: none, s0"];
    let mut pipeline = tiny_row_model(&captions, 1088, 1).expect("a model");
    learn_rows(&mut pipeline);
    pipeline.save(&base).expect("saved");
    let control = AnyControlNet::from_denoiser(&pipeline.denoiser, 1088, 2).expect("a network");
    control.save(&root.path().join("control")).expect("saved");
    let torchlight = tiny_run(root.path(), &base)
        .control(root.path().join("control"))
        .configure(|config| config.generate.sampler = Some(torchlight::Sampler::Unipc))
        .build()
        .expect("good settings");
    let outcome = go(&torchlight);
    assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
    assert_eq!(fs::read_dir(&outcome.captures).expect("captures").count(), 3 * 2 + 1);
    assert!(outcome.report.is_file());
    let losses = fs::read_to_string(root.path().join("out/02-lora/loss.csv")).expect("losses");
    assert_eq!(losses.lines().count(), 4);
    assert_eq!(skipped(&go(&torchlight)), [true; 6]);
}

#[test]
fn a_stopped_run_goes_on_and_ends_the_same() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let base = stable_diffusion(root.path());
    let whole = tiny_run(&root.path().join("a"), &base).build().expect("good settings");
    go(&whole);
    let parts = tiny_run(&root.path().join("b"), &base).build().expect("good settings");
    stop_in(&parts, Stage::Dataset, 2);
    stop_in(&parts, Stage::TrainLora, 1);
    stop_in(&parts, Stage::TrainLora, 2);
    stop_in(&parts, Stage::Edges, 1);
    stop_in(&parts, Stage::Generate, 1);
    stop_in(&parts, Stage::Generate, 3);
    stop_in(&parts, Stage::Repair, 3);
    stop_in(&parts, Stage::Evaluate, 0);
    let outcome = go(&parts);
    assert_eq!(skipped(&outcome), [true, true, true, true, true, false]);
    let (a, b) = (results(&root.path().join("a/out")), results(&root.path().join("b/out")));
    for (a, b) in a.iter().zip(&b) {
        assert!(a == b, "{} and {} differ", a.0, b.0);
    }
    assert_eq!(a.len(), b.len());
}

#[test]
fn bad_inputs_are_named_and_the_rest_is_done() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let base = stable_diffusion(root.path());
    let torchlight = tiny_run(root.path(), &base).build().expect("good settings");
    let folder = captures(&root.path().join("captures"));
    fs::write(folder.join("empty.pcap"), b"").expect("written");
    fs::write(folder.join("notes.txt"), b"not a capture").expect("written");
    let good = fs::read(folder.join("c0.pcap")).expect("a capture");
    fs::write(folder.join("cut.pcap"), &good[..good.len() - 9]).expect("written");
    fs::write(folder.join("stranger.pcap"), &good).expect("written");
    let outcome = go(&torchlight);
    let inputs: Vec<&str> = outcome.problems.iter().map(|p| p.input.as_str()).collect();
    assert_eq!(inputs, ["cut.pcap", "empty.pcap", "notes.txt", "stranger.pcap"]);
    let reasons: Vec<&str> = outcome.problems.iter().map(|p| p.reason.as_str()).collect();
    assert!(reasons[0].contains("packet 30"), "{}", reasons[0]);
    assert!(reasons[1].contains("is empty") && reasons[2].contains("is not a capture"));
    assert!(reasons[3].contains("stranger.pcap"));
    assert!(outcome.report.is_file());
    assert_eq!(go(&torchlight).problems, outcome.problems, "a skipped stage keeps its problems");
}

#[test]
fn a_folder_without_captures_is_an_error() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let base = stable_diffusion(root.path());
    let torchlight = tiny_run(root.path(), &base).build().expect("good settings");
    for entry in fs::read_dir(root.path().join("captures")).expect("a folder") {
        fs::remove_file(entry.expect("an entry").path()).expect("removed");
    }
    let error = torchlight.run(&mut Quiet, &StopFlag::new()).expect_err("nothing to do");
    assert!(matches!(error, Error::NoUsableCapture { files: 0, .. }), "{error}");
}
