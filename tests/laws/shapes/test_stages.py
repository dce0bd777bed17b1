"""One training run: what each of its stages is given by the stage before, and what it leaves in the directory.

The networks are not trained here, so the whole run takes a moment.
"""

import json
import shutil
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from diffusers.configuration_utils import FrozenDict
from PIL import Image
from safetensors.torch import load_file
from tools.drawn import normal
from tools.official_tokenizer import EOS, PAD, write_tokenizer
from torch import Tensor

from janus_minimal import JanusFlow, JanusFlowPipeline
from janus_minimal.errors import InputError
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.latents import read_about, write_latents
from janus_minimal.loading.pretrained import read_tokenizer
from janus_minimal.loading.vae import load_vae
from janus_minimal.shapes.examples import SmallWorld, tokenize_examples
from janus_minimal.shapes.run import train_all
from janus_minimal.shapes.tokenizer import build_tokenizer
from janus_minimal.solvers import adams_bashforth
from janus_minimal.training import run
from janus_minimal.training.settings import check_known
from janus_minimal.training.small import FLOW_RECIPE, VAE_RECIPE, build_flow, build_vae
from janus_minimal.training.start import Start
from janus_minimal.training.tuning import Tuning

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


def test_a_run_without_recipes_is_that_of_the_bundled_model():
    """train_all(out, accelerator) = with VAE_RECIPE, FLOW_RECIPE and 60,000 scenes.

    The command gives all of them, so only who calls it from Python would see another default.
    """
    defaults = [parameter.default for parameter in signature(train_all).parameters.values()]
    assert defaults[2:] == [VAE_RECIPE, FLOW_RECIPE, 60_000]


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


def test_latents_have_the_channels_of_the_vae(unchecked, tmp_path, monkeypatch):
    """latents of a VAE with 16 channels are written and read again.

    The VAEs of newer models have as many, and a model that is tuned with one takes 16.
    """
    z, config = normal(0, 2, 16, 12, 12), {"latent_channels": 16, "scaling_factor": 1.0, "block_out_channels": (64,)}
    monkeypatch.setattr(run, "encode_examples", lambda *_: z)
    vae = Mock(config=FrozenDict(config), state_dict=dict)
    assert run._encoded_examples(tmp_path, Mock(about={}), Accelerator(cpu=True), vae, 0).equal(z)


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
    losses = [3.0, *[2.0] * 3000]
    run.write_progress(tmp_path, "vae", losses, Image.new("RGB", (8, 8)))
    assert drawn == [(losses, "Training the vae")]
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


@pytest.mark.parametrize(("given", "steps", "weight"), [((), 12, 2.0), ((1,), 1, 2.0), ((3, 1.0), 3, 1.0)])
def test_samples_are_drawn_in_the_steps_and_with_the_weight_that_are_asked_for(unchecked, given, steps, weight):
    """draw_samples(pipe, captions, S, w) = pipe(captions, S, w, seed 0, Adams-Bashforth); S = 12, w = 2 by default.

    A one-step student is drawn in one step and without guidance. In twelve steps it would look better than it is, and
    with guidance it would be mixed with a row that it never learned.
    """
    pipe = Mock(return_value=SimpleNamespace(images=[Image.new("RGB", (8, 8))] * 2))
    run.draw_samples(pipe, ["a star", "a circle"], *given)
    asked = signature(JanusFlowPipeline.__call__).bind(pipe, *pipe.call_args.args, **pipe.call_args.kwargs).arguments
    assert (asked["prompt"], asked["num_inference_steps"], asked["cfg_weight"]) == (
        ["a star", "a circle"],
        steps,
        weight,
    )
    assert asked["generator"].initial_seed() == 0
    assert asked["solver"] is adams_bashforth


STRAYS = (
    *("flow.training.safetensors", "vae.training.safetensors", "latents.safetensors", "config.json"),
    *("model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "diffusion_pytorch_model.safetensors"),
    *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
    *("vae-loss.png", "vae-samples.png", "flow-loss.png", "flow-samples.png"),
)


@pytest.mark.parametrize("name", STRAYS)
def test_a_new_run_touches_no_file_of_another_one(tmp_path, name):
    """a folder with any one file that a run writes, and without settings.json  =>  InputError, which names the file.

    Somebody's own weights would be replaced, or an old state would go on as a part of the new run.
    """
    (tmp_path / "notes.txt").touch()
    check_known(tmp_path, run.PARTS)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"holds {name} but no settings"):
        check_known(tmp_path, run.PARTS)


@pytest.fixture
def last_stage(unchecked, tmp_path, monkeypatch):
    """The last stage of a run, of a new model or of a fine-tuning, on a tokenizer without a padding token."""
    write_tokenizer(tmp_path, (PAD,))
    tokenizer, calls, shown = read_tokenizer(tmp_path), [], []
    source = SimpleNamespace(tokenizer=tokenizer, captions=["a cat"] * 40 + ["a dog"], shown=["a cat", "a dog"])
    start = tmp_path / "start"
    shutil.copytree(BUNDLED / "shapes", start)
    own = json.loads((start / "tokenizer_config.json").read_text(encoding="utf-8")) | {"chat_template": "{{ x }}"}
    (start / "tokenizer_config.json").write_text(json.dumps(own), encoding="utf-8")
    monkeypatch.setattr("janus_minimal.pipeline.check_tokenizer", lambda *given: None)  # it is of another model here
    monkeypatch.setattr(run, "train_flow", lambda *given: calls.append(given) or given[6](given[0], [1.0]))
    monkeypatch.setattr(run, "draw_samples", lambda pipe, captions: shown.append(captions) or Image.new("RGB", (8, 8)))
    out, vae = tmp_path / "out", load_vae(BUNDLED / "shapes" / "vae")
    given = (out, source, Accelerator(cpu=True), vae, LATENTS, FLOW)

    def stage(kind):
        if kind == "train":
            run._train_flow(*given)
        else:
            run._tune_flow(*given, Start(start, Tuning("uvit")))
        return tokenizer, calls[0], shown, start, out

    return stage


@pytest.mark.parametrize("kind", ["train", "tune"])
def test_without_a_padding_token_a_run_pads_with_the_end_of_the_sentence(last_stage, kind):
    """train_flow(pad id = eos) where the tokenizer has no padding token; the samples show what the source shows.

    The pipeline pads in the same way. The samples are chosen from the whole folder, not from its first lines.
    """
    tokenizer, call, shown, _, _ = last_stage(kind)
    assert call[3] == tokenizer.convert_tokens_to_ids(EOS)
    assert shown == [["a cat", "a dog"]]


def test_a_fine_tuned_checkpoint_keeps_the_tokenizer_files_of_its_source(last_stage):
    """tokenizer files(out) = tokenizer files(source), byte by byte.

    They hold settings that we do not read, such as the chat template. Other programs read them.
    """
    *_, start, out = last_stage("tune")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (out / name).read_bytes() == (start / name).read_bytes(), name


def test_the_same_vae_is_known_in_any_order_of_its_settings(unchecked):
    """about(VAE) does not depend on the order of its config; another number in it is another VAE.

    diffusers and our loader build the same network with its settings in another order.
    """
    weights = {"x": torch.ones(2)}

    def about(**config):
        return run._about_vae(SimpleNamespace(config=config, state_dict=lambda: weights))

    assert about(latent_channels=4, scaling_factor=0.5, _notes=1) == about(scaling_factor=0.5, latent_channels=4)
    assert about(latent_channels=4, scaling_factor=0.5) != about(latent_channels=4, scaling_factor=0.6)


def test_the_sample_pictures_of_a_vae_are_the_same_at_every_save(unchecked, tmp_path, monkeypatch):
    """draw(6, (0, 4)) at each report of the VAE, however many losses there are.

    So two saves can be compared: what has changed is the network.
    """
    asked, vae = [], load_vae(BUNDLED / "shapes" / "vae")

    def train_vae(build, draw, state, accelerator, report, recipe, data):
        for steps in (1, 2):
            report(SimpleNamespace(vae=vae), [1.0] * steps)
        return vae

    monkeypatch.setattr(run, "train_vae", train_vae)
    monkeypatch.setattr(run, "write_progress", lambda *_: None)
    source = SimpleNamespace(about={}, draw=lambda *given: asked.append(given) or normal(0, 6, 3, 48, 48))
    run._trained_vae(tmp_path, source, Accelerator(cpu=True), VAE)
    assert asked == [(6, (0, 4))] * 2


def other_process(wait=lambda: None) -> Mock:
    """A process that is not the main one; `wait` is what happens while it waits for the others."""
    here = Mock(spec=Accelerator, is_main_process=False, device=torch.device("cpu"))
    here.wait_for_everyone.side_effect = wait
    return here


def test_only_the_main_process_writes_the_vae_and_the_latents(unchecked, tmp_path, monkeypatch):
    """a process that is not the main one, in an empty folder  =>  it writes nothing, and encodes nothing.

    Two processes that write the same file would read each other's half, and do the same work twice.
    """
    monkeypatch.setattr(run, "encode_examples", lambda *_: pytest.fail("encoded twice"))
    vae, source = load_vae(BUNDLED / "shapes" / "vae"), SimpleNamespace(about={})
    with pytest.raises(InputError):
        run._own_vae(tmp_path, source, other_process(), vae)
    with pytest.raises(InputError):
        run._encoded_examples(tmp_path, source, other_process(), vae, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_process_waits_for_what_the_main_one_writes(unchecked, tmp_path):
    """VAE and latents are read after wait_for_everyone, where the main process has written them.

    Read before, they are not there yet, and the run ends at once on every machine but the fastest.
    """
    vae, latents = load_vae(BUNDLED / "shapes" / "vae"), tmp_path / "latents.safetensors"
    about = {"VAE": fingerprint(vae.state_dict()), "seed": "0", "examples": "3"}
    source = SimpleNamespace(about={"examples": 3})
    copy = other_process(lambda: shutil.copytree(BUNDLED / "shapes" / "vae", tmp_path / "vae"))
    found = run._own_vae(tmp_path, source, copy, vae).state_dict()
    assert all(found[key].equal(tensor) for key, tensor in vae.state_dict().items())
    written = other_process(lambda: write_latents(latents, LATENTS, about))
    assert run._encoded_examples(tmp_path, source, written, vae, 0).equal(LATENTS)
