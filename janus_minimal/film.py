"""The film of a run: at each step the guess z + (1 - t) v, the finished latent if the rest of the way were straight."""

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from janus_minimal.pipeline import JanusFlowPipeline

FRAMES = 8  # of a strip, the first and the last step among them


@dataclass
class Film:
    """A callback for the pipeline, which remembers each step's time and guess."""

    times: list[float] = field(default_factory=list)
    guesses: list[Float[Tensor, "B c H W"]] = field(default_factory=list)

    def __call__(self, pipe: JanusFlowPipeline, index: int, t: float, told: dict[str, Any]) -> dict[str, Any]:
        """Remember this step, change nothing."""
        self.times.append(t)
        self.guesses.append(told["guess"])
        return {}

    def develop(self, pipe: JanusFlowPipeline) -> tuple[list[float], list[tuple[Image.Image, ...]]]:
        """The times of evenly chosen steps, and for each image the pictures of its guesses then."""
        last = len(self.times) - 1
        chosen = sorted({round(i * last / (FRAMES - 1)) for i in range(FRAMES)})
        columns = [pipe.to_pictures(self.guesses[i]) for i in chosen]
        return [self.times[i] for i in chosen], list(zip(*columns, strict=True))
