"""What one sheet of pictures is asked for: everything that decides its pixels but the model."""

from dataclasses import asdict, dataclass
from json import dumps

from jaxtyping import Float32
from torch import Generator, Tensor

from janus_minimal.pipeline import Callback, JanusFlowPipeline


@dataclass(frozen=True)
class Request:
    """A prompt and how to draw it. Image i starts from the noise of seed + i."""

    prompt: str
    steps: int = 30
    cfg_weight: float = 2.0
    num_images: int = 4
    seed: int = 0

    def draw(
        self, pipe: JanusFlowPipeline, callback: Callback | None = None, progress: bool = True
    ) -> Float32[Tensor, "B c H W"]:
        """The finished latents. Raises InputError."""
        seeds = range(self.seed, self.seed + self.num_images)
        return pipe(
            self.prompt,
            self.steps,
            self.cfg_weight,
            num_images_per_prompt=self.num_images,
            generator=[Generator().manual_seed(seed) for seed in seeds],
            output_type="latent",
            callback_on_step_end=callback,
            progress=progress,
        ).images

    def __str__(self) -> str:
        """One line of JSON, which a picture carries along."""
        return dumps(asdict(self), ensure_ascii=False)
