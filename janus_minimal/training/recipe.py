"""The recipe: all numbers that decide how a training run goes, and the learning rate of each step."""

from dataclasses import dataclass
from math import cos, inf, pi

from janus_minimal.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """How long to train, on how much per step, and how fast.

    The recipe is written into the state file of a run. A run that is resumed must have the same
    recipe, because half of one schedule followed by half of another is neither of them.

    Args:
        steps: number of optimiser steps.
        batch_size: examples in one step, over all processes together.
        learning_rate: the highest learning rate; `learning_rate_at` gives the one of each step.
        weight_decay: decoupled weight decay, as in AdamW.
        warmup: number of steps over which the learning rate rises linearly.
        average: decay of the exponential moving average (EMA) of the weights. With 0.999 the
            average reaches back over about 1 / (1 - 0.999) = 1,000 steps.
        save_every: number of steps between two saves.
        seed: everything random in step k is drawn from (seed, k).

    Raises:
        InputError: for numbers that no run can have.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warmup: int = 100
    average: float = 0.999
    save_every: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for numbers that no run can have."""
        counts = {**dict.fromkeys(("steps", "batch_size", "warmup", "save_every"), 1), "seed": 0}
        for name, least in counts.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}: expected {least} or more")
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < inf:
                raise InputError(
                    f"{name} is {getattr(self, name)}: expected a finite number from 0"
                )
        if not 0 <= self.average < 1:
            raise InputError(f"average is {self.average}: expected a number from 0, below 1")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step: a linear warm-up times half a cosine down to zero.

            rate(k) = learning_rate * min(1, (k + 1) / warmup) * (1 + cos(pi k / steps)) / 2

        Why the warm-up: at first the optimisers have seen few gradients, so their steps would be as
        large as later ones, but badly aimed. Why the decline: with a constant rate the weights keep
        moving around a minimum, and a falling rate lets them settle.

        This is a function of the step alone. A scheduler object, such as transformers'
        `get_cosine_schedule_with_warmup`, has a state that must be saved and restored as well. Its
        numbers also differ: its first step has the rate 0, and its cosine begins after the warm-up.

        >>> recipe = Recipe(steps=100, batch_size=32, learning_rate=1.0, warmup=10)
        >>> tuple(round(recipe.learning_rate_at(step), 3) for step in (0, 9, 50, 99))
        (0.1, 0.98, 0.5, 0.0)
        """
        progress = step / self.steps
        warmup = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * warmup * (1 + cos(pi * progress)) / 2
