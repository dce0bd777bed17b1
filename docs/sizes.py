"""How large everything is, released and bundled, computed from the models: python docs/sizes.py (seconds)

The models are created on the meta device, so the released one takes no memory and needs no download.
Writes sizes.json.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import nn

from janus_minimal import JanusFlow
from janus_minimal.bench.sizes import SDXL_VAE
from janus_minimal.config import JanusConfig
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.hub import find_checkpoint
from janus_minimal.loading.vae import pixels_per_latent

DOCS = Path(__file__).parent


def parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def sizes(config: JanusConfig, vae_config: dict) -> dict[str, dict[str, int]]:
    """Return the parameters of each part, and the length of everything that goes through it."""
    with torch.device("meta"):
        model, vae = JanusFlow(config), AutoencoderKL(**vae_config)
    per_latent = pixels_per_latent(vae)
    side, channels = config.image_size // per_latent, config.encoder.input_channels
    grid = side // config.encoder.stride
    heads, language = config.language.num_attention_heads, config.language
    return {
        "parameters": {
            "encoder": parameters(model.vision_gen_enc_model),
            "aligner in": parameters(model.vision_gen_enc_aligner),
            "language model": parameters(model.llama),
            "word table": parameters(model.llama.embed_tokens),
            "transformer blocks": parameters(model.llama.layers, model.llama.norm),
            "one block": parameters(model.llama.layers[0]),
            "aligner out": parameters(model.vision_gen_dec_aligner_norm, model.vision_gen_dec_aligner),
            "decoder": parameters(model.vision_gen_dec_model),
            "around the language model": parameters(model) - parameters(model.llama),
            "generation path": parameters(model),
            "word head, not read": parameters(model.llama.embed_tokens),  # lm_head has the table's shape, and no bias
            "VAE encoder": parameters(vae.encoder, vae.quant_conv),
            "VAE decoder": parameters(vae.decoder, vae.post_quant_conv),
        },
        "lengths": {
            "picture side": config.image_size,
            "picture numbers": 3 * config.image_size**2,
            "pixels per latent": per_latent,
            "latent channels": channels,
            "latent side": side,
            "latent numbers": channels * side**2,
            "patch side": config.encoder.stride,
            "token grid side": grid,
            "image tokens": grid**2,
            "U-ViT channels": config.encoder.channels,
            "language width": language.hidden_size,
            "layers": language.num_hidden_layers,
            "heads": heads,
            "head width": language.hidden_size // heads,
            "MLP width": language.intermediate_size,
            "vocabulary": language.vocab_size,
        },
    }


if __name__ == "__main__":
    shapes = find_checkpoint("shapes")
    bundled_vae = json.loads((shapes / "vae" / "config.json").read_text(encoding="utf-8"))
    known = {key: value for key, value in bundled_vae.items() if not key.startswith("_")}
    found = {"released": sizes(JanusConfig(), SDXL_VAE), "bundled": sizes(read_config(shapes), known)}
    (DOCS / "sizes.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
