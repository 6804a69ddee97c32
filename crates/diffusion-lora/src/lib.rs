//! Latent diffusion over libtorch: Stable Diffusion and row-wise models, LoRA training and sampling.
