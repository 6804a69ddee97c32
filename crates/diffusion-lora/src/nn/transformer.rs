//! The transformer block of Stable Diffusion's spatial transformers.

use tch::Tensor;

use super::{Attention, AttentionConfig, LayerNorm, Linear, Scope};

/// Gated feed-forward layer (GEGLU, inner width 4 times the outer): `net.0.proj`, `net.2`.
///
/// Source: Shazeer, "GLU Variants Improve Transformer", equation 6.
#[derive(Debug)]
pub struct FeedForward {
    proj: Linear,
    out: Linear,
}

impl FeedForward {
    /// From and to tokens of `width`.
    pub fn new(scope: &Scope<'_>, width: i64) -> Self {
        let inner = 4 * width;
        Self {
            proj: Linear::new(&scope.sub("net.0.proj"), width, 2 * inner),
            out: Linear::new(&scope.sub("net.2"), inner, width),
        }
    }

    /// # Shapes
    /// `[batch, tokens, width]` → the same
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        let halves = self.proj.forward(xs).chunk(2, -1);
        self.out.forward(&(&halves[0] * halves[1].gelu("none")))
    }
}

/// Self-attention, cross-attention and feed-forward, each behind a norm and around a shortcut:
/// `norm1`, `attn1`, `norm2`, `attn2`, `norm3`, `ff`.
#[derive(Debug)]
pub struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    cross: Option<(LayerNorm, Attention)>,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl BasicTransformerBlock {
    /// `config` describes the self-attention; where it has a context width, there is a
    /// cross-attention to tokens of that width as well.
    pub fn new(scope: &Scope<'_>, config: AttentionConfig) -> Self {
        let width = config.query_width;
        let norm = |name| LayerNorm::new(&scope.sub(name), width, 1e-5);
        let alone = AttentionConfig { context_width: None, ..config };
        Self {
            norm1: norm("norm1"),
            attn1: Attention::new(&scope.sub("attn1"), alone),
            cross: config
                .context_width
                .map(|_| (norm("norm2"), Attention::new(&scope.sub("attn2"), config))),
            norm3: norm("norm3"),
            ff: FeedForward::new(&scope.sub("ff"), width),
        }
    }

    /// # Shapes
    /// `xs` `[batch, tokens, width]`, `context` `[batch, tokens', context width]` → as `xs`.
    /// `context` is not read by a block without cross-attention.
    pub fn forward(&self, xs: &Tensor, context: Option<&Tensor>) -> Tensor {
        let mut xs = xs + self.attn1.forward(&self.norm1.forward(xs), None);
        if let Some((norm, attention)) = &self.cross {
            xs = &xs + attention.forward(&norm.forward(&xs), context);
        }
        &xs + self.ff.forward(&self.norm3.forward(&xs))
    }
}
