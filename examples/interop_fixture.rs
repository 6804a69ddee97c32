//! Writes what `docs/interop/check_diffusers.py` reads: a tiny Stable Diffusion folder, a LoRA and a
//! ControlNet trained here for a few steps, and the images that sampling gives with them.
//!
//! ```text
//! cargo run --release --example interop_fixture -- FOLDER
//! python3 docs/interop/check_diffusers.py FOLDER
//! ```

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, Result};
use controlnet_canny::controlnet::{AnyControlNet, ControlNet, train_control};
use diffusion_lora::data::to_signed;
use diffusion_lora::folder::{AnyDenoiser, tiny_stable_diffusion};
use diffusion_lora::lora::{AdapterFile, Format, LoraConfig, LoraParameters};
use diffusion_lora::sample::{
    ControlInput, SampleConfig, SampleRequest, initial_noise, sample_from,
};
use diffusion_lora::schedule::NoiseSchedule;
use diffusion_lora::train::{
    Denoising, Examples, Material, TextConditioning, TrainConfig, Trainer, encode_images,
};
use diffusion_lora::{Pipeline, Weights};
use tch::{Device, Kind, Tensor, no_grad};

const PROMPT: &str = "pixelated network data: wireguardsts, 1080, html5, http2";
const SIDE: i64 = 64;
const CONTROL_SCALE: f64 = 0.8;
const SEEDS: [u64; 2] = [11, 12];

/// Training pictures: vertical stripes of several widths, their edges as conditions.
fn pictures() -> (Vec<Tensor>, Tensor) {
    let columns = Tensor::arange(SIDE, (Kind::Int64, Device::Cpu));
    let stripes = |width: i64| {
        let on = columns.floor_divide_scalar(width).remainder(2) * 255;
        on.to_kind(Kind::Uint8).expand([3, SIDE, SIDE], false).contiguous()
    };
    let edges = |width: i64| {
        let on = columns.remainder(width).eq(0).to_kind(Kind::Uint8) * 255;
        on.expand([3, SIDE, SIDE], false).contiguous()
    };
    let widths = [4, 8, 16, 32];
    (widths.map(stripes).into(), Tensor::stack(&widths.map(edges), 0))
}

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.context("usage: interop_fixture FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    tiny_stable_diffusion(&[PROMPT], 5)?.save(&folder.join("model"))?;
    let pipeline = Pipeline::load(&folder.join("model"), Device::Cpu, Kind::Float)?;
    let AnyDenoiser::UNet2D(unet) = &pipeline.denoiser else {
        anyhow::bail!("the tiny model has a two-dimensional UNet");
    };

    let (images, conditions) = pictures();
    let examples = Examples {
        latents: encode_images(pipeline.autoencoder.as_dyn(), &images)?,
        captions: vec![0; images.len()],
        conditions: Some(conditions.shallow_clone()),
        weights: vec![1.0; images.len()],
    };
    let schedule = NoiseSchedule::new(&pipeline.scheduler)?;
    let material = Material { examples: &examples, schedule: &schedule };
    let text = TextConditioning::Frozen(no_grad(|| pipeline.encode_text(&[PROMPT, ""], 0))?);
    let go_on = |_| ControlFlow::Continue(());
    let config =
        TrainConfig { steps: 20, learning_rate: 1e-2, batch_size: 2, ..TrainConfig::default() };

    let mut control = ControlNet::from_unet(unet, vec![8, 8, 16, 16], 6)?;
    train_control(&mut control, pipeline.denoiser.as_dyn(), &text, material, &config, None, go_on)?;
    control.save(&folder.join("controlnet"))?;

    let slots = pipeline.denoiser.lora_slots();
    let lora = LoraParameters::attach(slots, "fixture", &LoraConfig::default(), 7, Device::Cpu)?;
    let parameters = lora.store().variables().into_iter().collect();
    let objective = Denoising::new(pipeline.denoiser.as_dyn(), None, material, &text, 2, 0.0)?;
    Trainer::new(config, parameters, None).run(|rng| objective.loss(rng), go_on)?;
    let file = AdapterFile { unet: lora.adapter().detached(), ..AdapterFile::default() };
    std::fs::create_dir_all(folder.join("lora"))?;
    file.save(&folder.join("lora/pytorch_lora_weights.safetensors"), Format::Peft)?;
    slots.detach("fixture")?;

    // Everything from the files just written, as another program would.
    let control = AnyControlNet::load(&folder.join("controlnet"), Device::Cpu, Kind::Float)?;
    let adapter = AdapterFile::read(&folder.join("lora/pytorch_lora_weights.safetensors"))?;
    let shape = pipeline.autoencoder.as_dyn().latent_shape(SIDE, SIDE)?;
    let noise = initial_noise(&shape, &SEEDS);
    let copies = [PROMPT; SEEDS.len()];
    let prompt = no_grad(|| pipeline.encode_text(&copies, 0))?;
    let negative = no_grad(|| pipeline.encode_text(&[""; SEEDS.len()], 0))?;
    let condition = (to_signed(&conditions.narrow(0, 1, 1)) + 1.0) * 0.5;
    let condition = condition.repeat([SEEDS.len() as i64, 1, 1, 1]);
    let settings = SampleConfig { steps: 5, guidance_scale: 3.0, eta: 0.0 };
    let draw = |controlled: bool| -> Result<Tensor> {
        let request = SampleRequest {
            text: &prompt,
            negative: &negative,
            latent_shape: &shape,
            seeds: &SEEDS,
            control: controlled.then(|| ControlInput {
                control: control.as_dyn(),
                condition: &condition,
                scale: CONTROL_SCALE,
            }),
        };
        let latents = sample_from(
            pipeline.denoiser.as_dyn(),
            &pipeline.scheduler,
            &settings,
            &request,
            &noise,
            |_, _| ControlFlow::Continue(()),
        )?;
        let latents = latents.context("nobody stops this run")?;
        let image = no_grad(|| pipeline.autoencoder.as_dyn().decode(&latents))?;
        Ok(((image + 1.0) * 0.5).clamp(0.0, 1.0))
    };
    let mut made = Weights::new();
    made.insert("base", draw(false)?);
    made.insert("controlnet", draw(true)?);
    adapter.unet.attach(slots, "read", 1.0)?;
    made.insert("lora", draw(false)?);
    made.insert("lora_controlnet", draw(true)?);
    made.save(&folder.join("images.safetensors"))?;

    let mut inputs = Weights::new();
    inputs.insert("latents", noise);
    inputs.insert("prompt_ids", pipeline.tokenizer.batch(&[PROMPT]));
    inputs.insert("negative_ids", pipeline.tokenizer.batch(&[""]));
    inputs.insert("condition", condition);
    inputs.save(&folder.join("latents.safetensors"))?;
    let case = serde_json::json!({
        "steps": settings.steps, "eta": 0.0, "guidance_scale": settings.guidance_scale,
        "lora_scale": 1.0, "control_scale": CONTROL_SCALE, "prompt": PROMPT, "negative_prompt": "",
    });
    std::fs::write(folder.join("case.json"), serde_json::to_string_pretty(&case)?)?;
    Ok(())
}
