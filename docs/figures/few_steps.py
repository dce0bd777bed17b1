"""The figures of the chapter on few steps: python docs/figures/few_steps.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to three minutes each,
one thread).
"""

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from canvas import main
from recipes import measured, run_page
from torch import Tensor, nn

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, euler_step, interpolate, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.score import satisfies

SEED = 11  # of captions and noise
EACH = 8  # captions of each of the seven categories
STEPS = (1, 2, 3, 4, 6, 8, 12, 20, 30)
FINE = 40  # Euler steps by which straightness is measured
FAMOUS = "a red circle left of a blue square"


class Sample:
    """The bundled model, a few captions of every category, and one noise for each."""

    def __init__(self, each: int = EACH) -> None:
        self.pipe = JanusFlowPipeline.from_pretrained("shapes")
        self.captions = [caption for category in CATEGORIES for caption in fresh_captions(category, each, SEED)]
        self.pair = PromptPair.from_text([str(caption) for caption in self.captions], self.pipe.tokenizer)
        self.z = image_noise(self.pipe.latent_shape, len(self.captions), torch.Generator().manual_seed(SEED))

    def hits(self, z: Tensor) -> str:
        """Return 1 for each picture of which the caption is true, and 0 for the others."""
        pictures = zip(self.pipe.to_pictures(z), self.captions, strict=True)
        return "".join(str(int(satisfies(np.asarray(picture), caption))) for picture, caption in pictures)


def measure_steps() -> dict[str, Any]:
    """Score Euler with few and with many steps, from the same captions and noise."""
    sample, hits = Sample(), {}
    for steps in STEPS:
        *_, last = denoise(sample.pipe.model, sample.pair, sample.z, time_grid(steps))
        hits[str(steps)] = sample.hits(last.z_next)
    right = {steps: h.count("1") for steps, h in hits.items()}
    return {"captions": len(sample.captions), "weight": 2.0, "right": right, "hits": hits}


def measure_straightness(weight: float) -> dict[str, Any]:
    """Compare the velocity along each path with the straight way from its beginning to its end."""
    sample = Sample(each=4)
    steps = list(denoise(sample.pipe.model, sample.pair, sample.z, time_grid(FINE), weight))
    chord = (steps[-1].z_next - sample.z).flatten(1)
    length = chord.norm(dim=1)
    v = torch.stack([step.v.flatten(1) for step in steps])  # S B numbers
    off = ((chord - v).square().sum(dim=2) / length.square()).mean(dim=1)
    return {
        "captions": len(sample.captions),
        "steps": FINE,
        "weight": weight,
        "times": [step.t.item() for step in steps],
        "off": off.tolist(),
        "cosine": torch.cosine_similarity(v, chord[None], dim=2).mean(dim=1).tolist(),
        "speed": (v.norm(dim=2) / length).mean(dim=1).tolist(),
        "longer": (v.norm(dim=2).mean(dim=0) / length).mean().item(),
    }


# Two dimensions: the best field for two half moons is known, so it can teach.

ANGLE = torch.linspace(0, torch.pi, 100)
UPPER = torch.stack([ANGLE.cos() - 0.5, ANGLE.sin() - 0.25], dim=1)
MOONS = 2 * torch.cat([UPPER, -UPPER])  # the data of notebook 01


def best_velocity(z: Tensor, t: Tensor) -> Tensor:
    """Return E[z_1 - z_0 | z_t = z] for noise and data that are paired at random."""
    squared = (z[:, None] - t * MOONS).square().sum(dim=-1) / (1 - t) ** 2
    return ((-squared / 2).softmax(dim=1) @ MOONS - z) / (1 - t)


class Net(nn.Module):
    """A small network for a velocity in two dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2)
        )

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        return self.layers(torch.cat([z, t.expand(len(z))[:, None]], dim=1))


def follow(velocity: Callable[[Tensor, Tensor], Tensor], z: Tensor, steps: int) -> Tensor:
    """Return all points of Euler's paths."""
    points = [z]
    for t, t_next in pairwise(time_grid(steps)):
        points.append(euler_step(points[-1], velocity(points[-1], t), t, t_next))
    return torch.stack(points)


def learn(z_0: Tensor, z_1: Tensor, steps: int = 4000) -> Net:
    """Train a network on the straight lines between the pairs that are given."""
    torch.manual_seed(0)
    network, batch = Net(), 512
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen, t = torch.randint(len(z_0), (batch,)), torch.rand(batch)
        z_t, target = interpolate(z_0[chosen], z_1[chosen], t)
        loss = (network(z_t, t) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)


def straightness(velocity: Callable[[Tensor, Tensor], Tensor], z: Tensor) -> float:
    """Return the mean of |(z_1 - z_0) - v|^2 along the paths, divided by the mean of |z_1 - z_0|^2."""
    path = follow(velocity, z, 100)
    chord = path[-1] - z
    off = [(chord - velocity(point, t)).square().sum(dim=1) for point, t in zip(path, time_grid(100)[:-1], strict=False)]
    return (torch.stack(off).mean() / chord.square().sum(dim=1).mean()).item()


FEW = (1, 2, 4, 8, 16, 32)


def measure_moons() -> dict[str, Any]:
    """Rectify the best field once: generate pairs with it, and learn their lines."""
    generator = torch.Generator().manual_seed(0)
    pairs, new = torch.randn(10_000, 2, generator=generator), torch.randn(500, 2, generator=generator)
    network = learn(pairs, follow(best_velocity, pairs, 100)[-1])
    fields, found = {"first": best_velocity, "reflowed": network}, {}
    for name, field in fields.items():
        exact = follow(field, new, 400)[-1]
        ends = {s: follow(field, new, s)[-1] for s in FEW}
        found[name] = {
            "straightness": straightness(field, new),
            "error": {str(s): (end - exact).norm(dim=1).mean().item() for s, end in ends.items()},
            "to data": {str(s): torch.cdist(end, MOONS).min(dim=1).values.mean().item() for s, end in ends.items()},
            "paths": follow(field, new[:40], 50).tolist(),
            "one step": ends[1][:40].tolist(),
        }
    return found


def measure_reflow() -> dict[str, Any]:
    """Run the page's reflow of the bundled model, and score it and the original with few steps."""
    reflowed, sample = run_page("few-steps.md")["reflowed"].eval(), Sample()
    found: dict[str, Any] = {"captions": len(sample.captions), "right": {}}
    runs = {"original, w = 2": (sample.pipe.model, 2.0), "original, w = 1": (sample.pipe.model, 1.0)}
    runs["reflowed, w = 1"] = (reflowed, 1.0)
    for name, (model, weight) in runs.items():
        found["right"][name] = {}
        for steps in (1, 2, 4, 8):
            *_, last = denoise(model, sample.pair, sample.z, time_grid(steps), weight)
            found["right"][name][str(steps)] = sample.hits(last.z_next).count("1")
    fine = list(denoise(reflowed, sample.pair, sample.z, time_grid(16), 1.0))
    chord = (fine[-1].z_next - sample.z).flatten(1)
    v = torch.stack([step.v.flatten(1) for step in fine])
    found["straightness"] = ((chord - v).square().sum(2) / chord.square().sum(1)).mean().item()
    return found


TASKS = {
    "moons": measure_moons,
    "steps": measure_steps,
    "straight 1": lambda: measure_straightness(1.0),
    "straight 2": lambda: measure_straightness(2.0),
    "reflow": measure_reflow,
}


def data(name: str) -> dict[str, Any]:
    return measured("few-steps", name, TASKS[name])


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:] or TASKS:
            data(name)
    else:
        main()
