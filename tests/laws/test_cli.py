"""The command line: what each command writes, and how it refuses what it cannot do."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tools.launched import printed

from janus_minimal import JanusFlowPipeline, PromptPair, time_grid
from janus_minimal.cli import _say, _say_warning, main
from janus_minimal.errors import InputError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.vae import encode_picture
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.render import render
from janus_minimal.shapes.scene import Thing
from janus_minimal.solvers import SOLVERS


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
    """generate --num-images 4 writes one PNG of four pictures side by side, and nothing else.

    The message names the file, so that nobody has to look for it.
    """
    status, out, _ = run("generate", "a red circle", "--steps", 2, "--out", "circles.png")
    assert status == 0
    assert "circles.png" in out
    with Image.open("circles.png") as picture:
        assert picture.size == (4 * 200 + 8, 200 + 8)
    assert [path.name for path in Path.cwd().iterdir()] == ["circles.png"]


def test_generate_writes_the_film_strip(run):
    """generate --strip also writes OUT-strip.png: a row for each image, a column for each chosen step.

    The denoised predictions show how a picture forms, which the last picture alone cannot show.
    """
    status, out, _ = run("generate", "two stars", "--steps", 3, "--num-images", 2, "--strip", "--device", "cpu")
    assert status == 0
    assert "picture-strip.png" in out
    with Image.open("picture-strip.png") as picture:
        assert picture.width > picture.height


@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_and_shift_reach_the_loop(run, pipe, solver):
    """generate --solver NAME --shift S writes z_S of this solver on time_grid(steps, S).

    An option that is read and not passed on would draw an ordinary picture without a word.
    """
    words = (
        "--steps",
        3,
        "--solver",
        solver,
        "--shift",
        2.5,
        "--num-images",
        1,
        "--seed",
        4,
        "--latent",
        "z.safetensors",
    )
    status, _, _ = run("generate", "a star", "--device", "cpu", *words)
    prompt, z = (
        PromptPair.from_text("a star", pipe.tokenizer),
        image_noise(pipe.latent_shape, 1, [torch.Generator().manual_seed(4)]),
    )
    *_, last = SOLVERS[solver](pipe.model, prompt, z, time_grid(3, 2.5))
    assert status == 0
    torch.testing.assert_close(load_file("z.safetensors")["latents"], last.z_next)


@pytest.mark.parametrize("wrong", [("--solver", "rk45"), ("--shift", "0"), ("--shift", "nan"), ("--shift", "-1")])
def test_an_unknown_solver_or_shift_is_refused(run, wrong):
    """--solver in SOLVERS, 0 < shift; else status 2, and nothing is written.

    A typing error should not draw anything.
    """
    status, out, _ = run("generate", "a star", *wrong)
    assert status == 2
    assert out == ""
    assert list(Path.cwd().iterdir()) == []


def test_a_file_of_prompts_becomes_a_folder(run):
    """generate --prompts FILE writes one sheet for each line, 00000.png, 00001.png, ...

    The names keep the order of the lines, so that each sheet can be matched with its prompt.
    """
    Path("prompts.txt").write_text("a red circle\ntwo stars\n", encoding="utf-8")
    status, out, _ = run("generate", "--prompts", "prompts.txt", "--steps", 1, "--num-images", 1)
    assert status == 0
    assert out == "2 sheets of the prompts in prompts.txt: pictures/00000.png to pictures/00001.png\n"
    assert sorted(path.name for path in Path("pictures").iterdir()) == ["00000.png", "00001.png"]


def test_a_prompt_and_a_file_of_prompts_are_one_too_many(run):
    """prompt and --prompts: exactly one; --prompts with --strip or --latent: refused.

    An option that is silently ignored looks like an option that works.
    """
    Path("prompts.txt").write_text("a red circle\n", encoding="utf-8")
    assert "expected one of the two" in refused(run, "generate")
    assert "expected one of the two" in refused(run, "generate", "two stars", "--prompts", "prompts.txt")
    for other in (("--strip",), ("--latent", "z.safetensors")):
        assert "no --strip and no --latent" in refused(run, "generate", "--prompts", "prompts.txt", *other)
    for other in (("--strip",), ("--out", "picture.png")):
        assert "neither --out nor --strip" in refused(run, "generate", "a star", "--latent", "z.safetensors", *other)


def test_latents_are_kept_and_decoded_later(run):
    """decode(generate --latent) = generate, byte for byte.

    Model and VAE can then run at different times, or on different machines.
    """
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
    """decode(file) is refused unless the file holds finite latents with the VAE's number of channels.

    A VAE decodes numbers of any origin without complaint, and the picture would be noise.
    """
    vae = BUNDLED / "shapes" / "vae"
    Path("empty.safetensors").touch()
    assert "holds no latents" in refused(run, "decode", "empty.safetensors", "--vae", vae)
    assert "holds no latents" in refused(run, "decode", "nowhere.safetensors", "--vae", vae)
    assert "holds no latents" in refused(run, "decode", vae / "diffusion_pytorch_model.safetensors", "--vae", vae)
    for name, wrong in {"shape": torch.zeros(1, 3, 12, 12), "nan": torch.full((1, 4, 12, 12), torch.nan)}.items():
        save_file({"latents": wrong}, f"{name}.safetensors")
    assert "expected [images, 4, height, width]" in refused(run, "decode", "shape.safetensors", "--vae", vae)
    assert "not finite" in refused(run, "decode", "nan.safetensors", "--vae", vae)
    save_file({"latents": torch.zeros(1, 4, 12, 24)}, "wide.safetensors")
    assert "square" in refused(run, "decode", "wide.safetensors", "--vae", vae)
    save_file({"latents": torch.zeros(1, 4, 12, 12).to(torch.float8_e4m3fn)}, "eight-bits.safetensors")
    assert "float8_e4m3fn: expected" in refused(run, "decode", "eight-bits.safetensors", "--vae", vae)
    save_file({"latents": torch.zeros(0, 4, 12, 12)}, "none.safetensors")
    assert "holds no image" in refused(run, "decode", "none.safetensors", "--vae", vae)


@pytest.fixture
def drawing(tmp_path):
    """A picture of a scene, and a white mask for it."""
    scene = (Thing("red", "star", 15, 26, 13), Thing("purple", "cross", 35, 15, 11))
    drawing = Image.fromarray(render(scene))
    drawing.save(tmp_path / "drawing.png")
    Image.new("L", (48, 48), 255).save(tmp_path / "white.png")
    return drawing


def test_an_edit_of_everything_is_a_drawing(run, drawing):
    """edit --strength 1 --mask WHITE = edit = generate, byte for byte; another strength gives another file.

    With nothing kept, the picture cannot matter; so solver, shift, seed and weight reach the loop too.
    """
    like = ("a star", "--steps", 3, "--num-images", 2, "--seed", 5, "--solver", "heun", "--shift", 2, "--cfg-weight", 3)
    run("generate", *like, "--out", "drawn.png")
    run("edit", *like, "--image", "drawing.png", "--out", "edited.png")
    status, out, _ = run("edit", *like, "--image", "drawing.png", "--mask", "white.png", "--out", "masked.png")
    assert (status, out) == (0, '2 pictures of "a star", from drawing.png: masked.png\n')
    run("edit", *like, "--image", "drawing.png", "--strength", 0.5, "--out", "half.png")
    drawn = Path("drawn.png").read_bytes()
    assert Path("edited.png").read_bytes() == Path("masked.png").read_bytes() == drawn
    assert Path("half.png").read_bytes() != drawn


def test_an_edit_of_strength_zero_is_the_picture_up_to_the_vae(run, drawing, pipe):
    """edit --strength 0 = decode(encode(picture)), byte for byte, with a mask or without.

    No step is taken, so only the VAE can have changed anything.
    """
    status, _, _ = run("edit", "a star", "--image", "drawing.png", "--strength", 0, "--num-images", 1)
    again = pipe.to_pictures(encode_picture(pipe.vae, drawing, 48))
    assert status == 0
    with Image.open("picture.png") as found:
        assert np.array_equal(np.asarray(found), np.asarray(contact_sheet(again, columns=1)))


def test_an_edit_that_cannot_be_done_is_refused(run, drawing, monkeypatch):
    """edit of a missing file, with a mask of another size, or with a black one: status 2, nothing is written.

    Thirty steps should not be taken for a picture that nobody asked for.
    """
    Image.new("L", (48, 48)).save("black.png")
    Image.new("L", (24, 24), 255).save("small.png")
    assert "nowhere.png holds no picture" in refused(run, "edit", "a star", "--image", "nowhere.png")
    for mask, words in {"small.png": "expected the picture's 48 x 48", "black.png": "expected white"}.items():
        assert words in refused(run, "edit", "a star", "--image", "drawing.png", "--mask", mask)
    assert "expected a whole number" in refused(run, "edit", "a star", "--image", "drawing.png", "--num-images", 0)
    # Before any work: the side to which a picture is resized comes from the checkpoint.
    monkeypatch.setattr("janus_minimal.loading.vae.encode_picture", lambda *_: pytest.fail("encoded too early"))
    assert "does not know" in refused(run, "edit", "a dragon", "--image", "drawing.png")
    status, _, err = run("edit", "a star", "--image", "drawing.png", "--strength", 1.5)
    assert status == 2
    assert "strength" in err


def test_the_weights_may_be_halved(run):
    """0 < |picture(bfloat16) - picture(float32)| < 8 of 255, on average; any other dtype is refused.

    Half the memory should cost little accuracy. A difference of zero would mean that the option does nothing.
    """
    for dtype in ("float32", "bfloat16"):
        run("generate", "a red circle", "--steps", 4, "--num-images", 1, "--dtype", dtype, "--out", f"{dtype}.png")
    a, b = (np.asarray(Image.open(f"{dtype}.png"), dtype=float) for dtype in ("float32", "bfloat16"))
    assert 0 < np.abs(a - b).mean() < 8
    status, _, err = run("generate", "a red circle", "--dtype", "int8")
    assert status == 2
    assert "float32" in err


def test_importing_the_package_loads_nothing_heavy(run):
    """import janus_minimal.cli loads neither torch nor diffusers.

    Loading them takes seconds. Help and refusals should appear at once.
    """
    code = (
        "import sys, janus_minimal, janus_minimal.cli; print([m for m in ('torch', 'diffusers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_package_exports_the_loop():
    """from janus_minimal import denoise, Step gives the function and the class, whatever was imported before.

    A submodule with a function's name would replace the function as soon as it is imported.
    """
    code = (
        "import janus_minimal.pipeline; from janus_minimal import denoise, Step; print(denoise.__name__, Step.__name__)"
    )
    assert printed(code) == "denoise Step\n"


def test_the_same_seed_writes_the_same_file(run):
    """file(seed) = file(seed) != file(another seed), byte for byte.

    A picture that cannot be drawn again cannot be examined.
    """
    for name in ("a.png", "b.png"):
        run("generate", "a red circle", "--steps", 2, "--num-images", 1, "--seed", 3, "--out", name)
    run("generate", "a red circle", "--steps", 2, "--num-images", 1, "--seed", 4, "--out", "c.png")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() != Path("c.png").read_bytes()


def test_evaluate_writes_its_report(run):
    """report: overall, seed, steps, cfg_weight, and of each category score, captions and the answers.

    A score means something only together with the settings under which it was measured.
    """
    status, _, _ = run("evaluate", "--captions", 1, "--steps", 1, "--json", "report.json", "--seed", 3)
    report = json.loads(Path("report.json").read_text())
    assert status == 0
    assert set(report["categories"]) == set(CATEGORIES)
    assert {entry["captions"] for entry in report["categories"].values()} == {1}
    assert (report["seed"], report["steps"]) == (3, 1)
    assert report["overall"] == sum(entry["score"] for entry in report["categories"].values()) / 7


def test_evaluate_prints_a_table(run):
    """evaluate prints a line for each category, and one for the overall score.

    Without --json, the terminal is the only place where the scores appear.
    """
    _, out, _ = run("evaluate", "--captions", 1, "--steps", 1)
    for name in (*CATEGORIES, "overall"):
        assert name in out


def test_compare_tells_two_reports_apart(run):
    """compare A.json B.json prints the counts; --json keeps them; a report keeps its own answers.

    The two were asked the same captions, so the answers can be paired.
    """
    for steps, name in ((1, "A.json"), (2, "B.json")):
        run("evaluate", "--captions", 1, "--steps", steps, "--json", name)
    status, out, _ = run("compare", "A.json", "B.json", "--json", "both.json")
    kept = json.loads(Path("both.json").read_text())
    assert status == 0
    assert "sign test p = " in out
    assert (kept["a"]["steps"], kept["b"]["steps"]) == (1, 2)
    assert sum(kept["overall"][name] for name in ("both", "only_a", "only_b", "neither")) == 7


def test_what_cannot_be_compared_is_one_line(run):
    """compare with a file that is missing, or that is no report of evaluate, or that would be overwritten: one line.

    Reports of scores alone exist, too.
    """
    Path("scores.json").write_text('{"overall": 1.0, "categories": {"counting": {"score": 1.0, "captions": 1}}}')
    assert "nowhere.json is missing" in refused(run, "compare", "nowhere.json", "scores.json")
    said = refused(run, "compare", "scores.json", "scores.json")
    assert said.startswith("janus-minimal: scores.json holds no answers: categories.counting.asked: field required")
    assert "is read by this command" in refused(run, "compare", "scores.json", "b.json", "--json", "scores.json")


def test_inspect_prints_official_names_shapes_and_counts(run):
    """inspect prints every module's official name, its number of parameters, and every tensor's shape.

    With them, a reader can find a part of the official checkpoint in this code.
    """
    status, out, _ = run("inspect")
    assert status == 0
    for words in ("vision_gen_enc_model", "cond_embeds_mapper", "language_model", "[96, 4, 2, 2]", "3,757,552"):
        assert words in out


def test_inspect_writes_the_same_file_from_any_terminal(run, monkeypatch):
    """inspect > FILE with COLUMNS=24 = inspect > FILE, and no line of it is cut; in a terminal all fit into its width.

    A shell exports its width, which says nothing about a file. An official name that is cut is of no use.
    """
    plain = run("inspect")
    monkeypatch.setenv("COLUMNS", "24")
    assert run("inspect") == plain
    with monkeypatch.context() as terminal:
        terminal.setattr(sys.stdout, "isatty", lambda: True)
        shown = re.sub("\x1b.*?m", "", run("inspect")[1])
    assert max(map(len, shown.splitlines())) <= 24 < max(map(len, plain[1].splitlines()))
    Path("x" * 200).symlink_to(BUNDLED / "shapes")
    _, out, _ = run("inspect", "x" * 200)
    assert out.splitlines()[1:] == plain[1].splitlines()[1:]


@pytest.mark.parametrize("words", [("evaluate",), ("sweep", "--steps", 1, "--solver", "euler", "--shift", 1)])
def test_only_pictures_of_the_small_worlds_size_are_scored(run, monkeypatch, words):
    """evaluate and sweep of a model of 96 x 96 pictures: one line, before anything is drawn.

    The scorer lays drawn outlines over a picture, pixel on pixel. It would fail after minutes.
    """
    shutil.copytree(BUNDLED / "shapes", "mine")
    config = json.loads(Path("mine/config.json").read_text())
    config["vision_und_enc_config"]["params"]["image_size"] = 96
    Path("mine/config.json").write_text(json.dumps(config))
    monkeypatch.setattr(JanusFlowPipeline, "__call__", lambda *_, **__: pytest.fail("drawn too early"))
    line = refused(run, *words, "--checkpoint", "mine", "--captions", 1)
    assert "the model draws pictures of 96 x 96: expected the 48 x 48 of the small world" in line


def test_an_empty_caption_is_refused(run):
    """generate " " is refused.

    A prompt without words would give the unconditional picture, which looks like a failure of the model.
    """
    assert "the prompt is empty" in refused(run, "generate", " ")


def test_an_unknown_word_is_refused_and_named(run):
    """generate "a pink circle" is refused, with the unknown word and all known ones.

    The small model was trained on a few dozen words. The message is the place where a user learns them.
    """
    assert 'does not know "pink"; it knows: a, above' in refused(run, "generate", "a pink circle")


@pytest.mark.parametrize("images", [0, -1])
def test_no_images_are_refused(run, images):
    """--num-images below 1 is refused.

    An empty batch would fail later, deep inside the model, with a message about shapes.
    """
    assert "expected a whole number from 1" in refused(run, "generate", "a star", "--num-images", images)


def test_no_steps_are_refused(run):
    """--steps below 1 is refused.

    Without a step the picture is the noise itself.
    """
    assert "steps is 0: expected a whole number from 1" in refused(run, "generate", "a star", "--steps", 0)


@pytest.mark.parametrize("weight", ["nan", "inf"])
def test_a_weight_that_is_not_finite_is_refused(run, weight):
    """--cfg-weight nan and inf are refused.

    One number that is not finite makes the whole picture black.
    """
    assert "expected a finite number" in refused(run, "generate", "a star", "--cfg-weight", weight)


def test_a_device_that_is_not_here_is_refused(run):
    """--device warp is refused, with the devices that are here.

    PyTorch's own message is a page long and does not name them.
    """
    assert 'no device "warp" here; expected one of: cpu' in refused(run, "generate", "a star", "--device", "warp")


def test_a_missing_checkpoint_is_refused(run):
    """--checkpoint nowhere is refused, with the bundled names; a name that no file can have, too.

    A mistyped name should not end in a traceback.
    """
    assert "no checkpoint nowhere" in refused(run, "generate", "a star", "--checkpoint", "nowhere")
    assert "no checkpoint aaaa" in refused(run, "generate", "a star", "--checkpoint", "a" * 300)
    assert "no checkpoint :" in refused(run, "generate", "a star", "--checkpoint", "")
    assert "no checkpoint aaaa" in refused(run, "generate", "a star", "--vae", "a" * 300)


def test_a_checkpoint_is_no_vae(run):
    """--vae CHECKPOINT is one line that says where its VAE is, and no warnings before it.

    The config of a language model has the same name, and each of its settings would be called unknown.
    """
    Path("mine").symlink_to(BUNDLED / "shapes")
    error = refused(run, "generate", "a star", "--vae", "mine")
    assert "a checkpoint has it in its folder vae" in error
    assert len(error.splitlines()) == 1


def test_an_output_that_takes_nothing_is_one_line(run, monkeypatch):
    """OSError that nobody expects, such as standard output on a full disk: one line, status 2.

    A traceback would hide that the disk is full.
    """

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rich.console.Console.print", fail)
    assert "No space left on device; expected" in refused(run, "inspect")
    monkeypatch.setattr("typer.echo", fail)  # standard error is full as well
    assert run("inspect") == (2, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_what_a_full_disk_did_not_take_is_not_tried_again(run, monkeypatch):
    """--help > /dev/full: one line, status 2, and nothing is left to be written when Python ends.

    Python would try once more when it closes the stream, and complain below our line.
    """
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        status, _, err = run("--help")
    assert status == 2
    assert "No space left on device; expected" in err
    assert err.count("\n") == 1


def test_an_interrupt_before_the_command_begins_is_one_line(run, monkeypatch):
    """Ctrl-C outside of a command  =>  one line, status 130.

    typer catches only those inside a command.
    """
    told = None
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(os, "getcwd", Mock(side_effect=KeyboardInterrupt))
        told = run("generate", "a star")
    assert told == (130, "", "janus-minimal: interrupted; no file was left half written\n")


@pytest.mark.parametrize("before", [None, "info"])
@pytest.mark.parametrize("library", ["TRANSFORMERS", "DIFFUSERS"])
def test_a_library_is_quiet_unless_somebody_wants_its_words(run, library, before):
    """main(): LIBRARY_VERBOSITY = "error", or what the user has set.

    Its remarks quote the checkpoint. Whoever looks for a fault may want them.
    """
    name = f"{library}_VERBOSITY"
    with patch.dict(os.environ, {} if before is None else {name: before}):
        if before is None:
            os.environ.pop(name, None)
        run("--help")
        assert os.environ[name] == (before or "error")


def test_a_working_directory_that_was_deleted_is_one_line(run, monkeypatch):
    """no working directory  =>  one line, status 2, before anything is imported.

    Intel's MKL, with which torch computes, ends the process there with a line of its own.
    """
    with monkeypatch.context() as patch:
        patch.setattr(os, "getcwd", Mock(side_effect=FileNotFoundError(errno.ENOENT, "No such file or directory")))
        status, out, err = run("generate", "a star", "--out", "star.png")
    assert (status, out) == (2, "")
    assert err == (
        "janus-minimal: [Errno 2] No such file or directory; expected a working directory and files that "
        "can be read, and an output with room\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of ..."),
        RuntimeError(
            "MPS backend out of memory (MPS allocated: 9.05 GB, other allocations: 1.01 MB, max allowed: ...)"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4000 bytes."),
        RuntimeError("unable to mmap 400 bytes from file <model.safetensors>: Cannot allocate memory (12)"),
    ],
    ids=lambda error: str(error)[:20] or type(error).__name__,
)
def test_too_little_memory_is_one_line(run, monkeypatch, error):
    """MemoryError, or torch's RuntimeError about memory  =>  one line, status 2; others are faults of ours.

    Five hundred pictures at a time are a request like any other, and a traceback would not help.
    """

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("janus_minimal.cli.generate.load_pipeline", fail)
    line = refused(run, "generate", "a star")
    assert "the memory is too small: expected fewer" in line
    assert f"({str(error)[:20] or 'MemoryError)'}" in line
    error.args = ("shapes do not fit into memory_format",)
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="do not fit"):
            run("generate", "a star")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vae/diffusion_pytorch_model.safetensors"])
@pytest.mark.parametrize("bytes_kept", [0, 1000])
def test_a_truncated_file_is_refused_and_named(run, name, bytes_kept):
    """a checkpoint with any file cut short is refused, and the directory is named.

    Interrupted downloads are common. The message must say what to download again.
    """
    shutil.copytree(BUNDLED / "shapes", "spoiled")
    path = Path("spoiled") / name
    path.write_bytes(path.read_bytes()[:bytes_kept])
    assert "spoiled" in refused(run, "generate", "a star", "--checkpoint", "spoiled")


def test_a_vae_in_a_pickle_is_refused(run):
    """a VAE whose weights are in a .bin file is refused.

    A pickle can run any code when it is loaded. The model's weights are held to the same rule.
    """
    shutil.copytree(BUNDLED / "shapes", "spoiled")
    path = Path("spoiled/vae/diffusion_pytorch_model.safetensors")
    path.rename(path.with_suffix(".bin"))
    assert "spoiled/vae" in refused(run, "generate", "a star", "--checkpoint", "spoiled")


@pytest.mark.parametrize("name", ["[/bold]x", "[red]", "[link=a]b"])
def test_a_directory_may_have_any_name(run, name):
    """inspect(copy of "shapes" in a directory with markup in its name) = inspect(shapes), except for the name.

    rich reads square brackets as markup: "[/bold]x" would stop the command, and "[red]" would not be shown.
    """
    shutil.copytree(BUNDLED / "shapes", name)
    _, plain, _ = run("inspect")
    status, out, _ = run("inspect", name)
    assert status == 0
    assert out == plain.replace("shapes", name, 1)


def test_help_shows_the_defaults(run):
    """generate --help names the files that are written where --out is left out.

    rich once read "[picture.png]" as markup and removed it from the help.
    """
    _, out, _ = run("generate", "--help")
    assert "picture.png, or pictures" in " ".join(out.replace("│", " ").split())


def test_an_output_that_cannot_be_written_is_refused_before_the_work(run):
    """an output that is a directory, or lies where nothing can be written, is refused before any work.

    A run of an hour should not fail at its last line.
    """
    Path("taken").mkdir()
    Path("file").touch()
    assert "taken is a directory" in refused(run, "generate", "a star", "--out", "taken")
    assert "cannot be written" in refused(run, "generate", "a star", "--out", "file/picture.png")
    assert "cannot be written" in refused(run, "generate", "a star", "--out", "nowhere/picture.png")
    assert "cannot be written" in refused(run, "evaluate", "--json", "/proc/report.json")
    assert "cannot be made" in refused(run, "train", "--examples", 12, "--out", "/proc/run")
    assert "cannot be made" in refused(run, "train", "--examples", 12, "--out", "a" * 300)
    Path("picture-strip.png").mkdir()
    assert "picture-strip.png is a directory" in refused(run, "generate", "a star", "--strip")
    assert ". is a directory" in refused(run, "generate", "a star", "--strip", "--out", ".")
    assert "cannot be written" in refused(run, "generate", "a star", "--out", "a" * 300)


@pytest.mark.parametrize(
    "words",
    [
        *(("train", "--out", ""), ("reflow", "--out", ""), ("generate", "--prompts", "prompts.txt", "--out", "")),
        *(("generate", "a star", option, name) for option in ("--out", "--latent") for name in ("", "pictures/")),
        *(("edit", "a star", "--image", "i.png", "--out", name) for name in ("", "pictures/")),
        *(("decode", "z.safetensors", "--vae", "vae", "--out", name) for name in ("", "pictures/")),
        *((command, "--json", name) for command in ("evaluate", "sweep", "bench") for name in ("", "reports/")),
        *(("compare", "a.json", "b.json", "--json", name) for name in ("", "reports/")),
        *(("bench", "--plot", name) for name in ("", "plots/")),
    ],
)
def test_a_name_that_is_empty_or_a_folders_is_no_files(run, words):
    """an output "", or a file "NAME/"  =>  refused; so is the folder "".

    `--out "$UNSET"` would train into the working folder, and `--out pictures/` would write a PNG called "pictures".
    """
    option = next(word for word in reversed(words) if word.startswith("--"))
    message = refused(run, *words)
    assert "expected a name, " in message
    assert f"'{option}'" in message


def test_no_output_takes_the_place_of_an_input(run):
    """output = input, checkpoint's file, or another output  =>  refused before the work.

    The commands hand all their files to one check.
    """
    shutil.copytree(BUNDLED / "shapes", "mine")
    save_file({"latents": torch.zeros(1, 4, 12, 12)}, "z.safetensors")
    read = "is read by this command and not replaced"
    assert read in refused(run, "decode", "z.safetensors", "--vae", "mine/vae", "--out", "z.safetensors")
    assert read in refused(run, "decode", "z.safetensors", "--vae", "mine/vae", "--out", "mine/vae/config.json")
    assert read in refused(run, "generate", "a star", "--checkpoint", "mine", "--out", "mine/config.json")
    assert read in refused(run, "generate", "a star", "--checkpoint", "mine", "--latent", "mine/model.safetensors")
    assert read in refused(run, "generate", "a star", "--vae", "mine/vae", "--out", "mine/vae/config.json")
    assert read in refused(run, "evaluate", "--checkpoint", "mine", "--json", "mine/config.json")
    assert read in refused(run, "evaluate", "--vae", "mine/vae", "--json", "mine/vae/config.json")
    assert read in refused(run, "sweep", "--checkpoint", "mine", "--json", "mine/config.json")
    for name in ("i.png", "m.png"):
        Image.new("RGB", (48, 48), "white").save(name)
    asked = ("edit", "a star", "--image", "i.png", "--mask", "m.png", "--checkpoint", "mine", "--vae", "mine/vae")
    for out in ("i.png", "m.png", "mine/config.json", "mine/vae/config.json"):
        assert read in refused(run, *asked, "--out", out)
    Path("link").symlink_to("z.safetensors")
    assert "links to z.safetensors, a file of another kind" in refused(run, "evaluate", "--json", "link")
    Path("report.json").symlink_to("mine/config.json")
    part = "has the name of a checkpoint's file and is not replaced"
    assert part in refused(run, "bench", "--json", "report.json")
    assert part in refused(run, "bench", "--json", "mine/config.json")
    assert part in refused(run, "generate", "a star", "--out", "mine/vae/diffusion_pytorch_model.safetensors")
    assert "asked for twice" in refused(run, "bench", "--json", "report", "--plot", "./report")


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "a star", "--steps", "3.5"),
        ("generate", "a star", "--steps", "[/bold]\x1b[31m\n" + "x" * 10_000),
        ("generate", "a star", "--solver", "[red]"),
        ("generate", "a star", "--shift", "0"),
        ("generate", "--no-such-option"),
        ("no-such-command",),
        ("train",),
        ("train", "--out", "run", "--steps", 10**10),
        ("train", "--out", "run", "--examples", 10**10),
        ("train", "--out", "run", "--seed", 10**13),
        ("train", "--out", "run", "--device", "warp"),
        ("evaluate", "--captions", 10**10),
        ("sweep", "--captions", 10**10),
        ("sweep", "--seed", 10**20),
        ("sweep", "--processes", 10**10),
        ("bench", "--images", 10**9),
        ("generate", "a star", "--num-images", 10**10),
        ("generate", "a star", "--steps", 10**10),
        ("generate", "a " * 30_000 + "star"),
        ("generate", "x" * 400),
        ("generate", "a re\x07d star"),
    ],
)
def test_whatever_is_asked_for_wrongly_is_one_line(run, words):
    """wrong option, value, command, or a size that no machine holds  =>  one short line, and nothing is made.

    A typing error should not draw a box around it, obey a control sequence, or begin to allocate.
    """
    line = refused(run, *words)
    assert line.startswith("janus-minimal: ")
    assert len(line) <= 300
    assert not any(ord(character) < 32 for character in line)


def test_a_warning_is_one_line(run):
    """a setting that nobody knows, named by an enemy  =>  one line of warning, and the work is done.

    Python would show the source code of our warning, and the name as it is. If Python is told to make errors of
    warnings, it is the one line of an error.
    """
    shutil.copytree(BUNDLED / "shapes", "mine")
    config = json.loads(Path("mine/config.json").read_text())
    config["language_config"] |= {f"\x1b[31m\n{i}" + "x" * 1000: 1 for i in range(1000)}
    Path("mine/config.json").write_text(json.dumps(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.filters", [("error", None, UserWarning, None, 0)])
        assert refused(run, "inspect", "mine").startswith("janus-minimal: config.json: 0xxx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.filters", [])  # pytest makes errors of them
        status, _, err = run("inspect", "mine")
    assert status == 0
    (line,) = err.strip().splitlines()
    assert line.startswith("janus-minimal: warning: config.json: 0xxx")
    assert "and 999 more" in line
    assert len(line) <= 300


def test_an_error_and_a_warning_have_three_hundred_characters_at_most(capsys):
    """|"janus-minimal: " + error| <= 300, and so of a warning, whose words before it are more; the end is kept.

    A path of a library's message may be longer than all that we say.
    """
    long = f"{'d' * 4000}: expected another"
    _say(long, 2), _say_warning(long)
    lines = capsys.readouterr().err.splitlines()
    assert [len(line) for line in lines] == [300, 300]
    assert all(line.endswith(": expected another") for line in lines)


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_name_that_the_terminal_cannot_show_is_printed_all_the_same(run, monkeypatch, errors):
    """generate --out NAME, of bytes that are no text, on a terminal of Latin-1: the picture, and status 0.

    A file's name may be any bytes, and no encoding has all of them. The command would do its work and then fail. So it
    would with PYTHONIOENCODING=latin-1:surrogateescape, which lets through bytes that are no text, and no other letter.
    """
    terminal = TextIOWrapper(BytesIO(), "latin-1", errors)
    monkeypatch.setattr(sys, "stdout", terminal)
    name = "\u0436\u00e9\udcff.png"
    assert run("generate", "a star", "--steps", 1, "--num-images", 1, "--out", name)[0] == 0
    assert Path(name).exists()
    terminal.seek(0)
    assert terminal.read() == '1 pictures of "a star": \\u0436\u00e9\\udcff.png\n'


@pytest.mark.parametrize("closed", [["stdin", "stdout"], ["stderr"], ["stdin", "stdout", "stderr"]])
def test_a_stream_that_was_closed_stops_nothing(run, monkeypatch, closed):
    """sys.stdout, sys.stderr, ... = None  =>  the picture, and status 0; an error stays one line, and status 2.

    Python has None for a stream that is closed, as `2>&-` and a service without a console do. A progress bar that
    nobody can see is no reason to fail.
    """

    def run_without_them(*words):
        with pytest.MonkeyPatch.context() as patch:
            for stream in closed:
                patch.setattr(sys, stream, None)
            answer = run(*words)
            for stream in closed:
                getattr(sys, stream).close()
        return answer

    assert run_without_them("generate", "a star", "--steps", 1, "--num-images", 1)[0] == 0
    assert Path("picture.png").exists()
    monkeypatch.setattr("janus_minimal.cli.generate.load_pipeline", Mock(side_effect=OSError(errno.ENOSPC, "full")))
    status, _, err = run_without_them("generate", "a star")
    assert status == 2
    assert ("full; expected" in err) == ("stderr" not in closed)


def test_the_surroundings_of_matplotlib_change_nothing(tmp_path):
    """main(), then `import matplotlib` with a backend that does not exist and no folder of its own: not a word.

    Plots are files here. A notebook sets MPLBACKEND for all that it starts, and a container has no home.
    """
    taken = tmp_path / "file"
    taken.write_text("backend: none\nno.such: 1\n")
    code = "import sys; from janus_minimal.cli import main\ntry: main()\nexcept SystemExit: import matplotlib"
    folders = dict.fromkeys(("MPLCONFIGDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(taken / "no"))
    environment = os.environ | folders | {"MPLBACKEND": "none", "MATPLOTLIBRC": str(taken)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_full_disk_after_the_picture_says_what_is_there(run, monkeypatch):
    """strip cannot be written  =>  one line, which names the picture that is there.

    The picture took all the time, and need not be drawn again.
    """

    def full(path, figure):
        raise InputError("the disk is full")

    monkeypatch.setattr("janus_minimal.cli.generate.write_figure", full)
    status, _, err = run("generate", "a star", "--steps", 1, "--num-images", 1, "--strip")
    assert status == 2
    assert err.strip().splitlines()[-1].endswith("the disk is full (picture.png had been written before)")
    assert Path("picture.png").exists()


def test_no_words_show_the_help(run):
    """janus-minimal = janus-minimal --help.

    Somebody who does not know the commands types its name.
    """
    assert run() == run("--help")
