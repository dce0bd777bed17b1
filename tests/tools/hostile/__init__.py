"""What an enemy, or a mistake, could hand to us. `python tests/tools/fuzz.py` tries it all.

A kind of hostility is a function that damages a directory, with everything that chance decides drawn from one `Random`.
Before it, the directory is filled with something that works; after it, something is done with the directory.
"""

import re
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from janus_minimal.errors import PromptError
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.vocabulary import encode
from janus_minimal.pipeline import JanusFlowPipeline

Damage = Callable[[Path, Random], None]
Deed = Callable[[Path], None]
BAR = re.compile(r"\d+%\|.*\[\d\d:\d\d<|: 0\w+ \[00:00, |^0\w+ \[00:00, ")  # of tqdm, also one of no steps
CAPTION, UNKNOWN = "a red circle", "a red dragon"


@dataclass(frozen=True)
class Kind:
    """Fill a directory, damage it, and do something with it, which may work or must be refused."""

    fill: Deed
    damage: Damage
    act: Deed
    may_work: bool

    @property
    def name(self) -> str:
        return self.damage.__name__


KINDS: list[Kind] = []


def must_be_refused(fill: Deed, act: Deed) -> Callable[[Damage], Damage]:
    return _register(fill, act, False)


def may_work(fill: Deed, act: Deed) -> Callable[[Damage], Damage]:
    return _register(fill, act, True)


def _register(fill: Deed, act: Deed, allowed: bool) -> Callable[[Damage], Damage]:
    def register(damage: Damage) -> Damage:
        KINDS.append(Kind(fill, damage, act, allowed))
        return damage

    return register


def copy_of_shapes(directory: Path) -> None:
    shutil.copytree(BUNDLED / "shapes", directory, dirs_exist_ok=True)


def draw(directory: Path) -> None:
    """Load a checkpoint and draw. What works must also be right as far as that can be told from outside."""
    pipe = JanusFlowPipeline.from_pretrained(directory)
    ids = encode(pipe.tokenizer, CAPTION)
    assert ids == encode(pipe.tokenizer, CAPTION), "the same caption has two forms"
    assert 0 <= min(ids) <= max(ids) < pipe.model.config.language.vocab_size, "an id beyond the embedding"
    side = pipe.model.config.image_size
    picture = pipe(CAPTION, 1, generator=torch.Generator().manual_seed(0), output_type="pt", progress=False).images
    assert tuple(picture.shape) == (1, 3, side, side), f"a picture of {list(picture.shape)}"
    assert picture.isfinite().all(), "a picture that is not finite"
    try:
        pipe(UNKNOWN, 1, progress=False)
    except PromptError:
        return
    raise AssertionError("an unknown word was drawn")


def is_one_line(text: str, longest: int = 320) -> bool:
    """Return whether a message is one short line without anything that a terminal obeys."""
    return len(text) <= longest and not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in text)


def lines_said(said: bytes) -> list[str]:
    """Return the lines of a standard error, without progress bars, which rewrite their own line."""
    pieces = re.split(r"[\r\n]|\x1b\[A", said.decode(errors="replace"))
    return [piece for piece in pieces if piece.strip() and not BAR.search(piece)]
