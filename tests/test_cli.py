"""What a person types, and what comes of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from janus_minimal.cli import main
from janus_minimal.hub import BUNDLED
from janus_minimal.shapes.caption import CATEGORIES


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the command line in an empty directory: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["janus-minimal", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0, *capsys.readouterr()

    return run


def refused(run, *words):
    """Status 2, one line, nothing written; returns the line."""
    before = sorted(Path.cwd().rglob("*"))
    status, out, err = run(*words)
    line = err.strip().splitlines()[-1]
    assert status == 2
    assert out == ""
    assert err.strip() == line
    assert sorted(Path.cwd().rglob("*")) == before
    return line


def test_generate_writes_a_sheet_and_says_where(run):
    """Four pictures by default, side by side."""
    status, out, _ = run("generate", "a red circle", "--steps", 2, "--out", "circles.png")
    assert status == 0
    assert "circles.png" in out
    with Image.open("circles.png") as picture:
        assert picture.size == (4 * 200 + 8, 200 + 8)
    assert [path.name for path in Path.cwd().iterdir()] == ["circles.png"]


def test_generate_writes_the_film_strip(run):
    """One row per image, one column per chosen step."""
    status, out, _ = run("generate", "two stars", "--steps", 3, "--num-images", 2, "--strip", "--device", "cpu")
    assert status == 0
    assert "picture-strip.png" in out
    with Image.open("picture-strip.png") as picture:
        assert picture.width > picture.height


def test_a_file_of_prompts_becomes_a_folder(run):
    """A sheet for each line, named in order."""
    Path("prompts.txt").write_text("a red circle\ntwo stars\n", encoding="utf-8")
    status, out, _ = run("generate", "--prompts", "prompts.txt", "--steps", 1, "--num-images", 1)
    assert status == 0
    assert out == "2 sheets of the prompts in prompts.txt: pictures/00000.png to pictures/00001.png\n"
    assert sorted(path.name for path in Path("pictures").iterdir()) == ["00000.png", "00001.png"]


def test_a_prompt_and_a_file_of_prompts_are_one_too_many(run):
    """Neither, both, or a strip of many."""
    Path("prompts.txt").write_text("a red circle\n", encoding="utf-8")
    assert "right would be one of the two" in refused(run, "generate")
    assert "right would be one of the two" in refused(run, "generate", "two stars", "--prompts", "prompts.txt")
    assert "no --strip" in refused(run, "generate", "--prompts", "prompts.txt", "--strip")


def test_latents_are_kept_and_decoded_later(run):
    """generate --latent, then decode, is generate."""
    asked = ("generate", "a red circle", "--steps", 2, "--num-images", 2)
    run(*asked, "--out", "at-once.png")
    status, out, _ = run(*asked, "--latent", "latents.safetensors")
    assert status == 0
    assert "2 latents" in out
    assert not Path("picture.png").exists()
    status, out, _ = run("decode", "latents.safetensors", "--vae", BUNDLED / "shapes" / "vae", "--out", "later.png")
    assert status == 0
    assert Path("later.png").read_bytes() == Path("at-once.png").read_bytes()


def test_what_holds_no_latents_is_refused(run):
    """A file of something else, or of nothing."""
    vae = BUNDLED / "shapes" / "vae"
    Path("empty.safetensors").touch()
    assert "holds no latents" in refused(run, "decode", "empty.safetensors", "--vae", vae)
    assert "holds no latents" in refused(run, "decode", "nowhere.safetensors", "--vae", vae)
    assert "holds no latents" in refused(run, "decode", vae / "diffusion_pytorch_model.safetensors", "--vae", vae)
    for name, wrong in {"shape": torch.zeros(1, 3, 12, 12), "nan": torch.full((1, 4, 12, 12), torch.nan)}.items():
        save_file({"latents": wrong}, f"{name}.safetensors")
    assert "right would be [images, 4, height, width]" in refused(run, "decode", "shape.safetensors", "--vae", vae)
    assert "not finite" in refused(run, "decode", "nan.safetensors", "--vae", vae)


def test_the_weights_may_be_halved(run):
    """--dtype bfloat16 makes nearly the same picture; another word is refused."""
    for dtype in ("float32", "bfloat16"):
        run("generate", "a red circle", "--steps", 4, "--num-images", 1, "--dtype", dtype, "--out", f"{dtype}.png")
    a, b = (np.asarray(Image.open(f"{dtype}.png"), dtype=float) for dtype in ("float32", "bfloat16"))
    assert 0 < np.abs(a - b).mean() < 8
    status, _, err = run("generate", "a red circle", "--dtype", "int8")
    assert status == 2
    assert "float32" in err


def test_importing_the_package_loads_nothing_heavy(run):
    """Help, and refusals, come at once."""
    code = (
        "import sys, janus_minimal, janus_minimal.cli; print([m for m in ('torch', 'diffusers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_loop_has_the_name_of_its_file():
    """`from janus_minimal import denoise` is the function, whoever imported the file before."""
    code = (
        "import janus_minimal.pipeline; from janus_minimal import denoise, Step; print(denoise.__name__, Step.__name__)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "denoise Step\n"


def test_the_same_seed_writes_the_same_file(run):
    """Every number has one source."""
    for name in ("a.png", "b.png"):
        run("generate", "a red circle", "--steps", 2, "--num-images", 1, "--seed", 3, "--out", name)
    run("generate", "a red circle", "--steps", 2, "--num-images", 1, "--seed", 4, "--out", "c.png")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() != Path("c.png").read_bytes()


def test_evaluate_writes_its_report(run):
    """{"overall", "categories": {name: {"score", "captions"}}, "seed", "steps", "cfg_weight"}."""
    status, _, _ = run("evaluate", "--captions", 1, "--steps", 1, "--json", "report.json", "--seed", 3)
    report = json.loads(Path("report.json").read_text())
    assert status == 0
    assert set(report["categories"]) == set(CATEGORIES)
    assert {entry["captions"] for entry in report["categories"].values()} == {1}
    assert (report["seed"], report["steps"]) == (3, 1)
    assert report["overall"] == sum(entry["score"] for entry in report["categories"].values()) / 7


def test_evaluate_prints_a_table(run):
    """A line for each category, and the overall score."""
    _, out, _ = run("evaluate", "--captions", 1, "--steps", 1)
    for name in (*CATEGORIES, "overall"):
        assert name in out


def test_inspect_prints_official_names_shapes_and_counts(run):
    """The tree of the bundled checkpoint."""
    status, out, _ = run("inspect")
    assert status == 0
    for words in ("vision_gen_enc_model", "cond_embeds_mapper", "language_model", "[96, 4, 2, 2]", "3,757,552"):
        assert words in out


def test_an_empty_caption_is_refused(run):
    """There is nothing to draw."""
    assert "the prompt is empty" in refused(run, "generate", " ")


def test_an_unknown_word_is_refused_and_named(run):
    """With the words that are known."""
    assert 'does not know "pink"; it knows: a, above' in refused(run, "generate", "a pink circle")


@pytest.mark.parametrize("images", [0, -1])
def test_no_images_are_refused(run, images):
    """One or more."""
    assert "at least one" in refused(run, "generate", "a star", "--num-images", images)


def test_no_steps_are_refused(run):
    """One or more."""
    assert "0 steps: right would be 1 or more" in refused(run, "generate", "a star", "--steps", 0)


@pytest.mark.parametrize("weight", ["nan", "inf"])
def test_a_weight_that_is_not_finite_is_refused(run, weight):
    """No picture comes of it."""
    assert "right would be a finite number" in refused(run, "generate", "a star", "--cfg-weight", weight)


def test_a_device_that_is_not_there_is_refused(run):
    """With those that are."""
    assert 'no device "warp" here; right would be one of: cpu' in refused(run, "generate", "a star", "--device", "warp")


def test_a_missing_checkpoint_is_refused(run):
    """With the bundled names."""
    assert "no checkpoint nowhere" in refused(run, "generate", "a star", "--checkpoint", "nowhere")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vae/diffusion_pytorch_model.safetensors"])
@pytest.mark.parametrize("bytes_kept", [0, 1000])
def test_a_truncated_file_is_refused_and_named(run, name, bytes_kept):
    """Whichever part of the checkpoint it is."""
    shutil.copytree(BUNDLED / "shapes", "spoiled")
    path = Path("spoiled") / name
    path.write_bytes(path.read_bytes()[:bytes_kept])
    assert "spoiled" in refused(run, "generate", "a star", "--checkpoint", "spoiled")


def test_a_vae_in_a_pickle_is_refused(run):
    """As for the model: it can run any code."""
    shutil.copytree(BUNDLED / "shapes", "spoiled")
    path = Path("spoiled/vae/diffusion_pytorch_model.safetensors")
    path.rename(path.with_suffix(".bin"))
    assert "spoiled/vae" in refused(run, "generate", "a star", "--checkpoint", "spoiled")


def test_an_output_that_cannot_be_written_is_refused_before_the_work(run):
    """A directory, or a place where none can be made."""
    Path("taken").mkdir()
    Path("file").touch()
    assert "taken is a directory" in refused(run, "generate", "a star", "--out", "taken")
    assert "cannot be written" in refused(run, "generate", "a star", "--out", "file/picture.png")
    assert "cannot be written" in refused(run, "generate", "a star", "--out", "nowhere/picture.png")
    assert "cannot be written" in refused(run, "evaluate", "--json", "/proc/report.json")
    assert "cannot be made" in refused(run, "train", "--out", "/proc/run")
