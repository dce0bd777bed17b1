"""The figures of chapter 2, "From noise to data": python docs/figures/flow.py [NAME ...]

Data in two dimensions are two half moons of a hundred points each, as in notebook 01; the velocity of finitely many
data points is known in closed form, so nothing is trained except in `flow_reflow`. What takes longer is kept in data/:
flow-mean.json (the bundled model at t = 0; a minute) and flow-reflow.json (three small networks; two minutes). Delete
a file to measure again. data/flow.json has the smaller numbers that the page quotes.
"""

import base64
import io
import json
from collections.abc import Callable
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from canvas import BLUE, DATA, GREEN, INK, ORANGE, PINK, RED, SKY, Drawing, figure, main, measured
from diffusers import DDIMScheduler
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor, nn

from janus_minimal import JanusFlowPipeline, PromptPair, euler_step, interpolate, time_grid
from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.render import render
from janus_minimal.shapes.vae import encode_scenes

CAPTION = "a red circle left of a blue square"
Field = Callable[[Tensor, Tensor], Tensor]


def two_moons() -> Tensor:
    """Return notebook 01's data: two hundred points on two arcs."""
    angle = torch.linspace(0, torch.pi, 100)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=1)
    return 2 * torch.cat([upper, -upper])


def noise_of(seed: int, number: int) -> Tensor:
    return torch.randn(number, 2, generator=torch.Generator().manual_seed(seed))


def weights(z: Tensor, t: Tensor, data: Tensor) -> Tensor:
    """How likely each data point is, seen from each place z: a softmax over squared distances."""
    squared = (z[:, None] - t * data).square().sum(dim=-1)
    return (-squared / (2 * (1 - t) ** 2)).softmax(dim=1)


def field_of(data: Tensor) -> Field:
    """The mean velocity of all lines through a place."""
    return lambda z, t: (weights(z, t, data) @ data - z) / (1 - t)


def follow(field: Field, z: Tensor, steps: int) -> Tensor:
    """Euler's method: the places at all S + 1 times."""
    places = [z]
    for t, t_next in pairwise(time_grid(steps)):
        places.append(euler_step(places[-1], field(places[-1], t), t, t_next))
    return torch.stack(places)


def remember(**found: object) -> None:
    """Keep numbers that the page quotes."""
    path = DATA / "flow.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(dict(sorted({**kept, **found}.items())), indent=2) + "\n", encoding="utf-8")


def arrows(axes, places: Tensor, v: Tensor, duration: float, **style: object) -> None:
    """Draw how far each place would move in this time."""
    axes.quiver(*places.T, *v.T, angles="xy", scale_units="xy", scale=1 / duration, **style)


def plain(axes, limit: float = 3.4) -> None:
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


# ---- Lines through one point, and their mean ----


@figure("flow_lines_at_a_point")
def lines_at_a_point() -> Drawing:
    data, t, z = two_moons(), torch.tensor(0.4), torch.tensor([[0.8, 0.0]])
    share = weights(z, t, data)[0]
    starts = (z - t * data) / (1 - t)
    v = field_of(data)(z, t)[0]
    picture, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    for axes in (left, right):
        plain(axes, 3.3)
        axes.set_ylim(-2.6, 2.6)
        axes.scatter(*data[::2].T, s=9, color=ORANGE, zorder=1)
    for i in range(0, len(data), 4):
        opacity = 0.05 + 0.6 * float(share[i] / share.max())
        left.plot(*torch.stack([starts[i], data[i]]).T, color=INK, lw=1.1, alpha=opacity, zorder=2)
        left.scatter(*starts[i], s=13, color=SKY, lw=0, zorder=3)
    arrows(
        left,
        z,
        v[None],
        1 - float(t),
        color=RED,
        width=0.012,
        headwidth=3.2,
        headlength=3.4,
        headaxislength=3.2,
        zorder=5,
    )
    left.scatter(*z[0], s=45, color=RED, zorder=5)
    left.set_title("conditional: a line for each data point", fontsize=12)
    grid = torch.cartesian_prod(torch.linspace(-3, 3, 16), torch.linspace(-2.2, 2.2, 12))
    arrows(right, grid, field_of(data)(grid, t), 0.2, color=INK, alpha=0.8, width=0.005, zorder=3)
    arrows(
        right,
        z,
        v[None],
        1 - float(t),
        color=RED,
        width=0.012,
        headwidth=3.2,
        headlength=3.4,
        headaxislength=3.2,
        zorder=5,
    )
    right.scatter(*z[0], s=45, color=RED, zorder=5)
    right.set_title("marginal: one arrow for each place", fontsize=12)
    picture.tight_layout(w_pad=1)
    lengths = (share * (data - starts).norm(dim=1)).sum().item()
    spread = (share * ((data - starts) - v).square().sum(dim=1)).sum().item()
    remember(
        **{
            "one point": {
                "mean length of the lines": lengths,
                "length of their mean": v.norm().item(),
                "squared spread": spread,
            }
        }
    )
    return Drawing(
        picture,
        """Left: many straight lines cross in one red point; a red arrow at the point is their mean. Right: a
        grid of arrows, one at each place, with the red one among them. Orange data points form two half moons.""",
        f"""Time t = {t:.1f}. Left: the training lines through one place, a quarter of all {len(data)}; the
        stronger a line, the more likely it is (its noise, blue, is nearer to the centre). The red arrow is their
        mean velocity, drawn as far as it would lead by t = 1. The lines are {lengths:.1f} long on average, but
        they point in different directions, so their mean has a length of only {v.norm():.1f}. Right: the
        marginal velocity field at this time, the same mean at every place of a grid. A grey arrow shows how far
        its place would move in 0.2 of the time.""",
    )


# ---- Two points on a line ----


def share_below(z: float, t: float) -> float:
    """P(z_t < z), where the data are -2 and 2."""
    return float(norm.cdf([(z - 2 * t) / (1 - t), (z + 2 * t) / (1 - t)]).mean())


def exact_path(noise: float, t: float) -> float:
    """Where a path that starts at `noise` is at t: it keeps the share of points below it."""
    if t == 0:
        return noise
    if t == 1:
        return float(2 * np.sign(noise))
    return float(brentq(lambda z: share_below(z, t) - norm.cdf(noise), -9, 9, xtol=1e-12))


@figure("flow_two_points")
def two_points() -> Drawing:
    times = np.concatenate([np.linspace(0, 0.97, 98), [1.0]])
    noises = [-2.2, -1.4, -0.8, -0.3, 0.05, 0.5, 1.1, 1.9]
    paths = {noise: [exact_path(noise, t) for t in times] for noise in noises}
    z, grid = np.linspace(-3.4, 3.4, 170), np.linspace(0, 0.98, 100)
    density = np.array(
        [[norm.pdf([(y - 2 * t) / (1 - t), (y + 2 * t) / (1 - t)]).mean() / (1 - t) for t in grid] for y in z]
    )
    shade = np.zeros((*density.shape, 4))
    shade[..., :3] = to_rgb(SKY)
    shade[..., 3] = np.clip(density / 0.55, 0, 1) ** 0.6 * 0.55
    picture, panels = plt.subplots(1, 2, figsize=(9, 4.1), sharey=True)
    for axes, title in zip(panels, ("conditional lines", "marginal paths"), strict=True):
        axes.imshow(shade, extent=(0, 1, -3.4, 3.4), origin="lower", aspect="auto", interpolation="none", zorder=0)
        axes.scatter([1, 1], [-2, 2], s=70, color=ORANGE, zorder=6, clip_on=False)
        axes.scatter([0] * len(noises), noises, s=18, color=BLUE, zorder=5, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(-3.2, 3.2), xlabel="time t", yticks=[-2, 0, 2], title=title)
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("z")
    for noise in noises:
        own = noise == 0.5
        for point in (-2, 2):
            panels[0].plot([0, 1], [noise, point], color=INK, lw=2.2 if own else 0.9, alpha=1 if own else 0.55)
        panels[1].plot(times, paths[noise], color=RED, lw=2.6 if own else 1.1, alpha=1 if own else 0.75)
    marks = {f"{t:g}": exact_path(0.5, t) for t in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)}
    panels[1].scatter([float(t) for t in marks], list(marks.values()), s=28, color=RED, zorder=6)
    picture.tight_layout(w_pad=1.5)
    low = min(times[:-1], key=lambda t: exact_path(0.5, t))
    remember(**{"path from 0.5": marks, "lowest": {"t": float(low), "z": exact_path(0.5, low)}})
    return Drawing(
        picture,
        """Two plots of z against time. Left: from each of eight noises a straight line to -2 and one to 2; the
        lines cross everywhere. Right: from the same noises curved paths that never meet; those above zero end at
        2, the others at -2.""",
        f"""Two data points, -2 and 2 (orange). The shade is the density of z_t: one hill at t = 0, two needles
        at t = 1; it is the same in both plots. Left: the training lines of eight noises, two lines each. They
        are straight, and they cross. Right: the paths that follow the mean velocity from the same noises. They
        bend and keep their order. The thick path starts at 0.5, turns at t = {low:.2f} where z =
        {exact_path(0.5, low):.2f}, and is at {marks["0.75"]:.2f} at t = 0.75 (dots).""",
    )


# ---- The field at four times ----


@figure("flow_field")
def field_at_four_times() -> Drawing:
    data = two_moons()
    noise, partners = noise_of(0, 1000), data[torch.randint(200, (1000,), generator=torch.Generator().manual_seed(1))]
    grid = torch.cartesian_prod(torch.linspace(-3, 3, 16), torch.linspace(-2.6, 2.6, 14))
    picture, panels = plt.subplots(2, 2, figsize=(9, 7.6))
    compatible = {}
    for axes, t in zip(panels.flat, torch.tensor([0.0, 0.3, 0.6, 0.9]), strict=True):
        plain(axes, 3.3)
        axes.set_ylim(-2.7, 2.7)
        cloud = (1 - t) * noise + t * partners
        axes.scatter(*cloud[:200].T, s=8, color=SKY, alpha=0.55, lw=0)
        axes.scatter(*data[::2].T, s=5, color=ORANGE)
        # An arrow far from every point of the cloud would describe places where no path goes.
        near = torch.cdist(grid, cloud).kthvalue(3, dim=1).values < 0.4
        v = field_of(data)(grid[near], t)
        arrows(axes, grid[near], v, 0.1, color=INK, alpha=0.85, width=0.005)
        share = weights(cloud, t, data)
        compatible[f"{float(t):.1f}"] = (1 / share.square().sum(dim=1)).mean().item()
        axes.set_title(f"t = {t:.1f}", fontsize=12)
    picture.tight_layout()
    remember(**{"data points that a place is compatible with": compatible})
    told = ", ".join(f"{number:.0f} at t = {t}" for t, number in compatible.items())
    return Drawing(
        picture,
        """Four panels of arrows with blue points between them. At t = 0 all arrows point at the centre. At t =
        0.3 they begin to fan out, at t = 0.6 they point at the two half moons, at t = 0.9 at the nearest piece
        of a moon.""",
        f"""The marginal velocity at four times; an arrow shows how far its place would move in a tenth of the
        time. Blue: a sample of z_t. Orange: the data. At t = 0 every arrow leads to the centre, the mean of all
        data. Later each place points at the data that are still likely from there. How many these are, as 1 divided
        by the sum of their squared shares (k equal shares give k), averaged over the blue points: {told}. Arrows are
        left out where there are no blue points.""",
    )


# ---- The same cloud, twice: moving ----


@figure("flow_dots")
def dots() -> Drawing:
    data, number, frames = two_moons(), 60, 20
    noise = noise_of(3, number)
    partner = data[torch.randperm(200, generator=torch.Generator().manual_seed(1))[:number]]
    flow = follow(field_of(data), noise, 400)
    lines = torch.stack([torch.stack([noise, partner])[i] for i in (0, 1)])
    scale, left, right, middle = 44, 165, 495, 160

    def at(place: Tensor, centre: int) -> str:
        return f"{centre + scale * place[0]:.1f},{middle - scale * place[1]:.1f}"

    def dot(name: str, places: Tensor, centre: int) -> tuple[str, str]:
        parts = len(places) - 1
        moves = [f"translate({at(p, centre).replace(',', 'px,')}px)" for p in places]
        stops = " ".join(f"{8 + 80 * k / parts:.0f}%{{transform:{m}}}" for k, m in enumerate(moves))
        rule = f"@keyframes {name}{{0%{{transform:{moves[0]}}} {stops} 100%{{transform:{moves[-1]}}}}}"
        return rule, f'<circle r="3.2" style="animation-name:{name};transform:{moves[-1]}"/>'

    rules, left_dots, right_dots, tracks = [], [], [], []
    for i in range(number):
        for kept, name, places, centre in (
            (left_dots, f"fdl{i}", lines[:, i], left),
            (right_dots, f"fdr{i}", flow[:: 400 // frames, i], right),
        ):
            rule, circle = dot(name, places, centre)
            rules.append(rule)
            kept.append(circle)
        for track, centre in ((lines[:, i], left), (flow[::8, i], right)):
            tracks.append(f'<polyline points="{" ".join(at(p, centre) for p in track)}"/>')
    ends = "".join(
        f'<circle cx="{at(p, c).split(",")[0]}" cy="{at(p, c).split(",")[1]}" r="1.6"/>'
        for p in data
        for c in (left, right)
    )
    style = f"""
    .flow-dots .moving circle {{ animation: 7s linear infinite; }}
    .flow-dots:hover .moving circle, .flow-dots:focus .moving circle, .flow-dots:hover .bar, .flow-dots:focus .bar
      {{ animation-play-state: paused; }}
    .flow-dots .bar {{ animation: fdbar 7s linear infinite; transform-origin: 0 0; }}
    @keyframes fdbar {{ 0%, 8% {{ transform: scaleX(0); }} 88%, 100% {{ transform: scaleX(1); }} }}
    @media (prefers-reduced-motion: reduce)
      {{ .flow-dots .moving circle, .flow-dots .bar {{ animation: none !important; }} }}
    {"".join(rules)}"""
    svg = f"""<svg class="flow-dots" viewBox="0 0 660 360" tabindex="0" xmlns="http://www.w3.org/2000/svg"
      font-family="sans-serif" font-size="15" fill="{INK}"><style>{" ".join(style.split())}</style>
      <text x="{left}" y="16" text-anchor="middle">along the conditional lines</text>
      <text x="{right}" y="16" text-anchor="middle">along the marginal paths</text>
      <g fill="none" stroke="{INK}" stroke-width="0.7" opacity="0.25">{"".join(tracks)}</g>
      <g fill="{ORANGE}">{ends}</g>
      <g class="moving" fill="{BLUE}">{"".join(left_dots)}</g><g class="moving" fill="{RED}">{"".join(right_dots)}</g>
      <text x="120" y="345">t = 0</text><text x="500" y="345">t = 1</text>
      <rect x="170" y="334" width="320" height="10" fill="none" stroke="{INK}"/>
      <g transform="translate(170 334)"><rect class="bar" width="320" height="10" opacity="0.5"/></g></svg>"""
    turned = sum(int((flow[-1, i] - partner[i]).norm() > 1) for i in range(number))
    return Drawing(
        svg,
        """Two moving clouds of dots, each going from a round cloud to two half moons. On the left the dots move
        on straight lines that cross. On the right they move on curved paths, first towards the centre, then out
        to the moons.""",
        f"""The same {number} noises, moved in two ways. Left: each goes straight to a data point that was drawn
        for it. Right: each follows the marginal velocity. Single dots go to different places ({turned} of
        {number} end more than 1 unit from the left dot's end), but at each time both clouds have the same
        distribution. Point at the drawing to stop it. It does not move if your system asks for reduced motion.""",
    )


# ---- The mean picture ----


def png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def measure_mean(number: int = 4000, noises: int = 64) -> dict:
    """The mean of many real scenes, and what the bundled model predicts at t = 0."""
    pipe, caption, rng = JanusFlowPipeline.from_pretrained("shapes"), Caption.parse(CAPTION), np.random.default_rng(0)
    scenes = [caption.draw(rng) for _ in range(number)]
    latents = torch.cat([encode_scenes(pipe.vae, scenes[i : i + 100]) for i in range(0, number, 100)])
    pixels = np.mean([render(scene) for scene in scenes], axis=0)
    truth = latents.mean(dim=0, keepdim=True)
    pair = PromptPair.from_text(CAPTION, pipe.tokenizer, noises)
    z = torch.randn(noises, *pipe.latent_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        v_cond, v_uncond = pipe.model.velocity(z, 0.0, pair)
    predicted, without = z + v_cond, z + v_uncond

    def root(x: Tensor) -> float:
        return x.square().mean().sqrt().item()

    half = number // 2
    pictures = {
        "scenes": [Image.fromarray(render(scene)) for scene in scenes[:4]],
        "mean of pixels": [Image.fromarray(pixels.round().astype(np.uint8))],
        "mean latent": pipe.to_pictures(truth),
        "predicted": pipe.to_pictures(predicted[:3]),
        "mean predicted": pipe.to_pictures(predicted.mean(dim=0, keepdim=True)),
        "without prompt": pipe.to_pictures(without.mean(dim=0, keepdim=True)),
        "guided": pipe.to_pictures((2 * predicted - without)[:1]),
    }
    return {
        "scenes": number,
        "noises": noises,
        "size of the mean latent": root(truth),
        "spread of real latents around it": root(latents - truth),
        "squared distance from the mean to a scene": root(latents - truth) ** 2,
        "squared distance from a scene to a scene": root(latents[:half] - latents[half:]) ** 2,
        "cost of a real scene over cost of the mean": root(latents[:half] - latents[half:]) ** 2
        / root(latents - truth) ** 2,
        "spread of predictions over noises": root(predicted - predicted.mean(dim=0)),
        "distance from mean prediction to mean latent, share": root(predicted.mean(dim=0) - truth) / root(truth),
        "distance from one prediction to mean latent, share": root(predicted - truth) / root(truth),
        "cosine": torch.cosine_similarity(predicted.mean(dim=0).flatten(), truth.flatten(), dim=0).item(),
        "cosine without prompt": torch.cosine_similarity(without.mean(dim=0).flatten(), truth.flatten(), dim=0).item(),
        "pictures": {name: [png(p) for p in several] for name, several in pictures.items()},
    }


@figure("flow_mean_picture")
def mean_picture() -> Drawing:
    found = measured("flow-mean", measure_mean)
    of = found["pictures"]
    rows = [
        [*(("a real scene", p) for p in of["scenes"]), ("mean of pixels", of["mean of pixels"][0])],
        [
            *((f"model, noise {i + 1}", p) for i, p in enumerate(of["predicted"][:2])),
            (f"mean of {found['noises']} noises", of["mean predicted"][0]),
            ("mean latent", of["mean latent"][0]),
            ("model, no prompt", of["without prompt"][0]),
        ],
    ]
    picture, panels = plt.subplots(2, 5, figsize=(9, 4.2))
    for row, cells in zip(panels, rows, strict=True):
        for axes, (title, text) in zip(row, cells, strict=True):
            axes.imshow(Image.open(io.BytesIO(base64.b64decode(text))), interpolation="none")
            axes.set_title(title, fontsize=11)
            axes.axis("off")
    picture.tight_layout(w_pad=0.6)
    return Drawing(
        picture,
        """Top row: four real scenes with a sharp red circle left of a sharp blue square, each elsewhere; then
        their mean in pixels, a pale red smear left of a pale blue one. Bottom row: two upright smears, both
        blue, in four pictures that are almost the same; the fifth, without a prompt, has four small blue spots
        instead.""",
        f""""{CAPTION}". Top: four of {found["scenes"]:,} drawn scenes, and the mean of all their pixels. Bottom:
        what the bundled model predicts at t = 0 without guidance (z + v, decoded by the VAE) for two noises; the
        mean of {found["noises"]} such predictions; the mean of the {found["scenes"]:,} scenes' latents; the mean
        prediction without the prompt. The third and the fourth should be equal: as latents they have a cosine of
        {found["cosine"]:.3f}. The left smear is blue and not red: a mean of latents does not decode to the mean
        of the pictures.""",
    )


# ---- Four names for one piece of knowledge ----


@figure("flow_four_predictions")
def four_predictions() -> Drawing:
    t, z = 0.25, 0.375
    clean = 2 * np.tanh(2 * z * t / (1 - t) ** 2)
    noise = (z - t * clean) / (1 - t)
    v, score = clean - noise, -noise / (1 - t)
    remember(**{"four predictions": {"z": z, "clean": clean, "noise": noise, "velocity": v, "score": score}})
    start, end = 90, 570

    def x(share: float) -> float:
        return start + (end - start) * share

    y = 95
    svg = f"""<svg viewBox="0 0 660 200" xmlns="http://www.w3.org/2000/svg"
      font-family="sans-serif" font-size="15" fill="{INK}">
      <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
        <path d="M0 0 8 4 0 8z" fill="{RED}"/></marker></defs>
      <line x1="{x(0)}" y1="{y}" x2="{x(1)}" y2="{y}" stroke="{INK}" stroke-width="1.5"/>
      <line x1="{x(0)}" y1="{y - 45}" x2="{x(1) - 4}" y2="{y - 45}" stroke="{RED}" stroke-width="3"
        marker-end="url(#tip)"/>
      <text x="{x(0.5)}" y="{y - 57}" text-anchor="middle">velocity v = clean − noise = {v:.3f}</text>
      <circle cx="{x(0)}" cy="{y}" r="7" fill="{BLUE}"/><circle cx="{x(1)}" cy="{y}" r="7" fill="{ORANGE}"/>
      <circle cx="{x(t)}" cy="{y}" r="7" fill="{GREEN}"/>
      <text x="{x(0)}" y="{y + 28}" text-anchor="middle">noise prediction</text>
      <text x="{x(0)}" y="{y + 48}" text-anchor="middle">{noise:.3f}</text>
      <text x="{x(t) + 20}" y="{y + 28}" text-anchor="middle">z = {z:.3f}</text>
      <text x="{x(1)}" y="{y + 28}" text-anchor="middle">clean prediction</text>
      <text x="{x(1)}" y="{y + 48}" text-anchor="middle">{clean:.3f}</text>
      <path d="M{x(0)} {y + 66}v10H{x(t)}v-10M{x(t)} {y + 76}H{x(1)}v-10" fill="none" stroke="{INK}"/>
      <text x="{x(t / 2)}" y="{y + 95}" text-anchor="middle">t = {t:g} of the way</text>
      <text x="{x((1 + t) / 2)}" y="{y + 95}" text-anchor="middle">1 − t = {1 - t:g} of the way</text></svg>"""
    return Drawing(
        svg,
        """A line from the noise prediction on the left to the clean prediction on the right. The state z lies on
        it, a quarter of the way from the left. An arrow above the line, from end to end, is the velocity.""",
        f"""One line holds all of them. The state z divides the way from the noise prediction to the clean
        prediction in the ratio t to 1 − t, and the velocity is the whole way. Given z and t, any one of them
        fixes the others. Numbers: the two-point example at t = {t:g}, z = {z:g}. The score is −noise / (1 − t) =
        {score:.3f}.""",
    )


# ---- DDIM's clock ----


@figure("flow_ddim_clock")
def ddim_clock() -> Drawing:
    steps, rows = 10, {"uniform in t (ours)": time_grid(10)[:-1].tolist()}
    for name, schedule in {
        "DDIM, linear betas": "linear",
        "DDIM, Stable Diffusion": "scaled_linear",
        "DDIM, cosine": "squaredcos_cap_v2",
    }.items():
        extra = {"beta_start": 0.00085, "beta_end": 0.012} if schedule == "scaled_linear" else {}
        scheduler = DDIMScheduler(beta_schedule=schedule, timestep_spacing="trailing", **extra)
        scheduler.set_timesteps(steps)
        alpha = scheduler.alphas_cumprod[scheduler.timesteps].sqrt()
        rows[name] = (alpha / (alpha + (1 - alpha**2).sqrt())).tolist()
    picture, axes = plt.subplots(figsize=(9, 2.5))
    for row, times in enumerate(rows.values()):
        axes.axhline(-row, color=INK, lw=0.8, alpha=0.3)
        axes.scatter(times, [-row] * steps, s=55, color=[RED, BLUE, GREEN, PINK][row], zorder=3)
    axes.set(yticks=[-r for r in range(len(rows))], yticklabels=list(rows), xlim=(-0.02, 1.02), ylim=(-3.5, 0.5))
    axes.set_xlabel("our time t, from noise to data")
    axes.spines[["left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    picture.tight_layout()
    early = {name: sum(t < 1 / 3 for t in times) for name, times in rows.items()}
    remember(
        **{
            "ddim times": rows,
            "ddim first time": {name: times[0] for name, times in rows.items()},
            "times below a third": early,
        }
    )
    told = "; ".join(f"{name}: {count}" for name, count in early.items())
    return Drawing(
        picture,
        """Four rows of ten dots on an axis from 0 to 1. The first row is evenly spaced. In the rows of DDIM the
        dots are spaced unevenly, each schedule in its own way.""",
        f"""Where ten steps ask the network, in our clock t = alpha / (alpha + sigma). DDIM takes even steps in
        its own index, with diffusers' schedules and trailing spacing: of its 1000 times it takes 999, 899, ..., 99,
        counted back from the noisiest. Steps in the first third of the way:
        {told}. With the same times, DDIM's step and our Euler step are the same step.""",
    )


# ---- Reflow ----


class Net(nn.Sequential):
    """A small velocity network in two dimensions."""

    def __init__(self) -> None:
        width = 128
        super().__init__(
            *(nn.Linear(3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()),
            *(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)),
        )

    def field(self, z: Tensor, t: Tensor) -> Tensor:
        return self(torch.cat([z, t.expand(len(z), 1)], dim=1))


def fit(starts: Tensor, ends: Tensor, seed: int, steps: int = 6000, batch: int = 512) -> Net:
    """Train a velocity on the lines from starts to ends, by our own training pair."""
    torch.manual_seed(seed)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen, t = torch.randint(len(starts), (batch,)), torch.rand(batch)
        z_t, target = interpolate(starts[chosen], ends[chosen], t)
        loss = (net(torch.cat([z_t, t[:, None]], dim=1)) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)


def sliced_distance(a: Tensor, b: Tensor) -> float:
    """The mean distance of sorted projections on 64 directions: how far apart two clouds are (sliced Wasserstein)."""
    angles = torch.linspace(0, torch.pi, 65)[:-1]
    ways = torch.stack([angles.cos(), angles.sin()])
    quantiles = torch.linspace(0.0005, 0.9995, 1000)
    return (torch.quantile(a @ ways, quantiles, dim=0) - torch.quantile(b @ ways, quantiles, dim=0)).abs().mean().item()


def rounded(x: Tensor) -> list:
    """Places with three digits: a drawing needs no more."""
    return (x.double() * 1000).round().div(1000).tolist()


def measure_reflow() -> dict:
    torch.set_num_threads(1)
    data, pairs, fresh = two_moons(), noise_of(10, 8000), noise_of(11, 2000)
    partners = data[torch.randint(200, (8000,), generator=torch.Generator().manual_seed(2))]
    flows, starts, ends = [], pairs, partners
    for round_ in range(3):
        net = fit(starts, ends, seed=round_)
        flows.append(net.field)
        ends = follow(net.field, pairs, 100)[-1]
    found = []
    for field in flows:
        path = follow(field, fresh, 100)
        one = follow(field, fresh, 1)[-1]
        length = (path[1:] - path[:-1]).norm(dim=-1).sum(dim=0)
        found.append(
            {
                "longer than straight": (length / (path[-1] - path[0]).norm(dim=-1)).median().item() - 1,
                "one step off its own path": (one - path[-1]).norm(dim=1).mean().item(),
                "one step from data": sliced_distance(one, data),
                "hundred steps from data": sliced_distance(path[-1], data),
                "paths": rounded(path[::5, :50]),
                "one step": rounded(one[:300]),
            }
        )
    return {"flows": found, "data from noise": sliced_distance(fresh, data)}


@figure("flow_reflow")
def reflow() -> Drawing:
    found = measured("flow-reflow", measure_reflow)
    data, flows = two_moons(), found["flows"]
    remember(**{"reflow": {"percent longer before": 100 * flows[0]["longer than straight"]}})
    picture, panels = plt.subplots(2, 3, figsize=(9, 5.6))
    names = ("before", "after reflow once", "after reflow twice")
    for column, (name, flow) in enumerate(zip(names, flows, strict=True)):
        above, below = panels[:, column]
        paths = torch.tensor(flow["paths"])
        for axes in (above, below):
            plain(axes, 3.1)
            axes.set_ylim(-2.6, 2.6)
            axes.scatter(*data[::2].T, s=5, color=ORANGE)
        for i in range(paths.shape[1]):
            above.plot(*paths[:, i].T, color=RED, lw=1)
        above.scatter(*paths[0].T, s=8, color=BLUE, zorder=3)
        above.set_title(f"{name}\n{100 * flow['longer than straight']:.2f} % longer than straight", fontsize=11)
        below.scatter(*torch.tensor(flow["one step"]).T, s=6, color=GREEN, alpha=0.6, lw=0)
        below.set_title(f"one step: {flow['one step from data']:.2f} from the data", fontsize=11)
    picture.tight_layout()
    bends = " and ".join(f"{100 * flow['longer than straight']:.2f} %" for flow in flows[1:])
    ones = ", ".join(f"{flow['one step from data']:.3f}" for flow in flows)
    many = ", ".join(f"{flow['hundred steps from data']:.3f}" for flow in flows)
    return Drawing(
        picture,
        """Three columns. Top: paths from blue noises to orange half moons; strongly curved on the left, nearly
        straight in the middle and on the right. Bottom: where one Euler step leads; a small smear in the centre
        on the left, close to the moons in the middle and on the right.""",
        f"""Reflow, with three networks of the same size. Top: 50 paths (100 Euler steps). The median path is
        {100 * flows[0]["longer than straight"]:.0f} % longer than the straight way before, {bends} after reflow
        once and twice. Bottom: {len(flows[0]["one step"])} results of a single Euler step (green). Their
        distance from the data is {ones}. Noise that has not moved at all has {found["data from noise"]:.2f}: so
        before reflow, one step ends farther from the data than it began. It collapses the cloud nearly to a point,
        the mean of the data. A point has nothing of the data's width, and noise has a part of it. With 100 steps the
        distance is {many}: straighter paths, not better ones. (Sliced Wasserstein distance: both clouds are projected on a
        line, sorted, and compared number by number; the mean over 64 lines.)""",
    )


if __name__ == "__main__":
    main()
