"""The command line: each option of each command reaches its place, and each default is the documented one."""

import importlib
import json
import os
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import wraps
from inspect import signature
from math import nextafter
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from safetensors.torch import load_file, save_file
from tools.drawn import normal
from typer.testing import CliRunner

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair, time_grid
from janus_minimal.cli import app
from janus_minimal.errors import InputError
from janus_minimal.figures.film import Film
from janus_minimal.jobs.album import make_album, read_prompts
from janus_minimal.jobs.request import Request
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.vae import encode_mask, encode_picture
from janus_minimal.shapes.reflow import REFLOW_RECIPE
from janus_minimal.shapes.report import Answers, Evaluation
from janus_minimal.shapes.sweep import Run, Setting, Sweep
from janus_minimal.solvers import SOLVERS
from janus_minimal.training.recipe import Recipe

VAE = BUNDLED / "shapes" / "vae"
CPU = torch.device("cpu")
EVALUATION = Evaluation({"counting": Answers(["a star", "two stars"], [True, False])}, 0, 30, 2.0, "mine")


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ):  # what a command sets ends with its law
        yield


def run(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.output


def picture_at(path: str) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


@pytest.fixture
def loaded(monkeypatch, pipe) -> list[tuple]:
    """What the pipeline was loaded with; the session's pipeline is taken in its place."""
    calls = []
    monkeypatch.setattr(JanusFlowPipeline, "from_pretrained", lambda *a, **k: calls.append((a, k)) or pipe)
    return calls


def test_each_option_of_generate_decides_what_is_drawn(loaded, pipe):
    """generate --steps S --cfg-weight w --num-images k --seed s --solver --shift = the solver, called by hand.

    None of the settings here is a default. The settings of the model reach the loader.
    """
    words = ("--steps", 2, "--cfg-weight", 3.5, "--num-images", 2, "--seed", 11, "--solver", "heun", "--shift", 2.5)
    where = ("--checkpoint", "mine", "--vae", "his", "--dtype", "bfloat16", "--device", "cpu")
    said = run("generate", "two stars", *words, *where, "--latent", "z.safetensors")
    z = torch.stack([torch.randn(4, 12, 12, generator=torch.Generator().manual_seed(s)) for s in (11, 12)])
    prompt = PromptPair.from_text("two stars", pipe.tokenizer, 2)
    *_, last = SOLVERS["heun"](pipe.model, prompt, z, time_grid(2, 2.5), 3.5)
    torch.testing.assert_close(load_file("z.safetensors")["latents"], last.z_next)
    assert loaded == [(("mine", "his", torch.bfloat16, CPU), {})]
    assert '2 latents of "two stars": z.safetensors' in said


@pytest.fixture
def drawn(monkeypatch) -> list[Request]:
    """The requests that were drawn; each gives latents of numbered pictures, without a network."""
    requests = []

    def draw(self, pipe, callback=None, progress=True):
        requests.append(self)
        z = normal(self.seed, self.num_images, 4, 12, 12)
        if callback is not None:
            for k in range(self.steps):
                callback(pipe, k, k / self.steps, {"latents": z, "denoised": z, "t_next": torch.tensor(1.0)})
        return z

    monkeypatch.setattr(Request, "draw", draw)
    return requests


def test_generate_without_options_is_the_official_call(loaded, drawn, monkeypatch):
    """generate PROMPT: 30 steps, w = 2, 4 pictures, seed 0, Euler, no shift, float32, "shapes", picture.png.

    The help says so, and the docs show pictures that were made so. No step is kept: of a hundred steps of many pictures
    that would be gigabytes.
    """
    monkeypatch.setattr("janus_minimal.cli.generate.pick_device", lambda name: CPU if name is None else name)
    monkeypatch.setattr(Film, "__call__", lambda *given: pytest.fail("a film that nobody asked for"))
    run("generate", "a star")
    assert drawn == [Request("a star", 30, 2.0, 4, 0, "euler", 1.0)]
    assert loaded == [(("shapes", None, torch.float32, CPU), {})]
    assert [path.name for path in Path.cwd().iterdir()] == ["picture.png"]


@pytest.mark.parametrize(("largest", "said"), [(3_757_551, True), (3_757_552, False)])
def test_a_large_model_on_a_cpu_is_announced(loaded, drawn, monkeypatch, largest, said):
    """more than LARGE parameters and no GPU: a line with their number; else none.

    Whoever waits for minutes should know why.
    """
    assert importlib.import_module("janus_minimal.cli.generate").LARGE == 100_000_000
    monkeypatch.setattr("janus_minimal.cli.generate.LARGE", largest)
    line = "no GPU: with 3,757,552 parameters a step takes seconds, all steps take minutes"
    result = CliRunner().invoke(app, ["generate", "a star", "--device", "cpu"])
    assert (line in result.stderr) == said
    assert line not in result.stdout
    monkeypatch.setattr(JanusFlow, "device", torch.device("cuda"))
    assert line not in run("generate", "a star", "--device", "cpu", "--out", "accelerated.png")


def test_a_sheet_has_four_columns_and_its_last_row_may_be_short(loaded, drawn, pipe):
    """sheet of 6 pictures: 4 and 2, each at its place, the rest white; an album's sheets look the same.

    Pictures of 48 pixels are enlarged four times, with 8 pixels of white between them.
    """
    run("generate", "a star", "--num-images", 6, "--seed", 3, "--out", "six.png")
    make_album(pipe, ["a star"], Request("", num_images=6, seed=3), Path("album"))
    sheet = np.asarray(picture_at("six.png"))
    assert sheet.shape == (2 * 200 + 8, 4 * 200 + 8, 3)
    pictures = pipe.to_pictures(normal(3, 6, 4, 12, 12))
    for i, picture in enumerate(pictures):
        top, left = 8 + 200 * (i // 4), 8 + 200 * (i % 4)
        assert np.array_equal(sheet[top : top + 192, left : left + 192], np.asarray(picture).repeat(4, 0).repeat(4, 1))
    assert (sheet[208:, 408:] == 255).all()
    assert np.array_equal(np.asarray(picture_at("album/00000.png")), sheet)


def test_a_strip_has_a_row_for_each_picture_and_stands_beside_the_sheet(loaded, drawn, monkeypatch):
    """generate --strip --out there/x.y.png: x.y.png and x.y-strip.png in there, of the predictions, at their times.

    The strip's title names the prompt.
    """
    shown = []
    Path("there").mkdir()
    monkeypatch.setattr(
        "janus_minimal.figures.plots.film_strip",
        lambda *given: shown.append(given) or SimpleNamespace(savefig=lambda path, **_: Path(path).touch()),
    )
    run("generate", "a star", "--steps", 3, "--num-images", 2, "--strip", "--out", "there/x.y.png")
    ((times, rows, title),) = shown
    assert times == [0.0, 1 / 3, 2 / 3]
    assert [len(row) for row in rows] == [3, 3]
    assert '"a star"' in title
    assert sorted(map(str, Path().rglob("*.png"))) == ["there/x.y-strip.png", "there/x.y.png"]


def test_each_option_reaches_every_sheet_of_an_album(loaded, drawn):
    """generate --prompts: every line once, in order, also a line that occurs twice, with the settings of the command.

    The folder is --out, or "pictures".
    """
    Path("prompts.txt").write_text("  a star \n\ntwo circles\na star\n", encoding="utf-8")
    assert read_prompts(Path("prompts.txt")) == ["a star", "two circles", "a star"]
    words = ("--steps", 2, "--cfg-weight", 3.5, "--num-images", 2, "--seed", 11, "--solver", "heun", "--shift", 2.5)
    run("generate", "--prompts", "prompts.txt", *words, "--out", "there", "--device", "cpu")
    like = Request("a star", 2, 3.5, 2, 11, "heun", 2.5)
    assert drawn == [like, replace(like, prompt="two circles"), like]
    assert sorted(path.name for path in Path("there").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    for name, prompt in (("00000", "a star"), ("00001", "two circles"), ("00002", "a star")):
        stored = json.loads(picture_at(f"there/{name}.png").info["asked for"])
        assert stored["prompt"] == prompt
        assert (stored["seed"], stored["cfg_weight"], stored["solver"], stored["shift"]) == (11, 3.5, "heun", 2.5)
    drawn.clear()
    run("generate", "--prompts", "prompts.txt", *words, "--out", "there", "--device", "cpu")
    assert drawn == []
    run("generate", "--prompts", "prompts.txt", "--device", "cpu")
    assert Path("pictures/00002.png").exists()


@pytest.fixture
def edited(monkeypatch, pipe) -> list[tuple]:
    """What was edited: request, latent, mask, strength. The pipeline stands for itself."""
    calls = []

    def edit(self, pipe, *given):
        calls.append((self, *given))
        return normal(self.seed, self.num_images, 4, 12, 12)

    monkeypatch.setattr(Request, "edit", edit)
    return calls


def test_each_option_of_edit_decides_what_is_drawn(loaded, edited, pipe, monkeypatch):
    """edit --image --mask --strength and the settings of generate: request, latent, mask and strength of the edit.

    Without options: the whole picture anew, with the settings of generate.
    """
    monkeypatch.setattr("janus_minimal.cli.edit.pick_device", lambda name: CPU if name is None else f"the {name}")
    picture, marks = Image.new("RGB", (48, 48), "red"), Image.new("L", (48, 48))
    marks.paste(255, (0, 0, 24, 48))
    picture.save("i.png")
    marks.save("m.png")
    words = ("--steps", 2, "--cfg-weight", 3.5, "--num-images", 2, "--seed", 11, "--solver", "heun", "--shift", 2.5)
    where = ("--checkpoint", "mine", "--vae", "his", "--device", "cpu", "--out", "there.png")
    said = run("edit", "a\tstar", "--image", "i.png", "--mask", "m.png", "--strength", 0.5, *words, *where)
    run("edit", "a star", "--image", "i.png")
    (request, latent, mask, strength), (plain, same, everywhere, whole) = edited
    assert request == Request("a\tstar", 2, 3.5, 2, 11, "heun", 2.5)
    assert latent.equal(encode_picture(pipe.vae, picture, 48))
    assert mask.equal(encode_mask(pipe.vae, marks, 48))
    assert strength == 0.5
    assert plain == Request("a star", 30, 2.0, 4, 0, "euler", 1.0)
    assert same.equal(latent)
    assert everywhere.all()
    assert everywhere.shape == (1, 1, 12, 12)
    assert whole == 1.0
    assert loaded == [(("mine", "his"), {"device": "the cpu"}), (("shapes", None), {"device": CPU})]
    assert '2 pictures of "a star", from i.png: there.png' in said
    assert {path.name for path in Path.cwd().iterdir()} == {"i.png", "m.png", "there.png", "picture.png"}


@pytest.mark.parametrize("size", [(120, 80), (30, 60)])
def test_a_picture_of_any_size_is_edited_at_the_size_of_the_model(loaded, edited, size):
    """edit --image of W x H pixels, --mask of W x H: latent [1, 4, 12, 12], mask [1, 1, 12, 12], in the model's size.

    The bundled model takes 48 x 48 pixels, and a photo has hundreds.
    """
    Image.new("RGB", size, "red").save("i.png")
    Image.new("L", size, "white").save("m.png")
    run("edit", "a star", "--image", "i.png", "--mask", "m.png", "--device", "cpu")
    run("edit", "a star", "--image", "i.png", "--device", "cpu")
    for _, latent, mask, _ in edited:
        assert (latent.shape, mask.shape) == ((1, 4, 12, 12), (1, 1, 12, 12))
        assert mask.all()


def test_each_option_of_sweep_reaches_the_measurement(monkeypatch):
    """sweep --steps --solver --cfg-weight --shift --captions --seed --checkpoint --processes --json.

    Without options: 5 numbers of steps, 3 solvers, 4 weights and 2 shifts, 8 captions, seed 0, as many processes as
    cores, into sweep.json.
    """
    begun, calls = [], []
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    monkeypatch.setattr(
        "janus_minimal.shapes.sweep.begin_sweep", lambda *given: begun.append(given) or Sweep(given[0], "f", *given[1:])
    )
    monkeypatch.setattr("janus_minimal.shapes.sweep.run_sweep", lambda *given: calls.append(given) or [given[0]])
    lists = ("--steps", 3, "--steps", 5, "--solver", "heun", "--cfg-weight", 1.5, "--shift", 2, "--shift", 4)
    words = ("--captions", 2, "--seed", 9, "--checkpoint", "mine", "--processes", 3, "--json", "there.json")
    assert "0 settings: there.json" in run("sweep", *lists, *words)
    run("sweep")
    assert begun == [("mine", 2, 9), ("shapes", 8, 0)]
    (report, settings, processes), (plain, all_of_them, cores) = calls
    assert report == Sweep("mine", "f", 2, 9)
    assert settings == [Setting(steps, "heun", 1.5, shift) for steps in (3, 5) for shift in (2.0, 4.0)]
    assert (processes, cores) == (3, 7)
    assert plain == Sweep("shapes", "f", 8, 0)
    assert {s.steps for s in all_of_them} == {2, 4, 8, 16, 30}
    assert {s.solver for s in all_of_them} == {"euler", "midpoint", "adams-bashforth"}
    assert {s.cfg_weight for s in all_of_them} == {1.0, 2.0, 4.0, 8.0}
    assert {s.shift for s in all_of_them} == {1.0, 3.0}
    assert len(set(all_of_them)) == 5 * 3 * 4 * 2
    assert json.loads(Path("there.json").read_text())["seed"] == 9
    assert Path("sweep.json").exists()


def test_each_option_of_reflow_reaches_its_recipe(monkeypatch):
    """reflow --student --pairs --steps --batch-size --learning-rate --save-every --seed --device --out; or the recipe.

    A student of another recipe is another student.
    """
    calls = []
    monkeypatch.setattr("janus_minimal.shapes.reflow.train_few", lambda *given: calls.append(given))
    monkeypatch.setattr("janus_minimal.cli.reflow.pick_device", lambda name: CPU if name in (None, "cpu") else name)
    words = ("--pairs", 6, "--steps", 5, "--batch-size", 4, "--save-every", 2, "--seed", 9, "--learning-rate", 0.5)
    run("reflow", "--out", "there", *words, "--device", "cpu", "--student", "first")
    run("reflow", "--out", "again")
    (out, accelerator, recipe, student), (again, _, plain, none) = calls
    assert (out, again, accelerator.device.type) == (Path("there"), Path("again"), "cpu")
    changed = {"pairs": 6, "steps": 5, "batch_size": 4, "save_every": 2, "seed": 9, "learning_rate": 0.5}
    assert recipe == replace(REFLOW_RECIPE, **changed)
    assert plain == REFLOW_RECIPE
    assert (student, none) == ("first", "shapes")


def test_each_option_of_demo_reaches_the_page(loaded, pipe, monkeypatch):
    """demo --checkpoint --vae --device --dtype --host --port; without options "shapes", this machine alone, port 7860.

    A page that listens at another address lets in whoever can reach this machine. Variables that Gradio would read
    instead are gone: one of them serves every file, others choose the port. Two stay that no option stands for: where
    temporary files lie, and the path below which another server shows the page. No proxy is asked for our own page,
    while one may be needed to fetch the checkpoint. The command waits while the page is served.
    """
    served, events, proxies = [], [], []
    load = JanusFlowPipeline.from_pretrained
    monkeypatch.setattr(
        JanusFlowPipeline, "from_pretrained", lambda *a, **k: proxies.append(os.environ["no_proxy"]) or load(*a, **k)
    )
    kept = {"GRADIO_TEMP_DIR": "/scratch", "GRADIO_ROOT_PATH": "/below"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    for name, value in {"GRADIO_DEBUG": "1", "GRADIO_ALLOWED_PATHS": "/", "no_proxy": "here"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")

    @contextmanager
    def page(*given):
        served.append(given)
        yield "http://here"
        events.append("closed")

    class Serve:
        @property
        def serving(self):  # read when Gradio is imported, which then reads its variables
            ours = {name: os.environ[name] for name in os.environ if name.startswith(("GRADIO", "no_proxy"))}
            assert ours == kept | {"GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": "*"}
            return page

    monkeypatch.setitem(sys.modules, "janus_minimal.demo.serve", Serve())
    monkeypatch.setattr("janus_minimal.cli.demo.find_spec", lambda name: name)
    wait = SimpleNamespace(wait=lambda: events.append("waited"))
    monkeypatch.setattr("janus_minimal.cli.demo.Event", lambda: wait)
    monkeypatch.setattr("janus_minimal.cli.generate.pick_device", lambda name: CPU if name is None else f"the {name}")
    where = ("--checkpoint", "mine", "--vae", "his", "--device", "cpu", "--dtype", "bfloat16")
    assert "open http://here in a browser" in run("demo", *where, "--host", "0.0.0.0", "--port", 99)
    run("demo")
    assert served == [(pipe, "mine", "0.0.0.0", 99), (pipe, "shapes", "127.0.0.1", 7860)]
    assert events == ["waited", "closed"] * 2
    assert proxies[0] == "here"
    assert loaded == [
        (("mine", "his", torch.bfloat16, "the cpu"), {}),
        (("shapes", None, torch.float32, CPU), {}),
    ]


def test_decode_takes_its_vae_its_device_and_its_place(pipe, monkeypatch):
    """decode LATENT --vae --device --out: the latents of the file, decoded by that VAE, on that device, at that place.

    The latents in the file are not yet divided by the scaling factor.
    """
    from janus_minimal.loading import hub, vae

    asked, find, load = [], hub.find_checkpoint, vae.load_vae
    monkeypatch.setattr(hub, "find_checkpoint", lambda *a, **k: asked.append((a, k)) or find(VAE))
    monkeypatch.setattr(vae, "load_vae", lambda *a: asked.append(a) or load(*a))
    z = normal(0, 5, 4, 12, 12)
    save_file({"latents": z}, "z.safetensors")
    said = run("decode", "z.safetensors", "--vae", "his/vae", "--device", "cpu", "--out", "there.png")
    sheet = np.asarray(picture_at("there.png"))
    for i, picture in enumerate(pipe.to_pictures(z)):
        top, left = 8 + 200 * (i // 4), 8 + 200 * (i % 4)
        place = sheet[top : top + 192, left : left + 192]
        assert np.array_equal(place, np.asarray(picture).repeat(4, 0).repeat(4, 1))
    assert asked == [(("his/vae",), {"files": hub.VAE_FILES}), (VAE, CPU)]
    assert "5 pictures of z.safetensors: there.png" in said
    run("decode", "z.safetensors", "--vae", "his/vae")
    assert Path("picture.png").exists()


def test_each_option_of_evaluate_reaches_the_scorer(loaded, monkeypatch, pipe):
    """evaluate --captions n --steps S --cfg-weight w --seed s --checkpoint --vae --device --json.

    Without options: 100 captions of each category, 30 steps, w = 2, seed 0, printed as a table.
    """
    calls = []

    def score(*given):
        calls.append(given)
        given[-1](7)  # the bar takes numbers of pictures
        return replace(EVALUATION, seed=given[4], steps=given[2], cfg_weight=given[3])

    monkeypatch.setattr("janus_minimal.shapes.evaluate.score_pipeline", score)
    words = ("--captions", 3, "--steps", 5, "--cfg-weight", 3.5, "--seed", 11, "--device", "cpu")
    said = run("evaluate", *words, "--checkpoint", "mine", "--vae", "his", "--json", "r.json")
    assert calls[0][:5] == (pipe, 3, 5, 3.5, 11)
    assert loaded[0] == (("mine", "his"), {"device": CPU})
    found = json.loads(Path("r.json").read_text())
    assert (found["overall"], found["seed"], found["steps"], found["cfg_weight"]) == (0.5, 11, 5, 3.5)
    assert "overall 0.500: r.json" in said
    table = run("evaluate", "--device", "cpu")
    assert calls[1][1:5] == (100, 30, 2.0, 0)
    assert "**overall**" in table
    assert loaded[1][0] == ("shapes", None)


def test_each_option_of_train_reaches_its_recipe(monkeypatch):
    """train --steps --vae-steps --examples --batch-size --save-every --seed: each in the recipe that it belongs to.

    What is left out stays as it was for the bundled model: 2,500 and 24,000 steps of 32, 60,000 scenes.
    """
    calls = []
    monkeypatch.setattr("janus_minimal.shapes.run.train_all", lambda *given: calls.append(given))
    words = ("--steps", 10**7, "--vae-steps", 3, "--examples", 7, "--batch-size", 4, "--save-every", 2, "--seed", 9)
    run("train", "--out", "there", *words, "--device", "cpu")
    run("train", "--out", "again", "--device", "cpu")
    (out, accelerator, vae, flow, examples), plain = calls
    assert (out, accelerator.device.type, examples) == (Path("there"), "cpu", 7)
    assert vae == Recipe(3, 4, 0.002, 0.01, 100, 0.99, 2, 9)
    assert flow == Recipe(10**7, 4, 0.002, 0.01, 200, 0.999, 2, 9)
    assert plain[0] == Path("again")
    assert plain[2] == Recipe(2500, 32, 0.002, 0.01, 100, 0.99, 250, 0)
    assert plain[3] == Recipe(24000, 32, 0.002, 0.01, 200, 0.999, 500, 0)
    assert plain[4] == 60_000


def test_each_option_of_bench_reaches_the_measurement(monkeypatch):
    """bench --size --images --prompt-tokens --rounds --dtype --device --compile --json --plot.

    Without options: the small size, 1 image, 20 prompt tokens, 10 rounds, float32, not compiled. A report that is
    written before its plot fails is named.
    """
    calls = []

    class Report:
        def to_table(self):
            return "the table"

        def to_dict(self):
            return {"a": 1}

        def to_bars(self):
            return {"row": {"part": 1.0, "other part": 2.0}}, "title", "milliseconds"

    monkeypatch.setattr("janus_minimal.bench.measure.measure", lambda *given: calls.append(given[:-1]) or Report())
    words = ("--size", "middle", "--images", 3, "--prompt-tokens", 5, "--rounds", 2, "--dtype", "bfloat16", "--compile")
    said = run("bench", *words, "--device", "cpu", "--json", "b.json", "--plot", "b.png")
    plain = run("bench", "--device", "cpu")
    assert calls[0] == ("middle", 3, 5, 2, torch.bfloat16, CPU, True)
    assert calls[1] == ("small", 1, 20, 10, torch.float32, CPU, False)
    assert json.loads(Path("b.json").read_text()) == {"a": 1}
    assert picture_at("b.png").width > 500
    Path("full.png").mkdir()
    monkeypatch.setattr("janus_minimal.cli.bench.check_outputs", lambda outputs: None)
    late = CliRunner().invoke(app, ["bench", "--device", "cpu", "--json", "c.json", "--plot", "full.png"])
    assert str(late.exception).endswith("(c.json had been written before)")
    assert "the table" in said
    assert "the table" in plain


def test_inspect_shows_the_checkpoint_that_is_named(monkeypatch):
    """inspect CHECKPOINT: that checkpoint's tree, with its name; without one, "shapes".

    The tree of another model would look plausible.
    """
    from janus_minimal import JanusFlow

    golden = Path(__file__).parent.parent / "golden"
    said = run("inspect", golden)
    assert "[32, 4, 2, 2]" in said
    assert f"{sum(p.numel() for p in JanusFlow.from_pretrained(golden).parameters()):,}" in said
    names = []
    load = JanusFlow.from_pretrained
    monkeypatch.setattr(JanusFlow, "from_pretrained", lambda name: names.append(name) or load(golden))
    assert run("inspect").startswith("shapes")
    assert names == ["shapes"]


@pytest.mark.parametrize(("words", "device"), [(("--device", "here"), "here"), ((), None)], ids=["named", "left out"])
def test_a_device_that_is_named_is_picked_by_every_command(monkeypatch, loaded, drawn, edited, words, device):
    """--device NAME is what pick_device is asked for, and None without the option, in every command that has it.

    An option that is read and not passed on would use the GPU in spite of "--device cpu". With "cpu" as its default, no
    command would use the GPU unless it is named, and hours would become days.
    """
    asked = []
    names = ("generate", "decode", "evaluate", "bench", "train", "edit", "reflow", "demo")
    having = {c.callback.__name__ for c in app.registered_commands if "device" in signature(c.callback).parameters}
    assert having == {*names}
    for name in names:  # demo loads as generate does
        command = importlib.import_module(f"janus_minimal.cli.{name.replace('demo', 'generate')}")
        monkeypatch.setattr(command, "pick_device", lambda given: asked.append(given) or CPU)
    monkeypatch.setattr("janus_minimal.shapes.run.train_all", lambda *given: None)
    monkeypatch.setattr("janus_minimal.shapes.reflow.train_few", lambda *given: None)
    Image.new("RGB", (48, 48)).save("i.png")
    monkeypatch.setattr("janus_minimal.shapes.evaluate.score_pipeline", lambda *a: EVALUATION)
    monkeypatch.setattr(
        "janus_minimal.bench.measure.measure", lambda *given: SimpleNamespace(to_table=lambda: given[5].type)
    )
    monkeypatch.setitem(sys.modules, "janus_minimal.demo.serve", SimpleNamespace(serving=lambda *_: nullcontext("")))
    monkeypatch.setattr("janus_minimal.cli.demo.find_spec", lambda name: name)
    monkeypatch.setattr("janus_minimal.cli.demo.Event", lambda: SimpleNamespace(wait=lambda: None))
    save_file({"latents": normal(0, 1, 4, 12, 12)}, "z.safetensors")
    others = {
        "generate": ("a star",),
        "decode": ("z.safetensors", "--vae", VAE),
        "train": ("--out", "t"),
        "edit": ("a star", "--image", "i.png"),
        "reflow": ("--out", "r"),
    }
    for number, name in enumerate(names, 1):
        said = run(name, *others.get(name, ()), *words)
        assert asked == [device] * number, name
        assert name != "bench" or "cpu" in said


@pytest.mark.parametrize(("device", "on_cpu"), [("cpu", True), ("cpu:0", True), ("cuda:0", False), ("mps", False)])
def test_accelerate_is_told_when_the_cpu_was_asked_for(monkeypatch, loaded, device, on_cpu):
    """accelerate's cpu = (the device is the CPU), in every command that shares its work among processes.

    Left to itself accelerate takes the GPU that is there, although --device cpu was typed.
    """
    told, precisions = [], []

    class Told:
        is_main_process = True

        def __init__(self, cpu, **how):
            told.append(cpu)
            assert how in ({}, {"mixed_precision": "no"})
            precisions.extend(how.values())

    for name in ("generate", "train", "reflow"):
        command = importlib.import_module(f"janus_minimal.cli.{name}")
        monkeypatch.setattr(command, "pick_device", lambda name: torch.device(name))
    monkeypatch.setattr("janus_minimal.jobs.album.make_album", lambda *given: [Path("0.png")])
    monkeypatch.setattr("janus_minimal.shapes.run.train_all", lambda *given: None)
    monkeypatch.setattr("janus_minimal.shapes.reflow.train_few", lambda *given: None)
    monkeypatch.setattr("accelerate.Accelerator", Told)
    monkeypatch.setattr("accelerate.PartialState", Told)
    Path("prompts.txt").write_text("a star\n", encoding="utf-8")
    run("generate", "--prompts", "prompts.txt", "--device", device)
    run("train", "--out", "t", "--device", device)
    run("reflow", "--out", "r", "--device", device)
    assert told == [on_cpu] * 3
    assert precisions == ["no"] * 2  # of train and reflow, whatever the environment says


def test_a_process_has_its_device_before_a_model_is_loaded(monkeypatch, pipe):
    """generate --prompts: PartialState first, then the model, then the album.

    accelerate gives each process a GPU of its own. All models that were loaded before would lie on the first GPU.
    """
    order = []
    state = SimpleNamespace(is_main_process=True)
    monkeypatch.setattr("accelerate.PartialState", lambda **_: order.append("its place") or state)
    monkeypatch.setattr(JanusFlowPipeline, "from_pretrained", lambda *_, **__: order.append("the model") or pipe)
    monkeypatch.setattr("janus_minimal.jobs.album.make_album", lambda *_: order.append("the album") or [Path("0.png")])
    Path("prompts.txt").write_text("a star\n", encoding="utf-8")
    run("generate", "--prompts", "prompts.txt", "--device", "cpu")
    assert order == ["its place", "the model", "the album"]


DRAW = {"steps": 30, "cfg_weight": 2.0, "solver": "euler", "shift": 1.0, "num_images": 4, "seed": 0, "device": None}
LOAD = {"checkpoint": "shapes", "vae": None}
TUNE = ("lora", "learning_rate", "dtype", "gradient_accumulation_steps")
RUN = ("steps", "batch_size", "save_every", "seed", "device")
PICTURE = Path("picture.png")
DEFAULTS = {  # of every option, as --help and the docs say; what must be typed is not here
    "generate": LOAD
    | DRAW
    | {"dtype": "float32", "strip": False}
    | dict.fromkeys(("prompt", "out", "latent", "prompts")),
    "edit": LOAD | DRAW | {"mask": None, "strength": 1.0, "out": PICTURE},
    "demo": LOAD | {"device": None, "dtype": "float32", "host": "127.0.0.1", "port": 7860},
    "decode": {"device": None, "out": PICTURE},
    "evaluate": LOAD | {"captions": 100, "steps": 30, "cfg_weight": 2.0, "seed": 0, "device": None, "json_file": None},
    "compare": {"json_file": None},
    "sweep": {
        "steps": [2, 4, 8, 16, 30],
        "solver": ["euler", "midpoint", "adams-bashforth"],
        "cfg_weight": [1.0, 2.0, 4.0, 8.0],
        "shift": [1.0, 3.0],
        "captions": 8,
        "seed": 0,
        "checkpoint": "shapes",
        "processes": None,
        "json_file": Path("sweep.json"),
    },
    "bench": {"size": "small", "images": 1, "prompt_tokens": 20, "rounds": 10, "device": None, "dtype": "float32"}
    | {"compiled": False, "json_file": None, "plot": None},
    "inspect": {"checkpoint": "shapes"},
    "train": dict.fromkeys((*RUN, *TUNE, "data", "vae", "tokenizer", "vae_steps", "source", "train_what", "examples"))
    | {"gradient_checkpointing": False},
    "reflow": dict.fromkeys((*RUN, "pairs", "learning_rate")) | {"student": "shapes"},
}
TYPED = {
    "edit": ("a star", "--image", "i.png"),
    "decode": ("z.safetensors", "--vae", "his"),
    "compare": ("a.json", "b.json"),
    "train": ("--out", "run"),
    "reflow": ("--out", "run"),
}
SHIFTS, NOISES, SEEDS, TIMES, RATES = (0.01, 100.0), (0, 2**62), (0, 2**40), (1, 10**7), (1e-9, 1.0)
ALL = (-(10**9), 10**9)  # the package itself says what it takes
RANGES = {  # of every number: the least and the greatest that a command takes
    "generate": {"steps": ALL, "cfg_weight": ALL, "num_images": ALL, "shift": SHIFTS, "seed": NOISES},
    "edit": {
        "steps": ALL,
        "cfg_weight": ALL,
        "num_images": ALL,
        "shift": SHIFTS,
        "seed": NOISES,
        "strength": (0.0, 1.0),
    },
    "demo": {"port": (1, 65535)},
    "evaluate": {"steps": ALL, "cfg_weight": ALL, "captions": (1, 10**5), "seed": NOISES},
    "sweep": {"steps": ALL, "cfg_weight": ALL, "shift": SHIFTS, "captions": (1, 10**5), "seed": NOISES}
    | {"processes": (1, 1024)},
    "bench": {"images": (1, 4096), "prompt_tokens": (1, 4096), "rounds": (1, 10**6)},
    "train": {"steps": TIMES, "vae_steps": TIMES, "examples": TIMES, "save_every": TIMES, "batch_size": (1, 2**16)}
    | {"seed": SEEDS, "learning_rate": RATES, "lora": ALL, "gradient_accumulation_steps": ALL},
    "reflow": {"pairs": TIMES, "steps": TIMES, "save_every": TIMES, "batch_size": (1, 2**16), "seed": SEEDS}
    | {"learning_rate": RATES},
}
KINDS, WEIGHTS = ("euler", "midpoint", "heun", "adams-bashforth"), ("float32", "bfloat16", "float16")
CHOICES = {  # of every option that takes a few words
    "generate": {"solver": KINDS, "dtype": WEIGHTS},
    "edit": {"solver": KINDS},
    "demo": {"dtype": WEIGHTS},
    "bench": {"size": ("small", "middle", "released"), "dtype": WEIGHTS},
    "train": {"train_what": ("uvit", "lora", "all"), "dtype": ("float32", "bfloat16")},
}
OPTIONS = {"source": "--from", "train_what": "--train", "compiled": "--compile", "json_file": "--json"}


@pytest.fixture
def told():
    """Run a command that does nothing: what its function would be called with, or None if it is refused."""

    def told(name: str, *words: str) -> dict[str, object] | None:
        calls, probe = [], typer.Typer()
        (command,) = [c.callback for c in app.registered_commands if c.callback.__name__ == name]
        probe.command()(wraps(command)(lambda **given: calls.append(given)))
        status = CliRunner().invoke(probe, [*TYPED.get(name, ()), *words]).exit_code
        assert (status, len(calls)) in ((0, 1), (2, 0))
        return calls[0] if calls else None

    return told


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_option_that_is_left_out_has_the_documented_value(told, name):
    """COMMAND without options: its function is called with the values of --help and of the docs, and no others.

    They are written down here a second time. Whoever leaves an option out wants what the docs show.
    """
    given = told(name)
    assert {key: given[key] for key in DEFAULTS[name]} == DEFAULTS[name]
    assert {key: type(given[key]) for key in DEFAULTS[name]} == {k: type(v) for k, v in DEFAULTS[name].items()}
    assert all(given[key] is not None for key in given.keys() - DEFAULTS[name].keys())
    assert {c.callback.__name__ for c in app.registered_commands} == DEFAULTS.keys()


@pytest.mark.parametrize("name", RANGES)
def test_every_number_is_taken_from_its_least_to_its_greatest(told, name):
    """COMMAND --number x: taken for x = least and x = greatest, and refused beyond, before anything is loaded.

    A narrower range refuses what the docs promise. A wider one lets through what fails deep inside, after the work.
    """
    numbers = {key for key, value in told(name).items() if type(value) in (int, float)}
    assert numbers <= RANGES[name].keys()
    for key, (least, most) in RANGES[name].items():
        option = f"--{key.replace('_', '-')}"
        for end in (least, most):
            assert told(name, f"{option}={end!r}")[key] in (end, [end]), (option, end)
        if (least, most) != ALL:
            whole = isinstance(least, int)
            below, above = (least - 1, most + 1) if whole else (nextafter(least, -9.0), nextafter(most, 999.0))
            for beyond in (below, above):
                assert told(name, f"{option}={beyond!r}") is None, (option, beyond)


@pytest.mark.parametrize("name", CHOICES)
def test_every_word_that_the_help_lists_is_taken(told, name):
    """COMMAND --choice word: taken for each word that the docs name, and refused for another one.

    A word that is missing from the list is a part of the package that nobody can ask for.
    """
    for key, words in CHOICES[name].items():
        option = OPTIONS.get(key, f"--{key}")
        for word in words:
            assert told(name, option, word)[key] == word
        assert told(name, option, "another") is None


@pytest.mark.parametrize(
    ("words", "outputs", "inputs"),
    [
        ("generate star --out o.png --strip --checkpoint c --vae v", "o.png o-strip.png", "c v"),
        ("generate star --latent z --checkpoint c --vae v", "z", "c v"),
        ("edit star --image i --mask m --checkpoint c --vae v --out o", "o", "i m c v"),
        ("decode z --vae v --out o", "o", "z v"),
        ("evaluate --checkpoint c --vae v --json j", "j", "c v"),
        ("compare a b --json j", "j", "a b"),
        ("sweep --checkpoint c --json j", "j", "c"),
        ("bench --json j --plot p", "j p", ""),
    ],
)
def test_every_file_of_a_command_is_checked_before_its_work(monkeypatch, words, outputs, inputs):
    """check_outputs(all that a command writes, all that it reads), before anything is loaded.

    An option that is left out there could replace a checkpoint, or fail after an hour.
    """

    def check(wanted, read=()):
        assert {*map(str, filter(None, wanted))} == {*outputs.split()}
        assert {*map(str, filter(None, read))} == {*inputs.split()}
        raise InputError("checked")

    monkeypatch.setattr(importlib.import_module(f"janus_minimal.cli.{words.split()[0]}"), "check_outputs", check)
    assert str(CliRunner().invoke(app, words.split()).exception) == "checked"


def test_a_sweep_is_written_after_each_setting_and_counts_what_is_missing(monkeypatch):
    """sweep of 2 settings, 1 of them known: a bar of 1; the file holds each report before the next is measured.

    The table of the last report alone goes to standard output, so that it can be redirected.
    """
    (known, new), totals, moved = [Setting(steps, "euler", 1.0, 1.0) for steps in (1, 2)], [], []
    runs = {str(setting): Run(setting, setting.steps, 0.5, {"all": 0.5}, 0.1, 0.1, 1.0) for setting in (known, new)}
    begun = Sweep("shapes", "f", 8, 0, runs={str(known): runs[str(known)]})

    def run_sweep(report, settings, processes):
        yield begun
        assert list(json.loads(Path("sweep.json").read_text())["runs"]) == [str(known)]
        yield replace(begun, runs=runs)

    monkeypatch.setattr("janus_minimal.shapes.sweep.begin_sweep", lambda *given: begun)
    monkeypatch.setattr("janus_minimal.shapes.sweep.run_sweep", run_sweep)
    bar = SimpleNamespace(update=lambda: moved.append(1))
    monkeypatch.setattr("tqdm.auto.tqdm", lambda total, **_: totals.append(total) or nullcontext(bar))
    words = ("--steps", "1", "--steps", "2", "--solver", "euler", "--cfg-weight", "1", "--shift", "1")
    result = CliRunner().invoke(app, ["sweep", *words])
    assert (result.exit_code, totals) == (0, [1])
    assert "2 settings: sweep.json" in result.stderr
    assert len(moved) == 2  # once for each report
    head, _, first, second = result.stdout.splitlines()
    assert head.startswith("| steps |")
    assert (first[:11], second[:11]) == ("| 1 | euler", "| 2 | euler")


@pytest.mark.parametrize(
    "words",
    [
        ["generate", "a star", "--out", "NAME"],
        ["generate", "a star", "--out", "NAME", "--strip"],
        ["generate", "a star", "--latent", "NAME"],
        ["generate", "--prompts", "prompts NAME", "--out", "NAME"],
        ["edit", "a star", "--image", "i NAME", "--out", "NAME"],
        ["decode", "z NAME", "--vae", str(VAE), "--out", "NAME"],
        ["evaluate", "--json", "NAME"],
        ["sweep", "--json", "NAME"],
    ],
)
def test_a_name_is_said_in_one_line_without_what_a_terminal_obeys(loaded, drawn, monkeypatch, words):
    r"""what a command says of files = lines of its own; "\x1b" and "\n" of a name are shown by their escapes.

    A file of somebody else may be named so that it rewrites the terminal's title, or says that all is well.
    """
    name = "x\x1b]0;owned\x07\njanus-minimal: all is well.png"
    monkeypatch.setattr(Request, "edit", lambda self, pipe, *given: self.draw(pipe))
    monkeypatch.setattr("janus_minimal.shapes.evaluate.score_pipeline", lambda *a: EVALUATION)
    monkeypatch.setattr("janus_minimal.shapes.sweep.begin_sweep", lambda *given: Sweep("shapes", "f", 8, 0))
    monkeypatch.setattr("janus_minimal.shapes.sweep.run_sweep", lambda report, *given: [report])
    monkeypatch.setattr("tqdm.auto.tqdm", lambda *_, **__: nullcontext(SimpleNamespace(update=lambda: None)))
    monkeypatch.setattr("janus_minimal.jobs.album.make_album", lambda *given: [given[3] / "00000.png"] * 2)
    Path(f"prompts {name}").write_text("a star\n", encoding="utf-8")
    Image.new("RGB", (48, 48)).save(f"i {name}", format="png")
    save_file({"latents": normal(0, 1, 4, 12, 12)}, f"z {name}")
    said = run(*(word.replace("NAME", name) for word in words))
    lines = [line for line in said.splitlines() if not line.startswith("|")]
    assert len(lines) == 1 + ("--strip" in words)
    assert all(line.isprintable() and "x\\x1b]0;owned\\x07\\njanus-minimal" in line for line in lines)


def test_a_sweep_shows_the_runs_that_another_one_wrote_meanwhile(monkeypatch):
    """sweep while another sweep writes into its file: file and table hold the runs of both.

    Two sweeps of different settings may share a file, and each shows what is in it.
    """
    ours, theirs = [Setting(steps, "euler", 1.0, 1.0) for steps in (1, 2)]
    runs = {str(s): Run(s, s.steps, 0.5, {"all": 0.5}, 0.1, 0.1, 1.0) for s in (ours, theirs)}
    begun = Sweep("shapes", "f", 8, 0)

    def run_sweep(report, settings, processes):
        Path("sweep.json").write_text(json.dumps(asdict(replace(begun, runs={str(theirs): runs[str(theirs)]}))))
        yield replace(begun, runs={str(ours): runs[str(ours)]})

    monkeypatch.setattr("janus_minimal.shapes.sweep.begin_sweep", lambda *given: begun)
    monkeypatch.setattr("janus_minimal.shapes.sweep.run_sweep", run_sweep)
    words = ("--steps", "1", "--solver", "euler", "--cfg-weight", "1", "--shift", "1")
    result = CliRunner().invoke(app, ["sweep", *words])
    assert {*json.loads(Path("sweep.json").read_text())["runs"]} == {*runs}
    assert {line[:11] for line in result.stdout.splitlines()[2:]} == {"| 1 | euler", "| 2 | euler"}
    assert "2 settings: sweep.json" in result.stderr


def test_the_bar_of_evaluate_counts_every_picture(loaded, monkeypatch):
    """evaluate --captions n: a bar of n pictures for each of the seven categories.

    It tells how long the whole will take.
    """
    bars = []
    monkeypatch.setattr(
        "tqdm.auto.tqdm", lambda total, **_: bars.append(total) or nullcontext(SimpleNamespace(update=None))
    )
    monkeypatch.setattr("janus_minimal.shapes.evaluate.score_pipeline", lambda *a: EVALUATION)
    run("evaluate", "--captions", 3, "--device", "cpu")
    assert bars == [21]
