"""Batches: what one step learns from, drawn so that a run can be repeated and shared.

Everything random in step k is drawn from (seed, k). No random state is carried from step to step, so
a run that was killed and resumed sees the same batches as an uninterrupted run. The whole batch is
drawn by every process, and each keeps its own part, so two processes together see what one would.

    n  examples in all        b  examples in a batch        c H W  channels, height, width of a latent
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from accelerate import Accelerator
from jaxtyping import Bool, Float32, Int
from torch import Tensor

# The time is logit-normal: t = sigmoid(mean + std * normal). Stable Diffusion 3 (arXiv 2403.03206)
# uses (0, 1); JanusFlow does not give its values. Here the content of a picture is decided between
# t = 0.1 and t = 0.3, and (0, 1) draws such times half as often.
LOGIT_MEAN, LOGIT_STD = -0.8, 1.2
PROMPT_DROPOUT = 0.1  # the share of prompts that become unconditional, as in JanusFlow

Part = TypeVar("Part", list[Tensor], Tensor)


@dataclass(frozen=True)
class Batch:
    """The examples of one step.

    Args:
        ids: the token ids of each prompt, of any lengths, the last token still there.
        z_0: noise, drawn from N(0, I).
        z_1: latents of the pictures, scaled to about unit variance.
        t: a time in 0..1 for each example.
        dropped: True where the prompt is replaced by its unconditional row.
    """

    ids: list[Int[Tensor, "_"]]
    z_0: Float32[Tensor, "b c H W"]
    z_1: Float32[Tensor, "b c H W"]
    t: Float32[Tensor, "b"]
    dropped: Bool[Tensor, "b"]

    def share(self, accelerator: Accelerator) -> "Batch":
        """Return the part of the batch that belongs to this process, on this process's device."""
        device = accelerator.device
        whole = (self.z_0, self.z_1, self.t, self.dropped)
        tensors = [share(tensor, accelerator).to(device) for tensor in whole]
        return Batch([ids.to(device) for ids in share(self.ids, accelerator)], *tensors)

    def parts(self, number: int) -> Iterator["Batch"]:
        """Yield this many batches of equal size, which together are this one, in its order."""
        size = len(self.ids) // number
        for first in range(0, size * number, size):
            here = slice(first, first + size)
            whole = (self.z_0, self.z_1, self.t, self.dropped)
            yield Batch(self.ids[here], *(tensor[here] for tensor in whole))


def share(batch: Part, accelerator: Accelerator) -> Part:
    """Return this process's examples: every p-th one, where p is the number of processes.

    All parts together are the batch, whatever the number of processes. With 4 examples on 2
    processes, process 0 takes examples 0 and 2, and process 1 takes examples 1 and 3.
    """
    return batch[accelerator.process_index :: accelerator.num_processes]


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the random numbers of one step. Those of another step, or of another seed, are others.

    They follow from (seed, step) alone, so a resumed run goes on with the numbers of one that was not
    interrupted. Two pairs would share theirs only after a million steps.
    """
    return torch.Generator().manual_seed(1_000_003 * seed + step)


def draw_batch(
    step: int,
    ids: Sequence[Int[Tensor, "_"]],
    latents: Float32[Tensor, "n c H W"],
    batch_size: int,
    seed: int,
) -> Batch:
    """Draw the batch of one step, from (seed, step) alone.

        t = sigmoid(LOGIT_MEAN + LOGIT_STD * normal)

    Why not a uniform time: the prompt does not matter equally at every time. Near t = 0 the network
    sees almost pure noise. Near t = 1 the picture is visible already, and the prompt adds little. A
    logit-normal time spends more steps in between, where the content is decided.

    Examples are drawn with replacement. So a batch can be larger than the number of examples, and no
    order has to be remembered when a run is resumed.

    Args:
        step: the number of the step.
        ids: the token ids of all n prompts.
        latents: the latents of all n pictures, in the same order.
        batch_size: b, over all processes together.
        seed: the seed of the run.
    """
    generator = step_generator(seed, step)
    chosen = torch.randint(len(ids), (batch_size,), generator=generator)
    z_1 = latents[chosen]  # b c H W
    return Batch(
        ids=[ids[i] for i in chosen],
        z_0=torch.randn(z_1.shape, generator=generator),
        z_1=z_1,
        t=(LOGIT_MEAN + LOGIT_STD * torch.randn(batch_size, generator=generator)).sigmoid(),
        dropped=torch.rand(batch_size, generator=generator) < PROMPT_DROPOUT,
    )
