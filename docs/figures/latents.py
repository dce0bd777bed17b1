"""The figures of the chapter on latents: what the VAE keeps and loses, and why its latents are scaled.

    python docs/figures/latents.py

draws them from data/latents.json. Delete that file first to measure again, which takes some minutes.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, RED, SKY, Drawing, figure, main
from diffusers import AutoencoderKL
from machine import SEED, album, arrow, box, examples, kept, pipeline, png, svg, text
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from janus_minimal.loading.vae import encode_picture, to_pictures
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.score import satisfies
from janus_minimal.shapes.vae import KL_WEIGHT, pictures

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
        "psnr": 10 * math.log10(255**2 / np.square(x - y).mean()),
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
    sampled = vae.decode(mean + posterior.std * torch.randn(mean.shape, generator=torch.Generator().manual_seed(SEED))).sample
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
        "posterior std": (posterior.std * factor).mean().item(),
        "kl per number": posterior.kl().mean().item() / mean[0].numel(),
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


def parts() -> dict:
    """Count the parameters and numbers of both VAEs."""
    with torch.device("meta"):
        sdxl = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=1024,
        )
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    answer = {}
    for name, vae in {"released": sdxl, "bundled": pipeline().vae}.items():
        answer[name] = {"all": count(vae), "encoder": count(vae.encoder), "decoder": count(vae.decoder)}
    return answer


def one_number() -> dict:
    """Change one place of a latent, and see which pixels change."""
    vae, (_, z_1, _) = pipeline().vae, examples(EACH)
    z = z_1[[CATEGORIES.index("position") * EACH + 4]]
    before = to_pictures(vae, z, "pt")[0]
    changes, areas = [], []
    for channel in range(4):
        moved = z.clone()
        moved[0, channel, 5, 3] += 1
        change = (to_pictures(vae, moved, "pt")[0] - before).abs().amax(0)
        ys, xs = torch.nonzero(change > 0.02, as_tuple=True)
        areas.append([int(ys.max() - ys.min()) + 1, int(xs.max() - xs.min()) + 1] if len(ys) else [0, 0])
        changes.append(png((255 - (4 * 255 * change).clamp(max=255)).numpy()))
    channels = []
    for channel in z[0]:
        shade = ((channel / 3).clamp(-1, 1) + 1) * 127.5
        channels.append(png(shade.numpy()))
    return {"picture": png(to_pictures(vae, z)[0]), "channels": channels, "changes": changes, "areas": areas}


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
        answer[name] = {**described(original, decoded), "picture": png(decoded[CATEGORIES.index("position") * EACH + 4])}
    return answer


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


def half_precision() -> dict:
    """Decode in three dtypes, with the bundled VAE and with one whose activations are larger."""
    z = examples(EACH)[1][[CATEGORIES.index("position") * EACH + 4]]
    answer = {}
    for k in (1, 3000):
        vae, most = stretched(k), [0.0]
        hooks = [
            module.register_forward_hook(lambda _m, _i, out: most.append(out.abs().max().item()))
            for module in vae.decoder.modules()
            if isinstance(module, nn.Conv2d)
        ]
        exact = to_pictures(vae, z, "pt")
        for hook in hooks:
            hook.remove()
        answer[str(k)] = {"largest": max(most)}
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            decoded = vae.to(dtype).decode((z / pipeline().vae.config.scaling_factor).to(dtype)).sample.float()
            with np.errstate(invalid="ignore"):
                shown = to_pictures(vae, z)[0]
            answer[str(k)][str(dtype).removeprefix("torch.")] = {
                "finite": decoded.isfinite().float().mean().item(),
                "error": 255 * (decoded.div(2).add(0.5).clamp(0, 1) - exact).abs().mean().item() if decoded.isfinite().all() else None,
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


def toy() -> dict:
    """Train one small network three times: on eight clusters of points, at three sizes. Sample in 30 steps."""
    answer = {}
    angles = torch.arange(8) * math.pi / 4
    centres = math.sqrt(2) * torch.stack([angles.cos(), angles.sin()], 1)
    for sigma in (SDXL, 1.0, 1 / SDXL):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2))
        optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0)
        steps, size = 4000, 256
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)

        def data(number: int) -> Tensor:
            return centres[torch.randint(8, (number,))] + 0.1 * torch.randn(number, 2)

        with torch.enable_grad():
            for _ in range(steps):
                z_1, z_0 = sigma * data(size), torch.randn(size, 2)
                t = torch.randn(size, 1).sigmoid()
                loss = (net(torch.cat([(1 - t) * z_0 + t * z_1, t], 1)) - (z_1 - z_0)).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        z = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
        for k in range(30):
            z = z + net(torch.cat([z, torch.full((len(z), 1), k / 30)], 1)) / 30
        z = z / sigma
        distance = torch.cdist(z, centres).min(1).values
        answer[f"{sigma:.4g}"] = {"points": z[:600], "off": (distance > 0.3).float().mean().item(), "distance": distance.mean().item()}
    z = data(2000)
    answer["data"] = {"off": (torch.cdist(z, centres).min(1).values > 0.3).float().mean().item(), "distance": torch.cdist(z, centres).min(1).values.mean().item()}
    return answer


MEASURES = {
    "parts": parts,
    "statistics": statistics,
    "reconstructions": reconstructions,
    "one number": one_number,
    "noisy": noisy,
    "wrong factor": wrong_factor,
    "half precision": half_precision,
    "mixing": mixing,
    "toy": toy,
}


def data(key: str) -> dict:
    """Return one of the measurements."""
    return kept("latents", key, MEASURES[key])


if __name__ == "__main__":
    for key in MEASURES:
        data(key)
    main()
