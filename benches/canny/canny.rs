//! Edges of one real trace image: `cargo bench -p torchlight-canny-benches`.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use controlnet_canny::{Canny, ColourMode, PixelView};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use torchlight_benches::{SIZE, image};

fn edges(c: &mut Criterion) {
    let image = image().expect("the sample captures are in the repository");
    let size = image.size();
    let view =
        PixelView { data: image.pixels(), width: size.columns, height: size.rows, channels: 3 };
    let gray = Canny { mode: ColourMode::Gray, ..Canny::default() };

    let mut group = c.benchmark_group("canny");
    group.throughput(Throughput::Elements((size.rows * size.columns) as u64));
    group.bench_function(SIZE, |b| b.iter(|| Canny::default().detect(black_box(view))));
    group.bench_function(format!("gray/{SIZE}"), |b| b.iter(|| gray.detect(black_box(view))));
    group.finish();
}

criterion_group!(benches, edges);
criterion_main!(benches);
