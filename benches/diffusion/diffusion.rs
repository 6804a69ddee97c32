//! The embedded base's networks at their published sizes, with random weights, on one thread:
//! `cargo bench --bench diffusion`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use diffusion_lora::autoencoder::{RowAutoencoder, RowAutoencoderConfig};
use diffusion_lora::denoiser::{UNet1DCondition, UNet1DConfig};
use diffusion_lora::lora::{LoraConfig, LoraParameters};
use diffusion_lora::nn::Init;
use diffusion_lora::random::gaussian;
use diffusion_lora::train::{AdamW, AdamWConfig};
use diffusion_lora::{Autoencoder, Denoiser, Model};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Reduction, Tensor};

const ROWS: i64 = 1024;
const TOKENS: i64 = 32;
const BATCHES: [i64; 2] = [1, 4];
const INIT: Init = Init::Random { seed: 1 };

fn one_thread() {
    tch::set_num_threads(1);
}

/// A frozen denoiser, latents for the largest batch, and a caption's tokens.
fn unet(rng: &mut ChaCha8Rng) -> (Model<UNet1DCondition>, Tensor, Tensor) {
    let config = UNet1DConfig::default();
    let mut model = Model::<UNet1DCondition>::create(&config, INIT, Device::Cpu, Kind::Float)
        .expect("the defaults");
    model.store_mut().freeze();
    let latents = gaussian(rng, &[4, config.in_channels, ROWS]);
    let text = gaussian(rng, &[1, TOKENS, config.cross_attention_dim]);
    (model, latents, text)
}

/// The first latents, one caption for all of them, and the middle of the schedule.
fn batch_of(batch: i64, latents: &Tensor, text: &Tensor) -> (Tensor, Tensor, Tensor) {
    let times = Tensor::full([batch], 500, (Kind::Int64, Device::Cpu));
    (latents.narrow(0, 0, batch), text.repeat([batch, 1, 1]), times)
}

fn denoiser(c: &mut Criterion) {
    one_thread();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (unet, latents, text) = unet(&mut rng);
    let mut group = c.benchmark_group("unet1d");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for batch in BATCHES {
        let (latents, text, times) = batch_of(batch, &latents, &text);
        group.bench_function(BenchmarkId::new("forward", format!("{batch}x40x{ROWS}")), |b| {
            b.iter(|| tch::no_grad(|| unet.predict(black_box(&latents), &times, &text, None)));
        });
    }
    for batch in BATCHES {
        let config = LoraConfig::default();
        let lora = LoraParameters::attach(unet.slots(), "bench", &config, 1, Device::Cpu)
            .expect("the network has attention");
        let mut parameters: Vec<(String, Tensor)> = lora.store().variables().into_iter().collect();
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        let mut optimiser = AdamW::new(AdamWConfig::default(), parameters);
        let (latents, text, times) = batch_of(batch, &latents, &text);
        group.bench_function(BenchmarkId::new("lora_step", format!("{batch}x40x{ROWS}")), |b| {
            b.iter(|| {
                let target = gaussian(&mut rng, &latents.size());
                let noisy = (&latents + &target) * std::f64::consts::FRAC_1_SQRT_2;
                let predicted = unet.predict(&noisy, &times, &text, None).expect("the shapes fit");
                predicted.mse_loss(&target, Reduction::Mean).backward();
                optimiser.clip_grad_norm(1.0);
                optimiser.step(1e-4);
                optimiser.zero_grad();
            });
        });
        unet.slots().detach("bench").expect("it is attached");
    }
    group.finish();
}

fn autoencoder(c: &mut Criterion) {
    one_thread();
    let config = RowAutoencoderConfig::default();
    let mut model = Model::<RowAutoencoder>::create(&config, INIT, Device::Cpu, Kind::Float)
        .expect("the defaults");
    let channels = config.latent_channels;
    let statistics = (
        Tensor::zeros([channels], tch::kind::FLOAT_CPU),
        Tensor::ones([channels], tch::kind::FLOAT_CPU),
    );
    model.network_mut().set_statistics(&statistics.0, &statistics.1);
    let images = images();
    let encoded = tch::no_grad(|| model.encode(&images, None)).expect("the shapes fit");

    let mut group = c.benchmark_group("row_autoencoder");
    group.sample_size(20);
    group.bench_function(format!("encode/{ROWS}x1088"), |b| {
        b.iter(|| tch::no_grad(|| model.encode(black_box(&images), None)));
    });
    group.bench_function(format!("decode/{ROWS}x1088"), |b| {
        b.iter(|| tch::no_grad(|| model.decode(black_box(&encoded))));
    });
    group.finish();
}

/// One real trace image as `[1, 3, 1024, 1088]` in [-1, 1].
fn images() -> Tensor {
    let image = torchlight_benches::image().expect("the sample captures are in the repository");
    let (rows, columns) = (image.size().rows as i64, image.size().columns as i64);
    let pixels = Tensor::from_slice(image.pixels()).to_kind(Kind::Float);
    (pixels / 127.5 - 1.0).reshape([1, rows, columns, 3]).permute([0, 3, 1, 2]).contiguous()
}

criterion_group!(benches, denoiser, autoencoder);
criterion_main!(benches);
