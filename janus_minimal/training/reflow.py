"""Reflow: a student learns the straight lines from each noise to where the teacher takes it.

The problem. A trained field's paths bend, so a step of Euler's method must be short. Reflow draws
noise z_0, follows the teacher's guided field to its end z_1, and trains a student on the straight
line between the two. In ordinary training noise and data are paired at random, and the velocity is a
mean over many lines. Here each noise has one end, so there is little left to average over.

The teacher's velocity is guided, and the student learns it as its conditional velocity. So the
student needs no guidance, and its unconditional row is never trained (guidance distillation).

    n  pairs in all        b  examples in a batch        c H W  channels, height, width of a latent

Sources: Liu, Gong and Liu 2022, arXiv 2209.03003, sections 2 and 3; Lee, Lin and Fanti 2024, "Improving
the training of rectified flows", arXiv 2405.20320, for times and loss; Meng et al. 2022, arXiv
2210.03142, section 3, for guidance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn

from janus_minimal.flow import interpolate, time_grid
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair
from janus_minimal.solvers import adams_bashforth
from janus_minimal.training.batch import Batch, step_generator
from janus_minimal.training.loop import Report, fit
from janus_minimal.training.recipe import Recipe

TIME_POWER = 3  # t = u^3 for uniform u: half of all times lie below 1/8
SOFTENING = 0.03  # errors below this count squared, errors above it as they are


@dataclass(frozen=True, kw_only=True)
class ReflowRecipe(Recipe):
    """How to train a student, and how its pairs are drawn.

    Args:
        pairs: n, the number of pairs.
        teacher_steps: Adams-Bashforth steps from a noise to its end.
        shift: of the teacher's time grid; above 1, more of these steps are taken early.
        cfg_weight: the guidance weight of the teacher.
    """

    pairs: int
    teacher_steps: int
    shift: float
    cfg_weight: float


@dataclass(frozen=True)
class Pairs:
    """Noises and their ends. Entry i of all three belongs together.

    Args:
        ids: the token ids of each prompt, the last token still there.
        z_0: noise, drawn from N(0, I).
        z_1: where the teacher takes z_0 under this prompt.
    """

    ids: Sequence[Int[Tensor, "_"]]
    z_0: Float32[Tensor, "n c H W"]
    z_1: Float32[Tensor, "n c H W"]


def follow_teacher(
    teacher: JanusFlow,
    ids: Sequence[Int[Tensor, "_"]],
    z_0: Float32[Tensor, "n c H W"],
    pad_id: int,
    recipe: ReflowRecipe,
) -> Float32[Tensor, "n c H W"]:
    """Return z_1: the end of the teacher's guided path from each noise, on the CPU.

    Adams-Bashforth asks the network once a step, and is of second order.

    Args:
        teacher: the trained model.
        ids: the token ids of the n prompts, the last token still there.
        z_0: a noise for each prompt.
        pad_id: the id that fills the masked places of the prompts.
        recipe: gives the time grid and the guidance weight.
    """
    prompt = PromptPair.from_ids(ids, pad_id=pad_id).to(teacher.device)
    z, times = z_0.to(teacher.device), time_grid(recipe.teacher_steps, recipe.shift)
    *_, last = adams_bashforth(teacher, prompt, z, times, recipe.cfg_weight)
    return last.z_next.cpu()


def draw_pair_batch(step: int, pairs: Pairs, batch_size: int, seed: int) -> Batch:
    """Draw the batch of one step from (seed, step) alone: some of the pairs, and a time for each.

        t = u^TIME_POWER,    u uniform in 0..1

    Why mostly early times: one step from noise follows the velocity at t = 0 and nothing else, and
    there it is hardest to know. Near t = 1 the picture is visible already, and the teacher's weights,
    from which the student begins, are nearly right.

    A noise always comes with its own end. No prompt is dropped, because the student has no
    unconditional row.
    """
    generator = step_generator(seed, step)
    chosen = torch.randint(len(pairs.ids), (batch_size,), generator=generator)
    return Batch(
        ids=[pairs.ids[i] for i in chosen],
        z_0=pairs.z_0[chosen],
        z_1=pairs.z_1[chosen],
        t=torch.rand(batch_size, generator=generator) ** TIME_POWER,
        dropped=torch.zeros(batch_size, dtype=torch.bool),
    )


def reflow_loss(network: nn.Module, batch: Batch, pad_id: int) -> Float[Tensor, ""]:
    """Return how far the predicted velocities are from those of the lines, as a distance.

        d = sqrt(mean over c H W of (v(z_t, t | prompt) - (z_1 - z_0))^2 + s^2) - s,    s = SOFTENING

    and the mean of d over the examples (a pseudo-Huber loss).

    Why not the squared error: from noise alone the network cannot always tell which of two pictures
    the teacher would make. The squared error makes it answer with their mean, a blur that shows
    neither. The distance makes it answer with the median, which is the likelier one of the two.
    Where the answer is certain, both losses ask for the same velocity.

    Args:
        network: a JanusFlow, or the data-parallel wrapper around it.
        batch: the examples, on the network's device.
        pad_id: the id that fills the masked places of the prompts.
    """
    z_t, target = interpolate(batch.z_0, batch.z_1, batch.t)  # b c H W each
    rows = PromptPair.from_ids(batch.ids, pad_id=pad_id).with_prompt_dropout(batch.dropped)
    squared = (network(z_t, batch.t, rows) - target).square().flatten(1).mean(1)  # b
    return ((squared + SOFTENING**2).sqrt() - SOFTENING).mean()


def train_student(
    student: JanusFlow,
    pairs: Pairs,
    pad_id: int,
    state: Path,
    accelerator: Accelerator,
    report: Report,
    recipe: ReflowRecipe,
    source: str | None = None,
) -> JanusFlow:
    """Train the student to the end of the recipe, and return it with averaged weights.

    Args:
        student: the model to train, with the teacher's weights at first. Its weights change.
        pairs: what `follow_teacher` gave, on the CPU.
        pad_id: the id that fills the masked places of the prompts.
        state: the file of the run's state. If it exists, training goes on from there.
        accelerator: the device, and the processes that share each batch.
        report: called after each save and after resuming, with the averaged model and all losses.
        recipe: how to train.
        source: a fingerprint of the student's weights before training.

    Raises:
        InputError: as `fit` does, and if `state` was begun with other pairs, or with another student.
    """

    def loss(network: nn.Module, step: int) -> Tensor:
        batch = draw_pair_batch(step, pairs, recipe.batch_size, recipe.seed)
        return reflow_loss(network, batch.share(accelerator), pad_id)

    ids = {f"ids {i}": row for i, row in enumerate(pairs.ids)}
    data = fingerprint(ids | {"z_0": pairs.z_0, "z_1": pairs.z_1})
    return fit(student, loss, recipe, state, accelerator, report, data, source)
