"""Every step of a run: what the loop has in hand at one time, and a slider over all times.

A film strip has room for eight of thirty steps. In a notebook a slider shows each of them. What is
drawn stays on one scale from the first step to the last, so that growth is seen as growth.

The path of the latent has as many dimensions as a latent has numbers. Two of them can be drawn. The
best two are its first principal directions: in them, a path of thirty states keeps most of its
length.

    S  steps        c H W  latent        d = c H W
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from janus_minimal.figures.plots import BLUE, GREEN, ORANGE, SKY, channel_square
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.sampling import Step

PANELS = ("z", "v_cond", "v_uncond", "v_cond - v_uncond", "v", "denoised")
ARROWS = {"v_cond": BLUE, "v_uncond": ORANGE, "v": GREEN}


class StepFigures:
    """Draws step k of a run: `StepFigures(pipe, list(denoise(...)))(k)` is a matplotlib Figure.

    Above, the latent, both velocities, their difference, the guided velocity and the denoised
    prediction, all steps on one scale. Below, the latent and the prediction as pictures, and the
    path in its first two principal directions, with the velocities as arrows. An arrow ends where a
    straight line of this velocity would be at t = 1. Of several images the first is drawn.
    """

    def __init__(self, pipe: JanusFlowPipeline, steps: Sequence[Step]) -> None:
        self.pipe, self.steps = pipe, steps
        states = torch.stack([*(step.z[0] for step in steps), steps[-1].z_next[0]])
        self.centre, self.directions = principal_plane(states)
        self.path = self._on_plane(states)
        self.limit = max(tensor.abs().max().item() for step in steps for tensor in _panels(step))

    def __call__(self, k: int) -> Figure:
        """Draw step k, counted from 0."""
        step = self.steps[k]
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.5))
        above, below = halves
        for ax, name, z in zip(above.subplots(1, 6), PANELS, _panels(step), strict=True):
            ax.imshow(channel_square(z), cmap="PuOr", vmin=-self.limit, vmax=self.limit)
            ax.set(xticks=[], yticks=[])
            ax.set_title(name, fontsize=9)
        axes = below.subplots(1, 3, width_ratios=(1, 1, 2))
        for ax, name, z in zip(axes, ("z", "denoised"), (step.z, step.denoised), strict=False):
            ax.imshow(self.pipe.to_pictures(z[:1])[0], interpolation="nearest")
            ax.set(title=name, xticks=[], yticks=[])
        self._draw_path(axes[2], step)
        figure.suptitle(f"step {k} of {len(self.steps)}, t = {step.t.item():.2f}")
        return figure

    def _draw_path(self, ax: Any, step: Step) -> None:
        ax.plot(*self.path.T, color=SKY, marker=".", linewidth=0.8)
        here = self._on_plane(step.z)[0]
        for name, colour in ARROWS.items():
            there = self._on_plane(step.z + (1 - step.t) * getattr(step, name))[0]
            ax.plot(*zip(here, there, strict=True), color=colour, label=name)
            ax.plot(*there, color=colour, marker="o", markersize=4)
        ax.set(xlabel="1st principal direction", ylabel="2nd")
        ax.legend(fontsize=8)

    def _on_plane(self, z: Float[Tensor, "n c H W"]) -> Any:
        flat = rearrange(z, "n c H W -> n (c H W)")
        return ((flat - self.centre) @ self.directions).detach().cpu().numpy()  # n 2


def principal_plane(
    states: Float[Tensor, "n c H W"],
) -> tuple[Float[Tensor, "d"], Float[Tensor, "d 2"]]:
    """Return the mean of the states, and the two orthogonal unit vectors along which they vary most.

    These are the first right singular vectors of the centred states. Coordinates on the plane are
    `(z - mean) @ directions`. Computed on the CPU, since some devices lack the decomposition.
    """
    flat = rearrange(states, "n c H W -> n (c H W)").cpu()
    mean = flat.mean(dim=0)
    directions = torch.linalg.svd(flat - mean, full_matrices=False).Vh[:2].T  # d 2
    return mean.to(states.device), directions.to(states.device)


def slider(draw: Callable[[int], Figure], steps: int) -> Any:
    """Return a slider for a notebook, which shows draw(k) for k = 0, ..., steps - 1."""
    from ipywidgets import IntSlider, interactive

    where = IntSlider(min=0, max=steps - 1, description="step", continuous_update=False)
    return interactive(lambda k: draw(k), k=where)  # ipywidgets asks for a function with a name


def _panels(step: Step) -> list[Float[Tensor, "c H W"]]:
    """Return the first image's latents of one step, in the order of PANELS."""
    difference = step.v_cond - step.v_uncond
    return [
        tensor[0]
        for tensor in (step.z, step.v_cond, step.v_uncond, difference, step.v, step.denoised)
    ]
