"""A folder of your own pictures: what is read from it, what is refused, and the run that learns from it."""

import json
import os
import shutil
import signal
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tools.damaged_png import chunk, write_png
from tools.launched import Launched, twice
from tools.small_runs import be_small, small_runs
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from janus_minimal import JanusFlowPipeline
from janus_minimal.cli import app
from janus_minimal.errors import InputError
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.pretrained import read_tokenizer
from janus_minimal.loading.tokenizer import check_tokenizer
from janus_minimal.loading.vae import load_vae
from janus_minimal.shapes.examples import SmallWorld
from janus_minimal.shapes.run import train_all
from janus_minimal.training import pictures
from janus_minimal.training.pictures import (
    load_folder,
    random_square,
    read_metadata,
    train_folder,
    tune_folder,
)
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.small import FLOW_RECIPE, VAE_RECIPE
from janus_minimal.training.source import Source, encode_examples
from janus_minimal.training.start import Start
from janus_minimal.training.tokenizer import BEGIN, PAD, UNKNOWN, build_tokenizer, learn_tokenizer, tokenize
from janus_minimal.training.tuning import Tuning

COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}
VAE = replace(VAE_RECIPE, steps=2, batch_size=2, save_every=2)
FLOW = replace(FLOW_RECIPE, steps=3, batch_size=2, save_every=2)
OPTIONS = ("--steps", "3", "--vae-steps", "2", "--batch-size", "2", "--save-every", "2", "--device", "cpu")


def write(folder: Path, *lines: object) -> Path:
    """Write metadata.jsonl with these lines: text as it stands, anything else as JSON."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "metadata.jsonl").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return folder


def line(name: str, text: object = "a thing") -> dict[str, object]:
    return {"file_name": name, "text": text}


def make(folder: Path) -> Path:
    """Make three pictures, each of one colour, 60 x 50 pixels, with captions."""
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (60, 50), colour).save(folder / f"{name}.png")
    return write(folder, *(line(f"{name}.png", f"A {name} sheet, empty") for name in COLOURS))


@pytest.fixture(scope="module", autouse=True)
def small():
    with small_runs():
        yield


@pytest.fixture
def folder(tmp_path) -> Path:
    return make(tmp_path / "data")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """A run of three steps; its folder of pictures is beside it."""
    directory = tmp_path_factory.mktemp("own")
    train(make(directory / "data"), directory / "run")
    return directory / "run"


@pytest.fixture
def finished(uninterrupted, tmp_path) -> Path:
    """A copy of the finished run and of its pictures, which a test may change."""
    shutil.copytree(uninterrupted.parent / "data", tmp_path / "pictures")
    return Path(shutil.copytree(uninterrupted, tmp_path / "run"))


def train(data: Path, out: Path, **changes) -> None:
    train_folder(data, out, Accelerator(cpu=True), **({"vae": VAE, "flow_recipe": FLOW} | changes))


def losses(directory: Path, part: str = "flow") -> list[float]:
    with safe_open(directory / f"{part}.training.safetensors", "pt") as file:
        return file.get_tensor("losses").tolist()


FAULTS = {
    "no JSON": ("{file_name: x}", r"metadata\.jsonl, line 2: no JSON: expected \{"),
    "lists in lists": ("[" * 100_000, r"line 2: no JSON: expected \{"),
    "no object": ("[1]", r"line 2: its file_name is missing"),
    "no file_name": ({"text": "a"}, r"line 2: its file_name is missing"),
    "no text": ({"file_name": "red.png"}, r"line 2: its text is missing"),
    "another key": ({"file_name": "red.png", "caption": "a"}, r"line 2: its text is missing"),
    "empty caption": (line("red.png", "  "), r"line 2: its text is missing, empty"),
    "caption that is a number": (line("red.png", 3), r"line 2: its text is missing, empty or no text"),
    "control character": (line("red.png", "a\0b"), r"line 2: .*control character U\+0000"),
    "absent": (line("white.png"), r"line 2: no file white\.png in "),
    "above the folder": (line("../secret.png"), r"line 2: \.\./secret\.png leads out of "),
    "beside the folder, under a longer name": (line("../data-2/secret.png"), r"line 2: \S*secret\.png leads out of "),
    "link out of the folder": (line("link.png"), r"line 2: link\.png leads out of "),
    "NUL in the name": (line("red\0.png"), r"line 2: no file "),
    "long name": (line("x" * 5000), r"line 2: no file "),
    "loop of links": (line("loop.png"), r"line 2: no file loop\.png in "),
    "key twice": ('{"file_name": "red.png", "text": "a star", "text": "a circle"}', r"line 2: its text stands twice"),
    "damaged profile": (line("profile.png"), r"line 2 \(profile\.png\): .*holds no picture"),
    "no transparency": (line("clear.png"), r"line 2 \(clear\.png\): the picture's colours are damaged"),
    "no picture": (line("text.png"), r"line 2 \(text\.png\): .*holds no picture"),
    "half a picture": (line("half.png"), r"line 2 \(half\.png\): .*holds no picture"),
    "folder": (line("sub"), r"line 2 \(sub\): .*holds no picture"),
    "FIFO": (line("fifo.png"), r"line 2 \(fifo\.png\): .*no plain file"),
    "too small": (line("small.png"), r"line 2 \(small\.png\): 200 x 47 pixels: expected at least 48"),
    "16 bits": (line("deep.png"), r"line 2 \(deep\.png\): .*expected 8 bits a channel"),
    "long caption": (line("red.png", "so " * 500), r"line 2 \(red\.png\): the prompt has 50\d tokens"),
    "twice": (line("green.png", "a green thing"), r"line 2 .* has the picture and the caption of .*line 1"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    """A folder with files of every kind that cannot be learned from."""
    folder = make(tmp_path_factory.mktemp("faulty") / "data")
    (folder.parent / "data-2").mkdir()
    for place in (folder.parent, folder.parent / "data-2"):
        Image.new("RGB", (60, 60)).save(place / "secret.png")
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "text.png").write_text("no picture")
    (folder / "half.png").write_bytes((folder / "red.png").read_bytes()[:60])
    (folder / "sub").mkdir()
    os.mkfifo(folder / "fifo.png")
    (folder / "loop.png").symlink_to("loop.png")
    write_png(folder / "profile.png", after=chunk(b"iCCP", b"\0"), mode="P")
    write_png(folder / "clear.png", before=chunk(b"tEXt", b"transparency\0none"), mode="P")
    Image.new("RGB", (200, 47)).save(folder / "small.png")
    Image.new("I;16", (60, 60)).save(folder / "deep.png")
    return folder


@pytest.mark.parametrize("fault", FAULTS)
def test_a_line_that_cannot_be_learned_from_is_named(faulty, fault):
    """a fault in line 2  =>  InputError with "line 2", the file where there is one, and what is expected.

    A folder has thousands of lines, and training takes hours: it must be known before, and which line it is.
    """
    broken, message = FAULTS[fault]
    write(faulty, line("green.png", "a green thing"), broken, line("blue.png"))
    with pytest.raises(InputError, match=message) as error:
        load_folder(faulty, 48)
    assert "\n" not in str(error.value)


def test_a_line_that_is_no_utf8_is_named(folder):
    """bytes that are no UTF-8 in line 1  =>  InputError with "line 1".

    Another encoding would be read as other letters, so as other words.
    """
    path = folder / "metadata.jsonl"
    path.write_bytes(b'{"file_name": "red.png", "text": "caf\xe9"}\n')
    with pytest.raises(InputError, match="line 1: no JSON"):
        load_folder(folder, 48)


def test_a_name_from_the_root_is_refused(folder):
    """an absolute file_name, of a picture outside  =>  InputError; the same picture inside the folder is read.

    A folder that somebody passes on must not choose pictures from the disk of whoever trains on it.
    """
    outside = folder.parent / "outside.png"
    shutil.copy(folder / "red.png", outside)
    with pytest.raises(InputError, match="expected a file in the folder"):
        read_metadata(write(folder, line(str(outside))))
    (folder / "sub").mkdir()
    shutil.copy(outside, folder / "sub")
    assert len(read_metadata(write(folder, line("sub/outside.png")))) == 1


@pytest.mark.parametrize("fault", ["no folder", "long name", "a file", "no metadata", "FIFO", "no pair", "empty"])
def test_a_folder_without_pairs_is_refused(folder, fault):
    """no folder, no metadata.jsonl, or one without a pair  =>  InputError, and no run is begun.

    It says what a line should look like, because whoever sees it has not written one yet.
    """
    path = folder / "metadata.jsonl"
    path.unlink()
    if fault == "FIFO":
        os.mkfifo(path)
    if fault in ("no pair", "empty"):
        path.write_text("\n\n" if fault == "no pair" else "")
    others = {"no folder": folder / "absent", "long name": folder / ("x" * 300), "a file": folder / "red.png"}
    data = others.get(fault, folder)
    with pytest.raises(InputError, match=r"no folder|no plain file: expected \{|holds no pair: expected \{"):
        train(data, folder.parent / "run")
    assert not (folder.parent / "run").exists()


def test_a_byte_order_mark_and_empty_lines_are_read_over(folder):
    """metadata with a byte order mark, CRLF and empty lines = the same without them.

    Editors on Windows write them, and nobody sees them.
    """
    path = folder / "metadata.jsonl"
    plain = read_metadata(folder)
    path.write_bytes(b"\xef\xbb\xbf\r\n" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    found = read_metadata(folder)
    assert [(pair.path, pair.caption) for pair in found] == [(pair.path, pair.caption) for pair in plain]
    assert [int(pair.place.split("line ")[1].split()[0]) for pair in found] == [2, 4, 6]


def test_empty_lines_need_no_memory_of_their_own(folder, monkeypatch):
    """peak(a file of n empty lines) < 3 n bytes: the file, and little beside it.

    A list of the lines has 8 bytes for each. A file of a gigabyte, which is accepted, would need nine of them.
    """
    monkeypatch.setattr(pictures, "MOST_BYTES", 2**20)  # Python sets aside what it may read at most
    path = folder / "metadata.jsonl"
    path.write_bytes(b"\n" * (2**20 - path.stat().st_size) + path.read_bytes())
    tracemalloc.start()
    try:
        assert len(read_metadata(folder)) == 3
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
    finally:
        tracemalloc.stop()


def test_captions_are_checked_before_the_first_picture_is_opened(folder, monkeypatch):
    """an unknown word or a caption that is too long in the last line  =>  InputError, and no picture is read.

    A folder may have a hundred thousand pictures. Spaces around a caption make no other one.
    """
    monkeypatch.setattr(pictures, "read_picture", lambda path: pytest.fail("a picture was read"))
    with pytest.raises(InputError, match=r"line 2 .*the prompt has"):
        load_folder(write(folder, line("red.png"), line("blue.png", "so " * 500)), 48)
    with pytest.raises(InputError, match=r"line 2 .* has the picture and the caption of"):
        load_folder(write(folder, line("red.png", "a sheet"), line("red.png", " a sheet ")), 48)


def test_pictures_stay_with_their_captions(folder):
    """picture i of the source is that of line i, whatever the order of the files is, and its caption stands beside it.

    A model that learns from the captions of other pictures learns to ignore captions.
    """
    write(folder, *(line(f"{name}.png", f"a {name} sheet") for name in ("blue", "red", "green", "red", "red")[:4]))
    with pytest.raises(InputError, match="line 4"):
        load_folder(folder, 48)
    write(folder, line("blue.png", "b"), line("red.png", "r"), line("green.png", "g"), line("red.png", "other"))
    found = load_folder(folder, 48)
    assert found.captions == ["b", "r", "g", "other"]
    means = found.pictures(range(1, 4)).mean(dim=(2, 3))
    torch.testing.assert_close((means + 1) * 127.5, torch.tensor([[200.0, 0, 0], [0, 200, 0], [200, 0, 0]]))


def test_a_picture_is_neither_turned_nor_mirrored(folder):
    """x[rgb, y, x] = pixel(x, y) / 127.5 - 1, from the file to what the VAE takes.

    A VAE reconstructs turned pictures as well, and every picture that is drawn later would be turned.
    """
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    source = load_folder(write(folder, line("noise.png")), 48)
    expected = torch.from_numpy(noise).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(source.pictures(range(1))[0], expected)
    torch.testing.assert_close(source.draw(2, (0,)), torch.stack([expected, expected]))


def test_transparent_parts_are_white(folder):
    """alpha = 0  =>  white; grey pictures have three equal channels.

    Icons come without a background. Read without the alpha channel, theirs would be black, or anything.
    """
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(folder / "clear.png")
    Image.new("L", (50, 50), 51).save(folder / "grey.png")
    found = load_folder(write(folder, line("clear.png"), line("grey.png")), 48)
    assert (found.pixels[0] == 255).all()
    assert (found.pixels[1] == 51).all()


@given(width=st.integers(8, 40), height=st.integers(8, 40), seed=st.integers(0, 1000))
def test_a_square_is_cut_from_the_long_side(width, height, seed):
    """random_square: the short side becomes S, and the square is one window of the long side, all of the short one.

    The colours are the coordinates, so they say where a pixel comes from. A stretched picture would have other steps.
    """
    across, down = np.meshgrid(np.arange(width) * 6, np.arange(height) * 6)
    picture = Image.fromarray(np.stack([across, down, 0 * down], axis=-1).astype(np.uint8))
    square = random_square(picture, 8, np.random.default_rng(seed)).astype(float)
    assert square.shape == (8, 8, 3)
    scale = 6 * min(width, height) / 8  # colour steps from one pixel to the next
    for axis, (channel, edge) in enumerate(((square[4, :, 0], width), (square[:, 4, 1], height))):
        steps = np.diff(channel)[2:-2]
        assert steps == pytest.approx(np.full(len(steps), scale * 1.0), abs=scale * 0.2 + 1.5), axis
        if edge == min(width, height):
            assert channel.mean() == pytest.approx(6 * (edge - 1) / 2, abs=1.5)


def test_a_picture_is_resized_as_exactly_as_pillow_can():
    """random_square(97 x 50 to 8) = a window of Lanczos' 16 x 8: the long side is rounded, and not cut down to 15.

    A filter that looks at too few pixels leaves jagged edges, which the VAE then learns.
    """
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 97, 3), np.uint8))
    whole, rng = np.asarray(picture.resize((16, 8), Image.Resampling.LANCZOS)), np.random.default_rng(0)
    windows = [whole[:, left : left + 8].tobytes() for left in range(9)]
    assert {windows.index(random_square(picture, 8, rng).tobytes()) for _ in range(200)} == set(range(9))


def test_every_square_of_a_long_picture_can_be_chosen():
    """200 draws from 9 windows: each window occurs, the first and the last one too.

    A crop that is always the centre never shows what stands at the edge, and one that misses the last column neither.
    """
    picture = Image.fromarray(np.tile(np.arange(16, dtype=np.uint8)[None, :, None], (8, 1, 3)))
    rng = np.random.default_rng(0)
    lefts = {int(random_square(picture, 8, rng)[0, 0, 0]) for _ in range(200)}
    assert lefts == set(range(9))


def test_the_square_is_the_same_at_every_start_and_another_for_another_seed(folder):
    """pixels(folder, seed) = pixels(folder, seed), != pixels(folder, seed + 1); nor is it the next picture's square.

    A resumed run must have the same latents; and which part of a picture is learned is the choice of seed and number.
    """
    noise = np.random.default_rng(0).integers(0, 255, (48, 200, 3), np.uint8)
    for i in range(2):
        Image.fromarray(noise).save(folder / f"long-{i}.png")
    write(folder, *(line(f"long-{i}.png") for i in range(2)))
    first, again, other = (load_folder(folder, 48, seed).pixels for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[1], other[0])


def test_a_crop_is_the_same_in_every_version(folder):
    """square(picture i): its window is drawn by NumPy's generator of (seed, 2, i); the seed is 0 if nobody names one.

    A run knows its pictures by their pixels. With other crops, a new version would refuse all that was begun before.
    """
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 200, 3), np.uint8))
    noise.save(folder / "long.png")
    write(folder, *(line("long.png", text) for text in ("a", "b")))
    for found, seed in ((load_folder(folder, 48), 0), (load_folder(folder, 48, 3), 3)):
        for i in range(2):
            left = np.random.default_rng([seed, 2, i]).integers(200 - 48 + 1)
            assert np.array_equal(found.pixels[i], np.asarray(noise)[:, left : left + 48])


def test_a_caption_has_all_positions_that_the_image_leaves(folder):
    """512 positions = prompt + time token + 36 image tokens: 470 words and 5 tokens around them, and no word more.

    Nobody names a model here: it is the small one.
    """
    assert len(load_folder(write(folder, line("red.png", "so " * 470)), 48).captions) == 1
    with pytest.raises(InputError, match="the prompt has 476 tokens, with the image 513: expected at most 475"):
        load_folder(write(folder, line("red.png", "so " * 471)), 48)


def test_metadata_that_may_not_be_read_are_named_with_the_reason(folder, monkeypatch):
    """open(metadata.jsonl) is denied  =>  InputError, which says so.

    It may belong to somebody else.
    """
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(InputError, match=r"metadata\.jsonl cannot be read: Permission denied$"):
        read_metadata(folder)


def test_metadata_are_no_more_than_a_gigabyte(folder, monkeypatch):
    """read_plain(metadata.jsonl, 2^30 bytes): several million captions, and an end.

    A file that is larger is no list of captions that anybody made.
    """
    asked, read = [], pictures.read_plain
    monkeypatch.setattr(pictures, "read_plain", lambda *given: asked.append(given[:2]) or read(given[0], 1000))
    read_metadata(folder)
    assert asked == [(folder / "metadata.jsonl", 1_073_741_824)]


def test_pictures_for_the_vae_depend_on_the_seed_alone(folder):
    """draw(n, seed) = draw(n, seed) != draw(n, seed'), in -1..1, with replacement; every picture occurs.

    Step k asks for (the run's seed, 0, k), and all three numbers count. A resumed run has not drawn the earlier ones.
    """
    found = load_folder(folder, 48)
    first = found.draw(30, (1, 0, 2))
    assert first.equal(found.draw(30, (1, 0, 2)))
    assert not any(first.equal(found.draw(30, other)) for other in ((1, 0, 3), (2, 0, 2), (1, 1, 2), (0, 2)))
    assert {int(mean.argmax()) for mean in first.mean(dim=(2, 3))} == {0, 1, 2}
    threes = [found.draw(3, (1, 0, k)).mean(dim=(2, 3)).argmax(dim=1).tolist() for k in range(10)]
    assert min(len(set(three)) for three in threes) < 3
    assert first.min() == -1
    assert first.max().item() == pytest.approx(200 / 127.5 - 1)


def test_the_samples_are_of_the_folders_own_captions(folder):
    """shown = up to 16 different captions, from the first to the last, evenly spaced.

    The first 16 lines of a folder often show one kind of thing.
    """
    texts = [f"thing {i // 2}" for i in range(100)]
    for i in range(100):
        shutil.copy(folder / "red.png", folder / f"{i}.png")
    shown = load_folder(write(folder, *(line(f"{i}.png", text) for i, text in enumerate(texts))), 48).shown
    assert list(shown) == [f"thing {i * 49 // 15}" for i in range(16)]
    assert list(load_folder(write(folder, line("1.png", "a")), 48).shown) == ["a"]


def test_every_word_of_the_captions_is_one_token(tmp_path):
    """tokens = [bos, user, :, the words and marks, assistant, :, <begin_of_image>]; no capitals, no marks in words.

    "cat" and "Cat," would otherwise be two words, and each would be learned from half of the pictures.
    """
    tokenizer = learn_tokenizer(["A Cat, asleep", "two dogs; a cat?"])
    (ids,) = tokenize(tokenizer, ["a CAT asleep; two dogs"])
    words = ["a", "cat", "asleep", ";", "two", "dogs"]
    expected = ["<｜begin▁of▁sentence｜>", "user", ":", *words, "assistant", ":", "<begin_of_image>"]
    assert tokenizer.convert_ids_to_tokens(ids) == expected
    assert tokenizer.tokenize("a bird") == ["a", "<unk>"]
    assert {*tokenizer.get_vocab()} == {
        *expected,
        "<｜▁pad▁｜>",
        "<unk>",
        ",",
        "?",
    }  # and no pieces of the special ones
    check_tokenizer(tokenizer, len(tokenizer))
    tokenizer.save_pretrained(tmp_path)
    assert read_tokenizer(tmp_path).encode("a CAT asleep; two dogs") == tokenizer.encode("a CAT asleep; two dogs")


def test_another_tokenizer_is_another_source(folder):
    """about(folder, tokenizer) != about(folder, a tokenizer with the same words in another order).

    Each word would be trained under the embedding of another one.
    """
    (words, other) = (["a", "red", "user:", "assistant:"], ["red", "a", "user:", "assistant:"])
    write(folder, line("red.png", "a red"))
    first, again, changed = (load_folder(folder, 48, 0, build_tokenizer(w)).about for w in (words, words, other))
    assert first == again
    assert {name for name in first if first[name] != changed[name]} == {"tokenizer"}


def test_the_order_of_the_captions_makes_no_other_tokenizer():
    """learn(captions) = learn(captions in another order).

    Python's sets have another order in every process, and two processes that train together must agree.
    """
    captions = ["a cat", "two dogs", "an ant on a leaf"]
    assert learn_tokenizer(captions).get_vocab() == learn_tokenizer(captions[::-1]).get_vocab()
    words = [word for word, _ in sorted(learn_tokenizer(captions).get_vocab().items(), key=lambda entry: entry[1])]
    assert words[4:] == sorted(words[4:])


def test_a_word_that_a_given_tokenizer_does_not_know_is_named(folder, pipe):
    """a caption with an unknown word  =>  InputError with its line and the word.

    All unknown words would be one token, so their captions could not be told apart.
    """
    write(folder, line("red.png", "a red circle"), line("green.png", "a green sheet"))
    with pytest.raises(InputError, match=r'line 2 \(green\.png\): the tokenizer does not know "sheet"'):
        load_folder(folder, 48, 0, pipe.tokenizer)
    assert (
        load_folder(write(folder, line("red.png", "a red circle")), 48, 0, pipe.tokenizer).tokenizer is pipe.tokenizer
    )


def test_both_sources_are_trained_by_one_trainer(folder, monkeypatch):
    """train_all and train_folder hand a Source, and the settings that they are given, to train_checkpoint.

    Two trainers would differ one day, and what is proven of one would not hold of the other.
    """
    calls = []
    monkeypatch.setattr("janus_minimal.shapes.run.train_checkpoint", lambda *given: calls.append(given))
    monkeypatch.setattr(pictures, "train_checkpoint", lambda *given: calls.append(given))
    accelerator = Accelerator(cpu=True)
    train_all(Path("there"), accelerator, VAE, FLOW, 3)
    train_folder(folder, Path("there"), accelerator, VAE, FLOW)
    for out, source, *settings in calls:
        assert out == Path("there")
        assert isinstance(source, Source)
        assert settings == [accelerator, VAE, FLOW]
    assert isinstance(calls[0][1], SmallWorld)
    assert len(calls[0][1].captions) == len(calls[1][1].captions) == 3


def test_training_on_a_folder_leaves_a_checkpoint_that_draws_its_captions(uninterrupted):
    """train(folder)  =>  pipeline(run), which knows the words of the captions and no others.

    A run leaves the official layout, its VAE, loss curves and sample pictures, and no unfinished file.
    """
    pipe = JanusFlowPipeline.from_pretrained(uninterrupted)
    assert pipe("a red sheet, empty", 1, progress=False).images[0].size == (48, 48)
    with pytest.raises(InputError, match='does not know "circle"'):
        pipe("a red circle", 1, progress=False)
    written = {path.name for path in uninterrupted.iterdir()}
    assert {"flow-loss.png", "flow-samples.png", "vae-loss.png", "vae-samples.png", "settings.json"} < written
    assert not [name for name in written if name.startswith(".")]
    assert len(losses(uninterrupted)) == FLOW.steps
    with safe_open(uninterrupted / "latents.safetensors", "pt") as file:
        assert file.get_tensor("latents").shape == (3, 4, 12, 12)


@pytest.mark.slow
def test_a_killed_run_on_a_folder_goes_on_with_the_same_losses(uninterrupted, folder, tmp_path):
    """kill -9 while the flow is trained, then the same command: every tensor as without the kill, to the bit.

    The pictures are read anew, cut at the same places, and have the same latents.
    """
    command = Launched(tmp_path, "train", "--data", str(folder), "--out", "run", *OPTIONS, first=be_small)
    while command.runs and not (tmp_path / "run" / "flow.training.safetensors").exists():
        time.sleep(0.02)
    command.send(signal.SIGKILL)
    assert command.wait().returncode == -signal.SIGKILL
    assert len(losses(tmp_path / "run")) < FLOW.steps
    train(folder, tmp_path / "run")
    for name in ("vae.training", "latents", "flow.training", "model"):
        found, expected = (load_file(run / f"{name}.safetensors") for run in (tmp_path / "run", uninterrupted))
        assert all(found[key].equal(tensor) for key, tensor in expected.items()), name


@pytest.mark.slow
def test_two_processes_learn_a_folder_as_one_does(uninterrupted, folder, tmp_path):
    """losses(2 processes) = losses(1 process), up to rounding.

    Both read the folder, the main one encodes it, and each takes its share of the same batch.
    """
    result = twice(tmp_path, "train", "--data", str(folder), "--out", "run", *OPTIONS[:-2], first=be_small)
    assert result.returncode == 0, result.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(uninterrupted), rel=1e-3)


@pytest.mark.parametrize("change", ["picture", "caption", "exchanged", "one more", "seed"])
def test_a_run_does_not_go_on_with_another_folder(finished, tmp_path, change):
    """a picture, a caption, which of them belong together, or a crop changed  =>  InputError by name; else no change.

    The latents of the old pictures would be trained with the new captions, and nothing in the result shows it.
    """
    data, before = tmp_path / "pictures", (finished / "model.safetensors").read_bytes()
    train(data, finished)
    if change == "picture":
        Image.new("RGB", (60, 50), (201, 0, 0)).save(data / "red.png")
    elif change == "caption":
        path = data / "metadata.jsonl"
        path.write_text(path.read_text().replace("red sheet", "blue sheet"))
    elif change == "exchanged":
        pairs = zip(COLOURS, ("blue", "green", "red"), strict=True)
        write(data, *(line(f"{name}.png", f"A {other} sheet, empty") for name, other in pairs))
    elif change == "one more":
        with (data / "metadata.jsonl").open("a") as file:
            file.write(json.dumps(line("red.png", "a red")) + "\n")
    flow = replace(FLOW, seed=1) if change == "seed" else FLOW
    asked = "flow seed 0, not 1" if change == "seed" else "pictures and captions '.*', not '.*': .*another directory"
    with pytest.raises(InputError, match=f"was begun with {asked}"):
        train(data, finished, flow_recipe=flow)
    assert (finished / "model.safetensors").read_bytes() == before


def test_latents_are_made_once_and_are_of_the_runs_own_folder(finished, tmp_path, monkeypatch):
    """latents lost  =>  the same again; there  =>  not encoded; those of another folder  =>  InputError by name.

    Encoding a large folder takes as long as many steps, so it is done once.
    """
    path, data = finished / "latents.safetensors", tmp_path / "pictures"
    whole = load_file(path)["latents"]
    path.unlink()
    train(data, finished)
    assert load_file(path)["latents"].equal(whole)
    monkeypatch.setattr("janus_minimal.training.run.encode_examples", lambda *_: pytest.fail("encoded again"))
    train(data, finished)
    with safe_open(path, "pt") as file:
        about, latents = file.metadata(), file.get_tensor("latents")
    save_file({"latents": latents}, path, about | {"pictures and captions": "of another"})
    with pytest.raises(InputError, match=r"latents\.safetensors was begun with pictures and captions 'of another'"):
        train(data, finished)


def test_the_vae_that_is_given_is_used_and_not_trained(folder, tmp_path):
    """--vae V: the run's vae/ has V's weights and factor, its latents are V's, and no VAE is trained.

    Another VAE for a run that was begun with V is refused. What diffusers notes about V is no part of V: its version,
    and a set of names whose order is another one in each Python process.
    """
    vae = load_vae(BUNDLED / "shapes" / "vae")
    train(folder, tmp_path / "run", vae=vae, flow_recipe=replace(FLOW, steps=1))
    copied = load_vae(tmp_path / "run" / "vae")
    assert all(tensor.equal(copied.state_dict()[key]) for key, tensor in vae.state_dict().items())
    assert copied.config.scaling_factor == vae.config.scaling_factor
    assert not (tmp_path / "run" / "vae.training.safetensors").exists()
    latents = load_file(tmp_path / "run" / "latents.safetensors")["latents"]
    assert latents.equal(encode_examples(vae, load_folder(folder, 48)))
    for names in (["shift_factor", "latents_mean"], ["latents_mean", "shift_factor"]):
        vae.register_to_config(_use_default_values=names, _diffusers_version=names[0])
        train(folder, tmp_path / "run", vae=vae, flow_recipe=replace(FLOW, steps=1))
    factor = vae.config.scaling_factor
    for other, added in ((2 * factor, 0), (factor, 1)):
        vae.register_to_config(scaling_factor=other)
        with torch.no_grad():
            vae.decoder.conv_out.bias += added
        with pytest.raises(InputError, match=r"was begun with vae '.*', not '"):
            train(folder, tmp_path / "run", vae=vae, flow_recipe=replace(FLOW, steps=1))
    with pytest.raises(InputError, match="was begun with"):
        train(folder, tmp_path / "run")


def small_vae(levels: int, channels: int) -> AutoencoderKL:
    """An untrained VAE with 2^(levels - 1) pixels for each latent value."""
    down, up = ("DownEncoderBlock2D",) * levels, ("UpDecoderBlock2D",) * levels
    wide = {"block_out_channels": (8,) * levels, "latent_channels": channels, "norm_num_groups": 4}
    return AutoencoderKL(down_block_types=down, up_block_types=up, **wide, mid_block_add_attention=False)


def test_the_vae_decides_how_large_the_pictures_are(folder, monkeypatch):
    """side = 12 pixels of one latent value: 96 with a VAE of four levels; a VAE without 4 latent channels is refused.

    The flow's latents have 12 x 12 places, whatever the VAE is. It is refused before a picture is opened.
    """
    asked = []
    monkeypatch.setattr(pictures, "load_folder", lambda *given: asked.append(given))
    monkeypatch.setattr(pictures, "train_checkpoint", lambda *given: None)
    for levels in (4, 3):
        train(folder, folder.parent / "run", vae=small_vae(levels, 4))
    train(folder, folder.parent / "run")
    assert [side for _, side, _, _ in asked] == [96, 48, 48]
    with pytest.raises(InputError, match="the VAE has 8 latent channels, the model takes 4"):
        train(folder, folder.parent / "run", vae=small_vae(4, 8))
    assert len(asked) == 3


def test_a_new_flow_draws_pictures_of_its_vaes_size(folder, tmp_path, monkeypatch):
    """image_size(flow) = 12 pixels of one latent value of the VAE that is given: 96 with four levels.

    The size stands in config.json, and a checkpoint with another one cannot be loaded beside its VAE.
    """
    load, given = load_folder, []
    monkeypatch.setattr(pictures, "load_folder", lambda data, side, *rest: load(data, 48, *rest))
    monkeypatch.setattr("janus_minimal.training.run.encode_examples", lambda *_: torch.ones(3, 4, 12, 12))
    monkeypatch.setattr("janus_minimal.training.run.train_flow", lambda model, *_: given.append(model))
    train(folder, tmp_path / "run", vae=small_vae(4, 4))
    assert given[0].config.image_size == 96


def with_a_gap(largest: int) -> PreTrainedTokenizerFast:
    """A tokenizer that knows the captions of `make`, in which one word has this id."""
    rules = json.loads(learn_tokenizer(["A red green blue sheet, empty"]).backend_tokenizer.to_str())
    rules["model"]["vocab"]["sheet"] = largest
    names = {"bos_token": BEGIN, "pad_token": PAD, "unk_token": UNKNOWN}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(rules)), **names)


def test_ids_with_a_gap_have_embeddings(folder, tmp_path, monkeypatch):
    """embeddings(new flow) = largest id of the tokenizer + 1, and not the number of its tokens.

    Otherwise a caption with that word has no embedding, and a checkpoint whose captions lack it cannot be loaded.
    """
    given = []
    monkeypatch.setattr("janus_minimal.training.run.encode_examples", lambda *_: torch.ones(3, 4, 12, 12))
    monkeypatch.setattr("janus_minimal.training.run.train_flow", lambda model, *_: given.append(model))
    tokenizer = with_a_gap(40)
    assert len(tokenizer) < 40
    train(folder, tmp_path / "run", vae=load_vae(BUNDLED / "shapes" / "vae"), tokenizer=tokenizer)
    assert given[0].config.language.vocab_size == 41


def test_an_id_beyond_all_models_is_refused(folder, tmp_path):
    """train --tokenizer with an id of 2^20 or more  =>  InputError, and no folder.

    No config may say so many words, and the embeddings of 2^31 words would fill every memory.
    """
    with_a_gap(2**20).save_pretrained(tmp_path / "words")
    with pytest.raises(InputError, match=r"^the tokenizer has the id 1,048,576: expected ids below 1,048,576$"):
        run("train", "--data", folder, "--out", tmp_path / "run", "--tokenizer", tmp_path / "words", "--device", "cpu")
    assert not (tmp_path / "run").exists()


def test_the_largest_id_of_all_models_is_taken(tmp_path, monkeypatch):
    """train --tokenizer with the id 2^20 - 1  =>  it is taken: a config may say 2^20 words.

    A limit that is too narrow refuses what can be trained.
    """
    given = []
    monkeypatch.setattr(pictures, "train_folder", lambda *words: given.append(words))
    with_a_gap(2**20 - 1).save_pretrained(tmp_path / "words")
    run("train", "--data", "mine", "--out", tmp_path / "run", "--tokenizer", tmp_path / "words", "--device", "cpu")
    assert given[0][5].convert_tokens_to_ids("sheet") == 2**20 - 1


def test_a_vae_that_is_given_is_on_the_device_of_the_process(tmp_path, monkeypatch):
    """train --vae V, train --from C: V's weights, and C's, are on the device that accelerate chose.

    Each process has a GPU of its own. The meta device stands in for it.
    """
    given, chosen = [], SimpleNamespace(device=torch.device("meta"))
    monkeypatch.setattr("accelerate.Accelerator", lambda **_: chosen)
    for name in ("train_folder", "tune_folder"):
        monkeypatch.setattr(pictures, name, lambda *words: given.append(words))
    words = ("train", "--data", "mine", "--out", tmp_path / "run", "--device", "cpu")
    run(*words, "--vae", "shapes"), run(*words, "--from", "shapes"), run(*words, "--from", "shapes", "--vae", "shapes")
    assert [vae.device.type for vae in (given[0][3], given[1][4], given[2][4])] == ["meta"] * 3
    assert all(words[2] is chosen for words in given)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_each_option_of_train_reaches_the_run_on_a_folder(monkeypatch, tmp_path):
    """train --data D --out O --steps --vae-steps --batch-size --save-every --seed --vae --tokenizer: each at its place.

    A VAE may be given by its own folder or by a checkpoint that has one; left out, it is trained.
    """
    calls = []
    monkeypatch.setattr(pictures, "train_folder", lambda *given: calls.append(given))
    words = ("--steps", 5, "--batch-size", 4, "--save-every", 2, "--seed", 9, "--device", "cpu")
    run("train", "--data", "mine", "--out", "there", "--vae-steps", 3, *words)
    run("train", "--data", "mine", "--out", "there", "--vae", "shapes", "--tokenizer", "shapes", "--device", "cpu")
    run("train", "--data", "mine", "--out", "there", "--vae", BUNDLED / "shapes" / "vae", "--device", "cpu")
    data, out, accelerator, vae, flow, tokenizer = calls[0]
    assert (data, out, accelerator.device.type, tokenizer) == (Path("mine"), Path("there"), "cpu", None)
    assert vae == Recipe(3, 4, 0.002, 0.01, 100, 0.99, 2, 9)
    assert flow == Recipe(5, 4, 0.002, 0.01, 200, 0.999, 2, 9)
    factor = json.loads((BUNDLED / "shapes" / "vae" / "config.json").read_text())["scaling_factor"]
    assert calls[1][3].config.scaling_factor == calls[2][3].config.scaling_factor == factor
    assert calls[1][4] == FLOW_RECIPE
    assert calls[1][5].encode("a red circle") == JanusFlowPipeline.from_pretrained("shapes").tokenizer.encode(
        "a red circle"
    )
    assert calls[2][5] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "d", "--examples", "5"), "expected no --examples with --data"),
        (("--vae", "shapes"), "expected --data DIR"),
        (("--tokenizer", "shapes"), "expected --data DIR"),
        (("--data", "d", "--vae", "shapes", "--vae-steps", "5"), "expected one of them"),
        (("--data", "absent-folder"), "no folder absent-folder"),
        (("--data", "d", "--vae", "absent"), "no checkpoint absent"),
    ],
)
def test_options_that_would_change_nothing_together_are_refused(tmp_path, monkeypatch, words, message):
    """--examples with --data, --vae or --tokenizer without it, --vae-steps with --vae  =>  InputError, and no run.

    An option that is read and does nothing lets its user believe in another run than theirs.
    """
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run("train", "--out", "run", "--device", "cpu", *words)
    assert not (tmp_path / "run").exists()


def test_a_folder_is_found_from_where_the_user_stands(folder, monkeypatch):
    """read_metadata(relative path) = read_metadata(absolute path).

    The documentation says `--data mine`. A file of the folder does not lead out of it, however the folder is named.
    """
    expected = [(pair.path, pair.caption) for pair in read_metadata(folder)]
    monkeypatch.chdir(folder.parent)
    assert [(pair.path, pair.caption) for pair in read_metadata(Path(folder.name))] == expected
    monkeypatch.chdir(folder)
    assert [(pair.path, pair.caption) for pair in read_metadata(Path())] == expected


def test_captions_keep_their_letters(folder):
    """caption(line) = text(line) without the spaces around it: capitals, double spaces and other scripts stay.

    The tokenizer of a checkpoint tells them apart, also where the one that is learned here does not. So "A cat" beside
    "a cat" is another caption of the picture, and not the same pair twice.
    """
    texts = ["A Red sheet", "a red sheet", "two  spaces", "圖"]
    found = read_metadata(write(folder, *(line("red.png", f"  {text} ") for text in texts)))
    assert [pair.caption for pair in found] == texts


def test_a_run_knows_every_picture_and_every_caption(folder):
    """about(source) differs if any one picture, any one caption or the tokenizer is another.

    A run that goes on after one picture was exchanged would learn from latents of a picture that is gone.
    """
    source = load_folder(folder, 48)
    seen = [source.about]
    for i in range(3):
        pixels, captions = source.pixels.copy(), list(source.captions)
        pixels[i, 47, 47, 2] ^= 1
        captions[i] += "s"
        seen += [replace(source, pixels=pixels).about, replace(source, captions=captions).about]
    seen.append(replace(source, tokenizer=learn_tokenizer(["another word"])).about)
    assert len({str(about) for about in seen}) == len(seen) == 8


@pytest.fixture
def begun(unchecked, monkeypatch):
    """How the folder is read and how the run is begun, without doing either."""
    calls = {"load": [], "run": []}
    monkeypatch.setattr(pictures, "load_folder", lambda *given: calls["load"].append(given) or "source")
    monkeypatch.setattr(pictures, "train_checkpoint", lambda *given: calls["run"].append(given))
    return calls


def test_training_on_a_folder_has_the_defaults_of_the_small_world(begun, pipe, tmp_path):
    """train_folder(data, out) = 2,500 VAE steps and 24,000 flow steps; a tokenizer that is given reads the captions.

    From Python nobody has to name a recipe. One that is mixed up trains ten times too short, or wastes hours.
    """
    here = Accelerator(cpu=True)
    train_folder(tmp_path / "data", tmp_path / "out", here)
    train_folder(tmp_path / "data", tmp_path / "out", here, VAE, replace(FLOW, seed=7), pipe.tokenizer)
    (out, source, accelerator, vae, flow), other = begun["run"]
    assert (out, source, accelerator) == (tmp_path / "out", "source", here)
    assert (vae.steps, vae.average, flow.steps, flow.average) == (VAE_RECIPE.steps, 0.99, 24_000, FLOW_RECIPE.average)
    assert other[3:] == (VAE, replace(FLOW, seed=7))
    assert begun["load"] == [(tmp_path / "data", 48, 0, None), (tmp_path / "data", 48, 7, pipe.tokenizer)]


def test_fine_tuning_on_a_folder_is_short_by_default(begun, pipe, tmp_path):
    """tune_folder(data, out) = 500 steps of 16 examples with rate 1e-3 and average 0.95, from the start that is given.

    A few hundred steps are enough for a few hundred pictures. The recipe of a new model would take a day.
    """
    start = Start(BUNDLED / "shapes", Tuning())
    tune_folder(tmp_path / "data", tmp_path / "out", Accelerator(cpu=True), start, pipe.vae)
    ((_, _, _, vae, recipe, given),) = begun["run"]
    assert (recipe.steps, recipe.batch_size, recipe.learning_rate, recipe.average) == (500, 16, 1e-3, 0.95)
    assert vae is pipe.vae
    assert given is start
    ((data, side, seed, tokenizer, config, latent_side),) = begun["load"]
    assert (data, side, seed, latent_side) == (tmp_path / "data", 48, 0, 12)
    assert tokenizer.get_vocab() == pipe.tokenizer.get_vocab()
    assert config == pipe.model.config
