"""Text in, pictures out, by diffusers' conventions.

B  images: for each prompt in turn, `num_images_per_prompt` of them
"""

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from jaxtyping import Float, Float32
from torch import Generator, Tensor
from tqdm.auto import tqdm
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from janus_minimal.compiled import compile_stages
from janus_minimal.denoise import denoise
from janus_minimal.errors import InputError
from janus_minimal.flow import time_grid
from janus_minimal.foreign import load
from janus_minimal.hub import VAE_FILES, find_checkpoint
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair, check_tokenizer
from janus_minimal.vae import load_vae, pixels_per_latent, to_pictures

Callback = Callable[["JanusFlowPipeline", int, float, dict[str, Any]], dict[str, Any]]


class JanusFlowPipeline:
    """A tokenizer, a JanusFlow and a VAE: everything between a caption and its pictures."""

    def __init__(self, model: JanusFlow, vae: AutoencoderKL, tokenizer: PreTrainedTokenizerBase):
        self.model, self.vae, self.tokenizer = model, vae, tokenizer

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path = "shapes",
        vae: str | Path | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        revision: str | None = None,
        compile: bool = False,
    ) -> "JanusFlowPipeline":
        """Load the model (`dtype`), its tokenizer, and the VAE (float32), each from a directory or a hub repository.

        `vae` left out means the folder `vae` of the checkpoint; `revision` is the model's. With `compile` the first
        step of each new shape takes a minute or more, and the others less than they would. Raises CheckpointError.
        """
        directory = find_checkpoint(checkpoint, revision)
        model = JanusFlow.from_pretrained(directory, dtype, device)
        decoder = load_vae(directory / "vae" if vae is None else find_checkpoint(vae, files=VAE_FILES), device)
        # A bare config: else AutoTokenizer reads config.json and complains of a model type that it does not know.
        tokenizer = load(AutoTokenizer, directory, "tokenizer.json", config=PreTrainedConfig())
        check_tokenizer(tokenizer, model.config.language.vocab_size)
        if compile:
            compile_stages(model)
        return cls(model, decoder, tokenizer)

    def to(self, device: torch.device | str) -> "JanusFlowPipeline":
        """Move model and VAE; returns the pipeline itself."""
        self.model.to(device)
        self.vae.to(device)
        return self

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        num_inference_steps: int = 30,
        cfg_weight: float = 2.0,
        guidance_scale: float | None = None,
        num_images_per_prompt: int = 1,
        generator: Generator | Sequence[Generator] | None = None,
        latents: Float32[Tensor, "B c H W"] | None = None,
        output_type: str = "pil",
        callback_on_step_end: Callback | None = None,
        progress: bool = True,
    ) -> ImagePipelineOutput:
        """Make the pictures of one or several prompts.

        `generator`: one for each image, or one from which each image's own seed is drawn. `latents`: start from
        this noise instead. `guidance_scale` is another name for `cfg_weight`. `output_type`: "pil", "np", "pt", or
        "latent" for what the VAE would be given. `callback_on_step_end(pipe, index, t, {"latents", "guess"})` is
        told of each step; where it gives back other "latents", the loop goes on from those. Raises InputError.
        """
        weight = cfg_weight if guidance_scale is None else guidance_scale
        _check(num_inference_steps, weight)
        pair = PromptPair.from_text(prompt, self.tokenizer, num_images_per_prompt).to(self.model.device)
        z = image_noise(self.latent_shape, pair.images, generator) if latents is None else latents
        if z.shape != (pair.images, *self.latent_shape):
            raise InputError(f"latents of shape {list(z.shape)}: right would be {[pair.images, *self.latent_shape]}")
        steps = denoise(self.model, pair, z.to(self.model.device), time_grid(num_inference_steps), weight)
        for step in tqdm(steps, total=num_inference_steps, unit="step", disable=not progress):
            if callback_on_step_end is not None:
                told = {"latents": step.z_next, "guess": step.guess}
                step.z_next = callback_on_step_end(self, step.index, step.t.item(), told).get("latents", step.z_next)
            z = step.z_next
        return ImagePipelineOutput(images=z if output_type == "latent" else self.to_pictures(z, output_type))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(c, H, W) of one image."""
        side = self.model.config.image_size // pixels_per_latent(self.vae)
        return self.model.config.encoder.input_channels, side, side

    def to_pictures(self, latents: Float[Tensor, "B c H W"], output_type: str = "pil") -> Any:
        """What the VAE makes of latents: "pil", "np" or "pt"."""
        return to_pictures(self.vae, latents, output_type)


def image_noise(
    shape: Sequence[int], images: int, generator: Generator | Sequence[Generator] | None = None
) -> Float32[Tensor, "B c H W"]:
    """Standard normal noise, each image's from a generator of its own, on the CPU and in float32.

    So image i is the same whatever the batch size, the device and the weights' dtype. Raises InputError.
    """
    generators = _own_generators(images, generator)
    if len(generators) != images:
        raise InputError(f"{len(generators)} generators for {images} images: right would be one, or one for each image")
    return torch.stack([torch.randn(shape, generator=own) for own in generators])


def _own_generators(images: int, generator: Generator | Sequence[Generator] | None) -> Sequence[Generator]:
    if isinstance(generator, Sequence):
        return generator
    seeds = [int(torch.randint(2**62, (), generator=generator)) for _ in range(images)]
    return [Generator().manual_seed(seed) for seed in seeds]


def _check(steps: int, weight: float) -> None:
    if steps < 1:
        raise InputError(f"{steps} steps: right would be 1 or more")
    if not isfinite(weight):
        raise InputError(f"a guidance weight of {weight}: right would be a finite number, 1 for no guidance")
