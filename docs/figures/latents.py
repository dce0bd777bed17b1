"""The figures of the chapter on latents: what the VAE keeps and loses, and why its latents are scaled.

    python docs/figures/latents.py

draws them from data/latents.json. Delete that file first to measure again, which takes some minutes.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from canvas import BLUE, GREEN, ORANGE, RED, SKY, Drawing, figure, main
from diffusers import AutoencoderKL
from machine import SEED, album, arrow, box, broken, examples, kept, pipeline, png, svg, text
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from janus_minimal.loading.vae import encode_picture, to_pictures
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.scene import COLOURS, Thing
from janus_minimal.shapes.score import satisfies
from janus_minimal.shapes.vae import draw_scenes, encode_scenes, pictures
from janus_minimal.training.vae import KL_WEIGHT

SDXL = 0.13025  # the scaling factor of SDXL's VAE
EACH = 50  # scenes of each category


def scenes() -> list:
    """Return the captions' scenes, as `examples` draws them."""
    rng = np.random.default_rng((SEED, 9))
    return [caption.draw(rng) for caption in examples(EACH)[0]]


def as_bytes(x: Tensor) -> np.ndarray:
    """Return pictures n 3 side side in -1..1 as n side side 3 in 0..255."""
    return ((x + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()


def shrunk(x: np.ndarray, side: int) -> np.ndarray:
    """Return pictures that were made small and large again, by Pillow's best filters."""
    images = [Image.fromarray(picture.astype(np.uint8)) for picture in x]
    small = [image.resize((side, side), Image.Resampling.LANCZOS) for image in images]
    return np.stack([np.asarray(image.resize((48, 48), Image.Resampling.BICUBIC)) for image in small]).astype(float)


def near_edges(x: np.ndarray) -> np.ndarray:
    """Return which pixels differ from one of their four neighbours."""
    edge = np.zeros(x.shape[:3], dtype=bool)
    for axis in (1, 2):
        step = np.abs(np.diff(x, axis=axis)).max(-1) > 8
        before, after = [slice(None)] * 3, [slice(None)] * 3
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= step
        edge[tuple(after)] |= step
    return edge


def described(x: np.ndarray, y: np.ndarray) -> dict:
    """Return how far the pictures y are from x, and of how many the caption is still true."""
    error, edge = np.abs(x - y), near_edges(x)
    captions = examples(EACH)[0]
    right = [satisfies(picture.astype(np.uint8), caption) for picture, caption in zip(y, captions, strict=True)]
    return {
        "mean": error.mean(),
        "edges": error[edge].mean(),
        "flat": error[~edge].mean(),
        "psnr": 10 * math.log10(255**2 / max(np.square(x - y).mean(), 1e-9)),
        "accepted": sum(right) / len(right),
    }


def statistics() -> dict:
    """Measure latents and reconstructions of scenes that training has not seen."""
    vae = pipeline().vae
    factor = vae.config.scaling_factor
    x = pictures(scenes())
    posterior = vae.encode(x).latent_dist
    mean = posterior.mean
    back = vae.decode(mean).sample
    sampled = vae.decode(
        mean + posterior.std * torch.randn(mean.shape, generator=torch.Generator().manual_seed(SEED))
    ).sample
    original = as_bytes(x)
    edge = near_edges(original)
    return {
        "scenes": len(x),
        "std without": mean.std().item(),
        "std with": (mean * factor).std().item(),
        "factor": factor,
        "channel means": (mean * factor).mean((0, 2, 3)),
        "channel stds": (mean * factor).std((0, 2, 3)),
        "values": np.histogram((mean * factor).numpy().ravel(), bins=np.linspace(-4, 4, 81), density=True)[0],
        "posterior std": posterior.std.mean().item(),
        "kl per number": posterior.kl().mean().item() / mean[0].numel(),
        "kl bytes": posterior.kl().mean().item() / math.log(2) / 8,
        "kl share of loss": KL_WEIGHT * posterior.kl().mean().item() / mean[0].numel(),
        "unused": (posterior.std > 0.9).float().mean().item(),
        "sure": (posterior.std < 0.1).float().mean().item(),
        "l1": (back - x).abs().mean().item(),
        "edge share": edge.mean(),
        "errors": {
            "original": described(original, original),
            "VAE": described(original, as_bytes(back)),
            "VAE, sampled": described(original, as_bytes(sampled)),
            "shrunk to 14 x 14": described(original, shrunk(original, 14)),
        },
    }


def strangers() -> dict[str, Image.Image]:
    """Return pictures that the VAE was not trained on."""
    y, x = np.mgrid[:48, :48]
    rng = np.random.default_rng(SEED)
    grey = lambda a: Image.fromarray(np.repeat(np.asarray(a, dtype=np.uint8)[..., None], 3, -1))  # noqa: E731
    letters = Image.new("RGB", (48, 48), (246, 244, 238))
    ImageDraw.Draw(letters).multiline_text((4, 8), "flow\nmatch", (20, 20, 20), ImageFont.load_default(13))
    smooth = np.stack([255 * x / 47, 255 * y / 47, np.full_like(x, 128)], -1).astype(np.uint8)
    thin = np.full((48, 48, 3), (246, 244, 238), dtype=np.uint8)
    thin[::6] = (44, 96, 200)
    return {
        "colour ramp": Image.fromarray(smooth),
        "lines, 1 pixel": Image.fromarray(thin),
        "letters": letters,
        "checkerboard,|1 pixel": grey(255 * ((x + y) % 2)),
        "noise": Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)),
    }


def reconstruct(picture: Image.Image) -> Image.Image:
    """Encode and decode one picture."""
    return to_pictures(pipeline().vae, encode_picture(pipeline().vae, picture, 48))[0]


def error_map(before: Image.Image, after: Image.Image) -> tuple[Image.Image, float]:
    """Return the absolute error, four times as strong and dark on white, and its mean over pixels and colours."""
    error = np.abs(np.asarray(before, dtype=float) - np.asarray(after, dtype=float))
    return Image.fromarray((255 - np.minimum(255, 4 * error.max(-1))).astype(np.uint8)), error.mean()


def reconstructions() -> dict:
    """Encode and decode scenes and strangers."""
    drawn = as_bytes(pictures(scenes()))
    shown = {}
    for category in ("position", "counting"):
        index = CATEGORIES.index(category) * EACH + 4
        shown[str(examples(EACH)[0][index])] = Image.fromarray(drawn[index].astype(np.uint8))
    answer = {}
    for name, before in {**shown, **strangers()}.items():
        after = reconstruct(before)
        error, mean = error_map(before, after)
        answer[name] = {"before": png(before), "after": png(after), "error": png(error), "mean": mean}
    return answer


def spreads() -> dict:
    """Ask how much the standard deviation of scaled latents depends on the scenes that are chosen."""
    vae, captions = pipeline().vae, examples(EACH)[0]
    own = encode_scenes(vae, draw_scenes(1000, (0, 1)))  # the scenes that `calibrate` takes
    every = [encode_scenes(vae, scenes()[i : i + EACH]).std().item() for i in range(0, len(captions), EACH)]
    return {"scenes of calibrate": own.std().item(), "least category": min(every), "most category": max(every)}


def one_number() -> dict:
    """Change one place of a latent, and see which pixels change."""
    vae, (_, z_1, _) = pipeline().vae, examples(EACH)
    z = z_1[[CATEGORIES.index("position") * EACH + 4]]
    before = to_pictures(vae, z, "pt")[0]
    scene = scenes()[CATEGORIES.index("position") * EACH + 4]
    std = vae.encode(pictures([scene])).latent_dist.std[0]
    place = divmod(int(std.mean(0).argmin()), 12)  # where the encoder is surest
    changes, areas = [], []
    for channel in range(4):
        moved = z.clone()
        moved[0, channel, place[0], place[1]] += 1
        change = (to_pictures(vae, moved, "pt")[0] - before).abs().amax(0)
        ys, xs = torch.nonzero(change > 0.02, as_tuple=True)
        areas.append([int(ys.max() - ys.min()) + 1, int(xs.max() - xs.min()) + 1] if len(ys) else [0, 0])
        changes.append(png((255 - (4 * 255 * change).clamp(max=255)).numpy()))
    channels = []
    for channel in z[0]:
        shade = ((channel / 3).clamp(-1, 1) + 1) * 127.5
        channels.append(png(shade.numpy()))
    sure = [png(((1 - spread.clamp(max=1)) * -255 + 255).numpy()) for spread in std]
    return {
        "picture": png(to_pictures(vae, z)[0]),
        "channels": channels,
        "sure": sure,
        "stds": std.mean((1, 2)),
        "place": list(place),
        "changes": changes,
        "areas": areas,
    }


def noisy() -> dict:
    """Add noise of several sizes to scaled latents, and decode."""
    vae, (_, z_1, z_0) = pipeline().vae, examples(EACH)
    original = as_bytes(pictures(scenes()))
    answer = {"sizes": [0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0], "mean": [], "accepted": [], "pictures": []}
    for size in answer["sizes"]:
        decoded = 255 * to_pictures(vae, z_1 + size * z_0, "pt").permute(0, 2, 3, 1).numpy()
        told = described(original, decoded.round())
        answer["mean"].append(told["mean"])
        answer["accepted"].append(told["accepted"])
        answer["pictures"].append(png(decoded[CATEGORIES.index("position") * EACH + 4]))
    return answer


def wrong_factor() -> dict:
    """Decode with the factor left out, used the wrong way round, and right."""
    vae, (_, z_1, _) = pipeline().vae, examples(EACH)
    factor = vae.config.scaling_factor
    original = as_bytes(pictures(scenes()))
    answer = {}
    for name, power in {"divided: right": -1, "left out": 0, "multiplied": 1}.items():
        decoded = as_bytes(vae.decode(z_1 * factor**power).sample)
        index = CATEGORIES.index("position") * EACH + 4
        answer[name] = {**described(original, decoded), "picture": png(decoded[index])}
    for name, size in {"7.68 times too large": 1 / SDXL, "7.68 times too small": SDXL}.items():
        decoded = as_bytes(vae.decode(z_1 / factor * size).sample)
        answer[name] = {
            **described(original, decoded),
            "picture": png(decoded[CATEGORIES.index("position") * EACH + 4]),
        }
    return answer


def colours() -> dict:
    """Decode one circle of each colour with the latent scaled, and with pixels in the wrong range."""
    vae = pipeline().vae
    x = pictures([(Thing(colour, "circle", 24.0, 24.0, 16.0),) for colour in COLOURS])
    mean, of_0_to_1 = (vae.encode(pixels).latent_dist.mean for pixels in (x, (x + 1) / 2))
    decoded = {
        "right": vae.decode(mean).sample,
        "latent times 0.5": vae.decode(0.5 * mean).sample,
        "latent times 2": vae.decode(2 * mean).sample,
        "encoded from 0..1": vae.decode(of_0_to_1).sample,
        "shown as 0..1": 2 * vae.decode(mean).sample - 1,
    }
    return {name: [png(picture) for picture in as_bytes(y)] for name, y in decoded.items()}


def stretched(k: float) -> AutoencoderKL:
    """Return a VAE that computes the same picture through activations that are k times as large.

    Everything that is added to the decoder's main path is multiplied by k. Every layer that reads this path
    begins with a group norm, which divides by the size again.
    """
    vae = AutoencoderKL.from_config(pipeline().vae.config)
    vae.load_state_dict(pipeline().vae.state_dict())
    decoder = vae.decoder
    grown = [decoder.conv_in]
    blocks = [*decoder.mid_block.resnets, *(net for up in decoder.up_blocks for net in up.resnets)]
    grown += [block.conv2 for block in blocks]
    for layer in grown:
        layer.weight.data *= k
        layer.bias.data *= k
    linear = [block.conv_shortcut for block in blocks if block.conv_shortcut is not None]
    linear += [sampler.conv for up in decoder.up_blocks for sampler in up.upsamplers or []]
    for layer in linear:
        layer.bias.data *= k
    return vae.eval()


def largest(vae: AutoencoderKL, z: Tensor) -> float:
    """Return the largest number that any convolution of the decoder gives."""
    found = [0.0]
    hooks = [
        module.register_forward_hook(lambda _module, _input, out: found.append(out.abs().max().item()))
        for module in vae.decoder.modules()
        if isinstance(module, nn.Conv2d)
    ]
    to_pictures(vae, z)
    for hook in hooks:
        hook.remove()
    return max(found)


def half_precision() -> dict:
    """Decode in three dtypes, with the bundled VAE and with one whose activations are larger."""
    z = examples(EACH)[1][[CATEGORIES.index("position") * EACH + 4]]
    answer, exact = {}, to_pictures(pipeline().vae, z, "pt")
    for k in (1, 8000):
        vae = stretched(k)
        answer[str(k)] = {"largest": largest(vae, z)}
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            decoded = vae.to(dtype).decode((z / pipeline().vae.config.scaling_factor).to(dtype)).sample.float()
            with np.errstate(invalid="ignore"):
                shown = to_pictures(vae, z)[0]
            answer[str(k)][str(dtype).removeprefix("torch.")] = {
                "finite": decoded.isfinite().float().mean().item(),
                "error": 255 * (decoded.div(2).add(0.5).clamp(0, 1) - exact).abs().mean().item()
                if decoded.isfinite().all()
                else None,
                "picture": png(shown),
            }
    return answer


def gaussian_factor(sigma: float, t: float) -> float:
    """Return a(t) of the exact velocity a(t) z for data N(0, sigma^2)."""
    return (t * sigma**2 - (1 - t)) / ((1 - t) ** 2 + (t * sigma) ** 2)


def reached(sigma: float, steps: int) -> float:
    """Return the std that Euler reaches, relative to sigma."""
    size = 1.0
    for k in range(steps):
        size *= 1 + gaussian_factor(sigma, k / steps) / steps
    return size / sigma


def normal_cdf(x: float) -> float:
    """Return the probability that a standard normal number is below x."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def mixing() -> dict:
    """Compute when noise and data balance, and what Euler reaches, for data of several sizes."""
    answer = {}
    for sigma in (SDXL, 0.753, 1.0, 1 / SDXL):
        early, late = 1 / (1 + 3 * sigma), 1 / (1 + sigma / 3)
        logit = lambda t: math.log(t / (1 - t))  # noqa: E731
        answer[f"{sigma:.4g}"] = {
            "balance": 1 / (1 + sigma),
            "early": early,
            "late": late,
            "steps of 30": 30 * (late - early),
            "share of draws": normal_cdf(logit(late)) - normal_cdf(logit(early)),
            "loss of zero": 1 + sigma**2,
            "reached in 10": reached(sigma, 10),
            "reached in 30": reached(sigma, 30),
            "reached in 100": reached(sigma, 100),
        }
    return answer


def toy(sigma: float) -> dict:
    """Train a small network on eight unequal clusters of points that are sigma in size, and sample from it.

    The clusters have shares 1/36 to 8/36 and a width of a tenth of sigma. Everything but sigma is the same in all runs.
    """
    torch.manual_seed(0)
    angles = torch.arange(8) * math.pi / 4
    centres = math.sqrt(2) * torch.stack([angles.cos(), angles.sin()], 1)
    shares = torch.arange(1, 9) / 36

    def points(number: int) -> Tensor:
        return centres[torch.multinomial(shares, number, True)] + 0.1 * torch.randn(number, 2)

    def told(z: Tensor) -> dict:
        distance, nearest = torch.cdist(z, centres).min(1)
        found = torch.bincount(nearest, minlength=8) / len(z)
        return {"off": (distance > 0.3).float().mean().item(), "shares": (found - shares).abs().sum().item() / 2}

    if not sigma:  # the data themselves
        z = points(4000)
        return {"points": z[:500], **told(z)}
    layers = [nn.Linear(3, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU()]
    net = nn.Sequential(*layers, nn.Linear(128, 2))
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=4000)
    with torch.enable_grad():
        for _ in range(4000):
            z_1, z_0, t = sigma * points(256), torch.randn(256, 2), torch.randn(256, 1).sigmoid()
            v = net(torch.cat([(1 - t) * z_0 + t * z_1, t], 1))
            loss = (v - (z_1 - z_0)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    z = torch.randn(4000, 2, generator=torch.Generator().manual_seed(1))
    for k in range(30):
        z = z + net(torch.cat([z, torch.full((len(z), 1), k / 30)], 1)) / 30
    return {"points": z[:500] / sigma, **told(z / sigma)}


TOYS = {"data": 0.0, "0.13": SDXL, "0.4": 0.4, "1": 1.0, "2.5": 2.5, "7.68": 1 / SDXL}

MEASURES = {
    "spreads": spreads,
    "statistics": statistics,
    "reconstructions": reconstructions,
    "one number": one_number,
    "noisy": noisy,
    "wrong factor": wrong_factor,
    "colours": colours,
    "half precision": half_precision,
    "mixing": mixing,
    **{f"toy {name}": (lambda sigma=sigma: toy(sigma)) for name, sigma in TOYS.items()},
}


def data(key: str) -> dict:
    """Return one of the measurements."""
    return kept("latents", key, MEASURES[key])


# Drawings.


@figure("latents_path")
def path() -> Drawing:
    """Draw the way from a picture to the loop's latent and back."""
    one, told = data("one number"), data("statistics")
    image = lambda x, y, side, tile: (  # noqa: E731
        f'<image x="{x}" y="{y}" width="{side}" height="{side}" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{tile}"/>'
    )
    squares = [image(352 + 46 * (i % 2), 32 + 46 * (i // 2), 44, tile) for i, tile in enumerate(one["channels"])]
    drawing = svg(
        760,
        208,
        image(8, 32, 90, one["picture"]),
        text(53, 142, "picture|3 x 48 x 48", 12),
        arrow([(104, 77), (140, 77)]),
        box(142, 52, 90, 50, "encoder", BLUE),
        arrow([(234, 77), (256, 77)]),
        box(258, 60, 58, 34, f"× {told['factor']:.3f}", ORANGE),
        arrow([(318, 77), (346, 77)]),
        *squares,
        text(397, 142, "latent z_1|4 x 12 x 12", 12),
        text(397, 24, "the flow works here", 12, colour=GREEN),
        arrow([(448, 77), (474, 77)]),
        box(476, 60, 58, 34, f"÷ {told['factor']:.3f}", ORANGE),
        arrow([(536, 77), (558, 77)]),
        box(560, 52, 90, 50, "decoder", BLUE),
        arrow([(652, 77), (662, 77)]),
        image(665, 32, 90, one["picture"]),
        text(710, 142, "picture|3 x 48 x 48", 12),
        text(8, 190, "released model:", 12, "start"),
        text(187, 190, "3 x 384 x 384", 12),
        text(397, 190, "4 x 48 x 48, factor 0.13025", 12),
        text(605, 190, "3 x 384 x 384", 12),
    )
    return Drawing(
        drawing,
        "A picture goes through an encoder and a multiplication to four small grey maps, the latent, and from there "
        "through a division and a decoder back to a picture.",
        f"The way of the bundled model's pictures. The encoder makes 4 x 12 x 12 = 576 numbers of 3 x 48 x 48 = 6,912. "
        f"They are multiplied by the scaling factor {told['factor']:.3f}; the decoder gets them divided by it. The "
        "four "
        "small maps are the real channels of this latent, black for -3 and white for 3.",
    )


@figure("latents_reconstructions")
def reconstructed() -> Drawing:
    """Show what comes back from the VAE."""
    told = data("reconstructions")
    names = list(told)
    rows = [[told[name][row] for name in names] for row in ("before", "after", "error")]
    below = [[""] * len(names), [""] * len(names), [f"error {told[name]['mean']:.1f}" for name in names]]
    columns = [broken(name.replace("|", " ")) for name in names]
    statistic = data("statistics")
    error, share = statistic["errors"]["VAE"], statistic["edge share"]
    edges = share * error["edges"] / error["mean"]
    scenes_, others = [told[n]["mean"] for n in names[:2]], [told[n]["mean"] for n in names[2:]]
    return Drawing(
        album(columns, ["picture", "after the VAE", "error x 4"], rows, below, side=84, left=96, gap=6, top=56),
        "Seven pictures, what the VAE gives back, and their difference. The two scenes come back with faint errors "
        "along "
        "the outlines; letters, thin lines, a colour ramp, a checkerboard and noise come back wrong.",
        "Pictures before and after the bundled VAE. Third row: the absolute error, four times as strong, black "
        "where it "
        f"is 64 or more of 255. The two scenes have a mean error of {min(scenes_):.1f} and {max(scenes_):.1f} of 255, "
        f"{100 * edges:.0f} % of it at outlines, as measured over {statistic['scenes']} scenes. The other five are "
        "of kinds that the VAE never saw in training, and their errors are "
        f"{min(others):.0f} to {max(others):.0f}.",
    )


@figure("latents_precision")
def precision() -> Drawing:
    """Show a latent and where the encoder is sure."""
    one, told = data("one number"), data("statistics")
    columns = [f"channel {i}" for i in range(4)]
    below = [[""] * 4, [f"mean {std:.2f}" for std in one["stds"]]]
    return Drawing(
        album(columns, ["mean", "standard|deviation"], [one["channels"], one["sure"]], below, side=96, left=100),
        "Four channels of a latent, and below each the standard deviation: small where the things are, near one "
        "elsewhere.",
        "What the encoder says about one scene (a star and a square). Above: the means of the four channels, black "
        "for -3 "
        "and white for 3 after scaling. Below: the standard deviations before scaling, black for 0 and white for 1, "
        "which "
        f"is that of N(0, 1), to which the KL term pulls. Over {told['scenes']} scenes, {100 * told['unused']:.0f} % of all numbers have a standard "
        "deviation "
        f"above 0.9, so they say almost nothing, and {100 * told['sure']:.0f} % have one below 0.1.",
    )


@figure("latents_values")
def values() -> Drawing:
    """Draw how often each value of a scaled latent occurs."""
    told = data("statistics")
    x = np.linspace(-3.95, 3.95, 80)
    picture, (left, right) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=(2, 1), layout="constrained")
    left.bar(x, told["values"], width=0.1, color=SKY, label="scaled latents")
    left.plot(x, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), color=RED, linewidth=2, label="N(0, 1), the noise")
    left.set(xlabel="value", ylabel="density")
    left.legend(frameon=False, fontsize=9)
    right.bar(range(4), told["channel stds"], color=SKY)
    right.axhline(1, color=RED, linewidth=2)
    right.set(xlabel="channel", ylabel="standard deviation", xticks=range(4))
    stds = told["channel stds"]
    return Drawing(
        picture,
        "A histogram of latent values with a tall peak near zero and long tails beside a normal curve, and four "
        "bars of "
        "different heights.",
        f"Scaled latents of {told['scenes']} scenes beside the noise. Left: all values; their standard deviation is "
        f"{told['std with']:.2f} ({told['std without']:.2f} before scaling), but they are not normally distributed. "
        "Right: the four "
        f"channels have standard deviations from {min(stds):.2f} to {max(stds):.2f}; one factor for all of them "
        "makes only the total 1.",
    )


@figure("latents_noise")
def noise() -> Drawing:
    """Show what noise on a latent does."""
    told = data("noisy")
    columns = [f"{size:g}" for size in told["sizes"]]
    below = [[f"{100 * share:.0f} %" for share in told["accepted"]]]
    last = max(size for size, share in zip(told["sizes"], told["accepted"], strict=True) if share == 1)
    return Drawing(
        album(columns, ["noise of|this size"], [told["pictures"]], below, side=88, left=86, gap=6),
        "One scene decoded from its latent with more and more noise: shapes stay clean at first, then their "
        "outlines fray.",
        "A scene decoded from its scaled latent with noise of several standard deviations added. Below: of how many of "
        f"{data('statistics')['scenes']} scenes the caption is still true. Noise of {last:g} changes no answer.",
    )


@figure("latents_mixing")
def mixed() -> Drawing:
    """Draw the data's share of the variance of z_t."""
    t = np.linspace(0, 1, 400)
    picture, ax = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
    told = data("mixing")
    for (name, one), colour, label in zip(
        sorted(told.items(), key=lambda item: -float(item[0])),
        (ORANGE, BLUE, GREEN, RED),
        (
            "7.68: SDXL's latents, not scaled",
            "1: scaled",
            "0.753: the bundled model's, not scaled",
            "0.13: scaled twice",
        ),
        strict=True,
    ):
        signal = (t * float(name)) ** 2
        ax.plot(t, signal / (signal + (1 - t) ** 2), color=colour, label=label)
        ax.plot(one["balance"], 0.5, "o", color=colour)
    ax.set(xlabel="time t", ylabel="data's share of the variance", xlim=(0, 1))
    ax.legend(
        frameon=False,
        fontsize=9,
        title="standard deviation of the data",
        title_fontsize=9,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )
    large = told["7.678"]
    return Drawing(
        picture,
        "Four curves that rise from 0 to 1. With data of unit variance the curve crosses one half at t = 0.5, with "
        "larger "
        "data much earlier, with smaller data much later.",
        "How much of the variance of z_t comes from the data. Dots: noise and data are equally strong. With unit "
        "variance "
        f"this happens at t = {told['1']['balance']:.2f}; with data of 7.68 at t = {large['balance']:.3f}, so that "
        "the data "
        f"go from a tenth to nine tenths of the variance in {large['steps of 30']:.1f} of 30 uniform steps instead "
        f"of {told['1']['steps of 30']:.0f}.",
    )


@figure("latents_toy")
def toys() -> Drawing:
    """Show samples of the same network for data of five sizes."""
    told = {name: data(f"toy {name}") for name in TOYS}
    picture, axes = plt.subplots(1, 6, figsize=(9, 2), sharex=True, sharey=True, layout="constrained")
    for ax, (name, one) in zip(axes, told.items(), strict=True):
        points = np.array(one["points"])[::2]
        ax.scatter(points[:, 0], points[:, 1], s=1.5, color=BLUE if name == "data" else ORANGE)
        ax.set(
            xticks=[],
            yticks=[],
            xlim=(-2.2, 2.2),
            ylim=(-2.2, 2.2),
            aspect="equal",
            title="the data" if name == "data" else f"size {name}",
        )
        ax.title.set_fontsize(10)
        ax.set_xlabel(
            f"{100 * one['off']:.0f} % off" + ("" if name == "data" else f"\nshares {100 * one['shares']:.0f} % off"),
            fontsize=9,
        )
        ax.spines[:].set_visible(False)
    small, unit, large = told["0.13"], told["1"], told["7.68"]
    return Drawing(
        picture,
        "Six scatter plots: eight clusters on a circle, and samples of five networks. For the smallest data the "
        "clusters are "
        "a smear; they become sharper as the data grow.",
        "A small network (128 wide, 4,000 steps, the same for all) learns eight clusters of unequal shares, given "
        "at five "
        "sizes; 30 Euler steps, drawn back to one size. The percentages: points that lie in no cluster, and wrong "
        "shares of the "
        f"clusters. In no cluster: {100 * small['off']:.0f} % at size 0.13, {100 * unit['off']:.0f} % at size 1, "
        f"{100 * large['off']:.0f} % at 7.68. The shares are {100 * small['shares']:.0f} %, {100 * unit['shares']:.0f} % and "
        f"{100 * large['shares']:.0f} % off. One run each.",
    )


@figure("latents_factor")
def factors() -> Drawing:
    """Show what a wrong factor before the decoder does."""
    told = data("wrong factor")
    names = list(told)
    columns = [name.replace("7.68 times too ", "7.68 times|too ").replace(": ", ":|") for name in names]
    below = [[f"{100 * told[name]['accepted']:.0f} % true" for name in names]]
    return Drawing(
        album(columns, [""], [[told[name]["picture"] for name in names]], below, side=100, left=10, top=52),
        "One scene decoded five times: right, a little pale without the division, paler when multiplied, burnt when "
        "the latent "
        "is 7.68 times too large, nearly empty when it is 7.68 times too small.",
        f"Latents of {data('statistics')['scenes']} scenes decoded with the factor used rightly, left out, and used "
        "the wrong way round "
        f"(factor {data('statistics')['factor']:.3f}), and with an error of the size of SDXL's factor. Below: of how "
        "many pictures the "
        "caption is still true.",
    )


@figure("latents_colours")
def scaled_colours() -> Drawing:
    """Show that a scaled latent is another colour, and what pixels in a wrong range do."""
    told = data("colours")
    names = [name.replace("latent times", "latent|times").replace(" 0..1", "|0..1") for name in told]
    return Drawing(
        album(COLOURS, names, list(told.values()), side=64, left=96, top=28),
        "Five rows of six circles: right; latent halved, where orange is red and yellow is orange; doubled, where red is "
        "orange and orange is yellow; encoded from 0..1, where orange is red and purple is green; shown as 0..1, all "
        "dark.",
        "One circle of each colour, encoded and decoded by the bundled VAE. From top to bottom: right; with the latent "
        "halved or doubled before decoding; with pixels in 0..1 given to the encoder; and decoded rightly, but shown as "
        "if −1..1 were 0..1.",
    )


@figure("latents_half")
def halves() -> Drawing:
    """Show the decoder in three dtypes, with usual and with large activations."""
    told = data("half precision")
    dtypes = ["float32", "bfloat16", "float16"]
    named = {name: f"largest number|{told[name]['largest']:,.0f}" for name in told}
    rows = [[told[name][dtype]["picture"] for dtype in dtypes] for name in told]
    below = [
        [f"error {told[name][d]['error']:.2f}" if told[name][d]["finite"] == 1 else "all NaN" for d in dtypes]
        for name in told
    ]
    return Drawing(
        album(dtypes, list(named.values()), rows, below, side=84, left=130),
        "Two rows of three pictures. All show the same scene, but the last one, float16 with large activations, is "
        "black.",
        "The bundled decoder in three dtypes. Second row: the same decoder with everything on its main path 8,000 "
        "times as "
        f"large, which its norms divide away again. Its largest number is {told['8000']['largest']:,.0f}; float16 "
        "ends at 65,504, gives "
        "infinity, then NaN, and the picture is black. Errors are mean differences from float32, of 255.",
    )


if __name__ == "__main__":
    data("spreads")  # the page reads them
    main()
