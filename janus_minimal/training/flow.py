"""Training a velocity on latents and prompts, whatever the pictures show and whatever the network is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from accelerate import Accelerator
from jaxtyping import Float32, Int
from torch import Tensor, nn

from janus_minimal.errors import InputError
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.training.batch import draw_batch
from janus_minimal.training.loop import Network, Report, fit
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.recipe import Recipe


def train_flow(
    model: Network,
    latents: Float32[Tensor, "n c H W"],
    ids: Sequence[Int[Tensor, "_"]],
    pad_id: int,
    state: Path,
    accelerator: Accelerator,
    report: Report,
    recipe: Recipe,
    gradient_accumulation_steps: int = 1,
    source: str | None = None,
) -> Network:
    """Train the model to the end of the recipe, and return the model with averaged weights.

    The latents are computed before training: the VAE does not change, so each picture needs to be
    encoded only once. `latents[i]` and `ids[i]` are one example.

    Args:
        model: the model to train, untrained or loaded: a JanusFlow, or any network that answers
            model(z_t, t, rows) with a velocity. Its weights change, except frozen ones. For a run
            that can be repeated, seed PyTorch before an untrained model is built.
        latents: n encoded pictures, multiplied by the VAE's scaling factor, on the CPU. They should
            have about unit variance, the same scale as the noise.
        ids: the token ids of the n prompts in the chat template, the last token still there.
        pad_id: the id that fills the masked places of the prompts.
        state: the file of the run's state. If it exists, training goes on from there.
        accelerator: the device, and the processes that share each batch.
        report: called after each save and after resuming, with the averaged model and all losses.
        recipe: how to train.
        gradient_accumulation_steps: the number of parts in which each process computes its share of a
            batch. The gradient is the same up to rounding, and less memory is needed.
        source: a fingerprint of the checkpoint that the model was loaded from; None for one that
            is trained from random weights, which follow from the recipe.

    Raises:
        InputError: as `fit` does, if `state` was begun with other latents, ids, frozen weights or
            another checkpoint, or if a share has no such number of equal parts.
    """
    parts = gradient_accumulation_steps
    check_parts(recipe.batch_size // accelerator.num_processes, parts)

    def loss(network: nn.Module, step: int) -> Iterator[Tensor]:
        batch = draw_batch(step, ids, latents, recipe.batch_size, recipe.seed)
        for part in batch.share(accelerator).parts(parts):
            yield flow_loss(network, part, pad_id) / parts

    given = {f"ids {i}": row for i, row in enumerate(ids)} | {"latents": latents}
    frozen = {name: weight for name, weight in model.named_parameters() if not weight.requires_grad}
    data = fingerprint(given | frozen)
    return fit(model, loss, recipe, state, accelerator, report, data, source)


def check_parts(share: int, parts: int) -> None:
    """Raise InputError unless all parts are equal: each part's mean counts the same."""
    if share % parts:
        raise InputError(
            f"{share} examples in {parts} gradient accumulation steps: expected a multiple"
        )
