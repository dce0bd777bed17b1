"""The processes that share a command's work, as accelerate finds them.

`accelerate launch` starts several processes and tells each, in environment variables, how many there
are and where to meet. A cluster, or an earlier launch, may have left some of these variables behind.
A command that is started alone would then look for processes that do not exist.
"""

from collections.abc import Callable
from typing import TypeVar

import torch

from janus_minimal.errors import InputError, quoted

Began = TypeVar("Began")


def begin_together(kind: Callable[..., Began], device: torch.device, **options: str) -> Began:
    """Return this process's place among the others: an Accelerator, or a PartialState.

    Raises InputError if the variables name processes that cannot be met.
    """
    try:
        return kind(cpu=device.type == "cpu", **options)
    except (ValueError, RuntimeError, ImportError) as error:
        raise InputError(
            f"accelerate cannot begin: {quoted(error)}; expected all variables of "
            "accelerate launch, or none (WORLD_SIZE, RANK, LOCAL_RANK, ...)"
        ) from None
