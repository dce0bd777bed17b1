"""The figures of the chapter on few steps: python docs/figures/few_steps.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to three minutes each,
one thread). The scores in data/few/ are evaluate's, for S = 1, 2, 3, 4:

    janus-minimal evaluate --steps S --json docs/figures/data/few/teacher-S.json
    janus-minimal evaluate --checkpoint shapes-few --steps S --cfg-weight 1 --json docs/figures/data/few/student-S.json

data/few/second-round.json is the settings.json of the run that made shapes-few, and third-round.json that of a run from
its weights, whose student was compared with it: second-against-third-S.json, by janus-minimal compare.
"""

import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from math import log2
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from canvas import BLUE, INK, ORANGE, PINK, Drawing, figure, main
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from recipes import from_text, measured, sheet, to_text
from sample import Sample
from torch import Tensor, nn

from janus_minimal import JanusFlowPipeline, denoise, euler_step, interpolate, time_grid
from janus_minimal.shapes.scene import Scene
from janus_minimal.shapes.score import detect
from janus_minimal.solvers import one_row

SEED = 11  # of captions and noise
EACH = 8  # captions of each of the seven categories
STEPS = (1, 2, 3, 4, 6, 8, 12, 20, 30)
FINE = 40  # Euler steps by which straightness is measured
FAMOUS = "a red circle left of a blue square"


def measure_steps() -> dict[str, Any]:
    """Score Euler with few and with many steps, from the same captions and noise."""
    sample, hits = Sample(EACH, SEED), {}
    for steps in STEPS:
        *_, last = denoise(sample.pipe.model, sample.pair, sample.z, time_grid(steps))
        hits[str(steps)] = sample.hits(last.z_next)
    right = {steps: h.count("1") for steps, h in hits.items()}
    return {"captions": len(sample.captions), "weight": 2.0, "right": right, "hits": hits}


def measure_straightness(weight: float, checkpoint: str = "shapes") -> dict[str, Any]:
    """Compare the velocity along each path with the straight way from its beginning to its end."""
    sample = Sample(4, SEED, checkpoint)
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
        "straightness": off.mean().item(),
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
            nn.Linear(3, 128),
            nn.SiLU(),
            nn.Linear(128, 128),
            nn.SiLU(),
            nn.Linear(128, 128),
            nn.SiLU(),
            nn.Linear(128, 2),
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
    off = [
        (chord - velocity(point, t)).square().sum(dim=1) for point, t in zip(path, time_grid(100)[:-1], strict=False)
    ]
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
            "paths": follow(field, new[:40], 50)[::2].tolist(),
            "one step": ends[1][:40].tolist(),
        }
    return found


OPEN = ("a star", "a circle", "a circle and a square", "two triangles")  # captions that leave much open
NOISES = 40  # for each of them


def measure_diversity() -> dict[str, Any]:
    """Draw captions that leave much open from many noises, and compare how different the pictures are."""
    teacher, student = (JanusFlowPipeline.from_pretrained(name) for name in ("shapes", "shapes-few"))
    runs = {"teacher": drawn_latents(teacher, 30, 2.0)}
    runs |= {f"student {s}": drawn_latents(student, s, 1.0) for s in (1, 2, 4)}
    shown = {name: [detect(np.asarray(p)) for p in teacher.to_pictures(z)] for name, z in runs.items()}
    found = {name: spread(runs[name], scenes) for name, scenes in shown.items()}
    for name, scenes in shown.items():
        same = [kinds(a) == kinds(b) for a, b in zip(scenes, shown["teacher"], strict=True)]
        found[name]["as the teacher"] = float(np.mean(same))
    return {"captions": list(OPEN), "noises": NOISES, "runs": found}


def drawn_latents(pipe: JanusFlowPipeline, steps: int, weight: float) -> Tensor:
    """Draw every open caption from the same noises."""
    noises = [torch.Generator().manual_seed(i) for i in range(len(OPEN) * NOISES)]
    options = {"num_images_per_prompt": NOISES, "generator": noises, "output_type": "latent", "progress": False}
    return pipe(list(OPEN), steps, weight, **options).images


def spread(z: Tensor, scenes: list[Scene]) -> dict[str, float]:
    """Return the mean distance between two latents of one caption, the entropy of colours, and how far places vary."""
    distances = [torch.pdist(same.flatten(1)).mean().item() for same in z.split(NOISES)]
    things = [thing for scene in scenes for thing in scene]
    shares = [count / len(things) for count in Counter(thing.colour for thing in things).values()]
    places = np.array([(thing.x, thing.y) for thing in things])
    return {
        "distance": float(np.mean(distances)),
        "bits of colour": -sum(share * log2(share) for share in shares),
        "pixels of place": float(places.std(axis=0).mean()),
    }


def kinds(scene: Scene) -> list[tuple[str, str]]:
    return sorted((thing.colour, thing.shape) for thing in scene)


def measure_rows() -> dict[str, Any]:
    """Time the loop at w = 1 with two rows an image, and its sibling with one: CPU seconds of one thread, no VAE."""
    torch.set_num_threads(1)
    sample, found = Sample(1, SEED), {}
    for steps in (1, 4):
        times: dict[str, list[float]] = {"denoise": [], "one_row": []}
        for _ in range(7):  # in turn, so that both meet the same machine
            for solver in (denoise, one_row):
                start = process_time()
                list(solver(sample.pipe.model, sample.pair, sample.z, time_grid(steps), 1.0))
                times[solver.__name__].append(process_time() - start)
        seconds = {name: median(some) for name, some in times.items()}
        found[str(steps)] = seconds | {"ratio": seconds["denoise"] / seconds["one_row"]}
    return {"images": len(sample.captions), "steps": found}


SHOWN = (1, 2, 3, 4, 8, 30)


def drawn_steps() -> dict[str, Any]:
    """Draw three captions with few and with many steps, from one noise each."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    captions = [FAMOUS, "four purple circles", "a star"]
    rows = []
    for seed, caption in enumerate(captions):
        runs = [pipe(caption, s, generator=torch.manual_seed(seed), progress=False).images[0] for s in SHOWN]
        rows.append([to_text(image) for image in runs])
    return {"captions": captions, "rows": rows}


FEWEST = (1, 2, 4)


def drawn_student() -> dict[str, Any]:
    """Draw captions with the student in few steps, and with the teacher in few and in many, from one noise each."""
    teacher, student = (JanusFlowPipeline.from_pretrained(name) for name in ("shapes", "shapes-few"))
    captions, rows = [FAMOUS, "four purple circles", "a star", "a green star"], []
    runs = [(teacher, s, 2.0) for s in (*FEWEST, 30)] + [(student, s, 1.0) for s in FEWEST]
    for seed, caption in enumerate(captions):
        images = [
            pipe(caption, s, w, generator=torch.manual_seed(seed), progress=False).images[0] for pipe, s, w in runs
        ]
        rows.append([to_text(image) for image in images])
    return {"captions": captions, "rows": rows}


TASKS = {
    "moons": measure_moons,
    "steps": measure_steps,
    "straight 1": lambda: measure_straightness(1.0),
    "straight 2": lambda: measure_straightness(2.0),
    "straight few": lambda: measure_straightness(1.0, "shapes-few"),
    "diversity": measure_diversity,
    "rows": measure_rows,
    "drawn": drawn_steps,
    "drawn few": drawn_student,
}


def data(name: str) -> dict[str, Any]:
    return measured("few-steps", name, TASKS[name])


@figure("few_pictures")
def few_pictures() -> Drawing:
    shown, found = data("drawn"), data("steps")
    rows = [
        (name, [from_text(text) for text in row]) for name, row in zip(shown["captions"], shown["rows"], strict=True)
    ]
    right, number = found["right"], found["captions"]
    return Drawing(
        sheet([f"{s} step{'s' if s > 1 else ''}" for s in SHOWN], rows),
        alt="Three rows of six pictures. With one step there are blurs and faint spots, with four the shapes are there, and with eight they are clean.",
        caption=f"Three captions, each from one noise, with 1 to 30 Euler steps at w = 2. Of {number} captions, 1 step "
        f"satisfies {right['1']}, 2 steps {right['2']}, 4 steps {right['4']} and 30 steps {right['30']}.",
    )


@figure("few_student")
def few_student() -> Drawing:
    shown = data("drawn few")
    rows = [
        (name, [from_text(text) for text in row]) for name, row in zip(shown["captions"], shown["rows"], strict=True)
    ]
    columns = [f"shapes\n{s}" for s in (*FEWEST, 30)] + [f"few\n{s}" for s in FEWEST]
    return Drawing(
        sheet(columns, rows),
        alt="Four rows of seven pictures: the teacher's with 1 and 2 steps are blurred, the student's show clean shapes.",
        caption="Four captions, each from one noise: the bundled model shapes at w = 2 with 1, 2, 4 and 30 Euler steps, and "
        "shapes-few at w = 1 with 1, 2 and 4.",
    )


@figure("few_straight")
def few_straight() -> Drawing:
    """Draw how far the velocity is from the straight way, by time."""
    drawn = Figure(figsize=(7.0, 3.0), layout="constrained")
    ax = drawn.subplots()
    found = {w: data(f"straight {w}") for w in ("1", "2", "few")}
    names = ("shapes, w = 1", "shapes, w = 2", "shapes-few, w = 1")
    for entry, name, colour, line in zip(found.values(), names, (BLUE, ORANGE, PINK), ("-", "--", "-."), strict=True):
        ax.plot(entry["times"], entry["off"], color=colour, linestyle=line, label=name)
    ax.set(xlabel="t", ylabel="distance from the straight way\n(squared, relative)", xlim=(0, 1), ylim=(0, None))
    ax.legend(frameon=False)
    two = found["2"]
    mean, early = (
        np.mean(two["off"]),
        np.mean([off for t, off in zip(two["times"], two["off"], strict=True) if t < 0.2]),
    )
    part = early * 0.2 / mean
    return Drawing(
        drawn,
        alt="Two curves fall steeply from about 0.4 at t = 0 to nearly zero at t = 0.2; the third, of the student, is lower.",
        caption=f"How bent the paths of the two bundled models are: |v - (z_1 - z_0)|^2 / |z_1 - z_0|^2 along {two['captions']} paths of "
        f"{two['steps']} Euler steps. The mean over t, the straightness, is {mean:.3f} at w = 2, and {100 * part:.0f} % of it comes from t < 0.2. "
        f"shapes-few has {found['few']['straightness']:.3f} at w = 1.",
    )


@figure("few_moons")
def few_moons() -> Drawing:
    """Draw paths and one-step results of the best field, and of the field after one reflow."""
    found = data("moons")
    drawn = Figure(figsize=(8.4, 4.3), layout="constrained")
    for ax, (name, title) in zip(
        drawn.subplots(1, 2, sharex=True, sharey=True),
        {"first": "before reflow", "reflowed": "after one reflow"}.items(),
        strict=True,
    ):
        path, ends = np.array(found[name]["paths"]), np.array(found[name]["one step"])
        ax.plot(*MOONS.T, linestyle="", marker=".", markersize=2.5, color=ORANGE)
        ax.plot(path[:, :, 0], path[:, :, 1], color=BLUE, linewidth=0.9)
        ax.plot(*path[0].T, linestyle="", marker="o", markersize=2.5, color=INK)
        ax.plot(*ends.T, linestyle="", marker="x", markersize=5, color=PINK)
        ax.set(title=title, aspect="equal", xticks=[], yticks=[])
        for side in ax.spines.values():
            side.set_visible(False)
    handles = [("o", INK, "noise"), (".", ORANGE, "data"), ("x", PINK, "where one Euler step ends")]
    lines = [Line2D([], [], linestyle="", marker=m, color=c, label=label) for m, c, label in handles]
    lines.append(Line2D([], [], color=BLUE, label="path"))
    drawn.legend(handles=lines, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    a, b = found["first"], found["reflowed"]
    return Drawing(
        drawn,
        alt="Left: curved paths from noise to two half moons; the crosses of one step all lie in the middle. Right: straight paths; the crosses lie on the moons.",
        caption=f"Reflow in two dimensions. Left, the best field for randomly paired noise and data: paths bend, and one Euler step "
        f"brings every point to the mean of the data. Right, a small network trained on the pairs (noise, end of its path): straightness "
        f"{b['straightness']:.3f} instead of {a['straightness']:.2f}, and one step ends {b['to data']['1']:.2f} from the data instead of {a['to data']['1']:.2f}.",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:] or TASKS:
            data(name)
    else:
        main()
