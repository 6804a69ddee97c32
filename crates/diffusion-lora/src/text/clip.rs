//! CLIP's text transformer (`CLIPTextModel`).
//!
//! Source: Radford et al., "Learning Transferable Visual Models From Natural Language
//! Supervision"; parameter names and configuration are transformers'.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::lora::LoraSlots;
use crate::model::{Network, OtherFields};
use crate::nn::{Embedding, LayerNorm, Linear, Scope, attend};

const PREFIX: &str = "text_model.";

/// The non-linearity between a layer's two linear maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// The exact Gaussian error linear unit (SD 2).
    Gelu,
    /// `x · sigmoid(1.702 x)` (SD 1).
    QuickGelu,
}

/// `config.json` of a `CLIPTextModel`. Defaults are transformers' (SD 1's encoder is 768 wide).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClipTextConfig {
    /// Entries of the vocabulary.
    pub vocab_size: i64,
    /// Width of the tokens.
    pub hidden_size: i64,
    /// Width between a layer's two linear maps.
    pub intermediate_size: i64,
    /// Number of layers.
    pub num_hidden_layers: i64,
    /// Heads of every attention.
    pub num_attention_heads: i64,
    /// The longest text, in tokens.
    pub max_position_embeddings: i64,
    /// The non-linearity.
    pub hidden_act: HiddenAct,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
    /// The token whose position is pooled; 2 stands for the largest id, as old files have it.
    pub eos_token_id: i64,
    /// Every other field.
    #[serde(flatten)]
    pub other: OtherFields,
}

impl Default for ClipTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: HiddenAct::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49_407,
            other: OtherFields::new(),
        }
    }
}

impl ClipTextConfig {
    fn check(&self) -> Result<()> {
        let refuse = |field, value: i64, expected| {
            Err(Error::Config { class: ClipText::CLASS, field, value: value.to_string(), expected })
        };
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            if value < 1 {
                return refuse(field, value, "at least 1");
            }
        }
        if self.hidden_size.rem_euclid(self.num_attention_heads) != 0 {
            let expected = "a divisor of hidden_size";
            return refuse("num_attention_heads", self.num_attention_heads, expected);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Layer {
    fn new(scope: &Scope<'_>, config: &ClipTextConfig) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |name| LayerNorm::new(&scope.sub(name), width, config.layer_norm_eps);
        let (attention, mlp) = (scope.sub("self_attn"), scope.sub("mlp"));
        let proj = |name| Linear::new(&attention.sub(name), width, width);
        Self {
            norm1: norm("layer_norm1"),
            q_proj: proj("q_proj"),
            k_proj: proj("k_proj"),
            v_proj: proj("v_proj"),
            out_proj: proj("out_proj"),
            norm2: norm("layer_norm2"),
            fc1: Linear::new(&mlp.sub("fc1"), width, inner),
            fc2: Linear::new(&mlp.sub("fc2"), inner, width),
        }
    }

    fn forward(&self, xs: &Tensor, config: &ClipTextConfig) -> Tensor {
        let normed = self.norm1.forward(xs);
        let (q, k, v) = (
            self.q_proj.forward(&normed),
            self.k_proj.forward(&normed),
            self.v_proj.forward(&normed),
        );
        let heads = config.num_attention_heads;
        let xs = xs + self.out_proj.forward(&attend(&q, &k, &v, heads, true));
        let inner = self.fc1.forward(&self.norm2.forward(&xs));
        let inner = match config.hidden_act {
            HiddenAct::Gelu => inner.gelu("none"),
            HiddenAct::QuickGelu => &inner * (&inner * 1.702).sigmoid(),
        };
        &xs + self.fc2.forward(&inner)
    }
}

/// The text encoder of Stable Diffusion.
#[derive(Debug)]
pub struct ClipText {
    tokens: Embedding,
    positions: Embedding,
    layers: Vec<Layer>,
    final_layer_norm: LayerNorm,
    config: ClipTextConfig,
    slots: LoraSlots,
}

/// Everything the encoder computes for a batch.
#[derive(Debug)]
pub struct TextStates {
    /// The embeddings, then every layer's output; each `[batch, tokens, width]`.
    pub hidden: Vec<Tensor>,
    /// The last layer's output after the final norm, `[batch, tokens, width]`.
    pub last: Tensor,
    /// `last` at each text's first end token, `[batch, width]`.
    pub pooled: Tensor,
}

impl Network for ClipText {
    type Config = ClipTextConfig;
    const CLASS: &'static str = "CLIPTextModel";
    const WEIGHT_FILE: &'static str = "model.safetensors";

    fn build(scope: &Scope<'_>, config: &ClipTextConfig) -> Result<Self> {
        config.check()?;
        let scope = scope.sub("text_model");
        let width = config.hidden_size;
        let embeddings = scope.sub("embeddings");
        let layers = scope.sub("encoder.layers");
        let table = |name, entries| Embedding::new(&embeddings.sub(name), entries, width, 0.02);
        Ok(Self {
            tokens: table("token_embedding", config.vocab_size),
            positions: table("position_embedding", config.max_position_embeddings),
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(&layers.sub(index), config))
                .collect(),
            final_layer_norm: LayerNorm::new(
                &scope.sub("final_layer_norm"),
                width,
                config.layer_norm_eps,
            ),
            config: config.clone(),
            slots: scope.slots().clone(),
        })
    }

    fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// Published files have a `text_model.` prefix and a table of position numbers; newer writers
    /// leave both out.
    fn parameter_name(stored: &str) -> Option<String> {
        let name = stored.strip_prefix(PREFIX).unwrap_or(stored);
        (name != "embeddings.position_ids").then(|| format!("{PREFIX}{name}"))
    }

    fn class_fields() -> Vec<(&'static str, Value)> {
        vec![("architectures", json!([Self::CLASS])), ("model_type", json!("clip_text_model"))]
    }
}

impl ClipText {
    /// All hidden states of a batch of texts.
    ///
    /// # Shapes
    /// `ids` `[batch, tokens]` i64.
    ///
    /// # Errors
    /// [`Error::Shape`] where there are more tokens than positions or an id is outside the
    /// vocabulary.
    pub fn states(&self, ids: &Tensor) -> Result<TextStates> {
        let shape = ids.size();
        let longest = self.config.max_position_embeddings;
        if shape.len() != 2 || shape[0] < 1 || !(1..=longest).contains(&shape[1]) {
            let expected = format!("[batch, 1..={longest}]");
            return Err(Error::Shape { what: "token ids", expected, actual: shape });
        }
        let (smallest, largest) = (ids.min().int64_value(&[]), ids.max().int64_value(&[]));
        if smallest < 0 || largest >= self.config.vocab_size {
            let expected = format!("ids below {}", self.config.vocab_size);
            return Err(Error::Shape {
                what: "range of token ids",
                expected,
                actual: vec![smallest, largest],
            });
        }
        let positions = Tensor::arange(shape[1], (Kind::Int64, ids.device()));
        let mut hidden = vec![self.tokens.forward(ids) + self.positions.forward(&positions)];
        for layer in &self.layers {
            let next = hidden.last().map(|xs| layer.forward(xs, &self.config));
            hidden.extend(next);
        }
        let last = self.final_layer_norm.forward(&hidden[hidden.len() - 1]);
        let ends = match self.config.eos_token_id {
            2 => ids.argmax(-1, false),
            end => ids.eq(end).to_kind(Kind::Int).argmax(-1, false),
        };
        let index = ends.reshape([-1, 1, 1]).expand([-1, 1, last.size()[2]], false);
        let pooled = last.gather(1, &index, false).squeeze_dim(1);
        Ok(TextStates { hidden, last, pooled })
    }

    /// The tokens that condition a denoiser. `skip` layers are left out at the end, and the
    /// final norm is applied to what remains: diffusers' `clip_skip`, which is one less than the
    /// number kohya's scripts and most user interfaces call clip skip.
    ///
    /// # Shapes
    /// `ids` `[batch, tokens]` i64 → `[batch, tokens, width]`
    ///
    /// # Errors
    /// [`Error::Shape`] as in [`ClipText::states`]; [`Error::Config`] where there are not that
    /// many layers.
    pub fn encode(&self, ids: &Tensor, skip: usize) -> Result<Tensor> {
        if skip >= self.layers.len() {
            return Err(Error::Config {
                class: Self::CLASS,
                field: "clip skip",
                value: skip.to_string(),
                expected: "less than num_hidden_layers",
            });
        }
        let states = self.states(ids)?;
        if skip == 0 {
            return Ok(states.last);
        }
        Ok(self.final_layer_norm.forward(&states.hidden[states.hidden.len() - 1 - skip]))
    }

    /// Where adapters attach.
    pub fn lora_slots(&self) -> &LoraSlots {
        &self.slots
    }
}
