"""The training loop, for any network and any loss: resumable, and on one process or several.

Two properties are held by laws. A run that was killed and resumed has the same losses as an
uninterrupted run, to the bit. A run on two processes has the losses of a run on one, up to rounding.
Both hold because the loss of step k depends on the weights and on k alone (`draw_batch`), and because
the whole state is in one file (`Learner`). With dropout only the first one holds, because each process
draws masks of its own.
"""

from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm.auto import tqdm

from janus_minimal.errors import InputError
from janus_minimal.training.batch import step_generator
from janus_minimal.training.learner import Learner
from janus_minimal.training.master import gather_gradients, hand_back
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.surroundings import check_surroundings

CLIP = 1.0  # the largest norm of the gradient, as in JanusFlow
RECENT = 50  # the number of steps over which the progress bar averages the loss

Network = TypeVar("Network", bound=nn.Module)
Loss = Callable[[nn.Module, int], Tensor | Iterable[Tensor]]
Report = Callable[[Any, list[float]], None]


def fit(
    network: Network,
    loss: Loss,
    recipe: Recipe,
    state: Path,
    accelerator: Accelerator,
    report: Report,
    data: str = "",
    source: str | None = None,
) -> Network:
    """Train a network to the end of its recipe, and return the average of its weights.

    Each step computes the loss, clips the gradient to norm 1, updates the weights, and updates their
    exponential moving average (EMA). If the file `state` exists, training goes on from there; if that
    run is complete, its average is returned at once. What a resumed run has is reported first: the
    earlier one may have been killed after it saved and before it reported.

    Args:
        network: the network to train. Its weights change.
        loss: given the network (or its data-parallel wrapper) and the number of the step, the mean
            loss of this process's share of the batch. It must draw all its randomness from the number
            of the step, or the run cannot be resumed to the same losses. The masks of dropout need no
            care: PyTorch's own generator is seeded before each step, and left so. The loss may come in
            parts, of which it is the sum. Each part's gradient is computed before the next part is
            asked for, so that only one part's activations are in memory (gradient accumulation).
        recipe: how to train.
        state: the file that holds the state. The main process writes it every `recipe.save_every`
            steps and after the last step.
        accelerator: the device, and the processes that share each batch.
        report: called after each save and after resuming, in the main process, with the averaged
            network and all losses.
        data: what is learned from, such as a fingerprint. Stored in the state, so that a run does
            not go on with other data.
        source: a fingerprint of the checkpoint that training starts from, if any. Stored too.

    Raises:
        InputError: if the processes cannot share a batch equally, if the surroundings would change
            what is learned, if `state` is damaged or has another recipe, data or source, or if the
            loss or its gradient becomes infinite or NaN.
    """
    check_share(recipe.batch_size, accelerator.num_processes)
    check_surroundings(accelerator)
    network.zero_grad()  # what is left there would be added to the first gradient
    learner = Learner(network.to(accelerator.device), recipe, data, source)
    if state.exists():
        learner.load(state)
        if accelerator.is_main_process:
            report(learner.average.module, learner.losses)
    wrapped, *optimizers = accelerator.prepare(network, *learner.optimizers)
    for step in _remaining_steps(learner, accelerator):
        _seed_dropout(recipe.seed, step, accelerator.process_index)
        value = _gradients(learner, loss(wrapped, step), accelerator)
        norm = _update(learner, optimizers, recipe.learning_rate_at(step), accelerator)
        learner.average.update_parameters(learner.master)
        learner.losses.append(accelerator.reduce(value, "mean").item())
        _check_finite(step, learner.losses[-1], norm)
        if accelerator.is_main_process and _is_due(step, recipe):
            learner.save(state)
            report(learner.average.module, learner.losses)
    return cast(Network, learner.average.module)


def _seed_dropout(seed: int, step: int, process: int) -> None:
    """Seed PyTorch's own generator, from which dropout draws. Each process has numbers of its own.

    The seed itself is drawn, so that a mask shares no number with the noise of its batch.
    """
    drawn = torch.randint(2**62, (), generator=step_generator(seed, step))
    torch.manual_seed(int(drawn) + process)


def _gradients(
    learner: Learner, loss: Tensor | Iterable[Tensor], accelerator: Accelerator
) -> Tensor:
    """Add up the gradients of the parts of a loss, averaged over the processes. Return the loss."""
    total = torch.zeros((), device=accelerator.device)
    for part in [loss] if isinstance(loss, Tensor) else loss:
        accelerator.backward(part)
        gather_gradients(learner.network, learner.master)
        total += part.detach()
    return total


def _update(
    learner: Learner, optimizers: list[Any], learning_rate: float, accelerator: Accelerator
) -> float:
    """Change the weights by one step along their gradients. Return the gradients' norm."""
    norm = accelerator.clip_grad_norm_(learner.master.parameters(), CLIP)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        optimizer.zero_grad()
    hand_back(learner.master, learner.network)
    return float(norm)


def _remaining_steps(learner: Learner, accelerator: Accelerator) -> Iterator[int]:
    """Yield the steps still to do. The main process shows a bar with loss and learning rate."""
    first, steps = len(learner.losses), learner.recipe.steps
    hidden = not accelerator.is_main_process
    bar = tqdm(range(first, steps), initial=first, total=steps, disable=hidden, unit="step")
    for step in bar:
        yield step
        recent, rate = learner.losses[-RECENT:], learner.recipe.learning_rate_at(step)
        bar.set_postfix(loss=f"{sum(recent) / len(recent):.4f}", rate=f"{rate:.1e}")


def _is_due(step: int, recipe: Recipe) -> bool:
    """Return whether the state is saved after this step."""
    return (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps


def _check_finite(step: int, loss: float, norm: float) -> None:
    """Raise InputError for a step that spoils all weights. The last state is from before it."""
    if not (isfinite(loss) and isfinite(norm)):
        raise InputError(
            f"step {step}: the loss is {loss:g}, the norm of its gradient {norm:g}: "
            "expected finite numbers; a smaller learning rate, or other data?"
        )


def check_share(batch_size: int, processes: int) -> None:
    """Raise InputError unless all shares are equal: each process's mean counts the same."""
    if batch_size % processes:
        raise InputError(f"a batch of {batch_size} on {processes} processes: expected a multiple")
