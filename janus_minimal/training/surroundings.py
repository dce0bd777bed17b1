"""What a run must not inherit from its surroundings.

accelerate reads environment variables and a configuration file: half precision, or gradients that
are accumulated over several steps. PyTorch has a default dtype and a default device. Each changes
every weight that is learned, and a log of the run shows none of them. The recipe alone should
decide a run, so training refuses what would change it.
"""

import torch
from accelerate import Accelerator

from janus_minimal.errors import InputError


def check_surroundings(accelerator: Accelerator) -> None:
    """Raise InputError unless the recipe alone decides what is learned."""
    found = {
        "accelerate's mixed_precision (ACCELERATE_MIXED_PRECISION)": accelerator.mixed_precision,
        "accelerate's gradient_accumulation_steps": accelerator.gradient_accumulation_steps,
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
    }
    expected = ("no", 1, torch.float32, torch.device("cpu"))
    for (name, value), right in zip(found.items(), expected, strict=True):
        if value != right:
            raise InputError(f"{name} is {value}, which changes what is learned: expected {right}")
