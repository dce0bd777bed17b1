"""What a run must not inherit from its surroundings.

accelerate reads environment variables and a configuration file: half precision, gradients that are
accumulated over several steps, a compiler, weights that are divided among processes. PyTorch has a
default dtype, a default device, precisions, and a mode without gradients. Each changes every weight
that is learned, and a log of the run shows none of them. The recipe alone should decide a run, so
training refuses what would change it.
"""

import torch
from accelerate import Accelerator, DistributedType

from janus_minimal.errors import InputError
from janus_minimal.runtime.precision import matrix_precision

# The state of a run is one file of whole weights, and these leave each process a part of them.
DIVIDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


def check_surroundings(accelerator: Accelerator) -> None:
    """Raise InputError unless the recipe alone decides what is learned."""
    kind, device = accelerator.distributed_type, accelerator.device.type
    found = {
        "accelerate's mixed_precision (ACCELERATE_MIXED_PRECISION)": accelerator.mixed_precision,
        "accelerate's gradient_accumulation_steps": accelerator.gradient_accumulation_steps,
        "accelerate's dynamo backend": accelerator.state.dynamo_plugin.backend.value,
        "accelerate's division of the weights": kind.value if kind in DIVIDED else "no",
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's autocast": torch.is_autocast_enabled(device),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's precision of matrix products": matrix_precision(),
    }
    expected = ("no", 1, "NO", "no", torch.float32, torch.device("cpu"), False, True, "float32")
    for (name, value), right in zip(found.items(), expected, strict=True):
        if value != right:
            raise InputError(f"{name} is {value}, which changes what is learned: expected {right}")
