"""janus-minimal train --from: fine-tuning a checkpoint on a folder of pictures, from the command line."""

import json
import os
import shutil
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file
from tools.processes import OneOfTwo
from tools.small_runs import small_runs

from janus_minimal import JanusFlow, JanusFlowPipeline
from janus_minimal.cli import main
from janus_minimal.errors import InputError
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.tokenizer import load_tokenizer
from janus_minimal.loading.vae import load_vae
from janus_minimal.training import pictures, run
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.start import Start
from janus_minimal.training.tuning import TUNE_RECIPE, Tuning

SHORT = ("--steps", 2, "--batch-size", 2, "--save-every", 1, "--device", "cpu")


@pytest.fixture(scope="module", autouse=True)
def small():
    with small_runs():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pictures of one colour, with captions of words that the bundled model knows."""
    directory = tmp_path_factory.mktemp("folder")
    lines = []
    for name, rgb in {"red": (208, 40, 44), "blue": (44, 96, 200), "green": (44, 150, 72)}.items():
        Image.new("RGB", (64, 48), rgb).save(directory / f"{name}.png")
        lines.append(json.dumps({"file_name": f"{name}.png", "text": f"a {name} square"}))
    (directory / "metadata.jsonl").write_text("\n".join(lines))
    return directory


@pytest.fixture
def train(monkeypatch, capsys):
    """Run the command. Return its status and its last line."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["janus-minimal", "train", *map(str, words)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code
        captured = capsys.readouterr()
        return status, (captured.out + captured.err).strip().split("\n")[-1]

    return run


def test_a_run_becomes_a_whole_checkpoint(train, folder, tmp_path):
    """train --from shapes --lora 2 changes the language model's linear layers, and the directory can be drawn from.

    The run's directory holds model, tokenizer and VAE, so it can be used, shared, and fine-tuned again.
    """
    out = tmp_path / "run"
    asked = ("--data", folder, "--from", "shapes", "--lora", 2, *SHORT, "--out")
    status, line = train(*asked, out)
    assert status in (0, None), line
    before, after = (JanusFlow.from_pretrained(name).state_dict() for name in ("shapes", out))
    changed = {key for key in before if not before[key].equal(after[key])}
    assert changed == {key for key in before if ".self_attn." in key or ".mlp." in key}
    drawn = JanusFlowPipeline.from_pretrained(out)("a red square", 1, progress=False).images[0]
    assert drawn.size == (48, 48)
    assert {path.name for path in out.glob("flow-*.png")} == {"flow-loss.png", "flow-samples.png"}
    settings = json.loads((out / "settings.json").read_text())
    assert (settings["train"], settings["lora"], settings["dtype"]) == ("lora", 2, "float32")
    assert settings["from"] == str((BUNDLED / "shapes").resolve())  # what is not trained is copied from there
    again, line = train("--data", folder, "--from", out, "--train", "uvit", *SHORT, "--out", tmp_path / "second")
    assert again in (0, None), line
    assert json.loads((out / "settings.json").read_text()) == settings


def test_a_run_in_half_precision_keeps_float32_in_its_state(train, folder, tmp_path):
    """train --dtype bfloat16 --gradient-checkpointing --gradient-accumulation-steps 2: the state's weights are float32.

    All switches together, on the smallest run: they must not exclude each other.
    """
    switches = ("--dtype", "bfloat16", "--gradient-checkpointing", "--gradient-accumulation-steps", 2)
    asked = ("--data", folder, "--from", "shapes", "--train", "uvit", "--lora", 2, *switches, *SHORT)
    status, line = train(*asked, "--out", tmp_path / "run")
    assert status in (0, None), line
    state = load_file(tmp_path / "run" / "flow.training.safetensors")
    assert {value.dtype for key, value in state.items() if key.startswith("network.")} == {torch.float32}
    assert any(".lora_" in key for key in state)


@pytest.mark.parametrize(
    ("words", "tuning", "changed"),
    [
        ((), Tuning("all"), {}),
        (("--lora", 4), Tuning("lora", lora=4), {}),
        (("--lora", 4, "--train", "uvit"), Tuning("uvit", lora=4), {}),
        (("--train", "uvit"), Tuning("uvit"), {}),
        (("--dtype", "bfloat16"), Tuning("all", dtype="bfloat16"), {}),
        (("--gradient-checkpointing",), Tuning("all", gradient_checkpointing=True), {}),
        (("--gradient-accumulation-steps", 2), Tuning("all", gradient_accumulation_steps=2), {}),
        (("--learning-rate", 0.01), Tuning("all"), {"learning_rate": 0.01}),
        (("--steps", 7), Tuning("all"), {"steps": 7}),
        (("--batch-size", 6), Tuning("all"), {"batch_size": 6}),
        (("--seed", 5), Tuning("all"), {"seed": 5}),
        (("--save-every", 9), Tuning("all"), {"save_every": 9}),
    ],
)
def test_every_option_reaches_its_place(train, folder, tmp_path, monkeypatch, words, tuning, changed):
    """train --from C OPTIONS calls tune_folder with the choices that were typed, and the defaults for all others.

    An option that is parsed and then forgotten trains something else without a word.
    """
    called = Mock(return_value=None)
    monkeypatch.setattr(pictures, "tune_folder", called)
    status, line = train("--data", folder, "--from", "shapes", "--out", tmp_path, "--device", "cpu", *words)
    assert status in (0, None), line
    data, out, _, start, vae, recipe = called.call_args.args
    assert (data, out, start.directory.name, start.tuning) == (folder, tmp_path, "shapes", tuning)
    assert vae.config.latent_channels == 4
    assert {name: getattr(recipe, name) for name in changed} == changed
    assert all(getattr(recipe, n) == getattr(TUNE_RECIPE, n) for n in vars(recipe) if n not in changed)


def test_adapters_are_those_of_the_seed_and_parts_reach_the_training(folder, tmp_path, monkeypatch):
    """train_flow(model of the run's seed, ..., gradient_accumulation_steps), whatever was drawn before.

    Two runs of one seed are the same run. Parts that are forgotten need the memory that they were to save.
    """
    given, vae = [], load_vae(BUNDLED / "shapes" / "vae")
    monkeypatch.setattr("janus_minimal.training.run.train_flow", lambda *asked: given.append(asked))
    start = Start(BUNDLED / "shapes", Tuning("lora", lora=1, gradient_accumulation_steps=2))
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        recipe = replace(TUNE_RECIPE, seed=seed)
        pictures.tune_folder(folder, tmp_path / name, Accelerator(cpu=True), start, vae, recipe)
    a, same, other = (asked[0].llama.layers[0].mlp.up_proj.lora_A["default"].weight for asked in given)
    assert a.equal(same)
    assert not a.equal(other)
    assert [asked[8] for asked in given] == [2, 2, 2]


def test_a_run_does_not_go_on_with_another_config_of_its_source(folder, tmp_path):
    """config(source) changed between two starts of a fine-tuning  =>  InputError, and the run keeps its own.

    The config is copied with each save. It would then stand beside weights that were trained under another one.
    """
    source, vae = shutil.copytree(BUNDLED / "shapes", tmp_path / "source"), load_vae(BUNDLED / "shapes" / "vae")
    path, start = source / "config.json", Start(source, Tuning("uvit"))
    recipe = replace(TUNE_RECIPE, steps=1, batch_size=1)
    pictures.tune_folder(folder, tmp_path / "run", Accelerator(cpu=True), start, vae, recipe)
    whole = json.loads(path.read_text())
    changed = whole["language_config"] | {"rope_theta": 500.0}
    path.write_text(json.dumps(whole | {"language_config": changed}))
    with pytest.raises(InputError, match="was begun with source"):
        pictures.tune_folder(folder, tmp_path / "run", Accelerator(cpu=True), start, vae, recipe)
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == whole


def test_a_report_shows_what_was_learned_and_leaves_a_tokenizer(folder, tmp_path, monkeypatch):
    """tune(shapes-few): samples of the reported weights; the directory has the tokenizer that shapes-few lends itself.

    Whoever copies only the files of the source gets a checkpoint that knows no words.
    """
    drawn, vae, key = [], load_vae(BUNDLED / "shapes" / "vae"), "vision_gen_enc_aligner.bias"

    def train_flow(model, *given):
        model.get_parameter(key).data += 1
        given[5](model, [1.0])

    monkeypatch.setattr(run, "train_flow", train_flow)
    monkeypatch.setattr(run, "draw_samples", lambda *asked: drawn.append(asked) or Image.new("RGB", (8, 8)))
    start = Start(BUNDLED / "shapes-few", Tuning("uvit"))
    pictures.tune_folder(folder, tmp_path / "run", Accelerator(cpu=True), start, vae, TUNE_RECIPE)
    ((pipe, shown),) = drawn
    assert pipe.model.get_parameter(key).equal(JanusFlow.from_pretrained("shapes-few").get_parameter(key) + 1)
    assert list(shown) == ["a red square", "a blue square", "a green square"]
    assert JanusFlowPipeline.from_pretrained(tmp_path / "run").prompt_pair(shown[0]).num_images == 1


def test_what_does_not_fit_is_refused_before_a_picture_is_opened(folder, tmp_path, monkeypatch):
    """a share of a batch with no such parts, or a VAE of other latents  =>  InputError, and no picture is read.

    A folder may have a hundred thousand pictures.
    """
    monkeypatch.setattr(pictures, "load_folder", lambda *_: pytest.fail("the pictures were read"))
    recipe, vae = replace(TUNE_RECIPE, batch_size=4), load_vae(BUNDLED / "shapes" / "vae")
    start = Start(BUNDLED / "shapes", Tuning(gradient_accumulation_steps=4))
    with pytest.raises(InputError, match="2 examples in 4"):
        pictures.tune_folder(folder, tmp_path / "run", OneOfTwo(cpu=True), start, vae, recipe)
    vae.register_to_config(latent_channels=8)
    with pytest.raises(InputError, match="the VAE has 8 latent channels"):
        pictures.tune_folder(folder, tmp_path / "run", Accelerator(cpu=True), start, vae, recipe)
    assert not (tmp_path / "run").exists()


def test_the_crops_are_those_of_the_runs_seed(folder, tmp_path, monkeypatch):
    """load_folder(..., seed of the recipe), for a new model and for one that is fine-tuned.

    A second run with another seed shows the model other parts of long pictures.
    """
    seeds, vae = [], load_vae(BUNDLED / "shapes" / "vae")
    monkeypatch.setattr(pictures, "load_folder", lambda data, side, seed, *_: seeds.append(seed))
    monkeypatch.setattr(pictures, "train_checkpoint", lambda *_: None)
    recipe, accelerator = replace(TUNE_RECIPE, seed=7), Accelerator(cpu=True)
    pictures.train_folder(folder, tmp_path, accelerator, vae, recipe)
    pictures.tune_folder(folder, tmp_path, accelerator, Start(BUNDLED / "shapes", Tuning()), vae, recipe)
    assert seeds == [7, 7]


def test_captions_have_the_places_of_the_model_that_is_tuned(folder, tmp_path, monkeypatch):
    """load_folder(..., config, latent side) of the checkpoint: 24 values for 96 pixels, and not the small model's 12.

    Prompt and image tokens share the positions. With the small model's 36 image tokens in place of 144, a caption that
    is too long is found in the middle of the training.
    """
    seen, vae = [], load_vae(BUNDLED / "shapes" / "vae")
    monkeypatch.setattr(pictures, "load_folder", lambda data, side, seed, tokenizer, *rest: seen.append((side, *rest)))
    monkeypatch.setattr(pictures, "train_checkpoint", lambda *_: None)
    shutil.copytree(BUNDLED / "shapes", tmp_path / "large")
    config = json.loads((tmp_path / "large" / "config.json").read_text())
    config["vision_und_enc_config"]["params"]["image_size"] = 96
    (tmp_path / "large" / "config.json").write_text(json.dumps(config))
    start = Start(tmp_path / "large", Tuning())
    pictures.tune_folder(folder, tmp_path / "run", Accelerator(cpu=True), start, vae, TUNE_RECIPE)
    assert seen == [(96, read_config(tmp_path / "large"), 24)]
    monkeypatch.undo()
    tokenizer, whole = load_tokenizer(tmp_path / "large", 33), seen[0][1]
    short = replace(whole, language=replace(whole.language, max_position_embeddings=100))
    with pytest.raises(InputError, match=r"line 1 \(red\.png\)"):
        pictures.load_folder(folder, 48, 0, tokenizer, short, 24)
    assert len(pictures.load_folder(folder, 48, 0, tokenizer, short, 12).captions) == 3


def test_a_vae_that_is_given_stands_in_for_the_checkpoints_own(train, folder, tmp_path, monkeypatch):
    """train --from C --vae V calls tune_folder with V; a source is named by its whole path, wherever the run goes on.

    The official checkpoint has no VAE, and a relative name means another directory elsewhere.
    """
    called = Mock(return_value=None)
    monkeypatch.setattr(pictures, "tune_folder", called)
    mine = shutil.copytree(BUNDLED / "shapes", tmp_path / "models" / "mine")
    monkeypatch.chdir(mine.parent)
    config = json.loads((mine / "vae/config.json").read_text())
    (mine / "vae/config.json").write_text(json.dumps(config | {"scaling_factor": 0.5}))
    status, line = train(
        "--data", folder, "--from", "shapes-few", "--vae", "mine/vae", "--out", tmp_path, "--device", "cpu"
    )
    assert status in (0, None), line
    assert called.call_args.args[4].config.scaling_factor == 0.5
    assert Start(Path("mine"), Tuning()).about["from"] == str(mine.resolve())


def test_fine_tuning_is_short_by_default():
    """500 steps of 16 at 1e-3, a warm-up of 20, an average over 20 steps, a save every 50: as the docs say.

    The defaults of a long training would show nothing of what was learned.
    """
    expected = Recipe(500, 16, 1e-3, weight_decay=0.01, warmup=20, average=0.95, save_every=50, seed=0)
    assert expected == TUNE_RECIPE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lora", 4), "--lora is for fine-tuning: expected --from"),
        (("--gradient-checkpointing",), "--gradient-checkpointing is for fine-tuning"),
        (("--train", "uvit"), "--train is for fine-tuning"),
        (("--dtype", "bfloat16"), "--dtype is for fine-tuning"),
        (("--learning-rate", 0.1), "--learning-rate is for fine-tuning"),
        (("--gradient-accumulation-steps", 2), "--gradient-accumulation-steps is for fine-tuning"),
        (("--from", "shapes"), "expected --data DIR"),
        (("--from", "shapes", "--data", "FOLDER", "--tokenizer", "shapes"), "expected no --tokenizer"),
        (("--from", "shapes", "--data", "FOLDER", "--vae-steps", 3), "no --vae-steps"),
        (("--from", "shapes", "--data", "FOLDER", "--train", "lora"), "expected --lora R"),
        (("--from", "shapes", "--data", "FOLDER", "--train", "all", "--lora", 4), "leaves nothing for adapters"),
        (("--from", "shapes", "--data", "FOLDER", "--lora", 0), "rank 0: expected 1 to 192"),
        (("--from", "shapes", "--data", "FOLDER", "--lora", 500), "rank 500: expected 1 to 192"),
        (("--from", "shapes", "--data", "FOLDER", "--gradient-accumulation-steps", 3), "16 examples in 3"),
        (("--from", "shapes", "--data", "FOLDER", "--gradient-accumulation-steps", 0), "0 gradient accumulation steps"),
        (("--from", "nowhere", "--data", "FOLDER"), "no checkpoint nowhere"),
    ],
)
def test_bad_combinations_are_refused_before_any_work(train, folder, tmp_path, monkeypatch, words, message):
    """Options that contradict each other  =>  one line and status 2, and nothing is written.

    A run of hours must not end, or begin, in a question that the first second could have answered.
    """
    monkeypatch.setattr("janus_minimal.shapes.run.train_all", lambda *given: pytest.fail("a run of hours began"))
    monkeypatch.setattr(pictures, "train_checkpoint", lambda *_: pytest.fail("a run of hours began"))
    told = [folder if word == "FOLDER" else word for word in words]
    status, line = train("--out", tmp_path / "run", "--device", "cpu", *told)
    assert status == 2
    assert message in line
    assert not (tmp_path / "run").exists()


@pytest.fixture
def source(tmp_path):
    """A copy of the bundled checkpoint, with other positions or pictures of another size."""

    def made(positions, side=48):
        directory = shutil.copytree(BUNDLED / "shapes", tmp_path / "source")
        config = json.loads((directory / "config.json").read_text())
        config["language_config"]["max_position_embeddings"] = positions
        config["vision_und_enc_config"]["params"]["image_size"] = side
        (directory / "config.json").write_text(json.dumps(config))
        return directory

    return made


@pytest.mark.parametrize(("positions", "side", "length", "most"), [(40, 48, 43, 3), (150, 96, 151, 5)])
def test_a_caption_must_fit_the_model_that_is_tuned(train, folder, tmp_path, source, positions, side, length, most):
    """L + 1 + N > max_position_embeddings of --from  =>  one line that names the picture, and nothing is written.

    Another model has other positions, or pictures of another size: 48 pixels are 36 image tokens here, 96 are 144.
    """
    status, line = train("--data", folder, "--from", source(positions, side), *SHORT, "--out", tmp_path / "run")
    assert status == 2
    assert f"line 1 (red.png): the prompt has 6 tokens, with the image {length}: expected at most {most}" in line
    assert not (tmp_path / "run").exists()


def test_a_long_caption_is_taken_by_a_model_with_room(train, tmp_path, source, monkeypatch):
    """600 words, a model of 1,000 positions  =>  trained on; the small model has 512.

    The captions of photographs are long, and the released model has room for them.
    """
    data = tmp_path / "data"
    data.mkdir()
    Image.new("RGB", (64, 48)).save(data / "a.png")
    (data / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "text": "red " * 600}))
    run = Mock(return_value=None)
    monkeypatch.setattr(pictures, "train_checkpoint", run)
    status, line = train("--data", data, "--from", source(1000), *SHORT, "--out", tmp_path / "run")
    assert status in (0, None), line
    assert run.called


def test_the_source_is_no_place_to_train_in(train, folder, directory, tmp_path, monkeypatch):
    """train --from C --out C  =>  one line, and C is as it was, however the two are spelled.

    The frozen weights are read from the source again when a run goes on.
    """
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    link = tmp_path / "link"
    link.symlink_to(directory)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "tune_folder", lambda *_: pytest.fail("a run of hours began"))
    spelled = (directory, link, "link", os.path.relpath(directory, tmp_path), f"{directory}/../{directory.name}/")
    for source, out in ((a, b) for a in spelled for b in spelled):
        status, line = train("--data", folder, "--from", source, "--out", out, "--device", "cpu")
        assert status == 2
        assert "is the checkpoint itself" in line
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_of_a_repository_only_the_part_that_is_used_is_fetched(train, folder, tmp_path, monkeypatch):
    """train --vae R fetches config.json and the VAE's weights of R, train --tokenizer R the tokenizer's files of R.

    A VAE's weights have another name than a model's, and a model's weights are gigabytes beside a tokenizer.
    """
    asked = []

    def find(name, revision=None, files=None):
        asked.append((str(name), files))
        return BUNDLED / "shapes" / "vae" if name == "his/vae" else BUNDLED / "shapes"

    monkeypatch.setattr("janus_minimal.loading.hub.find_checkpoint", find)
    monkeypatch.setattr(pictures, "train_folder", Mock(return_value=None))
    words = ("--data", folder, "--vae", "his/vae", "--tokenizer", "his/model", "--out", tmp_path / "run")
    status, line = train(*words, "--device", "cpu")
    assert status in (0, None), line
    (vae, vae_files), (model, tokenizer_files) = asked
    assert (vae, model) == ("his/vae", "his/model")
    assert {*vae_files} == {"config.json", "diffusion_pytorch_model.safetensors"}
    needed = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    assert all(any(fnmatch(name, pattern) for pattern in tokenizer_files) for name in needed)
    others = ("model.safetensors", "model-00001-of-00002.safetensors", "pytorch_model.bin", "config.json")
    assert not any(fnmatch(name, pattern) for pattern in tokenizer_files for name in others)


def test_a_bundled_student_lends_what_it_has_from_its_teacher(train, folder, tmp_path, monkeypatch):
    """train --vae shapes-few = --vae shapes, --tokenizer shapes-few = --tokenizer shapes, --from shapes-few alike.

    The student's folder holds neither: they are equal to its teacher's, and shipped once.
    """
    began, tuned = Mock(return_value=None), Mock(return_value=None)
    monkeypatch.setattr(pictures, "train_folder", began)
    monkeypatch.setattr(pictures, "tune_folder", tuned)
    words = ("--data", folder, "--out", tmp_path / "run", "--device", "cpu")
    for more in (("--vae", "shapes-few", "--tokenizer", "shapes-few"), ("--from", "shapes-few")):
        status, line = train(*words, *more)
        assert status in (0, None), line
    vae, tokenizer = load_vae(BUNDLED / "shapes" / "vae"), load_tokenizer(BUNDLED / "shapes", 33)
    for found in (began.call_args.args[3], tuned.call_args.args[4]):
        assert all(a.equal(b) for a, b in zip(found.parameters(), vae.parameters(), strict=True))
    assert began.call_args.args[5].get_vocab() == tokenizer.get_vocab()


def test_a_tokenizer_without_the_tokens_of_a_prompt_is_refused(train, folder, tmp_path, monkeypatch):
    """train --tokenizer C without <begin_of_image> among its tokens  =>  one line, before any work.

    Hours of training on prompts of another form would give a model that no other prompt reaches.
    """
    monkeypatch.setattr(pictures, "train_folder", lambda *_: pytest.fail("a run of hours began"))
    mine = shutil.copytree(BUNDLED / "shapes", tmp_path / "mine")
    for path in mine.glob("*token*.json"):
        path.write_text(path.read_text().replace("<begin_of_image>", "<another>"))
    words = ("--data", folder, "--tokenizer", mine, "--out", tmp_path / "run", "--device", "cpu")
    status, line = train(*words)
    assert status == 2
    assert "begin_of_image" in line
    assert not (tmp_path / "run").exists()
