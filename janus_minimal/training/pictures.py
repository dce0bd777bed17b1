"""A folder of your own pictures with captions, as a source that a run learns from.

The folder follows Hugging Face's image-folder convention: metadata.jsonl has one JSON object a line,

    {"file_name": "animals/cat.png", "text": "a cat asleep on a chair"}

and each file_name leads from the folder to a picture. A file may have several captions, a line each.
We read the convention ourselves: it is a JSON object a line, and whoever loads it with a library for
data sets gets an error without the line that is wrong, or an Arrow cache of all pictures.

    n  examples        S  side of a picture in pixels
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from janus_minimal.config import JanusConfig
from janus_minimal.errors import InputError, quoted
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.hub import find_part
from janus_minimal.loading.json_file import read_plain
from janus_minimal.loading.picture import read_picture, to_rgb
from janus_minimal.loading.tokenizer import load_tokenizer
from janus_minimal.loading.vae import pixels_per_latent
from janus_minimal.loading.vocabulary import check_characters, check_words, vocabulary_size
from janus_minimal.runtime.checks import fits_positions, fits_vae
from janus_minimal.training.flow import check_parts
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.run import train_checkpoint
from janus_minimal.training.small import (
    FLOW_RECIPE,
    LATENT_SIDE,
    SIDE,
    VAE_RECIPE,
    small_config,
)
from janus_minimal.training.start import Start
from janus_minimal.training.tokenizer import learn_tokenizer, tokenize
from janus_minimal.training.tuning import TUNE_RECIPE

METADATA = "metadata.jsonl"
RIGHT = '{"file_name": "cat.png", "text": "a cat"}'
MOST_BYTES = 2**30  # of metadata.jsonl: several million captions
SHOWN = 16  # captions of the sample sheet
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors put it before the first line of a UTF-8 file


@dataclass(frozen=True)
class Pair:
    """A line of metadata.jsonl: its place, for messages, its picture and its caption."""

    place: str
    path: Path
    caption: str


@dataclass(frozen=True)
class PictureFolder:
    """The pictures and captions of a folder: a `Source`.

    All pictures are in memory, as bytes: 7 kB each at 48 x 48 pixels.
    """

    pixels: UInt8[np.ndarray, "n S S 3"]
    captions: Sequence[str]
    tokenizer: PreTrainedTokenizerBase

    @property
    def about(self) -> Mapping[str, str]:
        """Return fingerprints: another picture, crop, caption or word makes another run."""
        pixels = {"pixels": torch.from_numpy(self.pixels)}
        return {
            "pictures and captions": fingerprint(pixels, *self.captions),
            "tokenizer": fingerprint({}, self.tokenizer.backend_tokenizer.to_str()),
        }

    @property
    def shown(self) -> Sequence[str]:
        """Return up to 16 captions of the folder, evenly spaced."""
        different = list(dict.fromkeys(self.captions))
        places = np.linspace(0, len(different) - 1, min(SHOWN, len(different)))
        return [different[int(place)] for place in places]

    def pictures(self, numbers: range) -> Float[Tensor, "n 3 S S"]:
        """Return the pictures with these numbers, in -1..1."""
        return self._chosen(np.array(numbers))

    def draw(self, number: int, seed: Sequence[int]) -> Float[Tensor, "number 3 S S"]:
        """Return pictures drawn with replacement, in -1..1."""
        return self._chosen(np.random.default_rng(seed).integers(len(self.pixels), size=number))

    def _chosen(self, numbers: np.ndarray) -> Tensor:
        bytes_of = torch.from_numpy(self.pixels[numbers])
        return rearrange(bytes_of, "n y x rgb -> n rgb y x") / 127.5 - 1


def train_folder(
    data: Path,
    out: Path,
    accelerator: Accelerator,
    vae: AutoencoderKL | Recipe = VAE_RECIPE,
    flow_recipe: Recipe = FLOW_RECIPE,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """Train the small model on a folder of pictures, in the directory `out`.

    Args:
        data: the folder with metadata.jsonl.
        out: the directory of the run.
        accelerator: the device, and the processes that share each batch.
        vae: a trained VAE, or how to train one on the folder's pictures.
        flow_recipe: how to train the flow. Its seed also chooses the crops.
        tokenizer: None means one that is learned from the captions.

    Raises:
        InputError: for a folder that cannot be learned from, naming the line or the file; for a VAE
            of another form; and as `train_checkpoint` does.
    """
    side = SIDE
    if isinstance(vae, AutoencoderKL):
        side = LATENT_SIDE * pixels_per_latent(vae)
        fits_vae(small_config(1, side), vae.config.latent_channels, pixels_per_latent(vae))
    source = load_folder(data, side, flow_recipe.seed, tokenizer)
    train_checkpoint(out, source, accelerator, vae, flow_recipe)


def tune_folder(
    data: Path,
    out: Path,
    accelerator: Accelerator,
    start: Start,
    vae: AutoencoderKL,
    recipe: Recipe = TUNE_RECIPE,
) -> None:
    """Fine-tune a checkpoint on a folder of pictures, in the directory `out`.

    Args:
        data: the folder with metadata.jsonl. Its captions may use the words of the checkpoint.
        out: the directory of the run, which becomes a whole checkpoint.
        accelerator: the device, and the processes that share each batch.
        start: the checkpoint, and what of it is trained.
        vae: the VAE that belongs to the checkpoint.
        recipe: how to train. Its seed also chooses the crops.

    Raises:
        InputError: for a folder that cannot be learned from, naming the line or the file; for a VAE
            or a tokenizer of another model; and as `train_checkpoint` does.
    """
    config = read_config(start.directory)
    start.check(config)
    share = recipe.batch_size // accelerator.num_processes
    check_parts(share, start.tuning.gradient_accumulation_steps)
    fits_vae(config, vae.config.latent_channels, pixels_per_latent(vae))
    words = find_part(start.directory, "tokenizer.json").parent
    tokenizer = load_tokenizer(words, config.language.vocab_size)
    latent_side = config.image_size // pixels_per_latent(vae)
    source = load_folder(data, config.image_size, recipe.seed, tokenizer, config, latent_side)
    train_checkpoint(out, source, accelerator, vae, recipe, start)


def load_folder(
    directory: Path,
    side: int,
    seed: int = 0,
    tokenizer: PreTrainedTokenizerBase | None = None,
    config: JanusConfig | None = None,
    latent_side: int = LATENT_SIDE,
) -> PictureFolder:
    """Read a folder, each picture cut to a square of this side.

    Which square of a long picture is taken is drawn from (seed, number of the picture). All captions
    are checked before the first picture is opened.

    Args:
        directory: the folder with metadata.jsonl.
        side: S, to which each picture is cut.
        seed: of the crops.
        tokenizer: None means one that is learned from the captions.
        config: of the model to train, in whose positions each caption must fit with the image. None
            means the small model.
        latent_side: values along a side of this model's latents.

    Raises:
        InputError: for a line, a caption or a picture that cannot be learned from, naming it.
    """
    pairs = read_metadata(directory)
    captions = [pair.caption for pair in pairs]
    tokenizer = learn_tokenizer(captions) if tokenizer is None else tokenizer
    config = small_config(vocabulary_size(tokenizer)) if config is None else config
    _check_captions(pairs, tokenizer, config, latent_side)
    pixels = np.empty((len(pairs), side, side, 3), np.uint8)
    for i, pair in enumerate(tqdm(pairs, desc="pictures")):
        with _told(pair.place):
            picture = to_rgb(read_picture(pair.path))
            pixels[i] = random_square(picture, side, np.random.default_rng((seed, 2, i)))
    return PictureFolder(pixels, captions, tokenizer)


def read_metadata(directory: Path) -> list[Pair]:
    """Return the pairs of a folder's metadata.jsonl, in its order; empty lines are left out.

    Raises:
        InputError: for a line that is no pair, a caption without a word, a picture that is missing
            or lies outside the folder, the same pair twice, or no pair at all.
    """
    if not os.path.isdir(directory):  # unlike Path's, it takes a name that is too long
        raise InputError(f"no folder {directory}: expected pictures with a {METADATA}")
    path = directory / METADATA
    # One line at a time: a list of them needs eight times the memory of a file of empty lines.
    pairs, lines = [], BytesIO(_content(path).removeprefix(BYTE_ORDER_MARK))
    for number, line in enumerate(lines, 1):
        if line.strip():
            with _told(f"{path}, line {number}"):
                pairs.append(_pair(directory, line, f"{path}, line {number}"))
    if not pairs:
        raise InputError(f"{path} holds no pair: expected {RIGHT} in a line for each picture")
    _check_different(pairs)
    return pairs


def random_square(
    picture: Image.Image, side: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "S S 3"]:
    """Resize the short side of an RGB picture to `side`, and cut a random square of the long side.

    As JanusFlow's training does. A picture of 400 x 200 becomes 96 x 48, and one of the 49 squares of
    48 x 48 is cut out. Raises InputError for a picture that would have to be enlarged.
    """
    if min(picture.size) < side:
        width, height = picture.size
        raise InputError(f"{width} x {height} pixels: expected at least {side} on the short side")
    scale = side / min(picture.size)
    width, height = (max(side, round(edge * scale)) for edge in picture.size)
    left, top = (int(rng.integers(edge - side + 1)) for edge in (width, height))
    resized = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def _content(path: Path) -> bytes:
    try:
        return read_plain(path, MOST_BYTES, f"{RIGHT} in a line for each picture")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _pair(directory: Path, line: bytes, place: str) -> Pair:
    """Return the pair that a line describes. Raises InputError."""
    try:
        entry = json.loads(line, object_pairs_hook=_once)
    except InputError:
        raise
    except (ValueError, RecursionError):  # no JSON, or no UTF-8
        raise InputError(f"no JSON: expected {RIGHT}") from None
    name, caption = _text(entry, "file_name"), _text(entry, "text")
    check_characters(caption)
    return Pair(f"{place} ({name})", _inside(directory, name), caption.strip())


def _once(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object with these entries. Raises InputError for a key that stands twice.

    Of two captions, json would take the last one, and the other one would go unseen.
    """
    number = Counter(key for key, _ in entries)
    if twice := [key for key in number if number[key] > 1]:
        raise InputError(f"its {quoted(twice[0])} stands twice: expected {RIGHT}")
    return dict(entries)


def _text(entry: Any, key: str) -> str:
    """Return the text that a line has under a key. Raises InputError if it has none."""
    text = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"its {key} is missing, empty or no text: expected {RIGHT}")
    return text


def _inside(directory: Path, name: str) -> Path:
    """Return the file with this name in the folder. Raises InputError if it is outside, or absent.

    Folders of pictures are passed around, and a name such as "../../letters/scan.png", or a symbolic
    link, would train on what the folder's author cannot see but whoever runs it can.
    """
    try:
        path = (directory / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        # Missing, a name that is too long or holds a NUL, or a loop of links (until Python 3.12).
        raise InputError(f"no file {name} in {directory}") from None
    if not path.is_relative_to(directory.resolve()):
        raise InputError(f"{name} leads out of {directory}: expected a file in the folder")
    return path


def _check_different(pairs: Sequence[Pair]) -> None:
    """Raise InputError for a pair that occurs twice: it would be learned twice as often."""
    first: dict[tuple[Path, str], str] = {}
    for pair in pairs:
        earlier = first.setdefault((pair.path, pair.caption), pair.place)
        if earlier != pair.place:
            raise InputError(f"{pair.place} has the picture and the caption of {earlier}")


def _check_captions(
    pairs: Sequence[Pair],
    tokenizer: PreTrainedTokenizerBase,
    config: JanusConfig,
    latent_side: int,
) -> None:
    """Raise InputError for a caption with words that the tokenizer does not know, or too many."""
    tokens = (latent_side // config.encoder.stride) ** 2
    for pair in pairs:
        with _told(pair.place):
            check_words(pair.caption, tokenizer)
            (ids,) = tokenize(tokenizer, [pair.caption])
            fits_positions(config, len(ids) - 1, tokens)


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Put the place before the message of an error."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
