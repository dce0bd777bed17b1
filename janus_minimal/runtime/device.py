"""The device that the model runs on: the machine's accelerator where there is one, else the CPU.

PyTorch's word for a GPU, and for whatever takes its place, is accelerator: CUDA on NVIDIA and ROCm on AMD (both are
called "cuda"), MPS on Apple, XPU on Intel. One build of PyTorch knows at most one kind.

The weights are float32 unless another dtype is asked for, on every device. Whatever their dtype, three things stay
float32: the latent z, the clock (a step's times t and t_next), and the VAE. Between 0.5 and 1, neighbouring bfloat16
numbers are 1/256 apart. That is an eighth of an Euler step of 1/30, so a bfloat16 clock would visibly miss its times.
"""

import warnings
from typing import TYPE_CHECKING

from janus_minimal.errors import InputError

if TYPE_CHECKING:
    import torch


def pick_device(name: str | None = None) -> "torch.device":
    """Return the device of this name ("cpu", "cuda:1", "mps"). None means the accelerator, or the CPU without one.

    Raises InputError, which lists the devices that are here, unless a number can be stored on that device and read
    back. (Any name can be given to `torch.device`, and "meta" takes numbers but never returns them.)
    """
    import torch

    if name is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that PyTorch no longer knows
            number = torch.zeros(1, device=name)
        number.item()
    except (RuntimeError, AssertionError, ImportError):  # PyTorch's refusal depends on the device
        raise InputError(
            f'there is no device "{name}" here; expected one of: {", ".join(devices())}'
        ) from None
    return number.device


def known_device(device: "torch.device | str") -> "torch.device":
    """Return a device that is here, or "meta", where a model takes no memory. Raises InputError."""
    import torch

    return torch.device("meta") if str(device) == "meta" else pick_device(str(device))


def devices() -> list[str]:
    """Return the names of all devices here, for example ["cpu", "cuda:0", "cuda:1"]."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    return [
        "cpu",
        *(f"{accelerator.type}:{index}" for index in range(torch.accelerator.device_count())),
    ]


def device_name(device: "torch.device") -> str:
    """Return a name for people: a GPU's product name where PyTorch knows it, and the number of cores for a CPU."""
    import torch

    if device.type == "cpu":
        return f"{torch.get_num_threads()} CPU cores"
    product_name = getattr(torch.get_device_module(device), "get_device_name", None)
    return product_name(device) if product_name else device.type
