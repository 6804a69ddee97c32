//! What a weight file says about itself: the safetensors header, none of the numbers behind it.
//!
//! ```text
//! ┌ 8 bytes ┬ n bytes ────────────────────────────────────────────┬ …
//! │ n       │ {"name": {"dtype", "shape", "data_offsets"}, …}     │ numbers
//! └─────────┴─────────────────────────────────────────────────────┴ …
//! ```
//! Source: the safetensors format.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;

/// A longer header is none; source: the reference reader.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The one entry of a header that is no tensor.
const METADATA: &str = "__metadata__";

/// The tensors of a file, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// How many there are.
    pub tensors: usize,
    /// The numbers in all of them.
    pub parameters: u64,
}

/// One tensor, as the header has it.
#[derive(Deserialize)]
struct Entry {
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Weights {
    /// Reads a header.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).context("no safetensors file: too short for a header")?;
        let header_bytes = u64::from_le_bytes(length);
        ensure!(
            header_bytes <= MAX_HEADER_BYTES && header_bytes + 8 <= file_bytes,
            "no safetensors file: a header of {header_bytes} bytes in a file of {file_bytes}"
        );
        let mut header = Vec::new();
        file.take(header_bytes).read_to_end(&mut header)?;
        let entries: BTreeMap<String, Value> =
            serde_json::from_slice(&header).context("no safetensors header")?;
        let (mut weights, mut end) = (Self { tensors: 0, parameters: 0 }, 0);
        for (name, entry) in entries.into_iter().filter(|(name, _)| name != METADATA) {
            let entry: Entry = serde_json::from_value(entry).with_context(|| name.clone())?;
            let numbers = entry.shape.iter().try_fold(1_u64, |n, &side| n.checked_mul(side));
            weights.tensors += 1;
            weights.parameters = numbers
                .and_then(|numbers| weights.parameters.checked_add(numbers))
                .with_context(|| format!("{name}: shape {:?}", entry.shape))?;
            end = end.max(entry.data_offsets.1);
        }
        let data_bytes = file_bytes - 8 - header_bytes;
        ensure!(end == data_bytes, "{data_bytes} bytes of numbers, the header says {end}");
        Ok(weights)
    }
}
