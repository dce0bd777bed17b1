"""What is asked for one sheet of pictures: everything but the model that decides its pixels."""

from dataclasses import asdict, dataclass
from json import dumps

from jaxtyping import Float32
from torch import Generator, Tensor

from janus_minimal.flow import time_grid
from janus_minimal.pipeline import Callback, JanusFlowPipeline
from janus_minimal.runtime.checks import MOST_STEPS, finite_number, one_of, whole_number
from janus_minimal.solvers import SOLVERS


@dataclass(frozen=True)
class Request:
    """A prompt and the settings of its pictures.

    Image i starts from noise of its own seed, `seed + i`. With seed 5 and 4 images these are the seeds 5, 6, 7, 8, so
    each image can be drawn again alone.
    """

    prompt: str
    steps: int = 30
    cfg_weight: float = 2.0
    num_images: int = 4
    seed: int = 0
    solver: str = "euler"
    shift: float = 1.0

    def check(self, pipe: JanusFlowPipeline) -> None:
        """Raise InputError if the pipeline cannot draw this request."""
        whole_number("steps", self.steps, MOST_STEPS)
        finite_number("the guidance weight", self.cfg_weight)
        one_of("solver", self.solver, list(SOLVERS))
        pipe.prompt_pair(self.prompt, self.num_images)

    def draw(
        self, pipe: JanusFlowPipeline, callback: Callback | None = None, progress: bool = True
    ) -> Float32[Tensor, "B c H W"]:
        """Run the pipeline and return the latents at t = 1, not yet decoded. Raises InputError."""
        self.check(pipe)
        seeds = range(self.seed, self.seed + self.num_images)
        return pipe(
            self.prompt,
            cfg_weight=self.cfg_weight,
            times=time_grid(self.steps, self.shift),
            solver=SOLVERS[self.solver],
            num_images_per_prompt=self.num_images,
            generator=[Generator().manual_seed(seed) for seed in seeds],
            output_type="latent",
            callback_on_step_end=callback,
            progress=progress,
        ).images

    def __str__(self) -> str:
        """One line of JSON. An album's picture stores it as metadata."""
        return dumps(asdict(self), ensure_ascii=False)
