//! All stages by the builder: what `torchlight run` does with a file of settings.
//!
//! `cargo run --release --example 07_whole_run [CAPTURES [BASE [FOLDER]]]`

use torchlight::{Event, StopFlag, Torchlight};
use torchlight_examples::argument;

fn main() -> anyhow::Result<()> {
    let torchlight = Torchlight::builder()
        .captures(argument(1, "data-samples/captures"))
        .base(argument(2, "data-samples/torchlight-base"))
        .output(argument(3, "target/examples/run"))
        .seed(7)
        .configure(|config| {
            config.captures.categories =
                ["encryption", "resolution", "streaming", "transport"].map(str::to_owned).to_vec();
            config.lora.steps = 20;
            config.lora.gradient_accumulation = 1;
            config.generate.parents = Some(8);
            config.generate.children = 2;
            config.generate.guidance = 1.0;
        })
        .build()?;
    let mut progress = |event: &Event| match event {
        Event::Finished { stage, took } => eprintln!("{stage}: {:.1} s", took.as_secs_f64()),
        Event::Skipped { stage, .. } => eprintln!("{stage}: done before"),
        Event::Problem(problem) => eprintln!("left out {problem}"),
        _ => {}
    };
    let outcome = torchlight.run(&mut progress, &StopFlag::new())?;
    eprintln!("{}\n{}", outcome.captures.display(), outcome.report.display());
    Ok(())
}
