"""A whole bench in one process: loops, stages and matrix products, timed in turns."""

import torch
from tqdm import tqdm

from janus_minimal.bench.clock import by_turns, peak_memory, product
from janus_minimal.bench.cost import image_tokens, linear, step_cost
from janus_minimal.bench.report import Report
from janus_minimal.bench.sizes import sized, vae_of
from janus_minimal.bench.subject import Subject
from janus_minimal.loading.vae import pixels_per_latent, to_pictures
from janus_minimal.runtime.device import device_name

LARGE = 4096  # rows, columns: a product of matrices this large runs near the machine's highest rate


@torch.no_grad()
def measure(
    size: str,
    images: int,
    prompt_tokens: int,
    rounds: int,
    dtype: torch.dtype,
    device: torch.device,
    compiled: bool,
    bar: tqdm,
) -> Report:
    """Time everything `rounds` times. The bar shows the progress."""
    config, vae = sized(size), vae_of(size, device)
    side = config.image_size // pixels_per_latent(vae)
    subject = Subject.of(config, side, images, prompt_tokens, dtype, device)
    tokens = image_tokens(config, side)
    sizes = {
        "matrix product, language model": (
            2 * images * (1 + tokens),
            config.language.hidden_size,
            config.language.intermediate_size,
        ),
        "matrix product, large": (LARGE, LARGE, LARGE),
    }
    products = {name: product(*shape, dtype, device) for name, shape in sizes.items()}
    loops, stages = (
        subject.loops(rounds, compiled),
        subject.stages() | {"VAE": lambda: to_pictures(vae, subject.z, "pt")},
    )
    spreads = by_turns(loops | stages | products, rounds, bar)
    return Report(
        size=size,
        device=device_name(device),
        dtype=str(dtype).removeprefix("torch."),
        images=images,
        prompt_tokens=prompt_tokens,
        image_tokens=tokens,
        parameters=sum(parameter.numel() for parameter in subject.model.parameters()),
        loops={name: spreads[name] for name in loops},
        stages={name: spreads[name] for name in stages},
        operations=step_cost(config, side, images, prompt_tokens),
        products={name: 1000 * linear(*sizes[name]) / spreads[name].median for name in products},
        memory=peak_memory(device),
    )
