//! The networks against Python diffusers and transformers, tensor by tensor.

mod golden_support;

use diffusion_lora::autoencoder::AutoencoderKL;
use diffusion_lora::denoiser::UNet2DCondition;
use diffusion_lora::lora::{LoraConfig, LoraParameters};
use diffusion_lora::text::ClipText;
use diffusion_lora::{Autoencoder, Denoiser, Model, Network};
use golden_support::{OUTPUT, cases, check, difference, recorded, tensor};
use std::path::Path;
use tch::{Device, Kind, Tensor, no_grad};

/// Intermediate results, which locate an error, are larger than outputs.
const ACTIVATION: f64 = 1e-4;

fn load<N: Network>(folder: &Path) -> Model<N> {
    Model::load(folder, Device::Cpu, Kind::Float).expect("the case's model loads")
}

#[test]
fn golden_unet2d() {
    for case in cases(|config| config["_class_name"] == UNet2DCondition::CLASS) {
        let (io, unet) = (recorded(&case), load::<UNet2DCondition>(&case));
        let mut seen = 0;
        let out = no_grad(|| {
            unet.predict_probed(
                &tensor(&io, "sample"),
                &tensor(&io, "timestep"),
                &tensor(&io, "encoder_hidden_states"),
                None,
                &mut |name, activation| {
                    let name = format!("act.{name}");
                    if io.get(&name).is_some() {
                        check(&case, &io, &name, activation, ACTIVATION);
                        seen += 1;
                    }
                },
            )
        });
        assert_eq!(seen, io.iter().filter(|(name, _)| name.starts_with("act.")).count());
        check(&case, &io, "out", &out.expect("shapes fit"), OUTPUT);
    }
}

#[test]
fn golden_autoencoder_kl() {
    for case in cases(|config| config["_class_name"] == AutoencoderKL::CLASS) {
        let (io, vae) = (recorded(&case), load::<AutoencoderKL>(&case));
        let (image, noise) = (tensor(&io, "image"), tensor(&io, "enc_noise"));
        let (scale, shift) =
            (vae.config().scaling_factor, vae.config().shift_factor.unwrap_or(0.0));
        no_grad(|| {
            let (mean, log_variance) = vae.distribution(&image).expect("shapes fit");
            check(&case, &io, "enc_mean", &mean, OUTPUT);
            check(&case, &io, "enc_logvar", &log_variance, OUTPUT);
            check(&case, &io, "enc_std", &(log_variance * 0.5).exp(), OUTPUT);
            let sample = vae.encode(&image, Some(&noise)).expect("shapes fit");
            check(&case, &io, "enc_sample", &(sample / scale + shift), OUTPUT);
            let mode = vae.encode(&image, None).expect("shapes fit");
            check(&case, &io, "enc_mean", &(mode / scale + shift), OUTPUT);
            let latent = tensor(&io, "latent");
            check(&case, &io, "dec", &vae.decode_unscaled(&latent).expect("shapes fit"), OUTPUT);
            let decoded = vae.decode(&((latent - shift) * scale)).expect("shapes fit");
            check(&case, &io, "dec", &decoded, OUTPUT);
        });
        let (height, width) = (image.size()[2], image.size()[3]);
        let shape = vae.latent_shape(height, width).expect("the recorded size fits");
        assert_eq!(shape, noise.size()[1..]);
    }
}

#[test]
fn golden_clip_text() {
    for case in cases(|config| config["architectures"][0] == ClipText::CLASS) {
        let (io, clip) = (recorded(&case), load::<ClipText>(&case));
        let ids = tensor(&io, "input_ids");
        let states = no_grad(|| clip.states(&ids)).expect("ids fit");
        for (index, hidden) in states.hidden.iter().enumerate() {
            check(&case, &io, &format!("hidden_{index}"), hidden, OUTPUT);
        }
        assert!(io.get(&format!("hidden_{}", states.hidden.len())).is_none(), "too few layers");
        check(&case, &io, "last_hidden_state", &states.last, OUTPUT);
        check(&case, &io, "pooler_output", &states.pooled, OUTPUT);
    }
}

#[test]
fn golden_models_survive_a_round_trip_through_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for case in cases(|config| config["_class_name"] == UNet2DCondition::CLASS) {
        let io = recorded(&case);
        let first = load::<UNet2DCondition>(&case);
        first.save(folder.path()).expect("saves");
        let second = load::<UNet2DCondition>(folder.path());
        assert_eq!(first.config(), second.config());
        let run = |unet: &UNet2DCondition| {
            let (latents, text) = (tensor(&io, "sample"), tensor(&io, "encoder_hidden_states"));
            no_grad(|| unet.predict(&latents, &tensor(&io, "timestep"), &text, None))
        };
        let (first, second) = (run(&first).expect("fits"), run(&second).expect("fits"));
        assert!(difference(&first, &second) == 0.0);
    }
}

/// In bf16 a network is near itself in f32, and an f32 adapter on it gets finite gradients.
#[test]
fn golden_unet2d_in_bf16() {
    for case in cases(|config| config["_class_name"] == UNet2DCondition::CLASS) {
        let io = recorded(&case);
        let unet: Model<UNet2DCondition> =
            Model::load(&case, Device::Cpu, Kind::BFloat16).expect("the case's model loads");
        let config = LoraConfig::default();
        let lora = LoraParameters::attach(unet.lora_slots(), "new", &config, 3, Device::Cpu)
            .expect("attention projections are there");
        let (latents, text) = (tensor(&io, "sample"), tensor(&io, "encoder_hidden_states"));
        let out = unet.predict(&latents, &tensor(&io, "timestep"), &text, None).expect("fits");
        assert_eq!(out.kind(), Kind::Float);
        let gap = difference(&out, &tensor(&io, "out"));
        assert!(gap < 0.1, "{}: {gap}", case.display());
        out.square().mean(Kind::Float).backward();
        for (name, parameter) in lora.store().variables() {
            let gradient = parameter.grad();
            assert!(gradient.isfinite().all().int64_value(&[]) == 1, "{name}");
            let silent = name.contains("lora_A"); // as long as B is zero
            let largest = gradient.abs().max().double_value(&[]);
            assert_eq!(silent, largest == 0.0, "{name}: {largest}");
        }
    }
}

#[test]
fn wrong_shapes_are_errors_with_the_argument() {
    let (root, own) = golden_support::root();
    if !own {
        return;
    }
    let unet = load::<UNet2DCondition>(&root.join("unet_sd1_eps"));
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let call = |latents: &[i64], steps: &[i64], text: &[i64]| {
        let error = unet.predict(&zeros(latents), &zeros(steps), &zeros(text), None);
        error.expect_err("the shapes do not fit").to_string()
    };
    let message = call(&[1, 3, 8, 8], &[1], &[1, 5, 24]);
    assert_eq!(message, "latents has shape [1, 3, 8, 8], expected [batch, 4, height, width]");
    assert!(call(&[2, 4, 8, 8], &[1], &[2, 5, 24]).starts_with("timesteps"));
    assert!(call(&[1, 4, 8, 8], &[1], &[1, 5, 23]).starts_with("text"));
}
