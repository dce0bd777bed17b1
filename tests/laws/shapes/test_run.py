"""One training run in one directory: it can be killed, resumed and shared, and leaves a checkpoint."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from accelerate import Accelerator
from safetensors import safe_open
from tools.launched import on_two_processes

from janus_minimal import JanusFlowPipeline
from janus_minimal.errors import InputError
from janus_minimal.shapes.flow import FLOW_RECIPE
from janus_minimal.shapes.run import train_all
from janus_minimal.shapes.vae import VAE_RECIPE
from janus_minimal.training.recipe import Recipe

VAE = replace(VAE_RECIPE, steps=2, batch_size=4, save_every=3)
FLOW = replace(FLOW_RECIPE, steps=5, batch_size=4, save_every=3)
EXAMPLES = 12
OPTIONS = ("--steps", "5", "--vae-steps", "2", "--batch-size", "4", "--save-every", "3", "--examples", "12")


def losses(directory: Path, part: str = "flow") -> list[float]:
    with safe_open(directory / f"{part}.training.safetensors", "pt") as file:
        return file.get_tensor("losses").tolist()


def train(directory: Path, flow: Recipe = FLOW) -> None:
    train_all(directory, Accelerator(cpu=True), VAE, flow, EXAMPLES)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("uninterrupted")
    train(directory)
    return directory


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_losses(uninterrupted, tmp_path):
    """losses(killed, resumed) = losses(uninterrupted), to the bit.

    Everything random in step k is drawn from (seed, k), and the state file holds all the rest.
    """
    process = subprocess.Popen([sys.executable, "-m", "janus_minimal", "train", "--out", str(tmp_path), *OPTIONS])
    while process.poll() is None and not (tmp_path / "flow.training.safetensors").exists():
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(losses(tmp_path)) < FLOW.steps
    train(tmp_path)
    assert losses(tmp_path, "vae") == losses(uninterrupted, "vae")
    assert losses(tmp_path) == losses(uninterrupted)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(uninterrupted, tmp_path):
    """losses(2 processes) = losses(1 process), up to rounding.

    Each process takes its share of the same batch, and the gradients are averaged.
    """
    result = on_two_processes(tmp_path, "train", "--out", "run", *OPTIONS)
    assert result.returncode == 0, result.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(uninterrupted), rel=1e-3)


@pytest.mark.slow
def test_a_batch_that_two_processes_cannot_share_is_refused(tmp_path):
    """batch_size mod processes != 0  =>  InputError.

    Each process takes the mean over its own share, so examples of a smaller share would count more.
    """
    result = on_two_processes(tmp_path, "train", "--out", "run", "--batch-size", "3", "--vae-steps", "1")
    assert "a batch of 3 on 2 processes: expected a multiple" in result.stderr


def test_training_leaves_a_checkpoint_that_makes_pictures(uninterrupted):
    """train(directory)  =>  pipeline(directory).

    A run leaves the official layout, its VAE, loss curves and sample pictures, and no unfinished file.
    """
    pipe = JanusFlowPipeline.from_pretrained(uninterrupted)
    assert pipe("a red circle", 1, progress=False).images[0].size == (48, 48)
    written = {path.name for path in uninterrupted.iterdir()}
    assert {"flow-loss.png", "flow-samples.png", "vae-loss.png", "vae-samples.png"} < written
    assert not [name for name in written if name.startswith(".")]


def test_a_finished_run_is_left_as_it_is(uninterrupted):
    """train(train(directory)) = train(directory).

    The state holds as many losses as the recipe has steps, so the same command has nothing to do.
    """
    before = (uninterrupted / "model.safetensors").read_bytes()
    train(uninterrupted)
    assert (uninterrupted / "model.safetensors").read_bytes() == before


def test_another_recipe_does_not_go_on_with_this_run(uninterrupted):
    """recipe != recipe of the run  =>  InputError.

    Another number of steps means other learning rates, so the result would belong to neither recipe.
    """
    with pytest.raises(InputError, match="train in another directory"):
        train(uninterrupted, replace(FLOW, steps=6))


def test_other_examples_do_not_go_on_with_this_run(uninterrupted):
    """examples != examples of the run  =>  InputError.

    The latents were encoded when the run began, and a run with other examples needs other latents.
    """
    with pytest.raises(InputError, match="examples 12, not 13"):
        train_all(uninterrupted, Accelerator(cpu=True), VAE, FLOW, EXAMPLES + 1)


def test_the_loss_falls(tmp_path):
    """mean(last losses) < 0.9 mean(first losses).

    Thirty steps on a dozen scenes are enough to learn something.
    """
    recipe = replace(FLOW, steps=30, batch_size=12, warmup=5, save_every=30)
    train_all(tmp_path, Accelerator(cpu=True), VAE, recipe, EXAMPLES)
    path = losses(tmp_path)
    assert sum(path[-5:]) < 0.9 * sum(path[:5])
