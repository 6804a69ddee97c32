//! Multi-head attention.

use tch::Tensor;

use super::{Linear, Scope};

/// Widths of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionConfig {
    /// Width of the tokens that ask, and of the answer.
    pub query_width: i64,
    /// Width of the tokens that are asked; `None` for self-attention.
    pub context_width: Option<i64>,
    /// Number of heads.
    pub heads: i64,
    /// Width of one head.
    pub head_width: i64,
    /// Whether `to_q`, `to_k` and `to_v` have a bias (`to_out.0` always has).
    pub qkv_bias: bool,
}

impl AttentionConfig {
    /// Self-attention with `heads` heads that share `width`, no bias on queries, keys, values.
    pub fn self_attention(width: i64, heads: i64) -> Self {
        let head_width = width.div_euclid(heads.max(1));
        Self { query_width: width, context_width: None, heads, head_width, qkv_bias: false }
    }

    /// The same, asking tokens of `context_width`.
    pub fn cross(self, context_width: i64) -> Self {
        Self { context_width: Some(context_width), ..self }
    }
}

/// Self- or cross-attention with parameters `to_q`, `to_k`, `to_v`, `to_out.0`.
#[derive(Debug)]
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: i64,
}

impl Attention {
    /// Makes the four projections.
    pub fn new(scope: &Scope<'_>, config: AttentionConfig) -> Self {
        let inner = config.heads * config.head_width;
        let context = config.context_width.unwrap_or(config.query_width);
        let make = if config.qkv_bias { Linear::new } else { Linear::without_bias };
        Self {
            to_q: make(&scope.sub("to_q"), config.query_width, inner),
            to_k: make(&scope.sub("to_k"), context, inner),
            to_v: make(&scope.sub("to_v"), context, inner),
            to_out: Linear::new(&scope.sub("to_out.0"), inner, config.query_width),
            heads: config.heads,
        }
    }

    /// Attends from `xs` to `context`, or to `xs` itself.
    ///
    /// # Shapes
    /// `xs` `[batch, tokens, query width]`, `context` `[batch, tokens', context width]` →
    /// `[batch, tokens, query width]`
    pub fn forward(&self, xs: &Tensor, context: Option<&Tensor>) -> Tensor {
        let context = context.unwrap_or(xs);
        let (q, k, v) =
            (self.to_q.forward(xs), self.to_k.forward(context), self.to_v.forward(context));
        self.to_out.forward(&attend(&q, &k, &v, self.heads, false))
    }
}

/// Scaled dot-product attention over heads that lie side by side in the last dimension.
///
/// # Shapes
/// `q` `[batch, tokens, heads · width]`, `k` and `v` `[batch, tokens', heads · width]` → as `q`.
/// `causal` hides later tokens.
pub fn attend(q: &Tensor, k: &Tensor, v: &Tensor, heads: i64, causal: bool) -> Tensor {
    let (batch, tokens, width) = (q.size()[0], q.size()[1], q.size()[2]);
    let split = |xs: &Tensor| {
        xs.reshape([batch, xs.size()[1], heads, width.div_euclid(heads)]).transpose(1, 2)
    };
    Tensor::scaled_dot_product_attention(
        &split(q),
        &split(k),
        &split(v),
        None::<&Tensor>,
        0.0,
        causal,
        None,
        false,
    )
    .transpose(1, 2)
    .reshape([batch, tokens, width])
}
