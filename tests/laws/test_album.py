"""Many prompts: each becomes one sheet, drawn once, by any number of processes and in any number of runs."""

import copy
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers.normalizers import Lowercase, Strip
from tokenizers.normalizers import Sequence as Normalizers
from tools.launched import twice

from janus_minimal.errors import InputError, PromptError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.jobs.album import LONGEST, make_album, read_prompts
from janus_minimal.jobs.identity import identity
from janus_minimal.jobs.request import Request

PROMPTS = ["a red circle", "two stars", "a blue square", "a green cross", "three triangles"]
LIKE = Request("", steps=2, num_images=2)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_prompt_becomes_the_sheet_that_it_makes_alone(pipe, tmp_path):
    """album(prompts)[i] = sheet(prompt i), which stores its request, and the identity of the model as "drawn by".

    The sheets are in the order of the prompts, and each starts from the same seeds as alone.
    """
    like, model = replace(LIKE, num_images=3), identity(pipe)
    paths = make_album(pipe, PROMPTS, like, tmp_path / "album")
    for path, prompt in zip(paths, PROMPTS, strict=True):
        alone = contact_sheet(pipe.to_pictures(replace(like, prompt=prompt).draw(pipe, progress=False)), columns=4)
        with Image.open(path) as picture:
            assert picture.tobytes() == alone.tobytes()
            assert picture.info == {"asked for": str(replace(like, prompt=prompt)), "drawn by": model}
    assert [path.name for path in paths] == sorted(files(tmp_path / "album"))


def test_numbers_of_numpy_ask_for_the_same_sheet(unchecked, pipe, tmp_path):
    """album(steps, seed, ... of NumPy) = album(the same of Python), and either continues the other.

    Whoever computes the settings of an album has such numbers. JSON does not know them, which would be found when the
    first sheet was drawn.
    """
    theirs = Request("", steps=np.int64(1), num_images=np.int32(1), seed=np.uint8(3), cfg_weight=np.float32(2.5))
    ours = Request("", steps=1, num_images=1, seed=3, cfg_weight=2.5)
    assert str(theirs) == str(ours)
    (path,) = make_album(pipe, PROMPTS[:1], theirs, tmp_path)
    before = path.stat().st_mtime_ns
    assert make_album(pipe, PROMPTS[:1], ours, tmp_path) == [path]
    assert path.stat().st_mtime_ns == before


def test_an_album_has_a_prompt(pipe, tmp_path):
    """album of no prompts  =>  InputError, and no folder.

    An empty folder would look like an album that was begun.
    """
    with pytest.raises(InputError, match="no prompts: expected at least one"):
        make_album(pipe, [], LIKE, tmp_path / "album")
    assert not (tmp_path / "album").exists()


@pytest.mark.parametrize("separator", ["\f", "\v", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_a_line_break_ends_a_prompt(tmp_path, separator):
    """prompts of "a<separator>b" = the one prompt that generate "a<separator>b" has; breaks are LF, CR LF and CR.

    An editor shows one line, and the sheets' numbers would not be those of its lines.
    """
    (tmp_path / "p.txt").write_bytes(f"a{separator}b\r\nc\rd\n\ne".encode())
    assert read_prompts(tmp_path / "p.txt") == [f"a{separator}b", "c", "d", "e"]


def test_a_run_that_continues_makes_what_is_missing(pipe, tmp_path):
    """album(album - {i}) = album; the other files are not touched.

    The files in the folder are the only record of progress, so there is no state that could contradict them.
    """
    paths = make_album(pipe, PROMPTS[:3], LIKE, tmp_path)
    before, times = files(tmp_path), [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()
    assert make_album(pipe, PROMPTS[:3], LIKE, tmp_path) == paths
    assert files(tmp_path) == before
    assert [paths[i].stat().st_mtime_ns for i in (0, 2)] == [times[0], times[2]]


def test_two_processes_make_the_album_of_one(pipe, tmp_path):
    """album(2 processes) = album(1 process).

    Each process draws every second prompt. None is drawn twice, and no process waits for another's picture.
    """
    make_album(pipe, PROMPTS, LIKE, tmp_path / "one")
    (tmp_path / "prompts.txt").write_text("\n\n".join(PROMPTS), encoding="utf-8")
    asked = ("--prompts", "prompts.txt", "--out", "two", "--steps", "2", "--num-images", "2")
    result = twice(tmp_path, "generate", *asked)
    assert result.returncode == 0, result.stderr
    assert (
        f"{len(PROMPTS) - len(PROMPTS) // 2}/{len(PROMPTS) - len(PROMPTS) // 2}" in result.stderr
    )  # the prompts of the first process
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert result.stdout.count("5 sheets") == 1


def test_processes_wait_before_the_first_sheet_and_after_the_last(pipe, tmp_path, monkeypatch):
    """files(album) at the two meetings of all processes: what was there, then its share of the missing sheets as well.

    A process that listed late would find another's sheets, and share out the rest anew. One that left early would say
    that the album is there while others still draw.
    """
    met = []
    make_album(pipe, PROMPTS[:1], LIKE, tmp_path)

    class Process(SimpleNamespace):
        def wait_for_everyone(self):
            met.append([path.name for path in sorted(tmp_path.iterdir())])

    process = Process(process_index=1, num_processes=2, is_main_process=False)
    monkeypatch.setattr("janus_minimal.jobs.album.PartialState", lambda: process)
    make_album(pipe, PROMPTS[:4], LIKE, tmp_path)
    assert met == [["00000.png"], ["00000.png", "00002.png"]]  # of 1, 2 and 3


def test_an_album_has_one_bar_and_a_single_request_has_its_own(pipe, tmp_path, capfd):
    """make_album: a bar of sheets, none of steps; request.draw: a bar of steps.

    Two bars that overwrite each other's line cannot be read.
    """
    make_album(pipe, PROMPTS[:1], LIKE, tmp_path)
    assert "step" not in capfd.readouterr().err
    replace(LIKE, prompt=PROMPTS[0]).draw(pipe)
    assert "step" in capfd.readouterr().err


@pytest.mark.parametrize("main", [True, False])
def test_only_the_first_process_shows_a_bar(pipe, tmp_path, monkeypatch, main):
    """make_album in process 0 of n: a bar; in process k > 0: none.

    Bars of several processes would overwrite each other in one terminal.
    """
    shown = []
    state = SimpleNamespace(is_main_process=main, process_index=0, num_processes=1, wait_for_everyone=lambda: None)
    monkeypatch.setattr("janus_minimal.jobs.album.PartialState", lambda: state)
    monkeypatch.setattr(
        "janus_minimal.jobs.album.tqdm", lambda items, **how: shown.append(not how.get("disable", False)) or []
    )
    make_album(pipe, PROMPTS[:1], LIKE, tmp_path)
    assert shown == [main]


def test_pictures_of_another_request_are_not_mixed_in(pipe, tmp_path):
    """request(file) != request  =>  InputError, and nothing is written.

    A PNG stores its request. A file without one was made by somebody else and must not be overwritten.
    """
    first, _ = make_album(pipe, PROMPTS[:2], LIKE, tmp_path)
    first.unlink()
    before = files(tmp_path)
    for prompts, like in ((["a red circle", "a red cross"], LIKE), (PROMPTS[:2], replace(LIKE, seed=1))):
        with pytest.raises(InputError, match=r"00001\.png was made for another request.*another --out"):
            make_album(pipe, prompts, like, tmp_path)
    assert files(tmp_path) == before


def damaged(path, kind):
    """Put something else in the place of a sheet."""
    whole = path.read_bytes()
    path.unlink()
    {
        "no picture": lambda: path.write_bytes(b"no picture"),
        "JPEG": lambda: Image.new("RGB", (8, 8)).save(path, format="jpeg"),
        "PostScript": lambda: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"),
        "cut off": lambda: path.write_bytes(whole[:-20]),
        "another byte": lambda: path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:]),
        "half a PNG": lambda: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0"),
        "PNG of somebody else": lambda: Image.new("RGB", (8, 8)).save(path, format="png"),
        "FIFO": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
    }[kind]()


KINDS = (
    "no picture",
    "JPEG",
    "PostScript",
    "half a PNG",
    "PNG of somebody else",
    "FIFO",
    "device",
    "folder",
    "cut off",
    "another byte",
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_sheet_is_one_line(pipe, tmp_path, kind, monkeypatch):
    """anything else at a sheet's place  =>  InputError at once, and it stays. Only the decoder of PNG looks at it.

    A FIFO waits for somebody who writes into it. Of the other decoders some start programs.
    """
    sheet = make_album(pipe, PROMPTS[:1], LIKE, tmp_path)[0]
    damaged(sheet, kind)
    tried = []
    for name in ("JPEG", "EPS"):
        Image.init()
        make, accept = Image.OPEN[name]
        monkeypatch.setitem(Image.OPEN, name, (lambda *given, make=make: tried.append(1) or make(*given), accept))
    with pytest.raises(InputError, match=r"00000\.png is no sheet of an album: expected another --out"):
        make_album(pipe, PROMPTS[:1], LIKE, tmp_path)
    assert os.path.lexists(sheet)
    assert not tried


def test_an_album_of_huge_sheets_goes_on(pipe, tmp_path, monkeypatch):
    """a sheet of more pixels than Pillow opens without a word  =>  it is ours all the same, and no warning.

    Pillow takes a large picture for a bomb that fills the memory. Here only its head is read.
    """
    make_album(pipe, PROMPTS[:1], LIKE, tmp_path)
    before = files(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # a sheet has 400 x 200
    make_album(pipe, PROMPTS[:1], LIKE, tmp_path)
    assert files(tmp_path) == before


def test_a_prompt_that_cannot_be_drawn_is_found_before_the_work(pipe, tmp_path):
    """any prompt unknown  =>  PromptError that counts it, no folder.

    A mistake in the last line of a long file should not stop the run after an hour.
    """
    with pytest.raises(PromptError, match=f"prompt {len(PROMPTS) + 1}: .*dragon"):
        make_album(pipe, [*PROMPTS, "a red dragon"], LIKE, tmp_path / "album")
    assert not (tmp_path / "album").exists()


@pytest.mark.parametrize("content", [None, b"", b" \n\n", b"a red circle\n\xff\xfe"])
def test_what_is_no_file_of_prompts_is_refused(content, tmp_path):
    """no line with a prompt  =>  InputError.

    The file may be missing, empty, blank, or no text. The message says which, and what is expected.
    """
    if content is not None:
        (tmp_path / "prompts.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"prompts\.txt .*expected"):
        read_prompts(tmp_path / "prompts.txt")


CHANGED = ("weights", "dtype", "VAE", "scaling factor", "activation", "groups")
CHANGED += ("theta", "norms", "size", "tokenizer", "precision")


@pytest.mark.parametrize("changed", CHANGED)
def test_sheets_of_another_model_are_not_mixed_in(pipe, tmp_path, changed, precision):
    """model(file) != model  =>  InputError, and nothing is written.

    Half of an album by one model and half by another looks like an album.
    """
    first, _ = make_album(pipe, PROMPTS[:2], LIKE, tmp_path)
    first.unlink()
    before = files(tmp_path)
    other = copy.deepcopy(pipe)
    {
        "weights": lambda: torch.nn.init.zeros_(other.model.vision_gen_enc_aligner.bias),
        "dtype": lambda: other.model.to(torch.bfloat16),
        "VAE": lambda: torch.nn.init.zeros_(other.vae.decoder.conv_out.bias),
        "scaling factor": lambda: other.vae.register_to_config(scaling_factor=1.0),
        "activation": lambda: other.vae.register_to_config(act_fn="relu"),
        "groups": lambda: other.vae.register_to_config(norm_num_groups=16),
        "theta": lambda: setattr(other.model, "config", _with_theta(other.model.config)),
        "norms": lambda: setattr(other.model, "config", _with_other_norms(other.model.config)),
        "size": lambda: setattr(other.model, "config", replace(other.model.config, image_size=96)),
        "tokenizer": lambda: setattr(
            other.tokenizer.backend_tokenizer, "normalizer", Normalizers([Lowercase(), Strip()])
        ),
        "precision": lambda: precision("high"),
    }[changed]()
    with pytest.raises(InputError, match=r"00001\.png was drawn with another checkpoint, VAE, dtype or"):
        make_album(other, PROMPTS[:2], LIKE, tmp_path)
    assert files(tmp_path) == before


def _with_other_norms(config):
    return replace(config, encoder=replace(config.encoder, norm_eps=1e-3))


def _with_theta(config):
    return replace(config, language=replace(config.language, rope_theta=500.0))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"steps": steps} for steps in (0, 2.5, True, "3", None)),
        *({"num_images": number} for number in (0, 10**9, "4", None)),
        *({"cfg_weight": weight} for weight in (float("nan"), 10**400, "2", None)),
        *({"solver": solver} for solver in ("rk45", None, ["euler"])),
        *({"seed": seed} for seed in (-1, 2**63, 1.5, "0", None)),
        *({"shift": shift} for shift in (0, -1.0, float("inf"), 1e30, "3", None)),
    ],
)
def test_a_folder_is_not_made_for_a_request_that_cannot_be_drawn(unchecked, pipe, tmp_path, wrong):
    """settings refused, by value or by kind  =>  InputError, which names the setting, and no folder.

    An empty folder looks like an album that was begun.
    """
    (name,) = wrong
    with pytest.raises(InputError, match=rf"{name.replace('cfg_weight', 'guidance weight')}\w* is .*: expected"):
        make_album(pipe, PROMPTS, replace(LIKE, **wrong), tmp_path / "album")
    assert not (tmp_path / "album").exists()


def test_a_file_of_prompts_may_begin_with_a_byte_order_mark(tmp_path):
    """read(BOM + text) = read(text).

    Editors on Windows write the mark, and the first word would be an unknown one.
    """
    (tmp_path / "prompts.txt").write_text("\ufeffa red circle\r\n\r\ntwo stars\r\n", encoding="utf-8", newline="")
    assert read_prompts(tmp_path / "prompts.txt") == ["a red circle", "two stars"]


@pytest.mark.parametrize("kind", ["FIFO", "endless", "folder", "too large"])
def test_a_file_of_prompts_that_does_not_end_is_refused(tmp_path, kind):
    """FIFO, device, folder, more than 16 MiB  =>  InputError, at once.

    A FIFO waits for somebody who writes into it.
    """
    path = tmp_path / "prompts.txt"
    {
        "FIFO": lambda: os.mkfifo(path),
        "endless": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "too large": lambda: path.write_bytes(b"a star\n" * (LONGEST // 7 + 1)),
    }[kind]()
    with pytest.raises(InputError, match=r"prompts\.txt (is no plain file|has more than 16,777,216 bytes): expected"):
        read_prompts(path)


def test_a_file_of_prompts_may_have_as_many_bytes_as_the_message_says(tmp_path, monkeypatch):
    """|file| = the limit  =>  read whole; one byte more  =>  InputError.

    Cut off at the limit, the last prompt would be another one.
    """
    monkeypatch.setattr("janus_minimal.jobs.album.LONGEST", 14)
    (tmp_path / "p.txt").write_bytes(b"a star\na cross")
    assert read_prompts(tmp_path / "p.txt") == ["a star", "a cross"]
    (tmp_path / "p.txt").write_bytes(b"a star\na cross\n")
    with pytest.raises(InputError, match="has more than 14 bytes"):
        read_prompts(tmp_path / "p.txt")


def test_a_model_that_is_changed_in_place_is_another_model(pipe):
    """identity(pipe) before a weight is changed in place  !=  after it; changed back, it is the first again.

    A notebook trains or casts its pipeline and goes on with an album. A name that was remembered would mix the two.
    """
    mine = copy.deepcopy(pipe)
    weight = mine.model.vision_gen_enc_aligner.bias
    before, was = identity(mine), weight.detach().clone()
    with torch.no_grad():
        weight += 1
        changed = identity(mine)
        weight.copy_(was)
    assert before == identity(pipe) == identity(mine) != changed
