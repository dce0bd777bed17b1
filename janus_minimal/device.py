"""Where to compute."""

from typing import TYPE_CHECKING

from janus_minimal.errors import InputError

if TYPE_CHECKING:
    import torch


def pick_device(name: str | None = None) -> "torch.device":
    """The device of this name, or the best there is: a GPU, else the CPU. Raises InputError if it is not there."""
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        here = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        raise InputError(f'there is no device "{name}" here; right would be one of: {here}') from None
