//! What each stage is made from, and how it is called.

use std::path::{Path, PathBuf};

use protocol_repair::TimingModel;
use serde::Serialize;
use serde_json::{Value, json};
use trace_image::{FolderImage, read_image_folder};

use super::Run;
use crate::artefact::{Inputs, Manifest, write_atomic};
use crate::model::{Place, attach_adapter, control_folder};
use crate::stages::{
    ADAPTER_FILE, CAPTURES_FOLDER, CHECKPOINT_FILE, EVALUATION_FILE, GenerateJob, LOSS_FILE,
    LoraJob, Parent, REPORTS_FOLDER, RepairInput, RepairJob, ReportSources, generate, learn_timing,
    read_samples, repair_images, train_lora, write_dataset, write_edges, write_report,
};
use crate::{Capture, Config, Error, LabelSource, Result, Stage, capture_files};

impl Run<'_> {
    pub(super) fn all(&mut self) -> Result<()> {
        let dataset = self.dataset()?;
        let images = read_image_folder(self.folder(Stage::Dataset))?;
        let lora = self.lora(&dataset, &images)?;
        let parents = spread(&images, self.config.generate.parents);
        let edges = self.edges(&dataset, &parents)?;
        let children = self.generate(&lora, &edges, &dataset, &parents)?;
        let captures = usable(&self.config.captures.dir, &dataset)?;
        let repaired = self.repair(&children, &captures)?;
        self.evaluate(&[&dataset, &lora, &edges, &children, &repaired], &captures)
    }

    fn dataset(&mut self) -> Result<Manifest> {
        let captures = &self.config.captures;
        let settings = json!({
            "dataset": value(&self.config.dataset),
            "categories": captures.categories,
            "pattern": captures.pattern,
        });
        let mut inputs = Inputs::new(Stage::Dataset, settings);
        let files = capture_files(&captures.dir)?;
        self.add_captures(&mut inputs, "captures", &files)?;
        self.add_labels(&mut inputs, &captures.dir, captures.labels.as_deref())?;
        self.stage(inputs, |config, folder, monitor| {
            let labels = labels(config, &config.captures.dir, config.captures.labels.as_deref())?;
            write_dataset(&files, &labels, &config.dataset, folder, monitor)?;
            Ok(())
        })
    }

    fn lora(&mut self, dataset: &Manifest, images: &[FolderImage]) -> Result<Manifest> {
        let Config { lora, base, precision, seed, .. } = self.config;
        let settings = json!({
            "lora": value(lora),
            "clip_skip": base.clip_skip,
            "precision": precision,
            "seed": seed,
        });
        let mut inputs = Inputs::new(Stage::TrainLora, settings);
        self.add_model(&mut inputs)?;
        inputs.add_stage(dataset);
        self.stage(inputs, |config, folder, monitor| {
            let pipeline = Place::of(config)?.load(&config.base.folder)?;
            let job = LoraJob {
                pipeline: &pipeline,
                images,
                settings: &config.lora,
                clip_skip: config.base.clip_skip,
                seed: config.seed,
            };
            train_lora(&job, folder, monitor)
        })
        .inspect(|_| {
            // Finished: the checkpoint is not needed, and where it cannot go it does no harm.
            let _ = std::fs::remove_file(self.folder(Stage::TrainLora).join(CHECKPOINT_FILE));
        })
    }

    fn edges(&mut self, dataset: &Manifest, parents: &[FolderImage]) -> Result<Manifest> {
        let names: Vec<&str> = parents.iter().map(FolderImage::stem).collect();
        let settings = json!({ "canny": value(&self.config.control.canny), "parents": names });
        let mut inputs = Inputs::new(Stage::Edges, settings);
        inputs.add_stage(dataset);
        self.stage(inputs, |config, folder, monitor| {
            write_edges(parents, &config.control.canny, &folder.join("images"), monitor)
        })
    }

    fn generate(
        &mut self,
        lora: &Manifest,
        edges: &Manifest,
        dataset: &Manifest,
        parents: &[FolderImage],
    ) -> Result<Manifest> {
        let Config { generate: settings, control, base, precision, seed, .. } = self.config;
        let control_at = control_folder(self.config);
        let settings = json!({
            "generate": value(settings),
            "control_scale": control_at.as_ref().map(|_| control.scale),
            "clip_skip": base.clip_skip,
            "precision": precision,
            "seed": seed,
        });
        let mut inputs = Inputs::new(Stage::Generate, settings);
        self.add_model(&mut inputs)?;
        if let Some(folder) = &control_at {
            inputs.add_folder("control", folder, &mut self.hashes)?;
        }
        for manifest in [lora, edges, dataset] {
            inputs.add_stage(manifest);
        }
        let adapter = self.folder(Stage::TrainLora).join(ADAPTER_FILE);
        let pictures = self.folder(Stage::Edges).join("images");
        self.stage(inputs, |config, folder, monitor| {
            let place = Place::of(config)?;
            let pipeline = place.load(&config.base.folder)?;
            attach_adapter(&pipeline, &adapter, 1.0)?;
            let control = control_at.map(|folder| place.load_control(&folder)).transpose()?;
            let of = |image: &FolderImage| {
                Parent::of(image, Some(pictures.join(format!("{}.png", image.stem()))))
            };
            let parents: Vec<Parent> = parents.iter().map(of).collect();
            let job = GenerateJob {
                pipeline: &pipeline,
                control: control.as_ref().map(|control| (control, config.control.scale)),
                parents: &parents,
                settings: &config.generate,
                dataset: &config.dataset,
                clip_skip: config.base.clip_skip,
                seed: config.seed,
            };
            generate(&job, folder, monitor)
        })
    }

    fn repair(&mut self, children: &Manifest, captures: &[PathBuf]) -> Result<Manifest> {
        let settings = json!({ "repair": value(&self.config.repair), "seed": self.config.seed });
        let mut inputs = Inputs::new(Stage::Repair, settings);
        inputs.add_stage(children);
        match &self.config.repair.timing {
            Some(file) => inputs.add_file("timing".to_owned(), file, &mut self.hashes)?,
            None => self.add_captures(&mut inputs, "captures", captures)?,
        }
        let images = read_image_folder(self.folder(Stage::Generate))?;
        self.stage(inputs, |config, folder, monitor| {
            let chosen = config.repair.timing_label.as_deref();
            let first = images.first().and_then(|image| image.labels.iter().next());
            let category = chosen.or(first.map(|(category, _)| category));
            let timing = timing(config, captures, category)?;
            write_atomic(&folder.join("timing.json"), timing.to_json()?.as_bytes())?;
            let inputs: Vec<RepairInput> = images.iter().map(RepairInput::from).collect();
            let job = RepairJob {
                inputs: &inputs,
                settings: &config.repair,
                timing: &timing,
                timing_label: category,
                seed: config.seed,
                strict: false,
            };
            repair_images(&job, folder, monitor)?;
            Ok(())
        })
    }

    fn evaluate(&mut self, before: &[&Manifest], captures: &[PathBuf]) -> Result<()> {
        let Config { evaluate: settings, dataset, .. } = self.config;
        let settings = json!({ "evaluate": value(settings), "dataset": value(dataset) });
        let mut inputs = Inputs::new(Stage::Evaluate, settings);
        for manifest in before {
            inputs.add_stage(manifest);
        }
        self.add_captures(&mut inputs, "captures", captures)?;
        let held_out = match &self.config.captures.held_out {
            Some(folder) => {
                self.add_labels(&mut inputs, folder, None)?;
                capture_files(folder)?
            }
            None => Vec::new(),
        };
        self.add_captures(&mut inputs, "held-out", &held_out)?;
        let at = |stage: Stage| self.folder(stage);
        let (dataset, edges, generated) =
            (at(Stage::Dataset), at(Stage::Edges), at(Stage::Generate));
        let (lora, repaired) = (at(Stage::TrainLora), at(Stage::Repair));
        let facts = facts(self.config, before);
        self.stage(inputs, |config, folder, monitor| {
            let packets = config.dataset.rows;
            let table = config.captures.labels.as_deref();
            let real = labels(config, &config.captures.dir, table)?;
            let real = read_samples(captures, &real, packets, monitor)?;
            let held_out = match &config.captures.held_out {
                Some(folder) => {
                    let labels = labels(config, folder, None)?;
                    read_samples(&held_out, &labels, packets, monitor)?
                }
                None => Vec::new(),
            };
            let made = repaired.join(CAPTURES_FOLDER);
            let labels = LabelSource::find(&made, None, None, &[])?;
            let synthetic = read_samples(&capture_files(&made)?, &labels, packets, monitor)?;
            let sources = ReportSources {
                real: &real,
                held_out: &held_out,
                synthetic: &synthetic,
                settings: &config.evaluate,
                dataset: &config.dataset,
                parents: Some(dataset.join("images")),
                edges: Some(edges.join("images")),
                children: Some(generated.join("images")),
                curves: loss_curves(&lora),
                reports: Some(repaired.join(REPORTS_FOLDER)),
                facts,
            };
            write_report(&sources, folder, monitor)?;
            Ok(())
        })?;
        Ok(())
    }

    fn add_captures(&mut self, inputs: &mut Inputs, name: &str, files: &[PathBuf]) -> Result<()> {
        for file in files {
            let path = format!("{name}/{}", file_name(file));
            inputs.add_file(path, file, &mut self.hashes)?;
        }
        Ok(())
    }

    fn add_labels(&mut self, inputs: &mut Inputs, dir: &Path, table: Option<&Path>) -> Result<()> {
        match LabelSource::table(dir, table, self.config.captures.pattern.as_ref()) {
            Some(file) => {
                let name = format!("labels/{}", file_name(dir));
                inputs.add_file(name, &file, &mut self.hashes)
            }
            None => Ok(()),
        }
    }

    /// The base without what lies beside the model's parts (a control network, training records).
    fn add_model(&mut self, inputs: &mut Inputs) -> Result<()> {
        let folder = &self.config.base.folder;
        for part in ["tokenizer", "text_encoder", "vae", "unet", "scheduler"] {
            let at = folder.join(part);
            if at.is_dir() {
                inputs.add_folder(&format!("base/{part}"), &at, &mut self.hashes)?;
            }
        }
        Ok(())
    }
}

/// The loss on the fixed batch, and of every step, of the fine-tuning in `folder`.
fn loss_curves(folder: &Path) -> Vec<(String, PathBuf)> {
    let files = [
        ("LoRA loss on a fixed batch of all training captures", EVALUATION_FILE),
        ("LoRA training loss, each step's own random batch", LOSS_FILE),
    ];
    files.map(|(name, file)| (name.to_owned(), folder.join(file))).to_vec()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn value(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).expect("settings are plain data with text keys")
}

fn labels(config: &Config, folder: &Path, table: Option<&Path>) -> Result<LabelSource> {
    let captures = &config.captures;
    LabelSource::find(folder, table, captures.pattern.as_ref(), &captures.categories)
}

/// The captures that the dataset shows.
fn usable(folder: &Path, dataset: &Manifest) -> Result<Vec<PathBuf>> {
    let mut files = capture_files(folder)?;
    files.retain(|file| dataset.problems.iter().all(|p| p.input != file_name(file)));
    Ok(files)
}

/// `count` images, or all, spread evenly over the labels.
fn spread(images: &[FolderImage], count: Option<usize>) -> Vec<FolderImage> {
    let mut sorted: Vec<&FolderImage> = images.iter().collect();
    sorted.sort_by_key(|image| {
        let labels: Vec<&str> = image.labels.iter().map(|(_, value)| value).collect();
        (labels, image.stem())
    });
    let count = count.unwrap_or(sorted.len()).min(sorted.len());
    (0..count).map(|i| sorted[(i * sorted.len()).div_euclid(count)].clone()).collect()
}

fn timing(config: &Config, captures: &[PathBuf], category: Option<&str>) -> Result<TimingModel> {
    if let Some(file) = &config.repair.timing {
        let text = std::fs::read_to_string(file).map_err(Error::file("read", file))?;
        return Ok(TimingModel::from_json(&text)?);
    }
    let labels = labels(config, &config.captures.dir, config.captures.labels.as_deref())?;
    let captures: Vec<Capture> =
        captures.iter().map(|file| Capture::read(file, &labels)).collect::<Result<_>>()?;
    Ok(learn_timing(&captures, category))
}

/// What the report says about the run.
fn facts(config: &Config, before: &[&Manifest]) -> Vec<(String, String)> {
    let shown =
        |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut facts = vec![
        ("torchlight".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("seed".to_owned(), config.seed.to_string()),
        ("base".to_owned(), shown(&config.base.folder)),
        ("control scale".to_owned(), config.control.scale.to_string()),
        (
            "fine-tuning".to_owned(),
            format!(
                "LoRA rank {}, {} steps of {} images",
                config.lora.rank,
                config.lora.steps,
                config.lora.batch_size * config.lora.gradient_accumulation
            ),
        ),
        (
            "generation".to_owned(),
            format!(
                "{} children a parent, {} steps, guidance {}",
                config.generate.children, config.generate.steps, config.generate.guidance
            ),
        ),
    ];
    facts.extend(before.iter().map(|manifest| {
        (format!("time of {}", manifest.inputs.stage), format!("{:.1} s", manifest.duration_s))
    }));
    facts
}
