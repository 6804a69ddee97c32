//! `repair`: images or rows to protocol-correct captures.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use torchlight::protocol_repair::{Link, PayloadPolicy, Subnets, TimingModel};
use torchlight::stages::{CAPTURES_FOLDER, RepairInput, RepairJob, repair_images};
use torchlight::trace_image::read_image_folder;
use torchlight::{Monitor, RepairSettings, Stage, StopFlag};

use crate::bars::Bars;
use crate::files::new_folder;
use crate::summary::{Common, Summary};

/// `torchlight repair`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: torchlight repair generated/ -o repaired --addresses 10.20.0.0/16"
)]
pub struct Repair {
    /// Trace images, nPrint CSV, or image folders with metadata.jsonl
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Folder for captures/, reports/ and report.json
    #[arg(short, long)]
    output: PathBuf,
    /// Timing model (default: the built-in one)
    #[arg(long)]
    timing: Option<PathBuf>,
    /// Label category whose values have times of their own in the timing model
    #[arg(long)]
    timing_label: Option<String>,
    /// Network that hosts are numbered in, IPv4 or IPv6 (default: documentation ranges)
    #[arg(long, value_name = "CIDR", value_parser = subnets)]
    addresses: Option<Subnets>,
    /// Link layer
    #[arg(long, value_enum, default_value_t = LinkName::Ethernet)]
    link: LinkName,
    /// What fills payload
    #[arg(long, value_enum, default_value_t = Filler::Random)]
    payload: Filler,
    /// A capture that breaks a rule all the same is a failure
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LinkName {
    Ethernet,
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Filler {
    Zero,
    Random,
    Pattern,
}

impl Repair {
    /// Does it.
    pub fn run(self, common: &Common, stop: &StopFlag) -> anyhow::Result<Summary> {
        new_folder(&self.output, "report.json", common)?;
        if common.force {
            // Reports say which captures are finished; with other settings none is.
            let reports = self.output.join(torchlight::stages::REPORTS_FOLDER);
            if reports.is_dir() {
                std::fs::remove_dir_all(&reports)?;
            }
        }
        let mut inputs = Vec::new();
        for path in &self.inputs {
            if path.is_dir() {
                inputs.extend(read_image_folder(path)?.iter().map(RepairInput::from));
            } else {
                inputs.push(RepairInput {
                    path: path.clone(),
                    labels: [("", ""); 0].into_iter().collect(),
                });
            }
        }
        let timing = match &self.timing {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                TimingModel::from_json(&text.with_context(|| path.display().to_string())?)?
            }
            None => TimingModel::default(),
        };
        let settings = RepairSettings {
            addresses: self.addresses,
            link: if self.link == LinkName::Raw { Link::RawIp } else { Link::Ethernet },
            payload: match self.payload {
                Filler::Zero => PayloadPolicy::Zero,
                Filler::Random => PayloadPolicy::Random,
                Filler::Pattern => PayloadPolicy::Pattern,
            },
            ..RepairSettings::default()
        };
        let job = RepairJob {
            inputs: &inputs,
            settings: &settings,
            timing: &timing,
            timing_label: self.timing_label.as_deref(),
            seed: common.seed(),
            strict: self.strict,
        };
        let mut bars = Bars::new(common);
        let mut monitor = Monitor::new(Stage::Repair, &mut bars, stop);
        let made = repair_images(&job, &self.output, &mut monitor)?;
        let changed: u64 = made.iter().map(|m| m.repair.changed_non_derived_cells).sum();
        let cells: u64 = made.iter().map(|m| m.repair.non_derived_cells).sum();
        Ok(Summary::of(made.len())
            .fact("captures", made.len())
            .fact("packets", made.iter().map(|m| m.repair.packets).sum::<usize>())
            .fact("changed_share_of_own_cells", changed as f64 / (cells as f64).max(1.0))
            .fact("output", self.output.join(CAPTURES_FOLDER).display().to_string())
            .problems(monitor.problems()))
    }
}

/// A network, its lower half for initiators and its upper half for responders.
fn subnets(text: &str) -> Result<Subnets, String> {
    let wrong = || format!("{text}: expected a network such as 10.20.0.0/16 or fd00::/48");
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    let mut subnets = Subnets::default();
    if let Ok(address) = address.parse::<Ipv4Addr>() {
        let half = 31_u32.checked_sub(u32::from(prefix)).ok_or_else(wrong)?;
        let low = (u64::from(address.to_bits()) >> (half + 1) << (half + 1)) as u32;
        subnets.initiators_v4 = (Ipv4Addr::from_bits(low), prefix + 1);
        subnets.responders_v4 = (Ipv4Addr::from_bits(low | 1 << half), prefix + 1);
    } else {
        let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
        let half = 127_u32.checked_sub(u32::from(prefix)).ok_or_else(wrong)?;
        let low = address.to_bits() >> half >> 1 << half << 1;
        subnets.initiators_v6 = (Ipv6Addr::from_bits(low), prefix + 1);
        subnets.responders_v6 = (Ipv6Addr::from_bits(low | 1 << half), prefix + 1);
    }
    subnets.check().map_err(|error| error.to_string())?;
    Ok(subnets)
}
