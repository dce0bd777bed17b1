"""What is asked for one sheet of pictures: everything but the model that decides its pixels."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from json import dumps
from numbers import Integral, Real

from einops import repeat
from jaxtyping import Bool, Float32
from torch import Generator, Tensor

from janus_minimal.editing import enter_late, only_inside
from janus_minimal.errors import InputError
from janus_minimal.pipeline import Callback, JanusFlowPipeline, image_noise
from janus_minimal.runtime import checks
from janus_minimal.runtime.precision import without_autocast
from janus_minimal.sampling import Step
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
        checks.ready_to_draw(pipe.model)
        checks.one_of("solver", self.solver, list(SOLVERS))
        checks.finite_number("the guidance weight", self.cfg_weight)
        checks.whole_number("the seed", self.seed, checks.MOST_SEED, least=0)
        self.times()
        pipe.prompt_pair(self.prompt, self.num_images)

    def draw(
        self, pipe: JanusFlowPipeline, callback: Callback | None = None, progress: bool = True
    ) -> Float32[Tensor, "B c H W"]:
        """Run the pipeline and return the latents at t = 1, not yet decoded. Raises InputError."""
        self.check(pipe)
        return pipe(
            self.prompt,
            cfg_weight=self.cfg_weight,
            times=self.times(),
            solver=SOLVERS[self.solver],
            num_images_per_prompt=self.num_images,
            generator=self.generators(),
            output_type="latent",
            callback_on_step_end=callback,
            progress=progress,
        ).images

    def walk(self, pipe: JanusFlowPipeline) -> Iterator[Step]:
        """Yield the steps that `draw` takes, so that the caller can show each, or stop.

        The last step's `z_next` is what `draw` returns. Raises InputError, as `draw` does.
        """
        self.check(pipe)
        noise = image_noise(pipe.latent_shape, self.num_images, self.generators())
        pair = pipe.prompt_pair(self.prompt, self.num_images)
        z, times, weight = noise.to(pipe.model.device), self.times(), float(self.cfg_weight)
        steps = SOLVERS[self.solver](pipe.model, pair, z, times, weight)

        def take_one() -> Step | None:
            # Not around the yield below, where it would hold for the caller too.
            with without_autocast(pipe.model.device):
                return next(steps, None)

        for step in iter(take_one, None):
            checks.finite_latents(step.index, step.z_next)
            yield step

    def edit(
        self,
        pipe: JanusFlowPipeline,
        latent: Float32[Tensor, "1 c H W"],
        mask: Bool[Tensor, "1 1 H W"],
        strength: float,
    ) -> Float32[Tensor, "B c H W"]:
        """Draw as `draw` does, but begin with a picture's latent, and keep it outside of the mask.

        The noise is that of `draw`. With strength 1 and a mask that is True everywhere, the two
        give the same. Strength 0 gives the latent back. Raises InputError.
        """
        self.check(pipe)
        noise = image_noise(pipe.latent_shape, self.num_images, self.generators())
        latent = checks.latents_of(latent, (1, *pipe.latent_shape))
        latents = repeat(latent, "1 c H W -> B c H W", B=self.num_images)
        z, times = enter_late(latents, noise, self.times(), strength)
        if len(times) == 1:  # t = 1: no step is left
            if strength > 0:
                raise InputError(
                    f"a strength of {strength:g} is less than half of the last of {self.steps} steps: "
                    "expected 0, a greater strength, or more steps"
                )
            return z
        return pipe(
            self.prompt,
            cfg_weight=self.cfg_weight,
            latents=z,
            times=times,
            solver=only_inside(mask, latents, noise, SOLVERS[self.solver]),
            num_images_per_prompt=self.num_images,
            output_type="latent",
        ).images

    def times(self) -> Float32[Tensor, "times"]:
        """Return the time grid. Raises InputError."""
        return checks.shifted_grid(self.steps, self.shift)

    def generators(self) -> list[Generator]:
        """Return a generator of noise for each image."""
        seeds = range(self.seed, self.seed + self.num_images)
        return [Generator().manual_seed(seed) for seed in seeds]

    def __str__(self) -> str:
        """One line of JSON. An album's picture stores it as metadata."""
        return dumps(asdict(self), ensure_ascii=False, default=_plain)


def _plain(number: Real) -> int | float:
    """Return Python's own number for one of NumPy, or of another library."""
    return int(number) if isinstance(number, Integral) else float(number)
