"""A stand-in for the released model: its sizes and its file layout, with random weights.

To be run in tests/:

    python -m tools.standin write DIRECTORY     writes model (bfloat16, in one file or in shards), tokenizer and VAE
    python -m tools.standin measure DIRECTORY   writes both, loads and runs them on the CPU, writes docs/released.json
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import typer
from safetensors.torch import save_file
from torch import Tensor, nn

from janus_minimal import JanusFlow
from janus_minimal.config import JanusConfig
from janus_minimal.loading.config_file import config_to_dict

TESTS = Path(__file__).parent.parent
RECORD = TESTS.parent / "docs" / "released.json"
PROMPT = "a red bicycle against a white wall in the rain, and a blue square left of it"
app = typer.Typer(no_args_is_help=True, add_completion=False)

# SDXL's VAE: https://huggingface.co/stabilityai/sdxl-vae
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}


@app.command()
def write(directory: Path, shards: int = 2) -> None:
    """Write model, tokenizer and VAE into the directory."""
    from diffusers import AutoencoderKL  # imported late, so that `load` measures memory without diffusers
    from tools.official_tokenizer import write_tokenizer

    directory.mkdir(parents=True, exist_ok=True)
    sizes = JanusConfig()
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in JanusFlow(sizes).state_dict().items()}
    write_shards(directory, shapes, shards)
    (directory / "config.json").write_text(json.dumps(config_to_dict(sizes)), encoding="utf-8")
    write_tokenizer(directory)
    torch.manual_seed(0)
    AutoencoderKL(**VAE).save_pretrained(directory / "vae")


def write_shards(directory: Path, shapes: dict[str, torch.Size], shards: int) -> None:
    """Write random weights, one shard after the other. The weights of norms are one."""
    generator = torch.Generator().manual_seed(0)
    keys, index = sorted(shapes), {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        mine = keys[shard::shards]
        save_file({key: drawn(key, shapes[key], generator) for key in mine}, directory / name, {"format": "pt"})
        index |= dict.fromkeys(mine, name)
    if shards == 1:
        (directory / name).rename(directory / "model.safetensors")
    else:
        (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}), encoding="utf-8")


def drawn(key: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if "norm" in key and key.endswith("weight"):
        return torch.ones(shape, dtype=torch.bfloat16)
    return nn.init.normal_(torch.empty(shape, dtype=torch.bfloat16), std=0.02, generator=generator)


@app.command()
def measure(directory: Path) -> None:
    """Load each file layout in float32 and in bfloat16, each time in its own process, and run it in float32."""
    record = {}
    for layout, shards in {"one file": 1, "two shards": 2}.items():
        write(directory / layout, shards=shards)
        record[layout] = {dtype: child("load", directory / layout, dtype) for dtype in ("float32", "bfloat16")}
    record["steps"] = child("steps", directory / layout)
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(record, indent=2))


def child(command: str, directory: Path, *more: str) -> dict[str, Any]:
    """Run a command of this file in its own process. Return what it prints."""
    words = [sys.executable, "-m", "tools.standin", command, str(directory.absolute()), *more]
    printed = subprocess.run(words, cwd=TESTS, check=True, capture_output=True, text=True).stdout
    return json.loads(printed.splitlines()[-1])


@app.command()
def load(directory: Path, dtype: str = typer.Argument()) -> None:
    """Print the size of the weights and the peak memory of this process after loading them, in bytes."""
    start = time.perf_counter()
    model = JanusFlow.from_pretrained(directory, getattr(torch, dtype))
    seconds = time.perf_counter() - start
    weights = sum(parameter.nbytes for parameter in model.parameters())
    typer.echo(json.dumps({"weights": weights, "peak": peak(), "ratio": peak() / weights, "seconds": seconds}))


@app.command()
def steps(directory: Path) -> None:
    """Print the time of a step, the difference that the cache makes, and the peak memory of two steps and a picture."""
    from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
    from janus_minimal.pipeline import image_noise

    pipe = JanusFlowPipeline.from_pretrained(directory)
    prompt = PromptPair.from_text(PROMPT, pipe.tokenizer)
    z = image_noise(pipe.latent_shape, 1, torch.Generator().manual_seed(0))
    start = time.perf_counter()
    cached = list(denoise(pipe.model, prompt, z, time_grid(30)[:3]))
    seconds = (time.perf_counter() - start) / 2
    plain = list(denoise(pipe.model, prompt, z, time_grid(30)[:3], use_cache=False))
    apart = max(float((a.v - b.v).norm() / b.v.norm()) for a, b in zip(cached, plain, strict=True))
    picture = pipe.to_pictures(cached[-1].z_next, "pt")
    typer.echo(
        json.dumps(
            {
                "prompt tokens": prompt.rows.ids.shape[1],
                "seconds a step": seconds,
                "cached and uncached apart": apart,
                "picture": list(picture.shape),
                "finite": bool(picture.isfinite().all()),
                "peak": peak(),
            }
        )
    )


def peak() -> int:
    """Return the peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    app()
