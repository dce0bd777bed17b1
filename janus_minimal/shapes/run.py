"""One training run in one directory, from nothing to a checkpoint.

What is already in the directory is not done again. So a run that was killed goes on when the same
command is given again, and a complete run is left as it is. A file that is lost is made again. The
directory holds:

    settings.json                 what the run was begun with; other settings are refused
    run.lock                      locked while a process works on the run
    vae/                          the trained VAE
    vae.training.safetensors      the state of its training, to resume it
    latents.safetensors           the encoded examples, and the fingerprint of their VAE
    flow.training.safetensors     the state of the flow's training, to resume it
    config.json, model.safetensors, tokenizer*.json     the checkpoint, written anew at each save
    *-loss.png, *-samples.png     loss curves and pictures, written anew at each save
"""

from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from jaxtyping import Float32
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.figures.plots import loss_curve
from janus_minimal.loading.atomic import atomic_directory
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.hub import VAE_FILES
from janus_minimal.loading.latents import read_about, read_latents, write_latents
from janus_minimal.loading.vae import load_vae
from janus_minimal.model import JanusFlow
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.examples import encode_examples, tokenize_examples
from janus_minimal.shapes.flow import FLOW_RECIPE, build_flow
from janus_minimal.shapes.tokenizer import build_tokenizer
from janus_minimal.shapes.vae import VAE_RECIPE, draw_scenes, pictures, train_vae
from janus_minimal.solvers import adams_bashforth
from janus_minimal.training.flow import train_flow
from janus_minimal.training.folder import run_folder
from janus_minimal.training.loop import check_share
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.settings import check_same
from janus_minimal.training.surroundings import check_surroundings

EXAMPLES = 60_000  # scenes that the flow learns from
SHIPPED = torch.float16  # of the checkpoint: half the bytes, and loading casts to any dtype
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
PARTS = ("*.training.safetensors", "latents.safetensors", "model.safetensors", "config.json")


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
        InputError: if the directory holds a run with other settings, a damaged file, or a run that
            another process works on; if it cannot be written; and as `fit` does.
    """
    check_surroundings(accelerator)
    for recipe in (vae_recipe, flow_recipe):
        check_share(recipe.batch_size, accelerator.num_processes)
    settings = {f"vae {name}": value for name, value in asdict(vae_recipe).items()}
    settings |= {f"flow {name}": value for name, value in asdict(flow_recipe).items()}
    settings["examples"] = examples
    with run_folder(out, settings, PARTS, accelerator):
        vae = _trained_vae(out, accelerator, vae_recipe)
        latents = _encoded_examples(out, accelerator, vae, examples, flow_recipe.seed)
        _train_flow(out, accelerator, vae, latents, flow_recipe)


def _trained_vae(out: Path, accelerator: Accelerator, recipe: Recipe) -> AutoencoderKL:
    """Return the VAE of the directory. Train it first if it is not there."""
    folder = out / "vae"

    def report(network: torch.nn.Module, losses: list[float]) -> None:
        write_progress(out, "vae", losses, _reconstructions(network.vae))

    if not all((folder / name).exists() for name in VAE_FILES):
        vae = train_vae(out / "vae.training.safetensors", accelerator, report, recipe)
        if accelerator.is_main_process:
            with atomic_directory(folder) as unfinished:
                vae.save_pretrained(unfinished)
    accelerator.wait_for_everyone()
    try:
        return load_vae(folder, accelerator.device)
    except CheckpointError as error:
        raise InputError(f"{error}; delete {folder} to make it anew") from None


def _encoded_examples(
    out: Path, accelerator: Accelerator, vae: AutoencoderKL, examples: int, seed: int
) -> Float32[Tensor, "n c H W"]:
    """Return the latents of the directory. The main process encodes them first if they are not there.

    They are latents of one VAE. Whoever puts another one into the directory would train on latents
    that it cannot decode, so the file names its VAE.
    """
    path = out / "latents.safetensors"
    about = {"VAE": fingerprint(vae.state_dict()), "seed": str(seed), "examples": str(examples)}
    if accelerator.is_main_process and not path.exists():
        write_latents(path, encode_examples(vae, examples, seed), about)
    accelerator.wait_for_everyone()
    try:
        latents, found = read_latents(path, vae.config.latent_channels), read_about(path)
    except InputError as error:
        raise InputError(f"{error}; in a run: delete it, and it is made anew") from None
    check_same(path, found, about)
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
        if not is_written(out, "flow", model):
            pipe = JanusFlowPipeline(model, vae, tokenizer)
            write_progress(out, "flow", losses, draw_samples(pipe))
            write_checkpoint(out, model, tokenizer)

    torch.manual_seed(recipe.seed)  # of the initial weights
    model = build_flow(len(tokenizer))
    ids = tokenize_examples(tokenizer, len(latents), recipe.seed)
    state = out / "flow.training.safetensors"
    train_flow(model, latents, ids, tokenizer.pad_token_id, state, accelerator, report, recipe)


def is_written(out: Path, name: str, model: JanusFlow) -> bool:
    """Return whether all files of a report are there, of this very model.

    A report writes the weights last, so those of an earlier save stand for a report that a kill cut
    short. The numbers decide and not the time of the file, because a copy of a file has a new one.
    """
    reported = (f"{name}-loss.png", f"{name}-samples.png", *TOKENIZER)
    if not all((out / file).is_file() for file in reported):
        return False
    try:
        written = JanusFlow.from_pretrained(out, SHIPPED).state_dict()
    except CheckpointError:
        return False
    return all(
        written[key].equal(tensor.to("cpu", SHIPPED)) for key, tensor in model.state_dict().items()
    )


def write_checkpoint(out: Path, model: JanusFlow, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write tokenizer and model in the official layout, the weights last."""
    with atomic_directory(out) as unfinished:
        tokenizer.save_pretrained(unfinished)
    model.save_pretrained(out, SHIPPED)


def write_progress(out: Path, name: str, losses: list[float], samples: Image.Image) -> None:
    """Write the loss curve and the sample pictures of the network with this name."""
    with atomic_directory(out) as unfinished:
        loss_curve(losses, f"Training the {name}").savefig(unfinished / f"{name}-loss.png", dpi=120)
        samples.save(unfinished / f"{name}-samples.png")


def draw_samples(pipe: JanusFlowPipeline, steps: int = 12, cfg_weight: float = 2.0) -> Image.Image:
    """Return pictures of four captions of each category, a row each.

    Captions and noise are the same at every save, so that saves can be compared. Adams-Bashforth
    needs fewer steps than Euler for the same pictures, so a save takes less time from the training.
    """
    captions = [
        str(caption) for category in CATEGORIES for caption in fresh_captions(category, 4, seed=1)
    ]
    generator = torch.Generator().manual_seed(0)
    drawn = pipe(
        captions,
        steps,
        cfg_weight,
        generator=generator,
        solver=adams_bashforth,
        progress=False,
    )
    return contact_sheet(drawn.images, columns=4)


@torch.no_grad()
def _reconstructions(vae: AutoencoderKL) -> Image.Image:
    """Return six drawn scenes, and below them their reconstructions by the VAE."""
    x = pictures(draw_scenes(6, (0, 4))).to(vae.device)
    decoded = vae.decode(vae.encode(x).latent_dist.mean).sample
    return contact_sheet(VaeImageProcessor().postprocess(torch.cat([x, decoded])), columns=6)
