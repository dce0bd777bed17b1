"""Training a JanusFlow on latents and prompts, whatever the pictures show."""

from collections.abc import Sequence
from pathlib import Path

from accelerate import Accelerator
from jaxtyping import Float32, Int
from torch import Tensor, nn

from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.model import JanusFlow
from janus_minimal.training.batch import draw_batch
from janus_minimal.training.loop import Report, fit
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.recipe import Recipe


def train_flow(
    model: JanusFlow,
    latents: Float32[Tensor, "n c H W"],
    ids: Sequence[Int[Tensor, "_"]],
    pad_id: int,
    state: Path,
    accelerator: Accelerator,
    report: Report,
    recipe: Recipe,
) -> JanusFlow:
    """Train the model to the end of the recipe, and return the model with averaged weights.

    The latents are computed before training: the VAE does not change, so each picture needs to be
    encoded only once. `latents[i]` and `ids[i]` are one example.

    Args:
        model: the model to train, untrained or loaded. Its weights change. For a run that can be
            repeated, seed PyTorch before an untrained model is built.
        latents: n encoded pictures, multiplied by the VAE's scaling factor, on the CPU. They should
            have about unit variance, the same scale as the noise.
        ids: the token ids of the n prompts in the chat template, the last token still there.
        pad_id: the id that fills the masked places of the prompts.
        state: the file of the run's state. If it exists, training goes on from there.
        accelerator: the device, and the processes that share each batch.
        report: called after each save and after resuming, with the averaged model and all losses.
        recipe: how to train.

    Raises:
        InputError: as `fit` does, and if `state` was begun with other latents or ids.
    """

    def loss(network: nn.Module, step: int) -> Tensor:
        batch = draw_batch(step, ids, latents, recipe.batch_size, recipe.seed)
        return flow_loss(network, batch.share(accelerator), pad_id)

    examples = {f"ids {i}": row for i, row in enumerate(ids)} | {"latents": latents}
    return fit(model, loss, recipe, state, accelerator, report, fingerprint(examples))
