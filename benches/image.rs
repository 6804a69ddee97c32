//! Trace images of one real capture: `cargo bench --bench image`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use torchlight_benches::{SIZE, image, matrix};
use trace_image::{Canvas, Palette, TraceImage, decode_tolerant, render};

fn images(c: &mut Criterion) {
    let matrix = matrix().expect("the sample captures are in the repository");
    let image = image().expect("the sample captures are in the repository");
    let description = image.description().expect("a rendered image has one").clone();
    let damaged = damaged(&image);
    let png = image.to_png().expect("memory takes everything");

    let mut group = c.benchmark_group("image");
    group.throughput(Throughput::Elements((image.size().rows * image.size().columns) as u64));
    group.bench_function(format!("render/{SIZE}"), |b| {
        b.iter(|| render(black_box(&matrix), &Palette::TORCHLIGHT, &Canvas::default()));
    });
    group.bench_function(format!("decode/{SIZE}"), |b| {
        b.iter(|| decode_tolerant(black_box(&image), &description));
    });
    group.bench_function(format!("decode_damaged/{SIZE}"), |b| {
        b.iter(|| decode_tolerant(black_box(&damaged), &description));
    });
    group.bench_function(format!("png/{SIZE}"), |b| b.iter(|| black_box(&image).to_png()));
    group.bench_function(format!("png_read/{SIZE}"), |b| {
        b.iter(|| TraceImage::from_png(black_box(&png)));
    });
    group.finish();
}

/// The image as a model would give it: every sample off by up to ±100, from a fixed sequence.
fn damaged(image: &TraceImage) -> TraceImage {
    let mut state = 1_u32;
    let mut pixels = image.pixels().to_vec();
    for sample in &mut pixels {
        // The constants of Numerical Recipes' quick generator; its high byte is random enough.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let offset = ((state >> 24) as i32 * 200) >> 8;
        *sample = (i32::from(*sample) + offset - 100).clamp(0, 255) as u8;
    }
    TraceImage::from_rgb(image.size(), pixels).expect("the size is that of the image")
}

criterion_group!(benches, images);
criterion_main!(benches);
