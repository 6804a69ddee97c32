#!/usr/bin/env python3
"""Does Python diffusers read our files, and does it make the same images?

    python check_diffusers.py FOLDER [--tolerance 5e-4]

Needs: torch, diffusers, transformers, peft, safetensors (checked with torch 2.11.0, diffusers 0.42.1,
transformers 5.23.0, peft 0.21.2). Runs on the CPU in float32. Exit status 0 if every image agrees, 1 if one does not,
2 if the folder is not as described here.

FOLDER holds what the Rust side wrote:

    case.json                    how the images were sampled:
        {
          "steps": 5,                  inference steps
          "eta": 0.0,                  DDIM's noise; only 0 is supported here
          "guidance_scale": 3.0,       classifier-free guidance; 1 or less: none
          "lora_scale": 1.0,           weight of the adapter
          "control_scale": 0.8,        weight of the ControlNet's residuals
          "prompt": "...",             optional: the texts of the ids below, to compare tokenizers
          "negative_prompt": "..."
        }
    model/                       the base model as a diffusers folder: model_index.json, unet/, vae/,
                                 text_encoder/, scheduler/ and (optional) tokenizer/
    lora/                        optional: pytorch_lora_weights.safetensors
    controlnet/                  optional: config.json, diffusion_pytorch_model.safetensors
    latents.safetensors          what went in:
        latents       F32 [batch, 4, h, w]       unit variance, before init_noise_sigma
        prompt_ids    I64 [1 or batch, tokens]
        negative_ids  I64 [1 or batch, tokens]
        condition     F32 [1 or batch, 3, H, W]  in [0, 1]; only with controlnet/
    images.safetensors           what came out, each F32 [batch, 3, height, width] in [0, 1]; those present are checked:
        base             the model alone
        lora             with the adapter
        controlnet       with the ControlNet
        lora_controlnet  with both

For every image found the script samples again with diffusers' own pipeline (`StableDiffusionPipeline`,
`StableDiffusionControlNetPipeline`), loading adapter and ControlNet through `load_lora_weights` and `from_pretrained`,
and prints the largest absolute difference. It also prints how far the adapter and the ControlNet move the image from
`base`, since agreement of files that change nothing would prove nothing: a movement below 10 times the
tolerance fails.
"""
import argparse
import json
import sys
from pathlib import Path

import torch


class Layout(Exception):
    """The folder is not as described."""


def need(path):
    if not path.exists():
        raise Layout(f"{path} is missing")
    return path


def rows(tensor, batch, name):
    """One row for each sample."""
    if tensor.shape[0] not in (1, batch):
        raise Layout(f"{name} has {tensor.shape[0]} rows, expected 1 or {batch}")
    return tensor.expand(batch, *tensor.shape[1:]).contiguous()


def load_pipeline(folder):
    from diffusers import StableDiffusionPipeline

    without = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if not (folder / "tokenizer").exists():
        without["tokenizer"] = None
    pipe = StableDiffusionPipeline.from_pretrained(need(folder), **without).to(torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def check_tokenizer(pipe, case, inputs):
    """True if diffusers' tokenizer gives the ids we gave the text encoder (or cannot say)."""
    same = True
    for text, name in (("prompt", "prompt_ids"), ("negative_prompt", "negative_ids")):
        if pipe.tokenizer is None or text not in case:
            continue
        length = inputs[name].shape[1]
        ids = pipe.tokenizer(case[text], padding="max_length", truncation=True, max_length=length)["input_ids"]
        agree = all(row.tolist() == ids for row in inputs[name])
        print(f"tokenizer        {text:<16} {'equal' if agree else 'DIFFERENT'} ({length} ids)")
        same &= agree
    return same


@torch.no_grad()
def sample(pipe, case, inputs, controlnet, lora):
    from diffusers import StableDiffusionControlNetPipeline

    latents = inputs["latents"]
    batch = latents.shape[0]

    def embed(name):
        return rows(pipe.text_encoder(inputs[name]).last_hidden_state, batch, name)

    factor = pipe.vae_scale_factor
    call = {
        "prompt_embeds": embed("prompt_ids"),
        "negative_prompt_embeds": embed("negative_ids"),
        "latents": latents.clone(),
        "num_inference_steps": case["steps"],
        "guidance_scale": case["guidance_scale"],
        "eta": case.get("eta", 0.0),
        "height": latents.shape[2] * factor,
        "width": latents.shape[3] * factor,
        "output_type": "pt",
    }
    if lora:
        call["cross_attention_kwargs"] = {"scale": case["lora_scale"]}
    if controlnet is not None:
        condition = rows(inputs["condition"], batch, "condition")
        parts = {name: getattr(pipe, name) for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")}
        pipe = StableDiffusionControlNetPipeline(
            controlnet=controlnet, safety_checker=None, feature_extractor=None, requires_safety_checker=False, **parts
        )
        pipe.set_progress_bar_config(disable=True)
        # The condition is taken as given: no resizing, whatever the model's scale.
        double = case["guidance_scale"] > 1
        pipe.prepare_image = lambda **_: torch.cat([condition] * 2) if double else condition
        call.update(image=condition, controlnet_conditioning_scale=case["control_scale"])
        call["height"], call["width"] = condition.shape[-2:]
    return pipe(**call).images


def check(folder, tolerance):
    from diffusers import ControlNetModel
    from safetensors.torch import load_file

    case = json.loads(need(folder / "case.json").read_text())
    missing = {"steps", "guidance_scale"} - case.keys()
    if missing:
        raise Layout(f"case.json lacks {sorted(missing)}")
    if case.get("eta", 0.0) != 0.0:
        raise Layout("case.json: eta must be 0, since noise drawn in between is not recorded")
    inputs = load_file(need(folder / "latents.safetensors"))
    ours = load_file(need(folder / "images.safetensors"))
    for name in ("latents", "prompt_ids", "negative_ids"):
        if name not in inputs:
            raise Layout(f"latents.safetensors lacks {name}")
    unknown = ours.keys() - {"base", "lora", "controlnet", "lora_controlnet"}
    if unknown or not ours:
        raise Layout(f"images.safetensors: nothing to compare, or unknown names {sorted(unknown)}")

    pipe = load_pipeline(folder / "model")
    print(f"model            {type(pipe.scheduler).__name__}, {case['steps']} steps, guidance {case['guidance_scale']}")
    good = check_tokenizer(pipe, case, inputs)
    controlnet = None
    if any("controlnet" in name for name in ours):
        if "condition" not in inputs:
            raise Layout("latents.safetensors lacks condition")
        controlnet = ControlNetModel.from_pretrained(need(folder / "controlnet")).to(torch.float32).eval()

    theirs = {"base": sample(pipe, case, inputs, None, False)}
    if "controlnet" in ours:
        theirs["controlnet"] = sample(pipe, case, inputs, controlnet, False)
    if any("lora" in name for name in ours):
        adapter = need(folder / "lora" / "pytorch_lora_weights.safetensors")
        pipe.load_lora_weights(str(adapter.parent), weight_name=adapter.name)
        config = next(iter(pipe.unet.peft_config.values()))
        layers = sum(name.endswith("lora_A.weight") or ".lora_A." in name for name, _ in pipe.unet.named_parameters())
        print(f"lora             rank {config.r}, alpha {config.lora_alpha}, {layers} layers")
        for name in ("lora", "lora_controlnet"):
            if name in ours:
                theirs[name] = sample(pipe, case, inputs, controlnet if name != "lora" else None, True)

    for name in ("base", "lora", "controlnet", "lora_controlnet"):
        if name not in ours:
            continue
        a, b = ours[name].float(), theirs[name].float()
        if a.shape != b.shape:
            print(f"{name:<16} DIFFERENT shapes: ours {tuple(a.shape)}, diffusers {tuple(b.shape)}")
            good = False
            continue
        difference = (a - b).abs().max().item()
        line = f"{name:<16} max |ours - diffusers| = {difference:.2e}"
        # Written so that NaN fails.
        agrees = difference <= tolerance
        if name != "base":
            moved = (b - theirs["base"]).abs().max().item() if b.shape == theirs["base"].shape else float("inf")
            line += f", moves the image by {moved:.2e}"
            agrees &= moved > 10 * tolerance
        print(line + ("" if agrees else "  FAILED"))
        good &= agrees
    return good


def quiet():
    import diffusers
    import transformers

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tolerance", type=float, default=5e-4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    try:
        good = check(arguments.folder, arguments.tolerance)
    except Layout as problem:
        print(f"{arguments.folder}: {problem}", file=sys.stderr)
        return 2
    print("all agree" if good else "NOT all agree")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
