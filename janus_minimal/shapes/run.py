"""One training run in one directory, from nothing to a checkpoint.

What is already in the directory is not done again. So a run that was killed goes on when the same
command is given again, and a complete run is left as it is. The directory holds:

    vae/                          the trained VAE
    vae.training.safetensors      the state of its training, to resume it
    latents.safetensors           the encoded examples
    flow.training.safetensors     the state of the flow's training, to resume it
    config.json, model.safetensors, tokenizer*.json     the checkpoint, written anew at each save
    *-loss.png, *-samples.png     loss curves and pictures, written anew at each save
"""

from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from jaxtyping import Float32
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import InputError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.figures.plots import loss_curve
from janus_minimal.loading.atomic import atomic_directory, atomic_write
from janus_minimal.loading.vae import load_vae
from janus_minimal.model import JanusFlow
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.examples import encode_examples, tokenize_examples
from janus_minimal.shapes.flow import FLOW_RECIPE, build_flow
from janus_minimal.shapes.tokenizer import build_tokenizer
from janus_minimal.shapes.vae import VAE_RECIPE, draw_scenes, pictures, train_vae
from janus_minimal.training.flow import train_flow
from janus_minimal.training.recipe import Recipe

EXAMPLES = 60_000  # scenes that the flow learns from
SHIPPED = (
    torch.float16
)  # the dtype of the checkpoint: half the bytes, and loading casts to any dtype


def train_all(
    out: Path,
    accelerator: Accelerator,
    vae_recipe: Recipe = VAE_RECIPE,
    flow_recipe: Recipe = FLOW_RECIPE,
    examples: int = EXAMPLES,
) -> None:
    """Train the VAE, encode the examples, and train the flow, in the directory `out`.

    Args:
        out: the directory of the run.
        accelerator: the device, and the processes that share each batch.
        vae_recipe: how to train the VAE.
        flow_recipe: how to train the flow. Its seed also draws the examples.
        examples: the number of scenes that the flow learns from.

    Raises:
        InputError: if the directory holds a run with another recipe or number of examples, if it
            cannot be written, or if the processes cannot share a batch equally.
    """
    vae = _trained_vae(out, accelerator, vae_recipe)
    latents = _encoded_examples(out, accelerator, vae, examples, flow_recipe.seed)
    _train_flow(out, accelerator, vae, latents, flow_recipe)


def _trained_vae(out: Path, accelerator: Accelerator, recipe: Recipe) -> AutoencoderKL:
    """Return the VAE of the directory. Train it first if it is not there."""

    def report(network: torch.nn.Module, losses: list[float]) -> None:
        write_progress(out, "vae", losses, _reconstructions(network.vae))

    if not (out / "vae" / "diffusion_pytorch_model.safetensors").exists():
        vae = train_vae(out / "vae.training.safetensors", accelerator, report, recipe)
        if accelerator.is_main_process:
            with atomic_directory(out / "vae") as unfinished:
                vae.save_pretrained(unfinished)
    accelerator.wait_for_everyone()
    return load_vae(out / "vae", accelerator.device)


def _encoded_examples(
    out: Path, accelerator: Accelerator, vae: AutoencoderKL, examples: int, seed: int
) -> Float32[Tensor, "n c H W"]:
    """Return the latents of the directory. The main process encodes them first if they are not there."""
    path = out / "latents.safetensors"
    if accelerator.is_main_process and not path.exists():
        with atomic_write(path) as unfinished:
            save_file({"latents": encode_examples(vae, examples, seed)}, unfinished)
    accelerator.wait_for_everyone()
    latents = load_file(path)["latents"]
    if len(latents) != examples:
        raise InputError(
            f"{path} holds {len(latents)} examples, not {examples}: go on with those, or train elsewhere"
        )
    return latents


def _train_flow(
    out: Path,
    accelerator: Accelerator,
    vae: AutoencoderKL,
    latents: Float32[Tensor, "n c H W"],
    recipe: Recipe,
) -> None:
    """Train the flow on these latents, and write the checkpoint at each save."""
    tokenizer = build_tokenizer()

    def report(model: JanusFlow, losses: list[float]) -> None:
        write_checkpoint(out, model, tokenizer)
        write_progress(out, "flow", losses, draw_samples(JanusFlowPipeline(model, vae, tokenizer)))

    torch.manual_seed(recipe.seed)  # of the initial weights
    model = build_flow(len(tokenizer))
    ids = tokenize_examples(tokenizer, len(latents), recipe.seed)
    state = out / "flow.training.safetensors"
    train_flow(model, latents, ids, tokenizer.pad_token_id, state, accelerator, report, recipe)


def write_checkpoint(out: Path, model: JanusFlow, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write model and tokenizer in the official layout."""
    model.save_pretrained(out, SHIPPED)
    with atomic_directory(out) as unfinished:
        tokenizer.save_pretrained(unfinished)


def write_progress(out: Path, name: str, losses: list[float], samples: Image.Image) -> None:
    """Write the loss curve and the sample pictures of the network with this name."""
    with atomic_directory(out) as unfinished:
        loss_curve(losses, f"Training the {name}").savefig(unfinished / f"{name}-loss.png", dpi=120)
        samples.save(unfinished / f"{name}-samples.png")


def draw_samples(pipe: JanusFlowPipeline, steps: int = 30, cfg_weight: float = 2.0) -> Image.Image:
    """Return pictures of four captions of each category, a row each.

    Captions and noise are the same at every save, so that saves can be compared.
    """
    captions = [
        str(caption) for category in CATEGORIES for caption in fresh_captions(category, 4, seed=1)
    ]
    generator = torch.Generator().manual_seed(0)
    drawn = pipe(captions, steps, cfg_weight, generator=generator, progress=False)
    return contact_sheet(drawn.images, columns=4)


@torch.no_grad()
def _reconstructions(vae: AutoencoderKL) -> Image.Image:
    """Return six drawn scenes, and below them their reconstructions by the VAE."""
    x = pictures(draw_scenes(6, (0, 4))).to(vae.device)
    decoded = vae.decode(vae.encode(x).latent_dist.mean).sample
    return contact_sheet(VaeImageProcessor().postprocess(torch.cat([x, decoded])), columns=6)
