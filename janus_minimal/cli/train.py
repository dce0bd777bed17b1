"""The command train: the small model, from random weights to a checkpoint, on one of two sources."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from janus_minimal.cli.names import folder_option
from janus_minimal.cli.options import TrainDeviceOption
from janus_minimal.errors import InputError
from janus_minimal.runtime.device import pick_device
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.tuning import TUNE_RECIPE, Dtype, Train, Tuning

if TYPE_CHECKING:  # they take seconds to import
    import torch
    from diffusers import AutoencoderKL
    from transformers import PreTrainedTokenizerBase

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)

MOST = 10**7  # steps or scenes: beyond what anybody trains the small model on


def train(
    out: Annotated[
        Path,
        folder_option(help="The directory of the run. An interrupted run continues there."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of your own pictures, with captions in metadata.jsonl; "
            "left out: the small world."
        ),
    ] = None,
    vae: Annotated[
        str | None,
        typer.Option(
            help="With --data: a trained VAE, or a checkpoint that has one; left out: train one."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="With --data: a checkpoint whose tokenizer is used; "
            "left out: learn one from the captions."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Training steps of the flow.")
    ] = None,
    vae_steps: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Training steps of the VAE.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help='With --data: a checkpoint to fine-tune: "shapes", a directory in the official '
            "layout, or a hub repository; left out: begin with random weights.",
        ),
    ] = None,
    train_what: Annotated[
        Train | None,
        typer.Option(
            "--train",
            help="With --from: uvit (the parts around the language model), lora (adapters only) or "
            "all; left out: lora if --lora is given, else all.",
        ),
    ] = None,
    lora: Annotated[
        int | None,
        typer.Option(help="With --from: adapters of this rank on the language model."),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-9, max=1.0, help="With --from: the highest learning rate."),
    ] = None,
    dtype: Annotated[
        Dtype | None,
        typer.Option(
            help="With --from: of the weights; what trains has float32 copies. Left out: float32."
        ),
    ] = None,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option(
            "--gradient-checkpointing",
            help="With --from: compute activations twice instead of keeping them.",
        ),
    ] = False,
    gradient_accumulation_steps: Annotated[
        int | None, typer.Option(help="With --from: parts in which each batch is computed.")
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="The number of scenes that the flow learns from."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=2**16, help="The number of pictures in one step.")
    ] = None,
    save_every: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Steps between two checkpoints.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**40, help="The seed of the whole run.")
    ] = None,
    device: TrainDeviceOption = None,
) -> None:
    """Train the small model, VAE and flow, from random weights, on drawn scenes or your pictures.

    With --from, fine-tune a checkpoint on your pictures. Options that are left out have the values
    that trained the bundled model, or those of TUNE_RECIPE in training/tuning.py.
    """
    _check_together(data, vae, tokenizer, examples, vae_steps)
    chosen = {
        "train": train_what,
        "lora": lora,
        "learning rate": learning_rate,
        "dtype": dtype,
        "gradient checkpointing": gradient_checkpointing or None,
        "gradient accumulation steps": gradient_accumulation_steps,
    }
    _check_fine_tuning(source, chosen, data, out, tokenizer, vae_steps)
    tuning = Tuning(
        train_what or ("all" if lora is None else "lora"),
        lora,
        dtype or "float32",
        gradient_checkpointing,
        1 if gradient_accumulation_steps is None else gradient_accumulation_steps,
    )
    where = pick_device(device)
    from accelerate import Accelerator

    from janus_minimal.loading.hub import find_checkpoint
    from janus_minimal.runtime.processes import begin_together
    from janus_minimal.shapes.run import EXAMPLES, train_all
    from janus_minimal.training.pictures import train_folder, tune_folder
    from janus_minimal.training.small import FLOW_RECIPE, VAE_RECIPE
    from janus_minimal.training.start import Start

    shared = {"batch_size": batch_size, "save_every": save_every, "seed": seed}
    vae_recipe, flow_recipe = (
        changed(VAE_RECIPE, steps=vae_steps, **shared),
        changed(FLOW_RECIPE, steps=steps, **shared),
    )
    accelerator = begin_together(Accelerator, where, mixed_precision="no")
    if source is not None and data is not None:
        recipe = changed(TUNE_RECIPE, steps=steps, learning_rate=learning_rate, **shared)
        start = Start(find_checkpoint(source), tuning)
        found = _find_vae(source if vae is None else vae, accelerator.device)
        return tune_folder(data, out, accelerator, start, found, recipe)
    if data is None:
        number = EXAMPLES if examples is None else examples
        return train_all(out, accelerator, vae_recipe, flow_recipe, number)
    given = vae_recipe if vae is None else _find_vae(vae, accelerator.device)
    words = None if tokenizer is None else _find_tokenizer(tokenizer)
    return train_folder(data, out, accelerator, given, flow_recipe, words)


def _check_together(
    data: Path | None,
    vae: str | None,
    tokenizer: str | None,
    examples: int | None,
    vae_steps: int | None,
) -> None:
    """Raise InputError for options that would change nothing together."""
    if data is not None and examples is not None:
        raise InputError("--examples counts drawn scenes: expected no --examples with --data")
    if data is None and (vae is not None or tokenizer is not None):
        raise InputError("--vae and --tokenizer are for pictures of your own: expected --data DIR")
    if vae is not None and vae_steps is not None:
        raise InputError("--vae-steps trains a VAE and --vae gives one: expected one of them")


def _check_fine_tuning(
    source: str | None,
    chosen: Mapping[str, object],
    data: Path | None,
    out: Path,
    tokenizer: str | None,
    vae_steps: int | None,
) -> None:
    """Raise InputError for options of fine-tuning without a checkpoint, or for others with one."""
    given = [f"--{name.replace(' ', '-')}" for name, value in chosen.items() if value is not None]
    if source is None:
        if given:
            raise InputError(f"{given[0]} is for fine-tuning: expected --from CHECKPOINT as well")
        return
    if data is None:
        raise InputError("--from fine-tunes on pictures of your own: expected --data DIR as well")
    if tokenizer is not None or vae_steps is not None:
        raise InputError(
            "--from has a tokenizer and a VAE: expected no --tokenizer, no --vae-steps"
        )
    if os.path.realpath(out) == os.path.realpath(source):
        raise InputError(f"--out {out} is the checkpoint itself: expected another directory")


def _find_vae(name: str, device: "torch.device") -> "AutoencoderKL":
    """Return the VAE of a checkpoint, or that of a folder of its own. Raises CheckpointError."""
    from janus_minimal.loading.hub import VAE_FILES, find_checkpoint, find_part
    from janus_minimal.loading.vae import load_vae

    directory = find_checkpoint(name, files=VAE_FILES)
    part = find_part(directory, "vae")
    return load_vae(part if part.is_dir() else directory, device)


def _find_tokenizer(name: str) -> "PreTrainedTokenizerBase":
    """Return the tokenizer of a checkpoint. Raises CheckpointError, also for ids beyond every config."""
    from janus_minimal.config import WIDEST
    from janus_minimal.errors import CheckpointError
    from janus_minimal.loading.hub import find_checkpoint, find_part
    from janus_minimal.loading.pretrained import read_tokenizer
    from janus_minimal.loading.tokenizer import check_tokenizer
    from janus_minimal.loading.vocabulary import vocabulary_size

    directory = find_checkpoint(name, files=("tokenizer*.json", "special_tokens_map.json"))
    tokenizer = read_tokenizer(find_part(directory, "tokenizer.json").parent)
    size = vocabulary_size(tokenizer)
    check_tokenizer(tokenizer, size)
    if size > WIDEST:
        raise CheckpointError(
            f"the tokenizer has the id {size - 1:,}: expected ids below {WIDEST:,}"
        )
    return tokenizer


def changed(recipe: AnyRecipe, **fields: Any) -> AnyRecipe:
    """Return the recipe with those fields replaced that are not None."""
    return replace(recipe, **{name: value for name, value in fields.items() if value is not None})
