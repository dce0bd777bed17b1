"""Captions: what can be said about a scene, and whether it is true.

The categories are the six of GenEval (Ghosh et al. 2023, arXiv 2310.11513), and a seventh of our own:

    single object        a circle                                   (any colour)
    two objects          a circle and a square                      (any colours)
    counting             three stars, or: three red stars           (two to four)
    colours              a red circle
    position             a circle left of a square, or: a red circle left of a blue square
    colour attribution   a red circle and a blue square
    unseen pairs         a green star                               (a pair that training never shows)

Scenes are drawn from captions, not described afterwards, so every caption is true of its scene.
"""

import re
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from janus_minimal.errors import PromptError
from janus_minimal.shapes.scene import (
    COLOURS,
    RELATIONS,
    SEEN,
    SHAPES,
    SIZES,
    UNSEEN,
    Scene,
    Thing,
    place,
    related,
)

SEEN_CATEGORIES = (
    "single object",
    "two objects",
    "counting",
    "colours",
    "position",
    "colour attribution",
)
CATEGORIES = (*SEEN_CATEGORIES, "unseen pairs")
COUNTS = {"two": 2, "three": 3, "four": 4}
PLURALS = {shape: shape + ("es" if shape.endswith("s") else "s") for shape in SHAPES}
NOUNS = {word: shape for shape in SHAPES for word in (shape, PLURALS[shape])}
PHRASE = re.compile(
    rf"(an?|{'|'.join(COUNTS)}) ((?P<colour>{'|'.join(COLOURS)}) )?(?P<noun>{'|'.join(NOUNS)})"
)
WORDS = tuple(
    dict.fromkeys(
        [
            "a",
            "an",
            "and",
            *" ".join(RELATIONS).split(),
            *COUNTS,
            *COLOURS,
            *SHAPES,
            *PLURALS.values(),
        ]
    )
)

Kind = tuple[str | None, str]  # a colour, or None where the caption names none, and a shape


@dataclass(frozen=True)
class Caption:
    """A statement about a scene: one kind of thing `count` times, or two kinds of things.

    Two kinds are joined by a relation, or by "and" if `relation` is None.

    >>> str(Caption((("red", "circle"), ("blue", "square")), relation="left of"))
    'a red circle left of a blue square'
    >>> Caption.parse("three stars")
    Caption(kinds=((None, 'star'),), count=3, relation=None)
    """

    kinds: tuple[Kind, ...]
    count: int = 1
    relation: str | None = None

    def __post_init__(self) -> None:
        """Raise PromptError for more things than a scene has room for, and than words count."""
        if len(self.kinds) * self.count not in SIZES:
            raise PromptError(
                f"{self.count} things of {len(self.kinds)} kinds: expected 1 to {len(SIZES)} things"
            )

    def __str__(self) -> str:
        return f" {self.relation or 'and'} ".join(_phrase(kind, self.count) for kind in self.kinds)

    @classmethod
    def parse(cls, text: str) -> "Caption":
        """Return the caption with this text, the inverse of `str`. Raises PromptError if there is none."""
        relation = next((name for name in RELATIONS if f" {name} " in text), None)
        phrases = [PHRASE.fullmatch(phrase) for phrase in text.split(f" {relation or 'and'} ")]
        if all(phrases) and len(phrases) <= 2:
            kinds = tuple((phrase["colour"], NOUNS[phrase["noun"]]) for phrase in phrases if phrase)
            caption = cls(kinds, COUNTS.get(text.split()[0], 1), relation)
            if (
                str(caption) == text
            ):  # the pattern alone also accepts "a orange circle" and "two circle"
                return caption
        raise PromptError(
            f'not a caption of this world: "{text}" (expected, say, "a red circle and a star")'
        )

    def holds(self, scene: Scene) -> bool:
        """Return whether the scene shows exactly what the caption says.

        It shows these things and no others, and they are related as the caption says. A caption that
        names no colour accepts any. Things have no order, so every assignment is tried.
        """
        wanted = self.kinds * self.count
        return len(scene) == len(wanted) and any(
            self._fits(wanted, order) for order in permutations(scene)
        )

    def _fits(self, wanted: tuple[Kind, ...], things: tuple[Thing, ...]) -> bool:
        """Return whether thing i is of kind i, for every i, and the relation holds from first to second."""
        named = all(
            colour in (None, thing.colour) and shape == thing.shape
            for (colour, shape), thing in zip(wanted, things, strict=True)
        )
        return named and (self.relation is None or related(things[0], things[1], self.relation))

    def draw(self, rng: np.random.Generator) -> Scene:
        """Return a random scene of which the caption is true, by a margin. Open colours are drawn too."""
        kinds = [
            (colour or _colour_for(shape, rng), shape) for colour, shape in self.kinds * self.count
        ]
        return place(kinds, rng, self._reads_well)

    def _reads_well(self, scene: Scene) -> bool:
        """Return whether the scene is a clear case of the caption.

        A relation must hold by a margin of 1.3. Without a relation, two kinds are named from top to
        bottom: the language model is causal and reads the image row by row, so the first thing that
        it comes to is the first that the caption names.
        """
        first, last = scene[0], scene[-1]
        if self.relation is None:
            return self.count > 1 or first.y <= last.y
        return related(first, last, self.relation, clearly=1.3)


def draw_caption(category: str, rng: np.random.Generator) -> Caption:
    """Return a random caption of one of the CATEGORIES. Raises PromptError for another category."""
    match category:
        case "single object":
            return Caption(_kinds(1, False, rng))
        case "two objects":
            return Caption(_kinds(2, False, rng))
        case "counting":
            return Caption(_kinds(1, rng.random() < 0.5, rng), count=int(rng.integers(2, 5)))
        case "colours":
            return Caption(_kinds(1, True, rng))
        case "position":
            relation = list(RELATIONS)[rng.integers(len(RELATIONS))]
            return Caption(_kinds(2, rng.random() < 0.5, rng), relation=relation)
        case "colour attribution":
            return Caption(_kinds(2, True, rng))
        case "unseen pairs":
            return Caption((sorted(UNSEEN)[rng.integers(len(UNSEEN))],))
    raise PromptError(f'no category "{category}": expected one of {", ".join(CATEGORIES)}')


def _kinds(number: int, coloured: bool, rng: np.random.Generator) -> tuple[Kind, ...]:
    """Return different kinds: pairs that training may show if `coloured`, else shapes alone."""
    pool: list[Kind] = list(SEEN) if coloured else [(None, shape) for shape in SHAPES]
    return tuple(pool[i] for i in rng.choice(len(pool), number, replace=False))


def _colour_for(shape: str, rng: np.random.Generator) -> str:
    """Return a random colour that training may show with this shape."""
    colours = [colour for colour in COLOURS if (colour, shape) not in UNSEEN]
    return colours[rng.integers(len(colours))]


def _phrase(kind: Kind, count: int) -> str:
    """Return the words for `count` things of a kind, with the right article and plural."""
    colour, shape = kind
    words = f"{colour} {shape}" if colour else shape
    if count == 1:
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
    number = next(word for word, value in COUNTS.items() if value == count)
    return f"{number} {words.removesuffix(shape)}{PLURALS[shape]}"
