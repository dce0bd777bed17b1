"""Latents files, and the states of training runs."""

import json
import os
from pathlib import Path
from random import Random

import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tools.hostile import may_work, must_be_refused
from torch import nn

from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.latents import read_latents, write_latents
from janus_minimal.loading.vae import load_vae, to_pictures
from janus_minimal.training.folder import LOCK, run_folder
from janus_minimal.training.loop import fit
from janus_minimal.training.recipe import Recipe

STATE, LATENTS = "state.safetensors", "latents.safetensors"
RECIPE = Recipe(steps=3, batch_size=2, learning_rate=0.01, warmup=1, save_every=1)
SETTINGS = {"seed": 0, "examples": 12}
EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)
PLACES = (os.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("nowhere"))


def latents_of_two(directory: Path) -> None:
    write_latents(directory / LATENTS, torch.randn(2, 4, 12, 12, generator=torch.Generator().manual_seed(0)))


def decode(directory: Path) -> None:
    """Decode a file of latents as the command does."""
    vae = load_vae(BUNDLED / "shapes" / "vae")
    pictures = to_pictures(vae, read_latents(directory / LATENTS, 4), "pt")
    assert pictures.isfinite().all(), "a picture that is not finite"
    assert pictures.shape[2] == pictures.shape[3], "a picture that is not square"


def train(directory: Path) -> None:
    """Train a network for a moment in the directory, or go on with what is there."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5))
    accelerator = Accelerator(cpu=True)
    with run_folder(directory, SETTINGS, [STATE], accelerator):
        fit(network, _loss, RECIPE, directory / STATE, accelerator, lambda *_: None)
    for key, tensor in load_file(directory / STATE).items():
        assert tensor.isfinite().all(), f"{key} is not finite"


def _loss(network: nn.Module, step: int) -> torch.Tensor:
    return (network(torch.full((2, 3), 0.1 * step)) - 1).square().mean()


def half_a_file(path: Path, random: Random) -> None:
    content = path.read_bytes()
    path.write_bytes(random.choice((content[: random.randrange(len(content))], b"", random.randbytes(500))))


def flip(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(random.randint(1, 5)):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def no_plain_file(path: Path, random: Random) -> None:
    path.unlink()
    random.choice(PLACES[:3])(path)


@must_be_refused(latents_of_two, decode)
def latents_that_are_no_file(directory: Path, random: Random) -> None:
    random.choice((half_a_file, no_plain_file))(directory / LATENTS, random)


@may_work(latents_of_two, decode)
def latents_with_flipped_bits(directory: Path, random: Random) -> None:
    flip(directory / LATENTS, random)


@must_be_refused(latents_of_two, decode)
def latents_of_another_form(directory: Path, random: Random) -> None:
    shapes = ((2, 3, 12, 12), (2, 4, 12, 24), (2, 4, 144), (0, 4, 12, 12), (2, 4, 0, 0), (2, 4, 12, 0), (4, 12, 12))
    tensor = torch.zeros(random.choice(shapes))
    wrong = (tensor, torch.full((1, 4, 12, 12), random.choice((torch.nan, torch.inf))), torch.ones(1, 4, 12, 12).long())
    name = random.choice(("latents", "latents", "z"))
    save_file({name: random.choice(wrong) if name == "latents" else torch.zeros(1, 4, 12, 12)}, directory / LATENTS)


@may_work(latents_of_two, decode)
def latents_of_any_size(directory: Path, random: Random) -> None:
    number, side = random.choice((1, 2, 9)), random.choice((1, 2, 3, 12, 13, 24))
    scale = random.choice((1.0, 1e4, 1e20, 3e38, 1e-40))
    dtype = random.choice((torch.float32, torch.float64, torch.bfloat16, torch.float16, *EIGHT_BITS))
    latents = (torch.randn(number, 4, side, side) * scale).clamp(-3e4, 3e4)
    save_file({"latents": latents.to(dtype)}, directory / LATENTS)


@must_be_refused(train, train)
def state_that_is_no_file(directory: Path, random: Random) -> None:
    random.choice((half_a_file, no_plain_file))(directory / STATE, random)


@may_work(train, train)
def state_with_flipped_bits(directory: Path, random: Random) -> None:
    flip(directory / STATE, random)


@must_be_refused(train, train)
def state_with_another_tensor(directory: Path, random: Random) -> None:
    path = directory / STATE
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    key = random.choice(sorted(tensors))
    value = tensors.pop(key)
    nan = torch.full_like(value, random.choice((torch.nan, torch.inf))) if value.is_floating_point() else value + 1
    changes = (
        {},
        {f"{key}.more": value},
        {key: nan},
        {key: value[None]},
        {key: value.bool()},
        {key: value, "x": value.clone()},  # safetensors refuses to save one memory twice
    )
    save_file(tensors | random.choice(changes), path, metadata)


@must_be_refused(train, train)
def state_of_another_recipe(directory: Path, random: Random) -> None:
    path = directory / STATE
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    recipe = json.loads(metadata["recipe"])
    recipe[random.choice(sorted(recipe))] = random.choice((99, "x", None, [], float("nan")))
    texts = (json.dumps(recipe), "", "{", "[]", "3", "[" * 10**5)
    changes = ({"recipe": random.choice(texts)}, {"data": "other"}, {"recipe": "{}", "data": ""})
    save_file(load_file(path), path, random.choice((metadata | random.choice(changes), {}, {"x": "y"})))


@must_be_refused(train, train)
def settings_of_another_run(directory: Path, random: Random) -> None:
    path = directory / "settings.json"
    texts = ("", "{", "[]", "{}", '{"seed": 1, "examples": 12}', '{"seed": 0}', "[" * 10**5, '{"seed": "\\u001b[31m"}')
    random.choice((lambda: path.write_text(random.choice(texts)), path.unlink))()


@must_be_refused(train, train)
def lock_that_cannot_be_taken(directory: Path, random: Random) -> None:
    path = directory / LOCK
    path.unlink(missing_ok=True)
    random.choice((path.mkdir, *(lambda to=to: path.symlink_to(to) for to in ("nowhere", path, "/dev/zero"))))()
