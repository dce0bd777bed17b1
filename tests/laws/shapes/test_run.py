"""One training run in one directory: it can be killed, resumed and shared, and leaves a checkpoint."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tools.launched import Launched, accelerated, free_port, shared, twice
from tools.small_runs import be_small, small_runs

from janus_minimal import JanusFlowPipeline
from janus_minimal.errors import InputError
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.shapes.run import train_all
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.small import FLOW_RECIPE, VAE_RECIPE

VAE = replace(VAE_RECIPE, steps=2, batch_size=4, save_every=3)
FLOW = replace(FLOW_RECIPE, steps=5, batch_size=4, save_every=3)
EXAMPLES = 12
OPTIONS = ("--steps", "5", "--vae-steps", "2", "--batch-size", "4", "--save-every", "3", "--examples", "12")


def losses(directory: Path, part: str = "flow") -> list[float]:
    with safe_open(directory / f"{part}.training.safetensors", "pt") as file:
        return file.get_tensor("losses").tolist()


def train(directory: Path, flow: Recipe = FLOW) -> None:
    train_all(directory, Accelerator(cpu=True), VAE, flow, EXAMPLES)


@pytest.fixture(scope="module", autouse=True)
def small():
    with small_runs():
        yield


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
    command = Launched(tmp_path, "train", "--out", ".", *OPTIONS, first=be_small)
    while command.runs and not (tmp_path / "flow.training.safetensors").exists():
        time.sleep(0.02)
    command.send(signal.SIGKILL)
    assert command.wait().returncode == -signal.SIGKILL
    assert len(losses(tmp_path)) < FLOW.steps
    train(tmp_path)
    assert losses(tmp_path, "vae") == losses(uninterrupted, "vae")
    assert losses(tmp_path) == losses(uninterrupted)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(uninterrupted, tmp_path):
    """losses(2 processes) = losses(1 process), up to rounding.

    Each process takes its share of the same batch, and the gradients are averaged.
    """
    result = twice(tmp_path, "train", "--out", "run", *OPTIONS, first=be_small)
    assert result.returncode == 0, result.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(uninterrupted), rel=1e-3)


@pytest.mark.slow
def test_accelerate_tells_each_process_its_share(tmp_path):
    """accelerate launch --num_processes 2  =>  the variables WORLD_SIZE, RANK, ... that the laws of two processes set.

    Those laws do not start accelerate, because it would import the large libraries three times.
    """
    script, port = tmp_path / "say.py", free_port()
    names = list(shared("0", port))
    script.write_text(f"import json, os, sys\nsys.stdout.write(json.dumps([os.environ[n] for n in {names}]) + '\\n')")
    said = sorted(json.loads(line) for line in accelerated(script, port).splitlines())
    assert said == [list(shared(rank, port).values()) for rank in ("0", "1")]


@pytest.mark.parametrize("part", ["vae", "flow"])
def test_a_batch_that_two_processes_cannot_share_is_refused(tmp_path, part, monkeypatch):
    """batch_size mod processes != 0  =>  InputError, before there is a folder.

    Each process takes the mean over its own share, so examples of a smaller share would count more.
    """
    recipes = {"vae": VAE, "flow": FLOW}
    recipes[part] = replace(recipes[part], batch_size=3)
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    with pytest.raises(InputError, match="a batch of 3 on 2 processes: expected a multiple"):
        train_all(tmp_path / "run", Accelerator(cpu=True), recipes["vae"], recipes["flow"], EXAMPLES)
    assert not (tmp_path / "run").exists()


def test_training_leaves_a_checkpoint_that_makes_pictures(uninterrupted):
    """train(directory)  =>  pipeline(directory).

    A run leaves the official layout, its VAE, loss curves, a picture of each caption that its source shows, and no
    unfinished file.
    """
    pipe = JanusFlowPipeline.from_pretrained(uninterrupted)
    assert pipe("a red circle", 1, progress=False).images[0].size == (48, 48)
    written = {path.name for path in uninterrupted.iterdir()}
    assert {"flow-loss.png", "flow-samples.png", "vae-loss.png", "vae-samples.png"} < written
    assert not [name for name in written if name.startswith(".")]
    with Image.open(uninterrupted / "flow-samples.png") as sheet:
        assert sheet.size == (2 * 200 + 8, 200 + 8)  # two pictures of 192 pixels, with 8 around each


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


@pytest.fixture
def finished(uninterrupted, tmp_path) -> Path:
    """A copy of a finished run, which a test may damage."""
    return Path(shutil.copytree(uninterrupted, tmp_path / "run"))


@pytest.mark.parametrize("lost", ["model.safetensors", "tokenizer.json", "flow-loss.png", "vae"])
def test_what_a_finished_run_lost_is_made_again(uninterrupted, finished, lost):
    """train(finished run - file) = finished run, byte for byte.

    The states hold everything, and a run that ends with status 0 owes its checkpoint.
    """
    path = finished / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    train(finished)
    for kept in ("model.safetensors", "config.json", "tokenizer.json", "vae/config.json"):
        assert (finished / kept).read_bytes() == (uninterrupted / kept).read_bytes(), kept
    assert path.exists()


@pytest.mark.parametrize("content", ["of an earlier save", "truncated"])
def test_a_checkpoint_that_is_not_of_the_state_is_written_again(uninterrupted, finished, content):
    """model.safetensors != average(state)  =>  it is written again, whatever its time is.

    A run that was killed between its last state and its report left the checkpoint of an earlier save.
    """
    path = finished / "model.safetensors"
    whole = path.read_bytes()
    if content == "truncated":
        path.write_bytes(whole[:-100])
    else:
        weights = load_file(path)
        weights["vision_gen_dec_aligner.bias"] += 1
        save_file(weights, path, {"format": "pt"})
    train(finished)
    assert path.read_bytes() == whole


def test_a_damaged_tokenizer_of_a_finished_run_is_written_again(uninterrupted, finished):
    """tokenizer.json cut off, or of other words  =>  it is written again.

    A folder that was copied in part has such files, and a run that ends with status 0 owes a checkpoint that loads.
    """
    path, whole = finished / "tokenizer.json", (uninterrupted / "tokenizer.json").read_text(encoding="utf-8")
    for damaged in (whole[:-100], whole.replace('"red"', '"dragon"')):
        path.write_text(damaged, encoding="utf-8")
        train(finished)
        assert path.read_text(encoding="utf-8") == whole


@pytest.mark.parametrize(
    "setting", [{"flow": replace(FLOW, seed=1)}, {"vae": replace(VAE, seed=1)}, {"vae": replace(VAE, learning_rate=1)}]
)
def test_no_part_of_a_run_goes_on_with_another_setting(uninterrupted, setting):
    """VAE's or flow's settings != those of the run  =>  InputError by name, whichever part is done already.

    With another seed after the latents, captions of one seed would be trained on latents of another.
    """
    asked = {"vae": VAE, "flow": FLOW} | setting
    (part,) = setting
    with pytest.raises(InputError, match=rf"was begun with {part} (seed|learning_rate) .*another directory"):
        train_all(uninterrupted, Accelerator(cpu=True), asked["vae"], asked["flow"], EXAMPLES)


def test_latents_are_of_the_vae_beside_them(finished):
    """VAE replaced after the latents  =>  InputError, which names it.

    The flow would learn latents that this VAE decodes to something else.
    """
    path = finished / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["encoder.conv_in.bias"] += 1
    save_file(weights, path)
    with pytest.raises(InputError, match=r"latents\.safetensors was begun with VAE"):
        train(finished)


@pytest.mark.parametrize("damage", ["truncated", "empty", "NaN", "folder", "FIFO", "without a word"])
def test_damaged_latents_are_one_line_and_the_way_out(finished, damage):
    """latents.safetensors that the run did not write  =>  InputError, which says what helps.

    NaN in one example would spoil every weight.
    """
    path = finished / "latents.safetensors"
    latents, content = load_file(path), path.read_bytes()
    path.unlink()
    {
        "truncated": lambda: path.write_bytes(content[:-4]),
        "empty": path.touch,
        "NaN": lambda: save_file({"latents": latents["latents"] * torch.nan}, path),
        "folder": path.mkdir,
        "FIFO": lambda: os.mkfifo(path),
        "without a word": lambda: save_file(latents, path),
    }[damage]()
    with pytest.raises(InputError, match=r"latents\.safetensors .*(delete it, and it is made anew|another directory)"):
        train(finished)


def test_a_damaged_vae_is_one_line_and_the_way_out(finished):
    """a VAE that cannot be loaded  =>  InputError, which says what helps.

    Its state is in the folder, so it can be made again in a moment.
    """
    path = finished / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"not a whole safetensors file.*vae to make it anew"):
        train(finished)


def test_a_folder_is_not_made_for_settings_that_are_refused(tmp_path, surroundings):
    """settings refused  =>  no folder.

    An empty folder looks like a run that was begun.
    """
    surroundings(torch.float64)
    with pytest.raises(InputError, match="default dtype"):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("folder", [".", "vae"])
def test_a_run_does_not_begin_in_the_folder_of_a_checkpoint(tmp_path, folder):
    """a folder with a checkpoint or a VAE and no settings  =>  InputError, and the folder is as it was.

    `train --out` with the folder of somebody's model would replace its weights.
    """
    mine = tmp_path / "mine" / folder
    shutil.copytree(BUNDLED / "shapes", tmp_path / "mine")
    before = {path: path.read_bytes() for path in mine.rglob("*.*")}
    with pytest.raises(InputError, match=r"holds config\.json but no settings\.json"):
        train(mine)
    assert {path: path.read_bytes() for path in mine.rglob("*.*")} == before


def test_a_run_does_not_take_the_vae_that_lies_in_its_folder(tmp_path):
    """a folder with a folder vae and no settings  =>  InputError.

    `train` would learn latents of a VAE that nobody asked it to use, and `reflow` would write over it.
    """
    shutil.copytree(BUNDLED / "shapes" / "vae", tmp_path / "vae")
    with pytest.raises(InputError, match=r"holds vae/config\.json but no settings\.json"):
        train(tmp_path)


@pytest.mark.parametrize("name", ["vae-loss.png", "vae-samples.png", "flow-loss.png", "flow-samples.png"])
def test_a_run_does_not_replace_the_pictures_of_an_earlier_one(tmp_path, name):
    """a folder with a loss curve or samples and no settings  =>  InputError.

    They are what somebody keeps of a run whose weights are gone.
    """
    (tmp_path / name).write_bytes(b"a curve")
    with pytest.raises(InputError, match=rf"holds {name} but no settings\.json"):
        train(tmp_path)


def test_other_examples_do_not_go_on_with_this_run(uninterrupted):
    """examples != examples of the run  =>  InputError.

    The latents were encoded when the run began, and a run with other examples needs other latents.
    """
    with pytest.raises(InputError, match="examples 12, not 13"):
        train_all(uninterrupted, Accelerator(cpu=True), VAE, FLOW, EXAMPLES + 1)


def test_the_loss_falls(tmp_path):
    """mean(last losses) < 0.9 mean(first losses).

    Twelve steps on a dozen scenes are enough to learn something.
    """
    recipe = replace(FLOW, steps=12, batch_size=4, learning_rate=4e-3, warmup=3, save_every=12)
    train_all(tmp_path, Accelerator(cpu=True), VAE, recipe, EXAMPLES)
    path = losses(tmp_path)
    assert sum(path[-5:]) < 0.9 * sum(path[:5])
