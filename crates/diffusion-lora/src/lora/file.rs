//! Adapter files: PEFT's names with a JSON text in the header, and kohya's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::{Adapter, AdapterLayer};
use crate::error::{Error, Result};
use crate::weights::Weights;

const METADATA: &str = "lora_adapter_metadata";

/// How an adapter file names its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `unet.<module>.lora_A.weight`, `…lora_B.weight`; rank and alpha in the header under
    /// `lora_adapter_metadata`. Written by diffusers, read by diffusers and most interfaces.
    Peft,
    /// `lora_unet_<module with underscores>.lora_down.weight`, `….lora_up.weight`, `….alpha`.
    Kohya,
}

/// The adapters of one file: a denoiser's, a text encoder's, or both.
#[derive(Debug, Default)]
pub struct AdapterFile {
    /// For the denoiser.
    pub unet: Adapter,
    /// For the text encoder.
    pub text_encoder: Adapter,
}

/// A file's three tensors of one module, as they are met.
#[derive(Default)]
struct Parts {
    down: Option<Tensor>,
    up: Option<Tensor>,
    alpha: Option<f64>,
}

/// Which matrix a name's ending says: PEFT, PEFT with an adapter's name, old diffusers, kohya.
const ENDINGS: [(&str, bool); 8] = [
    (".lora_A.weight", true),
    (".lora_B.weight", false),
    (".lora_A.default.weight", true),
    (".lora_B.default.weight", false),
    (".lora.down.weight", true),
    (".lora.up.weight", false),
    (".lora_down.weight", true),
    (".lora_up.weight", false),
];

/// What a name's beginning says: the text encoder or not.
const BEGINNINGS: [(&str, bool); 7] = [
    ("lora_unet_", false),
    ("lora_te1_", true),
    ("lora_te_", true),
    ("base_model.model.text_encoder.", true),
    ("base_model.model.", false),
    ("text_encoder.", true),
    ("unet.", false),
];

impl AdapterFile {
    /// Reads an adapter in either format, which the names tell.
    ///
    /// Without an alpha in the file a module's alpha is its rank, as diffusers has it.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Safetensors`], [`Error::Json`] where the header's text is
    /// damaged, or [`Error::AdapterModule`] where a pair is incomplete or no LoRA.
    pub fn read(path: &Path) -> Result<Self> {
        let weights = Weights::read(path)?;
        let wrong = |module: &str, reason| Error::AdapterModule {
            adapter: path.display().to_string(),
            module: module.to_owned(),
            reason,
        };
        let header = match weights.metadata().get(METADATA) {
            Some(text) => {
                serde_json::from_str::<Map<String, Value>>(text).map_err(Error::json(path))?
            }
            None => Map::new(),
        };
        let mut parts = [BTreeMap::<String, Parts>::new(), BTreeMap::new()];
        for (name, tensor) in weights.iter() {
            let (stem, is_text) = BEGINNINGS
                .iter()
                .find_map(|&(begin, text)| Some((name.strip_prefix(begin)?, text)))
                .unwrap_or((name, false));
            let of = &mut parts[usize::from(is_text)];
            let ending =
                ENDINGS.iter().find_map(|&(end, down)| Some((stem.strip_suffix(end)?, down)));
            if let Some((module, is_down)) = ending {
                let part = of.entry(module.to_owned()).or_default();
                let matrix = Some(tensor.to_kind(Kind::Float));
                if is_down { part.down = matrix } else { part.up = matrix }
            } else if let Some(module) = stem.strip_suffix(".alpha") {
                let alpha = tensor.to_kind(Kind::Double);
                if alpha.numel() != 1 {
                    return Err(wrong(module, "alpha is not one number"));
                }
                of.entry(module.to_owned()).or_default().alpha =
                    Some(alpha.reshape([1]).double_value(&[0]));
            } else {
                return Err(wrong(stem, "a tensor that is no LoRA matrix and no alpha"));
            }
        }
        let [unet, text] = parts;
        let build = |parts: BTreeMap<String, Parts>, component: &str| {
            let settings = Settings::read(&header, component);
            let mut layers = BTreeMap::new();
            for (module, part) in parts {
                let (Some(down), Some(up)) = (part.down, part.up) else {
                    return Err(wrong(&module, "only one matrix of the pair is there"));
                };
                if down.dim() < 2 || up.dim() < 2 || down.size()[0] != up.size()[1] {
                    return Err(wrong(&module, "the two matrices have different ranks"));
                }
                let scale = settings.scale(&module, down.size()[0], part.alpha);
                layers.insert(module, AdapterLayer { down, up, scale });
            }
            Ok(Adapter { layers, target_modules: settings.target_modules })
        };
        Ok(Self { unet: build(unet, "unet")?, text_encoder: build(text, "text_encoder")? })
    }

    /// Writes the adapters, f32 as they are trained.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn save(&self, path: &Path, format: Format) -> Result<()> {
        let mut weights = Weights::new();
        let mut header = Map::new();
        for (component, kohya, adapter) in
            [("unet", "lora_unet", &self.unet), ("text_encoder", "lora_te", &self.text_encoder)]
        {
            for (module, layer) in &adapter.layers {
                let matrices = [&layer.down, &layer.up].map(|m| m.detach().to_kind(Kind::Float));
                let [down, up] = matrices;
                match format {
                    Format::Peft => {
                        weights.insert(format!("{component}.{module}.lora_A.weight"), down);
                        weights.insert(format!("{component}.{module}.lora_B.weight"), up);
                    }
                    Format::Kohya => {
                        let stem = format!("{kohya}_{}", module.replace('.', "_"));
                        let alpha = Tensor::from_slice(&[layer.alpha() as f32]).reshape([0_i64; 0]);
                        weights.insert(format!("{stem}.lora_down.weight"), down);
                        weights.insert(format!("{stem}.lora_up.weight"), up);
                        weights.insert(format!("{stem}.alpha"), alpha);
                    }
                }
            }
            if !adapter.is_empty() {
                header.extend(describe(adapter, component));
            }
        }
        weights.set_metadata("format", "pt");
        if format == Format::Peft {
            let text = Value::Object(header).to_string();
            weights.set_metadata(METADATA, text);
        }
        weights.save(path)
    }
}

/// What the header says about one component.
struct Settings {
    alpha: Option<f64>,
    alpha_pattern: BTreeMap<String, f64>,
    rank_stabilised: bool,
    target_modules: Vec<String>,
}

impl Settings {
    fn read(header: &Map<String, Value>, component: &str) -> Self {
        let field = |name: &str| header.get(&format!("{component}.{name}"));
        let pattern = field("alpha_pattern").and_then(Value::as_object);
        let targets = field("target_modules").and_then(Value::as_array);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            alpha: field("lora_alpha").and_then(Value::as_f64),
            alpha_pattern: pattern
                .into_iter()
                .flatten()
                .filter_map(|(module, alpha)| Some((module.clone(), alpha.as_f64()?)))
                .collect(),
            rank_stabilised: field("use_rslora").and_then(Value::as_bool).unwrap_or(false),
            target_modules: targets.into_iter().flatten().filter_map(text).collect(),
        }
    }

    /// A module's factor: its own alpha in the file, or in the header's pattern, or the common
    /// one, or the rank; over the rank (or its root, where rank-stabilised).
    fn scale(&self, module: &str, rank: i64, own: Option<f64>) -> f64 {
        let by_pattern = || {
            self.alpha_pattern.iter().find_map(|(target, &alpha)| {
                let head = module.strip_suffix(target.as_str())?;
                (head.is_empty() || head.ends_with('.')).then_some(alpha)
            })
        };
        let rank = rank as f64;
        let alpha = own.or_else(by_pattern).or(self.alpha).unwrap_or(rank);
        alpha / if self.rank_stabilised && own.is_none() { rank.sqrt() } else { rank }
    }
}

/// The header's fields for one component: PEFT's `LoraConfig` as far as it is not default.
fn describe(adapter: &Adapter, component: &str) -> Map<String, Value> {
    let commonest = |values: Vec<f64>| {
        let count = |wanted: f64| values.iter().filter(|&&v| same(v, wanted)).count();
        values.iter().copied().max_by_key(|&value| count(value)).unwrap_or(0.0)
    };
    let layers = || adapter.layers.iter();
    let rank = commonest(layers().map(|(_, layer)| layer.rank() as f64).collect());
    let alpha = commonest(layers().map(|(_, layer)| layer.alpha()).collect());
    let ranks: BTreeMap<&String, i64> = layers()
        .filter(|(_, layer)| !same(layer.rank() as f64, rank))
        .map(|(module, layer)| (module, layer.rank()))
        .collect();
    let alphas: BTreeMap<&String, Value> = layers()
        .filter(|(_, layer)| !same(layer.alpha(), alpha))
        .map(|(module, layer)| (module, number(layer.alpha())))
        .collect();
    let every: BTreeSet<&String> = adapter.layers.keys().collect();
    let targets = if adapter.target_modules.is_empty() {
        json!(every)
    } else {
        json!(adapter.target_modules)
    };
    let fields = [
        ("peft_type", json!("LORA")),
        ("r", number(rank)),
        ("lora_alpha", number(alpha)),
        ("target_modules", targets),
        ("rank_pattern", json!(ranks)),
        ("alpha_pattern", json!(alphas)),
        ("lora_dropout", json!(0.0)),
        ("bias", json!("none")),
        ("use_rslora", json!(false)),
        ("use_dora", json!(false)),
    ];
    fields.into_iter().map(|(name, value)| (format!("{component}.{name}"), value)).collect()
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// A whole number as an integer, which is how PEFT writes it.
fn number(value: f64) -> Value {
    let whole = value.round();
    if same(value, whole) { json!(whole as i64) } else { json!(value) }
}
