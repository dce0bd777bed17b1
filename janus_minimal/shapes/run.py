"""One training run in one directory, from nothing to a checkpoint. Whatever is there already is not done again.

vae/                        the VAE            vae.training.safetensors    what resuming it needs
latents.safetensors         the examples       flow.training.safetensors   what resuming the flow needs
config.json, model.safetensors, tokenizer*.json        the checkpoint, written anew at each save
*-loss.png, *-samples.png   how it goes
"""

from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from janus_minimal.errors import InputError
from janus_minimal.files import whole, whole_files
from janus_minimal.model import JanusFlow
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.plots import loss_curve
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.examples import encode_examples
from janus_minimal.shapes.tokenizer import build_tokenizer
from janus_minimal.shapes.train import FLOW_RECIPE, train_flow
from janus_minimal.shapes.training import Recipe
from janus_minimal.shapes.vae import VAE_RECIPE, draw_scenes, pictures, train_vae
from janus_minimal.sheet import sheet

EXAMPLES = 60_000  # scenes to learn from
SHIPPED = torch.float16  # half the bytes; loading casts to whatever is asked for


def train_all(
    out: Path,
    accelerator: Accelerator,
    vae_recipe: Recipe = VAE_RECIPE,
    flow_recipe: Recipe = FLOW_RECIPE,
    examples: int = EXAMPLES,
) -> None:
    """Train the VAE, encode the examples, train the flow. Killed at any time, the same call goes on."""
    vae = _vae(out, accelerator, vae_recipe)
    latents = _latents(out, accelerator, vae, examples, flow_recipe.seed)
    tokenizer = build_tokenizer()

    def report(model: JanusFlow, losses: list[float]) -> None:
        model.save_pretrained(out, SHIPPED)
        with whole_files(out) as unfinished:
            tokenizer.save_pretrained(unfinished)
        _report(out, "flow", losses, _samples(JanusFlowPipeline(model, vae, tokenizer)))

    train_flow(latents, tokenizer, out / "flow.training.safetensors", accelerator, report, flow_recipe)


def _vae(out: Path, accelerator: Accelerator, recipe: Recipe) -> AutoencoderKL:
    def report(network: torch.nn.Module, losses: list[float]) -> None:
        _report(out, "vae", losses, _reconstructions(network.vae))

    if not (out / "vae" / "diffusion_pytorch_model.safetensors").exists():
        vae = train_vae(out / "vae.training.safetensors", accelerator, report, recipe)
        if accelerator.is_main_process:
            with whole_files(out / "vae") as unfinished:
                vae.save_pretrained(unfinished)
    accelerator.wait_for_everyone()
    return AutoencoderKL.from_pretrained(out / "vae").to(accelerator.device).eval()


def _latents(out: Path, accelerator: Accelerator, vae: AutoencoderKL, examples: int, seed: int) -> Tensor:
    path = out / "latents.safetensors"
    if accelerator.is_main_process and not path.exists():
        with whole(path) as unfinished:
            save_file({"latents": encode_examples(vae, examples, seed)}, unfinished)
    accelerator.wait_for_everyone()
    latents = load_file(path)["latents"]
    if len(latents) != examples:
        raise InputError(f"{path} holds {len(latents)} examples, not {examples}: go on with those, or train elsewhere")
    return latents


def _report(out: Path, name: str, losses: list[float], samples: Image.Image) -> None:
    with whole_files(out) as unfinished:
        loss_curve(losses, f"Training the {name}").savefig(unfinished / f"{name}-loss.png", dpi=120)
        samples.save(unfinished / f"{name}-samples.png")


def _samples(pipe: JanusFlowPipeline) -> Image.Image:
    """Four fresh captions of each category, a row each; the same captions and noise at every save."""
    captions = [str(caption) for category in CATEGORIES for caption in fresh_captions(category, 4, seed=1)]
    generator = torch.Generator().manual_seed(0)
    return sheet(pipe(captions, generator=generator, progress=False).images, columns=4)


@torch.no_grad()
def _reconstructions(vae: AutoencoderKL) -> Image.Image:
    """Drawn scenes, and below them what the VAE makes of them."""
    x = pictures(draw_scenes(6, (0, 4))).to(vae.device)
    decoded = vae.decode(vae.encode(x).latent_dist.mean).sample
    return sheet(VaeImageProcessor().postprocess(torch.cat([x, decoded])), columns=6)
