//! Training a control network on an image folder.

use std::path::Path;

use controlnet_canny::Canny;
use controlnet_canny::controlnet::{AnyControlNet, edge_condition, train_control};
use diffusion_lora::Pipeline;
use diffusion_lora::data::read_png;
use diffusion_lora::schedule::NoiseSchedule;
use diffusion_lora::train::{Material, Outcome, TrainConfig};
use tch::Tensor;
use trace_image::FolderImage;

use super::material::examples;
use super::{CHECKPOINT_FILE, LOSS_FILE};
use crate::artefact::write_atomic;
use crate::{Error, Monitor, Result};

/// What a control network is trained from.
#[derive(Debug, Clone, Copy)]
pub struct ControlJob<'a> {
    /// The frozen base.
    pub pipeline: &'a Pipeline,
    /// The images with their captions.
    pub images: &'a [FolderImage],
    /// The edges it is to follow.
    pub canny: &'a Canny,
    /// The course of the training.
    pub training: &'a TrainConfig,
}

/// Trains a control network, writes its folder (`config.json`, weights) and [`LOSS_FILE`] into
/// `folder`; goes on from [`CHECKPOINT_FILE`] where there is one.
///
/// # Errors
/// [`Error::NoImages`], [`Error::Edges`], [`Error::Diffusion`], and [`Error::Stopped`], after which the
/// checkpoint holds the state.
pub fn train_controlnet(
    job: &ControlJob<'_>,
    folder: &Path,
    monitor: &mut Monitor<'_>,
) -> Result<()> {
    let ControlJob { pipeline, images, canny, training } = *job;
    if images.is_empty() {
        return Err(Error::NoImages { folder: folder.to_owned() });
    }
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let (mut examples, text) = examples(pipeline, images, 0)?;
    let edges = |image: &FolderImage| Ok(edge_condition(canny, &read_png(&image.path)?)?);
    let edges = images.iter().map(edges).collect::<Result<Vec<_>>>()?;
    let edges = Tensor::f_stack(&edges, 0).map_err(diffusion_lora::Error::from)?;
    let columns = edges.size().last().copied().unwrap_or(0);
    let mut control = AnyControlNet::from_denoiser(&pipeline.denoiser, columns, training.seed)?;
    let channels = control.conditioning_channels();
    let edges = edges.repeat([1, channels, 1, 1]).to_device(pipeline.device());
    examples.conditions = Some(edges);
    let schedule = NoiseSchedule::new(&pipeline.scheduler)?;
    let material = Material { examples: &examples, schedule: &schedule };
    let checkpoint = Some(folder.join(CHECKPOINT_FILE));
    let denoiser = pipeline.denoiser.as_dyn();
    let observe = |at: diffusion_lora::train::Progress| {
        monitor.advance_with(at.step, at.steps, Some(at.loss))
    };
    let (outcome, losses) = match &mut control {
        AnyControlNet::UNet2D(model) => {
            train_control(model, denoiser, &text, material, training, checkpoint, observe)?
        }
        AnyControlNet::UNet1D(model) => {
            train_control(model, denoiser, &text, material, training, checkpoint, observe)?
        }
        other => {
            return Err(diffusion_lora::Error::Config {
                class: "controlnet",
                field: "_class_name",
                value: format!("{other:?}"),
                expected: "a class that can be trained",
            }
            .into());
        }
    };
    let lines = losses.iter().enumerate().map(|(i, loss)| format!("{},{loss}\n", i + 1));
    let table: String = std::iter::once("step,loss\n".to_owned()).chain(lines).collect();
    write_atomic(&folder.join(LOSS_FILE), table.as_bytes())?;
    if outcome != Outcome::Finished {
        return Err(monitor.stopped());
    }
    Ok(control.save(folder)?)
}
