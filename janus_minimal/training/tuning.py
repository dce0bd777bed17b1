"""The choices of a fine-tuning: what trains, and how memory is saved. They are checked here, without torch."""

from dataclasses import dataclass
from typing import Literal, get_args

from janus_minimal.errors import InputError
from janus_minimal.training.recipe import Recipe

# A few hundred steps on a few hundred pictures: a short average, or nothing would seem learned.
TUNE_RECIPE = Recipe(
    steps=500, batch_size=16, learning_rate=1e-3, warmup=20, average=0.95, save_every=50
)

Train = Literal["uvit", "lora", "all"]
Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Tuning:
    """What is trained, and how memory is saved.

    Args:
        train: "uvit", "lora" or "all"; finetune.py says what each means.
        lora: R, the rank of the adapters on the language model; None for no adapters.
        dtype: of the weights that the network computes with.
        gradient_checkpointing: whether the activations inside a Llama block are computed again in
            the backward pass, and not kept. The gradients are the same.
        gradient_accumulation_steps: the parts in which a batch is computed.

    Raises:
        InputError: for values that are not known, or contradict each other.
    """

    train: Train = "all"
    lora: int | None = None
    dtype: Dtype = "float32"
    gradient_checkpointing: bool = False
    gradient_accumulation_steps: int = 1

    def __post_init__(self) -> None:
        """Raise InputError for values that are not known, or contradict each other."""
        for name, value, known in (("train", self.train, Train), ("dtype", self.dtype, Dtype)):
            if value not in get_args(known):
                names = ", ".join(get_args(known))
                raise InputError(f"{name} is {value!r}: expected one of {names}")
        if self.train == "lora" and self.lora is None:
            raise InputError(
                'train "lora" has no rank: expected --lora R as well, such as --lora 16'
            )
        if self.train == "all" and self.lora is not None:
            raise InputError(
                f'train "all" leaves nothing for adapters of rank {self.lora}: '
                'expected "lora" (adapters only) or "uvit" (and the U-ViT)'
            )
        if self.gradient_accumulation_steps < 1:
            raise InputError(
                f"{self.gradient_accumulation_steps} gradient accumulation steps: expected 1 or more"
            )
