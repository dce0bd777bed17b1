"""What a command writes never takes the place of what it reads."""

import os
from functools import partial
from pathlib import Path

import pytest
import torch
from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import save

from janus_minimal.cli.outputs import after_writing, check_outputs
from janus_minimal.cli.write import write_figure, write_json, write_sheet
from janus_minimal.errors import InputError
from janus_minimal.figures.plots import loss_curve
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.latents import write_latents
from janus_minimal.training.run import write_progress


@pytest.fixture
def checkpoint(tmp_path):
    """A directory with the names of a checkpoint; nobody looks into the files."""
    (tmp_path / "mine" / "vae").mkdir(parents=True)
    for name in ("config.json", "model-1-of-2.safetensors", "vae/config.json", "notes.txt"):
        (tmp_path / "mine" / name).touch()
    return tmp_path / "mine"


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "model-1-of-2.safetensors", "model.safetensors", "model.safetensors.index.json"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
    ],
)
def test_a_checkpoint_is_not_written_over(checkpoint, tmp_path, name):
    """output in checkpoint's own files, there or not yet  =>  InputError, by any path to it.

    `--json config.json` in the wrong directory would destroy a model. An index that appears changes which weights are
    read.
    """
    (tmp_path / "link").symlink_to(checkpoint)
    for path in (checkpoint / name, tmp_path / "link" / name, checkpoint / "vae" / ".." / name):
        with pytest.raises(InputError, match=r"is read by this command and not replaced"):
            check_outputs([path], [checkpoint])


def test_a_bundled_checkpoint_is_not_written_over():
    """output = config.json of "shapes"  =>  InputError.

    A bundled name stands for a directory of the installed package.
    """
    with pytest.raises(InputError, match="is read by this command"):
        check_outputs([BUNDLED / "shapes" / "config.json"], ["shapes"])


def test_other_files_may_lie_beside_a_checkpoint(checkpoint, tmp_path):
    """outputs that no loader reads are accepted, in the checkpoint's directory too; None stands for no output.

    A report beside the model that it is about is in its right place.
    """
    outputs = [checkpoint / "evaluation.json", checkpoint / "picture.png", tmp_path / "config.json", None]
    check_outputs(outputs, [checkpoint, None, "owner/name"])


@pytest.mark.parametrize(
    "content",
    [
        b"a red circle\n",
        b"\xef\xbb\xbf{",
        b"\xff\xd8\xff\xe0 a photograph",
        b'{"file_name": "1.png", "text": "a star"}\n',
        b'{"recipe": {"seed": 0}}',
        *(save({name: torch.zeros(1) for name in names}) for names in ("a", "z", ("latents", "optimizer"), ())),
    ],
)
def test_a_file_that_is_not_ours_is_not_written_over(tmp_path, content):
    """output = a text, a photograph, other tensors, ...  =>  InputError, and it stays; what is ours is replaced.

    `--json metadata.jsonl`, which a shell may have completed, would lose somebody's list of captions, and
    `--latent flow.training.safetensors` the state of a training.
    """
    path = tmp_path / "theirs"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no file that this program writes, and is not replaced"):
        check_outputs([path])
    assert path.read_bytes() == content
    write_sheet(tmp_path / "sheet", [Image.new("RGB", (8, 8))])
    write_json(tmp_path / "report", {"score": 1, "categories": {}})
    write_json(tmp_path / "sweep", {"runs": {}})
    write_json(tmp_path / "bench", {"loops": {}})
    write_latents(tmp_path / "latents", torch.zeros(1, 4, 2, 2))
    (tmp_path / "empty").touch()
    check_outputs([tmp_path / name for name in ("sheet", "report", "sweep", "bench", "latents", "empty")])


@pytest.mark.parametrize("make", [os.link, os.symlink, lambda old, new: None])
def test_an_input_is_not_written_over(tmp_path, make):
    """output = input, also by a link  =>  InputError.

    `decode latents.safetensors --out latents.safetensors` would lose the latents.
    """
    source, output = tmp_path / "latents", tmp_path / "picture"
    source.touch()
    make(source, output)
    check_outputs([tmp_path / "other"], [source])
    with pytest.raises(InputError, match="is read by this command"):
        check_outputs([output if output.exists() else source], [source])


@pytest.mark.parametrize("other", ["report", "./report", "link"])
def test_two_outputs_are_two_files(tmp_path, monkeypatch, other):
    """output = another output  =>  InputError.

    The second would replace the first.
    """
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("report")
    with pytest.raises(InputError, match="is asked for twice"):
        check_outputs([Path("report"), None, Path(other)])


def test_what_was_written_is_said_when_a_later_file_fails():
    """error after a file was written = the error and the file's name, in one line; after none, the error alone.

    A disk may be full after the picture and before the strip.
    """
    said = r"^disk full \(a\.png and b\.png had been written before\)$"
    with pytest.raises(InputError, match=said), after_writing(Path("a.png"), Path("b.png")):
        raise InputError("disk full")
    with pytest.raises(InputError, match=r"^disk full$"), after_writing():
        raise InputError("disk full")


def test_a_plot_is_written_with_150_dots_an_inch(tmp_path):
    """write_figure(2 x 1 inches) = a PNG of 300 x 150 pixels.

    Its text stays legible on a screen of twice the density.
    """
    write_figure(tmp_path / "plot.png", lambda: Figure(figsize=(2, 1)))
    with Image.open(tmp_path / "plot.png") as written:
        assert (written.format, written.size) == ("PNG", (300, 150))


def test_a_figure_does_not_depend_on_settings_of_the_machine(tmp_path):
    """write_figure under text.usetex, lines.linewidth, ... of a matplotlibrc = write_figure without, byte for byte.

    With usetex and without LaTeX, matplotlib would end a training in a traceback at its first loss curve.
    """
    curve = partial(loss_curve, [3.0, 2.0, 1.0], "Training the model")
    write_figure(tmp_path / "plain.png", curve)
    theirs = {"text.usetex": True, "lines.linewidth": 9, "savefig.dpi": 10, "axes.facecolor": "red"}
    with rc_context(theirs):
        write_figure(tmp_path / "theirs.png", curve)
        write_progress(tmp_path, "model", [2.0, 1.0], Image.new("RGB", (8, 8)))
        assert {name: rcParams[name] for name in theirs} == theirs
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()
    assert (tmp_path / "model-loss.png").exists()


def test_a_file_is_what_the_command_writes_whatever_its_name(tmp_path):
    """write_sheet and write_figure make a PNG under any name; write_json keeps the order of a report.

    The library would choose the kind by the name, and a JPEG of small pictures has stains around every edge.
    """
    write_sheet(tmp_path / "sheet.jpg", [Image.new("RGB", (8, 8))])
    write_figure(tmp_path / "plot.jpg", lambda: Figure(figsize=(2, 1)))
    for name in ("sheet.jpg", "plot.jpg"):
        with Image.open(tmp_path / name) as written:
            assert written.format == "PNG"
    write_json(tmp_path / "report", {"overall": 1, "categories": {}})
    assert (tmp_path / "report").read_text() == '{\n  "overall": 1,\n  "categories": {}\n}\n'
