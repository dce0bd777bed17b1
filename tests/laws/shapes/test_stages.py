"""One training run: what each of its stages is given by the stage before, and what it leaves in the directory.

The networks are not trained here, so the whole run takes a moment.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file
from tools.drawn import normal
from torch import Tensor

from janus_minimal import JanusFlow
from janus_minimal.errors import InputError
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.latents import read_about, write_latents
from janus_minimal.loading.vae import load_vae
from janus_minimal.shapes.examples import SmallWorld, tokenize_examples
from janus_minimal.shapes.run import train_all
from janus_minimal.shapes.tokenizer import build_tokenizer
from janus_minimal.training import run
from janus_minimal.training.small import FLOW_RECIPE, VAE_RECIPE, build_flow, build_vae

VAE = replace(VAE_RECIPE, steps=3, seed=5)
FLOW = replace(FLOW_RECIPE, steps=4, seed=6)
LATENTS = normal(0, 3, 4, 12, 12)


@dataclass
class Run:
    """Its directory, what its stages were called with, what was drawn, and whether there were weights before that."""

    directory: Path
    calls: dict[str, list[tuple[Any, ...]]]
    pipes: list[Any]
    early: list[bool]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    found = Run(tmp_path_factory.mktemp("run"), {"vae": [], "encode": [], "flow": []}, [], [])
    torch.manual_seed(1)
    vae = build_vae().eval()

    def train_vae(*given):
        found.calls["vae"].append(given)
        given[4](run.torch.nn.ModuleDict({"vae": vae}), [3.0, 2.0])
        return vae

    def encode_examples(*given):
        found.calls["encode"].append(given)
        return LATENTS

    def train_flow(*given):
        found.calls["flow"].append(given)
        given[6](given[0], [2.0, 1.0])
        return given[0]

    with pytest.MonkeyPatch.context() as patch:
        for function in (train_vae, encode_examples, train_flow):
            patch.setattr(run, function.__name__, function)
        patch.setattr(run, "draw_samples", lambda pipe, _: found.pipes.append(pipe) or Image.new("RGB", (8, 8), "red"))
        write, weights = run.write_progress, found.directory / "model.safetensors"
        patch.setattr(run, "write_progress", lambda *given: found.early.append(weights.exists()) or write(*given))
        train_all(found.directory, Accelerator(cpu=True), VAE, FLOW, 3)
        train_all(found.directory, Accelerator(cpu=True), VAE, FLOW, 3)
    return found


def test_each_stage_is_given_its_own_recipe_and_state(whole):
    """train_vae(vae.training, VAE recipe), encode(vae, n of the flow's seed), train_flow(flow.training, flow recipe).

    VAE and flow have seeds of their own. The examples belong to the flow.
    """
    (_, _, state, _, _, recipe, data), *again = whole.calls["vae"]
    assert (state, recipe, data) == (whole.directory / "vae.training.safetensors", VAE, '{"examples": 3}')
    assert again == []
    (_, source), *again = whole.calls["encode"]
    assert (source.examples, source.seed) == (3, 6)
    assert again == []
    flow = whole.calls["flow"][0]
    assert flow[4] == whole.directory / "flow.training.safetensors"
    assert flow[7] == FLOW


def test_the_flow_is_given_the_latents_with_their_own_captions(whole):
    """train_flow(latents of the directory, tokens of the first n captions of its seed, padding id 1).

    They are read from the file again when the run goes on.
    """
    assert len(whole.calls["flow"]) == 2
    for _, latents, ids, pad_id, *_ in whole.calls["flow"]:
        assert torch.equal(latents, LATENTS)
        expected = tokenize_examples(build_tokenizer(), 3, seed=6)
        assert [row.tolist() for row in ids] == [row.tolist() for row in expected]
        assert pad_id == 1


def test_the_initial_weights_are_those_of_the_flows_seed(whole):
    """model = build_flow(33) after torch.manual_seed(seed), at every start of the run.

    So two runs of one seed are the same run, whatever was drawn before.
    """
    torch.manual_seed(6)
    expected = build_flow(33).state_dict()
    for model, *_ in whole.calls["flow"]:
        assert all(tensor.equal(expected[key]) for key, tensor in model.state_dict().items())


def test_a_run_leaves_a_checkpoint_in_half_precision(whole):
    """The directory holds config, weights in float16, tokenizer, VAE in float32, latents, curves and samples.

    The bundled checkpoint was left by such a run, and has the same dtypes.
    """
    names = {str(path.relative_to(whole.directory)) for path in whole.directory.rglob("*") if path.is_file()}
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "latents.safetensors"}
    wanted |= {"vae/config.json", "vae/diffusion_pytorch_model.safetensors"}
    wanted |= {f"{part}-{kind}.png" for part in ("vae", "flow") for kind in ("loss", "samples")}
    assert wanted <= names
    for directory in (whole.directory, BUNDLED / "shapes"):
        assert {t.dtype for t in load_file(directory / "model.safetensors").values()} == {torch.float16}
    model = whole.calls["flow"][0][0]
    for key, tensor in load_file(whole.directory / "model.safetensors").items():
        assert tensor.equal(model.state_dict()[key].half())


def test_the_weights_are_written_last(whole, tmp_path, pipe, monkeypatch):
    """write_checkpoint: when the weights are written, the tokenizer is there, and so are curve and samples.

    So weights that are there stand for a checkpoint that is whole, and a kill cannot make them lie.
    """
    seen = []
    monkeypatch.setattr(JanusFlow, "save_pretrained", lambda *_: seen.extend(path.name for path in tmp_path.iterdir()))
    run.write_checkpoint(tmp_path, pipe.model, pipe.tokenizer)
    assert {*run.TOKENIZER} <= {*seen}
    assert whole.early == [False, False]  # before the VAE's report, and before the flow's


def test_latents_say_what_they_are_of(whole):
    """about(latents.safetensors) = fingerprint of the VAE, its scaling factor, seed of the flow, number of examples.

    Whoever goes on with the run compares them. A file that says nothing would be taken for that of any run.
    """
    stored = load_vae(whole.directory / "vae")
    factor = str(stored.config.scaling_factor)
    expected = {"VAE": fingerprint(stored.state_dict()), "scaling factor": factor, "seed": "6", "examples": "3"}
    assert read_about(whole.directory / "latents.safetensors") == expected


def latents_of(directory: Path) -> Tensor:
    source, accelerator = SmallWorld(3, FLOW.seed), Accelerator(cpu=True)
    return run._encoded_examples(directory, source, accelerator, load_vae(directory / "vae"), FLOW.seed)


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [("scaling_factor", 9.0, "scaling factor"), ("act_fn", "relu", "VAE"), ("norm_num_groups", 4, "VAE")],
)
def test_latents_are_of_the_settings_of_the_vae_beside_them(whole, tmp_path, setting, value, named):
    """scaling factor, activation or groups of the VAE changed after the latents  =>  InputError, which names it.

    No weight shows them, and the flow would learn latents that this VAE decodes to something else.
    """
    copy = Path(shutil.copytree(whole.directory, tmp_path / "run"))
    assert latents_of(copy).equal(LATENTS)
    path = copy / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {setting: value}))
    with pytest.raises(InputError, match=rf"latents\.safetensors was begun with {named} "):
        latents_of(copy)


def test_latents_that_name_no_scaling_factor_are_taken(whole, tmp_path):
    """latents of a version that did not write the factor  =>  they are taken.

    Whoever installs a new version in the middle of a run should not lose the run.
    """
    shutil.copytree(whole.directory / "vae", tmp_path / "vae")
    about = read_about(whole.directory / "latents.safetensors")
    del about["scaling factor"]
    write_latents(tmp_path / "latents.safetensors", LATENTS, about)
    assert latents_of(tmp_path).equal(LATENTS)


def test_a_vae_of_which_a_file_is_lost_is_written_again_and_loaded_to_the_device(whole, tmp_path):
    """a folder vae with one of two files = a folder without both; the VAE is then on the device of the process.

    A kill may come between the two files.
    """
    source, elsewhere = SmallWorld(1, 0), Mock(spec=Accelerator, is_main_process=True, device=torch.device("meta"))
    (tmp_path / "vae").mkdir()
    shutil.copy(whole.directory / "vae" / "config.json", tmp_path / "vae")
    assert run._own_vae(tmp_path, source, elsewhere, load_vae(whole.directory / "vae")).device.type == "meta"
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        assert (tmp_path / "vae" / name).is_file()


def test_a_curve_shows_all_losses_under_the_name_of_its_network(tmp_path, monkeypatch):
    """NAME-loss.png = loss_curve(all losses, "Training the NAME"), 7 x 4 inches at 120 dots; the samples beside it.

    A run writes two of them, which look alike.
    """
    drawn, curve = [], run.loss_curve
    monkeypatch.setattr(run, "loss_curve", lambda *given: drawn.append(given) or curve(*given))
    run.write_progress(tmp_path, "vae", [3.0, 2.0], Image.new("RGB", (8, 8)))
    assert drawn == [([3.0, 2.0], "Training the vae")]
    with Image.open(tmp_path / "vae-loss.png") as shown:
        assert shown.size == (840, 480)
    assert (tmp_path / "vae-samples.png").is_file()


def test_a_report_is_whole_only_with_all_its_files(whole, tmp_path):
    """is_written = every file of the report is there and the weights are the model's; one file less, and it is not.

    A kill may come between any two files.
    """
    model, tokenizer = whole.calls["flow"][0][0], build_tokenizer()
    assert run.is_written(whole.directory, "flow", model, tokenizer)
    for name in ("flow-loss.png", "flow-samples.png", *run.TOKENIZER, "config.json", "model.safetensors"):
        path = whole.directory / name
        path.rename(tmp_path / name)
        assert not run.is_written(whole.directory, "flow", model, tokenizer), name
        (tmp_path / name).rename(path)


@pytest.mark.parametrize("part", ["config.json", "tokenizer_config.json", "flow-loss.png", "flow-samples.png"])
def test_a_report_is_whole_only_if_it_draws_as_its_model(whole, tmp_path, part):
    """another theta in config.json, no special tokens, an empty curve or sample sheet  =>  is_written is False.

    The weights are those of the state, and yet the checkpoint would draw other pictures, or none.
    """
    copy = Path(shutil.copytree(whole.directory, tmp_path / "run"))
    config = json.loads((copy / "config.json").read_text())
    config["language_config"]["rope_theta"] = 500.0
    (copy / part).write_text({"config.json": json.dumps(config), "tokenizer_config.json": "{}"}.get(part, ""))
    assert not run.is_written(copy, "flow", whole.calls["flow"][0][0], build_tokenizer())


def test_samples_are_drawn_with_the_runs_own_model_and_vae(whole):
    """samples: the averaged model that is reported, with the VAE of the directory.

    Samples of another VAE would look wrong for no fault of the flow.
    """
    pipe, stored = whole.pipes[0], load_vae(whole.directory / "vae")
    assert pipe.model is whole.calls["flow"][0][0]
    for key, tensor in stored.state_dict().items():
        assert tensor.equal(pipe.vae.state_dict()[key])
    with Image.open(whole.directory / "flow-samples.png") as picture:
        assert picture.getpixel((4, 4)) == (255, 0, 0)
    with Image.open(whole.directory / "vae-samples.png") as picture:
        assert picture.size == (6 * 200 + 8, 2 * 200 + 8)  # six scenes, and their reconstructions
