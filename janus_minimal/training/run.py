"""One training run in one directory, from nothing to a checkpoint, whatever it learns from.

What is already in the directory is not done again. So a run that was killed goes on when the same
command is given again, and a complete run is left as it is (of a fine-tuning, the report and the copy of the
checkpoint are made again: nothing says which state they are of). A file that is lost is made again. The
directory holds:

    settings.json                 what the run was begun with; other settings are refused
    run.lock                      locked while a process works on the run
    vae/                          the VAE, trained here or given
    vae.training.safetensors      the state of its training, to resume it
    latents.safetensors           the encoded examples, and the fingerprint of their VAE
    flow.training.safetensors     the state of the flow's training, to resume it
    config.json, model.safetensors, tokenizer*.json     the checkpoint, written anew at each save
    *-loss.png, *-samples.png     loss curves and pictures, written anew at each save
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.figures.plots import loss_curve
from janus_minimal.figures.saving import save_figure
from janus_minimal.loading.atomic import atomic_directory
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.hub import MODEL_FILES, VAE_FILES
from janus_minimal.loading.latents import read_about, read_latents, write_latents
from janus_minimal.loading.pretrained import read_tokenizer, write_tokenizer
from janus_minimal.loading.vae import load_vae, pixels_per_latent, unusual
from janus_minimal.loading.vocabulary import padding_id, rules_of, vocabulary_size
from janus_minimal.model import JanusFlow
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.solvers import adams_bashforth
from janus_minimal.training.flow import train_flow
from janus_minimal.training.folder import run_folder
from janus_minimal.training.loop import check_share
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.settings import check_same
from janus_minimal.training.small import LATENT_SIDE, build_flow, build_vae
from janus_minimal.training.source import Source, encode_examples
from janus_minimal.training.start import Start
from janus_minimal.training.surroundings import check_surroundings
from janus_minimal.training.tokenizer import tokenize
from janus_minimal.training.vae import train_vae

SHIPPED = torch.float16  # of the checkpoint: half the bytes, and loading casts to any dtype
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def reported(name: str) -> tuple[str, str]:
    """Return the pictures that a report of the network with this name writes."""
    return f"{name}-loss.png", f"{name}-samples.png"


PARTS = (
    *("*.training.safetensors", "latents.safetensors", *MODEL_FILES, *VAE_FILES),
    *(f"vae/{name}" for name in VAE_FILES),
    *reported("vae"),
    *reported("flow"),
)


def train_checkpoint(
    out: Path,
    source: Source,
    accelerator: Accelerator,
    vae: AutoencoderKL | Recipe,
    flow_recipe: Recipe,
    start: Start | None = None,
) -> None:
    """Train the VAE, encode the examples, and train the flow, in the directory `out`.

    Args:
        out: the directory of the run.
        source: what is learned from.
        accelerator: the device, and the processes that share each batch.
        vae: how to train the VAE, or one that is trained already. It is then copied into the run.
        flow_recipe: how to train the flow.
        start: the checkpoint that is fine-tuned; None means a small model with random weights.

    Raises:
        InputError: if the directory holds a run with other settings, a damaged file, or a run that
            another process works on; if it cannot be written; and as `fit` does.
    """
    check_surroundings(accelerator)
    for recipe in (vae, flow_recipe):
        if isinstance(recipe, Recipe):
            check_share(recipe.batch_size, accelerator.num_processes)
    settings: dict[str, Any] = {**_about_vae(vae), **source.about}
    settings |= {f"flow {name}": value for name, value in asdict(flow_recipe).items()}
    if start is not None:
        settings |= start.about
    with run_folder(out, settings, PARTS, accelerator):
        trained = _own_vae(out, source, accelerator, vae)
        latents = _encoded_examples(out, source, accelerator, trained, flow_recipe.seed)
        if start is None:
            _train_flow(out, source, accelerator, trained, latents, flow_recipe)
        else:
            _tune_flow(out, source, accelerator, trained, latents, flow_recipe, start)


def _about_vae(vae: AutoencoderKL | Recipe) -> dict[str, str | int | float]:
    """Return the settings of the VAE: its recipe, or a fingerprint of the one that is given.

    diffusers' own notes in a config begin with _. They hold its version, and a set whose order is
    another one in each Python process.
    """
    if isinstance(vae, Recipe):
        return {f"vae {name}": value for name, value in asdict(vae).items()}
    own = {name: value for name, value in vae.config.items() if not name.startswith("_")}
    return {"vae": fingerprint(vae.state_dict(), json.dumps(own, sort_keys=True))}


def _own_vae(
    out: Path, source: Source, accelerator: Accelerator, vae: AutoencoderKL | Recipe
) -> AutoencoderKL:
    """Return the VAE of the directory. Put it there first, trained or given, if it is not there."""
    folder = out / "vae"
    if not all((folder / name).exists() for name in VAE_FILES):
        if isinstance(vae, Recipe):
            vae = _trained_vae(out, source, accelerator, vae)
        if accelerator.is_main_process:
            with atomic_directory(folder) as unfinished:
                vae.save_pretrained(unfinished)
    accelerator.wait_for_everyone()
    try:
        return load_vae(folder, accelerator.device)
    except CheckpointError as error:
        raise InputError(f"{error}; delete {folder} to make it anew") from None


def _trained_vae(
    out: Path, source: Source, accelerator: Accelerator, recipe: Recipe
) -> AutoencoderKL:
    """Train a VAE on pictures of the source, and show six of them with their reconstructions."""

    def report(network: torch.nn.Module, losses: list[float]) -> None:
        shown = draw_reconstructions(network.vae, source.draw(6, (0, 4)))
        write_progress(out, "vae", losses, shown)

    state = out / "vae.training.safetensors"
    data = json.dumps(dict(source.about))
    return train_vae(build_vae, source.draw, state, accelerator, report, recipe, data)


def _encoded_examples(
    out: Path, source: Source, accelerator: Accelerator, vae: AutoencoderKL, seed: int
) -> Float32[Tensor, "n c H W"]:
    """Return the latents of the directory. The main process encodes them first if they are not there.

    They are latents of one VAE and of one source. Whoever puts another VAE into the directory would
    train on latents that it cannot decode, so the file names both.
    """
    path = out / "latents.safetensors"
    factor = {"scaling factor": str(vae.config.scaling_factor)}
    about = {"VAE": fingerprint(vae.state_dict(), *unusual(vae)), "seed": str(seed), **factor}
    about |= {name: str(value) for name, value in source.about.items()}
    if accelerator.is_main_process and not path.exists():
        write_latents(path, encode_examples(vae, source), about)
    accelerator.wait_for_everyone()
    try:
        latents, found = read_latents(path, vae.config.latent_channels), read_about(path)
    except InputError as error:
        raise InputError(f"{error}; in a run: delete it, and it is made anew") from None
    check_same(path, factor | found, about)  # the files of earlier versions say nothing of it
    return latents


def _train_flow(
    out: Path,
    source: Source,
    accelerator: Accelerator,
    vae: AutoencoderKL,
    latents: Float32[Tensor, "n c H W"],
    recipe: Recipe,
) -> None:
    """Train the flow on these latents, and write the checkpoint at each save."""
    tokenizer = source.tokenizer

    def report(model: JanusFlow, losses: list[float]) -> None:
        if not is_written(out, "flow", model, tokenizer):
            pipe = JanusFlowPipeline(model, vae, tokenizer)
            write_progress(out, "flow", losses, draw_samples(pipe, source.shown))
            write_checkpoint(out, model, tokenizer)

    torch.manual_seed(recipe.seed)  # of the initial weights
    model = build_flow(vocabulary_size(tokenizer), LATENT_SIDE * pixels_per_latent(vae))
    ids, pad_id = tokenize(tokenizer, source.captions), padding_id(tokenizer)
    state = out / "flow.training.safetensors"
    train_flow(model, latents, ids, pad_id, state, accelerator, report, recipe)


def _tune_flow(
    out: Path,
    source: Source,
    accelerator: Accelerator,
    vae: AutoencoderKL,
    latents: Float32[Tensor, "n c H W"],
    recipe: Recipe,
    start: Start,
) -> None:
    """Fine-tune the flow of a checkpoint on these latents, and write the whole of it at each save."""
    tokenizer = source.tokenizer

    def report(model: JanusFlow, losses: list[float]) -> None:
        pipe = JanusFlowPipeline(start.plain(model), vae, tokenizer)
        write_progress(out, "flow", losses, draw_samples(pipe, source.shown))
        write_tokenizer(out, tokenizer)
        start.write(out, model)

    torch.manual_seed(recipe.seed)  # of the adapters
    model, state = start.load(accelerator.device), out / "flow.training.safetensors"
    ids, pad_id = tokenize(tokenizer, source.captions), padding_id(tokenizer)
    parts = start.tuning.gradient_accumulation_steps
    checkpoint = start.fingerprint(model)
    train_flow(model, latents, ids, pad_id, state, accelerator, report, recipe, parts, checkpoint)


def is_written(out: Path, name: str, model: JanusFlow, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether all files of a report are there, of this very model, config and tokenizer.

    A report writes weights and config last, so those of an earlier save stand for a report that a kill cut
    short. The numbers decide and not the time of the file, because a copy of a file has a new one.
    """
    files = [out / file for file in (*reported(name), *TOKENIZER)]
    if not all(file.is_file() and file.stat().st_size for file in files):
        return False
    try:
        written, words = JanusFlow.from_pretrained(out, SHIPPED), read_tokenizer(out)
    except CheckpointError:
        return False
    if written.config != model.config or rules_of(words) != rules_of(tokenizer):
        return False
    stored = written.state_dict()
    return all(
        stored[key].equal(tensor.to("cpu", SHIPPED)) for key, tensor in model.state_dict().items()
    )


def write_checkpoint(out: Path, model: JanusFlow, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write tokenizer and model in the official layout, weights and config last."""
    write_tokenizer(out, tokenizer)
    model.save_pretrained(out, SHIPPED)


def write_progress(out: Path, name: str, losses: list[float], samples: Image.Image) -> None:
    """Write the loss curve and the sample pictures of the network with this name."""
    curve, sheet = reported(name)
    with atomic_directory(out) as unfinished:
        drawn = partial(loss_curve, losses, f"Training the {name}")
        save_figure(unfinished / curve, drawn, dpi=120)
        samples.save(unfinished / sheet)


def draw_samples(
    pipe: JanusFlowPipeline, captions: Sequence[str], steps: int = 12, cfg_weight: float = 2.0
) -> Image.Image:
    """Return a picture of each caption, four in a row.

    The noise is the same at every save, so that saves can be compared. Adams-Bashforth needs fewer
    steps than Euler for the same pictures, so a save takes less time from the training.
    """
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
def draw_reconstructions(vae: AutoencoderKL, x: Float[Tensor, "n 3 S S"]) -> Image.Image:
    """Return pictures in a row, and below them their reconstructions by the VAE."""
    x = x.to(vae.device)
    decoded = vae.decode(vae.encode(x).latent_dist.mean).sample
    return contact_sheet(VaeImageProcessor().postprocess(torch.cat([x, decoded])), columns=len(x))
