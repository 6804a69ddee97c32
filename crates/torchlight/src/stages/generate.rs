//! Children of real captures, as images.

use std::path::{Path, PathBuf};

use controlnet_canny::controlnet::AnyControlNet;
use diffusion_lora::Pipeline;
use diffusion_lora::data::{read_png, to_bytes};
use diffusion_lora::sample::{ControlInput, SampleConfig, SampleRequest, sample};
use diffusion_lora::schedule::{SchedulerClass, SchedulerConfig};
use nprint_codec::{Labels, Layout};
use tch::{Kind, Tensor, no_grad};
use trace_image::{
    Canvas, Caption, Description, FolderImage, ImageFolderWriter, Palette, TraceImage,
};

use super::{CHILD_COPY, CHILD_OF, CHILD_SEED};
use crate::artefact::seed_of;
use crate::{DatasetConfig, Error, GenerateConfig, Monitor, Result, Sampler};

/// What children are made from.
#[derive(Debug, Clone)]
pub struct Parent {
    /// Its name; children are `<name>-child-<number>`.
    pub name: String,
    /// The prompt.
    pub caption: Caption,
    /// What the children are said to be.
    pub labels: Labels,
    /// A picture of its edges, for control.
    pub edges: Option<PathBuf>,
}

impl Parent {
    /// A real image as a parent.
    pub fn of(image: &FolderImage, edges: Option<PathBuf>) -> Self {
        Self {
            name: image.stem().to_owned(),
            caption: image.caption.clone(),
            labels: image.labels.clone(),
            edges,
        }
    }
}

/// What to generate, and with what.
#[derive(Clone, Copy)]
pub struct GenerateJob<'a> {
    /// The model, with adapters attached.
    pub pipeline: &'a Pipeline,
    /// The control network, and the factor on it.
    pub control: Option<(&'a AnyControlNet, f64)>,
    /// The parents.
    pub parents: &'a [Parent],
    /// The settings.
    pub settings: &'a GenerateConfig,
    /// The form of the images.
    pub dataset: &'a DatasetConfig,
    /// Layers of the text encoder that are left out.
    pub clip_skip: usize,
    /// The run's seed; a child's follows from it, the parent's name and the copy.
    pub seed: u64,
}

/// One child to be.
struct Draw<'a> {
    parent: &'a Parent,
    copy: usize,
    seed: u64,
    stem: String,
    path: PathBuf,
}

/// Draws every child into `folder`: `images/<parent>-child-<number>.png`, and last
/// `metadata.jsonl` with each child's caption, parent, copy, seed and labels.
///
/// Batches are the same however often the work was interrupted, and a batch whose files are all
/// there is not drawn again.
///
/// # Errors
/// [`Error::NoImages`] without parents, [`Error::EdgesMissing`], [`Error::Diffusion`],
/// [`Error::Image`], [`Error::Stopped`].
pub fn generate(job: &GenerateJob<'_>, folder: &Path, monitor: &mut Monitor<'_>) -> Result<()> {
    let images = folder.join("images");
    std::fs::create_dir_all(&images).map_err(Error::file("create", &images))?;
    let children = children(job, &images);
    if children.is_empty() {
        return Err(Error::NoImages { folder: folder.to_owned() });
    }
    let batches = children.chunks(job.settings.batch_size.max(1));
    let total = batches.len() * job.settings.steps;
    let mut done = 0;
    monitor.step(done, total)?;
    for batch in batches {
        if !batch.iter().all(|child| child.path.is_file()) {
            no_grad(|| draw(job, batch, (done, total), monitor))?;
        }
        done += job.settings.steps;
        monitor.step(done, total)?;
    }
    let mut writer = ImageFolderWriter::replace(folder)?;
    for child in &children {
        let mut labels = child.parent.labels.clone();
        labels.set(CHILD_OF, child.parent.name.clone());
        labels.set(CHILD_COPY, child.copy.to_string());
        labels.set(CHILD_SEED, child.seed.to_string());
        let image = TraceImage::read_png(&child.path)?;
        writer.add(&child.stem, &image, &child.parent.caption, &labels)?;
    }
    writer.finish()?;
    Ok(())
}

fn children<'a>(job: &GenerateJob<'a>, images: &Path) -> Vec<Draw<'a>> {
    let run = job.seed.to_string();
    let each = |parent: &'a Parent, copy: usize| {
        let stem = format!("{}-child-{copy}", parent.name);
        let path = images.join(format!("{stem}.png"));
        let seed = seed_of(&["child", &run, &parent.name, &copy.to_string()]);
        Draw { parent, copy, seed, stem, path }
    };
    let copies = 1..=job.settings.children;
    job.parents.iter().flat_map(|p| copies.clone().map(move |copy| each(p, copy))).collect()
}

fn draw(
    job: &GenerateJob<'_>,
    batch: &[Draw<'_>],
    (done, total): (usize, usize),
    monitor: &mut Monitor<'_>,
) -> Result<()> {
    let GenerateJob { pipeline, settings, .. } = *job;
    let Canvas { rows, columns } = job.dataset.canvas();
    let prompts: Vec<&str> = batch.iter().map(|child| child.parent.caption.as_str()).collect();
    let negatives = vec![settings.negative_prompt.as_str(); batch.len()];
    let autoencoder = pipeline.autoencoder.as_dyn();
    let condition = match job.control {
        Some((control, _)) => {
            let channels = control.conditioning_channels().clamp(1, 3);
            Some(conditions(batch)?.narrow(1, 0, channels).to_device(pipeline.device()))
        }
        None => None,
    };
    let control = job.control.zip(condition.as_ref());
    let request = SampleRequest {
        text: &pipeline.encode_text(&prompts, job.clip_skip)?,
        negative: &pipeline.encode_text(&negatives, job.clip_skip)?,
        latent_shape: &autoencoder.latent_shape(rows as i64, columns as i64)?,
        seeds: &batch.iter().map(|child| child.seed).collect::<Vec<_>>(),
        control: control.map(|((control, scale), condition)| ControlInput {
            control: control.as_dyn(),
            condition,
            scale,
        }),
    };
    let config = SampleConfig {
        steps: settings.steps,
        guidance_scale: settings.guidance,
        ..SampleConfig::default()
    };
    let schedule = schedule(&pipeline.scheduler, settings.sampler);
    let latents = sample(pipeline.denoiser.as_dyn(), &schedule, &config, &request, |at, steps| {
        // Samplers of higher order call the network more often than there are steps.
        monitor.advance(done + (at * settings.steps).div_euclid(steps.max(1)), total)
    })?;
    let Some(latents) = latents else { return Err(monitor.stopped()) };
    for (index, child) in batch.iter().enumerate() {
        let decoded = autoencoder.decode(&latents.narrow(0, index as i64, 1))?;
        image(&decoded.squeeze_dim(0), job.dataset)?.write_png(&child.path)?;
    }
    Ok(())
}

/// Edges of the batch's parents, `[batch, 3, height, width]` in [0, 1].
fn conditions(batch: &[Draw<'_>]) -> Result<Tensor> {
    let read = |child: &Draw<'_>| {
        let parent = child.parent.name.clone();
        let path = child.parent.edges.clone().unwrap_or_default();
        if !path.is_file() {
            return Err(Error::EdgesMissing { path, parent });
        }
        Ok(read_png(&path)?)
    };
    let edges = batch.iter().map(read).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_stack(&edges, 0).map_err(diffusion_lora::Error::from)?.to_kind(Kind::Float)
        / 255.0)
}

/// A decoded image `[3, height, width]` in about [-1, 1] as 8-bit pixels.
fn image(decoded: &Tensor, dataset: &DatasetConfig) -> Result<TraceImage> {
    let pixels = to_bytes(decoded).permute([1, 2, 0]).contiguous().reshape([-1]);
    let pixels = Vec::<u8>::try_from(pixels).map_err(diffusion_lora::Error::from)?;
    let (canvas, palette): (Canvas, Palette) = (dataset.canvas(), dataset.palette);
    let description =
        Description { palette, canvas, layout: Layout::reference(), packet_rows: None };
    Ok(TraceImage::from_rgb(canvas, pixels)?.with_description(description)?)
}

/// The base's schedule with the chosen sampler.
fn schedule(stored: &SchedulerConfig, sampler: Option<Sampler>) -> SchedulerConfig {
    let class = match sampler {
        None => stored.class,
        Some(Sampler::Ddpm) => SchedulerClass::Ddpm,
        Some(Sampler::Ddim) => SchedulerClass::Ddim,
        Some(Sampler::Pndm) => SchedulerClass::Pndm,
        Some(Sampler::Unipc) => SchedulerClass::UniPc,
        Some(Sampler::Dpmpp) => SchedulerClass::DpmSolverMultistep,
        Some(Sampler::Euler) => SchedulerClass::EulerDiscrete,
    };
    let mut schedule = stored.clone();
    if class != stored.class {
        // Names of other classes' methods would be refused.
        (schedule.solver_type, schedule.algorithm_type) = (None, None);
    }
    schedule.class = class;
    schedule
}
