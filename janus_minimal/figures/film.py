"""The film of a run: at each step the denoised prediction z + (1 - t) v.

It would be the latent at t = 1 if the velocity did not change any more. Decoded, it shows what the model expects to
draw.
"""

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from janus_minimal.errors import InputError
from janus_minimal.pipeline import JanusFlowPipeline

FRAMES = 8  # columns of a strip, the first and the last step among them


@dataclass
class Film:
    """A callback for the pipeline that keeps the time and the denoised prediction of every step."""

    times: list[float] = field(default_factory=list)
    denoised: list[Float[Tensor, "B c H W"]] = field(default_factory=list)

    def __call__(
        self, pipe: JanusFlowPipeline, index: int, t: float, told: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep this step and change nothing. The first step of a run begins a new film."""
        if index == 0:
            self.times, self.denoised = [], []
        self.times.append(t)
        self.denoised.append(told["denoised"])
        return {}

    def develop(self, pipe: JanusFlowPipeline) -> tuple[list[float], list[tuple[Image.Image, ...]]]:
        """Decode evenly chosen steps: their times, and a row of pictures for each image.

        Raises InputError for a film that was in no run.
        """
        if not self.times:
            raise InputError(
                "the film is empty: expected a run with callback_on_step_end=film before"
            )
        last = len(self.times) - 1
        chosen = sorted({round(i * last / (FRAMES - 1)) for i in range(FRAMES)})
        columns = [pipe.to_pictures(self.denoised[i]) for i in chosen]
        return [self.times[i] for i in chosen], list(zip(*columns, strict=True))
